//! What commands allow and refuse.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use i3_core::access::{Actor, HubRole};
use i3_core::audit;
use i3_core::device::Device;
use i3_core::gate::{AccessChange, Directory, Principal};
use i3_core::hub::Hub;
use i3_core::id::{DeviceId, GrantId, TypedId, UserId};
use i3_core::market::{
    CreateProduct, DescribeDevice, DescribeHub, DescribeProduct, IdempotencyKey, Marketplace, MoveProduct,
    NewCredential, PublishOffer, Purchase, Refusal, RegisterDevice, RegisterHub, RegisterUser, RemoveMember,
    RevokeGrant, SetDeviceState, SetMember, TopUp, WithdrawOffer,
};
use i3_core::money::{Amount, Currency};
use i3_core::offer::Plan;
use i3_core::product::{Product, ProductState};
use i3_core::role::RoleName;
use i3_core::secret::SecretHash;
use i3_core::store::{Body, MemoryStore, Page, Row, Scan, Schema, Store, StoreError};

use crate::fixture::{DenyAll, Fixture, Recorder, fixed, refusal, user};
use crate::wrapped::{Otherwise, Wrapped};

#[tokio::test]
async fn names_are_unique_and_reserved_with_their_holder() {
    let f = Fixture::new().await;
    let hub = RegisterHub { slug: f.hub.slug.clone(), title: "Another".parse().unwrap() };
    assert_eq!(f.refused(f.seller, &hub).await, Refusal::Taken { what: "hub name" });
    let register = RegisterUser {
        name: "buyer".parse().unwrap(),
        display: "B".parse().unwrap(),
        email: None,
        roles: BTreeSet::from([RoleName::CONSUMER]),
        profile: i3_core::user::Profile::default(),
        invitation: None,
        password: None,
    };
    assert_eq!(f.refused(f.seller, &register).await, Refusal::Taken { what: "user name" });
}

#[tokio::test]
async fn nobody_buys_what_their_own_hub_sells() {
    let f = Fixture::new().await;
    let buy = Purchase { offer: f.offer(Plan::Free { quota: None }).await };
    assert_eq!(f.refused(f.seller, &buy).await, Refusal::OwnProduct);
}

#[tokio::test]
async fn only_a_published_offer_of_a_listed_product_is_sold() {
    let f = Fixture::new().await;
    let offer = f.offer(Plan::Free { quota: None }).await;
    let product = f.product.id;
    f.done(f.seller, &MoveProduct { product, to: ProductState::Paused }).await;
    assert!(matches!(
        f.refused(f.buyer, &Purchase { offer }).await,
        Refusal::WrongState { what: "product", .. }
    ));
    f.done(f.seller, &MoveProduct { product, to: ProductState::Listed }).await;
    f.done(f.seller, &WithdrawOffer { offer }).await;
    assert!(matches!(
        f.refused(f.buyer, &Purchase { offer }).await,
        Refusal::WrongState { what: "offer", .. }
    ));
    f.done(f.seller, &MoveProduct { product, to: ProductState::Retired }).await;
    let offer = PublishOffer { product, currency: Currency::EUR, plan: fixed(1, 1), term_seconds: None };
    assert!(matches!(
        f.refused(f.seller, &offer).await,
        Refusal::WrongState { what: "product", state: "retired" }
    ));
}

#[tokio::test]
async fn only_the_listed_transitions_of_a_product_occur() {
    use ProductState::{Draft, Listed, Paused, Retired};
    let states = [Draft, Listed, Paused, Retired];
    let allowed = [
        (Draft, Listed),
        (Draft, Retired),
        (Listed, Paused),
        (Listed, Retired),
        (Paused, Listed),
        (Paused, Retired),
    ];
    for from in states {
        for to in states {
            assert_eq!(from.may_become(to), allowed.contains(&(from, to)), "{from:?} to {to:?}");
        }
    }
}

#[tokio::test]
async fn an_orders_terms_never_change_whatever_the_seller_does_later() {
    let f = Fixture::new().await;
    f.top_up(f.buyer, 1_000).await;
    let order = f.buy(fixed(10, 500)).await;
    let describe = DescribeProduct {
        product: f.product.id,
        title: Some("Something else".parse().unwrap()),
        description: Some("Other words".parse().unwrap()),
        tags: Some(vec!["new".parse().unwrap()]),
        devices: None,
    };
    f.done(f.seller, &describe).await;
    f.done(f.seller, &WithdrawOffer { offer: order.offer }).await;
    let later = f.market.order(Actor::System, order.id).await.unwrap();
    assert_eq!(later.terms, order.terms);
    assert_eq!(later.terms.title.as_str(), "Air");
}

