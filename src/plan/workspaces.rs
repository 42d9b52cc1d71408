//! The workspaces of a plan: names, endpoints, clouds and how to sign in; what environments replace.

use std::net::IpAddr;

use super::code::Code;
use super::diagnostic::{Diagnostic, Span};
use super::environments::Layers;
use super::keys::{AUTH_METHODS, CLOUDS, WORKSPACE};
use super::reader::{Fields, Reader, excerpt};
use super::source::{Entry, Node, Yaml};
use super::{Cloud, Workspace, steps, words};

impl Cloud {
    /// Every cloud, in the order of the words of `cloud`.
    pub const ALL: [Self; 3] = [Self::Public, Self::China, Self::UsGovernment];

    /// Returns what follows a workspace's name in its address.
    pub const fn host_suffix(self) -> &'static str {
        match self {
            Self::Public => ".dev.azuresynapse.net",
            Self::China => ".dev.azuresynapse.azure.cn",
            Self::UsGovernment => ".dev.azuresynapse.usgovcloudapi.net",
        }
    }

    /// Returns the word of the plan language.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Public => CLOUDS[0],
            Self::China => CLOUDS[1],
            Self::UsGovernment => CLOUDS[2],
        }
    }
}

/// Reads `workspace` or `workspaces`, and what the chosen environment has in their place. Gives nothing if none can be
/// used.
pub(super) fn read<'n, 'a: 'n>(
    reader: &mut Reader<'a>,
    top: Fields<'n>,
    layers: &Layers<'n>,
    plan: Span,
) -> Vec<Workspace> {
    let mut workspaces = own(reader, top, plan);
    let keys: Vec<String> = workspaces.iter().map(|workspace| workspace.key.clone()).collect();
    for place in layers.places("workspaces") {
        let Some(environment) = place.environment else { continue };
        let what = format!("`workspaces` of the environment `{environment}`");
        let Some(entries) = reader.map(&place.entry.value, &what) else { continue };
        for entry in entries {
            let key = entry.key.key_text(reader.text).unwrap_or_default();
            let Some(position) = keys.iter().position(|known| known == key) else {
                // Where the plan's own cannot be read, nobody knows what is missing.
                if !keys.is_empty() {
                    reader.report(undeclared(key, entry.key.span(), &keys));
                }
                continue;
            };
            // A whole workspace takes the place of a whole one: nothing of the other is left.
            if let Some(workspace) = one(reader, entry, key)
                && place.counts
            {
                workspaces[position] = workspace;
            }
        }
    }
    workspaces
}

fn undeclared(key: &str, span: Span, declared: &[String]) -> Diagnostic {
    let names = || declared.iter().map(String::as_str);
    let finding = Diagnostic::at(Code::UnknownWorkspace, span, format!("the plan has no workspace `{key}`"));
    let finding = match words::nearest(key, names()) {
        Some(near) => finding.label(format!("did you mean `{near}`?")),
        None => finding,
    };
    finding.help(format!(
        "an environment says where the plan's own workspaces are: {}; declare others at the top",
        words::list(names(), "and")
    ))
}

fn own(reader: &mut Reader<'_>, top: Fields<'_>, plan: Span) -> Vec<Workspace> {
    match (top.entry("workspace"), top.entry("workspaces")) {
        (Some(short), Some(long)) => {
            reader.report(
                Diagnostic::at(Code::KeysExclude, short.key.span(), "a plan has `workspace` or `workspaces`, not both")
                    .also(long.key.span(), "the other one")
                    .help("`workspace: NAME` is short for `workspaces: { main: { name: NAME } }`: keep `workspaces`"),
            );
            several(reader, &long.value)
        }
        (Some(short), None) if matches!(short.value.value, Yaml::Map(_)) => {
            let help =
                "`workspace` is the name alone: write `workspaces: { main: { endpoint: \"https://...\" } }`";
            reader.wrong_type::<()>(&short.value, "`workspace`", "a text", help);
            Vec::new()
        }
        (Some(short), None) => {
            let name = azure_name(reader, &short.value, "`workspace`");
            name.map(|name| named("main", name, Cloud::Public)).into_iter().collect()
        }
        (None, Some(long)) => several(reader, &long.value),
        (None, None) if top.lacks("workspace") && top.lacks("workspaces") => {
            reader.report(
                Diagnostic::at(Code::MissingKey, plan, "the plan names no workspace")
                    .help("add `workspace:` and the name of your Synapse workspace"),
            );
            Vec::new()
        }
        (None, None) => Vec::new(),
    }
}

