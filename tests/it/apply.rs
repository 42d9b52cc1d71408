//! `synflow apply`, the real binary, judged by the emulator's own record.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::space::{Said, TestSpace};
use crate::witness::{Ran, apply, flows, in_background, outcomes, plan_at, ran, runs_of_steps, wait_until};

#[test]
fn every_start_of_the_nightly_example_respects_every_edge() {
    let space = TestSpace::new();
    let emulator = space.emulate("--script examples/nightly/emulator.yaml --workspace contoso-dw");
    let text = std::fs::read_to_string("examples/nightly/plan.yaml").unwrap();
    let main = format!("workspaces: {{ main: {{ endpoint: \"{}\" }} }}", emulator.endpoint());
    let text = text.replace("workspace: contoso-dw", &main);
    assert!(text.contains(&main));

    let said = apply(&space, &emulator, &text, "");
    assert_eq!(said.code, 0, "{}", said.stderr);

    let runs = runs_of_steps(&space.status());
    let ran = ran(&emulator);
    let plan: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    let steps = plan["steps"].as_mapping().unwrap();
    assert!(steps.len() >= 12);
    let mut edges = 0;
    for (id, step) in steps {
        let starts = &runs[id.as_str().unwrap()];
        for edge in step.get("depends_on").and_then(|edges| edges.as_sequence()).into_iter().flatten() {
            let upstream = match edge.as_mapping() {
                Some(map) => map.keys().next().unwrap().as_str().unwrap(),
                None => edge.as_str().unwrap(),
            };
            for (start, end) in
                starts.iter().flat_map(|start| runs[upstream].iter().map(move |end| (start, end)))
            {
                let ended = ran[end].ended_at.as_ref().unwrap();
                assert!(ran[start].accepted_at >= *ended, "{id:?} started before {upstream} ended");
                edges += 1;
            }
        }
    }
    assert!(edges >= 12, "only {edges} edges were looked at");
    let accepted: usize = runs.values().map(Vec::len).sum();
    assert_eq!(accepted, ran.len(), "the emulator ran something that synflow does not know");
}

#[test]
fn ready_steps_overlap_up_to_max_parallel() {
    let check = |steps: usize, max_parallel: usize, words: &str, want: usize| {
        let space = TestSpace::new();
        let script = space.write("script.yaml", "defaults: { duration: 1500ms }\n");
        let emulator = space.emulate(&format!("--script {}", script.display()));
        let mut plan = plan_at(&emulator, &format!("max_parallel: {max_parallel}\nsteps:\n"));
        for step in 0..steps {
            writeln!(plan, "  s{step}: {{ pipeline: p{step} }}").unwrap();
        }
        let said = apply(&space, &emulator, &plan, words);
        assert_eq!(said.code, 0, "{}", said.stderr);
        assert_eq!(most_at_once(&ran(&emulator)), want, "{steps} steps, {max_parallel} at once{words}");
    };
    check(5, 20, "", 5);
    check(7, 3, "", 3);
    check(4, 20, " --max-parallel 2", 2);
}

/// Returns how many runs were live at once, from acceptance to end.
fn most_at_once(ran: &BTreeMap<String, Ran>) -> usize {
    let live_at = |at: &String| {
        let live = |run: &&Ran| run.accepted_at <= *at && run.ended_at.as_ref().is_none_or(|end| end > at);
        ran.values().filter(live).count()
    };
    ran.values().map(|run| live_at(&run.accepted_at)).max().unwrap_or(0)
}

