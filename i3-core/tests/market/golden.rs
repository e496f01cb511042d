//! Data as this version stores them, kept in `tests/golden`: what a later version must be able to read.
//!
//! A test here fails if bodies come to be read or written otherwise, or if a rule comes to decide otherwise what
//! is in the log. If that is meant, data in the field need a migration, and `make golden` writes the files anew.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use i3_core::access::Actor;
use i3_core::device::DeviceSecret;
use i3_core::market::{Commands, IdempotencyKey, Marketplace, Purchase, contents, replay};
use i3_core::order::Order;
use i3_core::portable::{Filling, FillingKind, digest, export, import, verify};
use i3_core::store::{Body, Entity, Key, MemoryStore, Scan, StoreExt as _};
use i3_core::user::{User, UserSecret};

use crate::everything::everything;
use crate::fixture::AllowAll;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn golden(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

fn key(text: &str) -> IdempotencyKey {
    text.parse().unwrap()
}

async fn exported(store: &MemoryStore) -> String {
    let mut lines = Vec::new();
    export(store, &contents(&[]).unwrap(), &mut lines, &()).await.unwrap();
    String::from_utf8(lines).unwrap()
}

/// What no export holds: the secrets, and the mark of a store that is being filled.
async fn rest(store: &MemoryStore) -> String {
    let mut lines = String::new();
    let mut say = |draft: i3_core::store::Draft| {
        writeln!(lines, "{} {}", draft.key(), draft.body().as_str()).unwrap();
    };
    for secret in store.all::<UserSecret>(Scan::ids(UserSecret::collection())).await.unwrap() {
        say(secret.draft().unwrap());
    }
    for secret in store.all::<DeviceSecret>(Scan::ids(DeviceSecret::collection())).await.unwrap() {
        say(secret.draft().unwrap());
    }
    for how in [FillingKind::Copy, FillingKind::Import, FillingKind::Replay] {
        say(Filling { how }.draft().unwrap());
    }
    lines
}

async fn read() -> MemoryStore {
    read_from("store.jsonl").await
}

async fn read_from(name: &str) -> MemoryStore {
    let store = MemoryStore::new();
    let text = golden(name);
    import(&store, &contents(&[]).unwrap(), &mut text.as_bytes(), &()).await.unwrap();
    store
}

#[tokio::test]
async fn todays_text_is_the_golden_text() {
    let store = everything().await;
    let (lines, rest) = (exported(&store).await, rest(&store).await);
    if std::env::var_os("I3_GOLDEN").is_some_and(|wish| wish == "write") {
        std::fs::create_dir_all(file("")).unwrap();
        std::fs::write(file("store.jsonl"), &lines).unwrap();
        std::fs::write(file("secrets.txt"), &rest).unwrap();
    }
    for (today, golden) in [(lines, golden("store.jsonl")), (rest, golden("secrets.txt"))] {
        for (number, (today, golden)) in today.lines().zip(golden.lines()).enumerate() {
            assert_eq!(today, golden, "line {}", number + 1);
        }
        assert_eq!(today.lines().count(), golden.lines().count());
    }
}

#[tokio::test]
async fn golden_data_are_read_and_add_up() {
    let store = read().await;
    let report = verify(&store, &contents(&[]).unwrap(), &()).await.unwrap();
    assert_eq!(report.faults, vec![]);
    let market = Marketplace::open(Arc::new(store.clone()), Arc::new(AllowAll), &[]).await.unwrap();
    let books = market.reconcile(Actor::System).await.unwrap();
    assert_eq!(books.differences, vec![]);
    assert_eq!(books.grants.len(), 6);
    let events = market.events(Actor::System, 0, 1_000).await.unwrap();
    let log = market.audit_log(Actor::System, 0, 1_000).await.unwrap();
    assert!(events.len() > 40 && log.len() > 40);
    assert_eq!(exported(&store).await.lines().count(), golden("store.jsonl").lines().count());

    // An answer that was stored is given again.
    let orders: Vec<Order> = store.all(Scan::ids(Order::collection())).await.unwrap();
    let replaced = orders.iter().find(|order| order.password_generation == 1).unwrap();
    let buy = Purchase { offer: replaced.offer };
    let again = market.execute(Actor::User(replaced.buyer), Some(&key("active")), &buy).await.unwrap();
    assert_eq!(again, Order { password_generation: 0, ..replaced.clone() });
}

#[tokio::test]
async fn golden_secrets_are_read() {
    let mut read = 0;
    for line in golden("secrets.txt").lines() {
        let (place, body) = line.split_once(' ').unwrap();
        let (collection, id) = place.split_once('/').unwrap();
        let body = Body::new(body).unwrap();
        let draft = match collection {
            "user_secrets" => UserSecret::from_body(&Key::new(UserSecret::collection(), id).unwrap(), &body)
                .unwrap()
                .draft(),
            "device_secrets" => {
                DeviceSecret::from_body(&Key::new(DeviceSecret::collection(), id).unwrap(), &body)
                    .unwrap()
                    .draft()
            }
            "fillings" => {
                Filling::from_body(&Key::new(Filling::collection(), id).unwrap(), &body).unwrap().draft()
            }
            other => panic!("no test knows `{other}`"),
        };
        assert_eq!(draft.unwrap().body(), &body);
        read += 1;
    }
    assert_eq!(read, 5 + 2 + 3);
}

/// Carries the log of these data out again: it must give the same.
async fn carried_out(name: &str) {
    let source = read_from(name).await;
    let target = MemoryStore::new();
    let contents = contents(&[]).unwrap();
    replay(&source, &target, &contents, &Commands::standard(), &()).await.unwrap();
    let (mut source, mut target) =
        (digest(&source, &contents, &()).await.unwrap(), digest(&target, &contents, &()).await.unwrap());
    source.collections.retain(|collection| collection.logged);
    target.collections.retain(|collection| collection.logged);
    assert_eq!(target, source);
}

#[tokio::test]
async fn the_golden_log_is_carried_out_to_the_golden_data() {
    carried_out("store.jsonl").await;
}

/// Never written anew.
#[tokio::test]
async fn data_from_before_there_were_profiles_are_read_and_their_log_is_carried_out() {
    let store = read_from("before-profiles.jsonl").await;
    let report = verify(&store, &contents(&[]).unwrap(), &()).await.unwrap();
    assert_eq!(report.faults, vec![]);
    let users: Vec<User> = store.all(Scan::ids(User::collection())).await.unwrap();
    assert!(!users.is_empty() && users.iter().all(|user| user.profile.is_empty()));
    carried_out("before-profiles.jsonl").await;
}

#[tokio::test]
async fn golden_data_hold_every_collection_command_state_and_event() {
    let text = golden("store.jsonl") + &golden("secrets.txt").replace(' ', "\",");
    for part in contents(&[]).unwrap().parts() {
        let name = part.collection().name;
        assert!(text.contains(&format!("\"in\":\"{name}\"")) || part.is_secret(), "{name} is empty");
    }
    for command in Commands::standard().names() {
        assert!(text.contains(&format!("\"command\":\"{command}\"")), "{command} is missing");
    }
    let states =
        ["pending", "active", "suspended", "rejected", "disabled", "draft", "listed", "paused", "retired"]
            .into_iter()
            .chain(["published", "withdrawn", "completed", "cancelled", "exhausted", "expired", "revoked"])
            .chain(["open", "closed", "reclaimed", "submitted", "deprecated", "removed"]);
    for state in states {
        assert!(text.contains(&format!("\"state\":\"{state}\"")), "nothing is {state}");
    }
    let kinds = [
        "free",
        "fixed_count",
        "per_message",
        "top_up",
        "hold",
        "usage",
        "release",
        "password",
        "public_key",
    ];
    for kind in kinds {
        assert!(text.contains(&format!("\"kind\":\"{kind}\"")), "no {kind}");
    }
    let events = ["user_registered", "user_activated", "user_suspended", "roles_changed", "hub_registered"]
        .into_iter()
        .chain(["user_rejected", "user_described", "password_changed", "password_reset_asked"])
        .chain(["logins_ended", "invitation_changed"])
        .chain(["members_changed", "hub_changed", "device_changed", "product_changed", "offer_changed"])
        .chain([
            "role_changed",
            "topped_up",
            "purchased",
            "order_cancelled",
            "password_replaced",
            "grant_ended",
        ])
        .chain(["usage_metered", "lease_reclaimed", "rated", "client_changed", "virtual_object_changed"]);
    for event in events {
        assert!(text.contains(&format!("\"event\":\"{event}\"")), "no {event}");
    }
    for part in [
        "\"denied\":[",
        "\"counters\":[",
        "\"settings\":{\"registration\":\"approval\"",
        "\"access\":[",
        "\"anonymous\"",
        "\"system\"",
        "\"available\"",
        "\"held\"",
        "\"earned\"",
        "\"fees\"",
        "\"external\"",
        "POINTS/0",
        "EdDSA",
        "ES256",
        "RS256",
        "viewer",
        "manager",
        "owner",
        "\"json\":{\"who\":{\"age\":7}}",
        "\"withheld\":\"too_long\"",
        "\"withheld\":\"not_json\"",
        "\"text\":",
        "\"base64\":",
        "confidential",
        "machine",
        "\"publishing\":\"review\"",
        "\"remark\":\"No\\nmore\"",
        "\"level\":1",
        "\"heading\":\"platform:",
        "\"point\":{",
        "\"kept_files\":{",
        "\"held_doubt\":2",
        "\"hold\":true",
        "\"state\":\"waste\"",
    ] {
        assert!(text.contains(part), "no {part}");
    }
}
