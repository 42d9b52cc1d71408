//! Saved plans, the real binary against `synflow emulate`: what `plan -o` pins runs, or nothing does.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::space::{Said, TestSpace};
use crate::witness::{Stage, flows, outcomes, publish, ran, withdraw};

const SCRIPT: &str = "artifacts: [workspace]\ndefaults: { duration: 100ms, operation: 0ms }\n";
const CANARY: &str = "canary-7f3a9c";
const PLAN: &str = r#"environments: { prod: { max_parallel: 5 } }
inputs:
  day: { type: date, default: yesterday }
  region: { type: string, default: emea }
  tables: { type: array, file: tables.yaml }
  key: { type: string, secret: true, default: "env:CANARY" }
steps:
  load:
    pipeline: pl_load
    parameters:
      day: "{{inputs.day}}"
      region: "{{inputs.region}}"
      target: '{{default (env "TARGET") "none"}}'
      tables: "{{inputs.tables}}"
      key: "{{secret inputs.key}}"
  publish:
    pipeline: pl_publish
    depends_on: [load]
"#;

/// A plan, and an emulator with the definitions of its pipelines. `pl_load` starts `child`.
struct Night {
    stage: Stage,
}

impl Night {
    fn new() -> Self {
        let space = TestSpace::new();
        for (name, definition) in [
            ("pl_load", definition("pl_load", "child")),
            ("child", definition("child", "")),
            ("pl_publish", definition("pl_publish", "")),
            ("unused", definition("unused", "")),
        ] {
            space.write(&format!("workspace/pipeline/{name}.json"), &definition.to_string());
        }
        space.write("tables.yaml", "[orders, customers]\n");
        let script = space.write("script.yaml", SCRIPT);
        let emulator = space.emulate(&format!("--script {}", script.display()));
        let night = Self { stage: Stage { space, emulator } };
        night.stage.edit(PLAN);
        night
    }

    fn file(&self) -> PathBuf {
        self.stage.space.path("tonight.saved")
    }

    /// Runs the binary in another folder than the plan's. `FILE` stands for the saved plan.
    fn run_with(&self, words: &str, env: &[(&str, &str)]) -> Said {
        let elsewhere = self.stage.space.path("elsewhere");
        fs::create_dir_all(&elsewhere).unwrap();
        let words = words.replace("FILE", self.file().to_str().unwrap());
        let mut command = self.stage.command(&words);
        command.current_dir(elsewhere).env("CANARY", CANARY).env("TARGET", "lake").envs(env.iter().copied());
        Said::from(command.output().unwrap())
    }

    fn run(&self, words: &str) -> Said {
        self.run_with(words, &[])
    }

    /// Saves the plan, with these words besides.
    fn save(&self, words: &str) -> Value {
        let said = self.run(&format!("plan PLAN -o FILE{words}"));
        assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
        let file = self.file().display().to_string();
        assert_eq!(said.stderr, format!("wrote `{file}`; next: `synflow apply {file}`\n"));
        assert!(said.stdout.ends_with("\nnothing was started\n"), "{}", said.stdout);
        self.saved()
    }

    fn saved(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.file()).unwrap()).unwrap()
    }

    /// Applies the saved plan, which has to be found stale, and for these reasons alone. Nothing is begun.
    fn expect_stale(&self, env: &[(&str, &str)], reasons: &str) {
        for words in ["apply FILE", "apply FILE --new", "plan FILE", "apply FILE --dry-run"] {
            let said = self.run_with(words, env);
            assert_eq!(said.code, 5, "{words}\n{}", said.stderr);
            let space = self.stage.space.path("");
            let told = said.stderr.replace(space.to_str().unwrap(), "SPACE/");
            // `plan` has more to say.
            let at = told.find("what is other than when `SPACE/tonight.saved` was saved, 20").unwrap();
            assert!(at == 0 || !words.starts_with("apply FILE") || words.contains("dry-run"), "{told}");
            let (_, rest) = told[at..].split_once('\n').unwrap();
            let (body, end) = rest.split_once("error: ").unwrap();
            assert_eq!(body, reasons, "{words}");
            let want = "the saved plan `SPACE/tonight.saved` is stale; nothing was started\n";
            assert!(end.starts_with(want), "{told}");
            assert!(end.contains("synflow plan SPACE/plan.yaml "), "{told}");
        }
        let said = self.run_with("plan FILE --output json", env);
        assert_eq!(serde_json::from_str::<Value>(&said.stdout).unwrap()["exit_code"], 5, "{}", said.stdout);
        assert!(ran(&self.stage.emulator).is_empty(), "nothing was started");
        assert_eq!(flows(&self.stage.space), 0, "no flow was made");
    }
}

