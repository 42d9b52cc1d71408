//! References to secrets: where one is kept, never the secret itself. And texts that hold some, as pieces.
//!
//! `env:NAME`, `file:PATH`, `keyvault:VAULT/NAME[/VERSION]` and `keyvault:https://HOST/secrets/NAME[/VERSION]`. Only
//! [`crate::secret`] turns a reference into a secret, and only the request that is sent holds one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::code::Code;
use super::diagnostic::{Diagnostic, Span};
use super::reader::Reader;
use super::template::{Scope, Template};
use super::workspaces::{is_loopback, split_port};
use super::{Hooks, IfRunning, Place, Step, words};

/// The kinds of references, as they begin.
const SCHEMES: [&str; 3] = ["env", "file", "keyvault"];
/// What people write for `keyvault`.
const VAULT_WORDS: [&str; 6] = ["kv", "akv", "vault", "azure-keyvault", "key-vault", "azurekeyvault"];
/// The longest name of a secret in a vault, in characters.
const NAME_CHARS_MAX: usize = 127;
/// How many hexadecimal digits a version of a secret has.
const VERSION_CHARS: usize = 32;
/// The longest reference, in bytes.
const REFERENCE_BYTES_MAX: usize = 4096;
/// Where the vaults of each cloud are.
const VAULT_HOSTS: [&str; 3] = [".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net"];

/// Where a secret is kept. Its text form is what the plan says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum SecretRef {
    /// In an environment variable of this name.
    Env(String),
    /// In a file; a relative path begins beside the plan.
    File(String),
    /// In an Azure Key Vault.
    KeyVault {
        /// Which one.
        vault: Vault,
        /// The secret's name in it.
        name: String,
        /// Which version of the secret; the newest if it does not say.
        version: Option<String>,
    },
}

/// Which Azure Key Vault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vault {
    /// The one of this name in the workspace's cloud.
    Named(String),
    /// The one at this address: a scheme, a host and maybe a port.
    At(String),
}

/// Why a text is no reference. Neither member repeats the text, which may be the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadReference {
    /// What is wrong.
    pub why: String,
    /// What to write.
    pub help: String,
    /// Whether the text names no place at all, so that it may be the secret itself.
    pub may_be_secret: bool,
}

impl SecretRef {
    /// Reads a reference. Fails with what is wrong and what to write; neither repeats the text.
    pub fn parse(text: &str) -> Result<Self, BadReference> {
        if text.len() > REFERENCE_BYTES_MAX || text.chars().any(char::is_control) {
            return bad("it is longer than a reference can be, or holds a control character", FORMS);
        }
        if text.trim() != text {
            return bad("it begins or ends with a space", "remove the space");
        }
        let Some((scheme, rest)) = text.split_once(':') else {
            return bad("it does not say where the secret is kept", FORMS);
        };
        match scheme {
            "env" => env(rest),
            "file" => file(rest),
            "keyvault" => key_vault(rest),
            "https" if VAULT_HOSTS.iter().any(|host| rest.to_ascii_lowercase().contains(host)) => bad(
                "the address of a secret in a vault begins with `keyvault:`",
                "write `keyvault:https://...`",
            ),
            other => {
                let lower = other.to_ascii_lowercase();
                let near = if VAULT_WORDS.contains(&lower.as_str()) {
                    Some("keyvault")
                } else {
                    words::nearest(&lower, SCHEMES)
                };
                match near {
                    Some(near) => {
                        bad("it begins with a word that is not known", &format!("begin it with `{near}:`"))
                    }
                    None => bad("it does not say where the secret is kept", FORMS),
                }
            }
        }
    }

    /// Says whether finding the secret takes a network.
    pub const fn is_remote(&self) -> bool {
        matches!(self, Self::KeyVault { .. })
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
            Self::KeyVault { vault, name, version } => {
                match vault {
                    Vault::Named(vault) => write!(f, "keyvault:{vault}/{name}")?,
                    Vault::At(address) => write!(f, "keyvault:{address}/secrets/{name}")?,
                }
                version.iter().try_for_each(|version| write!(f, "/{version}"))
            }
        }
    }
}

