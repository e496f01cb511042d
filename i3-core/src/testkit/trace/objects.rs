//! Virtual objects in traces.

use proptest::prelude::*;
use serde_json::{Map, Value as Json};

use super::known::{Sending, absent, note, pick};
use super::step::{Choice, Step};
use super::world::{World, fit, refused};
use crate::access::Actor;
use crate::id::{ProductId, UserId, VirtualObjectId};
use crate::market::{
    AmendObject, AttachFile, CreateObject, DetachFile, EditObject, LinkProduct, MarketError, MoveObject,
    ObjectFilter, ObjectOrder, PurgeFile,
};
use crate::store::{Digest, StoreError};
use crate::virtual_object::{Content, File, FileName, MediaType, ObjectKind, ObjectState};

/// A command on virtual objects.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the commands, by choice")]
pub enum ObjectAct {
    /// With a content of this shape; some make no sense.
    Create { owner: Choice, shape: u8, part: Option<Choice>, submit: bool },
    /// At the first revision, if that is expected.
    Edit { object: Choice, shape: u8, first: bool },
    /// With another title and without tags, or with something that no content has.
    Amend { object: Choice, sense: bool },
    /// To another state.
    Move { object: Choice, to: ObjectState },
    /// With a product, or with none.
    Link { object: Choice, product: Option<Choice> },
    /// The bytes of one of a few files, of which some are equal and some not what they say.
    Send { object: Choice, file: u8 },
    /// The file whose bytes were sent last.
    Attach,
    /// Reads the file that was sent last, whether it is attached or not.
    Read,
    /// What is left of the bytes that were sent last.
    Clear,
    /// One of the same files.
    Detach { object: Choice, file: u8 },
    /// The bytes of one of the same files.
    Purge { object: Choice, file: u8 },
}

/// A file of a trace: one of two names, one of three contents, in one of two types.
fn file(number: u8) -> Result<(FileName, MediaType, Vec<u8>), StoreError> {
    let name = fit(if number & 1 > 0 { "guide.txt" } else { "\u{8aac}\u{660e}.txt" }.parse())?;
    let media_type = if number & 2 > 0 { MediaType::Plain } else { MediaType::OctetStream };
    let bytes = match number / 4 % 3 {
        0 => "Gr\u{fc}n".as_bytes().to_vec(),
        1 => vec![0xff, 0, number],
        _ => vec![b'a'; 1_000],
    };
    Ok((name, media_type, bytes))
}

/// A list of virtual objects, by choice.
pub(super) fn listed(filter: u8, owner: UserId) -> Result<(ObjectFilter, ObjectOrder), StoreError> {
    let all = ObjectFilter::default();
    let filtered = match filter % 9 {
        0 => ObjectFilter { tag: Some(fit("led".parse())?), ..all },
        1 => ObjectFilter { protocol: Some(fit("coap".parse())?), kind: Some(ObjectKind::Actuator), ..all },
        2 => {
            ObjectFilter { platform: Some(fit("大".parse())?), state: Some(ObjectState::Deprecated), ..all }
        }
        3 => ObjectFilter { category: Some(fit("Lighting".parse())?), ..all },
        4 => ObjectFilter { domain: Some(fit("smart-home".parse())?), ..all },
        5 => ObjectFilter { kind: Some(ObjectKind::Service), ..all },
        6 => ObjectFilter { state: Some(ObjectState::Submitted), ..all },
        7 => ObjectFilter { owner: Some(owner), ..all },
        _ => all,
    };
    let order = match filter % 4 {
        0 => ObjectOrder::Newest,
        1 => ObjectOrder::Oldest,
        2 => ObjectOrder::Changed,
        _ => ObjectOrder::Title,
    };
    Ok((filtered, order))
}

/// A content of some shape.
fn content(shape: u8, part: Option<VirtualObjectId>) -> Result<Content, StoreError> {
    let kind = match (part, shape % 2) {
        (Some(_), _) => ObjectKind::Service,
        (None, 0) => ObjectKind::Sensor,
        (None, _) => ObjectKind::Actuator,
    };
    let mut content = Content::new(kind, fit(format!("Lamp {shape}, 灯").parse())?);
    content.parts.extend(part);
    if shape & 2 > 0 {
        content.tags.insert(fit("led".parse())?);
        content.protocols.insert(fit("coap".parse())?);
        content.resources.push(fit("coap://192.0.2.1/led".parse())?);
    }
    if shape & 4 > 0 {
        content.platforms.insert(fit("大".parse())?);
        content.category = Some(fit("Lighting".parse())?);
        content.domain = Some(fit("smart-home".parse())?);
    }
    // An address in no protocol of the object's.
    if shape & 8 > 0 {
        content.resources.push(fit("mqtt://192.0.2.1/led".parse())?);
    }
    Ok(content)
}

