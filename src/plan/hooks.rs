//! `on_finish`, `on_failure` and `on_deadline`: webhooks, and what can be known of their addresses before they are sent.

use std::collections::BTreeSet;

use super::Place;
use super::code::Code;
use super::diagnostic::{Diagnostic, Span};
use super::keys::HOOK;
use super::reader::{Fields, Reader, excerpt};
use super::secret::{Piece, Rendered};
use super::source::{Entry, Node, Yaml};
use super::template::{Known, NamesHere, Template, build};
use super::workspaces::{is_loopback, split_port};

/// The most webhooks of one list.
const HOOKS_MAX: usize = 20;
/// How a webhook is written, for a help line.
const FORM: &str = "write `- url: \"https://...\"`, one for each receiver";
/// Headers that the request itself decides.
const OWN_HEADERS: [&str; 5] = ["host", "content-length", "transfer-encoding", "connection", "expect"];
/// Headers whose value is a secret.
const SECRET_HEADERS: [&str; 5] =
    ["authorization", "x-api-key", "api-key", "x-auth-token", "x-functions-key"];
/// What stands in addresses that are themselves secrets.
const SECRET_MARKS: [&str; 6] = [
    "sig=",
    "token=",
    "code=",
    "hooks.slack.com/services/",
    ".webhook.office.com/",
    "discord.com/api/webhooks/",
];

/// Whom to tell how a flow goes.
#[derive(Clone, Debug, Default)]
pub struct Hooks {
    /// When it has ended, however it did.
    pub on_finish: Vec<Hook>,
    /// When it has ended badly, or waits for a person.
    pub on_failure: Vec<Hook>,
    /// When it will miss its deadline, or has.
    pub on_deadline: Vec<Hook>,
}

impl Hooks {
    /// Returns every template in them.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let all = self.on_finish.iter().chain(&self.on_failure).chain(&self.on_deadline);
        all.flat_map(Hook::templates)
    }
}

impl Hook {
    /// Returns every template in it.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.headers.iter().map(|(_, value)| value).chain([&self.url]).chain(&self.body)
    }
}

/// A receiver, and what it is sent.
#[derive(Clone, Debug)]
pub struct Hook {
    /// The address.
    pub url: Template,
    /// Names and values of headers.
    pub headers: Vec<(String, Template)>,
    /// What is sent; a CloudEvent where the plan does not say.
    pub body: Option<Template>,
    /// Where the webhook stands in the file.
    pub place: Place,
}

/// Reads the three lists. `known` must know the steps.
pub(super) fn read(
    reader: &mut Reader<'_>,
    top: Fields<'_>,
    known: &mut Known<'_>,
    env: &mut BTreeSet<String>,
) -> Hooks {
    let mut list = |reader: &mut Reader<'_>, key: &'static str, here: NamesHere| {
        let Some(entry) = top.entry(key) else { return Vec::new() };
        known.expect_telling(here);
        several(reader, entry, key, here, known, env)
    };
    let on_finish = list(reader, "on_finish", NamesHere::AtEnd);
    let on_failure = list(reader, "on_failure", NamesHere::AtEnd);
    let on_deadline = list(reader, "on_deadline", NamesHere::AtDeadline);
    if let Some(entry) = top.entry("on_deadline").filter(|_| top.lacks("deadline")) {
        let message = "`on_deadline` changes nothing: the plan has no `deadline`";
        let finding = Diagnostic::at(Code::NoEffect, entry.key.span(), message);
        reader.report(finding.help("add `deadline: \"06:00 Europe/Berlin\"`, or remove this"));
    }
    Hooks { on_finish, on_failure, on_deadline }
}

