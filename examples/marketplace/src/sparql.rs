//! SPARQL over HTTP: `/api/v1/sparql` after the SPARQL 1.1 Protocol (query operations), and the ontology in force at
//! `/api/v1/ontology`.
//!
//! A query comes as the parameter `query` of a GET, as a form, or as `application/sparql-query`; without one a GET is
//! answered with the service description. Tables are answered as JSON, CSV or TSV, triples as Turtle or JSON-LD, by
//! `Accept`. What is asked runs in a process of its own: this program, started again as `i3-marketplace sparql-worker`,
//! which holds a copy of what is public and nothing else. See [`i3_semantic::sparql`] for what is accepted.

use std::io;
use std::process::Command;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use i3_semantic::graph::{Change, Revision, Snapshot};
use i3_semantic::oxigraph::model::NamedNode;
use i3_semantic::projection::Projection;
use i3_semantic::sparql::{
    Admitted, AnswerFormat, MAX_BYTES, PoolOptions, QueryFailure, QueryRefused, Source, WorkerPool,
    service_description, worker,
};
use serde_json::json;

/// What a form may take: every byte of a query as three, and the parameter's name.
const MAX_FORM: usize = 3 * MAX_BYTES + 1024;

/// The argument that makes this program a worker.
pub const SPARQL_WORKER: &str = "sparql-worker";

/// Carries out queries for the server that started this process, until it closes our standard input.
///
/// # Errors
///
/// Those of [`worker::run`].
pub fn sparql_worker() -> io::Result<()> {
    worker::run(io::stdin(), io::stdout())
}

/// Workers over the graph of this index, each a process of `program` (`i3-marketplace` itself).
pub fn sparql_pool(
    index: Arc<Projection>,
    program: impl Into<std::path::PathBuf>,
    options: PoolOptions,
) -> WorkerPool {
    let program = program.into();
    let command = move || {
        let mut command = Command::new(&program);
        command.arg(SPARQL_WORKER);
        command
    };
    WorkerPool::new(command, OfIndex(index), options)
}

/// The graph beside the index.
struct OfIndex(Arc<Projection>);

impl Source for OfIndex {
    fn snapshot(&self) -> Snapshot {
        self.0.graph().snapshot()
    }

    fn since(&self, revision: Revision) -> Option<Vec<Arc<Change>>> {
        self.0.graph().since(revision)
    }
}

#[derive(Clone, Debug)]
struct Endpoint {
    index: Arc<Projection>,
    pool: WorkerPool,
    address: NamedNode,
}

/// The endpoint over these workers, and the ontology of the index; to be merged into another router. `issuer` is the
/// address of the marketplace, for the service description.
pub fn sparql_router(index: Arc<Projection>, pool: WorkerPool, issuer: &str) -> Router {
    let address = NamedNode::new(format!("{issuer}/api/v1/sparql"))
        .or_else(|_| NamedNode::new("urn:i3:sparql"))
        .unwrap_or_else(|_| i3_semantic::vocabulary::ONTOLOGY.into_owned());
    Router::new()
        .route("/api/v1/sparql", get(by_get).post(by_post))
        .route("/api/v1/ontology", get(ontology))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .with_state(Endpoint { index, pool, address })
}

/// An answer that says what is wrong (RFC 9457).
fn problem(status: StatusCode, code: &'static str, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({"title": title, "status": status.as_u16(), "code": code, "detail": detail});
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}

fn refused(refused: &QueryRefused) -> Response {
    let code = match refused {
        QueryRefused::Syntax(_) => "malformed_query",
        _ => "query_refused",
    };
    problem(StatusCode::BAD_REQUEST, code, &refused.to_string())
}

fn failed(failure: &QueryFailure) -> Response {
    let (status, code) = match failure {
        QueryFailure::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        QueryFailure::Unavailable(reason) => {
            tracing::error!("SPARQL queries cannot be carried out: {reason}");
            let detail = "queries cannot be carried out at the moment";
            return problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
        }
        QueryFailure::TooSlow(_) => (StatusCode::UNPROCESSABLE_ENTITY, "query_too_slow"),
        QueryFailure::TooMuch => (StatusCode::UNPROCESSABLE_ENTITY, "query_too_large"),
        QueryFailure::TooLarge => (StatusCode::UNPROCESSABLE_ENTITY, "answer_too_large"),
        QueryFailure::WrongFormat => (StatusCode::NOT_ACCEPTABLE, "not_acceptable"),
        _ => (StatusCode::BAD_REQUEST, "query_refused"),
    };
    problem(status, code, &failure.to_string())
}

fn acceptable(is_graph: bool) -> Response {
    let kinds = AnswerFormat::ALL.into_iter().filter(|format| format.is_graph() == is_graph);
    let kinds: Vec<_> = kinds.map(AnswerFormat::media_type).collect();
    let detail = format!("this answer comes as one of {}", kinds.join(", "));
    problem(StatusCode::NOT_ACCEPTABLE, "not_acceptable", &detail)
}

