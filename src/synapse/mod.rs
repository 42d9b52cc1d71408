//! The client of a Synapse workspace: starts, watches and cancels runs, reads definitions.
//!
//! Main type: [`SynapseClient`]. It translates the service's JSON into the core's words and says what
//! an answer proves. It never sends a start twice: whether to send it again is the core's decision.
//! Calls that only read, and cancel, are repeated as far as [`Limits`] allow; without them one call is
//! one request (a list: one for each page).

mod allowance;
mod answer;
mod auth;
mod endpoint;
mod http;
pub mod reading;
mod retry;
mod vault;
mod wire;

use std::sync::{Arc, Mutex, PoisonError};

use ::http::StatusCode;
use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, Url};
use serde_json::{Map, Value};
use tokio::time::Instant;

use self::allowance::Purpose;
pub use self::allowance::{Allowance, REQUESTS_PER_MINUTE};
pub use self::answer::CallFailure;
use self::auth::Token;
pub use self::auth::{
    AssertionSource, AuthMethod, AzureCli, Chain, Credential, Identity, ManagedIdentity, Refusal,
    SignInFailure, SignInSettings, TokenCache,
};
pub use self::endpoint::{Cloud, Endpoint, EndpointError};
use self::http::Answer;
pub use self::http::{Http, HttpError, HttpSettings, NoAnswer, NoAnswerKind, PostFailure};
use self::reading::start_outcome;
pub use self::retry::Limits;
use self::retry::{Call, Patience};
pub use self::vault::{KeyVault, VaultFailure};
use self::wire::{ALL_TIME, Page, Query};
pub use self::wire::{RunFilter, RunListed};
use crate::definition::Definition;
use crate::flow::ActivitySeen;
use crate::flow::event::{Recovery, RunId, RunSeen, StartOutcome, StepError};
use crate::time::{Delay, Timestamp};

/// The most pages of a list that are read: twice the runs that a workspace can have at once
/// (protocol 7), so that a continuation that never ends does end.
const PAGES_MAX: usize = 200;

/// A span of time; a record is in it by its last update (protocol 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The earliest last update.
    pub after: Timestamp,
    /// The latest last update.
    pub before: Timestamp,
}

/// How far into our future a window reaches: the service's clock may be ahead.
const WINDOW_AHEAD: Delay = Delay::from_secs(24 * 3600);

/// How long ago a live run may have changed last: the service forgets runs after 45 days (protocol 7).
const LIVE_SINCE: Delay = Delay::from_secs(45 * 24 * 3600);

impl Window {
    /// Returns the window that holds what changed after a time and until now, whatever the service's clock says.
    pub fn since(after: Timestamp, now: Timestamp) -> Self {
        Self { after, before: now + WINDOW_AHEAD }
    }

    /// Returns the window that holds every run that is live now.
    pub fn of_live_runs(now: Timestamp) -> Self {
        Self::since(now - LIVE_SINCE, now)
    }
}

/// Calls one workspace. Clones are cheap and share connections, tokens and the service's clock.
#[derive(Clone, Debug)]
pub struct SynapseClient {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    endpoint: Endpoint,
    audience: String,
    tokens: TokenCache,
    http: Http,
    patience: Patience,
    /// The service's clock as its last answer showed it, and when that was by ours.
    server_clock: Mutex<Option<(Timestamp, Instant)>>,
}

impl SynapseClient {
    /// Makes a client that sends one request for each call; touches no network.
    ///
    /// `audience` is what tokens must name, such as [`Cloud::audience`]. `tokens` may be shared with
    /// other workspaces of the same tenant.
    pub fn new(endpoint: Endpoint, audience: impl Into<String>, tokens: TokenCache, http: Http) -> Self {
        Self::with_patience(endpoint, audience, tokens, http, Patience::new(Limits::ONCE, None))
    }

    /// Makes a client that repeats what may be repeated and keeps to an allowance, together with all that share it.
    pub fn with_limits(
        endpoint: Endpoint,
        audience: impl Into<String>,
        tokens: TokenCache,
        http: Http,
        limits: Limits,
        allowance: Allowance,
    ) -> Self {
        Self::with_patience(endpoint, audience, tokens, http, Patience::new(limits, Some(allowance)))
    }

    fn with_patience(
        endpoint: Endpoint,
        audience: impl Into<String>,
        tokens: TokenCache,
        http: Http,
        patience: Patience,
    ) -> Self {
        let audience = audience.into();
        let server_clock = Mutex::default();
        Self { shared: Arc::new(Shared { endpoint, audience, tokens, http, patience, server_clock }) }
    }

