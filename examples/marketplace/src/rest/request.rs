//! What every request is read with: the caller, the path, the query and the body.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Path, Query};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use i3_auth::api_token::ApiToken;
use i3_core::access::{Actor, Bound, Purpose};
use i3_core::analytics::{Interaction, Item, LeastPeople, Observation};
use i3_core::id::{ClientId, UserId};
use i3_core::market::{
    Caller, Command, Condition, IdempotencyKey, MarketError, Marketplace, PageRequest, Paged, RecordTag,
    Unchanged,
};
use i3_core::store::{Cursor, Entity, Revision};
use i3_core::virtual_object::ResourceUri;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub(super) use super::body::{Body, Edit, Patch, Patched};
use super::denials::Traced;
use super::kept::Shelf;
use super::problem::Problem;
use super::representation::{Asked, Created, Format, IfMatch, Linked, Listed, Shown};
use super::{AppState, representation, sessions};
use crate::floods::Flood;
use crate::{Access, Knowledge};

/// What a handler answers.
pub(super) type Answer<T> = Result<T, Problem>;

/// Who asks, with all that is needed to answer.
#[derive(Debug)]
pub(super) struct Api {
    state: AppState,
    /// The marketplace as far as what was presented reaches.
    market: Marketplace,
    /// Who asks.
    pub(super) actor: Actor,
    /// The program that asks for the user, if it is one.
    client: Option<ClientId>,
    /// The token or session that was presented, if it was one.
    pub(super) login: Option<ApiToken>,
    /// Where the request comes from, if the server tells.
    pub(super) peer: Option<IpAddr>,
    key: Option<IdempotencyKey>,
    asked: Arc<Asked>,
}

impl Api {
    /// The marketplace, for queries.
    pub(super) fn market(&self) -> &Marketplace {
        &self.market
    }

    /// Passwords and tokens.
    pub(super) fn access(&self) -> &Access {
        &self.state.access
    }

    /// The user who asks.
    pub(super) fn user(&self) -> Answer<UserId> {
        match self.actor {
            Actor::User(user) => Ok(user),
            _ => Err(Problem::sign_in()),
        }
    }

    /// The user who asks, not a program that acts for one.
    pub(super) fn in_person(&self) -> Answer<UserId> {
        if self.client.is_some() {
            return Err(Problem::in_person());
        }
        self.user()
    }

