//! Plans against real pipeline definitions: what is found, what is not, and what `validate --artifacts` makes of it.
//!
//! `UPDATE_EXPECT=1 cargo test --test it contract` writes the expected texts beside the plans in `tests/plans/contract`;
//! read them before you commit them. `# artifacts: DIR` names a folder of `tests/artifacts`, or of `tests/definitions`.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::{ProptestConfig, any, prop, proptest};
use serde_json::{Map, Value, json};
use synflow::definition::{self, Catalogue, Definition, ParameterType, Source, check};
use synflow::emulator::{CLIENT_ID, CLIENT_SECRET, Model, Script, TENANT_ID, list_artifacts};
use synflow::graph::PlanGraph;
use synflow::plan::{Diagnostic, Given, Plan, load, render};
use synflow::synapse::{Cloud, Credential, Endpoint, Http, HttpSettings, SynapseClient, TokenCache};
use synflow::time::Timestamp;

use crate::plans;
use crate::space::{Said, TestSpace, root};

/// The folder that a plan names with `# artifacts: DIR`.
pub(crate) fn folder_of(plan: &str) -> Option<PathBuf> {
    let comments = || plan.lines().take_while(|line| line.starts_with('#'));
    let name = comments().find_map(|line| line.strip_prefix("# artifacts: "))?;
    let folders = ["tests/artifacts", "tests/definitions"].map(|folder| root().join(folder).join(name));
    Some(folders.into_iter().find(|folder| folder.exists()).unwrap_or_else(|| panic!("no folder {name}")))
}

/// Reads a folder of definitions, and what is wrong in it.
fn read(folder: &std::path::Path) -> (Catalogue, Vec<Diagnostic>) {
    let mut catalogue = Catalogue::new(format!("`{}`", folder.file_name().unwrap().display()));
    let mut broken = Vec::new();
    for path in list_artifacts(folder).unwrap() {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let name = format!("pipeline/{}", path.file_name().unwrap().display());
        match definition::parse(&fs::read(&path).unwrap(), &name, stem) {
            Ok(definition) => drop(catalogue.add(definition)),
            Err(finding) => {
                catalogue.unreadable.insert(stem.to_owned());
                broken.push(*finding);
            }
        }
    }
    (catalogue, broken)
}

/// What holding a plan against the definitions that it names gives; nothing if it names none.
pub(crate) fn contract(text: &str, plan: &Plan) -> Vec<Diagnostic> {
    let Some(folder) = folder_of(text) else { return Vec::new() };
    let (catalogue, mut findings) = read(&folder);
    findings.extend(check(plan, |_| Some(&catalogue)));
    findings
}

fn plan(text: &str) -> Plan {
    let given = Given { inputs_required: true, ..Given::default() };
    let loaded = load(text.as_bytes(), &given)
        .unwrap_or_else(|found| panic!("{}", render(&found, "plan.yaml", text.as_bytes(), false)));
    PlanGraph::link(&loaded.plan).unwrap();
    loaded.plan
}

/// Returns the codes of what is found in steps that stand below `steps:`.
fn codes(steps: &str, catalogue: &Catalogue) -> Vec<&'static str> {
    let text = format!("version: 1\nname: n\nworkspace: w\n{steps}");
    check(&plan(&text), |_| Some(catalogue)).iter().map(|finding| finding.code.id()).collect()
}

/// Returns the files of all real definitions.
fn real() -> Vec<PathBuf> {
    list_artifacts(&root().join("tests/artifacts")).unwrap()
}

fn parsed(path: &PathBuf) -> Definition {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    definition::parse(&fs::read(path).unwrap(), "a.json", stem)
        .unwrap_or_else(|why| panic!("{}: {why:?}", path.display()))
}

