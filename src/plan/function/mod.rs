//! The helpers that templates and conditions share: what they take and what they give.
//!
//! Pure: a helper knows nothing but the values it is given. Main type: [`Function`].

pub(super) mod calendar;
mod pattern;

use serde_json::Value;

use super::compare::{self, Kind, Mismatch};
use super::reader::excerpt;

/// A helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Json,
    Default,
    DateAdd,
    MonthStart,
    MonthEnd,
    FormatDate,
    DayOfWeek,
    Lower,
    Upper,
    Eq,
    Concat,
}

/// What a helper takes in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Param {
    /// Any value.
    Any,
    /// Any value, or none.
    Optional,
    /// A text that is a date or a time.
    Date,
    /// A text such as `-1M`.
    Shift,
    /// A pattern of `format_date`.
    Pattern,
    /// The name of a time zone.
    Zone,
    /// A text.
    Text,
    /// What has a text: a text, a number or a bool.
    Plain,
}

/// Whose spelling a call is shown in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// `{{date_add inputs.day "-1M"}}`
    Template,
    /// `date_add(inputs.day, "-1M")`
    Condition,
}

/// Why a helper gives no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The value in this place is missing.
    Missing(usize),
    /// The value in this place cannot be used, for this reason.
    Argument(usize, String),
    /// The values do not go together.
    Whole(String),
}

/// One row of the table of helpers.
struct Signature {
    name: &'static str,
    function: Function,
    /// What it takes; the last is taken again and again where `is_open`.
    params: &'static [Param],
    /// How many of these must be there.
    least: usize,
    is_open: bool,
    /// What it takes, in words.
    takes: &'static str,
    example: &'static [&'static str],
}

/// Every helper. `env` is one more, turned into a name when read.
const SIGNATURES: [Signature; 11] = [
    Signature {
        name: "json",
        function: Function::Json,
        params: &[Param::Any],
        least: 1,
        is_open: false,
        takes: "one value",
        example: &["inputs.regions"],
    },
    Signature {
        name: "default",
        function: Function::Default,
        params: &[Param::Optional, Param::Any],
        least: 2,
        is_open: false,
        takes: "a value and what stands in for it",
        example: &["inputs.region", "\"emea\""],
    },
    Signature {
        name: "date_add",
        function: Function::DateAdd,
        params: &[Param::Date, Param::Shift],
        least: 2,
        is_open: false,
        takes: "a date and how far to move it",
        example: &["inputs.day", "\"-1M\""],
    },
    Signature {
        name: "month_start",
        function: Function::MonthStart,
        params: &[Param::Date],
        least: 1,
        is_open: false,
        takes: "a date",
        example: &["inputs.day"],
    },
    Signature {
        name: "month_end",
        function: Function::MonthEnd,
        params: &[Param::Date],
        least: 1,
        is_open: false,
        takes: "a date",
        example: &["inputs.day"],
    },
    Signature {
        name: "format_date",
        function: Function::FormatDate,
        params: &[Param::Date, Param::Pattern, Param::Zone],
        least: 2,
        is_open: false,
        takes: "a date, a pattern and, if the date has a time, a time zone",
        example: &["inputs.day", "\"%Y%m%d\""],
    },
    Signature {
        name: "day_of_week",
        function: Function::DayOfWeek,
        params: &[Param::Date],
        least: 1,
        is_open: false,
        takes: "a date",
        example: &["inputs.day"],
    },
    Signature {
        name: "lower",
        function: Function::Lower,
        params: &[Param::Text],
        least: 1,
        is_open: false,
        takes: "a text",
        example: &["inputs.region"],
    },
    Signature {
        name: "upper",
        function: Function::Upper,
        params: &[Param::Text],
        least: 1,
        is_open: false,
        takes: "a text",
        example: &["inputs.region"],
    },
    Signature {
        name: "eq",
        function: Function::Eq,
        params: &[Param::Any, Param::Any],
        least: 2,
        is_open: false,
        takes: "two values",
        example: &["inputs.region", "\"emea\""],
    },
    Signature {
        name: "concat",
        function: Function::Concat,
        params: &[Param::Plain],
        least: 2,
        is_open: true,
        takes: "two values or more",
        example: &["\"raw/\"", "inputs.region"],
    },
];

impl Function {
    /// Returns the helpers in the order in which messages list them, with their names.
    pub(super) fn all() -> impl Iterator<Item = (&'static str, Self)> {
        SIGNATURES.iter().map(|row| (row.name, row.function))
    }

