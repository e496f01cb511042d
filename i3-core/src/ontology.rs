//! What administrators added to the ontology of the marketplace, version by version.
//!
//! Here it is text with an author and a time. What the text says is not this crate's business: an [`OntologyCheck`] says
//! whether it is lawful before it is stored, and `i3-semantic` reads it, and says so again before it goes over to it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::access::Actor;
use crate::name::Prose;
use crate::store::{Collection, Entity, Kind, Value};
use crate::time::Timestamp;

/// Says whether a text can be added to the ontology.
///
/// The answer may be asked for several times while one command is decided, and is not asked for in a replay.
pub trait OntologyCheck: fmt::Debug + Send + Sync + 'static {
    /// Nothing, or what is wrong, for people.
    fn check(&self, turtle: &str) -> Result<(), String>;
}

/// One version of what was added to the ontology: all of it, not a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct OntologyExtension {
    /// 1 for the first. Of the state before anybody added anything it is 0, and then there is nothing else here.
    pub number: u32,
    /// The statements, as Turtle. Nothing if what there was is withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turtle: Option<String>,
    /// Why, in the words of who did it.
    #[serde(default, skip_serializing_if = "Prose::is_empty")]
    pub remark: Prose,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl OntologyExtension {
    /// The longest text, in bytes of the JSON string that holds it: what fits into an entry of the audit log.
    pub const MAX_BYTES: usize = 40 * 1024;

    /// What holds before anybody adds anything.
    pub fn none() -> Self {
        Self { number: 0, turtle: None, remark: Prose::default(), by: None, at: None }
    }
}

/// The number of a version, in ten digits: the order of texts is the order of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtensionNumber(pub u32);

impl fmt::Display for ExtensionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}", self.0)
    }
}

static EXTENSIONS: Collection = Collection {
    name: "ontology_extensions",
    kind: Kind::Records,
    about: "what administrators added to the ontology, version by version",
    columns: &[],
    indexes: &[],
};

impl Entity for OntologyExtension {
    type Id = ExtensionNumber;

    fn collection() -> &'static Collection {
        &EXTENSIONS
    }

    fn id(&self) -> ExtensionNumber {
        ExtensionNumber(self.number)
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}

/// Which version is the last: one record, which every change of the ontology reads and guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OntologyHead {
    /// Its number.
    pub number: u32,
}

/// The head's id.
#[derive(Debug, Clone, Copy)]
pub struct TheHead;

impl fmt::Display for TheHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("head")
    }
}

static HEAD: Collection = Collection {
    name: "ontology_head",
    kind: Kind::Records,
    about: "which version of what was added to the ontology is the last",
    columns: &[],
    indexes: &[],
};

impl Entity for OntologyHead {
    type Id = TheHead;

    fn collection() -> &'static Collection {
        &HEAD
    }

    fn id(&self) -> TheHead {
        TheHead
    }

    fn values(&self) -> Vec<Option<Value>> {
        Vec::new()
    }
}
