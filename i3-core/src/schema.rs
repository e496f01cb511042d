//! JSON Schemas of the types that have a text or a number as their form.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

macro_rules! schemas {
    ($($(#[$doc:meta])* $type:ty, $name:literal = $schema:tt;)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }

            fn schema_id() -> Cow<'static, str> {
                Cow::Borrowed(concat!("i3_core::", $name))
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

/// The schema of ids with this prefix.
pub(crate) fn id(prefix: &str) -> Schema {
    json_schema!({ "type": "string", "pattern": format!("^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$") })
}

schemas! {
    crate::name::Slug, "Slug" = {
        "description": "A short name of lower-case letters, digits and inner hyphens",
        "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "minLength": 1, "maxLength": 48
    };
    crate::role::RoleName, "RoleName" = {
        "description": "The name of a role",
        "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "minLength": 1, "maxLength": 48
    };
    crate::access::Permission, "Permission" = {
        "description": "`thing:verb`, or `thing:verb:own` for one's own things only",
        "type": "string", "pattern": "^[a-z_]+:[a-z-]+(:own)?$"
    };
    crate::name::Topic, "Topic" = {
        "description": "The MQTT topic of a product",
        "type": "string", "pattern": "^i3/[a-z0-9-]{1,48}/[a-z0-9-]{1,48}$"
    };
    crate::name::AuthId, "AuthId" = {
        "description": "The name that a device logs in with",
        "type": "string", "pattern": "^[a-z0-9-]{1,48}\\.[a-z0-9-]{1,48}$"
    };
    crate::name::Label, "Label" = {
        "description": "One line of visible characters",
        "type": "string", "minLength": 1, "maxLength": 200
    };
    crate::name::Prose, "Prose" = {
        "description": "A text of several lines", "type": "string", "maxLength": 4000
    };
    crate::name::Email, "Email" = { "type": "string", "format": "email", "maxLength": 254 };
    crate::time::Timestamp, "Timestamp" = {
        "description": "RFC 3339 text in UTC", "type": "string", "format": "date-time"
    };
    crate::time::ZoneName, "ZoneName" = {
        "description": "A time zone of the IANA database", "type": "string"
    };
    crate::thing::ThingId, "ThingId" = {
        "description": "An absolute identifier", "type": "string", "format": "iri", "maxLength": 1000
    };
    crate::analytics::Item, "Item" = {
        "description": "The id of a virtual object or of a product",
        "type": "string", "pattern": "^(vob|prd)_[0-7][0-9a-hjkmnp-tv-z]{25}$"
    };
    crate::money::Currency, "Currency" = {
        "description": "An ISO 4217 code, or a code and its number of decimal places: `TOK/6`",
        "type": "string", "pattern": "^[A-Z]{3,8}(/[0-9]{1,2})?$"
    };
    crate::store::Units, "Units" = { "type": "integer", "format": "int64" };
    crate::money::UnitPrice, "UnitPrice" = {
        "description": "Billionths of the currency's unit", "type": "integer", "minimum": 0
    };
    crate::rating::Stars, "Stars" = { "type": "integer", "minimum": 1, "maximum": 5 };
    crate::store::Digest, "Digest" = {
        "description": "A SHA-256 digest", "type": "string", "pattern": "^[0-9a-f]{64}$"
    };
    crate::id::IdBits, "IdBits" = {
        "description": "An id without its prefix", "type": "string", "pattern": "^[0-9a-hjkmnp-tv-z]{26}$"
    };
    crate::oauth::Scope, "Scope" = {
        "description": "A scope-token of RFC 6749", "type": "string", "pattern": "^[!#-\\[\\]-~]+$"
    };
    crate::oauth::RedirectUri, "RedirectUri" = {
        "description": "Where a user is sent back to, compared character by character",
        "type": "string", "format": "uri"
    };
    crate::name::Term, "Term" = {
        "description": "A word or short phrase", "type": "string", "minLength": 1, "maxLength": 480
    };
    crate::virtual_object::Protocol, "Protocol" = {
        "description": "`coap`, `http`, `mqtt`, `websocket`, or another one by its name",
        "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "minLength": 1, "maxLength": 48
    };
    crate::virtual_object::ClassIri, "ClassIri" = {
        "description": "The name of a class of the ontology", "type": "string", "format": "iri", "maxLength": 300
    };
    crate::virtual_object::TermsPatch, "TermsPatch" = {
        "description": "The text of a JSON object: a merge patch of a Thing Description", "type": "string",
        "maxLength": 24576
    };
    crate::virtual_object::ResourceUri, "ResourceUri" = {
        "description": "An absolute URI with a host", "type": "string", "format": "uri", "maxLength": 512
    };
    crate::virtual_object::Unit, "Unit" = {
        "description": "`ucum:Cel`, `qudt:DEG_C`, or words", "type": "string", "minLength": 1
    };
    crate::virtual_object::FileName, "FileName" = {
        "description": "The name of a file, not a path", "type": "string", "minLength": 1, "maxLength": 100
    };
    crate::virtual_object::MediaType, "MediaType" = {
        "description": "What a file may be", "type": "string", "pattern": "^[a-z]+/[a-z-]+$"
    };
    crate::virtual_object::ContentHash, "ContentHash" = {
        "description": "The SHA-256 of a content in the canonical form of RFC 8785",
        "type": "string", "pattern": "^sha256:[0-9a-f]{64}$"
    };
    crate::virtual_object::Latitude, "Latitude" = { "type": "number", "minimum": -90, "maximum": 90 };
    crate::virtual_object::Longitude, "Longitude" = { "type": "number", "minimum": -180, "maximum": 180 };
}

impl JsonSchema for crate::access::PermissionSet {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("PermissionSet")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        std::collections::BTreeSet::<crate::access::Permission>::json_schema(generator)
    }
}