fn several(reader: &mut Reader<'_>, node: &Node) -> Vec<Workspace> {
    let Some(entries) = reader.map(node, "`workspaces`") else { return Vec::new() };
    if entries.is_empty() {
        reader.report(
            Diagnostic::at(Code::EmptyCollection, node.span(), "`workspaces` is empty")
                .help("add one: `main: { name: contoso-dw }`"),
        );
    }
    let text = reader.text;
    let named = entries.iter().map(|entry| {
        let key = entry.key.key_text(text).unwrap_or_default();
        // A wrong one has been reported; it keeps its place, so that the steps that use it are right.
        one(reader, entry, key).unwrap_or_else(|| named(key, key, Cloud::Public))
    });
    named.collect()
}

fn one(reader: &mut Reader<'_>, Entry { key, value }: &Entry, name: &str) -> Option<Workspace> {
    steps::check_id(reader, key, name, "a workspace's key");
    let what = format!("the workspace `{name}`");
    let fields = reader.fields(value, &what, &WORKSPACE, key.span())?;
    let cloud = fields.get("cloud").map(|node| {
        let word = reader.word(node, "`cloud`", &CLOUDS);
        word.map_or(Cloud::Public, |n| Cloud::ALL[n])
    });
    let tenant = fields.get("tenant").and_then(|node| tenant(reader, node));
    let auth = fields.get("auth").and_then(|node| reader.word(node, "`auth`", &AUTH_METHODS));
    let auth = auth.map(|n| AUTH_METHODS[n]);
    if let (Some(entry), Some(MANAGED_IDENTITY)) = (fields.entry("tenant"), auth) {
        reader.report(
            Diagnostic::at(
                Code::NoEffect,
                entry.key.span(),
                "`tenant` changes nothing for a managed identity",
            )
            .help("remove it: the identity of a machine belongs to the tenant of its subscription"),
        );
    }
    match (fields.entry("name"), fields.entry("endpoint")) {
        (Some(short), Some(long)) => {
            reader.report(
                Diagnostic::at(
                    Code::KeysExclude,
                    long.key.span(),
                    format!("{what} has both `name` and `endpoint`"),
                )
                .also(short.key.span(), "the other one")
                .help("keep `name`; `endpoint` is for addresses that do not follow from the name"),
            );
            None
        }
        (Some(entry), None) => {
            let own = azure_name(reader, &entry.value, "`name`")?;
            Some(Workspace { tenant, auth, ..named(name, own, cloud.unwrap_or_default()) })
        }
        (None, Some(entry)) => {
            let text = reader.text(&entry.value, "`endpoint`")?;
            match endpoint(text, cloud) {
                Ok((own, endpoint)) => Some(Workspace {
                    key: name.to_owned(),
                    name: own,
                    endpoint,
                    cloud: cloud.unwrap_or_default(),
                    tenant,
                    auth,
                }),
                Err((message, help)) => {
                    reader.report(Diagnostic::at(Code::BadEndpoint, entry.value.span(), message).help(help));
                    None
                }
            }
        }
        (None, None) if !fields.lacks("name") || !fields.lacks("endpoint") => None,
        (None, None) => {
            reader.report(
                Diagnostic::at(
                    Code::MissingKey,
                    key.span(),
                    format!("{what} has neither `name` nor `endpoint`"),
                )
                .help("add `name:` and the workspace's name in Azure"),
            );
            None
        }
    }
}