    /// The request's idempotency key.
    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_ref().map(IdempotencyKey::as_str)
    }

    /// Where MQTT clients reach the gate.
    pub(super) fn brokers(&self) -> &[ResourceUri] {
        &self.state.brokers
    }

    /// Remembers that the user who asks did this with these, if that is remembered here. Nothing waits for it.
    pub(super) fn observe(&self, interaction: Interaction, items: impl IntoIterator<Item = Item>) {
        let (Some(queue), Actor::User(user)) = (&self.access().observations, self.actor) else { return };
        let at = self.market.now();
        for item in items {
            queue.push(Observation { user, item, interaction, at });
        }
    }

    /// How many people of a domain must have used what is recommended there, if anything is.
    pub(super) fn recommendations(&self) -> Option<LeastPeople> {
        self.state.recommendations
    }

    /// What answers questions by meaning.
    pub(super) fn knowledge(&self) -> Answer<&Knowledge> {
        self.state.knowledge.as_ref().ok_or_else(|| {
            let detail = "this server keeps no index: questions by meaning are not answered here";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
        })
    }

    /// Refuses if where the request comes from has had this done too often.
    pub(super) fn hold_off(&self, flood: impl FnOnce(IpAddr) -> Flood<'static>) -> Answer<()> {
        let flood = self.peer.map(flood);
        flood.map_or(Ok(()), |flood| self.access().floods.admit(flood)).map_err(Problem::flood)
    }

    /// The request's idempotency key, for what is not a command of its own.
    pub(super) fn idempotency_key(&self) -> Option<IdempotencyKey> {
        self.key.clone()
    }

    /// What `If-Match` says.
    pub(super) fn if_match(&self) -> Option<&IfMatch> {
        self.asked.if_match.as_ref()
    }

    /// Refuses a condition on something that is not there yet.
    pub(super) fn no_condition(&self) -> Answer<()> {
        if self.asked.if_match.is_some() { Err(Problem::no_version()) } else { Ok(()) }
    }

    /// The same list from another place on.
    pub(super) fn further(&self, after: &str) -> String {
        self.asked.page("after", Some(after))
    }

    /// A path of the interface as the client sees it.
    pub(super) fn place(&self, path: &str) -> String {
        self.asked.at(path)
    }

    /// What the marketplace's no means to who asks.
    pub(super) fn refused(&self, error: MarketError) -> Problem {
        Problem::of_market(self.actor, error)
    }

    /// Carries out a command for who asks, under the request's idempotency key.
    ///
    /// In a task of its own: a client that goes away does not keep the gates from being told what was
    /// committed.
    pub(super) async fn execute<C>(&self, command: C) -> Answer<C::Done>
    where
        C: Command + Send + 'static,
        C::Done: 'static,
    {
        // A condition that nobody looks at is not taken for one that holds.
        self.no_condition()?;
        self.carry_out(command, None).await
    }

    /// As [`execute`](Self::execute), for a command that changes this record: if the request has `If-Match`, only
    /// if the record is still what the client saw, which is looked at in the decision.
    pub(super) async fn execute_on<E, C>(&self, record: E::Id, command: C) -> Answer<C::Done>
    where
        E: Entity,
        C: Command + Send + 'static,
        C::Done: 'static,
    {
        self.execute_while(|seen| Unchanged::<E> { id: record, seen }, command).await
    }

    /// As [`execute_on`](Self::execute_on), where this condition says that nothing has changed since the client
    /// saw one of these; any if `None`.
    pub(super) async fn execute_while<C, O>(
        &self,
        condition: impl FnOnce(Option<Vec<RecordTag>>) -> O + Send,
        command: C,
    ) -> Answer<C::Done>
    where
        C: Command + Send + 'static,
        C::Done: 'static,
        O: Condition + 'static,
    {
        let wanted = self.asked.if_match.as_ref();
        let condition = wanted.map(|wanted| Box::new(condition(wanted.records())) as Box<dyn Condition>);
        self.carry_out(command, condition).await
    }

    async fn carry_out<C>(&self, command: C, condition: Option<Box<dyn Condition>>) -> Answer<C::Done>
    where
        C: Command + Send + 'static,
        C::Done: 'static,
    {
        let (market, actor, key) = (self.market().clone(), self.actor, self.key.clone());
        let task = tokio::spawn(async move {
            market.execute_if(actor, key.as_ref(), &command, condition.as_deref()).await
        });
        match task.await {
            Ok(done) => done.map_err(|error| self.refused(error)),
            Err(error) => {
                tracing::error!("a command did not end: {error}");
                Err(Problem::internal())
            }
        }
    }

    /// Who asks, if the answer has links: they say what the caller may do.
    async fn linking(&self) -> Answer<Option<Caller>> {
        if self.asked.format != Format::Hal {
            return Ok(None);
        }
        self.market().caller(self.actor).await.map(Some).map_err(|error| self.refused(error))
    }

    /// Where the answer is kept if it is the same for everybody, made of what now has this revision.
    pub(super) fn shelf(&self, revision: Option<Revision>) -> Shelf {
        self.state.kept.shelf(&self.asked, revision, false)
    }

    /// As [`shelf`](Self::shelf), if the answer is the same for all who see what is not public, and this is one of them.
    pub(super) fn shelf_inside(&self, revision: Option<Revision>) -> Shelf {
        self.state.kept.shelf(&self.asked, revision, true)
    }

    /// One thing, as the client wants it shown.
    pub(super) async fn show<T: Linked>(&self, value: T) -> Answer<Shown<T>> {
        let caller = self.linking().await?;
        Shown::one(&value, &self.asked, caller.as_ref())
    }

    /// A new thing, which is at this path of the interface.
    pub(super) async fn created<T: Linked>(
        &self,
        path: impl AsRef<str> + Send,
        value: T,
    ) -> Answer<Created<T>> {
        Ok(self.show(value).await?.created(&self.asked, path.as_ref()))
    }

    /// A page of a list.
    pub(super) async fn list<T: Linked>(&self, page: Paged<T>) -> Answer<Shown<Listed<T>>> {
        self.items(page.items, page.next.map(|next| next.to_string())).await
    }

    /// A page that says more than its items.
    pub(super) async fn paged<T: representation::Paged>(&self, value: &T) -> Answer<Shown<T>> {
        let caller = self.linking().await?;
        Shown::paged(value, &self.asked, caller.as_ref())
    }

    /// As [`list`](Self::list), with the `after` of the next page, if there is one.
    pub(super) async fn items<T: Linked>(
        &self,
        items: Vec<T>,
        next: Option<String>,
    ) -> Answer<Shown<Listed<T>>> {
        let caller = self.linking().await?;
        Shown::page(items, next, &self.asked, caller.as_ref())
    }
}