fn definition(name: &str, starts: &str) -> Value {
    let parameters = ["day", "region", "target", "tables", "key"].map(|parameter| {
        let kind = match parameter {
            "tables" => "array",
            "key" => "securestring",
            _ => "string",
        };
        (parameter.to_owned(), json!({ "type": kind }))
    });
    let activity = json!({
        "name": "Next",
        "type": "ExecutePipeline",
        "typeProperties": { "pipeline": { "referenceName": starts, "type": "PipelineReference" }, "waitOnCompletion": true },
    });
    let is_parent = !starts.is_empty();
    json!({ "name": name, "properties": {
        "parameters": if is_parent { Value::Object(parameters.into_iter().collect()) } else { json!({}) },
        "activities": if is_parent { vec![activity] } else { vec![] },
    }})
}

/// Puts a new digest into a changed file, as a later synflow, or somebody who means it, could.
fn sealed(mut value: Value) -> String {
    value.as_object_mut().unwrap().shift_remove("sha256");
    let digest = Sha256::digest(value.to_string().as_bytes());
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
    value["sha256"] = digits.into();
    format!("{value:#}\n")
}

#[test]
fn what_was_saved_runs_from_any_folder() {
    let night = Night::new();
    let saved = night.save(" --env prod --input region=apac --max-parallel 3 --exclude publish");
    let pins: Vec<&String> = saved["definitions"]["main"].as_object().unwrap().keys().collect();
    assert_eq!(pins, ["child", "pl_load"], "what the steps run, and what that starts");
    assert_eq!(saved["inputs"]["key"], "env:CANARY", "the reference");
    assert_eq!(saved["env"], json!({ "TARGET": "lake" }));
    assert_eq!(saved["plan_text"], fs::read_to_string(night.stage.space.path("plan.yaml")).unwrap());

    let said = night.run("apply FILE");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let status = night.stage.space.status();
    assert_eq!(outcomes(&status).into_iter().collect::<Vec<_>>(), [("load", "succeeded")]);
    let record = night.stage.emulator.record();
    let run = record["runs"].as_array().unwrap().iter().find(|run| run["pipeline"] == "pl_load").unwrap();
    assert_eq!(run["parameters"]["region"], "apac");
    assert_eq!(run["parameters"]["day"], saved["inputs"]["day"]);
    // It is the plan that the flow is one of: `diff` and `resume --plan` find it.
    assert!(night.run("diff PLAN --env prod").stdout.contains("inputs.region: apac becomes emea"));
}

#[test]
fn a_word_such_as_yesterday_means_the_day_it_meant() {
    let night = Night::new();
    let mut saved = night.save("");
    saved["made_at"] = "2024-05-02T03:00:00.000Z".into();
    saved["inputs"]["day"] = "2024-05-01".into();
    fs::write(night.file(), sealed(saved)).unwrap();
    let said = night.run("apply FILE");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let record = night.stage.emulator.record();
    let run = record["runs"].as_array().unwrap().iter().find(|run| run["pipeline"] == "pl_load").unwrap();
    assert_eq!(run["parameters"]["day"], "2024-05-01");
}

#[test]
fn a_day_that_a_rule_no_longer_allows_is_stale() {
    let night = Night::new();
    night.stage.edit(&PLAN.replace("default: yesterday", "default: yesterday, min: yesterday"));
    let mut saved = night.save("");
    saved["made_at"] = "2024-05-02T03:00:00.000Z".into();
    saved["inputs"]["day"] = "2024-05-01".into();
    fs::write(night.file(), sealed(saved)).unwrap();
    let said = night.run("apply FILE");
    assert_eq!(said.code, 5, "{}", said.stderr);
    assert!(
        said.stderr.contains("2024-05-01") && said.stderr.contains("cannot run any more"),
        "{}",
        said.stderr
    );
    assert_eq!(night.run("graph FILE").code, 0, "it can still be looked at");
}