impl TryFrom<String> for SecretRef {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).map_err(|bad| bad.why)
    }
}

impl From<SecretRef> for String {
    fn from(reference: SecretRef) -> Self {
        reference.to_string()
    }
}

/// What a help says where nothing better is known.
const FORMS: &str =
    "write `env:NAME`, `file:PATH` or `keyvault:VAULT/NAME`; the secret itself must not stand in a plan";

fn bad<T>(why: &str, help: &str) -> Result<T, BadReference> {
    Err(BadReference { why: why.to_owned(), help: help.to_owned(), may_be_secret: help == FORMS })
}

fn env(name: &str) -> Result<SecretRef, BadReference> {
    const HELP: &str = "write the variable's name alone: `env:SALES_API_KEY`";
    if name.is_empty() {
        return bad("it names no variable", HELP);
    }
    if name.starts_with(['$', '%']) {
        return bad("a variable is named without `$` or `%`", HELP);
    }
    if name.contains(|c: char| c.is_whitespace() || "=[]{}\"'".contains(c)) {
        return bad("it names something that cannot be a variable", HELP);
    }
    Ok(SecretRef::Env(name.to_owned()))
}

fn file(path: &str) -> Result<SecretRef, BadReference> {
    const HELP: &str = "write `file:/run/secrets/sales-key`, or a path beside the plan";
    if path.is_empty() {
        return bad("it names no file", HELP);
    }
    if path.starts_with("//") {
        return bad("a file is named by its path, without `//`", HELP);
    }
    if path.starts_with('~') {
        return bad("`~` means nothing here", "write the whole path");
    }
    Ok(SecretRef::File(path.to_owned()))
}

fn key_vault(rest: &str) -> Result<SecretRef, BadReference> {
    const HELP: &str = "write `keyvault:VAULT/NAME`, or `keyvault:VAULT/NAME/VERSION` for one version";
    if rest.starts_with("http://") || rest.starts_with("https://") {
        return key_vault_address(rest);
    }
    let parts: Vec<&str> = rest.split('/').collect();
    let (vault, name, version) = match parts.as_slice() {
        [vault, name] => (*vault, *name, None),
        [vault, name, version] => (*vault, *name, Some(*version)),
        ["", "", ..] => return bad("a vault is named without `//`", HELP),
        [_] => return bad("it names no secret of the vault", HELP),
        _ => return bad("it has too many parts", HELP),
    };
    if vault.contains('.') {
        return bad("a vault is named by its name alone, not by its host", HELP);
    }
    if !is_vault_name(vault) {
        let help = "a vault's name has 3 to 24 letters, digits and `-`, and begins with a letter";
        return bad("its vault has a name that no vault can have", help);
    }
    secret(Vault::Named(vault.to_owned()), name, version)
}

fn key_vault_address(text: &str) -> Result<SecretRef, BadReference> {
    const HELP: &str = "write the secret's identifier as the portal shows it: \
                        `keyvault:https://contoso.vault.azure.net/secrets/sales-key`";
    let Some((scheme, rest)) = text.split_once("://") else { return bad("it is no address", HELP) };
    let parts: Vec<&str> = rest.split('/').collect();
    let (authority, name, version) = match parts.as_slice() {
        [authority, "secrets", name] | [authority, "secrets", name, ""] => (*authority, *name, None),
        [authority, "secrets", name, version] => (*authority, *name, Some(*version)),
        _ => return bad("it is not the address of a secret in a vault", HELP),
    };
    let (host, port) = split_port(authority);
    let lower = host.to_ascii_lowercase();
    let in_cloud = VAULT_HOSTS.iter().find_map(|end| lower.strip_suffix(end)).is_some_and(is_vault_name);
    // Nobody else may be shown a token for vaults.
    if in_cloud && scheme == "https" && port.is_none() {
        return secret(Vault::At(format!("https://{lower}")), name, version);
    }
    if is_loopback(host) && port.is_none_or(|port| port.parse::<u16>().is_ok()) {
        return secret(Vault::At(format!("{scheme}://{authority}")), name, version);
    }
    bad("its host is none of Azure's vaults", HELP)
}

