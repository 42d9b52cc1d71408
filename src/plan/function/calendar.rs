//! Days and points in time as the helpers read them from texts. Reads no clock; zones come with the program.

use jiff::civil::{Date, Weekday};
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{Span, fmt::temporal::Pieces};

/// The days of the week as `day_of_week` names them, Monday first.
pub(in crate::plan) const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// The forms of a date, for a help line.
pub(in crate::plan) const FORMS: &str = "dates are `2024-05-01`, or times such as `2024-05-01T06:00:00Z`";
/// The forms of what `date_add` adds, for a help line.
pub(in crate::plan) const SHIFTS: &str =
    "write a number and a unit: `d` days, `w` weeks, `M` months or `y` years, as in \"-1M\"";
/// The most digits of what `date_add` adds.
const SHIFT_DIGITS_MAX: usize = 6;

/// A day, or a point in time with the offset that it is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Day(Date),
    Time(jiff::Timestamp, Offset),
}

/// Reads a day or a time; says in half a sentence why it is none.
pub(super) fn moment(text: &str) -> Result<Moment, String> {
    if has_day_form(text) {
        return match text.parse() {
            Ok(day) => Ok(Moment::Day(day)),
            Err(_) => Err(format!("`{text}` is not in the calendar")),
        };
    }
    if let Some((at, offset)) = at_offset(text) {
        return Ok(Moment::Time(at, offset));
    }
    let day = text.get(..10).is_some_and(has_day_form);
    Err(if day && text.len() >= 16 && text.parse::<jiff::civil::DateTime>().is_ok() {
        format!("`{text}` has no time zone: end it with `Z` for UTC, or with an offset such as `+02:00`")
    } else if matches!(text, "today" | "yesterday") || text.starts_with("today-") {
        format!("`{text}` is read as a date only in inputs of the type date")
    } else if text.is_empty() {
        "an empty text is no date".to_owned()
    } else {
        format!("`{}` is no date", super::excerpt(text))
    })
}

/// Says whether a text is a day of the calendar: `2024-05-01`.
pub(in crate::plan) fn is_day(text: &str) -> bool {
    has_day_form(text) && text.parse::<Date>().is_ok()
}

/// Returns the point in time that a text is: `2024-05-01T06:00:00Z`.
pub(in crate::plan) fn time(text: &str) -> Option<jiff::Timestamp> {
    at_offset(text).map(|(at, _)| at)
}

fn has_day_form(text: &str) -> bool {
    let is_right = |(n, b): (usize, u8)| if n == 4 || n == 7 { b == b'-' } else { b.is_ascii_digit() };
    text.len() == 10 && text.bytes().enumerate().all(is_right)
}

/// Reads a time as RFC 3339 has it. Most texts are none, and that is seen at once.
fn at_offset(text: &str) -> Option<(jiff::Timestamp, Offset)> {
    const LEAST: usize = "2024-05-01T06:00:00Z".len();
    const MOST: usize = "2024-05-01T06:00:00.123456789+02:00".len();
    let is_time = (LEAST..=MOST).contains(&text.len())
        && text.as_bytes()[10] == b'T'
        && text.get(..10).is_some_and(has_day_form)
        && !text.contains('[');
    if !is_time {
        return None;
    }
    let at = text.parse().ok()?;
    let offset = Pieces::parse(text).ok()?.to_numeric_offset()?;
    Some((at, offset))
}

impl Moment {
    /// Returns the day: of a time, the one on the calendar of whoever wrote it.
    pub(super) fn day(self) -> Date {
        match self {
            Self::Day(day) => day,
            Self::Time(at, offset) => offset.to_datetime(at).date(),
        }
    }
}

/// Returns the day that lies a text such as `-1M` away. The last days of a long month become the last one of a
/// short month.
pub(super) fn add(day: Date, shift: &str) -> Result<Date, String> {
    let shift = read_shift(shift)?;
    let moved = day.checked_add(shift).ok().filter(|moved| moved.year() > 0);
    moved.ok_or_else(|| "the day is outside the years 1 to 9999".to_owned())
}

/// Reads what `date_add` adds; says in half a sentence why it cannot.
pub(super) fn read_shift(text: &str) -> Result<Span, String> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = unsigned.len() - unsigned.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = unsigned.split_at(digits);
    if number.is_empty() {
        return Err(format!("`{}` is no number with a unit", super::excerpt(text)));
    }
    if number.len() > SHIFT_DIGITS_MAX {
        return Err(format!("`{}` is too far", super::excerpt(text)));
    }
    let count: i64 = number.parse().unwrap_or_default();
    let count = if text.starts_with('-') { -count } else { count };
    let span = match unit {
        "d" => Span::new().try_days(count),
        "w" => Span::new().try_weeks(count),
        "M" => Span::new().try_months(count),
        "y" => Span::new().try_years(count),
        "" => return Err(format!("`{text}` has no unit")),
        other => return Err(wrong_unit(other)),
    };
    span.map_err(|_| format!("`{text}` is too far"))
}

fn wrong_unit(unit: &str) -> String {
    let unit = unit.trim();
    match unit.to_lowercase().as_str() {
        "m" => "`m` would be minutes, and helpers know whole days only; months are `M`".to_owned(),
        "h" | "s" | "ms" | "min" | "hour" | "hours" | "minute" | "minutes" => {
            format!("there is no unit `{unit}`: helpers know whole days only")
        }
        "d" | "day" | "days" => format!("there is no unit `{unit}`; days are `d`"),
        "w" | "week" | "weeks" => format!("there is no unit `{unit}`; weeks are `w`"),
        "mo" | "mon" | "month" | "months" => format!("there is no unit `{unit}`; months are `M`"),
        "y" | "year" | "years" => format!("there is no unit `{unit}`; years are `y`"),
        _ => format!("there is no unit `{}`", super::excerpt(unit)),
    }
}

