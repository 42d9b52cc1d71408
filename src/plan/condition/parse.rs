//! A Pratt parser for conditions: a text to a tree, or to the one problem that is worth telling.
//!
//! What other languages write otherwise is understood, so that the message can show the whole condition as it should
//! be. Nothing here knows which names exist. Main function: [`parse`].

use serde_json::Value;

use super::foreign;
use super::lex::{Lexeme, Token, lex};
use super::tree::{Body, Comparison, Join, Node, Span, is_plain, is_word, spelled};
use super::{Fix, Problem};
use crate::plan::code::Code;
use crate::plan::function::{Function, Language};
use crate::plan::reader::excerpt;
use crate::plan::template::Refusal;
use crate::plan::words;

/// The longest condition, in bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// How deep parentheses, lists, calls and `not` may be nested: the parser recurses.
const NESTING_MAX: usize = 32;

/// How strongly operators bind: the larger, the closer.
const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const COMPARE: u8 = 4;

/// Reads a condition.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("a condition may have {TEXT_BYTES_MAX} bytes, this has {}", text.len());
        let refusal = Refusal::new(Code::ConditionTooLarge, message)
            .help("let an input or an output of a step say it in one value");
        return Err(Problem { span: 0..1, refusal });
    }
    if let Some(problem) = foreign::whole(text) {
        return Err(problem);
    }
    let mut fixes = Vec::new();
    let parsed = lex(text, &mut fixes).and_then(|lexemes| {
        let mut parser = Parser { text, lexemes, next: 0, depth: 0, fixes: &mut fixes };
        let node = parser.expression(0)?;
        parser.end(&node)?;
        Ok(node)
    });
    fixes.sort_by_key(|fix| fix.span.start);
    match (parsed, fixes.first()) {
        (Ok(node), None) => Ok(node),
        (Err(problem), None) => Err(problem),
        (Err(problem), Some(first)) if problem.span.start < first.span.start => Err(problem),
        // Where the rest cannot be read there is no whole condition to show.
        (parsed, Some(first)) => Err(foreign::spelling(text, first, &fixes, parsed.is_ok())),
    }
}

struct Parser<'p> {
    text: &'p str,
    lexemes: Vec<Lexeme>,
    next: usize,
    depth: usize,
    fixes: &'p mut Vec<Fix>,
}

/// What stands between two operands.
#[derive(Clone, Copy, PartialEq)]
enum Infix {
    Join(Join),
    Compare(Comparison),
    In(bool),
}

impl Infix {
    fn strength(self) -> u8 {
        match self {
            Self::Join(Join::Or) => OR,
            Self::Join(Join::And) => AND,
            Self::Compare(_) | Self::In(_) => COMPARE,
        }
    }
}