fn several(
    reader: &mut Reader<'_>,
    Entry { key, value }: &Entry,
    name: &str,
    here: NamesHere,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Vec<Hook> {
    let what = format!("`{name}`");
    if let Yaml::Map(_) | Yaml::Text(_) = &value.value {
        let help = match &value.value {
            Yaml::Text(url) => format!("write `{name}: [{{ url: \"{}\" }}]`", excerpt(url)),
            _ => "put `- ` before its first key: it may have several receivers".to_owned(),
        };
        return reader.wrong_type(value, &what, "a list", &help).unwrap_or_default();
    }
    let Some(items) = reader.list(value, &what) else { return Vec::new() };
    if items.is_empty() {
        let finding = Diagnostic::at(Code::EmptyCollection, value.span(), format!("{what} tells nobody"));
        reader.report(finding.help(format!("{FORM}, or remove `{name}`")));
    }
    if items.len() > HOOKS_MAX {
        let message = format!("{what} has {} receivers; {HOOKS_MAX} are allowed", items.len());
        let finding = Diagnostic::at(Code::OutOfRange, items[HOOKS_MAX].span(), message);
        reader.report(finding.label("this is one too many").help("let one receiver tell the others"));
        return Vec::new();
    }
    items.iter().filter_map(|item| one(reader, item, key.span(), name, here, known, env)).collect()
}

fn one(
    reader: &mut Reader<'_>,
    item: &Node,
    owner: Span,
    name: &str,
    here: NamesHere,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Option<Hook> {
    let what = format!("a webhook of `{name}`");
    if let Yaml::Text(url) = &item.value {
        let help = format!("write `- url: \"{}\"`", excerpt(url));
        return reader.wrong_type(item, &what, "a map", &help);
    }
    let owner = if matches!(item.value, Yaml::Map(_)) { item.span() } else { owner };
    let fields = reader.fields(item, &what, &HOOK, owner)?;
    let headers = fields.get("headers").map(|node| headers(reader, node, here, known, env));
    let body = fields.get("body").and_then(|node| match node.value {
        Yaml::Null => reader.wrong_type(
            node,
            "`body`",
            "a text, a list or a map",
            "leave `body` out to send all that is known as a CloudEvent",
        ),
        _ => Some(build(reader, node, here, known, env)),
    });
    let url = url(reader, fields.get("url")?, here, known, env)?;
    Some(Hook { url, headers: headers.unwrap_or_default(), body, place: item.span().place })
}

/// Compiles a text that may be a template, and tries it; gives the text of the trial, if that can be told.
fn tried(
    reader: &mut Reader<'_>,
    node: &Node,
    what: &str,
    here: NamesHere,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Option<(Template, Option<Rendered>)> {
    let before = reader.findings.len();
    let template = build(reader, node, here, known, env);
    if reader.findings[before..].iter().any(Diagnostic::is_error) {
        return None;
    }
    match template.render_for_request(&known.scope).map(Rendered::into_text) {
        Err(_) => Some((template, None)),
        Ok(Ok(trial)) => Some((template, Some(trial))),
        Ok(Err(other)) => {
            let given = excerpt(&other.to_string());
            let message = format!("{what} must be a text, but the template gives `{given}`");
            let help = "use an input of the type string, or write text around the template";
            reader.report(Diagnostic::at(Code::WrongResult, node.span(), message).help(help));
            None
        }
    }
}

fn url(
    reader: &mut Reader<'_>,
    node: &Node,
    here: NamesHere,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Option<Template> {
    let text = reader.words(node, "`url`", FORM)?.to_owned();
    let (template, trial) = tried(reader, node, "`url`", here, known, env)?;
    let is_written = !text.contains("{{");
    if let Some(Err(refusal)) = trial.as_ref().map(shown_address) {
        // What a variable holds is nobody's business but its own.
        let shown = if is_written { format!("`{}`", excerpt(&text)) } else { "what `url` gives".to_owned() };
        let message = format!("{shown} {}", refusal.reason);
        reader.report(Diagnostic::at(Code::BadHookUrl, node.span(), message).help(refusal.help));
        return None;
    }
    if is_written && SECRET_MARKS.iter().any(|mark| text.contains(mark)) {
        written_secret(reader, node, "whoever reads this address in git can post to it");
    }
    Some(template)
}

fn headers(
    reader: &mut Reader<'_>,
    node: &Node,
    here: NamesHere,
    known: &Known<'_>,
    env: &mut BTreeSet<String>,
) -> Vec<(String, Template)> {
    if let Yaml::List(_) = &node.value {
        let help = "write a map: `headers: { Authorization: \"...\" }`";
        return reader.wrong_type(node, "`headers`", "a map", help).unwrap_or_default();
    }
    let text = reader.text;
    let mut all: Vec<(String, Template)> = Vec::new();
    for Entry { key, value } in reader.map(node, "`headers`").unwrap_or_default() {
        let name = key.key_text(text).unwrap_or_default();
        let twice = all.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if let Some((reason, help)) = bad_header(name, twice) {
            let message = format!("`{}` cannot be sent: {reason}", excerpt(name));
            reader.report(Diagnostic::at(Code::BadHeader, key.span(), message).help(help));
            continue;
        }
        let what = format!("the header `{name}`");
        let Some(written) = reader.text(value, &what).map(str::to_owned) else { continue };
        let Some((template, trial)) = tried(reader, value, &what, here, known, env) else { continue };
        if trial.is_some_and(|trial| !is_header_value(&trial.words())) {
            let message = format!("{what} holds a line break or a character that headers cannot have");
            let help = "headers are one line of plain letters; send other text in `body`";
            reader.report(Diagnostic::at(Code::BadHeader, value.span(), message).help(help));
            continue;
        }
        if !written.contains("{{") && SECRET_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            written_secret(reader, value, "whoever reads the plan in git can use it");
        }
        all.push((name.to_owned(), template));
    }
    all
}

fn bad_header(name: &str, is_twice: bool) -> Option<(&'static str, &'static str)> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(is_token) {
        let reason = "the name of a header has only letters, digits and `-`";
        return Some((reason, "write the name alone: `Authorization`; templates belong in values"));
    }
    if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
        return Some(("the request sets this header itself", "remove it"));
    }
    is_twice
        .then_some(("it stands there in another spelling", "keep one of the two: case makes no difference"))
}

/// Says whether a text can be the value of a header.
fn is_header_value(text: &str) -> bool {
    text.bytes().all(|b| b == b'\t' || (0x20..0x7f).contains(&b))
}

fn written_secret(reader: &mut Reader<'_>, node: &Node, why: &str) {
    reader.report(
        Diagnostic::at(Code::WrittenSecret, node.span(), "a secret stands in the plan itself")
            .label(why)
            .help("put it into an environment variable, and write `'{{secret \"env:NAME\"}}'` here"),
    );
}

/// Why a text cannot be the address of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadAddress {
    /// The rest of a sentence that begins with the address.
    pub reason: &'static str,
    /// What to write.
    pub help: &'static str,
}

