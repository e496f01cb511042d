//! What administrators add to the ontology.

use i3_core::name::Prose;
use i3_core::ontology::OntologyExtension;
use serde::{Deserialize, Serialize};

use crate::{Change, Client, Pages, Query};

/// What is added from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OntologyStatements {
    /// All of it, as Turtle.
    pub turtle: String,
    /// Why.
    pub remark: Prose,
}

/// What is added, and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OntologyAddition {
    /// What is added, with its author and time.
    #[serde(flatten)]
    pub extension: OntologyExtension,
    /// Why it is not in force, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_in_force: Option<String>,
}

impl Client {
    /// What administrators added to the ontology.
    pub fn show_ontology_extension(&self) -> Query<OntologyAddition> {
        self.get("/ontology/extension")
    }

    /// Says anew all that is added to the ontology. The answer comes when discovery goes by it.
    pub fn extend_ontology(&self, statements: &OntologyStatements) -> Change<OntologyAddition> {
        self.put("/ontology/extension", statements)
    }

    /// Withdraws what was added to the ontology; its versions stay.
    pub fn withdraw_ontology_extension(&self) -> Change<()> {
        self.delete("/ontology/extension")
    }

    /// What was added to the ontology when, the last first.
    pub fn list_ontology_versions(&self) -> Pages<OntologyExtension> {
        self.list("/ontology/versions")
    }

    /// What was added to the ontology in one version.
    pub fn show_ontology_version(&self, version: u32) -> Query<OntologyExtension> {
        self.get(format!("/ontology/versions/{version}"))
    }
}
