//! Thing Descriptions as virtual objects.
//!
//! A property becomes a data attribute, an action a method, the addresses of the forms the object's addresses, the `@type`s
//! its kind and classes. What an object has no place for (events, security, further terms of any vocabulary) is kept
//! beside, as the difference between the document and the [description](super::object::description) of the object, and
//! is in its description again. The document's `id` and times are not kept: the object has its own. Without them, and with
//! members that are `null`, which are refused, what is made of a document gives the document back.
//!
//! After the object is changed, what spoke of addresses and of what the object does not have any more is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use i3_core::name::Term;
use i3_core::virtual_object::{
    ClassIri, Content, DataField, DataType, Method, ObjectKind, Output, Protocol, ResourceUri, ThingTerms,
    Unit,
};
use oxigraph::model::{NamedNode, NamedNodeRef};
use serde_json::{Map, Value};

use super::object::{below, said};
use super::patch;
use super::td::{self, ValidationError};
use crate::description::thing_iri;
use crate::ontology::{Ontology, PREFIXES};
use crate::vocabulary;

/// Members of a description that the marketplace says of every object.
const OWN: [&str; 4] = ["id", "created", "modified", "registration"];

/// A document that no object is made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no virtual object can be made of this Thing Description")]
pub struct ThingRefused {
    /// Everything that cannot be taken, and where; at most [`ValidationError::MOST`].
    pub errors: Vec<ValidationError>,
}

/// Makes the content of an object of a Thing Description. Which kind of object its classes are is said by the ontology.
///
/// # Errors
///
/// All that is wrong with it, or has no place in an object and cannot be kept beside either.
pub fn content(document: &Value, ontology: &Ontology) -> Result<Content, ThingRefused> {
    td::validate(document).map_err(|errors| ThingRefused { errors })?;
    let mut reader = Reader { errors: Vec::new() };
    if td::is_model(document) {
        reader.wrong("@type", "a Thing Model is no Thing: it is instantiated first");
    }
    reader.no_null("", document);
    let content = reader.content(document, ontology);
    match content {
        Some(content) if reader.errors.is_empty() => Ok(content),
        _ => Err(ThingRefused { errors: reader.errors }),
    }
}

/// Says what the document said that the object was made of, as far as it still holds; unless it is `located`, without
/// addresses.
pub(super) fn restore(described: &mut Map<String, Value>, content: &Content, located: bool) {
    let Some(terms) = &content.thing else { return };
    let Ok(mut terms_patch) = serde_json::from_str::<Value>(terms.patch.as_str()) else { return };
    if without_terms(content).hash() != terms.of {
        outdated(&mut terms_patch, described);
    }
    if !located {
        without_addresses(&mut terms_patch);
    }
    let mut whole = Value::Object(std::mem::take(described));
    patch::merge(&mut whole, &terms_patch);
    if let Value::Object(whole) = whole {
        *described = whole;
    }
}

/// Takes out every address.
fn without_addresses(terms: &mut Value) {
    let Value::Object(members) = terms else { return };
    members.remove("base");
    members.remove("forms");
    for (kind, _) in td::AFFORDANCES {
        let affordances = members.get_mut(kind).and_then(Value::as_object_mut);
        for change in
            affordances.into_iter().flat_map(|all| all.values_mut()).filter_map(Value::as_object_mut)
        {
            change.remove("forms");
        }
    }
}

fn without_terms(content: &Content) -> Content {
    Content { thing: None, ..content.clone() }
}

