//! Meaning: virtual objects and data products described in an ontology, and found by what they are and do.

pub mod inference;
pub mod ontology;
pub mod vocabulary;
pub mod wot;

pub use oxigraph;
