//! One HTTP request and what came of it: an [`Answer`], or the reason why there is none.
//!
//! Never sends anything twice and follows no redirect: whether to ask again is for others to say.
//! Knows nothing of Synapse. No text made here holds a URL's query, a token or a body that we sent.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::{Method, RequestBuilder, Url};
use serde::de::DeserializeOwned;

use crate::synapse::endpoint::{Endpoint, is_loopback, is_secure};
use crate::time::{Delay, Timestamp};

/// The longest wait that we take from a service.
const RETRY_AFTER_MAX: Delay = Delay::from_secs(3600);

/// How much of an answer that is no JSON is shown to people.
const TEXT_START_CHARS: usize = 200;

/// Limits and surroundings of every request.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// How long making a connection may take.
    pub connect_timeout: Delay,
    /// How long a request may take, connection and answer included.
    pub total_timeout: Delay,
    /// The longest answer that is read, after unpacking.
    pub body_bytes_max: usize,
    /// Certificates (PEM) that are trusted besides the system's.
    pub extra_roots_pem: Option<Vec<u8>>,
    /// Whether the proxy that the surroundings name is used. Loopback never goes through it.
    pub use_system_proxy: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Delay::from_secs(10),
            total_timeout: Delay::from_secs(60),
            body_bytes_max: 64 << 20,
            extra_roots_pem: None,
            use_system_proxy: true,
        }
    }
}

/// Sends requests. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Http {
    outward: reqwest::Client,
    /// For loopback, where a proxy would look for the service on its own machine.
    direct: reqwest::Client,
    body_bytes_max: usize,
    total_timeout: Delay,
}

impl Http {
    /// Prepares to send; touches no network.
    ///
    /// Fails where the extra certificates cannot be read or TLS cannot be set up.
    pub fn new(settings: &HttpSettings) -> Result<Self, HttpError> {
        let direct = builder(settings)?.no_proxy().build().map_err(HttpError::Tls)?;
        let outward = if settings.use_system_proxy {
            builder(settings)?.build().map_err(HttpError::Tls)?
        } else {
            direct.clone()
        };
        let HttpSettings { body_bytes_max, total_timeout, .. } = *settings;
        Ok(Self { outward, direct, body_bytes_max, total_timeout })
    }

    /// Knocks at a host without any token: a name, a connection and TLS are right if anything answers,
    /// whatever it says. Returns its clock as the answer shows it.
    ///
    /// Fails if nothing answers within `limit`.
    pub async fn knock(&self, endpoint: &Endpoint, limit: Delay) -> Result<Option<Timestamp>, NoAnswer> {
        let request = self.request(Method::GET, endpoint.root());
        self.send_within(limit, request).await.map(|answer| answer.server_time())
    }

    /// Sends a text to an address that is none of Synapse's, once and without a token, and returns how it was answered.
    ///
    /// Fails where nothing may be sent there or what is to be sent is no request, and if nothing answers within `limit`.
    pub async fn post_text(
        &self,
        url: &str,
        headers: &[(String, String)],
        body: String,
        limit: Delay,
    ) -> Result<StatusCode, PostFailure> {
        let url = Url::parse(url).map_err(|_| PostFailure::Unfit("its address is no URL"))?;
        if !is_secure(&url) {
            return Err(PostFailure::Unfit("its address is not https"));
        }
        let mut fields = HeaderMap::new();
        for (name, value) in headers {
            let pair = name.parse::<HeaderName>().ok().zip(HeaderValue::try_from(value).ok());
            let (name, mut value) = pair.ok_or(PostFailure::Unfit("one of its headers cannot be sent"))?;
            value.set_sensitive(true);
            fields.append(name, value);
        }
        let request = self.request(Method::POST, url).headers(fields).body(body);
        self.send_within(limit, request).await.map(|answer| answer.status).map_err(PostFailure::NoAnswer)
    }