#[test]
fn a_failed_pipeline_shows_its_activity_and_blocks_what_depends_on_it() {
    let space = TestSpace::new();
    let said = space.run("apply examples/fails.yaml --emulate --script examples/fails.emulator.yaml");
    assert_eq!(said.code, 1, "{}", said.stderr);
    let status = space.status();
    assert_eq!(status["flow"]["exit_code"], 1);
    let outcomes = outcomes(&status);
    let failed: Vec<_> = outcomes.iter().filter(|(_, outcome)| **outcome == "failed").collect();
    let blocked: Vec<_> = outcomes.iter().filter(|(_, outcome)| **outcome == "blocked").collect();
    assert_eq!(failed.len(), 1, "{outcomes:?}");
    assert_eq!(blocked.len(), 2, "{outcomes:?}");
    assert!(outcomes.values().filter(|outcome| **outcome == "succeeded").count() >= 2, "{outcomes:?}");
    let error = status["steps"].as_array().unwrap().iter().find(|step| step["outcome"] == "failed").unwrap();
    let error = &error["attempts"].as_array().unwrap().last().unwrap()["error"];
    let message = error["message"].as_str().unwrap();
    // Programs get the service's own text, people what it says.
    assert!(message.starts_with("ErrorCode=HttpFileFailedToRead,'Type=Microsoft.DataTransfer."), "{message}");
    assert!(
        said.stderr.contains("url to adls: HttpFileFailedToRead: Failed to read data from"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains("'Type="), "{}", said.stderr);
    for (id, _) in blocked {
        assert!(said.stderr.contains(id), "{}", said.stderr);
    }
}

#[test]
fn a_killed_apply_leaves_every_started_run_in_the_journal() {
    let space = TestSpace::new();
    let script = space.write("script.yaml", "defaults: { duration: 60s }\n");
    let emulator = space.emulate(&format!("--script {}", script.display()));
    let mut steps = String::from("steps:\n");
    for step in 0..6 {
        writeln!(steps, "  s{step}: {{ pipeline: p{step} }}").unwrap();
    }
    let path = space.write("plan.yaml", &plan_at(&emulator, &steps));
    let mut apply = in_background(&space, &emulator, &format!("apply {}", path.display()));
    wait_until("six runs are accepted", || ran(&emulator).len() == 6);
    apply.kill().unwrap();
    apply.wait().unwrap();

    let status = space.status();
    assert!(status["flow"]["exit_code"].is_null());
    let known: Vec<String> = runs_of_steps(&status).into_values().flatten().collect();
    for run in ran(&emulator).keys() {
        assert!(known.contains(run), "the journal does not know run {run}");
    }
    let text = space.run("status").stdout;
    assert!(known.iter().all(|run| text.contains(run.as_str())), "{text}");

    let again = space.run_at(&emulator, &format!("apply {}", path.display()));
    assert_eq!(again.code, 6, "{}", again.stderr);
    assert!(again.stderr.contains("has not ended"), "{}", again.stderr);
    let given_up = space.run_at(&emulator, &format!("apply {} --new", path.display()));
    assert_eq!(given_up.code, 6, "{}", given_up.stderr);
    assert!(given_up.stderr.contains("live"), "{}", given_up.stderr);
    assert_eq!(ran(&emulator).len(), 6, "nothing more was started");
}

#[test]
fn a_flow_whose_runs_have_ended_can_be_given_up() {
    let space = TestSpace::new();
    let script = space.write("script.yaml", "defaults: { duration: 1s }\n");
    let emulator = space.emulate(&format!("--script {}", script.display()));
    let path = space.write("plan.yaml", &plan_at(&emulator, "steps:\n  one: {}\n"));
    let words = format!("apply {} --beat 100ms", path.display());
    let mut killed = in_background(&space, &emulator, &words);
    wait_until("the run is accepted", || ran(&emulator).len() == 1);
    killed.kill().unwrap();
    killed.wait().unwrap();
    wait_until("the run has ended", || ran(&emulator).values().all(|run| run.ended_at.is_some()));

    assert_eq!(space.run_at(&emulator, &words).code, 6);
    let again = space.run_at(&emulator, &format!("{words} --new"));
    assert_eq!(again.code, 0, "{}", again.stderr);
    let listed: Value = serde_json::from_str(&space.run("flows --output json").stdout).unwrap();
    assert_eq!(listed["flows"][1]["state"], "given_up");
    assert_eq!(space.run_at(&emulator, &words).code, 0, "nothing stands in the way any more");
}

#[test]
fn of_two_applies_at_once_one_starts() {
    let space = TestSpace::new();
    let script = space.write("script.yaml", "defaults: { duration: 2s }\n");
    let emulator = space.emulate(&format!("--script {}", script.display()));
    let path = space.write("plan.yaml", &plan_at(&emulator, "steps:\n  one: {}\n"));
    let words = format!("apply {} --beat 100ms", path.display());
    let both = [in_background(&space, &emulator, &words), in_background(&space, &emulator, &words)];
    let mut codes = both.map(|child| child.wait_with_output().unwrap().status.code().unwrap());
    codes.sort_unstable();
    assert_eq!(codes, [0, 6]);
    assert_eq!(ran(&emulator).len(), 1);
}

#[cfg(unix)]
#[test]
fn a_terminated_emulated_flow_does_not_claim_that_runs_go_on() {
    let space = TestSpace::new();
    let script = space.write("script.yaml", "defaults: { duration: 60s }\n");
    let words = ["apply", "examples/hello.yaml", "--emulate", "--script", script.to_str().unwrap()];
    let apply = space.command(words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the run has started", || {
        space.run("status --output json").stdout.contains("\"state\": \"running\"")
    });
    std::process::Command::new("kill").arg(apply.id().to_string()).status().unwrap();
    let said = Said::from(apply.wait_with_output().unwrap());
    assert_eq!(said.code, 130, "{}", said.stderr);
    assert!(said.stderr.contains("gone with the emulated workspace"), "{}", said.stderr);
    assert!(!said.stderr.contains("on in Synapse"), "{}", said.stderr);
}

