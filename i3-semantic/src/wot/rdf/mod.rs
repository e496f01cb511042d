//! A Thing Description as RDF, as the context of TD 1.1 has it: what SPARQL is asked of.
//!
//! All that is said of a thing is in a graph of the thing's name. Contexts are names, nothing is fetched: the words of TD 1.1 and of WoT
//! Discovery are known, and what a description itself says in `@context` (prefixes, words with `@id`, `@type` and
//! `@language`). What follows from contexts elsewhere does not: a word of theirs is taken for one of TD's, and a prefix for
//! the scheme of an IRI. A general processor would take milliseconds for each description, and much longer for one that was
//! made for that; this takes time in proportion to the document.
//!
//! The graph is an index. Never is a description made of it.

mod context;
mod terms;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use oxigraph::model::vocab::{rdf, xsd};
use oxigraph::model::{BlankNode, GraphName, Literal, NamedNode, NamedOrBlankNode, Quad, Term};
use serde_json::{Map, Number, Value};
use sha2::{Digest as _, Sha256};

use context::{Explicit, Own, Place, Said};
use terms::{Coercion, Container, XSD};

/// The language of texts in a description that does not say which (TD 1.1's context).
const LANGUAGE: &str = "en";

/// What a description says, in the graph of its id, and that it is of a `td:Thing`. Nothing if the id is no IRI (RFC 3987).
///
/// The same document gives the same quads, those of its parts without a name included: their labels are made of the id.
pub fn quads(id: &str, document: &Value) -> Vec<Quad> {
    let (Ok(thing), Some(members)) = (NamedNode::new(id), document.as_object()) else { return Vec::new() };
    let own = Own::read(document);
    let digest = Sha256::digest(id.as_bytes());
    let label = digest.iter().take(8).fold(String::from("t"), |label, byte| format!("{label}{byte:02x}"));
    let mut writer = Writer {
        graph: GraphName::NamedNode(thing.clone()),
        label,
        unnamed: 0,
        named: HashMap::new(),
        quads: Vec::new(),
    };
    let (subject, place) = (thing.into(), Place::root(&own));
    writer.say(&subject, members, &place);
    if let Some(kind) = place.word("td:Thing").and_then(|kind| NamedNode::new(kind).ok()) {
        writer.push(&subject, rdf::TYPE.into_owned(), kind.into());
    }
    writer.quads
}

struct Writer<'d> {
    graph: GraphName,
    /// What the labels of this description's blank nodes begin with.
    label: String,
    unnamed: usize,
    named: HashMap<&'d str, BlankNode>,
    quads: Vec<Quad>,
}

impl<'d> Writer<'d> {
    fn push(&mut self, subject: &NamedOrBlankNode, predicate: NamedNode, object: Term) {
        self.quads.push(Quad { subject: subject.clone(), predicate, object, graph_name: self.graph.clone() });
    }

    fn blank(&mut self) -> BlankNode {
        self.unnamed += 1;
        // What is not a label is replaced: there is none such.
        BlankNode::new(format!("{}n{}", self.label, self.unnamed)).unwrap_or_default()
    }

    /// Something with this name: an IRI, or one of the document's own (`_:x`).
    fn named(&mut self, text: &'d str, place: &Place<'_, 'd>) -> Option<NamedOrBlankNode> {
        if text.starts_with("_:") {
            if let Some(node) = self.named.get(text) {
                return Some(node.clone().into());
            }
            let node = self.blank();
            self.named.insert(text, node.clone());
            return Some(node.into());
        }
        NamedNode::new(place.iri(text)?).ok().map(Into::into)
    }

    /// What the members of an object say of something.
    fn say(&mut self, subject: &NamedOrBlankNode, members: &'d Map<String, Value>, place: &Place<'_, 'd>) {
        for (name, value) in members {
            match place.said(name) {
                Some(Said::Type) => {
                    for kind in each(value).filter_map(Value::as_str).filter_map(|kind| place.word(kind)) {
                        if let Ok(kind) = NamedNode::new(kind) {
                            self.push(subject, rdf::TYPE.into_owned(), kind.into());
                        }
                    }
                }
                Some(Said::Property { iri, coercion, container, part }) => {
                    let Ok(property) = NamedNode::new(iri) else { continue };
                    let inner = place.within(part);
                    match (container, value) {
                        (Container::Index(by), Value::Object(values)) => {
                            for (index, value) in values {
                                self.indexed(
                                    subject,
                                    &property,
                                    (by, index),
                                    (value, coercion),
                                    (place, &inner),
                                );
                            }
                        }
                        (Container::Language, Value::Object(texts)) => {
                            for (language, text) in texts {
                                for text in each(text).filter_map(Value::as_str) {
                                    if let Some(text) = in_language(text, language) {
                                        self.push(subject, property.clone(), text.into());
                                    }
                                }
                            }
                        }
                        _ => self.values(subject, &property, value, coercion, &inner),
                    }
                }
                Some(Said::Id) | None => {}
            }
        }
    }

