//! Meaning: virtual objects and data products described in an ontology, and found by what they are and do.