    /// Returns the helper of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        SIGNATURES.iter().find(|row| row.name == name).map(|row| row.function)
    }

    fn signature(self) -> &'static Signature {
        SIGNATURES.iter().find(|row| row.function == self).expect("every helper has a row")
    }

    /// Returns its name.
    pub(super) fn name(self) -> &'static str {
        self.signature().name
    }

    /// Says whether it can be given this many values.
    pub(super) fn admits(self, count: usize) -> bool {
        let row = self.signature();
        count >= row.least && (row.is_open || count <= row.params.len())
    }

    /// Returns what it takes in a place.
    pub(super) fn param(self, n: usize) -> Param {
        let params = self.signature().params;
        params[n.min(params.len() - 1)]
    }

    /// Returns what it takes as a sentence, and how it is written.
    pub(super) fn usage(self, language: Language) -> (String, String) {
        let row = self.signature();
        let example = language.call(row.name, row.example);
        (format!("`{}` takes {}", row.name, row.takes), format!("write `{example}`"))
    }

    /// Returns the type of its values, where it is always the same.
    pub(super) const fn gives(self) -> Option<Kind> {
        match self {
            Self::Default => None,
            Self::DateAdd | Self::MonthStart | Self::MonthEnd => Some(Kind::Date),
            Self::Json | Self::FormatDate | Self::DayOfWeek | Self::Lower | Self::Upper | Self::Concat => {
                Some(Kind::Text)
            }
            Self::Eq => Some(Kind::Bool),
        }
    }

    /// Returns its value for others, of which some may be missing.
    pub(super) fn apply(self, values: &[Option<Value>]) -> Result<Value, Failure> {
        for (n, value) in values.iter().enumerate() {
            let param = self.param(n);
            match value {
                Some(value) => param.check(value).map_err(|why| Failure::Argument(n, why))?,
                None if self != Self::Default => return Err(Failure::Missing(n)),
                None => {}
            }
        }
        let value = |n: usize| values.get(n).and_then(Option::as_ref);
        let text = |n: usize| value(n).and_then(Value::as_str).unwrap_or_default();
        let moment = || calendar::moment(text(0)).map_err(|why| Failure::Argument(0, why));
        let first = || value(0).unwrap_or(&Value::Null);
        match self {
            Self::Json => Ok(first().to_string().into()),
            Self::Default => {
                let given = value(0).filter(|value| !value.is_null()).or(value(1));
                given.cloned().ok_or(Failure::Missing(0))
            }
            Self::DateAdd => {
                let day = calendar::add(moment()?.day(), text(1)).map_err(Failure::Whole)?;
                Ok(day.to_string().into())
            }
            Self::MonthStart => Ok(moment()?.day().first_of_month().to_string().into()),
            Self::MonthEnd => Ok(moment()?.day().last_of_month().to_string().into()),
            Self::FormatDate => {
                let zone = value(2).map(|_| calendar::zone(text(2)).map_err(|why| Failure::Argument(2, why)));
                let written = pattern::write(moment()?, text(1), zone.transpose()?);
                written.map(Value::from).map_err(Failure::Whole)
            }
            Self::DayOfWeek => Ok(calendar::weekday(moment()?.day()).into()),
            Self::Lower => Ok(text(0).to_lowercase().into()),
            Self::Upper => Ok(text(0).to_uppercase().into()),
            Self::Eq => {
                let equal = compare::equal(first(), value(1).unwrap_or(&Value::Null));
                equal.map(Value::Bool).map_err(|mismatch| Failure::Whole(unequal(mismatch)))
            }
            Self::Concat => Ok(values.iter().flatten().map(plain).collect::<String>().into()),
        }
    }
}

/// Returns why `eq` cannot compare.
fn unequal(mismatch: Mismatch) -> String {
    match mismatch {
        Mismatch::Types(left, right) => {
            format!("{} and {} cannot be compared", left.noun(), right.noun())
        }
        Mismatch::NoOrder(kind) => format!("{} have no order", kind.plural()),
        Mismatch::Dates(left, right) => format!("{left} and {right} cannot be compared"),
    }
}

/// Returns a value as it stands in a text.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Param {
    /// Checks a value; says in half a sentence why it cannot be used.
    pub(super) fn check(self, value: &Value) -> Result<(), String> {
        self.admits(Kind::of(value))?;
        let text = value.as_str().unwrap_or_default();
        match self {
            Self::Date => calendar::moment(text).map(drop),
            Self::Shift => calendar::read_shift(text).map(drop),
            Self::Pattern => pattern::check(text),
            Self::Zone => calendar::zone(text).map(drop),
            Self::Any | Self::Optional | Self::Text | Self::Plain => Ok(()),
        }
    }

    /// Checks a type; says in half a sentence why no value of it can be used.
    pub(super) fn admits(self, kind: Kind) -> Result<(), String> {
        let is_text = matches!(kind, Kind::Text | Kind::Date);
        let wanted = match self {
            Self::Any | Self::Optional => return Ok(()),
            Self::Plain if is_text || matches!(kind, Kind::Number | Kind::Bool) => return Ok(()),
            _ if is_text => return Ok(()),
            Self::Plain => return Err(format!("{} has no text of its own", kind.noun())),
            Self::Date => "a date",
            Self::Shift => "a text such as \"-1M\"",
            Self::Pattern => "a pattern such as \"%Y%m%d\"",
            Self::Zone => "the name of a time zone",
            Self::Text => "a text",
        };
        Err(format!("{wanted} is needed here, not {}", kind.noun()))
    }

    /// Returns what to do about a value that cannot be used.
    pub(super) fn help(self, language: Language) -> String {
        match self {
            Self::Date => calendar::FORMS.to_owned(),
            Self::Shift => calendar::SHIFTS.to_owned(),
            Self::Pattern => format!("patterns are those of strftime, {}", pattern::EXAMPLES),
            Self::Zone => "zones have names of the IANA list, such as `Europe/Berlin` or `UTC`".to_owned(),
            Self::Any | Self::Optional | Self::Text | Self::Plain => {
                format!("write `{}` for its JSON text", language.call("json", &["..."]))
            }
        }
    }
}

