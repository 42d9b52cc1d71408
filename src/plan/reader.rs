//! Reads typed values from the tree and collects every problem on the way.
//!
//! A method that finds a value of the wrong type reports it and gives nothing; the caller goes on
//! with a default, so that one run reports all. Main type: [`Reader`].

use std::collections::BTreeSet;

use super::code::Code;
use super::diagnostic::{Diagnostic, Span};
use super::keys::{DEFAULTS, INPUT, KEYS_MAX, PLAN, RETRY, STEP, Shape, WORKSPACE};
use super::source::{Entry, Node, Yaml};
use super::{duration, lines, words};
use crate::time::Delay;

/// The text of the plan and what was found in it so far.
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    /// What was found so far; [`Reader::finish`] gives it away.
    pub(super) findings: Vec<Diagnostic>,
    /// Lines on which a secret may stand where it should not: no message shows them.
    hidden: BTreeSet<usize>,
    /// How many more times a wrong step id is compared with all others: that takes its time.
    comparisons_left: usize,
}

/// How many wrong step ids get a "did you mean".
const COMPARISONS_MAX: usize = 50;

/// The entries of a map whose keys have been checked. A mistyped key, reported as such, counts as the one
/// it was meant to be: what needs it need not complain too.
#[derive(Clone, Copy)]
pub(super) struct Fields<'n> {
    shape: &'static Shape,
    /// For each key of the shape its entry.
    found: [Option<&'n Entry>; KEYS_MAX],
    /// For each key of the shape whether another tool's word for it is there.
    foreign: [bool; KEYS_MAX],
}

impl<'n> Fields<'n> {
    /// Returns the keys of a map that has none.
    pub(super) const fn none(shape: &'static Shape) -> Self {
        Self { shape, found: [None; KEYS_MAX], foreign: [false; KEYS_MAX] }
    }

    /// Returns the entry of a key.
    pub(super) fn entry(self, name: &str) -> Option<&'n Entry> {
        self.found[self.position(name)?]
    }

    /// Says whether nothing was written for a key, not even in another tool's words.
    pub(super) fn lacks(self, name: &str) -> bool {
        self.position(name).is_none_or(|n| self.found[n].is_none() && !self.foreign[n])
    }

    fn position(self, name: &str) -> Option<usize> {
        self.shape.keys.iter().position(|key| *key == name)
    }

    /// Returns the value of a key.
    pub(super) fn get(self, name: &str) -> Option<&'n Node> {
        self.entry(name).map(|entry| &entry.value)
    }
}

impl<'a> Reader<'a> {
    /// Returns a reader of this text that begins with some findings.
    pub(super) fn new(text: &'a str, findings: Vec<Diagnostic>) -> Self {
        Self { text, findings, hidden: BTreeSet::new(), comparisons_left: COMPARISONS_MAX }
    }