#[test]
fn plans_are_held_against_definitions_to_the_letter() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = Vec::new();
    let mut plans: Vec<PathBuf> = fs::read_dir(root().join("tests/plans/contract"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    plans.sort();
    assert!(plans.len() >= 9, "only {} plans", plans.len());
    for path in plans {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let loaded = load(text.as_bytes(), &plans::given("contract", text.as_bytes()))
            .unwrap_or_else(|found| panic!("{}", render(&found, name, text.as_bytes(), false)));
        let findings = contract(&text, &loaded.plan);
        for finding in &findings {
            assert!(finding.code.is_contract() && !finding.help.is_empty(), "{name}: {finding:?}");
            assert!(finding.span.is_some(), "{name}: {finding:?}");
            let told = finding.help.join(" ");
            assert!(told.contains("pipeline/") || told.contains("` has "), "{name} names no source: {told}");
        }
        let shown = render(&findings, name, text.as_bytes(), false);
        assert!(!shown.contains("hunter2"), "{name} shows what may be a secret: {shown}");
        let expected = path.with_extension("txt");
        if update {
            fs::write(&expected, &shown).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != shown {
            wrong.push(format!("--- {name}\n{shown}"));
        }
    }
    assert!(wrong.is_empty(), "{}\nUPDATE_EXPECT=1 accepts these texts", wrong.join("\n"));
}

#[test]
fn no_real_definition_is_refused() {
    let files = real();
    assert!(files.len() >= 29, "{}", files.len());
    for path in &files {
        let definition = parsed(path);
        assert!(!definition.name.is_empty(), "{path:?}");
        let raw: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let declared = raw["properties"]["parameters"].as_object().map_or(0, Map::len);
        assert_eq!(definition.parameters.len(), declared, "{path:?}");
        let is_known = |kind: &ParameterType| !matches!(kind, ParameterType::Other(_));
        assert!(definition.parameters.iter().all(|one| is_known(&one.kind)), "{definition:?}");
        // The properties alone are a definition too.
        let alone = Definition::read(&raw["properties"], definition.source.clone(), &definition.name);
        assert_eq!(alone.as_ref(), Some(&definition), "{path:?}");
    }
}

/// Returns a value that a parameter takes.
fn right(kind: &ParameterType) -> Value {
    match kind {
        ParameterType::Int => json!(7),
        ParameterType::Float => json!(1.5),
        ParameterType::Bool => json!(true),
        ParameterType::Array => json!([1, "b"]),
        ParameterType::Object => json!({ "a": [1] }),
        ParameterType::SecureString => json!("{{secret \"env:KEY\"}}"),
        ParameterType::String | ParameterType::Other(_) => json!("text"),
    }
}

/// Returns a plan with one step for a pipeline.
fn plan_for(definition: &Definition, parameters: &Map<String, Value>) -> Plan {
    let outputs: Map<String, Value> = definition
        .activities
        .iter()
        .filter(|activity| !activity.is_looped && !activity.hides_output)
        .take(50)
        .enumerate()
        .map(|(n, activity)| {
            (format!("o{n}"), json!(format!("{{{{activities.[{}].output}}}}", activity.name)))
        })
        .collect();
    let mut step = json!({ "pipeline": definition.name, "parameters": parameters });
    if !outputs.is_empty() {
        step["outputs"] = Value::Object(outputs);
    }
    let text = json!({ "version": 1, "name": "n", "workspace": "w", "steps": { "it": step } });
    plan(&text.to_string())
}

fn catalogue_of(definition: &Definition) -> Catalogue {
    let mut catalogue = Catalogue::new("the folder");
    catalogue.add(definition.clone());
    catalogue
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 40, ..ProptestConfig::default() })]

    /// Whatever is given of what may be left out.
    #[test]
    fn a_right_plan_for_each_real_pipeline_has_no_finding(given in prop::collection::vec(any::<bool>(), 64)) {
        for path in real() {
            let definition = parsed(&path);
            let of = |(n, one): (usize, &definition::Parameter)| {
                let is_given = one.default.is_none() || given[n % given.len()];
                is_given.then(|| (one.name.clone(), right(&one.kind)))
            };
            let parameters = definition.parameters.iter().enumerate().filter_map(of).collect();
            let plan = plan_for(&definition, &parameters);
            let catalogue = catalogue_of(&definition);
            let found = check(&plan, |_| Some(&catalogue));
            assert!(found.is_empty(), "{path:?}: {found:?}");
        }
    }

    /// One wrong value, one missing or one too many is always found, and nothing else.
    #[test]
    fn one_mistake_is_one_finding(at in any::<prop::sample::Index>()) {
        for path in real() {
            let definition = parsed(&path);
            let all: Map<String, Value> =
                definition.parameters.iter().map(|one| (one.name.clone(), right(&one.kind))).collect();
            let catalogue = catalogue_of(&definition);
            let found = |parameters: &Map<String, Value>| {
                let plan = plan_for(&definition, parameters);
                check(&plan, |_| Some(&catalogue)).iter().map(|finding| finding.code.id()).collect::<Vec<_>>()
            };
            let mut more = all.clone();
            more.insert("no such parameter".to_owned(), json!(1));
            assert_eq!(found(&more), ["E0602"], "{path:?}");
            if definition.parameters.is_empty() {
                continue;
            }
            let one = at.get(&definition.parameters);
            let mut less = all.clone();
            less.remove(&one.name);
            let want: &[&str] = if one.default.is_none() { &["E0603"] } else { &[] };
            assert_eq!(found(&less), want, "{path:?} without {}", one.name);
            let mut other = all.clone();
            let wrong = if one.kind == ParameterType::Bool { json!(3) } else { json!(false) };
            other.insert(one.name.clone(), wrong);
            let want = if one.kind == ParameterType::SecureString { "E0605" } else { "E0604" };
            assert_eq!(found(&other), [want], "{path:?} with {}", one.name);
        }
    }
}

