//! Any JSON value as XML and back, without loss.
//!
//! An object is an element for each of its members, in their order; a list has an `item` for each of its items.
//! `type` says what is not an object, if it has children, or else a text: `array`, `object` (an empty one),
//! `number`, `boolean`, `null`. A member whose name is no XML name is `<entry key="…">`. A text with characters
//! that no XML document may hold (control characters) is `type="json"` and written as JSON writes it.
//!
//! Documents with a document type declaration, and so with entities of their own, are refused: nothing
//! is fetched and nothing grows when it is read.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion, escape};
use serde_json::{Map, Value};

/// How deep a document may be.
const MAX_DEPTH: usize = 64;

/// This value as a document with a root element of this name.
pub(super) fn write(root: &str, value: &Value) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    element(&mut text, root, value);
    text
}

fn element(text: &mut String, name: &str, value: &Value) {
    let named = is_name(name);
    text.push('<');
    text.push_str(if named { name } else { "entry" });
    if !named {
        attribute(text, "key", name);
    }
    match value {
        Value::Null => attribute(text, "type", "null"),
        Value::Bool(_) => attribute(text, "type", "boolean"),
        Value::Number(_) => attribute(text, "type", "number"),
        Value::Array(_) => attribute(text, "type", "array"),
        Value::Object(members) if members.is_empty() => attribute(text, "type", "object"),
        Value::String(content) if !is_writable(content) => attribute(text, "type", "json"),
        Value::Object(_) | Value::String(_) => {}
    }
    text.push('>');
    match value {
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) => text.push_str(&value.to_string()),
        Value::String(content) if is_writable(content) => text.push_str(&escape::escape(content.as_str())),
        Value::String(_) => text.push_str(&escape::escape(value.to_string().as_str())),
        Value::Array(items) => items.iter().for_each(|item| element(text, "item", item)),
        Value::Object(members) => members.iter().for_each(|(name, value)| element(text, name, value)),
    }
    text.push_str("</");
    text.push_str(if named { name } else { "entry" });
    text.push('>');
}

/// Appends an attribute. What is no XML character is written as JSON would, with `json-key` for `key`.
fn attribute(text: &mut String, name: &str, value: &str) {
    let (prefix, value) =
        if is_writable(value) { ("", value.to_owned()) } else { ("json-", Value::from(value).to_string()) };
    text.push(' ');
    text.push_str(prefix);
    text.push_str(name);
    text.push_str("=\"");
    // White space in attributes is read as spaces unless it is escaped.
    text.push_str(&escape::escape(value.as_str()).replace('\n', "&#10;").replace('\t', "&#9;"));
    text.push('"');
}

/// Whether a member's name can be an element's. Narrower than XML's rule: ASCII only, and no colon.
fn is_name(name: &str) -> bool {
    let mut letters = name.bytes();
    let first = letters.next().is_some_and(|letter| letter.is_ascii_alphabetic() || letter == b'_');
    let rest = letters.all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, b'_' | b'-' | b'.'));
    let reserved = name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("xml")) || name == "entry";
    first && rest && !reserved
}

/// Whether a text reads back from XML as it was written: all of it characters that XML has (XML 1.0, section
/// 2.2), no carriage return, which would be read as a line feed, and not blank, which readers leave out.
fn is_writable(text: &str) -> bool {
    let legal = text.chars().all(|letter| {
        matches!(letter, '\t' | '\n' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
    });
    legal && (text.is_empty() || !text.trim().is_empty())
}

/// Why a text is not such a document.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidXml {
    #[error("{0}")]
    Syntax(#[from] quick_xml::Error),
    #[error("document type declarations and processing instructions are not taken")]
    Declaration,
    #[error("the entity `{0}` is not known")]
    Entity(String),
    #[error("elements are at most {MAX_DEPTH} deep")]
    TooDeep,
    #[error("the attribute `{0}` is not known")]
    Attribute(String),
    #[error("text beside elements")]
    Mixed,
    #[error("`{0}` is there twice")]
    Twice(String),
    #[error("not a {0}")]
    Content(&'static str),
    #[error("one element is expected")]
    Root,
}

impl From<quick_xml::events::attributes::AttrError> for InvalidXml {
    fn from(error: quick_xml::events::attributes::AttrError) -> Self {
        Self::Syntax(error.into())
    }
}

/// An element that is being read.
#[derive(Debug)]
struct Open {
    name: String,
    kind: String,
    text: String,
    children: Vec<(String, Value)>,
}

/// The value that a document stands for; the root's name says nothing.
pub(super) fn read(text: &str) -> Result<Value, InvalidXml> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    loop {
        match reader.read_event()? {
            Event::Start(start) => {
                if open.len() >= MAX_DEPTH {
                    return Err(InvalidXml::TooDeep);
                }
                if open.is_empty() && root.is_some() {
                    return Err(InvalidXml::Root);
                }
                open.push(begin(&start)?);
            }
            Event::End(_) => {
                let Some(done) = open.pop() else { return Err(InvalidXml::Root) };
                let (name, value) = close(done)?;
                match open.last_mut() {
                    Some(parent) => parent.children.push((name, value)),
                    None => root = Some(value),
                }
            }
            Event::Text(part) => add(&mut open, &part.xml_content(XmlVersion::Implicit1_0))?,
            Event::CData(part) => add(&mut open, &part.xml_content(XmlVersion::Implicit1_0))?,
            Event::GeneralRef(reference) => {
                let resolved = if let Some(letter) = reference.resolve_char_ref()? {
                    letter.to_string()
                } else {
                    let name: &str = &reference;
                    escape::resolve_predefined_entity(name)
                        .ok_or_else(|| InvalidXml::Entity(name.to_owned()))?
                        .to_owned()
                };
                add(&mut open, &resolved)?;
            }
            Event::DocType(_) | Event::PI(_) => return Err(InvalidXml::Declaration),
            Event::Decl(_) | Event::Comment(_) | Event::Empty(_) => {}
            Event::Eof => break,
        }
    }
    if !open.is_empty() {
        return Err(InvalidXml::Root);
    }
    root.ok_or(InvalidXml::Root)
}

fn add(open: &mut [Open], text: &str) -> Result<(), InvalidXml> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err(InvalidXml::Root),
    }
    Ok(())
}