/// Takes out what holds only for the content that the terms were kept with: what the object says itself, addresses, and
/// parts of affordances that are not there any more.
fn outdated(terms: &mut Value, described: &Map<String, Value>) {
    let Value::Object(members) = terms else { return };
    for own in ["@type", "title", "description", "version", "base", "forms", "links"] {
        members.remove(own);
    }
    for (kind, _) in td::AFFORDANCES {
        let known = described.get(kind).and_then(Value::as_object);
        let Some(Value::Object(affordances)) = members.get_mut(kind) else { continue };
        affordances.retain(|name, change| {
            // An object has no place for events, and all of them are here; of the others, it has all that there are.
            let is_known = known.is_some_and(|known| known.contains_key(name));
            if let Value::Object(change) = change
                && is_known
            {
                change.remove("forms");
            }
            change.is_object() && (is_known || kind == "events")
        });
    }
    members.retain(|_, change| !change.is_null());
}

struct Reader {
    errors: Vec<ValidationError>,
}

impl Reader {
    fn wrong(&mut self, field: impl Into<String>, why: impl Display) {
        if self.errors.len() < ValidationError::MOST {
            self.errors.push(ValidationError::new(field, why));
        }
    }

    fn taken<T, E: Display>(&mut self, field: impl Into<String>, read: Result<T, E>) -> Option<T> {
        read.map_err(|why| self.wrong(field, why)).ok()
    }

    /// A merge patch cannot say `null`. A list is kept as a whole, with what is null in it.
    fn no_null(&mut self, at: &str, value: &Value) {
        let Value::Object(members) = value else { return };
        for (name, value) in members {
            let within = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            if value.is_null() {
                self.wrong(within, "a member that is null cannot be kept");
            } else {
                self.no_null(&within, value);
            }
        }
    }

    fn content(&mut self, document: &Value, ontology: &Ontology) -> Option<Content> {
        let title = document.get("title").and_then(Value::as_str).unwrap_or_default();
        let title = self.taken("title", title.parse())?;
        let types = types(document);
        let has_actions =
            document.get("actions").and_then(Value::as_object).is_some_and(|all| !all.is_empty());
        let mut content = Content::new(kind(&types, has_actions, ontology), title);
        for class in types.iter().filter(|class| !BASES.contains(&class.as_ref())) {
            // One that is too long for us stays in the document.
            content.classes.extend(class.as_str().parse::<ClassIri>());
        }
        if let Some(text) = document.get("description").and_then(Value::as_str) {
            content.body = self.taken("description", text.parse())?;
        }
        content.tags =
            td::texts(document.get("schema:keywords")).filter_map(|tag| tag.parse().ok()).collect();
        content.platforms =
            td::texts(document.get("i3:onPlatform")).filter_map(|one| one.parse().ok()).collect();
        content.model = document.get("i3:model").and_then(Value::as_str).and_then(|text| text.parse().ok());
        content.domain =
            document.get("i3:inDomain").and_then(Value::as_str).and_then(|text| text.parse().ok());
        for (name, property) in members(document, "properties") {
            content.attributes.extend(self.field(&format!("properties.{name}"), name, property));
        }
        for (name, action) in members(document, "actions") {
            content.methods.extend(self.method(&format!("actions.{name}"), name, action));
        }
        self.addresses(document, &mut content);
        if content.kind == ObjectKind::Service {
            let links = document.get("links").and_then(Value::as_array).into_iter().flatten();
            let items = links.filter(|link| link.get("rel").and_then(Value::as_str) == Some("item"));
            let hrefs = items.filter_map(|link| link.get("href").and_then(Value::as_str));
            let prefix = thing_iri("");
            let ids = hrefs.filter_map(|href| href.strip_prefix(prefix.as_str()));
            content.parts = ids.filter_map(|id| id.parse().ok()).collect();
        }
        self.taken("(root)", content.check())?;
        if self.errors.is_empty() {
            content.thing = self.terms(document, &content);
        }
        Some(content)
    }

    /// What the object's own description does not say.
    fn terms(&mut self, document: &Value, content: &Content) -> Option<ThingTerms> {
        let addresses: Vec<String> = content.resources.iter().map(ToString::to_string).collect();
        let mut document = document.clone();
        if let Value::Object(members) = &mut document {
            for own in OWN {
                members.remove(own);
            }
        }
        let difference = patch::difference(&Value::Object(said(content, &addresses)), &document);
        if difference.as_object().is_some_and(Map::is_empty) {
            return None;
        }
        let patch = self.taken("(root)", difference.to_string().parse())?;
        let terms = ThingTerms { of: content.hash(), patch };
        let whole = Content { thing: Some(terms.clone()), ..content.clone() };
        self.taken("(root)", whole.check())?;
        Some(terms)
    }

