//! The `OAuth2` endpoints, beside the interface: `/oauth/…` and `/.well-known/…`.
//!
//! The page that asks the user takes name and password each time and sets no cookie. So nobody's browser can be
//! made to allow anything, and there is no session to forge requests of.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::header::{
    AUTHORIZATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, WWW_AUTHENTICATE,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use i3_auth::Secret;
use i3_auth::oauth2::{
    AuthorizationRequest, AuthorizeError, ClientCall, Endpoints, ErrorCode, MAX_BYTES, Metadata, OAuthError,
    Settings,
};
use i3_core::gate::LoginError;
use i3_core::oauth::Scope;
use serde::Serialize;

use super::AppState;
use super::denials::DeniedWith;
use super::html::escaped;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/oauth/authorize", get(ask).post(answered))
        .route("/oauth/token", post(token))
        .route("/oauth/introspect", post(introspect))
        .route("/oauth/revoke", post(revoke))
        .route("/.well-known/oauth-authorization-server", get(metadata))
        .route("/.well-known/jwks.json", get(jwks))
}

/// What the interface offers beside the scopes of permissions and roles, with what users are told of it.
pub(crate) const SCOPES: [(&str, &str); 3] = [
    (Scope::READ, "see everything that you can see"),
    (Scope::WRITE, "do everything that you can do: buy, sell and manage"),
    ("token:introspect", "learn what the tokens of other programs are good for"),
];

/// The scopes of the interface with what users are told of them: for its description.
pub(super) fn documented_scopes() -> serde_json::Map<String, serde_json::Value> {
    let offered =
        i3_auth::oauth2::marketplace_scopes().map(|(scope, about)| (scope.to_string(), about.into()));
    let wide = SCOPES.into_iter().filter(|(scope, _)| [Scope::READ, Scope::WRITE].contains(scope));
    offered.chain(wide.map(|(scope, about)| (scope.to_owned(), about.into()))).collect()
}

fn endpoints(settings: &Settings) -> Endpoints {
    let at = |path: &str| format!("{}{path}", settings.issuer());
    Endpoints {
        authorization: at("/oauth/authorize"),
        token: at("/oauth/token"),
        revocation: at("/oauth/revoke"),
        introspection: at("/oauth/introspect"),
        jwks: at("/.well-known/jwks.json"),
    }
}

async fn metadata(State(state): State<AppState>) -> Json<Metadata> {
    let settings = state.access.oauth.settings();
    Json(Metadata::new(settings, endpoints(settings)))
}

async fn jwks(State(state): State<AppState>) -> Response {
    told(state.access.oauth.jwks(), false)
}

async fn token(State(state): State<AppState>, headers: HeaderMap, body: String) -> Response {
    match call(&headers, &body) {
        Ok(call) => told(state.access.oauth.token(call).await, call.authorization.is_some()),
        Err(status) => status.into_response(),
    }
}

async fn introspect(State(state): State<AppState>, headers: HeaderMap, body: String) -> Response {
    match call(&headers, &body) {
        Ok(call) => told(state.access.oauth.introspect(call).await, call.authorization.is_some()),
        Err(status) => status.into_response(),
    }
}

async fn revoke(State(state): State<AppState>, headers: HeaderMap, body: String) -> Response {
    let call = match call(&headers, &body) {
        Ok(call) => call,
        Err(status) => return status.into_response(),
    };
    match state.access.oauth.revoke(call).await {
        Ok(()) => StatusCode::OK.into_response(),
        refused => told(refused, call.authorization.is_some()),
    }
}

