//! Files that come with an object: programs and guides.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

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

    /// The text with everything percent-encoded that is not unreserved in URIs (RFC 3986, section 2.3): a segment of a
    /// path, or the value of `filename*` (RFC 8187, section 3.2).
    pub fn percent_encoded(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text.push('%');
                text.push_str(&data_encoding::HEXUPPER.encode(&[byte]));
            }
        }
        text
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

    /// What bytes of this kind begin with; empty if they may begin with anything.
    const fn beginnings(self) -> &'static [&'static [u8]] {
        match self {
            // An empty archive has only the end record (APPNOTE.TXT, 4.3.16).
            Self::Zip => &[b"PK\x03\x04", b"PK\x05\x06"],
            Self::Gzip => &[b"\x1f\x8b"],
            Self::Wasm => &[b"\0asm"],
            Self::Pdf => &[b"%PDF-"],
            Self::Png => &[b"\x89PNG\r\n\x1a\n"],
            Self::Jpeg => &[b"\xff\xd8\xff"],
            Self::OctetStream | Self::Json | Self::Plain | Self::Markdown | Self::Csv => &[],
        }
    }

    const fn is_text(self) -> bool {
        matches!(self, Self::Plain | Self::Markdown | Self::Csv)
    }

    /// Whether these bytes can be what this says. Looks at the first bytes and, of texts, at all of them; proves no
    /// more than that nobody put one thing into the label of another.
    pub fn fits(self, bytes: &[u8]) -> bool {
        let mut inspection = Inspection::of(self);
        inspection.take(bytes).is_ok() && inspection.end().is_ok()
    }
}

/// The bytes are not what their label says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no {}", .0.as_str())]
pub struct WrongFileType(pub MediaType);

/// Looks at the bytes of a file as they come: whether they [fit](MediaType::fits), how many there are, and their hash.
///
/// Of a JSON document it keeps all bytes until the end, of everything else next to nothing.
pub struct Inspection {
    kind: MediaType,
    bytes: u64,
    hash: Sha256,
    /// The first bytes, as many as the longest beginning has.
    head: Vec<u8>,
    /// Of a text, what may be the beginning of a character; all of a JSON document.
    kept: Vec<u8>,
}

impl fmt::Debug for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inspection({} bytes of {})", self.bytes, self.kind.as_str())
    }
}

/// The longest beginning, in bytes.
const HEAD: usize = 8;

impl Inspection {
    /// Of a file that is said to be this.
    pub fn of(kind: MediaType) -> Self {
        Self { kind, bytes: 0, hash: Sha256::new(), head: Vec::new(), kept: Vec::new() }
    }

    /// The next bytes. Says no as soon as it is sure.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), WrongFileType> {
        self.hash.update(bytes);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let missing = HEAD.saturating_sub(self.head.len());
        if missing > 0 {
            self.head.extend(bytes.iter().take(missing));
            if self.head.len() == HEAD {
                self.check_head()?;
            }
        }
        if self.kind == MediaType::Json {
            self.kept.extend_from_slice(bytes);
        } else if self.kind.is_text() {
            self.take_text(bytes)?;
        }
        Ok(())
    }

    fn check_head(&self) -> Result<(), WrongFileType> {
        let beginnings = self.kind.beginnings();
        let fits =
            beginnings.is_empty() || beginnings.iter().any(|beginning| self.head.starts_with(beginning));
        if fits { Ok(()) } else { Err(WrongFileType(self.kind)) }
    }

    /// UTF-8 without NUL, of which the last character may not be whole yet.
    fn take_text(&mut self, bytes: &[u8]) -> Result<(), WrongFileType> {
        let all: Cow<'_, [u8]> =
            if self.kept.is_empty() { bytes.into() } else { [&self.kept, bytes].concat().into() };
        let rest = match std::str::from_utf8(&all) {
            Ok(_) => Vec::new(),
            Err(error) if error.error_len().is_none() => {
                all.split_at_checked(error.valid_up_to()).map_or_else(Vec::new, |(_, rest)| rest.to_vec())
            }
            Err(_) => return Err(WrongFileType(self.kind)),
        };
        if all.contains(&0) {
            return Err(WrongFileType(self.kind));
        }
        self.kept = rest;
        Ok(())
    }

    /// How many bytes there were, and their SHA-256.
    pub fn end(self) -> Result<(u64, Digest), WrongFileType> {
        self.check_head()?;
        let fits = match self.kind {
            MediaType::Json => serde_json::from_slice::<serde::de::IgnoredAny>(&self.kept).is_ok(),
            _ => self.kept.is_empty(),
        };
        if !fits {
            return Err(WrongFileType(self.kind));
        }
        Ok((self.bytes, Digest::from_bytes(self.hash.finalize().into())))
    }
}

/// How much of files is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct FileLimits {
    /// The longest file, in bytes.
    pub file_bytes: u64,
    /// All files that are kept for one object, those of its earlier versions included, in bytes.
    pub object_bytes: u64,
}

impl FileLimits {
    /// 8 MiB, and 32 MiB for an object.
    pub const DEFAULT: Self = Self { file_bytes: 8 << 20, object_bytes: 32 << 20 };
}

impl Default for FileLimits {
    fn default() -> Self {
        Self::DEFAULT
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
        let encoded = "Gr\u{fc}n 50%~.bin".parse::<FileName>().unwrap().percent_encoded();
        assert_eq!(encoded, "Gr%C3%BCn%2050%25~.bin");
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
        assert!(!MediaType::Png.fits(b"") && !MediaType::Json.fits(b"") && MediaType::Plain.fits(b""));
        assert!(
            !MediaType::Plain.fits(b"a\0b")
                && !MediaType::Csv.fits("Gr\u{f6}".as_bytes().split_last().unwrap().1)
        );
        for bad in ["text/html", "image/svg+xml", "application/javascript", "text/plain; charset=utf-8", ""] {
            assert!(bad.parse::<MediaType>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_comes_in_pieces_is_seen_as_if_it_came_at_once() {
        let text = "Gr\u{f6}\u{df}e \u{8a2d}\u{5b9a} \u{1f321}".as_bytes();
        let samples: [(MediaType, &[u8]); 6] = [
            (MediaType::Plain, text),
            (MediaType::Plain, b"\xc3\x28"),
            (MediaType::Json, b"{\"a\": [1, 2]}"),
            (MediaType::Png, b"\x89PNG\r\n\x1a\n and more"),
            (MediaType::Png, b"\x89PNG\r\n\x1a\r and more"),
            (MediaType::Gzip, b"\x1f"),
        ];
        for (kind, bytes) in samples {
            for size in 1..=bytes.len() {
                let mut inspection = Inspection::of(kind);
                let taken = bytes.chunks(size).try_for_each(|piece| inspection.take(piece));
                let seen = taken.and_then(|()| inspection.end());
                assert_eq!(seen.is_ok(), kind.fits(bytes), "{kind} in pieces of {size}");
                if let Ok(seen) = seen {
                    assert_eq!(seen, (u64::try_from(bytes.len()).unwrap(), Digest::of(bytes)));
                }
            }
        }
    }
}
