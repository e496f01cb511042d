//! How things are shown: negotiation, links, entity tags.
//!
//! Every answer of the interface is made from one serde value and is to be had as `application/json`,
//! `application/hal+json` and `application/xml`, as `Accept` says (RFC 9110, section 12). A request whose `Accept`
//! takes none of them is refused before anything is done.
//!
//! - A handler answers with [`Api::show`] or [`Api::list`](super::request::Api::list): [`Shown`]. What it shows is
//!   [`Linked`]: in HAL it has the links of what the caller may do, which are asked for only then.
//! - The `ETag` has two parts: `"record.representation"`. `If-None-Match` compares all of it; `If-Match` of a
//!   request that changes something compares the record's part, **in the decision of the command** that changes
//!   it (`Api::execute_on`), so that nobody's change is overwritten unseen, whatever else of the page has changed
//!   (a product's score, say, or what the caller may do).
//!
//! [`Api::show`]: super::request::Api::show

mod accept;
mod links;
mod xml;

use std::borrow::Cow;
use std::hash::{BuildHasher as _, RandomState};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{OriginalUri, Request};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use i3_core::market::RecordTag;
use i3_core::store::Digest;
use serde::Serialize;
use serde_json::Value;

pub(super) use accept::best_kind;
pub(super) use links::{Linked, Links};

use super::BASE;
use super::kept::{Kept, Known};
use super::problem::Problem;

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How many headers an answer has, and some more: room for them is made once.
pub(super) const USUAL_HEADERS: usize = 20;

/// How long a request may take: longer than its body may.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a thing is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum Format {
    /// Plain JSON.
    #[default]
    Json,
    /// JSON with links.
    Hal,
    /// XML, by the rules of the module `xml`.
    Xml,
}

impl Format {
    /// All of them, the preferred one first.
    pub(super) const ALL: [Self; 3] = [Self::Json, Self::Hal, Self::Xml];

    /// Its media type.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Hal => "application/hal+json",
            Self::Xml => "application/xml",
        }
    }
}

/// What was asked for, as far as it matters to how it is answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) format: Format,
    /// The request's number.
    pub(super) number: String,
    /// The path below which the routes are, as the client sees it: `/api/v1` or longer.
    base: String,
    /// The path and the query of the request, as the client sees them.
    address: String,
    /// What `If-Match` says.
    pub(super) if_match: Option<IfMatch>,
}

/// An `If-Match` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IfMatch {
    /// `*`: that there is one.
    Any,
    /// One of these entity tags, each as it stands between the quotation marks.
    Tags(Vec<String>),
}

impl IfMatch {
    /// The records that the client saw; `None`: any.
    pub(super) fn records(&self) -> Option<Vec<RecordTag>> {
        let seen = self.prefixes()?;
        Some(seen.into_iter().filter_map(|record| record.parse().ok()).collect())
    }

    /// As [`records`](Self::records), as they stand in the tags.
    pub(super) fn prefixes(&self) -> Option<Vec<&str>> {
        let Self::Tags(tags) = self else { return None };
        Some(tags.iter().filter_map(|tag| Some(tag.split_once('.')?.0)).collect())
    }
}

/// A number for a request: hardly ever have two the same.
fn number() -> String {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let number = KEYS.hash_one(ASKED.fetch_add(1, Ordering::Relaxed));
    data_encoding::BASE32_DNSSEC.encode(&number.to_be_bytes())
}

impl Asked {
    fn of(request: &Request, format: Format) -> Self {
        let inner = request.uri().path();
        let uri = request.extensions().get::<OriginalUri>().map_or(request.uri(), |original| &original.0);
        // The directory of Thing Descriptions is beside the interface, not below its path.
        let below = if inner.starts_with(BASE) { BASE } else { "" };
        let base = format!("{}{below}", uri.path().strip_suffix(inner).unwrap_or_default());
        let address = uri.path_and_query().map_or("/", |address| address.as_str()).to_owned();
        Self { format, number: number(), base, address, if_match: if_match(request.headers()) }
    }

    /// The path and the query of the request, as the client sees them.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// A path of the interface as the client sees it.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The same list from another place on; from its beginning if there is none. `cursor` is the parameter that says
    /// the place.
    pub(super) fn page(&self, cursor: &str, after: Option<&str>) -> String {
        let (path, query) = self.address.split_once('?').unwrap_or((&self.address, ""));
        let mut again = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != cursor) {
            again.append_pair(&name, &value);
        }
        if let Some(after) = after {
            again.append_pair(cursor, after);
        }
        let query = again.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }
}

