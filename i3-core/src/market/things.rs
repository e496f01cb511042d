//! Commands about Thing Descriptions.
//!
//! What a valid description is, is for the directory in `i3-semantic` to say, which sends these commands; here is
//! whose it is, what may become of it, and until when.

use serde::{Deserialize, Serialize};

use super::{Command, Context, Decided, MarketError, Marketplace, Refusal};
use crate::access::{Action, Actor, Resource};
use crate::outbox::Event;
use crate::store::{Entity, Halt, Key, Scan, StoreError, StoreExt};
use crate::thing::{Lifetime, Thing, ThingChange, ThingId, Visibility};

/// Registers a Thing Description, or replaces the one of this id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PutThing {
    /// Its id.
    pub thing: ThingId,
    /// Whether the document has no id of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
    /// The document, JSON.
    pub document: String,
    /// Who finds it. If absent, who did before; everybody if it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
    /// Until when it stays.
    #[serde(default)]
    pub lifetime: Lifetime,
    /// At which revision the actor believes it to be; 0 if it shall be new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<u32>,
}

/// What became of a [`PutThing`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThingPut {
    /// Whether it is new.
    pub created: bool,
    /// Its revision now.
    pub revision: u32,
}

impl Command for PutThing {
    type Done = ThingPut;
    const NAME: &'static str = "put_thing";

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        Ok(vec![Thing::key(&self.thing.record())?])
    }

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<ThingPut> {
        check_document(&self.document)?;
        if self.lifetime.ttl.is_some_and(|ttl| ttl > Lifetime::MAX_TTL) {
            return Err(Halt::Refused(Refusal::invalid("ttl", "at most a hundred years are expected")));
        }
        let now = context.tx.now();
        let before: Option<Thing> = context.tx.get(&self.thing.record())?;
        let lifetime = self.lifetime.beginning(now);
        let thing = if let Some(before) = &before {
            context.authorize(Action::EditThing, &Resource::of_user(before.owner))?;
            expected(self.expect, before.revision)?;
            Thing {
                visibility: self.visibility.unwrap_or(before.visibility),
                anonymous: self.anonymous,
                document: self.document.clone(),
                revision: before.revision.saturating_add(1),
                modified: now,
                lifetime,
                ..before.clone()
            }
        } else {
            let Some(owner) = context.user() else {
                let rule = "only users have things".to_owned();
                return Err(Halt::Refused(Refusal::Forbidden { action: Action::CreateThing, rule }));
            };
            context.authorize(Action::CreateThing, &Resource::of_user(owner))?;
            expected(self.expect, 0)?;
            Thing {
                id: self.thing.clone(),
                owner,
                visibility: self.visibility.unwrap_or_default(),
                anonymous: self.anonymous,
                document: self.document.clone(),
                revision: 1,
                created: now,
                modified: now,
                lifetime,
            }
        };
        let done = ThingPut { created: before.is_none(), revision: thing.revision };
        match before {
            Some(_) => context.tx.replace(&thing)?,
            None => context.tx.create(&thing)?,
        }
        tell(context, before.as_ref(), Some(thing));
        Ok(done)
    }
}

fn check_document(document: &str) -> Decided<()> {
    let text = serde_json::to_string(document).unwrap_or_default();
    if text.len() > Thing::MAX_BYTES || document.contains('\0') {
        let reason = format!("at most {} bytes of JSON text are expected", Thing::MAX_BYTES);
        return Err(Halt::Refused(Refusal::invalid("document", reason)));
    }
    Ok(())
}

fn expected(expect: Option<u32>, revision: u32) -> Decided<()> {
    match expect {
        Some(expected) if expected != revision => {
            Err(Halt::Refused(Refusal::Outdated { what: "thing", revision }))
        }
        _ => Ok(()),
    }
}

fn tell(context: &mut Context<'_, '_>, before: Option<&Thing>, after: Option<Thing>) {
    let Some(one) = after.as_ref().or(before) else { return };
    let change = ThingChange {
        thing: one.id.clone(),
        owner: one.owner,
        before: before.map(|before| before.visibility),
        after: after.map(Box::new),
    };
    context.emit(Event::ThingChanged(change));
}