    /// Sends a request that others have prepared, once and without a token. Plain http may be meant: whoever named the
    /// address has chosen it.
    ///
    /// Fails if nothing whole answers within `limit`.
    #[cfg(feature = "otel")]
    pub async fn forward(
        &self,
        request: http::Request<Vec<u8>>,
        limit: Delay,
    ) -> Result<http::Response<Vec<u8>>, NoAnswer> {
        let broken = |cause: String| NoAnswer::of(NoAnswerKind::Cut, cause);
        let (parts, body) = request.into_parts();
        let url = Url::parse(&parts.uri.to_string()).map_err(|error| broken(error.to_string()))?;
        let request = self.request(parts.method, url).headers(parts.headers).body(body);
        let Answer { status, headers, body } = self.send_within(limit, request).await?;
        let mut response = http::Response::new(body.map_err(|error| broken(error.to_string()))?);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let client = if is_loopback(&url) { &self.direct } else { &self.outward };
        client.request(method, url)
    }

    /// Prepares a request that never goes through a proxy.
    pub(super) fn request_direct(&self, method: Method, url: Url) -> RequestBuilder {
        self.direct.request(method, url)
    }

    /// Sends one request, once, and gives up after `limit` if that comes before our own.
    pub(super) async fn send_within(
        &self,
        limit: Delay,
        request: RequestBuilder,
    ) -> Result<Answer, NoAnswer> {
        self.send(request.timeout(limit.min(self.total_timeout).to_std())).await
    }

    /// Sends one request, once.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Answer, NoAnswer> {
        let mut response = request.send().await.map_err(|error| NoAnswer::new(&error))?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let body = self.read(response).await;
        Ok(Answer { status, headers, body })
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Vec<u8>, BodyError> {
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => return Ok(body),
                Ok(Some(chunk)) if chunk.len() > self.body_bytes_max - body.len() => {
                    return Err(BodyError::TooLong { bytes_max: self.body_bytes_max });
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Err(error) => return Err(BodyError::Cut(NoAnswer::new(&error))),
            }
        }
    }
}

fn builder(settings: &HttpSettings) -> Result<reqwest::ClientBuilder, HttpError> {
    let roots = match &settings.extra_roots_pem {
        Some(pem) => match reqwest::Certificate::from_pem_bundle(pem) {
            Ok(roots) if !roots.is_empty() => roots,
            Ok(_) => return Err(HttpError::NoCertificate),
            Err(error) => return Err(HttpError::Tls(error)),
        },
        None => Vec::new(),
    };
    // By default reqwest sends again after some HTTP/2 errors and follows a 307 with the same POST.
    Ok(reqwest::Client::builder()
        .retry(reqwest::retry::never())
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(settings.connect_timeout.to_std())
        .timeout(settings.total_timeout.to_std())
        .tls_certs_merge(roots)
        .tcp_keepalive(Duration::from_secs(60))
        .user_agent(concat!("synflow/", env!("CARGO_PKG_VERSION"))))
}

/// Why requests cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The extra certificates are none.
    #[error("the extra certificates hold no certificate in PEM")]
    NoCertificate,
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] reqwest::Error),
}

/// Why a text was not taken by anybody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostFailure {
    /// It is no request that may be sent.
    #[error("{0}")]
    Unfit(&'static str),
    /// It has no answer.
    #[error("{0}")]
    NoAnswer(NoAnswer),
}

/// A status line with headers, and the body as far as it came.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Result<Vec<u8>, BodyError>,
}

impl Answer {
    /// Returns the answer with these parts.
    pub const fn new(status: StatusCode, headers: HeaderMap, body: Result<Vec<u8>, BodyError>) -> Self {
        Self { status, headers, body }
    }

