//! Virtual objects to try things with, and who may do what with them.

use std::collections::BTreeSet;
use std::sync::Arc;

use i3_core::access::{Action, Actor, Decision, Policy, Resource, Subject};
use i3_core::id::{SequentialIds, UserId, VirtualObjectId};
use i3_core::market::{
    AmendObject, AttachFile, CreateObject, DetachFile, EditObject, LinkProduct, MarketError, Marketplace,
    MoveObject, ObjectFilter, ObjectOrder, ObjectView, PageRequest, Publishing, PurgeFile, Refusal,
    RegisterUser, Settings,
};
use i3_core::role::RoleName;
use i3_core::store::{Digest, MemoryStore};
use i3_core::time::{ManualClock, Timestamp};
use i3_core::virtual_object::{Content, File, MediaType, ObjectKind, ObjectState};

use crate::fixture::{Fixture, refusal, user};

/// The rules of the paper's roles, in short; the real ones are in `i3-auth`.
#[derive(Debug)]
pub(crate) struct Roles;

impl Policy for Roles {
    fn decide(&self, subject: &Subject, action: Action, resource: &Resource) -> Decision {
        let own = matches!(subject.actor, Actor::User(user) if resource.owner == Some(user));
        let is = |role| subject.roles.contains(&role);
        let allowed = subject.actor == Actor::System
            || is(RoleName::ADMINISTRATOR)
            || match action {
                Action::RegisterUser => true,
                Action::CreateVirtualObject | Action::RegisterHub => is(RoleName::PROVIDER),
                Action::ViewVirtualObject => own,
                Action::EditVirtualObject | Action::DeleteVirtualObject => own && is(RoleName::PROVIDER),
                _ => false,
            };
        if allowed { Decision::allow("the role allows it") } else { Decision::deny("the role does not") }
    }
}

/// Lets nobody publish without a review, and allows all else.
#[derive(Debug)]
pub(crate) struct Makers;

impl Policy for Makers {
    fn decide(&self, _: &Subject, action: Action, _: &Resource) -> Decision {
        if action == Action::PublishVirtualObject {
            Decision::deny("makers are reviewed")
        } else {
            Decision::allow("the rest is free")
        }
    }
}

/// A content that has something in every place but files and parts.
pub(crate) fn full() -> Content {
    let json = serde_json::json!({
        "kind": "actuator",
        "classes": ["urn:x:Lamp", "https://\u{c608}.example/\u{b7a8}\u{d504}"],
        "title": "LED <&\"> \u{5927}",
        "body": "Two lines\nand more",
        "model": "external-led-edited",
        "category": "Lighting",
        "tags": ["led", "colour"],
        "domain": "smart-home",
        "platforms": ["Raspberry Pi"],
        "protocols": ["coap", "http", "mqtt", "websocket", "opc-ua"],
        "attributes": [
            {"name": "temperature", "type": "number", "unit": "ucum:Cel", "description": "inside"},
            {"name": "on", "type": "boolean"},
            {"name": "state", "type": "object", "unit": "words"},
        ],
        "methods": [
            {"name": "BlueOn", "description": "Lights it in blue"},
            {
                "name": "Dim",
                "inputs": [{"name": "level", "type": "integer", "unit": "qudt:PERCENT"}],
                "output": {"type": "array", "unit": "%", "description": "what it was"},
            },
        ],
        "resources": ["coap://129.21.121.1", "http://129.21.121.1/led"],
        "thing": {"of": format!("sha256:{:064}", 7), "patch": "{\"a\":{\"b\":null}}"},
        "location": {"place": "Jeju/Campus", "point": {"lat": 33.450_701, "lon": 126}},
    });
    serde_json::from_value(json).unwrap()
}

/// Virtual objects in each state, with all that one can say of itself.
pub(crate) async fn every_state(f: &Fixture, store: &MemoryStore) {
    let (seller, run) = (Actor::User(f.seller), &f.market);
    f.pass(std::time::Duration::from_millis(1));
    let reviewed = Marketplace::open(Arc::new(store.clone()), Arc::new(Makers), &[])
        .await
        .unwrap()
        .with_clock(f.clock.clone())
        .with_ids(Arc::new(SequentialIds::default()))
        .with_settings(Settings::default().with_publishing(Publishing::Review));
    let create = |content: &Content, submit| CreateObject { content: content.clone(), hub: None, submit };
    let go = |object, to| MoveObject { object, to, expect: None, remark: None };
    let full = full();
    let plain = Content::new(ObjectKind::Sensor, "Thermometer \u{1f321}".parse().unwrap());

    let under_review = reviewed.execute(seller, None, &create(&full, true)).await.unwrap().object.id;
    run.execute(seller, None, &go(under_review, ObjectState::Published)).await.unwrap();
    let edit = EditObject { object: under_review, content: plain.clone(), expect: Some(2) };
    reviewed.execute(seller, Some(&"edit".parse().unwrap()), &edit).await.unwrap();
    let patch = serde_json::json!({"model": "T-1", "body": null}).as_object().unwrap().clone();
    let amend = AmendObject { object: under_review, patch, expect: None };
    reviewed.execute(seller, None, &amend).await.unwrap();
    reviewed.execute(seller, None, &go(under_review, ObjectState::Submitted)).await.unwrap();
    let back =
        MoveObject { remark: Some("No\nmore".parse().unwrap()), ..go(under_review, ObjectState::Draft) };
    run.execute(seller, None, &back).await.unwrap();
    reviewed.execute(seller, None, &create(&plain, true)).await.unwrap();
    f.pass(std::time::Duration::from_millis(1));

    let of_hub = CreateObject { hub: Some(f.hub.id), ..create(&full, true) };
    let published = run.execute(seller, None, &of_hub).await.unwrap().object.id;
    let link = LinkProduct { object: published, product: Some(f.product.id), expect: None };
    run.execute(seller, None, &link).await.unwrap();
    let mut whole = Content::new(ObjectKind::Service, "Both".parse().unwrap());
    whole.parts.insert(published);
    run.execute(seller, None, &create(&whole, true)).await.unwrap();
    for (name, bytes) in [("guide.txt", "Gr\u{fc}n"), ("copy.txt", "Gr\u{fc}n"), ("old.txt", "Rot")] {
        let (media_type, object) = (MediaType::Plain, published);
        let mut writer = run.write_file(seller, object, media_type, None).await.unwrap();
        writer.write(bytes.as_bytes()).await.unwrap();
        let whole = writer.finish().await.unwrap();
        let file = File { name: name.parse().unwrap(), media_type, bytes: whole.bytes, sha256: whole.sha256 };
        let attach = AttachFile { object, file, expect: None, upload: Some(whole.upload) };
        run.execute(seller, Some(&name.parse().unwrap()), &attach).await.unwrap();
    }
    for name in ["copy.txt", "old.txt"] {
        let detach = DetachFile { object: published, name: name.parse().unwrap(), expect: None };
        run.execute(seller, None, &detach).await.unwrap();
    }
    let purge = PurgeFile { object: published, sha256: Digest::of(b"Rot"), expect: None };
    run.execute(seller, None, &purge).await.unwrap();
    for to in [ObjectState::Deprecated, ObjectState::Removed] {
        let object = run.execute(seller, None, &create(&full, true)).await.unwrap().object.id;
        run.execute(seller, None, &go(object, to)).await.unwrap();
    }
}

