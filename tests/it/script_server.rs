//! A server that says what a test tells it to, byte for byte, and remembers what it was asked.
//!
//! It speaks just enough HTTP to read requests; it shares no code with the client.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A request as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query, still encoded.
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What the server does with a request that it has read.
pub(crate) enum Reply {
    /// Writes these bytes and waits for the next request on the same connection.
    Send(String),
    /// Writes these bytes and closes the connection.
    SendAndClose(String),
    /// Closes the connection without a word.
    Cut,
    /// Never answers.
    Silence,
}

/// Writes an answer with a body.
pub(crate) fn answer(status: &str, headers: &[&str], body: &str) -> Reply {
    let length = format!("Content-Length: {}", body.len());
    let head = [&[status][..], headers, &[&length]].concat().join("\r\n");
    Reply::Send(format!("HTTP/1.1 {head}\r\n\r\n{body}"))
}

/// Writes an answer with a JSON body.
pub(crate) fn json(status: &str, body: &str) -> Reply {
    answer(status, &["Content-Type: application/json; charset=utf-8"], body)
}

/// Listens on loopback until it is dropped.
pub(crate) struct ScriptServer {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    _tasks: JoinSet<()>,
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

impl ScriptServer {
    /// Answers every request as `script` says.
    pub(crate) async fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(Some(Arc::new(script))).await
    }

    /// Closes every connection before it reads anything.
    pub(crate) async fn start_closing() -> Self {
        Self::listen(None).await
    }

    async fn listen(script: Option<Arc<Script>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, script, Arc::clone(&seen)));
        Self { address, seen, _tasks: tasks }
    }

    /// Returns the root of the server's paths.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns every request that was read to its end.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, script: Option<Arc<Script>>, seen: Arc<Mutex<Vec<Request>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        if let Some(script) = &script {
            connections.spawn(serve(stream, Arc::clone(script), Arc::clone(&seen)));
        }
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>, seen: Arc<Mutex<Vec<Request>>>) {
    while let Some(request) = read(&mut stream).await {
        let reply = script(&request);
        seen.lock().unwrap().push(request);
        match reply {
            Reply::Send(bytes) => stream.write_all(bytes.as_bytes()).await.unwrap_or_default(),
            Reply::SendAndClose(bytes) => {
                return stream.write_all(bytes.as_bytes()).await.unwrap_or_default();
            }
            Reply::Cut => return,
            Reply::Silence => std::future::pending().await,
        }
    }
}

/// Reads one request; nothing if the other side has closed.
async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let mut request = Request { method, target, headers, body: String::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    request.body = String::from_utf8(body).unwrap();
    Some(request)
}
