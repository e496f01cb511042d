//! What handlers take and answer, as `OpenAPI` describes it.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{HeaderMap, Method};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::{Accepted, Done, Headed};
use crate::rest::body::{BODIES, MERGE_PATCH};
use crate::rest::representation::{Created, Format, Listed, Shown};
use crate::rest::request::{Answer, Api, Body, InPath, InQuery, Patch, QueryText};

/// An operation's description while it is being made.
pub(in crate::rest) struct Doc<'g> {
    pub(super) generator: &'g mut SchemaGenerator,
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) parameters: Vec<Value>,
    pub(super) body: Option<Value>,
    pub(super) answers: BTreeMap<u16, Value>,
    /// The statuses of the problems that it may have.
    pub(super) problems: BTreeSet<u16>,
}

impl Doc<'_> {
    fn schema<T: JsonSchema>(&mut self) -> Value {
        self.generator.subschema_for::<T>().to_value()
    }

    fn header(&mut self, name: &str, about: &str, schema: &Value) {
        self.parameters.push(json!({"name": name, "in": "header", "description": about, "schema": schema}));
    }

    /// An answer with media types of its own.
    pub(in crate::rest) fn formats(&mut self, about: &str, kinds: impl IntoIterator<Item = &'static str>) {
        let kinds = kinds.into_iter().map(|kind| (kind.to_owned(), json!({})));
        let content: serde_json::Map<String, Value> = kinds.collect();
        self.answers.insert(200, json!({"description": about, "content": content}));
    }

    /// A body with media types of its own.
    pub(in crate::rest) fn takes(&mut self, kinds: impl IntoIterator<Item = &'static str>) {
        self.problems.extend([400, 408, 413, 415]);
        let kinds = kinds.into_iter().map(|kind| (kind.to_owned(), json!({})));
        let content: serde_json::Map<String, Value> = kinds.collect();
        self.body = Some(json!({"required": true, "content": content}));
    }

    /// The body may be of this media type too.
    pub(in crate::rest) fn also_takes(&mut self, kind: &'static str) {
        let content =
            self.body.as_mut().and_then(|body| body.get_mut("content")).and_then(Value::as_object_mut);
        if let Some(content) = content {
            content.insert(kind.to_owned(), json!({"schema": {}}));
        }
    }

    fn answer(&mut self, status: u16, about: &str, plain: &Value, hal: &Value, headers: &Value) {
        let mut content = serde_json::Map::new();
        for format in Format::ALL {
            let schema = match format {
                Format::Json => plain.clone(),
                Format::Hal => hal.clone(),
                Format::Xml => json!({}),
            };
            content.insert(format.media_type().to_owned(), json!({ "schema": schema }));
        }
        let answer = json!({"description": about, "headers": headers, "content": content});
        self.answers.insert(status, answer);
    }
}