    /// Returns the workspace's endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    /// Returns what the service's clock shows now, as far as an answer has told.
    pub fn server_time(&self) -> Option<Timestamp> {
        let clock = self.shared.server_clock.lock().unwrap_or_else(PoisonError::into_inner);
        clock.map(|(shown, at)| {
            shown + Delay::from_ms(at.elapsed().as_millis().try_into().unwrap_or(u64::MAX))
        })
    }

    /// Returns a time of ours, read when it was `now`, as the service's clock showed it, as far as an answer has told.
    pub fn in_server_time(&self, time: Timestamp, now: Timestamp) -> Timestamp {
        match self.server_time() {
            Some(shown) if shown > now => time + shown.since(now),
            Some(shown) => time - now.since(shown),
            None => time,
        }
    }

    /// Sends exactly one request to start `pipeline`, with `run` as the id that the run shall have.
    ///
    /// The service takes the request's id as the run's (protocol 2.3); the id of the answer counts.
    /// What came of it is never retried here: the core decides, for a start sent blindly twice may
    /// run twice. With `recovery` the run takes up a failed one at an activity; the parameters are sent
    /// all the same, for a recovery without them was recorded failing (protocol 4.1).
    pub async fn create_run(
        &self,
        pipeline: &str,
        run: RunId,
        parameters: &Map<String, Value>,
        recovery: Option<&Recovery>,
    ) -> StartOutcome {
        let Some(mut url) = self.shared.endpoint.call(&["pipelines", pipeline, "createRun"]) else {
            let failure = CallFailure::BadName { name: pipeline.to_owned() };
            let error = StepError {
                code: "BadName".to_owned(),
                message: failure.to_string(),
                ..StepError::default()
            };
            return StartOutcome::Refused(error);
        };
        if let Some(Recovery { run, activity }) = recovery {
            url.query_pairs_mut()
                .append_pair("referencePipelineRunId", &run.to_string())
                .append_pair("isRecovery", "true")
                .append_pair("startActivityName", activity);
        }
        let token = match self.token().await {
            Ok(token) => token,
            Err(failure) => {
                return StartOutcome::NotSent { reason: failure.briefly(), after: failure.after() };
            }
        };
        let _under_way = match self.shared.patience.admit_start().await {
            Ok(under_way) => under_way,
            Err(held) => {
                let failure = self.throttled(held);
                return StartOutcome::NotSent { reason: failure.to_string(), after: failure.after() };
            }
        };
        let request = self
            .request(Method::POST, url, &token)
            .header("x-ms-client-request-id", run.to_string())
            .json(parameters);
        let sent = self.shared.http.send(request).await;
        let is_token_lasting_bad = match &sent {
            Ok(answer) => self.note(answer, &token).await,
            Err(_) => false,
        };
        start_outcome(sent, self.host(), is_token_lasting_bad)
    }

    /// Reads a run; nothing if the service knows none with this id.
    ///
    /// Fails where the answer does not show whether there is one.
    pub async fn run(&self, run: RunId) -> Result<Option<RunSeen>, CallFailure> {
        let url = self.url(&["pipelineruns", &run.to_string()])?;
        let answer = self.exchange(Method::GET, url, None).await?;
        reading::run(&answer, run, self.host())
    }

    /// Lists the runs that changed in `window` and meet all `filters`, oldest first.
    ///
    /// A list lags behind: a run that it lacks may still be there (protocol 5.3). Fails as a whole if
    /// one of its pages fails, or if there are too many.
    pub async fn query_runs(
        &self,
        window: Window,
        filters: &[RunFilter],
    ) -> Result<Vec<RunSeen>, CallFailure> {
        let listed = self.list_runs(Purpose::List, window, filters).await?;
        Ok(listed.into_iter().map(|run| run.seen).collect())
    }

    /// Lists runs as [`Self::query_runs`] does, with their parameters, for finding a run whose id is not known.
    pub async fn search_runs(
        &self,
        window: Window,
        filters: &[RunFilter],
    ) -> Result<Vec<RunListed>, CallFailure> {
        self.list_runs(Purpose::Question, window, filters).await
    }

    async fn list_runs(
        &self,
        purpose: Purpose,
        window: Window,
        filters: &[RunFilter],
    ) -> Result<Vec<RunListed>, CallFailure> {
        let window = (window.after.to_string(), window.before.to_string());
        self.query(purpose, self.url(&["queryPipelineRuns"])?, window, filters, reading::runs).await
    }

    /// Lists the activities of a run, whenever they were.
    ///
    /// Fails as a whole if one of its pages fails.
    pub async fn activities(&self, pipeline: &str, run: RunId) -> Result<Vec<ActivitySeen>, CallFailure> {
        let path = ["pipelines", pipeline, "pipelineruns", &run.to_string(), "queryActivityruns"];
        let url = self.url(&path)?;
        // A window that misses the run gives an empty list, not an error; this one misses none.
        let window = (ALL_TIME.0.to_owned(), ALL_TIME.1.to_owned());
        self.query(Purpose::Question, url, window, &[], reading::activities).await
    }

