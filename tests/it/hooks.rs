//! Webhooks, with the real binary and a receiver on loopback: who is told what and when, and that no receiver holds up a flow.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use synflow::flow::notice::Occasion;
use synflow::flow::{Flow, FlowHeader};
use tokio::runtime::Runtime;

use crate::play::{Play, header, plan, step};
use crate::script_server::{Reply, Request, ScriptServer, answer};
use crate::space::{Said, TestSpace, root};
use crate::witness::{Stage, ran, signal, wait_until};

const QUICK: &str = "defaults: { duration: 300ms }\n";

/// A receiver, which lives as long as this.
pub(crate) struct Receiver {
    pub(crate) server: ScriptServer,
    _runtime: Runtime,
}

impl Receiver {
    pub(crate) fn new(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(ScriptServer::start(script));
        Self { server, _runtime: runtime }
    }

    /// One that takes everything.
    pub(crate) fn willing() -> Self {
        Self::new(|_| answer("204 No Content", &[], ""))
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Returns the paths that were asked for, in order.
    fn targets(&self) -> Vec<String> {
        self.server.requests().into_iter().map(|request| request.target).collect()
    }

    fn only(&self) -> Request {
        let requests = self.server.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.into_iter().next().unwrap()
    }
}

pub(crate) fn json_of(request: &Request) -> Value {
    serde_json::from_str(&request.body).unwrap_or_else(|error| panic!("{error}: {}", request.body))
}

/// Returns the lists of a plan that tell `receiver` of everything, each at a path of its own.
fn tells_all(receiver: &Receiver) -> String {
    let url = receiver.url();
    format!(
        "on_finish: [{{ url: \"{url}/finish\" }}]\non_failure: [{{ url: \"{url}/failure\" }}]\n\
         on_deadline: [{{ url: \"{url}/deadline\" }}]\n"
    )
}

#[test]
fn the_end_is_told_as_a_cloudevent() {
    let receiver = Receiver::willing();
    let script = "defaults: { duration: 300ms }\npipelines: { two: { outcome: failed, error: { code: \"2200\", message: \"no such \\\"table\\\"\" } } }\n";
    let stage = Stage::new(
        script,
        &format!(
            "deadline: 4h\non_finish: [{{ url: \"{}/x?y=z\" }}]\nsteps:\n  one: {{}}\n  two: {{ depends_on: [one] }}\n  three: {{ depends_on: [two] }}\n",
            receiver.url()
        ),
    );
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 1, "{}", said.stderr);
    let request = receiver.only();
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/x?y=z"));
    assert_eq!(request.header("content-type"), Some("application/cloudevents+json; charset=utf-8"));
    assert!(request.header("user-agent").unwrap().starts_with("synflow/"));
    let event = json_of(&request);
    let id = stage.flow();
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], "io.synflow.flow.finished");
    assert_eq!((&event["source"], &event["subject"]), (&"urn:synflow:test".into(), &id.as_str().into()));
    assert_eq!(event["datacontenttype"], "application/json");
    assert!(event["id"].as_str().unwrap().starts_with(&format!("{id}-")), "{event}");
    let data = &event["data"];
    assert_eq!((&data["flow"], &data["plan"]), (&id.as_str().into(), &"test".into()));
    assert_eq!((&data["outcome"], &data["exit_code"]), (&"failed".into(), &1.into()));
    assert_eq!((&data["counts"]["succeeded"], &data["counts"]["not_run"]), (&1.into(), &1.into()));
    assert_eq!(data["ended_at"], event["time"]);
    assert_eq!(data["deadline"]["missed"], false);
    assert_eq!(data["next"], format!("synflow resume {id}"));
    let failed = &data["failed"][0];
    assert_eq!((&failed["step"], &failed["code"]), (&"two".into(), &"2200".into()));
    assert_eq!(failed["message"], "no such \"table\"");
    let run = failed["run_id"].as_str().unwrap();
    assert!(ran(&stage.emulator).contains_key(run));
    assert_eq!(data["failed"].as_array().unwrap().len(), 1);
    let summary = data["summary"].as_str().unwrap();
    assert!(summary.contains("two failed: 2200: no such"), "{summary}");
    let told = format!("on_finish: told {}", receiver.url());
    assert!(said.stderr.contains(&told), "{}", said.stderr);
    assert_eq!(said.stderr.trim_end().lines().last(), Some(format!("next: synflow resume {id}").as_str()));
}

