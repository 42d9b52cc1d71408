//! Where a workspace and its sign-in live: clouds, endpoints and the paths below them.
//!
//! An [`Endpoint`] is https, or plain http on this very machine. Names become path segments here and
//! nowhere else, so that no name can lead a request to another path.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

/// The version of the service's interface that every call names (protocol 2.1).
const API_VERSION: &str = "2020-12-01";

/// An Azure cloud (protocol 1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cloud {
    /// Azure as most of the world knows it.
    #[default]
    Public,
    /// Azure operated by 21Vianet.
    China,
    /// Azure for the US Government.
    UsGovernment,
}

impl Cloud {
    /// Returns the audience that tokens for the data plane must name.
    pub const fn audience(self) -> &'static str {
        match self {
            Self::Public => "https://dev.azuresynapse.net",
            Self::China => "https://dev.azuresynapse.azure.cn",
            Self::UsGovernment => "https://dev.azuresynapse.usgovcloudapi.net",
        }
    }

    /// Returns the authority that issues tokens unless `AZURE_AUTHORITY_HOST` names another.
    pub const fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::China => "https://login.chinacloudapi.cn",
            Self::UsGovernment => "https://login.microsoftonline.us",
        }
    }

    const fn workspace_suffix(self) -> &'static str {
        match self {
            Self::Public => "dev.azuresynapse.net",
            Self::China => "dev.azuresynapse.azure.cn",
            Self::UsGovernment => "dev.azuresynapse.usgovcloudapi.net",
        }
    }
}

/// The root of a workspace's or an authority's paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
}

impl Endpoint {
    /// Reads a URL such as `https://contoso-dw.dev.azuresynapse.net`; a bare host means https.
    ///
    /// Fails for anything but https (http on loopback), and where the URL holds more than a host, a
    /// port and a path.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let fail = |reason| EndpointError { text: text.to_owned(), reason };
        let trimmed = text.trim();
        let parsed = if trimmed.contains("://") {
            Url::parse(trimmed)
        } else {
            Url::parse(&format!("https://{trimmed}"))
        };
        let url = parsed.map_err(|_| fail("it is no URL"))?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(fail("it names no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fail("it must not hold a user or password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(fail("it must end with the host or a path"));
        }
        match url.scheme() {
            _ if is_secure(&url) => Ok(Self { url }),
            "http" => {
                Err(fail("plain http is for this machine only (127.0.0.0/8, ::1, localhost); use https"))
            }
            _ => Err(fail("it must begin with https://")),
        }
    }

    /// Returns the endpoint of the workspace called `name`.
    ///
    /// Fails for a name that cannot be one: others than letters, digits and `-` could name another host.
    pub fn of_workspace(name: &str, cloud: Cloud) -> Result<Self, EndpointError> {
        let is_plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if !is_plain {
            let reason = "a workspace's name holds only letters, digits and `-`";
            return Err(EndpointError { text: name.to_owned(), reason });
        }
        Self::parse(&format!("https://{name}.{}", cloud.workspace_suffix()))
    }

    /// Returns the host, for people.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Says whether the way there is encrypted; what is not leads to this very machine.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Says whether it is on this very machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }

    pub(super) fn root(&self) -> Url {
        self.url.clone()
    }

    /// Returns the URL of a path made of `segments`, percent-encoded; nothing if one of them cannot
    /// stand in a path (empty, `.` and `..` would name another path).
    pub(super) fn path(&self, segments: &[&str]) -> Option<Url> {
        let is_safe = |segment: &&str| !matches!(*segment, "" | "." | "..");
        if !segments.iter().all(is_safe) {
            return None;
        }
        let mut url = self.url.clone();
        url.path_segments_mut().ok()?.pop_if_empty().extend(segments);
        Some(url)
    }

    /// Returns the same with the version of the service's interface in the query.
    pub(super) fn call(&self, segments: &[&str]) -> Option<Url> {
        let mut url = self.path(segments)?;
        url.query_pairs_mut().append_pair("api-version", API_VERSION);
        Some(url)
    }