#[tokio::test]
async fn a_product_has_only_devices_of_its_own_hub() {
    let f = Fixture::new().await;
    let rival = user(&f.market, "rival", RoleName::PROVIDER).await;
    let hub = RegisterHub { slug: "rival".parse().unwrap(), title: "Rival".parse().unwrap() };
    let hub = f.done(rival, &hub).await;
    let mut product = CreateProduct {
        hub: hub.id,
        slug: "air".parse().unwrap(),
        title: "Air".parse().unwrap(),
        description: "".parse().unwrap(),
        tags: Vec::new(),
        devices: vec![f.device.id],
        stream: i3_core::stream::StreamDescription::default(),
    };
    assert_eq!(f.refused(rival, &product).await, Refusal::NotFound { what: "device" });
    product.devices = vec![DeviceId::from_bits(1)];
    assert_eq!(f.refused(rival, &product).await, Refusal::NotFound { what: "device" });
    product.devices = Vec::new();
    assert!(matches!(f.refused(rival, &product).await, Refusal::Invalid { field: "devices", .. }));
}

#[tokio::test]
async fn a_device_may_publish_its_listed_products_alone_and_nothing_once_disabled() {
    let f = Fixture::new().await;
    let rights = f.market.publish_rights(f.device.id).await.unwrap().unwrap();
    assert_eq!(rights.iter().map(|right| right.topic.as_str()).collect::<Vec<_>>(), ["i3/acme/air"]);
    f.done(f.seller, &MoveProduct { product: f.product.id, to: ProductState::Paused }).await;
    assert_eq!(f.market.publish_rights(f.device.id).await.unwrap(), Some(Vec::new()));
    let disable = SetDeviceState { device: f.device.id, state: i3_core::device::DeviceState::Disabled };
    f.done(f.seller, &disable).await;
    assert_eq!(f.market.publish_rights(f.device.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_hub_and_a_device_are_described_anew_and_keep_their_names_and_their_access() {
    let f = Fixture::new().await;
    let heard = Arc::new(Recorder::default());
    f.market.listen(heard.clone());
    let hub = f.done(f.seller, &DescribeHub { hub: f.hub.id, title: "Acme and Sons".parse().ok() }).await;
    assert_eq!(hub, Hub { title: "Acme and Sons".parse().unwrap(), ..f.hub.clone() });
    let described = DescribeDevice { device: f.device.id, title: "On the roof".parse().ok() };
    let device = f.done(f.seller, &described).await;
    assert_eq!(device, Device { title: "On the roof".parse().unwrap(), ..f.device.clone() });
    // Nothing is said: nothing changes.
    assert_eq!(f.done(f.seller, &DescribeHub { hub: f.hub.id, title: None }).await, hub);
    assert_eq!(f.done(f.seller, &DescribeDevice { title: None, ..described }).await, device);
    let rights = f.market.publish_rights(f.device.id).await.unwrap().unwrap();
    assert_eq!((rights.len(), &rights[0].topic), (1, &f.product.topic));
    assert!(heard.told().is_empty(), "gates have nothing to do");
    let nobodys = DescribeHub { hub: TypedId::from_bits(99), title: None };
    assert_eq!(f.refused(f.seller, &nobodys).await, Refusal::NotFound { what: "hub" });
}

#[tokio::test]
async fn other_devices_publish_a_product_and_gates_are_told_of_both() {
    let f = Fixture::new().await;
    let register = RegisterDevice {
        hub: f.hub.id,
        name: "cellar".parse().unwrap(),
        title: "Cellar".parse().unwrap(),
        credential: NewCredential::Password { hash: SecretHash::new("hash") },
    };
    let next = f.done(f.seller, &register).await.id;
    let supply = |devices: &[DeviceId]| DescribeProduct {
        product: f.product.id,
        title: None,
        description: None,
        tags: None,
        devices: Some(devices.to_vec()),
    };
    let rights = async |device| f.market.publish_rights(device).await.unwrap().unwrap().len();
    let heard = Arc::new(Recorder::default());
    f.market.listen(heard.clone());
    let both = f.done(f.seller, &supply(&[f.device.id, next])).await;
    assert_eq!(both, Product { devices: vec![f.device.id, next], ..f.product.clone() });
    assert_eq!((rights(f.device.id).await, rights(next).await), (1, 1));
    assert_eq!(heard.told(), [AccessChange::Device(next)]);
    f.done(f.seller, &supply(&[next])).await;
    assert_eq!((rights(f.device.id).await, rights(next).await), (0, 1));
    let principal = Principal::Device { device: f.device.id, hub: f.hub.id };
    assert_eq!(heard.told(), [AccessChange::Login { principal, credential: None }]);
    f.done(f.seller, &supply(&[next])).await;
    assert!(heard.told().is_empty(), "nothing changed");

    // Of another hub, of nobody, none at all, one twice.
    let hub = RegisterHub { slug: "other".parse().unwrap(), title: "Other".parse().unwrap() };
    let hub = f.done(f.seller, &hub).await.id;
    let foreign = f.done(f.seller, &RegisterDevice { hub, ..register }).await.id;
    let missing = Refusal::NotFound { what: "device" };
    assert_eq!(f.refused(f.seller, &supply(&[next, foreign])).await, missing);
    assert_eq!(f.refused(f.seller, &supply(&[next, TypedId::from_bits(9)])).await, missing);
    for devices in [&[][..], &[next, next]] {
        let refused = f.refused(f.seller, &supply(devices)).await;
        assert!(matches!(refused, Refusal::Invalid { field: "devices", .. }), "{refused}");
    }
    assert_eq!((rights(f.device.id).await, rights(next).await, rights(foreign).await), (0, 1, 0));
}

#[tokio::test]
async fn a_hub_keeps_at_least_one_owner() {
    let f = Fixture::new().await;
    let leave = RemoveMember { hub: f.hub.id, user: f.seller };
    assert_eq!(f.refused(f.seller, &leave).await, Refusal::LastOwner);
    f.done(f.seller, &SetMember { hub: f.hub.id, user: f.buyer, role: HubRole::Owner }).await;
    f.done(f.seller, &leave).await;
    let step_down = SetMember { hub: f.hub.id, user: f.buyer, role: HubRole::Viewer };
    assert_eq!(f.refused(f.buyer, &step_down).await, Refusal::LastOwner);
}

#[tokio::test]
async fn amounts_that_are_not_more_than_nothing_are_refused() {
    let f = Fixture::new().await;
    for minor in [0, -1] {
        let amount = Amount::new(minor).unwrap();
        let top_up = TopUp { user: f.buyer, amount, currency: Currency::EUR, reference: String::new() };
        assert!(matches!(f.refused(f.seller, &top_up).await, Refusal::Invalid { field: "amount", .. }));
    }
    assert_eq!(f.available().await, 0);
}

#[tokio::test]
async fn unknown_ids_are_refused_and_leave_no_trace() {
    let f = Fixture::new().await;
    let before = f.market.audit_log(Actor::System, 0, 1_000).await.unwrap().len();
    let nobody = UserId::from_bits(7);
    let top_up = TopUp {
        user: nobody,
        amount: Amount::new(1).unwrap(),
        currency: Currency::EUR,
        reference: String::new(),
    };
    assert_eq!(f.refused(f.seller, &top_up).await, Refusal::NotFound { what: "user" });
    assert_eq!(f.refused(nobody, &top_up).await, Refusal::NotFound { what: "user" });
    let revoke = RevokeGrant { grant: GrantId::from_bits(7) };
    assert_eq!(f.refused(f.seller, &revoke).await, Refusal::NotFound { what: "order" });
    assert_eq!(f.market.audit_log(Actor::System, 0, 1_000).await.unwrap().len(), before);
}

#[tokio::test]
async fn every_command_asks_the_policy_and_a_denial_names_the_missing_permission_and_nothing_more() {
    let market = Marketplace::open(Arc::new(MemoryStore::new()), Arc::new(DenyAll), &[]).await.unwrap();
    let hub = RegisterHub { slug: "acme".parse().unwrap(), title: "Acme".parse().unwrap() };
    let denied = refusal(market.execute(Actor::System, None, &hub).await.unwrap_err());
    assert_eq!(denied.to_string(), "the permission `hub:create` is missing");
    assert_eq!(denied.code(), "forbidden");
}

#[tokio::test]
async fn no_hash_reaches_an_answer_or_the_audit_log() {
    let f = Fixture::new().await;
    let key: IdempotencyKey = "device".parse().unwrap();
    let register = RegisterDevice {
        hub: f.hub.id,
        name: "cellar".parse().unwrap(),
        title: "Cellar".parse().unwrap(),
        credential: NewCredential::Password { hash: SecretHash::new("$argon2id$very-secret") },
    };
    let device = f.market.execute(Actor::User(f.seller), Some(&key), &register).await.unwrap();
    assert!(!format!("{device:?}").contains("very-secret"));
    assert!(!serde_json::to_string(&device).unwrap().contains("very-secret"));
    let log = f.market.audit_log(Actor::System, 0, 1_000).await.unwrap();
    assert!(!serde_json::to_string(&log).unwrap().contains("very-secret"));
    let dump =
        i3_core::testkit::dump::dump(f.market.store(), &i3_core::market::schema(&[]).unwrap()).await.unwrap();
    assert_eq!(
        dump.matches("very-secret").count(),
        1,
        "the device's own record, and nothing else, holds the hash"
    );
}

#[tokio::test]
async fn other_roles_of_a_suspended_user_are_not_told_as_a_reinstatement() {
    let f = Fixture::new().await;
    f.done(f.seller, &i3_core::market::SuspendUser { user: f.buyer }).await;
    let roles = BTreeSet::from([RoleName::PROVIDER]);
    let user = f.done(f.seller, &i3_core::market::SetRoles { user: f.buyer, roles: roles.clone() }).await;
    assert_eq!((user.state, user.roles), (i3_core::user::UserState::Suspended, roles));
    let last = f.market.events(Actor::System, 0, 1_000).await.unwrap().pop().unwrap();
    assert_eq!(last.entry.event, i3_core::outbox::Event::RolesChanged { user: f.buyer });
}

#[tokio::test]
async fn listeners_have_acted_when_a_command_returns_replays_included() {
    let f = Fixture::new().await;
    let recorder = Arc::new(Recorder::default());
    f.market.listen(recorder.clone());
    let order = f.buy(Plan::Free { quota: None }).await;
    let revoke = RevokeGrant { grant: GrantId::of(order.id) };
    let key: IdempotencyKey = "revoke".parse().unwrap();
    for _ in 0..2 {
        f.market.execute(Actor::User(f.seller), Some(&key), &revoke).await.unwrap();
    }
    assert_eq!(recorder.told(), [AccessChange::Grant(revoke.grant); 2]);
}

/// Shows one entry of the audit log otherwise than it was written.
#[derive(Debug)]
struct Forged(MemoryStore, u64);

#[async_trait]
impl Otherwise for Forged {
    fn inner(&self) -> &MemoryStore {
        &self.0
    }

    async fn scan(&self, scan: &Scan) -> Result<Page, StoreError> {
        let mut page = self.0.scan(scan).await?;
        for row in &mut page.rows {
            match row {
                Row::Entry { position, body, .. } if *position == self.1 => {
                    *body = Body::new(body.as_str().replacen('a', "b", 1)).unwrap();
                }
                _ => {}
            }
        }
        Ok(page)
    }
}

#[tokio::test]
async fn the_audit_chain_verifies_and_a_changed_byte_is_located() {
    let store = MemoryStore::new();
    let f = Fixture::over(Arc::new(store.clone())).await;
    let report = f.market.verify_audit(Actor::System).await.unwrap();
    assert_eq!((report.entries, report.broken_at), (6, None));
    let forged = Wrapped(Forged(store, 4));
    let report = audit::verify_chain(&forged, audit::stream().unwrap()).await.unwrap();
    assert_eq!(report.broken_at, Some(4));
}

#[tokio::test]
async fn a_store_of_a_newer_revision_is_refused() {
    let store = MemoryStore::new();
    let newer = Schema::new(i3_core::market::REVISION + 1, &i3_core::market::collections()).unwrap();
    store.prepare(&newer).await.unwrap();
    let error = Marketplace::open(Arc::new(store), Arc::new(DenyAll), &[]).await.unwrap_err();
    assert_eq!(error.kind().code(), "store_incompatible");
}
