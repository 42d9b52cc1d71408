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

    /// Says whether this runs in CI, where nobody watches what moves.
    pub(super) fn is_ci(&self) -> bool {
        self.ci.is_some() || is_ci(&self.env)
    }

    /// Says whether stderr is a terminal that shows hyperlinks (OSC 8). `FORCE_HYPERLINK` decides, if it is set; else only
    /// terminals that are known to.
    pub(super) fn takes_links(&self) -> bool {
        self.terminal && !self.is_ci() && takes_links(&self.env)
    }

    /// Says whether stderr is a terminal that shows progress in the task bar or its tab (OSC 9;4). `SYNFLOW_TASK_BAR`
    /// decides, if it is set; else only terminals that are known to, for others show the sequence as a message.
    pub(super) fn takes_task_bar(&self) -> bool {
        self.terminal && !self.is_ci() && takes_task_bar(&self.env)
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

/// Says whether a CI system runs this: they set `CI`, Azure Pipelines `TF_BUILD`.
fn is_ci(env: &BTreeMap<String, String>) -> bool {
    is_on(env, "CI").or_else(|| is_on(env, "TF_BUILD")).unwrap_or(false)
}

/// Says whether a variable switches something on or off; nothing where it is not set.
fn is_on(env: &BTreeMap<String, String>, name: &str) -> Option<bool> {
    let value = env.get(name).filter(|value| !value.is_empty())?;
    Some(!["0", "false", "no", "off"].contains(&value.to_ascii_lowercase().as_str()))
}

/// Returns whether a terminal is known to show hyperlinks.
fn takes_links(env: &BTreeMap<String, String>) -> bool {
    /// VTE crashed on some links before this version.
    const VTE_MIN: u32 = 5_000;
    let word = |name: &str| env.get(name).map_or("", String::as_str);
    let is_set = |name: &str| !word(name).is_empty();
    is_on(env, "FORCE_HYPERLINK").unwrap_or_else(|| {
        // Between this process and the terminal, these two answer for themselves.
        if is_set("TMUX") || is_set("STY") {
            return false;
        }
        matches!(word("TERM_PROGRAM"), "iTerm.app" | "WezTerm" | "vscode" | "ghostty" | "Hyper" | "zed")
            || matches!(word("TERM"), "xterm-kitty" | "xterm-ghostty" | "alacritty" | "foot" | "foot-extra")
            || ["WT_SESSION", "KITTY_WINDOW_ID", "KONSOLE_VERSION", "DOMTERM"].iter().any(|name| is_set(name))
            || word("VTE_VERSION").parse().is_ok_and(|version: u32| version >= VTE_MIN)
    })
}

/// Returns whether a terminal is known to show progress in the task bar or its tab.
fn takes_task_bar(env: &BTreeMap<String, String>) -> bool {
    let word = |name: &str| env.get(name).map_or("", String::as_str);
    let is_set = |name: &str| !word(name).is_empty();
    is_on(env, "SYNFLOW_TASK_BAR").unwrap_or_else(|| {
        if is_set("TMUX") || is_set("STY") {
            return false;
        }
        is_set("WT_SESSION")
            || word("ConEmuANSI") == "ON"
            || matches!(word("TERM_PROGRAM"), "WezTerm" | "ghostty")
            // It tells of the feature itself, since the version that has it.
            || word("TERM_PROGRAM") == "iTerm.app" && word("TERM_FEATURES").contains('P')
    })
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{is_ci, takes_links, takes_task_bar};

    fn env(text: &str) -> BTreeMap<String, String> {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn only_terminals_that_are_known_to_get_links_and_the_task_bar() {
        let check = |text: &str, want: (bool, bool)| {
            let env = env(text);
            assert_eq!((takes_links(&env), takes_task_bar(&env)), want, "{text}");
        };
        check("TERM=xterm-256color", (false, false));
        check("WT_SESSION=1", (true, true));
        check("TERM_PROGRAM=WezTerm", (true, true));
        check("TERM_PROGRAM=iTerm.app", (true, false));
        check("TERM_PROGRAM=iTerm.app TERM_FEATURES=T3CwLrMSc7UUw9Ts3BFGsSyHNoSxFP", (true, true));
        check("TERM_PROGRAM=Apple_Terminal", (false, false));
        check("ConEmuANSI=ON", (false, true));
        check("VTE_VERSION=7600", (true, false));
        check("VTE_VERSION=4800", (false, false));
        check("TERM=xterm-kitty", (true, false));
        check("TERM_PROGRAM=tmux TMUX=/tmp/x,1,0 WT_SESSION=1", (false, false));
        check("FORCE_HYPERLINK=1 SYNFLOW_TASK_BAR=1", (true, true));
        check("WT_SESSION=1 FORCE_HYPERLINK=0 SYNFLOW_TASK_BAR=0", (false, false));
    }

    #[test]
    fn ci_tells_of_itself() {
        let check = |text: &str, want: bool| assert_eq!(is_ci(&env(text)), want, "{text}");
        check("", false);
        check("CI=true", true);
        check("CI=false", false);
        check("TF_BUILD=True", true);
    }
}