/// A client's request: a form, with one `Authorization` header at most.
fn call<'a>(headers: &'a HeaderMap, body: &'a str) -> Result<ClientCall<'a>, StatusCode> {
    if !is_form(headers) {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let authorization =
        values.next().map(|value| value.to_str()).transpose().map_err(|_| StatusCode::BAD_REQUEST)?;
    if values.next().is_some() {
        return Err(StatusCode::BAD_REQUEST);
    }
    Ok(ClientCall { authorization, body })
}

pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn told<T: Serialize>(answer: Result<T, OAuthError>, challenged: bool) -> Response {
    match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => {
            let refusal = error.told();
            if error.refusal().is_none() {
                tracing::error!("an OAuth2 request could not be answered: {error}");
            }
            let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
            let mut response = (status, Json(refusal)).into_response();
            denying(&mut response, refusal.code);
            // RFC 6749, section 5.2.
            if challenged && status == StatusCode::UNAUTHORIZED {
                let challenge = HeaderValue::from_static("Basic realm=\"i3\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            }
            response
        }
    }
}

/// Marks an answer that denies: it is taken down. What makes no sense is not denied.
fn denying(response: &mut Response, code: ErrorCode) {
    if let ErrorCode::InvalidClient
    | ErrorCode::InvalidGrant
    | ErrorCode::InvalidScope
    | ErrorCode::UnauthorizedClient
    | ErrorCode::InvalidTarget = code
    {
        response.extensions_mut().insert(DeniedWith(code.as_str()));
    }
}

async fn ask(State(state): State<AppState>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    match state.access.oauth.authorize(&query).await {
        Ok(request) => question(&state, &request, &query, None),
        Err(error) => unasked(error),
    }
}

/// The user's answer: `request` is the query that was asked with.
#[derive(Debug, Default)]
struct Answered {
    request: String,
    name: String,
    password: Option<Secret>,
    scopes: BTreeSet<Scope>,
    allowed: bool,
}

impl Answered {
    fn read(body: &str) -> Self {
        let mut answered = Self::default();
        for (name, value) in form_urlencoded::parse(body.as_bytes()) {
            match &*name {
                "request" => answered.request = value.into_owned(),
                "name" => answered.name = value.into_owned(),
                "password" => answered.password = Some(Secret::new(value.into_owned())),
                "scope" => answered.scopes.extend(value.parse::<Scope>()),
                "answer" => answered.allowed = value == "allow",
                _ => {}
            }
        }
        answered
    }
}

async fn answered(
    State(state): State<AppState>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    if !is_form(&headers) || body.len() > 2 * MAX_BYTES {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let answered = Answered::read(&body);
    let oauth = &state.access.oauth;
    // All of it is checked again: the form came from a browser.
    let request = match oauth.authorize(&answered.request).await {
        Ok(request) => request,
        Err(error) => return unasked(error),
    };
    if !answered.allowed {
        return sent_back(&request.denied(oauth.settings()));
    }
    let again = |why: &str| question(&state, &request, &answered.request, Some(why));
    let peer = peer.map(|Extension(ConnectInfo(peer))| peer.ip());
    let password = answered.password.as_ref().map(Secret::expose).unwrap_or_default();
    let user = match state.access.authenticator.user(&answered.name, password.as_bytes(), peer).await {
        Ok(user) => user,
        Err(LoginError::Refused) => {
            let mut response = again("The name or the password is not accepted.");
            response.extensions_mut().insert(DeniedWith("invalid_credentials"));
            return response;
        }
        Err(LoginError::Busy) => return again("Too many logins at the moment: try again later."),
        Err(error) => {
            tracing::error!("a login could not be checked: {error}");
            return page(StatusCode::SERVICE_UNAVAILABLE, "<h1>Try again later</h1>");
        }
    };
    match oauth.allow(&request, user.id, &answered.scopes).await {
        Ok(location) => sent_back(location.expose()),
        Err(OAuthError::Refused(refusal)) => again(refusal.description),
        Err(error) => {
            tracing::error!("an OAuth2 request could not be answered: {error}");
            page(StatusCode::SERVICE_UNAVAILABLE, "<h1>Try again later</h1>")
        }
    }
}

/// What cannot be put to the user.
fn unasked(error: AuthorizeError) -> Response {
    match error {
        AuthorizeError::Redirected { location, refusal } => {
            let mut response = sent_back(&location);
            denying(&mut response, refusal.code);
            response
        }
        AuthorizeError::Shown(refusal) => {
            let text = escaped(refusal.description);
            page(StatusCode::BAD_REQUEST, &format!("<h1>This request makes no sense</h1><p>{text}</p>"))
        }
        other => {
            tracing::error!("an OAuth2 request could not be looked at: {other}");
            page(StatusCode::SERVICE_UNAVAILABLE, "<h1>Try again later</h1>")
        }
    }
}

/// To the client, with status 303: no form is posted on (RFC 9700, section 4.12).
fn sent_back(location: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(location) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(LOCATION, location);
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn question(state: &AppState, request: &AuthorizationRequest, query: &str, why: Option<&str>) -> Response {
    let consent = request.consent(state.access.oauth.settings());
    let mut scopes = String::new();
    for offered in &consent.scopes {
        scopes.push_str("<p><label><input type=\"checkbox\" name=\"scope\" checked value=\"");
        scopes.push_str(&escaped(offered.scope.as_str()));
        scopes.push_str("\"> ");
        scopes.push_str(&escaped(&offered.about));
        scopes.push_str("</label></p>");
    }
    let why = why.map(|why| format!("<p role=\"alert\">{}</p>", escaped(why))).unwrap_or_default();
    let body = format!(
        "<h1>{label} asks for access</h1>\
         <p>It was registered by {owner}, and you will be sent to <b>{to}</b>. Allow it to:</p>{why}\
         <form method=\"post\" action=\"/oauth/authorize\">\
         <input type=\"hidden\" name=\"request\" value=\"{query}\">{scopes}\
         <p><label>Name <input name=\"name\" autocomplete=\"username\"></label></p>\
         <p><label>Password <input type=\"password\" name=\"password\" autocomplete=\"current-password\"></label></p>\
         <p><button name=\"answer\" value=\"allow\">Allow</button> \
         <button name=\"answer\" value=\"deny\">Deny</button></p></form>",
        label = escaped(consent.label.as_str()),
        owner = escaped(consent.owner_name.as_str()),
        to = escaped(&consent.sent_to),
        query = escaped(query),
    );
    page(if why.is_empty() { StatusCode::OK } else { StatusCode::UNAUTHORIZED }, &body)
}

/// A page that runs nothing, loads nothing and is in no frame (RFC 9700, section 4.16).
pub(super) fn page(status: StatusCode, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>I3</title>\
         <meta name=\"viewport\" content=\"width=device-width\">{body}</html>"
    );
    let headers = [
        (CONTENT_SECURITY_POLICY, "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, Html(html)).into_response()
}
