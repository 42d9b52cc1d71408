//! What other languages write, and how that is said here: signs, words and calls of Python, JavaScript, SQL, Jinja,
//! Synapse and shells.
//!
//! Each message shows the whole condition as it should be, where that can be told.

use super::lex::{Lexeme, Token, is_operand};
use super::parse::syntax;
use super::respell;
use super::tree::{Body, Node, Span, is_plain, is_word, quoted, spelled};
use super::{Fix, Problem};
use crate::plan::code::Code;
use crate::plan::function::{Function, Language};
use crate::plan::reader::excerpt;
use crate::plan::template::Refusal;

/// Signs of other languages with ours, longer ones first. What is ours already stands here where a longer one is not.
const SIGNS: [(&str, &str); 9] = [
    ("===", "=="),
    ("!==", "!="),
    ("<>", "!="),
    ("=<", "<="),
    ("=>", ">="),
    ("&&", "and"),
    ("||", "or"),
    ("&", "and"),
    ("-not", "not "),
];

/// Operators of other languages that are words, in lower case, with ours.
const INFIXES: [(&str, &str); 13] = [
    ("and", "and"),
    ("or", "or"),
    ("in", "in"),
    ("eq", "=="),
    ("equals", "=="),
    ("ne", "!="),
    ("neq", "!="),
    ("gt", ">"),
    ("ge", ">="),
    ("gte", ">="),
    ("lt", "<"),
    ("le", "<="),
    ("lte", "<="),
];

/// Literals of other languages with ours.
const LITERALS: [(&str, &str); 10] = [
    ("True", "true"),
    ("TRUE", "true"),
    ("False", "false"),
    ("FALSE", "false"),
    ("None", "null"),
    ("none", "null"),
    ("NULL", "null"),
    ("Null", "null"),
    ("nil", "null"),
    ("undefined", "null"),
];

const NO_SUMS: &str = "conditions compare, they do not compute";

/// Returns our spelling of another language's sign, and how many bytes that has.
pub(super) fn sign(rest: &str, has_before: bool) -> Option<(&'static str, usize)> {
    if let Some((theirs, ours)) = SIGNS.into_iter().find(|(theirs, _)| rest.starts_with(theirs)) {
        let runs_on = theirs == "-not" && rest[theirs.len()..].starts_with(is_word);
        return (!runs_on).then_some((ours, theirs.len()));
    }
    // `-eq` of a shell.
    if let Some(word) = rest.strip_prefix('-').filter(|_| has_before) {
        let end = word.find(|c| !is_word(c)).unwrap_or(word.len());
        let found = INFIXES.into_iter().find(|(theirs, _)| *theirs == &word[..end]);
        return found.map(|(_, ours)| (ours, end + 1));
    }
    if rest.starts_with('!') && !rest.starts_with("!=") {
        return Some(("not ", 1));
    }
    (rest.starts_with('=') && !rest.starts_with("==")).then_some(("==", 1))
}

/// Returns our operator for another language's word, and of how many words that is.
pub(super) fn infix(word: &str, next: Option<&str>, after: Option<&str>) -> Option<(&'static str, usize)> {
    let word = word.to_lowercase();
    let states = |word: Option<&str>| matches!(word, Some("defined" | "undefined" | "empty"));
    match word.as_str() {
        "is" if states(next) || next == Some("not") && states(after) => None,
        "is" if next == Some("not") && after == Some("in") => None,
        "is" if next == Some("not") => Some(("!=", 2)),
        "is" if next == Some("in") => Some(("in", 2)),
        "is" => Some(("==", 1)),
        "not" if next.is_some_and(|next| next.eq_ignore_ascii_case("in")) => Some(("not in", 2)),
        _ => INFIXES.into_iter().find(|(theirs, _)| *theirs == word).map(|(_, ours)| (ours, 1)),
    }
}

/// Returns our literal for another language's.
pub(super) fn literal(word: &str) -> Option<&'static str> {
    LITERALS.into_iter().find(|(theirs, _)| *theirs == word).map(|(_, ours)| ours)
}

