//! How an authorization server is set up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use i3_core::access::{Permission, Reach};
use i3_core::oauth::{Scope, ScopeMeaning};
use i3_core::role::{BuiltIn, RoleName};
use serde::Serialize;

/// The longest life of an access token: so long may one be good that nobody asks the store about.
pub const MAX_ACCESS_LIFETIME: Duration = Duration::from_mins(10);
/// The longest life of an authorization code.
pub const MAX_CODE_LIFETIME: Duration = Duration::from_mins(1);
/// How much the clocks of several servers over one store may differ.
pub const MAX_SKEW: Duration = Duration::from_secs(10);

/// A scope that the server offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfferedScope {
    /// Its name.
    pub scope: Scope,
    /// What a user allows with it, in a few words: `see your orders`.
    pub about: String,
}

/// How long things are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lifetimes {
    /// An authorization code: at most [`MAX_CODE_LIFETIME`], which is the default.
    pub code: Duration,
    /// An access token: at most [`MAX_ACCESS_LIFETIME`]; five minutes by default.
    pub access: Duration,
    /// A refresh token that is not used: 14 days by default.
    pub idle: Duration,
    /// All tokens that come of one consent: 90 days by default.
    pub absolute: Duration,
    /// A signing key: 30 days by default, an hour at least.
    pub signing_key: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        let days = |count: u64| Duration::from_hours(24 * count);
        Self {
            code: MAX_CODE_LIFETIME,
            access: Duration::from_mins(5),
            idle: days(14),
            absolute: days(90),
            signing_key: days(30),
        }
    }
}

impl Lifetimes {
    fn bounded(self) -> Self {
        let second = Duration::from_secs(1);
        Self {
            code: self.code.clamp(second, MAX_CODE_LIFETIME),
            access: self.access.clamp(second, MAX_ACCESS_LIFETIME),
            idle: self.idle.clamp(second, self.absolute.max(second)),
            absolute: self.absolute.max(second),
            signing_key: self.signing_key.max(Duration::from_hours(1)),
        }
    }
}

/// Why settings are not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSettings {
    /// See [`Settings::new`].
    #[error(
        "an issuer is `https://host[:port][/path]`, without a slash at its end; `http://127.0.0.1[:port]` for trials"
    )]
    Issuer,
    /// No scope is offered, or one twice.
    #[error("the scopes are none, or one is there twice")]
    Scopes,
    /// The audience is empty or too long.
    #[error("an audience has 1 to 255 visible ASCII characters")]
    Audience,
}

/// How an authorization server is set up. The same in all processes over one store.
#[derive(Debug, Clone)]
pub struct Settings {
    issuer: Arc<str>,
    audience: Arc<str>,
    scopes: BTreeMap<Scope, Arc<str>>,
    /// Whether the scopes of roles are offered, also of those that are created later.
    roles: bool,
    introspection: Option<Scope>,
    lifetimes: Lifetimes,
    key_generation: u32,
}

