//! Every fault of an emulator script against every call of the client, over real sockets: how often the call
//! was sent, by the emulator's own record; what the client made of it; and that no start was accepted twice.
//!
//! [`TABLE`] is written down from what a service may already have done when its answer is an error or missing,
//! and never computed. [`FAULTS`] says what each row is in the script's words.

// Breaking the code once each made these rows fail, and no others:
//
// - client: a 503 counts as a refusal: the rows of 503, create_run;
// - client: a start is sent again after 429: every row of 429, create_run;
// - client: a start is sent again when there is no answer: cut before, cut after, slow, create_run;
// - client: a cut connection counts as never used: cut before, cut after, create_run;
// - client: a request without an answer in time counts as never sent: slow, create_run;
// - client: Retry-After is not read: every row with a time, all columns where it is shown;
// - client: it is read but not waited for: every row of 600 s, all columns but create_run and token;
// - client: a token that was not taken is kept: token that ends early, all calls that may replace it;
// - emulator: a known id starts another run: every row whose start is accepted, create_run;
// - emulator: `accepted` is ignored: every row with that word and cut after, create_run;
// - emulator: the date in Retry-After is not by its own clock: the same with the clock ahead, all columns;
// - emulator: a cut left over from an answer without a body: the last test of this file.

use std::sync::Arc;

use serde_json::Map;
use synflow::driver::now;
use synflow::emulator::model::{CLIENT_ID, CLIENT_SECRET, Model, OBJECT_ID, Operation, Request, TENANT_ID};
use synflow::emulator::script::Script;
use synflow::emulator::server::{self, Server};
use synflow::flow::event::{RunId, StartOutcome};
use synflow::synapse::{
    Allowance, CallFailure, Cloud, Credential, Endpoint, Http, HttpSettings, Limits, SignInFailure,
    SynapseClient, TokenCache, Window,
};
use synflow::time::{Delay, Timestamp};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// One row a fault, one column a call. A cell says how many requests went out while the fault lasted, and what
/// the client made of it; `=` is the cell on its left. The client has patience for three requests a call.
///
/// Of a start: `started`, `not sent` (certainly nothing was started; with the time the service asked for),
/// `unclear` (look before anything else); `1 run` if the emulator did accept it.
/// Of any other call: `ok` (right and whole), `none` (an answer that lacks the run), `busy` (429; of a sign-in:
/// any fault that passes), `down` (408, 5xx), `gone` (no answer), `odd` (an answer that is none), `refused`.
///
/// `-`: the script refuses such a rule, for the fault is about another call: only lists lag, only a GET of a
/// run can miss it. A token that ends early comes from the sign-in and is noticed by the calls that carry it.
/// (a) The answer to a cancel has no body that could be cut or shortened: it is whole.
const TABLE: &str = "
fault                         | create_run       | run         | query_runs | activities | cancel    | pipeline | pipelines | check_access | token
429                           | 1 not sent       | 3 busy      | =          | =          | =         | =        | =         | =            | 1 busy
429, Retry-After 1 s          | 1 not sent 1s    | 3 busy 1s   | =          | =          | =         | =        | =         | =            | 1 busy 1s
429, Retry-After 600 s        | 1 not sent 600s  | 1 busy 600s | =          | =          | =         | =        | =         | =            | =
429, Retry-After in 1 s       | 1 not sent 1s    | 3 busy 1s   | =          | =          | =         | =        | =         | =            | 1 busy 1s
429, Retry-After in 600 s     | 1 not sent 600s  | 1 busy 600s | =          | =          | =         | =        | =         | =            | =
the same, clock 10 min ahead  | 1 not sent 600s  | 1 busy 600s | =          | =          | =         | =        | =         | =            | =
429, retry-after-ms 2         | 1 not sent 2ms   | 3 busy 2ms  | =          | =          | =         | =        | =         | =            | 1 busy 2ms
429, retry-after-ms 600000    | 1 not sent 600s  | 1 busy 600s | =          | =          | =         | =        | =         | =            | =
429, x-ms-retry-after-ms 2    | 1 not sent 2ms   | 3 busy 2ms  | =          | =          | =         | =        | =         | =            | 1 busy 2ms
429, x-ms-retry-... 600000    | 1 not sent 600s  | 1 busy 600s | =          | =          | =         | =        | =         | =            | =
408                           | 1 unclear        | 3 down      | =          | =          | =         | =        | =         | =            | 1 busy
500                           | 1 unclear        | 3 down      | =          | =          | =         | =        | =         | =            | 1 busy
502                           | 1 unclear        | 3 down      | =          | =          | =         | =        | =         | =            | 1 busy
503                           | 1 unclear        | 3 down      | =          | =          | =         | =        | =         | =            | 1 busy
503, Retry-After 600 s        | 1 unclear        | 1 down 600s | =          | =          | =         | =        | =         | =            | 1 busy 600s
504                           | 1 unclear        | 3 down      | =          | =          | =         | =        | =         | =            | 1 busy
408, accepted                 | 1 unclear, 1 run | 3 down      | =          | =          | =         | =        | =         | =            | 1 busy
500, accepted                 | 1 unclear, 1 run | 3 down      | =          | =          | =         | =        | =         | =            | 1 busy
502, accepted                 | 1 unclear, 1 run | 3 down      | =          | =          | =         | =        | =         | =            | 1 busy
503, accepted                 | 1 unclear, 1 run | 3 down      | =          | =          | =         | =        | =         | =            | 1 busy
504, accepted                 | 1 unclear, 1 run | 3 down      | =          | =          | =         | =        | =         | =            | 1 busy
cut before                    | 1 unclear        | 3 gone      | =          | =          | =         | =        | =         | =            | 1 gone
cut after                     | 1 unclear, 1 run | 3 gone      | =          | =          | =         | =        | =         | =            | 1 gone
cut in the body               | 1 unclear, 1 run | 3 gone      | =          | =          | 1 ok (a)  | 3 gone   | =         | =            | 1 odd
HTML page, 502                | 1 unclear        | 3 down      | =          | =          | =         | =        | =         | =            | 1 busy
HTML page, 502, accepted      | 1 unclear, 1 run | 3 down      | =          | =          | =         | =        | =         | =            | 1 busy
HTML page, 403                | 1 unclear        | 1 refused   | =          | =          | =         | =        | =         | =            | =
truncated JSON                | 1 unclear, 1 run | 1 odd       | =          | =          | 1 ok (a)  | 1 odd    | =         | =            | =
slow                          | 1 unclear, 1 run | 3 gone      | =          | =          | =         | =        | =         | =            | 1 gone
list that lags                | -                | -           | 1 none     | -          | -         | -        | -         | -            | -
404 for a fresh run           | -                | 1 none      | -          | -          | -         | -        | -         | -            | -
token that ends early         | 1 not sent       | 2 refused   | =          | =          | =         | =        | =         | =            | 1 ok
Date header 10 min behind     | 1 started, 1 run | 1 ok        | =          | =          | =         | =        | =         | =            | =
clock 10 min ahead            | 1 started, 1 run | 1 ok        | =          | =          | =         | =        | =         | =            | =
clock 10 min behind           | 1 started, 1 run | 1 ok        | =          | =          | =         | =        | =         | =            | =
";