#[test]
fn a_plan_says_what_is_sent() {
    let receiver = Receiver::willing();
    let url = receiver.url();
    let stage = Stage::new(
        "defaults: { duration: 300ms }\npipelines: { two: { outcome: failed } }\n",
        &format!(
            "on_failure:\n  - url: \"{url}/json\"\n    headers: {{ Authorization: 'Bearer {{{{env \"TOKEN\"}}}}', X-Flow: \"{{{{flow.id}}}}\" }}\n    \
             body: {{ text: \"{{{{plan.name}}}} \\\"{{{{flow.outcome}}}}\\\" {{{{flow.exit_code}}}}\", one: \"{{{{steps.one.outcome}}}}\", code: \"{{{{flow.exit_code}}}}\" }}\n  \
             - url: \"{url}/text\"\n    body: \"{{{{flow.summary}}}} @here\"\nsteps:\n  one: {{}}\n  two: {{}}\n"
        ),
    );
    let mut command = stage.command("apply PLAN");
    let said = Said::from(command.env("TOKEN", "abc123").output().unwrap());
    assert_eq!(said.code, 1, "{}", said.stderr);
    let requests = receiver.server.requests();
    let of = |target: &str| requests.iter().find(|request| request.target == target).unwrap();
    let json = of("/json");
    assert_eq!(json.header("content-type"), Some("application/json"));
    assert_eq!(json.header("authorization"), Some("Bearer abc123"));
    assert_eq!(json.header("x-flow"), Some(stage.flow().as_str()));
    assert_eq!(
        json_of(json),
        serde_json::json!({ "text": "test \"failed\" 1", "one": "succeeded", "code": 1 }),
        "a lone template keeps its type"
    );
    let text = of("/text");
    assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(text.body.starts_with("test: flow ") && text.body.ends_with(" @here"), "{}", text.body);
    assert_eq!(requests.len(), 2);
    assert!(!said.stderr.contains("abc123"), "{}", said.stderr);
}

#[test]
fn a_good_night_is_no_failure() {
    let receiver = Receiver::willing();
    let stage = Stage::new(QUICK, &format!("deadline: 1h\n{}steps: {{ one: {{}} }}\n", tells_all(&receiver)));
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(receiver.targets(), ["/finish"]);
    assert_eq!(json_of(&receiver.only())["data"]["next"], Value::Null);
    assert!(said.stderr.contains(": met, with "), "{}", said.stderr);
}

#[test]
fn a_receiver_that_stumbles_is_told_again_and_the_same() {
    let count = AtomicUsize::new(0);
    let receiver = Receiver::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => answer("500 Internal Server Error", &[], "oops"),
        1 => Reply::Cut,
        _ => answer("200 OK", &[], "ok"),
    });
    let stage = Stage::new(
        QUICK,
        &format!("on_finish: [{{ url: \"{}/secret-path\" }}]\nsteps: {{ one: {{}} }}\n", receiver.url()),
    );
    let said = stage.run("apply PLAN --hook-limit 10s");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let requests = receiver.server.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| request.body == requests[0].body), "a repeat is recognised");
    assert!(said.stderr.contains("on_finish: told "), "{}", said.stderr);
}

