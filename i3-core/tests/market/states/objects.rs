//! Virtual objects under each way to publish, and uploads of their files.

use i3_core::access::Actor;
use i3_core::id::{UploadId, VirtualObjectId};
use i3_core::market::{
    AmendObject, AttachFile, CreateObject, DetachFile, EditObject, LinkProduct, Marketplace, MoveObject,
    Publishing, PurgeFile, Settings, WholeFile,
};
use i3_core::store::{Digest, StoreExt as _};
use i3_core::virtual_object::{
    Content, File, FileUpload, MediaType, ObjectKind, ObjectState, UploadState, VirtualObject,
};

use super::{Page, Scene, World};

pub(super) async fn tables(page: &mut Page) {
    objects::<DIRECT>(page).await;
    objects::<OWNER>(page).await;
    objects::<REVIEWER>(page).await;
    uploads(page).await;
}

/// By its owner, without a review.
const DIRECT: u8 = 0;
/// By its owner, where somebody else publishes.
const OWNER: u8 = 1;
/// By who publishes.
const REVIEWER: u8 = 2;

/// An object with one file attached, one that only an earlier version has, and one sent and not attached.
struct Object<const BY: u8> {
    world: World,
    id: VirtualObjectId,
    sent: WholeFile,
}

fn review() -> Settings {
    Settings::default().with_publishing(Publishing::Review)
}

fn content(title: &str) -> Content {
    let mut content = Content::new(ObjectKind::Sensor, title.parse().unwrap());
    content.model = Some("T-1".parse().unwrap());
    content
}

fn go(object: VirtualObjectId, to: ObjectState) -> MoveObject {
    MoveObject { object, to, expect: None, remark: None }
}

async fn send(market: &Marketplace, actor: Actor, object: VirtualObjectId, text: &str) -> WholeFile {
    let mut writer = market.write_file(actor, object, MediaType::Plain, None).await.unwrap();
    writer.write(text.as_bytes()).await.unwrap();
    writer.finish().await.unwrap()
}

fn file(name: &str, sent: &WholeFile) -> File {
    let (name, media_type) = (name.parse().unwrap(), MediaType::Plain);
    File { name, media_type, bytes: sent.bytes, sha256: sent.sha256 }
}

fn attach(object: VirtualObjectId, name: &str, sent: &WholeFile) -> AttachFile {
    AttachFile { object, file: file(name, sent), expect: None, upload: Some(sent.upload) }
}

fn detach(object: VirtualObjectId, name: &str) -> DetachFile {
    DetachFile { object, name: name.parse().unwrap(), expect: None }
}

const BESIDE: &str = "draft beside a public version";

impl<const BY: u8> Scene for Object<BY> {
    const WHAT: &'static str = match BY {
        DIRECT => "A virtual object, by its owner",
        OWNER => "A virtual object where there is a review, by its owner",
        _ => "A virtual object where there is a review, by who publishes",
    };
    const STATES: &'static [&'static str] =
        &["draft", BESIDE, "submitted", "published", "deprecated", "removed"];
    const NOTES: &'static str = match BY {
        DIRECT => {
            "\
What others see is the public version: a draft beside one changes nothing for them. Which product delivers its data is no part of \
a version, and no review's business (it takes who manages the product): a link holds at once. `submitted` is what objects are in that were submitted when there was a review. A deprecated object keeps \
what it says: it is published again before it is edited. What is removed stays removed."
        }
        OWNER => "An edit takes what awaits review back, and makes a draft beside what is published.",
        _ => "A remark is for who sends something back from a review.",
    };

    async fn brought_to(state: &'static str) -> Self {
        let mut world = World::with(review()).await;
        let create = CreateObject { content: content("Thermometer"), hub: None, submit: false };
        let id = world.run(world.seller, &create).await.object.id;
        let (all, owner) = (&world.f.market, world.seller);
        for (name, text) in [("guide.txt", "guide"), ("old.txt", "old")] {
            let sent = send(all, owner, id, text).await;
            world.run(owner, &attach(id, name, &sent)).await;
        }
        world.run(owner, &detach(id, "old.txt")).await;
        let sent = send(all, owner, id, "next").await;
        match state {
            "submitted" => {
                world.asked.execute(owner, None, &go(id, ObjectState::Submitted)).await.unwrap();
            }
            BESIDE => {
                world.run(owner, &go(id, ObjectState::Published)).await;
                let patch = serde_json::json!({"title": "Hygrometer"}).as_object().unwrap().clone();
                let amend = AmendObject { object: id, patch, expect: None };
                world.asked.execute(owner, None, &amend).await.unwrap();
            }
            "published" => drop(world.run(owner, &go(id, ObjectState::Published)).await),
            "deprecated" => {
                world.run(owner, &go(id, ObjectState::Published)).await;
                world.run(owner, &go(id, ObjectState::Deprecated)).await;
            }
            "removed" => drop(world.run(owner, &go(id, ObjectState::Removed)).await),
            _ => {}
        }
        if BY == DIRECT {
            world.asked = world.asked.with_settings(Settings::default());
        }
        Self { world, id, sent }
    }

    fn world(&self) -> &World {
        &self.world
    }

    async fn state(&self) -> &'static str {
        let object = self.world.f.store.get::<VirtualObject>(&self.id).await.unwrap().unwrap().entity;
        match object.state {
            ObjectState::Draft if object.public.is_some() => BESIDE,
            state => state.as_str(),
        }
    }
}