impl Settings {
    /// A server called `issuer` (RFC 8414, section 2), whose tokens are for `audience`, the resource identifier of
    /// the interface that accepts them (RFC 9068, section 3), and the scopes that it offers, each with a few words
    /// for users.
    pub fn new<'a>(
        issuer: &str,
        audience: &str,
        scopes: impl IntoIterator<Item = (Scope, &'a str)>,
    ) -> Result<Self, InvalidSettings> {
        let rest = issuer
            .strip_prefix("https://")
            .or_else(|| issuer.strip_prefix("http://").filter(|rest| is_loopback(rest)))
            .ok_or(InvalidSettings::Issuer)?;
        let clean = rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/[]".contains(&b));
        if rest.is_empty() || rest.starts_with('/') || issuer.ends_with('/') || !clean {
            return Err(InvalidSettings::Issuer);
        }
        if !(1..=255).contains(&audience.len()) || !audience.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidSettings::Audience);
        }
        let mut offered = BTreeMap::new();
        for (scope, about) in scopes {
            if offered.insert(scope, Arc::from(about)).is_some() {
                return Err(InvalidSettings::Scopes);
            }
        }
        if offered.is_empty() {
            return Err(InvalidSettings::Scopes);
        }
        Ok(Self {
            issuer: issuer.into(),
            audience: audience.into(),
            scopes: offered,
            roles: false,
            introspection: None,
            lifetimes: Lifetimes::default(),
            key_generation: 0,
        })
    }

    /// Offers a scope for each permission, called like it, and for each role, `as:` and its name: `order:view:own`,
    /// `as:consumer`. Of the roles the built-in ones are [published](Self::scopes); whether there is another one is asked
    /// when a client is registered.
    pub fn with_permissions_and_roles(mut self) -> Self {
        for (scope, about) in marketplace_scopes() {
            self.scopes.entry(scope).or_insert_with(|| about.into());
        }
        self.roles = true;
        self
    }

    /// With these lifetimes, as far as their bounds allow.
    pub fn with_lifetimes(mut self, lifetimes: Lifetimes) -> Self {
        self.lifetimes = lifetimes.bounded();
        self
    }

    /// With signing keys of this generation: raising it makes the keys of all earlier ones, and so every access
    /// token, void at once.
    pub fn with_key_generation(mut self, generation: u32) -> Self {
        self.key_generation = generation;
        self
    }

    /// Lets clients that are registered with this scope introspect every token: resource servers. Without it a
    /// client may introspect its own tokens only.
    pub fn with_introspection_by(mut self, scope: Scope) -> Self {
        self.introspection = Some(scope);
        self
    }

    /// The server's name.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whom its tokens are for.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// How long things are good.
    pub fn lifetimes(&self) -> &Lifetimes {
        &self.lifetimes
    }

    pub(super) fn key_generation(&self) -> u32 {
        self.key_generation
    }

    pub(super) fn introspection(&self) -> Option<&Scope> {
        self.introspection.as_ref()
    }

    /// The scopes that are offered.
    pub fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.scopes.keys()
    }

    /// The first of these scopes that is not offered: to refuse a client's registration by.
    pub fn unknown<'s>(&self, scopes: &'s BTreeSet<Scope>) -> Option<&'s Scope> {
        scopes.iter().find(|scope| !self.offers(scope))
    }

    /// Those of these scopes that are offered, with what to tell users of them.
    pub(super) fn offered(&self, scopes: &BTreeSet<Scope>) -> Vec<OfferedScope> {
        let found = scopes.iter().filter_map(|scope| {
            let about = match (self.scopes.get(scope), scope.meaning()) {
                (Some(about), _) => about.to_string(),
                (None, ScopeMeaning::Role(role)) if self.roles => about_role(&role),
                _ => return None,
            };
            Some(OfferedScope { scope: scope.clone(), about })
        });
        found.collect()
    }

    pub(super) fn offers(&self, scope: &Scope) -> bool {
        self.scopes.contains_key(scope) || (self.roles && matches!(scope.meaning(), ScopeMeaning::Role(_)))
    }
}

/// The scopes of all permissions and of the built-in roles, each with a few words for users.
pub fn marketplace_scopes() -> impl Iterator<Item = (Scope, String)> {
    let permissions = Permission::all().map(|permission| (permission.into(), about_permission(permission)));
    let roles = BuiltIn::ALL.into_iter().filter_map(|role| {
        let scope = format!("{}{}", Scope::ROLE, role.name()).parse().ok()?;
        Some((scope, about_role(&role.name())))
    });
    permissions.chain(roles)
}

fn about_permission(permission: Permission) -> String {
    let action = permission.action();
    let about = action.about().trim_end_matches('.');
    let mut rest = about.chars();
    let first = rest.next().map(|first| first.to_ascii_lowercase());
    let about: String = first.into_iter().chain(rest).collect();
    match permission.reach() {
        Reach::Any => about,
        Reach::Own => format!("{about} (only {})", action.own()),
    }
}

