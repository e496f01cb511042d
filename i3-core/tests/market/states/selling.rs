//! Hubs, memberships, devices, products and offers.

use i3_core::access::{Actor, HubRole};
use i3_core::device::{CredentialKind, Device, DeviceState};
use i3_core::gate::Metering as _;
use i3_core::hub::{Hub, HubState, Membership, MembershipId};
use i3_core::id::{CredentialId, DeviceId, GrantId, OfferId, OrderId, UserId, VirtualObjectId};
use i3_core::market::{
    AddCredential, AmendStream, CreateObject, CreateProduct, DescribeDevice, DescribeHub, DescribeProduct,
    DescribeStream, LinkProduct, MoveProduct, NewCredential, PublishOffer, Purchase, RateProduct,
    RegisterDevice, RegisterHub, RemoveCredential, RemoveMember, ReplaceOrderPassword, RevokeGrant,
    SetDeviceState, SetHubState, SetMember, WithdrawOffer,
};
use i3_core::money::Currency;
use i3_core::offer::{Offer, OfferState};
use i3_core::product::{Product, ProductState};
use i3_core::secret::SecretHash;
use i3_core::store::StoreExt as _;
use i3_core::stream::StreamDescription;
use i3_core::virtual_object::{Content, ObjectKind};
use serde_json::json;

use super::people::lease;
use super::{FREE, Page, Scene, World};

pub(super) async fn tables(page: &mut Page) {
    hubs(page).await;
    memberships(page).await;
    devices(page).await;
    products(page).await;
    offers(page).await;
}

impl World {
    /// An order of the fixture's buyer under which one message was received.
    pub(super) async fn received(&self, offer: OfferId) -> OrderId {
        let order = self.run(self.buyer, &Purchase { offer }).await.id;
        let lease = self.f.market.open(GrantId::of(order), "gate", 2).await.unwrap().lease;
        self.f.market.close(lease, 1.into()).await.unwrap();
        order
    }

    async fn object(&self) -> VirtualObjectId {
        let content = Content::new(ObjectKind::Sensor, "Thermometer".parse().unwrap());
        self.run(self.seller, &CreateObject { content, hub: None, submit: false }).await.object.id
    }
}

pub(super) fn rate(order: OrderId) -> RateProduct {
    RateProduct { order, stars: 4.try_into().unwrap(), comment: None }
}

fn device(hub: &Hub, name: &str) -> RegisterDevice {
    let credential = NewCredential::Password { hash: SecretHash::new("hash") };
    RegisterDevice { hub: hub.id, name: name.parse().unwrap(), title: "Device".parse().unwrap(), credential }
}

fn product(world: &World, slug: &str) -> CreateProduct {
    CreateProduct {
        hub: world.f.hub.id,
        slug: slug.parse().unwrap(),
        title: "Water".parse().unwrap(),
        description: "".parse().unwrap(),
        tags: Vec::new(),
        devices: vec![world.f.device.id],
        stream: StreamDescription::default(),
    }
}

fn offer(world: &World) -> PublishOffer {
    let (product, currency) = (world.f.product.id, Currency::EUR);
    PublishOffer { product, currency, plan: FREE, term_seconds: None }
}

struct House {
    world: World,
    offer: OfferId,
    order: OrderId,
}

impl Scene for House {
    const WHAT: &'static str = "A hub";
    const STATES: &'static [&'static str] = &["active", "suspended"];
    const NOTES: &'static str = "\
A suspended hub is cut off from its buyers: nothing is sold and nothing delivered. Its people go on keeping house, so that what \
it was suspended for can be put right; what they prepare has no effect outside until it is reinstated.";

    async fn brought_to(state: &'static str) -> Self {
        let world = World::new().await;
        let offer = world.f.offer(FREE).await;
        let order = world.received(offer).await;
        world
            .run(
                world.seller,
                &SetMember { hub: world.f.hub.id, user: member(&world), role: HubRole::Viewer },
            )
            .await;
        if state == "suspended" {
            let state = HubState::Suspended;
            world.run(world.admin, &SetHubState { hub: world.f.hub.id, state }).await;
        }
        Self { world, offer, order }
    }

    fn world(&self) -> &World {
        &self.world
    }

    async fn state(&self) -> &'static str {
        match self.world.f.store.get::<Hub>(&self.world.f.hub.id).await.unwrap().unwrap().entity.state {
            HubState::Active => "active",
            HubState::Suspended => "suspended",
        }
    }
}

