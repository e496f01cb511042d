//! What browsers are told, and which of them may ask at all.

use axum::Router;
use axum::http::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_MATCH,
    IF_NONE_MATCH, LINK, LOCATION, REFERRER_POLICY, RETRY_AFTER, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use tower::util::MapResponseLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::problem::Problem;

static CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// How the interface is served.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RestConfig {
    /// Whose pages may ask, from browsers: `https://shop.example`. None by default. Cookies are not for them.
    pub origins: Vec<HeaderValue>,
}

/// A text that is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an origin: `https://` or `http://` and a host, with a port if need be, are expected")]
pub struct InvalidOrigin;

impl RestConfig {
    /// Lets pages of this origin (RFC 6454) ask.
    pub fn with_origin(mut self, origin: &str) -> Result<Self, InvalidOrigin> {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let good = host.is_some_and(|host| {
            let letters = |letter: u8| letter.is_ascii_alphanumeric() || b"-.:[]".contains(&letter);
            !host.is_empty() && host.bytes().all(letters)
        });
        let value = HeaderValue::from_str(origin).ok().filter(|_| good).ok_or(InvalidOrigin)?;
        self.origins.push(value);
        Ok(self)
    }
}

/// These routes with what all answers have. `https`: browsers come by TLS, and shall always.
pub(super) fn protected<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    config: &RestConfig,
    https: bool,
) -> Router<S> {
    let headers = MapResponseLayer::new(move |response| with_headers(response, https));
    let panics = CatchPanicLayer::custom(|_| {
        // The panic's own message is in the log.
        Problem::internal().into_response()
    });
    if config.origins.is_empty() {
        routes.layer((headers, panics))
    } else {
        routes.layer((headers, cors(config), panics))
    }
}

fn cors(config: &RestConfig) -> CorsLayer {
    let methods = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let key = HeaderName::from_static("idempotency-key");
    let number = HeaderName::from_static("x-request-id");
    let last = HeaderName::from_static("last-event-id");
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(config.origins.iter().cloned()))
        .allow_methods(methods)
        .allow_headers([ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, key, last])
        .expose_headers([ETAG, LINK, LOCATION, RETRY_AFTER, number])
}

/// What is safe for every answer, unless it says something else itself: it is what it says it is, runs and loads
/// nothing, is in no frame, and is not kept, since answers hold passwords, tokens and balances.
fn with_headers<B>(mut response: Response<B>, https: bool) -> Response<B> {
    let headers = response.headers_mut();
    let mut usual = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert_with(|| HeaderValue::from_static(value));
    };
    usual(CACHE_CONTROL, "no-store");
    usual(CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    usual(X_CONTENT_TYPE_OPTIONS, "nosniff");
    usual(X_FRAME_OPTIONS, "DENY");
    usual(REFERRER_POLICY, "no-referrer");
    usual(CROSS_ORIGIN_RESOURCE_POLICY.clone(), "same-origin");
    if https {
        usual(STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for good in ["https://shop.example", "http://127.0.0.1:3000", "http://[::1]:80"] {
            assert_eq!(RestConfig::default().with_origin(good).unwrap().origins, [good]);
        }
        for bad in ["", "*", "null", "shop.example", "https://", "https://a/b", "https://a b", "ftp://a"] {
            assert!(RestConfig::default().with_origin(bad).is_err(), "{bad}");
        }
    }
}
