//! Where each token goes: how far in it stands, and to which entry of which map it belongs.
//!
//! Walks the parser's events beside the tokens. Recurses as deep as the text, which [`super::source`]
//! has limited. Main function: [`place`].

use std::ops::Range;

use super::Where;
use super::tokens::{Kind, Seen, Token};

/// How much further in each level stands.
pub(super) const STEP: usize = 2;

/// A map whose entries may change places.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// The entries with their keys: in a block with the comments above each, in brackets without the commas.
    pub(super) entries: Vec<(Range<usize>, String)>,
    /// The keys in their order.
    pub(super) keys: &'static [&'static str],
    /// Whether it stands in brackets.
    pub(super) is_flow: bool,
    /// Whether comments above it stay where they are.
    pub(super) has_header: bool,
}

/// Gives each token its place and returns the maps that have an order; nothing if tokens and events do not fit.
pub(super) fn place(tokens: &mut [Token<'_>], seen: Vec<Seen>) -> Option<Vec<Group>> {
    let mut walk = Walk {
        tokens,
        at: 0,
        seen: seen.into_iter().peekable(),
        blocks: Vec::new(),
        homes: Vec::new(),
        maps: Vec::new(),
    };
    walk.homes = vec![None; walk.tokens.len()];
    while walk.peek().is_some_and(|token| token.kind == Kind::Marker) {
        walk.take(None, 0)?;
    }
    walk.node(None, false, Where::Plan)?;
    while walk.peek().is_some_and(|token| token.kind == Kind::Marker) {
        walk.take(None, 0)?;
    }
    if walk.peek().is_some() || walk.seen.next().is_some() {
        return None;
    }
    walk.place_comments();
    Some(walk.groups())
}

/// A list or map that is not in brackets.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// The block around it.
    around: Option<usize>,
    /// How far in its entries go.
    indent: usize,
    /// How far in they stood.
    column: usize,
}

/// A map that has an order, with the tokens of its entries.
struct Map {
    /// The block, or nothing for one in brackets.
    block: Option<usize>,
    entries: Vec<(Range<usize>, String)>,
    place: Where,
}

struct Walk<'t, 'a> {
    tokens: &'t mut [Token<'a>],
    at: usize,
    seen: std::iter::Peekable<std::vec::IntoIter<Seen>>,
    blocks: Vec<Block>,
    /// The block of each token.
    homes: Vec<Option<usize>>,
    maps: Vec<Map>,
}

