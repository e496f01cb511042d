//! Attacks 6 to 9: client identifiers, the first packet, and credentials.

use std::time::Duration;

use crate::client::{Client, Fate, Reply};
use crate::market::TOPIC;
use crate::packets::*;
use crate::scene::{Scene, eventually};

/// A CONNECT is refused with a code.
fn bad_identifier(version: Version) -> u8 {
    if version == V5 { 0x85 } else { 2 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_06_the_client_id_of_another_principal_displaces_nobody() {
    let scene = Scene::new(100).await;
    for &version in VERSIONS {
        let mut victim = scene.buyer(version, "same", 1).await;
        // Other orders of the same product, other products, devices: none is the victim.
        let mut others = Vec::new();
        for user in ["order-two", "foreign-order", "device", "stranger"] {
            others.push(scene.client(version, "same", user).await);
        }
        assert!(victim.lives().await);
        let mut device = scene.device(version).await;
        assert_eq!(device.publish(TOPIC, b"mine", 1).await, Fate::Acknowledged(0));
        assert_eq!(victim.payload().await, b"mine");
        for other in &mut others {
            assert!(other.hears_nothing().await && other.lives().await);
        }
        // Its own principal does displace it.
        let again = scene.buyer(version, "same", 1).await;
        assert_eq!(victim.end().await, Fate::Closed((version == V5).then_some(0x8e)));
        drop((again, others, device));
        eventually("all are gone", || scene.sessions() == 0).await;
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_06_a_thousand_takeovers_of_one_client_leave_one_session() {
    let scene = Scene::new(100).await;
    for &version in VERSIONS {
        let address = scene.gate.local_addr();
        // Eight at a time, all with one name.
        let storms: Vec<_> = (0..8)
            .map(|_| {
                tokio::spawn(async move {
                    for _ in 0..125 {
                        let mut client = Client::open(address, version).await;
                        let hello = Hello::new(version, "+/#$ one", "order");
                        client.send(hello.bytes()).await;
                        client.send(subscribe(version, 1, &[(TOPIC, 1)], &Props::new())).await;
                        // Some leave before they hear anything.
                        if client.reply().await.is_none() {
                            continue;
                        }
                        client.abort();
                    }
                })
            })
            .collect();
        for storm in storms {
            storm.await.unwrap();
        }
        let mut last = scene.buyer(version, "+/#$ one", 1).await;
        eventually("one session is left", || scene.sessions() == 1).await;
        let mut device = scene.device(version).await;
        assert_eq!(device.publish(TOPIC, b"x", 1).await, Fate::Acknowledged(0));
        assert_eq!(last.payload().await, b"x");
        assert!(last.hears_nothing().await, "one delivery");
        drop((last, device));
        eventually("all are gone", || scene.sessions() == 0 && scene.market.open_leases() == 0).await;
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_06_who_logs_in_too_often_is_told_to_wait_and_hinders_nobody_else() {
    for &version in VERSIONS {
        let scene = Scene::with(1_000, |config| {
            config.login_burst = 20;
            config.login_interval = Duration::from_mins(10);
        })
        .await;
        let mut told = Vec::new();
        for _ in 0..1_000 {
            let mut client = Client::open(scene.gate.local_addr(), version).await;
            client.send(Hello::new(version, "one", "order").bytes()).await;
            match client.reply().await {
                Some(Reply::Connack { code, .. }) => told.push(code),
                _ => panic!("no answer"),
            }
        }
        let (first, rest) = told.split_at(20);
        assert!(first.iter().all(|code| *code == 0));
        let refusal = if version == V5 { 0x9f } else { 3 };
        assert!(rest.iter().all(|code| *code == refusal), "{rest:?}");
        // A stranger's attempts are not the order's, nor are the order's anybody else's.
        let mut stranger = Client::open(scene.gate.local_addr(), version).await;
        stranger.send(Hello::new(version, "one", "order").password("wrong").bytes()).await;
        assert!(!matches!(stranger.reply().await, Some(Reply::Connack { code: 0, .. })));
        let mut device = scene.device(version).await;
        assert_eq!(device.publish(TOPIC, b"x", 1).await, Fate::Acknowledged(0));
        drop(device);
        eventually("nothing is left", || scene.sessions() == 0).await;
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_06_odd_client_ids_are_just_names_and_impossible_ones_are_refused() {
    let scene = Scene::new(100).await;
    for &version in VERSIONS {
        let long = "x".repeat(65_535);
        for id in ["+", "$", "#", "/", "$share/g/x", "\u{feff}", "äöü", "\u{ffff}", &long] {
            for _ in 0..3 {
                let code = scene.code(&Hello::new(version, id, "device")).await;
                // The longest may be refused as too long, not otherwise.
                assert!(code == Some(0) || (id == long && code == Some(bad_identifier(version))), "{code:?}");
            }
        }
        for id in [b"a\0b".as_slice(), b"\0", b"\xff", b"\xed\xa0\x80"] {
            let mut client = scene.open(version).await;
            let answer = client.hello(&Hello::new(version, id, "device")).await;
            let code = answer.map(|(_, code, _)| code);
            assert!(code.is_none_or(|code| [0x81, 0x85, 2].contains(&code)), "{id:02x?} {code:02x?}");
            assert!(matches!(client.end().await, Fate::Closed(_)));
        }
        // Without a name there is nothing to go on with; MQTT 5 gives the client one.
        let nameless = scene.code(&Hello::new(version, "", "device").dirty()).await;
        assert_eq!(nameless, Some(if version == V5 { 0 } else { 2 }));
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_08_a_second_connect_ends_the_connection() {
    let scene = Scene::new(100).await;
    for &version in VERSIONS {
        for user in ["device", "stranger"] {
            let mut client = scene.device(version).await;
            client.send(Hello::new(version, "device", user).bytes()).await;
            assert_eq!(client.end().await, Fate::Closed((version == V5).then_some(0x82)));
        }
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_08_nothing_is_done_before_or_without_an_accepted_connect() {
    let scene = Scene::new(100).await;
    for &version in VERSIONS {
        let mut buyer = scene.buyer(version, "a", 1).await;
        let forged = Publish::new(TOPIC, b"forged").qos(1, 1).retained().bytes(version);
        let packets = [
            forged.clone(),
            subscribe(version, 1, &[(TOPIC, 1)], &Props::new()),
            PINGREQ.to_vec(),
            GOODBYE.to_vec(),
            ack(4, 1),
        ];
        for packet in &packets {
            let mut hasty = scene.open(version).await;
            hasty.send(packet).await;
            // Whatever comes behind it does not make it good.
            hasty.try_send(Hello::new(version, "hasty", "device").bytes()).await;
            assert_eq!(hasty.end().await, Fate::Closed(None), "no CONNACK, no DISCONNECT");
        }
        // Behind a CONNECT that is refused, in the same segment.
        let mut refused = scene.open(version).await;
        let hello = Hello::new(version, "refused", "device").password("wrong");
        refused.send([hello.bytes(), forged.clone()].concat()).await;
        refused.told_at_end().await;
        // Behind one that is accepted it is taken, though the client has not heard so yet.
        let mut eager = scene.open(version).await;
        let good = Publish::new(TOPIC, b"eager").qos(1, 3).bytes(version);
        eager.send([Hello::new(version, "eager", "device").bytes(), good].concat()).await;
        assert_eq!(buyer.payload().await, b"eager", "and nothing before it");
        let mut late = scene.buyer(version, "late", 1).await;
        assert!(late.hears_nothing().await, "nothing was retained");
    }
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_08_a_connect_that_comes_too_late_is_not_read() {
    let scene = Scene::with(100, |config| config.connect_limit = Duration::from_millis(200)).await;
    for &version in VERSIONS {
        let refused = scene.gate.stats().logins_refused;
        let mut late = scene.open(version).await;
        eventually("its time is over", || scene.gate.stats().logins_refused > refused).await;
        late.try_send(Hello::new(version, "late", "device").bytes()).await;
        assert_eq!(late.end().await, Fate::Closed(None));
    }
    assert_eq!(scene.gate.stats().logins, 0);
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_08_one_port_serves_both_versions_and_no_other() {
    let scene = Scene::new(100).await;
    for &version in VERSIONS {
        assert_eq!(scene.code(&Hello::new(version, "a", "device")).await, Some(0));
    }
    for (name, level, codes) in [
        ("MQIsdp", 3, [1, 0x84].as_slice()),
        ("MQTT", 3, &[1, 0x84]),
        ("MQTT", 6, &[1, 0x84]),
        ("MQTT", 0x84, &[1, 0x84]),
        ("mqtt", 4, &[]),
        ("MQTT\0", 4, &[]),
        ("HTTP", 4, &[]),
        ("", 4, &[]),
    ] {
        let mut client = scene.open(V311).await;
        client.send(Hello::new(V311, "a", "device").bytes_as(name, level)).await;
        if let Some(reply) = client.reply().await {
            // Read by hand: the answer may have either version's form.
            let crate::client::Reply::Connack { present: false, code, .. } = reply else {
                panic!("{reply:?}")
            };
            assert!(codes.contains(&code), "{name:?} {level} {code:#x}");
        } else {
            assert!(codes.is_empty() || level > 5, "{name:?} {level} is told why");
        }
        assert!(client.reply().await.is_none());
    }
    let mut client = scene.open(V311).await;
    client.send(b"GET / HTTP/1.1\r\nhost: gate\r\n\r\n").await;
    assert_eq!(client.end().await, Fate::Closed(None));
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_09_credentials_of_every_wrong_shape_are_answered_alike() {
    let scene = Scene::new(100).await;
    for &version in VERSIONS {
        let long = vec![b'x'; 65_535];
        let cases: [(Option<&[u8]>, _); 9] = [
            (None, None::<&[u8]>),
            (Some(b"device"), None),
            (Some(b"device"), Some(b"")),
            (Some(b"device"), Some(b"wrong")),
            (Some(b"device"), Some(b"secret\0")),
            (Some(b"device"), Some(b"\xff\xfe\0\x80")),
            (Some(b"device"), Some(&long)),
            (Some(b"nobody"), Some(b"secret")),
            (Some(b""), Some(b"secret")),
        ];
        let mut answers = Vec::new();
        for (user, password) in cases {
            let mut client = scene.open(version).await;
            let answer = client.hello(&Hello::new(version, "x", "").login(user, password)).await;
            answers.push((answer.map(|(_, code, _)| code), client.end().await));
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:02x?}");
        let code = answers[0].0.unwrap();
        assert!(if version == V5 { [0x86, 0x87].contains(&code) } else { [4, 5].contains(&code) });
        // A password without a user name does not exist in 3.1.1 (3.1.2-22); in MQTT 5 it is one that is wrong.
        let mut client = scene.open(version).await;
        let answer = client.hello(&Hello::new(version, "x", "").login(None, Some(b"secret"))).await;
        assert_eq!(answer.map(|(_, code, _)| code), (version == V5).then_some(code));
        assert!(matches!(client.end().await, Fate::Closed(_)));
    }
    assert_eq!(scene.gate.stats().logins, 0);
    scene.ends_well().await;
}