/// Somebody to be a member.
fn member(world: &World) -> UserId {
    match world.admin {
        Actor::User(user) => user,
        _ => panic!("the administrator is a user"),
    }
}

async fn hubs(page: &mut Page) {
    page.table::<House>();
    for (to, state) in [("active", HubState::Active), ("suspended", HubState::Suspended)] {
        let set = |s: &House| (s.world.admin, SetHubState { hub: s.world.f.hub.id, state });
        page.row(&format!("to {to}"), set).await;
    }
    page.row("", |s: &House| {
        (s.world.seller, DescribeHub { hub: s.world.f.hub.id, title: "Acme and Sons".parse().ok() })
    })
    .await;
    page.row("with its name", |s: &House| {
        (s.world.seller, RegisterHub { slug: s.world.f.hub.slug.clone(), title: "A".parse().unwrap() })
    })
    .await;
    page.row("", |s: &House| {
        (s.world.seller, SetMember { hub: s.world.f.hub.id, user: member(&s.world), role: HubRole::Manager })
    })
    .await;
    page.row("", |s: &House| {
        (s.world.seller, RemoveMember { hub: s.world.f.hub.id, user: member(&s.world) })
    })
    .await;
    page.row("", |s: &House| (s.world.seller, device(&s.world.f.hub, "cellar"))).await;
    page.row("", |s: &House| (s.world.seller, product(&s.world, "water"))).await;
    page.row("", |s: &House| (s.world.seller, offer(&s.world))).await;
    page.row("of it", |s: &House| {
        let content = Content::new(ObjectKind::Sensor, "Barometer".parse().unwrap());
        (s.world.seller, CreateObject { content, hub: Some(s.world.f.hub.id), submit: false })
    })
    .await;
    page.row("", |s: &House| (s.world.buyer, Purchase { offer: s.offer })).await;
    page.row("", |s: &House| (Actor::System, lease(s.order))).await;
    page.row("", |s: &House| (s.world.seller, RevokeGrant { grant: GrantId::of(s.order) })).await;
    page.row("", |s: &House| (s.world.buyer, ReplaceOrderPassword { order: s.order })).await;
    page.row("", |s: &House| (s.world.buyer, rate(s.order))).await;
}

/// The buyer of an order, and what they are in the hub that sold it.
struct Member {
    world: World,
    offer: OfferId,
    order: OrderId,
}

impl Scene for Member {
    const WHAT: &'static str = "A membership in a hub";
    const STATES: &'static [&'static str] =
        &["no member", "a viewer", "a manager", "an owner beside another", "the only owner"];
    const NOTES: &'static str =
        "Who asks for a change of members is an owner, also where it is about the only one.";

    async fn brought_to(state: &'static str) -> Self {
        let world = World::new().await;
        let offer = world.f.offer(FREE).await;
        let order = world.received(offer).await;
        let role = match state {
            "a viewer" => Some(HubRole::Viewer),
            "a manager" => Some(HubRole::Manager),
            "an owner beside another" | "the only owner" => Some(HubRole::Owner),
            _ => None,
        };
        if let Some(role) = role {
            world.run(world.seller, &SetMember { hub: world.f.hub.id, user: world.f.buyer, role }).await;
        }
        if state == "the only owner" {
            world.run(world.seller, &RemoveMember { hub: world.f.hub.id, user: world.f.seller }).await;
        }
        Self { world, offer, order }
    }

    fn world(&self) -> &World {
        &self.world
    }

    async fn state(&self) -> &'static str {
        let id = MembershipId { hub: self.world.f.hub.id, user: self.world.f.buyer };
        let held = self.world.f.store.get::<Membership>(&id).await.unwrap();
        let hub = self.world.f.store.get::<Hub>(&self.world.f.hub.id).await.unwrap().unwrap().entity;
        match held.map(|found| found.entity.role) {
            None => "no member",
            Some(HubRole::Viewer) => "a viewer",
            Some(HubRole::Manager) => "a manager",
            Some(HubRole::Owner) if hub.owners == 1 => "the only owner",
            Some(HubRole::Owner) => "an owner beside another",
            Some(other) => panic!("{other:?} is in no column"),
        }
    }
}