/// Each row's rule without its `on`, and what else its script says.
const FAULTS: [(&str, &str, &str); 35] = [
    ("429", "kind: status, status: 429", ""),
    ("429, Retry-After 1 s", "kind: status, status: 429, retry_after: { seconds: 1s }", ""),
    ("429, Retry-After 600 s", "kind: status, status: 429, retry_after: { seconds: 600s }", ""),
    ("429, Retry-After in 1 s", "kind: status, status: 429, retry_after: { date: 1s }", ""),
    ("429, Retry-After in 600 s", "kind: status, status: 429, retry_after: { date: 600s }", ""),
    ("the same, clock 10 min ahead", "kind: status, status: 429, retry_after: { date: 600s }", AHEAD),
    ("429, retry-after-ms 2", "kind: status, status: 429, retry_after: { ms: 2ms }", ""),
    ("429, retry-after-ms 600000", "kind: status, status: 429, retry_after: { ms: 600s }", ""),
    ("429, x-ms-retry-after-ms 2", "kind: status, status: 429, retry_after: { x_ms: 2ms }", ""),
    ("429, x-ms-retry-... 600000", "kind: status, status: 429, retry_after: { x_ms: 600s }", ""),
    ("408", "kind: status, status: 408", ""),
    ("500", "kind: status, status: 500, body: wrapped", ""),
    ("502", "kind: status, status: 502, body: html", ""),
    ("503", "kind: status, status: 503, body: flat", ""),
    ("503, Retry-After 600 s", "kind: status, status: 503, retry_after: { seconds: 600s }", ""),
    ("504", "kind: status, status: 504, body: empty", ""),
    ("408, accepted", "kind: status, status: 408, accepted: true", ""),
    ("500, accepted", "kind: status, status: 500, accepted: true, body: wrapped", ""),
    ("502, accepted", "kind: status, status: 502, accepted: true, body: html", ""),
    ("503, accepted", "kind: status, status: 503, accepted: true, body: flat", ""),
    ("504, accepted", "kind: status, status: 504, accepted: true, body: empty", ""),
    ("cut before", "kind: cut", ""),
    ("cut after", "kind: cut, accepted: true", ""),
    ("cut in the body", "kind: cut_in_body", ""),
    ("HTML page, 502", "kind: html", ""),
    ("HTML page, 502, accepted", "kind: html, accepted: true", ""),
    ("HTML page, 403", "kind: html, status: 403", ""),
    ("truncated JSON", "kind: truncate", ""),
    ("slow", "kind: slow, for: 10m", ""),
    ("list that lags", "kind: list_lag, for: 1h", ""),
    ("404 for a fresh run", "kind: hide_run, for: 1h", ""),
    ("token that ends early", "kind: short_token, for: 0s", ""),
    ("Date header 10 min behind", "kind: clock, ahead: -10m", ""),
    ("clock 10 min ahead", "", AHEAD),
    ("clock 10 min behind", "", "clock_skew: -10m\n"),
];

