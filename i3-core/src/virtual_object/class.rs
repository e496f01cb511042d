//! Classes of the ontology that an object says it belongs to.

use std::str::FromStr;

use fluent_uri::Iri;

/// The name of a class: an absolute IRI (RFC 3987) of at most 300 bytes, `https://brickschema.org/schema/Brick#Fan`.
///
/// Whether the ontology has such a class is not asked: one that it does not have yet says nothing until it has it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassIri(String);

/// A text that is no [`ClassIri`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a class: an absolute IRI of at most {} bytes is expected", ClassIri::MAX)]
pub struct InvalidClassIri;

impl ClassIri {
    /// The longest one, in bytes.
    pub const MAX: usize = 300;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClassIri {
    type Err = InvalidClassIri;

    fn from_str(text: &str) -> Result<Self, InvalidClassIri> {
        let strange = text.chars().any(crate::name::is_deceptive);
        if text.len() > Self::MAX || strange || Iri::parse(text).is_err() {
            return Err(InvalidClassIri);
        }
        Ok(Self(text.to_owned()))
    }
}

text_forms!(ClassIri);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_absolute_names_without_what_ends_one_in_turtle_or_sparql() {
        for good in [
            "urn:x:Fan",
            "https://brickschema.org/schema/Brick#Fan",
            "https://예.example/팬",
            "urn:i3:ns:Sensor",
        ] {
            assert_eq!(good.parse::<ClassIri>().unwrap().as_str(), good);
        }
        let long = format!("urn:{}", "a".repeat(ClassIri::MAX));
        for bad in [
            "",
            "Fan",
            "/Fan",
            "#Fan",
            "urn:x:a b",
            "urn:x:a>",
            "urn:x:<a",
            "urn:x:\"",
            "urn:x:a\\u003E",
            "urn:x:{a}",
            "urn:x:a\n",
            "urn:x:\u{202e}",
            "urn:x:%zz",
            &long,
        ] {
            assert!(bad.parse::<ClassIri>().is_err(), "{bad:?}");
        }
    }
}