impl World {
    pub(super) fn object(&self, choice: Choice) -> (VirtualObjectId, UserId) {
        pick(&self.known.objects, choice, (absent(), absent()))
    }

    pub(super) async fn objects(&mut self, step: &Step, act: &ObjectAct) -> Result<String, StoreError> {
        match act {
            ObjectAct::Create { owner, shape, part, submit } => {
                let owner = self.user(*owner);
                let part = part.map(|part| self.object(part).0);
                let command = CreateObject { content: content(*shape, part)?, hub: None, submit: *submit };
                let (done, words) = self.run(self.sent(step, Actor::User(owner))?, &command).await?;
                note(&mut self.known.objects, done.map(|view| (view.object.id, view.object.owner)));
                Ok(words)
            }
            ObjectAct::Edit { object, shape, first } => {
                let (object, owner) = self.object(*object);
                let expect = first.then_some(1);
                let command = EditObject { object, content: content(*shape, None)?, expect };
                Ok(self.run(self.sent(step, Actor::User(owner))?, &command).await?.1)
            }
            ObjectAct::Amend { object, sense } => {
                let (object, owner) = self.object(*object);
                let name = if *sense { "title" } else { "wings" };
                let mut patch = Map::from_iter([(name.to_owned(), Json::from("Amended"))]);
                patch.insert("tags".to_owned(), Json::Null);
                let command = AmendObject { object, patch, expect: None };
                Ok(self.run(self.sent(step, Actor::User(owner))?, &command).await?.1)
            }
            ObjectAct::Move { object, to } => {
                let (object, owner) = self.object(*object);
                let command = MoveObject { object, to: *to, expect: None, remark: None };
                // Who reviews is the marketplace.
                let fitting = if *to == ObjectState::Published { Actor::System } else { Actor::User(owner) };
                Ok(self.run(self.sent(step, fitting)?, &command).await?.1)
            }
            ObjectAct::Link { object, product } => {
                let (object, owner) = self.object(*object);
                let product: Option<ProductId> =
                    product.map(|product| pick(&self.known.products, product, (absent(), absent())).0);
                let command = LinkProduct { object, product, expect: None };
                Ok(self.run(self.sent(step, Actor::User(owner))?, &command).await?.1)
            }
            ObjectAct::Send { object, file } => self.send(step, *object, *file).await,
            ObjectAct::Attach => self.attach(step).await,
            ObjectAct::Read => self.read().await,
            ObjectAct::Clear => {
                let Some(sent) = &self.known.sent else { return Ok("nothing was sent".to_owned()) };
                match self.market()?.discard_upload(sent.upload).await {
                    Ok(()) => Ok("there is nothing left of it".to_owned()),
                    Err(error) => refused(error),
                }
            }
            ObjectAct::Detach { object, file: which } => {
                let (object, owner) = self.object(*object);
                let command = DetachFile { object, name: file(*which)?.0, expect: None };
                Ok(self.run(self.sent(step, Actor::User(owner))?, &command).await?.1)
            }
            ObjectAct::Purge { object, file: which } => {
                let (object, owner) = self.object(*object);
                let command = PurgeFile { object, sha256: Digest::of(&file(*which)?.2), expect: None };
                Ok(self.run(self.sent(step, Actor::User(owner))?, &command).await?.1)
            }
        }
    }
}

impl World {
    async fn send(&mut self, step: &Step, object: Choice, which: u8) -> Result<String, StoreError> {
        let (object, owner) = self.object(object);
        let (name, media_type, bytes) = file(which)?;
        let actor = self.actor(step.who, Actor::User(owner));
        let mut writer = match self.market()?.write_file(actor, object, media_type, None).await {
            Ok(writer) => writer,
            Err(error) => return refused(error),
        };
        let upload = writer.upload();
        let sent = async {
            writer.write(&bytes).await?;
            writer.finish().await
        };
        match sent.await {
            // An attempt whose answer was lost had the same ids: the bytes are there.
            Ok(_) | Err(MarketError::Conflict) => {}
            Err(error) => return refused(error),
        }
        let length = fit(u64::try_from(bytes.len()))?;
        let file = File { name, media_type, bytes: length, sha256: Digest::of(&bytes) };
        self.known.sent = Some(Sending { object, owner, file, upload });
        Ok("the bytes are there".to_owned())
    }