fn named(key: &str, name: &str, cloud: Cloud) -> Workspace {
    Workspace {
        key: key.to_owned(),
        name: name.to_owned(),
        endpoint: format!("https://{name}{}", cloud.host_suffix()),
        cloud,
        tenant: None,
        auth: None,
    }
}

/// The one of [`AUTH_METHODS`] that knows no other tenant than its own.
const MANAGED_IDENTITY: &str = "managed_identity";

/// Returns a directory's GUID or domain: it becomes part of an address.
fn tenant(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    const HELP: &str = "write the tenant's GUID, which `az account show --query tenantId` tells, or its domain: `contoso.onmicrosoft.com`";
    let text = reader.words(node, "`tenant`", HELP)?;
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_guid = text.len() == 36 && uuid::Uuid::try_parse(text).is_ok();
    let is_domain = text.len() <= 253 && text.contains('.') && text.split('.').all(label);
    if is_guid || is_domain {
        return Some(text.to_owned());
    }
    let message = format!("`{}` is neither a tenant's GUID nor its domain", excerpt(text));
    reader.report(Diagnostic::at(Code::BadTenant, node.span(), message).help(HELP));
    None
}

/// Returns a workspace's name if Azure could have given it: it becomes part of an address.
fn azure_name<'n, 'a: 'n>(reader: &mut Reader<'a>, node: &'n Node, what: &str) -> Option<&'n str> {
    let name = reader.words(node, what, "write the workspace's name in Azure: `contoso-dw`")?;
    if is_azure_name(name) {
        return Some(name);
    }
    let finding =
        Diagnostic::at(Code::BadName, node.span(), format!("`{name}` cannot be a workspace's name"));
    let host = name.strip_prefix("https://").unwrap_or(name).trim_end_matches('/');
    let inner = host.strip_suffix(Cloud::Public.host_suffix()).filter(|own| !own.contains(['.', '/', ':']));
    reader.report(if let Some(own) = inner {
        finding.help(format!("this is its address: write the name alone, `{own}`"))
    } else if name.contains("://") || name.contains('.') {
        finding.help("this is an address: write `workspaces: { main: { endpoint: \"https://...\" } }`")
    } else {
        finding.help("Azure allows letters, digits and `-`, at most 63 of them")
    });
    None
}

fn is_azure_name(name: &str) -> bool {
    let fits = (1..=63).contains(&name.len()) && !name.starts_with('-');
    fits && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Returns the workspace that somebody names without a plan: by its name in the public cloud, or by its address.
///
/// Fails with what is wrong with the text, and what to write.
pub fn workspace_at(text: &str) -> Result<Workspace, (String, String)> {
    if is_azure_name(text) {
        return Ok(named("main", text, Cloud::Public));
    }
    if !text.contains("://") {
        let help = "write the name alone, `contoso-dw`, or the whole address, `https://contoso-dw.dev.azuresynapse.net`";
        return Err((format!("`{}` cannot be a workspace's name", excerpt(text)), help.to_owned()));
    }
    let host = text.to_ascii_lowercase();
    let cloud = Cloud::ALL.into_iter().find(|cloud| host.contains(cloud.host_suffix())).unwrap_or_default();
    let (name, endpoint) = endpoint(text, Some(cloud))?;
    Ok(Workspace { endpoint, ..named("main", &name, cloud) })
}

/// Checks an address; gives the workspace's name and the address without a slash at the end.
fn endpoint(text: &str, cloud: Option<Cloud>) -> Result<(String, String), (String, String)> {
    let refuse = |message: String, help: &str| Err((message, help.to_owned()));
    let (is_https, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return refuse(format!("`{text}` is no address"), "an endpoint begins with `https://`"),
    };
    let rest = rest.trim_end_matches('/');
    let (host, port) = split_port(rest);
    let is_host = !host.is_empty()
        && (ip(host).is_some()
            || host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
                && !host.starts_with(['-', '.']));
    if !is_host || port.is_some_and(|port| port.parse::<u16>().is_err()) {
        let help = "write only the host, for example `https://contoso-dw.dev.azuresynapse.net`: no path, no query, no user";
        return refuse(format!("`{text}` is no endpoint"), help);
    }
    if !is_https && !is_loopback(host) {
        return refuse(
            format!("`{text}` would send tokens unencrypted"),
            "write `https://`; plain http is for this machine only (127.0.0.1, ::1, localhost)",
        );
    }
    let lower = host.to_ascii_lowercase();
    let of = Cloud::ALL.into_iter().find_map(|cloud| Some((cloud, lower.strip_suffix(cloud.host_suffix())?)));
    if let Some((real, _)) = of
        && real != cloud.unwrap_or_default()
    {
        let help = format!("write `cloud: {}`: it decides where to sign in", real.word());
        return Err((format!("`{host}` is in the cloud `{}`", real.word()), help));
    }
    let name = of.map_or(host, |(_, name)| name).to_owned();
    let scheme = if is_https { "https" } else { "http" };
    Ok((name, format!("{scheme}://{rest}")))
}

/// Splits `host:port`; the host of `[::1]:80` keeps its brackets.
pub(super) fn split_port(rest: &str) -> (&str, Option<&str>) {
    match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (rest, None),
    }
}

