//! What the words of a Thing Description stand for: the terms of the contexts of TD 1.1 and of WoT Discovery.
//!
//! A term stands for different things in different parts: `type` of a data schema is its class, `type` of a link a media
//! type. What a part does not define is what the part around it does.

const TD: &str = "https://www.w3.org/2019/wot/td#";
const JSON_SCHEMA: &str = "https://www.w3.org/2019/wot/json-schema#";
const SECURITY: &str = "https://www.w3.org/2019/wot/security#";
const HYPERMEDIA: &str = "https://www.w3.org/2019/wot/hypermedia#";
const DISCOVERY: &str = "https://www.w3.org/2022/wot/discovery-ontology#";
const DCT: &str = "http://purl.org/dc/terms/";
const SCHEMA_ORG: &str = "https://schema.org/";
/// XML Schema's datatypes.
pub(super) const XSD: &str = "http://www.w3.org/2001/XMLSchema#";

/// The prefixes that every description may use.
pub(super) fn prefix(name: &str) -> Option<&'static str> {
    Some(match name {
        "td" => TD,
        "jsonschema" => JSON_SCHEMA,
        "wotsec" => SECURITY,
        "hctl" => HYPERMEDIA,
        "discovery" => DISCOVERY,
        "tm" => "https://www.w3.org/2019/wot/tm#",
        "htv" => "http://www.w3.org/2011/http#",
        "rdf" => "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
        "rdfs" => "http://www.w3.org/2000/01/rdf-schema#",
        "xsd" => XSD,
        "dct" => DCT,
        _ => return None,
    })
}

/// A part of a description, in which words have meanings of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The description itself, and its actions and events.
    Thing,
    /// A property: a data schema that is an affordance too.
    Property,
    /// A member of a property that is an object.
    Member,
    /// Any other data schema.
    Schema,
    /// A security scheme.
    Security,
    /// A form or a link.
    Hypermedia,
    /// What the directory says of the registration.
    Registration,
}

/// What a text is that stands for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coercion {
    /// A text.
    Plain,
    /// A text for people, in the description's language.
    Words,
    /// The IRI of something.
    Iri,
    /// A word of the vocabulary.
    Word,
    /// A value of this type of XML Schema.
    Typed(&'static str),
}

/// What an object means where a value is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    /// Something.
    None,
    /// Something for each name; the name is said by this term.
    Index(Option<&'static str>),
    /// A text for each language.
    Language,
}

/// A word that stands for a property or a class.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    space: &'static str,
    name: &'static str,
    pub(super) coercion: Coercion,
    pub(super) container: Container,
    /// What its values are parts of, if that is another part.
    pub(super) part: Option<Part>,
}

impl Term {
    const fn new(space: &'static str, name: &'static str) -> Self {
        Self { space, name, coercion: Coercion::Plain, container: Container::None, part: None }
    }

    const fn coerced(self, coercion: Coercion) -> Self {
        Self { coercion, ..self }
    }

    const fn index(self, by: &'static str) -> Self {
        Self { container: Container::Index(Some(by)), ..self }
    }

    const fn of(self, part: Part) -> Self {
        Self { part: Some(part), ..self }
    }

    pub(super) fn iri(&self) -> String {
        format!("{}{}", self.space, self.name)
    }
}

const fn words(name: &'static str) -> Term {
    Term::new(TD, name).coerced(Coercion::Words)
}

const fn languages(name: &'static str) -> Term {
    Term { container: Container::Language, ..Term::new(TD, name) }
}

/// What a word means.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning {
    /// The name of what it is said of.
    Id,
    /// A class of what it is said of.
    Type,
    Term(Term),
}

impl Part {
    /// What a word without a term is a word of.
    pub(super) const fn vocabulary(self) -> &'static str {
        match self {
            Self::Thing | Self::Registration => TD,
            Self::Property | Self::Member | Self::Schema => JSON_SCHEMA,
            Self::Security => SECURITY,
            Self::Hypermedia => HYPERMEDIA,
        }
    }

    /// What a word means in this part, if it means something else than around it.
    pub(super) fn meaning(self, word: &str) -> Option<Meaning> {
        match (self, word) {
            (Self::Thing, "id") => return Some(Meaning::Id),
            (Self::Property | Self::Schema | Self::Member, "type") | (Self::Security, "scheme") => {
                return Some(Meaning::Type);
            }
            _ => {}
        }
        let term = match self {
            Self::Thing => thing(word),
            Self::Property => match word {
                "properties" => Some(Term::new(JSON_SCHEMA, "properties").index("name").of(Self::Member)),
                _ => schema(word),
            },
            Self::Member | Self::Schema => match word {
                "properties" => Some(Term::new(JSON_SCHEMA, "properties").index("propertyName")),
                _ => schema(word),
            },
            Self::Security => security(word),
            Self::Hypermedia => hypermedia(word),
            Self::Registration => registration(word),
        };
        term.map(Meaning::Term)
    }
}

