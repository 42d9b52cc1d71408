//! The pretend Synapse workspace, pure: [`Model::answer`] takes a call and the time and gives an answer.
//!
//! No clock, no sockets, no randomness but a seeded generator's: a simulation in virtual time drives it as well
//! as a server does. It follows the recordings (`docs/emulator.md` lists where it does not) and never names the
//! client's types.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::time::Timestamp;

use self::access::Access;
use self::faults::{Faults, Strike};
use self::generator::Generator;
use self::operation::{Target, target};
use self::runs::{Runs, World};
use self::stamp::http_date;
use self::store::{Desk, Store};

pub use self::identity::{CLIENT_ID, CLIENT_SECRET, OBJECT_ID, TENANT_ID};
pub use self::message::{Answer, Fate, Request};
pub use self::operation::Operation;
pub use self::record::{Record, RunRecord};
pub use self::script::{Script, ScriptError};

mod access;
mod definition;
mod expression;
mod faults;
mod generator;
pub mod identity;
mod message;
mod operation;
mod query;
mod record;
mod run;
mod runs;
pub mod script;
mod stamp;
mod stand_in;
mod start;
mod store;
mod vault;
mod walk;

#[cfg(test)]
mod tests;

/// The api-versions the service takes (protocol 2.1), and the one that only its role calls take.
const VERSIONS: [&str; 2] = ["2020-12-01", "2019-06-01-preview"];
const ROLE_VERSIONS: [&str; 2] = ["2020-12-01", "2020-08-01-preview"];
/// How long a client is told to wait for a long-running operation, at speed 1 (recorded).
const OPERATION_RETRY_S: f64 = 10.0;

/// One workspace.
#[derive(Debug)]
pub struct Model {
    workspace: Workspace,
    script: Script,
    is_strict: bool,
    /// Ids of what the service makes.
    ids: Generator,
    /// Ids of answers: apart, so that asking more often does not change what is made.
    answer_ids: Generator,
    has_sign_in: bool,
    store: Store,
    runs: Runs,
    access: Access,
    faults: Faults,
    requests: BTreeMap<Operation, u64>,
    now: Timestamp,
}

/// Which workspace it is, in the places where the service says so.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    name: String,
    subscription: String,
    group: String,
}

impl Model {
    /// Returns a workspace with these definitions: file name and text of each.
    ///
    /// `start` is when they were published. With definitions, a pipeline that neither they nor the script name is not found; without
    /// any, every name is a pipeline. Whatever is one without a definition has a stand-in to be read.
    /// Fails if a text is no JSON object or two have one name, and names the file.
    pub fn new(
        workspace: &str,
        script: Script,
        definitions: &[(String, String)],
        start: Timestamp,
    ) -> Result<Self, String> {
        let workspace = Workspace {
            name: workspace.to_owned(),
            subscription: "00000000-0000-0000-0000-000000000000".to_owned(),
            group: "synflow-emulator".to_owned(),
        };
        let mut ids = Generator::new(script.seed, &workspace.name);
        let mut store = Store::new(start);
        for (file_name, text) in definitions {
            store.load(file_name, text, start)?;
        }
        Ok(Self {
            access: Access::new(&script.access, &workspace, &mut ids),
            faults: Faults::new(&script, &workspace.name),
            is_strict: !definitions.is_empty(),
            answer_ids: Generator::new(script.seed, &format!("answers of {}", workspace.name)),
            has_sign_in: true,
            workspace,
            script,
            ids,
            store,
            runs: Runs::default(),
            requests: BTreeMap::new(),
            // The first call sets the clock: `start` may lie anywhere.
            now: Timestamp::default(),
        })
    }

    /// Sets whether a pipeline without a definition is not found.
    #[must_use]
    pub fn with_strict_definitions(mut self, is_strict: bool) -> Self {
        self.is_strict = is_strict;
        self
    }