    /// Returns the body read as JSON; an empty one is null. Fails with a text for people.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        let body = self.body.as_ref().map_err(ToString::to_string)?;
        let read = if body.trim_ascii().is_empty() {
            serde_json::from_slice(b"null")
        } else {
            serde_json::from_slice(body)
        };
        read.map_err(|_| self.describe())
    }

    /// Says what stands in the body, for people.
    pub(super) fn describe(&self) -> String {
        let body = match &self.body {
            Ok(body) => String::from_utf8_lossy(body),
            Err(error) => return error.to_string(),
        };
        let words = body.split_whitespace().collect::<Vec<_>>().join(" ");
        match words.char_indices().nth(TEXT_START_CHARS) {
            _ if words.is_empty() => "an empty answer".to_owned(),
            Some((end, _)) => format!("`{}...`", &words[..end]),
            None => format!("`{words}`"),
        }
    }

    /// Returns the service's clock as the answer shows it.
    pub fn server_time(&self) -> Option<Timestamp> {
        http_date(self.header("date")?)
    }

    /// Returns how long the service asks us to wait: the first of three headers that says it, cut to
    /// an hour (protocol 6.4). A date counts from the answer's own.
    pub(super) fn retry_after(&self) -> Option<Delay> {
        let standard = self.header("retry-after").and_then(|text| {
            let seconds = text.parse().ok().map(Delay::from_secs);
            seconds.or_else(|| Some(http_date(text)?.since(self.server_time()?)))
        });
        let in_ms = |name| self.header(name)?.parse().ok().map(Delay::from_ms);
        let asked = standard.or_else(|| in_ms("retry-after-ms")).or_else(|| in_ms("x-ms-retry-after-ms"))?;
        Some(asked.min(RETRY_AFTER_MAX))
    }

    /// Returns the id that support asks for.
    pub(super) fn correlation(&self) -> Option<&str> {
        self.header("x-ms-correlation-request-id").or_else(|| self.header("x-ms-request-id"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let text = self.headers.get(name)?.to_str().ok()?.trim();
        (!text.is_empty()).then_some(text)
    }
}

fn http_date(text: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp::from_epoch_ms(zoned.timestamp().as_millisecond()))
}

/// Why a body is not whole.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is more than we are ready to read.
    #[error("an answer longer than {bytes_max} bytes")]
    TooLong {
        /// How much that is.
        bytes_max: usize,
    },
    /// The connection ended before it did.
    #[error("an answer that broke off ({0})")]
    Cut(NoAnswer),
}

/// How a request came to have no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswerKind {
    /// The host's name is not known. Nothing was sent.
    NameNotFound,
    /// Nobody listens there. Nothing was sent.
    ConnectionRefused,
    /// TLS could not be agreed upon.
    Tls,
    /// It took too long.
    TimedOut,
    /// The connection broke.
    Cut,
}

/// The reason why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    /// The kind, for programs.
    pub kind: NoAnswerKind,
    /// The cause, for people.
    cause: String,
}

impl NoAnswer {
    /// Returns the reason of this kind.
    pub const fn of(kind: NoAnswerKind, cause: String) -> Self {
        Self { kind, cause }
    }

    fn new(error: &reqwest::Error) -> Self {
        let cause = innermost(error).to_string();
        let kind = if error.is_timeout() {
            NoAnswerKind::TimedOut
        } else if !error.is_connect() {
            NoAnswerKind::Cut
        } else if error.is_dns() {
            NoAnswerKind::NameNotFound
        } else if is_refused(error) {
            NoAnswerKind::ConnectionRefused
        } else if cause.contains("certificate") || cause.contains("TLS") {
            NoAnswerKind::Tls
        } else {
            NoAnswerKind::Cut
        };
        Self { kind, cause }
    }

    /// Says in a sentence what became of a request to a host.
    pub(super) fn at(&self, host: &str) -> String {
        match self.kind {
            NoAnswerKind::NameNotFound | NoAnswerKind::ConnectionRefused | NoAnswerKind::Tls => {
                format!("cannot reach {host}: {self}")
            }
            NoAnswerKind::TimedOut => format!("{host} did not answer in time"),
            NoAnswerKind::Cut => format!("{host} did not answer: {self}"),
        }
    }

    /// Says whether the request certainly never reached anybody.
    pub const fn is_never_sent(&self) -> bool {
        matches!(self.kind, NoAnswerKind::NameNotFound | NoAnswerKind::ConnectionRefused)
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            NoAnswerKind::NameNotFound => f.write_str("there is no host of this name"),
            NoAnswerKind::ConnectionRefused => f.write_str("the connection was refused"),
            NoAnswerKind::Tls => write!(f, "no secure connection: {}", self.cause),
            NoAnswerKind::TimedOut => f.write_str("no answer in time"),
            // What the libraries say of a plain end depends on who noticed it first, and helps nobody.
            NoAnswerKind::Cut if is_plain_end(&self.cause) => f.write_str("the connection broke"),
            NoAnswerKind::Cut => write!(f, "the connection broke: {}", self.cause),
        }
    }
}