fn thing(word: &str) -> Option<Term> {
    let schema = |name| Term::new(TD, name).coerced(Coercion::Iri).of(Part::Schema);
    Some(match word {
        "properties" => Term::new(TD, "hasPropertyAffordance").index("name").of(Part::Property),
        "actions" => Term::new(TD, "hasActionAffordance").index("name"),
        "events" => Term::new(TD, "hasEventAffordance").index("name"),
        "uriVariables" => Term::new(TD, "hasUriTemplateSchema").index("name").of(Part::Schema),
        "forms" => Term::new(TD, "hasForm").of(Part::Hypermedia),
        "links" => Term::new(TD, "hasLink").of(Part::Hypermedia),
        "security" => Term::new(TD, "hasSecurityConfiguration").of(Part::Security),
        "securityDefinitions" => {
            Term::new(TD, "definesSecurityScheme").index("hasInstanceConfiguration").of(Part::Security)
        }
        // A name, not an address beside that of the document: what `security` names can be joined with it.
        "hasInstanceConfiguration" => Term::new(TD, "hasInstanceConfiguration"),
        "schemaDefinitions" => {
            Term { container: Container::Index(None), ..Term::new(TD, "schemaDefinitions").of(Part::Schema) }
        }
        "schema" => Term::new(HYPERMEDIA, "hasAdditionalOutputSchema"),
        "input" => schema("hasInputSchema"),
        "output" => schema("hasOutputSchema"),
        "subscription" => schema("hasSubscriptionSchema"),
        "data" => schema("hasNotificationSchema"),
        "dataResponse" => schema("hasNotificationResponseSchema"),
        "cancellation" => schema("hasCancellationSchema"),
        // Inside of other parts too these are words of TD.
        "name" => Term::new(TD, "name"),
        "instance" => Term::new(TD, "instance"),
        "model" => Term::new(TD, "model"),
        "Thing" => Term::new(TD, "Thing"),
        "InteractionAffordance" => Term::new(TD, "InteractionAffordance"),
        "PropertyAffordance" => Term::new(TD, "PropertyAffordance"),
        "ActionAffordance" => Term::new(TD, "ActionAffordance"),
        "EventAffordance" => Term::new(TD, "EventAffordance"),
        "title" => words("title"),
        "titles" => languages("titleInLanguage"),
        "description" => words("description"),
        "descriptions" => languages("descriptionInLanguage"),
        "version" => Term::new(TD, "versionInfo"),
        "profile" => Term::new(TD, "followsProfile").coerced(Coercion::Iri),
        "observable" => Term::new(TD, "isObservable"),
        "safe" => Term::new(TD, "isSafe"),
        "idempotent" => Term::new(TD, "isIdempotent"),
        "synchronous" => Term::new(TD, "isSynchronous"),
        "support" => Term::new(TD, "supportContact").coerced(Coercion::Typed("anyURI")),
        "base" => Term::new(TD, "baseURI").coerced(Coercion::Typed("anyURI")),
        "created" => Term::new(DCT, "created").coerced(Coercion::Typed("dateTime")),
        "modified" => Term::new(DCT, "modified").coerced(Coercion::Typed("dateTime")),
        "license" => Term::new(DCT, "license"),
        "ThingDirectory" => Term::new(DISCOVERY, "ThingDirectory"),
        "ThingLink" => Term::new(DISCOVERY, "ThingLink"),
        "registration" => Term::new(DISCOVERY, "hasRegistrationInformation").of(Part::Registration),
        _ => return None,
    })
}

fn schema(word: &str) -> Option<Term> {
    Some(match word {
        "object" => Term::new(JSON_SCHEMA, "ObjectSchema"),
        "array" => Term::new(JSON_SCHEMA, "ArraySchema"),
        "boolean" => Term::new(JSON_SCHEMA, "BooleanSchema"),
        "string" => Term::new(JSON_SCHEMA, "StringSchema"),
        "number" => Term::new(JSON_SCHEMA, "NumberSchema"),
        "integer" => Term::new(JSON_SCHEMA, "IntegerSchema"),
        "null" => Term::new(JSON_SCHEMA, "NullSchema"),
        "unit" => Term::new(SCHEMA_ORG, "unitCode").coerced(Coercion::Word),
        _ => return None,
    })
}

