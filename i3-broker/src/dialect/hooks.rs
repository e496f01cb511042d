//! Calls in, answers out: which dialect a call is in, and whether it may be asked.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use super::decide::{Decider, Decision, Reason};
use super::secret::HookSecret;
use super::{emqx, go_auth, rmqtt, vernemq};

/// The broker's words that a call is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// mosquitto-go-auth's HTTP back end, response modes `status` and `json`. Calls: `user`, `superuser`, `acl`.
    GoAuth,
    /// The same, response mode `text`.
    GoAuthText,
    /// EMQX 5 and 6. Calls: `authn`, `authz`.
    Emqx,
    /// RMQTT's plug-in `rmqtt-auth-http`. Calls: `auth`, `acl`.
    Rmqtt,
    /// `VerneMQ`'s webhooks. The hook is named by the header `vernemq-hook`.
    VerneMq,
}

impl Dialect {
    /// All dialects.
    pub const ALL: [Self; 5] = [Self::GoAuth, Self::GoAuthText, Self::Emqx, Self::Rmqtt, Self::VerneMq];

    /// What the path of its calls begins with.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GoAuth => "go-auth",
            Self::GoAuthText => "go-auth-text",
            Self::Emqx => "emqx",
            Self::Rmqtt => "rmqtt",
            Self::VerneMq => "vernemq",
        }
    }
}

/// A broker's call, as it came over HTTP.
#[derive(Debug, Clone, Copy)]
pub struct HookRequest<'a> {
    /// The path behind where the calls are served: `{dialect}/{call}`, or `{dialect}/{secret}/{call}` for
    /// brokers that cannot send a header. `VerneMQ` has no `{call}`.
    pub path: &'a str,
    /// The header `Authorization`.
    pub authorization: Option<&'a str>,
    /// The header `Content-Type`.
    pub content_type: Option<&'a str>,
    /// The header `vernemq-hook`.
    pub hook: Option<&'a str>,
    /// The body; `None` if it could not be read or was too long.
    pub body: Option<&'a [u8]>,
}

/// The answer to a broker's call. Never to be cached but as [`max_age`](Self::max_age) says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookReply {
    /// The HTTP status.
    pub status: u16,
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// For how long the broker may use the answer again: the header `Cache-Control: max-age`, in seconds.
    pub max_age: Option<u64>,
    /// The body.
    pub body: Vec<u8>,
}

impl HookReply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        Self { status, content_type: "application/json", max_age: None, body }
    }

    pub(super) fn text(status: u16, body: &str) -> Self {
        Self { status, content_type: "text/plain", max_age: None, body: body.as_bytes().to_vec() }
    }

    /// May be kept as long as the decision holds, in whole seconds.
    pub(super) fn kept_for(mut self, valid_for: Duration) -> Self {
        self.max_age = Some(valid_for.as_secs()).filter(|seconds| *seconds > 0);
        self
    }
}

/// What a dialect looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) name: &'a str,
    pub(super) content_type: Option<&'a str>,
    pub(super) body: &'a [u8],
}

/// Answers brokers' calls in all dialects.
#[derive(Debug, Clone)]
pub struct Hooks {
    decider: Decider,
    secret: HookSecret,
    presets: bool,
}

impl Hooks {
    /// Answers calls that show this secret.
    pub fn new(decider: Decider, secret: HookSecret) -> Self {
        Self { decider, secret, presets: false }
    }

    /// Gives EMQX a client's permissions when it connects, so that it need not ask again for these topics. They
    /// hold as long as the connection: only for who kicks clients when their access ends.
    pub fn with_presets(mut self) -> Self {
        self.presets = true;
        self
    }

    /// Answers a call; `None` if its path begins with no dialect.
    pub async fn answer(&self, request: HookRequest<'_>) -> Option<HookReply> {
        let mut parts = request.path.trim_matches('/').split('/');
        let name = parts.next()?;
        let dialect = Dialect::ALL.into_iter().find(|dialect| dialect.name() == name)?;
        let rest: Vec<&str> = parts.collect();
        let (shown, call) = match (dialect, rest.as_slice()) {
            (Dialect::VerneMq, []) => (None, request.hook),
            (Dialect::VerneMq, [secret]) => (Some(*secret), request.hook),
            (Dialect::VerneMq, _) => (None, None),
            (_, [call]) => (None, Some(*call)),
            (_, [secret, call]) => (Some(*secret), Some(*call)),
            _ => (None, None),
        };
        let shown = shown.or_else(|| request.authorization.and_then(bearer));
        let name = call.unwrap_or_default();
        if !shown.is_some_and(|shown| self.secret.is(shown)) {
            tracing::warn!(dialect = dialect.name(), "a call without the right secret was refused");
            return Some(refusal(dialect, name, Reason::WrongSecret));
        }
        let Some(body) = request.body else { return Some(refusal(dialect, name, Reason::Malformed)) };
        let call = Call { name, content_type: request.content_type, body };
        Some(match dialect {
            Dialect::GoAuth => go_auth::answer(&self.decider, call, go_auth::Mode::Json).await,
            Dialect::GoAuthText => go_auth::answer(&self.decider, call, go_auth::Mode::Text).await,
            Dialect::Emqx => emqx::answer(&self.decider, call, self.presets).await,
            Dialect::Rmqtt => rmqtt::answer(&self.decider, call).await,
            Dialect::VerneMq => vernemq::answer(&self.decider, call).await,
        })
    }
}

/// No, in the words of a dialect.
fn refusal(dialect: Dialect, call: &str, reason: Reason) -> HookReply {
    let no = Decision::no(reason);
    match dialect {
        Dialect::GoAuth => go_auth::reply(&no, go_auth::Mode::Json),
        Dialect::GoAuthText => go_auth::reply(&no, go_auth::Mode::Text),
        Dialect::Emqx => emqx::refusal(call),
        Dialect::Rmqtt => rmqtt::refusal(),
        Dialect::VerneMq => vernemq::refusal(),
    }
}

/// The token of `Authorization: Bearer` (RFC 6750, section 2.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

/// Notes what was decided, for who looks for the reason.
pub(super) fn note(dialect: &'static str, call: &str, username: Option<&str>, decision: &Decision) {
    let reason = decision.reason.code();
    tracing::debug!(dialect, call, username, allow = decision.allow, reason, "decided for a broker");
}

/// Where a client says it comes from, if that is an address.
pub(super) fn peer(text: Option<&str>) -> Option<IpAddr> {
    text.and_then(|text| text.parse().ok())
}