    fn data_type(&mut self, at: &str, schema: &Value) -> Option<DataType> {
        let named = schema.get("type").and_then(Value::as_str);
        let read = named.and_then(|name| serde_json::from_value(Value::from(name)).ok());
        if read.is_none() {
            let most = "one of boolean, integer, number, string, object and array is expected";
            self.wrong(format!("{at}.type"), most);
        }
        read
    }

    fn unit(&mut self, at: &str, schema: &Value) -> Option<Unit> {
        let text = schema.get("unit").and_then(Value::as_str)?;
        let qudt = text.strip_prefix("http://qudt.org/vocab/unit/");
        let qudt = qudt.or_else(|| text.strip_prefix("unit:")).map(|name| format!("qudt:{name}"));
        let read = qudt.as_deref().unwrap_or(text).parse();
        self.taken(format!("{at}.unit"), read)
    }

    fn field(&mut self, at: &str, name: &str, schema: &Value) -> Option<DataField> {
        let name: Option<Term> = self.taken(at, name.parse());
        let data_type = self.data_type(at, schema);
        let unit = self.unit(at, schema);
        let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        let description = self.taken(format!("{at}.description"), text.parse());
        Some(DataField { name: name?, data_type: data_type?, unit, description: description? })
    }

    fn method(&mut self, at: &str, name: &str, action: &Value) -> Option<Method> {
        let mut method = Method::named(self.taken(at, name.parse())?);
        let text = action.get("description").and_then(Value::as_str).unwrap_or_default();
        method.description = self.taken(format!("{at}.description"), text.parse())?;
        if let Some(input) = action.get("input") {
            let at = format!("{at}.input");
            if input.get("properties").is_some_and(Value::is_object) {
                for (name, schema) in members(input, "properties") {
                    method.inputs.extend(self.field(&format!("{at}.properties.{name}"), name, schema));
                }
            } else {
                method.inputs.extend(self.field(&at, "input", input));
            }
        }
        if let Some(output) = action.get("output") {
            let at = format!("{at}.output");
            let data_type = self.data_type(&at, output)?;
            let unit = self.unit(&at, output);
            let text = output.get("description").and_then(Value::as_str).unwrap_or_default();
            let description = self.taken(format!("{at}.description"), text.parse())?;
            method.output = Some(Output { data_type, unit, description });
        }
        Some(method)
    }

    /// The addresses that the forms lead to, and their protocols: what comes before the affordance's name, or before the
    /// path.
    fn addresses(&mut self, document: &Value, content: &mut Content) {
        let base = document.get("base").and_then(Value::as_str);
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        let mut ordered = Vec::new();
        let mut note = |place: String, address: String| {
            if !found.contains_key(&address) {
                found.insert(address.clone(), place.clone());
                ordered.push((place, address));
            }
        };
        if let Some(base) = base {
            note("base".to_owned(), plain(base).to_owned());
        }
        for (kind, _) in td::AFFORDANCES {
            for (name, affordance) in members(document, kind) {
                let forms = affordance.get("forms").and_then(Value::as_array).into_iter().flatten();
                for (number, form) in forms.enumerate() {
                    let place = format!("{kind}.{name}.forms.{number}.href");
                    let href = form.get("href").and_then(Value::as_str).unwrap_or_default();
                    if is_absolute(href) {
                        note(place, address(href, name));
                    } else if base.is_none() {
                        self.wrong(place, "a relative address needs a `base`");
                    }
                }
            }
        }
        for (place, address) in ordered {
            let Some(uri) = self.taken(place.clone(), address.parse::<ResourceUri>()) else { continue };
            let known = [Protocol::Coap, Protocol::Http, Protocol::Mqtt, Protocol::WebSocket];
            let protocol = known.into_iter().find(|protocol| protocol.has_scheme(uri.scheme()));
            let protocol = protocol.map_or_else(|| uri.scheme().parse(), Ok);
            content.protocols.extend(self.taken(place, protocol));
            content.resources.push(uri);
        }
    }
}

