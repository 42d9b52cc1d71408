//! Tokens as text: their line breaks are the author's, their indentation and spaces are ours.
//!
//! Main function: [`print`].

use super::structure::STEP;
use super::tokens::{Kind, Token};

/// The spaces before a comment that stands behind something.
const COMMENT_GAP: usize = 2;

/// Writes the tokens in this order.
pub(super) fn print(tokens: &[Token<'_>], order: &[usize]) -> String {
    let aligned = aligned(tokens);
    let mut page = Page { text: String::new(), line: 0, indent: 0, brackets: Vec::new() };
    let mut before: Option<&Token<'_>> = None;
    // The same without comments behind something.
    let mut solid: Option<&Token<'_>> = None;
    for (n, at) in order.iter().enumerate() {
        let token = &tokens[*at];
        let next = order.get(n + 1).map(|at| &tokens[*at]);
        let closes = |next: &Token<'_>| next.kind == Kind::Close && next.breaks == 0;
        if token.kind == Kind::Comma && next.is_some_and(closes) {
            continue;
        }
        let is_own_line = match before {
            None => false,
            Some(Token { kind: Kind::Comment | Kind::Block, .. }) => true,
            Some(_) => token.breaks > 0 || token.kind == Kind::Block,
        };
        if token.kind == Kind::Block {
            page.block(token);
        } else if is_own_line {
            let is_blank = token.breaks > 1 && solid.is_none_or(|solid| is_apart(solid, token));
            page.new_line(token, is_blank);
        } else if token.kind == Kind::Comment && before.is_some() {
            page.comment_gap(aligned[*at].then_some(token.column));
        } else if let Some(before) = before {
            page.spaces(gap(before, token));
        }
        page.token(token);
        if token.kind != Kind::Comment || is_own_line {
            solid = Some(token);
        }
        before = Some(token);
    }
    page.text.push('\n');
    page.text
}

/// Says of each token whether it is a comment that its author has aligned.
fn aligned(tokens: &[Token<'_>]) -> Vec<bool> {
    let behind = |token: &Token<'_>| token.kind == Kind::Comment && token.breaks == 0;
    let mut aligned = vec![false; tokens.len()];
    let mut last: Option<usize> = None;
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| behind(token)) {
        aligned[at] = token.gap > COMMENT_GAP;
        if let Some(last) = last
            && tokens[last].column == token.column
        {
            (aligned[last], aligned[at]) = (true, true);
        }
        last = Some(at);
    }
    aligned
}

/// Says whether a blank line may stand between two tokens: not just inside a block or a bracket.
fn is_apart(before: &Token<'_>, token: &Token<'_>) -> bool {
    match before.kind {
        Kind::Open => false,
        Kind::Colon | Kind::Dash | Kind::Question if !before.in_flow => token.indent <= before.indent,
        Kind::Property if !before.in_flow => token.indent < before.indent,
        _ => token.kind != Kind::Close,
    }
}

/// How many spaces stand between two tokens on one line.
fn gap(before: &Token<'_>, token: &Token<'_>) -> usize {
    let is_open = |text: &str| before.kind == Kind::Open && before.text == text;
    usize::from(match token.kind {
        Kind::Comma => before.kind == Kind::Colon,
        // A colon directly behind a name would belong to the name.
        Kind::Colon => matches!(before.kind, Kind::Alias | Kind::Property | Kind::Question | Kind::Open),
        Kind::Close if before.kind == Kind::Open => false,
        Kind::Close => token.text == "}" || before.kind == Kind::Colon,
        _ => !is_open("["),
    })
}

/// An open bracket.
#[derive(Clone, Copy, Debug)]
struct Bracket {
    /// How far in its lines go.
    inside: usize,
    /// How far in the closing bracket goes.
    close: usize,
}

struct Page {
    text: String,
    /// Where the current line begins.
    line: usize,
    /// How far in the current line stands.
    indent: usize,
    brackets: Vec<Bracket>,
}

impl Page {
    fn spaces(&mut self, count: usize) {
        self.text.extend(std::iter::repeat_n(' ', count));
    }

    fn break_line(&mut self) {
        self.text.push('\n');
        self.line = self.text.len();
    }

    fn new_line(&mut self, token: &Token<'_>, is_blank: bool) {
        if is_blank {
            self.break_line();
        }
        self.break_line();
        self.indent = match self.brackets.last() {
            Some(bracket) if token.kind == Kind::Close => bracket.close,
            Some(bracket) => bracket.inside,
            None => token.indent,
        };
        self.spaces(self.indent);
    }

    fn comment_gap(&mut self, column: Option<usize>) {
        let width = self.text[self.line..].chars().count();
        let least = width + COMMENT_GAP;
        self.spaces(column.map_or(least, |column| column.max(least)) - width);
    }

    fn token(&mut self, token: &Token<'_>) {
        match token.kind {
            Kind::Block => {}
            Kind::Scalar => self.scalar(token),
            _ => self.text.push_str(token.text),
        }
        if token.kind == Kind::Open {
            // YAML wants what stands in brackets, the closing one included, further in than the key.
            let around = token.block.map_or(0, |block| block + STEP);
            self.brackets.push(Bracket {
                inside: self.indent.max(token.block.unwrap_or_default()) + STEP,
                close: self.indent.max(around),
            });
        } else if token.kind == Kind::Close {
            self.brackets.pop();
        }
    }

    /// Writes a plain or quoted scalar. Blanks around its line breaks mean nothing.
    fn scalar(&mut self, token: &Token<'_>) {
        let inside = match self.brackets.last() {
            Some(bracket) => bracket.inside,
            None => token.block.map_or(0, |block| block + STEP),
        };
        let is_escaping = token.text.starts_with('"');
        let mut lines = token.text.split('\n').peekable();
        let mut is_first = true;
        while let Some(line) = lines.next() {
            let line = if is_first { line } else { line.trim_start_matches([' ', '\t']) };
            let bare = line.trim_end_matches([' ', '\t']);
            // Unless a backslash says that a blank is meant.
            let is_kept = lines.peek().is_none() || is_escaping && bare.ends_with('\\');
            let line = if is_kept { line } else { bare };
            if !is_first {
                self.break_line();
                if !line.is_empty() {
                    self.spaces(inside);
                }
            }
            self.text.push_str(line);
            is_first = false;
        }
    }

    /// Writes the lines of a block scalar, moved as a whole.
    fn block(&mut self, token: &Token<'_>) {
        let (from, to) = token.shift;
        if token.breaks == 0 {
            return;
        }
        for line in token.text.split('\n') {
            self.break_line();
            let blanks = line.len() - line.trim_start_matches(' ').len();
            let rest = &line[blanks.min(from)..];
            if !rest.is_empty() {
                self.spaces(to);
                self.text.push_str(rest);
            }
        }
    }
}
