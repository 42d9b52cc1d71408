//! Writes every exchange to a file in the form of the recordings (`tests/wire/README.md`), tokens removed.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::emulator::model::{Answer, Fate, Request};
use crate::time::Timestamp;

/// A file that is a whole JSON list after every exchange.
#[derive(Debug)]
pub(super) struct Recorder {
    file: File,
    is_empty: bool,
}

const END: &[u8] = b"\n]\n";
/// Members of answers that let their reader in.
const TOKENS: [&str; 3] = ["access_token", "refresh_token", "id_token"];
/// The member of a vault's answer that is the secret.
const SECRET: &str = "value";
/// Request headers worth keeping; authorization is not among them.
const HEADERS: [&str; 5] =
    ["content-type", "if-match", "if-none-match", "x-ms-client-request-id", "x-ms-continuation"];

/// What of an exchange is not kept.
pub(super) struct Hidden {
    /// The parameters of a start that are declared secret.
    pub(super) parameters: Vec<String>,
    /// Whether the answer is a vault's secret.
    pub(super) is_secret: bool,
}

impl Recorder {
    /// Begins a recording, in place of an older one.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut file = File::create(path)?;
        file.write_all(b"[")?;
        file.write_all(END)?;
        Ok(Self { file, is_empty: true })
    }

    /// Adds one exchange.
    pub(super) fn add(
        &mut self,
        request: &Request,
        hidden: &Hidden,
        answer: &Answer,
        now: Timestamp,
    ) -> io::Result<()> {
        if request.path.starts_with("/_emulator/") {
            return Ok(());
        }
        let exchange = serde_json::to_string_pretty(&exchange(request, hidden, answer, now))?;
        self.file.seek(SeekFrom::End(-(END.len() as i64)))?;
        let comma = if std::mem::take(&mut self.is_empty) { "" } else { "," };
        write!(self.file, "{comma}\n{exchange}")?;
        self.file.write_all(END)
    }
}

fn exchange(request: &Request, hidden: &Hidden, answer: &Answer, now: Timestamp) -> Value {
    let host = request.origin.split_once("://").map_or("", |(_, host)| host);
    let query: Map<String, Value> =
        request.query_members().into_iter().map(|(name, value)| (name, value.into())).collect();
    let headers: Map<String, Value> = request
        .headers
        .iter()
        .filter(|(name, _)| HEADERS.contains(&name.to_ascii_lowercase().as_str()))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone().into()))
        .collect();
    let shown =
        |name: &str| ["content-type", "location", "retry-after"].contains(&name) || name.starts_with("x-ms-");
    let answered: Map<String, Value> = answer
        .headers
        .iter()
        .filter(|(name, _)| shown(name))
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect();
    let mut exchange = json!({
        "recordedAt": now.to_string(),
        "request": {
            "method": request.method,
            "host": host,
            "path": request.path,
            "query": query,
            "headers": headers,
            "body": request_body(request, &hidden.parameters),
        },
        "response": { "status": answer.status, "headers": answered, "body": response_body(answer, hidden.is_secret) },
    });
    if answer.fate != Fate::Deliver {
        exchange["note"] =
            "The connection was cut: the caller did not get this answer, or only half of it.".into();
    }
    exchange
}

/// Returns the body as JSON, without the values of the members named `secrets`. A form is a sign-in: none of it is kept.
fn request_body(request: &Request, secrets: &[String]) -> Value {
    let mut body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    for (name, value) in body.as_object_mut().into_iter().flatten() {
        if secrets.iter().any(|secret| secret.eq_ignore_ascii_case(name)) {
            *value = "(removed)".into();
        }
    }
    body
}

fn response_body(answer: &Answer, is_secret: bool) -> Value {
    let mut body = match serde_json::from_slice(&answer.body) {
        Ok(body) => body,
        // Half of a vault's answer may be the half with the secret.
        Err(_) if is_secret => Value::String("(removed)".to_owned()),
        Err(_) => Value::String(String::from_utf8_lossy(&answer.body).into_owned()),
    };
    let of_vault = if is_secret { &[SECRET][..] } else { &[] };
    for token in TOKENS.iter().chain(of_vault) {
        if let Some(value) = body.get_mut(token) {
            *value = "(removed)".into();
        }
    }
    body
}
