//! The text of a condition to words, numbers, texts and signs.

use serde_json::{Number, Value};

use super::foreign;
use super::tree::{Span, is_word};
use super::{Fix, Problem};
use crate::plan::code::Code;
use crate::plan::reader::excerpt;
use crate::plan::template::Refusal;

/// One word or sign with its place.
#[derive(Clone, Debug)]
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) span: Span,
}

/// A word or sign.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// Letters, digits and `_`: a name or a word of the language.
    Word(String),
    Number(Number),
    Text(String),
    Sign(&'static str),
    /// Nothing follows.
    End,
}

/// Signs of the language, longer ones first.
const SIGNS: [&str; 12] = ["==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", ",", "."];

/// Cuts a text into words and signs. Signs of other languages are taken for ours, and noted in `fixes`.
pub(super) fn lex(text: &str, fixes: &mut Vec<Fix>) -> Result<Vec<Lexeme>, Problem> {
    let mut lexemes: Vec<Lexeme> = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let before = lexemes.last();
        let (token, end) = next(text, at, c, before, fixes)?;
        lexemes.push(Lexeme { token, span: at..end });
        at = end;
    }
    lexemes.push(Lexeme { token: Token::End, span: text.len()..text.len() });
    Ok(lexemes)
}

fn next(
    text: &str,
    at: usize,
    c: char,
    before: Option<&Lexeme>,
    fixes: &mut Vec<Fix>,
) -> Result<(Token, usize), Problem> {
    let rest = &text[at..];
    let after_dot = before.is_some_and(|before| before.token == Token::Sign(".") && before.span.end == at);
    // Behind a dot digits begin a name: that it needs brackets is said later.
    if c == '_' || c.is_alphabetic() || after_dot && c.is_ascii_digit() {
        let bytes = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        return Ok((Token::Word(rest[..bytes].to_owned()), at + bytes));
    }
    if c == '"' || c == '\'' {
        return quoted(text, at, c);
    }
    let is_signed = c == '-' && rest[1..].starts_with(|c: char| c.is_ascii_digit()) && !is_operand(before);
    if c.is_ascii_digit() || is_signed {
        return number(text, at);
    }
    if let Some((sign, theirs)) = foreign::sign(rest, before.is_some()) {
        fixes.push(Fix { span: at..at + theirs, ours: sign.trim_end().to_owned() });
        let token = match sign.trim_end() {
            word @ ("and" | "or" | "not" | "in") => Token::Word(word.to_owned()),
            sign => Token::Sign(sign_of(sign)),
        };
        return Ok((token, at + theirs));
    }
    if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
        return Ok((Token::Sign(sign), at + sign.len()));
    }
    Err(foreign::character(text, at, c, before))
}

fn sign_of(sign: &str) -> &'static str {
    SIGNS.into_iter().find(|known| *known == sign).unwrap_or("==")
}

/// Says whether a word before a `-` makes that a minus.
pub(super) fn is_operand(before: Option<&Lexeme>) -> bool {
    match before.map(|before| &before.token) {
        Some(Token::Word(word)) => !["and", "or", "not", "in"].contains(&word.as_str()),
        Some(Token::Number(_) | Token::Text(_) | Token::Sign(")" | "]")) => true,
        _ => false,
    }
}

/// Reads a text in either quote, with the escapes of JSON.
fn quoted(text: &str, at: usize, quote: char) -> Result<(Token, usize), Problem> {
    let mut value = String::new();
    let mut chars = text[at + 1..].char_indices();
    while let Some((n, c)) = chars.next() {
        let here = at + 1 + n;
        if c == quote {
            return Ok((Token::Text(value), here + 1));
        }
        if c != '\\' {
            value.push(c);
            continue;
        }
        let escaped = chars.next().map(|(_, c)| c);
        match escaped {
            Some('"' | '\'' | '\\' | '/') => value.extend(escaped),
            Some('n') => value.push('\n'),
            Some('t') => value.push('\t'),
            Some('r') => value.push('\r'),
            Some('u') => {
                let digits = text.get(here + 2..here + 6).unwrap_or_default();
                let Some(c) = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32) else {
                    return Err(escape(here, "`\\u` needs the four digits of a character"));
                };
                chars.nth(3);
                value.push(c);
            }
            Some(other) => {
                return Err(escape(
                    here,
                    &format!("there is no escape `\\{}` in a text", other.escape_debug()),
                ));
            }
            None => break,
        }
    }
    let message = format!("this {quote} is never closed");
    let refusal = Refusal::new(Code::ConditionSyntax, message)
        .help(format!("close the text with {quote}"))
        .help("if it holds ` #` or `: `, quote the whole condition too: YAML ends it there");
    Err(Problem { span: at..at + 1, refusal })
}

fn escape(at: usize, message: &str) -> Problem {
    let refusal = Refusal::new(Code::ConditionSyntax, message).help("write `\\\\` for a backslash");
    Problem { span: at..at + 2, refusal }
}

/// Reads a number as JSON has it.
fn number(text: &str, at: usize) -> Result<(Token, usize), Problem> {
    let rest = &text[at..];
    let mut before = ' ';
    let bytes = rest.find(|c: char| {
        let ends = !(is_word(c) || c == '.' || "+-".contains(c) && (before == ' ' || "eE".contains(before)));
        before = c;
        ends
    });
    let digits = rest[..bytes.unwrap_or(rest.len())].trim_end_matches('.');
    let span = at..at + digits.len();
    let refuse = |message: String, help: String| {
        Err(Problem { span: span.clone(), refusal: Refusal::new(Code::ConditionSyntax, message).help(help) })
    };
    let Ok(value) = serde_json::from_str::<Value>(digits) else {
        let plain: String = digits.chars().filter(|c| *c != '_').collect();
        let plain = plain.trim_start_matches('0');
        return match serde_json::from_str::<Number>(plain) {
            Ok(_) => refuse(
                format!("`{}` is not how a number is written", excerpt(digits)),
                format!("write `{plain}`; a text stands in quotes"),
            ),
            Err(_) => {
                refuse(format!("`{}` is no number", excerpt(digits)), "a text stands in quotes".to_owned())
            }
        };
    };
    let Value::Number(number) = value else {
        return refuse(format!("`{}` is no number", excerpt(digits)), "a text stands in quotes".to_owned());
    };
    let is_whole = digits.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if number.is_f64() && is_whole {
        return refuse(
            format!("`{}` is too large for an exact number", excerpt(digits)),
            "whole numbers may have 64 bits".to_owned(),
        );
    }
    Ok((Token::Number(number), span.end))
}
