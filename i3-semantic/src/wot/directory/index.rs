//! Which descriptions have which members: sets of their numbers.

use std::collections::HashMap;

use roaring::RoaringBitmap;
use serde_json::Value;

use super::jsonpath::Need;
use crate::wot::td;

/// Sets of numbers, by what their descriptions have.
#[derive(Debug, Default)]
pub(super) struct Index {
    all: RoaringBitmap,
    sets: HashMap<String, RoaringBitmap>,
}

/// What the index knows of a path: top-level members, and names of affordances.
fn knows(path: &[String]) -> bool {
    match path {
        [_] => true,
        [kind, _] => td::AFFORDANCES.iter().any(|(known, _)| known == kind),
        _ => false,
    }
}

fn has(path: &[&str]) -> String {
    format!("h{}", path.join("\0"))
}

fn equals(member: &str, text: &str) -> String {
    format!("e{member}\0{text}")
}

fn keys(description: &Value) -> Vec<String> {
    let mut keys = Vec::new();
    for (member, value) in description.as_object().into_iter().flatten() {
        keys.push(has(&[member]));
        if let Some(text) = value.as_str() {
            keys.push(equals(member, text));
        }
    }
    for (kind, _) in td::AFFORDANCES {
        let affordances = description.get(kind).and_then(Value::as_object);
        keys.extend(affordances.into_iter().flatten().map(|(name, _)| has(&[kind, name])));
    }
    keys
}

impl Index {
    pub(super) fn insert(&mut self, number: u32, description: &Value) {
        self.all.insert(number);
        for key in keys(description) {
            self.sets.entry(key).or_default().insert(number);
        }
    }

    pub(super) fn remove(&mut self, number: u32, description: &Value) {
        self.all.remove(number);
        for key in keys(description) {
            if let Some(set) = self.sets.get_mut(&key) {
                set.remove(number);
                if set.is_empty() {
                    self.sets.remove(&key);
                }
            }
        }
    }

    /// The descriptions that may have all this; never without one that has.
    pub(super) fn candidates(&self, needs: &[Need]) -> RoaringBitmap {
        let mut found: Option<RoaringBitmap> = None;
        for need in needs {
            let key = match need {
                Need::Has(path) if knows(path) => has(&path.iter().map(String::as_str).collect::<Vec<_>>()),
                Need::Equals(path, text) => match path.as_slice() {
                    [member] => equals(member, text),
                    // What lies within an affordance is not here, but the affordance is.
                    [kind, name, ..] if knows(&[kind.clone(), name.clone()]) => has(&[kind, name]),
                    [member, ..] => has(&[member]),
                    [] => continue,
                },
                Need::Has(path) => match path.as_slice() {
                    [kind, name, ..] if knows(&[kind.clone(), name.clone()]) => has(&[kind, name]),
                    [member, ..] => has(&[member]),
                    [] => continue,
                },
            };
            let Some(set) = self.sets.get(&key) else { return RoaringBitmap::new() };
            found = Some(match found {
                Some(found) => found & set,
                None => set.clone(),
            });
        }
        found.unwrap_or_else(|| self.all.clone())
    }
}