#[test]
fn what_is_known_only_later_is_no_finding() {
    let (catalogue, _) = read(&root().join("tests/artifacts/procfwk"));
    let check = |steps: &str, want: &[&str]| assert_eq!(codes(steps, &catalogue), want, "{steps}");
    let before =
        "steps:\n  up: { pipeline: Wait 1, outputs: { n: '{{default activities.Wait1.output.n 3}}' } }\n";
    let after = |value: &str| {
        format!(
            "{before}  it: {{ pipeline: Wait 1, depends_on: [up], parameters: {{ WaitTime: {value} }} }}\n"
        )
    };
    check(&after("'{{steps.up.outputs.n}}'"), &[]);
    check(&after("'{{default steps.up.outputs.n \"x\"}}'"), &[]);
    check(&after("'{{steps.up.outcome}}!'"), &["W0601"]);
    check(&after("['{{steps.up.outcome}}']"), &["E0604"]);
    check(&after("'{{flow.id}}'"), &[]);
    check("steps: { it: { pipeline: Nowhere } }", &["E0601"]);
    check(
        "inputs: { w: { type: int, default: 3 } }\nsteps: { it: { pipeline: Wait 1, parameters: { WaitTime: '{{inputs.w}}' } } }",
        &[],
    );
}

#[test]
fn a_plan_without_its_inputs_is_checked_as_far_as_it_is_known() {
    let (catalogue, _) = read(&root().join("tests/artifacts/procfwk"));
    let codes = |keys: &str| {
        let text = format!(
            "version: 1\nname: n\nworkspaces: {{ w: {{ name: a }}, v: {{ name: b }} }}\ndefaults: {{ workspace: w }}\n\
             inputs: {{ s: {{ type: string }}, o: {{ type: object }}, l: {{ type: array }} }}\nsteps: {{ it: {{ {keys} }} }}\n"
        );
        let loaded = load(text.as_bytes(), &Given::default()).unwrap();
        check(&loaded.plan, |at| (at == 0).then_some(&catalogue))
            .iter()
            .map(|one| one.code.id())
            .collect::<Vec<_>>()
    };
    let check = |keys: &str, want: &[&str]| assert_eq!(codes(keys), want, "{keys}");
    check("pipeline: 'pl_{{inputs.s}}'", &[]);
    check("pipeline: 03-Child, workspace: '{{inputs.s}}'", &[]);
    check("pipeline: 03-Child, workspace: v", &[]);
    check("pipeline: 03-Child, parameters: '{{inputs.o}}'", &[]);
    check("pipeline: 03-Child", &["E0603"]);
    check("pipeline: Wait 1, parameters: { WaitTime: '{{inputs.s}}' }", &[]);
    check("pipeline: Wait 1, parameters: { WaitTime: '{{default inputs.s \"x\"}}' }", &[]);
    check("pipeline: Wait 1, for_each: '{{inputs.l}}', parameters: { WaitTime: '{{each.value}}' }", &[]);
    check("pipeline: Wait 1, for_each: '{{inputs.l}}', parameters: { Wait: '{{each.value}}' }", &["E0602"]);
}

