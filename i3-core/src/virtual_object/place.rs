//! Where objects are.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::Label;

/// Where an object is: a named place, a point on the earth, or both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// The place by its name; slashes lead from the widest to the narrowest: `Jeju/Campus/Building 4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Label>,
    /// The point (WGS 84).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<Point>,
}

/// A point on the earth (WGS 84).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Degrees north of the equator.
    pub lat: Latitude,
    /// Degrees east of Greenwich.
    pub lon: Longitude,
}

/// A number that is no latitude or no longitude.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a number of degrees: -{0} to {0} are expected")]
pub struct InvalidDegrees(i32);

macro_rules! degrees {
    ($($(#[$doc:meta])* $name:ident up to $limit:literal;)*) => {$(
        $(#[$doc])*
        ///
        /// Kept in ten-millionths of a degree (about a centimetre), so that equal places have equal texts. In JSON a
        /// number of degrees.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i32);

        impl $name {
            /// Of so many ten-millionths of a degree.
            pub fn from_e7(e7: i64) -> Result<Self, InvalidDegrees> {
                let limit: i64 = $limit * 10_000_000;
                match i32::try_from(e7) {
                    Ok(units) if (-limit..=limit).contains(&e7) => Ok(Self(units)),
                    _ => Err(InvalidDegrees($limit)),
                }
            }

            /// Ten-millionths of a degree.
            pub const fn e7(self) -> i32 {
                self.0
            }

            /// Degrees.
            pub fn degrees(self) -> f64 {
                f64::from(self.0) / 1e7
            }
        }

        impl TryFrom<f64> for $name {
            type Error = InvalidDegrees;

            /// Rounds to ten-millionths of a degree.
            fn try_from(degrees: f64) -> Result<Self, InvalidDegrees> {
                // As text, because the standard library has no checked way from a float to an integer.
                let text = format!("{:.0}", degrees * 1e7);
                Self::from_e7(text.parse().map_err(|_| InvalidDegrees($limit))?)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                // Whole numbers without a point, as RFC 8785 wants them.
                if self.0 % 10_000_000 == 0 {
                    serializer.serialize_i32(self.0 / 10_000_000)
                } else {
                    serializer.serialize_f64(self.degrees())
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::try_from(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

degrees! {
    /// How far north of the equator: -90 to 90 degrees.
    Latitude up to 90;
    /// How far east of Greenwich: -180 to 180 degrees.
    Longitude up to 180;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn degrees_are_within_their_range() {
        for good in [-90.0, 0.0, 33.450_701_2, 90.0] {
            assert!(Latitude::try_from(good).is_ok(), "{good}");
        }
        for bad in [90.000_000_1, -91.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(Latitude::try_from(bad).is_err(), "{bad}");
        }
        assert!(Longitude::try_from(180.1).is_err());
    }

    #[test]
    fn whole_degrees_have_no_point() {
        let text = |degrees: f64| serde_json::to_string(&Longitude::try_from(degrees).unwrap()).unwrap();
        assert_eq!([text(127.0), text(-0.0), text(126.57), text(1e-7)], ["127", "0", "126.57", "1e-7"]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(e7 in -1_800_000_000_i64..=1_800_000_000) {
            let written = Longitude::from_e7(e7).unwrap();
            let text = serde_json::to_string(&written).unwrap();
            prop_assert_eq!(serde_json::from_str::<Longitude>(&text).unwrap(), written, "{}", text);
        }
    }
}
