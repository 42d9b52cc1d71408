//! The service's expressions, such as `@concat('a', pipeline().parameters.b)`, as trees.
//!
//! <https://learn.microsoft.com/azure/data-factory/control-flow-expression-language-functions>

use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

/// How deep calls may stand inside each other.
const DEPTH_MAX: usize = 60;

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    /// A text, number, truth value or `null`.
    Literal(Value),
    /// A call of a function, whose name is in lower case.
    Call(String, Vec<Expression>),
    /// A member or an element of a value.
    Member(Box<Expression>, Box<Expression>),
}

/// What a text of a definition gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Text {
    /// The text itself.
    Plain(String),
    /// What one expression gives, with its type.
    Whole(Expression),
    /// A text with expressions inside.
    Pieces(Vec<Piece>),
    /// An expression that we cannot read.
    Unreadable,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// Letters.
    Plain(String),
    /// What an expression gives.
    Inside(Expression),
}

/// Reads a text: `@` begins an expression, `@{ }` holds one, `@@` is the sign itself.
pub(super) fn read(text: &str) -> Text {
    if let Some(rest) = text.strip_prefix("@@") {
        return Text::Plain(format!("@{rest}"));
    }
    if let Some(rest) = text.strip_prefix('@').filter(|rest| !rest.starts_with('{')) {
        return parse(rest).map_or(Text::Unreadable, Text::Whole);
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("@{") {
        if rest[..at].ends_with('@') {
            return Text::Unreadable;
        }
        let inner = &rest[at + 2..];
        let mut reader = Reader { letters: inner.chars().peekable(), depth: 0 };
        let Some(expression) = reader.expression() else { return Text::Unreadable };
        reader.blanks();
        let left: String = reader.letters.collect();
        let Some(after) = left.strip_prefix('}') else { return Text::Unreadable };
        if at > 0 {
            pieces.push(Piece::Plain(rest[..at].to_owned()));
        }
        pieces.push(Piece::Inside(expression));
        rest = &inner[inner.len() - after.len()..];
    }
    if pieces.is_empty() {
        return Text::Plain(text.to_owned());
    }
    if !rest.is_empty() {
        pieces.push(Piece::Plain(rest.to_owned()));
    }
    Text::Pieces(pieces)
}

/// Reads an expression without its `@`.
pub(super) fn parse(text: &str) -> Option<Expression> {
    let mut reader = Reader { letters: text.chars().peekable(), depth: 0 };
    let expression = reader.expression()?;
    reader.blanks();
    reader.letters.next().is_none().then_some(expression)
}

struct Reader<'a> {
    letters: Peekable<Chars<'a>>,
    depth: usize,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        while self.letters.next_if(|c| c.is_whitespace()).is_some() {}
    }

    fn takes(&mut self, wanted: char) -> bool {
        self.blanks();
        self.letters.next_if_eq(&wanted).is_some()
    }

    fn expression(&mut self) -> Option<Expression> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let mut value = self.atom()?;
        loop {
            // `?.` gives null where a member is not there; ours would be an error, so it is left to a person.
            if self.takes('?') {
                return None;
            }
            if self.letters.peek() == Some(&'.') {
                self.letters.next_if_eq(&'.')?;
                let name = Value::String(self.name()?);
                value = Expression::Member(Box::new(value), Box::new(Expression::Literal(name)));
            } else if self.takes('[') {
                let inner = self.expression()?;
                if !self.takes(']') {
                    return None;
                }
                value = Expression::Member(Box::new(value), Box::new(inner));
            } else {
                self.depth -= 1;
                return Some(value);
            }
        }
    }

    fn atom(&mut self) -> Option<Expression> {
        self.blanks();
        let first = *self.letters.peek()?;
        if first == '\'' {
            return self.text();
        }
        if first.is_ascii_digit() || first == '-' {
            let mut number = String::new();
            while let Some(c) = self.letters.next_if(|c| c.is_ascii_alphanumeric() || "+-.".contains(*c)) {
                number.push(c);
            }
            return serde_json::from_str(&number).ok().filter(Value::is_number).map(Expression::Literal);
        }
        let name = self.name()?;
        if !self.takes('(') {
            return match name.to_ascii_lowercase().as_str() {
                "true" => Some(Expression::Literal(Value::Bool(true))),
                "false" => Some(Expression::Literal(Value::Bool(false))),
                "null" => Some(Expression::Literal(Value::Null)),
                _ => None,
            };
        }
        let mut given = Vec::new();
        if !self.takes(')') {
            loop {
                given.push(self.expression()?);
                if self.takes(')') {
                    break;
                }
                if !self.takes(',') {
                    return None;
                }
            }
        }
        Some(Expression::Call(name.to_ascii_lowercase(), given))
    }

    /// Reads a text in single quotes; two of them inside are one.
    fn text(&mut self) -> Option<Expression> {
        self.letters.next();
        let mut text = String::new();
        loop {
            match self.letters.next()? {
                '\'' if self.letters.next_if_eq(&'\'').is_some() => text.push('\''),
                '\'' => return Some(Expression::Literal(Value::String(text))),
                c => text.push(c),
            }
        }
    }

    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        while let Some(c) = self.letters.next_if(|c| c.is_alphanumeric() || *c == '_') {
            name.push(c);
        }
        Some(name).filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::{Text, parse, read};

    #[test]
    fn reads_what_can_be_read() {
        for text in [
            "pipeline().parameters.day",
            "concat('it''s ', item().x[0], ' ', string(1.5e3))",
            "equals( pipeline().parameters['my day'] , null )",
            "and(true,not(FALSE))",
        ] {
            assert!(parse(text).is_some(), "{text}");
        }
        for text in ["", "'open", "f(", "f(1,", "a b", "item()?.x", "item().", "1x", "f(1))"] {
            assert!(parse(text).is_none(), "{text}");
        }
        assert!(parse(&"f(".repeat(100_000)).is_none());
    }

    #[test]
    fn tells_texts_from_expressions() {
        assert_eq!(read("plain"), Text::Plain("plain".to_owned()));
        assert_eq!(read("@@home"), Text::Plain("@home".to_owned()));
        assert!(matches!(read("@item()"), Text::Whole(_)));
        assert!(matches!(read("a @{item()} b"), Text::Pieces(pieces) if pieces.len() == 3));
        assert!(matches!(read("@{item()}"), Text::Pieces(pieces) if pieces.len() == 1));
        assert_eq!(read("@what is this"), Text::Unreadable);
        assert_eq!(read("a @{item("), Text::Unreadable);
    }
}