    /// Returns the step whose id is most like a wrong one, for the first mistakes of a plan.
    pub(super) fn nearest_step<'s>(
        &mut self,
        id: &str,
        ids: impl Iterator<Item = &'s str>,
    ) -> Option<&'s str> {
        self.comparisons_left = self.comparisons_left.checked_sub(1)?;
        words::nearest(id, ids)
    }

    /// Returns how many errors there are so far.
    pub(super) fn count_errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.is_error()).count()
    }

    pub(super) fn report(&mut self, finding: Diagnostic) {
        self.findings.push(finding);
    }

    /// Keeps the lines of a value out of all messages. Recurses as deep as the tree, which has a limit.
    pub(super) fn hide(&mut self, node: &Node) {
        let first = node.span().place.line;
        let breaks = node.spelling(self.text).matches('\n').count();
        self.hidden.extend(first..=first + breaks);
        match &node.value {
            Yaml::List(items) => items.iter().for_each(|item| self.hide(item)),
            Yaml::Map(entries) => entries.iter().for_each(|entry| self.hide(&entry.value)),
            _ => {}
        }
    }

    /// Returns everything that was found. What would show a hidden line names only its place.
    pub(super) fn finish(self) -> Vec<Diagnostic> {
        let Self { mut findings, hidden, .. } = self;
        if hidden.is_empty() {
            return findings;
        }
        for finding in &mut findings {
            let lines = || {
                let also = finding.also.iter().map(|(span, _)| span);
                finding.span.iter().chain(also).map(|span| span.place.line)
            };
            let (Some(first), Some(last)) = (lines().min(), lines().max()) else { continue };
            finding.hides_source = hidden.range(first..=last).next().is_some();
        }
        // Its help repeats the text.
        findings.retain(|finding| finding.code != Code::TypographicQuote || !finding.hides_source);
        findings
    }

    /// Returns the entries of a map. `what` names it in a message, for example "`inputs`".
    pub(super) fn map<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
        match &node.value {
            Yaml::Map(entries) => Some(entries),
            other => {
                let glued = if let Yaml::Text(text) = other { lines::spaced(text) } else { None };
                let below = "write one `key: value` line for each entry below it, two spaces further in";
                self.wrong_type(node, what, "a map", glued.as_deref().unwrap_or(below))
            }
        }
    }

    /// Returns the items of a list.
    pub(super) fn list<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        match &node.value {
            Yaml::List(items) => Some(items),
            other => {
                let alone = match other {
                    Yaml::Text(_) | Yaml::Number(_) => one_line(node.spelling(self.text)),
                    _ => None,
                };
                let help = alone.map_or_else(
                    || "write it as `[a, b]`, or one `- ` line for each item".to_owned(),
                    |one| format!("write it as a list: `[{one}]`"),
                );
                self.wrong_type(node, what, "a list", &help)
            }
        }
    }

    /// Returns a text; a number is taken as it is spelled.
    pub(super) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str>
    where
        'a: 'n,
    {
        match &node.value {
            Yaml::Text(text) => Some(text),
            Yaml::Number(_) => Some(node.spelling(self.text)),
            Yaml::Bool(_) => {
                let help = format!("quote it: \"{}\"", node.spelling(self.text));
                self.wrong_type(node, what, "a text", &help)
            }
            Yaml::Null => {
                self.wrong_type(node, what, "a text", "write it behind the colon, or remove the line")
            }
            other => {
                let alone = match other {
                    Yaml::List(items) if items.len() == 1 => one_line(items[0].spelling(self.text)),
                    _ => None,
                };
                let help = alone.map_or_else(
                    || "write a text; quote it if it holds `: `, `#`, `[` or `{`".to_owned(),
                    |one| format!("write it without brackets: `{one}`"),
                );
                self.wrong_type(node, what, "a text", &help)
            }
        }
    }

    /// Returns a text that is not empty; `help` says what to do if it is.
    pub(super) fn words<'n>(&mut self, node: &'n Node, what: &str, help: &str) -> Option<&'n str>
    where
        'a: 'n,
    {
        let text = self.text(node, what)?;
        if text.trim().is_empty() {
            let message = format!("{what} is empty");
            self.report(Diagnostic::at(Code::BadName, node.span(), message).help(help));
            return None;
        }
        Some(text)
    }

    /// Returns a truth value.
    pub(super) fn bool(&mut self, node: &Node, what: &str) -> Option<bool> {
        match &node.value {
            Yaml::Bool(value) => Some(*value),
            Yaml::Text(text) => {
                let meant = match text.to_lowercase().as_str() {
                    "yes" | "on" | "y" | "true" | "1" => "write `true` without quotes",
                    "no" | "off" | "n" | "false" | "0" => "write `false` without quotes",
                    _ => "write `true` or `false`",
                };
                self.wrong_type(node, what, "`true` or `false`", meant)
            }
            _ => self.wrong_type(node, what, "`true` or `false`", "write `true` or `false`"),
        }
    }

    /// Returns a whole number within limits.
    pub(super) fn whole(&mut self, node: &Node, what: &str, min: u64, max: u64) -> Option<u64> {
        let Yaml::Number(number) = &node.value else {
            let help = format!("write a number from {min} to {max}, without quotes, leading zeros and `_`");
            return self.wrong_type(node, what, "a whole number", &help);
        };
        if let Some(number) = number.as_u64().filter(|number| (min..=max).contains(number)) {
            return Some(number);
        }
        let message = format!("{what} cannot be {}", node.spelling(self.text));
        let help = format!("write a whole number from {min} to {max}");
        self.report(Diagnostic::at(Code::OutOfRange, node.span(), message).help(help));
        None
    }

    /// Returns a whole number within limits, which may be below zero.
    pub(super) fn integer(&mut self, node: &Node, what: &str, min: i64, max: i64) -> Option<i64> {
        let Yaml::Number(number) = &node.value else {
            let help = "write a whole number, without quotes";
            return self.wrong_type(node, what, "a whole number", help);
        };
        if let Some(number) = number.as_i64().filter(|number| (min..=max).contains(number)) {
            return Some(number);
        }
        let message = format!("{what} cannot be {number}");
        let help = format!("write a whole number from {min} to {max}");
        self.report(Diagnostic::at(Code::OutOfRange, node.span(), message).help(help));
        None
    }

    /// Returns a duration.
    pub(super) fn duration(&mut self, node: &Node, what: &str) -> Option<Delay> {
        const FORMS: &str = "durations are written like `30s`, `10m`, `2h30m` or `500ms`";
        match &node.value {
            Yaml::Text(text) => match duration::read(text) {
                Ok(delay) => Some(delay),
                Err(reason) => {
                    let message = format!("{what} is no duration: {reason}");
                    self.report(Diagnostic::at(Code::BadDuration, node.span(), message).help(FORMS));
                    None
                }
            },
            Yaml::Number(number) if number.as_f64().is_some_and(|number| number < 0.0) => {
                let message = format!("{what} cannot be negative");
                self.report(Diagnostic::at(Code::BadDuration, node.span(), message).help(FORMS));
                None
            }
            Yaml::Number(number) if number.is_f64() => {
                let message = format!("{what} has no unit, and fractions and exponents are not allowed");
                self.report(Diagnostic::at(Code::BadDuration, node.span(), message).help(FORMS));
                None
            }
            Yaml::Number(number) => {
                let message = format!("{what} has no unit");
                self.report(
                    Diagnostic::at(Code::BadDuration, node.span(), message)
                        .label("seconds, minutes or hours?")
                        .help(format!("write `{number}s` for seconds or `{number}m` for minutes")),
                );
                None
            }
            _ => self.wrong_type(node, what, "a duration", FORMS),
        }
    }

    /// Returns the position of a word among those allowed.
    pub(super) fn word(&mut self, node: &Node, what: &str, allowed: &[&str]) -> Option<usize> {
        let forms = || format!("write {}", words::list(allowed.iter().copied(), "or"));
        let (Yaml::Text(_) | Yaml::Number(_)) = &node.value else {
            return self.wrong_type(node, what, "a word", &forms());
        };
        let text = self.text(node, what)?;
        let found = allowed.iter().position(|word| *word == text);
        if found.is_none() {
            let mut finding =
                Diagnostic::at(Code::UnknownWord, node.span(), format!("{what} cannot be `{text}`"));
            let near =
                words::foreign(text, allowed).or_else(|| words::nearest(text, allowed.iter().copied()));
            if let Some(near) = near {
                finding = finding.label(format!("did you mean `{near}`?"));
            }
            self.report(finding.help(forms()));
        }
        found
    }

    /// Checks the keys of a map: unknown ones, other tools' words, missing ones. `owner` is where the
    /// map's own name stands, for what is missing.
    pub(super) fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        shape: &'static Shape,
        owner: Span,
    ) -> Option<Fields<'n>>
    where
        'a: 'n,
    {
        let entries = self.map(node, what)?;
        let mut fields = Fields::none(shape);
        let name = |entry: &'n Entry| entry.key.key_text(self.text).unwrap_or_default();
        let mut unknown = Vec::new();
        for entry in entries {
            match fields.position(name(entry)) {
                Some(n) => fields.found[n] = Some(entry),
                None => unknown.push(entry),
            }
        }
        for entry in unknown {
            let name = name(entry);
            let meant = meant(name, shape);
            if let Some((n, is_typo)) =
                meant.and_then(|(right, is_typo)| Some((fields.position(right)?, is_typo)))
            {
                match fields.found[n] {
                    None if is_typo => fields.found[n] = Some(entry),
                    _ => fields.foreign[n] = true,
                }
            }
            self.findings.push(unknown_key(name, entry.key.span(), shape));
        }
        for name in shape.required {
            if fields.lacks(name) {
                let message = format!("{what} has no `{name}`");
                let help = format!("add {}", example(shape, name));
                self.report(Diagnostic::at(Code::MissingKey, owner, message).help(help));
            }
        }
        Some(fields)
    }

    /// Reports a value of the wrong type, unless it has been reported before.
    pub(super) fn wrong_type<T>(&mut self, node: &Node, what: &str, wanted: &str, help: &str) -> Option<T> {
        if matches!(node.value, Yaml::Broken) {
            return None;
        }
        let found = match &node.value {
            Yaml::Null => "it is empty".to_owned(),
            Yaml::List(_) | Yaml::Map(_) => format!("it is {}", node.kind()),
            _ => format!("it is {} ({})", node.kind(), excerpt(node.spelling(self.text))),
        };
        let mut finding =
            Diagnostic::at(Code::WrongType, node.span(), format!("{what} must be {wanted}")).label(found);
        if !help.is_empty() {
            finding = finding.help(help);
        }
        self.report(finding);
        None
    }
}

