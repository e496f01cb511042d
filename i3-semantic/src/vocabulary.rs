//! The terms of our ontology and of those it is tied to, as constants.
//!
//! A test holds them against `ontology/i3.ttl`: every `i3:` term of the file is here, and nothing else.
//!
//! The namespace is a URN, `urn:i3:ns:`. An address on the web would belong to somebody's domain and promise that
//! something answers there; these names promise nothing but to stay the same. A server gives the ontology under an
//! address of its own.

use oxigraph::model::{IriParseError, NamedNode, NamedNodeRef};

/// Namespace of our classes and properties.
pub const NAMESPACE: &str = "urn:i3:ns:";
/// Namespace of protocols; what follows is the scheme of a URI, in lower case.
pub const PROTOCOL_NAMESPACE: &str = "urn:i3:protocol:";
/// The ontology itself, and the graph that its statements are in.
pub const ONTOLOGY: NamedNodeRef<'static> = iri("urn:i3:ontology");

#[expect(
    clippy::disallowed_methods,
    reason = "constants; a test reads every one of them with the checked constructor"
)]
pub(crate) const fn iri(text: &'static str) -> NamedNodeRef<'static> {
    NamedNodeRef::new_unchecked(text)
}

macro_rules! terms {
    ($($(#[$meta:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$meta])* pub const $name: NamedNodeRef<'static> = iri(concat!("urn:i3:ns:", $text));)*
        /// Every term of our namespace.
        pub const TERMS: &[NamedNodeRef<'static>] = &[$($name),*];
    };
}

terms! {
    /// Description of a device or service that others may find, take over and run.
    VIRTUAL_OBJECT = "VirtualObject";
    /// A virtual object that observes.
    SENSOR = "Sensor";
    /// A virtual object that acts.
    ACTUATOR = "Actuator";
    /// A virtual object made of others.
    SERVICE_OBJECT = "ServiceObject";
    /// The reusable part of a virtual object.
    OBJECT_MODEL = "ObjectModel";
    /// What a virtual object runs on.
    PLATFORM = "Platform";
    /// What a virtual object is reached by.
    PROTOCOL = "Protocol";
    /// What a virtual object can be asked to do.
    OPERATION = "Operation";
    /// A value that a virtual object has or a product carries.
    DATA_ATTRIBUTE = "DataAttribute";
    /// What may be done with something, by whom, on which condition.
    POLICY = "Policy";
    /// One thing that a policy allows.
    PERMISSION = "Permission";
    /// A stream of data for sale.
    PRODUCT = "Product";
    /// A price and its terms.
    OFFER = "Offer";
    /// Who something comes from.
    PROVIDER = "Provider";
    /// What buyers think, in one figure.
    RATING = "Rating";
    /// What was measured about a product's messages.
    QUALITY = "Quality";
    /// Where something is.
    PLACE = "Place";
    /// A field of use.
    DOMAIN = "Domain";

    /// Virtual object to platform.
    ON_PLATFORM = "onPlatform";
    /// Virtual object to protocol.
    SUPPORTS_PROTOCOL = "supportsProtocol";
    /// Virtual object to operation.
    PERFORMS = "performs";
    /// Inverse of [`PERFORMS`].
    PERFORMED_BY = "performedBy";
    /// Anything to data attribute.
    HAS_ATTRIBUTE = "hasAttribute";
    /// Service object to part.
    HAS_PART = "hasPart";
    /// Inverse of [`HAS_PART`].
    PART_OF = "partOf";
    /// Symmetric, between virtual objects.
    COMPATIBLE_WITH = "compatibleWith";
    /// Virtual object to object model.
    INSTANCE_OF_MODEL = "instanceOfModel";
    /// Transitive, to place.
    LOCATED_IN = "locatedIn";
    /// Anything to domain.
    IN_DOMAIN = "inDomain";
    /// Anything to provider.
    PROVIDED_BY = "providedBy";
    /// Inverse of [`PROVIDED_BY`].
    PROVIDES = "provides";
    /// Product to virtual object.
    DATA_OF = "dataOf";
    /// Inverse of [`DATA_OF`].
    SOLD_AS = "soldAs";
    /// Product to offer.
    HAS_OFFER = "hasOffer";
    /// Anything to policy.
    HAS_POLICY = "hasPolicy";
    /// Policy to permission.
    HAS_PERMISSION = "hasPermission";
    /// Product or provider to rating.
    HAS_RATING = "hasRating";
    /// Product to quality.
    HAS_QUALITY = "hasQuality";

    /// What people call it.
    TITLE = "title";
    /// What people should know about it.
    DESCRIPTION = "description";
    /// Name of an operation, attribute, platform, place or provider.
    NAME = "name";
    /// Make or model.
    MODEL = "model";
    /// A word that it is found by.
    TAG = "tag";
    /// Where a virtual object is reached.
    RESOURCE_URI = "resourceUri";
    /// JSON Schema type of an attribute.
    VALUE_TYPE = "valueType";
    /// Unit of an attribute.
    UNIT = "unit";
    /// Price in whole units of the currency.
    PRICE = "price";
    /// ISO 4217 code.
    CURRENCY = "currency";
    /// Mean of the ratings, 1 to 5.
    RATING_VALUE = "ratingValue";
    /// How many ratings.
    RATING_COUNT = "ratingCount";
    /// Measured quality, 0 to 1.
    QUALITY_SCORE = "qualityScore";
    /// Degrees north.
    LATITUDE = "latitude";
    /// Degrees east.
    LONGITUDE = "longitude";
    /// When first described.
    CREATED = "created";
    /// When last changed.
    MODIFIED = "modified";
}

/// The IRI of a protocol, from the scheme of a URI or a name in the same form.
///
/// ```
/// assert_eq!(i3_semantic::vocabulary::protocol("CoAP").unwrap().as_str(), "urn:i3:protocol:coap");
/// ```
///
/// # Errors
///
/// A name that cannot stand in an IRI.
pub fn protocol(name: &str) -> Result<NamedNode, IriParseError> {
    NamedNode::new(format!("{PROTOCOL_NAMESPACE}{}", name.to_ascii_lowercase()))
}

/// Terms of OWL 2 beyond RDF and RDF Schema (those are [`oxigraph::model::vocab`]'s).
pub mod owl {
    use super::{NamedNodeRef, iri};

    /// Namespace of OWL.
    pub const NAMESPACE: &str = "http://www.w3.org/2002/07/owl#";

    macro_rules! owl {
        ($($name:ident = $text:literal;)*) => {
            $(
                #[doc = concat!("`owl:", $text, "`")]
                pub const $name: NamedNodeRef<'static> = iri(concat!("http://www.w3.org/2002/07/owl#", $text));
            )*
            #[cfg(test)]
            pub(super) const TERMS: &[NamedNodeRef<'static>] = &[$($name),*];
        };
    }
    owl! {
        ONTOLOGY = "Ontology";
        CLASS = "Class";
        OBJECT_PROPERTY = "ObjectProperty";
        DATATYPE_PROPERTY = "DatatypeProperty";
        ANNOTATION_PROPERTY = "AnnotationProperty";
        NAMED_INDIVIDUAL = "NamedIndividual";
        TRANSITIVE_PROPERTY = "TransitiveProperty";
        SYMMETRIC_PROPERTY = "SymmetricProperty";
        ALL_DISJOINT_CLASSES = "AllDisjointClasses";
        MEMBERS = "members";
        EQUIVALENT_CLASS = "equivalentClass";
        DISJOINT_WITH = "disjointWith";
        EQUIVALENT_PROPERTY = "equivalentProperty";
        INVERSE_OF = "inverseOf";
        VERSION_INFO = "versionInfo";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_constant_is_a_lawful_iri() {
        for term in TERMS.iter().chain(owl::TERMS).chain([&ONTOLOGY]) {
            assert_eq!(NamedNode::new(term.as_str()).unwrap().as_ref(), *term);
        }
    }

    #[test]
    fn the_constants_are_the_terms_of_the_turtle_file() {
        let ours: BTreeSet<_> = TERMS.iter().map(|term| term.as_str().to_owned()).collect();
        let file: BTreeSet<_> = crate::ontology::Ontology::core()
            .axioms()
            .iter()
            .filter_map(|axiom| axiom.declares())
            .map(|(term, _)| term.as_str().to_owned())
            .filter(|term| term.starts_with(NAMESPACE))
            .collect();
        assert_eq!(ours, file);
    }

    #[test]
    fn a_protocol_that_cannot_be_an_iri_is_refused() {
        assert!(protocol("co ap> <").is_err());
    }
}
