//! How much one address and all clients together may use.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::net::TcpSocket;

use super::super::client::{Hello, publish};
use super::*;

/// A connection from this address of the machine.
async fn from(source: &str, to: SocketAddr) -> peer::Socket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(source.parse().unwrap()).unwrap();
    let stream = socket.connect(to).await.unwrap().into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    peer::Socket::new(stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_cannot_take_all_places() {
    let listening = Listening::new(1, |config| {
        config.max_connections_per_address = 5;
        config.handshake_limit = Duration::from_mins(10);
    })
    .await;
    let gate = &listening.scene.gate;
    let mut clients = Vec::new();
    // Silent ones count too, whatever they would speak. Each listener takes one after another: when a later connection is
    // served, they have been counted.
    for by in [By::Tls, By::WebSocket] {
        clients.push(from("127.0.0.2:0", listening.address(by)).await);
        listening.device(by);
    }
    let mut logged_in = Vec::new();
    for id in ["a", "b", "c"] {
        let stream = from("127.0.0.2:0", listening.address(By::Tcp)).await;
        logged_in.push(Peer::new(stream).login(id, "device"));
    }
    for by in ALL {
        let mut refused = Peer::new(from("127.0.0.2:0", listening.address(by)).await);
        assert_eq!(refused.hello(&Hello::new("x", "device")), None, "by {by:?}");
    }
    assert_eq!(gate.stats().logins_refused, 4);
    let other = from("127.0.0.3:0", listening.address(By::Tcp)).await;
    Peer::new(other).login("y", "device");
    drop(clients.pop());
    let begun = Instant::now();
    while Peer::new(from("127.0.0.2:0", listening.address(By::Tcp)).await).hello(&Hello::new("z", "device"))
        != Some(0)
    {
        assert!(begun.elapsed() < PATIENCE, "the place is free");
    }
}

/// The rest of the gate stays usable, for large packets too, while a thousand clients keep half of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_halves_of_the_largest_packet_stay_within_the_memory_limit() {
    const MEMORY: usize = 8 * 1_024 * 1_024;
    let listening = Listening::new(100_000, |config| {
        config.memory = MEMORY;
        config.max_connections_per_address = 2_000;
        config.login_interval = Duration::ZERO;
    })
    .await;
    let gate = &listening.scene.gate;
    let mut buyer = listening.open(By::Tcp).login("buyer", "order");
    buyer.subscribe(0);
    let mut small = listening.device(By::Tcp);
    let mut half = publish(TOPIC, &vec![0; 256 * 1_024 - 100], 0, false, 0);
    half.truncate(half.len() / 2);
    let mut holders = Vec::new();
    let mut most = 0;
    let mut look = || {
        let used = gate.stats().memory;
        most = most.max(used);
        used
    };
    for number in 0..1_000 {
        let mut holder = Peer::new(peer::tcp(listening.address(By::Tcp)));
        assert_eq!(holder.hello(&Hello::new(&format!("half {number}"), "device")), Some(0));
        // The gate may have closed it, or take no more than the system's buffers hold.
        let _ = holder.io().write_all(&half);
        holders.push(holder);
        look();
        if number % 100 == 0 {
            assert!(small.publish_acked(b"small"), "small traffic goes on");
            assert_eq!(buyer.message().unwrap(), b"small");
        }
    }
    eventually("memory is short", || look() > u64::try_from(MEMORY / 4).unwrap()).await;
    // A large packet waits, and gets through when some of the halves have made room, long before their time is over.
    let mut large = listening.device(By::Tls);
    assert!(large.publish_acked(&vec![1; 200_000]));
    assert_eq!(buyer.message().unwrap().len(), 200_000);
    assert!(small.publish_acked(b"small"));
    look();
    assert!(most <= u64::try_from(MEMORY / 2).unwrap() + 400_000, "{most}");
    assert!(gate.stats().given_up > 0);
    drop((holders, small, large, buyer));
    eventually("all comes back", || gate.stats().sessions == 0 && gate.stats().memory == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_with_large_packets_do_not_take_the_memory_of_others() {
    const MEMORY: usize = 2 * 1_024 * 1_024;
    let listening = Listening::new(1_000, |config| config.memory = MEMORY).await;
    let gate = &listening.scene.gate;
    let mut device = listening.device(By::Tcp);
    // Half a CONNECT as large as can be: a password of 64 KiB.
    let password = "x".repeat(65_000);
    let connect = Hello { password: &password, ..Hello::new("s", "device") }.packet();
    let mut strangers = Vec::new();
    for _ in 0..100 {
        let mut stranger = peer::tcp(listening.address(By::Tcp));
        let _ = stranger.write_all(&connect[..50_000]);
        strangers.push(stranger);
        assert!(gate.stats().memory <= u64::try_from(MEMORY / 2).unwrap());
    }
    eventually("some are turned away", || gate.stats().logins_refused > 0).await;
    // What they hold is given up for a device that needs it, long before their time for CONNECT is over.
    assert!(device.publish_acked(&vec![1; 200_000]));
    assert!(gate.stats().given_up > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buyers_that_do_not_read_do_not_take_all_memory() {
    const MEMORY: usize = 1_024 * 1_024;
    let listening = Listening::new(1_000_000, |config| config.memory = MEMORY).await;
    let gate = &listening.scene.gate;
    let mut blocked = Vec::new();
    for number in 0..50 {
        let socket = peer::small_tcp(listening.address(By::Tcp)).await;
        let mut buyer = Peer::new(socket).login(&format!("blocked {number}"), "order");
        buyer.subscribe(0);
        blocked.push(buyer);
    }
    let mut reading = listening.open(By::Tcp).login("reading", "order");
    reading.subscribe(0);
    let mut device = listening.device(By::Tcp);
    // Fills the sockets and then the outboxes of all that do not read: 64 KiB each would be 3 MiB. Many messages at a
    // time, so that more than one waits for whoever is blocked.
    for first in (0..3_000_u64).step_by(30) {
        let numbers = first..first + 30;
        let burst = numbers.clone().flat_map(|number| {
            let mut payload = vec![0; 3_000];
            payload[..8].copy_from_slice(&number.to_be_bytes());
            publish(TOPIC, &payload, 0, false, 0)
        });
        device.send(&burst.collect::<Vec<_>>());
        for number in numbers {
            assert_eq!(reading.message().unwrap()[..8], number.to_be_bytes());
        }
    }
    let half = u64::try_from(MEMORY / 2).unwrap();
    eventually("much is held for them", || gate.stats().memory >= half / 2).await;
    let used = gate.stats().memory;
    assert!(used <= half + 200_000, "{used}");
}
