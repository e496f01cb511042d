//! Sessions that outlive their connections.

use std::sync::atomic::Ordering;

use i3_core::time::Clock;

use super::client::{Client, Hello, packet, publish};
use super::five::Hello5;
use super::market::device_principal;
use super::*;

async fn parked(scene: &Scene, count: u64) {
    eventually("the sessions are parked", || scene.gate.stats().parked == count).await;
}

/// The delay of a will that is to be caught before it fires.
const DELAY: Duration = Duration::from_secs(1);

/// Does with a will what must be done before [`DELAY`] is over; again, with another, where the machine was too slow.
/// The wills that were not caught: they may have fired.
async fn catch(what: &str, mut attempt: impl AsyncFnMut(&str)) -> Vec<String> {
    let mut missed = Vec::new();
    loop {
        let will = format!("{what} {}", missed.len());
        let begun = Instant::now();
        attempt(&will).await;
        if begun.elapsed() < DELAY {
            return missed;
        }
        missed.push(will);
        assert!(missed.len() < 30, "this machine is never in time");
    }
}

/// The next message that is not one of these.
async fn next_but(buyer: &mut Client, missed: &[String]) -> Vec<u8> {
    loop {
        let payload = buyer.message().await.unwrap().payload;
        if !missed.iter().any(|will| will.as_bytes() == payload) {
            return payload;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_meanwhile_waits_and_is_charged_when_it_is_delivered() {
    let scene = Scene::new(100).await;
    let mut device = scene.device().await;
    let hello = Hello5::lasting("a", "order", 60);
    let mut buyer = scene.buyer5(&hello, 1).await;
    assert!(device.publish_acked(TOPIC, b"1", false).await);
    let first = buyer.message5().await;
    buyer.ack(0x40, first.id).await;
    for round in 0..3 {
        drop(buyer);
        parked(&scene, 1).await;
        eventually("the lease is closed", || scene.market.open_leases() == 0).await;
        let billed = scene.market.billed();
        for number in 0..5_u8 {
            assert!(device.publish_acked(TOPIC, &[round, number], false).await);
        }
        assert_eq!(scene.market.open_leases(), 0, "who is away holds no lease");
        let (again, present) = scene.client5(&hello).await;
        assert!(present);
        buyer = again;
        for number in 0..5_u8 {
            let message = buyer.message5().await;
            assert_eq!((message.payload.as_slice(), message.dup), ([round, number].as_slice(), false));
            buyer.ack(0x40, message.id).await;
        }
        eventually("they are charged", || scene.market.billed() == billed + 5).await;
    }
    assert_eq!((scene.gate.stats().resumed, scene.gate.stats().missed.slow), (3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_3_1_1_has_it_too_and_loses_it_by_a_clean_session() {
    let scene = Scene::new(100).await;
    let mut device = scene.device().await;
    let hello = Hello { clean: false, ..Hello::new("a", "order") };
    let connect = async |hello: &Hello<'_>| {
        let mut client = Client::open(scene.gate.local_addr()).await;
        client.send(&hello.packet()).await;
        let (_, body) = client.packet().await.unwrap();
        assert_eq!(body[1], 0);
        (client, body[0] == 1)
    };
    let (mut buyer, present) = connect(&hello).await;
    assert!(!present);
    assert_eq!(buyer.subscribe(&[(TOPIC, 1)]).await, [1]);
    // A good-bye keeps the session.
    buyer.send(&packet(0xe0, &[])).await;
    assert!(buyer.is_closed().await);
    parked(&scene, 1).await;
    assert!(device.publish_acked(TOPIC, b"1", false).await);
    let (mut buyer, present) = connect(&hello).await;
    assert!(present);
    assert_eq!(buyer.message().await.unwrap().payload, b"1");
    drop(buyer);
    parked(&scene, 1).await;
    let (mut buyer, present) = connect(&Hello::new("a", "order")).await;
    assert!(!present && buyer.hears_nothing().await);
    assert_eq!(scene.gate.stats().parked, 0);
    drop(buyer);
    eventually("it is gone", || scene.gate.stats().sessions == 1).await;
    let (_, present) = connect(&hello).await;
    assert!(!present, "nothing is left of either");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_so_many_messages_wait_the_newest() {
    let scene = Scene::in_memory(1_000, |config| config.max_offline = 10).await;
    let mut device = scene.device().await;
    let hello = Hello5::lasting("a", "order", 60);
    drop(scene.buyer5(&hello, 1).await);
    parked(&scene, 1).await;
    for number in 0..50_u8 {
        assert!(device.publish_acked(TOPIC, &[number], false).await);
    }
    let (mut buyer, _) = scene.client5(&hello).await;
    for number in 40..50 {
        let message = buyer.message5().await;
        assert_eq!((message.payload, message.sequence), (vec![number], u64::from(number) + 1));
    }
    assert!(buyer.hears_nothing().await);
    let missed = Missed { offline: 40, ..Missed::default() };
    assert_eq!(scene.gate.stats().missed, missed);
    eventually("what is missed is not charged", || scene.gate.stats().delivered == 10).await;
    drop(buyer);
    eventually("the books are closed", || scene.market.open_leases() == 0).await;
    assert_eq!((scene.market.missed(), scene.market.billed()), (missed, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_at_its_time() {
    let scene = Scene::in_memory(100, |_| {}).await;
    let hello = Hello5::lasting("a", "order", 1);
    drop(scene.buyer5(&hello, 1).await);
    eventually("it has ended", || scene.gate.stats().parked_ended == 1).await;
    assert_eq!(scene.gate.stats().parked, 0);
    assert!(!scene.client5(&hello).await.1);
    // The client may say at the end how long it is to last.
    let (mut buyer, _) = scene.client5(&Hello5::lasting("b", "order", 60)).await;
    buyer.send(&packet(0xe0, &[0, 5, 0x11, 0, 0, 0, 0])).await;
    assert!(buyer.is_closed().await);
    eventually("neither is left", || scene.gate.stats().sessions == 0 && scene.gate.stats().parked == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_access_ends_what_waits_before_the_call_returns() {
    let scene = Scene::new(100).await;
    let mut device = scene.device().await;
    let hello = Hello5::lasting("a", "order", 60);
    let mut buyer = scene.buyer5(&hello, 1).await;
    assert!(device.publish_acked(TOPIC, b"in flight", false).await);
    buyer.message5().await;
    drop(buyer);
    parked(&scene, 1).await;
    assert!(device.publish_acked(TOPIC, b"queued", false).await);
    scene.market.set_open(false).await;
    assert_eq!(scene.gate.stats().parked, 0);
    let (mut buyer, present) = scene.client5(&hello).await;
    assert!(!present && buyer.hears_nothing().await);
    drop(buyer);
    // Renewed: what came before is not made up for.
    scene.market.set_open(true).await;
    let mut buyer = scene.buyer5(&Hello5::new("a", "order"), 1).await;
    assert!(device.publish_acked(TOPIC, b"paid", false).await);
    assert_eq!(buyer.message5().await.payload, b"paid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_leaves_the_grant_open_leaves_the_session_as_it_is() {
    let scene = Scene::new(100).await;
    let mut device = scene.device().await;
    let hello = Hello5::lasting("a", "order", 60);
    drop(scene.buyer5(&hello, 1).await);
    parked(&scene, 1).await;
    scene.market.set_open(true).await;
    assert!(device.publish_acked(TOPIC, b"1", false).await);
    let (mut buyer, present) = scene.client5(&hello).await;
    assert!(present);
    assert_eq!(buyer.message5().await.payload, b"1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_nobody_told_is_found_when_the_client_comes_back() {
    let scene = Scene::in_memory(100, |_| {}).await;
    let mut device = scene.device().await;
    let hello = Hello5::lasting("a", "order", 60);
    drop(scene.buyer5(&hello, 1).await);
    parked(&scene, 1).await;
    assert!(device.publish_acked(TOPIC, b"1", false).await);
    scene.market.set_until(SystemClock.now());
    let (mut buyer, present) = scene.client5(&hello).await;
    assert!(!present && buyer.hears_nothing().await);
    assert_eq!((scene.gate.stats().parked, scene.gate.stats().delivered), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_used_up_order_leaves_no_session() {
    let scene = Scene::in_memory(1, |_| {}).await;
    let mut device = scene.device().await;
    let hello = Hello5::lasting("a", "order", 60);
    let mut buyer = scene.buyer5(&hello, 1).await;
    for _ in 0..2 {
        assert!(device.publish_acked(TOPIC, b"x", false).await);
    }
    buyer.message5().await;
    assert_eq!(buyer.reason().await, 0x97);
    assert_eq!(scene.gate.stats().parked, 0);
    let (mut buyer, present) = scene.client5(&hello).await;
    assert!(!present);
    assert_eq!(buyer.subscribe5(&[(TOPIC, 1)], 0).await, [0x97]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_store_nobody_comes_back_and_nothing_is_lost() {
    let scene = Scene::in_memory(100, |_| {}).await;
    let mut device = scene.device().await;
    let hello = Hello5::lasting("a", "order", 60);
    drop(scene.buyer5(&hello, 1).await);
    parked(&scene, 1).await;
    assert!(device.publish_acked(TOPIC, b"1", false).await);
    scene.market.down.store(true, Ordering::SeqCst);
    let mut early = Client::open(scene.gate.local_addr()).await;
    assert_eq!(early.hello5(&hello).await.reason, 0x88);
    scene.market.down.store(false, Ordering::SeqCst);
    let (mut buyer, present) = scene.client5(&hello).await;
    assert!(present);
    assert_eq!(buyer.message5().await.payload, b"1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_takeover_takes_the_session_along() {
    let scene = Scene::new(100).await;
    let mut device = scene.device().await;
    let hello = Hello5::lasting("a", "order", 60);
    let mut buyer = scene.buyer5(&hello, 1).await;
    assert!(device.publish_acked(TOPIC, b"1", false).await);
    let first = buyer.message5().await;
    for _ in 0..5 {
        let (mut next, present) = scene.client5(&hello).await;
        assert!(present);
        assert_eq!(buyer.reason().await, 0x8e);
        let message = next.message5().await;
        assert!(message.dup && message.id == first.id && message.payload == b"1");
        buyer = next;
    }
    buyer.ack(0x40, first.id).await;
    assert!(device.publish_acked(TOPIC, b"2", false).await);
    assert_eq!(buyer.message5().await.payload, b"2");
    assert!(!scene.client5(&Hello5::new("a", "order")).await.1, "a clean start takes nothing");
    drop(buyer);
    eventually("the books are closed", || scene.market.open_leases() == 0).await;
    assert_eq!(scene.market.billed(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_principal_parks_so_many_sessions_and_the_gate_so_many() {
    let scene = Scene::in_memory(100, |config| {
        config.max_parked_per_principal = 3;
        config.max_parked = 4;
    })
    .await;
    for number in 0..5 {
        drop(scene.client5(&Hello5::lasting(&number.to_string(), "order", 60)).await);
        parked(&scene, (number + 1).min(3)).await;
        eventually("it has left", || scene.gate.stats().sessions == 0).await;
    }
    for number in 0..3 {
        drop(scene.client5(&Hello5::lasting(&number.to_string(), "device", 60)).await);
        eventually("it has left", || scene.gate.stats().sessions == 0).await;
        parked(&scene, 4).await;
    }
    assert!(scene.client5(&Hello5::lasting("4", "order", 60)).await.1, "the newest are left");
    assert!(!scene.client5(&Hello5::lasting("0", "order", 60)).await.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delayed_will_fires_late_or_not_at_all() {
    fn will(delay: u32, expiry: u32, payload: &str) -> Hello5<'_> {
        Hello5 { will: Some((TOPIC, payload, delay)), ..Hello5::lasting("device", "device", expiry) }
    }
    let scene = Scene::new(100).await;
    let mut buyer = scene.buyer("a", 0).await;
    // It is back in time.
    let missed = catch("back in time", async |payload| {
        drop(scene.client5(&will(1, 60, payload)).await);
        parked(&scene, 1).await;
        assert!(scene.client5(&Hello5::lasting("device", "device", 60)).await.1);
        parked(&scene, 1).await;
    })
    .await;
    tokio::time::sleep(DELAY + Duration::from_millis(300)).await;
    // It is not.
    let (device, present) = scene.client5(&will(1, 60, "late")).await;
    assert!(present);
    let begun = Instant::now();
    drop(device);
    assert_eq!(next_but(&mut buyer, &missed).await, b"late");
    assert!(begun.elapsed() >= Duration::from_millis(950));
    // The session's end comes before the delay's.
    assert!(scene.client5(&will(60, 1, "at the end")).await.1, "the session goes on after its will");
    assert_eq!(buyer.message().await.unwrap().payload, b"at the end");
    // A session that is not taken up ends.
    drop(scene.client5(&will(60, 60, "not taken up")).await);
    parked(&scene, 1).await;
    let (device, present) = scene.client5(&Hello5::new("device", "device")).await;
    assert!(!present);
    assert_eq!(buyer.message().await.unwrap().payload, b"not taken up");
    drop(device);
    // Without a session there is no delay.
    drop(scene.client5(&Hello5 { clean: true, ..will(60, 0, "at once") }).await);
    assert_eq!(buyer.message().await.unwrap().payload, b"at once");
    assert!(buyer.hears_nothing().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_version_5_says_goodbye_with_or_without_its_will() {
    let scene = Scene::new(100).await;
    let mut buyer = scene.buyer("a", 0).await;
    let hello = |payload| Hello5 { will: Some((TOPIC, payload, 0)), ..Hello5::new("d", "device") };
    for (reason, payload) in [(0x00, "without"), (0x04, "with")] {
        let (mut device, _) = scene.client5(&hello(payload)).await;
        device.send(&[0xe0, 1, reason]).await;
        assert!(device.is_closed().await);
    }
    assert_eq!(buyer.message().await.unwrap().payload, b"with");
    // A takeover is an end of the connection too.
    let (mut old, _) = scene.client5(&hello("taken over")).await;
    let (mut new, _) = scene.client5(&hello("new")).await;
    assert_eq!(old.reason().await, 0x8e);
    assert_eq!(buyer.message().await.unwrap().payload, b"taken over");
    scene.market.change_login(device_principal(), None).await;
    assert_eq!(new.reason().await, 0x87);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_will_does_not_outlive_what_allowed_it() {
    fn hello(payload: &str) -> Hello5<'_> {
        Hello5 { will: Some((TOPIC, payload, 1)), ..Hello5::lasting("d", "device", 60) }
    }
    let scene = Scene::new(100).await;
    let mut buyer = scene.buyer("a", 0).await;
    // The key is removed while the device is connected.
    let at_once = Hello5 { will: Some((TOPIC, "gone", 0)), ..Hello5::new("d", "device") };
    let (mut device, _) = scene.client5(&at_once).await;
    scene.market.change_login(device_principal(), Some(1)).await;
    assert_eq!(device.reason().await, 0x87);
    // And while it is away: the session goes, and its will.
    let mut missed = catch("its key is removed", async |payload| {
        drop(scene.client5(&hello(payload)).await);
        parked(&scene, 1).await;
        scene.market.change_login(device_principal(), Some(99)).await;
        assert_eq!(scene.gate.stats().parked, 1, "another key is not its concern");
        scene.market.change_login(device_principal(), Some(1)).await;
        assert_eq!(scene.gate.stats().parked, 0);
    })
    .await;
    // The device is switched off: the will is refused when it fires.
    let switched_off = catch("switched off", async |payload| {
        scene.market.set_device(true).await;
        drop(scene.client5(&hello(payload)).await);
        parked(&scene, 1).await;
        scene.market.set_device(false).await;
    });
    missed.extend(switched_off.await);
    eventually("it is refused", || scene.gate.stats().publishes_refused > 0).await;
    scene.market.set_device(true).await;
    assert!(scene.device().await.publish_acked(TOPIC, b"on again", false).await);
    assert_eq!(next_but(&mut buyer, &missed).await, b"on again");
    assert!(buyer.hears_nothing().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parked_sessions_and_retained_messages_survive_the_router() {
    let log = Arc::new(RumqttdLog::start(RumqttdLogConfig::default()).await.unwrap());
    let scene = Scene::with(1_000, Arc::clone(&log) as _, |_| {}).await;
    let mut device = scene.device().await;
    let hello = Hello5::lasting("a", "order", 60);
    let mut buyer = scene.buyer5(&hello, 1).await;
    assert!(device.publish_acked(TOPIC, b"kept", true).await);
    let message = buyer.message5().await;
    buyer.ack(0x40, message.id).await;
    drop(buyer);
    parked(&scene, 1).await;
    assert!(device.publish_acked(TOPIC, b"before", false).await);
    eventually("it has come through the router", || log.feeds().len() == 1).await;
    log.kill_router();
    eventually("another router runs", || scene.gate.stats().log_restarts == 1).await;
    assert!(device.publish_acked(TOPIC, b"after", false).await);
    let mut late = scene.buyer("late", 0).await;
    let retained = late.message().await.unwrap();
    assert!(retained.retain && retained.payload == b"kept");
    let (mut buyer, present) = scene.client5(&hello).await;
    assert!(present);
    let message = buyer.message5().await;
    // What was on its way through the dead router may be lost; what came after is not.
    let message = if message.payload == b"before" { buyer.message5().await } else { message };
    assert_eq!(message.payload, b"after");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivered_is_charged_once_however_often_the_line_breaks() {
    const MESSAGES: u32 = 2_000;
    let log = Arc::new(RumqttdLog::start(RumqttdLogConfig::default()).await.unwrap());
    let scene = Scene::with(1_000_000, log, |config| config.max_offline = u64::from(MESSAGES)).await;
    let hello = Hello5::lasting("a", "order", 60);
    drop(scene.buyer5(&hello, 1).await);
    parked(&scene, 1).await;
    let mut device = scene.device().await;
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES {
            device.send(&publish(TOPIC, &number.to_be_bytes(), 1, false, 9)).await;
            device.packet().await.unwrap();
        }
        device
    });
    let mut seen = Vec::new();
    let mut round = 0_usize;
    while seen.last() != Some(&(MESSAGES - 1)) {
        let (mut buyer, present) = scene.client5(&hello).await;
        assert!(present);
        // Some are acknowledged, the last ones of each connection are not.
        for at in 0..37 + round * 13 % 50 {
            if seen.last() == Some(&(MESSAGES - 1)) {
                break;
            }
            let message = buyer.message5().await;
            let number = u32::from_be_bytes(message.payload.as_slice().try_into().unwrap());
            if seen.last().is_none_or(|last| number > *last) {
                seen.push(number);
            } else {
                assert!(message.dup, "{number} came before");
            }
            if at < 30 {
                buyer.ack(0x40, message.id).await;
            }
        }
        round += 1;
        drop(buyer);
        parked(&scene, 1).await;
    }
    drop(sending.await.unwrap());
    assert_eq!(seen, (0..MESSAGES).collect::<Vec<_>>(), "each arrived, in order");
    eventually("the books are closed", || scene.market.open_leases() == 0).await;
    let stats = scene.gate.stats();
    assert_eq!(
        (scene.market.billed(), stats.delivered, stats.missed.slow),
        (MESSAGES.into(), MESSAGES.into(), 0)
    );
    assert!(stats.redelivered > 0 && round > 10);
}