#[test]
fn a_queue_is_noted_where_runs_surely_meet() {
    let path = root().join("tests/artifacts/procfwk/pipeline/Wait 1.json");
    let mut raw: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mut check = |concurrency: u64, steps: &str, want: &[&str]| {
        raw["properties"]["concurrency"] = concurrency.into();
        let source = Source::Service { etag: Some("7".to_owned()) };
        let definition = Definition::read(&raw, source, "").unwrap();
        assert_eq!(codes(steps, &catalogue_of(&definition)), want, "{concurrency} of {steps}");
    };
    let each = |more: &str| {
        let values: Vec<String> = (0..300).map(|n| n.to_string()).collect();
        format!(
            "max_parallel: 250\npools: {{ p: 4 }}\nsteps: {{ it: {{ pipeline: Wait 1, for_each: [{}]{more} }} }}",
            values.join(", ")
        )
    };
    check(1, &each(""), &["N0601"]);
    check(149, &each(""), &["N0601"]);
    check(150, &each(""), &["N0601"]);
    check(250, &each(""), &[]);
    check(3, &each(", max_parallel: 3"), &[]);
    check(3, &each(", max_parallel: 4"), &["N0601"]);
    check(3, &each(", pool: p"), &["N0601"]);
    check(2, &each(", pool: { p: 2 }"), &[]);
    let chain = "steps: { a: { pipeline: Wait 1 }, b: { pipeline: Wait 1, depends_on: [a] }, c: { pipeline: Wait 1, finally: completed } }";
    check(1, chain, &[]);
    check(1, &chain.replace(", depends_on: [a]", ""), &["N0601"]);
}

#[test]
fn more_parameters_than_synapse_takes() {
    let path = root().join("tests/artifacts/procfwk/pipeline/Wait 1.json");
    let mut raw: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    for n in 0..49 {
        raw["properties"]["parameters"][format!("p{n}")] = json!({ "type": "string", "defaultValue": "" });
    }
    let source = || Source::File("a.json".to_owned());
    let step = "steps: { it: { pipeline: Wait 1 } }";
    assert_eq!(codes(step, &catalogue_of(&Definition::read(&raw, source(), "").unwrap())), [""; 0]);
    raw["properties"]["parameters"]["p49"] = json!({ "type": "string", "defaultValue": "" });
    assert_eq!(codes(step, &catalogue_of(&Definition::read(&raw, source(), "").unwrap())), ["E0606"]);
}

fn validate(space: &TestSpace, words: &[&str]) -> Said {
    Said::from(space.command(["validate"].into_iter().chain(words.iter().copied())).output().unwrap())
}

