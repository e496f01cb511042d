//! Creation, retrieval, update and deletion (section 7.3.2.1 of the standard).

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use i3_core::market::{MarketError, Refusal};
use i3_core::store::Digest;
use i3_core::thing::{ThingId, Visibility};
use i3_semantic::wot::directory::{DirectoryError, Terms};
use i3_semantic::wot::td::ValidationError;
use serde::Deserialize;

use super::{TD, answered, directory, missing, refused};
use crate::rest::AppState;
use crate::rest::body::{MERGE_PATCH, media_type, received};
use crate::rest::problem::Problem;
use crate::rest::request::{Answer, Api, InPath, InQuery};

/// A document as it was sent.
pub(super) struct Document<const PATCH: bool>(String);

impl<const PATCH: bool> FromRequest<AppState> for Document<PATCH> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Answer<Self> {
        let kind = media_type(request.headers());
        if PATCH && kind != MERGE_PATCH {
            return Err(Problem::media_type(&[MERGE_PATCH]));
        }
        // The standard only recommends to say the media type of a description.
        let said = request.headers().contains_key(CONTENT_TYPE);
        if !PATCH && said && !TD.contains(&kind.as_str()) {
            return Err(Problem::media_type(&TD));
        }
        text(&received(request, state).await?).map(Self)
    }
}

fn text(bytes: &Bytes) -> Answer<String> {
    let text = std::str::from_utf8(bytes);
    text.map(str::to_owned).map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, "invalid_json", format!("the document is not UTF-8: {error}"))
    })
}

/// How a description is registered, beside what it says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Registering {
    /// Who finds it. If absent, who did before; everybody if it is new.
    visibility: Option<Visibility>,
}

/// The address of a description.
fn place(id: &ThingId) -> String {
    let id: String = form_urlencoded::byte_serialize(id.as_str().as_bytes()).collect();
    format!("/things/{id}")
}

pub(super) async fn create(
    api: Api,
    InQuery(registering): InQuery<Registering>,
    Document(text): Document<false>,
) -> Answer<Response> {
    api.no_condition()?;
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|error| {
        tracing::error!("no id could be made: {error}");
        Problem::internal()
    })?;
    let random = u128::from_be_bytes(random);
    let (directory, actor, key) = (directory(&api)?, api.actor, api.idempotency_key());
    let created = tokio::spawn(async move {
        let terms = Terms { visibility: registering.visibility, expect: None, key: key.as_ref() };
        directory.create(actor, &text, random, terms).await
    });
    let id = settled(created.await).map_err(|error| failed(&api, error))?;
    let mut response = StatusCode::CREATED.into_response();
    let place = HeaderValue::try_from(api.place(&place(&id))).map_err(|_| Problem::internal())?;
    response.headers_mut().insert(LOCATION, place);
    Ok(response)
}

pub(super) async fn put(
    api: Api,
    headers: HeaderMap,
    InPath(id): InPath<String>,
    InQuery(registering): InQuery<Registering>,
    Document(text): Document<false>,
) -> Answer<Response> {
    let id: ThingId = id
        .parse()
        .map_err(|error| refused(&api, DirectoryError::Invalid(vec![ValidationError::new("id", error)])))?;
    let wants_new = headers.get(IF_NONE_MATCH).is_some_and(|value| value == "*");
    let expect = if wants_new { Some(0) } else { expected(&api, &id).await? };
    let (directory, actor, key) = (directory(&api)?, api.actor, api.idempotency_key());
    let put = tokio::spawn(async move {
        let terms = Terms { visibility: registering.visibility, expect, key: key.as_ref() };
        directory.put(actor, &id, &text, terms).await
    });
    let done = settled(put.await).map_err(|error| conditional(failed(&api, error), expect))?;
    let status = if done.created { StatusCode::CREATED } else { StatusCode::NO_CONTENT };
    Ok(status.into_response())
}

pub(super) async fn patch(
    api: Api,
    InPath(id): InPath<String>,
    InQuery(registering): InQuery<Registering>,
    Document(text): Document<true>,
) -> Answer<Response> {
    let id: ThingId = id.parse().map_err(|_| missing(&api))?;
    let expect = expected(&api, &id).await?;
    let (directory, actor, key) = (directory(&api)?, api.actor, api.idempotency_key());
    let patched = tokio::spawn(async move {
        let terms = Terms { visibility: registering.visibility, expect, key: key.as_ref() };
        directory.patch(actor, &id, &text, terms).await
    });
    settled(patched.await).map_err(|error| conditional(failed(&api, error), expect))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn remove(api: Api, InPath(id): InPath<String>) -> Answer<Response> {
    let id: ThingId = id.parse().map_err(|_| missing(&api))?;
    let expect = expected(&api, &id).await?;
    let (directory, actor, key) = (directory(&api)?, api.actor, api.idempotency_key());
    let removed = tokio::spawn(async move {
        let terms = Terms { visibility: None, expect, key: key.as_ref() };
        directory.remove(actor, &id, terms).await
    });
    settled(removed.await).map_err(|error| conditional(failed(&api, error), expect))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn show(api: Api, headers: HeaderMap, InPath(id): InPath<String>) -> Answer<Response> {
    let directory = directory(&api)?;
    let id: ThingId = id.parse().map_err(|_| missing(&api))?;
    let viewer = directory.viewer(api.actor).await.map_err(|error| refused(&api, error))?;
    let (thing, revision) = directory.get(viewer, &id).await.map_err(|error| refused(&api, error))?;
    let text = thing.to_string();
    // As everywhere: the record, and what is shown of it. The time of retrieval is part of the latter.
    let digest = Digest::of(text.as_bytes());
    let (start, _) = digest.as_bytes().split_at(12);
    let tag = format!("\"{revision}.{}\"", data_encoding::BASE32_DNSSEC.encode(start));
    let mut response = answered(&headers, &TD, text)?;
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

/// A command is carried out to its end also if the client goes away: it runs in a task of its own.
fn settled<T>(
    joined: Result<Result<T, DirectoryError>, tokio::task::JoinError>,
) -> Result<T, Option<DirectoryError>> {
    match joined {
        Ok(done) => done.map_err(Some),
        Err(error) => {
            tracing::error!("a command did not end: {error}");
            Err(None)
        }
    }
}

fn failed(api: &Api, error: Option<DirectoryError>) -> Problem {
    error.map_or_else(Problem::internal, |error| refused(api, error))
}

/// What was changed meanwhile does not meet the condition of a request that has one.
fn conditional(problem: Problem, expect: Option<u32>) -> Problem {
    if expect.is_some() && problem.is_outdated() { Problem::changed() } else { problem }
}

/// The revision that `If-Match` asks for, if it does: that of the description as it is, or the condition does not hold.
async fn expected(api: &Api, id: &ThingId) -> Answer<Option<u32>> {
    let Some(wanted) = api.if_match() else { return Ok(None) };
    let revision = match api.market().thing(api.actor, id).await {
        Ok(thing) => thing.revision,
        Err(MarketError::Refused(Refusal::NotFound { .. })) => return Err(Problem::changed()),
        Err(error) => return Err(api.refused(error)),
    };
    let seen = wanted.prefixes();
    let fits = seen.is_none_or(|seen| seen.iter().any(|seen| *seen == revision.to_string()));
    if fits { Ok(Some(revision)) } else { Err(Problem::changed()) }
}
