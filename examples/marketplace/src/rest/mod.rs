//! The REST interface, under `/api/v1`.
//!
//! What it offers is declared in the modules of this folder, once for each route; see [`route`]. `docs/rest.md` says
//! what holds everywhere, `/api/v1/openapi.json` and `/api/v1/docs` have the whole.

/// What holds for all of the interface; told by its description too.
pub(crate) const ABOUT: &str = "\
Answers are `application/json`, `application/hal+json` (with links that say what the caller may do) or \
`application/xml`, as `Accept` says; bodies are taken in the same three. Times are RFC 3339 text in UTC. Money is an \
integer of the currency's minor units (`1234` with `EUR` is 12.34 euros) and the currency beside it; a `unit_price` is \
an integer of billionths of the currency's unit. Members and parameters that are not known are refused.

Who asks: `Authorization: Bearer` with an API token, which `POST /tokens` gives for a name and a password. Without \
one the caller is anonymous and may do what the policy lets anybody do. Or with an OAuth2 access token, which a program \
gets at `/oauth/token`. It may no more than its scopes allow and the user may at the moment: `api:read` is all that `GET` \
shows, `api:write` everything else, a permission (`virtual_object:create`, `order:view:own`) is that alone, and `as:` with a \
role (`as:consumer`) what the role allows, as long as the user has it. What anybody may needs no scope. No program manages \
clients and API tokens: that is done in person.

Once only: every command takes an `Idempotency-Key` (1 to 64 visible ASCII characters, one space of keys for each \
user, and for each program that acts for one); the same request under the same key has one effect and one answer.

Unchanged only: what has an `ETag` takes `If-None-Match` when it is asked for, and `If-Match` when it is changed.

Lists take `limit` (1 to 200, 50 by default) and `after` with the `next` of the page before, which `Link` and HAL's \
links have too; there is no further page when `next` is null.

Errors are problem details (RFC 9457) with a stable `code`.";

mod accounts;
mod analytics;
mod body;
mod catalogue;
mod challenge;
mod clients;
mod denials;
mod devices;
mod discovery;
mod explain;
mod html;
mod hubs;
mod inbox;
mod invitations;
mod kept;
mod node;
pub(crate) mod oauth;
mod object_files;
mod object_things;
mod ontology;
mod operation;
mod ordered_object;
mod orders;
mod passwords;
mod problem;
mod products;
mod protection;
mod representation;
mod request;
mod roles;
mod route;
mod sessions;
mod sparql;
mod tokens;
mod users;
mod virtual_objects;
mod wot;

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use i3_core::analytics::LeastPeople;
use i3_core::market::Marketplace;
use i3_core::virtual_object::ResourceUri;

pub(crate) use problem::table as problems;
pub use protection::{InvalidOrigin, RestConfig};
pub use route::{Operation, Who};

use crate::floods::Flood;
use crate::{Access, Assembly, Knowledge};
use kept::KeptAnswers;
use problem::Problem;
use protection::protected;
use representation::{deliver, represent};
use route::{Routes, described};

/// Where the interface is.
const BASE: &str = "/api/v1";

/// The longest body of a request, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// What the interface answers from. Cheap to clone: the framework does so several times for each request.
#[derive(Debug, Clone)]
pub struct AppState {
    parts: Arc<AppParts>,
    kept: KeptAnswers,
}

/// What an [`AppState`] is made of.
#[derive(Debug, Clone)]
pub struct AppParts {
    /// The marketplace.
    pub market: Marketplace,
    /// Passwords and tokens.
    pub access: Access,
    /// What answers questions by meaning. Without it they are answered with 503.
    pub knowledge: Option<Knowledge>,
    /// Where MQTT clients reach the gate, the best address first.
    pub brokers: Vec<ResourceUri>,
    /// How many people of a domain must have used what is recommended there; `None`: nothing is recommended.
    pub recommendations: Option<LeastPeople>,
}

impl Deref for AppState {
    type Target = AppParts;

    fn deref(&self) -> &AppParts {
        &self.parts
    }
}

impl AppState {
    /// With MQTT clients that reach the gate here, the best address first.
    pub fn with_brokers(self, brokers: Vec<ResourceUri>) -> Self {
        AppParts { brokers, ..Arc::unwrap_or_clone(self.parts) }.into()
    }