    /// Lists these pipelines before anybody has started them, if every name is a pipeline.
    #[must_use]
    pub fn with_pipelines<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        if !self.is_strict {
            names.into_iter().for_each(|name| self.store.list_also(name));
        }
        self
    }

    /// Takes every call as the known caller's, with or without a token: for simulations, which have none.
    #[must_use]
    pub fn without_sign_in(mut self) -> Self {
        self.has_sign_in = false;
        self
    }

    /// Answers a call at `now`. Time never goes back: an earlier `now` counts as the latest so far.
    pub fn answer(&mut self, now: Timestamp, request: &Request) -> Answer {
        self.advance(now);
        let target = target(request);
        *self.requests.entry(target.operation).or_default() += 1;
        if target.operation == Operation::Record {
            let record = serde_json::to_value(self.record()).unwrap_or(Value::Null);
            return Answer::json(200, &record);
        }
        let pipeline = self.pipeline_of(&target);
        let strike = self.faults.strike(&target, &pipeline);
        // The service's clock is what its headers, tokens and records show.
        let now = self.now;
        let answer = if let Some(answer) = strike.before(now, &self.script) {
            answer
        } else {
            let answer = self.serve(request, &target, &strike);
            strike.after(answer, now, &self.script)
        };
        self.dressed(answer, request)
    }

    /// Lets everything happen that is due until `now`.
    pub fn advance(&mut self, now: Timestamp) {
        let skewed = Timestamp::from_epoch_ms(now.epoch_ms().saturating_add(self.script.clock_skew.ahead_ms));
        self.now = self.now.max(skewed);
        self.store.advance(self.now);
        let now = self.now;
        let (runs, mut world) = self.world();
        runs.advance(now, &mut world);
    }

    /// Returns when something next happens by itself, for drivers in virtual time.
    pub fn next_change(&self) -> Option<Timestamp> {
        let next = [self.runs.next_change(), self.store.next_change()].into_iter().flatten().min()?;
        Some(Timestamp::from_epoch_ms(next.epoch_ms().saturating_sub(self.script.clock_skew.ahead_ms)))
    }

    /// Returns the emulator's own word on what happened so far.
    pub fn record(&self) -> Record {
        Record::new(&self.workspace.name, &self.runs.all, &self.requests)
    }

    /// Returns what the script says of pipelines and activities that the definitions do not have: misspelt names,
    /// most likely. Nothing where no definitions were given.
    pub fn idle_names(&self) -> Vec<String> {
        if !self.is_strict {
            return Vec::new();
        }
        let mut idle = Vec::new();
        for (name, scripted) in &self.script.pipelines {
            let Some(definition) = self.store.get(name) else {
                idle.push(format!("no definition has the pipeline `{name}` of the script"));
                continue;
            };
            let known = definition.activity_names();
            let of_runs = scripted.runs.iter().flat_map(|run| run.activities.keys());
            let strangers =
                scripted.activities.keys().chain(of_runs).filter(|name| !known.contains(name.as_str()));
            idle.extend(
                strangers.map(|activity| format!("the pipeline `{name}` has no activity `{activity}`")),
            );
        }
        idle
    }

    /// Returns the parameters of a start that the pipeline declares secret, as its definition spells them; nothing for
    /// any other request.
    pub fn secret_parameters(&self, request: &Request) -> Vec<String> {
        let target = target(request);
        if target.operation != Operation::CreateRun {
            return Vec::new();
        }
        let Some(definition) = self.store.get(&target.name) else { return Vec::new() };
        definition.parameters.iter().filter(|it| it.is_secure).map(|it| it.name.clone()).collect()
    }

    /// Says whether a request asks a Key Vault for a secret.
    pub fn answers_with_secret(&self, request: &Request) -> bool {
        target(request).operation == Operation::GetSecret
    }

    /// Returns the workspace's name.
    pub fn workspace(&self) -> &str {
        &self.workspace.name
    }

    fn serve(&mut self, request: &Request, target: &Target, strike: &Strike) -> Answer {
        let identity = &self.script.identity;
        match target.operation {
            Operation::Token => {
                let early = strike.short_token(&self.script);
                return identity::token(request, &target.name, identity, early, self.now);
            }
            Operation::ManagedIdentity => {
                let early = strike.short_token(&self.script);
                return identity::managed_identity(request, identity, early, self.now);
            }
            Operation::Discovery => return identity::discover(request, &target.name),
            Operation::GetSecret => {
                let asked = vault::Asked { vault: &target.name, secret: &target.id };
                let (vaults, has_sign_in) = (&self.script.secrets, self.has_sign_in);
                return vault::secret(request, &asked, vaults, &self.workspace, has_sign_in, self.now);
            }
            _ => {}
        }
        let caller = if self.has_sign_in {
            identity::caller(request, self.now)
        } else {
            Ok(identity::Caller::known())
        };
        let caller = match caller {
            Ok(caller) => caller,
            Err(answer) => return *answer,
        };
        if let Some(answer) = refuse_version(request, target.operation) {
            return answer;
        }
        if let Some(answer) = self.access.refusal(target.operation, &caller.object_id, &self.workspace) {
            return answer;
        }
        self.carry_out(request, target, strike)
    }

    fn carry_out(&mut self, request: &Request, target: &Target, strike: &Strike) -> Answer {
        match target.operation {
            Operation::CreateRun => self.create_run(request, &target.name),
            Operation::GetRun => self.get_run(&target.id, strike),
            Operation::CancelRun => self.cancel_run(request, &target.id),
            Operation::QueryPipelineRuns => {
                let lag = strike.list_lag(&self.script);
                let now = self.now;
                let hides = |run: &run::Run| lag.is_some_and(|lag| now.since(run.accepted_at) < lag);
                query::runs(request, &self.runs.all, &self.workspace.root(), hides)
            }
            Operation::QueryActivityRuns => {
                let run = self.runs.find(&target.id);
                let run = run.filter(|run| run.pipeline.eq_ignore_ascii_case(&target.name));
                query::activities(request, run, &self.workspace.root())
            }
            Operation::ListPipelines
            | Operation::GetPipeline
            | Operation::PutPipeline
            | Operation::DeletePipeline
            | Operation::RenamePipeline
            | Operation::OperationResult => self.answer_definitions(request, target),
            Operation::ListTriggers => Answer::json(200, &json!({ "value": [] })),
            Operation::GetTrigger => {
                let message =
                    format!("The Trigger {} was not found in {}", target.name, self.workspace.place());
                Answer::flat_error(404, "TriggerNotFound", &message)
            }
            Operation::QueryTriggerRuns => query::trigger_runs(request),
            Operation::GetWorkspace => Answer::json(200, &self.workspace.json()),
            Operation::CheckAccess
            | Operation::ListRoleDefinitions
            | Operation::GetRoleDefinition
            | Operation::ListRbacScopes
            | Operation::ListRoleAssignments
            | Operation::GetRoleAssignment
            | Operation::PutRoleAssignment
            | Operation::DeleteRoleAssignment => self.access.answer(request, target),
            Operation::Token
            | Operation::Discovery
            | Operation::ManagedIdentity
            | Operation::GetSecret
            | Operation::Record
            | Operation::Unknown => {
                let message = format!("No call is at {} {}.", request.method, request.path);
                Answer::flat_error(404, "NotFound", &message)
            }
        }
    }

    fn answer_definitions(&mut self, request: &Request, target: &Target) -> Answer {
        let speed = self.script.speed;
        let mut desk = Desk {
            workspace: &self.workspace,
            ids: &mut self.ids,
            now: self.now,
            takes: speed.shorten(self.script.defaults.operation.0),
            retry_after_s: (OPERATION_RETRY_S / speed.0).round() as u64,
            page_size: self.script.definitions_per_page.0,
            script: &self.script,
            is_strict: self.is_strict,
        };
        self.store.answer(request, target, &mut desk)
    }

    /// Adds what every answer carries.
    fn dressed(&mut self, answer: Answer, request: &Request) -> Answer {
        let id = self.answer_ids.guid();
        let mut answer =
            answer.with_header("x-ms-request-id", &id).with_header("x-ms-correlation-request-id", &id);
        answer = answer.with_header("server", "Microsoft-HTTPAPI/2.0");
        if answer.header("date").is_none() {
            answer = answer.with_header("date", &http_date(self.now));
        }
        let wants_echo = request
            .header("x-ms-return-client-request-id")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"));
        match request.header("x-ms-client-request-id") {
            Some(id) if wants_echo && id.bytes().all(|byte| (32..127).contains(&byte)) => {
                answer.with_header("x-ms-client-request-id", id)
            }
            _ => answer,
        }
    }

    /// Returns the pipeline a call is about, through its run if need be.
    fn pipeline_of(&self, target: &Target) -> String {
        match target.operation {
            Operation::GetRun | Operation::CancelRun => {
                self.runs.find(&target.id).map(|run| run.pipeline.clone()).unwrap_or_default()
            }
            _ => target.name.clone(),
        }
    }

    /// Splits the model into its runs and what they need of the rest.
    fn world(&mut self) -> (&mut Runs, World<'_>) {
        (&mut self.runs, World { store: &self.store, script: &self.script, ids: &mut self.ids })
    }
}

