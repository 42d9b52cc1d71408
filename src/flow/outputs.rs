//! The outputs of a step: taken from its ended run, and what later steps may know of them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::flow::step::Attempt;
use crate::flow::{ActivitySeen, Outcome};
use crate::flow::{Flow, StepRun};
use crate::plan::{OutputSource, Outputs, Step, StepIndex, member, nearest};

/// The largest output, in bytes of JSON: the journal keeps it.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// Returns what a run returned of all that the outputs of its step name, by the path: `rateSet`, `rates.[0]`.
///
/// The journal keeps this from the run's end until its activities are read, and no more: a run may return megabytes.
pub(super) fn returned(step: &Step, return_value: Option<&Value>) -> Option<Box<Outputs>> {
    let mut returned = Outputs::default();
    for path in step.outputs.iter().flat_map(|output| output.source.returned_paths()) {
        let found = match return_value {
            None => Err("the run returned nothing".to_owned()),
            Some(value) => {
                member(value, path).ok_or_else(|| format!("the run returned no `{}`", shown(path)))
            }
        };
        put(&mut returned, shown(path), found.cloned());
    }
    if_any(returned)
}

/// Returns the outputs of a run that has ended, from its activities and from what was kept of what it returned.
///
/// `earlier` is the attempt whose failed run this one took up: activities that went well there have not run again.
pub(super) fn taken(
    step: &Step,
    attempt: &Attempt,
    earlier: Option<&Attempt>,
    activities: &[ActivitySeen],
) -> Option<Box<Outputs>> {
    let mut taken = Outputs::default();
    let nothing = Outputs::default();
    let returned = attempt.returned.as_deref().unwrap_or(&nothing);
    for output in &step.outputs {
        let found = value(&output.source, returned, activities).or_else(|why| {
            let before = earlier.and_then(|earlier| earlier.outputs.as_ref()?.values.get(&output.name));
            before.cloned().ok_or(why)
        });
        put(&mut taken, output.name.clone(), found);
    }
    if_any(taken)
}

fn if_any(outputs: Outputs) -> Option<Box<Outputs>> {
    let is_empty = outputs.values.is_empty() && outputs.absent.is_empty();
    (!is_empty).then(|| Box::new(outputs))
}

/// Returns what a template may know of the outputs of a step that is over: for each that it declares a value or why
/// there is none.
pub(super) fn known(flow: &Flow, step: StepIndex) -> Outputs {
    let (place, run) = (flow.step(step), flow.run(step));
    let mut known = run.outputs().cloned().unwrap_or_default();
    // An edited plan may have dropped some.
    let declared: BTreeSet<&str> = place.outputs.iter().map(|output| output.name.as_str()).collect();
    known.values.retain(|name, _| declared.contains(name.as_str()));
    for name in declared {
        if !known.values.contains_key(name) && !known.absent.contains_key(name) {
            known.absent.insert(name.to_owned(), unread(place, run));
        }
    }
    known
}

/// Returns why nothing is known of an output of a step that is over.
fn unread(step: &Step, run: &StepRun) -> String {
    let id = &step.id;
    let ended = run.outcome().map_or("", Outcome::word);
    match run.current_attempt() {
        None => format!("`{id}` made no run, it ended {ended}"),
        Some(attempt) if attempt.started_at.is_none() => format!("no run of `{id}` was started"),
        Some(attempt) if attempt.is_run_over() => {
            format!("`{id}` did not declare it when it ended; `synflow resume --redo {id}` does it again")
        }
        Some(_) => format!("`{id}` ended {ended}, and the end of its run is not known"),
    }
}

/// Puts a value with those that are there, if it is not too large, or the reason with those that are not.
fn put(outputs: &mut Outputs, name: String, found: Result<Value, String>) {
    let kept = found.and_then(|value| {
        let bytes = value.to_string().len();
        let kilobytes = bytes.div_ceil(1024);
        let limit = OUTPUT_BYTES_MAX / 1024;
        if bytes <= OUTPUT_BYTES_MAX {
            Ok(value)
        } else {
            Err(format!("its value has {kilobytes} KB, and {limit} KB are kept"))
        }
    });
    match kept {
        Ok(value) => drop(outputs.values.insert(name, value)),
        Err(why) => drop(outputs.absent.insert(name, why)),
    }
}

fn value(source: &OutputSource, returned: &Outputs, activities: &[ActivitySeen]) -> Result<Value, String> {
    match source {
        OutputSource::Literal(value) => Ok(value.clone()),
        OutputSource::Activity { name, path } => of_activity(name, path, activities),
        OutputSource::ReturnValue { path } => {
            let key = shown(path);
            let why = || returned.absent.get(&key).cloned();
            let absent = || why().unwrap_or_else(|| "what the run returned is not known".to_owned());
            returned.values.get(&key).cloned().ok_or_else(absent)
        }
        OutputSource::Default(first, second) => match value(first, returned, activities) {
            Ok(found) if !found.is_null() => Ok(found),
            _ => value(second, returned, activities),
        },
    }
}

/// Writes a path for people, so that no two are written alike.
fn shown(path: &[String]) -> String {
    let one = |part: &String| if part.contains(['.', '[']) { format!("[{part}]") } else { part.clone() };
    path.iter().map(one).collect::<Vec<_>>().join(".")
}

