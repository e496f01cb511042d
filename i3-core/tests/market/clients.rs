//! Registering and managing OAuth2 clients.

use std::collections::BTreeSet;
use std::sync::Arc;

use i3_core::access::{Action, Actor, Decision, Policy, Resource, Subject};
use i3_core::gate::AccessChange;
use i3_core::id::{ClientId, TypedId};
use i3_core::market::{
    ClientFilter, DescribeClient, Marketplace, PageRequest, Refusal, RegisterClient, RemoveClient,
    ReplaceClientSecret, SetClientState, TimeOrder,
};
use i3_core::oauth::{Client, ClientKind, ClientState};
use i3_core::role::RoleName;
use i3_core::store::MemoryStore;

use crate::fixture::{Fixture, Recorder, refusal, user};

/// What concerns clients, as the role-based policy decides it.
#[derive(Debug)]
struct Owners;

impl Policy for Owners {
    fn decide(&self, subject: &Subject, action: Action, resource: &Resource) -> Decision {
        let own = matches!(subject.actor, Actor::User(user) if resource.owner == Some(user));
        let allowed = match action {
            Action::ManageClient => own || subject.roles.contains(&RoleName::ADMINISTRATOR),
            Action::ManageUsers => subject.roles.contains(&RoleName::ADMINISTRATOR),
            _ => true,
        };
        if allowed { Decision::allow("yes") } else { Decision::deny("no") }
    }
}

fn register(kind: ClientKind, uris: &[&str]) -> RegisterClient {
    RegisterClient {
        label: "An app".parse().unwrap(),
        kind,
        scopes: BTreeSet::from(["product:read".parse().unwrap(), "order:create".parse().unwrap()]),
        redirect_uris: uris.iter().map(|uri| uri.parse().unwrap()).collect(),
    }
}

const WEB: &[&str] = &["https://app.example/callback"];

