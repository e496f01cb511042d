//! The REST interface, under `/api/v1`.
//!
//! Requests and answers are JSON. Times are RFC 3339 text in UTC. Money is an integer of the currency's
//! minor units (`1234` with `EUR` is 12.34 euros) and the currency's text beside it; a `unit_price` is an
//! integer of billionths of the currency's unit. A field that is not known is an error.
//!
//! - **Who asks**: `Authorization: Bearer` with an API token, which `POST /tokens` gives for a name and a
//!   password. Without one the caller is anonymous and may do what the policy lets anybody do.
//!   Or with an `OAuth2` access token, which a program gets at `/oauth/token`: it needs the scope `api:read` for `GET`
//!   and `api:write` for everything else, and may not manage clients and API tokens, which is done in person.
//! - **Once only**: every command takes an `Idempotency-Key` (1 to 64 visible ASCII characters, one space of
//!   keys for each user); the same request under the same key has one effect and one answer. Signing in
//!   and token revocation take none: the one gives another token each time, the other is the same twice.
//! - **Lists** take `?limit=` (1 to 200, 50 by default) and `?after=` with the `next` of the page before;
//!   there is no further page when `next` is null.
//! - **Errors** are problem details (RFC 9457) with a stable `code`.
//!
//! | | | |
//! |---|---|---|
//! | `POST /users` | open an account | anybody |
//! | `GET /users`, `GET /users/{user}`, `GET /users/me` | see accounts | |
//! | `PUT /users/{user}` | what one says of oneself | |
//! | `POST /users/{user}/approve`, `…/reject`, `…/reinstate`, `…/suspend`, `PUT …/roles` | manage accounts | |
//! | `POST /invitations`, `GET /invitations`, `DELETE /invitations/{invitation}` | give leave to open accounts | |
//! | `GET /users/{user}/hubs`, `GET /users/{user}/orders` | what a user has | |
//! | `POST /users/{user}/top-ups` | credit an account | |
//! | `POST /tokens`, `GET /tokens`, `DELETE /tokens`, `DELETE /tokens/current`, `DELETE /tokens/{token}` | sign in; one's own tokens; end all, this or another one | |
//! | `POST /session`, `GET /session`, `DELETE /session` | sign in and out with a cookie, for browsers | |
//! | `PUT /users/{user}/password` | set another password; all other logins end | in person |
//! | `POST /password-resets`, `POST /password-resets/redemption` | be mailed leave to set a password; set it | anybody |
//! | `POST /clients`, `GET /clients`, `GET`, `PUT`, `DELETE /clients/{client}`, `POST …/secret`, `PUT …/state` | one's own OAuth2 clients | in person |
//! | `POST /hubs`, `GET /hubs/{hub}`, `PUT /hubs/{hub}/state` | hubs | `GET`: anybody |
//! | `GET /hubs/{hub}/members`, `PUT`, `DELETE /hubs/{hub}/members/{user}` | members | |
//! | `GET`, `POST /hubs/{hub}/devices`, `GET /devices/{device}`, `PUT /devices/{device}/state` | devices | |
//! | `POST /devices/{device}/credentials`, `DELETE …/credentials/{credential}` | credentials | |
//! | `GET`, `POST /hubs/{hub}/products`, `PUT /products/{product}`, `PUT …/state` | products | |
//! | `GET /products`, `GET /products/{product}`, `GET …/offers`, `GET …/ratings` | the catalogue | anybody |
//! | `GET /products/{product}/stream`, `GET …/quality` | schema and sample terms; what was measured of its messages | anybody |
//! | `PUT /products/{product}/stream` | change schema and sample terms | |
//! | `GET /products/{product}/sample` | the last messages, redacted, so often a day | who may buy; its hub |
//! | `POST /products/{product}/offers`, `POST /offers/{offer}/withdraw` | offers | |
//! | `POST /orders`, `GET /orders`, `GET /orders/{order}`, `GET /hubs/{hub}/orders` | buy; see orders | |
//! | `GET`, `POST /orders/{order}/password` | the MQTT password; replace it | the buyer |
//! | `POST /orders/{order}/cancel`, `POST /orders/{order}/revoke` | end an order | |
//! | `GET /orders/{order}/grant`, `GET /orders/{order}/statement` | access, usage and costs | |
//! | `PUT /orders/{order}/rating` | rate what was received | |
//! | `GET /explain/devices/{device}?topic=`, `GET /explain/orders/{order}`, `GET …/charge` | why | who may see the hub or the order |
//! | `GET /accounts/{holder}/balances`, `GET /accounts/{holder}/entries?currency=` | money; the holder is a user, a hub, an order, `fees` or `external` | |
//! | `GET /events`, `GET /audit`, `GET /audit/verification`, `GET /reconciliation` | operation | |
//! | `GET /health` | whether the store answers | anybody |

mod accounts;
mod clients;
mod devices;
mod explain;
mod hubs;
mod invitations;
pub(crate) mod oauth;
mod operation;
mod orders;
mod passwords;
mod problem;
mod products;
mod request;
mod sessions;
mod tokens;
mod users;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use i3_core::market::Marketplace;

use crate::{Access, Assembly};
use problem::Problem;

/// The longest body of a request, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// What the interface answers from. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState {
    /// The marketplace.
    pub market: Marketplace,
    /// Passwords and tokens.
    pub access: Access,
}

impl From<&Assembly> for AppState {
    fn from(assembly: &Assembly) -> Self {
        Self { market: assembly.market().clone(), access: assembly.access().clone() }
    }
}

/// The whole interface, to be served or merged into another router.
///
/// Serve it with connect info (`into_make_service_with_connect_info::<SocketAddr>()`), or guesses at
/// passwords are limited by name only.
pub fn router(state: AppState) -> Router {
    let routes = Router::new()
        .merge(users::routes())
        .merge(tokens::routes())
        .merge(sessions::routes())
        .merge(passwords::routes())
        .merge(clients::routes())
        .merge(invitations::routes())
        .merge(hubs::routes())
        .merge(devices::routes())
        .merge(explain::routes())
        .merge(products::routes())
        .merge(orders::routes())
        .merge(accounts::routes())
        .merge(operation::routes());
    Router::new()
        .nest("/api/v1", routes)
        .merge(oauth::routes())
        .fallback(async |request: Request| {
            let detail = format!("there is nothing at `{}`", request.uri().path());
            Problem::new(StatusCode::NOT_FOUND, "no_such_route", detail)
        })
        .method_not_allowed_fallback(async |request: Request| {
            let detail = format!("`{}` is not possible here", request.method());
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        // Answers hold passwords, tokens and balances.
        .layer(map_response(async |mut response: Response| {
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }))
        .with_state(state)
}

/// 201, with where the new thing is.
fn created(place: String, body: impl IntoResponse) -> Response {
    let location: Option<(HeaderName, HeaderValue)> =
        HeaderValue::try_from(place).ok().map(|place| (LOCATION, place));
    let mut response = (StatusCode::CREATED, body).into_response();
    response.headers_mut().extend(location);
    response
}
