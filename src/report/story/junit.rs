//! A story as `JUnit` XML: a case for each step.

use std::fmt::Write;

use crate::report::junit::{self as writer, Case, Suite, Verdict};
use crate::report::story::{StepStory, Story};

/// Returns the story as `JUnit` XML. What was allowed to fail counts as skipped: it must not turn CI red, nor look green.
pub fn junit(story: &Story) -> String {
    let flow = &story.flow;
    let mut properties = vec![
        ("flow".to_owned(), flow.id.clone()),
        ("outcome".to_owned(), flow.outcome.clone().unwrap_or_else(|| flow.state.clone())),
        ("plan_sha256".to_owned(), flow.plan_sha256.clone()),
    ];
    if let Some(commit) = &flow.commit {
        properties.push(("commit".to_owned(), commit.id.clone()));
    }
    if !flow.environment.is_empty() {
        properties.push(("environment".to_owned(), flow.environment.clone()));
    }
    properties.extend(flow.next.iter().map(|next| ("next".to_owned(), next.clone())));
    let suite = Suite {
        name: flow.plan.clone(),
        file: flow.plan_file.clone(),
        began: Some(flow.started_at),
        took: Some(flow.elapsed_ms),
        properties,
        cases: story.steps.iter().map(|step| case(step, &flow.plan)).collect(),
    };
    writer::junit(&suite)
}

fn case(step: &StepStory, plan: &str) -> Case {
    let why = || step.why.clone().unwrap_or_default();
    let word = step.mark().replace('_', " ");
    let told = |word: &str| if why().is_empty() { word.to_owned() } else { format!("{word}: {}", why()) };
    let verdict = match step.mark() {
        "succeeded" | "warned" => Verdict::Passed,
        "failed" | "timed_out" | "cancelled" if step.allow_failure => {
            Verdict::Skipped { why: told(&format!("{word} (allowed)")) }
        }
        "failed" | "timed_out" | "cancelled" | "unknown" => {
            Verdict::Failed { kind: step.mark().to_owned(), message: told(&word), text: at_length(step) }
        }
        "running" | "waiting" => Verdict::Skipped { why: format!("{word} when the report was made") },
        _ => Verdict::Skipped { why: told(&word) },
    };
    Case {
        name: step.id.clone(),
        class: format!("{plan}.{}", step.pipeline),
        took: step.elapsed_ms,
        output: if step.mark() == "warned" { told("warned") } else { String::new() },
        verdict,
    }
}

/// Tells every attempt with its run and its error.
fn at_length(step: &StepStory) -> String {
    let mut out = String::new();
    for attempt in &step.attempts {
        let run = attempt.run_id.as_deref().unwrap_or("none");
        let how = attempt.outcome.as_deref().unwrap_or("open").replace('_', " ");
        // Writing to a text cannot fail.
        let _ = writeln!(out, "attempt {} {how}, run {run}", attempt.number);
        if let Some(error) = &attempt.error {
            if let Some(activity) = &error.activity {
                let way: Vec<&str> =
                    error.via.iter().map(String::as_str).chain([activity.as_str()]).collect();
                let _ = writeln!(out, "activity {}", way.join(" > "));
            }
            let code = if error.code.is_empty() { String::new() } else { format!("{}: ", error.code) };
            let _ = writeln!(out, "{code}{}", error.message);
        }
        if let Some(link) = &attempt.studio {
            let _ = writeln!(out, "{link}");
        }
    }
    if out.is_empty() { step.why.clone().unwrap_or_default() } else { out }
}
