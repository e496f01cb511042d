//! What words mean at one place of a description: in its part, in the parts around it, and by what the description itself
//! says in `@context`.

use std::collections::HashMap;

use serde_json::Value;

use super::terms::{Coercion, Container, Meaning, Part, prefix};

/// How often a word may be explained by another one.
const MAX_STEPS: usize = 4;

/// What a description says of its own words. Only what is written in it: an address of a context is a name.
#[derive(Debug, Default)]
pub(super) struct Own<'d> {
    /// The language of its texts.
    pub(super) language: Option<&'d str>,
    vocabulary: Option<&'d str>,
    /// Words; without a definition that is understood they say nothing.
    words: HashMap<&'d str, Option<Defined<'d>>>,
}

#[derive(Clone, Copy, Debug)]
struct Defined<'d> {
    id: &'d str,
    coercion: Explicit<'d>,
    is_prefix: bool,
}

/// What a text is that stands for a value, by the standard or by the description itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Explicit<'d> {
    /// Nobody says: a text in the description's language, if it has one.
    None,
    Known(Coercion),
    Typed(&'d str),
    Language(&'d str),
}

impl<'d> Own<'d> {
    pub(super) fn read(document: &'d Value) -> Self {
        let mut own = Self::default();
        let contexts = match document.get("@context") {
            Some(Value::Array(contexts)) => contexts.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        for (word, value) in contexts.iter().filter_map(Value::as_object).flatten() {
            match word.as_str() {
                "@language" => own.language = value.as_str(),
                "@vocab" => own.vocabulary = value.as_str(),
                _ if word.starts_with('@') => {}
                word => {
                    own.words.insert(word, Defined::read(value));
                }
            }
        }
        own
    }
}

impl<'d> Defined<'d> {
    /// What is more than a name and a coercion is not understood.
    fn read(value: &'d Value) -> Option<Self> {
        if let Some(id) = value.as_str() {
            let is_prefix = id.ends_with([':', '/', '?', '#', '[', ']', '@']);
            return Some(Self { id, coercion: Explicit::None, is_prefix });
        }
        let members = value.as_object()?;
        let mut coercion = Explicit::None;
        let mut is_prefix = false;
        for (name, value) in members {
            match (name.as_str(), value) {
                ("@id" | "@protected", _) => {}
                ("@container", Value::String(set)) if set == "@set" => {}
                ("@prefix", Value::Bool(yes)) => is_prefix = *yes,
                ("@language", Value::String(language)) => coercion = Explicit::Language(language),
                ("@type", Value::String(kind)) => {
                    coercion = match kind.as_str() {
                        "@id" => Explicit::Known(Coercion::Iri),
                        "@vocab" => Explicit::Known(Coercion::Word),
                        kind if kind.starts_with('@') => return None,
                        kind => Explicit::Typed(kind),
                    };
                }
                _ => return None,
            }
        }
        Some(Self { id: members.get("@id")?.as_str()?, coercion, is_prefix })
    }
}

/// What a member of an object says.
pub(super) enum Said<'d> {
    Id,
    Type,
    Property { iri: String, coercion: Explicit<'d>, container: Container, part: Option<Part> },
}

/// A place in a description.
#[derive(Clone, Copy)]
pub(super) struct Place<'p, 'd> {
    own: &'p Own<'d>,
    part: Part,
    around: Option<&'p Place<'p, 'd>>,
}

impl<'p, 'd> Place<'p, 'd> {
    pub(super) fn root(own: &'p Own<'d>) -> Self {
        Self { own, part: Part::Thing, around: None }
    }

    /// The place of a value: in another part, if it is in one.
    pub(super) fn within(&'p self, part: Option<Part>) -> Self {
        part.map_or(*self, |part| Self { own: self.own, part, around: Some(self) })
    }

    pub(super) fn language(&self) -> Option<&'d str> {
        self.own.language
    }

    /// The meaning that a part gives to a word: the innermost that does.
    fn standard(&self, word: &str) -> Option<Meaning> {
        let mut place = Some(self);
        while let Some(here) = place {
            // What the description itself defines is between its parts and the words of the standard.
            if here.around.is_none() && self.own.words.contains_key(word) {
                return None;
            }
            if let Some(meaning) = here.part.meaning(word) {
                return Some(meaning);
            }
            place = here.around;
        }
        None
    }

    fn vocabulary(&self) -> &str {
        let own = self.own.vocabulary.filter(|_| self.part == Part::Thing);
        own.unwrap_or(self.part.vocabulary())
    }

    /// What a member of this name says here; nothing if that is not known.
    pub(super) fn said(&self, word: &str) -> Option<Said<'d>> {
        match word {
            "@id" => return Some(Said::Id),
            "@type" => return Some(Said::Type),
            _ if word.starts_with('@') => return None,
            _ => {}
        }
        match self.standard(word) {
            Some(Meaning::Id) => return Some(Said::Id),
            Some(Meaning::Type) => return Some(Said::Type),
            Some(Meaning::Term(term)) => {
                return Some(Said::Property {
                    iri: term.iri(),
                    coercion: Explicit::Known(term.coercion),
                    container: term.container,
                    part: term.part,
                });
            }
            None => {}
        }
        let coercion = match self.own.words.get(word) {
            Some(defined) => match (*defined)? {
                Defined { id: "@id", .. } => return Some(Said::Id),
                Defined { id: "@type", .. } => return Some(Said::Type),
                defined => defined.coercion,
            },
            None if word.contains(':') => Explicit::None,
            // A word of the standard that needs no more than its vocabulary.
            None => Explicit::Known(Coercion::Plain),
        };
        Some(Said::Property { iri: self.word(word)?, coercion, container: Container::None, part: None })
    }

    /// The IRI that a word of the vocabulary stands for.
    pub(super) fn word(&self, word: &str) -> Option<String> {
        self.expand(word, true, MAX_STEPS)
    }

    /// An IRI that may be shortened by a prefix. Relative ones are relative to nothing here.
    pub(super) fn iri(&self, text: &str) -> Option<String> {
        self.expand(text, false, MAX_STEPS)
    }

    fn expand(&self, text: &str, is_word: bool, steps: usize) -> Option<String> {
        if text.starts_with('@') {
            return None;
        }
        let steps = steps.checked_sub(1)?;
        if is_word {
            match self.standard(text) {
                Some(Meaning::Term(term)) => return Some(term.iri()),
                Some(_) => return None,
                None => {}
            }
            if let Some(defined) = self.own.words.get(text) {
                let id = (*defined)?.id;
                return self.expand(id, id != text, steps);
            }
        }
        if let Some((before, after)) = text.split_once(':') {
            let own = self.own.words.get(before).copied().flatten().filter(|defined| defined.is_prefix);
            return match own {
                _ if after.starts_with("//") => Some(text.to_owned()),
                Some(own) => Some(format!("{}{after}", self.expand(own.id, own.id != before, steps)?)),
                None => {
                    Some(prefix(before).map_or_else(|| text.to_owned(), |space| format!("{space}{after}")))
                }
            };
        }
        is_word.then(|| format!("{}{text}", self.vocabulary()))
    }
}