/// Returns all of an address that may be shown: scheme, host and port, or where the secret is kept that holds one of
/// them. Fails if nothing may be sent there, as far as that can be told without its secrets.
pub fn shown_address(url: &Rendered) -> Result<String, BadAddress> {
    let Some(secrets) = url.secrets.first() else {
        return origin_of(url.value.as_str().unwrap_or_default());
    };
    let before = match secrets.pieces.first() {
        Some(Piece::Text(text)) => text.as_str(),
        _ => "",
    };
    if before.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?', '#'])) {
        return origin_of(before);
    }
    let kept = secrets.references().next().map(ToString::to_string).unwrap_or_default();
    Ok(format!("the address in `{kept}`"))
}

/// Returns scheme, host and port of an address: all of it that may be shown. Fails if nothing may be sent there.
pub fn origin_of(url: &str) -> Result<String, BadAddress> {
    let refuse = |reason, help| Err(BadAddress { reason, help });
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => ("https", rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => ("http", rest),
        _ => return refuse("is no address", "an address begins with `https://`"),
    };
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return refuse("holds a blank or a line break", "copy the address again, in one piece");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        let help = "send them as a header: `headers: { Authorization: \"Basic ...\" }`";
        return refuse("holds a user or a password", help);
    }
    let (host, port) = split_port(authority);
    let is_host = host.starts_with('[')
        || host.chars().all(|c| c.is_alphanumeric() || "-._".contains(c)) && !host.starts_with(['-', '.']);
    if host.is_empty() || !is_host || port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return refuse("names no host", "copy the whole address: `https://host/path`");
    }
    if scheme == "http" && !is_loopback(host) {
        let help = "write `https://`; plain http is for this machine only (127.0.0.1, ::1, localhost)";
        return refuse("would be sent unencrypted", help);
    }
    Ok(format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::{origin_of, shown_address};
    use crate::plan::{Piece, Rendered, SecretRef, SecretText};

    #[test]
    fn an_address_that_is_a_secret_shows_where_it_is_kept() {
        let check = |text: &str, want: Result<&str, &str>| {
            let piece = |piece: &str| match piece.strip_prefix('$') {
                Some(name) => Piece::Secret(SecretRef::Env(name.to_owned())),
                None => Piece::Text(piece.to_owned()),
            };
            let at = String::new();
            let secrets = vec![SecretText { at, pieces: text.split(' ').map(piece).collect() }];
            let shown = shown_address(&Rendered { value: text.into(), secrets });
            assert_eq!(shown.map_err(|refusal| refusal.reason), want.map(str::to_owned), "{text}");
        };
        check("$URL", Ok("the address in `env:URL`"));
        check("https:// $HOST /x", Ok("the address in `env:HOST`"));
        check("https://a. $HOST /x", Ok("the address in `env:HOST`"));
        check("https://a.example/ $KEY", Ok("https://a.example"));
        check("https://a.example?sig= $KEY &x=y $OTHER", Ok("https://a.example"));
        check("http://a.example/ $KEY", Err("would be sent unencrypted"));
        check("https://user:word@a.example/ $KEY", Err("holds a user or a password"));
    }

    #[test]
    fn shows_no_more_of_an_address_than_its_host() {
        let check = |url: &str, want: Result<&str, &str>| {
            assert_eq!(origin_of(url).map_err(|refusal| refusal.reason), want.map(str::to_owned), "{url}");
        };
        check("https://hooks.slack.com/services/T0/B0/secret", Ok("https://hooks.slack.com"));
        check(
            "https://prod-12.westeurope.logic.azure.com:443/workflows/1?sig=x",
            Ok("https://prod-12.westeurope.logic.azure.com:443"),
        );
        check("HTTPS://a.example?x", Ok("https://a.example"));
        check("http://127.0.0.1:8080/x", Ok("http://127.0.0.1:8080"));
        check("http://[::1]:8080/x", Ok("http://[::1]:8080"));
        check("http://localhost", Ok("http://localhost"));
        check("http://a.example/x", Err("would be sent unencrypted"));
        check("http://localhost.example/x", Err("would be sent unencrypted"));
        check("http://127.0.0.1@a.example/x", Err("holds a user or a password"));
        check("https://user:word@a.example/x", Err("holds a user or a password"));
        check("https://a.example/ x", Err("holds a blank or a line break"));
        check("https:///x", Err("names no host"));
        check("https://a.example:port/x", Err("names no host"));
        check("https://a\\b/x", Err("names no host"));
        check("ftp://a.example", Err("is no address"));
        check("a.example/x", Err("is no address"));
        check("", Err("is no address"));
    }
}
