//! Certificates of both sides.

use std::io::{Read, Write};

use rustls::version::{TLS12, TLS13};

use super::super::client::Hello;
use super::*;
use crate::ClientCertificates;

const OLDER: &[&rustls::SupportedProtocolVersion] = &[&TLS12];
const NEWER: &[&rustls::SupportedProtocolVersion] = &[&TLS13];

/// Whether a client with this configuration gets as far as the login, and what it is told there.
fn tries(listening: &Listening, config: &Arc<ClientConfig>) -> Option<u8> {
    Peer::new(peer::tls(peer::tcp(listening.address(By::Tls)), config)).hello(&Hello::new("x", "device"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_spoken_in_both_versions_and_in_no_other_protocol() {
    let listening = Listening::new(1, |_| {}).await;
    let trusting = || listening.authority.trusting();
    assert_eq!(tries(&listening, &trusting().speaking(OLDER).config()), Some(0));
    assert_eq!(tries(&listening, &trusting().speaking(NEWER).config()), Some(0));
    assert_eq!(tries(&listening, &trusting().offering("mqtt").config()), Some(0));
    assert_eq!(tries(&listening, &trusting().offering("h2").config()), None, "that is another protocol");
    let stranger = Authority::new("stranger").trusting().config();
    assert_eq!(tries(&listening, &stranger), None, "the client knows whom it trusts");
    let mut plain = peer::tcp(listening.address(By::Tls));
    plain.write_all(&Hello::new("x", "device").packet()).unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert_eq!(answer[..2], [21, 3], "MQTT without TLS is answered with an alert");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_required_client_certificate_is_a_second_lock_and_no_login() {
    let listening = Listening::new(1, |_| {}).await;
    let devices = Authority::new("devices");
    listening.tls.replace(listening.server.asking(&devices, ClientCertificates::Required));
    let trusting = || listening.authority.trusting();
    for versions in [OLDER, NEWER] {
        let trusting = || trusting().speaking(versions);
        assert_eq!(tries(&listening, &trusting().config()), None, "no certificate");
        let forged = trusting().showing(&Authority::new("devices").client()).config();
        assert_eq!(tries(&listening, &forged), None, "an authority of the same name");
        let of_a_server = trusting().showing(&devices.server()).config();
        assert_eq!(tries(&listening, &of_a_server), None, "a certificate for something else");
        let good = trusting().showing(&devices.client()).config();
        assert_eq!(tries(&listening, &good), Some(0));
        let mut wrong = Peer::new(peer::tls(peer::tcp(listening.address(By::Tls)), &good));
        let hello = Hello { password: "wrong", ..Hello::new("x", "device") };
        assert_eq!(wrong.hello(&hello), Some(5), "the login still counts");
    }
    assert_eq!(listening.scene.gate.stats().logins, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_optional_client_certificate_may_be_missing_but_not_bad() {
    let listening = Listening::new(1, |_| {}).await;
    let devices = Authority::new("devices");
    listening.tls.replace(listening.server.asking(&devices, ClientCertificates::Optional));
    let trusting = || listening.authority.trusting();
    assert_eq!(tries(&listening, &trusting().config()), Some(0));
    assert_eq!(tries(&listening, &trusting().showing(&devices.client()).config()), Some(0));
    let forged = Authority::new("others").client();
    assert_eq!(tries(&listening, &trusting().showing(&forged).config()), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_replaced_without_a_restart() {
    let listening = Listening::new(100, |_| {}).await;
    let mut before = listening.device(By::Tls);
    let mut over_websocket = listening.device(By::SecureWebSocket);
    let next = Authority::new("next");
    listening.tls.replace(next.server().certificates());
    assert_eq!(tries(&listening, &listening.authority.trusting().config()), None, "the old one is gone");
    let trusting = next.trusting().config();
    assert_eq!(tries(&listening, &trusting), Some(0));
    let secured = peer::tls(peer::tcp(listening.address(By::SecureWebSocket)), &trusting);
    assert_eq!(Peer::new(peer::websocket(secured)).hello(&Hello::new("x", "device")), Some(0));
    assert!(before.publish_acked(b"x") && over_websocket.publish_acked(b"x"), "who is connected stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_is_resumed_past_replaced_authorities() {
    let listening = Listening::new(1, |_| {}).await;
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    listening.tls.replace(listening.server.asking(&old, ClientCertificates::Required));
    for versions in [OLDER, NEWER] {
        listening.tls.replace(listening.server.asking(&old, ClientCertificates::Required));
        let config = listening.authority.trusting().speaking(versions).showing(&old.client()).config();
        let resumes = |config: &Arc<ClientConfig>| {
            let mut secured = peer::tls(peer::tcp(listening.address(By::Tls)), config);
            while secured.conn.is_handshaking() {
                secured.conn.complete_io(&mut secured.sock).ok()?;
            }
            let kind = secured.conn.handshake_kind();
            let mut peer = Peer::new(secured);
            // Tickets of TLS 1.3 come with the first data.
            peer.hello(&Hello::new("x", "device"))?;
            Some(kind == Some(rustls::HandshakeKind::Resumed))
        };
        assert_eq!(resumes(&config), Some(false));
        assert_eq!(resumes(&config), Some(true), "sessions are resumed as such");
        listening.tls.replace(listening.server.asking(&new, ClientCertificates::Required));
        assert_eq!(resumes(&config), None, "but not past the new authority");
    }
}
