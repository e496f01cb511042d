//! What users and administrators were told.

use i3_core::access::Action;
use i3_core::id::UserId;
use i3_core::market::{NoticeFilter, Paged, Period, TimeOrder};
use i3_core::notice::{News, Notice, NoticeBox, Recipient, text};
use i3_core::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::representation::{Linked, Links, Listed, Shown};
use super::request::{Answer, Api, Body, InQuery, page_request};
use super::route::{Routes, about};

pub(super) fn routes() -> Routes {
    let managed = |id, summary| about(id, summary).permission(Action::ManageUsers);
    Routes::new()
        .get("/inbox", own, about("list_notices", "What one was told").in_person())
        .get("/inbox/state", own_state, about("inbox_state", "How much of it is not read").in_person())
        .post("/inbox/read", read_own, about("read_notices", "Notes what was read").in_person())
        .get(
            "/administration/inbox",
            shared,
            managed("list_administration_notices", "What administrators were told"),
        )
        .get(
            "/administration/inbox/state",
            shared_state,
            managed("administration_inbox_state", "How much of it is not read"),
        )
        .post(
            "/administration/inbox/read",
            read_shared,
            managed("read_administration_notices", "Notes what was read"),
        )
}

/// A notice in words, and what it is about.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Notice")]
struct Told {
    /// Names it within its box; later ones have higher numbers.
    position: u64,
    at: Timestamp,
    subject: String,
    text: String,
    /// What happened, as data: `news` says the kind, other members the things.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    about: News,
    /// When it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<Timestamp>,
}

impl Linked for Told {
    fn links(&self, _: &i3_core::market::Caller, links: &mut Links<'_>) {
        match &self.about {
            News::Registered { user, .. } => links.to("user", format!("/users/{user}")),
            News::Bought { order, .. }
            | News::Sold { order, .. }
            | News::Cancelled { order, .. }
            | News::AccessEnded { order, .. } => links.to("order", format!("/orders/{order}")),
            News::Rated { product, .. } => links.to("product", format!("/products/{product}")),
            News::Member { hub, .. } => links.to("hub", format!("/hubs/{hub}")),
            _ => {}
        }
    }
}

impl From<Notice> for Told {
    fn from(notice: Notice) -> Self {
        let Notice { position, at, news, read, .. } = notice;
        let (subject, text) = (text::subject(&news), text::sentence(&news));
        Self { position, at, subject, text, about: news, read }
    }
}

/// How full a box is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "InboxState")]
struct Fullness {
    held: u32,
    unread: u32,
}

impl Linked for Fullness {}

impl From<NoticeBox> for Fullness {
    fn from(held: NoticeBox) -> Self {
        Self { held: held.held, unread: held.unread }
    }
}

/// What was read: all up to this one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ReadUntil")]
struct Until {
    position: u64,
}

fn mine(user: UserId) -> Recipient {
    Recipient::User(user)
}

/// Which notices are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoticeQuery {
    /// Those that were read (`true`), or those that were not (`false`).
    read: Option<bool>,
    /// Of what happened from this time on.
    since: Option<Timestamp>,
    /// Of what happened before this time.
    until: Option<Timestamp>,
    /// In which order they come: newest first if nothing is said.
    #[serde(default)]
    sort: TimeOrder,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many items: 1 to 200, 50 if nothing is said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<usize>,
}

async fn list(api: &Api, whose: Recipient, query: NoticeQuery) -> Answer<Shown<Listed<Told>>> {
    let page = page_request(query.after.as_deref(), query.limit)?;
    let at = Period { since: query.since, until: query.until };
    let filter = NoticeFilter { read: query.read, at };
    let found = api.market().notices(api.actor, whose, &filter, query.sort, &page).await;
    let Paged { items, next } = found.map_err(|error| api.refused(error))?;
    api.list(Paged { items: items.into_iter().map(Told::from).collect(), next }).await
}

async fn state(api: &Api, whose: Recipient) -> Answer<Shown<Fullness>> {
    let held = api.market().notice_box(api.actor, whose).await;
    api.show(held.map_err(|error| api.refused(error))?.into()).await
}

async fn note(api: &Api, whose: Recipient, until: u64) -> Answer<Shown<Fullness>> {
    let left = api.market().read_notices(api.actor, whose, until).await;
    api.show(left.map_err(|error| api.refused(error))?.into()).await
}

async fn own(api: Api, InQuery(query): InQuery<NoticeQuery>) -> Answer<Shown<Listed<Told>>> {
    list(&api, mine(api.in_person()?), query).await
}

async fn own_state(api: Api) -> Answer<Shown<Fullness>> {
    state(&api, mine(api.in_person()?)).await
}

async fn read_own(api: Api, Body(until): Body<Until>) -> Answer<Shown<Fullness>> {
    note(&api, mine(api.in_person()?), until.position).await
}

async fn shared(api: Api, InQuery(query): InQuery<NoticeQuery>) -> Answer<Shown<Listed<Told>>> {
    list(&api, Recipient::Administrators, query).await
}

async fn shared_state(api: Api) -> Answer<Shown<Fullness>> {
    state(&api, Recipient::Administrators).await
}

async fn read_shared(api: Api, Body(until): Body<Until>) -> Answer<Shown<Fullness>> {
    note(&api, Recipient::Administrators, until.position).await
}
