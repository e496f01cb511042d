//! Links as HAL has them (draft-kelly-json-hal, section 5).

use std::borrow::Cow;

use i3_core::market::Caller;
use i3_core::market::RecordTag;
use i3_core::store::StoreError;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A thing with links.
///
/// The default has none of its own: it is linked to itself by the address that it was asked for at.
pub(in crate::rest) trait Linked: Serialize {
    /// The tag of the record that it shows, which `If-Match` is about. `None`: it has no record of its own.
    fn tag(&self) -> Result<Option<RecordTag>, StoreError> {
        Ok(None)
    }

    /// Where it is, and what this caller can do with it now. Asked for only if links are shown.
    fn links(&self, _caller: &Caller, _links: &mut Links<'_>) {}
}

/// The links of one thing.
#[derive(Debug)]
pub(in crate::rest) struct Links<'a> {
    base: &'a str,
    links: Vec<(Cow<'static, str>, String)>,
}

impl<'a> Links<'a> {
    /// None yet. Paths will be below this one.
    pub(super) const fn below(base: &'a str) -> Self {
        Self { base, links: Vec::new() }
    }

    /// Where the thing itself is: a path in the interface, `/hubs/…`.
    pub(in crate::rest) fn own(&mut self, path: impl AsRef<str>) {
        self.to("self", path);
    }

    /// Another thing, by a relation of IANA's registry or one that explains itself: `item`, `hub`.
    pub(in crate::rest) fn to(&mut self, relation: &'static str, path: impl AsRef<str>) {
        self.links.push((relation.into(), format!("{}{}", self.base, path.as_ref())));
    }

    /// Something that the caller may do: by the relation that its route is declared with.
    pub(in crate::rest) fn action(&mut self, relation: &'static str, path: impl AsRef<str>) {
        self.links.push((format!("i3:{relation}").into(), format!("{}{}", self.base, path.as_ref())));
    }

    /// As [`action`](Self::action), with a place that has something to be filled in (RFC 6570).
    pub(in crate::rest) fn template(&mut self, relation: &'static str, path: impl AsRef<str>) {
        self.action(relation, path);
    }

    /// As [`to`](Self::to), with an address that is complete.
    pub(super) fn address(&mut self, relation: &'static str, address: String) {
        self.links.push((relation.into(), address));
    }

    pub(super) fn knows_itself(&self) -> bool {
        self.links.iter().any(|(relation, _)| relation == "self")
    }
}

/// A link object.
#[derive(serde::Serialize)]
struct Link<'a> {
    href: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    templated: bool,
}

impl<'a> Link<'a> {
    /// No address has a brace in it but where something is filled in (RFC 3986).
    fn to(href: &'a str) -> Self {
        Self { href, templated: href.contains('{') }
    }
}

#[derive(serde::Serialize)]
struct Curie {
    name: &'static str,
    href: String,
    templated: bool,
}

impl Serialize for Links<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut own = false;
        for (place, (relation, address)) in self.links.iter().enumerate() {
            own |= relation.starts_with("i3:");
            if self.links.iter().take(place).any(|(earlier, _)| earlier == relation) {
                continue;
            }
            let same: Vec<_> = self.links.iter().filter(|(other, _)| other == relation).collect();
            if same.len() == 1 {
                map.serialize_entry(relation, &Link::to(address))?;
            } else {
                let same: Vec<_> = same.iter().map(|(_, address)| Link::to(address)).collect();
                map.serialize_entry(relation, &same)?;
            }
        }
        if own {
            let href = format!("{}/relations/{{rel}}", self.base);
            map.serialize_entry("curies", &[Curie { name: "i3", href, templated: true }])?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn links_of_one_relation_are_a_list_and_own_relations_say_where_they_are_explained() {
        let mut links = Links::below("/shop/api/v1");
        links.own("/hubs/a");
        links.to("item", "/devices/a");
        links.to("item", "/devices/b");
        links.action("suspend", "/hubs/a/state");
        let expected = json!({
            "self": {"href": "/shop/api/v1/hubs/a"},
            "item": [{"href": "/shop/api/v1/devices/a"}, {"href": "/shop/api/v1/devices/b"}],
            "i3:suspend": {"href": "/shop/api/v1/hubs/a/state"},
            "curies": [{"name": "i3", "href": "/shop/api/v1/relations/{rel}", "templated": true}],
        });
        assert_eq!(serde_json::to_value(&links).unwrap(), expected);
    }
}
