//! The emulator on loopback: one listener for each workspace, every one of them also the sign-in authority.
//!
//! A shell: it reads the clock, moves bytes, and does what an answer's fate says. All it knows of Synapse is
//! [`Model::answer`]. [`Server`] owns every task; dropping it ends them.
#![expect(
    clippy::disallowed_methods,
    reason = "the shell of the emulator: the only place here that reads the clock"
)]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::line::{Breaker, Door};
use self::recorder::{Hidden, Recorder};
use crate::emulator::model::{Answer, CLIENT_ID, CLIENT_SECRET, Fate, Model, Record, Request, TENANT_ID};
use crate::time::Timestamp;

pub use self::tls::Tls;

mod line;
mod recorder;
mod tls;

/// The largest request body taken, above the service's own limit for a definition (protocol 7).
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A running emulator. Dropping it closes the listeners and lets open answers finish.
#[derive(Debug)]
pub struct Server {
    desks: Vec<(String, Arc<Desk>)>,
    /// Tells the connections to end.
    stop: watch::Sender<()>,
    /// The listeners.
    tasks: JoinSet<()>,
}

/// How a server listens and what it keeps.
#[derive(Debug, Default)]
pub struct Options {
    /// The first workspace's port; 0 takes any free one.
    pub port: u16,
    /// Serves HTTPS.
    pub tls: Option<Tls>,
    /// Writes every exchange here.
    pub record: Option<PathBuf>,
}

/// One workspace behind its listener.
#[derive(Debug)]
struct Desk {
    model: Mutex<Model>,
    scheme: &'static str,
    recorder: Option<Arc<Mutex<Recorder>>>,
    stop: watch::Receiver<()>,
}

/// Starts one plain listener on 127.0.0.1 for each workspace: `port` for the first, the next ones for the others,
/// any free ones if `port` is 0.
///
/// Fails if there is no workspace or a port is taken.
pub async fn start(models: Vec<Model>, port: u16) -> io::Result<Server> {
    start_with(models, Options { port, ..Options::default() }).await
}

/// Starts one listener on 127.0.0.1 for each workspace, as `options` say.
///
/// Fails if there is no workspace, a port is taken, or the file for the exchanges cannot be written.
pub async fn start_with(models: Vec<Model>, options: Options) -> io::Result<Server> {
    let port = options.port;
    let recorder = options.record.as_deref().map(Recorder::create).transpose()?;
    let recorder = recorder.map(|recorder| Arc::new(Mutex::new(recorder)));
    let acceptor = options.tls.as_ref().map(Tls::acceptor);
    let scheme = if acceptor.is_some() { "https" } else { "http" };
    if models.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an emulator needs a workspace"));
    }
    let (stop, stopped) = watch::channel(());
    let mut server = Server { desks: Vec::new(), stop, tasks: JoinSet::new() };
    for (place, model) in models.into_iter().enumerate() {
        let next = u16::try_from(place).ok().and_then(|place| port.checked_add(place));
        let port = if port == 0 {
            0
        } else {
            next.ok_or_else(|| io::Error::other("there are too many workspaces"))?
        };
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let url = format!("{scheme}://{}", listener.local_addr()?);
        let (recorder, stop) = (recorder.clone(), stopped.clone());
        let desk = Arc::new(Desk { model: Mutex::new(model), scheme, recorder, stop });
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&desk))
            .into_make_service_with_connect_info::<Breaker>();
        let mut stopped = stopped.clone();
        let signal = async move {
            // An error is the end of the sender, which is what this waits for.
            let _ = stopped.changed().await;
        };
        let serving = axum::serve(Door::new(listener, acceptor.clone()), app).with_graceful_shutdown(signal);
        server.tasks.spawn(async move {
            // Listening never fails once it has begun; what fails is one connection.
            let _ = serving.await;
        });
        server.desks.push((url, desk));
    }
    Ok(server)
}