    /// Asks the service to cancel a run and all that it started. Taken is not done: the run goes on
    /// until the service says otherwise. A run that has ended is no failure.
    ///
    /// Fails with [`CallFailure::NoSuchRun`] if the service knows no such run.
    pub async fn cancel(&self, run: RunId) -> Result<(), CallFailure> {
        let mut url = self.url(&["pipelineruns", &run.to_string(), "cancel"])?;
        url.query_pairs_mut().append_pair("isRecursive", "true");
        let answer = self.exchange(Method::POST, url, None).await?;
        reading::cancel(&answer, self.host())
    }

    /// Reads a pipeline's definition; nothing if the workspace has none of this name.
    ///
    /// The cheapest call that proves sign-in, network and permission, before anything is started.
    pub async fn pipeline(&self, name: &str) -> Result<Option<Value>, CallFailure> {
        let answer = self.exchange(Method::GET, self.url(&["pipelines", name])?, None).await?;
        let body = answer.body.as_ref().ok();
        let is_missing = answer.status == StatusCode::NOT_FOUND
            && body.is_some_and(|body| wire::service_error(body).is_some());
        if is_missing { Ok(None) } else { self.read(&answer).map(Some) }
    }

    /// Reads what a plan must know of a pipeline, with the version that the service has now; nothing if the workspace has
    /// none of this name.
    pub async fn definition(&self, name: &str) -> Result<Option<Definition>, CallFailure> {
        let Some(resource) = self.pipeline(name).await? else { return Ok(None) };
        Ok(reading::definition(&resource, name))
    }

    /// Reads the same of all pipelines.
    pub async fn definitions(&self) -> Result<Vec<Definition>, CallFailure> {
        let mut all = Vec::new();
        self.each_pipeline(|resource| all.extend(reading::definition(&resource, ""))).await?;
        Ok(all)
    }

    /// Lists the definitions of all pipelines.
    ///
    /// Fails if a page leads to another host: our token is not for it.
    pub async fn pipelines(&self) -> Result<Vec<Value>, CallFailure> {
        let mut all = Vec::new();
        self.each_pipeline(|resource| all.push(resource)).await?;
        Ok(all)
    }

    /// Hands over the definition of each pipeline, page by page: all of them together may be large.
    ///
    /// Fails as [`Self::pipelines`] does; what came before has been handed over then.
    pub async fn each_pipeline(&self, mut take: impl FnMut(Value)) -> Result<(), CallFailure> {
        let mut url = self.url(&["pipelines"])?;
        for _ in 0..PAGES_MAX {
            let answer = self.exchange(Method::GET, url, None).await?;
            let page = reading::page::<Value>(&answer, self.host())?;
            page.records.into_iter().for_each(&mut take);
            let Some(link) = page.next_link else { return Ok(()) };
            let next = Url::parse(&link).ok().filter(|next| self.shared.endpoint.owns(next));
            url = next.ok_or_else(|| self.garbled(&answer))?;
        }
        Err(CallFailure::TooManyPages { pages_max: PAGES_MAX })
    }

    /// Asks whether the principal may do each of `actions` in `scope`, such as `workspaces/contoso`
    /// (protocol 8.4). One answer for each action; nothing where the service leaves it out.
    pub async fn check_access(
        &self,
        principal: &str,
        actions: &[&str],
        scope: &str,
    ) -> Result<Vec<Option<bool>>, CallFailure> {
        let body = wire::access_question(principal, actions, scope).into_bytes();
        let answer = self.exchange(Method::POST, self.url(&["checkAccessSynapseRbac"])?, Some(body)).await?;
        let decisions = wire::access_decisions(self.read(&answer)?).ok_or_else(|| self.garbled(&answer))?;
        let find = |action: &&str| {
            let decision = decisions.iter().find(|(id, _)| id.eq_ignore_ascii_case(action));
            decision.map(|(_, is_allowed)| *is_allowed)
        };
        Ok(actions.iter().map(find).collect())
    }

