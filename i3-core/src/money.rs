//! Money is integers.
//!
//! An [`Amount`] counts minor units (cents) of a [`Currency`] that knows its scale. Prices per
//! message are finer: a [`UnitPrice`] counts billionths of the currency's unit, so that a message may
//! cost 0.0004 cents. The one place where the two meet is [`UnitPrice::due`], which rounds once, half
//! to even.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::store::Units;

/// A currency: a code and the number of decimal places of its minor unit.
///
/// The text form is the code for the ISO 4217 currencies in the built-in table (`EUR`), and
/// code, slash, scale for any other (`TOK/6`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    code: [u8; Self::CODE_MAX],
    scale: u8,
}

/// ISO 4217 codes whose scale is known without being said.
const ISO: &[(&str, u8)] = &[
    ("AUD", 2),
    ("BHD", 3),
    ("BRL", 2),
    ("CAD", 2),
    ("CHF", 2),
    ("CNY", 2),
    ("EUR", 2),
    ("GBP", 2),
    ("INR", 2),
    ("JPY", 0),
    ("KRW", 0),
    ("KWD", 3),
    ("MXN", 2),
    ("NOK", 2),
    ("SEK", 2),
    ("USD", 2),
];

/// A text that names no currency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a currency: an ISO 4217 code, or CODE/SCALE with 3 to 8 capital letters and a scale of 0 to 18, is expected"
)]
pub struct InvalidCurrency;

impl Currency {
    const CODE_MAX: usize = 8;
    /// The finest scale of any currency.
    pub const MAX_SCALE: u8 = 18;
    /// The US dollar.
    pub const USD: Self = Self { code: *b"USD\0\0\0\0\0", scale: 2 };
    /// The euro.
    pub const EUR: Self = Self { code: *b"EUR\0\0\0\0\0", scale: 2 };

    /// A currency of one's own, for instance a token or points.
    pub fn custom(code: &str, scale: u8) -> Result<Self, InvalidCurrency> {
        let letters = code.bytes().all(|letter| letter.is_ascii_uppercase());
        if !letters || !(3..=Self::CODE_MAX).contains(&code.len()) || scale > Self::MAX_SCALE {
            return Err(InvalidCurrency);
        }
        if ISO.iter().any(|(known, known_scale)| *known == code && *known_scale != scale) {
            return Err(InvalidCurrency);
        }
        let mut bytes = [0; Self::CODE_MAX];
        for (place, letter) in bytes.iter_mut().zip(code.bytes()) {
            *place = letter;
        }
        Ok(Self { code: bytes, scale })
    }

