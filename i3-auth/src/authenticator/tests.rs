use std::collections::BTreeSet;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use i3_core::access::Actor;
use i3_core::device::KeyAlgorithm;
use i3_core::gate::AccessChange;
use i3_core::hub::Hub;
use i3_core::id::{SequentialIds, TypedId};
use i3_core::market::{
    AddCredential, CancelOrder, CreateProduct, MoveProduct, NewCredential, PublishOffer, Purchase,
    RegisterDevice, RegisterHub, RegisterUser, RemoveCredential, ReplaceOrderPassword, SetDeviceState,
    SetHubState, SuspendUser,
};
use i3_core::money::Currency;
use i3_core::name::Prose;
use i3_core::offer::Plan;
use i3_core::order::Order;
use i3_core::product::ProductState;
use i3_core::role::RoleName;
use i3_core::store::MemoryStore;
use i3_core::time::{Clock, ManualClock};

use super::*;
use crate::device_token::{Claims, DevicePrivateKey, issue};
use crate::password::{Cost, PasswordSettings};
use crate::{COLLECTIONS, MasterKey, RolePolicy};

const HOUR: Duration = Duration::from_hours(1);

struct World {
    market: Marketplace,
    clock: Arc<ManualClock>,
    passwords: Arc<Passwords>,
    orders: BrokerPasswords,
    authenticator: MarketAuthenticator,
    seller: User,
    buyer: User,
    hub: Hub,
    device: Device,
}

async fn register(
    market: &Marketplace,
    name: &str,
    role: RoleName,
    hash: i3_core::secret::SecretHash,
) -> User {
    let command = RegisterUser {
        name: name.parse().unwrap(),
        display: name.parse().unwrap(),
        email: None,
        roles: BTreeSet::from([role]),
        profile: i3_core::user::Profile::default(),
        invitation: None,
        password: Some(hash),
    };
    market.execute(Actor::Anonymous, None, &command).await.unwrap()
}

/// A seller with a hub and a device whose password is `pump secret`, and a buyer.
async fn world() -> World {
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_795_296_422_000_000).unwrap()));
    let market = Marketplace::open(Arc::new(MemoryStore::new()), Arc::new(RolePolicy), COLLECTIONS)
        .await
        .unwrap()
        .with_clock(clock.clone())
        .with_ids(Arc::new(SequentialIds::default()));
    let settings = PasswordSettings { cost: Cost::new(8, 1, 1).unwrap(), ..PasswordSettings::default() };
    let passwords = Arc::new(Passwords::new(settings, clock.clone()).unwrap());
    let orders = BrokerPasswords::new(&MasterKey::from_bytes([7; 32]));
    let hash = passwords.hash(b"seller secret").await.unwrap();
    let seller = register(&market, "seller", RoleName::PROVIDER, hash).await;
    let hash = passwords.hash(b"buyer secret").await.unwrap();
    let buyer = register(&market, "buyer", RoleName::CONSUMER, hash).await;
    let hub = RegisterHub { slug: "acme".parse().unwrap(), title: "Acme".parse().unwrap() };
    let hub = market.execute(Actor::User(seller.id), None, &hub).await.unwrap();
    let hash = passwords.hash(b"pump secret").await.unwrap();
    let device = RegisterDevice {
        hub: hub.id,
        name: "pump-7".parse().unwrap(),
        title: "Pump".parse().unwrap(),
        credential: NewCredential::Password { hash },
    };
    let device = market.execute(Actor::User(seller.id), None, &device).await.unwrap();
    let authenticator =
        MarketAuthenticator::new(market.clone(), passwords.clone(), orders.clone(), "i3.example");
    World { market, clock, passwords, orders, authenticator, seller, buyer, hub, device }
}

impl World {
    fn seller(&self) -> Actor {
        Actor::User(self.seller.id)
    }

    async fn login(&self, name: &str, password: &[u8]) -> Result<Admission, LoginError> {
        let peer = Some([192, 0, 2, 1].into());
        let login = Login { client_id: "c", username: Some(name), password: Some(password), peer };
        self.authenticator.authenticate(login).await
    }

