//! The command that changes what was added to the ontology, and queries about it.
//!
//! There is one text, which is replaced as a whole; every version stays. Two changes at once are decided one after the
//! other: who names the version that the change is meant for is told that it is another one by now.

use serde::{Deserialize, Serialize};

use super::{
    Command, Condition, Context, Decided, MarketError, Marketplace, PageRequest, Paged, RecordTag, Refusal,
};
use crate::access::{Action, Actor, Resource};
use crate::name::Prose;
use crate::ontology::{ExtensionNumber, OntologyExtension, OntologyHead, TheHead};
use crate::outbox::Event;
use crate::store::{Entity, Halt, Key, Scan, StoreError, StoreErrorKind, StoreExt, Tx};

/// Says anew what is added to the ontology, or withdraws it. From its answer on, discovery of this process answers by
/// the ontology as it is then.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChangeOntology {
    /// All statements that are added, as Turtle; without them, what there is is withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turtle: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Prose::is_empty")]
    pub remark: Prose,
    /// The version that the change is meant for, 0 if there shall be none yet; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<u32>,
}

impl Command for ChangeOntology {
    type Done = OntologyExtension;
    const NAME: &'static str = "change_ontology";

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        Ok(vec![OntologyHead::key(&TheHead)?])
    }

    fn decide(&self, context: &mut Context<'_, '_>) -> Decided<OntologyExtension> {
        context.authorize(Action::ManageOntology, &Resource::MARKETPLACE)?;
        let before = last(context.tx)?;
        if self.expect.is_some_and(|expected| expected != before.number) {
            return Err(Halt::Refused(Refusal::Outdated { what: "ontology", revision: before.number }));
        }
        match &self.turtle {
            Some(turtle) => check(context, turtle)?,
            None if before.turtle.is_none() => {
                return Err(Halt::Refused(Refusal::NotFound { what: "extension of the ontology" }));
            }
            None => {}
        }
        let extension = OntologyExtension {
            number: before.number.saturating_add(1),
            turtle: self.turtle.clone(),
            remark: self.remark.clone(),
            by: Some(context.actor()),
            at: Some(context.tx.now()),
        };
        let head = OntologyHead { number: extension.number };
        if before.number == 0 {
            context.tx.create(&head)?;
        } else {
            context.tx.replace(&head)?;
        }
        context.tx.create(&extension)?;
        context.emit(Event::OntologyChanged { number: extension.number });
        Ok(extension)
    }
}

fn check(context: &Context<'_, '_>, turtle: &str) -> Decided<()> {
    let refused = |reason: String| Halt::Refused(Refusal::Invalid { field: "turtle", reason });
    let length = serde_json::to_string(turtle).map_or(usize::MAX, |text| text.len());
    if length > OntologyExtension::MAX_BYTES || turtle.contains('\0') {
        return Err(refused(format!("at most {} bytes of text are expected", OntologyExtension::MAX_BYTES)));
    }
    context.check_ontology(turtle).map_err(refused)
}

/// The last version.
fn last(tx: &mut Tx<'_, Refusal>) -> Decided<OntologyExtension> {
    let Some(head) = tx.get::<OntologyHead>(&TheHead)? else { return Ok(OntologyExtension::none()) };
    let found = tx.get::<OntologyExtension>(&ExtensionNumber(head.number))?;
    found.ok_or_else(|| Halt::Failed(missing()))
}

fn missing() -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, "the last version of the ontology is missing")
}

/// That what was added to the ontology is still as it was seen, as [`Unchanged`](super::Unchanged) is of other records.
#[derive(Debug)]
pub struct UnchangedOntology {
    /// What it was when it was seen; `None`: it is enough that there is something.
    pub seen: Option<Vec<RecordTag>>,
}

impl Condition for UnchangedOntology {
    fn holds(&self, tx: &mut Tx<'_, Refusal>) -> Decided<bool> {
        let last = last(tx)?;
        match &self.seen {
            None => Ok(last.turtle.is_some()),
            Some(seen) => Ok(seen.contains(&RecordTag::of(&last)?)),
        }
    }
}

impl Marketplace {
    /// What is added to the ontology: the last version.
    pub async fn ontology_extension(&self, actor: Actor) -> Result<OntologyExtension, MarketError> {
        self.authorize(actor, Action::ManageOntology, &Resource::MARKETPLACE).await?;
        let Some(head) = self.store.get::<OntologyHead>(&TheHead).await? else {
            return Ok(OntologyExtension::none());
        };
        let found = self.store.get::<OntologyExtension>(&ExtensionNumber(head.entity.number)).await?;
        Ok(found.ok_or_else(missing)?.entity)
    }

    /// What was added to the ontology in one version.
    pub async fn ontology_version(
        &self,
        actor: Actor,
        number: u32,
    ) -> Result<OntologyExtension, MarketError> {
        self.authorize(actor, Action::ManageOntology, &Resource::MARKETPLACE).await?;
        self.entity(&ExtensionNumber(number), "version of the ontology").await
    }

    /// All versions of what was added to the ontology, the last first.
    pub async fn ontology_versions(
        &self,
        actor: Actor,
        page: &PageRequest,
    ) -> Result<Paged<OntologyExtension>, MarketError> {
        self.authorize(actor, Action::ManageOntology, &Resource::MARKETPLACE).await?;
        self.page(Scan::ids(OntologyExtension::collection()).backward(), page).await
    }
}
