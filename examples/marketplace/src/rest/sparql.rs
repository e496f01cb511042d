//! SPARQL: `/sparql` after the SPARQL 1.1 Protocol (query operations).
//!
//! A query comes as the parameter `query` of a GET, as a form, or as `application/sparql-query`; without one a GET is
//! answered with the service description. Tables are answered as JSON, CSV or TSV, triples as Turtle or JSON-LD, by
//! `Accept`. What is asked runs in a process of its own, which holds a copy of what is public and nothing else. See
//! [`i3_semantic::sparql`] for what is accepted.

use axum::extract::{FromRequest, Request};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use i3_semantic::oxigraph::model::NamedNode;
use i3_semantic::sparql::{
    Admitted, AnswerFormat, QueryFailure, QueryRefused, WorkerPool, service_description,
};
use schemars::JsonSchema;

use super::AppState;
use super::body::{media_type, received};
use super::problem::Problem;
use super::request::{Answer, Api, QueryText};
use super::route::{Doc, Input, Output, Routes, about};

pub(super) fn routes() -> Routes {
    let asks =
        |id, summary| about(id, summary).anybody().own_formats().refusal(StatusCode::UNPROCESSABLE_ENTITY);
    Routes::new()
        .get(
            "/sparql",
            by_get,
            asks(
                "sparql",
                "Carries out a SPARQL query over what is public; without one, describes the service",
            ),
        )
        .post("/sparql", by_post, asks("sparql_by_post", "Carries out a SPARQL query over what is public"))
}

/// The parameters of the SPARQL 1.1 Protocol that are understood.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only described: `Asked` reads them")]
pub(super) struct Parameters {
    /// The query: SELECT, ASK, CONSTRUCT or DESCRIBE.
    query: Option<String>,
}

/// An answer in one of the formats of SPARQL.
pub(super) struct SparqlAnswer(Response);

impl IntoResponse for SparqlAnswer {
    fn into_response(self) -> Response {
        self.0
    }
}

impl SparqlAnswer {
    pub(super) fn headers_mut(&mut self) -> &mut HeaderMap {
        self.0.headers_mut()
    }
}

impl Output for SparqlAnswer {
    fn describe(doc: &mut Doc<'_>) {
        doc.formats("What was found", AnswerFormat::ALL.map(AnswerFormat::media_type));
    }
}

/// A query as the body of a request.
pub(super) struct SparqlBody(String);

/// The media types of bodies.
const BODIES: [&str; 2] = ["application/sparql-query", "application/x-www-form-urlencoded"];

impl Input for SparqlBody {
    fn describe(doc: &mut Doc<'_>) {
        doc.takes(BODIES);
    }
}

impl FromRequest<AppState> for SparqlBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Answer<Self> {
        match media_type(request.headers()).as_str() {
            "application/sparql-query" => {
                let bytes = received(request, state).await?;
                let query = String::from_utf8(bytes.to_vec());
                query.map(Self).map_err(|_| malformed("the query is not UTF-8"))
            }
            "application/x-www-form-urlencoded" => {
                let asked = Asked::read(&received(request, state).await?)?;
                asked.map(Self).ok_or_else(|| malformed("the parameter `query` is missing"))
            }
            "application/sparql-update" => Err(refused(&QueryRefused::Update)),
            _ => Err(Problem::media_type(&BODIES)),
        }
    }
}

fn malformed(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed_query", detail)
}

fn refused(refused: &QueryRefused) -> Problem {
    let code = match refused {
        QueryRefused::Syntax(_) => "malformed_query",
        _ => "query_refused",
    };
    Problem::new(StatusCode::BAD_REQUEST, code, refused.to_string())
}

