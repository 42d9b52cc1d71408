//! Points and lengths of time as plain numbers. Never reads a clock: the shell passes `now` in.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String", extend("format" = "date-time"))]
pub struct Timestamp {
    epoch_ms: i64,
}

/// A length of time in milliseconds, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Delay {
    ms: u64,
}

/// The last millisecond a [`Timestamp`] can show: the end of the year 9999.
const EPOCH_MS_MAX: i64 = 253_402_207_200_000;

impl Timestamp {
    /// Returns the point `epoch_ms` milliseconds after 1970, cut to the years 1970 to 9999.
    pub const fn from_epoch_ms(epoch_ms: i64) -> Self {
        let epoch_ms = if epoch_ms < 0 { 0 } else { epoch_ms };
        Self { epoch_ms: if epoch_ms > EPOCH_MS_MAX { EPOCH_MS_MAX } else { epoch_ms } }
    }

    /// Returns the milliseconds since 1970.
    pub const fn epoch_ms(self) -> i64 {
        self.epoch_ms
    }

    /// Returns how long after `earlier` this is; zero if it is not after it.
    pub const fn since(self, earlier: Self) -> Delay {
        let ms = self.epoch_ms.saturating_sub(earlier.epoch_ms);
        Delay { ms: if ms < 0 { 0 } else { ms as u64 } }
    }

    /// Reads ISO 8601 as the service writes it: up to seven fraction digits, and UTC where the zone
    /// is missing (protocol 2.4 and 3: a DELETE answers `0001-01-01T00:00:00`).
    ///
    /// Returns nothing where the text is no date and time. Points before 1970 are cut to 1970.
    pub fn parse_lenient(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(parsed) = text.parse::<jiff::Timestamp>() {
            return Some(Self::from_epoch_ms(parsed.as_millisecond()));
        }
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Self::from_epoch_ms(zoned.timestamp().as_millisecond()))
    }

    /// Returns the point for people: `2026-11-24 12:03:07 UTC`, without seconds where they are zero.
    pub fn spoken(self) -> String {
        let text = self.to_string();
        let (day, time) =
            (&text[.."2026-11-24".len()], &text["2026-11-24T".len().."2026-11-24T12:03:07".len()]);
        format!("{day} {} UTC", time.strip_suffix(":00").unwrap_or(time))
    }

    /// Returns the same point as jiff's type, for calendars and zones.
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.epoch_ms).expect("the range was cut when this was made")
    }
}

impl Delay {
    /// No time at all.
    pub const ZERO: Self = Self { ms: 0 };

    /// Returns a length of `ms` milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self { ms }
    }

    /// Returns a length of `seconds` seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self { ms: seconds.saturating_mul(1000) }
    }

    /// Returns the milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.ms
    }

    /// Returns a length of time in whole milliseconds, cut.
    pub fn from_std(length: std::time::Duration) -> Self {
        Self { ms: u64::try_from(length.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Returns the length as the standard library's type.
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.ms)
    }

    /// Returns the length times `factor`; a factor below zero counts as zero.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self { ms: (self.ms as f64 * factor.max(0.0)).round() as u64 }
    }

    /// Returns a short text for people: `4.2s`, `1m05s`, `2h03m`.
    pub fn short(self) -> String {
        let seconds = self.ms / 1000;
        match seconds {
            0..10 => format!("{}.{}s", seconds, self.ms % 1000 / 100),
            10..60 => format!("{seconds}s"),
            60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
            _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        }
    }
}

impl Add<Delay> for Timestamp {
    type Output = Self;

    fn add(self, delay: Delay) -> Self {
        Self::from_epoch_ms(self.epoch_ms.saturating_add(i64::try_from(delay.ms).unwrap_or(i64::MAX)))
    }
}

impl Sub<Delay> for Timestamp {
    type Output = Self;

    fn sub(self, delay: Delay) -> Self {
        Self::from_epoch_ms(self.epoch_ms.saturating_sub(i64::try_from(delay.ms).unwrap_or(i64::MAX)))
    }
}