/// Returns the problem of a condition in braces, or of an expression of Synapse.
pub(super) fn whole(text: &str) -> Option<Problem> {
    if let Some(at) = outside_quotes(text, '{').or_else(|| text.find("{{")) {
        let bare = respell::without_braces(text);
        let end = text[at..].find("}}").map_or(text.len(), |end| at + end + 2);
        let refusal = Refusal::new(Code::ConditionBraces, "a condition is written without braces");
        let refusal = if bare.is_empty() {
            refusal.help("write names as they are: `inputs.full_reload`")
        } else {
            refusal.help(format!("write `when: {}`", respell::as_yaml(&bare)))
        };
        return Some(Problem { span: at..end, refusal });
    }
    let synapse = text.trim_start().strip_prefix('@')?;
    let at = text.len() - text.trim_start().len();
    let refusal = Refusal::new(Code::ConditionSpelling, "an expression of Synapse is no condition");
    let refusal = match super::parse::parse(synapse) {
        Ok(_) => refusal.help(format!("write `{}`", synapse.trim())),
        Err(problem) if problem.refusal.code == Code::ConditionSpelling => {
            Refusal { help: problem.refusal.help, ..refusal }
        }
        Err(_) => {
            refusal.help("write names and comparisons: `inputs.region == \"emea\" and inputs.full_reload`")
        }
    };
    Some(Problem { span: at..text.trim_end().len(), refusal })
}

/// Finds a sign that stands in no text.
fn outside_quotes(text: &str, sign: char) -> Option<usize> {
    let mut quote = None;
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some(_) if c == '\\' => is_escaped = true,
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == sign => return Some(at),
            _ => {}
        }
    }
    None
}

/// Returns the problem of a condition that can be read although other languages have left their marks on it.
pub(super) fn spelling(text: &str, first: &Fix, fixes: &[Fix], is_whole: bool) -> Problem {
    let theirs = &text[first.span.clone()];
    let ours = &first.ours;
    let is_short = theirs.chars().count() <= 12;
    let refusal = if is_short {
        Refusal::new(Code::ConditionSpelling, format!("`{theirs}` is not how a condition is written"))
            .label(format!("did you mean `{ours}`?"))
    } else {
        Refusal::new(Code::ConditionSpelling, "this is not how a condition is written")
    };
    let fixes: Vec<&Fix> = fixes.iter().collect();
    let refusal = if is_whole {
        refusal.help(format!("write `{}`", corrected(text, &(0..text.len()), &fixes).trim()))
    } else {
        refusal.help(format!("write `{ours}`"))
    };
    Problem { span: first.span.clone(), refusal }
}

/// Returns a piece of the text with replacements, which stand in order.
pub(super) fn corrected(text: &str, span: &Span, fixes: &[&Fix]) -> String {
    let mut out = String::new();
    let mut at = span.start;
    for fix in fixes {
        let before = text.get(at..fix.span.start).unwrap_or_default();
        out.push_str(before);
        let begins_word = fix.ours.starts_with(is_word);
        if begins_word && out.ends_with(|c: char| is_word(c) || ")]\"'".contains(c)) {
            out.push(' ');
        }
        out.push_str(&fix.ours);
        at = fix.span.end;
        if fix.ours.ends_with(is_word)
            && text[at..span.end].starts_with(|c: char| is_word(c) || "([\"'-".contains(c))
        {
            out.push(' ');
        }
    }
    out.push_str(text.get(at..span.end).unwrap_or_default());
    out.split('\n').map(str::trim).collect::<Vec<_>>().join(" ")
}

