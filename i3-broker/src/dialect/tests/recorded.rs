//! Each dialect's calls and answers, field by field.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::world::*;
use crate::dialect::*;

fn object(reply: &HookReply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

fn text(reply: &HookReply) -> (u16, &str) {
    (reply.status, std::str::from_utf8(&reply.body).unwrap())
}

fn order_name() -> String {
    order().to_string()
}

/// Whether the answer to each is the same, and which.
async fn all(hooks: &Hooks, asked: &[Asked]) -> bool {
    let mut answers = Vec::new();
    for asked in asked {
        answers.push((asked.allowed(hooks).await, asked));
    }
    let first = answers[0].0;
    assert!(answers.iter().all(|(answer, _)| *answer == first), "{answers:#?}");
    first
}

#[tokio::test]
async fn who_has_the_password_is_let_in_and_nobody_else_in_every_dialect() {
    let hooks = Market::new(World::open()).hooks();
    for name in [DEVICE, &order_name()] {
        assert!(all(&hooks, &logins("c1", name, PASSWORD)).await);
        assert!(!all(&hooks, &logins("c1", name, "wrong")).await);
        assert!(!all(&hooks, &logins("c1", name, "")).await);
    }
    for stranger in ["acme.other", "", "ord_00000000000000000000000009", "#"] {
        assert!(!all(&hooks, &logins("c1", stranger, PASSWORD)).await, "{stranger}");
    }
}

#[tokio::test]
async fn a_device_publishes_its_topics_and_an_order_receives_its_own_in_every_dialect() {
    let hooks = Market::new(World::open()).hooks();
    assert!(all(&hooks, &questions(DEVICE, Act::Publish, AIR)).await);
    assert!(all(&hooks, &questions(&order_name(), Act::Subscribe, AIR)).await);
    assert!(all(&hooks, &questions(&order_name(), Act::Receive, AIR)).await);
    for (name, act, topic) in [
        (DEVICE, Act::Publish, WATER),
        (DEVICE, Act::Subscribe, AIR),
        (DEVICE, Act::Receive, AIR),
        (&*order_name(), Act::Publish, AIR),
        (&*order_name(), Act::Subscribe, WATER),
        (&*order_name(), Act::Subscribe, "i3/acme/+"),
        (&*order_name(), Act::Subscribe, "#"),
        (&*order_name(), Act::Subscribe, "$share/g/i3/acme/air"),
        (&*order_name(), Act::Subscribe, "i3/acme/air/"),
        (&*order_name(), Act::Subscribe, "I3/acme/air"),
        (&*order_name(), Act::Receive, "$SYS/broker/uptime"),
        (DEVICE, Act::Publish, ""),
        ("acme.nobody", Act::Publish, AIR),
        ("", Act::Subscribe, AIR),
    ] {
        assert!(!all(&hooks, &questions(name, act, topic)).await, "{name} {act:?} {topic}");
    }
}

#[tokio::test]
async fn a_wrong_or_absent_secret_is_a_refusal_in_every_dialect() {
    let hooks = Market::new(World::open()).hooks();
    for mut asked in logins("c1", DEVICE, PASSWORD).into_iter().chain(questions(DEVICE, Act::Publish, AIR)) {
        assert!(asked.allowed(&hooks).await);
        for wrong in ["a-secret-for-brokerz", "a-secret-for-broker", "x"] {
            asked.secret = wrong;
            assert!(!asked.allowed(&hooks).await, "{asked:?}");
        }
        let name = asked.dialect.name();
        let path = if asked.dialect == Dialect::VerneMq {
            name.to_owned()
        } else {
            format!("{name}/{}", asked.call)
        };
        let request = |authorization| HookRequest {
            path: &path,
            authorization,
            content_type: Some(asked.content_type),
            hook: Some(asked.call),
            body: Some(asked.body.as_bytes()),
        };
        for (header, allowed) in [
            (None, false),
            (Some("Bearer a-secret-for-brokers"), true),
            (Some("bearer  a-secret-for-brokers"), true),
            (Some("Basic a-secret-for-brokers"), false),
            (Some("Bearer a-secret-for-brokers2"), false),
            (Some("a-secret-for-brokers"), false),
        ] {
            let reply = hooks.answer(request(header)).await.unwrap();
            assert_eq!(understood(asked.dialect, asked.call, &reply), allowed, "{header:?} {asked:?}");
        }
    }
}

#[tokio::test]
async fn a_call_that_makes_no_sense_is_a_refusal_in_every_dialect() {
    let hooks = Market::new(World::open()).hooks();
    for asked in logins("c1", DEVICE, PASSWORD).into_iter().chain(questions(DEVICE, Act::Publish, AIR)) {
        let half = asked.body.split_at(asked.body.len() / 2).0.to_owned();
        for body in ["", "{}", "[]", "null", "username=", "\u{0}", &half, "{\"username\":{}}"] {
            let asked = Asked { body: body.to_owned(), ..asked.clone() };
            assert!(!asked.allowed(&hooks).await, "{asked:?}");
        }
        let other = if asked.content_type == JSON { FORM } else { JSON };
        assert!(!Asked { content_type: other, ..asked.clone() }.allowed(&hooks).await);
        assert!(!Asked { call: "nothing", ..asked.clone() }.allowed(&hooks).await);
        let unread = HookRequest {
            path: &format!("{}/{SECRET}/{}", asked.dialect.name(), asked.call),
            authorization: None,
            content_type: None,
            hook: Some(asked.call),
            body: None,
        };
        let reply = hooks.answer(unread).await.unwrap();
        assert!(!understood(asked.dialect, asked.call, &reply), "{asked:?}");
    }
    let nowhere =
        HookRequest { path: "other/user", authorization: None, content_type: None, hook: None, body: None };
    assert_eq!(hooks.answer(nowhere).await, None);
}

#[tokio::test]
async fn without_the_store_everything_is_refused_in_every_dialect() {
    let market = Market::new(World::open());
    let hooks = market.hooks().with_presets();
    market.down.store(true, Ordering::SeqCst);
    for asked in logins("c1", DEVICE, PASSWORD).into_iter().chain(questions(DEVICE, Act::Publish, AIR)) {
        let reply = asked.of(&hooks).await;
        assert!(!understood(asked.dialect, asked.call, &reply), "{asked:?}");
        assert_eq!(reply.max_age, None);
        // The one broker that tells a failure from a no, and keeps a no.
        let failure = matches!(asked.dialect, Dialect::GoAuth | Dialect::GoAuthText);
        assert_eq!(reply.status, if failure { 503 } else { 200 }, "{asked:?}");
    }
    market.down.store(false, Ordering::SeqCst);
    assert!(all(&hooks, &logins("c1", DEVICE, PASSWORD)).await);
}

#[tokio::test]
async fn an_order_that_has_ended_opens_nothing_in_any_dialect() {
    let market = Market::new(World { until: Some(soon(60)), ..World::open() });
    let hooks = market.hooks();
    assert!(all(&hooks, &questions(&order_name(), Act::Subscribe, AIR)).await);
    market.clock.advance(Duration::from_mins(1));
    assert!(!all(&hooks, &questions(&order_name(), Act::Subscribe, AIR)).await);
    assert!(!all(&hooks, &logins("c1", &order_name(), PASSWORD)).await);
}

#[tokio::test]
async fn a_client_id_of_somebody_else_is_refused_unless_that_is_switched_off() {
    let hooks = Market::new(World::open()).hooks_with(DeciderConfig::default());
    for own in [DEVICE.to_owned(), format!("{DEVICE}:2"), format!("{DEVICE}:")] {
        assert!(all(&hooks, &logins(&own, DEVICE, PASSWORD)).await, "{own}");
    }
    for foreign in ["", "c1", "acme.sensor2", "acme.senso", &order_name()] {
        assert!(!all(&hooks, &logins(foreign, DEVICE, PASSWORD)).await, "{foreign}");
    }
}

#[tokio::test]
async fn go_auth_knows_no_superuser_and_nobody_who_may_both_read_and_write() {
    let hooks = Market::new(World::open()).hooks();
    let mut asked = questions(DEVICE, Act::Publish, AIR).remove(0);
    assert_eq!(object(&asked.of(&hooks).await), json!({ "ok": true, "error": "" }));
    for acc in [0, 3, 5, 255] {
        asked.body = json!({ "username": DEVICE, "clientid": "c1", "topic": AIR, "acc": acc }).to_string();
        let reply = asked.of(&hooks).await;
        assert_eq!((reply.status, object(&reply)), (403, json!({ "ok": false, "error": "not allowed" })));
    }
    for name in [DEVICE, "admin"] {
        let body = json!({ "username": name }).to_string();
        let asked = Asked { call: "superuser", body, ..asked.clone() };
        assert!(!asked.allowed(&hooks).await);
        let asked = Asked { dialect: Dialect::GoAuthText, ..asked };
        assert_eq!(text(&asked.of(&hooks).await), (403, "not allowed"));
    }
}

#[tokio::test]
async fn emqx_is_told_the_end_and_the_exact_topics_only_if_clients_are_kicked() {
    let market = Market::new(World { until: Some(soon(3_600)), ..World::open() });
    let login =
        |name: &str| logins("c1", name, PASSWORD).into_iter().find(|asked| asked.call == "authn").unwrap();
    let plain = login(DEVICE).of(&market.hooks()).await;
    assert_eq!(
        object(&plain),
        json!({
            "result": "allow", "is_superuser": false, "expire_at": 1_800_003_600,
            "client_attrs": { "i3_kind": "device", "i3_id": device().to_string() },
        })
    );
    let kicked = market.hooks().with_presets();
    let preset = object(&login(DEVICE).of(&kicked).await);
    let rule = json!([{ "permission": "allow", "action": "publish", "topic": "eq i3/acme/air" }]);
    assert_eq!(preset["acl"], rule);
    let preset = object(&login(&order_name()).of(&kicked).await);
    assert_eq!(preset["acl"][0]["action"], "subscribe");
    assert_eq!(preset["client_attrs"]["i3_kind"], "order");
    let refused = Asked { body: "{}".to_owned(), ..login(DEVICE) }.of(&kicked).await;
    assert_eq!(object(&refused), json!({ "result": "deny", "is_superuser": false }));
}

#[tokio::test]
async fn the_longest_session_is_the_end_where_nothing_ends_before() {
    let market = Market::new(World { until: Some(soon(3_600)), ..World::open() });
    let config = DeciderConfig {
        longest_session: Some(Duration::from_mins(10)),
        bind_client_ids: false,
        ..DeciderConfig::default()
    };
    let asked = logins("c1", DEVICE, PASSWORD);
    let of = |call| asked.iter().find(|asked| asked.call == call).unwrap();
    let hooks = market.hooks_with(config);
    assert_eq!(object(&of("authn").of(&hooks).await)["expire_at"], 1_800_000_600);
    let rmqtt = of("auth").of(&hooks).await;
    assert_eq!(object(&rmqtt), json!({ "result": "allow", "superuser": false, "expire_at": 1_800_000_600 }));
}

#[tokio::test]
async fn rmqtt_is_answered_with_words_that_all_its_versions_know() {
    let hooks = Market::new(World::open()).hooks();
    let asked = logins("c1", DEVICE, PASSWORD).into_iter().find(|asked| asked.call == "auth").unwrap();
    let reply = asked.of(&hooks).await;
    assert_eq!((text(&reply), reply.content_type), ((200, "allow"), "text/plain"));
    let reply = Asked { body: "{}".to_owned(), ..asked }.of(&hooks).await;
    assert_eq!((text(&reply), reply.content_type), ((200, "deny"), "text/plain"));
    let acl = questions(DEVICE, Act::Publish, AIR)
        .into_iter()
        .find(|asked| asked.dialect == Dialect::Rmqtt)
        .unwrap();
    for access in ["0", "3", "12"] {
        let body = json!({ "access": access, "username": DEVICE, "topic": AIR }).to_string();
        assert_eq!(text(&Asked { body, ..acl.clone() }.of(&hooks).await), (200, "deny"));
    }
}

#[tokio::test]
async fn vernemq_is_refused_single_filters_with_their_code_and_keeps_only_what_is_allowed() {
    let market = Market::new(World { until: Some(soon(4)), ..World::open() });
    let hooks = market.hooks();
    let mut asked = questions(&order_name(), Act::Subscribe, AIR).pop().unwrap();
    let some = json!([{ "topic": AIR, "qos": 2 }, { "topic": "#", "qos": 0 }]);
    asked.body =
        json!({ "username": order_name(), "client_id": "c1", "mountpoint": "", "topics": some }).to_string();
    for (call, answer) in [
        (
            "auth_on_subscribe",
            json!({ "result": "ok",
            "topics": [{ "topic": AIR, "qos": 2 }, { "topic": "#", "qos": 128 }] }),
        ),
        (
            "auth_on_subscribe_m5",
            json!({ "result": "ok",
            "modifiers": { "topics": [{ "topic": AIR, "qos": 2 }, { "topic": "#", "qos": 135 }] } }),
        ),
    ] {
        let reply = Asked { call, ..asked.clone() }.of(&hooks).await;
        assert_eq!((object(&reply), reply.max_age), (answer, None));
    }
    asked.body = json!({ "username": order_name(), "topics": [] }).to_string();
    assert_eq!(object(&asked.of(&hooks).await), json!({ "result": { "error": "not_allowed" } }));

    // Four seconds are left of the order; a device's rights have no end, so the cap counts.
    let kept = |asked: Vec<Asked>| asked.into_iter().next_back().unwrap();
    let order = kept(questions(&order_name(), Act::Subscribe, AIR)).of(&hooks).await;
    assert_eq!((object(&order), order.max_age), (json!({ "result": "ok" }), Some(4)));
    let device = kept(questions(DEVICE, Act::Publish, AIR)).of(&hooks).await;
    assert_eq!(device.max_age, Some(10));
    let login = kept(logins("c1", DEVICE, PASSWORD)).of(&hooks).await;
    assert_eq!((object(&login), login.max_age), (json!({ "result": "ok" }), None));
}
