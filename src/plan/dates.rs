//! Days as an input names them: `2024-05-01`, `today`, `yesterday`, `today-3d`; today in the plan's zone.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};

use crate::time::Timestamp;

/// How far a day may be from today: a century.
const OFFSET_DAYS_MAX: i32 = 36_525;

/// Returns the day that it is in a zone.
pub(super) fn today(now: Timestamp, zone: &TimeZone) -> Date {
    now.to_jiff().to_zoned(zone.clone()).date()
}

/// Turns a day's name into `YYYY-MM-DD`; says in half a sentence why it cannot.
pub(super) fn resolve(text: &str, today: Date) -> Result<String, String> {
    let shifted = |by: Span| today.checked_add(by).map_err(|_| "it is outside the calendar".to_owned());
    let day = match text {
        "today" => today,
        "yesterday" => shifted(-1.days())?,
        _ => match text.strip_prefix("today") {
            Some(offset) => shifted(days(offset)?.days())?,
            None => written(text)?,
        },
    };
    Ok(day.to_string())
}

/// Reads `-3d`.
fn days(offset: &str) -> Result<i32, String> {
    let number = offset.strip_suffix('d').filter(|number| number.starts_with(['+', '-']));
    number
        .and_then(|number| number.parse::<i32>().ok())
        .filter(|days| days.abs() <= OFFSET_DAYS_MAX)
        .ok_or_else(|| format!("`today{offset}` is not understood"))
}

fn written(text: &str) -> Result<Date, String> {
    let has_form = text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(n, b)| if n == 4 || n == 7 { b == b'-' } else { b.is_ascii_digit() });
    if !has_form {
        return Err(format!("`{text}` is no date"));
    }
    text.parse().map_err(|_| format!("`{text}` is not in the calendar"))
}

/// The forms, for a help line.
pub(super) const FORMS: &str = "dates are `2024-05-01`, `today`, `yesterday` or `today-3d`";

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::{resolve, today};
    use crate::plan::timezone;
    use crate::time::Timestamp;

    #[test]
    fn resolves_days() {
        let now: Timestamp = "2024-03-01T00:30:00Z".parse().expect("this is a time");
        let check = |text: &str, want: Result<&str, &str>| {
            let want = want.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(resolve(text, today(now, &TimeZone::UTC)), want, "{text}");
        };
        check("today", Ok("2024-03-01"));
        check("yesterday", Ok("2024-02-29"));
        check("today-3d", Ok("2024-02-27"));
        check("today+1d", Ok("2024-03-02"));
        check("2024-02-29", Ok("2024-02-29"));
        check("2023-02-29", Err("`2023-02-29` is not in the calendar"));
        check("01.05.2024", Err("`01.05.2024` is no date"));
        check("2024-5-1", Err("`2024-5-1` is no date"));
        check("2024-05-01T00:00:00Z", Err("`2024-05-01T00:00:00Z` is no date"));
        check("today-3", Err("`today-3` is not understood"));
        check("today3d", Err("`today3d` is not understood"));
        check("today-36525d", Ok("1924-03-01"));
        check("today-36526d", Err("`today-36526d` is not understood"));
        check("", Err("`` is no date"));
    }

    #[test]
    fn today_is_a_day_of_the_zone() {
        let check = |now: &str, zone: &str, want: &str| {
            let now: Timestamp = now.parse().expect("this is a time");
            let zone = timezone::find(zone).expect("this is a zone");
            assert_eq!(today(now, &zone).to_string(), want, "{now} {zone:?}");
        };
        check("2024-05-02T21:59:59Z", "Europe/Berlin", "2024-05-02");
        check("2024-05-02T22:00:00Z", "Europe/Berlin", "2024-05-03");
        // In winter the day begins an hour later.
        check("2024-12-02T22:00:00Z", "Europe/Berlin", "2024-12-02");
        check("2024-05-02T03:00:00Z", "America/New_York", "2024-05-01");
        check("2024-05-01T10:00:00Z", "Pacific/Kiritimati", "2024-05-02");
    }
}
