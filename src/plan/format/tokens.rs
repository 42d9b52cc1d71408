//! A text as tokens: every character that is no white space belongs to one.
//!
//! The parser's events say where scalars, anchors, tags and aliases stand; what lies between them can
//! only be indicators, comments, directives and document marks. Main function: [`lex`].

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `[` or `{`.
    Open,
    /// `]` or `}`.
    Close,
    Comma,
    Colon,
    Dash,
    Question,
    /// A plain or quoted scalar.
    Scalar,
    /// An anchor or a tag.
    Property,
    Alias,
    /// `|` or `>` with what follows it.
    Header,
    /// The lines below a header; without `breaks` there are none.
    Block,
    Comment,
    /// `---`, `...` or a directive.
    Marker,
}

/// A token, and later where it goes.
#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// How many line breaks stand before it; two or more make a blank line.
    pub(super) breaks: usize,
    /// Where it begins in its line, in characters from 0.
    pub(super) column: usize,
    /// How many characters of white space stand before it in its line.
    pub(super) gap: usize,
    /// How far in it goes where it begins a line; of no use inside brackets.
    pub(super) indent: usize,
    /// How far in the block around it goes: nothing at the top of a document without one.
    pub(super) block: Option<usize>,
    /// Whether it stands inside brackets, the brackets themselves included.
    pub(super) in_flow: bool,
    /// For [`Kind::Block`]: how far in its lines stand, and how far in they go.
    pub(super) shift: (usize, usize),
    /// For [`Kind::Block`]: whether the text ends in its last line, without a break.
    pub(super) is_cut: bool,
}

/// What the parser saw, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A block or flow collection begins, with as many properties.
    Start { is_map: bool, is_flow: bool, properties: usize },
    /// A collection ends.
    End,
    /// A scalar; `tokens` is how many tokens it has without its properties.
    Scalar { value: String, tokens: usize, properties: usize },
    /// An alias.
    Alias,
}

/// A piece of the text that the parser has found.
struct Piece {
    kind: Kind,
    start: usize,
    end: usize,
}

/// Returns the tokens of a text without carriage returns and its events; nothing if they do not fit together.
pub(super) fn lex(text: &str) -> Option<(Vec<Token<'_>>, Vec<Seen>)> {
    let (pieces, seen) = parse(text)?;
    let mut lexer = Lexer { text, at: 0, line: 0, breaks: 0, tokens: Vec::new() };
    let mut pieces = pieces.into_iter().peekable();
    while let Some(c) = lexer.skip_blanks() {
        if let Some(piece) = pieces.next_if(|piece| piece.kind != Kind::Block && piece.start == lexer.at) {
            lexer.push(piece.kind, piece.end);
            continue;
        }
        let rest = &text[lexer.at..];
        let line_end = lexer.at + rest.find('\n').unwrap_or(rest.len());
        let is_at_line_start = lexer.at == lexer.line;
        let is_alone = rest[c.len_utf8()..].chars().next().is_none_or(char::is_whitespace);
        match c {
            '#' => lexer.push(Kind::Comment, line_end),
            '|' | '>' => {
                let piece = pieces.next_if(|piece| piece.kind == Kind::Block)?;
                lexer.block(line_end, &piece)?;
            }
            '%' if is_at_line_start => lexer.push(Kind::Marker, line_end),
            '-' | '.' if is_at_line_start && (rest.starts_with("---") || rest.starts_with("...")) => {
                lexer.push(Kind::Marker, lexer.at + 3);
            }
            '-' if is_alone => lexer.push(Kind::Dash, lexer.at + 1),
            '?' => lexer.push(Kind::Question, lexer.at + 1),
            ':' => lexer.push(Kind::Colon, lexer.at + 1),
            ',' => lexer.push(Kind::Comma, lexer.at + 1),
            '[' | '{' => lexer.push(Kind::Open, lexer.at + 1),
            ']' | '}' => lexer.push(Kind::Close, lexer.at + 1),
            _ => return None,
        }
    }
    pieces.next().is_none().then_some((lexer.tokens, seen))
}

