//! `deadline`: by when a flow should have ended, as a length of time or as a time of day in a zone.
//!
//! Zones come from the database inside this program, not from the machine's: the same plan and start give the same
//! time everywhere.

use std::fmt;
use std::sync::LazyLock;

use jiff::civil::{DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp as Moment, ToSpan};

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::reader::{Reader, excerpt};
use super::source::{Node, Yaml};
use super::{duration, words};
use crate::time::{Delay, Timestamp};

/// The forms, for a help line.
const FORMS: &str =
    "write a time of day with its zone, `\"06:00 Europe/Berlin\"`, or a length of time from the start, `4h`";

/// How many days around the start are looked through: a zone may have left one out.
const DAYS: std::ops::RangeInclusive<i32> = -1..=3;

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Names of zones that are no names here, with the one that is meant: those of Windows, which Data Factory's triggers
/// use, and short ones.
const FOREIGN_ZONES: &[(&str, &str)] = &[
    ("AEST", "Australia/Sydney"),
    ("AUS Eastern Standard Time", "Australia/Sydney"),
    ("BST", "Europe/London"),
    ("CDT", "America/Chicago"),
    ("CEST", "Europe/Berlin"),
    ("Central Europe Standard Time", "Europe/Budapest"),
    ("Central European Standard Time", "Europe/Warsaw"),
    ("Central Standard Time", "America/Chicago"),
    ("China Standard Time", "Asia/Shanghai"),
    ("CST", "America/Chicago"),
    ("E. South America Standard Time", "America/Sao_Paulo"),
    ("Eastern Standard Time", "America/New_York"),
    ("EDT", "America/New_York"),
    ("EEST", "Europe/Helsinki"),
    ("FLE Standard Time", "Europe/Helsinki"),
    ("GMT Standard Time", "Europe/London"),
    ("GST", "Asia/Dubai"),
    ("India Standard Time", "Asia/Kolkata"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("MDT", "America/Denver"),
    ("Mountain Standard Time", "America/Denver"),
    ("Pacific Standard Time", "America/Los_Angeles"),
    ("PDT", "America/Los_Angeles"),
    ("PST", "America/Los_Angeles"),
    ("Romance Standard Time", "Europe/Paris"),
    ("SGT", "Asia/Singapore"),
    ("Singapore Standard Time", "Asia/Singapore"),
    ("Tokyo Standard Time", "Asia/Tokyo"),
    ("W. Europe Standard Time", "Europe/Berlin"),
    ("WEST", "Europe/Lisbon"),
    ("Z", "UTC"),
];

/// By when a flow should have ended. It stops nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Deadline {
    /// So long after it was made.
    After(Delay),
    /// At the next such time of day after it was made.
    At(Time, TimeZone),
}

impl Deadline {
    /// Returns the deadline of a flow that was made at this time: always the same one.
    pub fn of(&self, made_at: Timestamp) -> Timestamp {
        match self {
            Self::After(delay) => made_at + *delay,
            Self::At(time, zone) => next(*time, zone, made_at),
        }
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(delay) => f.write_str(&delay.short()),
            Self::At(time, zone) => {
                let zone = zone.iana_name().unwrap_or("UTC");
                write!(f, "{:02}:{:02} {zone}", time.hour(), time.minute())
            }
        }
    }
}

