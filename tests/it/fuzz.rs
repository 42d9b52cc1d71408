//! Inputs by the hundred thousand: plans of the corpus, broken in ways that people and editors break them, are
//! read, checked, shown and laid out on every core, and nothing may panic.
//!
//! ```sh
//! SYNFLOW_FUZZ_SECONDS=600 cargo test --test it fuzz::      # each target for so long
//! SYNFLOW_FUZZ_INPUTS=500000 cargo test --test it fuzz::    # or so many inputs
//! SYNFLOW_FUZZ_SEED=4711 cargo test --test it fuzz::plans   # one again, made smaller if it fails
//! ```

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use synflow::graph::PlanGraph;
use synflow::plan::{load, render};

use crate::dice::Dice;
use crate::plans::given;
use crate::space::root;

/// The inputs of each target if nothing else is asked for.
const INPUTS: u64 = 300;

/// What is done with an input; panics if it must not be so.
type Target = fn(&[u8]);

/// What an input is.
#[derive(Clone, Copy, Debug)]
enum Input {
    Plan,
    Template,
    Condition,
}

impl Input {
    fn make(self, corpus: &Corpus, seed: u64) -> Vec<u8> {
        let mutator = Mutator::new(corpus, Dice(seed));
        match self {
            Self::Plan => mutator.plan(),
            Self::Template => mutator.phrase(&corpus.templates, |a, b| format!("{{{{{a} {b}}}}}")),
            Self::Condition => mutator.phrase(&corpus.conditions, |a, b| format!("{a} == {b}")),
        }
    }
}

#[test]
fn plans() {
    run("plans", Input::Plan, |text| {
        let findings = match load(text, &given("good", text)) {
            Ok(loaded) => match PlanGraph::link(&loaded.plan) {
                Ok(_) => loaded.notes,
                Err(findings) => findings,
            },
            Err(findings) => {
                assert!(findings.iter().any(synflow::plan::Diagnostic::is_error));
                findings
            }
        };
        for is_coloured in [true, false] {
            render(&findings, "plan.yaml", text, is_coloured);
        }
    });
}

#[test]
fn layouts() {
    run("layouts", Input::Plan, |text| {
        crate::format::checked(text);
    });
}

#[test]
fn templates() {
    run("templates", Input::Template, |text| {
        let text = String::from_utf8_lossy(text);
        let plan = serde_json::json!({
            "version": 1, "name": "x", "workspace": "w",
            "inputs": { "day": { "type": "date", "default": "2024-02-29" }, "list": { "type": "array", "default": [1, { "a": [] }] } },
            "run_key": text,
            "steps": { "a": {}, "b": { "pipeline": text, "depends_on": ["a"], "parameters": { "p": text, "q": { "r": [text] } } } },
        });
        let plan = plan.to_string();
        if let Err(findings) = load(plan.as_bytes(), &given("good", plan.as_bytes())) {
            render(&findings, "plan.yaml", plan.as_bytes(), true);
        }
    });
}

#[test]
fn conditions() {
    run("conditions", Input::Condition, |text| {
        let text = String::from_utf8_lossy(text);
        let plan = serde_json::json!({
            "version": 1, "name": "x", "workspace": "w",
            "inputs": { "day": { "type": "date", "default": "2024-02-29" }, "list": { "type": "array", "default": [1, { "a": [] }] } },
            "steps": {
                "a": { "when": text, "outputs": { "rows": "{{activities.Copy.output.rowsCopied}}" } },
                "b": { "when": text, "depends_on": ["a"], "for_each": { "de": 1, "fr": text } },
            },
        });
        let plan = plan.to_string();
        if let Err(findings) = load(plan.as_bytes(), &given("good", plan.as_bytes())) {
            render(&findings, "plan.yaml", plan.as_bytes(), true);
        }
    });
}

