//! Where a marketplace is.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::Uri;

/// The address that a marketplace is mounted at: `https://market.example`, or with a path below which its `/api/v1`
/// is. Without a name and a password in it: those would end up in logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server(String);

/// A text that is no [`Server`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidServer {
    /// It is no such address.
    #[error("`http://HOST[:PORT][/PATH]` is expected, or `https://…`")]
    Shape,
    /// It is reached by TLS, which this program was built without.
    #[error("this program was built without TLS (feature `tls`)")]
    NoTls,
}

impl Server {
    /// The address without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether everything that is sent there goes through a tunnel or stays on this machine: passwords and tokens go
    /// nowhere else unless that is allowed (RFC 6750, section 5.3).
    pub fn is_private(&self) -> bool {
        let Some(rest) = self.0.strip_prefix("http://") else { return true };
        let authority = rest.split('/').next().unwrap_or_default();
        let host = match authority.strip_prefix('[') {
            Some(literal) => literal.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for Server {
    type Err = InvalidServer;

    fn from_str(text: &str) -> Result<Self, InvalidServer> {
        let uri: Uri = text.parse().map_err(|_| InvalidServer::Shape)?;
        let authority = uri.authority().ok_or(InvalidServer::Shape)?;
        if authority.host().is_empty() || authority.as_str().contains('@') || uri.query().is_some() {
            return Err(InvalidServer::Shape);
        }
        match uri.scheme_str() {
            Some("https") if !cfg!(feature = "tls") => Err(InvalidServer::NoTls),
            Some(scheme @ ("http" | "https")) => {
                let path = uri.path().trim_end_matches('/');
                Ok(Self(format!("{scheme}://{authority}{path}")))
            }
            _ => Err(InvalidServer::Shape),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_address_without_a_password() {
        let server: Server = "http://127.0.0.1:8080/shop/".parse().unwrap();
        assert_eq!(server.as_str(), "http://127.0.0.1:8080/shop");
        for wrong in ["", "127.0.0.1:8080", "/shop", "ftp://a", "http://a:b@c", "http://a/?b", "http:///a"] {
            assert_eq!(wrong.parse::<Server>(), Err(InvalidServer::Shape), "{wrong}");
        }
    }

    #[test]
    fn only_this_machine_is_private_without_tls() {
        for private in ["http://127.0.0.1:80", "http://[::1]:80", "http://LOCALHOST/x"] {
            assert!(private.parse::<Server>().unwrap().is_private(), "{private}");
        }
        for open in [
            "http://10.0.0.1",
            "http://127.0.0.1.example",
            "http://[2001:db8::1]",
            "http://localhost.example",
        ] {
            assert!(!open.parse::<Server>().unwrap().is_private(), "{open}");
        }
        #[cfg(feature = "tls")]
        assert!("https://market.example".parse::<Server>().unwrap().is_private());
    }
}
