//! Payloads against the JSON Schema that a product declares.

use i3_core::stream::{SchemaCheck, check_schema};

/// What one compiled pattern of a schema may take, in bytes.
#[cfg(feature = "schema")]
const PATTERN_BYTES: usize = 64 * 1_024;

/// Says whether a text is a JSON Schema that a gate can check messages against: for
/// [`Marketplace::with_schema_check`](i3_core::market::Marketplace::with_schema_check).
///
/// Drafts 6 to 2020-12. Patterns are of the kind that is matched in linear time, so without look-around and
/// back-references; a reference to another document is never followed.
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonSchemas;

impl SchemaCheck for JsonSchemas {
    fn check(&self, schema: &str) -> Result<(), String> {
        Checker::compile(schema).map(drop)
    }
}

/// A compiled schema.
#[derive(Debug)]
pub(super) struct Checker {
    #[cfg(feature = "schema")]
    validator: jsonschema::Validator,
    #[cfg(not(feature = "schema"))]
    never: std::convert::Infallible,
}

impl Checker {
    /// Compiles a schema; or what is wrong with it, for people.
    #[cfg(feature = "schema")]
    pub(super) fn compile(schema: &str) -> Result<Self, String> {
        check_schema(schema).map_err(|error| error.to_string())?;
        let schema = serde_json::from_str(schema).map_err(|error| error.to_string())?;
        let patterns =
            jsonschema::PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
        let validator = jsonschema::options().with_pattern_options(patterns).build(&schema);
        validator.map(|validator| Self { validator }).map_err(|error| error.to_string())
    }

    /// There is nothing to compile with.
    #[cfg(not(feature = "schema"))]
    pub(super) fn compile(schema: &str) -> Result<Self, String> {
        check_schema(schema).map_err(|error| error.to_string())?;
        Err("this gate is built without JSON Schema".to_owned())
    }

    /// Whether a payload conforms; if not, to what of the schema. Says nothing of what the payload says: its
    /// buyers paid for that.
    #[cfg(feature = "schema")]
    pub(super) fn check(&self, payload: &[u8]) -> Result<(), String> {
        let Ok(document) = serde_json::from_slice(payload) else { return Err("it is not JSON".to_owned()) };
        match self.validator.validate(&document) {
            Ok(()) => Ok(()),
            Err(error) => {
                Err(format!("it does not conform to `{}` of the schema", error.schema_path().as_str()))
            }
        }
    }

    #[cfg(not(feature = "schema"))]
    pub(super) fn check(&self, _: &[u8]) -> Result<(), String> {
        match self.never {}
    }
}

#[cfg(all(test, feature = "schema"))]
mod tests {
    use super::*;

    const SCHEMA: &str = r##"{
        "type": "object",
        "required": ["t"],
        "additionalProperties": false,
        "properties": {"t": {"$ref": "#/$defs/degrees"}, "name": {"type": "string", "pattern": "^[a-z]+$"}},
        "$defs": {"degrees": {"type": "number", "minimum": -90, "maximum": 60}}
    }"##;

    #[test]
    fn a_payload_conforms_or_is_told_what_it_does_not_conform_to() {
        let checker = Checker::compile(SCHEMA).unwrap();
        assert_eq!(checker.check(br#"{"t": 21.5, "name": "roof"}"#), Ok(()));
        for (payload, place) in [
            (r#"{"t": 99}"#, "maximum"),
            (r#"{"t": "secret"}"#, "type"),
            (r#"{"t": 1, "name": "SECRET"}"#, "pattern"),
            (r#"{"t": 1, "secret": 1}"#, "additionalProperties"),
            ("{}", "required"),
        ] {
            let reason = checker.check(payload.as_bytes()).unwrap_err();
            assert!(
                reason.contains(place) && !reason.to_lowercase().contains("secret"),
                "{payload}: {reason}"
            );
        }
        assert_eq!(checker.check(b"21.5 C"), Err("it is not JSON".to_owned()));
    }

    #[test]
    fn a_text_that_is_no_schema_is_refused_with_its_reason() {
        for (schema, reason) in [
            (r#"{"type": "strng"}"#, "strng"),
            (r#"{"pattern": "^(?=a)b$"}"#, "regex"),
            (r#"{"pattern": "((a{1000}){1000}){1000}"}"#, "regex"),
            (r##"{"items": {"$ref": "#"}}"##, "references"),
            (r#"{"$ref": "https://example.org/a.json"}"#, "pointer"),
            ("[]", "object"),
        ] {
            let found = JsonSchemas.check(schema).unwrap_err();
            assert!(found.contains(reason), "{schema}: {found}");
        }
        assert_eq!(JsonSchemas.check(SCHEMA), Ok(()));
    }
}