fn is_plain_end(cause: &str) -> bool {
    ["before message completed", "reset by peer", "roken pipe", "unexpected end of file", "unexpected EOF"]
        .iter()
        .any(|end| cause.contains(end))
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

fn innermost(error: &reqwest::Error) -> &(dyn Error + 'static) {
    sources(error).last().expect("the chain begins with the error itself")
}

fn is_refused(error: &reqwest::Error) -> bool {
    sources(error)
        .filter_map(|source| source.downcast_ref::<io::Error>())
        .any(|source| source.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
    use reqwest::Method;
    use reqwest::dns::{Name, Resolve, Resolving};

    use super::{Answer, Http, HttpSettings, NoAnswerKind, builder};
    use crate::time::Delay;

    /// Knows no name.
    struct Nowhere;

    impl Resolve for Nowhere {
        fn resolve(&self, _: Name) -> Resolving {
            Box::pin(async { Err("failed to lookup address information".into()) })
        }
    }

    #[tokio::test]
    async fn a_name_that_is_not_known_was_never_asked() {
        let settings = HttpSettings::default();
        let builder = builder(&settings).expect("TLS").no_proxy().dns_resolver(Arc::new(Nowhere));
        let client = builder.build().expect("TLS");
        let total_timeout = settings.total_timeout;
        let http = Http { outward: client.clone(), direct: client, body_bytes_max: 1, total_timeout };
        let request = http.request(Method::GET, "https://contoso.example".parse().expect("a URL"));
        let failure = http.send(request).await.expect_err("no host");
        assert_eq!(failure.kind, NoAnswerKind::NameNotFound);
        assert!(failure.is_never_sent());
    }

    fn answer(headers: &[(&'static str, &'static str)], body: &str) -> Answer {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect::<HeaderMap>();
        Answer { status: StatusCode::OK, headers, body: Ok(body.as_bytes().to_vec()) }
    }

    #[test]
    fn extra_certificates_must_be_some() {
        let check = |pem: &[u8], is_taken: bool| {
            let settings = HttpSettings { extra_roots_pem: Some(pem.to_vec()), ..HttpSettings::default() };
            assert_eq!(Http::new(&settings).is_ok(), is_taken, "{}", String::from_utf8_lossy(pem));
        };
        check(include_bytes!("../../tests/auth/client.pem"), true);
        check(b"", false);
        check(b"not a certificate", false);
        check(b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", false);
    }

    #[test]
    fn reads_every_form_of_retry_after() {
        let check = |headers: &[(&'static str, &'static str)], want_ms: Option<u64>| {
            assert_eq!(answer(headers, "").retry_after().map(Delay::as_ms), want_ms, "{headers:?}");
        };
        let date = ("date", "Tue, 24 Nov 2026 02:13:36 GMT");
        check(&[], None);
        check(&[("retry-after", "7")], Some(7_000));
        check(&[("retry-after", "Tue, 24 Nov 2026 02:13:46 GMT"), date], Some(10_000));
        check(&[("retry-after", "Tue, 24 Nov 2026 02:13:26 GMT"), date], Some(0));
        check(&[("retry-after", "Tue, 24 Nov 2026 02:13:46 GMT")], None);
        check(&[("retry-after", "soon"), ("retry-after-ms", "250")], Some(250));
        check(&[("x-ms-retry-after-ms", "1500")], Some(1_500));
        check(&[("retry-after", "3"), ("x-ms-retry-after-ms", "1500")], Some(3_000));
        check(&[("retry-after", "999999999999")], Some(3_600_000));
        check(&[("retry-after", "-5")], None);
    }

    #[test]
    fn describes_what_is_no_json() {
        let check = |body: &str, want: &str| assert_eq!(answer(&[], body).describe(), want);
        check("", "an empty answer");
        check(" <html>\n  <b>Bad</b> ", "`<html> <b>Bad</b>`");
        check(&"ö".repeat(300), &format!("`{}...`", "ö".repeat(200)));
    }

    #[test]
    fn keeps_the_servers_clock_and_correlation() {
        let seen = answer(
            &[
                ("date", "Tue, 24 Nov 2026 02:13:36 GMT"),
                ("x-ms-request-id", "r"),
                ("x-ms-correlation-request-id", "c"),
            ],
            "",
        );
        assert_eq!(seen.server_time().expect("it is right").to_string(), "2026-11-24T02:13:36.000Z");
        assert_eq!(seen.correlation(), Some("c"));
    }
}
