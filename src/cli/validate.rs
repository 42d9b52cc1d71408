//! `synflow validate PLAN...`: every check that needs no network.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::args::{FindingsForm, Output, Validate};
use crate::cli::artifacts::Artifacts;
use crate::cli::failure::{Exit, Failure};
use crate::cli::load::{self, CheckedFile};
use crate::cli::settings::Settings;
use crate::cli::{ci, outlet, put, put_exact, put_value};
use crate::plan::{self, Checked};
use crate::report::counted;

/// Checks each plan and tells what was found. Fails with exit 3 if any of them cannot run, and with 4 if one does not fit
/// its pipelines, or a definition cannot be read; all are checked first.
pub(super) fn run(args: &Validate, settings: &Settings) -> Result<(), Failure> {
    let artifacts = Artifacts::read(&args.artifacts)?;
    let check = |path: &PathBuf| load::check(path, &args.chosen, settings);
    let mut files: Vec<CheckedFile> = args.plans.iter().map(check).collect::<Result<_, _>>()?;
    hold_against(&mut files, &artifacts)?;
    match args.output {
        FindingsForm::Text => tell(&files, &artifacts, settings)?,
        FindingsForm::Json => put_data(&files, &artifacts, plan::findings_json, Output::Json)?,
        FindingsForm::Yaml => put_data(&files, &artifacts, plan::findings_json, Output::Yaml)?,
        FindingsForm::Sarif => put_data(&files, &artifacts, plan::sarif, Output::Json)?,
        FindingsForm::Github => {
            with_checked(&files, &artifacts, |plans| put_exact(&plan::github(plans)))?;
            count(&files, &artifacts);
        }
    }
    let exit = if files.iter().any(|file| file.plan.is_none()) {
        Exit::PlanInvalid
    } else if !artifacts.broken.is_empty() || files.iter().any(|file| !is_ok(file)) {
        Exit::Contract
    } else {
        return Ok(());
    };
    Err(Failure { exit, lines: Vec::new(), hints: Vec::new() })
}

/// Adds what the definitions tell of the plans, and says on stderr which steps they tell nothing of.
fn hold_against(files: &mut [CheckedFile], artifacts: &Artifacts) -> Result<(), Failure> {
    if artifacts.is_empty() {
        return Ok(());
    }
    let plans = files.iter().filter_map(|file| file.plan.as_ref());
    let keys: BTreeSet<String> =
        plans.flat_map(|plan| &plan.workspaces).map(|workspace| workspace.key.clone()).collect();
    // Of a plan that cannot be read, nobody knows the workspaces.
    if files.iter().all(|file| file.plan.is_some()) {
        artifacts.expect_workspaces(&keys)?;
    }
    for file in files {
        let Some(plan) = &file.plan else { continue };
        let mut findings = std::mem::take(&mut file.findings);
        findings.extend(artifacts.check(plan));
        file.findings = plan::in_order(findings);
        for key in artifacts.unchecked(plan) {
            let name = &file.name;
            let note = format!(
                "note: {name}: the steps in workspace `{key}` were not compared: no `--artifacts` for it"
            );
            // A closed stderr must not stop the check.
            drop(writeln!(outlet::stderr(), "{note}"));
        }
    }
    Ok(())
}

fn is_ok(file: &CheckedFile) -> bool {
    file.plan.is_some() && !file.findings.iter().any(plan::Diagnostic::is_error)
}

/// Returns how many steps a plan has, if nothing is wrong with it.
fn steps(file: &CheckedFile) -> Option<usize> {
    file.plan.as_ref().filter(|_| is_ok(file)).map(|plan| plan.runs().count())
}

/// Tells people: problems on stderr, good plans on stdout.
fn tell(files: &[CheckedFile], artifacts: &Artifacts, settings: &Settings) -> Result<(), Failure> {
    let mut err = outlet::stderr();
    // A closed stderr must not stop the check.
    let mut say = |text: &str| drop(err.write_all(text.as_bytes()));
    for file in &artifacts.broken {
        say(&plan::render_one(&file.findings, &file.name, &file.bytes, settings.colour));
        ci::show_findings(&file.name, &file.bytes, &file.findings, settings);
    }
    for file in files {
        if let Some(error) = &file.unreadable {
            let failure = load::unreadable(Path::new(&file.name), error);
            drop(failure.print(&mut outlet::stderr()));
            ci::show_failure(&failure, settings.ci);
            continue;
        }
        say(&plan::render_one(&file.findings, &file.name, &file.bytes, settings.colour));
        ci::show_findings(&file.name, &file.bytes, &file.findings, settings);
        if let Some(steps) = steps(file) {
            let compared = if artifacts.is_empty() { "" } else { ", compared with their pipelines" };
            put(&format!("{}: ok, {}{compared}\n", file.name, counted(steps, "step")))?;
        }
    }
    let of_definitions = artifacts.broken.iter().flat_map(|file| &file.findings);
    let all = of_definitions.chain(files.iter().flat_map(|file| &file.findings));
    say(&plan::pointer(all, settings.colour));
    Ok(())
}

fn put_data(
    files: &[CheckedFile],
    artifacts: &Artifacts,
    form: fn(&[Checked<'_>]) -> serde_json::Value,
    output: Output,
) -> Result<(), Failure> {
    with_checked(files, artifacts, |plans| put_value(&form(plans), output, String::new))?;
    count(files, artifacts);
    Ok(())
}

fn with_checked<T>(
    files: &[CheckedFile],
    artifacts: &Artifacts,
    work: impl FnOnce(&[Checked<'_>]) -> T,
) -> T {
    let reasons: Vec<Option<String>> =
        files.iter().map(|file| file.unreadable.as_ref().map(ToString::to_string)).collect();
    let plans = files.iter().zip(&reasons).map(|(file, why)| Checked {
        file: &file.name,
        text: &file.bytes,
        steps: steps(file),
        findings: &file.findings,
        unreadable: why.as_deref(),
    });
    let definitions = artifacts.broken.iter().map(|file| Checked {
        file: &file.name,
        text: &file.bytes,
        steps: None,
        findings: &file.findings,
        unreadable: None,
    });
    work(&plans.chain(definitions).collect::<Vec<_>>())
}

/// Says on stderr how many plans cannot run, where stdout is read by a program.
fn count(files: &[CheckedFile], artifacts: &Artifacts) {
    let mut err = outlet::stderr();
    let definitions = artifacts.broken.iter().filter_map(|file| plan::verdict(&file.findings, &file.name));
    let plans = files.iter().filter_map(|file| match &file.unreadable {
        Some(error) => Some(format!("cannot read the plan `{}`: {error}", file.name)),
        None => plan::verdict(&file.findings, &file.name),
    });
    for line in definitions.chain(plans) {
        drop(writeln!(err, "error: {line}"));
    }
}
