//! Every fault, and that each strikes what it names and nothing else.

use serde_json::json;

use super::{Bench, RUN, VERSION};
use crate::emulator::model::{Answer, Fate, Request};
use crate::time::Delay;

fn faulty(rule: &str) -> Bench {
    Bench::new(&format!("seed: 5\nfaults:\n  - {{ {rule} }}\n"), &[])
}

fn start(bench: &mut Bench) -> Answer {
    bench.start("pl", RUN, &json!({}))
}

#[test]
fn answers_with_a_status_before_or_after() {
    let check = |rule: &str, status: u16, accepted: usize| {
        let mut bench = faulty(rule);
        let answer = start(&mut bench);
        assert_eq!(answer.status, status, "{rule}");
        assert_eq!(bench.model.record().runs.len(), accepted, "{rule}");
        assert_eq!(bench.query(&json!({})).status, 200, "{rule}");
        assert_eq!(start(&mut bench).status, 202, "{rule}: only the first");
    };
    for status in [429, 500, 502, 503, 504] {
        check(&format!("on: createRun, kind: status, status: {status}, first: 1"), status, 0);
        check(
            &format!("on: [createRun, getRun], kind: status, status: {status}, accepted: true, first: 1"),
            status,
            1,
        );
    }
}

#[test]
fn tells_when_to_come_back() {
    let check = |form: &str, header: &str, want: &str| {
        let mut bench =
            faulty(&format!("on: createRun, kind: status, status: 429, retry_after: {{ {form} }}"));
        assert_eq!(start(&mut bench).header(header), Some(want), "{form}");
    };
    check("seconds: 7s", "retry-after", "7");
    check("date: 1m", "retry-after", "Fri, 15 Jan 2027 08:01:00 GMT");
    check("ms: 1500ms", "retry-after-ms", "1500");
    check("x_ms: 1500ms", "x-ms-retry-after-ms", "1500");
    let mut bench = faulty("on: createRun, kind: status, status: 429");
    assert_eq!(start(&mut bench).header("retry-after"), None);
    let mut bench = faulty("on: createRun, kind: status, status: 429, retry_after: { seconds: 7s }");
    let message = start(&mut bench).body_json()["error"]["message"].clone();
    assert!(
        message.as_str().is_some_and(|text| text.ends_with("time frame. Retry in 7 seconds.")),
        "{message}"
    );
}

#[test]
fn spoils_bodies_and_connections() {
    let answer_to = |rule: &str| {
        let mut bench = faulty(rule);
        let answer = start(&mut bench);
        (answer, bench.model.record().runs.len())
    };
    let (answer, runs) = answer_to("on: createRun, kind: cut");
    assert_eq!((answer.fate, runs), (Fate::Cut, 0));
    let (answer, runs) = answer_to("on: createRun, kind: cut, accepted: true");
    assert_eq!((answer.fate, runs), (Fate::Cut, 1));
    let (answer, runs) = answer_to("on: createRun, kind: cut_in_body");
    assert_eq!((answer.fate, answer.status, runs), (Fate::CutInBody, 202, 1));
    let (answer, runs) = answer_to("on: createRun, kind: truncate");
    assert_eq!((answer.status, answer.body_json(), runs), (202, json!(null), 1));
    let (answer, _) = answer_to("on: createRun, kind: slow, for: 30s");
    assert_eq!((answer.status, answer.delay), (202, Delay::from_secs(30)));
    let (answer, runs) = answer_to("on: createRun, kind: html");
    assert_eq!((answer.status, answer.header("content-type"), runs), (502, Some("text/html"), 0));
    for (body, want) in [("flat", "{\"code\""), ("wrapped", "{\"error\""), ("html", "<html>"), ("empty", "")]
    {
        let (answer, _) = answer_to(&format!("on: createRun, kind: status, status: 503, body: {body}"));
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.starts_with(want) && (body != "empty" || text.is_empty()), "{body}: {text}");
    }
}

#[test]
fn lists_and_reads_lag() {
    let mut bench = faulty("on: queryPipelineRuns, kind: list_lag, for: 1m");
    start(&mut bench);
    bench.wait(59_000);
    assert_eq!(bench.query(&json!({})).body_json(), json!({ "value": [] }));
    assert_eq!(bench.run(RUN)["runId"], RUN, "a GET knows it");
    bench.wait(1_000);
    assert_eq!(bench.query(&json!({})).body_json()["value"][0]["runId"], RUN);

    let mut bench = faulty("on: getRun, kind: hide_run, for: 1m");
    start(&mut bench);
    assert_eq!(bench.run(RUN)["code"], "PipelineRunNotFound");
    bench.wait(60_000);
    assert_eq!(bench.run(RUN)["runId"], RUN);
}

#[test]
fn tokens_end_early() {
    let mut bench = faulty("on: token, kind: short_token, for: 5s");
    assert_eq!(start(&mut bench).status, 202);
    bench.wait(5_000);
    assert_eq!(start(&mut bench).status, 401);
}

#[test]
fn clocks_are_wrong() {
    let mut bench = faulty("on: getRun, kind: clock, ahead: -10m");
    start(&mut bench);
    let answer = bench.send(Request::new("GET", &format!("/pipelineruns/{RUN}?{VERSION}")));
    assert_eq!(answer.header("date"), Some("Fri, 15 Jan 2027 07:50:00 GMT"));

    let mut bench = Bench::new("clock_skew: 10m", &[]);
    assert_eq!(start(&mut bench).header("date"), Some("Fri, 15 Jan 2027 08:10:00 GMT"));
    assert!(bench.run(RUN)["runStart"].as_str().is_some_and(|text| text.starts_with("2027-01-15T08:10:00")));
    assert_eq!(bench.settle(), Delay::from_ms(2_500), "only its clock is wrong, not its pace");
}

#[test]
fn strikes_whom_it_names() {
    let mut bench = faulty("on: createRun, pipeline: bad, kind: status, status: 500, skip: 1, first: 2");
    let mut statuses = |pipeline: &str| [(); 4].map(|()| bench.start(pipeline, "", &json!({})).status);
    assert_eq!(statuses("good"), [202; 4]);
    assert_eq!(statuses("bad"), [202, 500, 500, 202]);
}

#[test]
fn the_same_seed_has_the_same_luck() {
    let luck = || {
        let mut bench = faulty("on: createRun, kind: status, status: 500, probability: 0.3");
        (0..200).map(|_| bench.start("pl", "", &json!({})).status).collect::<Vec<u16>>()
    };
    let first = luck();
    assert_eq!(first, luck());
    let struck = first.iter().filter(|status| **status == 500).count();
    assert!((40..80).contains(&struck), "{struck} of 200");
}