fn begin(start: &BytesStart<'_>) -> Result<Open, InvalidXml> {
    let mut name = start.name().as_ref().to_owned();
    let mut kind = String::new();
    for attribute in start.attributes() {
        let attribute = attribute?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0)?.into_owned();
        match attribute.key.as_ref() {
            "type" => kind = value,
            "key" if name == "entry" => name = value,
            "json-key" if name == "entry" => {
                name = serde_json::from_str(&value).map_err(|_| InvalidXml::Content("JSON text"))?;
            }
            // What documents say of themselves is not about what they hold.
            key if key.starts_with("xmlns") || key.starts_with("xml:") => {}
            key => return Err(InvalidXml::Attribute(key.to_owned())),
        }
    }
    Ok(Open { name, kind, text: String::new(), children: Vec::new() })
}

fn close(element: Open) -> Result<(String, Value), InvalidXml> {
    let Open { name, kind, text, children } = element;
    let parent = !children.is_empty() || matches!(&*kind, "array" | "object");
    if parent && !text.trim().is_empty() {
        return Err(InvalidXml::Mixed);
    }
    let json =
        |expected| serde_json::from_str::<Value>(text.trim()).map_err(|_| InvalidXml::Content(expected));
    let value = match &*kind {
        "array" => Value::Array(children.into_iter().map(|(_, value)| value).collect()),
        "" if children.is_empty() => Value::String(text),
        "" | "object" => {
            let mut members = Map::new();
            for (name, value) in children {
                if members.contains_key(&name) {
                    return Err(InvalidXml::Twice(name));
                }
                members.insert(name, value);
            }
            Value::Object(members)
        }
        _ if parent => return Err(InvalidXml::Mixed),
        "string" => Value::String(text),
        "json" => Value::String(json("JSON text")?.as_str().unwrap_or_default().to_owned()),
        "number" => Some(json("number")?).filter(Value::is_number).ok_or(InvalidXml::Content("number"))?,
        "boolean" => {
            Some(json("boolean")?).filter(Value::is_boolean).ok_or(InvalidXml::Content("boolean"))?
        }
        "null" if text.trim().is_empty() => Value::Null,
        _ => return Err(InvalidXml::Content("type: array, object, number, boolean, null, string or json")),
    };
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_people_read_is_plain() {
        let value = json!({
            "title": "Air & <water>",
            "tags": ["a", "b"],
            "price": 12,
            "open": true,
            "none": null,
            "empty": {},
            "$ref": "#/x",
        });
        let written = write("product", &value);
        assert!(written.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<product>"), "{written}");
        // The members' order is that of the map.
        for member in [
            "<title>Air &amp; &lt;water&gt;</title>",
            "<tags type=\"array\"><item>a</item><item>b</item></tags>",
            "<price type=\"number\">12</price>",
            "<open type=\"boolean\">true</open>",
            "<none type=\"null\"></none>",
            "<empty type=\"object\"></empty>",
            "<entry key=\"$ref\">#/x</entry>",
        ] {
            assert!(written.contains(member), "{member} in {written}");
        }
        assert_eq!(read(&written).unwrap(), value);
    }

    #[test]
    fn what_is_no_such_document_is_refused() {
        let deep = "<a>".repeat(MAX_DEPTH + 1);
        let table = [
            "",
            "<a>",
            "</a>",
            "<a></b>",
            "<a/><b/>",
            "text",
            "<a/>text",
            "<a>text<b/></a>",
            "<a><b/><b/></a>",
            "<a type=\"number\">twelve</a>",
            "<a type=\"number\">\"12\"</a>",
            "<a type=\"boolean\">1</a>",
            "<a type=\"null\">x</a>",
            "<a type=\"date\">x</a>",
            "<a href=\"x\"/>",
            "<a>&x;</a>",
            "<a>&#0;</a>",
            "<?php x?><a/>",
            "<!DOCTYPE a><a/>",
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
            "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>",
            &deep,
        ];
        for text in table {
            assert!(read(text).is_err(), "{text}");
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[ \t\r\n]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_comes_back_as_it_was(value in values()) {
            prop_assert_eq!(read(&write("resource", &value)).unwrap(), value);
        }

        #[test]
        fn no_text_makes_the_reader_fall_over(text in "[<>/&;!a-c\"=? \\[\\]#x0-9-]{0,80}") {
            let _ = read(&text);
        }
    }
}
