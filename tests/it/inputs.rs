//! Inputs, environments, zones and tenants through the real binary: which value counts, what a flow remembers, who signs in.

use serde_json::Value;
use synflow::plan::{AUTH_METHODS, Given, GivenFile, Plan, load};
use synflow::synapse::AuthMethod;

use crate::space::{Emulator, Said, TestSpace};
use crate::witness::{Stage, outcomes};

/// A plan with one input that has a value everywhere.
const SOURCES: &str = "\
version: 1
name: sources
workspace: contoso-dw
inputs: { a: { type: string, default: default } }
environments: { prod: { inputs: { a: environment } }, test: }
steps: { load: { parameters: { a: \"{{inputs.a}}\", from: \"{{environment}}\" } } }
";

fn shown(space: &TestSpace, words: &str) -> String {
    let plan = space.path("plan.yaml");
    let said = space.run(&format!("plan {} --offline {words}", plan.display()).trim_end().replace("  ", " "));
    assert_eq!(said.code, 0, "{words}\n{}", said.stderr);
    said.stdout
}

#[test]
fn the_command_line_beats_the_file_that_beats_the_environment_that_beats_the_default() {
    let space = TestSpace::new();
    space.write("plan.yaml", SOURCES);
    let file = space.write("values.yaml", "a: file\n");
    let file = format!("--inputs {}", file.display());
    let check = |words: &str, want: &str| {
        let shown = shown(&space, words);
        assert!(shown.contains(&format!("input a = \"{want}\"")), "{words}\n{shown}");
    };
    check("", "default");
    check("--env test", "default");
    check("--env prod", "environment");
    check(&format!("--env prod {file}"), "file");
    check(&format!("--env prod {file} --input a=words"), "words");
    check("--env prod --input a=one --input a=two", "two");
}

#[test]
fn the_environment_is_shown_and_known_to_templates() {
    let space = TestSpace::new();
    space.write("plan.yaml", SOURCES);
    let text = shown(&space, "--env prod");
    assert!(text.starts_with("plan `sources` in the environment `prod`: 1 step"), "{text}");
    assert!(text.contains("from = \"prod\""), "{text}");
    let text = shown(&space, "");
    assert!(text.starts_with("plan `sources`: 1 step"), "{text}");
    assert!(text.contains("from = \"\""), "{text}");

    let plan = space.path("plan.yaml");
    let said = space.run(&format!("apply {} --env prod --emulate", plan.display()));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let status = space.status();
    assert_eq!(status["flow"]["environment"], "prod");
    assert_eq!(status["steps"][0]["attempts"][0]["parameters"]["from"], "prod");
    assert!(space.run("status").stdout.contains("of sources (prod, emulated) succeeded"));
    assert!(space.run("flows").stdout.contains("sources (prod, emulated)"));
}

#[test]
fn a_file_of_values_that_cannot_be_read_ends_2_and_one_that_makes_no_sense_3() {
    let space = TestSpace::new();
    let plan = space.write("plan.yaml", SOURCES);
    let run = |file: &str| space.run(&format!("validate {} --inputs {file}", plan.display()));
    let said = run("no-such-file.yaml");
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("there is no `no-such-file.yaml`"), "{}", said.stderr);
    let list = space.write("list.yaml", "[a]");
    let said = run(&list.display().to_string());
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert!(said.stderr.contains("list.yaml:1:"), "{}", said.stderr);
    let large = space.write("large.yaml", &" ".repeat(10 * 1024 * 1024 + 1));
    assert_eq!(run(&large.display().to_string()).code, 2);
}

#[test]
fn a_file_beside_the_plan_is_found_from_anywhere_and_remembered() {
    let stage = Stage::new(
        "pipelines: { load: { runs: [{ outcome: failed }, { outcome: succeeded }] } }\n",
        "inputs: { regions: { type: array, file: in/regions.json } }\n\
         steps: { load: { parameters: { regions: \"{{inputs.regions}}\" } } }\n",
    );
    let file = stage.space.write("in/regions.json", "[\n\t\"emea\",\n\t\"apac\"\n]\n");
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 1, "{}", said.stderr);
    // The flow goes on with what the file held, whatever becomes of it.
    std::fs::remove_file(file).unwrap();
    let said = stage.run("resume");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let status = stage.space.status();
    assert_eq!(status["flow"]["inputs"]["regions"], serde_json::json!(["emea", "apac"]));
    assert_eq!(outcomes(&status)["load"], "succeeded");
    let said = stage.run("apply PLAN");
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert!(said.stderr.contains("in/regions.json`"), "{}", said.stderr);
    let said = stage.run("apply PLAN --input regions=[amer]");
    assert_eq!(said.code, 0, "a value that is given needs no file\n{}", said.stderr);
}

#[test]
fn a_resume_keeps_the_environment() {
    let script = "pipelines: { load: { runs: [{ outcome: failed }, { outcome: succeeded }] } }\n";
    let steps = |environments: &str| {
        format!(
            "inputs: {{ a: {{ type: int, default: 1 }} }}\n{environments}\
             steps: {{ load: {{ parameters: {{ a: \"{{{{inputs.a}}}}\", from: \"{{{{environment}}}}\" }} }} }}\n"
        )
    };
    let stage = Stage::new(script, &steps("environments: { prod: { inputs: { a: 2 } } }\n"));
    let said = stage.run("apply PLAN --env prod");
    assert_eq!(said.code, 1, "{}", said.stderr);
    stage.edit(&steps("environments: { live: { inputs: { a: 2 } } }\n"));
    let said = stage.run("resume --plan PLAN");
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert!(said.stderr.contains("no environment `prod`"), "{}", said.stderr);
    stage.edit(&steps("environments: { prod: { max_parallel: 3 } }\n"));
    let said = stage.run("resume --plan PLAN");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let status = stage.space.status();
    assert_eq!(
        (&status["flow"]["environment"], &status["flow"]["max_parallel"]),
        (&"prod".into(), &3.into())
    );
    let sent = &status["steps"][0]["attempts"][1]["parameters"];
    assert_eq!(sent, &serde_json::json!({ "a": 2, "from": "prod" }), "the flow's value counts: {status:#}");
}

#[test]
fn environments_have_flows_of_their_own() {
    let stage =
        Stage::new("defaults: { duration: 30s }\n", "environments: { prod:, test: }\nsteps: { load: }\n");
    assert_eq!(stage.run("apply PLAN --env prod --detach").code, 30);
    let said = stage.run("apply PLAN --env prod --detach");
    assert_eq!(said.code, 6, "{}", said.stderr);
    // Not the first look: the journal has seen the plan.
    assert_eq!(stage.run("apply PLAN --env test --detach").code, 30);
    assert_eq!(stage.run("apply PLAN --detach").code, 30);
}

/// The plan of a flow is made again from its text, values and time alone.
#[test]
fn the_journal_gives_the_same_plan_again() {
    let text = "version: 1\nname: again\ntimezone: Pacific/Kiritimati\nworkspace: contoso-dw\n\
                inputs:\n  day: { type: date, default: yesterday, min: today-30d, max: today }\n  \
                stage: { type: string, one_of: [dev, prod], default: dev }\n  \
                ratio: { type: float, file: ratio.yaml }\n  \
                key: { type: string, secret: true, default: \"env:KEY\" }\n  \
                code: { type: string, pattern: \"[a-z]+\" }\n\
                environments:\n  prod: { inputs: { stage: prod }, workspaces: { main: { name: prod-dw, tenant: contoso.com } } }\n\
                steps: { load: { parameters: { day: \"{{inputs.day}}\", at: \"{{environment}}\" } } }\n";
    let now = "2024-05-02T12:00:00Z".parse().unwrap();
    let given = Given {
        environment: "prod".to_owned(),
        inputs_file: Some(GivenFile { name: "in.yaml".to_owned(), bytes: b"code: abc\n".to_vec() }),
        files: [("ratio.yaml".to_owned(), Ok(b"18446744073709551615\n".to_vec()))].into(),
        now,
        inputs_required: true,
        ..Given::default()
    };
    let plan = load(text.as_bytes(), &given).unwrap().plan;
    let (again, _) = synflow::flow::resume::read_plan(
        text,
        &plan.inputs,
        &plan.env,
        "prod",
        &synflow::graph::Selection::default(),
        now,
    )
    .unwrap();
    let told = |plan: &Plan| {
        format!("{:?} {:?} {:?} {}", plan.inputs, plan.workspaces, plan.secret_inputs, plan.environment)
    };
    assert_eq!(told(&again), told(&plan));
    assert_eq!(plan.inputs["day"], "2024-05-02", "the third of May begins early in Kiritimati");
    assert_eq!(plan.inputs["ratio"], Value::from(u64::MAX));
    assert_eq!((plan.inputs["stage"].as_str(), plan.inputs["code"].as_str()), (Some("prod"), Some("abc")));
    assert_eq!(plan.timezone.iana_name(), Some("Pacific/Kiritimati"));
    assert_eq!(plan.secret_inputs.iter().collect::<Vec<_>>(), ["key"]);
    assert_eq!(plan.workspaces[0].tenant.as_deref(), Some("contoso.com"));
}

#[test]
fn the_plan_knows_the_ways_to_sign_in() {
    assert_eq!(AuthMethod::ALL.map(AuthMethod::name), AUTH_METHODS);
}

/// Runs a plan with these keys of two workspaces, both at one emulator.
fn two(
    space: &TestSpace,
    emulator: &Emulator,
    main: &str,
    other: &str,
    env: &[(&str, &str)],
    words: &str,
) -> Said {
    let at = emulator.endpoint();
    let plan = format!(
        "version: 1\nname: two\nworkspaces:\n  main: {{ endpoint: \"{at}\", {main} }}\n  other: {{ endpoint: \"{at}\", {other} }}\n\
         steps:\n  a: {{ workspace: main }}\n  b: {{ workspace: other }}\n"
    );
    let path = space.write("two.yaml", &plan);
    let mut command =
        space.command_at(emulator, &format!("apply {} --beat 100ms --new{words}", path.display()));
    Said::from(command.envs(env.iter().copied()).output().unwrap())
}

#[test]
fn every_workspace_signs_in_to_its_own_tenant() {
    let space = TestSpace::new();
    let record = space.path("record.json");
    let emulator = space.emulate(&format!("--record {}", record.display()));
    let tenant = emulator.variable("AZURE_TENANT_ID").to_owned();
    let [small, large] = [format!("tenant: {tenant}"), format!("tenant: {}", tenant.to_uppercase())];
    let wrong = ("AZURE_TENANT_ID", "nowhere.example");
    // The plan's tenants count, not the environment's. The emulator has one tenant, by any spelling.
    let said = two(&space, &emulator, &small, &large, &[wrong], "");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let asked = std::fs::read_to_string(record).unwrap();
    for tenant in [&tenant, &tenant.to_uppercase()] {
        assert!(
            asked.contains(&format!("/{tenant}/oauth2/v2.0/token")),
            "nobody asked for a token of {tenant}"
        );
    }
    assert!(!asked.contains("nowhere.example"), "the environment's tenant was asked");

    let said = two(&space, &emulator, &small, "cloud: public", &[wrong], "");
    assert_eq!(said.code, 10, "{}", said.stderr);
    assert!(said.stderr.contains("nowhere.example"), "{}", said.stderr);
    let said = two(&space, &emulator, &small, "tenant: fabrikam.example", &[], "");
    assert_eq!(said.code, 10, "{}", said.stderr);
    assert!(said.stderr.contains("fabrikam.example"), "{}", said.stderr);
}

#[test]
fn the_command_line_beats_the_plan_that_beats_the_environment_in_how_to_sign_in() {
    let space = TestSpace::new();
    let emulator = space.emulate("");
    let run = |other: &str, env: &[(&str, &str)], words: &str| {
        two(&space, &emulator, "auth: environment", other, env, words)
    };
    let cli = [("SYNFLOW_AUTH", "azure_cli")];
    let said = run("auth: environment", &cli, "");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let said = run("cloud: public", &cli, "");
    assert_eq!(said.code, 10, "the other workspace goes by the environment: {}", said.stderr);
    let said = run("auth: azure_cli", &[], "");
    assert_eq!(said.code, 10, "{}", said.stderr);
    let said = run("auth: azure_cli", &cli, " --auth environment");
    assert_eq!(said.code, 0, "{}", said.stderr);
    let said = run("auth: environment", &[("SYNFLOW_AUTH", "password")], "");
    assert_eq!(said.code, 2, "{}", said.stderr);
}

#[test]
fn the_doctor_checks_every_sign_in_of_the_environment() {
    let space = TestSpace::new();
    let emulator = space.emulate("");
    let at = emulator.endpoint();
    let plan = space.write(
        "plan.yaml",
        &format!(
            "version: 1\nname: two\nworkspace: contoso-dw\n\
             environments:\n  here: {{ workspaces: {{ main: {{ endpoint: \"{at}\", tenant: fabrikam.example }} }} }}\n\
             steps: {{ load: }}\n"
        ),
    );
    let said = space.run_at(&emulator, &format!("doctor {} --env here", plan.display()));
    assert_eq!(said.code, 10, "{}", said.stdout);
    assert!(said.stdout.contains("sign-in, public cloud, tenant fabrikam.example"), "{}", said.stdout);
    assert!(said.stdout.contains("--env here` would fail: sign-in or permission"), "{}", said.stdout);
}

#[test]
fn plans_of_several_environments_run_in_each() {
    let space = TestSpace::new();
    let run = |words: &str| space.run(&format!("apply tests/plans/good/environments.yaml --emulate{words}"));
    for (words, sample, limit) in [("", true, 4), (" --env test", true, 4), (" --env prod", false, 20)] {
        let said = run(words);
        assert_eq!(said.code, 0, "{}", said.stderr);
        let status = space.status();
        assert_eq!(status["steps"][1]["attempts"][0]["parameters"]["sample"], sample, "{words}");
        assert_eq!(status["flow"]["max_parallel"], limit, "{words}");
    }
    let said = run(" --env prd");
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert!(said.stderr.contains("did you mean `--env prod`?"), "{}", said.stderr);
}

/// What stands where a reference to a secret should stand may be the secret itself.
#[test]
fn a_secret_that_was_typed_is_not_repeated() {
    let space = TestSpace::new();
    let forms = [
        ("key: { type: string, secret: true, default: hunter2 }", ""),
        ("key: { type: string, secret: true, default: [hunter2] }", ""),
        ("key: { type: string, secret: true, default: { a: hunter2 } }", ""),
        (
            "key:\n    type: string\n    secret: true\n    default: |\n      line\n      hunter2\n    colour: red",
            "",
        ),
        ("key: { type: string, secret: yes, default: hunter2, defualt: 3 }", ""),
        ("key: { type: str, secret: true, default: hunter2 }", ""),
        ("key: { type: string, secrets: true, default: hunter2 }", ""),
        ("key: { type: string, secret: true, default: \u{201c}hunter2\u{201d} }", ""),
        ("key: { type: int, secret: true, default: hunter2 }", ""),
        ("key: { type: string, secret: true, pattern: x, default: \"env:hunter2 x\" }", ""),
        ("key: { type: string, secret: true, default: \"{{inputs.x}}hunter2\" }", ""),
        ("key: { type: string, secret: true, default: \"{{hunter2}}\" }", ""),
        ("key: { type: string, secret: true, default: \"{{hunter2\" }", ""),
        ("key: { type: string, secret: true }", " --input key=hunter2"),
        ("key: { type: string, secret: true }", " --inputs VALUES"),
        ("key: { type: string, secret: true }\nenvironments: { prod: { inputs: { key: hunter2 } } }", ""),
    ];
    let values = space.write("values.yaml", "key: hunter2\n");
    for (input, words) in forms {
        let plan = format!("version: 1\nname: s\nworkspace: w\ninputs:\n  {input}\nsteps: {{ load: }}\n");
        let path = space.write("plan.yaml", &plan);
        let words = words.replace("VALUES", &values.display().to_string());
        let said = space.run(&format!("validate {}{words}", path.display()));
        assert_eq!(said.code, 3, "{input}\n{}", said.stderr);
        assert!(
            !format!("{}{}", said.stdout, said.stderr).contains("hunter2"),
            "{input}{words}\n{}",
            said.stderr
        );
    }
}