const AHEAD: &str = "clock_skew: 10m\n";
const PIPELINE: &str = "pl";
const WORKSPACE: &str = "contoso";
const RUN: &str = "a9f1db9c-8fc7-e1b7-f9e3-e4eeda42f518";
/// How many cells are tried at once: each holds a handful of sockets.
const AT_ONCE: usize = 64;

/// A call of the client, in the order of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    CreateRun,
    Run,
    QueryRuns,
    Activities,
    Cancel,
    Pipeline,
    Pipelines,
    CheckAccess,
    Token,
}

const CALLS: [(&str, Call, Operation); 9] = [
    ("create_run", Call::CreateRun, Operation::CreateRun),
    ("run", Call::Run, Operation::GetRun),
    ("query_runs", Call::QueryRuns, Operation::QueryPipelineRuns),
    ("activities", Call::Activities, Operation::QueryActivityRuns),
    ("cancel", Call::Cancel, Operation::CancelRun),
    ("pipeline", Call::Pipeline, Operation::GetPipeline),
    ("pipelines", Call::Pipelines, Operation::ListPipelines),
    ("check_access", Call::CheckAccess, Operation::CheckAccess),
    ("token", Call::Token, Operation::Token),
];

/// One cell, and what its fault is.
#[derive(Clone, Debug)]
struct Cell {
    fault: &'static str,
    rule: &'static str,
    script: &'static str,
    call: Call,
    operation: Operation,
    /// What the table says, without notes.
    want: String,
}

fn words_of(line: &str) -> Vec<&str> {
    line.split('|').map(str::trim).collect()
}

/// Reads the table against the list of faults.
fn cells() -> Vec<Cell> {
    let mut lines = TABLE.trim().lines();
    let columns: Vec<&str> = CALLS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(words_of(lines.next().unwrap())[1..], columns);
    let rows: Vec<Vec<&str>> = lines.map(words_of).collect();
    let names: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(names, FAULTS.map(|(name, ..)| name));
    let mut all = Vec::new();
    for (row, (fault, rule, script)) in rows.iter().zip(FAULTS) {
        assert_eq!(row.len(), CALLS.len() + 1, "{fault}");
        let mut left = "";
        for (word, (_, call, operation)) in row[1..].iter().zip(CALLS) {
            left = if *word == "=" { left } else { word };
            let want = left.trim_end_matches(" (a)").to_owned();
            all.push(Cell { fault, rule, script, call, operation, want });
        }
    }
    all
}

