//! `retry`: how often and when a failed run is tried again, what counts as failed, and what is run then.

use super::code::Code;
use super::diagnostic::{Diagnostic, Span};
use super::keys::{BACKOFFS, MAX_ATTEMPTS_MAX, MODES, RETRIED, RETRY};
use super::reader::{Fields, Reader, excerpt};
use super::source::{Entry, Node, Yaml};
use super::{Backoff, Retry, RetryMode, RetryOn, words};
use crate::time::Delay;

const FORMS: &str = "write `failed`, `timed_out`, `cancelled`, or an error code such as `2200`";

/// What a step can end as that is never tried again.
const NOT_RETRIED: [&str; 7] =
    ["succeeded", "warned", "skipped", "not_needed", "blocked", "unknown", "completed"];

/// The keys of `retry` that are written down.
#[derive(Clone, Default)]
pub(super) struct RetryKeys {
    max_attempts: Option<u32>,
    delay: Option<Delay>,
    backoff: Option<Backoff>,
    max_delay: Option<Delay>,
    on: Option<On>,
    mode: Option<RetryMode>,
}

/// The list of `on`, with the places of the key and of `timed_out` in it.
#[derive(Clone)]
struct On {
    key: Span,
    ends: Vec<RetryOn>,
    timed_out: Option<Span>,
}

/// Reads `retry`.
pub(super) fn read(reader: &mut Reader<'_>, fields: Fields<'_>) -> RetryKeys {
    let Some(Entry { key, value }) = fields.entry("retry") else { return RetryKeys::default() };
    if let Yaml::Number(number) = &value.value {
        let help = format!("write `retry: {{ max_attempts: {number} }}`; the first try counts as an attempt");
        return reader.wrong_type::<RetryKeys>(value, "`retry`", "a map", &help).unwrap_or_default();
    }
    let Some(fields) = reader.fields(value, "`retry`", &RETRY, key.span()) else {
        return RetryKeys::default();
    };
    let attempts =
        fields.get("max_attempts").and_then(|node| reader.whole(node, "`max_attempts`", 1, MAX_ATTEMPTS_MAX));
    let backoff = fields.get("backoff").and_then(|node| reader.word(node, "`backoff`", &BACKOFFS));
    let mode = fields.get("mode").and_then(|node| reader.word(node, "`mode`", &MODES));
    RetryKeys {
        max_attempts: attempts.and_then(|attempts| u32::try_from(attempts).ok()),
        delay: fields.get("delay").and_then(|node| reader.duration(node, "`delay`")),
        backoff: backoff.map(|n| [Backoff::Fixed, Backoff::Exponential][n]),
        max_delay: fields.get("max_delay").and_then(|node| reader.duration(node, "`max_delay`")),
        on: fields.entry("on").and_then(|entry| on(reader, entry)),
        mode: mode.map(|n| [RetryMode::Whole, RetryMode::FromFailure][n]),
    }
}

fn on(reader: &mut Reader<'_>, Entry { key, value }: &Entry) -> Option<On> {
    if let Yaml::Text(_) | Yaml::Number(_) = &value.value {
        let help = format!("write `on: [{}]`", excerpt(value.spelling(reader.text)));
        return reader.wrong_type(value, "`on`", "a list", &help);
    }
    let items = reader.list(value, "`on`")?;
    if items.is_empty() {
        let finding = Diagnostic::at(Code::EmptyCollection, value.span(), "the list of `on` is empty");
        reader.report(finding.help("name what is tried again, or write `max_attempts: 1` for no second try"));
        return None;
    }
    let mut on = On { key: key.span(), ends: Vec::new(), timed_out: None };
    let mut all_good = true;
    for item in items {
        match end(reader, item) {
            Some(end) if on.ends.contains(&end) => {
                let message = format!("`{}` stands in `on` twice", excerpt(item.spelling(reader.text)));
                reader.report(Diagnostic::at(Code::UnknownWord, item.span(), message).help("keep one"));
                all_good = false;
            }
            Some(end) => {
                if end == RetryOn::TimedOut {
                    on.timed_out = Some(item.span());
                }
                on.ends.push(end);
            }
            None => all_good = false,
        }
    }
    all_good.then_some(on)
}