    /// The code alone.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or_default().trim_end_matches('\0')
    }

    /// Decimal places of the minor unit.
    pub const fn scale(&self) -> u8 {
        self.scale
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if ISO.iter().any(|(code, _)| *code == self.code()) {
            f.write_str(self.code())
        } else {
            write!(f, "{}/{}", self.code(), self.scale)
        }
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Currency {
    type Err = InvalidCurrency;

    fn from_str(text: &str) -> Result<Self, InvalidCurrency> {
        if let Some((code, scale)) = text.split_once('/') {
            return Self::custom(code, scale.parse().map_err(|_| InvalidCurrency)?);
        }
        let (code, scale) = ISO.iter().find(|(code, _)| *code == text).ok_or(InvalidCurrency)?;
        Self::custom(code, *scale)
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A sum that left the range of [`Amount`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the amount is out of range")]
pub struct AmountOverflow;

/// A number of minor units; which currency is said beside it. Bounded like [`Units`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Amount(Units);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(Units::ZERO);
    /// The most that can be owned or owed.
    pub const MAX: Self = Self(Units::MAX);

    /// `minor` minor units.
    pub fn new(minor: i64) -> Result<Self, AmountOverflow> {
        Units::new(minor).map(Self).map_err(|_| AmountOverflow)
    }

    /// The number of minor units.
    pub const fn minor(self) -> i64 {
        self.0.get()
    }

    /// As a counter's change.
    pub const fn units(self) -> Units {
        self.0
    }

    /// The sum.
    pub fn plus(self, other: Self) -> Result<Self, AmountOverflow> {
        Self::new(self.minor().checked_add(other.minor()).ok_or(AmountOverflow)?)
    }

    /// The difference.
    pub fn minus(self, other: Self) -> Result<Self, AmountOverflow> {
        Self::new(self.minor().checked_sub(other.minor()).ok_or(AmountOverflow)?)
    }

    /// The same amount in the other direction.
    pub const fn negated(self) -> Self {
        Self(self.0.negated())
    }

    /// Whether this is more than nothing.
    pub const fn is_positive(self) -> bool {
        self.minor() > 0
    }

    /// This share of the amount in hundredths of a percent, rounded half to even.
    pub fn basis_points(self, points: u16) -> Self {
        let exact = i128::from(self.minor()) * i128::from(points);
        // |minor| * 65,535 / 10,000 fits: minor is bounded by 2^60.
        div_half_even(exact, 10_000).and_then(|share| Self::new(share).ok()).unwrap_or(Self::MAX)
    }

    /// The amount as people write it, for instance `12.34 EUR`.
    pub fn display(self, currency: Currency) -> impl fmt::Display {
        DisplayAmount { amount: self, currency }
    }
}

struct DisplayAmount {
    amount: Amount,
    currency: Currency,
}

impl fmt::Display for DisplayAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minor = self.amount.minor();
        let sign = if minor < 0 { "-" } else { "" };
        let base = 10_u64.pow(u32::from(self.currency.scale));
        let (whole, rest) = (minor.unsigned_abs() / base, minor.unsigned_abs() % base);
        let text = match usize::from(self.currency.scale) {
            0 => format!("{sign}{whole} {}", self.currency.code()),
            scale => format!("{sign}{whole}.{rest:0scale$} {}", self.currency.code()),
        };
        f.pad(&text)
    }
}

/// Divides, rounding half to even. `None` if the quotient leaves 64 bits.
fn div_half_even(number: i128, divisor: i128) -> Option<i64> {
    let (quotient, rest) = (number.div_euclid(divisor), number.rem_euclid(divisor));
    let up = match (rest * 2).cmp(&divisor) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => quotient.rem_euclid(2) == 1,
    };
    i64::try_from(quotient + i128::from(up)).ok()
}

/// The price of one message, in billionths of the currency's unit; never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct UnitPrice(u64);

/// A unit price that is too high to compute with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a unit price is at most {} billionths of the currency's unit", UnitPrice::MAX.0)]
pub struct UnitPriceTooHigh;

impl TryFrom<u64> for UnitPrice {
    type Error = UnitPriceTooHigh;

    fn try_from(nanos: u64) -> Result<Self, UnitPriceTooHigh> {
        if nanos <= Self::MAX.0 { Ok(Self(nanos)) } else { Err(UnitPriceTooHigh) }
    }
}

impl From<UnitPrice> for u64 {
    fn from(price: UnitPrice) -> Self {
        price.0
    }
}

impl UnitPrice {
    /// A billion currency units a message.
    pub const MAX: Self = Self(1_000_000_000_000_000_000);

    /// Billionths of the currency's unit.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// What `count` messages cost, in minor units, rounded once, half to even.
    ///
    /// Never falls as `count` grows, so charging `due(a + b) - due(a)` for a further `b` messages
    /// bills the same total in any split.
    pub fn due(self, count: u64, currency: Currency) -> Result<Amount, AmountOverflow> {
        let nanos = i128::from(self.0).checked_mul(i128::from(count)).ok_or(AmountOverflow)?;
        let minor = match currency.scale {
            scale @ 0..=8 => div_half_even(nanos, 10_i128.pow(u32::from(9 - scale))),
            scale => nanos.checked_mul(10_i128.pow(u32::from(scale - 9))).and_then(|m| i64::try_from(m).ok()),
        };
        Amount::new(minor.ok_or(AmountOverflow)?)
    }
}