fn ip(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

/// Says whether a host is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || ip(host).is_some_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{Cloud, endpoint, workspace_at};

    #[test]
    fn a_workspace_is_named_or_addressed() {
        let check = |text: &str, want: &str| {
            let got = match workspace_at(text) {
                Ok(it) => format!("{} {} {}", it.name, it.endpoint, it.cloud.word()),
                Err((message, _)) => message,
            };
            assert_eq!(got, want, "{text}");
        };
        check("contoso-dw", "contoso-dw https://contoso-dw.dev.azuresynapse.net public");
        check(
            "https://contoso-dw.dev.azuresynapse.net/",
            "contoso-dw https://contoso-dw.dev.azuresynapse.net public",
        );
        check("https://R.dev.azuresynapse.azure.cn", "r https://R.dev.azuresynapse.azure.cn china");
        check("http://127.0.0.1:8080", "127.0.0.1 http://127.0.0.1:8080 public");
        check(
            "contoso-dw.dev.azuresynapse.net",
            "`contoso-dw.dev.azuresynapse.net` cannot be a workspace's name",
        );
        check("", "`` cannot be a workspace's name");
        check("http://a.net", "`http://a.net` would send tokens unencrypted");
    }

    #[test]
    fn checks_endpoints() {
        let check = |text: &str, cloud: Option<Cloud>, want: &str| {
            let got = endpoint(text, cloud)
                .map_or_else(|(message, _)| message, |(name, at)| format!("{name} {at}"));
            assert_eq!(got, want, "{text}");
        };
        check("https://a-dw.dev.azuresynapse.net/", None, "a-dw https://a-dw.dev.azuresynapse.net");
        check("http://127.0.0.1:8080", None, "127.0.0.1 http://127.0.0.1:8080");
        check("http://[::1]:8080", None, "[::1] http://[::1]:8080");
        check("http://localhost:1", None, "localhost http://localhost:1");
        check("https://proxy.contoso.com:8443", None, "proxy.contoso.com https://proxy.contoso.com:8443");
        check("http://a.net", None, "`http://a.net` would send tokens unencrypted");
        check("http://localhost.evil.net", None, "`http://localhost.evil.net` would send tokens unencrypted");
        check("http://127.0.0.1.evil.net", None, "`http://127.0.0.1.evil.net` would send tokens unencrypted");
        check("a.net", None, "`a.net` is no address");
        check("https://", None, "`https://` is no endpoint");
        check("https://user@a.net", None, "`https://user@a.net` is no endpoint");
        check("https://a.net/path", None, "`https://a.net/path` is no endpoint");
        check("https://a.net:99999", None, "`https://a.net:99999` is no endpoint");
        let china = "https://r.dev.azuresynapse.azure.cn";
        check(china, Some(Cloud::China), "r https://r.dev.azuresynapse.azure.cn");
        check(china, None, "`r.dev.azuresynapse.azure.cn` is in the cloud `china`");
    }
}
