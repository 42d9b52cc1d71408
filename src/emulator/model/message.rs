//! A call and its answer as plain data, with no transport behind them.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::time::Delay;

/// A call as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method, in capitals.
    pub method: String,
    /// Scheme, host and port the caller used: `http://127.0.0.1:4711`.
    pub origin: String,
    /// The path, still percent-encoded.
    pub path: String,
    /// The query without its `?`, still percent-encoded.
    pub query: String,
    /// Headers in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body, empty if there is none.
    pub body: Vec<u8>,
}

/// What the caller gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Headers, without those a transport adds by itself.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What the transport does with it.
    pub fate: Fate,
    /// How long the transport waits before it does that.
    pub delay: Delay,
}

/// What the transport does with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Sends it.
    Deliver,
    /// Ends the connection without a byte of it.
    Cut,
    /// Sends the head and half the body, then ends the connection.
    CutInBody,
}

impl Request {
    /// Returns a request for `target`, a path with or without a query.
    pub fn new(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method: method.to_owned(),
            origin: "https://workspace.dev.azuresynapse.net".to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            ..Self::default()
        }
    }

    /// Returns the request with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Returns the request with a JSON body.
    #[must_use]
    pub fn with_json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.with_header("content-type", "application/json")
    }

    /// Returns the first header of this name, compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Returns every query member, decoded, in order.
    pub fn query_members(&self) -> Vec<(String, String)> {
        form_members(&self.query)
    }

    /// Returns the first query member of this name, compared without case as the service does.
    pub fn query_member(&self, name: &str) -> Option<String> {
        self.query_members()
            .into_iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Returns whether a query member says `true`.
    pub(super) fn query_flag(&self, name: &str) -> bool {
        self.query_member(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Reads the body as JSON: nothing where it is empty, an error where it is no JSON.
    pub(super) fn json(&self) -> Result<Option<Value>, serde_json::Error> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        serde_json::from_slice(&self.body).map(Some)
    }
}

impl Answer {
    /// Returns an answer without a body.
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), fate: Fate::Deliver, delay: Delay::ZERO }
    }

    /// Returns an answer in JSON.
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self { body: body.to_string().into_bytes(), ..Self::empty(status) }
            .with_header("content-type", "application/json; charset=utf-8")
    }

    /// Returns an error in the shape of the definitions' side: `{"code","message"}`.
    pub(super) fn flat_error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &json!({ "code": code, "message": message }))
    }

    /// Returns an error in the shape of the permissions' side: `{"error":{"code","message"}}`.
    pub(super) fn wrapped_error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &json!({ "error": { "code": code, "message": message } }))
    }

    /// Returns an error in the shape of the runs' side, with `target` and `details`.
    pub(super) fn run_error(status: u16, code: &str, message: &str, target: &str) -> Self {
        let error = json!({ "code": code, "message": message, "target": target, "details": null });
        Self::json(status, &json!({ "error": error }))
    }

    /// Returns the answer with one more header.
    #[must_use]
    pub(super) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Returns the first header of this name, compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the body as JSON, or null where it is none.
    pub fn body_json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// Reads `a=1&b=2` as a query or a form: `+` is a space, `%41` an A. A broken escape stays as it is.
pub(super) fn form_members(text: &str) -> Vec<(String, String)> {
    let parts = text.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decoded(&name.replace('+', " ")), decoded(&value.replace('+', " ")))
        })
        .collect()
}

/// Returns a path segment without its percent escapes, or nothing if that is no text.
pub(super) fn segment(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let (byte, tail) = if first == b'%' { (hex_byte(tail)?, &tail[2..]) } else { (first, tail) };
        bytes.push(byte);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

/// Returns a name as it stands in a path segment.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a text cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn decoded(text: &str) -> String {
    segment(text).unwrap_or_else(|| text.to_owned())
}

fn hex_byte(text: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(text.get(..2)?).ok()?;
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::{Request, encoded, segment};

    #[test]
    fn reads_names_that_need_escapes() {
        let check = |text: &str, want: Option<&str>| assert_eq!(segment(text).as_deref(), want, "{text}");
        check("Pipeline%201", Some("Pipeline 1"));
        check("a+b", Some("a+b"));
        check("%C3%A4", Some("ä"));
        check("%ff", None);
        check("%4", None);
        check("%zz", None);
        assert_eq!(encoded("Pipeline 1/ä"), "Pipeline%201%2F%C3%A4");
    }

    #[test]
    fn keeps_a_doubled_name_apart() {
        let request = Request::new("GET", "/pipelines?api-version=api-version=2020-12-01&x=a+b");
        assert_eq!(request.query_member("API-Version").as_deref(), Some("api-version=2020-12-01"));
        assert_eq!(request.query_member("x").as_deref(), Some("a b"));
        assert_eq!(request.query_member("y"), None);
    }
}