fn security(word: &str) -> Option<Term> {
    let iri = |name| Term::new(SECURITY, name).coerced(Coercion::Iri);
    Some(match word {
        "nosec" => Term::new(SECURITY, "NoSecurityScheme"),
        "auto" => Term::new(SECURITY, "AutoSecurityScheme"),
        "combo" => Term::new(SECURITY, "ComboSecurityScheme"),
        "basic" => Term::new(SECURITY, "BasicSecurityScheme"),
        "digest" => Term::new(SECURITY, "DigestSecurityScheme"),
        "apikey" => Term::new(SECURITY, "APIKeySecurityScheme"),
        "bearer" => Term::new(SECURITY, "BearerSecurityScheme"),
        "cert" => Term::new(SECURITY, "CertSecurityScheme"),
        "psk" => Term::new(SECURITY, "PSKSecurityScheme"),
        "public" => Term::new(SECURITY, "PublicSecurityScheme"),
        "pop" => Term::new(SECURITY, "PoPSecurityScheme"),
        "oauth2" => Term::new(SECURITY, "OAuth2SecurityScheme"),
        "name" => Term::new(SECURITY, "name"),
        "authorization" => iri("authorization"),
        "token" => iri("token"),
        "refresh" => iri("refresh"),
        "proxy" => iri("proxy"),
        "uriVariables" => Term::new(TD, "uriVariables"),
        _ => return None,
    })
}

fn hypermedia(word: &str) -> Option<Term> {
    if let Some(operation) = operation(word) {
        return Some(Term::new(TD, operation));
    }
    Some(match word {
        "op" => Term::new(HYPERMEDIA, "hasOperationType").coerced(Coercion::Word),
        "href" => Term::new(HYPERMEDIA, "hasTarget").coerced(Coercion::Typed("anyURI")),
        "contentType" => Term::new(HYPERMEDIA, "forContentType"),
        "contentCoding" => Term::new(HYPERMEDIA, "forContentCoding"),
        "subprotocol" => Term::new(HYPERMEDIA, "forSubProtocol"),
        "rel" => Term::new(HYPERMEDIA, "hasRelationType"),
        "anchor" => Term::new(HYPERMEDIA, "hasAnchor").coerced(Coercion::Iri),
        "sizes" => Term::new(HYPERMEDIA, "hasSizes"),
        "hreflang" => Term::new(HYPERMEDIA, "hasHreflang"),
        "type" => Term::new(HYPERMEDIA, "hintsAtMediaType"),
        "response" => Term::new(HYPERMEDIA, "returns"),
        "additionalResponses" => Term::new(HYPERMEDIA, "additionalReturns"),
        "success" => Term::new(HYPERMEDIA, "isSuccess"),
        "scopes" => Term::new(SECURITY, "scopes"),
        "security" => Term::new(TD, "hasSecurityConfiguration"),
        _ => return None,
    })
}

fn operation(word: &str) -> Option<&'static str> {
    Some(match word {
        "readproperty" => "readProperty",
        "writeproperty" => "writeProperty",
        "observeproperty" => "observeProperty",
        "unobserveproperty" => "unobserveProperty",
        "invokeaction" => "invokeAction",
        "queryaction" => "queryAction",
        "cancelaction" => "cancelAction",
        "subscribeevent" => "subscribeEvent",
        "unsubscribeevent" => "unsubscribeEvent",
        "readallproperties" => "readAllProperties",
        "writeallproperties" => "writeAllProperties",
        "readmultipleproperties" => "readMultipleProperties",
        "writemultipleproperties" => "writeMultipleProperties",
        "observeallproperties" => "observeAllProperties",
        "unobserveallproperties" => "unobserveAllProperties",
        "queryallactions" => "queryAllActions",
        "subscribeallevents" => "subscribeAllEvents",
        "unsubscribeallevents" => "unsubscribeAllEvents",
        _ => return None,
    })
}

fn registration(word: &str) -> Option<Term> {
    let time = |name| Term::new(DISCOVERY, name).coerced(Coercion::Typed("dateTime"));
    Some(match word {
        "created" => time("dateCreated"),
        "modified" => time("dateModified"),
        "expires" => time("expires"),
        "retrieved" => time("retrieved"),
        "ttl" => Term::new(DISCOVERY, "ttl").coerced(Coercion::Typed("unsignedInt")),
        _ => return None,
    })
}