#[test]
fn a_terminal_does_not_obey_names_of_a_plan() {
    let space = TestSpace::new();
    let plan = "version: 1\nname: n\nworkspace: w\nsteps: { a: { parameters: { x: \"a\\e[31mb\" } } }\n";
    let path = space.write("plan.yaml", plan);
    let said = space.run(&format!("plan {} --offline", path.display()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(!said.stdout.contains('\u{1b}'), "{:?}", said.stdout);
}

#[test]
fn looking_makes_no_journal() {
    let space = TestSpace::new();
    let said = space.run("status");
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains(space.state_dir().to_str().unwrap()), "{}", said.stderr);
    assert_eq!(space.run("flows").code, 0);
    assert!(!space.state_dir().exists());
}

#[test]
fn settings_out_of_bounds_end_2() {
    for words in ["--beat 5", "--beat 0s", "--beat 100h", "--start-grace soon"] {
        let said = TestSpace::new().run(&format!("apply examples/hello.yaml --emulate {words}"));
        assert_eq!(said.code, 2, "{words}\n{}", said.stderr);
        assert!(said.stderr.contains("hint: write a duration such as"), "{}", said.stderr);
    }
}

#[cfg(unix)]
#[test]
fn a_terminated_apply_leaves_in_time_and_its_runs_go_on() {
    let space = TestSpace::new();
    let script = space.write("script.yaml", "defaults: { duration: 60s }\n");
    let emulator = space.emulate(&format!("--script {}", script.display()));
    let path =
        space.write("plan.yaml", &plan_at(&emulator, "steps:\n  one: {}\n  two: { depends_on: [one] }\n"));
    let apply = in_background(&space, &emulator, &format!("apply {}", path.display()));
    wait_until("the run is accepted", || ran(&emulator).len() == 1);
    std::process::Command::new("kill").arg(apply.id().to_string()).status().unwrap();
    let said = Said::from(apply.wait_with_output().unwrap());
    assert_eq!(said.code, 30, "{}", said.stderr);
    let run = ran(&emulator).into_iter().next().unwrap();
    assert!(run.1.ended_at.is_none(), "the run goes on");
    assert!(said.stderr.contains(&run.0), "{}", said.stderr);
    let last = said.stderr.trim_end().lines().last().unwrap().to_owned();
    assert!(last.contains("synflow resume"), "{last}");
}

#[test]
fn a_dry_run_is_the_plan() {
    let space = TestSpace::new();
    space.write("workspace/pipeline/one.json", r#"{"name": "one", "properties": {"activities": []}}"#);
    let script = space.write("script.yaml", "artifacts: [workspace]\n");
    let emulator = space.emulate(&format!("--script {}", script.display()));
    let plan = plan_at(&emulator, "steps:\n  one: {}\n  two: { depends_on: [one], parameters: { n: 1 } }\n");
    let path = space.write("plan.yaml", &plan);
    let code = |words: &str| {
        let said = space.run_at(&emulator, &words.replace("PLAN", path.to_str().unwrap()));
        assert!(
            said.stdout.contains("  two: pipeline `two` in `127.0.0.1`\n    after one\n    n = 1\n"),
            "{}",
            said.stdout
        );
        assert!(said.stdout.ends_with("\nnothing was started\n"), "{}", said.stdout);
        (said.code, said.stderr, said.stdout.contains("credential"))
    };
    let (want, told, is_seen) = code("plan PLAN");
    assert_eq!((want, is_seen), (4, true), "there is no pipeline `two`");
    assert_eq!(code("apply PLAN --dry-run"), (want, told, is_seen));
    assert_eq!(code("apply PLAN --dry-run --emulate"), (0, String::new(), false), "nobody is asked");
    for word in ["--resume", "--new", "--wait", "--detach"] {
        let said = space.run_at(&emulator, &format!("apply {} --dry-run {word}", path.display()));
        assert_eq!(said.code, 2, "{word}\n{}", said.stderr);
    }
    assert!(ran(&emulator).is_empty());
    assert_eq!(flows(&space), 0);
}

#[test]
fn whoever_cannot_sign_in_starts_nothing() {
    let space = TestSpace::new();
    let emulator = space.emulate("");
    let path = space.write("plan.yaml", &plan_at(&emulator, "steps:\n  one: {}\n"));
    let words = format!("apply {}", path.display());

    let nobody = space.run(&words);
    assert_eq!(nobody.code, 10, "{}", nobody.stderr);
    assert!(nobody.stderr.contains("AZURE_CLIENT_SECRET"), "{}", nobody.stderr);

    let mut wrong = space.command_at(&emulator, &words);
    let wrong = Said::from(wrong.env("AZURE_CLIENT_SECRET", "not-the-secret").output().unwrap());
    assert_eq!(wrong.code, 10, "{}", wrong.stderr);
    assert!(wrong.stderr.contains("AADSTS7000215"), "{}", wrong.stderr);
    assert!(!wrong.stderr.contains("not-the-secret"), "{}", wrong.stderr);

    assert!(ran(&emulator).is_empty());
    assert_eq!(flows(&space), 0);
}

/// The core schedules every repeat and says so: were the client to repeat as well, fewer would be seen than sent.
#[test]
fn a_question_that_fails_is_asked_again_by_the_core_alone() {
    let space = TestSpace::new();
    let script = "faults: [{ on: getRun, kind: status, status: 503, first: 4 }]\n";
    let script = space.write("emulator.yaml", script);
    let emulator = space.emulate(&format!("--speed 10 --script {}", script.display()));
    let said = apply(&space, &emulator, &plan_at(&emulator, "steps:\n  one: {}\n"), "");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(said.stderr.matches("asking again").count(), 4, "{}", said.stderr);
}

#[test]
fn an_unreachable_workspace_ends_11() {
    let space = TestSpace::new();
    let emulator = space.emulate("");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let plan = format!(
        "version: 1\nname: test\nworkspaces: {{ main: {{ endpoint: \"http://127.0.0.1:{port}\" }} }}\nsteps: {{ one: {{}} }}\n"
    );
    let said = apply(&space, &emulator, &plan, "");
    assert_eq!(said.code, 11, "{}", said.stderr);
    assert!(said.stderr.contains("hint:"), "{}", said.stderr);
}

#[test]
fn an_unusable_journal_ends_12_and_starts_nothing() {
    let space = TestSpace::new();
    let emulator = space.emulate("");
    let path = space.write("plan.yaml", &plan_at(&emulator, "steps:\n  one: {}\n"));
    space.write("state", "a file where the folder should be");
    let said = space.run_at(&emulator, &format!("apply {}", path.display()));
    assert_eq!(said.code, 12, "{}", said.stderr);
    assert!(said.stderr.contains("--state-dir"), "{}", said.stderr);
    assert!(ran(&emulator).is_empty());
}

#[test]
fn a_timeout_cancels_the_run_and_waits_for_its_end() {
    let space = TestSpace::new();
    let script = space.write("script.yaml", "defaults: { duration: 60s }\n");
    let emulator = space.emulate(&format!("--script {}", script.display()));
    let plan = plan_at(&emulator, "steps:\n  slow: { timeout: 1s }\n  after: { depends_on: [slow] }\n");
    let said = apply(&space, &emulator, &plan, "");
    assert_eq!(said.code, 8, "{}", said.stderr);
    let status = space.status();
    assert_eq!(outcomes(&status)["slow"], "timed_out");
    assert_eq!(outcomes(&status)["after"], "blocked");
    let record = emulator.record();
    assert_eq!(record["runs"][0]["status"], "Cancelled");
}

#[test]
fn a_failed_attempt_is_tried_again_with_the_same_parameters() {
    let space = TestSpace::new();
    let script = "defaults: { duration: 200ms }\npipelines:\n  p: { runs: [{ outcome: failed }, { outcome: succeeded }] }\n";
    let script = space.write("script.yaml", script);
    let emulator = space.emulate(&format!("--script {}", script.display()));
    let plan = plan_at(
        &emulator,
        "steps:\n  again:\n    pipeline: p\n    retry: { max_attempts: 3, delay: 100ms }\n    parameters: { deep: { list: [1, 2.5, null, true, text] } }\n",
    );
    let said = apply(&space, &emulator, &plan, "");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let record = emulator.record();
    let runs = record["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[0]["parameters"], runs[1]["parameters"]);
    assert_eq!(runs[0]["parameters"]["deep"], serde_json::json!({ "list": [1, 2.5, null, true, "text"] }));
}

/// More than the pipeline's `concurrency` and the queue of 100 together would be refused.
#[test]
fn a_full_queue_of_a_pipeline_is_waited_for() {
    let space = TestSpace::new();
    std::fs::create_dir_all(space.path("workspace/pipeline")).unwrap();
    let definition = r#"{ "name": "crowded", "properties": { "concurrency": 4, "activities": [] } }"#;
    space.write("workspace/pipeline/crowded.json", definition);
    let script = "artifacts: [workspace]\ndefaults: { queued: 0ms, duration: 300ms }\n";
    let script = space.write("script.yaml", script);
    let rows: Vec<String> = (0..110).map(|row| row.to_string()).collect();
    let steps = format!("each: {{ pipeline: crowded, for_each: [{}] }}", rows.join(", "));
    let head = "version: 1\nname: crowded\nworkspace: contoso-dw\nmax_parallel: 200\nsteps:\n  ";
    let plan = space.write("plan.yaml", &format!("{head}{steps}\n"));
    let (plan, script) = (plan.display(), script.display());
    let said = space.run(&format!("apply {plan} --emulate --script {script} --beat 50ms"));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("N0601") && said.stderr.contains("the queue takes 100"), "{}", said.stderr);
    let starts = space.status()["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["attempts"].as_array().unwrap().len())
        .sum::<usize>();
    assert_eq!(starts, 110, "no start was made in vain");
}