/// Returns something of what an activity produced. Its newest try counts; of several rounds of a loop none does.
fn of_activity(name: &str, path: &[String], activities: &[ActivitySeen]) -> Result<Value, String> {
    let rows: Vec<&ActivitySeen> = activities.iter().filter(|activity| activity.name == name).collect();
    let rounds: BTreeSet<&str> = rows.iter().map(|row| row.iteration.as_str()).collect();
    if rounds.len() > 1 {
        return Err(format!(
            "activity `{name}` ran {} times in a loop, and none of them counts more than the others",
            rounds.len()
        ));
    }
    let Some(newest) = rows.into_iter().max_by_key(|row| row.start) else {
        return Err(no_activity(name, activities));
    };
    let produced = match &newest.output {
        // How the service hides what `secureOutput` protects is not known: all that shows nothing counts.
        Value::Null => None,
        Value::Object(members) if members.is_empty() => None,
        Value::String(text) if text.trim().chars().all(|c| c == '*') => None,
        output => Some(output),
    };
    let ended = match newest.status.as_str() {
        "Succeeded" => String::new(),
        other => format!(", its status is {other}"),
    };
    match produced {
        None if ended.is_empty() => {
            Err(format!("activity `{name}` shows no output, as one with `secureOutput` does"))
        }
        None => Err(format!("activity `{name}` has no output{ended}")),
        Some(output) => member(output, path)
            .cloned()
            .ok_or_else(|| format!("activity `{name}` has no `{}`{ended}", shown(path))),
    }
}

fn no_activity(name: &str, activities: &[ActivitySeen]) -> String {
    if activities.is_empty() {
        return "Synapse shows no activities of the run".to_owned();
    }
    match nearest(name, activities.iter().map(|activity| activity.name.as_str())) {
        Some(near) => format!("no activity `{name}` ran, but `{near}` did"),
        None => format!("no activity `{name}` ran"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{OUTPUT_BYTES_MAX, of_activity, put};
    use crate::flow::{ActivitySeen, StepError};
    use crate::plan::Outputs;
    use crate::time::Timestamp;

    fn row(name: &str, status: &str, iteration: &str, start: i64, output: Value) -> ActivitySeen {
        ActivitySeen {
            name: name.to_owned(),
            kind: "Copy".to_owned(),
            status: status.to_owned(),
            iteration: iteration.to_owned(),
            start: Some(Timestamp::from_epoch_ms(start)),
            end: None,
            error: StepError::default(),
            output,
            child: None,
        }
    }

    #[test]
    fn takes_the_newest_try_and_says_why_there_is_nothing() {
        let rows = [
            row("Copy Final", "Succeeded", "", 9, json!({ "rows": 7, "list": [{ "id": null }] })),
            row("Copy Final", "Failed", "", 3, json!({ "rows": 1 })),
            row("Each", "Succeeded", "a", 1, json!({ "rows": 1 })),
            row("Each", "Succeeded", "b", 2, json!({ "rows": 2 })),
            row("Once", "Succeeded", "a", 1, json!({ "rows": 3 })),
            row("Secret", "Succeeded", "", 1, json!({})),
            row("Masked", "Succeeded", "", 1, json!("*****")),
            row("Left out", "Skipped", "", 1, json!({})),
            row("Broken", "Failed", "", 1, json!({ "errors": [] })),
            row("Text", "Succeeded", "", 1, json!("done")),
        ];
        let check = |name: &str, path: &str, want: Result<Value, &str>| {
            let path: Vec<String> =
                path.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
            let got = of_activity(name, &path, &rows);
            assert_eq!(got, want.map_err(str::to_owned), "{name} {path:?}");
        };
        check("Copy Final", "rows", Ok(json!(7)));
        check("Copy Final", "list.0.id", Ok(json!(null)));
        check("Copy Final", "", Ok(json!({ "rows": 7, "list": [{ "id": null }] })));
        check("Copy Final", "list.1.id", Err("activity `Copy Final` has no `list.1.id`"));
        check("Copy_Final", "rows", Err("no activity `Copy_Final` ran, but `Copy Final` did"));
        check("Other", "rows", Err("no activity `Other` ran"));
        check(
            "Each",
            "rows",
            Err("activity `Each` ran 2 times in a loop, and none of them counts more than the others"),
        );
        check("Once", "rows", Ok(json!(3)));
        let hidden = |name| format!("activity `{name}` shows no output, as one with `secureOutput` does");
        check("Secret", "rows", Err(&hidden("Secret")));
        check("Masked", "", Err(&hidden("Masked")));
        check("Left out", "rows", Err("activity `Left out` has no output, its status is Skipped"));
        check("Broken", "rows", Err("activity `Broken` has no `rows`, its status is Failed"));
        check("Broken", "errors", Ok(json!([])));
        check("Text", "", Ok(json!("done")));
        let none = of_activity("Any", &[], &[]);
        assert_eq!(none, Err("Synapse shows no activities of the run".to_owned()));
    }

    #[test]
    fn keeps_nothing_too_large() {
        let mut outputs = Outputs::default();
        let text = |bytes: usize| json!("x".repeat(bytes - 2));
        put(&mut outputs, "fits".to_owned(), Ok(text(OUTPUT_BYTES_MAX)));
        put(&mut outputs, "large".to_owned(), Ok(text(OUTPUT_BYTES_MAX + 1)));
        assert_eq!(outputs.values.keys().collect::<Vec<_>>(), ["fits"]);
        assert_eq!(outputs.absent["large"], "its value has 65 KB, and 64 KB are kept");
    }
}
