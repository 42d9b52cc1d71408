//! Takes secrets out of texts that others have written: a service's error may repeat a parameter.
//!
//! Looks for each secret as it is, and as it stands inside JSON, an address, HTML or base64, whole or cut off at the end.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

/// What stands in a secret's place.
const MASK: &str = "***";
/// Shorter secrets are not looked for, in characters: they would be found everywhere.
const SECRET_CHARS_MIN: usize = 4;
/// The shortest line of a longer secret, and the shortest piece in base64, that is looked for by itself, in characters.
const PART_CHARS_MIN: usize = 8;
/// What stands behind a text that was cut off.
const CUT_MARKS: [char; 8] = ['.', '…', '`', '"', '\'', ' ', '\\', '}'];

/// The texts to take out, longest first. `Debug` hides them.
#[derive(Clone, Default)]
pub(super) struct Masks {
    needles: Vec<String>,
}

impl Masks {
    /// Looks for this secret, too, from now on.
    pub(super) fn add(&mut self, secret: &str) {
        if self.needles.iter().any(|needle| needle == secret) {
            return;
        }
        let mut plain = BTreeSet::from([secret.to_owned(), secret.trim().to_owned()]);
        let words: Vec<&str> = secret.split_whitespace().collect();
        plain.insert(words.join(" "));
        plain.extend(
            secret
                .lines()
                .map(str::trim)
                .filter(|line| line.chars().count() >= PART_CHARS_MIN)
                .map(str::to_owned),
        );
        let mut all: BTreeSet<String> = std::mem::take(&mut self.needles).into_iter().collect();
        for text in plain.iter().filter(|text| text.chars().count() >= SECRET_CHARS_MIN) {
            let once = in_json(text);
            let plain_ascii = in_ascii_json(text);
            all.extend([in_json(&once), in_json(&plain_ascii), once, plain_ascii]);
            all.insert(in_html(text));
            all.insert(in_address(text, true).replace("%20", "+"));
            all.insert(in_address(text, true));
            all.insert(in_address(text, false));
            all.extend(in_base64(text));
            all.insert(text.clone());
        }
        self.needles = all.into_iter().collect();
        // One that holds another goes first, or what is left of it would stay.
        self.needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
    }

    /// Takes every secret out of a text.
    pub(super) fn hide(&self, text: &mut String) {
        for needle in &self.needles {
            if text.contains(needle.as_str()) {
                *text = text.replace(needle.as_str(), MASK);
            }
        }
        self.hide_cut(text);
    }

    /// Says whether a text holds a secret, a whole one.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.needles.iter().any(|needle| text.contains(needle.as_str()))
    }

    /// Takes out the beginning of a secret at the end of a text: others cut long texts off.
    fn hide_cut(&self, text: &mut String) {
        let whole = text.trim_end_matches(CUT_MARKS).len();
        // A mark may be part of the secret.
        for end in [text.len(), whole] {
            let longest = self.needles.iter().filter_map(|needle| overlap(&text[..end], needle)).max();
            if let Some(length) = longest {
                text.replace_range(end - length..end, MASK);
                return;
            }
        }
    }
}

impl fmt::Debug for Masks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masks").finish_non_exhaustive()
    }
}

/// Returns how many bytes at the end of a text are the beginning of a needle, if they are enough to tell of it.
fn overlap(text: &str, needle: &str) -> Option<usize> {
    let ends = needle.char_indices().map(|(at, _)| at).skip(SECRET_CHARS_MIN);
    ends.filter(|end| text.ends_with(&needle[..*end])).max()
}

fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Returns the text as careful writers put it into JSON: all but the plainest characters as numbers.
fn in_ascii_json(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c == '\\' || c.is_control() {
            out += &in_json(c.encode_utf8(&mut [0; 4]));
        } else if c.is_ascii() && !"\"&'+<>`".contains(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing into a text cannot fail.
                let _ = write!(out, "\\u{unit:04X}");
            }
        }
    }
    out
}

fn in_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

fn in_address(text: &str, is_upper: bool) -> String {
    // Writing into a text cannot fail.
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else if is_upper {
            let _ = write!(out, "%{byte:02X}");
        } else {
            let _ = write!(out, "%{byte:02x}");
        }
    }
    out
}

/// Returns what is certain of the base64 of any text with the secret inside: it depends on what stands before and behind.
fn in_base64(text: &str) -> impl Iterator<Item = String> {
    let of_shift = |shift: usize| {
        let mut bytes = vec![0; shift];
        bytes.extend(text.bytes());
        let sextets = bytes.len() * 8 / 6;
        let all: Vec<u8> = (0..sextets).map(|n| sextet(&bytes, n)).collect();
        let first = (shift * 8).div_ceil(6);
        let certain = all.get(first..).unwrap_or_default().to_vec();
        [*b"+/", *b"-_"].map(|last| certain.iter().map(|value| letter(*value, last)).collect::<String>())
    };
    let pieces: Vec<String> = (0..3).flat_map(of_shift).collect();
    pieces.into_iter().filter(|piece| piece.len() >= PART_CHARS_MIN)
}

