//! Virtual objects for programs of the Web of Things: their Thing Descriptions, Thing Models and functional blocks, and
//! objects that are made of Thing Descriptions.

use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use i3_core::id::VirtualObjectId;
use i3_core::market::ObjectView;
use i3_core::virtual_object::Content;
use i3_semantic::ontology::Ontology;
use i3_semantic::wot::json::{self, InvalidJson};
use i3_semantic::wot::{blocks, from_td, object};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::AppState;
use super::body::{BODIES, media_type, received};
use super::problem::Problem;
use super::representation::best_kind;
use super::request::{Answer, Api, Body, InPath};
use super::route::{Doc, Input, Output, Routes, about};

const TD: [&str; 3] = ["application/td+json", "application/ld+json", "application/json"];
const TM: [&str; 3] = ["application/tm+json", "application/ld+json", "application/json"];
const BLOCKS: [&str; 1] = ["application/json"];

pub(super) fn routes() -> Routes {
    let shows = |id, summary| about(id, summary).anybody().own_formats().refusal(StatusCode::NOT_ACCEPTABLE);
    Routes::new()
        .get(
            "/virtual_objects/{object}/td",
            description,
            shows(
                "describe_virtual_object",
                "The W3C Thing Description of a virtual object that has an address",
            )
            .refusal(StatusCode::CONFLICT),
        )
        .get(
            "/virtual_objects/{object}/tm",
            model,
            shows("model_virtual_object", "The W3C Thing Model of a virtual object: all but where it is"),
        )
        .get(
            "/virtual_objects/{object}/blocks",
            all_blocks,
            shows(
                "list_virtual_object_blocks",
                "The functional blocks of a virtual object that has an address",
            )
            .refusal(StatusCode::CONFLICT),
        )
}

/// A body of one known shape, or a Thing Description.
pub(super) enum OrThing<T> {
    Body(T),
    Thing(Value),
}

impl<T: JsonSchema> Input for OrThing<T> {
    fn describe(doc: &mut Doc<'_>) {
        Body::<T>::describe(doc);
        doc.also_takes(TD[0]);
    }
}

impl<T: DeserializeOwned> FromRequest<AppState> for OrThing<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Answer<Self> {
        let kind = media_type(request.headers());
        if kind != TD[0] {
            if !BODIES.contains(&kind.as_str()) {
                return Err(Problem::media_type(&[&BODIES[..], &TD[..1]].concat()));
            }
            let Body(body) = Body::from_request(request, state).await?;
            return Ok(Self::Body(body));
        }
        let bytes = received(request, state).await?;
        let invalid = |why: String| Problem::new(StatusCode::BAD_REQUEST, "invalid_json", why);
        let text = std::str::from_utf8(&bytes).map_err(|error| invalid(format!("not UTF-8: {error}")))?;
        json::read(text).map(Self::Thing).map_err(|error| match error {
            InvalidJson::TooLong { .. } => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", error.to_string())
            }
            error => invalid(error.to_string()),
        })
    }
}

/// What an object says that is made of a Thing Description, by the ontology in force.
pub(super) fn content(api: &Api, document: &Value) -> Answer<Content> {
    let ontology = api.knowledge().map(|knowledge| knowledge.index.graph().ontology().clone());
    from_td::content(document, &ontology.unwrap_or_else(|_| Ontology::core())).map_err(|refused| {
        let detail = "no virtual object can be made of this Thing Description: see `validationErrors`";
        let problem = Problem::new(StatusCode::BAD_REQUEST, "invalid_description", detail);
        refused.errors.into_iter().fold(problem, Problem::validation)
    })
}

/// A document of the Web of Things.
pub(super) struct Document<const KIND: u8>(Response);

impl<const KIND: u8> IntoResponse for Document<KIND> {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Output for Document<0> {
    fn describe(doc: &mut Doc<'_>) {
        doc.formats("The Thing Description", TD);
    }
}

impl Output for Document<1> {
    fn describe(doc: &mut Doc<'_>) {
        doc.formats("The Thing Model", TM);
    }
}

impl Output for Document<2> {
    fn describe(doc: &mut Doc<'_>) {
        doc.formats("The functional blocks, in the order of their names", BLOCKS);
    }
}

fn answered<const KIND: u8>(
    headers: &HeaderMap,
    kinds: &[&'static str],
    text: String,
) -> Answer<Document<KIND>> {
    let kind = best_kind(headers, kinds).ok_or_else(|| {
        let detail = format!("what `Accept` takes is not to be had; there are {}", kinds.join(", "));
        Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail)
    })?;
    let mut response = text.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(Document(response))
}

async fn seen(api: &Api, object: VirtualObjectId) -> Answer<ObjectView> {
    api.market().object(api.actor, object).await.map_err(|error| api.refused(error))
}

/// The description of an object that has an address.
fn described(view: &ObjectView) -> Answer<Value> {
    object::description(view).ok_or_else(|| {
        let detail = "the virtual object has no address: there is only a model of it";
        Problem::new(StatusCode::CONFLICT, "wrong_state", detail)
    })
}

async fn description(
    api: Api,
    headers: HeaderMap,
    InPath(object): InPath<VirtualObjectId>,
) -> Answer<Document<0>> {
    let view = seen(&api, object).await?;
    answered(&headers, &TD, described(&view)?.to_string())
}

async fn model(api: Api, headers: HeaderMap, InPath(object): InPath<VirtualObjectId>) -> Answer<Document<1>> {
    let view = seen(&api, object).await?;
    answered(&headers, &TM, object::model(&view).to_string())
}

async fn all_blocks(
    api: Api,
    headers: HeaderMap,
    InPath(object): InPath<VirtualObjectId>,
) -> Answer<Document<2>> {
    let view = seen(&api, object).await?;
    let unmade = |error: &dyn std::fmt::Display| {
        tracing::error!(%object, "a virtual object has no blocks: {error}");
        Problem::internal()
    };
    let blocks = blocks::blocks(&described(&view)?).map_err(|error| unmade(&error))?;
    let text = serde_json::to_string(&blocks).map_err(|error| unmade(&error))?;
    answered(&headers, &BLOCKS, text)
}
