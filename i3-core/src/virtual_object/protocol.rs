//! How objects are reached: protocols and resource URIs.

use std::str::FromStr;

use fluent_uri::Uri;

use crate::name::Slug;

/// A protocol that an object speaks: one of the paper's four (section 5.1), or any other by its name.
///
/// In text a [`Slug`]: `coap`, `http`, `mqtt`, `websocket`, `opc-ua`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// CoAP (RFC 7252; over TCP, TLS and WebSocket RFC 8323).
    Coap,
    /// HTTP.
    Http,
    /// MQTT.
    Mqtt,
    /// WebSocket (RFC 6455).
    WebSocket,
    /// Another one. Never one of the names above.
    Other(OtherProtocol),
}

/// The name of a protocol that has no variant of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OtherProtocol(Slug);

/// A text that names no protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a protocol: `coap`, `http`, `mqtt`, `websocket` or another name of a-z, 0-9 and inner hyphens")]
pub struct InvalidProtocol;

impl Protocol {
    /// The name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Coap => "coap",
            Self::Http => "http",
            Self::Mqtt => "mqtt",
            Self::WebSocket => "websocket",
            Self::Other(OtherProtocol(name)) => name.as_str(),
        }
    }

    /// Whether addresses of this scheme, in lower case, are spoken to in this protocol. The scheme of a protocol
    /// without a variant is its name.
    pub fn has_scheme(&self, scheme: &str) -> bool {
        match self {
            Self::Coap => {
                matches!(scheme, "coap" | "coaps" | "coap+tcp" | "coaps+tcp" | "coap+ws" | "coaps+ws")
            }
            Self::Http => matches!(scheme, "http" | "https"),
            Self::Mqtt => matches!(scheme, "mqtt" | "mqtts"),
            Self::WebSocket => matches!(scheme, "ws" | "wss"),
            Self::Other(OtherProtocol(name)) => name.as_str() == scheme,
        }
    }
}

impl FromStr for Protocol {
    type Err = InvalidProtocol;

    fn from_str(text: &str) -> Result<Self, InvalidProtocol> {
        Ok(match text {
            "coap" => Self::Coap,
            "http" => Self::Http,
            "mqtt" => Self::Mqtt,
            "websocket" => Self::WebSocket,
            other => Self::Other(OtherProtocol(other.parse().map_err(|_| InvalidProtocol)?)),
        })
    }
}

/// Where an object is reached: an absolute URI (RFC 3986) with an authority, at most 512 ASCII characters, scheme in
/// lower case. No user information, which would publish somebody's password, no fragment, and no scheme that makes a
/// browser run or read something.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceUri(String);

/// A text that is no [`ResourceUri`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a resource URI: {0}")]
pub struct InvalidResourceUri(&'static str);

impl ResourceUri {
    /// The longest one, in characters.
    pub const MAX: usize = 512;

    /// Schemes by which a link could run a program or read a file where it is shown.
    const FORBIDDEN: [&'static str; 7] =
        ["about", "blob", "data", "file", "filesystem", "javascript", "vbscript"];

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The scheme.
    pub fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }
}

impl FromStr for ResourceUri {
    type Err = InvalidResourceUri;

    fn from_str(text: &str) -> Result<Self, InvalidResourceUri> {
        let refuse = |why| Err(InvalidResourceUri(why));
        if text.len() > Self::MAX {
            return refuse("at most 512 characters are allowed");
        }
        let Ok(uri) = Uri::parse(text) else {
            return refuse("it does not follow RFC 3986: `coap://192.0.2.1/led` does");
        };
        let scheme = uri.scheme().as_str();
        if scheme.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return refuse("the scheme is not in lower case");
        }
        if Self::FORBIDDEN.contains(&scheme) {
            return refuse("the scheme names no protocol of things");
        }
        let Some(authority) = uri.authority() else { return refuse("`//` and a host are missing") };
        if authority.has_userinfo() {
            return refuse("user information is not allowed: everybody would see it");
        }
        if authority.host().is_empty() {
            return refuse("the host is missing");
        }
        if authority.port_to_u16().is_err() {
            return refuse("the port is no number up to 65535");
        }
        if uri.has_fragment() {
            return refuse("a fragment is not allowed");
        }
        Ok(Self(text.to_owned()))
    }
}

text_forms!(Protocol, ResourceUri);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_protocol_has_one_value_for_each_name() {
        for (name, protocol) in [
            ("coap", Protocol::Coap),
            ("http", Protocol::Http),
            ("mqtt", Protocol::Mqtt),
            ("websocket", Protocol::WebSocket),
        ] {
            assert_eq!(name.parse::<Protocol>().unwrap(), protocol);
            assert_eq!(protocol.to_string(), name);
        }
        let other: Protocol = "opc-ua".parse().unwrap();
        assert!(other.has_scheme("opc-ua") && !other.has_scheme("http"));
        for bad in ["", "CoAP", "web socket", "a\u{200b}", "../etc", "<b>"] {
            assert!(bad.parse::<Protocol>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_of_things_are_taken() {
        for (good, scheme) in [
            ("coap://129.21.121.1", "coap"),
            ("coaps+tcp://[2001:db8::1]:5684/led?colour=blue", "coaps+tcp"),
            ("https://things.example/led%20blue", "https"),
            ("mqtt://broker.example:1883/i3/acme/air", "mqtt"),
            ("ws://192.0.2.1:8080/", "ws"),
            ("opc-ua://plc.local", "opc-ua"),
        ] {
            let uri: ResourceUri = good.parse().unwrap_or_else(|error| panic!("{good}: {error}"));
            assert_eq!((uri.as_str(), uri.scheme()), (good, scheme));
        }
    }

    #[test]
    fn what_is_no_address_of_a_thing_is_refused() {
        let long = format!("coap://192.0.2.1/{}", "a".repeat(512));
        for bad in [
            "",
            "led",
            "//192.0.2.1/led",
            "coap:led",
            "coap://",
            "coap:///led",
            "COAP://192.0.2.1",
            "coap://user@192.0.2.1/",
            "coap://user:secret@192.0.2.1/",
            "coap://192.0.2.1/#part",
            "coap://192.0.2.1:99999/",
            "coap://192.0.2.1/a b",
            "coap://192.0.2.1/\u{202e}",
            "coap://192.0.2.1/\"><script>",
            "coap://192.0.2.1/%zz",
            "javascript://192.0.2.1/%0aalert(1)",
            "data://text/html,x",
            "file://host/etc/passwd",
            "http://{{HOST}}/led",
            long.as_str(),
        ] {
            assert!(bad.parse::<ResourceUri>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_the_text_and_has_its_scheme(text in "\\PC{0,60}") {
            for text in [text.clone(), format!("coap://{text}")] {
                if let Ok(uri) = text.parse::<ResourceUri>() {
                    prop_assert_eq!(uri.as_str(), &text);
                    prop_assert!(!uri.scheme().is_empty() && text.is_ascii());
                }
            }
        }
    }
}