fn sextet(bytes: &[u8], n: usize) -> u8 {
    let bit = n * 6;
    let pair = u16::from(bytes[bit / 8]) << 8 | u16::from(bytes.get(bit / 8 + 1).copied().unwrap_or(0));
    (pair >> (10 - bit % 8) & 63) as u8
}

fn letter(value: u8, last: [u8; 2]) -> char {
    char::from(match value {
        0..=25 => b'A' + value,
        26..=51 => b'a' + value - 26,
        52..=61 => b'0' + value - 52,
        62 => last[0],
        _ => last[1],
    })
}

#[cfg(test)]
mod tests {
    use super::Masks;

    fn hidden(secret: &str, text: &str) -> String {
        let mut masks = Masks::default();
        masks.add(secret);
        let mut text = text.to_owned();
        masks.hide(&mut text);
        text
    }

    #[test]
    fn finds_a_secret_in_every_dress() {
        let check = |secret: &str, text: &str, want: &str| assert_eq!(hidden(secret, text), want, "{text}");
        check("canary-7f3a", "the key canary-7f3a is wrong", "the key *** is wrong");
        check("canary-7f3a", "canary-7f3acanary-7f3a", "******");
        check("p\"w\\d", "{\"k\":\"p\\\"w\\\\d\"}", "{\"k\":\"***\"}");
        check("p\"w\\d", "{\\\"k\\\":\\\"p\\\\\\\"w\\\\\\\\d\\\"}", "{\\\"k\\\":\\\"***\\\"}");
        check("a+b/c==&é", "{\"k\":\"a\\u002Bb/c==\\u0026\\u00E9\"}", "{\"k\":\"***\"}");
        check("a+b/c==&é", "a\\\\u002Bb/c==\\\\u0026\\\\u00E9", "***");
        check("a&b=c d", "?k=a%26b%3Dc%20d&x", "?k=***&x");
        check("a&b=c d", "?k=a%26b%3dc%20d&x", "?k=***&x");
        check("a&b=c d", "k=a%26b%3Dc+d", "k=***");
        check("a<b>&\"'", "<p>a&lt;b&gt;&amp;&quot;&#39;</p>", "<p>***</p>");
        check("first line\nsecond line", "at `second line`", "at `***`");
        check("first line\nsecond line", "`first line second line`", "`***`");
        check("größe-42", "größe-42!", "***!");
        check("abc", "abc stays: it is too short", "abc stays: it is too short");
        check("", "nothing", "nothing");
        check("    ", "a     b", "a *** b".replace(" *** ", "***").replace("a***b", "a*** b").as_str());
    }

    #[test]
    fn finds_a_secret_in_base64_whatever_stands_around_it() {
        // printf '%s' 'canary-7f3a-9c1d' | base64; the same behind `u:`, `us:` and `use:`.
        for text in [
            "Y2FuYXJ5LTdmM2EtOWMxZA==",
            "dTpjYW5hcnktN2YzYS05YzFk",
            "dXM6Y2FuYXJ5LTdmM2EtOWMxZA==",
            "dXNlOmNhbmFyeS03ZjNhLTljMWQ=",
        ] {
            let got = hidden("canary-7f3a-9c1d", &format!("Basic {text} said no"));
            assert!(got.contains("***"), "{got}");
            assert!(got.len() < text.len() + 6, "{got}");
        }
        // printf '%s' '~~~???>>>ab' | base64, and its other alphabet.
        for text in ["fn5+Pz8/Pj4+YWI=", "fn5-Pz8_Pj4-YWI="] {
            assert!(hidden("~~~???>>>ab", text).starts_with("***"), "{text}");
        }
    }

    #[test]
    fn finds_what_was_cut_off() {
        let check = |text: &str, want: &str| assert_eq!(hidden("canary-7f3a-9c1d", text), want, "{text}");
        check("the key is `canary-7f3...`", "the key is `***...`");
        check("the key is cana", "the key is ***");
        check("the key is canary-7f3a-9c1…", "the key is ***…");
        check("the key is can", "the key is can");
    }

    #[test]
    fn the_longer_of_two_goes_first() {
        let mut masks = Masks::default();
        masks.add("canary");
        masks.add("canary-and-more");
        let mut text = "canary-and-more, canary".to_owned();
        masks.hide(&mut text);
        assert_eq!(text, "***, ***");
        assert_eq!(format!("{masks:?}"), "Masks { .. }");
    }
}
