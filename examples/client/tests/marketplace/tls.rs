//! A marketplace behind TLS, as a proxy in front of it does it.

use std::net::SocketAddr;
use std::sync::Arc;

use i3_client::{Client, Error, Settings};
use i3_core::market::Registration;
use i3_marketplace::{AppState, router};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::TlsAcceptor;

use crate::support::{House, serve, sign_in};

/// Passes on what comes by TLS; gives its address and its certificate as PEM.
async fn tunnel(to: SocketAddr) -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (outside, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Who does not trust the certificate goes away again.
                let Ok(mut outside) = acceptor.accept(outside).await else { return };
                let mut inside = tokio::net::TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    (address, made.cert.pem())
}

#[tokio::test]
async fn a_server_is_asked_by_tls_if_somebody_who_is_trusted_vouches_for_it() {
    let house = House::open(Registration::Open).await;
    let plain = serve(router(AppState::from(&house.assembly))).await;
    let (address, certificate) = tunnel(plain).await;
    let settings =
        || Settings::new(format!("https://localhost:{}", address.port()).parse().unwrap()).tries(1);

    let client = Client::new(settings().authorities(certificate)).unwrap();
    let admin = sign_in(&client, "admin").await;
    assert_eq!(admin.show_me().await.unwrap().name.as_str(), "admin");

    let error = Client::new(settings()).unwrap().health().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "nobody vouches for it: {error:?}");
    let nonsense = Client::new(settings().authorities("no certificate")).unwrap_err();
    assert!(nonsense.to_string().contains("certificate"), "{nonsense}");
}
