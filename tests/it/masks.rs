//! What differs from night to night, replaced by words, so that whole texts and screens can be compared.

use std::sync::LazyLock;

use regex::Regex;

static MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let masks = [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "RUN"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r"\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d)?( UTC)?)?", "TIME"),
        (r"\b\d\d:\d\d(:\d\d| UTC)\b", "TIME"),
        (r"\b(\d+h)?(\d+m)?\d+(\.\d+)?m?s\b|\b\d+h\d\dm\b", "SPAN"),
        (r"\b[0-9a-f]{6}\b", "FLOW"),
    ];
    masks.into_iter().map(|(pattern, mask)| (Regex::new(pattern).unwrap(), mask)).collect()
});

/// Replaces ids, days, times and lengths of time.
pub(crate) fn masked(text: &str) -> String {
    MASKS.iter().fold(text.to_owned(), |text, (pattern, mask)| pattern.replace_all(&text, *mask).into_owned())
}

/// Replaces the same, and the blanks of columns, whose width follows from it.
pub(crate) fn masked_words(line: &str) -> String {
    masked(line).split_whitespace().collect::<Vec<_>>().join(" ")
}