impl Parser<'_> {
    /// Reads operators that bind at least this strongly, and what they join.
    fn expression(&mut self, least: u8) -> Result<Node, Problem> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            let span = self.peek().span.clone();
            let message = format!("a condition may be nested {NESTING_MAX} deep");
            let refusal =
                Refusal::new(Code::ConditionTooLarge, message).help("write it with fewer parentheses");
            return Err(Problem { span, refusal });
        }
        let mut left = self.operand()?;
        while let Some((infix, words)) = self.infix().filter(|(infix, _)| infix.strength() >= least) {
            self.next += words;
            if infix.strength() == COMPARE && self.is_word("not") {
                let span = self.peek().span.clone();
                return Err(syntax(
                    span,
                    "`not` cannot stand behind a comparison",
                    "put `not ...` in parentheses",
                ));
            }
            let right = self.expression(infix.strength() + 1)?;
            left = self.joined(infix, left, right)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn joined(&mut self, infix: Infix, left: Node, right: Node) -> Result<Node, Problem> {
        let span = left.span.start..right.span.end;
        let body = match infix {
            Infix::Join(join) => match left.body {
                Body::Join(same, mut sides) if same == join => {
                    sides.push(right);
                    Body::Join(join, sides)
                }
                _ => Body::Join(join, vec![left, right]),
            },
            Infix::Compare(comparison) => Body::Compare(comparison, left.into(), right.into()),
            Infix::In(wanted) => Body::In(wanted, left.into(), right.into()),
        };
        let node = Node { body, span };
        if infix.strength() == COMPARE
            && let Some((Infix::Compare(_) | Infix::In(_), _)) = self.infix()
        {
            return Err(self.chained(&node));
        }
        Ok(node)
    }

    /// Refuses `a < b < c`.
    fn chained(&self, first: &Node) -> Problem {
        let span = self.peek().span.clone();
        let middle = match &first.body {
            Body::Compare(_, _, right) | Body::In(_, _, right) => &self.text[right.span.clone()],
            _ => "b",
        };
        let sign = &self.text[span.clone()];
        let help = format!("write `{} and {middle} {sign} ...`", &self.text[first.span.clone()]);
        syntax(span, "a comparison cannot be compared again", &help)
    }

    /// Returns the operator that comes next, and how many words it has.
    fn infix(&mut self) -> Option<(Infix, usize)> {
        let Lexeme { token, span } = self.peek().clone();
        match &token {
            Token::Sign(sign) => {
                let found = Comparison::ALL.into_iter().find(|(known, _)| known == sign);
                found.map(|(_, comparison)| (Infix::Compare(comparison), 1))
            }
            Token::Word(word) => match word.as_str() {
                "and" => Some((Infix::Join(Join::And), 1)),
                "or" => Some((Infix::Join(Join::Or), 1)),
                "in" => Some((Infix::In(true), 1)),
                "not" if self.is_word_at(1, "in") => Some((Infix::In(false), 2)),
                _ => self.foreign_infix(word, span),
            },
            _ => None,
        }
    }

    /// Takes an operator of another language for ours.
    fn foreign_infix(&mut self, word: &str, span: Span) -> Option<(Infix, usize)> {
        let second = self.lexemes.get(self.next + 1).cloned();
        let (ours, words) = foreign::infix(word, self.word_at(1), self.word_at(2))?;
        let end = if words == 2 { second?.span.end } else { span.end };
        self.note(span.start..end, ours);
        let infix = match ours {
            "and" => Infix::Join(Join::And),
            "or" => Infix::Join(Join::Or),
            "in" => Infix::In(true),
            "not in" => Infix::In(false),
            sign => Infix::Compare(Comparison::ALL.into_iter().find(|(known, _)| *known == sign)?.1),
        };
        Some((infix, words))
    }

    fn note(&mut self, span: Span, ours: &str) {
        // An operator is looked at again when it binds less strongly than what stands before it.
        if self.fixes.iter().all(|fix| fix.span != span) {
            self.fixes.push(Fix { span, ours: ours.to_owned() });
        }
    }

    fn operand(&mut self) -> Result<Node, Problem> {
        let Lexeme { token, span } = self.take();
        let literal = |value: Value| Ok(Node { body: Body::Literal(value), span: span.clone() });
        match token {
            Token::Number(number) => literal(Value::Number(number)),
            Token::Text(text) => literal(Value::String(text)),
            Token::Sign("(") => self.parenthesised(span),
            Token::Sign("[") => {
                let (items, end) = self.items("]", &span)?;
                Ok(Node { body: Body::List(items), span: span.start..end })
            }
            Token::Word(word) => match word.as_str() {
                "true" => literal(true.into()),
                "false" => literal(false.into()),
                "null" => literal(Value::Null),
                "not" => self.negated(span.start),
                "and" | "or" if self.is_sign("(") => self.call(&word, span),
                "and" | "or" | "in" => Err(nothing_before(&word, span)),
                _ => self.word(word, span),
            },
            Token::Sign(sign) => Err(nothing_before(sign, span)),
            Token::End => {
                let help = "write a value: a name such as `inputs.full_reload`, a number or a text in quotes";
                let at = self.text.trim_end().len();
                let span = at.saturating_sub(1)..at;
                Err(syntax(span, "the condition ends where a value is needed", help))
            }
        }
    }

    fn negated(&mut self, start: usize) -> Result<Node, Problem> {
        let inner = self.expression(NOT + 1)?;
        let span = start..inner.span.end;
        Ok(Node { body: Body::Not(inner.into()), span })
    }

    fn parenthesised(&mut self, open: Span) -> Result<Node, Problem> {
        let inner = self.expression(0)?;
        if self.is_sign(",") {
            // `x in ("a", "b")`
            self.next += 1;
            let (mut items, end) = self.items(")", &open)?;
            items.insert(0, inner);
            self.note(open.clone(), "[");
            self.note(end - 1..end, "]");
            return Ok(Node { body: Body::List(items), span: open.start..end });
        }
        let end = self.close(")", &open)?;
        Ok(Node { body: inner.body, span: open.start..end })
    }

    /// Reads values with commas between them up to a closing sign; gives the byte behind that.
    fn items(&mut self, closing: &'static str, open: &Span) -> Result<(Vec<Node>, usize), Problem> {
        let mut items = Vec::new();
        while !self.is_sign(closing) {
            items.push(self.expression(0)?);
            if !self.is_sign(",") {
                break;
            }
            self.next += 1;
        }
        Ok((items, self.close(closing, open)?))
    }

    fn close(&mut self, closing: &'static str, open: &Span) -> Result<usize, Problem> {
        let Lexeme { token, span } = self.peek().clone();
        if token == Token::Sign(closing) {
            self.next += 1;
            return Ok(span.end);
        }
        let opening = &self.text[open.clone()];
        if token == Token::End {
            let help = format!("close it with `{closing}`");
            return Err(syntax(open.clone(), &format!("`{opening}` is never closed"), &help));
        }
        let found = excerpt(&self.text[span.clone()]);
        let help = format!("values are separated by commas, and `{closing}` closes the `{opening}`");
        Err(syntax(span, &format!("`{found}` cannot stand here"), &help))
    }

    /// Reads what begins with a word: a name or the call of a helper.
    fn word(&mut self, word: String, span: Span) -> Result<Node, Problem> {
        if self.is_sign("(") {
            return self.call(&word, span);
        }
        if let Some(ours) = foreign::literal(&word) {
            self.note(span.clone(), ours);
            let value = serde_json::from_str(ours).unwrap_or_default();
            return Ok(Node { body: Body::Literal(value), span });
        }
        if word.eq_ignore_ascii_case("not") {
            self.note(span.clone(), "not");
            return self.negated(span.start);
        }
        let mut end = span.end;
        let mut path = vec![word];
        loop {
            if self.is_sign(".") {
                self.next += 1;
                let Lexeme { token, span: part } = self.take();
                let Token::Word(name) = token else {
                    let help = "write what of it: `inputs.day`, `steps.load.outcome`";
                    return Err(syntax(
                        self.text_before(part.start),
                        "a name is missing behind the dot",
                        help,
                    ));
                };
                path.push(name);
                end = part.end;
                if !is_plain(path[path.len() - 1].as_str()) {
                    return Err(self.needs_brackets(span.start..end, &path));
                }
                if self.is_sign("(") {
                    return Err(foreign::method(self.text, span.start..end, &path));
                }
            } else if self.is_sign("[") {
                let (part, closed) = self.bracket(span.start, &path)?;
                path.push(part);
                end = closed;
            } else {
                return Ok(Node { body: Body::Name(path), span: span.start..end });
            }
        }
    }

    /// Returns where the last sign before a byte stands.
    fn text_before(&self, at: usize) -> Span {
        let end = self.text[..at].trim_end().len();
        end.saturating_sub(1)..end
    }

    fn needs_brackets(&self, span: Span, path: &[String]) -> Problem {
        let part = path.last().map_or("", String::as_str);
        let in_name = |c: char| is_word(c) || c == '.';
        let rest = &self.text[span.end..];
        let rest = &rest[..rest.find(|c| !in_name(c)).unwrap_or(rest.len())];
        let span = span.start..span.end + rest.len();
        let right =
            spelled(path.iter().map(String::as_str).chain(rest.split('.').filter(|part| !part.is_empty())));
        let message = format!(
            "`{}` is no plain name: it begins with a digit or is a word of the language",
            excerpt(part)
        );
        let refusal = Refusal::new(Code::NameSpelling, message)
            .help(format!("write `{right}`: such a name stands in brackets"));
        Problem { span, refusal }
    }

    /// Reads `["load-sales"]` or `[0]`.
    fn bracket(&mut self, start: usize, path: &[String]) -> Result<(String, usize), Problem> {
        let open = self.take().span;
        let Lexeme { token, span } = self.take();
        let part = match &token {
            Token::Text(text) => text.clone(),
            Token::Number(number) if number.is_u64() => number.to_string(),
            Token::Word(_) => return Err(self.bare_bracket(start, open, path)),
            _ => {
                let help = "write a name in quotes, or a position from 0 on";
                return Err(syntax(open.start..span.end.max(open.end), "the brackets hold no name", help));
            }
        };
        let end = self.close("]", &open)?;
        Ok((part, end))
    }

    /// Refuses `steps[load]` and `steps.ingest[emea]`.
    fn bare_bracket(&self, start: usize, open: Span, path: &[String]) -> Problem {
        let end = self.text[open.start..].find(']').map_or(self.text.len(), |at| open.start + at + 1);
        let inner = self.text[open.end..end].trim_end_matches(']').trim();
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        let right = match parts.as_slice() {
            // An iteration has an id of its own.
            ["steps", id] => spelled(["steps", &format!("{id}[{inner}]")]),
            _ => spelled(parts.iter().copied().chain([inner])),
        } + foreign::rest_of_name(&self.text[end..]);
        let refusal = Refusal::new(Code::NameSpelling, "a name in brackets stands in quotes")
            .help(format!("write `{right}`"));
        Problem { span: start..end, refusal }
    }

    fn call(&mut self, name: &str, span: Span) -> Result<Node, Problem> {
        let open = self.take().span;
        let (values, end) = self.items(")", &open)?;
        let whole = span.start..end;
        if name == "env" {
            let [Node { body: Body::Literal(Value::String(variable)), .. }] = values.as_slice() else {
                let refusal = Refusal::new(Code::HelperValue, "`env` takes the name of a variable in quotes")
                    .help("write `env(\"NAME\")`");
                return Err(Problem { span: whole, refusal });
            };
            return Ok(Node { body: Body::Name(vec!["env".to_owned(), variable.clone()]), span: whole });
        }
        let Some(function) = Function::named(name) else {
            let sources: Vec<String> = values.iter().map(|value| self.corrected(&value.span)).collect();
            if let Some(ours) = foreign::call(name, &sources) {
                self.fixes.retain(|fix| !(whole.start <= fix.span.start && fix.span.end <= whole.end));
                self.fixes.push(Fix { span: whole.clone(), ours });
                return Ok(Node { body: Body::Literal(Value::Null), span: whole });
            }
            return Err(unknown_helper(name, span));
        };
        if !function.admits(values.len()) {
            let (message, help) = function.usage(Language::Condition);
            return Err(Problem {
                span: whole,
                refusal: Refusal::new(Code::HelperValue, message).help(help),
            });
        }
        Ok(Node { body: Body::Call(function, values), span: whole })
    }

    /// Returns a piece of the text with what has been found so far put right.
    fn corrected(&self, span: &Span) -> String {
        let mut fixes: Vec<&Fix> = self
            .fixes
            .iter()
            .filter(|fix| span.start <= fix.span.start && fix.span.end <= span.end)
            .collect();
        fixes.sort_by_key(|fix| fix.span.start);
        foreign::corrected(self.text, span, &fixes)
    }

    /// Refuses what stands behind a whole condition.
    fn end(&mut self, node: &Node) -> Result<(), Problem> {
        let Lexeme { token, span } = self.peek().clone();
        if token == Token::End {
            return Ok(());
        }
        let before = &self.lexemes[self.next - 1];
        let behind: Vec<&Lexeme> = self.lexemes[self.next..].iter().collect();
        Err(foreign::leftover(self.text, node, before, &behind).unwrap_or_else(|| {
            let found = excerpt(&self.text[span.clone()]);
            let help = "values are joined by a comparison such as `==`, or by `and`, `or`, `in`";
            syntax(span, &format!("`{found}` cannot stand here"), help)
        }))
    }

    fn peek(&self) -> &Lexeme {
        &self.lexemes[self.next.min(self.lexemes.len() - 1)]
    }

    fn take(&mut self) -> Lexeme {
        let lexeme = self.peek().clone();
        self.next = (self.next + 1).min(self.lexemes.len() - 1);
        lexeme
    }

    fn is_sign(&self, sign: &'static str) -> bool {
        self.peek().token == Token::Sign(sign)
    }

    fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        self.word_at(ahead) == Some(word)
    }

    fn word_at(&self, ahead: usize) -> Option<&str> {
        match &self.lexemes.get(self.next + ahead)?.token {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// Returns a problem with the grammar.
pub(super) fn syntax(span: Span, message: &str, help: &str) -> Problem {
    Problem { span, refusal: Refusal::new(Code::ConditionSyntax, message).help(help) }
}

fn nothing_before(sign: &str, span: Span) -> Problem {
    let message = match sign {
        ")" | "]" | "," => format!("a value is missing before `{sign}`"),
        "." => "a name cannot begin with a dot".to_owned(),
        _ => format!("`{sign}` needs a value on its left side"),
    };
    syntax(span, &message, "write a value: a name such as `inputs.full_reload`, a number or a text in quotes")
}

/// Refuses a secret, however it is named: why a step is skipped is written down and shown.
pub(super) fn no_secret() -> Refusal {
    Refusal::new(Code::SecretNotHere, "a condition cannot read a secret")
        .help("secrets stand in the `parameters` of a step: let the pipeline itself decide by them")
}

fn unknown_helper(name: &str, span: Span) -> Problem {
    if name == "secret" {
        return Problem { span, refusal: no_secret() };
    }
    let helpers = || Function::all().map(|(name, _)| name).chain(["env"]);
    let refusal = Refusal::new(Code::UnknownHelper, format!("there is no helper `{}`", excerpt(name)));
    let refusal = match words::nearest(name, helpers()) {
        Some(near) => refusal.label(format!("did you mean `{near}`?")),
        None => refusal,
    };
    Problem { span, refusal: refusal.help(format!("helpers are {}", words::list(helpers(), "and"))) }
}
