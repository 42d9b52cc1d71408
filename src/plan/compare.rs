//! Comparing JSON values strictly, as `eq` in templates and conditions do: values of different types are no more
//! unequal than they are equal.
//!
//! Whole numbers and numbers with a fraction compare exactly, texts that are dates as dates, and texts that are
//! times as points in time. Main functions: [`equal`] and [`order`].

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::function::calendar;

/// What a value is, as far as comparing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    Text,
    /// A text that is known to be a day: `2024-05-01`. No value has it by itself: a text may look like a day by chance.
    Date,
    List,
    Object,
}

/// Why two values cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// They are of different types.
    Types(Kind, Kind),
    /// Both are of a type that has no order.
    NoOrder(Kind),
    /// One is a date, or a time, and the other is not. Says what each is.
    Dates(&'static str, &'static str),
}

impl Kind {
    /// Returns what a value is.
    pub(super) const fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::Text,
            Value::Array(_) => Self::List,
            Value::Object(_) => Self::Object,
        }
    }

    /// Returns the word for people, with its article.
    pub(super) const fn noun(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a bool",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Date => "a date",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }

    /// Returns the word for several values.
    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Null => "nulls",
            Self::Bool => "bools",
            Self::Number => "numbers",
            Self::Text => "texts",
            Self::Date => "dates",
            Self::List => "lists",
            Self::Object => "objects",
        }
    }

    /// Says whether values of the two may be equal at all. Null says that a value is missing, whatever its type.
    pub(super) fn may_equal(self, other: Self) -> Result<(), Mismatch> {
        let plain = |kind| if kind == Self::Date { Self::Text } else { kind };
        if plain(self) == plain(other) || self == Self::Null || other == Self::Null {
            return Ok(());
        }
        Err(Mismatch::Types(self, other))
    }

    /// Says whether values of the two may have an order.
    pub(super) fn may_order(self, other: Self) -> Result<(), Mismatch> {
        match (self, other) {
            (Self::Number, Self::Number) | (Self::Text | Self::Date, Self::Text | Self::Date) => Ok(()),
            _ if self == other => Err(Mismatch::NoOrder(self)),
            _ => Err(Mismatch::Types(self, other)),
        }
    }
}

/// Says whether two values are equal; fails if their types differ.
pub(super) fn equal(left: &Value, right: &Value) -> Result<bool, Mismatch> {
    Kind::of(left).may_equal(Kind::of(right))?;
    Ok(same(left, right))
}

/// Returns which of two values comes first; fails if they have no order.
pub(super) fn order(left: &Value, right: &Value) -> Result<Ordering, Mismatch> {
    Kind::of(left).may_order(Kind::of(right))?;
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => Ok(numbers(left, right)),
        (Value::String(left), Value::String(right)) => texts(left, right),
        _ => Err(Mismatch::NoOrder(Kind::of(left))),
    }
}

/// Says whether two values are the same. Recurses as deep as the values, which have a limit.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => numbers(left, right).is_eq(),
        (Value::String(left), Value::String(right)) => {
            left == right
                || matches!((calendar::time(left), calendar::time(right)), (Some(a), Some(b)) if a == b)
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}

/// Orders texts: days and times by the calendar, others letter by letter.
fn texts(left: &str, right: &str) -> Result<Ordering, Mismatch> {
    if let (Some(left), Some(right)) = (calendar::time(left), calendar::time(right)) {
        return Ok(left.cmp(&right));
    }
    let form = |text: &str| {
        if calendar::time(text).is_some() {
            "a time"
        } else if calendar::is_day(text) {
            "a date"
        } else {
            "a text that is no date"
        }
    };
    let (one, two) = (form(left), form(right));
    if one == two { Ok(left.cmp(right)) } else { Err(Mismatch::Dates(one, two)) }
}

/// Orders numbers exactly: a whole number is not rounded to compare it with a fraction.
pub(super) fn numbers(left: &Number, right: &Number) -> Ordering {
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        (Some(left), None) => whole_to_float(left, float(right)),
        (None, Some(right)) => whole_to_float(right, float(left)).reverse(),
        // Numbers of JSON are finite.
        (None, None) => float(left).partial_cmp(&float(right)).unwrap_or(Ordering::Equal),
    }
}

