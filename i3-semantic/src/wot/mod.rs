//! The W3C Web of Things: Thing Descriptions, Thing Models and the directory that keeps them.
//!
//! The document that somebody submitted is the record of truth: what it says in terms that nobody here knows is kept
//! as it is, and no description is ever rebuilt from triples. Contexts that a document names are names: nothing is
//! ever fetched.

pub mod blocks;
pub mod directory;
pub mod from_td;
pub mod json;
pub mod object;
pub mod patch;
pub mod rdf;
pub mod registration;
pub mod td;
pub mod tm;
