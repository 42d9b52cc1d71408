//! `synflow emulate` and `--emulate`: workspaces on loopback, from a script and folders of definitions.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::args::{Emulate, SignIn};
use crate::cli::failure::{Exit, Failure};
use crate::cli::load::LoadedPlan;
use crate::cli::settings::Settings;
use crate::cli::signals::asked_to_leave;
use crate::cli::{block_on, outlet, put};
use crate::driver::now;
use crate::emulator::{
    self, CLIENT_ID, CLIENT_SECRET, LoadError, Model, Options, Script, Server, TENANT_ID, Tls,
};
use crate::plan::Plan;
use crate::report::one_line;
use crate::synapse::AuthMethod;

/// The variable that names where an emulator has its Key Vaults.
pub(super) const VAULTS: &str = "SYNFLOW_KEYVAULT_ENDPOINT";

/// Serves a workspace until the process is asked to leave.
///
/// Fails with exit 2 if the script or a definition cannot be read, a file cannot be written, or the port is taken.
pub(super) fn run(args: &Emulate) -> Result<(), Failure> {
    let furnishing = Furnishing::read(args.script.as_deref(), &args.artifacts, args.speed)?;
    let model = furnishing.model(&args.workspace)?;
    tell_idle(&model.idle_names());
    let tls = args.tls.then(|| Tls::new(now())).transpose().map_err(|error| {
        Failure::new(Exit::Bug, format!("cannot make a certificate for the emulator: {error}"))
    })?;
    // Lives as long as the service: dropping it removes the file.
    let ca_file = tls.as_ref().map(CaFile::write).transpose()?;
    block_on(async {
        let server =
            listen(vec![model], Options { port: args.port, tls, record: args.record.clone() }).await?;
        let endpoint = server.endpoint(&args.workspace).unwrap_or_default().to_owned();
        let mut variables = variables(&server).to_vec();
        variables.extend(ca_file.iter().map(|file| ("SYNFLOW_CA_FILE", file.path.display().to_string())));
        variables.push(("SYNAPSE_ENDPOINT", endpoint.clone()));
        let lines: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let manual = manual(&args.workspace, &endpoint, args.tls);
        let serving = async {
            put(&lines.concat())?;
            // A closed stderr must not stop the service.
            drop(outlet::stderr().write_all(manual.as_bytes()));
            std::future::pending().await
        };
        tokio::select! {
            // First, so that whoever read our lines can end us in order at once.
            biased;
            () = asked_to_leave() => Ok(()),
            failed = serving => failed,
        }
    })
}

/// Says how to point clients at the workspace.
fn manual(workspace: &str, endpoint: &str, is_tls: bool) -> String {
    let python = if is_tls {
        "  Python SDK  ClientSecretCredential(..., authority=AZURE_AUTHORITY_HOST, disable_instance_discovery=True,\n\
         \x20             connection_verify=SYNFLOW_CA_FILE), ArtifactsClient(..., SYNAPSE_ENDPOINT,\n\
         \x20             connection_verify=SYNFLOW_CA_FILE)\n"
    } else {
        "  Python SDK  takes no plain HTTP: serve with `--tls`\n"
    };
    let ca = if is_tls { ", with REQUESTS_CA_BUNDLE set to SYNFLOW_CA_FILE" } else { "" };
    format!(
        "workspace `{workspace}` is served at {endpoint} until Ctrl-C. Export the lines above, then use\n\
         \x20 synflow     with `workspaces: {{ main: {{ endpoint: \"{endpoint}\" }} }}` in the plan; try `synflow doctor PLAN`\n\
         {python}\
         \x20 az          `az rest --skip-authorization-header --headers \"Authorization=Bearer TOKEN\" --url ...`\n\
         \x20             with a token from AZURE_AUTHORITY_HOST{ca}\n"
    )
}

/// The certificate that clients of an emulator must trust, in a file. Dropping it removes the file.
struct CaFile {
    path: PathBuf,
}

impl CaFile {
    fn write(tls: &Tls) -> Result<Self, Failure> {
        // A name that nobody can foresee and a file that must be new: the folder is everybody's.
        let name = format!("synflow-emulator-ca-{}.pem", uuid::Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        let opened = OpenOptions::new().write(true).create_new(true).open(&path);
        opened.and_then(|mut file| file.write_all(tls.ca_pem().as_bytes())).map_err(|error| {
            Failure::new(Exit::Usage, format!("cannot write the certificate `{}`: {error}", path.display()))
                .hint("set TMPDIR to a folder that can be written")
        })?;
        Ok(Self { path })
    }
}

impl Drop for CaFile {
    fn drop(&mut self) {
        // Whoever removed it before has done no harm.
        drop(fs::remove_file(&self.path));
    }
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
        speed: Option<f64>,
    ) -> Result<Self, Failure> {
        let furnishing = Furnishing::read(script, artifacts, speed)?;
        let models = plan.workspaces.iter().enumerate().map(|(position, workspace)| {
            let steps = plan.runs().filter(|(_, step)| step.workspace == position);
            let model = furnishing.model(&workspace.key)?;
            Ok(model.with_pipelines(steps.map(|(_, step)| step.pipeline.as_str())))
        });
        let models: Vec<Model> = models.collect::<Result<_, Failure>>()?;
        let mut idle = models.first().map(Model::idle_names).unwrap_or_default();
        let unused = |name: &&String| plan.runs().all(|(_, step)| step.pipeline != **name);
        if furnishing.definitions.is_empty() {
            let names = furnishing.script.pipelines.keys().filter(unused);
            idle.extend(names.map(|name| format!("no step runs the pipeline `{name}` of the script")));
        }
        tell_idle(&idle);
        let server = listen(models, Options::default()).await?;
        Ok(Self { server })
    }

