//! Every kind of finding of the contract check, shown on real definitions of `tests/artifacts`.
//!
//! A wrong plan is held against the whole folder as it was published. Where no published definition can show a kind, one
//! of them is changed in a single place, and the case says why and where. Beside each wrong plan stands the right one, which has no finding at all.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use serde_json::{Value, json};

use crate::space::{Said, TestSpace, root};

/// A wrong plan, what is found in it, and the plan as it should be.
struct Case {
    /// The folder of `tests/artifacts`.
    folder: &'static str,
    /// Below `steps`.
    wrong: String,
    /// The codes, in the order of the text.
    codes: Vec<&'static str>,
    /// A part of what is said.
    says: &'static str,
    /// Below `steps`.
    right: String,
}

fn case(
    folder: &'static str,
    (wrong, right): (&str, &str),
    codes: &[&'static str],
    says: &'static str,
) -> Case {
    Case { folder, wrong: wrong.to_owned(), right: right.to_owned(), codes: codes.to_vec(), says }
}

/// What definitions show as they are.
fn unchanged() -> Vec<Case> {
    let many = |count: usize| {
        let mut step = "w:\n    pipeline: Wait 1\n    parameters:\n      WaitTime: 5\n".to_owned();
        (1..count).for_each(|n| writeln!(step, "      extra_{n}: {n}").unwrap());
        step
    };
    // One more than Synapse allows, and 50 of them are none that the pipeline has: the first problems are shown.
    let too_many: Vec<&str> = std::iter::once("E0606").chain(["E0602"; 19]).collect();
    vec![
        case(
            "open-edu-analytics",
            ("0_main_graf: {}", "0_main_graph: {}"),
            &["E0601"],
            "did you mean `0_main_graph`?",
        ),
        case(
            "analytics-in-a-box",
            (
                "PL_Curated_Incremental_Load: { parameters: { currentdate: 2024-05-01, datalakeName: a } }",
                "PL_Curated_Incremental_Load: { parameters: { currentDate: 2024-05-01, datalakeName: a } }",
            ),
            &["E0602"],
            "did you mean `currentDate`?",
        ),
        case(
            "azure-cli",
            (
                "notebook-04-14-00-07: {}",
                "notebook-04-14-00-07: { parameters: { callBackUri: 'https://a.example' } }",
            ),
            &["E0603"],
            "requires a parameter that is not given",
        ),
        case(
            "azure-rest-api-specs",
            (
                "examplePipeline: { parameters: { JobId: 7, OutputBlobNameList: a.csv } }",
                "examplePipeline: { parameters: { JobId: '7', OutputBlobNameList: [a.csv] } }",
            ),
            &["E0604", "E0604"],
            "does not fit `JobId`, which is of the type String",
        ),
        case(
            "fabric-cli",
            (
                "x: { pipeline: example.DataPipeline.pipeline-content, parameters: { string_param: a, int_param: 1, float_param: 1, \
                 bool_param: true, obj_param: {}, array_param: [], secstr_param: open } }",
                "x: { pipeline: example.DataPipeline.pipeline-content, parameters: { string_param: a, int_param: 1, float_param: 1, \
                 bool_param: true, obj_param: {}, array_param: [], secstr_param: '{{secret \"env:KEY\"}}' } }",
            ),
            &["E0605"],
            "`secstr_param` is a SecureString, but what it is given is no secret",
        ),
        Case {
            folder: "procfwk",
            wrong: many(51),
            codes: too_many,
            says: "the step gives 51 parameters; Synapse allows 50",
            right: many(1),
        },
        case(
            "modern-data-warehouse-dataops",
            (
                "P_Ingest_MelbParkingData: { outputs: { n: '{{activities.StandardiseData.output.n}}' } }",
                "P_Ingest_MelbParkingData: { outputs: { n: '{{activities.StandardizeData.output.n}}' } }",
            ),
            &["E0607"],
            "did you mean `StandardizeData`?",
        ),
        case(
            "azure-cli",
            ("MyPipeline: { outputs: { n: '{{activities.Copy.output.n}}' } }", "MyPipeline: {}"),
            &["E0607"],
            "has no activities",
        ),
        case(
            "procfwk",
            (
                "w: { pipeline: Wait 1, outputs: { n: '{{return_value.n}}' } }",
                "w: { pipeline: Wait 1, outputs: { n: '{{activities.Wait1.output}}' } }",
            ),
            &["E0608"],
            "the pipeline `Wait 1` returns nothing",
        ),
        case(
            "azure-datafactory-tools",
            (
                "PL_Wait_Dynamic: { parameters: { WaitInSec: '30' } }",
                "PL_Wait_Dynamic: { parameters: { WaitInSec: 30 } }",
            ),
            &["W0601"],
            "a text is given to `WaitInSec`, which is of the type Int",
        ),
        case(
            "data-factory-testing-framework",
            (
                "child: { parameters: { Url: 'https://a.example', Body: '{{secret \"env:KEY\"}}' } }",
                "child: { parameters: { Url: 'https://a.example', Body: '{}' } }",
            ),
            &["W0602"],
            "a secret is given to `Body`, which is no SecureString",
        ),
        case(
            "procfwk",
            (
                "infant: { pipeline: 04-Infant, parameters: { executionId: a, stageId: 1, pipelineId: 1 }, \
                 outputs: { app: '{{activities.[Get Worker Core Details].output.firstRow.applicationId}}' } }",
                "infant: { pipeline: 04-Infant, parameters: { executionId: a, stageId: 1, pipelineId: 1 }, \
                 outputs: { seconds: '{{activities.[Get Wait Duration].output.firstRow.PropertyValue}}' } }",
            ),
            &["W0603"],
            "it has `secureOutput`, so that Synapse shows it to nobody",
        ),
        case(
            "modern-data-warehouse-dataops",
            (
                "ProcessDataPipeline: { outputs: { n: '{{activities.MoveFile.output.filesWritten}}' } }",
                "ProcessDataPipeline: { outputs: { n: '{{activities.GetFiles.output.childItems}}' } }",
            ),
            &["W0603"],
            "it stands in a loop",
        ),
    ]
}

/// A case that takes a changed definition.
struct Changed {
    case: Case,
    /// The file below `pipeline`, and what is set in it: a pointer, and the value.
    file: &'static str,
    at: &'static str,
    value: Value,
}

/// What no definition shows as it is, and why.
fn changed() -> Vec<Changed> {
    let of_wait = |(wrong, right): (&str, &str), codes: &[&'static str], says, at, value| Changed {
        case: case("procfwk", (wrong, right), codes, says),
        file: "Wait 1.json",
        at,
        value,
    };
    let runs = |count: usize, most: usize| {
        let values: Vec<String> = (0..count).map(|n| n.to_string()).collect();
        let values = values.join(", ");
        format!("it: {{ pipeline: Wait 1, for_each: [{values}], max_parallel: {most} }}\nmax_parallel: 250\n")
    };
    let declared: Value =
        (0..51).map(|n| (format!("p{n}"), json!({ "type": "string", "defaultValue": "" }))).collect();
    let returned = json!({ "variableName": "pipelineReturnValue", "setSystemVariable": true, "value": [{ "key": "rundate", "value": "@utcNow()" }] });
    vec![
        // None of the published ones has `concurrency`: one gets it.
        of_wait(
            (&runs(250, 200), &runs(250, 2)),
            &["N0601"],
            "the queue takes 100: no more than that are started before others end",
            "/properties/concurrency",
            json!(2),
        ),
        of_wait(
            (&runs(5, 3), &runs(5, 2)),
            &["N0601"],
            "up to 3 runs of `Wait 1` may start at once, and Synapse lets 2 of them run",
            "/properties/concurrency",
            json!(2),
        ),
        // Synapse publishes none with more than 50 parameters: a file that nobody has published yet may have them.
        of_wait(
            ("it: { pipeline: Wait 1 }", "it: { pipeline: Intentional Error }"),
            &["E0606"],
            "the pipeline `Wait 1` declares 51 parameters; Synapse allows 50",
            "/properties/parameters",
            declared,
        ),
        // None of the published ones returns anything: a Set Variable of one is set to what Studio writes for that.
        Changed {
            case: case(
                "open-edu-analytics",
                (
                    "it: { pipeline: land_data_from_URL, outputs: { day: '{{return_value.rundat}}' } }",
                    "it: { pipeline: land_data_from_URL, outputs: { day: '{{return_value.rundate}}' } }",
                ),
                &["E0608"],
                "did you mean `rundate`?",
            ),
            file: "land_data_from_URL.json",
            at: "/properties/activities/1/typeProperties",
            value: returned,
        },
    ]
}

/// Validates steps against a folder; gives the codes and all that was said.
fn validated(space: &TestSpace, steps: &str, folder: &str) -> (Vec<String>, Said) {
    let plan =
        space.write("plan.yaml", &format!("version: 1\nname: n\nworkspace: w\nsteps:\n  {}\n", steps.trim()));
    let words = ["validate", plan.to_str().unwrap(), "--artifacts", folder];
    let said = Said::from(space.command(words).output().unwrap());
    let titles = said.stderr.lines().filter_map(|line| {
        let rest = ["error[", "warning[", "note["].iter().find_map(|begin| line.strip_prefix(begin))?;
        rest.split(']').next().map(str::to_owned)
    });
    (titles.collect(), said)
}

fn hold(space: &TestSpace, case: &Case, folder: &str) {
    let (codes, said) = validated(space, &case.wrong, folder);
    assert_eq!(codes, case.codes, "{}\n{}", case.wrong, said.stderr);
    assert!(said.stderr.contains(case.says), "no {:?} in\n{}", case.says, said.stderr);
    let is_wrong = codes.iter().any(|code| code.starts_with('E'));
    assert_eq!(said.code, if is_wrong { 4 } else { 0 }, "{}", said.stderr);
    let (codes, said) = validated(space, &case.right, folder);
    assert_eq!((codes, said.code), (Vec::new(), 0), "{}\n{}", case.right, said.stderr);
}

/// Copies a folder of definitions, with one file made another.
fn copied(space: &TestSpace, folder: &str, file: &str, change: impl FnOnce(String) -> String) -> String {
    let from = root().join("tests/artifacts").join(folder).join("pipeline");
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name != file {
            space.write(&format!("{folder}/pipeline/{name}"), &fs::read_to_string(&path).unwrap());
        }
    }
    let text =
        fs::read_to_string(root().join("tests/artifacts").join(folder).join("pipeline").join(file)).unwrap();
    space.write(&format!("{folder}/pipeline/{file}"), &change(text));
    space.path(folder).display().to_string()
}