    async fn is_refused(&self, name: &str, password: &[u8]) -> bool {
        matches!(self.login(name, password).await, Err(LoginError::Refused))
    }

    fn admitted(&self, credential: CredentialId, until: Option<Timestamp>) -> Admission {
        let principal = Principal::Device { device: self.device.id, hub: self.hub.id };
        Admission { principal, credential: Some(credential), until }
    }

    async fn add(
        &self,
        credential: NewCredential,
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
    ) -> CredentialId {
        let command = AddCredential { device: self.device.id, credential, not_before, not_after };
        self.market.execute(self.seller(), None, &command).await.unwrap()
    }

    async fn remove(&self, credential: CredentialId) {
        let command = RemoveCredential { device: self.device.id, credential };
        self.market.execute(self.seller(), None, &command).await.unwrap();
    }

    fn password(&self) -> CredentialId {
        self.device.credentials[0].id
    }

    fn token(&self, key: &DevicePrivateKey, subject: &str) -> Vec<u8> {
        let claims = Claims { audience: "i3.example", subject, issued: self.clock.now(), lifetime: HOUR };
        issue(&claims, key).unwrap().expose().as_bytes().to_vec()
    }

    async fn order(&self, term: Option<Duration>) -> Order {
        let product = CreateProduct {
            hub: self.hub.id,
            slug: format!("level-{}", term.map_or(0, |term| term.as_secs())).parse().unwrap(),
            title: "Level".parse().unwrap(),
            description: "".parse::<Prose>().unwrap(),
            tags: Vec::new(),
            devices: vec![self.device.id],
            stream: i3_core::stream::StreamDescription::default(),
        };
        let product = self.market.execute(self.seller(), None, &product).await.unwrap();
        let list = MoveProduct { product: product.id, to: ProductState::Listed };
        self.market.execute(self.seller(), None, &list).await.unwrap();
        let offer = PublishOffer {
            product: product.id,
            currency: Currency::EUR,
            plan: Plan::Free { quota: None },
            term_seconds: term.map(|term| term.as_secs()),
        };
        let offer = self.market.execute(self.seller(), None, &offer).await.unwrap();
        let purchase = Purchase { offer: offer.id };
        self.market.execute(Actor::User(self.buyer.id), None, &purchase).await.unwrap()
    }
}

fn key() -> (DevicePrivateKey, NewCredential) {
    let private = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(private.as_ref()).unwrap();
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let text = |tag: &str, der: &[u8]| pem::encode(&pem::Pem::new(tag, der));
    let private = DevicePrivateKey::from_pem(&text("PRIVATE KEY", private.as_ref())).unwrap();
    let pem = text("PUBLIC KEY", public.as_ref());
    (private, NewCredential::PublicKey { algorithm: KeyAlgorithm::EdDsa, pem })
}

#[tokio::test]
async fn a_device_is_admitted_by_its_password() {
    let world = world().await;
    let admission = world.login("acme.pump-7", b"pump secret").await.unwrap();
    assert_eq!(admission, world.admitted(world.password(), None));
    assert!(world.is_refused("acme.pump-7", b"pump secre").await);
    assert!(world.is_refused("acme.pump-7", b"seller secret").await);
}

#[tokio::test]
async fn names_that_nobody_has_and_logins_without_name_or_password_are_refused() {
    let world = world().await;
    let id = world.device.id.to_string();
    for name in ["acme.pump-8", "acmf.pump-7", "ACME.pump-7", "acme", "seller", "", "a.b.c", "#", &id] {
        assert!(world.is_refused(name, b"pump secret").await, "{name}");
    }
    for (username, password) in [(None, None), (Some("acme.pump-7"), None), (None, Some(&b"pump secret"[..]))]
    {
        let login = Login { client_id: "acme.pump-7", username, password, peer: None };
        assert!(matches!(world.authenticator.authenticate(login).await, Err(LoginError::Refused)));
    }
    for password in [&b""[..], "x".repeat(65_535).as_bytes(), &[0xff, 0]] {
        assert!(world.is_refused("acme.pump-7", password).await);
    }
}

