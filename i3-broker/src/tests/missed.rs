//! What sessions do not get, and who is told.

use i3_core::gate::Fate;
use i3_core::id::{ProductId, TypedId};
use i3_core::usage::Miss;

use super::client::Client;
use super::five::{Hello5, publish5};
use super::market::grant;
use super::*;

/// A client that takes no packets of more than so many bytes.
fn takes(longest: u32) -> Hello5<'static> {
    let [a, b, c, d] = longest.to_be_bytes();
    Hello5 { more: vec![0x27, a, b, c, d], ..Hello5::new("a", "order") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gets_nothing_at_all_is_known_to_miss_it_all_the_same() {
    let set = |config: &mut GateConfig| config.report_every = Duration::from_millis(50);
    let scene = Scene::in_memory(100, set).await;
    let mut buyer = scene.buyer5(&takes(100), 1).await;
    let mut device = scene.device().await;
    for _ in 0..7 {
        assert!(device.publish_acked(TOPIC, &[0; 500], false).await);
    }
    let missed = Missed { too_large: 7, ..Missed::default() };
    eventually("the marketplace is told", || scene.market.missed() == missed).await;
    let (calls, billed) = (scene.market.calls(), scene.market.billed());
    assert!(buyer.hears_nothing().await);
    assert_eq!((scene.market.calls(), billed), (calls, 0), "told once, and not again every time");
    assert_eq!(scene.market.open_leases(), 1, "while the session goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_passed_over_counts_once_though_deliveries_pause_in_between() {
    const MESSAGES: u64 = 2_001;
    let config = RumqttdLogConfig { feed_bytes: 64 << 20, ..RumqttdLogConfig::default() };
    let scene = Scene::with(1_000_000, Arc::new(RumqttdLog::start(config).await.unwrap()), |_| {}).await;
    let mut buyer = Client::open_small(scene.gate.local_addr()).await;
    assert_eq!(buyer.hello5(&takes(6_000)).await.reason, 0);
    assert_eq!(buyer.subscribe5(&[(TOPIC, 0)], 0).await, [0]);
    let mut device = scene.device5().await;
    for number in 0..MESSAGES {
        let long = if number % 3 == 1 { 7_000 } else { 5_000 };
        let mut payload = vec![0; long];
        payload[..8].copy_from_slice(&number.to_be_bytes());
        device.send(&publish5(TOPIC, &[], &payload, 0, 0)).await;
    }
    eventually("all is taken", || scene.gate.stats().publishes_accepted == MESSAGES).await;
    let mut last = None;
    let mut received = 0;
    while last != Some(MESSAGES - 1) {
        // What was put and not written is taken back, and put again.
        if received % 50 == 0 {
            scene.market.set_open(true).await;
        }
        let number = u64::from_be_bytes(buyer.message5().await.payload[..8].try_into().unwrap());
        assert!(number % 3 != 1 && last.is_none_or(|last| number > last));
        (last, received) = (Some(number), received + 1);
    }
    let stats = scene.gate.stats();
    let missed = Missed { too_large: MESSAGES / 3, ..Missed::default() };
    assert!(stats.unwritten > 0, "something was taken back");
    assert_eq!((received, stats.missed), (MESSAGES - MESSAGES / 3, missed));
    // As far back as is remembered, at two entries for three messages.
    for number in MESSAGES - 60..MESSAGES {
        let (place, fate) = (number + 1, fate(&scene, "a", number + 1).await.1);
        if number % 3 == 1 {
            let missed = Fate::Missed { why: Miss::TooLarge, messages: 1, first: place, last: place };
            assert_eq!(fate, missed);
        } else {
            assert_eq!(fate, Fate::Delivered { times: 1, again: 0 }, "{number}");
        }
    }
    assert_eq!(fate(&scene, "a", 1).await.1, Fate::Forgotten);
    drop(buyer);
    eventually("the books are closed", || scene.market.open_leases() == 0).await;
    assert_eq!((scene.market.billed(), scene.market.missed()), (received, missed));
}

/// Whether a client's session goes on, and what became of a message there.
async fn fate(scene: &Scene, client: &str, number: u64) -> (bool, Fate) {
    let told = scene.gate.recall().recall(grant(), ProductId::from_bits(3), number).await;
    let session = told.sessions.iter().find(|session| session.client == client).unwrap();
    (session.present, session.fate)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_remembered_what_became_of_each_message() {
    const ONCE: Fate = Fate::Delivered { times: 1, again: 0 };
    let scene = Scene::in_memory(100, |config| config.max_offline = 3).await;
    let hello = Hello5 { expiry: 60, clean: false, ..takes(200) };
    let mut buyer = scene.buyer5(&hello, 1).await;
    let mut device = scene.device().await;
    for long in [10, 500, 20] {
        assert!(device.publish_acked(TOPIC, &vec![0; long], false).await);
    }
    let first = buyer.message5().await;
    buyer.ack(0x40, first.id).await;
    assert_eq!((first.sequence, buyer.message5().await.sequence), (1, 3));
    // It goes without having acknowledged the last one, and more comes than waits for it.
    drop(buyer);
    eventually("the session is parked", || scene.gate.stats().parked == 1).await;
    for _ in 4..=9 {
        assert!(device.publish_acked(TOPIC, b"x", false).await);
    }
    let (mut buyer, present) = scene.client5(&hello).await;
    assert!(present);
    for (number, again) in [(3, true), (7, false), (8, false), (9, false)] {
        let message = buyer.message5().await;
        assert_eq!((message.sequence, message.dup), (number, again));
    }
    eventually("it is counted", || scene.gate.stats().delivered == 5).await;
    let mut late = scene.buyer5(&Hello5::new("b", "order"), 0).await;
    assert!(device.publish_acked(TOPIC, b"x", false).await);
    assert_eq!((buyer.message5().await.sequence, late.message5().await.sequence), (10, 10));
    eventually("it is counted", || scene.gate.stats().delivered == 7).await;
    let away = Fate::Missed { why: Miss::Offline, messages: 3, first: 4, last: 6 };
    for (number, expected) in [
        (1, ONCE),
        (2, Fate::Missed { why: Miss::TooLarge, messages: 1, first: 2, last: 2 }),
        (3, Fate::Delivered { times: 1, again: 1 }),
        (4, away),
        (6, away),
        (7, ONCE),
        (10, ONCE),
        (11, Fate::Ahead),
    ] {
        assert_eq!(fate(&scene, "a", number).await, (true, expected), "{number}");
    }
    let unused =
        async |number| scene.gate.recall().recall(grant(), ProductId::from_bits(3), number).await.unused;
    assert_eq!((unused(10).await, unused(11).await), (false, true), "the next one is held for who comes");
    assert_eq!([fate(&scene, "b", 9).await.1, fate(&scene, "b", 10).await.1], [Fate::Before, ONCE]);

    // Without a session of its own, a client misses nothing: it was not there.
    drop(late);
    let waiting = async || fate(&scene, "b", 10).await.0;
    while waiting().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(device.publish_acked(TOPIC, b"x", false).await);
    let mut late = scene.buyer5(&Hello5::new("b", "order"), 0).await;
    assert!(device.publish_acked(TOPIC, b"x", false).await);
    assert_eq!(late.message5().await.sequence, 12);
    eventually("it is counted", || scene.gate.stats().delivered == 10).await;
    assert_eq!(fate(&scene, "b", 11).await, (true, Fate::Absent));
    assert_eq!([fate(&scene, "b", 10).await.1, fate(&scene, "b", 12).await.1], [ONCE; 2]);
}