impl Add for Delay {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { ms: self.ms.saturating_add(other.ms) }
    }
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC with exactly three fraction digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.to_jiff())
    }
}

impl FromStr for Timestamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse_lenient(text).ok_or_else(|| format!("`{text}` is no date and time"))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{Delay, Timestamp};

    #[test]
    fn reads_what_the_service_writes() {
        let check = |text: &str, want: &str| {
            let got = Timestamp::parse_lenient(text).map(|t| t.to_string());
            assert_eq!(got.as_deref(), Some(want), "{text}");
        };
        check("2021-09-14T07:15:31.7696935Z", "2021-09-14T07:15:31.769Z");
        check("2021-09-14T07:15:15.5965Z", "2021-09-14T07:15:15.596Z");
        check("2021-09-14T07:15:15", "2021-09-14T07:15:15.000Z");
        check("0001-01-01T00:00:00", "1970-01-01T00:00:00.000Z");
        check("2021-09-14T09:15:15+02:00", "2021-09-14T07:15:15.000Z");
        assert_eq!(Timestamp::parse_lenient("soon"), None);
    }

    #[test]
    fn never_overflows() {
        let late = Timestamp::from_epoch_ms(i64::MAX);
        assert_eq!(late + Delay::from_ms(u64::MAX), late);
        assert_eq!(Timestamp::from_epoch_ms(0) - Delay::from_secs(5), Timestamp::from_epoch_ms(0));
        assert_eq!(Timestamp::from_epoch_ms(0).since(late), Delay::ZERO);
        assert_eq!(late.to_string().len(), "2021-09-14T07:15:31.769Z".len());
    }

    #[test]
    fn is_read_back_as_it_was_written() {
        let check = |epoch_ms: i64| {
            let point = Timestamp::from_epoch_ms(epoch_ms);
            let text = serde_json::to_string(&point).expect("a point in time is a text");
            assert_eq!(serde_json::from_str::<Timestamp>(&text).ok(), Some(point), "{text}");
        };
        check(0);
        check(1);
        check(951_782_399_999);
        check(1_700_000_000_123);
        check(i64::MAX);
        assert!(serde_json::from_str::<Timestamp>("\"tomorrow\"").is_err());
        assert!(serde_json::from_str::<Timestamp>("17").is_err());
    }

    #[test]
    fn scales_by_any_factor() {
        let check = |factor: f64, want_ms: u64| {
            assert_eq!(Delay::from_secs(2).scaled(factor), Delay::from_ms(want_ms), "{factor}");
        };
        check(1.0, 2_000);
        check(0.000_25, 1);
        check(-1.0, 0);
        check(f64::NAN, 0);
        check(f64::INFINITY, u64::MAX);
    }

    #[test]
    fn says_a_time_for_people() {
        let check =
            |text: &str, want: &str| assert_eq!(text.parse().map(Timestamp::spoken), Ok(want.to_owned()));
        check("2026-11-24T12:03:07.250Z", "2026-11-24 12:03:07 UTC");
        check("2026-11-24T06:00:00Z", "2026-11-24 06:00 UTC");
        check("2026-11-24T00:00:00Z", "2026-11-24 00:00 UTC");
    }

    #[test]
    fn counts_from_the_earlier_to_the_later() {
        let (early, late) = (Timestamp::from_epoch_ms(1_000), Timestamp::from_epoch_ms(3_500));
        assert_eq!(late.since(early), Delay::from_ms(2_500));
        assert_eq!(early.since(late), Delay::ZERO);
        assert_eq!(early + late.since(early), late);
        assert_eq!(late - Delay::from_ms(2_500), early);
    }

    #[test]
    fn shortens_for_people() {
        let check = |ms: u64, want: &str| assert_eq!(Delay::from_ms(ms).short(), want);
        check(0, "0.0s");
        check(4_260, "4.2s");
        check(65_000, "1m05s");
        check(7_380_000, "2h03m");
    }
}