    /// With answers to questions by meaning.
    pub fn with_knowledge(self, knowledge: Knowledge) -> Self {
        AppParts { knowledge: Some(knowledge), ..Arc::unwrap_or_clone(self.parts) }.into()
    }
}

impl From<AppParts> for AppState {
    fn from(parts: AppParts) -> Self {
        Self { parts: Arc::new(parts), kept: KeptAnswers::default() }
    }
}

impl From<&Assembly> for AppState {
    fn from(assembly: &Assembly) -> Self {
        let (market, access) = (assembly.market().clone(), assembly.access().clone());
        let recommendations = assembly.config().recommendations;
        AppParts { market, access, knowledge: None, brokers: Vec::new(), recommendations }.into()
    }
}

/// All that is declared.
fn routes() -> Routes {
    Routes::new()
        .merge(users::routes())
        .merge(tokens::routes())
        .merge(sessions::routes())
        .merge(passwords::routes())
        .merge(clients::routes())
        .merge(invitations::routes())
        .merge(inbox::routes())
        .merge(challenge::routes())
        .merge(roles::routes())
        .merge(hubs::routes())
        .merge(devices::routes())
        .merge(explain::routes())
        .merge(products::routes())
        .merge(orders::routes())
        .merge(ordered_object::routes())
        .merge(virtual_objects::routes())
        .merge(object_files::routes())
        .merge(object_things::routes())
        .merge(discovery::routes())
        .merge(catalogue::routes())
        .merge(ontology::routes())
        .merge(sparql::routes())
        .merge(accounts::routes())
        .merge(operation::routes())
        .merge(denials::routes())
        .merge(analytics::routes())
}

/// Every operation of the interface, as it is declared: for tests and tables of all of them.
pub fn operations() -> Vec<Operation> {
    routes().operations()
}

/// The `OpenAPI` document of the interface.
pub fn openapi() -> serde_json::Value {
    route::document(&routes())
}

/// The whole interface, to be served or merged into another router, also [below a path](Router::nest) of it: links
/// and places are told as the client sees them.
///
/// Serve it with connect info (`into_make_service_with_connect_info::<SocketAddr>()`), or guesses at
/// passwords are limited by name only.
pub fn router(state: AppState) -> Router {
    router_with(state, &RestConfig::default())
}

/// As [`router`], served in another way than the usual one.
pub fn router_with(state: AppState, config: &RestConfig) -> Router {
    let https = state.access.oauth.settings().issuer().starts_with("https://");
    let routes = routes();
    let pages = described(&routes);
    let (api, with_own_formats) = routes.into_routers();
    // Not nested: that would cost every request a path made anew. So what is not there is a route too.
    let api = api
        .route(&format!("{BASE}/{{*path}}"), any(no_such_route))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(represent));
    let with_own_formats =
        with_own_formats.method_not_allowed_fallback(method_not_allowed).layer(from_fn(deliver));
    let all = Router::new()
        .merge(pages)
        .merge(api)
        .merge(with_own_formats)
        .merge(oauth::routes())
        .merge(passwords::page_routes())
        .merge(wot::routes())
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        // All at once, the outermost first: each call of `layer` costs every request an allocation for each before it.
        .layer((
            from_fn_with_state(state.clone(), denials::taken_down),
            DefaultBodyLimit::max(MAX_BODY_BYTES),
        ));
    protected(all, config, https).with_state(state)
}

/// Answers an address that asks too much before anything is done for it.
async fn hold_off(state: &AppState, peer: Option<IpAddr>, request: Request, next: Next) -> Response {
    match peer.map_or(Ok(()), |peer| state.access.floods.admit(Flood::Request(peer))) {
        Ok(()) => next.run(request).await,
        Err(wait) => Problem::flood(wait).into_response(),
    }
}

async fn no_such_route(request: Request) -> Problem {
    let detail = format!("there is nothing at `{}`", request.uri().path());
    Problem::new(StatusCode::NOT_FOUND, "no_such_route", detail)
}

async fn method_not_allowed(request: Request) -> Problem {
    let detail = format!("`{}` is not possible here", request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
