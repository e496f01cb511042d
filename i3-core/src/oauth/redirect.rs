//! Where a user's browser is sent back to.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address that a client may have users sent back to, in one of three forms:
///
/// - `https://host[:port]/path[?query]`, for programs on servers and apps that claim a web address;
/// - `http://127.0.0.1[:port]/path[?query]` or `http://[::1]…`, for apps that listen on the user's own machine (RFC
///   8252, section 7.3). `localhost` may be resolved to something else, and is refused (section 8.3);
/// - `com.example.app:/path[?query]`, a private-use scheme with a dot in it, for apps (section 7.1).
///
/// The form is narrower than a URI's, so that no two programs read one text differently: at most 255 ASCII
/// characters, scheme and host in lower case, no user information, no fragment (RFC 6749, section 3.1.2), no
/// empty, `.` or `..` segment but the last, escapes in upper case and none of an unreserved character.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RedirectUri {
    text: String,
    /// For loopback addresses: where the port stands, with its colon. Empty if there is none.
    port: Option<(usize, usize)>,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Form {
    Web,
    Loopback,
    PrivateUse,
}

/// A text that is no [`RedirectUri`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a redirect URI: {0}")]
pub struct InvalidRedirectUri(&'static str);

impl RedirectUri {
    /// The longest one, in characters.
    pub const MAX: usize = 255;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether users stay on their machine: the app listens there.
    pub fn is_loopback(&self) -> bool {
        self.form == Form::Loopback
    }

    /// Whether only an app on the user's machine can be meant by the scheme.
    pub fn is_private_use(&self) -> bool {
        self.form == Form::PrivateUse
    }

    /// The host, or the scheme of a private-use one: what users should be shown of it.
    pub fn host(&self) -> &str {
        let rest = self.text.split_once("://").map_or(self.text.as_str(), |(_, rest)| rest);
        let end = if rest.starts_with('[') {
            rest.find(']').map_or(rest.len(), |at| at + 1)
        } else {
            rest.find([':', '/', '?']).unwrap_or(rest.len())
        };
        rest.get(..end).unwrap_or(rest)
    }

    /// Whether this registered address allows the requested one: the same text (RFC 9700, section 2.1), but
    /// for the port of a loopback address, which an app takes as the system gives it (RFC 8252, section 7.3).
    pub fn admits(&self, requested: &Self) -> bool {
        match (self.port, requested.port) {
            (Some(_), Some(_)) => self.without_port() == requested.without_port(),
            _ => self.text == requested.text,
        }
    }

    fn without_port(&self) -> (&str, &str) {
        let (start, end) = self.port.unwrap_or_default();
        (self.text.get(..start).unwrap_or_default(), self.text.get(end..).unwrap_or_default())
    }
}

impl FromStr for RedirectUri {
    type Err = InvalidRedirectUri;

    fn from_str(text: &str) -> Result<Self, InvalidRedirectUri> {
        let refuse = |why| Err(InvalidRedirectUri(why));
        if text.len() > Self::MAX {
            return refuse("at most 255 characters are allowed");
        }
        if let Some(bad) = text.bytes().find(|b| !b.is_ascii_graphic() || b"\"<>\\^`{|}#*".contains(b)) {
            return refuse(match bad {
                b'#' => "a fragment is not allowed",
                b'*' => "wildcards are not allowed",
                _ => "a character is not allowed in it",
            });
        }
        let Some((scheme, rest)) = text.split_once(':') else { return refuse("it has no scheme") };
        let form = match scheme {
            "https" => Form::Web,
            "http" => Form::Loopback,
            _ if is_private_use(scheme) => Form::PrivateUse,
            _ => return refuse("the scheme is neither https, http nor one with a dot, in lower case"),
        };
        if form == Form::PrivateUse {
            if !rest.starts_with('/') || rest.starts_with("//") {
                return refuse("a private-use scheme is followed by one slash");
            }
            check_path(rest)?;
            return Ok(Self { text: text.to_owned(), port: None, form });
        }
        let Some(rest) = rest.strip_prefix("//") else { return refuse("`//` and a host are missing") };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if !path.starts_with('/') {
            return refuse("the path is missing: at least `/`");
        }
        if authority.contains('@') {
            return refuse("user information is not allowed");
        }
        let host_end = match authority.strip_prefix('[') {
            Some(inner) => inner.find(']').map_or(authority.len(), |at| at + 2),
            None => authority.find(':').unwrap_or(authority.len()),
        };
        let (host, port) = authority.split_at_checked(host_end).unwrap_or((authority, ""));
        if !port.is_empty() && !is_port(port.strip_prefix(':').unwrap_or_default()) {
            return refuse("the port is no number from 1 to 65535");
        }
        let loopback = matches!(host, "127.0.0.1" | "[::1]");
        match form {
            Form::Loopback if !loopback => {
                return refuse("http is for 127.0.0.1 and [::1] only: use https");
            }
            Form::Web if !is_host(host) => return refuse("the host is none, or not in lower case"),
            _ => {}
        }
        check_path(path)?;
        let start = text.len() - rest.len() + host.len();
        let port = (form == Form::Loopback).then_some((start, start + port.len()));
        Ok(Self { text: text.to_owned(), port, form })
    }
}

/// A scheme that belongs to whoever has a domain: `com.example.app` (RFC 8252, section 7.1).
fn is_private_use(scheme: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'+')
    };
    scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.contains('.')
        && scheme.split('.').all(part)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
        && !text.starts_with('0')
        && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        // As it is written canonically (RFC 5952), so that there is one text for it.
        return inner.parse::<Ipv6Addr>().is_ok_and(|address| address.to_string() == inner);
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(label)
}

