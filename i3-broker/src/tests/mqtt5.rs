//! What MQTT 5 adds.

use i3_core::time::ManualClock;

use super::client::{Client, packet, text};
use super::five::{Hello5, find, publish5, user};
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_told_the_terms() {
    let scene = Scene::in_memory(9, |config| {
        config.max_keep_alive = Some(30);
        config.session_expiry_max = Duration::from_secs(100);
        config.receive_maximum = 7;
        config.max_packet = 10_000;
        config.max_topic_alias = 5;
    })
    .await;
    let mut client = Client::open(scene.gate.local_addr()).await;
    let mut hello = Hello5 { keep_alive: 60, ..Hello5::lasting("", "order", 1_000) };
    let welcome = client.hello5(&hello).await;
    assert_eq!((welcome.present, welcome.reason), (false, 0));
    let told = |id| find(&welcome.properties, id);
    assert_eq!(told(0x11), Some([0, 0, 0, 100].as_slice()), "session expiry");
    assert_eq!(told(0x21), Some([0, 7].as_slice()), "receive maximum");
    assert_eq!(told(0x27), Some([0, 0, 0x27, 0x10].as_slice()), "maximum packet size");
    assert_eq!(told(0x22), Some([0, 5].as_slice()), "topic alias maximum");
    assert_eq!(told(0x13), Some([0, 30].as_slice()), "server keep alive");
    assert_eq!(
        (told(0x28), told(0x2a)),
        (Some([0].as_slice()), Some([0].as_slice())),
        "no wildcards, no sharing"
    );
    let name = String::from_utf8(told(0x12).expect("an assigned name")[2..].to_vec()).unwrap();
    // The name is good for coming back.
    drop(client);
    (hello.id, hello.keep_alive) = (&name, 30);
    let mut again = Client::open(scene.gate.local_addr()).await;
    let welcome = again.hello5(&hello).await;
    assert!(welcome.present);
    assert_eq!((find(&welcome.properties, 0x12), find(&welcome.properties, 0x13)), (None, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn properties_are_passed_on_as_they_came_and_only_the_gate_says_i3() {
    let scene = Scene::new(100).await;
    let mut five = scene.buyer5(&Hello5::new("a", "order"), 1).await;
    let mut three = scene.buyer("b", 1).await;
    let mut device = scene.device5().await;
    let mut content_type = vec![0x03];
    text(&mut content_type, "text/plain");
    let mut response = vec![0x08];
    text(&mut response, "answers/here");
    let correlation = [0x09, 0, 3, 1, 2, 3];
    let kept =
        [&[0x01, 1], &content_type[..], &response, &correlation, &user("b", "2"), &user("a", "1")].concat();
    let sent = [&kept[..], &user("i3-seq", "99"), &user("i3-other", "x")].concat();
    for number in 1..=3_u16 {
        device.send(&publish5(TOPIC, &sent, b"17.5", 1, number)).await;
        assert_eq!(device.packet().await, Some((0x40, vec![0, u8::try_from(number).unwrap()])));
        let message = five.message5().await;
        let seen: Vec<u8> =
            message.properties.iter().flat_map(|(id, value)| [&[*id], &value[..]].concat()).collect();
        assert_eq!((seen, message.sequence), (kept.clone(), u64::from(number)));
        assert_eq!(message.payload, b"17.5");
        assert_eq!(three.message().await.unwrap().payload, b"17.5", "3.1.1 sees the payload");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_versions_meet() {
    let scene = Scene::new(100).await;
    let mut five = scene.buyer5(&Hello5::new("a", "order"), 1).await;
    let mut device = scene.device().await;
    assert!(device.publish_acked(TOPIC, b"x", false).await);
    let message = five.message5().await;
    assert_eq!(
        (message.payload.as_slice(), message.properties.len(), message.sequence),
        (b"x".as_slice(), 0, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscription_options_are_kept_to() {
    const AS_PUBLISHED: u8 = 0x08;
    const IF_NEW: u8 = 0x10;
    const NEVER: u8 = 0x20;
    let scene = Scene::new(100).await;
    let mut device = scene.device().await;
    assert!(device.publish_acked(TOPIC, b"old", true).await);
    let (mut buyer, _) = scene.client5(&Hello5::new("a", "order")).await;
    assert_eq!(buyer.subscribe5(&[(TOPIC, 1 | IF_NEW)], 7).await, [1]);
    let message = buyer.message5().await;
    assert!(message.retain && message.payload == b"old");
    assert_eq!(find(&message.properties, 0x0b), Some([7].as_slice()));
    // Not new any more, with another identifier.
    assert_eq!(buyer.subscribe5(&[(TOPIC, 1 | IF_NEW)], 8).await, [1]);
    assert!(device.publish_acked(TOPIC, b"live", true).await);
    let message = buyer.message5().await;
    assert_eq!((message.payload.as_slice(), message.retain), (b"live".as_slice(), false));
    assert_eq!(find(&message.properties, 0x0b), Some([8].as_slice()));
    assert_eq!(buyer.subscribe5(&[(TOPIC, AS_PUBLISHED | NEVER)], 0).await, [0]);
    assert!(device.publish_acked(TOPIC, b"kept", true).await);
    let message = buyer.message5().await;
    assert!(message.retain && message.qos == 0 && message.payload == b"kept");
    assert_eq!(find(&message.properties, 0x0b), None);
    assert_eq!(buyer.subscribe5(&[(TOPIC, 0)], 0).await, [0]);
    assert_eq!(buyer.message5().await.payload, b"kept", "a third time, since it is asked for");
    let mut never = scene.buyer5(&Hello5::new("b", "order"), NEVER).await;
    assert!(never.hears_nothing().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_message_is_neither_delivered_nor_charged() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let scene = Scene::at(100, clock.clone(), Arc::new(MemoryLog::default()), |_| {}).await;
    let one_at_a_time = Hello5 { more: vec![0x21, 0, 1], ..Hello5::new("a", "order") };
    let mut buyer = scene.buyer5(&one_at_a_time, 1).await;
    let mut device = scene.device5().await;
    for (number, (payload, expiry)) in [("first", 100), ("short", 1), ("long", 100)].into_iter().enumerate() {
        let expiry = [0x02, 0, 0, 0, expiry];
        device
            .send(&publish5(TOPIC, &expiry, payload.as_bytes(), 1, u16::try_from(number + 1).unwrap()))
            .await;
        device.packet().await.unwrap();
    }
    let first = buyer.message5().await;
    assert_eq!(first.payload, b"first");
    assert!(buyer.hears_nothing().await, "one at a time");
    clock.advance(Duration::from_millis(1_100));
    buyer.ack(0x40, first.id).await;
    let message = buyer.message5().await;
    assert_eq!((message.payload.as_slice(), message.sequence), (b"long".as_slice(), 3));
    let left = u32::from_be_bytes(find(&message.properties, 0x02).unwrap().try_into().unwrap());
    assert_eq!(left, 99);
    drop(buyer);
    eventually("the books are closed", || scene.market.open_leases() == 0).await;
    let missed = Missed { expired: 1, ..Missed::default() };
    assert_eq!(
        (scene.market.billed(), scene.gate.stats().missed, scene.market.missed()),
        (2, missed, missed)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retained_message_expires_too() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let scene = Scene::at(100, clock.clone(), Arc::new(MemoryLog::default()), |_| {}).await;
    let mut device = scene.device5().await;
    let mut retained = publish5(TOPIC, &[0x02, 0, 0, 0, 1], b"x", 0, 0);
    retained[0] |= 1;
    device.send(&retained).await;
    eventually("it is taken", || scene.gate.stats().publishes_accepted == 1).await;
    assert_eq!(scene.buyer5(&Hello5::new("a", "order"), 0).await.message5().await.payload, b"x");
    clock.advance(Duration::from_millis(1_100));
    assert!(scene.buyer5(&Hello5::new("b", "order"), 0).await.hears_nothing().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_for_a_client_is_passed_over_and_not_charged() {
    let scene = Scene::in_memory(100, |_| {}).await;
    let small = Hello5 { more: vec![0x27, 0, 0, 0, 100], ..Hello5::new("a", "order") };
    let mut buyer = scene.buyer5(&small, 1).await;
    let mut device = scene.device().await;
    for payload in [vec![1; 500], vec![2; 10], vec![3; 90], vec![4; 20]] {
        assert!(device.publish_acked(TOPIC, &payload, false).await);
    }
    assert_eq!(buyer.message5().await.payload, [2; 10]);
    assert_eq!(buyer.message5().await.payload, [4; 20]);
    drop(buyer);
    eventually("the books are closed", || scene.market.open_leases() == 0).await;
    let missed = Missed { too_large: 2, ..Missed::default() };
    assert_eq!(
        (scene.market.billed(), scene.gate.stats().missed, scene.market.missed()),
        (2, missed, missed)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_is_sent_than_the_client_takes_at_a_time() {
    let scene = Scene::in_memory(100, |_| {}).await;
    let two = Hello5 { more: vec![0x21, 0, 2], ..Hello5::new("a", "order") };
    let mut buyer = scene.buyer5(&two, 2).await;
    let mut device = scene.device5().await;
    for number in 1..=6 {
        device
            .send(&publish5(
                TOPIC,
                &[],
                &[u8::try_from(number).unwrap()],
                1 + u8::from(number % 2 == 0),
                number,
            ))
            .await;
        device.packet().await.unwrap();
    }
    let (first, second) = (buyer.message5().await, buyer.message5().await);
    assert!(buyer.hears_nothing().await);
    buyer.ack(0x40, first.id).await;
    let third = buyer.message5().await;
    assert!(buyer.hears_nothing().await);
    buyer.ack(0x50, second.id).await;
    assert_eq!(buyer.packet().await.unwrap().0, 0x62);
    assert!(buyer.hears_nothing().await, "PUBREC frees nothing");
    buyer.ack(0x70, second.id).await;
    assert_eq!(buyer.message5().await.payload, [4]);
    assert_eq!(third.payload, [3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_publish_is_answered_and_too_many_end_the_connection() {
    let scene = Scene::in_memory(100, |config| config.max_refused = 3).await;
    let mut buyer = scene.buyer5(&Hello5::new("a", "order"), 2).await;
    let mut device = scene.device5().await;
    for qos in [1, 2, 1] {
        device.send(&publish5("i3/hub/other", &[], b"x", qos, 5)).await;
        let (first, body) = device.packet().await.unwrap();
        assert_eq!((first, &body[..3]), (0x30 + (qos << 4), [0, 5, 0x87].as_slice()));
        assert!(!body[3..].is_empty(), "and says why in words");
    }
    device.send(&publish5(TOPIC, &[], b"good", 1, 6)).await;
    assert_eq!(device.packet().await, Some((0x40, vec![0, 6])));
    assert_eq!(buyer.message5().await.payload, b"good");
    let mut silent = Client::open(scene.gate.local_addr()).await;
    let terse = Hello5 { more: vec![0x17, 0], ..Hello5::new("terse", "device") };
    assert_eq!(silent.hello5(&terse).await.reason, 0);
    for _ in 0..3 {
        silent.send(&publish5("i3/hub/other", &[], b"x", 1, 5)).await;
        assert_eq!(silent.packet().await, Some((0x40, vec![0, 5, 0x87])), "who wants no words gets none");
    }
    silent.send(&publish5("i3/hub/other", &[], b"x", 1, 5)).await;
    assert_eq!(silent.reason().await, 0x87);
    device.send(&publish5("i3/hub/other", &[], b"x", 0, 0)).await;
    assert_eq!(device.reason().await, 0x87, "at QoS 0 there is no other answer");
    let (mut buyer_as_device, _) = scene.client5(&Hello5::new("b", "order")).await;
    buyer_as_device.send(&publish5(TOPIC, &[], b"x", 1, 1)).await;
    assert_eq!(buyer_as_device.packet().await.unwrap().1[..3], [0, 1, 0x87]);
    assert!(buyer.hears_nothing().await);
    assert_eq!((scene.gate.stats().publishes_refused, scene.gate.stats().publishes_accepted), (9, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topic_aliases_are_resolved_and_end_with_the_connection() {
    let scene = Scene::in_memory(100, |_| {}).await;
    let mut buyer = scene.buyer5(&Hello5::new("a", "order"), 0).await;
    let mut device = scene.device5().await;
    let alias = |alias| [0x23, 0, alias];
    device.send(&publish5(TOPIC, &alias(1), b"1", 0, 0)).await;
    device.send(&publish5("", &alias(1), b"2", 0, 0)).await;
    assert_eq!(
        (buyer.message5().await.payload, buyer.message5().await.payload),
        (b"1".to_vec(), b"2".to_vec())
    );
    // A refused definition takes the one before along.
    device.send(&publish5("i3/hub/other", &alias(1), b"x", 1, 1)).await;
    assert_eq!(device.packet().await.unwrap().1[2], 0x87);
    device.send(&publish5("", &alias(1), b"3", 0, 0)).await;
    assert_eq!(device.reason().await, 0x82);
    for (number, reason) in [(1, 0x82), (0, 0x94), (17, 0x94)] {
        let mut device = scene.device5().await;
        device.send(&publish5(if number == 1 { "" } else { TOPIC }, &alias(number), b"4", 0, 0)).await;
        assert_eq!(device.reason().await, reason, "alias {number}");
    }
    assert!(buyer.hears_nothing().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_and_unsubscribes_are_answered_by_reason() {
    let scene = Scene::in_memory(100, |_| {}).await;
    let (mut buyer, _) = scene.client5(&Hello5::new("a", "order")).await;
    let filters =
        [("#", 1), ("$share/g/i3/hub/product", 1), ("i3/hub/other", 1), ("i3/hub/none", 1), (TOPIC, 2)];
    assert_eq!(buyer.subscribe5(&filters, 0).await, [0xa2, 0x9e, 0x87, 0x87, 2]);
    let mut body = vec![0, 5, 0];
    for filter in ["i3/hub/other", TOPIC, TOPIC] {
        text(&mut body, filter);
    }
    buyer.send(&packet(0xa2, &body)).await;
    assert_eq!(buyer.packet().await, Some((0xb0, vec![0, 5, 0, 0x11, 0, 0x11])));
    scene.market.set_open(false).await;
    assert_eq!(buyer.subscribe5(&[(TOPIC, 1)], 0).await, [0x87]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn extended_authentication_is_refused() {
    let scene = Scene::in_memory(1, |_| {}).await;
    let mut method = vec![0x15];
    text(&mut method, "SCRAM-SHA-1");
    let mut client = Client::open(scene.gate.local_addr()).await;
    let hello = Hello5 { more: method, ..Hello5::new("a", "device") };
    assert_eq!(client.hello5(&hello).await.reason, 0x8c);
    assert!(client.is_closed().await);
    let mut device = scene.device5().await;
    device.send(&packet(0xf0, &[])).await;
    assert_eq!(device.reason().await, 0x82);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_breaks_a_rule_is_told_which() {
    let scene = Scene::in_memory(1, |config| {
        config.max_packet = 1_000;
        config.receive_maximum = 2;
    })
    .await;
    let two_more = [
        publish5(TOPIC, &[], b"x", 2, 1),
        publish5(TOPIC, &[], b"x", 2, 2),
        publish5(TOPIC, &[], b"x", 2, 3),
    ];
    for (bytes, reason) in [
        (packet(0x30, &[0; 1_100]), 0x95),
        (packet(0x36, &[0, 1, b'a', 0, 1, 0]), 0x81),
        (Hello5::new("device", "device").packet(), 0x82),
        (two_more.concat(), 0x93),
    ] {
        let mut device = scene.device5().await;
        device.send(&bytes).await;
        loop {
            // What was in order is acknowledged.
            let (first, body) = device.packet().await.expect("a DISCONNECT");
            if first == 0xe0 {
                assert_eq!(body[0], reason, "{bytes:x?}");
                break;
            }
            assert_eq!(first, 0x50);
        }
        assert!(device.is_closed().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_says_why_it_disconnects() {
    use i3_core::gate::AccessChange;
    use i3_core::id::TypedId;
    let scene = Scene::in_memory(2, |_| {}).await;
    let hello = Hello5::new("a", "order");
    let mut old = scene.buyer5(&hello, 1).await;
    let mut buyer = scene.buyer5(&hello, 1).await;
    assert_eq!(old.reason().await, 0x8e, "taken over");
    scene.market.set_open(false).await;
    assert_eq!(buyer.reason().await, 0x87, "access ended");
    scene.market.set_open(true).await;
    let mut buyer = scene.buyer5(&hello, 1).await;
    scene.market.set_open_by(AccessChange::User(TypedId::from_bits(5)), false).await;
    assert_eq!(buyer.reason().await, 0x98, "suspended");
    scene.market.set_open(true).await;
    let mut buyer = scene.buyer5(&hello, 0).await;
    let mut device = scene.device5().await;
    for _ in 0..3 {
        device.send(&publish5(TOPIC, &[], b"x", 0, 0)).await;
    }
    let (_, _) = (buyer.message5().await, buyer.message5().await);
    assert_eq!(buyer.reason().await, 0x97, "used up");
    scene.market.set_device(false).await;
    assert_eq!(device.reason().await, 0x98, "switched off");
    scene.market.set_device(true).await;
    let mut silent = Client::open(scene.gate.local_addr()).await;
    assert_eq!(silent.hello5(&Hello5 { keep_alive: 1, ..Hello5::new("s", "device") }).await.reason, 0);
    assert_eq!(silent.reason().await, 0x8d, "silent");
    scene.market.end_logins_in(Duration::from_millis(200));
    let mut brief = scene.device5().await;
    assert_eq!(brief.reason().await, 0xa0, "its token ended");
    scene.market.end_logins_in(Duration::from_secs(1_000));
    let mut last = scene.device5().await;
    scene.gate.shutdown().await;
    assert_eq!(last.reason().await, 0x8b, "shut down");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_login_is_told_in_the_clients_own_words() {
    let scene = Scene::in_memory(1, |_| {}).await;
    for (hello, reason) in [
        (Hello5::new("a", "nobody"), 0x87),
        (Hello5 { will: Some(("i3/hub/other", "x", 0)), ..Hello5::new("a", "device") }, 0x87),
        (Hello5 { will: Some((TOPIC, "x", 0)), ..Hello5::new("a", "order") }, 0x87),
    ] {
        let mut client = Client::open(scene.gate.local_addr()).await;
        assert_eq!(client.hello5(&hello).await.reason, reason);
        assert!(client.is_closed().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_clients_of_version_5_publish_and_receive_at_every_quality() {
    use rumqttc::v5::mqttbytes::QoS;
    use rumqttc::v5::{AsyncClient, Event, Incoming, MqttOptions};
    let scene = Scene::new(100).await;
    let options = |id: &str, user: &str| {
        let mut options = MqttOptions::new(id, "127.0.0.1", scene.gate.local_addr().port());
        options.set_credentials(user, "secret").set_keep_alive(PATIENCE);
        options.set_connection_timeout(PATIENCE.as_secs());
        options
    };
    let (buyer, mut buyer_events) = AsyncClient::new(options("a", "order"), 10);
    buyer.subscribe(TOPIC, QoS::ExactlyOnce).await.unwrap();
    while !matches!(buyer_events.poll().await.unwrap(), Event::Incoming(Incoming::SubAck(_))) {}
    let (device, mut device_events) = AsyncClient::new(options("d", "device"), 10);
    for (number, qos) in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].into_iter().enumerate() {
        device.publish(TOPIC, qos, false, number.to_string()).await.unwrap();
    }
    let sending = tokio::spawn(async move {
        while !matches!(device_events.poll().await.unwrap(), Event::Incoming(Incoming::PubComp(_))) {}
        device_events
    });
    let (mut received, mut done) = (Vec::new(), false);
    while received.len() < 3 || !done {
        match buyer_events.poll().await.unwrap() {
            Event::Incoming(Incoming::Publish(message)) => {
                received.push((message.payload.to_vec(), message.qos));
            }
            Event::Incoming(Incoming::PubRel(_)) => done = true,
            _ => {}
        }
    }
    let expected = [(b"0", QoS::AtMostOnce), (b"1", QoS::AtLeastOnce), (b"2", QoS::ExactlyOnce)];
    assert_eq!(received, expected.map(|(payload, qos)| (payload.to_vec(), qos)));
    drop(sending.await.unwrap());
}