    /// Says whether `url` leads to the same scheme, host and port, so that it may see our token.
    pub(super) fn owns(&self, url: &Url) -> bool {
        url.origin() == self.url.origin()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.url.as_str().trim_end_matches('/'))
    }
}

/// Why a text is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` cannot be used as an endpoint: {reason}")]
pub struct EndpointError {
    text: String,
    reason: &'static str,
}

/// Says whether a secret may be sent to `url`: https, or http on this very machine.
pub(super) fn is_secure(url: &Url) -> bool {
    url.scheme() == "https" || url.scheme() == "http" && is_loopback(url)
}

/// Says whether `url` leads to this very machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| host.eq_ignore_ascii_case("localhost"))
        || address(url).is_some_and(|address| address.is_loopback())
}

/// Says whether a managed identity may be asked at `url`. Those endpoints speak http, at addresses that
/// never leave the machine or its private network.
pub(super) fn is_machines_own(url: &Url) -> bool {
    let is_near = |address| match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_private(),
        IpAddr::V6(_) => false,
    };
    is_secure(url) || url.scheme() == "http" && address(url).is_some_and(is_near)
}

fn address(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Cloud, Endpoint};

    #[test]
    fn takes_https_and_loopback_only() {
        let check = |text: &str, want: Option<&str>| {
            let got = Endpoint::parse(text).ok().map(|endpoint| endpoint.to_string());
            assert_eq!(got.as_deref(), want, "{text}");
        };
        check("https://contoso.dev.azuresynapse.net/", Some("https://contoso.dev.azuresynapse.net"));
        check("login.microsoftonline.us", Some("https://login.microsoftonline.us"));
        check("http://127.0.0.2:8080", Some("http://127.0.0.2:8080"));
        check("http://[::1]:8080", Some("http://[::1]:8080"));
        check("http://localhost:1/base/", Some("http://localhost:1/base"));
        check("http://contoso.dev.azuresynapse.net", None);
        check("http://localhost.example.com", None);
        check("http://127.0.0.1.example.com", None);
        check("http://128.0.0.1", None);
        check("ftp://localhost", None);
        check("https://user:word@contoso.dev.azuresynapse.net", None);
        check("https://contoso.dev.azuresynapse.net/?a=b", None);
        check("", None);
    }

    #[test]
    fn a_workspace_name_stays_inside_its_cloud() {
        let check = |name: &str, cloud, want: Option<&str>| {
            let got = Endpoint::of_workspace(name, cloud).ok().map(|endpoint| endpoint.host().to_owned());
            assert_eq!(got.as_deref(), want, "{name}");
        };
        check("contoso-dw", Cloud::Public, Some("contoso-dw.dev.azuresynapse.net"));
        check("contoso-dw", Cloud::China, Some("contoso-dw.dev.azuresynapse.azure.cn"));
        check("contoso-dw", Cloud::UsGovernment, Some("contoso-dw.dev.azuresynapse.usgovcloudapi.net"));
        check("evil.example.com/", Cloud::Public, None);
        check("evil@example", Cloud::Public, None);
        check("", Cloud::Public, None);
    }

    #[test]
    fn a_name_is_one_segment() {
        let endpoint = Endpoint::parse("http://localhost:1/base").expect("it is right");
        let check = |name: &str, want: Option<&str>| {
            let got = endpoint.path(&["pipelines", name]).map(|url| url.to_string());
            assert_eq!(got.as_deref(), want, "{name}");
        };
        check("Pipeline 1", Some("http://localhost:1/base/pipelines/Pipeline%201"));
        check("a/b?c#d%e", Some("http://localhost:1/base/pipelines/a%2Fb%3Fc%23d%25e"));
        check("größe", Some("http://localhost:1/base/pipelines/gr%C3%B6%C3%9Fe"));
        check("..", None);
        check(".", None);
        check("", None);
    }
}
