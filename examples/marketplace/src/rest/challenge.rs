//! What strangers have to do before they may register, where the operator wants it.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::problem::Problem;
use super::representation::{Linked, Shown};
use super::request::{Answer, Api};
use super::route::{Routes, about};

pub(super) fn routes() -> Routes {
    Routes::new().get(
        "/challenge",
        ask,
        about("ask_challenge", "What has to be done to register; the answer goes with the registration")
            .anybody(),
    )
}

/// Something to do, in the format of the ALTCHA widget. The answer is base 64 of JSON: these members but `maxnumber`, and
/// the `number` of which `challenge` is the hash after `salt`.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(rename = "Challenge")]
struct Asked(serde_json::Map<String, serde_json::Value>);

impl Linked for Asked {}

async fn ask(api: Api) -> Answer<Shown<Asked>> {
    let Some(challenge) = &api.access().challenge else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", "nothing has to be done to register"));
    };
    match challenge.ask() {
        Ok(serde_json::Value::Object(asked)) => api.show(Asked(asked)).await,
        _ => Err(Problem::internal()),
    }
}

/// Whether who registers has done what was asked.
pub(super) fn check(api: &Api, answer: Option<&str>) -> Answer<()> {
    let Some(challenge) = &api.access().challenge else { return Ok(()) };
    let needed = |detail: String| Err(Problem::new(StatusCode::FORBIDDEN, "challenge", detail));
    match answer {
        None => needed("`challenge` is missing: do what `GET /challenge` asks".to_owned()),
        Some(answer) => challenge.check(answer, api.key()).or_else(|error| needed(error.to_string())),
    }
}
