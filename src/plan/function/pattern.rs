//! The patterns of `format_date`: those of strftime, as far as they mean the same everywhere.

use jiff::civil::Date;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::calendar::Moment;

/// What a day can be written with, and what needs a time.
const OF_A_DAY: &str = "YymdejqBbAauVGF%";
const OF_A_TIME: &str = "HIMSpTRzZs";
/// The letters of .NET, Java and others, with ours. Longer ones first.
const FOREIGN: [(&str, &str); 17] = [
    ("yyyy", "%Y"),
    ("YYYY", "%Y"),
    ("MMMM", "%B"),
    ("dddd", "%A"),
    ("EEEE", "%A"),
    ("MMM", "%b"),
    ("ddd", "%a"),
    ("yy", "%y"),
    ("YY", "%y"),
    ("MM", "%m"),
    ("dd", "%d"),
    ("DD", "%d"),
    ("HH", "%H"),
    ("hh", "%I"),
    ("mm", "%M"),
    ("ss", "%S"),
    ("tt", "%p"),
];
/// The patterns that are used most, for a help line.
pub(super) const EXAMPLES: &str = "for example `%Y%m%d`, `%d.%m.%Y`, `%Y-%m` or `%H:%M`";

/// Checks a pattern; says in half a sentence what is wrong with it.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    directives(pattern).map(drop)
}

/// Writes a day or a time by a pattern, in a zone if one is given.
pub(super) fn write(moment: Moment, pattern: &str, zone: Option<TimeZone>) -> Result<String, String> {
    let needs_time = directives(pattern)?.into_iter().find(|letter| OF_A_TIME.contains(*letter));
    let written = match (moment, zone) {
        (Moment::Day(_), Some(_)) => {
            return Err("a day has no time of day, so it is the same in every time zone: leave the zone out"
                .to_owned());
        }
        (Moment::Day(day), None) => match needs_time {
            Some(letter) => {
                return Err(format!("`%{letter}` asks for the time, and `{day}` is a day without one"));
            }
            None => on_day(day, pattern),
        },
        (Moment::Time(at, offset), zone) => {
            let zone =
                zone.unwrap_or_else(|| if offset.is_zero() { TimeZone::UTC } else { offset.to_time_zone() });
            strtime::format(pattern, &at.to_zoned(zone))
        }
    };
    written.map_err(|_| format!("`{}` cannot be written for this date", super::excerpt(pattern)))
}

fn on_day(day: Date, pattern: &str) -> Result<String, jiff::Error> {
    strtime::format(pattern, day)
}

/// Returns the letters of a pattern, each of which is allowed.
fn directives(pattern: &str) -> Result<Vec<char>, String> {
    let mut letters = Vec::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            continue;
        }
        let mut letter = rest.next();
        // No padding: `%-d`.
        let plain = letter == Some('-');
        let colon = letter == Some(':');
        if plain || colon {
            letter = rest.next();
        }
        match letter {
            Some('z') if colon => letters.push('z'),
            Some(letter) if !colon && (OF_A_DAY.contains(letter) || OF_A_TIME.contains(letter)) => {
                letters.push(letter);
            }
            Some(letter) => {
                let sign = if plain {
                    "-"
                } else if colon {
                    ":"
                } else {
                    ""
                };
                return Err(format!("the pattern has no `%{sign}{}`", letter.escape_debug()));
            }
            None => return Err("the pattern ends with a lone `%`; write `%%` for the sign itself".to_owned()),
        }
    }
    if letters.iter().all(|letter| *letter == '%') {
        return Err(without_directives(pattern));
    }
    Ok(letters)
}

fn without_directives(pattern: &str) -> String {
    let mut ours = pattern.to_owned();
    for (theirs, letter) in FOREIGN {
        ours = ours.replace(theirs, letter);
    }
    if ours != pattern && directives_only_foreign(&ours) {
        return format!(
            "`{}` is not how patterns are written here: that is `{ours}`",
            super::excerpt(pattern)
        );
    }
    format!("the pattern `{}` has no `%`, so every date would look the same", super::excerpt(pattern))
}

/// Says whether nothing but our letters and signs is left of another tool's pattern.
fn directives_only_foreign(ours: &str) -> bool {
    let mut before = ' ';
    ours.chars().all(|c| {
        let is_fine = before == '%' || !c.is_alphabetic() || c == 'T' || c == 'Z';
        before = c;
        is_fine
    })
}

#[cfg(test)]
mod tests {
    use super::{check, write};
    use crate::plan::function::calendar::{moment, zone};

    fn written(date: &str, pattern: &str, zone_name: &str) -> Result<String, String> {
        let zone = (!zone_name.is_empty()).then(|| zone(zone_name).expect("there is such a zone"));
        write(moment(date).expect("this is a date"), pattern, zone)
    }

    #[test]
    fn writes_dates() {
        let check = |date: &str, pattern: &str, zone: &str, want: &str| {
            assert_eq!(written(date, pattern, zone).as_deref(), Ok(want), "{date} {pattern} {zone}");
        };
        check("2024-05-01", "%Y%m%d", "", "20240501");
        check(
            "2024-05-01",
            "%d.%m.%y, week %V of %G, day %j, quarter %q",
            "",
            "01.05.24, week 18 of 2024, day 122, quarter 2",
        );
        check(
            "2024-05-01",
            "%A %-d %B (%a, %b), %u, %F 100%%",
            "",
            "Wednesday 1 May (Wed, May), 3, 2024-05-01 100%",
        );
        check("2024-05-01T22:30:00Z", "%F %H:%M:%S", "", "2024-05-01 22:30:00");
        check("2024-05-01T22:30:00Z", "%F %R %z %:z", "Europe/Berlin", "2024-05-02 00:30 +0200 +02:00");
        check("2024-12-01T22:30:00Z", "%T %Z", "Europe/Berlin", "23:30:00 CET");
        check("2024-05-01T22:30:00-05:00", "%F", "", "2024-05-01");
        check("2024-05-01T22:30:00-05:00", "%F", "UTC", "2024-05-02");
        check("2024-05-01T22:30:00Z", "%I %p %s %Z", "", "10 PM 1714602600 UTC");
    }

    #[test]
    fn refuses_what_cannot_be_written() {
        let no_time = written("2024-05-01", "%H", "").expect_err("a day has no hour");
        assert_eq!(no_time, "`%H` asks for the time, and `2024-05-01` is a day without one");
        let no_zone = written("2024-05-01", "%F", "UTC").expect_err("a day has no zone");
        assert!(no_zone.contains("leave the zone out"), "{no_zone}");
    }

    #[test]
    fn checks_patterns() {
        let check = |pattern: &str, want: &str| {
            assert_eq!(check(pattern).expect_err("it is refused"), want, "{pattern}");
        };
        check("yyyyMMdd", "`yyyyMMdd` is not how patterns are written here: that is `%Y%m%d`");
        check(
            "yyyy-MM-ddTHH:mm",
            "`yyyy-MM-ddTHH:mm` is not how patterns are written here: that is `%Y-%m-%dT%H:%M`",
        );
        check("day", "the pattern `day` has no `%`, so every date would look the same");
        check("100%%", "the pattern `100%%` has no `%`, so every date would look the same");
        check("%Y-%", "the pattern ends with a lone `%`; write `%%` for the sign itself");
        check("%Q", "the pattern has no `%Q`");
        check("%-", "the pattern ends with a lone `%`; write `%%` for the sign itself");
        check("%:Y", "the pattern has no `%:Y`");
        check("", "the pattern `` has no `%`, so every date would look the same");
    }
}