/// The thing, if the actor may know of it.
fn found(context: &mut Context<'_, '_>, thing: &ThingId) -> Decided<Thing> {
    let missing = Refusal::NotFound { what: "thing" };
    let thing: Thing = context.tx.need(&thing.record(), missing.clone())?;
    if thing.visibility == Visibility::Private {
        context.authorize(Action::ViewThing, &Resource::of_user(thing.owner)).map_err(|halt| match halt {
            Halt::Refused(Refusal::Forbidden { .. }) => Halt::Refused(missing),
            other => other,
        })?;
    }
    Ok(thing)
}

/// Removes a Thing Description.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveThing {
    /// Which one.
    pub thing: ThingId,
    /// At which revision the actor believes it to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<u32>,
}

impl Command for RemoveThing {
    type Done = ();
    const NAME: &'static str = "remove_thing";

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        Ok(vec![Thing::key(&self.thing.record())?])
    }

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<()> {
        let thing = found(context, &self.thing)?;
        context.authorize(Action::DeleteThing, &Resource::of_user(thing.owner))?;
        expected(self.expect, thing.revision)?;
        context.tx.remove::<Thing>(&thing.id.record())?;
        tell(context, Some(&thing), None);
        Ok(())
    }
}

/// Removes a Thing Description whose time is over. Refused before that.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PurgeThing {
    /// Which one.
    pub thing: ThingId,
}

impl Command for PurgeThing {
    type Done = ();
    const NAME: &'static str = "purge_thing";

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        Ok(vec![Thing::key(&self.thing.record())?])
    }

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<()> {
        let thing = found(context, &self.thing)?;
        context.authorize(Action::DeleteThing, &Resource::of_user(thing.owner))?;
        if !thing.is_expired(context.tx.now()) {
            return Err(Halt::Refused(Refusal::WrongState { what: "thing", state: "not expired" }));
        }
        context.tx.remove::<Thing>(&thing.id.record())?;
        tell(context, Some(&thing), None);
        Ok(())
    }
}

impl Marketplace {
    /// A registered description. A private one is not there for those who may not see it.
    pub async fn thing(&self, actor: Actor, thing: &ThingId) -> Result<Thing, MarketError> {
        let found = self.store.get::<Thing>(&thing.record()).await?;
        let found = found.ok_or_else(|| super::queries::not_found("thing"))?.entity;
        if found.visibility == Visibility::Private {
            let seen = self.authorize(actor, Action::ViewThing, &Resource::of_user(found.owner)).await;
            seen.map_err(|error| super::queries::hidden(error, "thing"))?;
        }
        Ok(found)
    }

    /// Whether the actor sees private descriptions of everybody.
    pub async fn sees_all_things(&self, actor: Actor) -> Result<bool, MarketError> {
        match self.authorize(actor, Action::ViewThing, &Resource::MARKETPLACE).await {
            Ok(()) => Ok(true),
            Err(MarketError::Refused(refusal)) if refusal.is_denial() => Ok(false),
            Err(MarketError::Refused(Refusal::NotFound { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the descriptions whose time is over, and returns how many those were. Call it now and then.
    pub async fn purge_things(&self, actor: Actor) -> Result<usize, MarketError> {
        let mut purged = 0;
        let soon = self.now().micros().saturating_add(1);
        let scan = Scan::index(Thing::collection(), "by_end", Vec::new());
        let scan = super::queries::declared(scan.and_then(|scan| scan.range(None, Some(soon.into()))))?;
        for thing in self.store.all::<Thing>(scan).await? {
            match self.execute(actor, None, &PurgeThing { thing: thing.id }).await {
                Ok(()) => purged += 1,
                // Somebody removed or renewed it meanwhile.
                Err(MarketError::Refused(Refusal::NotFound { .. } | Refusal::WrongState { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(purged)
    }
}