impl Language {
    /// Returns the call of a helper.
    pub(super) fn call(self, name: &str, values: &[&str]) -> String {
        match self {
            Self::Template => format!("{{{{{name} {}}}}}", values.join(" ")),
            Self::Condition => format!("{name}({})", values.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Failure, Function, Language};

    #[test]
    fn gives_values() {
        let check = |name: &str, values: Value, want: Value| {
            let function = Function::named(name).expect("there is such a helper");
            let values: Vec<Option<Value>> =
                values.as_array().expect("values are a list").iter().cloned().map(Some).collect();
            assert!(function.admits(values.len()), "{name}");
            assert_eq!(function.apply(&values), Ok(want), "{name} {values:?}");
        };
        check("json", json!([{ "a": [1, null] }]), json!("{\"a\":[1,null]}"));
        check("default", json!([null, 3]), json!(3));
        check("default", json!([false, 3]), json!(false));
        check("date_add", json!(["2024-03-31", "-1M"]), json!("2024-02-29"));
        check("date_add", json!(["2024-03-31T23:59:59Z", "1d"]), json!("2024-04-01"));
        check("month_start", json!(["2024-02-10"]), json!("2024-02-01"));
        check("month_end", json!(["2024-02-10"]), json!("2024-02-29"));
        check("format_date", json!(["2024-02-10", "%Y%m"]), json!("202402"));
        check("format_date", json!(["2024-02-10T23:30:00Z", "%F", "Asia/Tokyo"]), json!("2024-02-11"));
        check("day_of_week", json!(["2024-02-10"]), json!("saturday"));
        check("lower", json!(["ÄB"]), json!("äb"));
        check("upper", json!(["äb"]), json!("ÄB"));
        check("eq", json!([1, 1.0]), json!(true));
        check("eq", json!([null, "x"]), json!(false));
        check("concat", json!(["a", 1, true, "/"]), json!("a1true/"));
    }

    #[test]
    fn says_why_not() {
        let check = |name: &str, values: &[Option<Value>], want: Failure| {
            let function = Function::named(name).expect("there is such a helper");
            assert_eq!(function.apply(values), Err(want), "{name} {values:?}");
        };
        let argument = |n, why: &str| Failure::Argument(n, why.to_owned());
        let whole = |why: &str| Failure::Whole(why.to_owned());
        check("json", &[None], Failure::Missing(0));
        check("default", &[None, None], Failure::Missing(0));
        check("date_add", &[Some(json!("x")), Some(json!("1d"))], argument(0, "`x` is no date"));
        check(
            "date_add",
            &[Some(json!("2024-01-01")), Some(json!(1))],
            argument(1, "a text such as \"-1M\" is needed here, not a number"),
        );
        check(
            "date_add",
            &[Some(json!("9999-12-31")), Some(json!("1d"))],
            whole("the day is outside the years 1 to 9999"),
        );
        check("lower", &[Some(json!(1))], argument(0, "a text is needed here, not a number"));
        check("eq", &[Some(json!(1)), Some(json!("1"))], whole("a number and a text cannot be compared"));
        check("concat", &[Some(json!("a")), Some(json!([]))], argument(1, "a list has no text of its own"));
        check("concat", &[Some(json!("a")), Some(json!(null))], argument(1, "null has no text of its own"));
        check("concat", &[Some(json!("a")), None], Failure::Missing(1));
    }

    #[test]
    fn counts_what_it_is_given() {
        let check = |name: &str, want: &[usize]| {
            let function = Function::named(name).expect("there is such a helper");
            let got: Vec<usize> = (0..5).filter(|n| function.admits(*n)).collect();
            assert_eq!(got, want, "{name}");
            assert!(Function::all().any(|(known, same)| known == name && same == function));
        };
        check("json", &[1]);
        check("default", &[2]);
        check("format_date", &[2, 3]);
        check("concat", &[2, 3, 4]);
    }

    #[test]
    fn is_shown_in_either_spelling() {
        let (takes, template) = Function::DateAdd.usage(Language::Template);
        assert_eq!(takes, "`date_add` takes a date and how far to move it");
        assert_eq!(template, "write `{{date_add inputs.day \"-1M\"}}`");
        assert_eq!(Function::DateAdd.usage(Language::Condition).1, "write `date_add(inputs.day, \"-1M\")`");
    }
}