fn failed(failure: &QueryFailure) -> Problem {
    let (status, code) = match failure {
        QueryFailure::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too_many_queries"),
        QueryFailure::Unavailable(reason) => {
            tracing::error!("SPARQL queries cannot be carried out: {reason}");
            let detail = "queries cannot be carried out at the moment";
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
        }
        QueryFailure::TooSlow(_) => (StatusCode::UNPROCESSABLE_ENTITY, "query_too_slow"),
        QueryFailure::TooMuch => (StatusCode::UNPROCESSABLE_ENTITY, "query_too_large"),
        QueryFailure::TooLarge => (StatusCode::UNPROCESSABLE_ENTITY, "answer_too_large"),
        QueryFailure::WrongFormat => (StatusCode::NOT_ACCEPTABLE, "not_acceptable"),
        _ => (StatusCode::BAD_REQUEST, "query_refused"),
    };
    Problem::new(status, code, failure.to_string())
}

/// That something could not be written.
pub(super) fn unwritable(reason: String) -> Problem {
    failed(&QueryFailure::Unavailable(reason))
}

fn acceptable(is_graph: bool) -> Problem {
    let kinds = AnswerFormat::ALL.into_iter().filter(|format| format.is_graph() == is_graph);
    let kinds: Vec<_> = kinds.map(AnswerFormat::media_type).collect();
    let detail = format!("this answer comes as one of {}", kinds.join(", "));
    Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail)
}

/// The format that is wanted most, of those for this kind of answer; the first of those that are wanted alike.
fn wanted(headers: &HeaderMap, formats: &[AnswerFormat], is_graph: bool) -> Option<AnswerFormat> {
    let mut accept = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    let fitting = || formats.iter().copied().filter(move |format| format.is_graph() == is_graph);
    if accept.peek().is_none() {
        return fitting().next();
    }
    let mut best: Option<(u16, u8, AnswerFormat)> = None;
    for range in accept.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts
            .filter_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .find_map(|text| text.trim().parse::<f32>().ok())
            .map_or(1000, thousandths);
        for format in fitting() {
            let exact = format.media_type().split(';').next().unwrap_or_default();
            let main = exact.split('/').next().unwrap_or_default();
            let narrow = match kind.as_str() {
                kind if kind == exact => 3,
                // What programs send who know of no other JSON.
                "application/json" if matches!(format, AnswerFormat::Json | AnswerFormat::JsonLd) => 2,
                kind if kind == format!("{main}/*") => 1,
                "*/*" => 0,
                _ => continue,
            };
            let better = best.is_none_or(|(q, n, _)| (quality, narrow) > (q, n));
            if quality > 0 && better {
                best = Some((quality, narrow, format));
            }
        }
    }
    best.map(|(_, _, format)| format)
}

/// A weight of `Accept`, which has three digits after the point.
fn thousandths(weight: f32) -> u16 {
    (0..=1000_u16).rev().find(|&step| weight >= f32::from(step) / 1000.0).unwrap_or(0)
}

/// Reads the parameters of the protocol.
struct Asked;

impl Asked {
    /// The query, if there is one. What would change data, or ask for other data, is refused.
    fn read(form: &[u8]) -> Answer<Option<String>> {
        let mut query = None;
        for (name, value) in form_urlencoded::parse(form) {
            match &*name {
                "query" if query.is_some() => return Err(malformed("the parameter `query` is there twice")),
                "query" => query = Some(value.into_owned()),
                "default-graph-uri" | "named-graph-uri" => return Err(refused(&QueryRefused::Dataset)),
                "update" => return Err(refused(&QueryRefused::Update)),
                _ => {}
            }
        }
        Ok(query)
    }
}

async fn by_get(api: Api, headers: HeaderMap, parameters: QueryText<Parameters>) -> Answer<SparqlAnswer> {
    match Asked::read(parameters.0.as_bytes())? {
        Some(query) => {
            let (text, format) = of_index(&api, query, &headers).await?;
            Ok(answered(text, format))
        }
        None => described(&api, &headers),
    }
}

/// The query of the parameters of a GET.
pub(super) fn asked_by_get(parameters: &str) -> Answer<String> {
    Asked::read(parameters.as_bytes())?.ok_or_else(|| malformed("the parameter `query` is missing"))
}

/// The query of a POST, which has it in its body and not in its address.
pub(super) fn asked_by_post(parameters: &str, body: SparqlBody) -> Answer<String> {
    match Asked::read(parameters.as_bytes())? {
        Some(_) => Err(malformed("the query is in the body and in the address")),
        None => Ok(body.0),
    }
}