impl<const BY: u8> Object<BY> {
    fn who(&self) -> Actor {
        if BY == REVIEWER { self.world.admin } else { self.world.seller }
    }
}

/// What the object says, under this title.
fn with_its_file(title: &str) -> Content {
    let mut content = content(title);
    content.files.push(File {
        name: "guide.txt".parse().unwrap(),
        media_type: MediaType::Plain,
        bytes: 5,
        sha256: Digest::of(b"guide"),
    });
    content
}

async fn objects<const BY: u8>(page: &mut Page) {
    page.table::<Object<BY>>();
    let edit = |s: &Object<BY>| {
        (s.who(), EditObject { object: s.id, content: with_its_file("Barometer"), expect: None })
    };
    page.row("", edit).await;
    page.row("with nothing new", |s: &Object<BY>| {
        let (object, patch) = (s.id, serde_json::Map::new());
        (s.who(), AmendObject { object, patch, expect: None })
    })
    .await;
    page.row("", |s: &Object<BY>| {
        let patch = serde_json::json!({"model": null}).as_object().unwrap().clone();
        (s.who(), AmendObject { object: s.id, patch, expect: None })
    })
    .await;
    for to in [
        ObjectState::Draft,
        ObjectState::Submitted,
        ObjectState::Published,
        ObjectState::Deprecated,
        ObjectState::Removed,
    ] {
        page.row(&format!("to {}", to.as_str()), |s: &Object<BY>| (s.who(), go(s.id, to))).await;
    }
    page.row("to draft with a remark", |s: &Object<BY>| {
        (s.who(), MoveObject { remark: Some("No".parse().unwrap()), ..go(s.id, ObjectState::Draft) })
    })
    .await;
    page.row("", |s: &Object<BY>| {
        (s.who(), LinkProduct { object: s.id, product: Some(s.world.f.product.id), expect: None })
    })
    .await;
    page.row("", |s: &Object<BY>| (s.who(), attach(s.id, "next.txt", &s.sent))).await;
    page.row("", |s: &Object<BY>| (s.who(), detach(s.id, "guide.txt"))).await;
    page.row("of one attached", |s: &Object<BY>| {
        (s.who(), PurgeFile { object: s.id, sha256: Digest::of(b"guide"), expect: None })
    })
    .await;
    page.row("of an earlier version's", |s: &Object<BY>| {
        (s.who(), PurgeFile { object: s.id, sha256: Digest::of(b"old"), expect: None })
    })
    .await;
    if BY == DIRECT {
        page.row("a service with it as a part", |s: &Object<BY>| {
            let mut whole = Content::new(ObjectKind::Service, "Both".parse().unwrap());
            whole.parts.insert(s.id);
            (s.world.seller, CreateObject { content: whole, hub: None, submit: false })
        })
        .await;
    }
}

/// Bytes on their way to be a file.
struct Upload {
    world: World,
    object: VirtualObjectId,
    /// Whose bytes they are.
    of: VirtualObjectId,
    sent: WholeFile,
    state: &'static str,
}

impl Scene for Upload {
    const WHAT: &'static str = "An upload";
    const STATES: &'static [&'static str] = &["coming", "whole", "attached", "waste", "another object's"];
    const NOTES: &'static str = "\
The same bytes sent a second time are waste once they are attached: the object keeps one copy. What is not attached, or \
not to this object, is not told from what never was.";

    async fn brought_to(state: &'static str) -> Self {
        let world = World::new().await;
        let create = CreateObject { content: content("Thermometer"), hub: None, submit: false };
        let object = world.run(world.seller, &create).await.object.id;
        let mut of = object;
        if state == "another object's" {
            of = world.run(world.seller, &create).await.object.id;
        }
        let market = &world.f.market;
        let mut sent = send(market, world.seller, of, "bytes").await;
        if state == "coming" {
            let mut writer = market.write_file(world.seller, of, MediaType::Plain, None).await.unwrap();
            // Enough for a part to be written down.
            writer.write(&vec![b'x'; 1 << 20]).await.unwrap();
            drop(writer);
            let uploads = world.f.store.all::<FileUpload>(i3_core::store::Scan::ids(
                <FileUpload as i3_core::store::Entity>::collection(),
            ));
            let coming = uploads.await.unwrap().into_iter().find(|one| one.state == UploadState::Coming);
            sent.upload = coming.unwrap().id;
        }
        if state == "attached" || state == "waste" {
            world.run(world.seller, &attach(of, "first.txt", &sent)).await;
        }
        if state == "waste" {
            sent = send(market, world.seller, of, "bytes").await;
            world.run(world.seller, &attach(of, "second.txt", &sent)).await;
        }
        Self { world, object, of, sent, state }
    }

    fn world(&self) -> &World {
        &self.world
    }

    async fn state(&self) -> &'static str {
        let upload: UploadId = self.sent.upload;
        let held = self.world.f.store.get::<FileUpload>(&upload).await.unwrap().map(|found| found.entity);
        match held.map(|held| held.state) {
            None => "attached",
            Some(UploadState::Coming) => "coming",
            Some(UploadState::Waste) => "waste",
            Some(UploadState::Whole { .. }) if self.of != self.object => "another object's",
            Some(UploadState::Whole { .. }) => "whole",
            #[expect(unreachable_patterns, reason = "there may be more one day")]
            Some(_) => panic!("{}", self.state),
        }
    }
}

async fn uploads(page: &mut Page) {
    page.table::<Upload>();
    page.row("", |s: &Upload| (s.world.seller, attach(s.object, "new.txt", &s.sent))).await;
}