fn whole(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or_default()
}

fn whole_to_float(whole: i128, float: f64) -> Ordering {
    // Beyond 64 bits no whole number is as large. Within them the part before the point fits into 128 bits exactly.
    const BEYOND: f64 = 3.0e19;
    if float >= BEYOND {
        return Ordering::Less;
    }
    if float <= -BEYOND {
        return Ordering::Greater;
    }
    let floor = float.floor();
    let fraction = if float > floor { Ordering::Less } else { Ordering::Equal };
    whole.cmp(&(floor as i128)).then(fraction)
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering::{self, Equal, Greater, Less};

    use serde_json::{Value, json};

    use super::{Kind, Mismatch, equal, order};

    #[test]
    fn numbers_compare_exactly() {
        let check = |left: Value, right: Value, want: Ordering| {
            assert_eq!(order(&left, &right), Ok(want), "{left} {right}");
            assert_eq!(order(&right, &left), Ok(want.reverse()), "{right} {left}");
            assert_eq!(equal(&left, &right), Ok(want == Equal), "{left} {right}");
        };
        check(json!(1), json!(1.0), Equal);
        check(json!(1), json!(1.5), Less);
        check(json!(-1), json!(-1.5), Greater);
        check(json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992.0), Greater);
        check(json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_994.0), Less);
        check(json!(u64::MAX), json!(18_446_744_073_709_551_616.0), Less);
        check(json!(u64::MAX), json!(1e300), Less);
        check(json!(i64::MIN), json!(-9_223_372_036_854_775_808.0), Equal);
        check(json!(i64::MIN), json!(-1e300), Greater);
        check(json!(u64::MAX), json!(-1), Greater);
        check(json!(0), json!(-0.0), Equal);
        check(json!(0.1), json!(0.2), Less);
    }

    #[test]
    fn texts_compare_by_what_they_are() {
        let check = |left: &str, right: &str, want: Result<Ordering, Mismatch>| {
            assert_eq!(order(&left.into(), &right.into()), want, "{left} {right}");
        };
        check("a", "b", Ok(Less));
        check("2024-05-01", "2024-04-30", Ok(Greater));
        check("2024-05-01", "soon", Err(Mismatch::Dates("a date", "a text that is no date")));
        check("2024-05-01", "2024-05-01T06:00:00Z", Err(Mismatch::Dates("a date", "a time")));
        check("2024-05-01T06:00:00Z", "2024-05-01T07:30:00+02:00", Ok(Greater));
        check("2024-02-30", "2024-05-01", Err(Mismatch::Dates("a text that is no date", "a date")));
    }

    #[test]
    fn equality_asks_for_one_type() {
        let check = |left: Value, right: Value, want: Result<bool, Mismatch>| {
            assert_eq!(equal(&left, &right), want, "{left} {right}");
        };
        check(json!("3"), json!(3), Err(Mismatch::Types(Kind::Text, Kind::Number)));
        check(json!(true), json!(1), Err(Mismatch::Types(Kind::Bool, Kind::Number)));
        check(json!(null), json!(1), Ok(false));
        check(json!(null), json!(null), Ok(true));
        check(json!([1, { "a": 2 }]), json!([1.0, { "a": 2.0 }]), Ok(true));
        check(json!([1]), json!(["1"]), Ok(false));
        check(json!({ "a": 1, "b": 2 }), json!({ "b": 2, "a": 1 }), Ok(true));
        check(json!("2024-05-01T06:00:00Z"), json!("2024-05-01T08:00:00.000+02:00"), Ok(true));
        check(json!("2024-05-01"), json!("x"), Ok(false));
    }

    #[test]
    fn some_types_have_no_order() {
        let check = |left: Value, right: Value, want: Mismatch| {
            assert_eq!(order(&left, &right), Err(want), "{left} {right}");
        };
        check(json!(true), json!(false), Mismatch::NoOrder(Kind::Bool));
        check(json!([]), json!([]), Mismatch::NoOrder(Kind::List));
        check(json!(null), json!(null), Mismatch::NoOrder(Kind::Null));
        check(json!(null), json!(1), Mismatch::Types(Kind::Null, Kind::Number));
    }
}