/// Returns the problem of a character that is no part of the language.
pub(super) fn character(text: &str, at: usize, c: char, before: Option<&Lexeme>) -> Problem {
    let span = at..at + c.len_utf8();
    let rest = &text[at..];
    match c {
        '-' if is_operand(before) => minus(text, at, before),
        '+' | '*' | '/' | '%' | '-' => {
            let help = match (c, before.map(|before| &before.token)) {
                ('+', Some(Token::Text(_))) => "texts are joined by `concat(a, b)`",
                ('+' | '-', _) => {
                    "days are moved by `date_add(inputs.day, \"-1d\")`; let an input or an output of a step say any other sum"
                }
                _ => "let an input or an output of a step say the result",
            };
            syntax(span, NO_SUMS, help)
        }
        '|' => {
            let help = "helpers are called with their values: `default(inputs.region, \"emea\")`, `lower(inputs.region)`";
            syntax(span, "conditions have no filters", help)
        }
        '?' if rest.starts_with("??") => syntax(
            at..at + 2,
            "conditions have no `??`",
            "write `default(a, b)` for a value that may be missing",
        ),
        '?' | ':' => {
            let help = "write what must be true: `inputs.full_reload and inputs.region == \"emea\"`";
            syntax(span, "conditions have no choice between values", help)
        }
        '~' => syntax(
            span,
            "conditions know no patterns",
            "compare with whole texts: `inputs.region in [\"emea\", \"apac\"]`",
        ),
        '$' => syntax(
            span,
            "names have no `$` before them",
            "write the name as it is: `inputs.region`; variables are read with `env(\"NAME\")`",
        ),
        '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}' => {
            syntax(span, "a typographic quote quotes nothing", "write the text in straight quotes: \"emea\"")
        }
        '`' => syntax(span, "a backtick quotes nothing", "write the text in quotes: \"emea\""),
        '}' => Problem {
            span,
            refusal: Refusal::new(Code::ConditionBraces, "a condition is written without braces")
                .help("remove them: names stand as they are"),
        },
        _ => {
            let message = format!("`{}` has no meaning in a condition", c.escape_debug());
            syntax(
                span,
                &message,
                "a condition has names, numbers, texts in quotes, comparisons, `and`, `or`, `not` and `in`",
            )
        }
    }
}

/// Tells a `-` in an id from a subtraction.
fn minus(text: &str, at: usize, before: Option<&Lexeme>) -> Problem {
    let is_glued = before
        .is_some_and(|before| before.span.end == at && matches!(before.token, Token::Word(_)))
        && text[at + 1..].starts_with(is_word);
    if !is_glued {
        let help = "days are moved by `date_add(inputs.day, \"-1d\")`; let an input or an output of a step say any other difference";
        return syntax(at..at + 1, NO_SUMS, help);
    }
    let in_name = |c: char| is_word(c) || c == '.' || c == '-';
    let start =
        text[..at].char_indices().rev().take_while(|(_, c)| in_name(*c)).last().map_or(at, |(n, _)| n);
    let end = text[at..].find(|c| !in_name(c)).map_or(text.len(), |bytes| at + bytes);
    let name = text[start..end].trim_end_matches('.');
    let owner = text[..start].trim_end().strip_suffix('[').map(str::trim_end);
    if let Some(owner) = owner.filter(|owner| owner.ends_with(is_word)) {
        let rest = rest_of_name(text[end..].trim_start().trim_start_matches(']'));
        let root = &owner[owner.trim_end_matches(|c| is_word(c) || c == '.').len()..];
        let refusal = Refusal::new(Code::NameSpelling, "a name in brackets stands in quotes")
            .help(format!("write `{}{rest}`", spelled(root.split('.').chain([name]))));
        return Problem { span: start..start + name.len(), refusal };
    }
    if let (Some(id), Some((inner, rest))) =
        (name.strip_prefix("steps."), text[end..].strip_prefix('[').and_then(|rest| rest.split_once(']')))
    {
        let iteration = format!("{id}[{}]", inner.trim_matches(['"', '\'']));
        let refusal =
            Refusal::new(Code::NameSpelling, "the id of an iteration stands in brackets as a whole")
                .help(format!("write `{}{}`", spelled(["steps", &iteration]), rest_of_name(rest)));
        return Problem { span: start..start + name.len(), refusal };
    }
    let right = spelled(name.split('.'));
    let id = name.split('.').find(|part| part.contains('-')).unwrap_or(name);
    let refusal = if name.contains('.') {
        Refusal::new(Code::NameSpelling, format!("the `-` in `{}` is read as a minus", excerpt(id)))
            .help(format!("write `{right}`: a name with a `-` stands in brackets"))
    } else {
        Refusal::new(Code::NameSpelling, format!("the `-` in `{}` is read as a minus", excerpt(name))).help(
            format!(
                "a text stands in quotes: `{}`; a name with a `-` stands in brackets: `inputs[{}]`",
                quoted(name),
                quoted(name)
            ),
        )
    };
    Problem { span: start..start + name.len(), refusal }
}