/// Reads a deadline. A time of day without a zone is one in `default_zone`.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, default_zone: &TimeZone) -> Option<Deadline> {
    let text = match &node.value {
        Yaml::Text(text) => text.trim(),
        Yaml::Number(number) => {
            let finding = Diagnostic::at(Code::BadDeadline, node.span(), "`deadline` is a bare number")
                .label("a length of time or a time of day?");
            let help = match number.as_u64() {
                Some(hour @ 0..24) => format!(
                    "write `{hour}h` for so many hours from the start, or `\"{hour:02}:00 Europe/Berlin\"` for a time of day"
                ),
                _ => FORMS.to_owned(),
            };
            reader.report(finding.help(help));
            return None;
        }
        _ => return reader.wrong_type(node, "`deadline`", "a time of day or a duration", FORMS),
    };
    match understood(text, default_zone) {
        Ok(Deadline::After(Delay::ZERO)) => {
            let finding = Diagnostic::at(Code::OutOfRange, node.span(), "`deadline` leaves no time at all");
            reader.report(finding.help("leave `deadline` out, or write how long the flow may take: `4h`"));
            None
        }
        Ok(deadline) => {
            if text.bytes().all(|b| b.is_ascii_digit() || b == b':') && node.spelling(reader.text) == text {
                let finding = Diagnostic::at(
                    Code::UnquotedTime,
                    node.span(),
                    format!("other readers of YAML take an unquoted `{text}` for a number"),
                );
                reader.report(
                    finding.help(format!("quote it, best with its zone: `\"{text} Europe/Berlin\"`")),
                );
            }
            Some(deadline)
        }
        Err(Trouble { code, message, label, help }) => {
            reader.report(Diagnostic::at(code, node.span(), message).label(label).help(help));
            None
        }
    }
}

/// What is wrong with a text.
#[derive(Debug)]
struct Trouble {
    code: Code,
    message: String,
    label: String,
    help: String,
}

impl Trouble {
    fn new(reason: impl std::fmt::Display) -> Self {
        Self {
            code: Code::BadDeadline,
            message: format!("`deadline` cannot be read: {reason}"),
            label: String::new(),
            help: FORMS.to_owned(),
        }
    }

    fn meant(self, right: &str) -> Self {
        Self { label: format!("did you mean `\"{right}\"`?"), ..self }
    }
}

fn understood(text: &str, default_zone: &TimeZone) -> Result<Deadline, Trouble> {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let and_rest = |clock: &str, rest: &str| format!("{clock} {rest}").trim_end().to_owned();
    if text.is_empty() {
        return Err(Trouble::new("it is empty"));
    }
    if text.contains("{{") {
        return Err(Trouble::new("it cannot be a template"));
    }
    if let Some((hour, minute)) = clock(first) {
        let Ok(time) = Time::new(hour, minute, 0, 0) else {
            let trouble = Trouble::new(format!("there is no time `{first}`"));
            return Err(if (hour, minute) == (24, 0) {
                trouble.meant(&and_rest("00:00", rest))
            } else {
                Trouble { help: "hours go from 00 to 23, minutes from 00 to 59".to_owned(), ..trouble }
            });
        };
        return if rest.is_empty() {
            Ok(Deadline::At(time, default_zone.clone()))
        } else {
            zone(rest, first).map(|zone| Deadline::At(time, zone))
        };
    }
    if let Some((place, last)) = text.rsplit_once(char::is_whitespace)
        && clock(last).is_some()
        && ZONES.get(place.trim()).is_ok()
    {
        return Err(Trouble::new("the time comes first, then the zone").meant(&and_rest(last, place.trim())));
    }
    if first.len() >= 10 && first.starts_with("20") && first.as_bytes()[4] == b'-' {
        let trouble = Trouble::new("it has a day");
        let help =
            "leave the day out: it is the next such time after the flow begins, `\"06:00 Europe/Berlin\"`";
        return Err(Trouble { help: help.to_owned(), ..trouble });
    }
    if let Some((right, after)) = loose_clock(first, rest) {
        let reason = "a time of day has two digits for hours and minutes, from `00:00` to `23:59`";
        return Err(Trouble::new(reason).meant(&and_rest(&right, after)));
    }
    match duration::read(text) {
        Ok(delay) => Ok(Deadline::After(delay)),
        Err(reason) if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            Err(Trouble::new(reason))
        }
        Err(_) => {
            Err(Trouble::new(format!("`{}` is neither a time of day nor a length of time", excerpt(text))))
        }
    }
}

/// Reads `HH:MM`, whatever hour and minute it says.
fn clock(text: &str) -> Option<(i8, i8)> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str| {
        let is_number = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten()
    };
    Some((number(hour)?, number(minute)?))
}

