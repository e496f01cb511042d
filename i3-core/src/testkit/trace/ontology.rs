//! What is added to the ontology, in traces.

use super::step::Step;
use super::world::{World, fit};
use crate::access::Actor;
use crate::market::ChangeOntology;
use crate::ontology::OntologyExtension;
use crate::store::StoreError;

impl World {
    /// The text of number 4 is too long.
    pub(super) async fn change_ontology(
        &self,
        step: &Step,
        text: Option<u8>,
        first: bool,
    ) -> Result<String, StoreError> {
        let turtle = text.map(|number| match number {
            4 => "#".repeat(OntologyExtension::MAX_BYTES),
            number => format!("<urn:x:{number}> a <urn:x:\"팬\"> ."),
        });
        let remark = fit("It's a \"fan\".\n팬".parse())?;
        let command = ChangeOntology { turtle, remark, expect: first.then_some(1) };
        Ok(self.run(self.sent(step, Actor::System)?, &command).await?.1)
    }
}