/// Asks the parser, with the limits that reading the text has kept already.
fn parse(text: &str) -> Option<(Vec<Piece>, Vec<Seen>)> {
    let options = granit_parser::options! { emit_anchor_events: true, simple_key_max_lookahead: usize::MAX };
    let (mut pieces, mut seen) = (Vec::new(), Vec::new());
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.ok()?;
        let mut piece = |kind, span: &Span| {
            let range = span.byte_range()?;
            pieces.push(Piece { kind, start: range.start, end: range.end });
            Some(())
        };
        let tag = span.tag_span();
        let properties = usize::from(tag.is_some()) + usize::from(event.anchor_id().is_some());
        if let Some(tag) = tag {
            piece(Kind::Property, &tag)?;
        }
        match event {
            Event::Anchor(..) => piece(Kind::Property, &span)?,
            Event::Alias(_) => {
                piece(Kind::Alias, &span)?;
                seen.push(Seen::Alias);
            }
            Event::Scalar(value, style, ..) => {
                let tokens = match style {
                    ScalarStyle::Literal | ScalarStyle::Folded => {
                        piece(Kind::Block, &span)?;
                        2
                    }
                    _ if span.byte_range()?.is_empty() => 0,
                    _ => {
                        piece(Kind::Scalar, &span)?;
                        1
                    }
                };
                seen.push(Seen::Scalar { value: value.into_owned(), tokens, properties });
            }
            Event::SequenceStart(style, ..) => {
                let is_flow = style == StructureStyle::Flow;
                seen.push(Seen::Start { is_map: false, is_flow, properties });
            }
            Event::MappingStart(style, ..) => {
                let is_flow = style == StructureStyle::Flow;
                seen.push(Seen::Start { is_map: true, is_flow, properties });
            }
            Event::SequenceEnd | Event::MappingEnd => seen.push(Seen::End),
            _ => {}
        }
    }
    pieces.sort_by_key(|piece| piece.start);
    Some((pieces, seen))
}

/// Where the reading of a text has come to.
struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Where the current line begins.
    line: usize,
    /// The line breaks since the last token.
    breaks: usize,
    tokens: Vec<Token<'a>>,
}

impl Lexer<'_> {
    /// Goes on to the next character that is no white space.
    fn skip_blanks(&mut self) -> Option<char> {
        loop {
            let c = self.text[self.at..].chars().next()?;
            if !matches!(c, ' ' | '\t' | '\n' | '\u{feff}') {
                return Some(c);
            }
            let is_mark = c == '\u{feff}' && self.at == self.line;
            self.at += c.len_utf8();
            self.breaks += usize::from(c == '\n');
            // A byte order mark before a document goes: its line begins behind it.
            if c == '\n' || is_mark {
                self.line = self.at;
            }
        }
    }

    /// Makes a token of all up to a place.
    fn push(&mut self, kind: Kind, end: usize) {
        let before = &self.text[self.line..self.at];
        let text = &self.text[self.at..end];
        // Nobody sees the blanks at the end of a comment.
        let text = if matches!(kind, Kind::Comment | Kind::Marker) { text.trim_end() } else { text };
        self.tokens.push(Token {
            kind,
            text,
            breaks: self.breaks,
            column: before.chars().count(),
            gap: before.chars().rev().take_while(|c| matches!(c, ' ' | '\t')).count(),
            indent: 0,
            block: None,
            in_flow: false,
            shift: (0, 0),
            is_cut: false,
        });
        self.breaks = 0;
        if let Some(last) = text.rfind('\n') {
            self.line = self.at + last + 1;
        }
        self.at = end;
    }

    /// Makes tokens of a block scalar: its header, the comment beside it, its lines.
    fn block(&mut self, line_end: usize, piece: &Piece) -> Option<()> {
        let line = &self.text[self.at..line_end];
        let header = line.find([' ', '\t']).unwrap_or(line.len());
        self.push(Kind::Header, self.at + header);
        let (text, start) = (self.text, self.at);
        let comment = text[start..line_end].find('#');
        if let Some(comment) = comment {
            self.at = start + comment;
            self.push(Kind::Comment, line_end);
        }
        let begin = text.len().min(line_end + 1);
        // The parser goes on into the indentation of the line after the last one.
        let end = piece.end.max(begin);
        let last = text[..end].rfind('\n').map_or(0, |at| at + 1);
        let is_blank = text.get(last..end)?.trim_matches([' ', '\t']).is_empty();
        let end = if is_blank && end < text.len() { last.max(begin) } else { end };
        let lines = text.get(begin..end)?;
        self.at = begin;
        self.line = begin;
        self.breaks = usize::from(!lines.is_empty());
        let has_break = lines.ends_with('\n');
        self.push(Kind::Block, end - usize::from(has_break));
        if let Some(block) = self.tokens.last_mut() {
            block.is_cut = !has_break;
        }
        if lines.is_empty() {
            self.breaks = 1;
        }
        Some(())
    }
}