/// Returns the time that other spellings mean, and what follows it: `6:00`, `6am`, `6 pm`, `06.00`, `0600`, `06:00:00`.
fn loose_clock<'t>(first: &str, rest: &'t str) -> Option<(String, &'t str)> {
    let lower = first.to_ascii_lowercase();
    let half = |word: &str| match word.to_ascii_lowercase().as_str() {
        "am" | "a.m." => Some(false),
        "pm" | "p.m." => Some(true),
        _ => None,
    };
    let digits_end = lower.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(lower.len());
    let (digits, word) = lower.split_at(digits_end);
    let (next, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let (afternoon, rest) = match (word, half(word), half(next)) {
        ("", _, Some(afternoon)) => (Some(afternoon), after.trim_start()),
        ("", ..) => (None, rest),
        (_, Some(afternoon), _) => (Some(afternoon), rest),
        _ => return None,
    };
    let mut parts = digits.split([':', '.']);
    let (hour, minute) = match (parts.next()?, parts.next()) {
        (four, None) if four.len() == 4 && afternoon.is_none() => four.split_at_checked(2)?,
        (hour, None) if afternoon.is_some() => (hour, "00"),
        (hour, Some(minute)) => (hour, minute),
        _ => return None,
    };
    let (hour, minute): (i8, i8) = (hour.parse().ok()?, minute.parse().ok()?);
    let hour = match (afternoon, hour) {
        (Some(_), i8::MIN..=0 | 13..) => return None,
        (Some(false), 12) => 0,
        (Some(true), 1..=11) => hour + 12,
        _ => hour,
    };
    Time::new(hour, minute, 0, 0).ok()?;
    Some((format!("{hour:02}:{minute:02}"), rest))
}

/// Finds a zone by its name.
fn zone(name: &str, clock: &str) -> Result<TimeZone, Trouble> {
    let name = name.trim_matches(|c: char| c == '(' || c == ')' || c == ',' || c.is_whitespace());
    if let Ok(zone) = ZONES.get(name) {
        return Ok(zone);
    }
    let unknown = Trouble {
        code: Code::UnknownZone,
        message: format!("there is no time zone `{}`", excerpt(name)),
        label: String::new(),
        help: "zones are named by region and city, such as `Europe/Berlin` or `America/New_York`; `UTC` is one, too"
            .to_owned(),
    };
    let digits = name.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    if digits.starts_with(['+', '-', '\u{2212}']) {
        return Err(Trouble {
            message: format!("`{}` says how far a zone is from UTC, not which one it is", excerpt(name)),
            help: format!("name the zone, which knows about summer time: `\"{clock} Europe/Berlin\"`"),
            ..unknown
        });
    }
    match meant_zone(name) {
        Some(right) => Err(unknown.meant(&format!("{clock} {right}"))),
        None => Err(unknown),
    }
}

/// Returns the zone that a wrong name means: another name for it, its city, or one that is spelled much like it.
fn meant_zone(name: &str) -> Option<String> {
    let foreign = FOREIGN_ZONES.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(name));
    if let Some((_, right)) = foreign {
        return Some((*right).to_owned());
    }
    let all: Vec<String> = ZONES.available().map(|zone| zone.as_str().to_owned()).collect();
    let city = name.rsplit('/').next().unwrap_or(name).replace(' ', "_");
    let is_there =
        |zone: &&String| zone.rsplit('/').next().is_some_and(|its| its.eq_ignore_ascii_case(&city));
    let near = || words::nearest(name, all.iter().map(String::as_str)).map(str::to_owned);
    all.iter().find(is_there).cloned().or_else(near)
}