#[tokio::test]
async fn a_device_is_admitted_by_its_token_until_it_expires() {
    let world = world().await;
    let (private, public) = key();
    let credential = world.add(public, None, None).await;
    let token = world.token(&private, "acme.pump-7");
    let until = world.clock.now().plus(HOUR).plus(MAX_SKEW);
    let admission = world.login("acme.pump-7", &token).await.unwrap();
    assert_eq!(admission, world.admitted(credential, Some(until)));
    let strict = world.authenticator.clone().with_skew(Duration::ZERO);
    let login = Login { client_id: "c", username: Some("acme.pump-7"), password: Some(&token), peer: None };
    let admission = strict.authenticate(login).await.unwrap();
    assert_eq!(admission.until, Some(world.clock.now().plus(HOUR)));
    world.clock.advance(HOUR);
    assert!(matches!(strict.authenticate(login).await, Err(LoginError::Refused)));
    world.clock.advance(MAX_SKEW);
    assert!(world.is_refused("acme.pump-7", &token).await);
}

#[tokio::test]
async fn a_token_counts_for_its_device_and_audience_only_and_not_as_an_orders_password() {
    let world = world().await;
    let order = world.order(None).await;
    let (private, public) = key();
    world.add(public, None, None).await;
    let other = RegisterDevice {
        hub: world.hub.id,
        name: "pump-8".parse().unwrap(),
        title: "Pump".parse().unwrap(),
        credential: key().1,
    };
    world.market.execute(world.seller(), None, &other).await.unwrap();
    let token = world.token(&private, "acme.pump-7");
    assert!(world.login("acme.pump-7", &token).await.is_ok());
    assert!(world.is_refused("acme.pump-8", &token).await, "another device's token");
    assert!(world.is_refused("acme.pump-9", &token).await, "an unknown device");
    assert!(world.is_refused(&order.id.to_string(), &token).await);
    let pretending = world.token(&private, "acme.pump-8");
    assert!(world.is_refused("acme.pump-8", &pretending).await, "signed by another device's key");
    assert!(world.is_refused("acme.pump-7", &pretending).await);
    let elsewhere = MarketAuthenticator { audience: "other.example".into(), ..world.authenticator.clone() };
    let login = Login { client_id: "c", username: Some("acme.pump-7"), password: Some(&token), peer: None };
    assert!(matches!(elsewhere.authenticate(login).await, Err(LoginError::Refused)));
}

#[tokio::test]
async fn a_token_that_was_good_a_moment_ago_is_refused_once_its_key_or_its_device_is_not() {
    let world = world().await;
    let (private, public) = key();
    let credential = world.add(public.clone(), None, None).await;
    let token = world.token(&private, "acme.pump-7");
    for _ in 0..2 {
        assert_eq!(world.login("acme.pump-7", &token).await.unwrap().credential, Some(credential));
    }
    let mut changed = token.clone();
    let last = changed.last_mut().unwrap();
    *last = if *last == b'A' { b'Q' } else { b'A' };
    assert!(world.is_refused("acme.pump-7", &changed).await);
    world.remove(credential).await;
    assert!(world.is_refused("acme.pump-7", &token).await, "the key is gone");
    // The same key again is another credential, whose end counts.
    let end = world.clock.now().plus(HOUR / 2);
    let again = world.add(public, None, Some(end)).await;
    assert_eq!(world.login("acme.pump-7", &token).await.unwrap(), world.admitted(again, Some(end)));
    let disable = SetDeviceState { device: world.device.id, state: DeviceState::Disabled };
    world.market.execute(world.seller(), None, &disable).await.unwrap();
    assert!(world.is_refused("acme.pump-7", &token).await, "the device is off");
}