fn field(refusal: &Refusal) -> &str {
    match refusal {
        Refusal::Invalid { field, .. } => field,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_client_has_the_redirect_uris_that_its_kind_needs() {
    let f = Fixture::new().await;
    for (kind, uris) in [
        (ClientKind::Public, &["com.example.app:/x", "http://127.0.0.1/x"][..]),
        (ClientKind::Confidential, WEB),
        (ClientKind::Machine, &[]),
    ] {
        let client = f.done(f.buyer, &register(kind, uris)).await;
        assert_eq!((client.owner, client.kind, client.state), (f.buyer, kind, ClientState::Active));
        assert_eq!(f.market.client(Actor::User(f.buyer), client.id).await.unwrap(), client);
    }
    let many: Vec<_> = (0..17).map(|number| format!("https://app.example/{number}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for (kind, uris) in [
        (ClientKind::Public, &[][..]),
        (ClientKind::Public, &many),
        (ClientKind::Confidential, &[]),
        (ClientKind::Confidential, &["com.example.app:/x"]),
        (ClientKind::Machine, WEB),
    ] {
        let told = f.refused(f.buyer, &register(kind, uris)).await;
        assert_eq!(field(&told), "redirect_uris", "{kind:?} {uris:?}");
    }
    for count in [0, 65] {
        let scopes = (0..count).map(|number| format!("scope-{number}").parse().unwrap()).collect();
        let told = f.refused(f.buyer, &RegisterClient { scopes, ..register(ClientKind::Public, WEB) }).await;
        assert_eq!(field(&told), "scopes");
    }
    let told = f.market.execute(Actor::System, None, &register(ClientKind::Machine, &[])).await;
    assert_eq!(field(&refusal(told.unwrap_err())), "actor");
}

#[tokio::test]
async fn a_secret_is_replaced_by_raising_its_generation() {
    let f = Fixture::new().await;
    let client = f.done(f.buyer, &register(ClientKind::Confidential, WEB)).await.id;
    for generation in 1..4 {
        let replaced = f.done(f.buyer, &ReplaceClientSecret { client }).await;
        assert_eq!(replaced.secret_generation, generation);
    }
    let public = f.done(f.buyer, &register(ClientKind::Public, WEB)).await.id;
    assert_eq!(field(&f.refused(f.buyer, &ReplaceClientSecret { client: public }).await), "client");
}

/// A seller, a buyer and an administrator under the rules of [`Owners`].
async fn ruled() -> (Fixture, Marketplace) {
    let store = Arc::new(MemoryStore::new());
    let f = Fixture::over(store.clone()).await;
    let market = Marketplace::open(store, Arc::new(Owners), &[]).await.unwrap().with_clock(f.clock.clone());
    (f, market)
}

#[tokio::test]
async fn anothers_client_answers_as_one_that_is_not_there() {
    let (f, market) = ruled().await;
    let client = f.done(f.buyer, &register(ClientKind::Confidential, WEB)).await;
    let stranger = Actor::User(f.seller);
    let missing = Refusal::NotFound { what: "client" };
    for id in [client.id, ClientId::from_bits(99)] {
        let describe = DescribeClient {
            client: id,
            label: Some("Mine now".parse().unwrap()),
            scopes: Some(client.scopes.clone()),
            redirect_uris: Some(BTreeSet::from(["https://attacker.example/".parse().unwrap()])),
        };
        let state = SetClientState { client: id, state: ClientState::Disabled };
        assert_eq!(refusal(market.execute(stranger, None, &describe).await.unwrap_err()), missing);
        assert_eq!(refusal(market.execute(stranger, None, &state).await.unwrap_err()), missing);
        for command in [ReplaceClientSecret { client: id }] {
            assert_eq!(refusal(market.execute(stranger, None, &command).await.unwrap_err()), missing);
        }
        let remove = RemoveClient { client: id };
        assert_eq!(refusal(market.execute(stranger, None, &remove).await.unwrap_err()), missing);
        assert_eq!(refusal(market.client(stranger, id).await.unwrap_err()), missing);
    }
    let all = ClientFilter::default();
    let list = market.clients(stranger, f.buyer, &all, TimeOrder::Oldest, &PageRequest::default()).await;
    assert!(matches!(refusal(list.unwrap_err()), Refusal::Forbidden { .. }));
    let own = market
        .clients(Actor::User(f.buyer), f.buyer, &all, TimeOrder::Oldest, &PageRequest::default())
        .await
        .unwrap();
    assert_eq!(own.items, [client]);
}

#[tokio::test]
async fn what_an_administrator_suspended_its_owner_neither_switches_on_nor_removes() {
    let (f, market) = ruled().await;
    let administrator = Actor::User(user(&f.market, "admin", RoleName::ADMINISTRATOR).await);
    let owner = Actor::User(f.buyer);
    let client = f.done(f.buyer, &register(ClientKind::Machine, &[])).await.id;
    let to = |state| SetClientState { client, state };
    market.execute(owner, None, &to(ClientState::Disabled)).await.unwrap();
    market.execute(owner, None, &to(ClientState::Active)).await.unwrap();
    let told = refusal(market.execute(owner, None, &to(ClientState::Suspended)).await.unwrap_err());
    assert!(matches!(told, Refusal::Forbidden { action: Action::ManageUsers, .. }), "{told:?}");
    market.execute(administrator, None, &to(ClientState::Suspended)).await.unwrap();
    for state in [ClientState::Active, ClientState::Disabled] {
        let told = refusal(market.execute(owner, None, &to(state)).await.unwrap_err());
        assert!(matches!(told, Refusal::Forbidden { .. }), "{told:?}");
    }
    let told = refusal(market.execute(owner, None, &RemoveClient { client }).await.unwrap_err());
    assert!(matches!(told, Refusal::Forbidden { .. }), "{told:?}");
    market.execute(administrator, None, &to(ClientState::Active)).await.unwrap();
    market.execute(owner, None, &RemoveClient { client }).await.unwrap();
    assert!(market.client_login(client).await.unwrap().is_none());
}

#[tokio::test]
async fn whatever_takes_access_from_a_client_is_announced() {
    let f = Fixture::new().await;
    let recorder = Arc::new(Recorder::default());
    f.market.listen(recorder.clone());
    let client = f.done(f.buyer, &register(ClientKind::Confidential, WEB)).await;
    let describe = |scopes: &[&str]| DescribeClient {
        client: client.id,
        label: Some(client.label.clone()),
        scopes: Some(scopes.iter().map(|scope| scope.parse().unwrap()).collect()),
        redirect_uris: Some(client.redirect_uris.clone()),
    };
    f.done(f.buyer, &describe(&["product:read", "order:create", "order:view"])).await;
    f.done(f.buyer, &ReplaceClientSecret { client: client.id }).await;
    assert_eq!(recorder.told(), vec![], "nothing was taken away");
    let change = || vec![AccessChange::Client(client.id)];
    f.done(f.buyer, &describe(&["order:view"])).await;
    assert_eq!(recorder.told(), change());
    f.done(f.buyer, &SetClientState { client: client.id, state: ClientState::Disabled }).await;
    assert_eq!(recorder.told(), change());
    f.done(f.buyer, &RemoveClient { client: client.id }).await;
    assert_eq!(recorder.told(), change());
}

#[tokio::test]
async fn the_largest_client_fits_a_record() {
    let f = Fixture::new().await;
    let scopes = (0..Client::MAX_SCOPES).map(|number| format!("{number:-<64}").parse().unwrap()).collect();
    let uris = (0..Client::MAX_REDIRECT_URIS)
        .map(|number| format!("https://app.example/{number:a<235}").parse().unwrap());
    let largest = RegisterClient {
        label: "\u{1f3ed}".repeat(200).parse().unwrap(),
        kind: ClientKind::Public,
        scopes,
        redirect_uris: uris.collect(),
    };
    f.done(f.buyer, &largest).await;
}

#[tokio::test]
async fn a_scope_of_a_role_is_registered_only_while_there_is_the_role() {
    let f = Fixture::new().await;
    let scopes = |texts: &[&str]| -> BTreeSet<_> { texts.iter().map(|text| text.parse().unwrap()).collect() };
    let with =
        |texts: &[&str]| RegisterClient { scopes: scopes(texts), ..register(ClientKind::Machine, &[]) };
    let ghost = Refusal::UnknownScope { scope: "as:ghost".to_owned() };
    assert_eq!(f.refused(f.buyer, &with(&["as:consumer", "as:ghost"])).await, ghost);
    let client = f.done(f.buyer, &with(&["as:consumer", "as:administrator", "order:view:own"])).await;
    let describe = |texts: &[&str]| DescribeClient {
        client: client.id,
        label: None,
        scopes: Some(scopes(texts)),
        redirect_uris: None,
    };
    assert_eq!(f.refused(f.buyer, &describe(&["as:ghost"])).await, ghost);
    f.done(f.buyer, &describe(&["as:provider"])).await;
}
