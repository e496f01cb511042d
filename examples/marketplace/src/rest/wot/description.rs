//! The directory's own Thing Description (section 6.2 of the standard), after the standard's Thing Model of a directory.

use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::affordances::{actions, events, properties};
use super::{TD, answered};
use crate::rest::request::{Answer, Api};

pub(super) async fn directory(api: Api, headers: HeaderMap) -> Answer<Response> {
    let issuer = api.access().oauth.settings().issuer().to_string();
    answered(&headers, &TD, description(&issuer).to_string())
}

/// The description of a directory at this address.
fn description(address: &str) -> Value {
    let address = address.trim_end_matches('/');
    json!({
        "@context": [i3_semantic::wot::td::CONTEXT, i3_semantic::wot::registration::CONTEXT],
        "@type": "ThingDirectory",
        "id": format!("{address}/.well-known/wot"),
        "title": "I3 Thing Description Directory",
        "description": "Thing Descriptions that were registered with this marketplace",
        "base": format!("{address}/"),
        "securityDefinitions": {
            "anybody": {"scheme": "nosec"},
            "token": {"scheme": "bearer", "in": "header", "name": "Authorization", "format": "opaque"},
        },
        "security": "anybody",
        "properties": properties(),
        "actions": actions(),
        "events": events(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_describes_itself_by_a_valid_description() {
        let described = description("https://market.example");
        i3_semantic::wot::td::validate(&described).unwrap();
        assert_eq!(described["@type"], "ThingDirectory");
    }
}
