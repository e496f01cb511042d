//! What the directory offers, as the standard's Thing Model of a directory has it (section 7.3.2.4).

use serde_json::{Value, json};

const PROBLEM: &str = "application/problem+json";

/// A refusal that an operation may have.
fn refusal(status: u16, about: &str) -> Value {
    json!({"description": about, "contentType": PROBLEM, "htv:statusCodeValue": status})
}

fn id() -> Value {
    json!({"id": {"@type": "ThingID", "title": "The id of a description", "type": "string", "format": "iri-reference"}})
}

pub(super) fn properties() -> Value {
    json!({
        "things": {
            "description": "All descriptions that the caller sees, a page at a time",
            "type": "array",
            "readOnly": true,
            "uriVariables": {
                "offset": {"title": "How many are skipped", "type": "integer", "minimum": 0, "default": 0},
                "limit": {"title": "At most how many", "type": "integer", "minimum": 1},
                "format": {"type": "string", "enum": ["array", "collection"], "default": "array"},
                "sort_by": {"type": "string", "enum": ["id", "created", "modified", "title"], "default": "id"},
                "sort_order": {"type": "string", "enum": ["asc", "desc"], "default": "asc"},
            },
            "forms": [{
                "href": "things{?offset,limit,format,sort_by,sort_order}",
                "htv:methodName": "GET",
                "response": {
                    "description": "A page",
                    "htv:statusCodeValue": 200,
                    "contentType": "application/ld+json",
                    "htv:headers": [{"htv:fieldName": "Link"}],
                },
                "additionalResponses": [refusal(400, "An argument makes no sense")],
            }],
        },
    })
}

pub(super) fn actions() -> Value {
    let bad = || refusal(400, "No JSON, or no valid description");
    let unknown = || refusal(404, "There is no such description");
    let unanswered = || refusal(400, "There is no query, or none that is answered");
    let unsigned = || refusal(401, "Nobody is signed in");
    let description = || json!({"description": "A Thing Description", "type": "object"});
    let done = json!({"description": "It is done", "htv:statusCodeValue": 204});
    json!({
        "createThing": {
            "description": "Registers a description that has an id",
            "uriVariables": id(),
            "input": description(),
            "forms": [{
                "href": "things/{id}", "htv:methodName": "PUT", "contentType": "application/td+json", "security": "token",
                "response": {"description": "It was registered", "htv:statusCodeValue": 201},
                "additionalResponses": [bad(), unsigned()],
            }],
        },
        "createAnonymousThing": {
            "description": "Registers a description without an id",
            "input": description(),
            "forms": [{
                "href": "things", "htv:methodName": "POST", "contentType": "application/td+json", "security": "token",
                "response": {
                    "description": "It was registered under an id of the directory's",
                    "htv:headers": [{"description": "Where it is", "htv:fieldName": "Location"}],
                    "htv:statusCodeValue": 201,
                },
                "additionalResponses": [bad(), unsigned()],
            }],
        },
        "retrieveThing": {
            "description": "A description",
            "uriVariables": id(),
            "output": description(),
            "safe": true,
            "idempotent": true,
            "forms": [{
                "href": "things/{id}", "htv:methodName": "GET",
                "response": {"description": "It", "htv:statusCodeValue": 200, "contentType": "application/td+json"},
                "additionalResponses": [unknown()],
            }],
        },
        "updateThing": {
            "description": "Replaces a description",
            "uriVariables": id(),
            "input": description(),
            "forms": [{
                "href": "things/{id}", "htv:methodName": "PUT", "contentType": "application/td+json", "security": "token",
                "response": done,
                "additionalResponses": [bad(), unsigned()],
            }],
        },
        "partiallyUpdateThing": {
            "description": "Changes parts of a description",
            "uriVariables": id(),
            "input": {"description": "The parts that change", "type": "object"},
            "forms": [{
                "href": "things/{id}", "htv:methodName": "PATCH", "contentType": "application/merge-patch+json",
                "security": "token",
                "response": done,
                "additionalResponses": [bad(), unsigned(), unknown()],
            }],
        },
        "deleteThing": {
            "description": "Removes a description",
            "uriVariables": id(),
            "forms": [{
                "href": "things/{id}", "htv:methodName": "DELETE", "security": "token",
                "response": done,
                "additionalResponses": [unsigned(), unknown()],
            }],
        },
        "searchJSONPath": {
            "description": "What a JSONPath query (RFC 9535) finds in all descriptions that the caller sees",
            "uriVariables": {"query": {"title": "The query", "type": "string"}},
            "output": {"description": "Descriptions, or parts of them", "type": "array"},
            "safe": true,
            "idempotent": true,
            "forms": [{
                "href": "search/jsonpath{?query}", "htv:methodName": "GET",
                "response": {"description": "What was found", "contentType": "application/json", "htv:statusCodeValue": 200},
                "additionalResponses": [unanswered()],
            }],
        },
        "searchSPARQL": {
            "description": "What a SPARQL 1.1 query finds in the descriptions that everybody sees",
            "uriVariables": {"query": {"title": "The query: SELECT, ASK, CONSTRUCT or DESCRIBE", "type": "string"}},
            "output": {"description": "As the query has it", "type": "object"},
            "safe": true,
            "idempotent": true,
            "forms": [
                {
                    "href": "search/sparql{?query}", "htv:methodName": "GET",
                    "response": {"description": "What was found", "contentType": "application/json", "htv:statusCodeValue": 200},
                    "additionalResponses": [unanswered()],
                },
                {
                    "href": "search/sparql", "htv:methodName": "POST", "contentType": "application/sparql-query",
                    "response": {"description": "What was found", "contentType": "application/json", "htv:statusCodeValue": 200},
                    "additionalResponses": [unanswered()],
                },
            ],
        },
    })
}

pub(super) fn events() -> Value {
    let event = |kind: &str, about: &str, diff: &str| {
        json!({
            "description": about,
            "uriVariables": {"diff": {"description": diff, "type": "boolean"}},
            "data": {"title": "A description, or a part of it that has its id", "type": "object"},
            "forms": [{
                "op": "subscribeevent",
                "href": format!("events/{kind}{{?diff}}"),
                "subprotocol": "sse",
                "htv:headers": [{"description": "The last event that was received", "htv:fieldName": "Last-Event-ID"}],
                "response": {"contentType": "text/event-stream"},
            }],
        })
    };
    json!({
        "thingCreated": event("thing_created", "A description came", "With the whole description"),
        "thingUpdated": event("thing_updated", "A description changed", "With what changed, as a merge patch"),
        "thingDeleted": event("thing_deleted", "A description went", "Makes no difference"),
    })
}
