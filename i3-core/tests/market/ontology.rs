//! What administrators add to the ontology: who may, in which order, what stays.

use std::sync::Arc;

use i3_core::access::{Action, Actor};
use i3_core::market::{ChangeOntology, Marketplace, PageRequest, RecordTag, Refusal, UnchangedOntology};
use i3_core::ontology::{OntologyCheck, OntologyExtension};
use i3_core::outbox::Event;
use i3_core::store::MemoryStore;

use crate::fixture::{DenyAll, Fixture, refusal};

const FAN: &str = "@prefix x: <urn:x:> .\nx:Fan a <http://www.w3.org/2002/07/owl#Class> . # 팬 \"<>\"";

fn change(turtle: Option<&str>, expect: Option<u32>) -> ChangeOntology {
    ChangeOntology { turtle: turtle.map(str::to_owned), remark: "Why".parse().unwrap(), expect }
}

/// Said, said anew, withdrawn, and said again: for the golden files.
pub(crate) async fn versions(f: &Fixture) {
    let (who, run) = (Actor::User(f.seller), &f.market);
    run.execute(Actor::System, Some(&"said".parse().unwrap()), &change(Some(FAN), Some(0))).await.unwrap();
    run.execute(who, None, &change(Some("# less"), None)).await.unwrap();
    run.execute(who, None, &ChangeOntology { turtle: None, remark: "".parse().unwrap(), expect: Some(2) })
        .await
        .unwrap();
    run.execute(who, None, &change(Some(FAN), None)).await.unwrap();
}

#[tokio::test]
async fn each_change_is_a_version_with_its_author_time_and_reason_and_none_is_lost() {
    let f = Fixture::new().await;
    let none = f.market.ontology_extension(Actor::System).await.unwrap();
    assert_eq!(none, OntologyExtension::none());
    versions(&f).await;
    let last = f.market.ontology_extension(Actor::System).await.unwrap();
    assert_eq!((last.number, last.turtle.as_deref(), last.by), (4, Some(FAN), Some(Actor::User(f.seller))));
    assert_eq!((last.at, last.remark.as_str()), (Some(f.clock_now()), "Why"));
    let all = f.market.ontology_versions(Actor::System, &PageRequest::default()).await.unwrap();
    let texts: Vec<_> = all.items.iter().map(|one| (one.number, one.turtle.as_deref())).collect();
    assert_eq!(texts, [(4, Some(FAN)), (3, None), (2, Some("# less")), (1, Some(FAN))]);
    assert_eq!(f.market.ontology_version(Actor::System, 3).await.unwrap(), all.items[1]);
    let missing = f.market.ontology_version(Actor::System, 5).await.unwrap_err();
    assert_eq!(refusal(missing), Refusal::NotFound { what: "version of the ontology" });
    let told = f.market.events(Actor::System, 0, 1_000).await.unwrap();
    let told: Vec<_> = told
        .iter()
        .filter_map(|event| match event.entry.event {
            Event::OntologyChanged { number } => Some(number),
            _ => None,
        })
        .collect();
    assert_eq!(told, [1, 2, 3, 4]);
}

#[tokio::test]
async fn of_two_who_saw_the_same_version_one_is_told_that_it_has_changed() {
    let f = Fixture::new().await;
    let seen = RecordTag::of(&f.market.ontology_extension(Actor::System).await.unwrap()).unwrap();
    let while_seen = UnchangedOntology { seen: Some(vec![seen]) };
    let run = |condition, command| {
        let market = f.market.clone();
        async move { market.execute_if(Actor::System, None, &command, Some(condition)).await }
    };
    run(&while_seen, change(Some(FAN), None)).await.unwrap();
    let late = run(&while_seen, change(Some("# other"), None)).await.unwrap_err();
    assert_eq!(refusal(late), Refusal::Changed);
    let late = f.refused(f.seller, &change(Some("# other"), Some(0))).await;
    assert_eq!(late, Refusal::Outdated { what: "ontology", revision: 1 });
    let any = UnchangedOntology { seen: None };
    run(&any, change(None, None)).await.unwrap();
    assert_eq!(refusal(run(&any, change(Some(FAN), None)).await.unwrap_err()), Refusal::Changed);

    // At once, without a look: one after the other.
    let all = (0..8).map(|_| {
        let market = f.market.clone();
        tokio::spawn(async move { market.execute(Actor::System, None, &change(Some(FAN), None)).await })
    });
    let mut numbers = Vec::new();
    for one in all.collect::<Vec<_>>() {
        numbers.push(one.await.unwrap().unwrap().number);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [3, 4, 5, 6, 7, 8, 9, 10]);
}

#[tokio::test]
async fn nothing_is_withdrawn_twice_and_what_is_too_long_is_not_stored() {
    let f = Fixture::new().await;
    let nothing = Refusal::NotFound { what: "extension of the ontology" };
    assert_eq!(f.refused(f.seller, &change(None, None)).await, nothing);
    f.done(f.seller, &change(Some(""), None)).await;
    f.done(f.seller, &change(None, None)).await;
    assert_eq!(f.refused(f.seller, &change(None, None)).await, nothing);
    // Counted as JSON has it: a line break takes two bytes there.
    let most = OntologyExtension::MAX_BYTES - 2;
    for bad in ["#".repeat(most + 1), "\n".repeat(most / 2 + 1), "a\0".to_owned()] {
        let refused = f.refused(f.seller, &change(Some(&bad), None)).await;
        assert!(matches!(refused, Refusal::Invalid { field: "turtle", .. }), "{refused:?}");
    }
    let longest = format!("#{}", "팬".repeat((most - 1) / 3));
    f.done(f.seller, &change(Some(&longest), None)).await;
    assert_eq!(f.market.ontology_extension(Actor::System).await.unwrap().turtle, Some(longest));
}

#[tokio::test]
async fn who_lacks_the_permission_neither_changes_it_nor_sees_its_history() {
    let f = Fixture::new().await;
    versions(&f).await;
    let market = Marketplace::open(f.store.clone(), Arc::new(DenyAll), &[]).await.unwrap();
    let who = Actor::User(f.buyer);
    let page = PageRequest::default();
    for refused in [
        market.execute(who, None, &change(None, None)).await.map(drop),
        market.ontology_extension(who).await.map(drop),
        market.ontology_version(who, 1).await.map(drop),
        market.ontology_versions(who, &page).await.map(drop),
    ] {
        let refused = refusal(refused.unwrap_err());
        assert!(matches!(refused, Refusal::Forbidden { action: Action::ManageOntology, .. }), "{refused:?}");
    }
}

#[derive(Debug)]
struct NoCircles;

impl OntologyCheck for NoCircles {
    fn check(&self, turtle: &str) -> Result<(), String> {
        if turtle.contains('o') { Err("it has a circle".to_owned()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn what_the_check_refuses_is_refused_with_its_reason_and_not_stored() {
    let store = Arc::new(MemoryStore::new());
    let f = Fixture::over(store).await;
    let market = f.market.clone().with_ontology_check(Arc::new(NoCircles));
    let run = async |text: &str| market.execute(Actor::System, None, &change(Some(text), None)).await;
    let refused = refusal(run("o").await.unwrap_err());
    assert_eq!(refused, Refusal::Invalid { field: "turtle", reason: "it has a circle".to_owned() });
    assert_eq!(run("a").await.unwrap().number, 1);
}