    async fn attach(&mut self, step: &Step) -> Result<String, StoreError> {
        let Some(Sending { object, owner, file, upload }) = self.known.sent.clone() else {
            return Ok("nothing was sent".to_owned());
        };
        let command = AttachFile { object, file, expect: None, upload: Some(upload) };
        Ok(self.run(self.sent(step, Actor::User(owner))?, &command).await?.1)
    }

    async fn read(&self) -> Result<String, StoreError> {
        let Some(Sending { object, owner, file, .. }) = &self.known.sent else {
            return Ok("nothing was sent".to_owned());
        };
        match self.market()?.read_file(Actor::User(*owner), *object, None, &file.name).await {
            Ok(mut reader) => Ok(format!("{:?}", reader.next().await?)),
            Err(error) => refused(error),
        }
    }
}

/// Any command on objects.
pub(super) fn acts(choice: impl Strategy<Value = Choice> + Clone) -> impl Strategy<Value = ObjectAct> {
    let to = prop_oneof![
        3 => Just(ObjectState::Submitted),
        3 => Just(ObjectState::Published),
        1 => Just(ObjectState::Draft),
        1 => Just(ObjectState::Deprecated),
        1 => Just(ObjectState::Removed),
    ];
    let some = prop::option::weighted(0.3, choice.clone());
    prop_oneof![
        3 => (choice.clone(), 0_u8..16, some.clone(), any::<bool>())
            .prop_map(|(owner, shape, part, submit)| ObjectAct::Create { owner, shape, part, submit }),
        2 => (choice.clone(), 0_u8..16, prop::bool::weighted(0.2))
            .prop_map(|(object, shape, first)| ObjectAct::Edit { object, shape, first }),
        1 => (choice.clone(), any::<bool>()).prop_map(|(object, sense)| ObjectAct::Amend { object, sense }),
        3 => (choice.clone(), to).prop_map(|(object, to)| ObjectAct::Move { object, to }),
        1 => (choice.clone(), some).prop_map(|(object, product)| ObjectAct::Link { object, product }),
        9 => files(choice),
    ]
}

fn files(choice: impl Strategy<Value = Choice> + Clone) -> impl Strategy<Value = ObjectAct> {
    prop_oneof![
        2 => (choice.clone(), 0_u8..12).prop_map(|(object, file)| ObjectAct::Send { object, file }),
        3 => Just(ObjectAct::Attach),
        2 => Just(ObjectAct::Read),
        1 => Just(ObjectAct::Clear),
        1 => (choice.clone(), 0_u8..12).prop_map(|(object, file)| ObjectAct::Detach { object, file }),
        1 => (choice, 0_u8..12).prop_map(|(object, file)| ObjectAct::Purge { object, file }),
    ]
}

/// What shows all of it, for the tour: by an owner who sells the first product, with a review.
pub(super) fn tour() -> Vec<ObjectAct> {
    let create = |shape, part, submit| ObjectAct::Create { owner: 0, shape, part, submit };
    let to = |object, to| ObjectAct::Move { object, to };
    vec![
        create(7, None, true),
        create(8, None, true),
        to(0, ObjectState::Published),
        create(6, Some(0), false),
        ObjectAct::Amend { object: 0, sense: true },
        ObjectAct::Amend { object: 0, sense: false },
        to(0, ObjectState::Submitted),
        to(0, ObjectState::Draft),
        ObjectAct::Edit { object: 0, shape: 6, first: true },
        ObjectAct::Edit { object: 0, shape: 6, first: false },
        to(0, ObjectState::Published),
        ObjectAct::Link { object: 0, product: Some(0) },
        to(1, ObjectState::Submitted),
        to(1, ObjectState::Published),
        ObjectAct::Send { object: 0, file: 3 },
        ObjectAct::Attach,
        ObjectAct::Read,
        // The same bytes: what was sent is waste then.
        ObjectAct::Send { object: 1, file: 2 },
        ObjectAct::Attach,
        ObjectAct::Clear,
        ObjectAct::Send { object: 0, file: 8 },
        ObjectAct::Attach,
        // It is no text.
        ObjectAct::Send { object: 0, file: 6 },
        ObjectAct::Purge { object: 0, file: 3 },
        ObjectAct::Detach { object: 0, file: 3 },
        to(0, ObjectState::Published),
        ObjectAct::Purge { object: 0, file: 3 },
        to(0, ObjectState::Deprecated),
        ObjectAct::Edit { object: 0, shape: 7, first: false },
        to(1, ObjectState::Removed),
        ObjectAct::Link { object: 0, product: None },
    ]
}