#[test]
fn an_answer_that_is_final_is_told_to_people_and_changes_nothing() {
    let receiver = Receiver::new(|request| match request.target.as_str() {
        "/gone-secret" => answer("404 Not Found", &[], "no"),
        _ => answer("302 Found", &["Location: http://127.0.0.1:1/"], ""),
    });
    let url = receiver.url();
    let stage = Stage::new(
        QUICK,
        &format!(
            "on_finish: [{{ url: \"{url}/gone-secret\" }}, {{ url: \"{url}/moved-secret\" }}, {{ url: \"http://127.0.0.1:1/\", body: \"x\" }}]\nsteps: {{ one: {{}} }}\n"
        ),
    );
    let said = stage.run("apply PLAN --hook-limit 2s");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let mut targets = receiver.targets();
    targets.sort();
    assert_eq!(targets, ["/gone-secret", "/moved-secret"], "neither is asked twice");
    let refused = format!("note: on_finish (1 of 3): could not tell {url}: it answered 404 Not Found");
    assert!(said.stderr.contains(&refused), "{}", said.stderr);
    assert!(said.stderr.contains("(2 of 3)") && said.stderr.contains("302 Found"), "{}", said.stderr);
    assert!(said.stderr.contains("(3 of 3): could not tell http://127.0.0.1:1"), "{}", said.stderr);
    assert!(!said.stderr.contains("secret"), "{}", said.stderr);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a bound on how long a receiver may hold up the end")]
fn a_receiver_that_never_answers_holds_nothing_up_for_longer_than_the_limit() {
    let receiver = Receiver::new(|_| Reply::Silence);
    let stage = Stage::new(QUICK, &format!("{}deadline: 1h\nsteps: {{ one: {{}} }}\n", tells_all(&receiver)));
    let begun = Instant::now();
    let said = stage.run("apply PLAN --hook-limit 2s");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(said.stderr.contains("on_finish: could not tell http://127.0.0.1:"), "{}", said.stderr);
    assert_eq!(stage.space.status()["flow"]["exit_code"], 0);
    let said = stage.run("apply PLAN --hook-limit 1d");
    assert_eq!(said.code, 2, "{}", said.stderr);
}

#[test]
#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "a bound on how long a signal may take")]
fn a_signal_does_not_wait_for_receivers() {
    let receiver = Receiver::new(|_| Reply::Silence);
    let stage = Stage::new(
        QUICK,
        &format!("on_finish: [{{ url: \"{}/x\" }}]\nsteps: {{ one: {{}} }}\n", receiver.url()),
    );
    let apply = stage.begin("apply PLAN --hook-limit 5m");
    wait_until("the receiver has been told", || !receiver.targets().is_empty());
    let begun = Instant::now();
    signal(&apply, "TERM");
    let said = Said::from(apply.wait_with_output().unwrap());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(said.code, 0, "the flow has ended well: {}", said.stderr);
    assert!(said.stderr.contains("left before 1 webhook had answered"), "{}", said.stderr);
}

#[test]
fn an_emulated_flow_tells_nobody() {
    let receiver = Receiver::willing();
    let space = TestSpace::new();
    let url = receiver.url();
    let path = space.write(
        "plan.yaml",
        &format!(
            "version: 1\nname: x\nworkspace: w\ndeadline: 1ms\non_finish: [{{ url: \"{url}/secret\" }}]\n\
             on_deadline: [{{ url: \"{url}/secret\", body: {{ a: 1 }} }}]\nsteps: {{ one: {{}} }}\n"
        ),
    );
    let said = space.run(&format!("apply {} --emulate", path.display()));
    assert_eq!(said.code, 8, "{}", said.stderr);
    assert_eq!(receiver.targets(), [""; 0]);
    let late = format!("on_deadline: not sent by an emulated flow: 7 bytes of application/json to {url}\n");
    assert!(said.stderr.contains(&late), "{}", said.stderr);
    assert!(said.stderr.contains("on_finish: not sent by an emulated flow: "), "{}", said.stderr);
    assert!(!said.stderr.contains("secret"), "{}", said.stderr);
}

#[test]
fn who_leaves_tells_nobody_and_who_finishes_tells_once() {
    let receiver = Receiver::willing();
    let steps = format!(
        "{}deadline: 1h\nsteps: {{ one: {{}}, two: {{ depends_on: [one] }} }}\n",
        tells_all(&receiver)
    );
    let stage = Stage::new("defaults: { duration: 1s }\n", &steps);
    let said = stage.run("apply PLAN --detach");
    assert_eq!(said.code, 30, "{}", said.stderr);
    assert_eq!(receiver.targets(), [""; 0]);
    let said = stage.run("resume");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(receiver.targets(), ["/finish"]);
    let said = stage.run("resume");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(receiver.targets(), ["/finish"], "there was nothing to do");
}

#[test]
fn a_flow_that_is_late_tells_while_it_runs() {
    let receiver = Receiver::willing();
    let steps = format!("{}deadline: 500ms\nsteps: {{ one: {{}} }}\n", tells_all(&receiver));
    let stage = Stage::new("defaults: { duration: 3s }\n", &steps);
    let apply = stage.begin("apply PLAN");
    wait_until("the deadline has passed", || !receiver.targets().is_empty());
    assert_eq!(receiver.targets(), ["/deadline"]);
    assert_eq!(stage.space.status()["flow"]["ended_at"], Value::Null, "the flow goes on");
    let event = json_of(&receiver.only());
    assert_eq!(event["type"], "io.synflow.flow.deadline");
    assert_eq!(event["data"]["deadline"]["missed"], true);
    assert_eq!(event["data"]["outcome"], Value::Null);
    let said = Said::from(apply.wait_with_output().unwrap());
    assert_eq!(said.code, 8, "{}", said.stderr);
    let mut targets = receiver.targets();
    targets.sort();
    assert_eq!(targets, ["/deadline", "/failure", "/finish"]);
    for word in ["flow too late", "missed its deadline, done after", "missed by "] {
        assert!(said.stderr.contains(word), "{word}\n{}", said.stderr);
    }
    let status = stage.space.status();
    assert_eq!(
        (&status["flow"]["outcome"], &status["flow"]["exit_code"]),
        (&"deadline_missed".into(), &8.into())
    );
    assert_eq!(status["flow"]["deadline"]["missed"], true);
    let text = stage.space.run("status").stdout;
    assert!(text.contains("deadline ") && text.contains("missed by "), "{text}");
    assert!(stage.space.run("flows").stdout.contains("too late"));
    // It is done, if too late: the one command for CI begins the next one.
    let first = stage.flow();
    let said = stage.run("apply PLAN --resume");
    assert_eq!(said.code, 8, "{}", said.stderr);
    assert_ne!(stage.flow(), first);
}

#[test]
fn earlier_flows_tell_that_this_one_will_be_late() {
    let receiver = Receiver::willing();
    let steps = |deadline: &str| {
        format!("{}{deadline}\nsteps: {{ one: {{}}, two: {{ depends_on: [one] }} }}\n", tells_all(&receiver))
    };
    let stage = Stage::new("defaults: { duration: 2s }\n", &steps("deadline: 3s"));
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 8, "{}", said.stderr);
    assert!(!said.stderr.contains("flow late"), "nothing was known before: {}", said.stderr);
    let before = receiver.targets().len();
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 8, "{}", said.stderr);
    let lines: Vec<&str> = said.stderr.lines().collect();
    let at = |word: &str| lines.iter().position(|line| line.contains(word));
    let (late, started) = (at("likely to end at"), at("started"));
    assert!(late.is_some() && late < started, "it says so at once\n{}", said.stderr);
    let targets = receiver.targets();
    let told = targets[before..].iter().filter(|target| *target == "/deadline").count();
    assert_eq!(told, 1, "the passing is not told again: {targets:?}");
    let status = stage.space.status();
    assert!(status["flow"]["deadline"]["forecast"].is_string(), "{status}");
    let requests = receiver.server.requests();
    let warned = requests[before..].iter().find(|request| request.target == "/deadline").unwrap();
    assert_eq!(json_of(warned)["data"]["deadline"]["missed"], false);
    // Enough time: no word of it.
    stage.edit(&steps("deadline: 1h"));
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(!said.stderr.contains("likely to end at"), "{}", said.stderr);
}

