//! Meaning: virtual objects and data products described in an ontology, and found by what they are and do.

pub mod catalogue;
pub mod description;
pub mod discovery;
pub mod facets;
pub mod graph;
mod hashing;
pub mod inference;
pub mod ontology;
pub mod projection;
pub mod remote;
pub mod sparql;
pub mod text;
pub mod vocabulary;
pub mod wot;

pub use oxigraph;