fn secret(vault: Vault, name: &str, version: Option<&str>) -> Result<SecretRef, BadReference> {
    let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !is_plain(name) {
        let help = "a secret's name in a vault has letters, digits and `-`, at most 127 of them";
        return bad("its secret has a name that none in a vault can have", help);
    }
    let is_version = |text: &str| text.len() == VERSION_CHARS && text.bytes().all(|b| b.is_ascii_hexdigit());
    if !version.is_none_or(is_version) {
        let help = "a version has 32 hexadecimal digits; leave it out for the newest";
        return bad("its version is none", help);
    }
    let version = version.map(str::to_ascii_lowercase);
    Ok(SecretRef::KeyVault { vault, name: name.to_owned(), version })
}

/// Says whether Azure could have given a vault this name: it becomes part of an address.
fn is_vault_name(name: &str) -> bool {
    (3..=24).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !name.ends_with('-')
        && !name.contains("--")
}

/// A piece of a text that holds secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// A text as it is.
    Text(String),
    /// A secret, by where it is kept.
    Secret(SecretRef),
}

/// A text of a JSON value that holds secrets: where it stands, and the pieces that it is put together from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretText {
    /// Where it stands, as a JSON pointer (RFC 6901).
    pub at: String,
    /// Its pieces, in order.
    pub pieces: Vec<Piece>,
}

impl SecretText {
    /// Returns the references of its pieces, in order.
    pub fn references(&self) -> impl Iterator<Item = &SecretRef> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Secret(reference) => Some(reference),
        })
    }

    /// Returns the first part of its place: of a map of parameters, the name of the parameter.
    pub fn member(&self) -> String {
        let first = self.at.trim_start_matches('/').split('/').next().unwrap_or_default();
        first.replace("~1", "/").replace("~0", "~")
    }

    /// Returns the text as people may see it: each secret as the template that asks for it.
    pub fn shown(&self) -> String {
        shown(&self.pieces)
    }
}

/// Returns pieces as people may see them.
pub(super) fn shown(pieces: &[Piece]) -> String {
    let one = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Secret(reference) => format!("{{{{secret \"{reference}\"}}}}"),
    };
    pieces.iter().map(one).collect()
}

/// A value that has been rendered: what people may see of it, and how its texts with secrets are put together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rendered {
    /// The value; a secret in it stands as the template that asks for it.
    pub value: Value,
    /// The texts in it that hold secrets.
    pub secrets: Vec<SecretText>,
}

impl Rendered {
    /// Returns the same as a text. Fails with the value if it is a list, an object or nothing.
    pub fn into_text(self) -> Result<Self, Value> {
        match self.value {
            Value::String(_) => Ok(self),
            value @ (Value::Number(_) | Value::Bool(_)) => {
                Ok(Self { value: value.to_string().into(), secrets: self.secrets })
            }
            other => Err(other),
        }
    }

    /// Returns what a text says without its secrets.
    pub(super) fn words(&self) -> String {
        let piece = |piece: &Piece| if let Piece::Text(text) = piece { text.clone() } else { String::new() };
        match self.secrets.first() {
            Some(text) => text.pieces.iter().map(piece).collect(),
            None => self.value.as_str().unwrap_or_default().to_owned(),
        }
    }
}

/// Renders the parameters of a step, and returns them with the texts among them that hold secrets.
///
/// Fails with a sentence that names the parameter and the cause.
pub fn render_parameters(
    parameters: &[(String, Template)],
    scope: &Scope,
) -> Result<(Map<String, Value>, Vec<SecretText>), String> {
    let render = |(name, template): &(String, Template)| {
        let rendered = template.render_for_request(scope);
        Ok((name.clone(), rendered.map_err(|why| format!("parameter `{name}`: {why}"))?))
    };
    Ok(gather(parameters.iter().map(render).collect::<Result<Vec<_>, String>>()?))
}

