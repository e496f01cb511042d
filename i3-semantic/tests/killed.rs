//! A process that is killed at any point, also between the store and the index, leaves nothing that the next one does not
//! put right: what it finds is what the store says.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use i3_core::access::{Action, Actor, Decision, Policy, Resource, Subject};
use i3_core::id::UserId;
use i3_core::market::{ChangeOntology, CreateObject, EditObject, Marketplace, MoveObject, RegisterUser};
use i3_core::role::RoleName;
use i3_core::store::DynStore;
use i3_core::virtual_object::{Content, ObjectState};
use i3_semantic::discovery::{Discovery, Query};
use i3_semantic::ontology::Ontology;
use i3_semantic::projection::Projection;
use i3_store_sled::SledStore;

const TEST: &str = "after_kill_9_at_any_point_the_index_is_the_stores_again";
const PLACE: &str = "I3_SEMANTIC_KILLED_PLACE";
const FAN: &str = "<urn:x:Lamp> a <http://www.w3.org/2002/07/owl#Class> ; \
    <http://www.w3.org/2000/01/rdf-schema#subClassOf> <urn:i3:ns:Sensor> .";
const PATIENCE: Duration = Duration::from_mins(2);

#[derive(Debug)]
struct AllowAll;

impl Policy for AllowAll {
    fn decide(&self, _: &Subject, _: Action, _: &Resource) -> Decision {
        Decision::allow("the test allows everything")
    }
}

async fn market(place: &Path) -> Marketplace {
    let store: DynStore = Arc::new(SledStore::open(place).unwrap());
    Marketplace::open(store, Arc::new(AllowAll), &[]).await.unwrap()
}

fn content(title: &str, tag: &str) -> Content {
    serde_json::from_value(serde_json::json!({
        "kind": "actuator",
        "title": title,
        "classes": ["urn:x:Lamp"],
        "tags": [tag],
        "platforms": ["Raspberry Pi"],
        "protocols": ["coap"],
        "methods": [{"name": "BlueOn"}],
        "location": {"place": "KR/Jeju/Campus"},
    }))
    .unwrap()
}

/// In one write, so that a kill cannot cut the line.
fn tell(what: &str, object: impl std::fmt::Display) {
    let mut output = std::io::stdout().lock();
    output.write_all(format!("\ndone {what} {object}\n").as_bytes()).unwrap();
    output.flush().unwrap();
}

/// Publishes, edits and withdraws for ever, and tells what was done once each command returned.
async fn child(place: &Path) {
    let market = market(place).await;
    let _projection = Projection::open(market.clone(), Ontology::core()).await.unwrap();
    let seller = RegisterUser {
        name: format!("seller-{}", std::process::id()).parse().unwrap(),
        display: "Seller".parse().unwrap(),
        email: None,
        roles: [RoleName::PROVIDER].into(),
        profile: i3_core::user::Profile::default(),
        invitation: None,
        password: None,
    };
    let seller: UserId = market.execute(Actor::System, None, &seller).await.unwrap().id;
    let seller = Actor::User(seller);
    for number in 0_u32.. {
        let create =
            CreateObject { content: content(&format!("Lamp {number}"), "new"), hub: None, submit: true };
        let object = market.execute(seller, None, &create).await.unwrap().object.id;
        tell("new", object);
        if number % 3 > 0 {
            let edit = EditObject { object, content: content("Another lamp", "edited"), expect: None };
            market.execute(seller, None, &edit).await.unwrap();
            tell("edited", object);
        }
        if number % 3 > 1 {
            let gone = MoveObject { object, to: ObjectState::Removed, expect: None, remark: None };
            market.execute(seller, None, &gone).await.unwrap();
            tell("gone", object);
        }
        if number % 5 == 4 {
            let turtle = (number % 2 == 0).then(|| FAN.to_owned());
            let change = ChangeOntology { turtle, remark: i3_core::name::Prose::default(), expect: None };
            // There may be nothing to withdraw.
            let _ = market.execute(Actor::System, None, &change).await;
        }
    }
}

/// What a child did last with each object until it was killed, this long after it did such a thing for the first time.
fn run_and_kill(place: &Path, after: Option<&str>, delay: Duration) -> BTreeMap<String, String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([TEST, "--exact", "--nocapture"])
        .env(PLACE, place)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.stdout.take().unwrap();
    let (did, does) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut last = BTreeMap::new();
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let [_, what, object] = *line.split(' ').collect::<Vec<_>>()
                && line.starts_with("done ")
            {
                last.insert(object.to_owned(), what.to_owned());
                // Nobody listens any more after what is waited for.
                let _ = did.send(what.to_owned());
            }
        }
        last
    });
    let waited = after.is_none_or(|wanted| {
        let mut told = std::iter::from_fn(|| does.recv_timeout(PATIENCE).ok());
        told.any(|what| what == wanted)
    });
    std::thread::sleep(delay);
    let ended = child.try_wait().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ended.is_none() && waited, "the child ended by itself or did nothing: {ended:?}");
    reader.join().unwrap()
}

#[test]
fn after_kill_9_at_any_point_the_index_is_the_stores_again() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) {
        runtime.block_on(child(&place));
        panic!("a child never ends");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut last = BTreeMap::new();
    for round in 0_u32..8 {
        // Every fourth is killed while it opens the store and reads it into its index, the others at their work: one right
        // at its beginning, two when something was withdrawn too.
        let after = [Some("new"), Some("gone"), Some("gone"), None][usize::try_from(round % 4).unwrap()];
        let delay = Duration::from_millis(u64::from(std::process::id().wrapping_mul(round * 7 + 13) % 300));
        last.extend(run_and_kill(folder.path(), after, delay));
        runtime.block_on(async {
            let projection = Projection::open(market(folder.path()).await, Ontology::core()).await.unwrap();
            let verified = projection.verify().await.unwrap();
            assert!(verified.holds(), "round {round}, killed after {delay:?}: {verified:?}");
            let ids = projection.live().ids();
            for (object, what) in &last {
                // What was told is the least; the command after it may have been carried out too.
                let found = ids.contains(object.as_str());
                match what.as_str() {
                    "gone" => assert!(!found, "round {round}: {object} was withdrawn and is found"),
                    "new" => assert!(found, "round {round}: {object} was published and is not found"),
                    _ => {}
                }
            }
            let edited = Query::default().having(i3_semantic::description::Facet::Tag, &["edited"]).unwrap();
            let edited = projection.discover(&edited, None).await.unwrap().total;
            let told = last.values().filter(|what| *what == "edited").count();
            // The last object of each round may have been withdrawn without a word.
            assert!(
                edited + u64::from(round) + 1 >= u64::try_from(told).unwrap(),
                "round {round}: {edited} of {told}"
            );
        });
    }
    assert!(last.len() > 8, "the children did next to nothing: {last:?}");
    assert!(last.values().any(|what| what == "gone"), "nothing was ever withdrawn: {last:?}");
}
