//! Files that come with an object: programs and guides.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::store::Digest;

/// A file of an object, as its content names it. The bytes are kept apart from it, under their hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct File {
    /// What it is called, unique in the object.
    pub name: FileName,
    /// What it is.
    pub media_type: MediaType,
    /// How many bytes it has.
    pub bytes: u64,
    /// The SHA-256 of its bytes.
    pub sha256: Digest,
}

/// The name of a file: 1 to 100 visible characters that no system takes for a path, a hidden file or a device.
///
/// Without `/ \ : * ? " < > |`, not beginning or ending with a dot or a space.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(String);

/// A text that is no [`FileName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a file name: 1 to {} visible characters, no path, no leading dot", FileName::MAX)]
pub struct InvalidFileName;

impl FileName {
    /// The longest name, in characters.
    pub const MAX: usize = 100;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FileName {
    type Err = InvalidFileName;

    fn from_str(text: &str) -> Result<Self, InvalidFileName> {
        let edge = |c: Option<char>| c.is_none_or(|c| c == '.' || c.is_whitespace());
        let (first, last) = (text.chars().next(), text.chars().next_back());
        let forbidden = |c: char| c.is_control() || crate::name::is_deceptive(c) || "/\\:*?\"<>|".contains(c);
        if text.chars().any(forbidden) || edge(first) || edge(last) || text.chars().count() > Self::MAX {
            return Err(InvalidFileName);
        }
        Ok(Self(text.to_owned()))
    }
}

/// What a file of an object may be. Nothing that a browser runs when it opens it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MediaType {
    /// Any bytes: firmware, a program.
    OctetStream,
    /// A ZIP archive.
    Zip,
    /// Something compressed with gzip.
    Gzip,
    /// A WebAssembly module.
    Wasm,
    /// A PDF document.
    Pdf,
    /// A JSON document.
    Json,
    /// A text.
    Plain,
    /// A text in Markdown.
    Markdown,
    /// A table of comma-separated values.
    Csv,
    /// A PNG picture.
    Png,
    /// A JPEG picture.
    Jpeg,
}

/// A text that is no [`MediaType`] of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a media type that files may have: {}", MediaType::ALL.map(MediaType::as_str).join(", "))]
pub struct InvalidMediaType;

impl MediaType {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::OctetStream,
        Self::Zip,
        Self::Gzip,
        Self::Wasm,
        Self::Pdf,
        Self::Json,
        Self::Plain,
        Self::Markdown,
        Self::Csv,
        Self::Png,
        Self::Jpeg,
    ];

    /// As headers have it, without parameters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OctetStream => "application/octet-stream",
            Self::Zip => "application/zip",
            Self::Gzip => "application/gzip",
            Self::Wasm => "application/wasm",
            Self::Pdf => "application/pdf",
            Self::Json => "application/json",
            Self::Plain => "text/plain",
            Self::Markdown => "text/markdown",
            Self::Csv => "text/csv",
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
        }
    }

    /// Whether these bytes can be what this says. Looks at the first bytes and, of texts, at all of them; proves no
    /// more than that nobody put one thing into the label of another.
    pub fn fits(self, bytes: &[u8]) -> bool {
        let text = || std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0'));
        match self {
            Self::OctetStream => true,
            // An empty archive has only the end record (APPNOTE.TXT, 4.3.16).
            Self::Zip => bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06"),
            Self::Gzip => bytes.starts_with(b"\x1f\x8b"),
            Self::Wasm => bytes.starts_with(b"\0asm"),
            Self::Pdf => bytes.starts_with(b"%PDF-"),
            Self::Json => serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok(),
            Self::Plain | Self::Markdown | Self::Csv => text(),
            Self::Png => bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
            Self::Jpeg => bytes.starts_with(b"\xff\xd8\xff"),
        }
    }
}

impl FromStr for MediaType {
    type Err = InvalidMediaType;

    fn from_str(text: &str) -> Result<Self, InvalidMediaType> {
        Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or(InvalidMediaType)
    }
}

text_forms!(FileName, MediaType);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_leads_nowhere() {
        for good in ["firmware.bin", "Anleitung für Gerät 2.pdf", "a", "設定.json"] {
            assert_eq!(good.parse::<FileName>().unwrap().as_str(), good);
        }
        let long = "a".repeat(101);
        for bad in [
            "",
            ".",
            "..",
            "../../etc/passwd",
            "..\\boot.ini",
            "/etc/passwd",
            "C:firmware.bin",
            ".bashrc",
            "a.",
            " a",
            "a\0b",
            "a\r\nSet-Cookie: x",
            "a\"b",
            "gpj.\u{202e}exe",
            "a\u{200b}",
            long.as_str(),
        ] {
            assert!(bad.parse::<FileName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn bytes_are_what_their_label_says() {
        for (kind, bytes) in [
            (MediaType::Zip, &b"PK\x03\x04rest"[..]),
            (MediaType::Gzip, b"\x1f\x8b\x08"),
            (MediaType::Wasm, b"\0asm\x01"),
            (MediaType::Pdf, b"%PDF-1.7"),
            (MediaType::Json, b"{\"a\": 1}"),
            (MediaType::Plain, "Größe".as_bytes()),
            (MediaType::Png, b"\x89PNG\r\n\x1a\n\0"),
            (MediaType::Jpeg, b"\xff\xd8\xff\xe0"),
        ] {
            assert!(kind.fits(bytes), "{kind}");
            assert!(MediaType::OctetStream.fits(bytes));
            let page = b"<html><script>alert(1)</script>\xff";
            assert!(!kind.fits(page), "{kind}");
            assert_eq!(kind.as_str().parse::<MediaType>().unwrap(), kind);
        }
        for bad in ["text/html", "image/svg+xml", "application/javascript", "text/plain; charset=utf-8", ""] {
            assert!(bad.parse::<MediaType>().is_err(), "{bad}");
        }
    }
}
