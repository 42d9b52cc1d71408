//! `synflow test PLAN`: rehearses what the plan's `tests` assume and compares what follows with what they expect.
//!
//! Earlier flows count for nothing here: a test must say the same on every machine.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::args::{Chosen, Inputs, Output, Test, TestForm};
use crate::cli::failure::{Exit, Failure};
use crate::cli::load::{self, LoadedPlan};
use crate::cli::rehearse::{self, USUAL_DEFAULT};
use crate::cli::settings::Settings;
use crate::cli::{outlet, put, put_value};
use crate::flow::Outcome;
use crate::flow::forecast::Durations;
use crate::flow::policy;
use crate::plan::{self, Assumptions, Given, GivenFile, StepId, TestCase};
use crate::rehearse::account::{Account, why};
use crate::rehearse::{KnownOutputs, Lengths, Rehearsal, Setting};
use crate::report::{counted, junit, one_line};

/// Something that is not as a test expects it.
struct Mismatch {
    /// What was expected and what happened instead.
    what: String,
    /// Why it happened, each reason following from the next.
    because: Vec<String>,
}

/// What became of a test.
struct Verdict<'t> {
    test: &'t TestCase,
    mismatches: Vec<Mismatch>,
}

/// Runs the tests of a plan, or of a file beside it. Ends with 0 if all is as expected, else with 1.
///
/// Fails if the plan or the file of tests is invalid (3), or there are no tests (2).
pub(super) fn run(args: &Test, settings: &Settings) -> Result<u8, Failure> {
    let start = rehearse::begins_at(rehearse::AT_DEFAULT)?;
    let open = Chosen { env: args.env.clone(), inputs: Inputs::default() };
    let loaded = load::plan(&args.plan, &open, false, settings, &mut outlet::stderr())?;
    if let Some(saved) = &loaded.saved {
        return Err(saved.not_for("test"));
    }
    let (tests, file) = match &args.tests {
        Some(path) => (tests_of_file(path, &loaded, settings)?, path.as_path()),
        None => (loaded.plan.tests.clone(), args.plan.as_path()),
    };
    if tests.is_empty() {
        return Err(Failure::new(Exit::Usage, format!("the plan `{}` has no `tests`", args.plan.display()))
            .hint("add some below `tests:` (docs/rehearsing.md), or name a file of tests with `--tests`"));
    }
    let mut verdicts = Vec::new();
    for test in &tests {
        let given = Given {
            environment: test.environment.clone().or_else(|| args.env.clone()).unwrap_or_default(),
            now: test.at.unwrap_or(start),
            inputs_required: true,
            inputs_file: Some(GivenFile {
                name: format!("the inputs of the test `{}`", test.name),
                bytes: Value::Object(test.inputs.clone()).to_string().into_bytes(),
            }),
            env: settings.env.clone(),
            ..Given::default()
        };
        let at = given.now;
        let mismatches = match load::test_plan(&args.plan, given)? {
            Err(problems) => {
                let told = problems.into_iter().filter(plan::Diagnostic::is_error);
                told.map(|it| Mismatch { what: it.message, because: Vec::new() }).collect()
            }
            Ok(loaded) => rehearsed(test, &loaded, at)?,
        };
        verdicts.push(Verdict { test, mismatches });
    }
    let failed = verdicts.iter().filter(|verdict| !verdict.mismatches.is_empty()).count();
    match args.output {
        TestForm::Text => put(&text(&verdicts, file, &loaded.plan.name))?,
        TestForm::Json => {
            put_value(&as_json(&verdicts, &loaded.plan.name), Output::Json, String::new)?;
        }
        TestForm::Junit => put(&as_junit(&verdicts, file, &loaded.plan.name))?,
    }
    Ok(if failed == 0 { Exit::Done.code() } else { Exit::PipelinesFailed.code() })
}

fn tests_of_file(path: &Path, loaded: &LoadedPlan, settings: &Settings) -> Result<Vec<TestCase>, Failure> {
    let bytes = fs::read(path).map_err(|error| {
        Failure::new(Exit::Usage, format!("cannot read the tests `{}`: {error}", path.display()))
            .hint("`--tests` names a YAML file with the key `tests`")
    })?;
    plan::load_tests(&bytes, &loaded.plan).map_err(|problems| {
        let text = plan::render(&problems, &path.display().to_string(), &bytes, settings.colour);
        // A closed stderr must not stop anything.
        drop(std::io::Write::write_all(&mut outlet::stderr(), text.as_bytes()));
        Failure { exit: Exit::PlanInvalid, lines: Vec::new(), hints: Vec::new() }
    })
}

/// Rehearses a test and returns what is not as it expects.
fn rehearsed(
    test: &TestCase,
    loaded: &LoadedPlan,
    start: crate::time::Timestamp,
) -> Result<Vec<Mismatch>, Failure> {
    let plan = &loaded.plan;
    let mut assumptions = Assumptions::new();
    for (target, value) in &test.assume {
        if let Err(bad) = plan::assume(plan, &mut assumptions, target, value) {
            let what = format!("`{target}` cannot be assumed: {}; {}", bad.message, bad.help);
            return Ok(vec![Mismatch { what, because: Vec::new() }]);
        }
    }
    let mut rehearsal = rehearse::stage(Setting {
        plan: std::sync::Arc::clone(plan),
        assumptions,
        lengths: Lengths::History(Durations::new()),
        known_outputs: KnownOutputs::new(),
        usual: USUAL_DEFAULT,
        start,
        max_parallel: plan.max_parallel,
        beat: policy::BEAT,
        seed: 1,
    })?;
    rehearsal.play(&mut |_, _| {});
    Ok(compared(test, &rehearsal))
}

