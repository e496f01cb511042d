//! The ontology that a marketplace stores: the one that ships with the program, and what administrators added to it.

use i3_core::access::Actor;
use i3_core::market::{MarketError, Marketplace};
use i3_core::ontology::{OntologyCheck, OntologyExtension};

use super::{Ontology, OntologyRefused};

/// An ontology that administrators extend. Checks what they want to add, and reads what they added.
#[derive(Debug, Clone)]
pub struct Stored(Ontology);

/// The ontology by which everything is derived, and why it is not the one that was stored last, if it is not.
#[derive(Debug, Clone)]
pub struct InForce {
    /// The ontology. Its number is one more than that of the stored version: what ships with the program is 1.
    pub ontology: Ontology,
    /// What was stored last and is not in force.
    pub refused: Option<NotInForce>,
}

/// A stored version that cannot be gone over to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("version {number} of what was added to the ontology is not in force: {reason}")]
pub struct NotInForce {
    /// Its number.
    pub number: u32,
    /// Why.
    pub reason: OntologyRefused,
}

impl Default for Stored {
    fn default() -> Self {
        Self(Ontology::core())
    }
}

/// The number of an ontology with this version of what was added.
fn number(extension: u32) -> u64 {
    u64::from(extension).saturating_add(1)
}

impl Stored {
    /// What administrators extend is this ontology.
    pub fn over(base: Ontology) -> Self {
        Self(base)
    }

    /// The ontology with this version of what was added.
    pub fn with(&self, extension: &OntologyExtension) -> Result<Ontology, OntologyRefused> {
        let number = number(extension.number);
        match &extension.turtle {
            Some(turtle) => self.0.extended(turtle, number),
            None => Ok(self.0.clone().numbered(number)),
        }
    }

    /// The ontology in force: with the last version of what was added. What cannot be added is not stored by a marketplace
    /// that has this [check](OntologyCheck); if it is there all the same (it was stored without the check, or under an
    /// earlier program's ontology), the last version before it that can be added is in force. So the answer depends on
    /// nothing but the store and the program.
    pub async fn in_force(&self, market: &Marketplace) -> Result<InForce, MarketError> {
        let last = market.ontology_extension(Actor::System).await?;
        let mut refused = None;
        let mut extension = last;
        loop {
            match self.with(&extension) {
                Ok(ontology) => return Ok(InForce { ontology, refused }),
                Err(reason) => {
                    refused.get_or_insert(NotInForce { number: extension.number, reason });
                }
            }
            extension = match extension.number.checked_sub(1) {
                None | Some(0) => OntologyExtension::none(),
                Some(before) => market.ontology_version(Actor::System, before).await?,
            };
        }
    }
}

impl OntologyCheck for Stored {
    fn check(&self, turtle: &str) -> Result<(), String> {
        self.0.extend(turtle).map(drop).map_err(|refused| refused.to_string())
    }
}
