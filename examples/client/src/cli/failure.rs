//! How a command fails.

use std::error::Error as _;
use std::fmt::Write as _;

use i3_client::{Class, Error};
use serde_json::json;

use super::readable::harmless;

/// Why a command was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server said so, or could not be asked.
    Asked {
        error: Error,
        /// The key of a change that may be done.
        key: Option<String>,
    },
    /// The program was called wrongly.
    Usage(String),
    /// Files of this machine.
    Files(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Asked { error, key: None }
    }
}

impl Failure {
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Asked { error: Error::Request(_), .. } | Self::Usage(_) => 2,
            Self::Asked { error, .. } => match error.class() {
                Class::Refusal => 3,
                Class::Conflict => 4,
                Class::Failure => 1,
            },
            Self::Files(_) => 1,
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Asked { error, .. } => error.code(),
            Self::Usage(_) => "usage",
            Self::Files(_) => "files",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Usage(text) | Self::Files(text) => text.clone(),
            Self::Asked { error, .. } => {
                let mut text = error.to_string();
                let mut cause = error.source();
                while let Some(inner) = cause {
                    let _ = write!(text, ": {inner}");
                    cause = inner.source();
                }
                text
            }
        }
    }

    /// One line with the code; or the problem as JSON.
    pub(crate) fn text(&self, as_json: bool) -> String {
        let key = match self {
            Self::Asked { key, .. } => key.as_deref(),
            _ => None,
        };
        if as_json {
            let mut value = match self {
                Self::Asked { error: Error::Problem(problem), .. } => json!(problem),
                _ => json!({"code": self.code(), "detail": self.message()}),
            };
            if let (Some(key), Some(members)) = (key, value.as_object_mut()) {
                members.insert("idempotency_key".to_owned(), key.into());
            }
            return format!("{value}\n");
        }
        let mut text = format!("i3: [{}] {}\n", self.code(), harmless(&self.message()));
        if let Some(key) = key {
            let _ =
                writeln!(text, "i3: it may be done all the same: call it again with --idempotency-key {key}");
        }
        text
    }
}
