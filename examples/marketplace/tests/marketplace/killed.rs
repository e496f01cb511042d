//! The real program is killed while every operation that changes something is being asked for. After the restart each
//! request is sent again under its key: the effect is there once, and the answer is the one that was given, if one was.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use i3_marketplace::{Operation, StoreUrl};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::everything::{Caller, Everything};
use crate::process::{Server, balanced, reconcile};
use crate::replays::{answer, changed, operations_with_a_key};
use crate::support::{Asked, Reply};

/// How often the server is killed; more in a soak.
const ROUNDS: &str = "I3_KILL_ROUNDS";

/// What has no key, since it may be done any number of times: the answer says how things are now.
const NO_COMMANDS: [&str; 3] = ["read_notices", "read_administration_notices", "erase_user_events"];

/// How many requests are on their way at a time.
const AT_ONCE: usize = 8;

fn key(operation: &Operation) -> String {
    format!("key-of-{}", operation.id)
}

impl Everything {
    fn under_its_key<'a>(&'a self, operation: &'a Operation) -> Asked<'a> {
        self.request(operation, self.sample(operation).party).key(&key(operation))
    }

    /// How many commands were carried out under each key.
    async fn effects(&self) -> BTreeMap<String, usize> {
        let mut effects = BTreeMap::new();
        let mut after = 0;
        loop {
            let path = format!("/audit?after={after}&limit=200");
            let page = self.ask(Caller::Administrator, "GET", path).send().await.ok();
            for entry in page["items"].as_array().unwrap() {
                if let Some(key) = entry["entry"]["key"].as_str().or(entry["key"].as_str()) {
                    *effects.entry(key.to_owned()).or_default() += 1;
                }
            }
            match page["next"].as_u64() {
                Some(next) => after = next,
                None => return effects,
            }
        }
    }
}

/// What one round found.
#[derive(Debug, Default)]
struct Round {
    /// Requests that were answered before the server died.
    answered: usize,
    /// Requests whose effect was there although no answer came.
    lost: usize,
    /// Requests that had done nothing when the server died.
    undone: usize,
}

fn is_done(reply: &Reply) -> bool {
    (200..300).contains(&reply.status)
}

/// Sends all of them, so many at a time, and kills the server once that many were answered. Gives what was answered.
async fn killed_after(
    world: &Arc<Everything>,
    server: Server,
    operations: &[Operation],
    answers: usize,
) -> BTreeMap<&'static str, Reply> {
    let mut waiting = operations.iter().cloned();
    let mut sent = JoinSet::new();
    let mut answered = BTreeMap::new();
    let mut server = Some(server);
    loop {
        while sent.len() < AT_ONCE
            && server.is_some()
            && let Some(operation) = waiting.next()
        {
            let world = world.clone();
            sent.spawn(async move {
                let reply = world.under_its_key(&operation).send_if_it_lives().await;
                (operation.id, reply)
            });
        }
        let Some(next) = sent.join_next().await else { return answered };
        let (id, reply) = next.unwrap();
        if let Some(reply) = reply {
            answered.insert(id, reply);
        }
        if answered.len() >= answers
            && let Some(server) = server.take()
        {
            server.kill();
        }
    }
}

async fn round(folder: &Path, store: &StoreUrl, operations: &[Operation], answers: usize) -> Round {
    let mut world = Everything::open(store.clone()).await;
    world.leave(store).await;
    let (url, more) = (store.to_string(), ["--registration", "approval"]);
    let server = Server::start(folder, &url, &more);
    world.rest = server.rest();
    let world = Arc::new(world);
    let answered = killed_after(&world, server, operations, answers).await;

    let server = Server::start(folder, &url, &more);
    let mut world = Arc::into_inner(world).unwrap();
    world.rest = server.rest();
    let before = world.effects().await;
    let mut found = Round { answered: answered.len(), ..Round::default() };
    for operation in operations {
        let (id, key) = (operation.id, key(operation));
        let done = before.get(&key).copied().unwrap_or(0);
        assert!(done <= 1, "{id} was done {done} times");
        let again = world.under_its_key(operation).send().await;
        assert!(again.status < 500, "{id}: {again:?}");
        match answered.get(id) {
            Some(first) if NO_COMMANDS.contains(&id) => assert_eq!(again.status, first.status, "{id}"),
            Some(first) if is_done(first) => {
                assert_eq!(done, 1, "{id} was answered, and is lost");
                assert_eq!(answer(&again), answer(first), "{id}");
            }
            // Another request had taken its ground away: it is decided anew.
            Some(_) => assert_eq!(done, 0, "{id} was refused and done"),
            None if done == 1 => {
                found.lost += 1;
                assert!(is_done(&again), "{id} was done, and is answered {again:?}");
            }
            None => found.undone += 1,
        }
        let third = world.under_its_key(operation).send().await;
        if is_done(&again) && !NO_COMMANDS.contains(&id) {
            assert_eq!(answer(&third), answer(&again), "{id}");
        }
        // The effect is there, so the key is taken.
        let sample = world.sample(operation);
        let other = sample.body.as_ref().and_then(changed).filter(|_| done == 1);
        if let Some(other) = other {
            let kind = match operation.method.as_str() {
                "PATCH" => "application/merge-patch+json",
                _ => "application/json",
            };
            let asked = world.ask(sample.party, operation.method.as_str(), &sample.path).key(&key);
            let reply = asked.header("content-type", kind).text(Value::to_string(&other)).send().await;
            reply.is(409, "idempotency_key_reused");
        }
    }
    let after = world.effects().await;
    for operation in operations {
        let (id, key) = (operation.id, key(operation));
        let (before, after) = (before.get(&key).unwrap_or(&0), after.get(&key).unwrap_or(&0));
        assert!(after <= &1, "{id} was done {after} times");
        assert!(after >= before, "{id} was undone");
    }
    server.end();
    balanced(&reconcile(&url));
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_everything_each_request_has_one_effect_and_its_answer() {
    let rounds = std::env::var(ROUNDS).map_or(6, |text| text.parse().unwrap());
    let mut operations: Vec<Operation> = operations_with_a_key().collect();
    let mut all = Round::default();
    for number in 0..rounds {
        let folder = tempfile::tempdir().unwrap();
        // The master key lies where the program looks for it.
        let store = match number % 2 {
            0 => StoreUrl::Sqlite(folder.path().join("master.sqlite")),
            _ => StoreUrl::Sled(folder.path().join("master.sled")),
        };
        // Each round begins with others, and ends earlier or later.
        let turn = number * 17 % operations.len();
        operations.rotate_left(turn);
        let answers = operations.len() * (number + 1) / (rounds + 1);
        let since = Instant::now();
        let Round { answered, lost, undone } = round(folder.path(), &store, &operations, answers).await;
        println!(
            "{answered} answered, {lost} done and not answered, {undone} not done: {:?}",
            since.elapsed()
        );
        all.answered += answered;
        all.lost += lost;
        all.undone += undone;
    }
    assert!(all.answered > 0 && all.undone > 0, "{all:?}");
}
