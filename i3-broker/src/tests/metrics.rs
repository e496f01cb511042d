//! The metrics, read by a strict parser of our own.

use std::collections::HashMap;

use super::five::Hello5;
use super::*;

/// A sample's name and labels.
type Key = (String, Vec<(String, String)>);

/// Reads exposition format 0.0.4, and insists on all that it demands of order and form.
fn parse(text: &str) -> HashMap<Key, f64> {
    let mut samples = HashMap::new();
    let mut families: HashMap<String, String> = HashMap::new();
    let (mut family, mut help) = (String::new(), None);
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, about) = rest.split_once(' ').unwrap();
            assert!(is_name(name) && !about.is_empty() && help.is_none(), "{line}");
            help = Some(name.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(help.take().as_deref(), Some(name), "HELP comes first");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(families.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} comes once");
            name.clone_into(&mut family);
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = match series.split_once('{') {
                Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
                None => (series, ""),
            };
            let stem = match families[&family].as_str() {
                "histogram" => ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)),
                _ => Some(name),
            };
            assert_eq!(stem, Some(family.as_str()), "{line} stands with its family");
            let labels: Vec<_> = labels.split_terminator(',').map(label).collect();
            let value: f64 = value.parse().unwrap();
            assert!(value >= 0.0, "{line}");
            assert!(samples.insert((name.to_owned(), labels), value).is_none(), "{line} comes once");
        }
    }
    for (name, kind) in families {
        if kind == "histogram" {
            check_histogram(&name, &samples);
        }
    }
    samples
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':')
}

fn label(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap();
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap();
    assert!(is_name(name) && !value.contains(['"', '\\']), "{text}");
    (name.to_owned(), value.to_owned())
}

fn check_histogram(name: &str, samples: &HashMap<Key, f64>) {
    let mut buckets: Vec<(f64, f64)> = samples
        .iter()
        .filter(|((of, _), _)| *of == format!("{name}_bucket"))
        .map(|((_, labels), count)| {
            assert!(labels.len() == 1 && labels[0].0 == "le");
            (labels[0].1.parse().unwrap(), *count)
        })
        .collect();
    buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    assert!(buckets.is_sorted_by(|(_, a), (_, b)| a <= b), "buckets add up");
    let (last, all) = buckets.last().unwrap();
    assert!(last.is_infinite());
    assert_eq!(samples.get(&(format!("{name}_count"), Vec::new())), Some(all));
}

fn of(samples: &HashMap<Key, f64>, name: &str, labels: &[(&str, &str)]) -> u64 {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let value = samples.get(&(name.to_owned(), labels)).unwrap_or_else(|| panic!("{name} is there"));
    format!("{value}").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_tell_what_happened_and_name_nobody() {
    let scene = Scene::new(10).await;
    let before = parse(&scene.gate.metrics().text());
    assert_eq!(of(&before, "i3_gate_deliveries_total", &[]), 0);
    let mut buyer = scene.buyer("a-clients-id", 1).await;
    let mut device = scene.device().await;
    for _ in 0..7 {
        assert!(device.publish_acked(TOPIC, b"x", false).await);
        buyer.message().await.unwrap();
    }
    let mut stranger = Client::open(scene.gate.local_addr()).await;
    assert_eq!(stranger.login("b", "stranger", "wrong").await, Some(5));
    assert!(!device.publish_acked("i3/hub/other", b"x", false).await);
    eventually("all is counted", || scene.gate.stats().delivered == 7).await;

    let text = scene.gate.metrics().text();
    let samples = parse(&text);
    assert_eq!(of(&samples, "i3_gate_publishes_total", &[]), 7);
    assert_eq!(of(&samples, "i3_gate_deliveries_total", &[]), 7);
    assert_eq!(of(&samples, "i3_gate_logins_total", &[]), 2);
    assert_eq!(of(&samples, "i3_gate_logins_refused_total", &[("reason", "not_authorized")]), 1);
    assert_eq!(of(&samples, "i3_gate_publishes_refused_total", &[("what", "publish")]), 1);
    let (one, five) = ([("version", "3.1.1")], [("version", "5")]);
    eventually("the device is gone", || {
        of(&parse(&scene.gate.metrics().text()), "i3_gate_sessions", &one) == 1
    })
    .await;
    assert_eq!(of(&samples, "i3_gate_sessions", &five), 0);
    assert!(of(&samples, "i3_gate_written_bytes_total", &[]) > 7 * 17);
    assert!(of(&samples, "i3_gate_read_bytes_total", &[]) > 7 * 17);
    assert_eq!(of(&samples, "i3_gate_log_feeds", &[]), 1);
    assert_eq!(of(&samples, "i3_gate_grants", &[("phase", "open")]), 1);
    assert_eq!(of(&samples, "i3_gate_leases_total", &[("event", "opened")]), 1);
    for secret in ["secret", "a-clients-id", "order", "127.0.0.1", TOPIC] {
        assert!(!text.contains(&format!("\"{secret}")), "{secret}");
    }

    scene.market.set_open(false).await;
    assert!(buyer.is_closed().await);
    eventually("the lease is closed", || scene.market.open_leases() == 0).await;
    eventually("and counted", || {
        let samples = parse(&scene.gate.metrics().text());
        of(&samples, "i3_gate_leases_total", &[("event", "closed")]) == 1
            && of(&samples, "i3_gate_revocation_seconds_count", &[]) == 1
            && of(&samples, "i3_gate_grants", &[("phase", "open")]) == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_used_up_order_is_told_by_its_reason() {
    let scene = Scene::new(3).await;
    let mut buyer = scene.buyer("a", 0).await;
    let mut device = scene.device().await;
    for _ in 0..10 {
        device.publish("x").await;
    }
    assert_eq!(buyer.messages().await.len(), 3);
    let exhausted =
        || of(&parse(&scene.gate.metrics().text()), "i3_gate_no_quota_total", &[("reason", "exhausted")]);
    eventually("it is counted", || exhausted() > 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_session_is_told_until_the_session_has_it() {
    let scene = Scene::new(100).await;
    let mut device = scene.device().await;
    let hello = Hello5::lasting("a", "order", 60);
    drop(scene.buyer5(&hello, 1).await);
    eventually("the session is parked", || scene.gate.stats().parked == 1).await;
    for _ in 0..4 {
        assert!(device.publish_acked(TOPIC, b"x", false).await);
    }
    let queued = || {
        let samples = parse(&scene.gate.metrics().text());
        (of(&samples, "i3_gate_queue_messages", &[]), of(&samples, "i3_gate_queue_longest", &[]))
    };
    eventually("they wait", || queued() == (4, 4)).await;
    let (mut buyer, _) = scene.client5(&hello).await;
    for _ in 0..4 {
        let message = buyer.message5().await;
        buyer.ack(0x40, message.id).await;
    }
    eventually("nothing waits", || queued() == (0, 0)).await;
}