/// Puts values together as the members of an object, and returns it with the texts in it that hold secrets.
pub fn gather(
    members: impl IntoIterator<Item = (String, Rendered)>,
) -> (Map<String, Value>, Vec<SecretText>) {
    let mut values = Map::new();
    let mut secrets = Vec::new();
    for (name, rendered) in members {
        let below = |text: SecretText| SecretText { at: pointer_step(&name) + &text.at, ..text };
        secrets.extend(rendered.secrets.into_iter().map(below));
        values.insert(name, rendered.value);
    }
    (values, secrets)
}

/// Checks what secrets do to the rest of the plan.
pub(super) fn check(reader: &mut Reader<'_>, steps: &[Step], hooks: &Hooks, env: &BTreeSet<String>) {
    let of_steps = steps.iter().flat_map(|step| &step.parameters).map(|(_, template)| template);
    let asked = of_steps.chain(hooks.templates()).flat_map(Template::secrets);
    // Iterations ask for theirs in the same places.
    let in_the_open: BTreeMap<Place, (&String, Span)> = asked
        .filter_map(|(reference, span)| match reference {
            Some(SecretRef::Env(name)) if env.contains(name) => Some((span.place, (name, *span))),
            _ => None,
        })
        .collect();
    for (name, span) in in_the_open.into_values() {
        let message = format!("`{{{{env \"{name}\"}}}}` in this plan shows what is a secret here");
        reader.report(
            Diagnostic::at(Code::SecretInTheOpen, span, message)
                .label("the journal keeps what `env` reads")
                .help(format!("write `{{{{secret \"env:{name}\"}}}}` there, too, or use another variable")),
        );
    }
    let mut uncompared = BTreeSet::new();
    for step in steps.iter().filter(|step| step.if_running == IfRunning::Attach) {
        let mut asked = step.parameters.iter().flat_map(|(_, template)| template.secrets());
        let Some((_, span)) = asked.next().filter(|(_, span)| uncompared.insert(span.place)) else {
            continue;
        };
        let message = "`if_running: attach` never takes a run for this step's: secrets cannot be compared";
        reader.report(
            Diagnostic::at(Code::SecretsUncompared, *span, message)
                .label("the service does not show it")
                .help("the step waits until the pipeline no longer runs; write `if_running: wait` to say so"),
        );
    }
}

