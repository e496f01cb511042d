//! How servers are reached.

use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;

use crate::Error;

/// How long connecting may take, apart from the whole request's time.
const CONNECTING: Duration = Duration::from_secs(10);

fn plain() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECTING));
    connector.set_nodelay(true);
    connector
}

#[cfg(feature = "tls")]
pub(crate) type Connector = hyper_rustls::HttpsConnector<HttpConnector>;

/// With these authorities (PEM) instead of the usual ones, if some are given.
#[cfg(feature = "tls")]
pub(crate) fn connector(authorities: Option<&[u8]>) -> Result<Connector, Error> {
    use std::sync::Arc;

    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::{ClientConfig, RootCertStore};

    let bad =
        |error: &dyn std::fmt::Display| Error::Request(format!("the authorities cannot be used: {error}"));
    let mut roots = RootCertStore::empty();
    match authorities {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| bad(&error))?;
                roots.add(certificate).map_err(|error| bad(&error))?;
            }
            if roots.is_empty() {
                return Err(bad(&"there is no certificate in the text"));
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut http = plain();
    http.enforce_http(false);
    Ok(hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http))
}

#[cfg(not(feature = "tls"))]
pub(crate) type Connector = HttpConnector;

/// There is no TLS: authorities have nothing to vouch for.
#[cfg(not(feature = "tls"))]
pub(crate) fn connector(authorities: Option<&[u8]>) -> Result<Connector, Error> {
    match authorities {
        None => Ok(plain()),
        Some(_) => Err(Error::Request(crate::InvalidServer::NoTls.to_string())),
    }
}
