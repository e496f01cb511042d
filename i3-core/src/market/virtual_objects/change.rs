//! What commands on objects have in common: who may, which revision, and what is written.

use std::collections::BTreeMap;

use super::super::{Context, Decided, Refusal};
use super::{MISSING, ObjectView, lost};
use crate::access::{Action, Resource};
use crate::id::VirtualObjectId;
use crate::outbox::Event;
use crate::store::{Entity, Halt};
use crate::virtual_object::{
    Content, Listing, ListingId, ObjectContent, ObjectContentId, ObjectKind, ObjectState, ObjectVersion,
    ObjectVersionId, PublicVersion, VirtualObject,
};

/// An object that is being changed.
pub(super) struct Change {
    /// As it is to be.
    pub(super) object: VirtualObject,
    /// As it was; the object itself if it is new.
    before: VirtualObject,
}

/// The object, if the actor may do one of these things to it, and if it is at the revision that the actor expects.
///
/// Who may not is told what is missing if the object can be seen, and otherwise that there is none.
pub(super) fn managed(
    context: &mut Context<'_, '_>,
    id: VirtualObjectId,
    actions: &[Action],
    expect: Option<u32>,
) -> Decided<Change> {
    let object: VirtualObject = context.tx.need(&id, MISSING)?;
    let resource = resource(context, &object)?;
    let mut denied = None;
    for action in actions {
        match context.authorize(*action, &resource) {
            Err(Halt::Refused(refusal)) => denied = denied.or(Some(refusal)),
            other => {
                other?;
                denied = None;
                break;
            }
        }
    }
    if let Some(refusal) = denied {
        let seen =
            object.public_face().is_some() || context.authorize(Action::ViewVirtualObject, &resource).is_ok();
        return Err(Halt::Refused(if seen { refusal } else { MISSING }));
    }
    if object.state == ObjectState::Removed {
        return Err(wrong_state(&object));
    }
    if expect.is_some_and(|expected| expected != object.revision) {
        return Err(Halt::Refused(Refusal::Outdated { what: "virtual object", revision: object.revision }));
    }
    Ok(Change { before: object.clone(), object })
}

pub(super) fn wrong_state(object: &VirtualObject) -> Halt<Refusal> {
    Halt::Refused(Refusal::WrongState { what: "virtual object", state: object.state.as_str() })
}

/// The object as a policy sees it.
fn resource(context: &mut Context<'_, '_>, object: &VirtualObject) -> Decided<Resource> {
    let hub_role = match object.hub {
        Some(hub) => context.membership(hub)?.map(|membership| membership.role),
        None => None,
    };
    Ok(Resource { owner: Some(object.owner), hub_role })
}

impl Change {
    /// An object that is not there yet, with its first content.
    pub(super) fn create(
        context: &mut Context<'_, '_>,
        object: VirtualObject,
        content: &Content,
    ) -> Decided<Self> {
        let mut change = Self { before: object.clone(), object };
        change.object.level = change.level(context, content, None)?;
        change.store_content(context, content)?;
        context.tx.create(&change.object)?;
        Ok(change)
    }

    /// The newest content.
    pub(super) fn content(&self, context: &mut Context<'_, '_>) -> Decided<Content> {
        super::content_of(context.tx, &self.object).map(|found| found.content)
    }

    /// Gives the object another newest content.
    pub(super) fn rewrite(&mut self, context: &mut Context<'_, '_>, content: &Content) -> Decided<()> {
        let before = self.content(context)?;
        self.object.level = self.level(context, content, Some(&before))?;
        self.object.content = content.hash();
        self.object.version = next(self.object.version)?;
        self.store_content(context, content)
    }

    fn store_content(&self, context: &mut Context<'_, '_>, content: &Content) -> Decided<()> {
        let VirtualObject { id, version, content: hash, .. } = self.object;
        let (at, by) = (context.tx.now(), context.user());
        context.tx.create(&ObjectVersion { object: id, version, content: hash, at, by, published: None })?;
        if context.tx.get::<ObjectContent>(&ObjectContentId { object: id, hash })?.is_none() {
            let content = content.clone();
            context.tx.create(&ObjectContent { object: id, hash, published: false, content })?;
        }
        Ok(())
    }

    /// The level at which an object with this content stands. Parts that are new must be public; what others see of
    /// them is theirs to change.
    fn level(
        &self,
        context: &mut Context<'_, '_>,
        content: &Content,
        before: Option<&Content>,
    ) -> Decided<u8> {
        let refuse = |reason: String| Err(Halt::Refused(Refusal::Invalid { field: "parts", reason }));
        let own = self.object.level;
        let level = match content.kind {
            ObjectKind::Sensor | ObjectKind::Actuator => 0,
            ObjectKind::Service => {
                let keys: Result<Vec<_>, _> = content.parts.iter().map(VirtualObject::key).collect();
                context.tx.want(keys?)?;
                let mut highest = 0;
                for id in &content.parts {
                    let known = before.is_some_and(|before| before.parts.contains(id));
                    let part: Option<VirtualObject> = context.tx.get(id)?;
                    match part.filter(|part| known || part.public_face().is_some()) {
                        Some(part) => highest = highest.max(part.level),
                        None => return refuse(format!("`{id}` is no published object")),
                    }
                }
                highest.saturating_add(1)
            }
        };
        if level > VirtualObject::MAX_LEVEL {
            return refuse(format!("services stand on at most {} levels", VirtualObject::MAX_LEVEL));
        }
        if !self.object.settled {
            return Ok(level);
        }
        // Others may have it as a part by now: it must stay below them.
        if level > own {
            return refuse(format!(
                "only objects below level {own} can become parts of one that was public at that level"
            ));
        }
        Ok(own)
    }

