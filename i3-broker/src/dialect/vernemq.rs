//! `VerneMQ`'s webhooks for registering, subscribing and publishing, for MQTT 3.1.1 and 5.
//!
//! The status is always 200. Positive answers about topics may be kept for as long as the decision holds; the
//! body of a publish is no part of the key, nor of the decision. Logins are never kept: a kept one would outlive
//! the password.

use i3_core::gate::Login;
use serde::Deserialize;
use serde_json::{Value, json};

use super::decide::{Act, Decider};
use super::hooks::{Call, HookReply, note, peer};
use super::params::read;

#[derive(Deserialize)]
struct Register {
    #[serde(default)]
    client_id: String,
    username: Option<String>,
    password: Option<String>,
    peer_addr: Option<String>,
}

#[derive(Deserialize)]
struct Subscribe {
    username: Option<String>,
    topics: Vec<Wanted>,
}

#[derive(Deserialize)]
struct Wanted {
    topic: String,
    qos: u8,
}

#[derive(Deserialize)]
struct Publish {
    username: Option<String>,
    topic: String,
}

/// The reason code of MQTT 5 for what is not authorized (3.9.3).
const NOT_AUTHORIZED: u8 = 135;
/// The return code of MQTT 3.1.1 for a refused filter (3.9.3).
const FAILURE: u8 = 128;

pub(super) async fn answer(decider: &Decider, call: Call<'_>) -> HookReply {
    match call.name {
        "auth_on_register" | "auth_on_register_m5" => register(decider, call).await,
        "auth_on_subscribe" => subscribe(decider, call, false).await,
        "auth_on_subscribe_m5" => subscribe(decider, call, true).await,
        "auth_on_publish" | "auth_on_publish_m5" => publish(decider, call).await,
        _ => refusal(),
    }
}

async fn register(decider: &Decider, call: Call<'_>) -> HookReply {
    let Some(register) = read::<Register>(call.content_type, call.body) else { return refusal() };
    let login = Login {
        client_id: &register.client_id,
        username: register.username.as_deref(),
        password: register.password.as_deref().map(str::as_bytes),
        peer: peer(register.peer_addr.as_deref()),
    };
    let decision = decider.login(login).await.decision;
    note("vernemq", call.name, register.username.as_deref(), &decision);
    if decision.allow { allowed() } else { refusal() }
}

async fn publish(decider: &Decider, call: Call<'_>) -> HookReply {
    let Some(publish) = read::<Publish>(call.content_type, call.body) else { return refusal() };
    let name = publish.username.as_deref();
    let decision = decider.decide(name, Act::Publish, &publish.topic).await;
    note("vernemq", call.name, name, &decision);
    if decision.allow { allowed().kept_for(decision.valid_for) } else { refusal() }
}

/// Each filter by itself; one that is refused takes no other with it.
async fn subscribe(decider: &Decider, call: Call<'_>, v5: bool) -> HookReply {
    let Some(wanted) = read::<Subscribe>(call.content_type, call.body) else { return refusal() };
    let name = wanted.username.as_deref();
    let mut valid_for = None;
    let mut granted = Vec::with_capacity(wanted.topics.len());
    let mut refused = 0_usize;
    let topics: Vec<&str> = wanted.topics.iter().map(|wanted| wanted.topic.as_str()).collect();
    let decisions = decider.decide_each(name, Act::Subscribe, &topics).await;
    for (Wanted { topic, qos }, decision) in wanted.topics.iter().zip(decisions) {
        note("vernemq", call.name, name, &decision);
        let qos = match (decision.allow, v5) {
            (true, _) => (*qos).min(2),
            (false, true) => NOT_AUTHORIZED,
            (false, false) => FAILURE,
        };
        if decision.allow {
            valid_for = Some(valid_for.map_or(decision.valid_for, |least| decision.valid_for.min(least)));
        } else {
            refused += 1;
        }
        granted.push(json!({ "topic": topic, "qos": qos }));
    }
    if granted.is_empty() {
        return refusal();
    }
    if refused == 0 {
        return allowed().kept_for(valid_for.unwrap_or_default());
    }
    let granted = Value::from(granted);
    let body = if v5 {
        json!({ "result": "ok", "modifiers": { "topics": granted } })
    } else {
        json!({ "result": "ok", "topics": granted })
    };
    // Not kept: who is refused now may be let in the next moment.
    HookReply::json(200, &body)
}

fn allowed() -> HookReply {
    HookReply::json(200, &json!({ "result": "ok" }))
}

pub(super) fn refusal() -> HookReply {
    HookReply::json(200, &json!({ "result": { "error": "not_allowed" } }))
}
