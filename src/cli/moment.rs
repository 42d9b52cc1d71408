//! Points in time and sizes as people give them on the command line.

use crate::plan;
use crate::time::{Delay, Timestamp};

const DAY: Delay = Delay::from_secs(24 * 3600);

/// Reads a point in time: a date (its beginning in UTC), a date with a time, or how long ago: `90d`, `2w`, `36h`, `30m`.
///
/// Fails with what may stand there.
pub(super) fn read(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Some(ago) = ago(text) {
        return Ok(now - ago);
    }
    if let Ok(day) = text.parse::<jiff::civil::Date>()
        && text.len() == "2026-11-24".len()
        && let Ok(zoned) = day.to_zoned(jiff::tz::TimeZone::UTC)
    {
        return Ok(Timestamp::from_epoch_ms(zoned.timestamp().as_millisecond()));
    }
    Timestamp::parse_lenient(text).ok_or_else(|| {
        "write a date such as `2026-11-24`, a time such as `2026-11-24T06:00:00Z`, or how long ago: `90d`, `2w`, `36h`".to_owned()
    })
}

/// Reads a length of time that may have days and weeks.
fn ago(text: &str) -> Option<Delay> {
    let days = |digits: &str, of: u64| {
        let count: u64 = digits.parse().ok()?;
        Some(Delay::from_ms(DAY.as_ms().checked_mul(of)?.checked_mul(count)?))
    };
    match (text.strip_suffix('d'), text.strip_suffix('w')) {
        (Some(digits), _) => days(digits, 1),
        (_, Some(digits)) => days(digits, 7),
        _ => plan::read_duration(text).ok(),
    }
}

/// Reads a size: `200MB`, `1.5 GB`, `4096`. A thousand of one is one of the next.
///
/// Fails with what may stand there.
pub(super) fn read_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
    let unit = match text[digits.len()..].trim().to_ascii_uppercase().as_str() {
        "" | "B" => 1.0,
        "KB" | "K" => 1e3,
        "MB" | "M" => 1e6,
        "GB" | "G" => 1e9,
        _ => f64::NAN,
    };
    let bytes = digits.parse::<f64>().ok().map(|count| count * unit);
    let bytes = bytes.filter(|bytes| bytes.is_finite() && *bytes >= 0.0);
    bytes.map(|bytes| bytes as u64).ok_or_else(|| "write a size such as `200MB` or `1.5GB`".to_owned())
}

/// Writes a size for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} KB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::{read, read_size, size};
    use crate::time::{Delay, Timestamp};

    #[test]
    fn reads_dates_times_and_how_long_ago() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().expect("a time");
        let check = |text: &str, want: Option<&str>| {
            assert_eq!(read(text, now).ok().map(|at| at.to_string()).as_deref(), want, "{text}");
        };
        check("2026-11-01", Some("2026-11-01T00:00:00.000Z"));
        check("2026-11-01T06:30:00Z", Some("2026-11-01T06:30:00.000Z"));
        check("2026-11-01T06:30:00+02:00", Some("2026-11-01T04:30:00.000Z"));
        check("1d", Some("2026-11-23T12:00:00.000Z"));
        check("2w", Some("2026-11-10T12:00:00.000Z"));
        check("1h30m", Some("2026-11-24T10:30:00.000Z"));
        check("yesterday", None);
        check("d", None);
        check("-1d", None);
        check("99999999999999999999d", None);
        assert_eq!(read("0d", now), Ok(now));
        assert_eq!(read("36h", now), Ok(now - Delay::from_secs(36 * 3600)));
    }

    #[test]
    fn reads_and_writes_sizes() {
        let check = |text: &str, want: Option<u64>| assert_eq!(read_size(text).ok(), want, "{text}");
        check("200MB", Some(200_000_000));
        check("1.5 GB", Some(1_500_000_000));
        check("4096", Some(4096));
        check("10k", Some(10_000));
        check("MB", None);
        check("-1MB", None);
        check("5 apples", None);
        assert_eq!(
            [0, 999, 1_500, 2_340_000, 5_000_000_000].map(size),
            ["0 bytes", "999 bytes", "1.5 KB", "2.3 MB", "5.0 GB"]
        );
    }
}