fn members<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(name).and_then(Value::as_object).into_iter().flatten()
}

fn is_absolute(href: &str) -> bool {
    href.split_once("://")
        .is_some_and(|(scheme, _)| scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)))
}

/// An address without variables of a template, fragment and query.
fn plain(href: &str) -> &str {
    href.split(['{', '#', '?']).next().unwrap_or(href)
}

/// Where an object is whose affordance of this name is at `href`.
fn address(href: &str, name: &str) -> String {
    let (scheme, rest) = href.split_once("://").unwrap_or(("", href));
    let root = rest.split(['/', '{', '#', '?']).next().unwrap_or(rest);
    let step = format!("/{}", crate::description::iri_part(name));
    // As our own descriptions have it.
    if let Some(at) = plain(href).strip_suffix(step.as_str())
        && below(at, name) == href
        && at.len() > scheme.len().saturating_add(3)
    {
        return at.to_owned();
    }
    format!("{scheme}://{root}")
}

/// What is said by the kind of an object.
const BASES: [NamedNodeRef<'static>; 6] = [
    vocabulary::SENSOR,
    vocabulary::ACTUATOR,
    vocabulary::SERVICE_OBJECT,
    vocabulary::iri("http://www.w3.org/ns/sosa/Sensor"),
    vocabulary::iri("http://www.w3.org/ns/sosa/Actuator"),
    vocabulary::iri("http://www.w3.org/ns/sosa/System"),
];

/// The kind that a class is, if it is one.
fn kind_of(class: NamedNodeRef<'_>) -> Option<ObjectKind> {
    let at = BASES.iter().position(|base| *base == class)?;
    Some(match at % 3 {
        0 => ObjectKind::Sensor,
        1 => ObjectKind::Actuator,
        _ => ObjectKind::Service,
    })
}

/// The kind by the classes and those above them; what acts is an actuator, and anything else a sensor, if they do not say.
fn kind(types: &BTreeSet<NamedNode>, has_actions: bool, ontology: &Ontology) -> ObjectKind {
    let said = types.iter().find_map(|class| kind_of(class.as_ref()));
    let follows = || {
        let above = types.iter().flat_map(|class| ontology.closure().supers(class));
        above.into_iter().find_map(|class| kind_of(class.as_ref()))
    };
    let by_deeds = if has_actions { ObjectKind::Actuator } else { ObjectKind::Sensor };
    said.or_else(follows).unwrap_or(by_deeds)
}

/// The `@type`s as IRIs, by the prefixes of the document and those that everybody knows. Others are nobody's classes.
fn types(document: &Value) -> BTreeSet<NamedNode> {
    let contexts = document.get("@context");
    let many = contexts.and_then(Value::as_array).into_iter().flatten().chain(contexts);
    let own: BTreeMap<&str, &str> = many
        .filter_map(Value::as_object)
        .flatten()
        .filter_map(|(prefix, iri)| Some((prefix.as_str(), iri.as_str()?)))
        .collect();
    let expanded = |name: &str| {
        let (prefix, local) = name.split_once(':')?;
        let known = || PREFIXES.iter().find(|(known, _)| *known == prefix).map(|(_, iri)| *iri);
        let whole = own.get(prefix).copied().or_else(known).map(|iri| format!("{iri}{local}"));
        NamedNode::new(whole.unwrap_or_else(|| name.to_owned())).ok()
    };
    td::types(document).filter_map(expanded).collect()
}

#[cfg(test)]
mod tests;