async fn memberships(page: &mut Page) {
    page.table::<Member>();
    for (name, role) in
        [("a viewer", HubRole::Viewer), ("a manager", HubRole::Manager), ("an owner", HubRole::Owner)]
    {
        let set =
            |s: &Member| (s.world.seller, SetMember { hub: s.world.f.hub.id, user: s.world.f.buyer, role });
        page.row(&format!("as {name}"), set).await;
    }
    page.row("", |s: &Member| {
        (s.world.seller, RemoveMember { hub: s.world.f.hub.id, user: s.world.f.buyer })
    })
    .await;
    page.row("by them", |s: &Member| (s.world.buyer, Purchase { offer: s.offer })).await;
    page.row("by them, of what was bought before", |s: &Member| (s.world.buyer, rate(s.order))).await;
}

struct Machine {
    world: World,
    credential: CredentialId,
}

impl Scene for Machine {
    const WHAT: &'static str = "A device";
    const STATES: &'static [&'static str] =
        &["active", "active, with as many credentials as can be", "disabled"];
    const NOTES: &'static str = "A disabled device keeps its place in products and can be prepared to come back: it is let in nowhere.";

    async fn brought_to(state: &'static str) -> Self {
        let world = World::new().await;
        let device = world.f.device.id;
        let credential = world.f.device.credentials[0].id;
        if state == "disabled" {
            world.run(world.seller, &SetDeviceState { device, state: DeviceState::Disabled }).await;
        }
        if state.ends_with("can be") {
            for _ in 1..Device::MAX_CREDENTIALS {
                world.run(world.seller, &add(&world)).await;
            }
        }
        Self { world, credential }
    }

    fn world(&self) -> &World {
        &self.world
    }

    async fn state(&self) -> &'static str {
        let device = self.world.f.store.get::<Device>(&self.world.f.device.id).await.unwrap().unwrap().entity;
        assert!(device.credentials.iter().all(|one| one.kind == CredentialKind::Password));
        match (device.state, device.credentials.len()) {
            (DeviceState::Disabled, _) => "disabled",
            (DeviceState::Active, Device::MAX_CREDENTIALS) => Self::STATES[1],
            (DeviceState::Active, _) => "active",
        }
    }
}

fn add(world: &World) -> AddCredential {
    let credential = NewCredential::Password { hash: SecretHash::new("next") };
    AddCredential { device: world.f.device.id, credential, not_before: None, not_after: None }
}

async fn devices(page: &mut Page) {
    page.table::<Machine>();
    for (to, state) in [("active", DeviceState::Active), ("disabled", DeviceState::Disabled)] {
        let set = |s: &Machine| (s.world.seller, SetDeviceState { device: s.world.f.device.id, state });
        page.row(&format!("to {to}"), set).await;
    }
    page.row("", |s: &Machine| {
        (s.world.seller, DescribeDevice { device: s.world.f.device.id, title: "On the roof".parse().ok() })
    })
    .await;
    page.row("", |s: &Machine| (s.world.seller, add(&s.world))).await;
    page.row("", |s: &Machine| {
        (s.world.seller, RemoveCredential { device: s.world.f.device.id, credential: s.credential })
    })
    .await;
    page.row("with its name", |s: &Machine| (s.world.seller, device(&s.world.f.hub, "roof"))).await;
    page.row("that it publishes", |s: &Machine| (s.world.seller, product(&s.world, "water"))).await;
}

struct Goods {
    world: World,
    offer: OfferId,
    order: Option<OrderId>,
    object: VirtualObjectId,
    other: DeviceId,
}

