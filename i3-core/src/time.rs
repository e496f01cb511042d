//! Points in time, and where they come from.
//!
//! Nothing in the domain asks the machine for the time: a [`Clock`] is a parameter, so a test, a
//! replay and a simulation decide what "now" means.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time, in whole microseconds since 1970-01-01T00:00:00Z.
///
/// Text and JSON forms are RFC 3339 in UTC (`2026-11-21T21:27:02.5Z`); index columns hold the
/// integer. Arithmetic saturates at [`Timestamp::MIN`] and [`Timestamp::MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// A text or number that is no [`Timestamp`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a point in time: RFC 3339 text between years 0000 and 9999 is expected")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// 0000-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_167_219_200_000_000);
    /// 9999-01-01T00:00:00Z.
    pub const MAX: Self = Self(253_370_764_800_000_000);

    /// The point `micros` microseconds after the epoch.
    pub fn from_micros(micros: i64) -> Result<Self, InvalidTimestamp> {
        if (Self::MIN.0..=Self::MAX.0).contains(&micros) { Ok(Self(micros)) } else { Err(InvalidTimestamp) }
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded towards the past.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The point `span` later.
    pub fn plus(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros).min(Self::MAX.0))
    }

    /// The point `span` earlier.
    pub fn minus(self, span: Duration) -> Self {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros).max(Self::MIN.0))
    }

    /// The time from `earlier` to this point; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp)?;
        Self::from_micros(time.as_microsecond())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A time zone of the IANA database, by its name: `Europe/Berlin`. The program brings the database along, so that a
/// name is known on every machine or on none. Names are never taken out of it again (RFC 6557, section 3).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneName(String);

/// A text that is no [`ZoneName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time zone: a name of the IANA database is expected, for instance `Europe/Berlin`")]
pub struct InvalidZoneName;

impl ZoneName {
    /// The name as the database writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What clocks in this zone show, to the minute, with the difference to UTC: `2027-01-15 09:00 (+01:00)`.
    pub fn local(&self, at: Timestamp) -> String {
        let zone = jiff::tz::TimeZoneDatabase::bundled().get(&self.0).unwrap_or(jiff::tz::TimeZone::UTC);
        match jiff::Timestamp::from_microsecond(at.micros()) {
            Ok(time) => time.to_zoned(zone).strftime("%Y-%m-%d %H:%M (%:z)").to_string(),
            Err(_) => at.to_string(),
        }
    }
}

impl FromStr for ZoneName {
    type Err = InvalidZoneName;

    /// In any case of letters; kept as the database writes it.
    fn from_str(text: &str) -> Result<Self, InvalidZoneName> {
        let zone = jiff::tz::TimeZoneDatabase::bundled().get(text).map_err(|_| InvalidZoneName)?;
        zone.iana_name().map(|name| Self(name.to_owned())).ok_or(InvalidZoneName)
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for ZoneName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ZoneName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where "now" comes from.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The present time. May go backwards when the machine's clock is set.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::default().plus(since)
    }
}

/// A clock that moves only when told to.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Moves the clock forward.
    pub fn advance(&self, span: Duration) {
        let later = self.now().plus(span);
        self.0.store(later.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_rfc_3339_and_reads_back() {
        let time = Timestamp::from_micros(1_795_296_422_500_000).unwrap();
        assert_eq!(time.to_string(), "2026-11-21T21:27:02.5Z");
        assert_eq!(time.to_string().parse(), Ok(time));
        assert_eq!("yesterday".parse::<Timestamp>(), Err(InvalidTimestamp));
    }

    #[test]
    fn time_zones_are_those_of_the_iana_database_in_any_case_of_letters() {
        let seoul: ZoneName = "asia/SEOUL".parse().unwrap();
        assert_eq!(seoul.as_str(), "Asia/Seoul");
        assert_eq!("UTC".parse::<ZoneName>().unwrap().as_str(), "UTC");
        // A name of former times.
        assert!("US/Eastern".parse::<ZoneName>().is_ok());
        for bad in
            ["", "Mars/Olympus", "+02:00", "../etc/localtime", "Europe/Berlin\0", "CET+1", &"a".repeat(9_000)]
        {
            assert_eq!(bad.parse::<ZoneName>(), Err(InvalidZoneName), "{bad:?}");
        }
    }

    #[test]
    fn a_clock_in_a_zone_shows_its_time_with_the_difference_to_utc() {
        let winter = Timestamp::from_micros(1_800_000_000_000_000).unwrap();
        let zone: ZoneName = "Europe/Berlin".parse().unwrap();
        assert_eq!(zone.local(winter), "2027-01-15 09:00 (+01:00)");
        assert_eq!(zone.local(winter.plus(Duration::from_hours(180 * 24))), "2027-07-14 10:00 (+02:00)");
    }

    #[test]
    fn arithmetic_saturates_at_the_range() {
        assert_eq!(Timestamp::MAX.plus(Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.minus(Duration::MAX), Timestamp::MIN);
        assert_eq!(Timestamp::default().since(Timestamp::MAX), Duration::ZERO);
        assert!(Timestamp::from_micros(i64::MAX).is_err());
        for edge in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(edge.to_string().parse(), Ok(edge));
        }
    }
}