/// A thing as it is shown. Made by [`Api::show`](super::request::Api::show) and its like.
#[derive(Debug)]
pub(super) struct Shown<T> {
    body: String,
    media_type: &'static str,
    tag: Option<RecordTag>,
    next: Option<String>,
    of: PhantomData<fn() -> T>,
}

/// A new thing: 201, with its place and the thing itself.
#[derive(Debug)]
pub(super) struct Created<T> {
    place: String,
    shown: Shown<T>,
}

/// A page of a list: `items`, and `next` if there is more. In HAL the items are embedded.
#[derive(Debug, Serialize)]
pub(super) struct Listed<T> {
    items: Vec<T>,
    next: Option<String>,
}

/// Why a thing could not be shown.
fn unwritable(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!("an answer could not be written: {error}");
    Problem::internal()
}

/// `{"_links":…}` put at the beginning of an object's text.
fn spliced(object: &str, links: &Links<'_>) -> Result<String, Problem> {
    let links = serde_json::to_string(links).map_err(|error| unwritable(&error))?;
    let rest = object.strip_prefix('{').ok_or_else(|| unwritable(&"no object"))?;
    let comma = if rest == "}" { "" } else { "," };
    Ok(format!("{{\"_links\":{links}{comma}{rest}"))
}

fn written<T: Serialize>(value: &T) -> Result<String, Problem> {
    serde_json::to_string(value).map_err(|error| unwritable(&error))
}

impl<T: Linked> Shown<T> {
    /// One thing; `caller` is there if links are wanted.
    pub(super) fn one(
        value: &T,
        asked: &Asked,
        caller: Option<&i3_core::market::Caller>,
    ) -> Result<Self, Problem> {
        let mut body = written(value)?;
        let mut media_type = Format::Json.media_type();
        if let Some(caller) = caller {
            let mut links = Links::below(&asked.base);
            value.links(caller, &mut links);
            if !links.knows_itself() {
                links.address("self", asked.address.clone());
            }
            body = spliced(&body, &links)?;
            media_type = Format::Hal.media_type();
        }
        Ok(Self { body, media_type, tag: value.tag()?, next: None, of: PhantomData })
    }
}

/// A page with more to say than its items: where they are, what of them is embedded in HAL, where the next page is.
pub(super) trait Paged: Serialize {
    /// What the page is a list of.
    type Item: Linked;
    /// The member that has the items.
    const ITEMS: &'static str;
    /// The parameter that says where a page begins.
    const CURSOR: &'static str;

    /// The items.
    fn items(&self) -> &[Self::Item];
    /// Where the next page begins: its member `next`, which HAL has as a link instead.
    fn next(&self) -> Option<&str>;
}

impl<T: Paged> Shown<T> {
    /// A page that says more than its items; `caller` is there if links are wanted.
    pub(super) fn paged(
        value: &T,
        asked: &Asked,
        caller: Option<&i3_core::market::Caller>,
    ) -> Result<Self, Problem> {
        let next = value.next().map(|next| asked.page(T::CURSOR, Some(next)));
        let Some(caller) = caller else {
            let media_type = Format::Json.media_type();
            return Ok(Self { body: written(value)?, media_type, tag: None, next, of: PhantomData });
        };
        let mut embedded = Vec::with_capacity(value.items().len());
        for item in value.items() {
            let mut links = Links::below(&asked.base);
            item.links(caller, &mut links);
            embedded.push(spliced(&written(item)?, &links)?);
        }
        let mut links = Links::below(&asked.base);
        links.address("self", asked.address.clone());
        links.address("first", asked.page(T::CURSOR, None));
        if let Some(next) = &next {
            links.address("next", next.clone());
        }
        let mut rest = serde_json::to_value(value).map_err(|error| unwritable(&error))?;
        if let Some(members) = rest.as_object_mut() {
            members.remove(T::ITEMS);
            members.remove("next");
        }
        let rest = rest.to_string();
        let rest = rest.strip_prefix('{').filter(|rest| *rest != "}");
        let comma = if rest.is_some() { "," } else { "" };
        let body = format!(
            "{{\"_embedded\":{{\"{}\":[{}]}}{comma}{}",
            T::ITEMS,
            embedded.join(","),
            rest.unwrap_or("}")
        );
        let media_type = Format::Hal.media_type();
        Ok(Self { body: spliced(&body, &links)?, media_type, tag: None, next, of: PhantomData })
    }
}

