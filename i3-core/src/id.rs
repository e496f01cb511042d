//! Typed, time-ordered identifiers.
//!
//! An id is 128 bits: 48 bits of milliseconds, then 80 random bits (the layout of a ULID). Its
//! text is a prefix that names the kind, an underscore, and 26 characters of Crockford's base 32 in
//! lower case: `usr_01kap3…`. Text order is id order is (roughly) creation order.

use std::fmt;

use crate::time::Timestamp;

/// Where fresh ids come from. Made outside the pure core, so that replays and simulations can
/// give the same ids again.
pub trait IdSource: fmt::Debug + Send + Sync + 'static {
    /// 128 bits that this source never gave before; later calls order after earlier milliseconds.
    fn fresh(&self, now: Timestamp) -> Result<u128, NoEntropy>;
}

/// The operating system gave no random bytes.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoEntropy;

/// Ids from the clock and the operating system's random source.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn fresh(&self, now: Timestamp) -> Result<u128, NoEntropy> {
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random).map_err(|_| NoEntropy)?;
        let millis = u128::try_from(now.micros().max(0) / 1_000).unwrap_or(0);
        Ok((millis << 80) | (u128::from_be_bytes(random) >> 48))
    }
}

/// Ids that count upwards: for tests, replays and simulations.
#[derive(Debug, Default)]
pub struct SequentialIds(std::sync::atomic::AtomicU64);

impl IdSource for SequentialIds {
    fn fresh(&self, now: Timestamp) -> Result<u128, NoEntropy> {
        let millis = u128::try_from(now.micros().max(0) / 1_000).unwrap_or(0);
        let count = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok((millis << 80) | u128::from(count))
    }
}

/// A typed id: what all id types have in common.
pub trait TypedId: Copy + Ord + fmt::Display + fmt::Debug + Send + Sync + 'static {
    /// The prefix in the text form, without the underscore.
    const PREFIX: &'static str;
    /// The id with these 128 bits.
    fn from_bits(bits: u128) -> Self;
    /// The 128 bits.
    fn bits(self) -> u128;
}

/// A text that is no id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this kind: `{prefix}_` and 26 characters are expected")]
pub struct InvalidId {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const DIGITS: usize = 26;

/// What a letter of the alphabet counts. Not a search in it: ids are most of what is read.
fn digit(letter: u8) -> Option<u8> {
    Some(match letter {
        b'0'..=b'9' => letter - b'0',
        b'a'..=b'h' => letter - b'a' + 10,
        b'j' | b'k' => letter - b'j' + 18,
        b'm' | b'n' => letter - b'm' + 20,
        b'p'..=b't' => letter - b'p' + 22,
        b'v'..=b'z' => letter - b'v' + 27,
        _ => return None,
    })
}

/// A text of an id, made without asking for memory.
struct Text {
    bytes: [u8; 32],
    length: usize,
}

impl Text {
    /// The bits as 26 characters.
    fn digits(bits: u128) -> Self {
        let mut text = Self { bytes: [0; 32], length: 0 };
        for place in (0..DIGITS).rev() {
            let digit = usize::try_from((bits >> (5 * place)) & 31).unwrap_or(0);
            text.put(ALPHABET.get(digit).copied().unwrap_or(b'0'));
        }
        text
    }

    /// The same after a prefix of at most five letters.
    fn of(prefix: &str, bits: u128) -> Self {
        let mut text = Self { bytes: [0; 32], length: 0 };
        prefix
            .bytes()
            .chain([b'_'])
            .chain(Self::digits(bits).as_str().bytes())
            .for_each(|byte| text.put(byte));
        text
    }

    fn put(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.length) {
            *slot = byte;
            self.length += 1;
        }
    }

    fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

fn read_digits(text: &str) -> Option<u128> {
    if text.len() != DIGITS {
        return None;
    }
    let mut bits: u128 = 0;
    for (place, letter) in text.bytes().enumerate() {
        let digit = digit(letter)?;
        // 26 digits carry 130 bits: the first may use only three of its five.
        if place == 0 && digit > 7 {
            return None;
        }
        bits = (bits << 5) | u128::from(digit);
    }
    Some(bits)
}

fn read_id(text: &str, prefix: &'static str) -> Result<u128, InvalidId> {
    text.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .and_then(read_digits)
        .ok_or(InvalidId { prefix })
}

/// Reads the bits of an id where its text stands.
struct Read(&'static str);

impl serde::de::Visitor<'_> for Read {
    type Value = u128;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u128, E> {
        read_id(text, self.0).map_err(E::custom)
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl TypedId for $name {
            const PREFIX: &'static str = $prefix;
            fn from_bits(bits: u128) -> Self {
                Self(bits)
            }
            fn bits(self) -> u128 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Text::of($prefix, self.0).as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Text::of($prefix, self.0).as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                read_id(text, $prefix).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(Text::of($prefix, self.0).as_str())
            }
        }

        #[cfg(feature = "schemars")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                crate::schema::id($prefix)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Read($prefix)).map(Self)
            }
        }
    )*};
}

ids! {
    /// A person or organization with an account.
    UserId = "usr";
    /// An organization's registry of devices and products.
    HubId = "hub";
    /// A piece of IoT hardware.
    DeviceId = "dev";
    /// One credential of a device.
    CredentialId = "crd";
    /// A data product.
    ProductId = "prd";
    /// An immutable version of a price plan.
    OfferId = "ofr";
    /// A buyer's order.
    OrderId = "ord";
    /// The access that an order gives. Carries the same bits as its order.
    GrantId = "grt";
    /// A block of quota handed to a gate.
    LeaseId = "lea";
    /// A ledger transfer.
    TransferId = "xfr";
    /// A rating of a product.
    RatingId = "rat";
    /// An API token of a person.
    TokenId = "tok";
    /// An OAuth2 client.
    ClientId = "cli";
    /// What somebody allowed a client once, with all tokens that came of it.
    FamilyId = "fam";
    /// An invitation to open an account.
    InvitationId = "inv";
    /// What a user asked for who forgot the password.
    ResetId = "rst";
    /// A virtual object.
    VirtualObjectId = "vob";
    /// Bytes of a file that were sent once.
    UploadId = "upl";
}

/// The bits of an id of any kind: in the audit log, where ids are written as they were drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdBits(pub u128);

impl serde::Serialize for IdBits {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Text::digits(self.0).as_str())
    }
}

impl<'de> serde::Deserialize<'de> for IdBits {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        read_digits(&text).map(Self).ok_or_else(|| serde::de::Error::custom("not the bits of an id"))
    }
}

impl GrantId {
    /// The grant of an order: an order has at most one, so they share their bits.
    pub fn of(order: OrderId) -> Self {
        Self(order.0)
    }

    /// The order that this grant came from.
    pub fn order(self) -> OrderId {
        OrderId(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_id_reads_back_and_text_order_is_id_order(a: u128, b: u128) {
            let (a, b) = (UserId::from_bits(a), UserId::from_bits(b));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<HubId>();
        }
    }

    #[test]
    fn every_letter_of_the_alphabet_counts_its_place_and_no_other_letter_counts() {
        for letter in 0..=u8::MAX {
            let place = ALPHABET.iter().position(|known| *known == letter);
            assert_eq!(digit(letter).map(usize::from), place, "{letter}");
        }
    }

    #[test]
    fn an_id_of_another_kind_or_out_of_range_is_refused() {
        let id = UserId::from_bits(1).to_string();
        assert!(id.parse::<HubId>().is_err());
        assert!("usr_8zzzzzzzzzzzzzzzzzzzzzzzzz".parse::<UserId>().is_err());
        assert!("usr_7zzzzzzzzzzzzzzzzzzzzzzzzz".parse::<UserId>().is_ok());
        assert!("usr_0000000000000000000000000U".parse::<UserId>().is_err());
    }
}