impl FromRequestParts<AppState> for Api {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        let traced = parts.extensions.get::<Traced>().cloned().unwrap_or_default();
        let mut market = traced.noting(&state.market);
        let (actor, client, login) = match bearer(&parts.headers)? {
            None => match sessions::of_request(parts, state).await? {
                Some(session) => (Actor::User(session.user), None, Some(session)),
                None => (Actor::Anonymous, None, None),
            },
            Some(token) if token.starts_with("eyJ") => {
                let token = state.access.oauth.check(token).map_err(|_| Problem::bad_token())?;
                let reading = parts.method.is_safe();
                let purpose = if reading { Purpose::Reading } else { Purpose::Changing };
                market = market.through(token.client, Bound::of(&token.scopes), purpose);
                (Actor::User(token.user), Some(token.client), None)
            }
            Some(token) => {
                let token = state.access.tokens.authenticate(token).await?;
                (Actor::User(token.user), None, Some(token))
            }
        };
        let user = if let Actor::User(user) = actor { Some(user) } else { None };
        traced.asks(user, client);
        let of = match (client, actor) {
            (Some(client), _) => Some(client.to_string()),
            (None, Actor::User(user)) => Some(user.to_string()),
            _ => None,
        };
        if let Some(of) = of {
            state.access.floods.admit(Flood::Client(&of)).map_err(Problem::flood)?;
        }
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        let asked = parts.extensions.get::<Arc<Asked>>().cloned().unwrap_or_default();
        let key = idempotency_key(&parts.headers)?;
        Ok(Self { state: state.clone(), market, actor, client, login, peer, key, asked })
    }
}

/// The token in `Authorization: Bearer` (RFC 6750, section 2.1), if there is such a header at all.
fn bearer(headers: &HeaderMap) -> Answer<Option<&str>> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let token = value.to_str().ok().and_then(|text| text.split_once(' ')).and_then(|(scheme, token)| {
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
    });
    match (token, values.next()) {
        (Some(token), None) => Ok(Some(token)),
        _ => Err(Problem::bad_token()),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Answer<Option<IdempotencyKey>> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().and_then(|text| text.parse().ok());
    match (key, values.next()) {
        (Some(key), None) => Ok(Some(key)),
        _ => Err(Problem::invalid("Idempotency-Key", i3_core::market::InvalidIdempotencyKey)),
    }
}

/// The ids in the path.
#[derive(Debug)]
pub(super) struct InPath<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        Ok(Self(Path::from_request_parts(parts, state).await?.0))
    }
}

/// The query string.
#[derive(Debug)]
pub(super) struct InQuery<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<AppState> for InQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Answer<Self> {
        Ok(Self(Query::from_request_parts(parts, state).await?.0))
    }
}

/// The query string as it was sent, for what reads it itself. `T` says which parameters there are.
#[derive(Debug)]
pub(super) struct QueryText<T>(pub(super) String, PhantomData<fn() -> T>);

impl<T> FromRequestParts<AppState> for QueryText<T> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Infallible> {
        Ok(Self(parts.uri.query().unwrap_or_default().to_owned(), PhantomData))
    }
}

/// Items on a page if the client does not say.
const PAGE: usize = 50;
/// Items on a page at most.
const MAX_PAGE: usize = 200;

/// `?after=` and `?limit=`, for lists of records.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many items: 1 to 200, 50 if nothing is said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<usize>,
}

impl PageQuery {
    /// The page that is asked for.
    pub(super) fn request(&self) -> Answer<PageRequest> {
        page_request(self.after.as_deref(), self.limit)
    }
}

/// The page after this cursor.
pub(super) fn page_request(after: Option<&str>, limit: Option<usize>) -> Answer<PageRequest> {
    let after = after
        .map(str::parse::<Cursor>)
        .transpose()
        .map_err(|_| Problem::invalid("after", "give the `next` of an earlier page"))?;
    Ok(PageRequest { after, limit: page_size(limit)? })
}

/// How many items are asked for.
pub(super) fn page_size(limit: Option<usize>) -> Answer<usize> {
    match limit.unwrap_or(PAGE) {
        limit if (1..=MAX_PAGE).contains(&limit) => Ok(limit),
        _ => Err(Problem::invalid("limit", format_args!("1 to {MAX_PAGE} are expected"))),
    }
}
