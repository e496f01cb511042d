//! What requests carry: JSON, XML, merge patches.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

use super::AppState;
use super::problem::Problem;
use super::representation::from_xml;
use super::request::Answer;

/// How long a client may take to send a body.
const PATIENCE: Duration = Duration::from_secs(15);
/// The media type of a merge patch (RFC 7396).
pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";
/// The media types of other bodies.
pub(super) const BODIES: [&str; 3] = ["application/json", "application/hal+json", "application/xml"];

/// The body of a request: one known shape, as JSON, as HAL or as XML. The links and embedded things of HAL are the
/// server's to tell: they are passed over, so that what was shown can be sent back.
pub(super) struct Body<T>(pub(super) T);

/// A merge patch (RFC 7396) of one known shape, whose members are [`Edit`]s.
pub(super) struct Patch<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<AppState> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Answer<Self> {
        let kind = media_type(request.headers());
        if !BODIES.contains(&kind.as_str()) {
            return Err(Problem::media_type(&BODIES));
        }
        let bytes = received(request, state).await?;
        Ok(Self(match kind.as_str() {
            "application/json" => read(&bytes)?,
            "application/hal+json" => {
                let mut value: Value = read(&bytes)?;
                if let Value::Object(members) = &mut value {
                    members.remove("_links");
                    members.remove("_embedded");
                }
                read_value(value)?
            }
            _ => {
                let text = std::str::from_utf8(&bytes).map_err(|error| {
                    Problem::new(StatusCode::BAD_REQUEST, "invalid_xml", format!("not UTF-8: {error}"))
                })?;
                read_value(from_xml(text)?)?
            }
        }))
    }
}

/// A shape of merge patches.
pub(super) trait Patched: DeserializeOwned {
    /// Members of what is patched that never change. A patch that names one is told so.
    const FIXED: &'static [&'static str] = &[];
}

/// The members of a virtual object's content.
impl Patched for Map<String, Value> {}

impl<T: Patched> FromRequest<AppState> for Patch<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Answer<Self> {
        if media_type(request.headers()) != MERGE_PATCH {
            return Err(Problem::media_type(&[MERGE_PATCH]));
        }
        let bytes = received(request, state).await?;
        Ok(Self(read_patch(&bytes)?))
    }
}

fn read_patch<T: Patched>(bytes: &[u8]) -> Answer<T> {
    read(bytes).map_err(|problem| {
        // The shape does not have what never changes.
        let members: Map<String, Value> = serde_json::from_slice(bytes).unwrap_or_default();
        match T::FIXED.iter().find(|member| members.contains_key(**member)) {
            Some(member) => Problem::unchangeable(member),
            None => problem,
        }
    })
}

/// A body's media type, without its parameters.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Refuses what is packed. Nothing is unpacked: what is small when it arrives stays small.
pub(super) fn unpacked(headers: &HeaderMap) -> Answer<()> {
    if headers.get_all(CONTENT_ENCODING).iter().any(|coding| coding != "identity") {
        let detail = "bodies are taken as they are: leave `Content-Encoding` out";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_content_encoding", detail));
    }
    Ok(())
}

pub(super) async fn received(request: Request, state: &AppState) -> Answer<Bytes> {
    unpacked(request.headers())?;
    match tokio::time::timeout(PATIENCE, Bytes::from_request(request, state)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(rejection)) => Err(rejection.into()),
        Err(_) => {
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body took too long to arrive"))
        }
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    // A shape would also be read from a list of its members.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        let detail = "a JSON object is expected";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_request", detail).at(""));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = pointer(error.path());
        misread(error.inner(), &pointer)
    })?;
    json.end().map_err(|error| misread(&error, ""))?;
    Ok(value)
}

fn read_value<T: DeserializeOwned>(value: Value) -> Answer<T> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let pointer = pointer(error.path());
        misread(error.inner(), &pointer)
    })
}

