//! Text as a terminal may show it: foreign characters made harmless, widths measured, lines cut.
//!
//! Names and error texts come from the plan and from the service. Every one of them passes through
//! [`one_line`] or [`paragraphs`] before it is shown, so that none can move the cursor or colour the screen.

/// Returns the text on one line: line breaks and runs of blanks become one blank.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || is_line_break(c)).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().map(harmless));
    }
    line
}

/// Returns a number with its noun: `1 step`, `2 steps`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Returns a text as XML holds it, in an attribute too. What XML cannot hold at all is left out.
pub fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push('\n'),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

/// Returns the lines of a text, without blanks at their ends and without empty lines around the text.
pub(super) fn paragraphs(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n");
    let mut lines: Vec<String> = text
        .split(is_line_break)
        .map(|line| line.replace('\t', "    ").trim_end().chars().map(harmless).collect())
        .collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let empty = lines.iter().take_while(|line| line.is_empty()).count();
    lines.drain(..empty);
    lines
}

/// Returns how many columns a text without control characters takes.
///
/// Counted character by character, so that a cut text never counts more than its parts.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Returns the text cut to at most `columns` columns, with a mark where something is missing.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut left = columns.saturating_sub(1);
    for c in text.chars() {
        let wide = char_width(c);
        if wide > left {
            break;
        }
        left -= wide;
        kept.push(c);
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// Returns the text with blanks after it up to `columns` columns.
pub fn pad(text: &str, columns: usize) -> String {
    let blanks = columns.saturating_sub(width(text));
    format!("{text}{:blanks$}", "")
}

/// Returns the text with blanks before it up to `columns` columns.
pub fn pad_left(text: &str, columns: usize) -> String {
    let blanks = columns.saturating_sub(width(text));
    format!("{:blanks$}{text}", "")
}

fn char_width(c: char) -> usize {
    if c.is_ascii() {
        return usize::from(!c.is_ascii_control());
    }
    console::measure_text_width(c.encode_utf8(&mut [0; 4]))
}

const fn is_line_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Replaces what a terminal would obey by something it shows: control characters, and those that turn the
/// direction of writing, with which a text can pretend to be another.
fn harmless(c: char) -> char {
    match c {
        '\0'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::{counted, cut, one_line, pad, pad_left, paragraphs, width, xml};

    #[test]
    fn counts_in_words() {
        assert_eq!(counted(1, "step"), "1 step");
        assert_eq!(counted(0, "step"), "0 steps");
    }

    #[test]
    fn xml_holds_what_it_can() {
        assert_eq!(xml("a<b> & \"c\"\u{7}\u{fffe}é\n"), "a&lt;b&gt; &amp; &quot;c&quot;é\n");
    }

    #[test]
    fn disarms_what_a_terminal_would_obey() {
        let check = |text: &str, want: &str| assert_eq!(one_line(text), want, "{text:?}");
        check("plain", "plain");
        check("\x1b[31mred\x1b[0m", "␛[31mred␛[0m");
        check("a\r\n\tb  c\n", "a b c");
        check("bell\x07 del\x7f", "bell␇ del␡");
        check("\u{9b}2J", "\u{fffd}2J");
        check("\u{202e}lmx", "\u{fffd}lmx");
        check("数据 é", "数据 é");
    }

    #[test]
    fn keeps_the_lines_of_a_text() {
        assert_eq!(paragraphs("\n one\r\n\ttwo \n\nfour\x1b\n\n"), [" one", "    two", "", "four␛"]);
        assert_eq!(paragraphs(""), [""; 0]);
    }

    #[test]
    fn cuts_by_columns() {
        let check = |text: &str, columns, want: &str| {
            let got = cut(text, columns);
            assert_eq!(got, want);
            assert!(width(&got) <= columns);
        };
        check("curate", 6, "curate");
        check("curate", 5, "cura…");
        check("数据仓库", 8, "数据仓库");
        check("数据仓库", 7, "数据仓…");
        check("数据仓库", 6, "数据…");
        check("curate", 1, "…");
        check("curate", 0, "");
        check("", 0, "");
    }

    #[test]
    fn pads_by_columns() {
        assert_eq!(pad("数据", 6), "数据  ");
        assert_eq!(pad_left("数据", 6), "  数据");
        assert_eq!(pad("longer", 3), "longer");
    }
}