    /// Sends any other request, for what has no method of its own, and reads the answer as JSON (an
    /// empty one is null). `path` holds the names between the slashes. A POST is sent once.
    pub async fn send(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Value, CallFailure> {
        let url = self.url(path)?;
        let body = body.map(|body| serde_json::to_vec(body).expect("a JSON value can be written"));
        let answer = if method == Method::POST {
            self.exchange_once(
                &mut self.shared.patience.begin(Purpose::Question),
                &method,
                &url,
                body.as_ref(),
            )
            .await?
        } else {
            self.exchange(method, url, body).await?
        };
        self.read(&answer)
    }

    /// Reads all pages of a query.
    async fn query<T>(
        &self,
        purpose: Purpose,
        url: Url,
        window: (String, String),
        filters: &[RunFilter],
        read: impl Fn(&Answer, &str) -> Result<Page<T>, CallFailure>,
    ) -> Result<Vec<T>, CallFailure> {
        let (last_updated_after, last_updated_before) = window;
        let mut query = Query { last_updated_after, last_updated_before, continuation_token: None, filters };
        let mut all = Vec::new();
        for _ in 0..PAGES_MAX {
            let body = serde_json::to_vec(&query).expect("a query is plain texts");
            let answer = self.exchange_for(purpose, Method::POST, url.clone(), Some(body)).await?;
            let page = read(&answer, self.host())?;
            all.extend(page.records);
            let Some(token) = page.continuation else { return Ok(all) };
            query.continuation_token = Some(token);
        }
        Err(CallFailure::TooManyPages { pages_max: PAGES_MAX })
    }

    /// Sends a request that may be repeated without harm, until there is an answer to keep.
    async fn exchange(&self, method: Method, url: Url, body: Option<Vec<u8>>) -> Result<Answer, CallFailure> {
        self.exchange_for(Purpose::Question, method, url, body).await
    }

    async fn exchange_for(
        &self,
        purpose: Purpose,
        method: Method,
        url: Url,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, CallFailure> {
        let mut call = self.shared.patience.begin(purpose);
        loop {
            let failure = match self.exchange_once(&mut call, &method, &url, body.as_ref()).await {
                Ok(answer) if answer.status == StatusCode::UNAUTHORIZED && call.may_replace_token() => {
                    continue;
                }
                Ok(answer) if answer.status.is_success() => return Ok(answer),
                Ok(answer) => match self.failure(&answer) {
                    CallFailure::Refused { .. } | CallFailure::Garbled { .. } => return Ok(answer),
                    failure => failure,
                },
                Err(failure) => failure,
            };
            if !call.again_after(&failure).await {
                return Err(failure);
            }
        }
    }

    async fn exchange_once(
        &self,
        call: &mut Call<'_>,
        method: &Method,
        url: &Url,
        body: Option<&Vec<u8>>,
    ) -> Result<Answer, CallFailure> {
        let _under_way = call.admit().await.map_err(|held| self.throttled(held))?;
        let token = self.token().await?;
        let mut request = self.request(method.clone(), url.clone(), &token);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let sent = self.shared.http.send_within(call.left(), request).await;
        if let Ok(answer) = &sent {
            self.note(answer, &token).await;
        }
        reading::answered(sent, self.host())
    }

    /// Learns from an answer: the service's clock, and whether it took our token. Says whether it
    /// did not take the one before either.
    async fn note(&self, answer: &Answer, token: &Token) -> bool {
        if let Some(shown) = answer.server_time() {
            let mut clock = self.shared.server_clock.lock().unwrap_or_else(PoisonError::into_inner);
            *clock = Some((shown, Instant::now()));
        }
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            self.shared.patience.hold(answer.retry_after());
        }
        if answer.status == StatusCode::UNAUTHORIZED {
            return self.shared.tokens.rejected(&self.shared.audience, token).await;
        }
        if !answer.status.is_server_error() {
            self.shared.tokens.accepted(&self.shared.audience, token);
        }
        false
    }

    async fn token(&self) -> Result<Token, CallFailure> {
        self.shared.tokens.token(&self.shared.audience).await.map_err(CallFailure::SignIn)
    }

    fn request(&self, method: Method, url: Url, token: &Token) -> RequestBuilder {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()))
            .unwrap_or_else(|_| HeaderValue::from_static("Bearer"));
        bearer.set_sensitive(true);
        self.shared.http.request(method, url).header(AUTHORIZATION, bearer).header(ACCEPT, "application/json")
    }

    fn url(&self, path: &[&str]) -> Result<Url, CallFailure> {
        self.shared.endpoint.call(path).ok_or_else(|| CallFailure::BadName { name: path.join("/") })
    }

    fn read<T: serde::de::DeserializeOwned>(&self, answer: &Answer) -> Result<T, CallFailure> {
        reading::value(answer, self.host())
    }

    fn failure(&self, answer: &Answer) -> CallFailure {
        CallFailure::from_answer(answer, self.host())
    }

    fn garbled(&self, answer: &Answer) -> CallFailure {
        reading::garbled(answer, answer.describe(), self.host())
    }

    fn throttled(&self, after: Delay) -> CallFailure {
        CallFailure::Throttled { host: self.host().to_owned(), after: Some(after) }
    }

    fn host(&self) -> &str {
        self.shared.endpoint.host()
    }
}