async fn by_post(
    api: Api,
    headers: HeaderMap,
    parameters: QueryText<Parameters>,
    body: SparqlBody,
) -> Answer<SparqlAnswer> {
    let query = asked_by_post(&parameters.0, body)?;
    let (text, format) = of_index(&api, query, &headers).await?;
    Ok(answered(text, format))
}

async fn of_index(api: &Api, query: String, headers: &HeaderMap) -> Answer<(Vec<u8>, AnswerFormat)> {
    carry_out(api.knowledge()?.workers.clone(), &AnswerFormat::ALL, query, headers).await
}

/// The answer in one of these formats, the usual ones first.
pub(super) async fn carry_out(
    workers: WorkerPool,
    formats: &[AnswerFormat],
    query: String,
    headers: &HeaderMap,
) -> Answer<(Vec<u8>, AnswerFormat)> {
    let admitted = Admitted::read(&query).map_err(|error| refused(&error))?;
    let is_graph = admitted.is_graph();
    let format = wanted(headers, formats, is_graph).ok_or_else(|| acceptable(is_graph))?;
    match tokio::task::spawn_blocking(move || workers.query(&query, &admitted, format)).await {
        Ok(Ok(answer)) => Ok((answer.text, format)),
        Ok(Err(failure)) => Err(failed(&failure)),
        Err(_) => Err(failed(&QueryFailure::Unavailable("the thread of a query ended".to_owned()))),
    }
}

pub(super) fn answered(text: Vec<u8>, format: AnswerFormat) -> SparqlAnswer {
    let mut response = text.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    SparqlAnswer(response)
}

fn described(api: &Api, headers: &HeaderMap) -> Answer<SparqlAnswer> {
    let format = wanted(headers, &AnswerFormat::ALL, true).ok_or_else(|| acceptable(true))?;
    let address = format!("{}/api/v1/sparql", api.access().oauth.settings().issuer());
    let address = NamedNode::new(address).map_err(|error| unwritable(error.to_string()))?;
    let text = service_description(&address, format).map_err(|error| unwritable(error.to_string()))?;
    Ok(answered(text, format))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(accept: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))])
    }

    #[test]
    fn the_format_is_the_one_that_is_wanted_most() {
        for (accept, table, triples) in [
            ("*/*", Some(AnswerFormat::Json), Some(AnswerFormat::Turtle)),
            ("text/csv", Some(AnswerFormat::Csv), None),
            ("text/csv;q=0.5, text/tab-separated-values", Some(AnswerFormat::Tsv), None),
            ("text/html, */*;q=0.1", Some(AnswerFormat::Json), Some(AnswerFormat::Turtle)),
            ("application/json", Some(AnswerFormat::Json), Some(AnswerFormat::JsonLd)),
            ("application/ld+json", None, Some(AnswerFormat::JsonLd)),
            ("text/*", Some(AnswerFormat::Csv), Some(AnswerFormat::Turtle)),
            ("text/csv;q=0", None, None),
            ("image/png", None, None),
        ] {
            assert_eq!(wanted(&accepting(accept), &AnswerFormat::ALL, false), table, "{accept}");
            assert_eq!(wanted(&accepting(accept), &AnswerFormat::ALL, true), triples, "{accept}");
        }
        assert_eq!(wanted(&HeaderMap::new(), &AnswerFormat::ALL, false), Some(AnswerFormat::Json));
    }

    #[test]
    fn the_protocols_parameters_are_read_once_and_data_sets_and_updates_are_refused() {
        assert_eq!(Asked::read(b"query=ASK+%7B+%7D&x=1").unwrap().as_deref(), Some("ASK { }"));
        assert_eq!(Asked::read(b"x=1").unwrap(), None);
        for wrong in [
            "query=a&query=b",
            "update=CLEAR+ALL",
            "query=a&default-graph-uri=urn:x",
            "query=a&named-graph-uri=urn:x",
        ] {
            assert!(Asked::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