#[test]
fn every_kind_of_finding_is_shown_on_a_real_pipeline() {
    let mut shown = BTreeSet::new();
    for case in unchanged() {
        let space = TestSpace::new();
        hold(&space, &case, &format!("tests/artifacts/{}", case.folder));
        shown.extend(case.codes);
    }
    for Changed { case, file, at, value } in changed() {
        let space = TestSpace::new();
        let folder = copied(&space, case.folder, file, |text| {
            let mut definition: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap();
            let (parent, member) = at.rsplit_once('/').unwrap();
            definition.pointer_mut(parent).unwrap()[member] = value;
            definition.to_string()
        });
        hold(&space, &case, &folder);
        shown.extend(case.codes);
    }
    // A published definition is one: the file of this is cut off where a disk was full, or holds an unfinished merge.
    let space = TestSpace::new();
    let cut = |text: String| text.trim_end().trim_end_matches('}').to_owned();
    let merged = |text: String| text.replacen("\"parameters\"", "\n<<<<<<< HEAD\n\"parameters\"", 1);
    for (change, says) in
        [(&cut as &dyn Fn(String) -> String, "EOF while parsing"), (&merged, "a merge was not finished")]
    {
        let folder = copied(&space, "procfwk", "Wait 1.json", change);
        let (codes, said) = validated(&space, "it: { pipeline: Wait 1 }", &folder);
        assert_eq!((codes, said.code), (vec!["E0609".to_owned()], 4), "{}", said.stderr);
        assert!(said.stderr.contains(says), "{}", said.stderr);
        shown.insert("E0609");
    }
    let all = synflow::plan::Code::ALL.iter().filter(|code| code.is_contract()).map(|code| code.id());
    assert_eq!(shown, all.collect());
}