#[tokio::test]
async fn credentials_rotate_by_overlap_and_a_removed_one_is_refused() {
    let world = world().await;
    let now = world.clock.now();
    let (old, public) = key();
    let old_id = world.add(public, None, Some(now.plus(HOUR / 2))).await;
    let (new, public) = key();
    let new_id = world.add(public, Some(now.plus(HOUR / 4)), None).await;
    let hash = world.passwords.hash(b"next secret").await.unwrap();
    let next = world.add(NewCredential::Password { hash }, Some(now.plus(HOUR / 4)), None).await;

    let by_old = world.token(&old, "acme.pump-7");
    let admission = world.login("acme.pump-7", &by_old).await.unwrap();
    assert_eq!(admission, world.admitted(old_id, Some(now.plus(HOUR / 2))), "the credential ends first");
    assert!(world.is_refused("acme.pump-7", &world.token(&new, "acme.pump-7")).await, "not good yet");
    assert!(world.is_refused("acme.pump-7", b"next secret").await, "not good yet");

    world.clock.advance(HOUR / 4);
    for (private, id) in [(&old, old_id), (&new, new_id)] {
        let admission = world.login("acme.pump-7", &world.token(private, "acme.pump-7")).await.unwrap();
        assert_eq!(admission.credential, Some(id));
    }
    for (password, id) in [(&b"pump secret"[..], world.password()), (b"next secret", next)] {
        assert_eq!(world.login("acme.pump-7", password).await.unwrap(), world.admitted(id, None));
    }

    world.clock.advance(HOUR / 4);
    assert!(world.is_refused("acme.pump-7", &world.token(&old, "acme.pump-7")).await, "no longer good");
    world.remove(new_id).await;
    assert!(world.is_refused("acme.pump-7", &world.token(&new, "acme.pump-7")).await, "removed");
    // The removed password was right a moment ago and is still remembered; that does not help.
    assert!(world.login("acme.pump-7", b"pump secret").await.is_ok());
    world.remove(world.password()).await;
    assert!(world.is_refused("acme.pump-7", b"pump secret").await, "removed");
    assert!(world.login("acme.pump-7", b"next secret").await.is_ok());
}

#[tokio::test]
async fn a_password_that_is_removed_while_it_is_checked_is_refused() {
    let world = world().await;
    // A hash is checked at its own cost: this one keeps a thread busy for some tenths of a second.
    let cost = Cost::new(64 * 1024, 6, 1).unwrap();
    let slow = Passwords::new(PasswordSettings { cost, ..PasswordSettings::default() }, world.clock.clone());
    let hash = slow.unwrap().hash(b"slow secret").await.unwrap();
    let credential = world.add(NewCredential::Password { hash }, None, None).await;
    let login = world.login("acme.pump-7", b"slow secret");
    // The login has read the device and waits for its hash when the removal runs.
    let (told, ()) = tokio::join!(biased; login, world.remove(credential));
    assert!(matches!(told, Err(LoginError::Refused)), "{told:?}");
}

#[tokio::test]
async fn a_disabled_device_and_a_suspended_hub_are_refused() {
    let world = world().await;
    let (private, public) = key();
    world.add(public, None, None).await;
    let device = |state| SetDeviceState { device: world.device.id, state };
    let hub = |state| SetHubState { hub: world.hub.id, state };
    let token = world.token(&private, "acme.pump-7");
    let connects = async || {
        let by_password = world.login("acme.pump-7", b"pump secret").await.is_ok();
        assert_eq!(by_password, world.login("acme.pump-7", &token).await.is_ok());
        by_password
    };
    assert!(connects().await);
    world.market.execute(world.seller(), None, &device(DeviceState::Disabled)).await.unwrap();
    assert!(!connects().await);
    world.market.execute(world.seller(), None, &device(DeviceState::Active)).await.unwrap();
    assert!(connects().await);
    world.market.execute(Actor::System, None, &hub(HubState::Suspended)).await.unwrap();
    assert!(!connects().await);
}

#[tokio::test]
async fn an_order_is_admitted_by_its_broker_password_until_its_term_ends() {
    let world = world().await;
    let order = world.order(Some(HOUR)).await;
    let name = order.id.to_string();
    let password = world.orders.of(order.id, 0);
    let password = password.expose().as_bytes();
    let principal = Principal::Order { order: order.id, buyer: world.buyer.id };
    let until = Some(world.clock.now().plus(HOUR));
    let admission = world.login(&name, password).await.unwrap();
    assert_eq!(admission, Admission { principal, credential: None, until });
    assert!(world.is_refused(&name, b"buyer secret").await);
    assert!(world.is_refused(&name, b"").await);
    let later = world.order(None).await;
    assert!(world.is_refused(&later.id.to_string(), password).await, "another order's password");
    let unknown = OrderId::from_bits(99);
    let theirs = world.orders.of(unknown, 0);
    assert!(world.is_refused(&unknown.to_string(), theirs.expose().as_bytes()).await, "no such order");
    world.clock.advance(HOUR);
    assert!(world.is_refused(&name, password).await);
}