pub(crate) struct Shop {
    pub(crate) market: Marketplace,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) alice: UserId,
    pub(crate) bob: UserId,
    pub(crate) consumer: UserId,
    pub(crate) admin: UserId,
}

impl Shop {
    pub(crate) async fn with(publishing: Publishing) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_800_000_000_000_000).unwrap()));
        let market = Marketplace::open(Arc::new(MemoryStore::new()), Arc::new(Roles), &[])
            .await
            .unwrap()
            .with_clock(clock.clone())
            .with_ids(Arc::new(SequentialIds::default()))
            .with_settings(Settings::default().with_publishing(publishing));
        let alice = user(&market, "alice", RoleName::PROVIDER).await;
        let bob = user(&market, "bob", RoleName::PROVIDER).await;
        let consumer = user(&market, "carol", RoleName::CONSUMER).await;
        let admin = RegisterUser {
            name: "admin".parse().unwrap(),
            display: "Admin".parse().unwrap(),
            email: None,
            roles: BTreeSet::from([RoleName::ADMINISTRATOR]),
            profile: i3_core::user::Profile::default(),
            invitation: None,
            password: None,
        };
        let admin = market.execute(Actor::System, None, &admin).await.unwrap().id;
        Self { market, clock, alice, bob, consumer, admin }
    }

    pub(crate) async fn create(&self, owner: UserId, content: Content, submit: bool) -> ObjectView {
        let create = CreateObject { content, hub: None, submit };
        self.market.execute(Actor::User(owner), None, &create).await.unwrap()
    }

    pub(crate) async fn edit(
        &self,
        actor: UserId,
        id: VirtualObjectId,
        content: Content,
    ) -> Result<ObjectView, Refusal> {
        let edit = EditObject { object: id, content, expect: None };
        self.market.execute(Actor::User(actor), None, &edit).await.map_err(refusal)
    }

    pub(crate) async fn amend(
        &self,
        actor: UserId,
        object: VirtualObjectId,
        patch: serde_json::Value,
    ) -> Result<ObjectView, Refusal> {
        let patch = patch.as_object().unwrap().clone();
        let amend = AmendObject { object, patch, expect: None };
        self.market.execute(Actor::User(actor), None, &amend).await.map_err(refusal)
    }

    pub(crate) async fn go(
        &self,
        actor: UserId,
        id: VirtualObjectId,
        to: ObjectState,
    ) -> Result<ObjectView, Refusal> {
        let to = MoveObject { object: id, to, expect: None, remark: None };
        self.market.execute(Actor::User(actor), None, &to).await.map_err(refusal)
    }

    pub(crate) async fn sees(&self, actor: Actor, id: VirtualObjectId) -> Option<ObjectView> {
        match self.market.object(actor, id).await {
            Ok(view) => Some(view),
            Err(MarketError::Refused(Refusal::NotFound { .. })) => None,
            Err(other) => panic!("{other:?}"),
        }
    }

    pub(crate) async fn list(&self, filter: &ObjectFilter) -> Vec<String> {
        let page = PageRequest::default();
        let found = self.market.objects(Actor::Anonymous, filter, ObjectOrder::Newest, &page).await.unwrap();
        found.items.iter().map(|view| view.content.title.to_string()).collect()
    }
}

pub(crate) fn lamp(title: &str) -> Content {
    let mut content = Content::new(ObjectKind::Actuator, title.parse().unwrap());
    content.protocols = ["coap", "http"].map(|name| name.parse().unwrap()).into();
    content.tags = BTreeSet::from(["led".parse().unwrap()]);
    content.resources = ["coap://129.21.121.1", "http://129.21.121.1"].map(|uri| uri.parse().unwrap()).into();
    content
}

pub(crate) fn service(parts: &[VirtualObjectId]) -> Content {
    let mut content = Content::new(ObjectKind::Service, "Service".parse().unwrap());
    content.parts = parts.iter().copied().collect();
    content
}
