//! RMQTT's plug-in `rmqtt-auth-http`.
//!
//! Every 2xx answer that it does not know means *allow* to it, and every other status means that somebody else is
//! asked. So a refusal is 200 and exactly the text `deny`, which all its versions know; an admission with an end
//! is a JSON object, which older versions take for `allow` without an end. `X-Cache` is never sent: every publish
//! is asked for.

use i3_core::gate::Login;
use serde::Deserialize;
use serde_json::json;

use super::decide::{Act, Decider};
use super::hooks::{Call, HookReply, note, peer};
use super::params::{Number, read};

#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    clientid: String,
    username: Option<String>,
    password: Option<String>,
    ipaddr: Option<String>,
}

#[derive(Deserialize)]
struct Acl {
    access: Number,
    username: Option<String>,
    topic: String,
}

pub(super) async fn answer(decider: &Decider, call: Call<'_>) -> HookReply {
    match call.name {
        "auth" => match read::<Auth>(call.content_type, call.body) {
            Some(auth) => authenticated(decider, call.name, &auth).await,
            None => refusal(),
        },
        "acl" => match read::<Acl>(call.content_type, call.body) {
            Some(acl) => {
                let act = match acl.access.0 {
                    1 => Act::Subscribe,
                    2 => Act::Publish,
                    _ => return refusal(),
                };
                let name = acl.username.as_deref();
                let decision = decider.decide(name, act, &acl.topic).await;
                note("rmqtt", call.name, name, &decision);
                if decision.allow { allowed() } else { refusal() }
            }
            None => refusal(),
        },
        _ => refusal(),
    }
}

async fn authenticated(decider: &Decider, call: &str, auth: &Auth) -> HookReply {
    let login = Login {
        client_id: &auth.clientid,
        username: auth.username.as_deref(),
        password: auth.password.as_deref().map(str::as_bytes),
        peer: peer(auth.ipaddr.as_deref()),
    };
    let entry = decider.login(login).await;
    note("rmqtt", call, auth.username.as_deref(), &entry.decision);
    match entry.admission {
        Some(admission) => match admission.until {
            Some(until) => {
                let answer = json!({ "result": "allow", "superuser": false, "expire_at": until.seconds() });
                HookReply::json(200, &answer)
            }
            None => allowed(),
        },
        None => refusal(),
    }
}

fn allowed() -> HookReply {
    HookReply::text(200, "allow")
}

pub(super) fn refusal() -> HookReply {
    HookReply::text(200, "deny")
}