/// Returns a value that can be shown whole, to be copied.
fn one_line(spelling: &str) -> Option<&str> {
    const SHOWN_CHARS_MAX: usize = 60;
    let is_short = (1..=SHOWN_CHARS_MAX).contains(&spelling.chars().count());
    let is_short = is_short && !spelling.contains(['\n', ',', '`', '[', '{']);
    is_short.then_some(spelling)
}

/// Cuts a long value for a message.
pub(super) fn excerpt(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 40;
    let line = text.lines().next().unwrap_or_default();
    let mut short: String = line.chars().take(SHOWN_CHARS_MAX).collect();
    if short.len() < text.trim_end().len() {
        short.push_str("...");
    }
    short
}

fn example(shape: &Shape, name: &str) -> &'static str {
    match (shape.name, name) {
        ("a plan", "version") => "`version: 1`",
        ("a plan", "name") => "`name:` and a name, which the journal and `status` show",
        ("a plan", "steps") => "`steps:` with at least one step below it",
        ("an input", "type") => "`type:` with one of string, int, float, bool, date, array or object",
        ("a file of tests", "tests") => "`tests:` with at least one test below it",
        ("a webhook", "url") => "`url:` and the address to send to",
        _ => "it",
    }
}

/// Returns the key that a wrong one was meant to be, and whether it is only mistyped: then its value is
/// what that key needs.
fn meant(name: &str, shape: &Shape) -> Option<(&'static str, bool)> {
    if words::foreign(name, shape.keys).is_none() && advice(name, shape).is_some() {
        return None;
    }
    match words::foreign(name, shape.keys) {
        Some(right) => Some((right, words::is_same(name, right))),
        None => words::nearest(name, shape.keys.iter().copied()).map(|near| (near, true)),
    }
}