/// Returns the dotted part of a name that a text begins with.
pub(super) fn rest_of_name(text: &str) -> &str {
    if !text.starts_with('.') {
        return "";
    }
    &text[..text.find(|c| !(is_word(c) || c == '.')).unwrap_or(text.len())]
}

/// Refuses `inputs.region.lower()`.
pub(super) fn method(text: &str, span: Span, path: &[String]) -> Problem {
    let (name, owner) = path.split_last().map_or(("", [].as_slice()), |(last, owner)| (last.as_str(), owner));
    let owner = spelled(owner.iter().map(String::as_str));
    let closed = text[span.end..].find(')').map_or(text.len(), |at| span.end + at + 1);
    let inner = text[span.end..closed].trim_start_matches('(').trim_end_matches(')').trim().to_owned();
    let mut values = vec![owner];
    values.extend((!inner.is_empty()).then_some(inner));
    let ours = call(name, &values).or_else(|| {
        let function = Function::named(name).filter(|function| function.admits(values.len()))?;
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        Some(Language::Condition.call(function.name(), &values))
    });
    let refusal = Refusal::new(
        Code::ConditionSpelling,
        format!("values have no methods such as `.{}()`", excerpt(name)),
    );
    let refusal = match ours {
        Some(ours) => refusal.help(format!("write `{ours}`")),
        None => refusal.help("helpers are called with their values: `lower(inputs.region)`"),
    };
    Problem { span: span.start..closed, refusal }
}

/// Returns the call of another language's function in ours.
pub(super) fn call(name: &str, values: &[String]) -> Option<String> {
    let name: String = name.chars().filter(|c| *c != '_').collect::<String>().to_lowercase();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let joined = |word: &str| {
        let side = |side: &&str| if side.contains(" or ") { format!("({side})") } else { (*side).to_owned() };
        values.iter().map(side).collect::<Vec<_>>().join(&format!(" {word} "))
    };
    Some(match (name.as_str(), values.as_slice()) {
        ("equals" | "equal" | "eq", [a, b]) => format!("{a} == {b}"),
        ("notequals" | "ne", [a, b]) => format!("{a} != {b}"),
        ("greater" | "gt", [a, b]) => format!("{a} > {b}"),
        ("greaterorequals" | "ge", [a, b]) => format!("{a} >= {b}"),
        ("less" | "lt", [a, b]) => format!("{a} < {b}"),
        ("lessorequals" | "le", [a, b]) => format!("{a} <= {b}"),
        ("and", [_, _, ..]) => joined("and"),
        ("or", [_, _, ..]) => values.join(" or "),
        ("contains" | "includes" | "has", [list, item]) => format!("{item} in {list}"),
        ("empty" | "isempty", [a]) => format!("{a} == \"\""),
        ("isnull" | "undefined", [a]) => format!("default({a}, null) == null"),
        ("defined" | "exists" | "isdefined", [a]) => format!("default({a}, null) != null"),
        ("coalesce" | "ifnull" | "nvl" | "get", [a, b]) => format!("default({a}, {b})"),
        ("tolower" | "lowercase", [a]) => format!("lower({a})"),
        ("toupper" | "uppercase", [a]) => format!("upper({a})"),
        ("adddays", [day, n]) => moved(day, n, 'd'),
        ("addmonths", [day, n]) => moved(day, n, 'M'),
        ("addyears", [day, n]) => moved(day, n, 'y'),
        ("startofmonth", [day]) => format!("month_start({day})"),
        ("endofmonth" | "lastday", [day]) => format!("month_end({day})"),
        ("dayofweek" | "weekday", [day]) => format!("day_of_week({day})"),
        ("succeeded" | "success", [step]) => outcome(step, "succeeded"),
        ("failed" | "failure", [step]) => outcome(step, "failed"),
        ("bool" | "string" | "int" | "float" | "str", [a]) => (*a).to_owned(),
        _ => return None,
    })
}