impl Server {
    /// Returns the address of a workspace, without a slash at its end; nothing if there is no such workspace.
    pub fn endpoint(&self, workspace: &str) -> Option<&str> {
        let found =
            self.desks.iter().find(|(_, desk)| desk.lock().workspace().eq_ignore_ascii_case(workspace));
        found.map(|(url, _)| url.as_str())
    }

    /// Returns the address of the sign-in authority, which is also the first workspace's.
    pub fn authority(&self) -> &str {
        &self.desks[0].0
    }

    /// Returns the address below which every Key Vault is, by its name.
    pub fn key_vaults(&self) -> String {
        format!("{}/keyvault", self.authority())
    }

    /// Returns every workspace with its address, in the order they were given.
    pub fn endpoints(&self) -> Vec<(String, &str)> {
        self.desks.iter().map(|(url, desk)| (desk.lock().workspace().to_owned(), url.as_str())).collect()
    }

    /// Returns what other programs need to sign in and to find the first workspace, as environment variables.
    pub fn environment(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("AZURE_TENANT_ID", TENANT_ID),
            ("AZURE_CLIENT_ID", CLIENT_ID),
            ("AZURE_CLIENT_SECRET", CLIENT_SECRET),
            ("AZURE_AUTHORITY_HOST", self.authority()),
            ("SYNAPSE_ENDPOINT", self.authority()),
        ]
    }

    /// Returns a workspace's own word on what happened until now.
    pub fn record(&self, workspace: &str) -> Option<Record> {
        let mut models = self.desks.iter().map(|(_, desk)| desk.lock());
        let mut model = models.find(|model| model.workspace().eq_ignore_ascii_case(workspace))?;
        model.advance(now());
        Some(model.record())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(());
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Model> {
        // A panic in an answer is a bug, but the next caller still wants one.
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(
    State(desk): State<Arc<Desk>>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    request: axum::extract::Request,
) -> Response {
    let Some(request) = read(request, desk.scheme).await else {
        return Response::builder().status(413).body(Body::empty()).unwrap_or_default();
    };
    let now = now();
    let answer = desk.lock().answer(now, &request);
    if let Some(recorder) = &desk.recorder {
        let hidden = {
            let model = desk.lock();
            let parameters = model.secret_parameters(&request);
            Hidden { parameters, is_secret: model.answers_with_secret(&request) }
        };
        let mut recorder = recorder.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk must not change what the caller sees; the file is then short of exchanges.
        let _ = recorder.add(&request, &hidden, &answer, now);
    }
    if !answer.delay.to_std().is_zero() {
        let mut stop = desk.stop.clone();
        tokio::select! {
            () = tokio::time::sleep(answer.delay.to_std()) => {}
            _ = stop.changed() => {}
        }
    }
    match answer.fate {
        Fate::Deliver => {}
        Fate::Cut => breaker.cut(),
        // An answer without a body has no middle, and must not leave its fault to the next one.
        Fate::CutInBody if answer.body.is_empty() => {}
        Fate::CutInBody => breaker.cut_in_body(),
    }
    response(answer)
}

/// Takes a request apart; nothing if its body is too large or breaks off.
async fn read(request: axum::extract::Request, scheme: &str) -> Option<Request> {
    let (head, body) = request.into_parts();
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let host = head.headers.get("host").map(text).unwrap_or_default();
    Some(Request {
        method: head.method.as_str().to_owned(),
        origin: format!("{scheme}://{host}"),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        body: to_bytes(body, BODY_BYTES_MAX).await.ok()?.to_vec(),
    })
}

fn response(answer: Answer) -> Response {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    // The model writes no header that HTTP would not take; should it ever, the caller gets an empty 200 less it.
    response.body(Body::from(answer.body)).unwrap_or_default()
}

fn now() -> Timestamp {
    Timestamp::from_epoch_ms(jiff::Timestamp::now().as_millisecond())
}
