//! Every operation asked for by everybody: `docs/access.md` says what is answered.

use std::collections::VecDeque;
use std::fmt::Write as _;

use i3_marketplace::{StoreUrl, Who, operations};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::everything::{Caller, Everything, asks_the_index};
use crate::support::kept;

/// Refused although its party asks for it, because a part is missing that a table cannot make: a message
/// received, a leave sent by mail, a challenge that is switched on, a cookie.
const REFUSED: [(&str, u16, &str); 4] = [
    ("rate", 403, "nothing_received"),
    ("reset_password", 403, "reset_not_good"),
    ("ask_challenge", 404, "not_found"),
    ("show_session", 401, "authentication_required"),
];

const HEAD: &str = "\
# Who gets what

The status of each operation by who asks, as a test saw it (`make openapi` writes this page anew, the tests compare it). *Its party* is
who the thing asked about belongs to: the seller, the buyer, the administrator, or anybody. *A program* acts for the party by OAuth2,
with all scopes. *A consumer* and *a provider* have nothing to do with the thing. Codes are in [problems.md](problems.md).

| operation | nobody known | a consumer | a provider | its party | a program | an administrator |
|---|---|---|---|---|---|---|
";

/// Worlds that are made ahead: each waits a second for its programs.
#[derive(Default)]
pub(crate) struct Fresh(VecDeque<JoinHandle<Everything>>);

impl Fresh {
    pub(crate) async fn next(&mut self) -> Everything {
        while self.0.len() < 24 {
            self.0.push_back(tokio::spawn(async {
                Everything::open(StoreUrl::Memory).await.with_programs().await
            }));
        }
        self.0.pop_front().unwrap().await.unwrap()
    }
}

#[tokio::test]
async fn the_table_of_who_gets_what_in_the_repository_is_todays() {
    let mut fresh = Fresh::default();
    let mut world = fresh.next().await;
    let mut knowing = fresh.next().await.with_knowledge().await;
    let mut table = HEAD.to_owned();
    let mut wrong = Vec::new();
    for operation in operations() {
        for asked in [&mut world, &mut knowing] {
            asked.renew().await;
        }
        let party = world.sample(&operation).party;
        write!(table, "| `{} {}` |", operation.method, operation.path).unwrap();
        for caller in [
            Caller::Anonymous,
            Caller::Consumer,
            Caller::Provider,
            party,
            party.program(),
            Caller::Administrator,
        ] {
            let asked = if asks_the_index(&operation) { &knowing } else { &world };
            let reply = asked.request(&operation, caller).send_raw().await;
            // A denial leaves exactly one record, and nothing else leaves any.
            let written = asked.assembly().write_denials().await.unwrap();
            if !asked.is_taken_down(&operation, &reply, written).await {
                wrong.push(format!("{} as {caller:?}: {} records of {}", operation.id, written, reply.text));
            }
            // What is carried out may be answered in other forms than JSON.
            let body: Value = serde_json::from_str(&reply.text).unwrap_or_default();
            let code = body["code"].as_str();
            let refused = REFUSED.iter().find(|(id, ..)| *id == operation.id);
            let right = match (operation.who, caller) {
                (Who::User | Who::Person, Caller::Anonymous) => {
                    // What nobody may know of is not there, for strangers too.
                    matches!(
                        (reply.status, code),
                        (401, Some("authentication_required")) | (404, Some("not_found"))
                    )
                }
                (Who::Person, caller) if caller == party.program() => {
                    (reply.status, code) == (403, Some("in_person_only"))
                }
                (_, caller) if caller == party => match refused {
                    Some((_, status, why)) => (reply.status, code) == (*status, Some(*why)),
                    None => (200..300).contains(&reply.status),
                },
                _ => reply.status < 500,
            };
            if !right {
                wrong.push(format!("{} as {caller:?}: {} {}", operation.id, reply.status, reply.text));
            }
            match code.filter(|_| reply.status >= 400) {
                Some(code) => write!(table, " {} `{code}` |", reply.status).unwrap(),
                None => write!(table, " {} |", reply.status).unwrap(),
            }
            // What was changed must not decide what the next one gets.
            if reply.status < 400 && !operation.method.is_safe() && !asks_the_index(&operation) {
                world = fresh.next().await;
                world.renew().await;
            }
        }
        table.push('\n');
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    kept("docs/access.md", &table);
}