#[test]
fn validate_takes_a_git_folder_and_ends_with_the_right_code() {
    let space = TestSpace::new();
    let right = space.write(
        "right.yaml",
        "version: 1\nname: n\nworkspace: w\nsteps: { it: { pipeline: Wait 1, parameters: { WaitTime: 3 } } }\n",
    );
    let wrong = space.write(
        "wrong.yaml",
        "version: 1\nname: n\nworkspace: w\nsteps: { it: { pipeline: Wait 1, parameters: { WaitTme: 3 } } }\n",
    );
    let invalid = space.write("invalid.yaml", "version: 1\nname: n\nworkspace: w\nsteps: []\n");
    let [right, wrong, invalid] = [&right, &wrong, &invalid].map(|path| path.to_str().unwrap());
    let run = |plans: &[&str], folders: &[&str]| {
        let named = folders.iter().flat_map(|folder| ["--artifacts", folder]);
        validate(&space, &plans.iter().copied().chain(named).collect::<Vec<_>>())
    };
    for folder in
        ["tests/artifacts/procfwk", "tests/artifacts/procfwk/pipeline", "tests/artifacts/procfwk/pipeline/"]
    {
        let said = run(&[right], &[folder]);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{folder}");
        assert_eq!(said.stdout, format!("{right}: ok, 1 step, compared with their pipelines\n"));
        let said = run(&[wrong, right], &[folder]);
        assert_eq!(said.code, 4, "{}", said.stderr);
        assert!(said.stdout.contains("right.yaml: ok"), "{}", said.stdout);
        assert!(
            said.stderr.contains("error[E0602]") && said.stderr.contains("did you mean `WaitTime`?"),
            "{}",
            said.stderr
        );
        assert!(
            said.stderr.contains(&format!("error: plan `{wrong}` does not fit its pipelines: 1 problem")),
            "{}",
            said.stderr
        );
        assert!(said.stderr.contains("Wait 1.json` declares `WaitTime` (Int)"), "{}", said.stderr);
    }
    // A plan error beats whatever else was found.
    assert_eq!(run(&[wrong, invalid], &["tests/artifacts/procfwk"]).code, 3);
    assert_eq!(run(&[right], &[]).code, 0);
    let said = run(&[right], &["tests/it"]);
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("there is no `pipeline/*.json` below `tests/it`"), "{}", said.stderr);
    assert_eq!(run(&[right], &["no/such/folder"]).code, 2);
    let said = validate(&space, &[wrong, "--artifacts", "tests/artifacts/procfwk", "--output", "json"]);
    assert_eq!(said.code, 4);
    let answer: Value = serde_json::from_str(&said.stdout).unwrap();
    let found = &answer["plans"][0];
    assert_eq!((&found["ok"], &found["diagnostics"][0]["code"]), (&false.into(), &"E0602".into()));
    let said = validate(&space, &[wrong, "--artifacts", "tests/artifacts/procfwk", "--output", "github"]);
    assert!(
        said.stdout.starts_with("::error file=") && said.stdout.contains("title=E0602"),
        "{}",
        said.stdout
    );
}

