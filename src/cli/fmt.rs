//! `synflow fmt PLAN...`: the one canonical layout, comments kept.
//!
//! A file is replaced as a whole or not at all, and only once the new text has been read again and means the same.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::cli::args::Fmt;
use crate::cli::failure::{Exit, Failure};
use crate::cli::replace::replace;
use crate::cli::settings::Settings;
use crate::cli::{lines_diff, outlet, put, put_exact};
use crate::plan::{self, FormatFailure};
use crate::saved;

/// The name that stands for stdin and stdout.
const STREAM: &str = "-";

/// Lays the plans out. All are looked at, whatever is wrong with one; the worst decides the exit code: 3 if one is no
/// YAML, 1 if one is not laid out and nothing may be written.
pub(super) fn run(args: &Fmt, settings: &Settings) -> u8 {
    let mut worst = Exit::Done;
    for path in &args.plans {
        match one(path, args, settings) {
            Ok(exit) => worst = worse(worst, exit),
            Err(failure) => {
                drop(failure.print(&mut outlet::stderr()));
                worst = worse(worst, failure.exit);
            }
        }
    }
    worst.code()
}

/// Returns the graver of two ends.
fn worse(a: Exit, b: Exit) -> Exit {
    if a.code() >= b.code() { a } else { b }
}

fn one(path: &Path, args: &Fmt, settings: &Settings) -> Result<Exit, Failure> {
    let is_stream = path == Path::new(STREAM);
    let name = if is_stream { "stdin".to_owned() } else { path.display().to_string() };
    let bytes = if is_stream { read_stdin() } else { fs::read(path) };
    let bytes = bytes.map_err(|error| {
        Failure::new(Exit::PlanInvalid, format!("cannot read the plan `{name}`: {error}"))
            .hint("check the path")
    })?;
    if saved::is_saved(&bytes) {
        return Err(Failure::new(
            Exit::Usage,
            format!("`{name}` is a saved plan, and is laid out as it has to be"),
        )
        .hint("`fmt` is for the plan that it was made from"));
    }
    let laid = plan::format(&bytes).map_err(|failure| match failure {
        FormatFailure::Unreadable(findings) => {
            let text = plan::render(&findings, &name, &bytes, settings.colour);
            // A closed stderr must not stop the others.
            drop(outlet::stderr().write_all(text.as_bytes()));
            Failure { exit: Exit::PlanInvalid, lines: Vec::new(), hints: Vec::new() }
        }
        FormatFailure::Changed => Failure::new(
            Exit::Bug,
            format!("laying `{name}` out would change what it means, so it is left as it is"),
        )
        .hint("this is a bug of synflow; the file is a plan all the same"),
    })?;
    let is_laid = laid.as_bytes() == bytes;
    if args.diff {
        if !is_laid {
            put(&lines_diff::unified(&String::from_utf8_lossy(&bytes), &laid, &name))?;
        }
    } else if args.check {
        if !is_laid {
            put(&format!("{name}\n"))?;
        }
    } else if is_stream {
        put_exact(&laid)?;
    } else if !is_laid {
        replace(path, &laid).map_err(|error| {
            Failure::new(Exit::Usage, format!("cannot write `{name}`: {error}"))
                .hint("the file is as it was; check the permissions of it and its folder")
        })?;
        put(&format!("{name}\n"))?;
    }
    let may_differ = !args.check && !args.diff;
    Ok(if is_laid || may_differ { Exit::Done } else { Exit::PipelinesFailed })
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}