/// Returns the next moment after the start at which clocks in a zone show a time.
///
/// Where clocks are put forward over it, the moment at which they would have shown it; where they are put back over it,
/// the first of the two that is still to come.
fn next(time: Time, zone: &TimeZone, start: Timestamp) -> Timestamp {
    let begun = start.to_jiff();
    let today = zone.to_datetime(begun).date();
    let days = DAYS.filter_map(|n| today.checked_add(n.days()).ok());
    let moments = days.flat_map(|day| moments(day.to_datetime(time), zone));
    match moments.filter(|moment| *moment > begun).min() {
        Some(moment) => Timestamp::from_epoch_ms(moment.as_millisecond()),
        // Only at the end of the calendar.
        None => start + Delay::from_secs(24 * 3600),
    }
}

fn moments(shown: DateTime, zone: &TimeZone) -> impl Iterator<Item = Moment> {
    let found = zone.to_ambiguous_timestamp(shown);
    let pair = match found.offset() {
        AmbiguousOffset::Fold { .. } => [found.earlier().ok(), found.later().ok()],
        _ => [found.compatible().ok(), None],
    };
    pair.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::{Deadline, understood};
    use crate::time::Timestamp;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("this is a time")
    }

    #[test]
    fn finds_the_next_such_time() {
        let check = |text: &str, start: &str, want: &str| {
            let deadline = understood(text, &TimeZone::UTC).expect("this is a deadline");
            assert_eq!(deadline.of(at(start)), at(want), "{text} after {start}");
        };
        check("4h", "2024-05-02T10:00:00Z", "2024-05-02T14:00:00Z");
        check("2h30m", "2024-03-31T00:00:00Z", "2024-03-31T02:30:00Z");
        check("06:00 Europe/Berlin", "2024-05-02T03:59:59Z", "2024-05-02T04:00:00Z");
        check("06:00 Europe/Berlin", "2024-05-02T04:00:00Z", "2024-05-03T04:00:00Z");
        check("06:00 Europe/Berlin", "2024-01-10T22:00:00Z", "2024-01-11T05:00:00Z");
        check("06:00", "2024-05-02T10:00:00Z", "2024-05-03T06:00:00Z");
        check("06:00 UTC", "2024-05-02T10:00:00Z", "2024-05-03T06:00:00Z");
        check("06:00 CET", "2024-01-10T22:00:00Z", "2024-01-11T05:00:00Z");
        check("06:00 europe/berlin", "2024-05-02T00:00:00Z", "2024-05-02T04:00:00Z");
        // Another day there than in UTC, on both sides.
        check("23:30 America/New_York", "2024-05-02T02:00:00Z", "2024-05-02T03:30:00Z");
        check("00:15 Pacific/Kiritimati", "2024-05-02T09:00:00Z", "2024-05-02T10:15:00Z");
        check("00:00 Asia/Kathmandu", "2024-02-28T18:00:00Z", "2024-02-28T18:15:00Z");
        check("23:59", "9999-12-30T21:59:59Z", "9999-12-30T22:00:00Z");
    }

    #[test]
    fn clocks_that_are_put_forward_skip_no_deadline() {
        let check = |text: &str, start: &str, want: &str| {
            let deadline = understood(text, &TimeZone::UTC).expect("this is a deadline");
            assert_eq!(deadline.of(at(start)), at(want), "{text} after {start}");
        };
        // On 31 March 2024 clocks in Berlin go from 02:00 to 03:00, that is at 01:00 UTC.
        check("02:30 Europe/Berlin", "2024-03-31T00:00:00Z", "2024-03-31T01:30:00Z");
        check("02:30 Europe/Berlin", "2024-03-31T01:30:00Z", "2024-04-01T00:30:00Z");
        check("02:00 Europe/Berlin", "2024-03-31T00:30:00Z", "2024-03-31T01:00:00Z");
        check("03:00 Europe/Berlin", "2024-03-31T00:30:00Z", "2024-03-31T01:00:00Z");
        check("06:00 Europe/Berlin", "2024-03-30T22:00:00Z", "2024-03-31T04:00:00Z");
        // Samoa had no 30 December 2011.
        check("06:00 Pacific/Apia", "2011-12-30T09:00:00Z", "2011-12-30T16:00:00Z");
        check("12:00 Pacific/Apia", "2011-12-29T21:59:00Z", "2011-12-29T22:00:00Z");
        check("12:00 Pacific/Apia", "2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z");
    }

    #[test]
    fn clocks_that_are_put_back_show_it_twice_and_the_next_counts() {
        let check = |text: &str, start: &str, want: &str| {
            let deadline = understood(text, &TimeZone::UTC).expect("this is a deadline");
            assert_eq!(deadline.of(at(start)), at(want), "{text} after {start}");
        };
        // On 27 October 2024 clocks in Berlin go from 03:00 back to 02:00, that is at 01:00 UTC.
        check("02:30 Europe/Berlin", "2024-10-26T22:00:00Z", "2024-10-27T00:30:00Z");
        check("02:30 Europe/Berlin", "2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z");
        check("02:30 Europe/Berlin", "2024-10-27T01:30:00Z", "2024-10-28T01:30:00Z");
        check("03:00 Europe/Berlin", "2024-10-27T00:00:00Z", "2024-10-27T02:00:00Z");
        check("06:00 Europe/Berlin", "2024-10-26T22:00:00Z", "2024-10-27T05:00:00Z");
        // Half an hour, on an island.
        check("01:45 Australia/Lord_Howe", "2024-04-06T14:30:00Z", "2024-04-06T14:45:00Z");
        check("01:45 Australia/Lord_Howe", "2024-04-06T14:45:00Z", "2024-04-06T15:15:00Z");
    }

    #[test]
    fn says_what_is_meant() {
        let check = |text: &str, want: &str| {
            let trouble = understood(text, &TimeZone::UTC).expect_err(text);
            let said = if trouble.label.is_empty() { trouble.message } else { trouble.label };
            assert!(said.contains(want), "{text}: {said}");
        };
        check("6:00", "`\"06:00\"`");
        check("6:00 Europe/Berlin", "`\"06:00 Europe/Berlin\"`");
        check("6am", "`\"06:00\"`");
        check("6:30pm Europe/Berlin", "`\"18:30 Europe/Berlin\"`");
        check("6 PM Europe/Berlin", "`\"18:00 Europe/Berlin\"`");
        check("12 am", "`\"00:00\"`");
        check("12pm", "`\"12:00\"`");
        check("06.00", "`\"06:00\"`");
        check("0600 UTC", "`\"06:00 UTC\"`");
        check("06:00:00 UTC", "`\"06:00 UTC\"`");
        check("24:00", "`\"00:00\"`");
        check("24:00 Europe/Berlin", "`\"00:00 Europe/Berlin\"`");
        check("25:00", "there is no time `25:00`");
        check("06:60", "there is no time `06:60`");
        check("Europe/Berlin 06:00", "`\"06:00 Europe/Berlin\"`");
        check("06:00 Berlin", "`\"06:00 Europe/Berlin\"`");
        check("06:00 Europe/Berln", "`\"06:00 Europe/Berlin\"`");
        check("06:00 New York", "`\"06:00 America/New_York\"`");
        check("06:00 W. Europe Standard Time", "`\"06:00 Europe/Berlin\"`");
        check("06:00 CEST", "`\"06:00 Europe/Berlin\"`");
        check("06:00 +02:00", "how far a zone is");
        check("06:00 UTC+2", "how far a zone is");
        check("06:00 tomorrow", "there is no time zone");
        check("2024-05-02 06:00", "it has a day");
        check("2024-05-02T06:00:00Z", "it has a day");
        check("noon", "neither a time of day nor");
        check("6", "`6` has no unit");
        check("1d", "days have no fixed length");
        check("", "it is empty");
        check("{{inputs.x}}", "a template");
        check("13pm", "");
        check("é", "neither");
        check("20é4567890", "");
    }

    #[test]
    fn reads_both_kinds() {
        assert!(matches!(understood("4h", &TimeZone::UTC), Ok(Deadline::After(_))));
        assert!(matches!(understood("06:00", &TimeZone::UTC), Ok(Deadline::At(..))));
    }
}
