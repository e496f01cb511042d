//! 3.1 and 3.2: CONNECT and CONNACK.

use std::time::{Duration, Instant};

use super::*;
use crate::client::Reply;
use crate::scene::{eventually, in_so_many_seconds};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connect_that_does_not_conform_is_not_accepted() {
    for &version in VERSIONS {
        let scene = Scene::new(10).await;
        let good = Hello::new(version, "x", "device").will(Will::new(TOPIC, b"x")).bytes();
        let at = 2 + 2 + 4 + 1;
        assert_eq!(good[at], 0xce, "the flags");
        let flags = |flags: u8| {
            let mut bytes = good.clone();
            bytes[at] = flags;
            bytes
        };
        let plain = Hello::new(version, "x", "device").bytes();
        let plain_flags = |flags: u8| {
            let mut bytes = plain.clone();
            bytes[at] = flags;
            bytes
        };
        let longer = |bytes: &[u8]| {
            let mut bytes = [bytes, b"\0\x01x"].concat();
            bytes[1] += 3;
            bytes
        };
        let cut = |by: u8| {
            let mut bytes = good.clone();
            bytes.truncate(bytes.len() - usize::from(by));
            bytes[1] -= by;
            bytes
        };
        for (what, bytes) in [
            ("the reserved flag", flags(0xcf)),
            ("will QoS 3", flags(0xde)),
            ("will QoS without a will", plain_flags(0xca)),
            ("will retain without a will", plain_flags(0xe2)),
            ("a will that is not there", plain_flags(0xc6)),
            ("a user name that is not said to be there", plain_flags(0x42)),
            ("a password that is not said to be there", plain_flags(0x82)),
            ("one field too many", longer(&plain)),
            ("no password where one is said to be", cut(8)),
            ("half a password", cut(3)),
            ("no user name and no password", cut(16)),
        ] {
            let mut client = scene.open(version).await;
            client.send(&bytes).await;
            match client.reply().await {
                // 3.1.1 3.1.4-1: no CONNACK.
                None => {}
                Some(Reply::Connack { present: false, code, .. }) => {
                    // A password without a user name is well formed in MQTT 5 and then another field.
                    assert!(version == V5 && code >= 0x80, "{what}: {code:#x}");
                }
                Some(other) => panic!("{what}: {other:?}"),
            }
            assert!(matches!(client.end().await, Fate::Closed(_)), "{what}");
        }
        assert_eq!(scene.gate.stats().logins, 0);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_connect_is_answered_once_and_first() {
    for &version in VERSIONS {
        let scene = Scene::new(10).await;
        let mut client = scene.open(version).await;
        // All at once: the CONNACK is before every other answer.
        let rest = [subscribe(version, 1, &[(TOPIC, 1)], &Props::new()), PINGREQ.to_vec()].concat();
        client.send([Hello::new(version, "x", "order").bytes(), rest].concat()).await;
        assert!(matches!(client.reply().await, Some(Reply::Connack { present: false, code: 0, .. })));
        assert!(matches!(client.reply().await, Some(Reply::Suback(1, ..))));
        assert_eq!(client.reply().await, Some(Reply::Pingresp));
        assert!(client.hears_nothing().await);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connect_has_a_code_of_the_table_no_session_and_no_connection() {
    for &version in VERSIONS {
        let scene = Scene::new(10).await;
        // A session is present, and is not said to be.
        let hello = Hello::new(version, "x", "order").resuming();
        scene.enter(&hello).await.abort();
        eventually("it is parked", || scene.gate.stats().parked == 1).await;
        let wrong = [
            hello.clone().password("wrong"),
            hello.clone().will(Will::new(TOPIC, b"x")),
            hello.clone().login(Some(b"nobody"), Some(b"secret")),
        ];
        for hello in wrong {
            let mut client = scene.open(version).await;
            client.send(hello.bytes()).await;
            let Some(Reply::Connack { present, code, .. }) = client.reply().await else { panic!() };
            assert!(!present);
            let of_the_table: &[u8] = if version == V5 { &[0x86, 0x87] } else { &[4, 5] };
            assert!(of_the_table.contains(&code), "{code:#x}");
            assert_eq!(client.end().await, Fate::Closed(None), "no DISCONNECT after it (3.14.0-1)");
        }
        assert!(scene.open(version).await.hello(&hello).await.unwrap().0, "it is still there");
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_ids_of_1_to_23_letters_and_digits_are_allowed() {
    for &version in VERSIONS {
        let scene = Scene::new(10).await;
        for id in ["0", "123456789", "abcdefghijklmnopqrstuvw", "xyz", "ABCDEFGHIJKLMNOPQRSTUVW", "XYZ"] {
            let mut client = scene.client(version, id, "device").await;
            assert!(client.lives().await);
        }
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_a_name_gets_one_of_its_own() {
    for &version in VERSIONS {
        let scene = Scene::new(10).await;
        let mut names = Vec::new();
        let mut clients = Vec::new();
        for _ in 0..5 {
            let mut client = scene.open(version).await;
            let (present, code, properties) = client.hello(&Hello::new(version, "", "device")).await.unwrap();
            assert_eq!((present, code), (false, 0));
            if version == V5 {
                let name = properties.text(prop::ASSIGNED_ID).expect("its name").to_vec();
                assert!(!name.is_empty() && !names.contains(&name));
                names.push(name);
            }
            clients.push(client);
        }
        for client in &mut clients {
            assert!(client.lives().await, "none displaced another");
        }
        // It can go on under its new name.
        if let Some(name) = names.pop() {
            let mut last = clients.pop().unwrap();
            let again = scene.client(V5, std::str::from_utf8(&name).unwrap(), "device").await;
            assert_eq!(last.end().await, Fate::Closed(Some(0x8e)));
            drop(again);
        }
        // Who has a name is not told another.
        let mut named = scene.open(version).await;
        let (_, _, properties) = named.hello(&Hello::new(version, "named", "device")).await.unwrap();
        assert_eq!(properties.text(prop::ASSIGNED_ID), None);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_id_that_is_rejected_is_told_so() {
    let scene = Scene::new(10).await;
    let mut client = scene.open(V311).await;
    let answer = client.hello(&Hello::new(V311, "", "device").dirty()).await;
    assert_eq!(answer.map(|(present, code, _)| (present, code)), Some((false, 2)));
    assert_eq!(client.end().await, Fate::Closed(None));
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_silent_for_one_and_a_half_times_its_keep_alive_is_gone() {
    for &version in VERSIONS {
        in_so_many_seconds(async |seconds| {
            let (scene, mut buyer, _) = pair(version, 1).await;
            let keep_alive = Duration::from_secs(seconds.into());
            let hello = Hello::new(version, "silent", "device").keep_alive(seconds.try_into().unwrap());
            let mut silent = scene.open(version).await;
            let mut heard = Instant::now();
            let answer = silent.hello(&hello.will(Will::new(TOPIC, b"gone"))).await;
            assert_eq!(answer.unwrap().2.number(prop::SERVER_KEEP_ALIVE), None, "its own value holds");
            // Any packet counts, for as long as it is at it.
            for _ in 0..3 {
                tokio::time::sleep(keep_alive * 9 / 10).await;
                let next = Instant::now();
                let lives = silent.lives().await;
                if heard.elapsed() >= keep_alive * 3 / 2 {
                    return false;
                }
                assert!(lives);
                heard = next;
            }
            assert_eq!(silent.end().await, told(version, 0x8d));
            assert!(heard.elapsed() >= keep_alive * 3 / 2);
            assert_eq!(buyer.payload().await, b"gone", "as if the network had failed");
            scene.ends_well().await;
            true
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_keep_alive_may_be_silent_unless_the_gate_says_otherwise() {
    for &version in VERSIONS {
        let scene = Scene::with(10, |config| config.max_keep_alive = Some(1)).await;
        let mut client = scene.open(version).await;
        let (_, _, properties) = client.hello(&Hello::new(version, "x", "device")).await.unwrap();
        if version == V5 {
            assert_eq!(properties.number(prop::SERVER_KEEP_ALIVE), Some(1));
            assert_eq!(client.end().await, Fate::Closed(Some(0x8d)));
            // Who asks for less keeps it.
            let mut brisk = scene.open(V5).await;
            let (_, _, properties) = brisk.hello(&Hello::new(V5, "y", "device").keep_alive(1)).await.unwrap();
            assert_eq!(properties.number(prop::SERVER_KEEP_ALIVE), None);
        } else {
            // 3.1.1 cannot be told, and keeps what it asked for.
            tokio::time::sleep(Duration::from_millis(1_900)).await;
            assert!(client.lives().await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gate_says_what_it_can_and_what_it_cannot() {
    let scene = Scene::with(10, |config| {
        config.max_topic_alias = 7;
        config.receive_maximum = 33;
        config.max_packet = 50_000;
    })
    .await;
    let mut client = scene.open(V5).await;
    let hello = Hello::new(V5, "x", "device").props(Props::new().four(prop::SESSION_EXPIRY, u32::MAX));
    let (_, _, told) = client.hello(&hello).await.unwrap();
    assert_eq!(told.number(prop::TOPIC_ALIAS_MAXIMUM), Some(7));
    assert_eq!(told.number(prop::RECEIVE_MAXIMUM), Some(33));
    assert_eq!(told.number(prop::MAXIMUM_PACKET), Some(50_000));
    assert_eq!(told.number(prop::SESSION_EXPIRY), Some(24 * 60 * 60), "no longer than that");
    assert_eq!((told.number(0x28), told.number(0x2a)), (Some(0), Some(0)), "no wildcards, no shares");
    assert_ne!(told.number(0x29), Some(0), "subscription identifiers");
    assert_eq!((told.number(0x24), told.number(0x25)), (None, None), "QoS 2 and retained messages");
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn response_information_is_not_given_and_extended_authentication_is_not_offered() {
    let scene = Scene::new(10).await;
    for asked in [0, 1] {
        let mut client = scene.open(V5).await;
        let props = Props::new().byte(prop::RESPONSE_INFORMATION, asked);
        let (_, code, told) = client.hello(&Hello::new(V5, "x", "device").props(props)).await.unwrap();
        assert_eq!((code, told.text(prop::RESPONSE_INFORMATION_GIVEN)), (0, None));
        assert_eq!(told.text(prop::AUTH_METHOD), None);
    }
    // 4.12.0-1: a method that is not supported.
    let mut client = scene.open(V5).await;
    let props = Props::new().text(prop::AUTH_METHOD, "SCRAM-SHA-1");
    let answer = client.hello(&Hello::new(V5, "x", "device").props(props)).await;
    assert_eq!(answer.map(|(_, code, _)| code), Some(0x8c));
    assert_eq!(client.end().await, Fate::Closed(None));
    scene.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_will_is_published_as_it_says_when_the_connection_is_lost() {
    for &version in VERSIONS {
        for qos in [0, 1, 2] {
            for retain in [false, true] {
                let (scene, mut buyer, _) = pair(version, 2).await;
                let will = Will::new(TOPIC, b"gone").qos(qos);
                let will = if retain { will.retained() } else { will };
                let mortal = scene.enter(&Hello::new(version, "mortal", "device").will(will)).await;
                assert!(buyer.hears_nothing().await, "not while it lives");
                mortal.abort();
                let message = buyer.message().await.unwrap();
                assert_eq!((message.payload.as_slice(), message.qos), (b"gone".as_slice(), qos));
                buyer.acknowledge(&message).await;
                // Once: another connection of the client that ends has no will any more.
                scene.client(version, "mortal", "device").await.abort();
                eventually("it is gone", || scene.sessions() == 1).await;
                assert!(buyer.hears_nothing().await);
                let mut late = scene.buyer(version, "late", 1).await;
                if retain {
                    assert_eq!(late.payload().await, b"gone");
                }
                assert!(late.hears_nothing().await);
                scene.ends_well().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_a_will_or_after_goodbye_publishes_none() {
    for &version in VERSIONS {
        let (scene, mut buyer, _) = pair(version, 1).await;
        scene.client(version, "without", "device").await.abort();
        let mut polite =
            scene.enter(&Hello::new(version, "x", "device").will(Will::new(TOPIC, b"forged"))).await;
        polite.send(GOODBYE).await;
        assert_eq!(polite.end().await, Fate::Closed(None));
        eventually("they are gone", || scene.sessions() == 1).await;
        assert!(buyer.hears_nothing().await);
        scene.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wills_properties_are_passed_on_in_their_order() {
    let (scene, mut buyer, _) = pair(V5, 1).await;
    let props = Props::new()
        .user("b", "1")
        .byte(prop::PAYLOAD_FORMAT, 1)
        .user("a", "2")
        .four(prop::MESSAGE_EXPIRY, 1_000)
        .text(prop::CONTENT_TYPE, "text/plain")
        .text(prop::RESPONSE_TOPIC, "answers/here")
        .text(prop::CORRELATION, b"\0\x01")
        .user("b", "3");
    let will = Will::new(TOPIC, "gone").props(props);
    scene.enter(&Hello::new(V5, "mortal", "device").will(will)).await.abort();
    let message = buyer.message().await.unwrap();
    let of = &message.properties;
    let user: Vec<_> = of.user().into_iter().filter(|(name, _)| !name.starts_with("i3-")).collect();
    assert_eq!(user, [("b", "1"), ("a", "2"), ("b", "3")]);
    assert_eq!(of.number(prop::PAYLOAD_FORMAT), Some(1));
    assert!(of.number(prop::MESSAGE_EXPIRY).is_some_and(|left| left > 900 && left <= 1_000));
    assert_eq!(of.text(prop::CONTENT_TYPE), Some(b"text/plain".as_slice()));
    assert_eq!(of.text(prop::RESPONSE_TOPIC), Some(b"answers/here".as_slice()));
    assert_eq!(of.text(prop::CORRELATION), Some(b"\0\x01".as_slice()));
    scene.ends_well().await;
}
