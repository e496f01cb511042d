//! What a directory adds to a description, and what it takes from one (WoT Discovery, section 7.2.1).

use i3_core::thing::{Lifetime, Thing, ThingId};
use i3_core::time::Timestamp;
use serde_json::{Map, Number, Value, json};

use super::td::{self, ValidationError};

/// The context of the terms that a directory adds.
pub const CONTEXT: &str = "https://www.w3.org/2022/wot/discovery";

/// A description as somebody sent it, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    /// The id that it has; `None` if it is anonymous.
    pub id: Option<ThingId>,
    /// The document, without what the directory keeps beside it.
    pub document: Value,
    /// Until when its registration shall hold.
    pub lifetime: Lifetime,
}

/// Validates a description and takes from its `registration` what clients may set: `expires`, `ttl`. `created`,
/// `modified` and `retrieved` are the server's, and what clients say there is ignored; members that nobody here knows
/// stay in the document.
pub fn take(mut document: Value) -> Result<Submitted, Vec<ValidationError>> {
    let mut errors = td::validate(&document).err().unwrap_or_default();
    let id = match document.get("id").and_then(Value::as_str).map(str::parse) {
        Some(Ok(id)) => Some(id),
        Some(Err(error)) => {
            errors.push(ValidationError::new("id", error));
            None
        }
        None => None,
    };
    let lifetime = lifetime(&document, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    if let Some(members) = document.as_object_mut()
        && let Some(Value::Object(mut registration)) = members.remove("registration")
    {
        for known in ["created", "modified", "expires", "ttl", "retrieved"] {
            registration.remove(known);
        }
        if !registration.is_empty() {
            members.insert("registration".to_owned(), Value::Object(registration));
        }
    }
    Ok(Submitted { id, document, lifetime })
}

fn lifetime(document: &Value, errors: &mut Vec<ValidationError>) -> Lifetime {
    let mut lifetime = Lifetime::default();
    let registration = match document.get("registration") {
        None => return lifetime,
        Some(Value::Object(registration)) => registration,
        Some(_) => {
            errors.push(ValidationError::new("registration", "an object is expected"));
            return lifetime;
        }
    };
    if let Some(ttl) = registration.get("ttl") {
        lifetime.ttl = ttl.as_f64().and_then(micros).filter(|ttl| *ttl <= Lifetime::MAX_TTL);
        if lifetime.ttl.is_none() {
            let description = "a number of seconds is expected, not negative, a hundred years at most";
            errors.push(ValidationError::new("registration.ttl", description));
        }
    }
    if let Some(expires) = registration.get("expires").filter(|_| lifetime.ttl.is_none()) {
        lifetime.expires = expires.as_str().and_then(|text| text.parse().ok());
        if lifetime.expires.is_none() {
            let description = "a time of RFC 3339 with its offset is expected";
            errors.push(ValidationError::new("registration.expires", description));
        }
    }
    lifetime
}

/// Seconds as microseconds, if they are not negative.
fn micros(seconds: f64) -> Option<u64> {
    // As text, because the standard library has no checked way from a float to an integer.
    format!("{:.0}", seconds * 1e6).parse().ok()
}

/// The description as everybody sees it: with its id, the directory's context and registration information.
pub fn enriched(thing: &Thing) -> Value {
    let mut document = client_side(thing);
    let Some(members) = document.as_object_mut() else { return document };
    add_context(members);
    let registration = members.entry("registration").or_insert_with(|| json!({}));
    if let Some(registration) = registration.as_object_mut() {
        registration.insert("created".to_owned(), json!(thing.created));
        registration.insert("modified".to_owned(), json!(thing.modified));
    }
    document
}

/// With the time at which it is handed out.
pub fn retrieved(mut enriched: Value, now: Timestamp) -> Value {
    if let Some(registration) = enriched.get_mut("registration").and_then(Value::as_object_mut) {
        registration.insert("retrieved".to_owned(), json!(now));
    }
    enriched
}

/// The description as its owner could have sent it: what a merge patch is applied to.
pub fn client_side(thing: &Thing) -> Value {
    // It was JSON when it was taken.
    let mut document: Value = serde_json::from_str(&thing.document).unwrap_or_else(|_| json!({}));
    let Some(members) = document.as_object_mut() else { return document };
    members.insert("id".to_owned(), json!(thing.id));
    let mut said = Map::new();
    if let Some(ttl) = thing.lifetime.ttl {
        said.insert("ttl".to_owned(), seconds(ttl));
    }
    if let Some(expires) = thing.lifetime.expires {
        said.insert("expires".to_owned(), json!(expires));
    }
    if !said.is_empty() {
        let registration = members.entry("registration").or_insert_with(|| json!({}));
        if let Some(registration) = registration.as_object_mut() {
            registration.extend(said);
        }
    }
    document
}

fn seconds(micros: u64) -> Value {
    if micros.is_multiple_of(1_000_000) {
        return Value::from(micros / 1_000_000);
    }
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.parse().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}

fn add_context(members: &mut Map<String, Value>) {
    let contexts = match members.remove("@context") {
        Some(Value::Array(contexts)) => contexts,
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let there = contexts.iter().any(|context| context.as_str() == Some(CONTEXT));
    let contexts = contexts.into_iter().chain((!there).then(|| json!(CONTEXT))).collect();
    members.insert("@context".to_owned(), Value::Array(contexts));
}

#[cfg(test)]
mod tests {
    use super::*;
    use i3_core::id::{TypedId, UserId};
    use i3_core::thing::Visibility;

    fn description(registration: &Value) -> Value {
        json!({
            "@context": td::CONTEXT,
            "id": "urn:lamp",
            "title": "Lamp",
            "securityDefinitions": { "none": { "scheme": "nosec" } },
            "security": "none",
            "registration": registration
        })
    }

    fn stored(submitted: &Submitted) -> Thing {
        let now = Timestamp::from_micros(1_800_000_000_000_000).unwrap();
        Thing {
            id: "urn:lamp".parse().unwrap(),
            owner: UserId::from_bits(1),
            visibility: Visibility::Public,
            anonymous: false,
            document: submitted.document.to_string(),
            revision: 1,
            created: now,
            modified: now,
            lifetime: submitted.lifetime.beginning(now),
        }
    }

    #[test]
    fn what_is_the_servers_is_ignored_and_what_nobody_knows_stays() {
        let said = json!({ "created": "x", "retrieved": 1, "ttl": 3600, "expires": "x", "ex:more": [1] });
        let submitted = take(description(&said)).unwrap();
        assert_eq!(submitted.lifetime, Lifetime { ttl: Some(3_600_000_000), expires: None });
        assert_eq!(submitted.document["registration"], json!({ "ex:more": [1] }));
        let shown = enriched(&stored(&submitted));
        let registration = json!({
            "created": "2027-01-15T08:00:00Z",
            "modified": "2027-01-15T08:00:00Z",
            "expires": "2027-01-15T09:00:00Z",
            "ttl": 3600,
            "ex:more": [1]
        });
        assert_eq!(shown["registration"], registration);
        assert_eq!(shown["@context"], json!([td::CONTEXT, CONTEXT]));
    }

    #[test]
    fn a_lifetime_that_makes_no_sense_is_an_error_with_its_place() {
        for (registration, field) in [
            (json!({ "ttl": -1 }), "registration.ttl"),
            (json!({ "ttl": "1" }), "registration.ttl"),
            (json!({ "ttl": 1e300 }), "registration.ttl"),
            (json!({ "expires": "tomorrow" }), "registration.expires"),
            (json!({ "expires": 5 }), "registration.expires"),
            (json!([]), "registration"),
        ] {
            let errors = take(description(&registration)).unwrap_err();
            assert_eq!(errors[0].field, field, "{registration}");
        }
    }

    #[test]
    fn a_context_is_added_once() {
        let mut document = description(&json!({}));
        document["@context"] = json!([td::CONTEXT, CONTEXT]);
        let shown = enriched(&stored(&take(document).unwrap()));
        assert_eq!(shown["@context"], json!([td::CONTEXT, CONTEXT]));
    }
}
