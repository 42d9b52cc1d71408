//! `synflow validate PLAN...`: every check that needs no network.

use crate::cli::args::Validate;
use crate::cli::failure::Failure;
use crate::cli::settings::Settings;
use crate::cli::{load, put};

/// Checks each plan. Fails with exit 3 if any of them cannot run; all are checked first.
pub(super) fn run(args: &Validate, settings: &Settings) -> Result<(), Failure> {
    let mut invalid = None;
    for path in &args.plans {
        match load::plan(path, &args.chosen, false, settings, &mut anstream::stderr()) {
            Ok(loaded) => {
                let plan = &loaded.plan;
                put(&format!("{}: ok, {}\n", path.display(), counted(plan.runs().count(), "step")))?;
            }
            Err(failure) => {
                drop(failure.print(&mut anstream::stderr()));
                invalid = Some(failure.exit);
            }
        }
    }
    match invalid {
        None => Ok(()),
        Some(exit) => Err(Failure { exit, lines: Vec::new(), hints: Vec::new() }),
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