impl Workspace {
    /// Returns the workspace's path in Azure.
    fn root(&self) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Synapse/workspaces/{}",
            self.subscription, self.group, self.name
        )
    }

    /// Returns the words its 404s end with.
    fn place(&self) -> String {
        format!("(subscription={} resourceGroup={} workspace={})", self.subscription, self.group, self.name)
    }

    fn json(&self) -> Value {
        json!({
            "id": self.root(),
            "name": self.name,
            "type": "Microsoft.Synapse/workspaces",
            "location": "westeurope",
            "properties": {
                "connectivityEndpoints": { "dev": format!("https://{}.dev.azuresynapse.net", self.name) },
                "provisioningState": "Succeeded",
            },
        })
    }
}

/// Refuses a call whose api-version is missing, doubled or not known, and names what it got.
fn refuse_version(request: &Request, operation: Operation) -> Option<Answer> {
    let is_role_call = matches!(
        operation,
        Operation::CheckAccess
            | Operation::ListRoleDefinitions
            | Operation::GetRoleDefinition
            | Operation::ListRbacScopes
            | Operation::ListRoleAssignments
            | Operation::GetRoleAssignment
            | Operation::PutRoleAssignment
            | Operation::DeleteRoleAssignment
    );
    let supported = if is_role_call { ROLE_VERSIONS } else { VERSIONS };
    let members = request.query_members();
    let given: Vec<&str> = members
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("api-version"))
        .map(|(_, value)| value.as_str())
        .collect();
    match given.as_slice() {
        [version] if supported.contains(version) => None,
        [] => Some(Answer::wrapped_error(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )),
        wrong => Some(Answer::wrapped_error(
            400,
            "InvalidApiVersionParameter",
            &format!(
                "The api-version '{}' is invalid. The supported versions are '{}'.",
                wrong.join("', '"),
                supported.join(",")
            ),
        )),
    }
}