fn about_role(role: &RoleName) -> String {
    format!("do what the role `{role}` allows, as long as you have it")
}

fn is_loopback(rest: &str) -> bool {
    let host = rest.split('/').next().unwrap_or_default();
    let host = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host });
    matches!(host, "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(issuer: &str, audience: &str, scopes: &[&str]) -> Result<Settings, InvalidSettings> {
        Settings::new(issuer, audience, scopes.iter().map(|scope| (scope.parse().unwrap(), "about")))
    }

    #[test]
    fn an_issuer_is_an_address_without_query_fragment_or_trailing_slash() {
        for good in [
            "https://i3.example",
            "https://i3.example:8443/a",
            "http://127.0.0.1:8080",
            "http://[::1]:1",
            "http://127.0.0.1",
        ] {
            assert!(settings(good, "a", &["x"]).is_ok(), "{good}");
        }
        for bad in [
            "",
            "i3.example",
            "http://i3.example",
            "http://127.0.0.1.example",
            "https://",
            "https:///x",
            "https://i3.example/",
            "https://i3.example?x",
            "https://i3.example#x",
            "https://user@i3.example",
        ] {
            assert_eq!(settings(bad, "a", &["x"]).err(), Some(InvalidSettings::Issuer), "{bad}");
        }
        for bad in ["", "a b", "ä"] {
            assert_eq!(settings("https://i3.example", bad, &["x"]).err(), Some(InvalidSettings::Audience));
        }
        for bad in [&[][..], &["x", "x"]] {
            assert_eq!(settings("https://i3.example", "a", bad).err(), Some(InvalidSettings::Scopes));
        }
    }

    #[test]
    fn lifetimes_are_kept_within_their_bounds() {
        let long = Duration::from_hours(1_000);
        let wished = Lifetimes {
            code: long,
            access: long,
            idle: long * 9,
            absolute: long,
            signing_key: Duration::ZERO,
        };
        let kept = *settings("https://i3.example", "a", &["x"]).unwrap().with_lifetimes(wished).lifetimes();
        assert_eq!((kept.code, kept.access), (MAX_CODE_LIFETIME, MAX_ACCESS_LIFETIME));
        assert_eq!((kept.idle, kept.absolute), (long, long));
        assert_eq!(kept.signing_key, Duration::from_hours(1));
    }

    #[test]
    fn permissions_and_roles_are_offered_on_demand_and_say_what_they_are() {
        let plain = settings("https://i3.example", "a", &["api:read"]).unwrap();
        let all: BTreeSet<Scope> =
            ["api:read", "order:view:own", "audit:view", "as:night-shift", "as:consumer"]
                .map(|scope| scope.parse().unwrap())
                .into();
        assert_eq!(plain.unknown(&all).map(Scope::as_str), Some("as:consumer"));
        let settings = plain.with_permissions_and_roles();
        assert_eq!(settings.unknown(&all), None);
        for unknown in ["order:*", "as:", "audit:view:own", "api:write"] {
            let scopes = BTreeSet::from([unknown.parse().unwrap()]);
            assert!(settings.unknown(&scopes).is_some(), "{unknown}");
        }
        let told = settings.offered(&all);
        let about: Vec<&str> = told.iter().map(|offered| offered.about.as_str()).collect();
        assert_eq!(told.len(), all.len());
        assert!(
            about.contains(&"do what the role `night-shift` allows, as long as you have it"),
            "{about:?}"
        );
        assert!(
            about.iter().any(|about| about.starts_with("see an order and its usage (only ")),
            "{about:?}"
        );
        let published: BTreeSet<&str> = settings.scopes().map(Scope::as_str).collect();
        assert!(published.contains("as:administrator") && !published.contains("as:night-shift"));
    }
}