impl<'a> Walk<'_, 'a> {
    /// Returns the next token that is no comment.
    fn peek(&mut self) -> Option<&Token<'a>> {
        while self.tokens.get(self.at)?.kind == Kind::Comment {
            self.at += 1;
        }
        self.tokens.get(self.at)
    }

    /// Takes the next token that is no comment.
    fn take(&mut self, home: Option<usize>, indent: usize) -> Option<usize> {
        self.peek()?;
        let at = self.at;
        self.homes[at] = home;
        self.tokens[at].indent = indent;
        self.tokens[at].block = home.map(|home| self.blocks[home].indent);
        self.at += 1;
        Some(at)
    }

    fn take_if(&mut self, kind: Kind, home: Option<usize>, indent: usize) -> bool {
        self.peek().is_some_and(|token| token.kind == kind) && self.take(home, indent).is_some()
    }

    /// How far in a value goes that has a line of its own.
    fn inside(&self, home: Option<usize>) -> usize {
        home.map_or(0, |home| self.blocks[home].indent + STEP)
    }

    /// Places a node with all below it. `leads` says that it is a key, which begins an entry.
    fn node(&mut self, home: Option<usize>, leads: bool, place: Where) -> Option<()> {
        let indent = if leads { self.blocks[home?].indent } else { self.inside(home) };
        let seen = self.seen.next()?;
        let properties = match &seen {
            Seen::Start { properties, .. } | Seen::Scalar { properties, .. } => *properties,
            Seen::Alias | Seen::End => 0,
        };
        for _ in 0..properties {
            (self.peek()?.kind == Kind::Property).then_some(())?;
            self.take(home, indent)?;
        }
        match seen {
            Seen::Alias => self.take(home, indent).map(drop),
            Seen::Scalar { tokens: 2, .. } => self.block_scalar(home, indent),
            Seen::Scalar { tokens, .. } => {
                for _ in 0..tokens {
                    self.take(home, indent)?;
                }
                Some(())
            }
            Seen::Start { is_flow: true, .. } => self.flow(home, indent, place),
            Seen::Start { is_map, .. } => self.block(home, is_map, place),
            Seen::End => None,
        }
    }

    fn block_scalar(&mut self, home: Option<usize>, indent: usize) -> Option<()> {
        let header = self.take(home, indent)?;
        let lines = self.take(home, indent)?;
        (self.tokens[header].kind == Kind::Header).then_some(())?;
        (self.tokens[lines].kind == Kind::Block).then_some(())?;
        let digit = self.tokens[header].text.chars().find_map(|c| c.to_digit(10)).map(|digit| digit as usize);
        let around = home.map(|home| self.blocks[home]);
        self.tokens[lines].shift = if let Some(digit) = digit {
            let (from, to) = around.map_or((0, 0), |block| (block.column, block.indent));
            (from + digit, to + digit)
        } else {
            let blanks = |line: &str| line.len() - line.trim_start_matches(' ').len();
            let lines = self.tokens[lines].text.lines();
            let first = lines.clone().find(|line| blanks(line) < line.len());
            // Blank lines alone are no text, however long they are.
            let from = first.map_or_else(|| lines.map(str::len).max().unwrap_or_default(), blanks);
            (from, around.map_or(STEP, |block| block.indent + STEP))
        };
        let keeps = self.tokens[header].text.contains('+');
        // A blank alone counts as a line to the parser, and one behind other lines does not.
        if !keeps || self.tokens[lines].is_cut && self.tokens[lines].text.contains('\n') {
            self.trim(lines, if keeps { 1 } else { usize::MAX });
        }
        Some(())
    }

    /// Gives the blank lines at the end of a block scalar, which do not belong to it, to the token after it.
    fn trim(&mut self, lines: usize, most: usize) {
        let (from, _) = self.tokens[lines].shift;
        let is_blank = |line: &str| line.len() <= from && line.bytes().all(|byte| byte == b' ');
        let mut text = self.tokens[lines].text;
        let mut given = 0;
        while self.tokens[lines].breaks > 0 && given < most {
            let (rest, last) = text.rsplit_once('\n').unwrap_or(("", text));
            if !is_blank(last) {
                break;
            }
            given += 1;
            if rest.len() == text.len() - last.len() {
                // There was one line.
                self.tokens[lines].breaks = 0;
            }
            text = rest;
        }
        self.tokens[lines].text = text;
        if let Some(next) = self.tokens.get_mut(lines + 1) {
            next.breaks += given;
        }
    }

    fn block(&mut self, around: Option<usize>, is_map: bool, place: Where) -> Option<()> {
        let indent = self.inside(around);
        let column = self.peek()?.column;
        self.blocks.push(Block { around, indent, column });
        let block = self.blocks.len() - 1;
        let mut entries = Vec::new();
        let mut is_plain = true;
        while self.seen.peek()? != &Seen::End {
            self.peek()?;
            let first = self.at;
            let mut below = Where::Elsewhere;
            if is_map {
                let is_explicit = self.take_if(Kind::Question, Some(block), indent);
                is_plain &= !is_explicit && (self.tokens[first].breaks > 0 || first == 0);
                let key = self.key();
                below = place.below(key.as_deref());
                self.node(Some(block), !is_explicit, Where::Elsewhere)?;
                is_plain &= self.take_if(Kind::Colon, Some(block), indent);
                self.node(Some(block), false, below)?;
                entries.push((first..self.at, key.unwrap_or_default()));
            } else {
                (self.peek()?.kind == Kind::Dash).then_some(())?;
                self.take(Some(block), indent)?;
                self.node(Some(block), false, below)?;
            }
        }
        self.seen.next();
        if place.keys().is_some() && is_map && is_plain {
            self.maps.push(Map { block: Some(block), entries, place });
        }
        Some(())
    }

    /// Returns the text of the key that comes next.
    fn key(&mut self) -> Option<String> {
        match self.seen.peek()? {
            Seen::Scalar { value, .. } => Some(value.clone()),
            _ => None,
        }
    }

    /// Places all up to the bracket that closes the next one.
    fn flow(&mut self, home: Option<usize>, indent: usize, place: Where) -> Option<()> {
        (self.peek()?.kind == Kind::Open).then_some(())?;
        let open = self.at;
        let mut depth = 0_usize;
        loop {
            let at = self.take(home, indent)?;
            match self.tokens[at].kind {
                Kind::Open => depth += 1,
                Kind::Close => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        self.tokens[open..self.at].iter_mut().for_each(|token| token.in_flow = true);
        let mut depth = 1_usize;
        while depth > 0 {
            match self.seen.next()? {
                Seen::Start { .. } => depth += 1,
                Seen::End => depth -= 1,
                _ => {}
            }
        }
        self.flow_map(open..self.at, place);
        Some(())
    }

    /// Notes a map in brackets that has an order, and those below it. Without comments, and on one line: elsewhere
    /// the order is the author's.
    fn flow_map(&mut self, range: Range<usize>, place: Where) {
        let tokens = &self.tokens[range.clone()];
        // A comma before the bracket goes, and its line break with it.
        let goes = |at: usize| {
            let closes = tokens.get(at + 1).is_some_and(|next| next.kind == Kind::Close && next.breaks == 0);
            tokens[at].kind == Kind::Comma && closes
        };
        let is_short = (1..tokens.len())
            .all(|at| tokens[at].kind != Kind::Comment && (tokens[at].breaks == 0 || goes(at)));
        if !is_short || tokens[0].text != "{" {
            return;
        }
        let (mut entries, mut depth, mut first) = (Vec::new(), 0_usize, range.start + 1);
        for at in range.clone().skip(1) {
            match self.tokens[at].kind {
                Kind::Open => depth += 1,
                Kind::Close if depth > 0 => depth -= 1,
                Kind::Comma | Kind::Close if depth == 0 => {
                    if first < at {
                        entries.push((first..at, plain_key(self.tokens[first].text)));
                    }
                    first = at + 1;
                }
                _ => {}
            }
        }
        for (entry, key) in &entries {
            let is_map = |at: usize| self.tokens[at].text == "{" && self.tokens[at].kind == Kind::Open;
            let below = place.below(Some(key));
            if below != Where::Elsewhere
                && let Some(open) = entry.clone().find(|at| self.tokens[*at].kind == Kind::Open)
                && is_map(open)
            {
                self.flow_map(open..entry.end, below);
            }
        }
        if place.keys().is_some() {
            self.maps.push(Map { block: None, entries, place });
        }
    }

    /// Gives each comment on a line of its own the place of what it stands beside.
    fn place_comments(&mut self) {
        let mut at = 0;
        let mut above: Option<usize> = None;
        while at < self.tokens.len() {
            if self.tokens[at].kind != Kind::Comment {
                above = Some(at);
                at += 1;
                continue;
            }
            let run = self.tokens[at..].iter().take_while(|token| token.kind == Kind::Comment).count();
            let below = at + run;
            let least = match self.tokens.get(below) {
                Some(token) if token.kind != Kind::Marker => token.indent,
                _ => 0,
            };
            let in_flow = self.tokens.get(below).is_some_and(|token| token.in_flow)
                && above.is_some_and(|above| self.tokens[above].in_flow);
            let mut most = usize::MAX;
            for comment in at..below {
                let indent = self.comment_indent(above, comment, least).min(most);
                let token = &mut self.tokens[comment];
                (token.indent, token.in_flow) = (indent, in_flow);
                if token.breaks > 0 {
                    most = indent;
                }
            }
            at = below;
        }
    }

    /// How far in a comment goes: as far as the innermost block above it that it stands inside of, but no less than
    /// what follows.
    fn comment_indent(&self, above: Option<usize>, comment: usize, least: usize) -> usize {
        let Some(above) = above else { return least };
        let column = self.tokens[comment].column;
        let mut home = self.homes[above];
        let innermost = home.map(|home| self.blocks[home]);
        if let Some(block) = innermost {
            let is_empty = matches!(self.tokens[above].kind, Kind::Colon | Kind::Dash);
            if least > block.indent {
                return least;
            }
            if is_empty && column > block.column {
                return block.indent + STEP;
            }
        }
        while let Some(block) = home.map(|home| self.blocks[home]) {
            if block.indent <= least {
                break;
            }
            if block.column <= column {
                return block.indent;
            }
            home = block.around;
        }
        least
    }

    /// Returns the maps that have an order, the comments of each entry with it.
    fn groups(self) -> Vec<Group> {
        let Walk { tokens, blocks, maps, .. } = self;
        let group = |Map { block, mut entries, place }: Map| {
            let keys = place.keys()?;
            let mut has_header = false;
            if let Some(block) = block {
                has_header = take_comments(tokens, &mut entries, blocks[block].indent, place == Where::Plan);
            }
            (entries.len() > 1).then_some(Group { entries, keys, is_flow: block.is_none(), has_header })
        };
        maps.into_iter().filter_map(group).collect()
    }
}

/// Adds to each entry the comments above it, and those below it that stand further in. Says whether comments stay
/// above the first entry.
fn take_comments(
    tokens: &[Token<'_>],
    entries: &mut [(Range<usize>, String)],
    indent: usize,
    is_top: bool,
) -> bool {
    let mut has_header = false;
    let is_own = |at: usize| tokens[at].kind == Kind::Comment && (tokens[at].breaks > 0 || at == 0);
    if let Some((first, _)) = entries.first_mut() {
        let key = first.start;
        while first.start > 0 && is_own(first.start - 1) {
            first.start -= 1;
        }
        if is_top && first.start < key {
            // What stands at the head of the file is the file's, but for the lines just above the key, if they are apart.
            let apart = (first.start + 1..=key).rev().find(|at| tokens[*at].breaks > 1).unwrap_or(key);
            has_header = true;
            first.start = apart;
        }
    }
    for n in 0..entries.len() {
        let mut end = entries[n].0.end;
        let is_inside = |at: usize| !is_own(at) || tokens[at].indent > indent;
        while tokens.get(end).is_some_and(|token| token.kind == Kind::Comment) && is_inside(end) {
            end += 1;
        }
        entries[n].0.end = end;
        if let Some((next, _)) = entries.get_mut(n + 1) {
            next.start = end;
        }
    }
    has_header
}

/// Returns a key without its quotes.
fn plain_key(text: &str) -> String {
    text.trim_matches(['"', '\'']).to_owned()
}