fn misread(error: &serde_json::Error, pointer: &str) -> Problem {
    if error.is_data() {
        Problem::new(StatusCode::BAD_REQUEST, "invalid_request", error.to_string()).at(pointer)
    } else {
        Problem::new(StatusCode::BAD_REQUEST, "invalid_json", error.to_string())
    }
}

/// A JSON pointer (RFC 6901) to a part of the body.
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        let step = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { .. } | Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&step);
    }
    pointer
}

/// A member of a merge patch. In a shape it goes with `#[serde(default)]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Edit<T> {
    /// It is absent: nothing changes.
    #[default]
    Keep,
    /// It is `null`: what there is goes away.
    Remove,
    /// This takes the place of what there is.
    Set(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Edit<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Remove, Self::Set))
    }
}

impl<T> Edit<T> {
    /// The new value, if there is one, of a member that cannot go away.
    pub(super) fn required(self, member: &'static str) -> Answer<Option<T>> {
        match self {
            Self::Keep => Ok(None),
            Self::Set(value) => Ok(Some(value)),
            Self::Remove => Err(Problem::invalid(member, "it cannot be removed").at(&format!("/{member}"))),
        }
    }

    /// The new value, if there is one.
    pub(super) fn set(self) -> Option<T> {
        match self {
            Self::Keep | Self::Remove => None,
            Self::Set(value) => Some(value),
        }
    }

    /// The new value, if anything changes: an empty one if what there was goes away.
    pub(super) fn or_default(self) -> Option<T>
    where
        T: Default,
    {
        match self {
            Self::Keep => None,
            Self::Remove => Some(T::default()),
            Self::Set(value) => Some(value),
        }
    }
}

impl<T: JsonSchema> JsonSchema for Edit<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Option::<T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Option::<T>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Texts {
        #[serde(default)]
        title: Edit<String>,
        #[serde(default)]
        note: Edit<Vec<u8>>,
    }

    #[test]
    fn a_patch_keeps_removes_and_sets() {
        let texts: Texts = read(br#"{"note": null}"#).unwrap();
        assert_eq!(texts, Texts { title: Edit::Keep, note: Edit::Remove });
        assert_eq!(texts.note.or_default(), Some(Vec::new()));
        assert_eq!(texts.title.required("title").unwrap(), None);
        let texts: Texts = read(br#"{"title": "a"}"#).unwrap();
        assert_eq!(texts.title, Edit::Set("a".to_owned()));
        assert!(Edit::<u8>::Remove.required("title").is_err());
    }

    impl Patched for Texts {
        const FIXED: &'static [&'static str] = &["slug"];
    }

    #[test]
    fn what_never_changes_is_told_apart_from_what_is_not_known() {
        let problem = read_patch::<Texts>(br#"{"title": "a", "slug": "b"}"#).unwrap_err();
        assert_eq!((problem.code(), problem.pointer()), ("unchangeable", Some("#/slug")));
        let problem = read_patch::<Texts>(br#"{"slog": "b"}"#).unwrap_err();
        assert_eq!((problem.code(), problem.pointer()), ("invalid_request", Some("#/slog")));
        assert_eq!(read_patch::<Texts>(br#"{"title": "b""#).unwrap_err().code(), "invalid_json");
        assert_eq!(read_patch::<Texts>(br#"["slug"]"#).unwrap_err().code(), "invalid_request");
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        let problem = read::<Texts>(br#"{"note": [1, "two"]}"#).unwrap_err();
        assert_eq!(problem.pointer(), Some("#/note/1"));
        let problem = read::<Texts>(br#"{"a/b~": 1}"#).unwrap_err();
        assert_eq!(problem.pointer(), Some("#/a~1b~0"));
        assert!(read::<Texts>(b"{} {}").is_err());
        assert_eq!(read::<Texts>(b" [\"a\", [1]]").unwrap_err().code(), "invalid_request");
    }
}
