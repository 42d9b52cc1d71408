//! What `docs/expressions.md` says of helpers and conditions is true: every row of its tables is computed.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use synflow::flow::Outcome;
use synflow::plan::{Given, Loaded, Plan, Scope, StepFacts, StepId, load};

use crate::space::root;

/// Returns the plan of the page, in which one step has this parameter or condition.
fn plan(key: &str, value: &Value) -> Plan {
    let inputs = json!({
        "day": { "type": "date", "default": "2024-05-31" },
        "region": { "type": "string", "default": "emea" },
        "regions": { "type": "array", "default": ["emea", "apac"] },
        "rows": { "type": "int", "default": 120 },
        "full_reload": { "type": "bool", "default": true },
    });
    let steps = json!({ "load": {}, "load-sales": {}, "it": { "depends_on": ["load", { "load-sales": ["failed"] }], key: value } });
    let text = json!({ "version": 1, "name": "page", "workspace": "w", "inputs": inputs, "steps": steps })
        .to_string();
    let given = Given { inputs_required: true, ..Given::default() };
    match load(text.as_bytes(), &given) {
        Ok(Loaded { plan, .. }) => plan,
        Err(findings) => panic!("{text}\n{findings:?}"),
    }
}

fn scope(plan: &Plan) -> Scope {
    let facts = |outcome: &str, run_id: Option<String>| StepFacts {
        outcome: outcome.to_owned(),
        run_id,
        ..StepFacts::default()
    };
    Scope {
        inputs: plan.inputs.clone(),
        plan_name: plan.name.clone(),
        flow: Some(("7f3a9c".to_owned(), "2024-05-31T22:30:00.000Z".to_owned())),
        steps: BTreeMap::from([
            (StepId::new("load"), facts("succeeded", Some("4f1f".to_owned()))),
            (StepId::new("load-sales"), facts("failed", None)),
        ]),
        ..Scope::default()
    }
}

fn rendered(template: &str) -> Value {
    let plan = plan("parameters", &json!({ "p": template }));
    plan.steps[2].parameters[0].1.render(&scope(&plan)).unwrap()
}

fn truth(when: &str) -> Result<bool, String> {
    let plan = plan("when", &when.into());
    plan.steps[2].when.as_ref().unwrap().evaluate(&scope(&plan))
}

/// Returns the rows of the page whose first cell begins like this, each cell without its backticks.
fn rows(cells: usize, is_row: impl Fn(&str) -> bool) -> Vec<Vec<String>> {
    let page = std::fs::read_to_string(root().join("docs/expressions.md")).unwrap();
    let cells_of = |line: &str| -> Vec<String> {
        line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    page.lines()
        .filter(|line| line.starts_with("| `"))
        .map(cells_of)
        .filter(|row| row.len() == cells && is_row(&row[cells - 1]))
        .collect()
}

#[test]
fn every_helper_gives_what_the_page_says() {
    let rows = rows(3, |_| true);
    let helpers = [
        "default",
        "json",
        "date_add",
        "month_start",
        "month_end",
        "format_date",
        "day_of_week",
        "lower",
        "upper",
        "eq",
        "concat",
    ];
    for helper in helpers {
        assert!(
            rows.iter().any(|row| row[0].starts_with(&format!("{{{{{helper} "))),
            "the page has no `{helper}`"
        );
    }
    for row in rows {
        let [template, condition, gives] = row.as_slice() else { panic!("{row:?}") };
        let want = match gives.as_str() {
            "true" => json!(true),
            text => json!(text),
        };
        assert_eq!(rendered(template), want, "{template}");
        assert_eq!(rendered(&format!("<{template}>")), json!(format!("<{gives}>")), "{template} in a text");
        assert_eq!(truth(&format!("{condition} == {want}")), Ok(true), "{condition}");
    }
}

#[test]
fn every_condition_is_what_the_page_says() {
    let rows = rows(2, |last| last == "true" || last == "false");
    assert!(rows.len() >= 10, "{rows:?}");
    for row in rows {
        assert_eq!(truth(&row[0]), Ok(row[1] == "true"), "{}", row[0]);
    }
}

#[test]
fn conditions_know_every_outcome() {
    use Outcome::{Blocked, Cancelled, Failed, NotNeeded, Skipped, Succeeded, TimedOut, Unknown, Warned};
    for outcome in [Succeeded, Warned, Failed, Cancelled, TimedOut, Skipped, NotNeeded, Blocked, Unknown] {
        let want = outcome == Succeeded;
        assert_eq!(truth(&format!("steps.load.outcome == \"{outcome}\"")), Ok(want), "{outcome}");
    }
}

/// Returns the YAML blocks of an explanation: a wrong plan and the right one.
fn blocks(text: &str) -> Vec<&str> {
    text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn explanations_of_conditions_show_what_they_speak_of() {
    for number in ["E0410", "E0411", "E0412", "E0413", "E0414", "E0415", "E0416", "E0417", "E0418", "W0410"] {
        let text = std::fs::read_to_string(root().join(format!("src/plan/explain/{number}.md"))).unwrap();
        let codes = |plan: &str| {
            let given = Given { inputs_required: true, ..Given::default() };
            let findings = load(plan.as_bytes(), &given).map_or_else(|found| found, |loaded| loaded.notes);
            findings.iter().map(|finding| finding.code.id()).collect::<Vec<_>>()
        };
        let [wrong, right] = blocks(&text)[..] else { panic!("{number} shows two plans") };
        assert_eq!(codes(wrong), [number]);
        assert_eq!(codes(right), [""; 0], "{number}");
    }
}
