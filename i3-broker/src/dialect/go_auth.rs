//! mosquitto-go-auth, HTTP back end.
//!
//! The plug-in takes a 2xx answer for yes (with `ok` in the JSON object, or exactly `ok` as text, according to
//! its response mode), 5xx for an error, which is a no that it does not keep, and everything else for no.

use i3_core::gate::Login;
use serde::Deserialize;
use serde_json::json;

use super::decide::{Act, Decider, Decision, Reason};
use super::hooks::{Call, HookReply, note};
use super::params::{Number, read};

/// What the body says besides the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Json,
    Text,
}

#[derive(Deserialize)]
struct User {
    username: String,
    password: String,
    #[serde(default)]
    clientid: String,
}

#[derive(Deserialize)]
struct Acl {
    username: String,
    topic: String,
    acc: Number,
}

pub(super) async fn answer(decider: &Decider, call: Call<'_>, mode: Mode) -> HookReply {
    let decision = match call.name {
        "user" => match read::<User>(call.content_type, call.body) {
            Some(user) => {
                let login = Login {
                    client_id: &user.clientid,
                    username: Some(&user.username),
                    password: Some(user.password.as_bytes()),
                    peer: None,
                };
                let decision = decider.login(login).await.decision;
                note("go-auth", call.name, Some(&user.username), &decision);
                decision
            }
            None => Decision::no(Reason::Malformed),
        },
        "acl" => match read::<Acl>(call.content_type, call.body) {
            Some(acl) => {
                let decision = access(decider, &acl).await;
                note("go-auth", call.name, Some(&acl.username), &decision);
                decision
            }
            None => Decision::no(Reason::Malformed),
        },
        // Nobody is above the rules.
        "superuser" => Decision::no(Reason::NotAccepted),
        _ => Decision::no(Reason::Malformed),
    };
    reply(&decision, mode)
}

async fn access(decider: &Decider, acl: &Acl) -> Decision {
    let name = Some(acl.username.as_str());
    match acl.acc.0 {
        1 => decider.decide(name, Act::Receive, &acl.topic).await,
        2 => decider.decide(name, Act::Publish, &acl.topic).await,
        3 => {
            let publish = decider.decide(name, Act::Publish, &acl.topic).await;
            if !publish.allow {
                return publish;
            }
            decider.decide(name, Act::Receive, &acl.topic).await
        }
        4 => decider.decide(name, Act::Subscribe, &acl.topic).await,
        _ => Decision::no(Reason::Malformed),
    }
}

pub(super) fn reply(decision: &Decision, mode: Mode) -> HookReply {
    let (status, said) = match (decision.allow, decision.reason.is_passing()) {
        (true, _) => (200, ""),
        (false, false) => (403, "not allowed"),
        (false, true) => (503, "undecided"),
    };
    match mode {
        Mode::Json => HookReply::json(status, &json!({ "ok": decision.allow, "error": said })),
        Mode::Text if decision.allow => HookReply::text(status, "ok"),
        Mode::Text => HookReply::text(status, said),
    }
}