/// Returns the English name of a day of the week, in lower case.
pub(super) fn weekday(day: Date) -> &'static str {
    match day.weekday() {
        Weekday::Monday => WEEKDAYS[0],
        Weekday::Tuesday => WEEKDAYS[1],
        Weekday::Wednesday => WEEKDAYS[2],
        Weekday::Thursday => WEEKDAYS[3],
        Weekday::Friday => WEEKDAYS[4],
        Weekday::Saturday => WEEKDAYS[5],
        Weekday::Sunday => WEEKDAYS[6],
    }
}

/// Returns the zone of an IANA name; says in half a sentence why there is none.
pub(super) fn zone(name: &str) -> Result<TimeZone, String> {
    let known = TimeZoneDatabase::bundled();
    if let Ok(zone) = known.get(name) {
        return Ok(zone);
    }
    let unknown = format!("there is no time zone `{}`", super::excerpt(name));
    let names: Vec<String> = known.available().map(|zone| zone.as_str().to_owned()).collect();
    match crate::plan::words::nearest(name, names.iter().map(String::as_str)) {
        Some(near) => Err(format!("{unknown}; did you mean `{near}`?")),
        None => Err(format!("{unknown}; zones have names such as `Europe/Berlin` or `UTC`")),
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::Date;

    use super::{add, is_day, moment, time, weekday, zone};

    fn day(text: &str) -> Date {
        text.parse().expect("this is a day")
    }

    #[test]
    fn adds_by_the_calendar() {
        let check = |from: &str, shift: &str, want: Result<&str, &str>| {
            let got = add(day(from), shift).map(|day| day.to_string());
            assert_eq!(got, want.map(str::to_owned).map_err(str::to_owned), "{from} {shift}");
        };
        check("2024-05-01", "-1d", Ok("2024-04-30"));
        check("2024-05-01", "+2w", Ok("2024-05-15"));
        check("2024-05-01", "0d", Ok("2024-05-01"));
        check("2024-03-31", "-1M", Ok("2024-02-29"));
        check("2023-03-31", "-1M", Ok("2023-02-28"));
        check("2024-01-31", "1M", Ok("2024-02-29"));
        check("2024-02-29", "1y", Ok("2025-02-28"));
        check("2024-12-31", "12M", Ok("2025-12-31"));
        check(
            "2024-05-01",
            "-1m",
            Err("`m` would be minutes, and helpers know whole days only; months are `M`"),
        );
        check("2024-05-01", "1h", Err("there is no unit `h`: helpers know whole days only"));
        check("2024-05-01", "1 days", Err("there is no unit `days`; days are `d`"));
        check("2024-05-01", "1D", Err("there is no unit `D`; days are `d`"));
        check("2024-05-01", "1x", Err("there is no unit `x`"));
        check("2024-05-01", "-1", Err("`-1` has no unit"));
        check("2024-05-01", "d", Err("`d` is no number with a unit"));
        check("2024-05-01", "", Err("`` is no number with a unit"));
        check("2024-05-01", "1y2M", Err("there is no unit `y2M`"));
        check("2024-05-01", "1234567d", Err("`1234567d` is too far"));
        check("2024-05-01", "999999y", Err("`999999y` is too far"));
        check("2024-05-01", "-2024y", Err("the day is outside the years 1 to 9999"));
        check("2024-05-01", "8000y", Err("the day is outside the years 1 to 9999"));
    }

    #[test]
    fn reads_days_and_times() {
        let check = |text: &str, want: Result<&str, &str>| {
            let got = moment(text).map(|moment| moment.day().to_string());
            assert_eq!(got, want.map(str::to_owned).map_err(str::to_owned), "{text}");
        };
        check("2024-02-29", Ok("2024-02-29"));
        check("2023-02-29", Err("`2023-02-29` is not in the calendar"));
        check("2024-05-01T23:30:00Z", Ok("2024-05-01"));
        check("2024-05-01T23:30:00.123Z", Ok("2024-05-01"));
        check("2024-05-01T23:30:00-05:00", Ok("2024-05-01"));
        check("01.05.2024", Err("`01.05.2024` is no date"));
        check("", Err("an empty text is no date"));
        check("yesterday", Err("`yesterday` is read as a date only in inputs of the type date"));
        check(
            "2024-05-01T23:30:00",
            Err(
                "`2024-05-01T23:30:00` has no time zone: end it with `Z` for UTC, or with an offset such as `+02:00`",
            ),
        );
        check("2024-05-01T25:30:00Z", Err("`2024-05-01T25:30:00Z` is no date"));
        assert!(is_day("2024-02-29") && !is_day("2024-02-30") && !is_day("2024-2-9"));
        assert!(time("2024-05-01T06:00:00Z") == time("2024-05-01T08:00:00+02:00"));
        assert!(time("2024-05-01T06:00:00").is_none() && time("éééééééééé").is_none());
    }

    #[test]
    fn knows_weekdays_and_zones() {
        assert_eq!(weekday(day("2024-05-01")), "wednesday");
        assert_eq!(weekday(day("2024-05-05")), "sunday");
        assert!(zone("Europe/Berlin").is_ok());
        assert!(zone("UTC").is_ok());
        let near = zone("Europe/Berln").expect_err("there is no such zone");
        assert_eq!(near, "there is no time zone `Europe/Berln`; did you mean `Europe/Berlin`?");
        let none = zone("").expect_err("there is no such zone");
        assert!(none.ends_with("zones have names such as `Europe/Berlin` or `UTC`"), "{none}");
    }
}
