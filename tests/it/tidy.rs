//! The house rules, as tests over the project's own files.
//!
//! The layer table below decides which module may name which. Every rule has two tests: one over the
//! tree, and one over a small bad sample, so that a detector that has gone blind is noticed.
//! Code rules look at the text without comments and string contents; word rules look at everything.

use std::collections::BTreeSet;
use std::path::Path;

use crate::source_text::{
    Source, has_word, lines, module_path, named_paths, project_files, test_lines, tokens,
};

/// Who may name whom: a module, and the modules whose items it may use. Nothing else may be named.
///
/// Every module may name itself; `emulator` may also name its own submodules. Modules need not exist.
const LAYERS: &[(&str, &[&str])] = &[
    // Pure: see `PURE`.
    ("time", &[]),
    ("plan", &["time"]),
    ("graph", &["time", "plan"]),
    ("import", &["plan"]),
    ("flow", &["time", "plan", "graph"]),
    ("diff", &["time", "plan", "flow"]),
    ("definition", &["time", "plan"]),
    ("saved", &["time", "plan", "graph", "definition"]),
    ("emulator::model", &["time", "emulator::script"]),
    ("emulator::script", &["time", "emulator::model"]),
    ("rehearse", &["time", "plan", "graph", "flow", "emulator::model"]),
    ("report::graph", &["time", "plan", "graph", "flow", "report"]),
    ("report::story", &["time", "plan", "graph", "flow", "report"]),
    ("report::page", &["time", "flow", "report", "report::graph", "report::story"]),
    ("report::trace", &["time", "plan", "flow", "report"]),
    // Acting.
    ("journal", &["time", "flow"]),
    ("synapse", &["time", "flow", "definition"]),
    ("secret", &["time", "plan", "synapse"]),
    ("emulator::server", &["time", "emulator::model"]),
    ("emulator", &["time"]),
    ("report", &["time", "plan", "graph", "flow", "diff", "definition"]),
    ("otlp", &["time", "plan", "flow", "synapse", "report", "report::trace"]),
    ("hook", &["time", "synapse"]),
    ("driver", &["time", "plan", "graph", "flow", "journal", "synapse", "secret", "hook", "report"]),
    (
        "cli",
        &[
            "time",
            "plan",
            "graph",
            "import",
            "flow",
            "diff",
            "definition",
            "saved",
            "rehearse",
            "journal",
            "synapse",
            "secret",
            "emulator",
            "report",
            "report::graph",
            "report::story",
            "report::page",
            "otlp",
            "hook",
            "driver",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// The modules that see no clock, no disk, no network, no chance and no order but the one they were given.
const PURE: &[&str] = &[
    "time",
    "plan",
    "graph",
    "flow",
    "diff",
    "definition",
    "saved",
    "emulator::model",
    "emulator::script",
    "rehearse",
    "report::graph",
    "report::story",
    "report::page",
    "report::trace",
    "import",
];

/// Paths that a pure module may not name, in whole or as the beginning of a longer one.
const IMPURE_PATHS: &[&str] = &[
    "std::fs",
    "std::env",
    "std::net",
    "std::thread",
    "std::io",
    "std::process",
    "std::time::Instant",
    "std::time::SystemTime",
];

/// Plain data that lives below such a path.
const PURE_PATHS: &[&str] = &["std::net::IpAddr", "std::net::Ipv4Addr", "std::net::Ipv6Addr"];

/// Files that borrow a thread for its deep stack and wait for it at once: nothing runs beside anything.
const STACKS: &[(&str, &str)] = &[("src/plan/source.rs", "std::thread")];

/// Pairs of names that a pure module may not have next to each other in a path.
const IMPURE_CALLS: &[(&str, &str)] =
    &[("Timestamp", "now"), ("Zoned", "now"), ("SystemTime", "now"), ("Instant", "now"), ("Uuid", "new_v4")];

/// Single names that a pure module may not use.
const IMPURE_NAMES: &[&str] =
    &["async", "await", "HashMap", "HashSet", "rand", "getrandom", "tokio", "reqwest", "println", "eprintln"];

/// Macros that no source file may call.
const FORBIDDEN_MACROS: &[&str] = &["todo", "unimplemented", "dbg", "print", "println", "eprint", "eprintln"];

/// Marks of unfinished work, in code or comment.
const FORBIDDEN_MARKS: &[&str] = &["TODO", "FIXME", "XXX"];

/// Names that say nothing about what a file or module holds.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "types", "core", "misc"];

/// Folders of a person's machine. The folder this is built in is looked for as well.
const MACHINE_PATHS: &[&str] = &["/home", "/users", "c:\\users"];

/// Files whose words are not ours: licence texts, a generated list, and this list.
const NOT_OUR_WORDS: &[&str] = &["tests/it/tidy.rs", "LICENSE", "Cargo.lock"];

/// Folders whose JSON files are recorded or copied from other projects.
const FOREIGN_JSON: &[&str] = &["tests/", "examples/"];

/// The longest module doc, in lines.
const MODULE_DOC_LINES_MAX: usize = 10;

/// The longest file without a defence.
const FILE_LINES_MAX: usize = 600;

/// How near the top the defence of a long file stands, in lines.
const DEFENCE_LINES_MAX: usize = 20;

// The rules over the tree.

#[test]
fn every_module_names_only_what_its_layer_allows() {
    report(sources().iter().flat_map(layer_breaks));
}

#[test]
fn pure_modules_touch_nothing_outside() {
    report(sources().iter().flat_map(purity_breaks));
}

#[test]
fn sources_hold_no_forbidden_code() {
    report(sources().iter().flat_map(forbidden_code));
}

#[test]
fn sources_are_named_documented_and_short() {
    report(sources().iter().flat_map(shape_breaks));
}

#[test]
fn every_integration_test_is_listed() {
    let tests = project_files("tests/it/");
    let main = tests.iter().find(|file| file.path == "tests/it/main.rs").expect("the test binary has a root");
    let paths: Vec<&str> = tests.iter().map(|file| file.path.as_str()).collect();
    report(unlisted_tests(&main.text, &paths));
}

#[test]
fn files_speak_only_of_the_project() {
    report(project_files("").iter().flat_map(machine_paths));
}

// The rules, each over one file.

fn layer_breaks(source: &Source) -> Vec<String> {
    let module = module_of(&module_path(&source.path));
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{}:1: `{module}` is in no row of the layer table", source.path)];
    };
    let mut found = Vec::new();
    for named in named_paths(source) {
        let Some(segments) = own_segments(&named.segments) else { continue };
        let target = module_of(segments);
        let own_inside = module == "emulator" && target.starts_with("emulator::");
        if target != module && !own_inside && !allowed.contains(&target.as_str()) {
            found.push(format!("{}:{}: `{module}` may not name `{target}`", source.path, named.line));
        }
    }
    found
}

fn purity_breaks(source: &Source) -> Vec<String> {
    let module = module_of(&module_path(&source.path));
    if !PURE.contains(&module.as_str()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut note = |line: usize, what: &str| {
        found.push(format!("{}:{line}: `{what}` in `{module}`, which is pure", source.path));
    };
    for named in named_paths(source) {
        let path = named.segments.join("::");
        let excepted = PURE_PATHS.iter().any(|pure| path.starts_with(pure))
            || STACKS.iter().any(|(file, taken)| source.path == *file && path.starts_with(taken));
        for impure in IMPURE_PATHS.iter().filter(|_| !excepted) {
            if path.strip_prefix(impure).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")) {
                note(named.line, impure);
            }
        }
        for (owner, call) in IMPURE_CALLS {
            if named.segments.windows(2).any(|pair| pair[0] == *owner && pair[1] == *call) {
                note(named.line, &format!("{owner}::{call}"));
            }
        }
    }
    for token in tokens(&source.text) {
        if IMPURE_NAMES.contains(&token.text.as_str()) {
            note(token.line, &token.text);
        }
    }
    found
}

fn forbidden_code(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let mut note = |line: usize, what: &str| found.push(format!("{}:{line}: {what}", source.path));
    let tokens = tokens(&source.text);
    let test_lines = test_lines(source);
    for (at, token) in tokens.iter().enumerate() {
        let next = |offset: usize| tokens.get(at + offset).map_or("", |token| token.text.as_str());
        if FORBIDDEN_MACROS.contains(&token.text.as_str()) && next(1) == "!" {
            note(token.line, &format!("`{}!`", token.text));
        }
        if token.text == "." && next(1) == "unwrap" && next(2) == "(" && !test_lines.contains(&token.line) {
            note(token.line, "`.unwrap()` outside tests");
        }
        if token.text == "serde" && next(1) == "(" && source.path.starts_with("src/plan/") {
            let inside = tokens[at..].iter().take_while(|token| token.text != "]");
            for shape in inside.filter(|token| ["untagged", "flatten"].contains(&token.text.as_str())) {
                note(shape.line, &format!("`serde({})` ruins the messages of a plan", shape.text));
            }
        }
    }
    for named in named_paths(source) {
        if named.segments.last().is_some_and(|last| last == "*") && own_segments(&named.segments).is_some() {
            note(named.line, "a glob import hides who depends on whom");
        }
    }
    for (line, text) in lines(&source.text) {
        for mark in FORBIDDEN_MARKS.iter().filter(|mark| has_word(text, mark)) {
            note(line, &format!("`{mark}`"));
        }
    }
    found
}

fn shape_breaks(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let mut note = |line: usize, what: &str| found.push(format!("{}:{line}: {what}", source.path));
    let path = Path::new(&source.path);
    for name in path.with_extension("").components() {
        if let Some(name) = name.as_os_str().to_str().filter(|name| EMPTY_NAMES.contains(name)) {
            note(1, &format!("`{name}` does not say what is inside"));
        }
    }
    for pair in tokens(&source.text).windows(2) {
        if pair[0].text == "mod" && EMPTY_NAMES.contains(&pair[1].text.as_str()) {
            note(pair[1].line, &format!("module `{}` does not say what is inside", pair[1].text));
        }
    }
    let doc_lines = source.text.lines().take_while(|line| line.starts_with("//!")).count();
    if doc_lines == 0 {
        note(1, "no `//!` at the top");
    } else if doc_lines > MODULE_DOC_LINES_MAX {
        note(doc_lines, &format!("{doc_lines} lines of `//!`, at most {MODULE_DOC_LINES_MAX}"));
    }
    let length = source.text.lines().count();
    let defended =
        source.text.lines().take(DEFENCE_LINES_MAX).any(|line| line.starts_with("// Long because: "));
    if length > FILE_LINES_MAX && !defended {
        note(length, &format!("{length} lines, at most {FILE_LINES_MAX} without `// Long because: ...`"));
    }
    found
}

fn unlisted_tests(main: &str, paths: &[&str]) -> Vec<String> {
    let tokens = tokens(main);
    let listed: BTreeSet<&str> =
        tokens.windows(2).filter(|pair| pair[0].text == "mod").map(|pair| pair[1].text.as_str()).collect();
    let mut found = Vec::new();
    for path in paths {
        let inside = path.strip_prefix("tests/it/").expect("only files of that folder are handed in");
        let name = inside.strip_suffix("/mod.rs").or_else(|| inside.strip_suffix(".rs"));
        // Deeper files belong to a listed module, which the compiler checks.
        let Some(name) = name.filter(|name| !name.contains('/') && *name != "main") else { continue };
        if !listed.contains(name) {
            found.push(format!("{path}:1: not listed in tests/it/main.rs, so it never runs"));
        }
    }
    found
}

fn machine_paths(source: &Source) -> Vec<String> {
    let is_json = Path::new(&source.path).extension().is_some_and(|extension| extension == "json");
    let is_foreign = is_json && FOREIGN_JSON.iter().any(|folder| source.path.starts_with(folder));
    if is_foreign || NOT_OUR_WORDS.iter().any(|start| source.path.starts_with(start)) {
        return Vec::new();
    }
    let here = &*env!("CARGO_MANIFEST_DIR").to_lowercase();
    let mut found = Vec::new();
    for (line, text) in lines(&source.text) {
        let small = text.to_lowercase();
        for word in MACHINE_PATHS.iter().chain([&here]).filter(|word| has_word(&small, word)) {
            found.push(format!("{}:{line}: `{word}`", source.path));
        }
    }
    found
}

/// Returns the row of the layer table that a path belongs to.
///
/// The emulator is the one module whose insides have rows of their own. Its own items are upper case
/// or stand directly below it; `emulator::x::Y` names an item of the submodule `x`.
fn module_of(path: &[String]) -> String {
    match path {
        [top, inner, rest @ ..] => {
            let row = format!("{top}::{inner}");
            let is_row = LAYERS.iter().any(|(name, _)| *name == row);
            let is_inside = !rest.is_empty() && inner.starts_with(|c: char| c.is_lowercase());
            let is_submodule = top == "emulator" && is_inside;
            if is_row || is_submodule { row } else { top.clone() }
        }
        [top, ..] => top.clone(),
        [] => "the crate's root".to_owned(),
    }
}

/// Returns a path below the crate's root, or nothing for a path of another crate.
fn own_segments(segments: &[String]) -> Option<&[String]> {
    match segments {
        [first, rest @ ..] if first == "crate" || first == "synflow" => Some(rest),
        _ => None,
    }
}

/// Fails with everything that was found, one finding a line.
fn report(found: impl IntoIterator<Item = String>) {
    let found: Vec<String> = found.into_iter().collect();
    assert!(found.is_empty(), "{} finding(s):\n{}", found.len(), found.join("\n"));
}

/// Returns every Rust file under `src/`.
fn sources() -> Vec<Source> {
    let sources: Vec<Source> = project_files("src/")
        .into_iter()
        .filter(|file| Path::new(&file.path).extension().is_some_and(|e| e == "rs"))
        .collect();
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "the sources were not found");
    sources
}

// The rules over small bad samples: what each must find, and what it must leave alone.

/// Says on which lines of `text` a rule finds something.
fn found_lines(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) -> Vec<usize> {
    let line = |finding: &String| {
        let place = finding.strip_prefix(path).and_then(|rest| rest.strip_prefix(':'));
        place.and_then(|rest| rest.split(':').next()).and_then(|line| line.parse().ok())
    };
    rule(&Source::new(path, text)).iter().map(|finding| line(finding).expect("FILE:LINE: ...")).collect()
}

#[test]
fn finds_a_forbidden_import() {
    let check = |path: &str, text: &str, want: &[usize]| {
        assert_eq!(found_lines(layer_breaks, path, text), want, "{path}: {text}");
    };
    check("src/graph.rs", "//! Doc.\n\nuse crate::flow::Flow;", &[3]);
    check("src/graph.rs", "use crate::plan::Plan;\nuse crate::time::{Delay, Timestamp};", &[]);
    check("src/plan/check.rs", "use crate::{\n    time::Delay,\n    graph::{PlanGraph, Cycle},\n};", &[3, 3]);
    check("src/plan/check.rs", "fn f() -> crate::journal::Journal { crate::time::now() }", &[1]);
    check("src/plan/check.rs", "use super::super::flow;\nuse super::Plan;\nuse self::x::y;", &[1]);
    check("src/time.rs", "mod tests {\n    use super::Delay;\n    use super::super::plan::Plan;\n}", &[3]);
    check("src/time.rs", "mod a { fn f() {} }\nuse super::cli::run;", &[2]);
    check(
        "src/time.rs",
        "// crate::cli::run\nconst X: &str = \"crate::cli::run\";\n/* crate::cli::x */",
        &[],
    );
    check("src/main.rs", "fn main() { synflow::cli::run(); synflow::plan::load(); }", &[1]);
    check("src/newcomer.rs", "//! In no row.", &[1]);
    check("src/cli/mod.rs", "use crate::newcomer::X;", &[1]);
}

#[test]
fn knows_the_inside_of_the_emulator() {
    let check = |path: &str, text: &str, want: &[usize]| {
        assert_eq!(found_lines(layer_breaks, path, text), want, "{path}: {text}");
    };
    check(
        "src/cli/apply.rs",
        "use crate::emulator::{Emulator, serve};\nuse crate::emulator::model::Model;",
        &[2],
    );
    check("src/cli/apply.rs", "crate::emulator::server::serve()", &[1]);
    check("src/emulator/server.rs", "use super::model::Model;\nuse crate::flow::RunId;", &[2]);
    check("src/emulator/server.rs", "use crate::synapse::wire::Run;", &[1]);
    check("src/emulator/model.rs", "use crate::time::Delay;\nuse super::script::Script;", &[]);
    check("src/emulator/model.rs", "use crate::plan::Plan;\nuse super::server::Server;", &[1, 2]);
    check("src/emulator/model/run.rs", "use super::Model;\nuse crate::plan::Plan;", &[2]);
    check("src/rehearse.rs", "use crate::emulator::model::Model;\nuse crate::emulator::Emulator;", &[2]);
}

#[test]
fn finds_a_pure_module_that_is_not() {
    let check = |text: &str, want: &[usize]| {
        assert_eq!(found_lines(purity_breaks, "src/flow/decide.rs", text), want, "{text}");
        assert_eq!(found_lines(purity_breaks, "src/driver.rs", text), Vec::<usize>::new(), "{text}");
    };
    check("use std::{\n    fmt,\n    fs::File,\n};", &[3]);
    check("fn f() { std::env::var(); std::thread::spawn(g); std::net::lookup() }", &[1, 1, 1]);
    check("async fn f() {\n    g().await\n}", &[1, 2]);
    check("use std::collections::{BTreeMap, HashMap};\nlet x: HashSet<u8>;", &[1, 2]);
    check("let x = Timestamp::now();\nlet y = jiff::Zoned::now();\nlet z = Uuid::new_v4();", &[1, 2, 3]);
    check("use std::time::Instant;\nSystemTime::now();", &[1, 2]);
    check(
        "println!();\nrand::random();\ngetrandom::fill();\ntokio::spawn();\nreqwest::get()",
        &[1, 2, 3, 4, 5],
    );
    check("// Not async: std::fs, HashMap.\nlet fs = format!(\"async\"); use std::time::Duration;", &[]);
}

#[test]
fn finds_forbidden_code() {
    let check = |path: &str, text: &str, want: &[usize]| {
        assert_eq!(found_lines(forbidden_code, path, text), want, "{path}: {text}");
    };
    check("src/a.rs", "todo!();\nunimplemented!();\ndbg!(x);\nprintln!();\neprintln!()", &[1, 2, 3, 4, 5]);
    check("src/a.rs", "x.unwrap();\nx\n    .unwrap();\nx.unwrap_or(1);", &[1, 3]);
    check("src/a.rs", "mod tests {\n    fn f() { x.unwrap() }\n}\nfn g() { y.unwrap() }", &[4]);
    check("src/a.rs", "mod tests {\n    use super::*;\n}\nuse crate::plan::*;\nuse rows::*;", &[2, 4]);
    check("src/a.rs", "// TODO: later\n/// FIXME\nlet x = \"XXX\";\nlet TODOS = 1;", &[1, 2, 3]);
    check("src/plan/a.rs", "#[serde(untagged)]\n#[serde(default, flatten)]\n#[serde(default)]", &[1, 2]);
    check("src/flow/a.rs", "#[serde(untagged)]\nlet dbg = \"todo!()\";", &[]);
}

#[test]
fn finds_a_shapeless_source() {
    let check = |path: &str, text: &str, want: &[usize]| {
        assert_eq!(found_lines(shape_breaks, path, text), want, "{path}: {text}");
    };
    check("src/a.rs", "//! What it owns.\n\nfn f() {}", &[]);
    check("src/a.rs", "fn f() {}", &[1]);
    check("src/a.rs", &"//! Line.\n".repeat(11), &[11]);
    check("src/plan/utils.rs", "//! Doc.", &[1]);
    check("src/helpers/mod.rs", "//! Doc.", &[1]);
    check("src/a.rs", "//! Doc.\nmod common;", &[2]);
    let long = "fn f() {}\n".repeat(600);
    check("src/a.rs", &format!("//! Doc.\n{long}"), &[601]);
    check("src/a.rs", &format!("//! Doc.\n// Long because: one table.\n{long}"), &[]);
}

#[test]
fn finds_an_unlisted_test() {
    let main = "mod apply;\nmod wire;\n// mod status;";
    let paths = ["tests/it/apply.rs", "tests/it/wire/mod.rs", "tests/it/wire/runs.rs", "tests/it/status.rs"];
    assert_eq!(unlisted_tests(main, &paths).len(), 1);
    assert_eq!(unlisted_tests(main, &["tests/it/main.rs", "tests/it/lost/mod.rs"]).len(), 1);
}

#[test]
fn finds_machine_paths() {
    let check = |path: &str, text: &str, want: &[usize]| {
        assert_eq!(found_lines(machine_paths, path, text), want, "{path}: {text}");
    };
    check("docs/a.md", "see /home/me/x\n`C:\\Users\\me`", &[1, 2]);
    check("docs/a.md", &format!("see {}/src", env!("CARGO_MANIFEST_DIR")), &[1]);
    check("docs/a.md", "/homes, ~/home-grown, https://contoso.example/usersguide", &[]);
    check("tests/wire/a.json", "\"/home/me\"", &[]);
}