/// A path, which begins with `/`, and perhaps a query.
fn check_path(text: &str) -> Result<(), InvalidRedirectUri> {
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        if matches!(segment, "." | "..") || (segment.is_empty() && !last) {
            return Err(InvalidRedirectUri("a segment of the path is empty, `.` or `..`"));
        }
    }
    if path.contains(['[', ']']) || query.is_some_and(|query| query.contains(['[', ']'])) {
        return Err(InvalidRedirectUri("a character is not allowed in it"));
    }
    for escape in text.split('%').skip(1) {
        let digits = escape.get(..2).unwrap_or_default();
        let canonical = digits.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
        let byte = u8::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 2 && canonical);
        // NUL, line breaks and the like decode to what no handler expects.
        if byte.is_none_or(|b| b.is_ascii_alphanumeric() || b.is_ascii_control() || b"-._~".contains(&b)) {
            return Err(InvalidRedirectUri("a `%` escape is damaged or needless"));
        }
    }
    Ok(())
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Serialize for RedirectUri {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for RedirectUri {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn uri(text: &str) -> RedirectUri {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn addresses_on_the_web_on_the_same_machine_and_of_apps_are_taken() {
        for (good, host) in [
            ("https://app.example/", "app.example"),
            ("https://app.example:8443/callback", "app.example"),
            ("https://app.example/a/b/?from=i3&x=%2F", "app.example"),
            ("https://192.0.2.1/x", "192.0.2.1"),
            ("https://[2001:db8::1]:8443/x", "[2001:db8::1]"),
            ("http://127.0.0.1/callback", "127.0.0.1"),
            ("http://127.0.0.1:51004/callback", "127.0.0.1"),
            ("http://[::1]:7/", "[::1]"),
            ("com.example.app:/oauth", "com.example.app"),
        ] {
            assert_eq!((uri(good).as_str(), uri(good).host()), (good, host));
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let long = format!("https://app.example/{}", "a".repeat(240));
        for bad in [
            "",
            "/callback",
            "app.example/callback",
            "//app.example/callback",
            "https:/app.example/",
            "https://",
            "https:///callback",
            "https://app.example",
            "https://app.example?x=1",
            "https://app.example/#fragment",
            "https://app.example/#",
            "https://user@app.example/",
            "https://user:password@app.example/",
            "https://app.example@attacker.example/",
            "https://*.app.example/",
            "https://APP.example/",
            "HTTPS://app.example/",
            "https://app..example/",
            "https://app.example./",
            "https://-app.example/",
            "https://app_.example/",
            "https://app.example:/",
            "https://app.example:0/",
            "https://app.example:080/",
            "https://app.example:65536/",
            "https://app.example:+80/",
            "https://[::01]/",
            "https://[::1/",
            "https://[::1]x/",
            "https://app.example/a/../b",
            "https://app.example/./b",
            "https://app.example//b",
            "https://app.example/..",
            "https://app.example/%2e%2e/b",
            "https://app.example/%2E%2E/b",
            "https://app.example/%41",
            "https://app.example/%2f",
            "https://app.example/%0A",
            "https://app.example/%",
            "https://app.example/%2",
            "https://app.example/a b",
            "https://app.example/a\nb",
            "https://app.example/\\b",
            "https://app.example\\@attacker.example/",
            "https://äpp.example/",
            "https://app.example/é",
            "http://app.example/",
            "http://localhost/callback",
            "http://127.0.0.2/",
            "http://127.1/",
            "http://0x7f.0.0.1/",
            "http://127.0.0.1.attacker.example/",
            "javascript:/alert",
            "data:/x",
            "myapp:/callback",
            "com.example.app://callback/",
            "com.example.app:callback",
            "com..app:/callback",
            "Com.example.app:/callback",
            long.as_str(),
        ] {
            assert!(bad.parse::<RedirectUri>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_registered_address_admits_its_own_text_alone() {
        let registered = uri("https://app.example/callback?x=1");
        assert!(registered.admits(&registered));
        for other in [
            "https://app.example/callback",
            "https://app.example/callback/?x=1",
            "https://app.example/callback?x=12",
            "https://app.example/callback?x=1&y=2",
            "https://app.example/Callback?x=1",
            "https://app.example:443/callback?x=1",
            "https://sub.app.example/callback?x=1",
            "https://app.example.attacker.example/callback?x=1",
            "http://127.0.0.1/callback?x=1",
        ] {
            assert!(!registered.admits(&uri(other)), "{other}");
        }
    }

    #[test]
    fn the_port_of_a_loopback_address_is_free_and_nothing_else_of_it() {
        for registered in ["http://127.0.0.1/callback", "http://127.0.0.1:8000/callback"] {
            let registered = uri(registered);
            for port in ["", ":1", ":8000", ":65535"] {
                assert!(registered.admits(&uri(&format!("http://127.0.0.1{port}/callback"))), "{port}");
            }
            for other in ["http://[::1]/callback", "http://127.0.0.1:80/callback/", "http://127.0.0.1:80/"] {
                assert!(!registered.admits(&uri(other)), "{other}");
            }
        }
        let web = uri("https://127.0.0.1:8000/callback");
        assert!(!web.admits(&uri("https://127.0.0.1:8001/callback")));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic_and_what_is_read_is_the_text(text in "\\PC{0,60}", port: u16) {
            for text in [text.clone(), format!("https://{text}"), format!("http://127.0.0.1:{port}/{text}")] {
                if let Ok(read) = text.parse::<RedirectUri>() {
                    prop_assert_eq!(read.as_str(), &text);
                    prop_assert!(read.admits(&read) && text.contains(read.host()));
                    prop_assert!(!text.contains(['#', '@', '\\', ' ']) || read.host() != text);
                }
            }
        }
    }
}
