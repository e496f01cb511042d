//! How a document is walked through, and how errors are told.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::rules;
use crate::wot::json::kind;

/// One thing that is wrong with a document, as WoT Discovery (section 7.2.2.1.6) wants it told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{field}: {description}")]
pub struct ValidationError {
    /// Where: names and positions with dots between, `(root)` for the document itself.
    pub field: String,
    /// What is wrong.
    pub description: String,
}

impl ValidationError {
    /// How many are told of one document.
    pub const MOST: usize = 100;

    /// An error in the document as a whole, or in this member of it.
    pub fn new(field: impl Into<String>, description: impl fmt::Display) -> Self {
        Self { field: field.into(), description: description.to_string() }
    }
}

/// A rule for a value.
pub(super) type Rule<'d> = fn(&mut Checker<'d>, &'d Value);

/// The walk through one document.
pub(super) struct Checker<'d> {
    /// Whether it is a Thing Model.
    pub(super) model: bool,
    /// The names of its security definitions.
    pub(super) security: Vec<&'d str>,
    /// The names of its schema definitions.
    pub(super) schemas: Vec<&'d str>,
    path: Vec<String>,
    errors: Vec<ValidationError>,
}

pub(super) fn run(document: &Value, model: bool) -> Result<(), Vec<ValidationError>> {
    let names = |member: &str| -> Vec<&str> {
        let names = document.get(member).and_then(Value::as_object);
        names.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    };
    let mut checker = Checker {
        model,
        security: names("securityDefinitions"),
        schemas: names("schemaDefinitions"),
        path: Vec::new(),
        errors: Vec::new(),
    };
    rules::thing(&mut checker, document);
    if checker.errors.is_empty() { Ok(()) } else { Err(checker.errors) }
}

impl<'d> Checker<'d> {
    /// Something is wrong here.
    pub(super) fn wrong(&mut self, description: impl fmt::Display) {
        if self.errors.len() < ValidationError::MOST {
            let field = if self.path.is_empty() { "(root)".to_owned() } else { self.path.join(".") };
            self.errors.push(ValidationError { field, description: description.to_string() });
        }
    }

    /// Whether so much is wrong that nothing more is told.
    fn is_full(&self) -> bool {
        self.errors.len() >= ValidationError::MOST
    }

    fn within(&mut self, step: impl Into<String>, check: impl FnOnce(&mut Self)) {
        if self.is_full() {
            return;
        }
        self.path.push(step.into());
        check(self);
        self.path.pop();
    }

    /// Whether a placeholder stands for the value, which only models have.
    pub(super) fn stands_for_value(&self, value: &Value) -> bool {
        self.model && value.as_str().is_some_and(|text| placeholder_in(text).is_some())
    }

    /// Something else was expected here, unless a placeholder stands for it.
    pub(super) fn expected(&mut self, what: &str, value: &Value) {
        if !self.stands_for_value(value) {
            self.wrong(format_args!("{what} is expected, but this is {}", kind(value)));
        }
    }

    /// The object that is here, if it is one.
    pub(super) fn object(&mut self, value: &'d Value) -> Option<&'d Map<String, Value>> {
        let object = value.as_object();
        if object.is_none() {
            self.expected("an object", value);
        }
        object
    }

    /// A member that may be missing.
    pub(super) fn member(&mut self, object: &'d Map<String, Value>, name: &str, rule: Rule<'d>) {
        if let Some(value) = object.get(name) {
            self.within(name, |checker| rule(checker, value));
        }
    }

    /// Members that may be missing, all by one rule.
    pub(super) fn members(&mut self, object: &'d Map<String, Value>, names: &[&str], rule: Rule<'d>) {
        for name in names {
            self.member(object, name, rule);
        }
    }

    /// A member that must be there.
    pub(super) fn required(&mut self, object: &Map<String, Value>, name: &str) {
        if !object.contains_key(name) {
            self.wrong(format_args!("`{name}` is required"));
        }
    }

    /// Every member of an object, by one rule.
    pub(super) fn each_member(&mut self, value: &'d Value, rule: Rule<'d>) {
        for (name, value) in self.object(value).into_iter().flatten() {
            if self.model && placeholder_in(name).is_some() {
                self.within(name.as_str(), |checker| checker.wrong("a name cannot be a placeholder"));
            }
            self.within(name.as_str(), |checker| rule(checker, value));
        }
    }

    /// Every item of an array, by one rule; `least` items are expected.
    pub(super) fn each_item(&mut self, value: &'d Value, least: usize, rule: Rule<'d>) {
        let Some(items) = value.as_array() else { return self.expected("an array", value) };
        if items.len() < least {
            self.wrong(format_args!("at least {least} items are expected, but there are {}", items.len()));
        }
        for (place, item) in items.iter().enumerate() {
            self.within(place.to_string(), |checker| rule(checker, item));
        }
    }

    /// One value by the rule, or an array of at least `least` of them.
    pub(super) fn one_or_more(&mut self, value: &'d Value, least: usize, rule: Rule<'d>) {
        if value.is_array() { self.each_item(value, least, rule) } else { rule(self, value) }
    }

    /// One of these texts.
    pub(super) fn one_of(&mut self, value: &Value, allowed: &[&str]) {
        match value.as_str() {
            Some(text) if allowed.contains(&text) || self.stands_for_value(value) => {}
            Some(text) => {
                self.wrong(format_args!("`{text}` is not one of: {}", allowed.join(", ")));
            }
            None => self.expected("a text", value),
        }
    }
}

/// The name in the first placeholder of a text: `{{NAME}}` (TD 1.1, section 9.3.4).
pub(crate) fn placeholder_in(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("{{")?;
    let (name, _) = after.split_once("}}")?;
    (!name.is_empty()).then_some(name)
}