fn moved(day: &str, count: &str, unit: char) -> String {
    format!("date_add({day}, \"{}{unit}\")", count.trim_matches(['"', '\'']))
}

fn outcome(step: &str, word: &str) -> String {
    let id = step.trim_matches(['"', '\'']);
    format!("{} == \"{word}\"", spelled(["steps", id, "outcome"]))
}

/// Returns what is wrong with what stands behind a whole condition, where that is a known mistake.
pub(super) fn leftover(text: &str, node: &Node, before: &Lexeme, behind: &[&Lexeme]) -> Option<Problem> {
    let first = behind.first()?;
    let words: Vec<String> = behind
        .iter()
        .map_while(
            |lexeme| if let Token::Word(word) = &lexeme.token { Some(word.to_lowercase()) } else { None },
        )
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let operand = text[last_operand(node).span.clone()].trim();
    let rest = text[first.span.end..].trim();
    let theirs = |help: String, count: usize| {
        let end = behind.get(count - 1)?.span.end;
        let found = &text[first.span.start..end];
        let refusal =
            Refusal::new(Code::ConditionSpelling, format!("`{found}` is not how a condition is written"));
        Some(Problem { span: first.span.start..end, refusal: refusal.help(help) })
    };
    match words.as_slice() {
        ["is", "defined", ..] => return theirs(format!("write `default({operand}, null) != null`"), 2),
        ["is", "not", "defined", ..] => {
            return theirs(format!("write `default({operand}, null) == null`"), 3);
        }
        ["is", "undefined", ..] => return theirs(format!("write `default({operand}, null) == null`"), 2),
        ["is", "empty", ..] => {
            return theirs(format!("write `{operand} == \"\"`, or `{operand} == []` for a list"), 2);
        }
        ["is", "not", "empty", ..] => {
            return theirs(format!("write `{operand} != \"\"`, or `{operand} != []` for a list"), 3);
        }
        ["contains" | "includes" | "has", ..] => {
            return theirs(format!("write `{rest} in {operand}`, where `{operand}` is a list"), 1);
        }
        ["startswith" | "endswith" | "like" | "matches" | "match" | "regex", ..] => {
            return theirs("conditions know no patterns: compare with whole texts, `inputs.region in [\"emea\", \"apac\"]`".to_owned(), 1);
        }
        ["between", ..] => return theirs(format!("write `{operand} >= ... and {operand} <= ...`"), 1),
        ["if" | "unless" | "then" | "else", ..] => {
            return theirs(
                "write only what must be true: `inputs.full_reload and inputs.region == \"emea\"`".to_owned(),
                1,
            );
        }
        _ => {}
    }
    if let (Body::Name(path), true) = (&last_operand(node).body, first.token != Token::Sign(")"))
        && let [name] = path.as_slice()
        && let Some(function) = Function::named(name)
    {
        let (_, help) = function.usage(Language::Condition);
        let message = format!("the values of `{name}` stand in parentheses");
        return Some(Problem {
            span: before.span.start..first.span.end,
            refusal: Refusal::new(Code::ConditionSpelling, message).help(help),
        });
    }
    match first.token {
        Token::Sign(sign @ (")" | "]")) => {
            let open = if sign == ")" { "(" } else { "[" };
            Some(syntax(
                first.span.clone(),
                &format!("`{sign}` closes nothing"),
                &format!("remove it, or add the `{open}`"),
            ))
        }
        _ if matches!(last_operand(node).body, Body::Name(ref path) if path.len() == 1 && is_plain(&path[0]) && before.span.end < first.span.start) =>
        {
            let help = "a text stands in quotes; values are joined by a comparison such as `==`, or by `and`, `or`, `in`";
            Some(syntax(
                first.span.clone(),
                &format!("`{}` cannot stand here", excerpt(&text[first.span.clone()])),
                help,
            ))
        }
        _ => None,
    }
}

/// Returns the operand that stands last in a condition.
fn last_operand(node: &Node) -> &Node {
    match &node.body {
        Body::Join(_, sides) => sides.last().map_or(node, last_operand),
        Body::Compare(_, _, right) | Body::In(_, _, right) => last_operand(right),
        Body::Not(inner) => last_operand(inner),
        _ => node,
    }
}
