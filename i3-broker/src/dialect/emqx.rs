//! EMQX 5 and 6: the HTTP authenticator and the HTTP authorizer.
//!
//! To EMQX every status but 200 and 204 means that somebody else is asked, so the answer is always 200 with a
//! `result` of `allow` or `deny`.

use i3_core::gate::{Admission, Login, Principal};
use serde::Deserialize;
use serde_json::{Value, json};

use super::decide::{Act, Decider, Decision, Reason};
use super::hooks::{Call, HookReply, note, peer};
use super::params::read;

#[derive(Deserialize)]
struct Authn {
    #[serde(default)]
    clientid: String,
    username: Option<String>,
    password: Option<String>,
    peerhost: Option<String>,
}

#[derive(Deserialize)]
struct Authz {
    username: Option<String>,
    action: Action,
    topic: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Publish,
    Subscribe,
}

pub(super) async fn answer(decider: &Decider, call: Call<'_>, presets: bool) -> HookReply {
    match call.name {
        "authn" => authn(decider, call, presets).await,
        "authz" => match read::<Authz>(call.content_type, call.body) {
            Some(authz) => {
                let act = match authz.action {
                    Action::Publish => Act::Publish,
                    Action::Subscribe => Act::Subscribe,
                };
                let name = authz.username.as_deref();
                let decision = decider.decide(name, act, &authz.topic).await;
                note("emqx", call.name, name, &decision);
                HookReply::json(200, &json!({ "result": word(&decision) }))
            }
            None => refusal(call.name),
        },
        _ => refusal(call.name),
    }
}

async fn authn(decider: &Decider, call: Call<'_>, presets: bool) -> HookReply {
    let Some(authn) = read::<Authn>(call.content_type, call.body) else { return refusal(call.name) };
    let login = Login {
        client_id: &authn.clientid,
        username: authn.username.as_deref(),
        password: authn.password.as_deref().map(str::as_bytes),
        peer: peer(authn.peerhost.as_deref()),
    };
    let entry = decider.login(login).await;
    note("emqx", call.name, authn.username.as_deref(), &entry.decision);
    match entry.admission {
        Some(admission) => HookReply::json(200, &admitted(decider, &admission, presets).await),
        None => refusal(call.name),
    }
}

async fn admitted(decider: &Decider, admission: &Admission, presets: bool) -> Value {
    let (kind, id) = match admission.principal {
        Principal::Device { device, .. } => ("device", device.to_string()),
        Principal::Order { order, .. } => ("order", order.to_string()),
    };
    let mut answer = json!({
        "result": "allow",
        "is_superuser": false,
        "client_attrs": { "i3_kind": kind, "i3_id": id },
    });
    let Some(fields) = answer.as_object_mut() else { return answer };
    if let Some(until) = admission.until {
        fields.insert("expire_at".to_owned(), until.seconds().into());
    }
    // Who may do nothing now may still connect, as at the gate: each action is refused on its own.
    if presets && let Ok(rights) = decider.rights(admission.principal).await {
        let rule = |action: &str, topic: &dyn std::fmt::Display| {
            // `eq`: literally this topic, whatever it looks like.
            json!({ "permission": "allow", "action": action, "topic": format!("eq {topic}") })
        };
        let mut rules: Vec<Value> = rights.publish.iter().map(|topic| rule("publish", topic)).collect();
        rules.extend(rights.receive.iter().map(|topic| rule("subscribe", topic)));
        fields.insert("acl".to_owned(), rules.into());
    }
    answer
}

fn word(decision: &Decision) -> &'static str {
    if decision.allow { "allow" } else { "deny" }
}

/// No, in answer to this call.
pub(super) fn refusal(call: &str) -> HookReply {
    let no = word(&Decision::no(Reason::Malformed));
    let body = if call == "authn" {
        json!({ "result": no, "is_superuser": false })
    } else {
        json!({ "result": no })
    };
    HookReply::json(200, &body)
}
