//! What a command goes by: flag, then environment, then default, decided once.
//!
//! The only place that reads the environment and asks the terminal.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;

use etcetera::BaseStrategy;

use crate::cli::args;
use crate::cli::failure::{Exit, Failure};
use crate::report::ci::Ci;

/// What a command goes by.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// The process's environment. Variables that are not Unicode are left out.
    pub(super) env: BTreeMap<String, String>,
    /// The folder of the journal.
    pub(super) state_dir: PathBuf,
    /// Whether stderr is a terminal that can move its cursor.
    pub(super) terminal: bool,
    /// Whether a person sits there who can be asked: stdin and stderr are terminals.
    pub(super) is_at_terminal: bool,
    /// Whether stderr takes colours.
    pub(super) colour: bool,
    /// The CI service that reads what is written.
    pub(super) ci: Option<Ci>,
}

impl Settings {
    /// Gathers the settings. Fails if no folder for the journal can be found.
    #[expect(clippy::disallowed_methods, reason = "the environment is read here, once")]
    pub(super) fn gather(global: &args::Global) -> Result<Self, Failure> {
        let env: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let dumb = env.get("TERM").is_none_or(|term| term == "dumb") && cfg!(unix);
        let terminal = std::io::stderr().is_terminal() && !dumb;
        let choice = anstream::AutoStream::choice(&std::io::stderr());
        let state_dir = match &global.state_dir {
            Some(folder) => folder.clone(),
            None => platform_state_dir()?,
        };
        let is_at_terminal = std::io::stderr().is_terminal() && std::io::stdin().is_terminal();
        let colour = choice != anstream::ColorChoice::Never;
        let ci = chosen(global.ci, |name| env.get(name).cloned());
        Ok(Self { env, state_dir, terminal, is_at_terminal, colour, ci })
    }

    /// Returns an environment variable that is set and not empty.
    pub(super) fn env(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Returns the CI service that reads what this process writes, also where the settings cannot be gathered.
#[expect(clippy::disallowed_methods, reason = "the environment is read here, once")]
pub(super) fn ci(global: &args::Global) -> Option<Ci> {
    chosen(global.ci, |name| std::env::var(name).ok())
}

/// Chooses the CI service: as asked for, else by the variable that each sets for its jobs.
fn chosen(asked: args::CiName, env: impl Fn(&str) -> Option<String>) -> Option<Ci> {
    let is_set = |name: &str| env(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    match asked {
        args::CiName::Github => Some(Ci::Github),
        args::CiName::Azure => Some(Ci::Azure),
        args::CiName::Auto if is_set("GITHUB_ACTIONS") => Some(Ci::Github),
        args::CiName::Auto if is_set("TF_BUILD") => Some(Ci::Azure),
        args::CiName::Auto | args::CiName::None => None,
    }
}

/// Returns how wide a text on stdout may be: as the terminal, and 80 columns elsewhere.
pub(super) fn columns() -> usize {
    const ELSEWHERE: usize = 80;
    console::Term::stdout().size_checked().map_or(ELSEWHERE, |(_, columns)| columns.into())
}

/// `$XDG_STATE_HOME/synflow`, `~/.local/state/synflow`, or the usual folder of the platform. Never in the work
/// tree, where `git clean` would take it.
fn platform_state_dir() -> Result<PathBuf, Failure> {
    let strategy = etcetera::choose_base_strategy().map_err(|_| {
        Failure::new(Exit::Journal, "this user has no home folder to keep the journal in")
            .hint("name a folder with `--state-dir` or SYNFLOW_STATE_DIR")
    })?;
    Ok(strategy.state_dir().unwrap_or_else(|| strategy.data_dir()).join("synflow"))
}