/// Runs a target on all cores for as long as the environment says.
#[expect(clippy::disallowed_methods, reason = "whoever runs it says how long, by the clock")]
fn run(name: &str, input: Input, target: Target) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let corpus = Corpus::read();
    if let Some(seed) = number("SYNFLOW_FUZZ_SEED") {
        return again(name, seed, &input.make(&corpus, seed), target);
    }
    let seconds = number("SYNFLOW_FUZZ_SECONDS");
    let inputs = number("SYNFLOW_FUZZ_INPUTS").unwrap_or(if seconds.is_some() { u64::MAX } else { INPUTS });
    let begin = Instant::now();
    let is_over = |done: u64| {
        done >= inputs || seconds.is_some_and(|most| begin.elapsed() >= Duration::from_secs(most))
    };
    // Another run looks at other inputs, unless it is the short one of every test run.
    let first = if seconds.is_some() { u64::from(std::process::id()) << 40 } else { 0 };
    let (done, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let failures: Vec<(u64, Vec<u8>)> = std::thread::scope(|scope| {
        let work = || {
            loop {
                let n = done.fetch_add(1, Ordering::Relaxed);
                if is_over(n) || failed.load(Ordering::Relaxed) {
                    return None;
                }
                let seed = first + n;
                let text = input.make(&corpus, seed);
                if catch_unwind(AssertUnwindSafe(|| target(&text))).is_err() {
                    failed.store(true, Ordering::Relaxed);
                    return Some((seed, text));
                }
            }
        };
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    if let Some((seed, text)) = failures.first() {
        panic!(
            "input {seed} breaks `{name}`: SYNFLOW_FUZZ_SEED={seed} cargo test --test it fuzz::{name}\n{:?}",
            String::from_utf8_lossy(text),
        );
    }
    let done = done.load(Ordering::Relaxed).min(inputs);
    let rate = done as f64 / begin.elapsed().as_secs_f64();
    // For whoever runs it long: `-- --nocapture` shows it.
    let mut out = std::io::stderr();
    writeln!(out, "{name}: {done} inputs, {rate:.0} a second").unwrap();
}

/// Runs one input again and shows the smallest part of it that still fails.
fn again(name: &str, seed: u64, text: &[u8], target: Target) {
    let fails = |text: &[u8]| catch_unwind(AssertUnwindSafe(|| target(text))).is_err();
    if !fails(text) {
        return;
    }
    let mut small = text.to_vec();
    let mut piece = small.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at < small.len() {
            let mut less = small.clone();
            less.drain(at..(at + piece).min(small.len()));
            if fails(&less) {
                small = less;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    panic!("input {seed} breaks `{name}`; this is left of it: {:?}", String::from_utf8_lossy(&small));
}

/// The texts that inputs are made from.
pub(crate) struct Corpus {
    plans: Vec<Vec<u8>>,
    /// Every line of theirs that is not blank.
    lines: Vec<Vec<u8>>,
    /// Every text of theirs that holds braces.
    templates: Vec<Vec<u8>>,
    /// Every condition of theirs.
    conditions: Vec<Vec<u8>>,
    /// Every key of the language.
    keys: Vec<Vec<u8>>,
}

impl Corpus {
    pub(crate) fn read() -> Self {
        let mut plans = Vec::new();
        for folder in
            ["tests/plans/good", "tests/plans/bad", "tests/plans/fmt", "examples", "examples/nightly"]
        {
            let mut paths: Vec<_> =
                std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
            // The order of a folder is not the same everywhere, and a seed must mean one input.
            paths.sort();
            paths.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
            plans.extend(paths.iter().map(|path| std::fs::read(path).unwrap()));
        }
        let lines: Vec<Vec<u8>> = plans
            .iter()
            .flat_map(|plan| plan.split(|byte| *byte == b'\n'))
            .filter(|line| !line.trim_ascii().is_empty() && line.len() < 400)
            .map(<[u8]>::to_vec)
            .collect();
        let templates = lines
            .iter()
            .filter_map(|line| {
                let begin = line.windows(2).position(|pair| pair == b"{{")?;
                let end = line.windows(2).rposition(|pair| pair == b"}}")? + 2;
                line.get(begin..end).map(<[u8]>::to_vec)
            })
            .collect();
        let conditions = lines
            .iter()
            .filter_map(|line| {
                let at = line.windows(6).position(|word| word == b"when: ")?;
                line.get(at + 6..).map(<[u8]>::to_vec)
            })
            .collect();
        let mut keys = Vec::new();
        named(&synflow::plan::schema(), &mut keys);
        Self { plans, lines, templates, conditions, keys }
    }
}

/// Collects the keys that a schema names.
pub(crate) fn named(schema: &serde_json::Value, keys: &mut Vec<Vec<u8>>) {
    if let Some(properties) = schema.get("properties").and_then(serde_json::Value::as_object) {
        keys.extend(properties.keys().map(|key| key.as_bytes().to_vec()));
    }
    match schema {
        serde_json::Value::Object(members) => members.values().for_each(|member| named(member, keys)),
        serde_json::Value::Array(items) => items.iter().for_each(|item| named(item, keys)),
        _ => {}
    }
}

/// Pieces that mean something to YAML, to templates or to an editor gone wrong.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "{{", "}}", "{", "}", "[", "]", "\"", "'", "|\n", ">-\n", "|2\n", "|+\n", "&a ", "*a", "<<: *a\n",
    "!!str ", "!t ", "- ", "? ", ": ", ":", ",", "#", " # c", "\t", "\r\n", "\r", "\n\n", "\n", "---\n",
    "...\n", "%YAML 1.2\n", "~", "null", "true", "no", "\u{a0}", "\u{feff}", "\u{2028}", "\u{85}", "\0",
    "é", "数", "\u{1f600}", "@", "`", "%", "\\", "\\\n",
];

/// Numbers at the edge of something.
#[rustfmt::skip]
const NUMBERS: &[&str] = &[
    "0", "-0", "-1", "1.0", "1e3", "1e999", "0x1F", "0o17", "012", "1_000", ".inf", "-.inf", ".nan",
    "18446744073709551615", "18446744073709551616", "-9223372036854775809", "0.1", "1.10", "99999999999h",
    "0s", "1s1s", "2h30m", "500ms", "10001",
];

/// Pieces of templates and conditions.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "inputs", "inputs.day", "inputs.[day]", "each.value", "steps.a.outcome", "steps.a.outputs.x",
    "steps.[a].run_id", "env \"REGION\"", "secret \"env:X\"", "json inputs.list", "default", "this",
    "@root", "@index", "../", "#if ", "#each inputs.list", "/if", "/each", "else", "plan.name", "flow.id",
    "environment", "null", "true", "-1", "1.5", "\"a\"", "'b'", "(", ")", "[", "]", "=", "|", ">", "!--",
    "--", "~", "{", "date_add inputs.day \"-1M\"", "lookup", "log", "with", "&", "^", "*", " and ", " or ",
    "not ", " == ", " != ", "<", "\\", "<=", ">=", " in ", " not in ", "steps.a.outputs.rows", "steps[\"a\"]",
    "env(\"A\")", "date_add(inputs.day, \"1d\")", "&&", "||", "!", ",", "\"\\u00e9\"",
];

/// Makes inputs from a corpus; the dice decide all.
pub(crate) struct Mutator<'a> {
    corpus: &'a Corpus,
    dice: Dice,
}

impl<'a> Mutator<'a> {
    pub(crate) fn new(corpus: &'a Corpus, dice: Dice) -> Self {
        Self { corpus, dice }
    }

    /// Returns a plan with one to six changes.
    pub(crate) fn plan(mut self) -> Vec<u8> {
        let mut text = self.any(&self.corpus.plans).clone();
        for _ in 0..self.dice.within(1, 6) {
            match self.dice.within(0, 11) {
                0..=2 => self.change_lines(&mut text),
                3 => self.indent(&mut text),
                4 => self.swap_key(&mut text),
                5 => self.number(&mut text),
                6 => self.alias(&mut text),
                7 => self.quote(&mut text),
                8 | 9 => self.splice(&mut text, PIECES),
                10 => self.cut(&mut text),
                _ => self.bytes(&mut text),
            }
        }
        // Larger ones only cost time.
        text.truncate(20_000);
        text
    }

    /// Returns a text of the corpus, or two words joined, with up to five changes.
    pub(crate) fn phrase(mut self, of: &'a [Vec<u8>], join: fn(&str, &str) -> String) -> Vec<u8> {
        let mut text = if self.dice.percent(70) {
            self.any(of).clone()
        } else {
            join(self.dice.pick(WORDS), self.dice.pick(WORDS)).into_bytes()
        };
        for _ in 0..self.dice.within(0, 5) {
            match self.dice.within(0, 5) {
                0..=2 => self.splice(&mut text, WORDS),
                3 => self.splice(&mut text, PIECES),
                4 => self.cut(&mut text),
                _ => self.number(&mut text),
            }
        }
        text
    }

    fn any<T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.dice.within(0, of.len() as u64 - 1) as usize]
    }

    /// Returns a place in a text, its end included.
    fn place(&mut self, text: &[u8]) -> usize {
        self.dice.within(0, text.len() as u64) as usize
    }

    /// Returns a line of a text with its break.
    fn line(&mut self, text: &[u8]) -> std::ops::Range<usize> {
        let at = self.place(text);
        let begin = text[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let end = text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |n| at + n + 1);
        begin..end
    }

    /// Takes out, doubles, moves, or brings in lines.
    fn change_lines(&mut self, text: &mut Vec<u8>) {
        let line = self.line(text);
        let words = text[line.clone()].to_vec();
        match self.dice.within(0, 3) {
            0 => drop(text.drain(line)),
            1 => drop(text.splice(line.start..line.start, words)),
            2 => {
                text.drain(line);
                let at = self.line(text).start;
                text.splice(at..at, words);
            }
            _ => {
                let mut other = self.any(&self.corpus.lines).clone();
                other.push(b'\n');
                text.splice(line.start..line.start, other);
            }
        }
    }

    /// Moves a line, or it and those after it, to one side.
    fn indent(&mut self, text: &mut Vec<u8>) {
        let lines = self.dice.within(1, 4);
        let by = self.dice.within(1, 4) as usize;
        let is_in = self.dice.percent(50);
        let mut at = self.line(text).start;
        for _ in 0..lines {
            if is_in {
                text.splice(at..at, vec![b' '; by]);
            } else {
                let blanks = text[at..].iter().take(by).take_while(|byte| **byte == b' ').count();
                text.drain(at..at + blanks);
            }
            match text[at..].iter().position(|byte| *byte == b'\n') {
                Some(n) => at += n + 1,
                None => return,
            }
        }
    }

    /// Puts one of our keys in the place of another.
    fn swap_key(&mut self, text: &mut Vec<u8>) {
        let line = self.line(text);
        let blanks = text[line.clone()].iter().take_while(|byte| matches!(byte, b' ' | b'-')).count();
        let begin = line.start + blanks;
        if let Some(colon) = text[begin..line.end].iter().position(|byte| *byte == b':') {
            text.splice(begin..begin + colon, self.any(&self.corpus.keys).clone());
        }
    }

    fn number(&mut self, text: &mut Vec<u8>) {
        let at = self.place(text);
        let Some(n) = text[at..].iter().position(u8::is_ascii_digit) else { return };
        let begin = at + n;
        let digits = text[begin..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        text.splice(begin..begin + digits, self.dice.pick(NUMBERS).bytes());
    }

    /// Marks one value with an anchor and repeats it elsewhere.
    fn alias(&mut self, text: &mut Vec<u8>) {
        for word in ["&m ", "*m"] {
            let at = self.place(text);
            if let Some(n) = text[at..].windows(2).position(|pair| pair == b": ") {
                let begin = at + n + 2;
                let end = if word == "*m" { self.line(&text[..begin]).start.max(begin) } else { begin };
                text.splice(begin..end, word.bytes());
            }
        }
        if self.dice.percent(40) {
            let line = self.line(text);
            let blanks = text[line.clone()].iter().take_while(|byte| **byte == b' ').count();
            let merge = [&vec![b' '; blanks][..], b"<<: *m\n"].concat();
            text.splice(line.start..line.start, merge);
        }
    }

    /// Changes a quote for the other kind, takes it away, or puts two around a word.
    fn quote(&mut self, text: &mut Vec<u8>) {
        let at = self.place(text);
        let is_quote = |byte: &u8| matches!(byte, b'"' | b'\'');
        match (self.dice.within(0, 2), text[at..].iter().position(is_quote)) {
            (0, Some(n)) => text[at + n] ^= b'"' ^ b'\'',
            (1, Some(n)) => drop(text.remove(at + n)),
            _ => {
                let word = text[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
                text.insert(at + word, b'"');
                text.insert(at, b'"');
            }
        }
    }

    fn splice(&mut self, text: &mut Vec<u8>, pieces: &[&str]) {
        let at = self.place(text);
        let piece = self.dice.pick(pieces);
        text.splice(at..at, piece.bytes());
    }

    fn cut(&mut self, text: &mut Vec<u8>) {
        let at = self.place(text);
        let end = text.len().min(at + self.dice.within(1, 12) as usize);
        text.drain(at..end);
    }

    fn bytes(&mut self, text: &mut [u8]) {
        let at = self.place(text);
        if let Some(byte) = text.get_mut(at) {
            *byte = self.dice.roll() as u8;
        }
    }
}
