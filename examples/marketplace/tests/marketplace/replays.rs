//! Requests sent again under the same `Idempotency-Key`: every operation that changes something.

use i3_core::access::Actor;
use i3_marketplace::{Operation, StoreUrl, operations};
use serde_json::{Value, json};

use crate::everything::{Caller, Everything, asks_the_index};
use crate::support::Reply;

/// Their effect is a login, or the end of one: who asks twice has two, or has none as before.
const LOGINS: [&str; 6] =
    ["begin_session", "end_session", "sign_in", "sign_out", "end_logins", "revoke_token"];

/// Refused, because a part is missing that is not made here; see `access_table`.
const REFUSED: [&str; 2] = ["rate", "reset_password"];

/// Answered before it is done, whoever it is for.
const LATER: &str = "ask_password_reset";

const KEY: &str = "the-key";

pub(crate) fn operations_with_a_key() -> impl Iterator<Item = Operation> {
    operations().into_iter().filter(|operation| {
        let id = operation.id;
        let changes = !operation.method.is_safe() && !asks_the_index(operation);
        changes && !LOGINS.contains(&id) && !REFUSED.contains(&id) && id != LATER
    })
}

/// What a client keeps of an answer.
pub(crate) fn answer(reply: &Reply) -> (u16, Value, Option<String>) {
    let at = reply.headers.get("location").map(|place| place.to_str().unwrap().to_owned());
    (reply.status, reply.body.clone(), at)
}

impl Everything {
    async fn party_sends(&self, operation: &Operation) -> Reply {
        self.request(operation, self.sample(operation).party).key(KEY).send().await
    }

    /// How many commands were carried out.
    async fn commands(&self) -> usize {
        let log = self.assembly().market().audit_log(Actor::System, 0, 1000).await.unwrap();
        assert!(log.len() < 1000);
        log.len()
    }

    /// Another request of the same caller's under the same key.
    async fn something_else(&self, caller: Caller) -> Reply {
        let (method, path, body) = match caller {
            Caller::Anonymous => {
                let body =
                    json!({"name": "somebody-else", "roles": ["consumer"], "password": "a long password"});
                ("POST", "/users", body)
            }
            Caller::Administrator => {
                ("POST", "/roles", json!({"name": "other", "label": "Other", "permissions": []}))
            }
            _ => ("POST", "/clients", json!({"label": "x", "kind": "machine", "scopes": ["api:read"]})),
        };
        self.ask(caller, method, path).json(&body).key(KEY).send().await
    }
}

/// The same request with another text or number in its body, if it has one that may be any.
pub(crate) fn changed(body: &Value) -> Option<Value> {
    let mut changed = body.clone();
    let members = changed.as_object_mut()?;
    for name in ["title", "label", "display", "slug"] {
        if let Some(member) = members.get_mut(name) {
            *member = json!("other");
            return Some(changed);
        }
    }
    let member = ["amount", "position"].iter().find(|name| members.contains_key(**name))?;
    *members.get_mut(*member)? = json!(2);
    Some(changed)
}

#[tokio::test]
async fn what_is_sent_again_has_one_effect_and_one_answer_and_another_request_is_refused() {
    for operation in operations_with_a_key() {
        let world = Everything::open(StoreUrl::Memory).await;
        let before = world.commands().await;
        let first = world.party_sends(&operation).await;
        assert!((200..300).contains(&first.status), "{}: {first:?}", operation.id);
        let after = world.commands().await;
        assert!(after <= before + 1, "{} is one command", operation.id);
        let second = world.party_sends(&operation).await;
        assert_eq!(answer(&second), answer(&first), "{}", operation.id);
        assert_eq!(world.commands().await, after, "{}", operation.id);

        let sample = world.sample(&operation);
        if after == before {
            continue;
        }
        world.something_else(sample.party).await.is(409, "idempotency_key_reused");
        if let Some(body) = sample.body.as_ref().and_then(changed) {
            let asked = world.ask(sample.party, operation.method.as_str(), &sample.path).key(KEY);
            let kind = match operation.method.as_str() {
                "PATCH" => "application/merge-patch+json",
                _ => "application/json",
            };
            let reply = asked.header("content-type", kind).text(body.to_string()).send().await;
            reply.is(409, "idempotency_key_reused");
        }
        assert_eq!(world.commands().await, after, "{}", operation.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_twice_at_once_has_one_effect_and_one_answer() {
    for operation in operations_with_a_key() {
        let world = Everything::open(StoreUrl::Memory).await;
        let before = world.commands().await;
        let (one, other) = tokio::join!(world.party_sends(&operation), world.party_sends(&operation));
        assert!((200..300).contains(&one.status), "{}: {one:?}", operation.id);
        assert_eq!(answer(&one), answer(&other), "{}", operation.id);
        assert!(world.commands().await <= before + 1, "{}", operation.id);
    }
}

#[tokio::test]
async fn a_program_shares_no_keys_with_its_person_and_the_audit_log_names_it() {
    let world = Everything::open(StoreUrl::Memory).await.with_programs().await;
    let purchase = operations().into_iter().find(|operation| operation.id == "purchase").unwrap();
    let mut orders = Vec::new();
    for caller in [Caller::Buyer, Caller::BuyersProgram, Caller::Buyer, Caller::BuyersProgram] {
        let bought = world.request(&purchase, caller).key(KEY).send().await.ok();
        orders.push(bought["order"]["id"].clone());
    }
    assert_ne!(orders[0], orders[1]);
    assert_eq!(orders[..2], orders[2..]);
    let log = world.assembly().market().audit_log(Actor::System, 0, 1000).await.unwrap();
    let bought = log.iter().rev().filter(|one| one.entry.command == "purchase").take(2);
    let named: Vec<_> = bought.map(|one| one.entry.client.map(|client| client.to_string())).collect();
    assert_eq!(named, [Some(world.id("buyers-client").to_owned()), None]);
}

#[tokio::test]
async fn an_answer_that_was_lost_with_the_server_is_given_by_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    for operation in operations_with_a_key() {
        let store = StoreUrl::Sled(folder.path().join(operation.id));
        let mut world = Everything::open(store.clone()).await;
        let first = world.party_sends(&operation).await;
        assert!((200..300).contains(&first.status), "{}: {first:?}", operation.id);
        let commands = world.commands().await;
        world.open_again(store).await;
        let again = world.party_sends(&operation).await;
        assert_eq!(answer(&again), answer(&first), "{}", operation.id);
        assert_eq!(world.commands().await, commands, "{}", operation.id);
    }
}