/// Returns what to do instead of a word without a counterpart. The plural of a key is that key, mistyped.
fn advice(name: &str, shape: &Shape) -> Option<&'static str> {
    let is_plural = name.strip_suffix('s').is_some_and(|one| shape.keys.contains(&one));
    if is_plural { None } else { words::advice(name, shape.name) }
}

fn unknown_key(name: &str, span: Span, shape: &Shape) -> Diagnostic {
    let keys = || shape.keys.iter().copied();
    if let Some(right) = words::foreign(name, shape.keys) {
        let finding = Diagnostic::at(Code::ForeignKey, span, format!("{} has no key `{name}`", shape.name))
            .label(format!("did you mean `{right}`?"));
        return match hint(right) {
            Some(hint) => finding.help(hint),
            None => finding.help(format!("write `{right}:` instead")),
        };
    }
    let others = elsewhere(name);
    if let Some(advice) = advice(name, shape) {
        let code = if others.is_empty() { Code::ForeignKey } else { Code::UnknownKey };
        return Diagnostic::at(code, span, format!("{} has no key `{name}`", shape.name)).help(advice);
    }
    let finding = Diagnostic::at(Code::UnknownKey, span, format!("{} has no key `{name}`", shape.name));
    match words::nearest(name, keys()) {
        Some(near) => finding.label(format!("did you mean `{near}`?")),
        None if !others.is_empty() => {
            finding.help(format!("`{name}` is a key of {}: move it there", others.join(" and of ")))
        }
        None => finding.help(format!("the keys of {} are {}", shape.name, words::list(keys(), "and"))),
    }
}

/// Returns the kinds of maps that have this key.
fn elsewhere(name: &str) -> Vec<&'static str> {
    let all = [&PLAN, &STEP, &DEFAULTS, &RETRY, &INPUT, &WORKSPACE];
    all.into_iter().filter(|shape| shape.keys.contains(&name)).map(|shape| shape.name).collect()
}

/// Returns how a key is written whose form differs from what other tools have.
fn hint(key: &str) -> Option<&'static str> {
    Some(match key {
        "depends_on" => "write `depends_on: [step]`, or `depends_on: [{ step: [failed] }]` for a condition",
        "when" => "write `when: inputs.full_reload`: what must be true, as a bare expression without braces",
        "timeout" => "write `timeout: 2h`: a duration with its unit",
        "retry" => "write `retry: { max_attempts: 3, delay: 1m }`; the first try counts as an attempt",
        "max_attempts" => "write `max_attempts: 3`; the first try counts as an attempt",
        "delay" => "write `delay: 30s`: a duration with its unit",
        "workspaces" => "write `workspaces: { main: { name: contoso-dw } }`, by the names that the plan has",
        "one_of" => "write `one_of: [dev, test, prod]`",
        "for_each" => {
            "write `for_each: [emea, apac]`: the step runs once for each, and reads it as `{{each.value}}`"
        }
        "matrix" => "write `matrix: { region: [emea, apac] }`: the step runs once for each combination",
        "outputs" => {
            "write `outputs: { rows: \"{{activities.NAME.output.KEY}}\" }`, a value of the step's own run"
        }
        "pool" => {
            "write `pool: dedicated_sql`, and how much there is of it at the top: `pools: { dedicated_sql: 2 }`"
        }
        "finally" => "write `finally: completed`: the step runs when all others have ended, however they did",
        "steps" => "write `steps:` with one key for each step: its id",
        "allow_failure" => "write `allow_failure: true`",
        "pipeline" => "write `pipeline: pl_load`: a step runs one pipeline of the workspace, nothing else",
        "parameters" => "write `parameters: { name: value }`: they are sent to the pipeline",
        _ => return None,
    })
}