#[test]
fn a_plan_that_says_something_else_is_stale_and_one_with_another_comment_is_not() {
    let night = Night::new();
    night.save("");
    night.stage.edit(&format!("# why\n{PLAN}\n"));
    assert_eq!(night.run("plan FILE").code, 0);
    night.stage.edit(&PLAN.replace("pipeline: pl_publish", "pipeline: pl_publish\n    timeout: 2h"));
    night.expect_stale(
        &[],
        "the plan `SPACE/plan.yaml`: 1 step changed\n~ publish\n    timeout: 2h00m is new\n",
    );
    night.stage.edit(&PLAN.replace("pipeline: pl_publish", "pipelin: pl_publish"));
    let said = night.run("apply FILE");
    assert_eq!(said.code, 5, "{}", said.stderr);
    let want = ["cannot load plan `", "error[E0201]", "did you mean `pipeline`?"];
    assert!(want.iter().all(|word| said.stderr.contains(word)), "{}", said.stderr);
    assert!(ran(&night.stage.emulator).is_empty());
}

#[test]
fn values_that_would_be_others_are_stale() {
    let night = Night::new();
    let values = night.stage.space.write("values.yaml", "region: apac\n");
    night.save(&format!(" --inputs {}", values.display()));
    night.expect_stale(
        &[("TARGET", "elsewhere")],
        "what the plan reads in `SPACE/plan.yaml`: 1 step changed, 1 change of the plan as a whole\n\
         env.TARGET: lake becomes elsewhere\n~ load\n    parameters.target: lake becomes elsewhere\n",
    );
    night.stage.space.write("values.yaml", "region: amer\n");
    night.stage.space.write("tables.yaml", "[orders]\n");
    night.expect_stale(
        &[],
        "what the plan reads in `SPACE/plan.yaml`: 1 step changed, 2 changes of the plan as a whole\n\
         inputs.region: apac becomes amer\ninputs.tables: [\"orders\",\"customers\"] becomes [\"orders\"]\n~ load\n    \
         parameters.region: apac becomes amer\n    parameters.tables: [\"orders\",\"customers\"] becomes [\"orders\"]\n",
    );
}

#[test]
fn a_pipeline_that_was_published_anew_or_deleted_is_stale() {
    let night = Night::new();
    let saved = night.save("");
    // Nothing of the plan runs it.
    publish(&night.stage.emulator, "unused", &definition("unused", "child")["properties"]);
    assert_eq!(night.run("plan FILE").code, 0);
    publish(&night.stage.emulator, "child", &definition("child", "")["properties"]);
    withdraw(&night.stage.emulator, "pl_publish");
    let before = saved["definitions"]["main"]["child"].as_str().unwrap();
    let said = night.run("apply FILE");
    let after =
        said.stderr.split(&format!("{before} becomes ")).nth(1).unwrap().lines().next().unwrap().to_owned();
    night.expect_stale(
        &[],
        &format!(
            "~ the pipeline `child` in workspace `127.0.0.1`, started by `pl_load` of step `load`, was published anew\n    \
             etag: {before} becomes {after}\n\
             - the pipeline `pl_publish` in workspace `127.0.0.1`, of step `publish`, is not there any more\n"
        ),
    );
}

#[test]
fn a_saved_plan_holds_no_secret() {
    let night = Night::new();
    night.stage.space.write("key.txt", CANARY);
    let other = "'{{secret \"file:key.txt\"}}'";
    night.stage.edit(&PLAN.replace(
        "pipeline: pl_publish",
        &format!(
            "pipeline: pl_load\n    parameters: {{ key: {other}, day: a, region: b, target: c, tables: [] }}"
        ),
    ));
    night.save(" --input key=env:CANARY");
    let text = fs::read_to_string(night.file()).unwrap();
    assert!(!text.contains(CANARY), "{text}");
    for variable in ["AZURE_CLIENT_SECRET", "AZURE_CLIENT_ID"] {
        assert!(!text.contains(night.stage.emulator.variable(variable)), "{variable}");
    }
    // A secret in a file is found beside the plan, from another folder too.
    let said = night.run_with("apply FILE", &[("CANARY", "another-secret")]);
    assert_eq!(said.code, 0, "{}", said.stderr);
}

