//! One declaration for each route.
//!
//! A module's `routes()` declares each of its routes once: method, path, handler, what it is for and who may ask.
//! The handler's own types say the rest: parameters, body, answer. From this one declaration come the router, the
//! `OpenAPI` document (`/api/v1/openapi.json`, `docs/openapi.json`), the page at `/api/v1/docs`, the relations
//! that HAL's links are explained by, and [`operations`](crate::operations) for tests over all of them.
//!
//! ```text
//! Routes::new()
//!     .get("/hubs/{hub}", show, about("show_hub", "Shows a hub").anybody())
//!     .put("/hubs/{hub}/state", set_state,
//!         about("set_hub_state", "Suspends or reinstates a hub").permission(Action::ManageMembers).relation("state"))
//! ```
//!
//! - A handler is `async fn(api: Api, …) -> Answer<…>`; its arguments are [`Input`]s (`Api`, `InPath`, `InQuery`, and
//!   last `Body` or `Patch`), its answer an [`Output`] (`Shown`, `Created`, [`Done`]).
//! - What is sent and answered derives `schemars::JsonSchema`; query strings and bodies refuse unknown members with
//!   `#[serde(deny_unknown_fields)]`.
//! - `about`'s first argument is the operation's name: stable, unique, and a method of the client library.

mod describe;
mod document;
mod page;

use axum::Router;
use axum::handler::Handler;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use i3_core::access::Action;

pub(super) use describe::{Described, Doc, Input, Output};
pub(super) use document::document;
pub(super) use page::described;

use super::{AppState, BASE};

/// Who may ask at all. The permissions are asked for then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Who {
    /// Anybody, also without an account.
    Anybody,
    /// A user, or a program that acts for one.
    User,
    /// A user in person: no program that acts for one.
    Person,
}

/// One operation of the interface, as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// Its name: stable and unique.
    pub id: &'static str,
    /// Its method.
    pub method: Method,
    /// Its path below `/api/v1`, with `{…}` for what is filled in.
    pub path: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Who may ask.
    pub who: Who,
    /// The permissions that it may ask for: which of them, in which scope, depends on what it is asked about.
    pub permissions: Vec<Action>,
    /// The relation of the links that lead to it.
    pub relation: Option<&'static str>,
    /// Statuses of refusals that are its own.
    refusals: Vec<u16>,
    /// Whether its answers have media types of their own.
    own_formats: bool,
}

/// What is said of a route; see [`about`].
#[derive(Debug)]
pub(super) struct About {
    id: &'static str,
    summary: &'static str,
    who: Who,
    permissions: Vec<Action>,
    relation: Option<&'static str>,
    refusals: Vec<u16>,
    own_formats: bool,
}

/// An operation's name and what it does, in one line. For users, unless something else is said.
pub(super) const fn about(id: &'static str, summary: &'static str) -> About {
    About {
        id,
        summary,
        who: Who::User,
        permissions: Vec::new(),
        relation: None,
        refusals: Vec::new(),
        own_formats: false,
    }
}

impl About {
    /// Anybody may ask, also without an account.
    pub(super) fn anybody(self) -> Self {
        Self { who: Who::Anybody, ..self }
    }

    /// Only for users in person.
    pub(super) fn in_person(self) -> Self {
        Self { who: Who::Person, ..self }
    }

    /// It may ask the policy for this permission.
    pub(super) fn permission(mut self, action: Action) -> Self {
        self.permissions.push(action);
        self
    }

    /// Links of this relation lead here: `i3:…` in HAL.
    pub(super) fn relation(self, relation: &'static str) -> Self {
        Self { relation: Some(relation), ..self }
    }

    /// Its answers have media types of their own, which it settles itself: they are neither HAL nor XML.
    pub(super) fn own_formats(self) -> Self {
        Self { own_formats: true, ..self }
    }

    /// It has refusals with this status, besides those that all requests of its shape have.
    pub(super) fn refusal(mut self, status: StatusCode) -> Self {
        self.refusals.push(status.as_u16());
        self
    }
}