#[test]
fn a_folder_may_be_for_one_workspace() {
    let space = TestSpace::new();
    let text = "version: 1\nname: n\nworkspaces: { main: { name: a }, ref: { name: b } }\nsteps:\n\
                \x20 it: { pipeline: Wait 1, workspace: main }\n  other: { pipeline: child, workspace: ref, parameters: { Url: u, Body: b } }\n";
    let path = space.write("plan.yaml", text);
    let run = |folders: &[&str]| {
        let named = folders.iter().flat_map(|folder| ["--artifacts", folder]);
        validate(&space, &[path.to_str().unwrap()].into_iter().chain(named).collect::<Vec<_>>())
    };
    let (frame, tests) = ("tests/artifacts/procfwk", "tests/artifacts/data-factory-testing-framework");
    let (main, reference) = (format!("main={frame}"), format!("ref={tests}"));
    let said = run(&[&main, &reference]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    assert_eq!(run(&[frame, &reference]).code, 0);
    assert_eq!(run(&[frame, tests]).code, 0);
    assert_eq!(run(&[frame]).code, 4);
    let said = run(&[&main]);
    assert_eq!(said.code, 0);
    assert!(said.stderr.contains("the steps in workspace `ref` were not compared"), "{}", said.stderr);
    let said = run(&[&format!("reff={tests}")]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("did you mean `ref`?"), "{}", said.stderr);
}

#[test]
fn a_broken_file_is_named_and_the_others_go_on() {
    let space = TestSpace::new();
    let text = "version: 1\nname: n\nworkspace: w\nsteps: { load: { pipeline: pl_load_sales }, publish: { pipeline: pl_publsh } }\n";
    let path = space.write("plan.yaml", text);
    let folder = ["--artifacts", "tests/definitions/broken"];
    let said = validate(&space, &[path.to_str().unwrap(), folder[0], folder[1]]);
    assert_eq!(said.code, 4, "{}", said.stderr);
    assert!(
        said.stderr.contains("tests/definitions/broken/pipeline/pl_load_sales.json:6:5"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("did you mean `pl_publish`?"), "{}", said.stderr);
    assert_eq!(said.stderr.matches("error[").count(), 2, "{}", said.stderr);
    let said = validate(&space, &[path.to_str().unwrap(), folder[0], folder[1], "--output", "json"]);
    let answer: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(answer["plans"].as_array().unwrap().len(), 1);
    let broken = &answer["definitions"][0];
    assert!(broken["file"].as_str().unwrap().ends_with("pl_load_sales.json"), "{broken}");
    assert_eq!(broken["diagnostics"][0]["line"], 6);
}

#[test]
fn two_files_for_one_pipeline_are_told() {
    let space = TestSpace::new();
    let path = space
        .write("plan.yaml", "version: 1\nname: n\nworkspace: w\nsteps: { it: { pipeline: Pipeline 1 } }\n");
    let said = validate(&space, &[path.to_str().unwrap(), "--artifacts", "tests/artifacts/azure-cli"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(
        said.stderr.starts_with("note: `tests/artifacts/azure-cli/pipeline/pipeline.json` and "),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("both describe the pipeline `Pipeline 1`"), "{}", said.stderr);
}

#[tokio::test]
async fn the_service_gives_definitions_with_their_versions() {
    let folder = root().join("tests/artifacts/procfwk");
    let files = synflow::emulator::read_artifacts(&folder).unwrap();
    let model = Model::new("contoso", Script::default(), &files, Timestamp::from_epoch_ms(0)).unwrap();
    let server = synflow::emulator::start(vec![model], 0).await.unwrap();
    let credential = Credential::ClientSecret {
        tenant: TENANT_ID.to_owned(),
        client_id: CLIENT_ID.to_owned(),
        secret: CLIENT_SECRET.to_owned().into(),
        authority: Endpoint::parse(server.authority()).unwrap(),
    };
    let http = Http::new(&HttpSettings::default()).unwrap();
    let tokens = TokenCache::new(credential, http.clone());
    let endpoint = Endpoint::parse(server.endpoint("contoso").unwrap()).unwrap();
    let client = SynapseClient::new(endpoint, Cloud::Public.audience(), tokens, http);

    let (in_git, _) = read(&folder);
    let all = client.definitions().await.unwrap();
    assert_eq!(all.len(), in_git.definitions.len());
    for deployed in &all {
        let Source::Service { etag: Some(etag) } = &deployed.source else { panic!("{deployed:?}") };
        assert!(!etag.is_empty());
        let same = &in_git.definitions[&deployed.name];
        assert_eq!(*deployed, Definition { source: deployed.source.clone(), ..same.clone() });
        assert_eq!(client.definition(&deployed.name).await.unwrap().as_ref(), Some(deployed));
    }
    assert_eq!(client.definition("Wait 2").await.unwrap(), None);
    let mut catalogue = Catalogue::new("the workspace `contoso`");
    for deployed in all {
        assert_eq!(catalogue.add(deployed), None);
    }
    let plan = plan(
        "version: 1\nname: n\nworkspace: w\nsteps: { it: { pipeline: Wait 1, parameters: { WaitTime: [] } } }\n",
    );
    let found = check(&plan, |_| Some(&catalogue));
    assert_eq!(found[0].code.id(), "E0604");
    assert!(found[0].help[1].starts_with("the deployed definition (etag "), "{found:?}");
}

#[test]
fn the_page_says_what_the_terminal_says() {
    let page = fs::read_to_string(root().join("docs/contract.md")).unwrap();
    let space = TestSpace::new();
    let made = space.path("made.yaml").display().to_string();
    let commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("synflow ")).collect();
    assert_eq!(commands.len(), 3);
    let script =
        format!("artifacts: [{}]", Value::from(root().join("tests/artifacts/procfwk").display().to_string()));
    let script = space.write("script.yaml", &script);
    let emulator = space.emulate(&format!("--script {}", script.display()));
    for command in commands {
        // The page's workspace is on nobody's machine.
        let command = command.replace("contoso-dw", emulator.endpoint());
        let said = space.run_at(&emulator, &command.replace("FILE", &made));
        assert_eq!(said.code, 0, "{command}: {}", said.stderr);
        drop(fs::remove_file(&made));
    }
    let shown = page.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let golden = fs::read_to_string(root().join("tests/plans/contract/parameter-mistyped.txt")).unwrap();
    assert!(golden.starts_with(shown.trim_end()), "{shown}");
    // Every code of the kind is on the page.
    for code in synflow::plan::Code::ALL.iter().filter(|code| code.is_contract() && code.id() != "E0609") {
        assert!(page.contains(code.id()), "{}", code.id());
    }
}