/// Reads an outcome or an error code. What looks like a mistyped outcome is not taken for a code: it would match nothing.
fn end(reader: &mut Reader<'_>, item: &Node) -> Option<RetryOn> {
    let text = reader.words(item, "an entry of `on`", "write an outcome or an error code")?;
    match RETRIED.iter().position(|word| *word == text) {
        Some(0) => return Some(RetryOn::Failed),
        Some(1) => return Some(RetryOn::TimedOut),
        Some(_) => return Some(RetryOn::Cancelled),
        None => {}
    }
    let wrong = |message: String| Diagnostic::at(Code::UnknownWord, item.span(), message);
    let finding = if NOT_RETRIED.contains(&text) {
        wrong(format!("a step that ended `{text}` is never tried again")).help(FORMS)
    } else if let Some(near) = words::foreign(text, &RETRIED).or_else(|| words::nearest(text, RETRIED)) {
        wrong(format!("`on` cannot hold `{}`", excerpt(text)))
            .label(format!("did you mean `{near}`?"))
            .help(FORMS)
    } else if text.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        let shown = text.escape_debug().to_string();
        wrong(format!("`{}` is no error code: it holds a blank", excerpt(&shown))).help(FORMS)
    } else if text.contains("{{") {
        wrong("`on` cannot hold a template".to_owned()).help(FORMS)
    } else {
        return Some(RetryOn::Code(text.to_owned()));
    };
    reader.report(finding);
    None
}

impl RetryKeys {
    /// Lays these keys over others.
    pub(super) fn over(self, base: &Self) -> Self {
        Self {
            max_attempts: self.max_attempts.or(base.max_attempts),
            delay: self.delay.or(base.delay),
            backoff: self.backoff.or(base.backoff),
            max_delay: self.max_delay.or(base.max_delay),
            on: self.on.or_else(|| base.on.clone()),
            mode: self.mode.or(base.mode),
        }
    }

    /// Returns the retry with the language's own defaults below these keys.
    pub(super) fn or_default(self) -> Retry {
        let default = Retry::default();
        Retry {
            max_attempts: self.max_attempts.unwrap_or(default.max_attempts),
            delay: self.delay.unwrap_or(default.delay),
            backoff: self.backoff.unwrap_or(default.backoff),
            max_delay: self.max_delay.unwrap_or(default.max_delay),
            on: self.on.map_or(default.on, |on| on.ends),
            mode: self.mode.unwrap_or(default.mode),
        }
    }

    /// Returns where `on` stands among these keys.
    pub(super) fn on_key(&self) -> Option<Span> {
        self.on.as_ref().map(|on| on.key)
    }

    /// Returns where `timed_out` stands in `on`.
    pub(super) fn timed_out(&self) -> Option<Span> {
        self.on.as_ref()?.timed_out
    }

    /// Reports a first wait that is longer than the longest; `retry` is where the key stands.
    pub(super) fn check_delays(&self, reader: &mut Reader<'_>, retry: Span) {
        let Retry { delay, max_delay, .. } = self.clone().or_default();
        if delay > max_delay {
            let message =
                format!("`delay` ({}) is longer than `max_delay` ({})", delay.short(), max_delay.short());
            reader.report(
                Diagnostic::at(Code::OutOfRange, retry, message)
                    .help("set `max_delay` at least as long as `delay`"),
            );
        }
    }

    /// Reports that a run left running at its timeout cannot be followed by another attempt: nobody knows how it will
    /// end. `key` is where the reader is sent.
    pub(super) fn check_detached(&self, reader: &mut Reader<'_>, key: Span) {
        let Some(timed_out) = self.timed_out() else { return };
        let message = "a step whose run goes on after its timeout cannot be tried again when it timed out";
        reader.report(
            Diagnostic::at(Code::KeysExclude, key, message)
                .also(timed_out, "tried again here")
                .help("write `on_timeout: cancel`, or take `timed_out` out of `on`"),
        );
    }
}