#[tokio::test]
async fn a_replaced_broker_password_is_refused_and_the_next_one_is_good() {
    let world = world().await;
    let order = world.order(None).await;
    let replace = ReplaceOrderPassword { order: order.id };
    let generation = world.market.execute(Actor::User(world.buyer.id), None, &replace).await.unwrap();
    let name = order.id.to_string();
    let old = world.orders.of(order.id, order.password_generation);
    assert!(world.is_refused(&name, old.expose().as_bytes()).await);
    let new = world.orders.of(order.id, generation);
    assert!(world.login(&name, new.expose().as_bytes()).await.is_ok());
}

#[tokio::test]
async fn a_cancelled_order_and_a_suspended_buyer_are_refused() {
    let world = world().await;
    let (order, other) = (world.order(None).await, world.order(Some(HOUR)).await);
    let connects = async |order: &Order| {
        let password = world.orders.of(order.id, 0);
        world.login(&order.id.to_string(), password.expose().as_bytes()).await.is_ok()
    };
    let buyer = Actor::User(world.buyer.id);
    world.market.execute(buyer, None, &CancelOrder { order: order.id }).await.unwrap();
    assert!(!connects(&order).await);
    assert!(connects(&other).await);
    world.market.execute(Actor::System, None, &SuspendUser { user: world.buyer.id }).await.unwrap();
    assert!(!connects(&other).await);
}

#[tokio::test]
async fn who_guesses_at_a_device_is_told_to_wait_but_tokens_still_work() {
    let world = world().await;
    let (private, public) = key();
    world.add(public, None, None).await;
    for _ in 0..10 {
        assert!(world.is_refused("acme.pump-7", b"guess").await);
    }
    assert!(matches!(world.login("acme.pump-7", b"pump secret").await, Err(LoginError::Busy)));
    assert!(world.login("acme.pump-7", &world.token(&private, "acme.pump-7")).await.is_ok());
    for _ in 0..10 {
        assert!(world.is_refused("acme.unknown", b"guess").await);
    }
    let told = world.login("acme.unknown", b"guess").await;
    assert!(matches!(told, Err(LoginError::Busy)), "an unknown name answers as a known one");
}

#[tokio::test]
async fn people_log_in_with_name_and_password() {
    let world = world().await;
    let login = async |name: &str, password: &[u8]| world.authenticator.user(name, password, None).await;
    assert_eq!(login("buyer", b"buyer secret").await.unwrap(), world.buyer);
    for (name, password) in [
        ("buyer", "seller secret"),
        ("nobody", "buyer secret"),
        ("Buyer", "buyer secret"),
        ("", ""),
        ("buyer", ""),
    ] {
        assert!(matches!(login(name, password.as_bytes()).await, Err(LoginError::Refused)), "{name}");
    }
    // Whether a suspended user may do anything is the policy's question.
    world.market.execute(Actor::System, None, &SuspendUser { user: world.buyer.id }).await.unwrap();
    assert_eq!(login("buyer", b"buyer secret").await.unwrap().state, UserState::Suspended);
}

#[tokio::test]
async fn the_change_that_ends_a_connection_names_what_admitted_it() {
    #[derive(Debug, Default)]
    struct Told(std::sync::Mutex<Vec<AccessChange>>);
    #[async_trait]
    impl i3_core::gate::AccessListener for Told {
        async fn access_changed(&self, changes: &[AccessChange]) {
            self.0.lock().unwrap().extend(changes);
        }
    }
    let world = world().await;
    let told = Arc::new(Told::default());
    world.market.listen(told.clone());
    let Admission { principal, credential, .. } = world.login("acme.pump-7", b"pump secret").await.unwrap();
    world.remove(world.password()).await;
    assert_eq!(*told.0.lock().unwrap(), [AccessChange::Login { principal, credential }]);
}