/// Something that a handler takes.
pub(in crate::rest) trait Input {
    /// Says what it is.
    fn describe(doc: &mut Doc<'_>);
}

/// Something that a handler answers.
pub(in crate::rest) trait Output {
    /// Says what it is.
    fn describe(doc: &mut Doc<'_>);
}

/// A handler whose arguments and answer are described.
pub(in crate::rest) trait Described<D> {
    /// Says what they are.
    fn describe(doc: &mut Doc<'_>);
}

macro_rules! described {
    ($($input:ident),*) => {
        impl<H, F, O, $($input),*> Described<(O, $($input,)*)> for H
        where
            H: Fn($($input),*) -> F,
            F: Future<Output = Answer<O>>,
            O: Output,
            $($input: Input,)*
        {
            fn describe(doc: &mut Doc<'_>) {
                $($input::describe(doc);)*
                O::describe(doc);
            }
        }
    };
}

described!(A);
described!(A, B);
described!(A, B, C);
described!(A, B, C, E);

impl Input for Api {
    fn describe(doc: &mut Doc<'_>) {
        doc.problems.extend([401, 403]);
        if doc.method.is_safe() {
            let about = "The entity tag of what is known already: 304 if it is still the same";
            doc.header("If-None-Match", about, &json!({"type": "string"}));
        } else {
            doc.problems.extend([409, 412]);
            let about = "The request's name, in the caller's own space of names: however often it is sent \
                         under it, it has one effect and one answer";
            let key = json!({"type": "string", "pattern": "^[!-~]{1,64}$"});
            doc.header("Idempotency-Key", about, &key);
            let about = "The entity tag of what the caller saw: 412 if it was changed since";
            doc.header("If-Match", about, &json!({"type": "string"}));
        }
    }
}

impl<T: JsonSchema> Input for InPath<T> {
    fn describe(doc: &mut Doc<'_>) {
        doc.problems.extend([400, 404]);
        let schema = doc.schema::<T>();
        let each = schema.get("prefixItems").and_then(Value::as_array).cloned();
        let names = doc.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        for (place, name) in names.enumerate() {
            let schema = each.as_ref().map_or(Some(&schema), |each| each.get(place));
            let parameter = json!({"name": name, "in": "path", "required": true, "schema": schema});
            doc.parameters.push(parameter);
        }
    }
}

impl<T: JsonSchema> Input for QueryText<T> {
    fn describe(doc: &mut Doc<'_>) {
        InQuery::<T>::describe(doc);
    }
}

impl<T: JsonSchema> Input for InQuery<T> {
    fn describe(doc: &mut Doc<'_>) {
        doc.problems.insert(400);
        let schema = T::json_schema(doc.generator).to_value();
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let required: Vec<&str> = required.filter_map(Value::as_str).collect();
        let members = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        for (name, mut schema) in members {
            let about = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            let mut parameter = json!({
                "name": name, "in": "query", "required": required.contains(&name.as_str()),
                "schema": not_null(schema),
            });
            if let (Some(about), Some(members)) = (about, parameter.as_object_mut()) {
                members.insert("description".to_owned(), about);
            }
            doc.parameters.push(parameter);
        }
    }
}

/// The schema of a parameter that may be left out: it cannot be given as null.
fn not_null(mut schema: Value) -> Value {
    if let Some(types) = schema.get_mut("type")
        && let Some(list) = types.as_array_mut()
    {
        list.retain(|kind| kind != "null");
        if let [only] = list.as_slice() {
            *types = only.clone();
        }
    }
    let choices = schema.get_mut("anyOf").and_then(Value::as_array_mut);
    if let Some(choices) = choices {
        choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
        if let [only] = choices.as_slice() {
            return only.clone();
        }
    }
    schema
}

impl<T: JsonSchema> Input for Body<T> {
    fn describe(doc: &mut Doc<'_>) {
        doc.problems.extend([400, 408, 413, 415]);
        let schema = doc.schema::<T>();
        let mut content = serde_json::Map::new();
        for kind in BODIES {
            let schema = if kind == "application/json" { schema.clone() } else { json!({}) };
            content.insert(kind.to_owned(), json!({ "schema": schema }));
        }
        doc.body = Some(json!({"required": true, "content": content}));
    }
}

impl<T: JsonSchema> Input for Patch<T> {
    fn describe(doc: &mut Doc<'_>) {
        doc.problems.extend([400, 408, 413, 415]);
        let schema = doc.schema::<T>();
        doc.body = Some(json!({"required": true, "content": {MERGE_PATCH: {"schema": schema}}}));
    }
}

/// A thing with links.
fn linked(plain: &Value) -> Value {
    let links = json!({"$ref": "#/components/schemas/Links"});
    json!({"allOf": [plain, {"type": "object", "properties": {"_links": links}, "required": ["_links"]}]})
}

fn tag() -> Value {
    json!({"description": "What is shown, and of which record", "schema": {"type": "string"}})
}

impl<T: JsonSchema> Output for Shown<T> {
    fn describe(doc: &mut Doc<'_>) {
        let plain = doc.schema::<T>();
        let hal = linked(&plain);
        doc.answer(200, "It is shown", &plain, &hal, &json!({ "ETag": tag() }));
    }
}

/// A list is described where it stands: it has no name of its own.
impl<T: JsonSchema> JsonSchema for Listed<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("List of {}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> schemars::Schema {
        let item = generator.subschema_for::<T>();
        schemars::json_schema!({
            "type": "object",
            "properties": {
                "items": {"type": "array", "items": item},
                "next": {
                    "type": ["string", "null"],
                    "description": "The `after` of the next page; null if this is the last",
                },
            },
            "required": ["items", "next"],
        })
    }
}

impl<T: JsonSchema> Output for Created<T> {
    fn describe(doc: &mut Doc<'_>) {
        let plain = doc.schema::<T>();
        let hal = linked(&plain);
        let place = json!({"description": "Where it is", "schema": {"type": "string"}});
        let headers = json!({"ETag": tag(), "Location": place});
        doc.answer(201, "It was made", &plain, &hal, &headers);
    }
}

impl Output for Done {
    fn describe(doc: &mut Doc<'_>) {
        doc.answers.insert(204, json!({"description": "It is done"}));
    }
}

impl Output for Accepted {
    fn describe(doc: &mut Doc<'_>) {
        doc.answers.insert(202, json!({"description": "It will be done"}));
    }
}

impl<T: Output> Output for Headed<T> {
    fn describe(doc: &mut Doc<'_>) {
        T::describe(doc);
    }
}

/// What a handler looks at itself.
impl Input for HeaderMap {
    fn describe(_: &mut Doc<'_>) {}
}