impl Scene for Goods {
    const WHAT: &'static str = "A product";
    const STATES: &'static [&'static str] = &["draft", "listed", "paused", "retired"];
    const NOTES: &'static str = "\
What people read of a product can be put right for ever, since orders and ratings still name it; who publishes it, as long as it may be published again. Offers of a draft or a \
paused product are prepared and cannot be bought; to strangers those of a draft are not there.";

    async fn brought_to(state: &'static str) -> Self {
        let mut world = World::new().await;
        let object = world.object().await;
        let other = world.run(world.seller, &device(&world.f.hub, "cellar")).await.id;
        let mut order = None;
        if state == "draft" {
            world.f.product = world.run(world.seller, &product(&world, "water")).await;
        }
        let offer = world.f.offer(FREE).await;
        if state != "draft" {
            order = Some(world.received(offer).await);
        }
        let to = match state {
            "paused" => Some(ProductState::Paused),
            "retired" => Some(ProductState::Retired),
            _ => None,
        };
        if let Some(to) = to {
            world.run(world.seller, &MoveProduct { product: world.f.product.id, to }).await;
        }
        Self { world, offer, order, object, other }
    }

    fn world(&self) -> &World {
        &self.world
    }

    async fn state(&self) -> &'static str {
        let id = self.world.f.product.id;
        self.world.f.store.get::<Product>(&id).await.unwrap().unwrap().entity.state.as_str()
    }
}

async fn products(page: &mut Page) {
    page.table::<Goods>();
    for to in [ProductState::Draft, ProductState::Listed, ProductState::Paused, ProductState::Retired] {
        let go = |s: &Goods| (s.world.seller, MoveProduct { product: s.world.f.product.id, to });
        page.row(&format!("to {}", to.as_str()), go).await;
    }
    page.row("", |s: &Goods| {
        let title = Some("Another".parse().unwrap());
        let product = s.world.f.product.id;
        (s.world.seller, DescribeProduct { product, title, description: None, tags: None, devices: None })
    })
    .await;
    page.row("", |s: &Goods| {
        let stream = StreamDescription::default();
        (s.world.seller, DescribeStream { product: s.world.f.product.id, stream })
    })
    .await;
    page.row("with another device", |s: &Goods| {
        let (product, devices) = (s.world.f.product.id, Some(vec![s.other]));
        (s.world.seller, DescribeProduct { product, title: None, description: None, tags: None, devices })
    })
    .await;
    page.row("", |s: &Goods| {
        let patch = json!({"schema": {"type": "object"}}).as_object().unwrap().clone();
        (s.world.seller, AmendStream { product: s.world.f.product.id, patch })
    })
    .await;
    page.row("with its name", |s: &Goods| {
        let slug = s.world.f.product.slug.to_string();
        (s.world.seller, product(&s.world, &slug))
    })
    .await;
    page.row("", |s: &Goods| (s.world.seller, offer(&s.world))).await;
    page.row("", |s: &Goods| (s.world.seller, WithdrawOffer { offer: s.offer })).await;
    page.row("to an object", |s: &Goods| {
        let product = Some(s.world.f.product.id);
        (s.world.seller, LinkProduct { object: s.object, product, expect: None })
    })
    .await;
    page.row("", |s: &Goods| (s.world.buyer, Purchase { offer: s.offer })).await;
    page.row_where("of an order of it", |s: &Goods| Some((Actor::System, lease(s.order?)))).await;
    page.row_where("of it", |s: &Goods| Some((s.world.buyer, rate(s.order?)))).await;
}

struct Deal {
    world: World,
    offer: OfferId,
    order: OrderId,
}

impl Scene for Deal {
    const WHAT: &'static str = "An offer";
    const STATES: &'static [&'static str] = &["published", "withdrawn"];
    const NOTES: &'static str = "What was bought before goes on.";

    async fn brought_to(state: &'static str) -> Self {
        let world = World::new().await;
        let offer = world.f.offer(FREE).await;
        let order = world.received(offer).await;
        if state == "withdrawn" {
            world.run(world.seller, &WithdrawOffer { offer }).await;
        }
        Self { world, offer, order }
    }

    fn world(&self) -> &World {
        &self.world
    }

    async fn state(&self) -> &'static str {
        match self.world.f.store.get::<Offer>(&self.offer).await.unwrap().unwrap().entity.state {
            OfferState::Published => "published",
            OfferState::Withdrawn => "withdrawn",
        }
    }
}

async fn offers(page: &mut Page) {
    page.table::<Deal>();
    page.row("", |s: &Deal| (s.world.seller, WithdrawOffer { offer: s.offer })).await;
    page.row("", |s: &Deal| (s.world.buyer, Purchase { offer: s.offer })).await;
    page.row("of an order of it", |s: &Deal| (Actor::System, lease(s.order))).await;
    page.row("of an order of it", |s: &Deal| (s.world.buyer, rate(s.order))).await;
}