impl Cell {
    /// Returns the cell's script; `extra` is more of its rule.
    fn script(&self, extra: &str) -> String {
        if self.rule.is_empty() {
            return self.script.to_owned();
        }
        let is_of_sign_in = self.rule.contains("short_token");
        let on = if is_of_sign_in { Operation::Token } else { self.operation };
        let on = serde_json::to_string(&on).unwrap();
        format!("{}faults: [{{ on: {on}, {}{extra} }}]\n", self.script, self.rule)
    }

    fn applies(&self) -> bool {
        self.want != "-"
    }
}

/// The emulator with a cell's fault, and what a client needs to reach it.
struct Rig {
    server: Server,
    http: Http,
}

impl Rig {
    /// Starts the emulator. Where the call is about a run, that run is there, accepted a moment ago.
    async fn open(cell: &Cell, extra: &str, http: &Http) -> Self {
        let script = Script::parse(&cell.script(extra)).unwrap();
        let definitions = [(format!("{PIPELINE}.json"), r#"{"properties":{}}"#.to_owned())];
        let at = now();
        let mut model = Model::new(WORKSPACE, script, &definitions, at).unwrap();
        if !matches!(cell.call, Call::CreateRun | Call::Token) {
            let start =
                Request::new("POST", &format!("/pipelines/{PIPELINE}/createRun?api-version=2020-12-01"))
                    .with_header("authorization", &format!("Bearer {}", token_of_another(at)))
                    .with_header("x-ms-client-request-id", RUN);
            assert_eq!(model.answer(at, &start).status, 202);
        }
        Self { server: server::start(vec![model], 0).await.unwrap(), http: http.clone() }
    }

    /// Returns a client that knows nothing yet: no token, no wish of the service to be left alone.
    fn client(&self) -> (SynapseClient, TokenCache) {
        let credential = Credential::ClientSecret {
            tenant: TENANT_ID.to_owned(),
            client_id: CLIENT_ID.to_owned(),
            secret: CLIENT_SECRET.to_owned().into(),
            authority: Endpoint::parse(self.server.authority()).unwrap(),
        };
        let tokens = TokenCache::new(credential, self.http.clone());
        let endpoint = Endpoint::parse(self.server.endpoint(WORKSPACE).unwrap()).unwrap();
        let (audience, http) = (Cloud::Public.audience(), self.http.clone());
        (
            SynapseClient::with_limits(
                endpoint,
                audience,
                tokens.clone(),
                http,
                hasty(),
                Allowance::per_minute(60_000),
            ),
            tokens,
        )
    }

    fn requests(&self, operation: Operation) -> u64 {
        self.server.record(WORKSPACE).unwrap().requests_of(operation)
    }

    /// Returns the ids of the accepted runs, and how often those were asked for again.
    fn accepted(&self) -> (Vec<String>, u64) {
        let runs = self.server.record(WORKSPACE).unwrap().runs;
        (runs.iter().map(|run| run.run_id.clone()).collect(), runs.iter().map(|run| run.repeats).sum())
    }
}

/// Returns a token of an emulator without faults; every emulator takes the others' tokens.
fn token_of_another(at: Timestamp) -> String {
    let mut model = Model::new(WORKSPACE, Script::default(), &[], at).unwrap();
    let mut sign_in = Request::new("POST", &format!("/{TENANT_ID}/oauth2/v2.0/token"));
    sign_in.body = format!(
        "grant_type=client_credentials&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}\
         &scope=https://dev.azuresynapse.net/.default"
    )
    .into_bytes();
    let answer: serde_json::Value = serde_json::from_slice(&model.answer(at, &sign_in).body).unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

/// Patient for three requests, and a thousand times faster than by default.
fn hasty() -> Limits {
    Limits {
        attempts_max: 3,
        first_wait: Delay::from_ms(1),
        first_throttled_wait: Delay::from_ms(2),
        wait_max: Delay::from_ms(10),
        ..Limits::default()
    }
}

fn run_id() -> RunId {
    RUN.parse().unwrap()
}

async fn start(client: &SynapseClient) -> StartOutcome {
    client.create_run(PIPELINE, run_id(), &Map::new(), None).await
}

/// Makes the call and says in the table's words what came of it.
async fn end_of(call: Call, client: &SynapseClient, tokens: &TokenCache) -> String {
    const READ: &str = "Microsoft.Synapse/workspaces/read";
    let always = Window { after: Timestamp::from_epoch_ms(0), before: Timestamp::from_epoch_ms(i64::MAX) };
    let read = match call {
        Call::CreateRun => return in_words_of_a_start(start(client).await),
        Call::Token => {
            let end = tokens.check(Cloud::Public.audience()).await;
            return end.map_or_else(|failure| in_words_of_a_sign_in(&failure), |()| "ok".to_owned());
        }
        Call::Run => {
            client.run(run_id()).await.map(|seen| seen.is_some_and(|seen| seen.pipeline == PIPELINE))
        }
        Call::QueryRuns => client.query_runs(always, &[]).await.map(|runs| runs.len() == 1),
        // The run is too young to have any.
        Call::Activities => {
            client.activities(PIPELINE, run_id()).await.map(|activities| activities.is_empty())
        }
        Call::Cancel => client.cancel(run_id()).await.map(|()| true),
        Call::Pipeline => {
            client.pipeline(PIPELINE).await.map(|read| read.is_some_and(|read| read["name"] == PIPELINE))
        }
        Call::Pipelines => client.pipelines().await.map(|all| all.len() == 1 && all[0]["name"] == PIPELINE),
        Call::CheckAccess => {
            let asked = client.check_access(OBJECT_ID, &[READ], &format!("workspaces/{WORKSPACE}")).await;
            asked.map(|allowed| allowed == [Some(true)])
        }
    };
    match read {
        Ok(true) => "ok".to_owned(),
        Ok(false) => "none".to_owned(),
        Err(failure) => in_words(&failure),
    }
}

fn in_words_of_a_start(outcome: StartOutcome) -> String {
    match outcome {
        StartOutcome::Started(run) if run == run_id() => "started".to_owned(),
        StartOutcome::Started(run) => format!("started as {run}"),
        StartOutcome::Refused(error) => format!("refused {}", error.code),
        StartOutcome::NotSent { after, .. } => format!("not sent{}", in_words_of_a_wait(after)),
        StartOutcome::Unclear { .. } => "unclear".to_owned(),
    }
}

fn in_words(failure: &CallFailure) -> String {
    let after = in_words_of_a_wait(failure.after());
    let word = match failure {
        CallFailure::SignIn(failure) => return format!("sign-in {}", in_words_of_a_sign_in(failure)),
        CallFailure::Throttled { .. } => "busy",
        CallFailure::Unavailable { .. } => "down",
        CallFailure::Unreachable { .. } => "gone",
        CallFailure::Garbled { .. } => "odd",
        CallFailure::Refused { .. } => "refused",
        other => return other.to_string(),
    };
    format!("{word}{after}")
}

fn in_words_of_a_sign_in(failure: &SignInFailure) -> String {
    let word = match failure {
        SignInFailure::Busy { .. } => "busy",
        SignInFailure::Unreachable { .. } => "gone",
        SignInFailure::Garbled { .. } => "odd",
        SignInFailure::Refused(_) => "refused",
        other => return other.to_string(),
    };
    format!("{word}{}", in_words_of_a_wait(failure.after()))
}

fn in_words_of_a_wait(after: Option<Delay>) -> String {
    match after.map(Delay::as_ms) {
        None => String::new(),
        Some(ms) if ms % 1000 == 0 => format!(" {}s", ms / 1000),
        Some(ms) => format!(" {ms}ms"),
    }
}

/// Tries a cell with a fault that lasts. Returns what is not as the table says.
async fn try_while_it_lasts(cell: &Cell, http: &Http) -> Vec<String> {
    let rig = Rig::open(cell, "", http).await;
    let (client, tokens) = rig.client();
    let end = end_of(cell.call, &client, &tokens).await;
    let mut got = format!("{} {end}", rig.requests(cell.operation));
    let mut wrong = Vec::new();
    if cell.call == Call::CreateRun {
        let before = rig.accepted().0.len();
        if before > 0 {
            got = format!("{got}, {before} run");
        }
        // Whatever the first proved: the same id again, by a process that knows no more than the id.
        let _ = start(&rig.client().0).await;
        let (requests, (accepted, _)) = (rig.requests(cell.operation), rig.accepted());
        if requests != 2 {
            wrong.push(format!("{requests} requests for two starts"));
        }
        if accepted.len() != before {
            wrong.push(format!("{before} accepted, and after a second start {accepted:?}"));
        }
    }
    if got != cell.want {
        wrong.push(format!("`{got}` and not `{}`", cell.want));
    }
    wrong
}

/// Tries a cell with a fault that strikes once. Returns what is wrong.
///
/// Whoever asks again while the fault lasts gets the answer with the second request; the others end as they do then.
async fn try_when_it_passes(cell: &Cell, http: &Http) -> Vec<String> {
    let extra = if cell.rule.is_empty() { "" } else { ", first: 1" };
    let rig = Rig::open(cell, extra, http).await;
    let (client, tokens) = rig.client();
    if cell.call == Call::CreateRun {
        return start_again(cell, &rig, &client).await;
    }
    let end = end_of(cell.call, &client, &tokens).await;
    let got = format!("{} {end}", rig.requests(cell.operation));
    let want = if cell.want.starts_with('1') { &cell.want } else { "2 ok" };
    if got == want { Vec::new() } else { vec![format!("once: `{got}` and not `{want}`")] }
}

/// Starts, and starts again with the same id as if nothing had become of it: two requests, one run.
async fn start_again(cell: &Cell, rig: &Rig, client: &SynapseClient) -> Vec<String> {
    let first = in_words_of_a_start(start(client).await);
    let before = u64::from(!rig.accepted().0.is_empty());
    let second = start(&rig.client().0).await;
    let mut wrong = Vec::new();
    if cell.want.trim_end_matches(", 1 run") != format!("1 {first}") {
        wrong.push(format!("once: `{first}` and not `{}`", cell.want));
    }
    if second != StartOutcome::Started(run_id()) {
        wrong.push(format!("once: the same id again ends in {second:?}"));
    }
    let (requests, accepted) = (rig.requests(cell.operation), rig.accepted());
    if (requests, &accepted) != (2, &(vec![RUN.to_owned()], before)) {
        wrong.push(format!("once: two starts are {requests} requests and the runs {accepted:?}"));
    }
    wrong
}

/// Tries cells side by side. Returns what is wrong, a line for each.
async fn try_all(cells: Vec<Cell>, http: &Http) -> Vec<String> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tries = JoinSet::new();
    for cell in cells {
        let (places, http) = (Arc::clone(&places), http.clone());
        tries.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            let wrong =
                [try_while_it_lasts(&cell, &http).await, try_when_it_passes(&cell, &http).await].concat();
            let lines = wrong.iter().map(|line| format!("{}, {:?}: {line}", cell.fault, cell.call));
            lines.collect::<Vec<String>>()
        });
    }
    let mut wrong = tries.join_all().await.concat();
    wrong.sort();
    wrong
}