/// A declared operation with how its inputs and answers are described.
struct Declared {
    operation: Operation,
    describe: fn(&mut Doc<'_>),
}

/// Routes with their declarations.
pub(super) struct Routes {
    declared: Vec<Declared>,
    router: Router<AppState>,
    with_own_formats: Router<AppState>,
}

impl Routes {
    pub(super) fn new() -> Self {
        Self { declared: Vec::new(), router: Router::new(), with_own_formats: Router::new() }
    }

    /// `GET`, and `HEAD` with it.
    pub(super) fn get<H, T, D>(self, path: &'static str, handler: H, about: About) -> Self
    where
        H: Handler<T, AppState> + Described<D>,
        T: 'static,
    {
        self.route(Method::GET, MethodFilter::GET, path, handler, about)
    }

    pub(super) fn post<H, T, D>(self, path: &'static str, handler: H, about: About) -> Self
    where
        H: Handler<T, AppState> + Described<D>,
        T: 'static,
    {
        self.route(Method::POST, MethodFilter::POST, path, handler, about)
    }

    pub(super) fn put<H, T, D>(self, path: &'static str, handler: H, about: About) -> Self
    where
        H: Handler<T, AppState> + Described<D>,
        T: 'static,
    {
        self.route(Method::PUT, MethodFilter::PUT, path, handler, about)
    }

    pub(super) fn patch<H, T, D>(self, path: &'static str, handler: H, about: About) -> Self
    where
        H: Handler<T, AppState> + Described<D>,
        T: 'static,
    {
        self.route(Method::PATCH, MethodFilter::PATCH, path, handler, about)
    }

    pub(super) fn delete<H, T, D>(self, path: &'static str, handler: H, about: About) -> Self
    where
        H: Handler<T, AppState> + Described<D>,
        T: 'static,
    {
        self.route(Method::DELETE, MethodFilter::DELETE, path, handler, about)
    }

    fn route<H, T, D>(
        mut self,
        method: Method,
        filter: MethodFilter,
        path: &'static str,
        handler: H,
        about: About,
    ) -> Self
    where
        H: Handler<T, AppState> + Described<D>,
        T: 'static,
    {
        let About { id, summary, who, permissions, relation, refusals, own_formats } = about;
        let operation =
            Operation { id, method, path, summary, who, permissions, relation, refusals, own_formats };
        self.declared.push(Declared { operation, describe: H::describe });
        let router = if own_formats { &mut self.with_own_formats } else { &mut self.router };
        *router = std::mem::take(router).route(&format!("{BASE}{path}"), on(filter, handler));
        self
    }

    pub(super) fn merge(mut self, other: Self) -> Self {
        self.declared.extend(other.declared);
        self.router = self.router.merge(other.router);
        self.with_own_formats = self.with_own_formats.merge(other.with_own_formats);
        self
    }

    /// What is declared.
    pub(super) fn operations(&self) -> Vec<Operation> {
        self.declared.iter().map(|declared| declared.operation.clone()).collect()
    }

    /// The routes as axum has them: those whose answers are represented as everywhere, and those with formats of their
    /// own.
    pub(super) fn into_routers(self) -> (Router<AppState>, Router<AppState>) {
        (self.router, self.with_own_formats)
    }
}

/// It will be done, and nothing is told of it: 202.
#[derive(Debug)]
pub(super) struct Accepted;

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        StatusCode::ACCEPTED.into_response()
    }
}

/// An answer with one more header: a cookie, say.
#[derive(Debug)]
pub(super) struct Headed<T>(pub(super) HeaderName, pub(super) HeaderValue, pub(super) T);

impl<T: IntoResponse> IntoResponse for Headed<T> {
    fn into_response(self) -> Response {
        let mut response = self.2.into_response();
        response.headers_mut().insert(self.0, self.1);
        response
    }
}

/// Done, and there is nothing to show: 204.
#[derive(Debug)]
pub(super) struct Done;

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}