/// The format that is wanted most, of those for this kind of answer.
fn wanted(headers: &HeaderMap, is_graph: bool) -> Option<AnswerFormat> {
    let mut accept = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    let fitting = || AnswerFormat::ALL.into_iter().filter(move |format| format.is_graph() == is_graph);
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

/// The parameters of the protocol.
#[derive(Default)]
struct Asked {
    query: Option<String>,
    again: bool,
    dataset: bool,
    update: bool,
}

impl Asked {
    fn read(form: &[u8]) -> Self {
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(form) {
            match &*name {
                "query" if asked.query.is_some() => asked.again = true,
                "query" => asked.query = Some(value.into_owned()),
                "default-graph-uri" | "named-graph-uri" => asked.dataset = true,
                "update" => asked.update = true,
                _ => {}
            }
        }
        asked
    }

    fn wrong(&self) -> Option<Response> {
        if self.update {
            return Some(refused(&QueryRefused::Update));
        }
        if self.dataset {
            return Some(refused(&QueryRefused::Dataset));
        }
        let twice = "the parameter `query` is there twice";
        self.again.then(|| problem(StatusCode::BAD_REQUEST, "malformed_query", twice))
    }
}

async fn by_get(State(endpoint): State<Endpoint>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let asked = Asked::read(query.as_deref().unwrap_or_default().as_bytes());
    if let Some(wrong) = asked.wrong() {
        return wrong;
    }
    match asked.query {
        Some(query) => carry_out(endpoint, query, &headers).await,
        None => described(&endpoint, &headers),
    }
}

async fn by_post(
    State(endpoint): State<Endpoint>,
    headers: HeaderMap,
    RawQuery(parameters): RawQuery,
    body: Bytes,
) -> Response {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let beside = Asked::read(parameters.as_deref().unwrap_or_default().as_bytes());
    if let Some(wrong) = beside.wrong() {
        return wrong;
    }
    let query = match kind.as_str() {
        "application/sparql-query" => match std::str::from_utf8(&body) {
            Ok(query) => query.to_owned(),
            Err(_) => return problem(StatusCode::BAD_REQUEST, "malformed_query", "the query is not UTF-8"),
        },
        "application/x-www-form-urlencoded" => {
            let asked = Asked::read(&body);
            if let Some(wrong) = asked.wrong() {
                return wrong;
            }
            let Some(query) = asked.query else {
                let detail = "the parameter `query` is missing";
                return problem(StatusCode::BAD_REQUEST, "malformed_query", detail);
            };
            query
        }
        "application/sparql-update" => return refused(&QueryRefused::Update),
        _ => {
            let detail = "`application/sparql-query` or `application/x-www-form-urlencoded` is expected";
            return problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail);
        }
    };
    carry_out(endpoint, query, &headers).await
}

async fn carry_out(endpoint: Endpoint, query: String, headers: &HeaderMap) -> Response {
    let admitted = match Admitted::read(&query) {
        Ok(admitted) => admitted,
        Err(error) => return refused(&error),
    };
    let Some(format) = wanted(headers, admitted.is_graph()) else { return acceptable(admitted.is_graph()) };
    let asked = tokio::task::spawn_blocking(move || endpoint.pool.query(&query, &admitted, format)).await;
    match asked {
        Ok(Ok(answer)) => answered(answer.text, format.media_type()),
        Ok(Err(failure)) => failed(&failure),
        Err(_) => failed(&QueryFailure::Unavailable("the thread of a query ended".to_owned())),
    }
}

fn answered(text: Vec<u8>, kind: &'static str) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn described(endpoint: &Endpoint, headers: &HeaderMap) -> Response {
    let Some(format) = wanted(headers, true) else { return acceptable(true) };
    match service_description(&endpoint.address, format) {
        Ok(text) => answered(text, format.media_type()),
        Err(error) => failed(&QueryFailure::Unavailable(error.to_string())),
    }
}

async fn ontology(State(endpoint): State<Endpoint>) -> Response {
    let ontology = endpoint.index.graph().ontology().clone();
    match ontology.to_turtle() {
        Ok(text) => {
            let mut response = answered(text.into_bytes(), AnswerFormat::Turtle.media_type());
            if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", ontology.version().digest)) {
                response.headers_mut().insert(axum::http::header::ETAG, tag);
            }
            response
        }
        Err(error) => failed(&QueryFailure::Unavailable(error.to_string())),
    }
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
            assert_eq!(wanted(&accepting(accept), false), table, "{accept}");
            assert_eq!(wanted(&accepting(accept), true), triples, "{accept}");
        }
        assert_eq!(wanted(&HeaderMap::new(), false), Some(AnswerFormat::Json));
    }

    #[test]
    fn the_protocols_parameters_are_read_once_and_data_sets_and_updates_are_refused() {
        assert_eq!(Asked::read(b"query=ASK+%7B+%7D&x=1").query.as_deref(), Some("ASK { }"));
        assert!(Asked::read(b"query=a&query=b").wrong().is_some());
        assert!(Asked::read(b"update=CLEAR+ALL").wrong().is_some());
        assert!(Asked::read(b"query=a&default-graph-uri=urn:x").wrong().is_some());
        assert!(Asked::read(b"query=a&named-graph-uri=urn:x").wrong().is_some());
        assert!(Asked::read(b"query=a").wrong().is_none());
    }
}