    /// A value that has a name among its like.
    fn indexed(
        &mut self,
        subject: &NamedOrBlankNode,
        property: &NamedNode,
        (by, index): (Option<&str>, &'d str),
        (value, coercion): (&'d Value, Explicit<'d>),
        (place, inner): (&Place<'_, 'd>, &Place<'_, 'd>),
    ) {
        for value in each(value) {
            let Some(object) = self.value(value, coercion, inner) else { continue };
            let node = match &object {
                Term::NamedNode(node) => Some(NamedOrBlankNode::from(node.clone())),
                Term::BlankNode(node) => Some(node.clone().into()),
                Term::Literal(_) => None,
            };
            self.push(subject, property.clone(), object);
            if let (Some(node), Some(Said::Property { iri, .. })) = (node, by.and_then(|by| place.said(by)))
                && let Ok(says) = NamedNode::new(iri)
            {
                self.push(&node, says, Literal::new_simple_literal(index).into());
            }
        }
    }

    fn values(
        &mut self,
        subject: &NamedOrBlankNode,
        property: &NamedNode,
        value: &'d Value,
        coercion: Explicit<'d>,
        place: &Place<'_, 'd>,
    ) {
        match value {
            Value::Array(values) => {
                for value in values {
                    self.values(subject, property, value, coercion, place);
                }
            }
            Value::Object(members) if members.contains_key("@set") => {
                if let Some(value) = members.get("@set") {
                    self.values(subject, property, value, coercion, place);
                }
            }
            value => {
                if let Some(object) = self.value(value, coercion, place) {
                    self.push(subject, property.clone(), object);
                }
            }
        }
    }

    fn value(&mut self, value: &'d Value, coercion: Explicit<'d>, place: &Place<'_, 'd>) -> Option<Term> {
        match value {
            Value::Null | Value::Array(_) => None,
            Value::Bool(yes) => {
                Some(typed(if *yes { "true" } else { "false" }, coercion, place, xsd::BOOLEAN.into_owned()))
            }
            Value::Number(number) => {
                let (text, is_integer) = canonical(number);
                let kind = if is_integer { xsd::INTEGER } else { xsd::DOUBLE };
                Some(typed(&text, coercion, place, kind.into_owned()))
            }
            Value::String(text) => self.text(text, coercion, place),
            Value::Object(members) if members.contains_key("@value") => {
                let said = |name: &str| members.get(name).and_then(Value::as_str);
                let coercion = match (said("@type"), said("@language")) {
                    (Some(kind), _) => Explicit::Typed(kind),
                    (None, Some(language)) => Explicit::Language(language),
                    (None, None) => Explicit::Known(Coercion::Plain),
                };
                let value = members.get("@value").filter(|value| !value.is_object())?;
                self.value(value, coercion, place)
            }
            Value::Object(members) if members.contains_key("@list") => {
                Some(self.list(each(members.get("@list")?), coercion, place))
            }
            Value::Object(members) => {
                let id = members.iter().find(|(name, _)| matches!(place.said(name), Some(Said::Id)));
                let node = match id.and_then(|(_, id)| id.as_str()) {
                    Some(id) => self.named(id, place)?,
                    None => self.blank().into(),
                };
                self.say(&node, members, place);
                Some(node.into())
            }
        }
    }

    fn list(
        &mut self,
        items: impl DoubleEndedIterator<Item = &'d Value>,
        coercion: Explicit<'d>,
        place: &Place<'_, 'd>,
    ) -> Term {
        items.rev().fold(rdf::NIL.into_owned().into(), |rest, item| {
            let Some(first) = self.value(item, coercion, place) else { return rest };
            let cell = self.blank();
            self.push(&cell.clone().into(), rdf::FIRST.into_owned(), first);
            self.push(&cell.clone().into(), rdf::REST.into_owned(), rest);
            cell.into()
        })
    }

    fn text(&mut self, text: &'d str, coercion: Explicit<'d>, place: &Place<'_, 'd>) -> Option<Term> {
        let literal = match coercion {
            Explicit::Known(Coercion::Iri) => return self.named(text, place).map(Into::into),
            Explicit::Known(Coercion::Word) => {
                return NamedNode::new(place.word(text)?).ok().map(Into::into);
            }
            Explicit::Known(Coercion::Words) => in_language(text, place.language().unwrap_or(LANGUAGE))?,
            Explicit::Known(Coercion::Plain) => Literal::new_simple_literal(text),
            Explicit::None => match place.language() {
                Some(language) => in_language(text, language)?,
                None => Literal::new_simple_literal(text),
            },
            Explicit::Language(language) => in_language(text, language)?,
            Explicit::Typed(_) | Explicit::Known(Coercion::Typed(_)) => {
                return Some(typed(text, coercion, place, xsd::STRING.into_owned()));
            }
        };
        Some(literal.into())
    }
}

/// A value of the type that is said, or else of its own.
fn typed(text: &str, coercion: Explicit<'_>, place: &Place<'_, '_>, otherwise: NamedNode) -> Term {
    let kind = match coercion {
        Explicit::Typed(kind) => place.word(kind),
        Explicit::Known(Coercion::Typed(name)) => Some(format!("{XSD}{name}")),
        Explicit::None | Explicit::Known(_) | Explicit::Language(_) => None,
    };
    let kind = kind.and_then(|kind| NamedNode::new(kind).ok()).unwrap_or(otherwise);
    Literal::new_typed_literal(text, kind).into()
}

/// A text in a language; none if that is no language tag (BCP 47).
fn in_language(text: &str, language: &str) -> Option<Literal> {
    Literal::new_language_tagged_literal(text, language).ok()
}

/// The one, or each of many.
fn each(value: &Value) -> std::slice::Iter<'_, Value> {
    match value {
        Value::Array(values) => values.iter(),
        one => std::slice::from_ref(one).iter(),
    }
}

/// A number as JSON-LD writes it (section 8.6), and whether it is an integer.
fn canonical(number: &Number) -> (String, bool) {
    let float = match number.as_f64() {
        Some(float) if number.is_f64() => float,
        _ => return (number.to_string(), true),
    };
    if float.fract() == 0.0 && float.abs() < 1e21 {
        return (format!("{float:.0}"), true);
    }
    let text = format!("{float:E}");
    match text.split_once('E') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => (format!("{mantissa}.0E{exponent}"), false),
        _ => (text, false),
    }
}
