//! The `OpenAPI` document (version 3.1.1).

use std::collections::BTreeMap;

use i3_core::oauth::Scope;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{Declared, Doc, Routes, Who};
use crate::rest::BASE;
use crate::rest::oauth::documented_scopes;

/// What every problem says (RFC 9457).
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only described: `problem::Details` is written")]
struct Problem {
    /// Where the code is explained.
    r#type: String,
    /// The status in words.
    title: String,
    /// The status.
    status: u16,
    /// What is wrong this time, for people.
    detail: String,
    /// What is wrong, for programs: stable.
    code: String,
    /// This very request, as the log knows it.
    instance: String,
    /// The parts of the request that are at fault.
    errors: Option<Vec<Fault>>,
}

/// What is wrong with a part of the request.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only described")]
struct Fault {
    /// A part of the body: a JSON pointer as a URI fragment.
    pointer: Option<String>,
    /// A parameter of the query string.
    parameter: Option<String>,
    /// What is wrong with it.
    detail: String,
}

/// The description of these routes.
pub(in crate::rest) fn document(routes: &Routes) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    generator.subschema_for::<Problem>();

    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for declared in &routes.declared {
        let Declared { operation, describe } = declared;
        let mut doc = Doc {
            generator: &mut generator,
            method: operation.method.clone(),
            path: operation.path,
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            problems: [406, 429, 500, 503].into(),
        };
        describe(&mut doc);
        let described = operation_of(declared, doc);
        let method = operation.method.as_str().to_ascii_lowercase();
        paths.entry(operation.path).or_default().insert(method, described);
    }
    let mut schemas = generator.take_definitions(true);
    let scopes = documented_scopes();
    schemas.insert("Links".to_owned(), links());
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "I3 IoT data marketplace",
            "version": env!("CARGO_PKG_VERSION"),
            "description": super::super::ABOUT,
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": BASE}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {"Problem": {
                "description": "It was not done; `code` says why",
                "content": {
                    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
                    "application/problem+xml": {"schema": {}},
                },
            }},
            "securitySchemes": {
                "bearer": {
                    "type": "http", "scheme": "bearer",
                    "description": "An API token of `POST /tokens`: a user in person",
                },
                "oauth2": {
                    "type": "oauth2",
                    "description": "A program that acts for a user, with an access token of `/oauth/token`: no more \
                        than its scopes allow and the user may do now. Each role that was created is a scope besides, `as:` and its name",
                    "flows": {
                        "authorizationCode": {
                            "authorizationUrl": "/oauth/authorize", "tokenUrl": "/oauth/token",
                            "refreshUrl": "/oauth/token", "scopes": scopes,
                        },
                        "clientCredentials": {"tokenUrl": "/oauth/token", "scopes": scopes},
                    },
                },
            },
        },
    })
}

fn operation_of(declared: &Declared, doc: Doc<'_>) -> Value {
    let operation = &declared.operation;
    let mut responses = Map::new();
    for (status, answer) in doc.answers {
        responses.insert(status.to_string(), answer);
    }
    if operation.method.is_safe() {
        let known = "It is what the client has already";
        responses.insert("304".to_owned(), json!({ "description": known }));
    }
    for status in doc.problems.into_iter().chain(operation.refusals.iter().copied()) {
        responses
            .entry(status.to_string())
            .or_insert_with(|| json!({"$ref": "#/components/responses/Problem"}));
    }
    let permissions: Vec<&str> = operation.permissions.iter().map(|action| action.permission()).collect();
    let wide = if operation.method.is_safe() { Scope::READ } else { Scope::WRITE };
    let security = match operation.who {
        Who::Anybody => json!([{}, {"bearer": []}, {"oauth2": []}]),
        // The permissions suffice, whatever it is asked about.
        Who::User => json!([{"bearer": []}, {"oauth2": [wide]}, {"oauth2": permissions}]),
        Who::Person => json!([{"bearer": []}]),
    };
    let tag = operation.path.split('/').nth(1).unwrap_or_default();
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [tag],
        "parameters": doc.parameters,
        "responses": responses,
        "security": security,
        "x-who": match operation.who {
            Who::Anybody => "anybody",
            Who::User => "users",
            Who::Person => "users in person",
        },
        "x-permissions": permissions,
    });
    let mut set = |name: &str, value: Value| {
        described.as_object_mut().map(|members| members.insert(name.to_owned(), value));
    };
    if let Some(body) = doc.body {
        set("requestBody", body);
    }
    if let Some(relation) = operation.relation {
        set("x-relation", relation.into());
    }
    described
}

fn links() -> Value {
    let link = json!({
        "type": "object",
        "properties": {"href": {"type": "string"}, "templated": {"type": "boolean"}, "name": {"type": "string"}},
        "required": ["href"],
    });
    json!({
        "description": "Where one can go from here (HAL). Relations that begin with `i3:` are what the caller may do",
        "type": "object",
        "additionalProperties": {"anyOf": [link, {"type": "array", "items": link}]},
    })
}
