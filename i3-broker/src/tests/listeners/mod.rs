//! TLS, WebSocket and limits, over real sockets.

mod deadlines;
mod limits;
mod mosquitto;
mod peer;
mod pki;
mod slow;
mod tls;
mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use self::peer::Peer;
use self::pki::{Authority, Pair};
use super::{NEVER, PATIENCE, Scene, TOPIC, eventually, in_time};
use crate::{GateConfig, Listener, Tls};

/// A gate that listens in all four ways.
struct Listening {
    scene: Scene,
    authority: Authority,
    server: Pair,
    tls: Tls,
    trusting: Arc<ClientConfig>,
}

/// A way to reach it, by its place among the listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Tcp,
    Tls,
    WebSocket,
    SecureWebSocket,
}

const ALL: [By; 4] = [By::Tcp, By::Tls, By::WebSocket, By::SecureWebSocket];

impl Listening {
    async fn new(quota: u64, set: impl FnOnce(&mut GateConfig)) -> Self {
        let authority = Authority::new("authority");
        let server = authority.server();
        let tls = Tls::new(server.certificates());
        let scene = Scene::in_memory(quota, |config| {
            let any = config.listeners[0].address;
            config.listeners.push(Listener::tls(any, tls.clone()));
            config.listeners.push(Listener::websocket(any));
            config.listeners.push(Listener::secure_websocket(any, tls.clone()));
            set(config);
        })
        .await;
        let trusting = authority.trusting().config();
        Self { scene, authority, server, tls, trusting }
    }

    fn address(&self, by: By) -> SocketAddr {
        self.scene.gate.local_addrs()[by as usize]
    }

    fn open(&self, by: By) -> Peer {
        self.open_over(by, peer::tcp(self.address(by)))
    }

    fn open_over(&self, by: By, socket: peer::Socket) -> Peer {
        match by {
            By::Tcp => Peer::new(socket),
            By::Tls => Peer::new(peer::tls(socket, &self.trusting)),
            By::WebSocket => Peer::new(peer::websocket(socket)),
            By::SecureWebSocket => Peer::new(peer::websocket(peer::tls(socket, &self.trusting))),
        }
    }

    fn device(&self, by: By) -> Peer {
        self.open(by).login(&format!("device {by:?}"), "device")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_transports_reach_the_same_sessions() {
    let listening = Listening::new(1_000, |_| {}).await;
    assert_eq!(listening.scene.gate.local_addr(), listening.address(By::Tcp));
    let mut buyers = ALL.map(|by| {
        let mut buyer = listening.open(by).login(&format!("buyer {by:?}"), "order");
        buyer.subscribe(0);
        buyer
    });
    for by in ALL {
        let mut device = listening.device(by);
        for length in [0, 1, 16_380, 16_384, 16_385, 200_000] {
            let payload: Vec<_> = (0..length).map(|at: u32| at.to_le_bytes()[1]).collect();
            assert!(device.publish_acked(&payload), "{length} bytes by {by:?}");
            for buyer in &mut buyers {
                assert!(buyer.message().unwrap() == payload, "{length} bytes by {by:?}");
            }
        }
        // DISCONNECT
        device.send(&[0xe0, 0]);
        assert!(device.is_closed());
    }
    eventually("each is counted", || listening.scene.gate.stats().delivered == 4 * 4 * 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_comes_whole_and_in_order_by_every_transport() {
    const MESSAGES: u32 = 20_000;
    let listening = Listening::new(1_000_000, |_| {}).await;
    for by in ALL {
        let mut buyer = listening.open(by).login("buyer", "order");
        buyer.subscribe(0);
        let mut device = listening.device(by);
        let sending = std::thread::spawn(move || {
            for number in 0..MESSAGES {
                device.publish(&number.to_be_bytes());
            }
            device
        });
        for number in 0..MESSAGES {
            assert_eq!(buyer.message().unwrap(), number.to_be_bytes(), "by {by:?}");
        }
        drop(sending.join().unwrap());
    }
    assert_eq!(listening.scene.gate.stats().missed.slow, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_counted_by_what_carries_them_while_they_are_there() {
    let listening = Listening::new(10, |_| {}).await;
    let counted = |by: By| {
        let label = match by {
            By::Tcp => "tcp",
            By::Tls => "tls",
            By::WebSocket => "websocket",
            By::SecureWebSocket => "secure_websocket",
        };
        let text = listening.scene.gate.metrics().text();
        let line = format!("i3_gate_connections{{transport=\"{label}\"}} ");
        text.lines().find_map(|sample| sample.strip_prefix(&line)).unwrap().to_owned()
    };
    for by in ALL {
        let client = listening.open(by).login("buyer", "order");
        for other in ALL {
            assert_eq!(counted(other), if other == by { "1" } else { "0" }, "{other:?} by {by:?}");
        }
        drop(client);
        eventually("it is gone", || counted(by) == "0").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_listens_at_all_its_addresses_or_at_none() {
    // An address that nobody else on this machine takes ports of.
    let free = std::net::TcpListener::bind("127.0.0.77:0").unwrap();
    let free_at = free.local_addr().unwrap();
    drop(free);
    let start = |listeners| async {
        let market = Arc::new(super::market::Market::new(1));
        let mut config = GateConfig::new(free_at);
        config.listeners = listeners;
        crate::Gate::start(config, super::ports(&market), Arc::new(crate::log::MemoryLog::default())).await
    };
    assert!(matches!(start(Vec::new()).await.unwrap_err(), crate::GateError::NoListener));
    let holder = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let held = holder.local_addr().unwrap();
    let refused = start(vec![Listener::tcp(free_at), Listener::websocket(held)]).await.unwrap_err();
    assert!(matches!(refused, crate::GateError::AddressInUse(address) if address == held));
    let closed = std::net::TcpStream::connect_timeout(&free_at, PATIENCE);
    assert!(closed.is_err(), "the first address is not listened at either");
}