/// Returns a key as a step of a JSON pointer.
pub(super) fn pointer_step(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Piece, SecretRef, SecretText};
    use crate::plan::{Given, load};

    #[test]
    fn reads_every_form_and_writes_it_as_it_was() {
        let check = |text: &str| {
            let read = SecretRef::parse(text).unwrap_or_else(|bad| panic!("{text}: {}", bad.why));
            assert_eq!(read.to_string(), text);
            let json = serde_json::to_string(&read).expect("it is a text");
            assert_eq!(serde_json::from_str::<SecretRef>(&json).expect("it was written so"), read, "{text}");
        };
        check("env:SALES_API_KEY");
        check("env:ProgramFiles(x86)");
        check("file:/run/secrets/key");
        check("file:keys/a b.txt");
        check("file:C:\\keys\\sales.txt");
        check("keyvault:contoso-kv/sales-key");
        check("keyvault:contoso-kv/sales-key/0123456789abcdef0123456789abcdef");
        check("keyvault:https://contoso-kv.vault.azure.net/secrets/sales-key");
        check("keyvault:https://contoso.vault.azure.cn/secrets/k/0123456789abcdef0123456789abcdef");
        check("keyvault:https://contoso.vault.usgovcloudapi.net/secrets/k");
        check("keyvault:http://127.0.0.1:4711/secrets/k");
        check("keyvault:https://localhost:4711/secrets/k");
    }

    #[test]
    fn says_what_is_wrong_and_never_the_text() {
        let check = |text: &str, want: &str| {
            let bad = SecretRef::parse(text).expect_err(text);
            assert!(bad.why.contains(want) || bad.help.contains(want), "{text}: {bad:?}");
            if text.len() > 8 {
                assert!(!bad.why.contains(text) && !bad.help.contains(text), "{bad:?}");
            }
        };
        check("hunter2-hunter2", "must not stand in a plan");
        check("", "where the secret is kept");
        check("ENV:KEY", "`env:`");
        check("evn:KEY", "`env:`");
        check("akv:contoso/key", "`keyvault:`");
        check("password:hunter2", "must not stand in a plan");
        check("env:", "names no variable");
        check("env:$KEY", "without `$`");
        check("env: KEY", "cannot be a variable");
        check(" env:KEY", "space");
        check("file:", "names no file");
        check("file:///run/x", "without `//`");
        check("file:~/x", "whole path");
        check("keyvault:contoso", "no secret of the vault");
        check("keyvault:contoso/a/b/c", "too many parts");
        check("keyvault://contoso/a", "without `//`");
        check("keyvault:contoso.vault.azure.net/a", "not by its host");
        check("keyvault:x/a", "3 to 24");
        check("keyvault:contoso/a_b", "letters, digits and `-`");
        check("keyvault:contoso/a/1", "32 hexadecimal");
        check("https://contoso.vault.azure.net/secrets/a", "keyvault:https://");
        check("keyvault:https://contoso.vault.azure.net/keys/a", "not the address");
        check("keyvault:https://evil.example/secrets/a", "none of Azure's vaults");
        check("keyvault:https://evil.example#.vault.azure.net/secrets/a", "none of Azure's vaults");
        check("keyvault:https://user@contoso.vault.azure.net/secrets/a", "none of Azure's vaults");
        check("keyvault:http://contoso.vault.azure.net/secrets/a", "none of Azure's vaults");
        check("keyvault:https://127.0.0.1.evil.example/secrets/a", "none of Azure's vaults");
        check("keyvault:https://user:word@localhost/secrets/a", "none of Azure's vaults");
    }

    #[test]
    fn secrets_are_held_against_the_rest_of_the_plan() {
        let check = |rest: &str, want: &[&str]| {
            let text = format!("version: 1\nname: n\nworkspace: w\n{rest}\n");
            let env = BTreeMap::from([("REGION".to_owned(), "emea".to_owned())]);
            let given = Given { env, inputs_required: true, ..Given::default() };
            let found = load(text.as_bytes(), &given).map_or_else(|found| found, |loaded| loaded.notes);
            let codes: Vec<&str> = found.iter().map(|finding| finding.code.id()).collect();
            assert_eq!(codes, want, "{rest}");
        };
        let step = |keys: &str| format!("steps: {{ it: {{ {keys} }} }}");
        let key = "parameters: { k: '{{secret \"env:K\"}}' }";
        check(&step(&format!("if_running: attach, {key}")), &["W0425"]);
        check(&step(&format!("if_running: attach, for_each: [a, b], {key}")), &["W0425"]);
        check(&step(&format!("if_running: wait, {key}")), &[]);
        check(&step("parameters: { k: '{{secret \"env:REGION\"}}' }"), &[]);
        let both = "parameters: { k: '{{secret \"env:REGION\"}}', r: '{{env \"REGION\"}}' }";
        check(&step(both), &["E0428"]);
        check(&step(&format!("for_each: [a, b], {both}")), &["E0428"]);
        let hook = "on_finish: [{ url: '{{secret \"env:REGION\"}}' }]\n";
        check(&format!("{hook}{}", step("parameters: { r: '{{env \"REGION\"}}' }")), &["E0428"]);
        check(&format!("{hook}{}", step("")), &[]);
    }

    #[test]
    fn a_text_shows_where_its_secrets_are_kept() {
        let key = SecretRef::Env("T".to_owned());
        let text = SecretText {
            at: "/a~1b/0".to_owned(),
            pieces: vec![Piece::Text("Bearer ".to_owned()), Piece::Secret(key)],
        };
        assert_eq!(text.shown(), "Bearer {{secret \"env:T\"}}");
        assert_eq!(text.member(), "a/b");
        assert_eq!(text.references().count(), 1);
    }
}
