//! What a check-up found, and its text for people and programs.
//!
//! Pure. One line for each check: how it went, what was looked at, what was found; below it what to do next.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::report::text::{one_line, pad};

/// The width of the column that says how a check went.
const MARK_COLUMNS: usize = 8;

/// The width of the column that says what was looked at.
const NAME_COLUMNS: usize = 11;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// As it should.
    Ok,
    /// In a way that the reader should know of; it stops nothing.
    Note,
    /// Not at all: something it needs is missing.
    Skipped,
    /// Badly: a run of the plan would end with this exit code.
    Fail(u8),
}

impl Mark {
    /// Returns the word for people and programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Skipped => "skipped",
            Self::Fail(_) => "FAIL",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at, in a word.
    pub name: &'static str,
    /// How it went.
    pub mark: Mark,
    /// What was found.
    pub found: String,
    /// More of the same, a line each.
    pub details: Vec<String>,
    /// What the reader can do, each a sentence or a command.
    pub next: Vec<String>,
    /// What was found, for programs.
    pub facts: Map<String, Value>,
}

impl Check {
    /// Makes a check that went like this.
    pub fn new(name: &'static str, mark: Mark, found: impl Into<String>) -> Self {
        let found = found.into();
        Self { name, mark, found, details: Vec::new(), next: Vec::new(), facts: Map::new() }
    }

    /// Adds what the reader can do.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next.push(next.into());
        self
    }

    /// Adds a line below what was found.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// Adds something for programs.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }

    /// Says whether it went badly.
    pub const fn is_failure(&self) -> bool {
        matches!(self.mark, Mark::Fail(_))
    }

    fn text(&self) -> String {
        let mark = pad(self.mark.word(), MARK_COLUMNS);
        let name = pad(self.name, NAME_COLUMNS);
        let mut text = format!("  {mark} {name} {}\n", one_line(&self.found));
        let margin = " ".repeat(MARK_COLUMNS + NAME_COLUMNS + 4);
        for detail in &self.details {
            writeln!(text, "{margin}{}", one_line(detail)).expect("a text takes all");
        }
        for (place, next) in self.next.iter().enumerate() {
            let lead = if place == 0 { "next:" } else { "  or:" };
            writeln!(text, "{margin}{lead} {}", one_line(next)).expect("a text takes all");
        }
        text
    }

    fn value(&self) -> Value {
        let mut value = json!({
            "check": self.name,
            "result": self.mark.word().to_lowercase(),
            "found": self.found,
            "details": self.details,
            "next": self.next,
        });
        if let Mark::Fail(exit_code) = self.mark {
            value["exit_code"] = exit_code.into();
        }
        if !self.facts.is_empty() {
            value["facts"] = Value::Object(self.facts.clone());
        }
        value
    }
}

/// The checks of one place: the sign-in to a cloud, or a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Which place it is.
    pub title: String,
    /// The checks, in the order they were made.
    pub checks: Vec<Check>,
}

impl Group {
    /// Returns the text for people.
    pub fn text(&self) -> String {
        let checks: String = self.checks.iter().map(Check::text).collect();
        format!("{}\n{checks}", one_line(&self.title))
    }
}

/// Returns the exit code that these checks mean: that of the first failure, `mildest` only if there is no other.
pub fn exit_code(groups: &[Group], mildest: u8) -> u8 {
    let codes = || {
        groups.iter().flat_map(|group| &group.checks).filter_map(|check| match check.mark {
            Mark::Fail(exit_code) => Some(exit_code),
            _ => None,
        })
    };
    codes().find(|code| *code != mildest).or_else(|| codes().next()).unwrap_or(0)
}

/// Says whether nothing was skipped.
pub fn is_complete(groups: &[Group]) -> bool {
    groups.iter().flat_map(|group| &group.checks).all(|check| check.mark != Mark::Skipped)
}

/// Returns how many checks there are, and how many of them failed.
pub fn count(groups: &[Group]) -> (usize, usize) {
    let checks = groups.iter().flat_map(|group| &group.checks);
    checks.fold((0, 0), |(all, failed), check| {
        (all + 1, failed + usize::from(matches!(check.mark, Mark::Fail(_))))
    })
}

/// Returns all of it for programs.
pub fn value(groups: &[Group], exit_code: u8) -> Value {
    let groups: Vec<Value> = groups
        .iter()
        .map(|group| {
            let checks: Vec<Value> = group.checks.iter().map(Check::value).collect();
            json!({ "place": group.title, "checks": checks })
        })
        .collect();
    json!({ "exit_code": exit_code, "places": groups })
}

#[cfg(test)]
mod tests {
    use super::{Check, Group, Mark, exit_code, value};

    fn group(marks: &[Mark]) -> Group {
        let checks = marks.iter().map(|mark| Check::new("dns", *mark, "found")).collect();
        Group { title: "place".to_owned(), checks }
    }

    #[test]
    fn the_first_grave_failure_decides() {
        let check = |marks: &[Mark], want: u8| assert_eq!(exit_code(&[group(marks)], 4), want, "{marks:?}");
        check(&[], 0);
        check(&[Mark::Ok, Mark::Note, Mark::Skipped], 0);
        check(&[Mark::Fail(4), Mark::Ok], 4);
        check(&[Mark::Fail(4), Mark::Fail(11), Mark::Fail(10)], 11);
    }

    #[test]
    fn writes_one_line_each_and_what_to_do_below() {
        let failed = Check::new("dns", Mark::Fail(11), "no\u{1b}[31m such host")
            .detail("more")
            .next("look")
            .next("ask");
        let group = Group { title: "workspace".to_owned(), checks: vec![failed] };
        let want = "workspace\n  FAIL     dns         no␛[31m such host\n                       more\n                       \
                    next: look\n                         or: ask\n";
        assert_eq!(group.text(), want);
        assert_eq!(value(&[group], 11)["places"][0]["checks"][0]["exit_code"], 11);
    }
}
