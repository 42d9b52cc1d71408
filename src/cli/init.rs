//! `synflow init [PIPELINE...]`: a first plan, made from the definitions of pipelines in git or in a workspace.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::args::SignIn;
use crate::cli::artifacts::Artifacts;
use crate::cli::connect::{self, Connections};
use crate::cli::failure::{Exit, Failure};
use crate::cli::settings::Settings;
use crate::cli::{block_on, outlet, put_exact};
use crate::definition::{self, Catalogue};
use crate::plan::{self, Workspace, nearest};

/// Writes a first plan.
#[derive(Debug, Args)]
pub struct Init {
    /// The pipelines that get a step [default: all]
    #[arg(value_name = "PIPELINE")]
    pub pipelines: Vec<String>,
    /// A git folder of Synapse with `pipeline/*.json`; may be repeated
    #[arg(long, value_name = "DIR", required_unless_present = "from_workspace")]
    pub artifacts: Vec<PathBuf>,
    /// Reads the pipelines that are deployed in a workspace, named or by its address (https://...)
    #[arg(long, value_name = "WORKSPACE", conflicts_with_all = ["artifacts", "workspace"])]
    pub from_workspace: Option<String>,
    /// The file to write, which must not exist yet [default: stdout]
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The plan's name [default: the file's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The plan's workspace, with --artifacts: its name, or its address
    #[arg(long, value_name = "WORKSPACE")]
    pub workspace: Option<String>,
    /// How to sign in.
    #[command(flatten)]
    pub sign_in: SignIn,
}

/// Writes the plan to a new file, or to stdout.
///
/// Fails with exit 2 if a folder cannot be read, a pipeline is not there, or the file exists or cannot be written; with 10
/// where a workspace does not let us in, and with 11 where nobody answers.
pub(super) fn run(args: &Init, settings: &Settings) -> Result<(), Failure> {
    // Before anybody waits for a workspace; another process may still be faster.
    if let Some(file) = args.file.as_ref().filter(|file| file.exists()) {
        return Err(taken(file));
    }
    let named = args.from_workspace.as_ref().map(|text| ("--from-workspace", text));
    let named = named.or(args.workspace.as_ref().map(|text| ("--workspace", text)));
    let workspace = named.map(|(flag, text)| workspace(flag, text)).transpose()?;
    let (catalogue, next) = match workspace.as_ref().filter(|_| args.from_workspace.is_some()) {
        Some(workspace) => (block_on(deployed(workspace, args, settings))?, Next::Plan),
        None => in_git(args)?,
    };
    for wanted in &args.pipelines {
        if !catalogue.definitions.contains_key(wanted) {
            let failure =
                Failure::new(Exit::Usage, format!("{} has no pipeline `{wanted}`", catalogue.origin));
            return Err(match nearest(wanted, catalogue.definitions.keys().map(String::as_str)) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint("without names, `init` takes all pipelines"),
            });
        }
    }
    let stem = args.file.as_deref().and_then(Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
    let name = args.name.clone().or(stem).unwrap_or_else(|| "nightly".to_owned());
    let text = definition::scaffold(&catalogue, &args.pipelines, &name, workspace.as_ref());
    let Some(file) = &args.file else { return put_exact(&text) };
    let shown = file.display();
    let written = OpenOptions::new().write(true).create_new(true).open(file);
    written.and_then(|mut new| new.write_all(text.as_bytes())).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => taken(file),
        _ => Failure::new(Exit::Usage, format!("cannot write `{shown}`: {error}")).hint("check the path"),
    })?;
    let next = match next {
        Next::Plan => format!("synflow plan {shown}"),
        Next::Validate(folders) => format!("synflow validate {shown}{folders}"),
    };
    // A closed stderr must not stop anything.
    drop(writeln!(outlet::stderr(), "wrote `{shown}`; next: `{next}`"));
    Ok(())
}

/// What to do with the plan next.
enum Next {
    Plan,
    /// With these flags.
    Validate(String),
}

fn taken(file: &Path) -> Failure {
    Failure::new(Exit::Usage, format!("`{}` is there already", file.display()))
        .hint("name another file, or leave `-o` out and compare what is printed")
}

fn workspace(flag: &str, text: &str) -> Result<Workspace, Failure> {
    plan::workspace_at(text).map_err(|(why, help)| {
        Failure::new(Exit::Usage, format!("`{flag}` names no workspace")).because(why).hint(help)
    })
}

/// Reads the folders. Files that hold no definition are told on stderr.
fn in_git(args: &Init) -> Result<(Catalogue, Next), Failure> {
    let folders: Vec<String> = args.artifacts.iter().map(|folder| folder.display().to_string()).collect();
    let artifacts = Artifacts::read(&folders)?;
    for file in &artifacts.broken {
        let told = plan::render_one(&file.findings, &file.name, &file.bytes, false);
        // A closed stderr must not stop anything.
        drop(outlet::stderr().write_all(told.as_bytes()));
    }
    let flags = folders.iter().map(|folder| format!(" --artifacts {folder}"));
    Ok((artifacts.into_catalogue(), Next::Validate(flags.collect::<Vec<_>>().concat())))
}

/// Reads the pipelines of a workspace.
///
/// Fails with exit 10 where we are not let in, with exit 11 where nobody answers, and with exit 2 where there are none.
async fn deployed(workspace: &Workspace, args: &Init, settings: &Settings) -> Result<Catalogue, Failure> {
    let mut connections = Connections::prepare(settings, &args.sign_in)?;
    let client = connections.client(workspace, connect::ASKING)?;
    let definitions = client.definitions().await.map_err(|failure| {
        connect::unusable(workspace, &failure)
            .hint("without a connection, `--artifacts DIR` reads the pipelines in the workspace's git folder")
    })?;
    let mut catalogue = Catalogue::new(format!("the workspace `{}`", workspace.name));
    if definitions.is_empty() {
        return Err(Failure::new(Exit::Usage, format!("{} has no pipelines", catalogue.origin))
            .hint("publish them in Synapse Studio, or read a git folder: `--artifacts DIR`"));
    }
    for definition in definitions {
        catalogue.add(definition);
    }
    Ok(catalogue)
}