#[test]
fn a_file_that_is_not_as_it_was_saved_is_refused() {
    let night = Night::new();
    let saved = night.save("");
    let text = fs::read_to_string(night.file()).unwrap();
    let newer = sealed({
        let mut newer = saved.clone();
        newer["format"] = 2.into();
        newer["synflow"] = "9.1.0".into();
        newer
    });
    let check = |text: &str, why: &str| {
        fs::write(night.file(), text).unwrap();
        for verb in ["apply", "plan", "validate", "diff", "graph", "rehearse"] {
            let said = night.run(&format!("{verb} FILE"));
            assert_eq!(said.code, 3, "{verb}\n{}", said.stderr);
            for words in ["error: cannot use the saved plan `", why, "synflow plan PLAN -o "] {
                assert!(said.stderr.contains(words), "{verb}: {words}\n{}", said.stderr);
            }
        }
    };
    check(
        &text.replace("emea", "apac"),
        "it was changed after it was saved: what it says does not fit its digest",
    );
    check(&text[..text.len() / 2], "it ends in the middle: it was not copied whole");
    check(&newer, "it was saved by a newer synflow, 9.1.0, in format 2; this one reads format 1");
    assert!(ran(&night.stage.emulator).is_empty());
    // Saving over what nobody can read is what the hint says.
    night.save("");
    assert_eq!(night.run("apply FILE").code, 0);
}

#[test]
fn nothing_can_be_chosen_beside_a_saved_plan() {
    let night = Night::new();
    night.save("");
    for option in [
        "--input region=apac",
        "--inputs x.yaml",
        "--env prod",
        "--select load",
        "--exclude load",
        "--max-parallel 2",
    ] {
        let name = option.split(' ').next().unwrap();
        for verb in ["apply", "plan", "apply --dry-run"] {
            let said = night.run(&format!("{verb} FILE {option}"));
            assert_eq!(said.code, 2, "{verb} {option}\n{}", said.stderr);
            assert!(
                said.stderr.starts_with(&format!("error: `{name}` cannot stand beside the saved plan")),
                "{}",
                said.stderr
            );
        }
    }
    let said = night.run("plan FILE -o FILE");
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(ran(&night.stage.emulator).is_empty());
}

#[test]
fn where_the_plan_is_not_the_saved_text_runs_alone() {
    let night = Night::new();
    let values = night.stage.space.write("values.yaml", "region: apac\n");
    night.save(&format!(" --inputs {}", values.display()));
    for name in ["plan.yaml", "values.yaml", "tables.yaml"] {
        fs::remove_file(night.stage.space.path(name)).unwrap();
    }
    let said = night.run_with("apply FILE", &[("TARGET", "other")]);
    assert_eq!(said.code, 5, "{}", said.stderr);
    assert!(said.stderr.contains("\nenv.TARGET: lake becomes other\n"), "{}", said.stderr);
    let said = night.run("apply FILE");
    assert_eq!(said.code, 0, "{}", said.stderr);
    for name in ["plan.yaml", "values.yaml"] {
        assert!(said.stderr.contains(&format!("{name}` here: what `")), "{}", said.stderr);
    }
    let record = night.stage.emulator.record();
    let run = record["runs"].as_array().unwrap().iter().find(|run| run["pipeline"] == "pl_load").unwrap();
    assert_eq!(run["parameters"]["region"], "apac");
}