impl<T: Linked> Shown<Listed<T>> {
    /// A page of a list.
    pub(super) fn page(
        items: Vec<T>,
        next: Option<String>,
        asked: &Asked,
        caller: Option<&i3_core::market::Caller>,
    ) -> Result<Self, Problem> {
        let further = next.as_deref().map(|next| asked.page("after", Some(next)));
        let Some(caller) = caller else {
            let body = written(&Listed { items, next })?;
            let media_type = Format::Json.media_type();
            return Ok(Self { body, media_type, tag: None, next: further, of: PhantomData });
        };
        let mut embedded = Vec::with_capacity(items.len());
        for item in &items {
            let mut links = Links::below(&asked.base);
            item.links(caller, &mut links);
            embedded.push(spliced(&written(item)?, &links)?);
        }
        let mut links = Links::below(&asked.base);
        links.address("self", asked.address.clone());
        links.address("first", asked.page("after", None));
        if let Some(further) = &further {
            links.address("next", further.clone());
        }
        let list = format!("{{\"_embedded\":{{\"items\":[{}]}}}}", embedded.join(","));
        let body = spliced(&list, &links)?;
        let media_type = Format::Hal.media_type();
        Ok(Self { body, media_type, tag: None, next: further, of: PhantomData })
    }
}

impl<T> Shown<T> {
    /// As the answer to what made it: 201, with where it is, a path of the interface.
    pub(super) fn created(self, asked: &Asked, path: &str) -> Created<T> {
        Created { place: asked.at(path), shown: self }
    }
}

/// Which record an answer shows, on its way to the entity tag.
#[derive(Debug, Clone)]
struct Of(RecordTag);

fn set(headers: &mut HeaderMap, name: HeaderName, value: impl TryInto<HeaderValue>) {
    if let Ok(value) = value.try_into() {
        headers.insert(name, value);
    }
}

impl<T> IntoResponse for Shown<T> {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        response.headers_mut().reserve(USUAL_HEADERS);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        if let Some(next) = self.next {
            set(response.headers_mut(), LINK, format!("<{next}>; rel=\"next\""));
        }
        if let Some(tag) = self.tag {
            response.extensions_mut().insert(Of(tag));
        }
        response
    }
}

impl<T> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = self.shown.into_response();
        *response.status_mut() = StatusCode::CREATED;
        set(response.headers_mut(), LOCATION, self.place);
        response
    }
}

/// The layer around all routes of the interface: settles the format before a request is looked at, and gives
/// every answer that format, its entity tag and, if the client has it already, no body.
pub(super) async fn represent(mut request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let format = accept::best(request.headers());
    let asked = Arc::new(Asked::of(&request, format.unwrap_or_default()));
    let known = request.headers().get_all(IF_NONE_MATCH).iter().cloned().collect::<Vec<_>>();
    let response = if format.is_some() {
        request.extensions_mut().insert(asked.clone());
        let answered = tokio::time::timeout(PATIENCE, next.run(request)).await;
        answered.unwrap_or_else(|_| Problem::overdue().into_response())
    } else {
        let offered = Format::ALL.map(Format::media_type).join(", ");
        let detail = format!("what `Accept` takes is not to be had; there are {offered}");
        Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail).into_response()
    };
    if method == Method::OPTIONS && response.status() == StatusCode::METHOD_NOT_ALLOWED {
        // axum adds `Allow`.
        return StatusCode::NO_CONTENT.into_response();
    }
    let response = match shaped(response, &asked).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    let response = if method.is_safe() { unless_known(response, &asked, &known) } else { response };
    varied(numbered(response, &asked))
}

/// The layer around routes whose answers have formats of their own: answers have the request's number and, where they have
/// an entity tag that the client knows, no body. What such a route shows of a record has the usual formats.
pub(super) async fn deliver(mut request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let asked = Arc::new(Asked::of(&request, accept::best(request.headers()).unwrap_or_default()));
    let known = request.headers().get_all(IF_NONE_MATCH).iter().cloned().collect::<Vec<_>>();
    request.extensions_mut().insert(asked.clone());
    let answered = tokio::time::timeout(PATIENCE, next.run(request)).await;
    let response = answered.unwrap_or_else(|_| Problem::overdue().into_response());
    if method == Method::OPTIONS && response.status() == StatusCode::METHOD_NOT_ALLOWED {
        return StatusCode::NO_CONTENT.into_response();
    }
    let response = if response.extensions().get::<Of>().is_some() {
        shaped(response, &asked).await.unwrap_or_else(Problem::into_response)
    } else {
        response
    };
    let response = if method.is_safe() { unless_known(response, &asked, &known) } else { response };
    varied(numbered(response, &asked))
}

