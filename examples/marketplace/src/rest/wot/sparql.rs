//! Semantic search (section 7.3.2.3.3 of the standard): SPARQL over the descriptions that everybody sees.
//!
//! The guard, the processes and the limits are those of `/api/v1/sparql`; the graph is another one, and so are the
//! formats that are used if nothing else is wanted.

use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use i3_semantic::sparql::AnswerFormat;

use super::{directory, refused};
use crate::rest::request::{Answer, Api, QueryText};
use crate::rest::sparql::{Parameters, SparqlBody, answered, asked_by_get, asked_by_post, carry_out};

/// The standard's usual formats first: JSON, and JSON-LD.
const FORMATS: [AnswerFormat; 5] =
    [AnswerFormat::Json, AnswerFormat::Csv, AnswerFormat::Tsv, AnswerFormat::JsonLd, AnswerFormat::Turtle];

pub(super) async fn by_get(
    api: Api,
    headers: HeaderMap,
    parameters: QueryText<Parameters>,
) -> Answer<Response> {
    let query = asked_by_get(&parameters.0)?;
    search(&api, &headers, query).await
}

pub(super) async fn by_post(
    api: Api,
    headers: HeaderMap,
    parameters: QueryText<Parameters>,
    body: SparqlBody,
) -> Answer<Response> {
    let query = asked_by_post(&parameters.0, body)?;
    search(&api, &headers, query).await
}

async fn search(api: &Api, headers: &HeaderMap, query: String) -> Answer<Response> {
    directory(api)?.catch_up().await.map_err(|error| refused(api, error))?;
    let workers = api.knowledge()?.things.clone();
    let (text, format) = carry_out(workers, &FORMATS, query, headers).await?;
    let mut response = answered(text, format).into_response();
    if format == AnswerFormat::Json && !names(headers, AnswerFormat::Json.media_type()) {
        // What the standard wants (tdd-search-sparql-resp-select-ask); who knows the narrower name asks for it.
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(response)
}

/// Whether `Accept` has this media type by its name.
fn names(headers: &HeaderMap, kind: &str) -> bool {
    let accept = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accept
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|range| range.trim().eq_ignore_ascii_case(kind))
}
