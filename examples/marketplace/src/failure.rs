//! How the program fails: one line with a stable code.

use std::error::Error;
use std::fmt;

use i3_broker::CertificateError;
use i3_core::market::MarketError;
use i3_core::portable::PortError;
use i3_core::store::StoreError;

use crate::{AssemblyError, InvalidStoreUrl};

/// Why the program ends without having done what it was asked for. Its text is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    code: &'static str,
    message: String,
    usage: bool,
}

impl Failure {
    /// A failure with a stable code and a message for people.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), usage: false }
    }

    /// The program was called wrongly.
    pub fn usage(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), usage: true }
    }

    /// What failed, with its causes.
    fn of(code: &'static str, error: &dyn Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let text = inner.to_string();
            // A transparent error has the text of its source.
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = inner.source();
        }
        Self::new(code, message)
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The program's exit status: 2 if it was called wrongly, else 1.
    pub fn exit_status(&self) -> u8 {
        if self.usage { 2 } else { 1 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] ", self.code)?;
        // Causes come from libraries and the system: whatever they say, it stays one line.
        let mut separate = "";
        for line in self.message.lines().map(str::trim).filter(|line| !line.is_empty()) {
            write!(f, "{separate}{line}")?;
            separate = "; ";
        }
        Ok(())
    }
}

impl Error for Failure {}

impl From<AssemblyError> for Failure {
    fn from(error: AssemblyError) -> Self {
        Self::of(error.code(), &error)
    }
}

impl From<CertificateError> for Failure {
    fn from(error: CertificateError) -> Self {
        Self::of("certificates", &error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::of(error.kind().code(), &error)
    }
}

impl From<MarketError> for Failure {
    fn from(error: MarketError) -> Self {
        Self::of(error.code(), &error)
    }
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        Self::of(error.code(), &error)
    }
}

impl From<InvalidStoreUrl> for Failure {
    fn from(error: InvalidStoreUrl) -> Self {
        Self::usage(InvalidStoreUrl::CODE, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use i3_core::store::StoreErrorKind;

    use super::*;

    #[test]
    fn a_failure_is_one_line_with_its_causes() {
        let inner = std::io::Error::other("disk\n\n full");
        let error =
            StoreError::new(StoreErrorKind::Unavailable, "the file cannot be read").with_source(inner);
        let failure = Failure::from(AssemblyError::Store(error));
        assert_eq!(failure.to_string(), "[store_unavailable] the file cannot be read: disk; full");
        assert_eq!(failure.exit_status(), 1);
    }

    #[test]
    fn a_wrong_call_has_exit_status_two() {
        let failure = Failure::from("x".parse::<crate::StoreUrl>().unwrap_err());
        assert_eq!((failure.code(), failure.exit_status()), ("invalid_store_url", 2));
    }
}
