//! Where and how the gate listens, as the command line says it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use i3_broker::{Certificates, ClientCertificates, Listener, Tls, Transport};

use crate::Failure;

/// Whether MQTT clients must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ClientCertificateOption {
    /// Who shows none is turned away
    Required,
    /// Who shows none may log in; a bad one is turned away
    Optional,
}

/// Where the MQTT gate listens.
#[derive(Debug, Clone, Args)]
pub struct MqttOptions {
    /// Where the MQTT gate listens
    #[arg(long, env = "I3_MQTT", value_name = "ADDRESS", default_value = "127.0.0.1:1883")]
    pub mqtt: SocketAddr,
    /// Where it listens for MQTT over TLS
    #[arg(long, env = "I3_MQTT_TLS", value_name = "ADDRESS", requires_all = ["tls_cert", "tls_key"])]
    pub mqtt_tls: Option<SocketAddr>,
    /// Where it listens for MQTT over WebSocket
    #[arg(long, env = "I3_MQTT_WS", value_name = "ADDRESS")]
    pub mqtt_ws: Option<SocketAddr>,
    /// Where it listens for MQTT over WebSocket over TLS
    #[arg(long, env = "I3_MQTT_WSS", value_name = "ADDRESS", requires_all = ["tls_cert", "tls_key"])]
    pub mqtt_wss: Option<SocketAddr>,
    /// The certificate chain for TLS, as PEM, the server's own first; read again at SIGHUP, as are key and
    /// authorities
    #[arg(long, env = "I3_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, as PEM
    #[arg(long, env = "I3_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// The authorities of client certificates, as PEM. A certificate is asked for besides the login, not
    /// instead of it
    #[arg(long, env = "I3_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
    /// Whether clients must show a certificate of such an authority
    #[arg(long, env = "I3_TLS_CLIENT_CERT", value_enum, default_value = "required")]
    pub tls_client_cert: ClientCertificateOption,
}

/// Certificates with the files that they come from.
#[derive(Debug, Clone)]
pub(crate) struct TlsFiles {
    chain: PathBuf,
    key: PathBuf,
    authorities: Option<PathBuf>,
    clients: ClientCertificates,
    tls: Tls,
}

impl MqttOptions {
    /// The certificates, if there is something to use them for.
    pub(crate) fn tls(&self) -> Result<Option<TlsFiles>, Failure> {
        let (Some(chain), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        if self.mqtt_tls.is_none() && self.mqtt_wss.is_none() {
            return Ok(None);
        }
        let clients = match self.tls_client_cert {
            ClientCertificateOption::Required => ClientCertificates::Required,
            ClientCertificateOption::Optional => ClientCertificates::Optional,
        };
        let authorities = self.tls_client_ca.clone();
        let tls = Tls::new(read(chain, key, authorities.as_deref(), clients)?);
        Ok(Some(TlsFiles { chain: chain.clone(), key: key.clone(), authorities, clients, tls }))
    }

    /// What the gate is to listen at, plain TCP first.
    pub(crate) fn listeners(&self, tls: Option<&TlsFiles>) -> Vec<Listener> {
        let mut listeners = vec![Listener::tcp(self.mqtt)];
        if let (Some(address), Some(files)) = (self.mqtt_tls, tls) {
            listeners.push(Listener::tls(address, files.tls.clone()));
        }
        listeners.extend(self.mqtt_ws.map(Listener::websocket));
        if let (Some(address), Some(files)) = (self.mqtt_wss, tls) {
            listeners.push(Listener::secure_websocket(address, files.tls.clone()));
        }
        listeners
    }
}

impl TlsFiles {
    /// Reads the files again. If that fails, what was in use stays so.
    pub(crate) fn reload(&self) -> Result<(), Failure> {
        self.tls.replace(read(&self.chain, &self.key, self.authorities.as_deref(), self.clients)?);
        Ok(())
    }

    /// Reads the files again whenever the process is told to (SIGHUP).
    #[cfg(unix)]
    pub(crate) fn reload_when_told(self) -> Result<impl Future<Output = ()>, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut told = signal(SignalKind::hangup())
            .map_err(|error| Failure::new("signals", format!("SIGHUP cannot be waited for: {error}")))?;
        Ok(async move {
            while told.recv().await.is_some() {
                match self.reload() {
                    Ok(()) => tracing::info!("the TLS certificates were read again"),
                    Err(failure) => tracing::error!("the TLS certificates stay as they were: {failure}"),
                }
            }
        })
    }
}

/// What a listener speaks, for people.
pub(crate) fn spoken(transport: &Transport) -> &'static str {
    match transport {
        Transport::Tls(_) => " over TLS",
        Transport::WebSocket => " over WebSocket",
        Transport::SecureWebSocket(_) => " over WebSocket over TLS",
        _ => "",
    }
}

fn read(
    chain: &Path,
    key: &Path,
    authorities: Option<&Path>,
    clients: ClientCertificates,
) -> Result<Certificates, Failure> {
    let (chain, key) = (contents(chain)?, contents(key)?);
    Ok(match authorities {
        None => Certificates::from_pem(&chain, &key)?,
        Some(authorities) => {
            Certificates::with_client_authorities(&chain, &key, &contents(authorities)?, clients)?
        }
    })
}

fn contents(file: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::new("certificates", format!("{} cannot be read: {error}", file.display()));
    std::fs::read(file).map_err(failed)
}