    /// Lets everybody see the newest content.
    pub(super) fn publish(&mut self, context: &mut Context<'_, '_>, content: &Content) -> Decided<()> {
        content.check_complete().map_err(|error| Halt::Refused(error.into()))?;
        let now = context.tx.now();
        let VirtualObject { id, version, content: hash, .. } = self.object;
        let number = ObjectVersionId { object: id, version };
        if let Some(mut written) = context.tx.get::<ObjectVersion>(&number)?
            && written.published.is_none()
        {
            written.published = Some(now);
            context.tx.replace(&written)?;
        }
        let mut stored = super::content_of(context.tx, &self.object)?;
        if !stored.published {
            stored.published = true;
            context.tx.replace(&stored)?;
        }
        self.object.public = Some(PublicVersion {
            version,
            content: hash,
            since: self.object.public.as_ref().map_or(now, |public| public.since),
            changed: now,
            kind: content.kind,
            title: content.title.clone(),
            category: content.category.clone(),
            domain: content.domain.clone(),
        });
        self.object.state = ObjectState::Published;
        self.object.settled = true;
        self.object.remark = None;
        Ok(())
    }

    /// Refuses if something that a service is made of is not public.
    pub(super) fn check_parts(context: &mut Context<'_, '_>, content: &Content) -> Decided<()> {
        let keys: Result<Vec<_>, _> = content.parts.iter().map(VirtualObject::key).collect();
        context.tx.want(keys?)?;
        for id in &content.parts {
            let part: Option<VirtualObject> = context.tx.get(id)?;
            if part.is_none_or(|part| part.public_face().is_none()) {
                let reason = format!("`{id}` is no published object");
                return Err(Halt::Refused(Refusal::Invalid { field: "parts", reason }));
            }
        }
        Ok(())
    }

    /// Stores the object, brings the lists up to date and tells the outbox.
    pub(super) fn finish(mut self, context: &mut Context<'_, '_>, content: Content) -> Decided<ObjectView> {
        if self.object == self.before {
            return Ok(ObjectView { object: self.object, content });
        }
        self.object.updated = context.tx.now();
        self.object.revision = next(self.object.revision)?;
        self.conclude(context, content)
    }

    /// The same for an object that was just created: it is at its first revision.
    pub(super) fn conclude(self, context: &mut Context<'_, '_>, content: Content) -> Decided<ObjectView> {
        let Self { object, before } = self;
        relist(context, &before, &object)?;
        context.tx.replace(&object)?;
        context.emit(Event::VirtualObjectChanged { object: object.id, owner: object.owner });
        Ok(ObjectView { object, content })
    }
}

fn next(number: u32) -> Decided<u32> {
    let refusal = || Halt::Refused(Refusal::invalid("object", "it has been changed too often"));
    number.checked_add(1).ok_or_else(refusal)
}

/// The lines under which an object stands.
fn lines(context: &mut Context<'_, '_>, object: &VirtualObject) -> Decided<BTreeMap<String, Listing>> {
    let Some(face) = object.public_face() else { return Ok(BTreeMap::new()) };
    let Some(public) = &object.public else { return Ok(BTreeMap::new()) };
    let id = ObjectContentId { object: object.id, hash: public.content };
    let Some(stored) = context.tx.get::<ObjectContent>(&id)? else { return Err(Halt::Failed(lost(&id))) };
    let line =
        |heading: String| Listing { object: object.id, heading, listed: face.state, since: public.since };
    let headings = stored.content.headings();
    Ok(headings.iter().map(|heading| (heading.to_string(), line(heading.to_string()))).collect())
}

fn relist(context: &mut Context<'_, '_>, before: &VirtualObject, after: &VirtualObject) -> Decided<()> {
    let old = lines(context, before)?;
    let new = lines(context, after)?;
    let mut keys = Vec::new();
    for (heading, line) in &old {
        if new.get(heading) != Some(line) {
            keys.push(Listing::key(&line.id())?);
        }
    }
    context.tx.want(keys)?;
    for (heading, line) in &old {
        match new.get(heading) {
            None => {
                context.tx.remove::<Listing>(&ListingId { object: after.id, heading: heading.clone() })?;
            }
            Some(changed) if changed != line => context.tx.replace(changed)?,
            Some(_) => {}
        }
    }
    for (heading, line) in &new {
        if !old.contains_key(heading) {
            context.tx.create(line)?;
        }
    }
    Ok(())
}
