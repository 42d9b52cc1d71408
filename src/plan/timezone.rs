//! `timezone`: the zone whose days and times of day a plan means. Names come from the database inside the binary.

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::reader::{Fields, Reader};
use super::words;

/// Reads `timezone`; UTC if there is none.
pub(super) fn read(reader: &mut Reader<'_>, top: Fields<'_>) -> TimeZone {
    read_name(reader, top).unwrap_or(TimeZone::UTC)
}

fn read_name(reader: &mut Reader<'_>, top: Fields<'_>) -> Option<TimeZone> {
    let node = top.get("timezone")?;
    let name =
        reader.words(node, "`timezone`", "write a name such as `Europe/Berlin`, or leave it out for UTC")?;
    match find(name) {
        Ok(zone) => Some(zone),
        Err(nearest) => {
            let finding =
                Diagnostic::at(Code::UnknownZone, node.span(), format!("there is no time zone `{name}`"));
            let finding = match nearest {
                Some(near) => finding.label(format!("did you mean `{near}`?")),
                None => finding,
            };
            reader.report(finding.help(help(name)));
            None
        }
    }
}

fn help(name: &str) -> &'static str {
    if name.ends_with("Time") {
        "this is Windows' name: write the IANA one, a region and a city such as `Europe/Berlin`"
    } else if name.contains(['+', '-']) && name.contains(|c: char| c.is_ascii_digit()) {
        "an offset is no zone, for summer time changes it: write a region and a city such as `Europe/Berlin`"
    } else {
        "zones have IANA names, a region and a city such as `Europe/Berlin`, or `UTC`"
    }
}

/// Returns the zone of a name; the name that was probably meant if there is none. Names are taken as they are written
/// in the database, so that every reader of a plan finds them.
pub(super) fn find(name: &str) -> Result<TimeZone, Option<String>> {
    let database = TimeZoneDatabase::bundled();
    let known: Vec<String> = database.available().map(|known| known.as_str().to_owned()).collect();
    if known.iter().any(|known| known == name)
        && let Ok(zone) = database.get(name)
    {
        return Ok(zone);
    }
    let wanted = name.trim().replace(' ', "_");
    let same = |text: &str| text.eq_ignore_ascii_case(&wanted);
    let city = |known: &&String| known.rsplit_once('/').is_some_and(|(_, city)| same(city));
    let nearest = known
        .iter()
        .find(|known| same(known))
        .or_else(|| known.iter().find(city))
        .map(String::as_str)
        .or_else(|| {
            words::nearest(&wanted, known.iter().map(String::as_str).filter(|name| name.contains('/')))
        });
    Err(nearest.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn knows_zones_by_their_exact_names() {
        for name in ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"] {
            assert_eq!(find(name).expect("it is a zone").iana_name(), Some(name), "{name}");
        }
        let check = |name: &str, near: Option<&str>| {
            assert_eq!(find(name).expect_err("it is none").as_deref(), near, "{name}");
        };
        check("europe/berlin", Some("Europe/Berlin"));
        check("utc", Some("UTC"));
        check("Europe/Berlim", Some("Europe/Berlin"));
        check("Berlin", Some("Europe/Berlin"));
        check("New York", Some("America/New_York"));
        check("W. Europe Standard Time", None);
        check("+02:00", None);
        check("Local", None);
        check("", None);
    }
}