/// Returns what is not as a test expects.
fn compared(test: &TestCase, rehearsal: &Rehearsal) -> Vec<Mismatch> {
    let flow = rehearsal.flow();
    let mut found = Vec::new();
    for (name, wanted) in &test.expect {
        let Some(step) = flow.index(&StepId::new(name)) else {
            let near = plan::nearest(name, plan::names_in(flow.plan()));
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            found.push(Mismatch {
                what: format!("{name}: expected {}, but there is no such step{near}", wanted.join(" or ")),
                because: Vec::new(),
            });
            continue;
        };
        let word = flow.run(step).outcome().map_or("open", Outcome::word);
        if !wanted.contains(&word) {
            let mut because = why(flow, step);
            // It would say the same again.
            because.retain(|reason| *reason != format!("`{name}` ended {word}"));
            let what = format!("{name}: expected {}, but it ended {word}", wanted.join(" or "));
            found.push(Mismatch { what, because });
        }
    }
    let (word, _) = rehearsal.outcome();
    if !test.flow.is_empty() && !test.flow.contains(&word) {
        let is_bad = |outcome: Option<Outcome>| {
            !matches!(
                outcome,
                Some(
                    Outcome::Succeeded
                        | Outcome::Warned
                        | Outcome::Skipped
                        | Outcome::NotNeeded
                        | Outcome::Blocked
                )
            )
        };
        let bad = flow.steps().find(|(_, step, run)| !step.allow_failure && is_bad(run.outcome()));
        found.push(Mismatch {
            what: format!("flow: expected {}, but it ended {word}", test.flow.join(" or ")),
            because: bad.map(|(step, ..)| why(flow, step)).unwrap_or_default(),
        });
    }
    found.extend(out_of_order(test, rehearsal));
    let makespan = Account::of(flow, rehearsal.now()).makespan();
    if let Some(bound) = test.makespan.as_ref().filter(|bound| !bound.allows(makespan)) {
        found.push(Mismatch {
            what: format!("makespan: expected {}, but it is {}", bound.text, makespan.short()),
            because: Vec::new(),
        });
    }
    found
}

/// Returns the first two steps of `order` that start the other way round, or one that does not start at all. A step with
/// iterations starts with the first of them.
fn out_of_order(test: &TestCase, rehearsal: &Rehearsal) -> Option<Mismatch> {
    let flow = rehearsal.flow();
    let place = |name: &str| {
        rehearsal.starts().iter().position(|step| {
            let place = flow.step(*step);
            let group = place.group.map(|group| flow.step(group).id.as_str());
            place.id.as_str() == name || group == Some(name)
        })
    };
    let mut last: Option<(&str, usize)> = None;
    for name in &test.order {
        let Some(at) = place(name) else {
            let because = flow.index(&StepId::new(name)).map(|step| why(flow, step)).unwrap_or_default();
            return Some(Mismatch { what: format!("order: `{name}` does not start"), because });
        };
        if let Some((earlier, earlier_at)) = last
            && at < earlier_at
        {
            let what = format!("order: expected `{earlier}` before `{name}`, but `{name}` starts first");
            return Some(Mismatch { what, because: Vec::new() });
        }
        last = Some((name, at));
    }
    None
}

fn text(verdicts: &[Verdict<'_>], file: &Path, plan: &str) -> String {
    let mut out = String::new();
    for Verdict { test, mismatches } in verdicts {
        let name = one_line(&test.name);
        // Writing to a text cannot fail.
        let _ = if mismatches.is_empty() {
            writeln!(out, "ok      {name}")
        } else {
            writeln!(out, "FAILED  {name} ({}:{})", file.display(), test.place.line)
        };
        for Mismatch { what, because } in mismatches {
            let _ = writeln!(out, "          {}", one_line(what));
            for reason in because {
                let _ = writeln!(out, "            because {}", one_line(reason));
            }
        }
    }
    let failed = verdicts.iter().filter(|verdict| !verdict.mismatches.is_empty()).count();
    let ok = verdicts.len() - failed;
    let _ = writeln!(
        out,
        "\n{} of `{}`: {ok} ok, {failed} failed",
        counted(verdicts.len(), "test"),
        one_line(plan)
    );
    out
}

fn as_json(verdicts: &[Verdict<'_>], plan: &str) -> Value {
    let one = |verdict: &Verdict<'_>| {
        let mismatches = verdict.mismatches.iter();
        let mismatches = mismatches.map(|it| json!({ "what": it.what, "because": it.because }));
        json!({
            "name": verdict.test.name,
            "line": verdict.test.place.line,
            "ok": verdict.mismatches.is_empty(),
            "mismatches": mismatches.collect::<Vec<_>>(),
        })
    };
    json!({ "plan": plan, "tests": verdicts.iter().map(one).collect::<Vec<_>>() })
}

/// Returns the verdicts as the XML of `JUnit`, which CI systems read.
fn as_junit(verdicts: &[Verdict<'_>], file: &Path, plan: &str) -> String {
    let case = |verdict: &Verdict<'_>| {
        let told = verdict.mismatches.iter().flat_map(|it| std::iter::once(&it.what).chain(&it.because));
        let told: Vec<String> = told.map(|line| one_line(line)).collect();
        let failed = verdict.mismatches.first().map(|first| junit::Verdict::Failed {
            kind: "mismatch".to_owned(),
            message: first.what.clone(),
            text: told.join("\n"),
        });
        junit::Case {
            name: verdict.test.name.clone(),
            class: plan.to_owned(),
            took: None,
            verdict: failed.unwrap_or(junit::Verdict::Passed),
            output: String::new(),
        }
    };
    junit::junit(&junit::Suite {
        name: plan.to_owned(),
        file: file.display().to_string(),
        cases: verdicts.iter().map(case).collect(),
        ..junit::Suite::default()
    })
}