#[test]
fn pipelines_that_an_emulator_makes_up_have_versions_too() {
    let steps = "steps: { a: {}, b: {}, c: { depends_on: [a] } }\n";
    let stage = Stage::new("defaults: { duration: 100ms, operation: 0ms }\n", steps);
    let file = stage.space.path("tonight.saved");
    let said = stage.run(&format!("plan PLAN -o {}", file.display()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let said = stage.run(&format!("apply {}", file.display()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    publish(&stage.emulator, "b", &json!({ "activities": [] }));
    let said = stage.run(&format!("apply {}", file.display()));
    assert_eq!(said.code, 5, "{}", said.stderr);
    assert_eq!(ran(&stage.emulator).len(), 3);
}

#[test]
fn only_what_was_seen_whole_is_saved_and_only_over_a_saved_plan() {
    let night = Night::new();
    let refused = |words: &str, env: &[(&str, &str)], code: i32, why: &str| {
        let said = night.run_with(words, env);
        assert_eq!(said.code, code, "{words}\n{}{}", said.stdout, said.stderr);
        assert!(said.stderr.contains(why), "{words}: {why}\n{}", said.stderr);
        assert!(!night.file().exists(), "{words}");
    };
    let unwritten = "error: the plan was not saved, and `";
    refused("plan PLAN -o FILE", &[("AZURE_CLIENT_SECRET", "wrong")], 10, unwritten);
    refused("plan PLAN -o FILE --offline", &[], 2, "--offline");
    refused("plan PLAN -o -", &[], 2, "a saved plan goes to a file");
    refused("plan PLAN -o nowhere/FILE", &[], 2, "there is no folder `nowhere");
    night.stage.edit(&PLAN.replace("region: \"", "regoin: \""));
    refused("plan PLAN -o FILE", &[], 4, unwritten);
    night.stage.edit(&PLAN.replace("pipeline: pl_publish", "pipeline: pl_lost"));
    refused("plan PLAN -o FILE", &[], 4, unwritten);
    night.stage.edit(&PLAN.replace("(env \"TARGET\")", "(env \"CANARY\")"));
    refused("plan PLAN -o FILE", &[], 3, "error[E0428]");

    night.stage.edit(PLAN);
    let plan = fs::read(night.stage.space.path("plan.yaml")).unwrap();
    let said = night.run("plan PLAN -o PLAN");
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("is there and is no saved plan; it is as it was"), "{}", said.stderr);
    assert_eq!(fs::read(night.stage.space.path("plan.yaml")).unwrap(), plan);
    fs::write(night.file(), "").unwrap();
    night.save("");
    night.save(" --input region=apac");
    let names = fs::read_dir(night.stage.space.path("")).unwrap().map(|it| it.unwrap().file_name());
    let names: BTreeSet<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name.contains(".tmp")), "{names:?}");
}

#[test]
fn an_unfinished_flow_of_the_key_stands_in_the_way_as_ever() {
    let night = Night::new();
    night
        .stage
        .space
        .write("script.yaml", "artifacts: [workspace]\ndefaults: { duration: 60s, operation: 0ms }\n");
    let script = night.stage.space.path("script.yaml");
    let emulator = night.stage.space.emulate(&format!("--script {}", script.display()));
    let night = Night { stage: Stage { space: night.stage.space, emulator } };
    night.stage.edit(PLAN);
    night.save("");
    let said = night.run("apply FILE --detach");
    assert_eq!(said.code, 30, "{}", said.stderr);
    let said = night.run("apply FILE");
    assert_eq!(said.code, 6, "{}", said.stderr);
    // The flow goes on by its own plan, whatever was changed since.
    let said = night.run_with("apply FILE --resume --detach", &[("TARGET", "other")]);
    assert_eq!(said.code, 30, "{}", said.stderr);
    assert_eq!(flows(&night.stage.space), 1);
}

#[test]
fn an_emulated_workspace_is_not_compared_and_says_so() {
    let night = Night::new();
    night.save("");
    publish(&night.stage.emulator, "child", &definition("child", "")["properties"]);
    let said = night.run("apply FILE --emulate --beat 50ms");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("note: an emulated workspace has pipelines of its own"), "{}", said.stderr);
    assert!(ran(&night.stage.emulator).is_empty(), "another workspace");
    let said = night.run_with("apply FILE --emulate", &[("TARGET", "other")]);
    assert_eq!(said.code, 5, "{}", said.stderr);
}

#[test]
fn the_other_verbs_take_a_saved_plan_or_say_why_not() {
    let night = Night::new();
    night.save(" --exclude publish");
    let file = night.file().display().to_string();
    let plan = night.stage.space.path("plan.yaml").display().to_string();
    let said = night.run("validate FILE");
    assert_eq!((said.code, said.stdout.as_str()), (0, format!("{file} ({plan}): ok, 2 steps\n").as_str()));
    for words in ["graph FILE", "rehearse FILE", "doctor FILE"] {
        let said = night.run(words);
        assert_eq!(said.code, 0, "{words}\n{}", said.stderr);
    }
    night.stage.edit(&PLAN.replace("default: emea", "default: apac"));
    let said = night.run("diff FILE PLAN");
    assert!(said.stdout.contains("inputs.region: emea becomes apac"), "{}", said.stdout);
    for words in ["fmt FILE", "test FILE", "validate FILE --env prod"] {
        let said = night.run(words);
        assert_eq!(said.code, 2, "{words}\n{}", said.stderr);
        assert!(said.stderr.contains("saved plan"), "{words}\n{}", said.stderr);
    }
}