/// `price * part / whole` in minor units, rounded half to even; the whole price once `part` reaches
/// `whole`.
pub fn pro_rata(price: Amount, part: u64, whole: u64) -> Result<Amount, AmountOverflow> {
    if part >= whole {
        return Ok(price);
    }
    let exact = i128::from(price.minor()).checked_mul(i128::from(part)).ok_or(AmountOverflow)?;
    Amount::new(div_half_even(exact, i128::from(whole)).ok_or(AmountOverflow)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn currency(scale: u8) -> Currency {
        Currency::custom("TOK", scale).unwrap()
    }

    #[test]
    fn currencies_read_back_and_an_iso_code_keeps_its_scale() {
        for text in ["EUR", "JPY", "KWD", "TOK/6", "TOK/18"] {
            assert_eq!(text.parse::<Currency>().unwrap().to_string(), text);
        }
        for text in ["", "EU", "eur", "EUR/3", "TOK", "TOK/19", "TOOLONGCODE/2", "TÖK/2"] {
            assert_eq!(text.parse::<Currency>(), Err(InvalidCurrency), "{text}");
        }
    }

    #[test]
    fn amounts_are_written_with_the_scale_of_their_currency() {
        let amount = Amount::new(-1_234_567).unwrap();
        let text = |currency| amount.display(currency).to_string();
        assert_eq!(text(Currency::EUR), "-12345.67 EUR");
        assert_eq!(text("JPY".parse().unwrap()), "-1234567 JPY");
        assert_eq!(text(currency(18)), "-0.000000000001234567 TOK");
    }

    #[test]
    fn one_rounding_half_to_even_at_every_scale() {
        let price = UnitPrice::try_from(5_000_000).unwrap(); // half a cent
        let due = |count| price.due(count, Currency::EUR).unwrap().minor();
        assert_eq!([due(1), due(2), due(3), due(5), due(7)], [0, 1, 2, 2, 4]);
        let one_unit = UnitPrice::try_from(1_000_000_000).unwrap();
        for (scale, minor) in [(0, 1), (2, 100), (3, 1_000), (6, 1_000_000), (18, 1_000_000_000_000_000_000)]
        {
            assert_eq!(one_unit.due(1, currency(scale)).unwrap().minor(), minor);
        }
        assert_eq!(one_unit.due(2, currency(18)), Err(AmountOverflow));
        assert_eq!(UnitPrice::MAX.due(u64::MAX, Currency::EUR), Err(AmountOverflow));
    }

    proptest! {
        #[test]
        fn a_total_does_not_depend_on_how_it_was_split(
            nanos in 0_u64..10_000_000_000, counts in prop::collection::vec(0_u64..100_000, 1..20), scale in 0_u8..=9,
        ) {
            let price = UnitPrice::try_from(nanos).unwrap();
            let mut so_far = 0;
            let mut charged = 0;
            for count in &counts {
                let step = price.due(so_far + count, currency(scale)).unwrap().minor()
                    - price.due(so_far, currency(scale)).unwrap().minor();
                prop_assert!(step >= 0);
                charged += step;
                so_far += count;
            }
            prop_assert_eq!(charged, price.due(so_far, currency(scale)).unwrap().minor());
        }

        #[test]
        fn a_share_is_never_more_than_the_whole(price in 0_i64..1_000_000_000_000, whole in 1_u64..1_000_000, part: u64) {
            let price = Amount::new(price).unwrap();
            let share = pro_rata(price, part % whole, whole).unwrap();
            prop_assert!(share <= price);
            prop_assert_eq!(pro_rata(price, whole, whole).unwrap(), price);
            prop_assert!(price.basis_points(10_000) == price);
        }
    }
}