fn http(total_timeout: Delay) -> Http {
    Http::new(&HttpSettings { total_timeout, ..HttpSettings::default() }).unwrap()
}

#[tokio::test]
async fn every_call_meets_every_fault_as_the_table_says() {
    let cells: Vec<Cell> = cells().into_iter().filter(Cell::applies).collect();
    let (slow, others): (Vec<Cell>, Vec<Cell>) = cells.into_iter().partition(|cell| cell.fault == "slow");
    assert_eq!((others.len(), slow.len()), (32 * 9 + 2, 9));
    let mut wrong = try_all(others, &http(Delay::from_secs(60))).await;
    // Apart from the rest, lest a busy machine lets a request run out of time before it is seen.
    wrong.extend(try_all(slow, &http(Delay::from_ms(800))).await);
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_fault_that_cannot_strike_a_call_is_no_rule() {
    let cells: Vec<Cell> = cells().into_iter().filter(|cell| !cell.applies()).collect();
    assert_eq!(cells.len(), 16);
    for cell in cells {
        let refused = Script::parse(&cell.script("")).expect_err(cell.fault);
        assert!(refused.message.contains("strikes only"), "{}, {:?}: {refused}", cell.fault, cell.call);
    }
}

#[tokio::test]
async fn a_fault_ends_with_its_answer() {
    let cell = cells().into_iter().find(|cell| cell.call == Call::Cancel && cell.fault == "cut in the body");
    let rig = Rig::open(&cell.unwrap(), ", first: 1", &http(Delay::from_secs(60))).await;
    let (client, tokens) = rig.client();
    assert_eq!(end_of(Call::Cancel, &client, &tokens).await, "ok");
    assert_eq!(end_of(Call::Run, &client, &tokens).await, "ok");
    assert_eq!(rig.requests(Operation::GetRun), 1, "the next answer on the same connection is whole");
}
