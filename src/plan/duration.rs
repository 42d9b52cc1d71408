//! Durations as a plan writes them: `30s`, `10m`, `2h30m`, `500ms`.

use crate::time::Delay;

/// The units, largest first: the order in which they must stand.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// The longest duration: ten years. What is longer is a slip of the keyboard.
const DURATION_MS_MAX: u64 = 10 * 366 * 24 * 3_600_000;

/// Reads a duration; says in half a sentence why it cannot.
pub fn read(text: &str) -> Result<Delay, String> {
    let mut rest = text;
    let mut ms: u64 = 0;
    let mut units = UNITS.iter();
    if rest.is_empty() {
        return Err("it is empty".to_owned());
    }
    if rest.starts_with(['-', '\u{2212}']) {
        return Err("it cannot be negative".to_owned());
    }
    if text.contains(char::is_whitespace) {
        return Err("it holds a blank".to_owned());
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let letters = after.len() - after.trim_start_matches(|c: char| c.is_alphabetic()).len();
        let (unit, next) = after.split_at(letters);
        if number.is_empty() {
            return Err(format!("a number should stand before `{rest}`"));
        }
        if unit.is_empty() {
            return Err(if next.starts_with(['.', ',']) {
                "fractions are not allowed".to_owned()
            } else {
                format!("`{number}` has no unit")
            });
        }
        let Some((_, factor)) = units.find(|(name, _)| *name == unit) else {
            return Err(wrong_unit(unit));
        };
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
        ms = part
            .and_then(|part| ms.checked_add(part))
            .filter(|ms| *ms <= DURATION_MS_MAX)
            .ok_or_else(too_long)?;
        rest = next;
    }
    Ok(Delay::from_ms(ms))
}

fn too_long() -> String {
    "it is longer than ten years".to_owned()
}

fn wrong_unit(unit: &str) -> String {
    match unit {
        "h" | "m" | "s" | "ms" => format!("`{unit}` stands twice or after a smaller unit"),
        "d" => "days have no fixed length; write hours".to_owned(),
        _ => format!("`{unit}` is no unit"),
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn reads_durations() {
        let check = |text: &str, want: Result<u64, &str>| {
            let got = read(text).map(crate::time::Delay::as_ms);
            assert_eq!(got, want.map_err(str::to_owned), "{text}");
        };
        check("30s", Ok(30_000));
        check("10m", Ok(600_000));
        check("2h30m", Ok(9_000_000));
        check("500ms", Ok(500));
        check("1m500ms", Ok(60_500));
        check("0s", Ok(0));
        check("90m", Ok(5_400_000));
        check("", Err("it is empty"));
        check("30", Err("`30` has no unit"));
        check("s", Err("a number should stand before `s`"));
        check("-5m", Err("it cannot be negative"));
        check("1.5h", Err("fractions are not allowed"));
        check("2h 30m", Err("it holds a blank"));
        check("30m2h", Err("`h` stands twice or after a smaller unit"));
        check("1h1h", Err("`h` stands twice or after a smaller unit"));
        check("1d", Err("days have no fixed length; write hours"));
        check("5min", Err("`min` is no unit"));
        check("99999999999999999999h", Err("it is longer than ten years"));
        check("99999999h", Err("it is longer than ten years"));
    }
}
