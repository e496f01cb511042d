//! The description as pages that run nothing and load nothing.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;

use super::{Operation, Routes, Who, document};
use crate::rest::html::escaped;
use crate::rest::problem::Problem;
use crate::rest::{AppState, BASE};

/// A style sheet is all that the pages have, by its digest.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
    details{border-bottom:1px solid #ccc;padding:.4rem 0}summary{cursor:pointer}code,pre{font:14px monospace}\
    pre{background:#f4f4f4;color:#222;padding:.6rem;overflow:auto;max-height:30rem}b{display:inline-block;min-width:4rem}\
    table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.2rem .5rem;text-align:left;vertical-align:top}";

/// `/openapi.json`, `/docs` and `/relations/{relation}`: not negotiated, each is what it is.
pub(in crate::rest) fn described(routes: &Routes) -> Router<AppState> {
    let document = document(routes);
    let page: Arc<str> = page(&document, &routes.operations()).into();
    let text: Arc<str> = format!("{document:#}").into();
    let operations: Arc<[Operation]> = routes.operations().into();
    let at_base = |path: &str| format!("{BASE}{path}");
    Router::new()
        .route(
            &at_base("/problems/{code}"),
            get(async |Path(code): Path<String>, uri: Uri| problem(&code, &uri)),
        )
        .route(
            &at_base("/openapi.json"),
            get(async move || ([(CONTENT_TYPE, "application/json")], text.to_string()).into_response()),
        )
        .route(&at_base("/docs"), get(async move || html(&page)))
        .route(
            &at_base("/relations/{relation}"),
            get(async move |Path(relation): Path<String>, uri: Uri| explained(&operations, &relation, &uri)),
        )
}

fn html(body: &str) -> Response {
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>I3</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style>{body}</html>"
    );
    let digest = i3_core::store::Digest::of(STYLE.as_bytes());
    let digest = data_encoding::BASE64.encode(digest.as_bytes());
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    ([(CONTENT_SECURITY_POLICY, policy)], Html(page)).into_response()
}

/// What a problem's code means.
fn problem(code: &str, uri: &Uri) -> Response {
    match Problem::explained(code) {
        Some((status, about)) => {
            html(&format!("<h1><code>{}</code></h1><p>{status}: {}</p>", escaped(code), escaped(about)))
        }
        None => nothing_at(uri),
    }
}

fn nothing_at(uri: &Uri) -> Response {
    let detail = format!("there is nothing at `{}`", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "no_such_route", detail).into_response()
}

/// What a relation leads to.
fn explained(operations: &[Operation], relation: &str, uri: &Uri) -> Response {
    let mut body = format!("<h1><code>i3:{}</code></h1>", escaped(relation));
    let mut any = false;
    for operation in operations.iter().filter(|operation| operation.relation == Some(relation)) {
        any = true;
        let _ = write!(
            body,
            "<p><b>{}</b> <code>{}</code> {}</p>",
            operation.method,
            escaped(operation.path),
            escaped(operation.summary)
        );
    }
    if any {
        return html(&body);
    }
    nothing_at(uri)
}

/// A part of the document; null if it is not there.
fn at<'v>(value: &'v Value, path: &[&str]) -> &'v Value {
    path.iter().fold(value, |value, name| value.get(name).unwrap_or(&Value::Null))
}

/// The whole description.
fn page(document: &Value, operations: &[Operation]) -> String {
    let text = |value: &Value| escaped(value.as_str().unwrap_or_default());
    let mut body = format!(
        "<h1>{}</h1><pre>{}</pre><p><a href=\"openapi.json\">OpenAPI document</a></p>",
        text(at(document, &["info", "title"])),
        text(at(document, &["info", "description"])),
    );
    for operation in operations {
        let method = operation.method.as_str().to_ascii_lowercase();
        let described = at(document, &["paths", operation.path, &method]);
        let who = match operation.who {
            Who::Anybody => "Anybody.",
            Who::User => "Users, and programs that act for them.",
            Who::Person => "Users in person.",
        };
        let permissions: Vec<String> =
            operation.permissions.iter().map(|action| format!("<code>{action}</code>")).collect();
        let _ = write!(
            body,
            "<details id=\"{id}\"><summary><b>{}</b> <code>{}</code> {}</summary><p>{who} {}</p>",
            operation.method,
            escaped(operation.path),
            escaped(operation.summary),
            permissions.join(", "),
            id = operation.id,
        );
        parameters(&mut body, described);
        for (name, value) in
            [("Body", at(described, &["requestBody", "content"])), ("Answers", at(described, &["responses"]))]
        {
            if !value.is_null() {
                let _ = write!(
                    body,
                    "<details><summary>{name}</summary><pre>{}</pre></details>",
                    escaped(&format!("{value:#}"))
                );
            }
        }
        body.push_str("</details>");
    }
    body.push_str("<h2>Schemas</h2>");
    for (name, schema) in at(document, &["components", "schemas"]).as_object().into_iter().flatten() {
        let name = escaped(name);
        let _ = write!(
            body,
            "<details id=\"schema-{name}\"><summary><code>{name}</code></summary><pre>{}</pre></details>",
            escaped(&format!("{schema:#}"))
        );
    }
    body
}

fn parameters(body: &mut String, described: &Value) {
    let Some(parameters) = at(described, &["parameters"]).as_array().filter(|list| !list.is_empty()) else {
        return;
    };
    body.push_str("<table><tr><th>Parameter</th><th>in</th><th>schema</th><th></th></tr>");
    for parameter in parameters {
        let text = |name: &str| escaped(at(parameter, &[name]).as_str().unwrap_or_default());
        let _ = write!(
            body,
            "<tr><td><code>{}</code></td><td>{}</td><td><code>{}</code></td><td>{}</td></tr>",
            text("name"),
            text("in"),
            escaped(&at(parameter, &["schema"]).to_string()),
            text("description"),
        );
    }
    body.push_str("</table>");
}
