//! What happens to descriptions, as server-sent events (section 7.3.2.2 of the standard).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use i3_core::access::Actor;
use i3_semantic::wot::directory::{self, Directory, EventKind};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::{directory, refused};
use crate::rest::problem::Problem;
use crate::rest::request::{Answer, Api, InPath, InQuery};

/// How long one stream lasts: who listens connects again, and is asked again who it is.
const LIFE: Duration = Duration::from_mins(10);
/// After how long without news of this process it is looked whether another one changed something.
const FOLLOWING: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// Whether creations have the whole description, and updates a merge patch.
    #[serde(default)]
    diff: bool,
}

pub(super) async fn all(
    api: Api,
    headers: HeaderMap,
    InQuery(query): InQuery<EventsQuery>,
) -> Answer<Response> {
    events(&api, &headers, None, query.diff).await
}

pub(super) async fn of_kind(
    api: Api,
    headers: HeaderMap,
    InPath(kind): InPath<String>,
    InQuery(query): InQuery<EventsQuery>,
) -> Answer<Response> {
    let kind = EventKind::ALL.into_iter().find(|known| known.as_str() == kind).ok_or_else(|| {
        let detail = "there are `thing_created`, `thing_updated` and `thing_deleted`";
        Problem::new(StatusCode::NOT_FOUND, "no_such_route", detail)
    })?;
    events(&api, &headers, Some(kind), query.diff).await
}

/// Somebody who listens.
struct Listener {
    directory: Directory,
    actor: Actor,
    only: Option<EventKind>,
    diff: bool,
    /// The number of the last event that was told.
    after: u64,
    waiting: VecDeque<directory::Event>,
    news: watch::Receiver<u64>,
    ended: watch::Receiver<bool>,
    until: Instant,
    _place: OwnedSemaphorePermit,
}

async fn events(api: &Api, headers: &HeaderMap, only: Option<EventKind>, diff: bool) -> Answer<Response> {
    let knowledge = api.knowledge()?.clone();
    let directory = directory(api)?;
    let place = knowledge.listeners.clone().try_acquire_owned().map_err(|_| {
        let detail = "as many streams of events are open as may be";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_queries", detail)
    })?;
    let news = knowledge.news.subscribe();
    directory.catch_up().await.map_err(|error| refused(api, error))?;
    let after =
        match headers.get("last-event-id") {
            None => directory.position(),
            Some(last) => last.to_str().ok().and_then(|last| last.parse().ok()).ok_or_else(|| {
                Problem::invalid("Last-Event-ID", "the `id` of an earlier event is expected")
            })?,
        };
    let listener = Listener {
        directory,
        actor: api.actor,
        only,
        diff,
        after,
        waiting: VecDeque::new(),
        news,
        ended: knowledge.ended.clone(),
        until: Instant::now() + LIFE,
        _place: place,
    };
    let told = stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    let mut response = Sse::new(told).keep_alive(KeepAlive::default()).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Waits until the server ends; for ever, if nobody would say so.
async fn over(ended: &mut watch::Receiver<bool>) {
    if ended.wait_for(|ended| *ended).await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Listener {
    /// The next event. Ends with the server, with the stream's time, and if the directory cannot be read: who listens comes
    /// again, and says what it was told last.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                self.after = event.id;
                let told = Event::default().event(event.kind.as_str()).id(event.id.to_string());
                return Some(told.data(event.data.to_string()));
            }
            self.news.mark_unchanged();
            // Who listens may have been given another role, or lost one.
            let viewer = self.directory.viewer(self.actor).await.ok()?;
            let told = self.directory.events(viewer, self.after, self.only, self.diff).await;
            let (events, position) = told.ok()?;
            if events.is_empty() {
                self.after = self.after.max(position);
                tokio::select! {
                    () = over(&mut self.ended) => return None,
                    () = tokio::time::sleep_until(self.until) => return None,
                    _ = self.news.changed() => {}
                    () = tokio::time::sleep(FOLLOWING) => {}
                }
            }
            self.waiting.extend(events);
        }
    }
}
