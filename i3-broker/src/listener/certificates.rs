//! What a TLS listener shows to clients and wants to see of them.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// Whether clients must show a certificate of their own.
///
/// Such a certificate only opens the transport: it is a second lock before the login. Who a client is, and what
/// it may do, is told by its MQTT login alone, whatever name its certificate carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Without a good one the handshake fails.
    Required,
    /// One that is shown must be good; who shows none is let through to the login.
    Optional,
}

/// A certificate chain with its key, and the authorities of client certificates if there are any: checked when
/// made. Revocation lists are not read; replace the authorities, or let the marketplace refuse the login.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// For MQTT itself, and for HTTP.
    mqtt: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
}

/// Certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The text is not PEM.
    #[error("the {what} cannot be read: {reason}")]
    Pem {
        /// Which text.
        what: &'static str,
        /// What is wrong with it. Says nothing of its content.
        reason: String,
    },
    /// The text has no certificate.
    #[error("the {0} holds no certificate")]
    Empty(&'static str),
    /// Key and certificate do not fit each other, or are of a kind that is not supported.
    #[error("the certificate and its key cannot be used")]
    Unusable(#[source] rustls::Error),
    /// What is given as an authority cannot be one.
    #[error("a certificate authority cannot be used")]
    Authority(#[source] rustls::Error),
}

const CHAIN: &str = "certificate chain";
const AUTHORITIES: &str = "client certificate authorities";

impl Certificates {
    /// From PEM: the chain, the server's own certificate first, and its private key (PKCS #8, PKCS #1 or SEC 1).
    /// Clients are asked for no certificate.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        Self::build(chain, key, None)
    }

    /// The same with clients asked for a certificate that one of these authorities (PEM) has signed.
    pub fn with_client_authorities(
        chain: &[u8],
        key: &[u8],
        authorities: &[u8],
        clients: ClientCertificates,
    ) -> Result<Self, CertificateError> {
        Self::build(chain, key, Some((authorities, clients)))
    }

    fn build(
        chain: &[u8],
        key: &[u8],
        clients: Option<(&[u8], ClientCertificates)>,
    ) -> Result<Self, CertificateError> {
        let chain = certificates(chain, CHAIN)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| CertificateError::Pem { what: "private key", reason: reason(&error) })?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        // TLS 1.2 and 1.3; older ones are not known to rustls.
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(CertificateError::Unusable)?;
        let config = match clients {
            None => config.with_no_client_auth(),
            Some((authorities, clients)) => {
                config.with_client_cert_verifier(verifier(authorities, clients, provider)?)
            }
        };
        let config = config.with_single_cert(chain, key).map_err(CertificateError::Unusable)?;
        // A client that names protocols means one of these; one that names none means what is spoken here.
        let naming = |protocol: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(config)
        };
        Ok(Self { mqtt: naming(b"mqtt"), http: naming(b"http/1.1") })
    }
}

fn verifier(
    authorities: &[u8],
    clients: ClientCertificates,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, CertificateError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(authorities, AUTHORITIES)? {
        roots.add(authority).map_err(CertificateError::Authority)?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match clients {
        ClientCertificates::Required => builder,
        ClientCertificates::Optional => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|_| CertificateError::Empty(AUTHORITIES))
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| CertificateError::Pem { what, reason: reason(&error) })?;
    if read.is_empty() { Err(CertificateError::Empty(what)) } else { Ok(read) }
}

/// Some of these errors quote the text, which may be a key.
fn reason(error: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error;
    match error {
        Error::MissingSectionEnd { .. } => "a section does not end",
        Error::IllegalSectionStart { .. } => "a section begins badly",
        Error::Base64Decode(_) => "a section is not base64",
        Error::SectionTooLarge => "a section is too large",
        Error::NoItemsFound => "there is no such section",
        _ => "not PEM",
    }
    .to_owned()
}

/// The certificates that one or more listeners use now. Clones share them, so that [`Tls::replace`] on one
/// reaches all.
#[derive(Debug, Clone)]
pub struct Tls(Arc<RwLock<Certificates>>);

/// What is spoken within TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Protocol {
    Mqtt,
    Http,
}

impl Tls {
    /// With these to begin with.
    pub fn new(certificates: Certificates) -> Self {
        Self(Arc::new(RwLock::new(certificates)))
    }

    /// Uses these from the next handshake on. Connections that exist are left alone; TLS sessions of before are
    /// not resumed, so that no client gets round new authorities.
    pub fn replace(&self, certificates: Certificates) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certificates;
    }

    pub(crate) fn current(&self, protocol: Protocol) -> Arc<ServerConfig> {
        let certificates = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(match protocol {
            Protocol::Mqtt => &certificates.mqtt,
            Protocol::Http => &certificates.http,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn refused(chain: &str, key: &str) -> CertificateError {
        Certificates::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_cannot_be_used_is_refused_when_it_is_read() {
        let (chain, key) = pair();
        let (other, _) = pair();
        assert!(Certificates::from_pem(chain.as_bytes(), key.as_bytes()).is_ok());
        assert!(matches!(refused("", &key), CertificateError::Empty(CHAIN)));
        assert!(matches!(refused(&key, &key), CertificateError::Empty(CHAIN)));
        assert!(matches!(refused(&chain, ""), CertificateError::Pem { what: "private key", .. }));
        assert!(matches!(refused(&chain, &chain), CertificateError::Pem { what: "private key", .. }));
        assert!(matches!(refused(&other, &key), CertificateError::Unusable(_)), "not its key");
        let cut = chain.split("-----END").next().unwrap();
        assert!(matches!(refused(cut, &key), CertificateError::Pem { what: CHAIN, .. }));
        let without = Certificates::with_client_authorities(
            chain.as_bytes(),
            key.as_bytes(),
            b"",
            ClientCertificates::Required,
        );
        assert!(matches!(without.unwrap_err(), CertificateError::Empty(AUTHORITIES)));
    }

    #[test]
    fn no_error_quotes_the_key() {
        let (chain, key) = pair();
        let secret = key.lines().nth(1).unwrap();
        let broken = [
            key.replace("-----END", "-----AND"),
            key.replace(secret, &format!("{secret}!")),
            key.replace("BEGIN", &format!("{secret} BEGIN")),
            secret.to_owned(),
        ];
        for text in broken {
            let error = refused(&chain, &text);
            assert!(!format!("{error} {error:?}").contains(secret.get(..10).unwrap()), "{error:?}");
        }
    }
}