/// With the request's number, which problems say too; in the words of a problem, if it is one.
fn numbered(mut response: Response, asked: &Asked) -> Response {
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        let told = response.extensions().get::<Problem>().cloned();
        let problem = told.unwrap_or_else(|| Problem::of_status(status));
        if problem.is_failure() {
            tracing::error!(request = asked.number, "answered with {status}");
        }
        let text = problem.json(Some(&asked.number)).unwrap_or_default();
        let (body, kind) = match serde_json::from_str(&text) {
            Ok(value) if asked.format == Format::Xml => {
                (xml::write("problem", &value), "application/problem+xml")
            }
            _ => (text, "application/problem+json"),
        };
        *response.body_mut() = Body::from(body);
        response.headers_mut().remove(CONTENT_LENGTH);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    set(response.headers_mut(), X_REQUEST_ID.clone(), asked.number.as_str());
    response
}

/// What is shown depends on who asks, too.
fn varied(mut response: Response) -> Response {
    response.headers_mut().append(VARY, HeaderValue::from_static("accept, authorization, cookie"));
    response
}

/// The answer in the format that was settled on, with its entity tag.
async fn shaped(response: Response, asked: &Asked) -> Result<Response, Problem> {
    if response.extensions().get::<Known>().is_some() {
        return Ok(response);
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let plain = kind == "application/json";
    if !plain && kind != "application/hal+json" || !response.status().is_success() {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    let mut body = to_bytes(body, usize::MAX).await.map_err(|error| unwritable(&error))?;
    match asked.format {
        Format::Hal if plain => {
            let text = std::str::from_utf8(&body).map_err(|error| unwritable(&error))?;
            if text.starts_with('{') {
                let mut links = Links::below(&asked.base);
                links.address("self", asked.address.clone());
                body = Bytes::from(spliced(text, &links)?);
                parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/hal+json"));
            }
        }
        Format::Xml => {
            let value: Value = serde_json::from_slice(&body).map_err(|error| unwritable(&error))?;
            body = Bytes::from(xml::write("resource", &value));
            parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        }
        _ => {}
    }
    parts.headers.remove(CONTENT_LENGTH);
    let digest = Digest::of(&body);
    let (start, _) = digest.as_bytes().split_at(12);
    let shown = data_encoding::BASE32_DNSSEC.encode(start);
    let tag = match parts.extensions.get::<Of>() {
        Some(Of(record)) => format!("\"{record}.{shown}\""),
        None => format!("\"{shown}\""),
    };
    set(&mut parts.headers, ETAG, tag);
    if parts.extensions.get::<Of>().is_some() {
        // To be kept by who asked, and asked about each time.
        parts.headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    if let Some(kept) = parts.extensions.remove::<Kept>() {
        kept.keep(&parts.headers, &body);
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// 304 if the client has just this answer, 412 if it wanted another one only (RFC 9110, section 13.2.2).
fn unless_known(response: Response, asked: &Asked, known: &[HeaderValue]) -> Response {
    let Some(current) = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()) else {
        return response;
    };
    let current = current.trim_matches('"');
    if let Some(IfMatch::Tags(wanted)) = &asked.if_match
        && !wanted.iter().any(|tag| tag == current)
    {
        return Problem::changed().into_response();
    }
    let mut tags = known.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    if !tags.any(|tag| tag.trim() == "*" || tag.trim().trim_start_matches("W/").trim_matches('"') == current)
    {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(CONTENT_TYPE);
    Response::from_parts(parts, Body::empty())
}

fn if_match(headers: &HeaderMap) -> Option<IfMatch> {
    let mut tags = Vec::new();
    let mut said = false;
    for value in headers.get_all(IF_MATCH) {
        said = true;
        let Ok(text) = value.to_str() else { continue };
        if text.trim() == "*" {
            return Some(IfMatch::Any);
        }
        // Weak tags never match here (RFC 9110, section 13.1.1).
        let strong = text.split(',').map(str::trim).filter(|tag| !tag.starts_with("W/"));
        tags.extend(strong.map(|tag| Cow::from(tag.trim_matches('"')).into_owned()));
    }
    said.then_some(IfMatch::Tags(tags))
}

/// What XML says, as a JSON value.
pub(super) fn from_xml(text: &str) -> Result<Value, Problem> {
    xml::read(text).map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "invalid_xml", error.to_string()))
}
