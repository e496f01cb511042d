//! Certificates for tests, and TLS clients that use them.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use crate::{Certificates, ClientCertificates};

/// A certificate authority.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) pem: String,
    der: CertificateDer<'static>,
}

/// A certificate with its key, as PEM.
pub(super) struct Pair {
    pub(super) chain: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), pem, der }
    }

    fn sign(&self, names: &[&str], purpose: ExtendedKeyUsagePurpose) -> Pair {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { chain: certificate.pem(), key: key.serialize_pem() }
    }

    pub(super) fn server(&self) -> Pair {
        self.sign(&["localhost", "127.0.0.1"], ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub(super) fn client(&self) -> Pair {
        self.sign(&["device"], ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A client that trusts this authority.
    pub(super) fn trusting(&self) -> Trust {
        Trust { authority: self.der.clone(), pair: None, versions: rustls::ALL_VERSIONS, alpn: Vec::new() }
    }
}

impl Pair {
    pub(super) fn certificates(&self) -> Certificates {
        Certificates::from_pem(self.chain.as_bytes(), self.key.as_bytes()).unwrap()
    }

    pub(super) fn asking(&self, authority: &Authority, clients: ClientCertificates) -> Certificates {
        let (chain, key) = (self.chain.as_bytes(), self.key.as_bytes());
        Certificates::with_client_authorities(chain, key, authority.pem.as_bytes(), clients).unwrap()
    }
}

/// How a TLS client behaves.
#[derive(Clone)]
pub(super) struct Trust {
    authority: CertificateDer<'static>,
    pair: Option<(CertificateDer<'static>, Arc<PrivateKeyDer<'static>>)>,
    versions: &'static [&'static SupportedProtocolVersion],
    alpn: Vec<Vec<u8>>,
}

impl Trust {
    pub(super) fn showing(mut self, pair: &Pair) -> Self {
        let chain = CertificateDer::from_pem_slice(pair.chain.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        self.pair = Some((chain, Arc::new(key)));
        self
    }

    pub(super) fn speaking(mut self, versions: &'static [&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions;
        self
    }

    pub(super) fn offering(mut self, protocol: &str) -> Self {
        self.alpn.push(protocol.as_bytes().to_vec());
        self
    }

    /// The configuration; with one of its own, a client resumes sessions.
    pub(super) fn config(self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.pair {
            Some((chain, key)) => builder.with_client_auth_cert(vec![chain], key.clone_key()).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        config.resumption = Resumption::in_memory_sessions(8);
        Arc::new(config)
    }
}
