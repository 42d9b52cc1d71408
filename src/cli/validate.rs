//! `synflow validate PLAN...`: every check that needs no network.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::args::{FindingsForm, Output, Validate};
use crate::cli::failure::{Exit, Failure};
use crate::cli::load::{self, CheckedFile};
use crate::cli::settings::Settings;
use crate::cli::{put, put_value};
use crate::plan::{self, Checked};

/// Checks each plan and tells what was found. Fails with exit 3 if any of them cannot run; all are checked first.
pub(super) fn run(args: &Validate, settings: &Settings) -> Result<(), Failure> {
    let check = |path: &PathBuf| load::check(path, &args.chosen, settings);
    let files: Vec<CheckedFile> = args.plans.iter().map(check).collect::<Result<_, _>>()?;
    match args.output {
        FindingsForm::Text => tell(&files, settings)?,
        FindingsForm::Json => put_data(&files, plan::findings_json, Output::Json)?,
        FindingsForm::Yaml => put_data(&files, plan::findings_json, Output::Yaml)?,
        FindingsForm::Sarif => put_data(&files, plan::sarif, Output::Json)?,
        FindingsForm::Github => {
            with_checked(&files, |plans| put(&plan::github(plans)))?;
            count(&files);
        }
    }
    if files.iter().all(|file| file.steps.is_some()) {
        return Ok(());
    }
    Err(Failure { exit: Exit::PlanInvalid, lines: Vec::new(), hints: Vec::new() })
}

/// Tells people: problems on stderr, good plans on stdout.
fn tell(files: &[CheckedFile], settings: &Settings) -> Result<(), Failure> {
    let mut err = anstream::stderr();
    // A closed stderr must not stop the check.
    let mut say = |text: &str| drop(err.write_all(text.as_bytes()));
    for file in files {
        if let Some(error) = &file.unreadable {
            drop(load::unreadable(Path::new(&file.name), error).print(&mut anstream::stderr()));
            continue;
        }
        say(&plan::render_one(&file.findings, &file.name, &file.bytes, settings.colour));
        if let Some(steps) = file.steps {
            put(&format!("{}: ok, {}\n", file.name, counted(steps, "step")))?;
        }
    }
    say(&plan::pointer(files.iter().flat_map(|file| &file.findings), settings.colour));
    Ok(())
}

fn put_data(
    files: &[CheckedFile],
    form: fn(&[Checked<'_>]) -> serde_json::Value,
    output: Output,
) -> Result<(), Failure> {
    with_checked(files, |plans| put_value(&form(plans), output, String::new))?;
    count(files);
    Ok(())
}

fn with_checked<T>(files: &[CheckedFile], work: impl FnOnce(&[Checked<'_>]) -> T) -> T {
    let reasons: Vec<Option<String>> =
        files.iter().map(|file| file.unreadable.as_ref().map(ToString::to_string)).collect();
    let plans = files.iter().zip(&reasons).map(|(file, why)| Checked {
        file: &file.name,
        text: &file.bytes,
        steps: file.steps,
        findings: &file.findings,
        unreadable: why.as_deref(),
    });
    work(&plans.collect::<Vec<_>>())
}

/// Says on stderr how many plans cannot run, where stdout is read by a program.
fn count(files: &[CheckedFile]) {
    let mut err = anstream::stderr();
    for file in files {
        let errors = file.findings.iter().filter(|finding| finding.is_error()).count();
        let line = match &file.unreadable {
            Some(error) => format!("error: cannot read the plan `{}`: {error}\n", file.name),
            None if errors > 0 => {
                format!("error: cannot load plan `{}`: {}\n", file.name, counted(errors, "problem"))
            }
            None => continue,
        };
        drop(err.write_all(line.as_bytes()));
    }
}

/// Writes a number with its noun.
pub(super) fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn counts_in_words() {
        assert_eq!(counted(1, "step"), "1 step");
        assert_eq!(counted(0, "step"), "0 steps");
    }
}