#[test]
fn a_flow_that_waits_for_a_person_has_failed_but_not_finished() {
    let text = "version: 1\nname: a b\nworkspace: w\non_finish: [{ url: https://x.example }]\n\
                on_failure: [{ url: \"https://x.example/{{flow.outcome}}\" }, { url: \"https://x.example\", body: \"{{flow.ended_at}} {{steps.a.outcome}} {{default steps.a.run_id 'none'}}\" }]\n\
                steps: { a: {} }\n";
    let header =
        FlowHeader { plan_text: text.to_owned(), plan_name: "a b".to_owned(), ..header("7f3a9c", "x", 4) };
    let mut play = Play::new(plan(4, vec![step("a", &[])]));
    play.flow = Flow::from_header(header).unwrap();
    assert_eq!(play.flow.occasions(), []);
    play.lose(0);
    assert_eq!(play.flow.occasions(), [Occasion::Failure]);
    let notices = play.flow.notices(Occasion::Failure);
    assert_eq!(notices, play.flow.notices(Occasion::Failure), "the same each time");
    let [Ok(first), Ok(second)] = &notices[..] else { panic!("{notices:?}") };
    assert_eq!(
        (first.request["url"].as_str().unwrap(), first.origin.as_str()),
        ("https://x.example/unknown", "https://x.example")
    );
    assert_eq!((first.name.as_str(), first.id.as_str()), ("on_failure (1 of 2)", "7f3a9c-3-on_failure-1"));
    let event: &Value = &first.request["body"];
    assert_eq!(event["source"], "urn:synflow:a%20b");
    assert_eq!((&event["data"]["exit_code"], &event["data"]["ended_at"]), (&9.into(), &Value::Null));
    assert_eq!(event["data"]["next"], "synflow resolve 7f3a9c a --run RUN | --not-started | --give-up");
    assert_eq!(second.request["body"], format!("{} unknown none", play.now));
}

#[test]
fn every_recipe_is_a_plan() {
    let text = std::fs::read_to_string(root().join("docs/notifications.md")).unwrap();
    let plans: Vec<&str> =
        text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(plans.len() >= 5, "{plans:?}");
    for plan in plans {
        let space = TestSpace::new();
        let path = space.write("plan.yaml", plan);
        let said = space.run(&format!("validate {}", path.display()));
        assert_eq!(said.code, 0, "{plan}\n{}", said.stderr);
        assert!(!said.stderr.contains("warning"), "{plan}\n{}", said.stderr);
    }
    for event in text.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
        serde_json::from_str::<Value>(event).unwrap();
    }
}
