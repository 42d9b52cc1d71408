//! `synflow emulate` and `--emulate`: workspaces on loopback, from a script and folders of definitions.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::args::Emulate;
use crate::cli::failure::{Exit, Failure};
use crate::cli::load::LoadedPlan;
use crate::cli::settings::Settings;
use crate::cli::{asked_to_leave, put, runtime};
use crate::driver::now;
use crate::emulator::{self, CLIENT_ID, CLIENT_SECRET, Model, Script, Server, TENANT_ID};
use crate::plan::Plan;

/// Serves a workspace until the process is asked to leave.
///
/// Fails with exit 2 if the script or a definition cannot be read, or the port is taken.
pub(super) fn run(args: &Emulate) -> Result<(), Failure> {
    let furnishing = Furnishing::read(args.script.as_deref(), &args.artifacts)?;
    let model = furnishing.model(&args.workspace)?;
    runtime()?.block_on(async {
        let server = listen(vec![model], args.port).await?;
        let endpoint = server.endpoint(&args.workspace).unwrap_or_default();
        let variables = variables(&server).into_iter().chain([("SYNAPSE_ENDPOINT", endpoint.to_owned())]);
        let lines: Vec<String> = variables.map(|(name, value)| format!("{name}={value}\n")).collect();
        put(&lines.concat())?;
        asked_to_leave().await;
        Ok(())
    })
}

/// Emulated workspaces in this process; dropping them ends the service.
pub(super) struct Emulated {
    server: Server,
}

impl Emulated {
    /// Serves every workspace of a plan.
    ///
    /// Fails with exit 2 if the script or a definition cannot be read.
    pub(super) async fn start(
        plan: &Plan,
        script: Option<&Path>,
        artifacts: &[PathBuf],
    ) -> Result<Self, Failure> {
        let furnishing = Furnishing::read(script, artifacts)?;
        let models = plan.workspaces.iter().map(|workspace| furnishing.model(&workspace.key));
        let server = listen(models.collect::<Result<_, _>>()?, 0).await?;
        Ok(Self { server })
    }

    /// Points a plan's workspaces at the emulated ones.
    pub(super) fn move_in(&self, loaded: &mut LoadedPlan) {
        for workspace in &mut Arc::make_mut(&mut loaded.plan).workspaces {
            let endpoint = self.server.endpoint(&workspace.key).expect("every workspace has a listener");
            endpoint.clone_into(&mut workspace.endpoint);
        }
    }

    /// Returns the settings with which a client signs in here.
    pub(super) fn sign_in(&self, settings: &Settings) -> Settings {
        let mut settings = settings.clone();
        let variables = variables(&self.server).into_iter();
        settings.env.extend(variables.map(|(name, value)| (name.to_owned(), value)));
        settings
    }
}

/// What emulated workspaces are made from.
struct Furnishing {
    script: Script,
    /// The name and text of each definition.
    definitions: Vec<(String, String)>,
}

impl Furnishing {
    /// Reads a script and the definitions it or the command line names.
    fn read(script: Option<&Path>, artifacts: &[PathBuf]) -> Result<Self, Failure> {
        let mut folders = artifacts.to_vec();
        let script = match script {
            None => Script::default(),
            Some(path) => {
                let name = path.display();
                let text = read(path)?;
                let script = Script::parse(&text).map_err(|error| {
                    Failure::new(Exit::Usage, format!("cannot read the script `{name}`"))
                        .because(error.to_string())
                })?;
                // A script names folders as seen from where it lies.
                let beside = path.parent().unwrap_or(Path::new("."));
                folders.extend(script.artifacts.iter().map(|folder| beside.join(folder)));
                script
            }
        };
        let mut definitions = Vec::new();
        for folder in folders {
            definitions.extend(definitions_in(&folder)?);
        }
        Ok(Self { script, definitions })
    }

    fn model(&self, workspace: &str) -> Result<Model, Failure> {
        Model::new(workspace, self.script.clone(), &self.definitions, now())
            .map_err(|why| Failure::new(Exit::Usage, "cannot set up the emulated workspace").because(why))
    }
}

/// Reads every `pipeline/*.json` of a workspace's git folder, in the order of their names.
fn definitions_in(folder: &Path) -> Result<Vec<(String, String)>, Failure> {
    let pipelines = folder.join("pipeline");
    let unreadable = |error: std::io::Error| {
        Failure::new(
            Exit::Usage,
            format!("cannot read the definitions in `{}`: {error}", pipelines.display()),
        )
        .hint("name the folder of a workspace's git repository that holds `pipeline/*.json`")
    };
    let mut paths: Vec<PathBuf> = fs::read_dir(&pipelines)
        .map_err(unreadable)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.into_iter().map(|path| Ok((file_name(&path), read(&path)?))).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::new(Exit::Usage, format!("cannot read `{}`: {error}", path.display())))
}

async fn listen(models: Vec<Model>, port: u16) -> Result<Server, Failure> {
    emulator::start(models, port).await.map_err(|error| {
        Failure::new(Exit::Usage, format!("cannot listen on 127.0.0.1: {error}"))
            .hint("`--port 0` picks a free port")
    })
}

/// The environment with which clients sign in at an emulator.
fn variables(server: &Server) -> [(&'static str, String); 4] {
    [
        ("AZURE_TENANT_ID", TENANT_ID.to_owned()),
        ("AZURE_CLIENT_ID", CLIENT_ID.to_owned()),
        ("AZURE_CLIENT_SECRET", CLIENT_SECRET.to_owned()),
        ("AZURE_AUTHORITY_HOST", server.authority().to_owned()),
    ]
}