    /// Points a plan's workspaces at the emulated ones.
    pub(super) fn move_in(&self, loaded: &mut LoadedPlan) {
        for workspace in &mut Arc::make_mut(&mut loaded.plan).workspaces {
            let endpoint = self.server.endpoint(&workspace.key).expect("every workspace has a listener");
            endpoint.clone_into(&mut workspace.endpoint);
            // Here is one tenant only, with one application.
            workspace.tenant = None;
            workspace.auth = None;
        }
    }

    /// Returns the settings with which a client signs in here, and nowhere else.
    pub(super) fn sign_in(&self, settings: &Settings, given: &SignIn) -> (Settings, SignIn) {
        let mut settings = settings.clone();
        let variables = variables(&self.server).into_iter();
        settings.env.extend(variables.map(|(name, value)| (name.to_owned(), value)));
        (settings, SignIn { auth: Some(AuthMethod::Environment), ca_file: None, ..given.clone() })
    }
}

/// What emulated workspaces are made from.
pub(super) struct Furnishing {
    pub(super) script: Script,
    /// The name and text of each definition.
    pub(super) definitions: Vec<(String, String)>,
}

impl Furnishing {
    /// Reads a script, and the definitions that it or the command line names. A speed beats the script's.
    ///
    /// Fails with exit 2 if one of them cannot be read.
    pub(super) fn read(
        script: Option<&Path>,
        artifacts: &[PathBuf],
        speed: Option<f64>,
    ) -> Result<Self, Failure> {
        let (mut script, mut definitions) = match script {
            None => (Script::default(), Vec::new()),
            Some(path) => emulator::read_script(path).map_err(|error| unreadable(&error))?,
        };
        for folder in artifacts {
            definitions.extend(emulator::read_artifacts(folder).map_err(|error| unreadable(&error))?);
        }
        if let Some(factor) = speed {
            script.speed.0 = factor;
        }
        Ok(Self { script, definitions })
    }

    fn model(&self, workspace: &str) -> Result<Model, Failure> {
        Model::new(workspace, self.script.clone(), &self.definitions, now())
            .map_err(|why| Failure::new(Exit::Usage, "cannot set up the emulated workspace").because(why))
    }
}

/// Says that a script or a folder of definitions cannot be read.
pub(super) fn unreadable(error: &LoadError) -> Failure {
    let failure = Failure::from_error(Exit::Usage, error);
    match error {
        LoadError::Script { .. } => failure.hint("docs/emulator.md describes what a script may say"),
        LoadError::Empty { .. } => {
            failure.hint("name the folder of a workspace's git repository that holds `pipeline/*.json`")
        }
        LoadError::Unreadable { .. } => failure.hint("check the path"),
    }
}

/// Tells of names in a script that serve nothing: misspelt, most likely, and a test of failures that tests none.
fn tell_idle(names: &[String]) {
    for name in names {
        // A closed stderr must not stop anything.
        drop(writeln!(outlet::stderr(), "note: {}", one_line(name)));
    }
}

async fn listen(models: Vec<Model>, options: Options) -> Result<Server, Failure> {
    if let Some(path) = &options.record {
        // Tried first, so that the reader learns which of the two went wrong.
        fs::File::create(path).map_err(|error| {
            Failure::new(Exit::Usage, format!("cannot write the exchanges to `{}`: {error}", path.display()))
        })?;
    }
    emulator::start_with(models, options).await.map_err(|error| {
        Failure::new(Exit::Usage, format!("cannot listen on 127.0.0.1: {error}"))
            .hint("`--port 0` picks a free port")
    })
}

/// The environment with which clients sign in at an emulator.
fn variables(server: &Server) -> [(&'static str, String); 5] {
    [
        ("AZURE_TENANT_ID", TENANT_ID.to_owned()),
        ("AZURE_CLIENT_ID", CLIENT_ID.to_owned()),
        ("AZURE_CLIENT_SECRET", CLIENT_SECRET.to_owned()),
        ("AZURE_AUTHORITY_HOST", server.authority().to_owned()),
        (VAULTS, server.key_vaults()),
    ]
}
