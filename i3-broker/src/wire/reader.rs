//! The data types of the standard (3.1.1, 1.5; 5, 1.5).

use super::WireError;

/// A variable byte integer (5, 1.5.5) at the front of `bytes`: its value, and how many bytes it took. `None` if
/// more bytes are needed.
pub(super) fn variable(bytes: &[u8]) -> Result<Option<(u32, usize)>, WireError> {
    let mut value = 0_u32;
    for place in 0..4_usize {
        let Some(byte) = bytes.get(place) else { return Ok(None) };
        value |= u32::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(Some((value, place + 1)));
        }
    }
    Err(WireError::Malformed("a variable byte integer has more than four bytes"))
}

/// How many bytes a variable byte integer takes.
pub(super) const fn variable_len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

/// What is left of a packet's body.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) =
            self.0.split_at_checked(count).ok_or(WireError::Malformed("a length is past the end"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) =
            self.0.split_first_chunk().ok_or(WireError::Malformed("the packet ends early"))?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, WireError> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A variable byte integer in its shortest form (5, 1.5.5-1).
    pub(super) fn variable(&mut self) -> Result<u32, WireError> {
        let (value, len) = variable(self.0)?.ok_or(WireError::Malformed("the packet ends early"))?;
        if len > 1 && value >> (7 * (len - 1)) == 0 {
            return Err(LONG_FORM);
        }
        self.bytes(len)?;
        Ok(value)
    }

    /// As many bytes as a variable byte integer says: the properties (5, 2.2.2).
    pub(super) fn section(&mut self) -> Result<Self, WireError> {
        let len = self.variable()?;
        self.bytes(usize::try_from(len).unwrap_or(usize::MAX)).map(Self)
    }

    /// Packet identifiers are not 0 (3.1.1, 2.3.1-1; 5, 2.2.1-3).
    pub(super) fn packet_id(&mut self) -> Result<u16, WireError> {
        match self.u16()? {
            0 => Err(WireError::Protocol("the packet identifier is 0")),
            id => Ok(id),
        }
    }

    pub(super) fn binary(&mut self) -> Result<&'a [u8], WireError> {
        let len = self.u16()?;
        self.bytes(usize::from(len))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, WireError> {
        text(self.binary()?)
    }

    pub(super) fn end(&self) -> Result<(), WireError> {
        if self.is_empty() { Ok(()) } else { Err(WireError::Malformed("bytes are left over")) }
    }
}

/// A variable byte integer with more bytes than it needs.
pub(super) const LONG_FORM: WireError =
    WireError::Malformed("a variable byte integer is not in its shortest form");

/// Well-formed UTF-8 (which excludes surrogates) without NUL (3.1.1, 1.5.3; 5, 1.5.4).
pub(super) fn text(bytes: &[u8]) -> Result<&str, WireError> {
    let text = std::str::from_utf8(bytes).map_err(|_| WireError::Malformed("a text is not UTF-8"))?;
    if bytes.contains(&0) { Err(WireError::Malformed("a text has a NUL")) } else { Ok(text) }
}

/// A topic to publish to is not empty and has no wildcard (3.1.1, 3.3.2.1 and 4.7; 5, 3.3.2.1 and 4.7).
pub(super) fn topic_name(bytes: &[u8]) -> Result<&str, WireError> {
    let topic = text(bytes)?;
    if topic.is_empty() {
        return Err(WireError::Malformed("a topic is empty"));
    }
    if bytes.iter().any(|byte| matches!(byte, b'+' | b'#')) {
        return Err(WireError::Malformed("a topic has a wildcard"));
    }
    Ok(topic)
}

/// [`topic_name`] where speed counts: most topics are ASCII, and one pass tells.
pub(super) fn check_topic_name(bytes: &[u8]) -> Result<(), WireError> {
    let plain = |byte: &u8| (1..0x80).contains(byte) && !matches!(byte, b'+' | b'#');
    if !bytes.is_empty() && bytes.iter().all(plain) { Ok(()) } else { topic_name(bytes).map(|_| ()) }
}
