//! Pipeline definitions: the files, what was written since, and the long-running operations that write.
//!
//! What can be started without a definition has a stand-in, which is made when it is read and stored nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Workspace;
use super::definition::Definition;
use super::generator::Generator;
use super::message::{Answer, Request, encoded};
use super::operation::{Operation, Target};
use super::stamp::{stamp, stamp_seconds};
use super::stand_in::{self, etag_of};
use crate::emulator::model::script::Script;
use crate::time::{Delay, Timestamp};

/// All definitions of a workspace.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// By name in lower case: the service's names are one without regard to case.
    pipelines: BTreeMap<String, Stored>,
    operations: BTreeMap<String, Pending>,
    written: u64,
    /// Pipelines without a definition that are there all the same: they were started, or somebody means to.
    named: BTreeSet<String>,
    /// What was deleted or renamed, in lower case: that is no pipeline any more.
    gone: BTreeSet<String>,
    /// When that was published which nobody has written.
    opened_at: Timestamp,
}

/// One stored definition.
#[derive(Debug)]
struct Stored {
    name: String,
    properties: Map<String, Value>,
    definition: Arc<Definition>,
    etag: String,
    /// Its place in lists.
    order: u64,
}

/// A write that is not done yet, or whose result may still be asked for.
#[derive(Debug)]
struct Pending {
    ready_at: Timestamp,
    change: Change,
    is_done: bool,
}

#[derive(Debug)]
enum Change {
    Write { name: String, properties: Map<String, Value> },
    Delete { name: String },
    Rename { from: String, to: String },
}

/// What a write needs to know besides the request.
pub(super) struct Desk<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) ids: &'a mut Generator,
    pub(super) now: Timestamp,
    /// How long an operation takes, and how long the caller is told to wait.
    pub(super) takes: Delay,
    pub(super) retry_after_s: u64,
    pub(super) page_size: usize,
    pub(super) script: &'a Script,
    /// Whether only what is defined, or named by the script, is a pipeline.
    pub(super) is_strict: bool,
}

impl Store {
    /// Returns an empty one of a workspace that was opened then.
    pub(super) fn new(opened_at: Timestamp) -> Self {
        Self { opened_at, ..Self::default() }
    }

    /// Takes a file's text. A file without `name` has its own file name; `properties` may be the whole file.
    ///
    /// Fails if the text is no JSON object, or if another file has the same name.
    pub(super) fn load(&mut self, file_name: &str, text: &str, now: Timestamp) -> Result<(), String> {
        let text = text.trim_start_matches('\u{feff}');
        let file: Value = serde_json::from_str(text).map_err(|error| format!("{file_name}: {error}"))?;
        let Value::Object(mut file) = file else { return Err(format!("{file_name}: not a JSON object")) };
        let stem = file_name.rsplit(['/', '\\']).next().unwrap_or(file_name);
        let stem = stem.strip_suffix(".json").unwrap_or(stem);
        let name = file.get("name").and_then(Value::as_str).unwrap_or(stem).to_owned();
        let properties = match file.remove("properties") {
            Some(Value::Object(properties)) => properties,
            Some(_) => return Err(format!("{file_name}: `properties` is not an object")),
            None => {
                file.remove("name");
                file
            }
        };
        if let Some(other) = self.spelling(&name) {
            return Err(format!("{file_name}: another file defines the pipeline `{other}` already"));
        }
        let etag = etag_of(&name, &Value::Object(properties.clone()));
        self.write(&name, properties, Some(etag), now);
        Ok(())
    }

    /// Says whether a run of this pipeline can be started.
    pub(super) fn is_pipeline(&self, name: &str, script: &Script, is_strict: bool) -> bool {
        let is_free = script.pipelines.contains_key(name) || !is_strict;
        self.get(name).is_some() || is_free && !self.gone.contains(&name.to_lowercase())
    }

    /// Lists a pipeline from now on, with a definition or without.
    pub(super) fn list_also(&mut self, name: &str) {
        if !self.named.contains(name) {
            self.named.insert(name.to_owned());
        }
    }

    /// Returns the definition of this name.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Definition>> {
        self.pipelines.get(&name.to_lowercase()).map(|stored| Arc::clone(&stored.definition))
    }

    /// Returns the stored spelling of a name.
    pub(super) fn spelling(&self, name: &str) -> Option<&str> {
        self.pipelines.get(&name.to_lowercase()).map(|stored| stored.name.as_str())
    }

    /// Carries out the operations whose time has come.
    pub(super) fn advance(&mut self, now: Timestamp) {
        let ready = self.operations.iter().filter(|(_, pending)| !pending.is_done && pending.ready_at <= now);
        let mut ready: Vec<(Timestamp, String)> =
            ready.map(|(id, pending)| (pending.ready_at, id.clone())).collect();
        ready.sort();
        for (at, id) in ready {
            let Some(pending) = self.operations.get_mut(&id) else { continue };
            pending.is_done = true;
            match &pending.change {
                Change::Write { name, properties } => {
                    let (name, properties) = (name.clone(), properties.clone());
                    self.write(&name, properties, None, at);
                }
                Change::Delete { name } => {
                    let name = name.to_lowercase();
                    self.pipelines.remove(&name);
                    self.gone.insert(name);
                }
                Change::Rename { from, to } => {
                    let (from, to) = (from.to_lowercase(), to.clone());
                    if let Some(stored) = self.pipelines.remove(&from) {
                        self.gone.insert(from);
                        self.write(&to, stored.properties, None, at);
                    }
                }
            }
        }
    }

    /// Returns when the next operation is done.
    pub(super) fn next_change(&self) -> Option<Timestamp> {
        let open = self.operations.values().filter(|pending| !pending.is_done);
        open.map(|pending| pending.ready_at).min()
    }

    /// Answers a call about definitions.
    pub(super) fn answer(&mut self, request: &Request, target: &Target, desk: &mut Desk<'_>) -> Answer {
        match target.operation {
            Operation::ListPipelines => return self.list(request, desk),
            Operation::GetPipeline => return self.read(request, &target.name, desk),
            _ => {}
        }
        // A stand-in that is to be changed must be there.
        if let Some(stand_in) = self.unwritten(desk).into_iter().find(|it| it.name == target.name) {
            let Stored { name, properties, etag, .. } = stand_in;
            self.write(&name, properties, Some(etag), desk.now);
        }
        match target.operation {
            Operation::PutPipeline => self.put(request, &target.name, desk),
            Operation::DeletePipeline => self.delete(request, &target.name, desk),
            Operation::RenamePipeline => self.rename(request, &target.name, desk),
            _ => self.operation_result(request, &target.id, desk),
        }
    }

    /// Writes a definition, with a new etag unless its content makes one.
    fn write(
        &mut self,
        name: &str,
        mut properties: Map<String, Value>,
        etag: Option<String>,
        now: Timestamp,
    ) {
        self.written += 1;
        self.gone.remove(&name.to_lowercase());
        if !properties.contains_key("lastPublishTime") || self.pipelines.contains_key(&name.to_lowercase()) {
            properties.insert("lastPublishTime".to_owned(), stamp_seconds(now).into());
        }
        let seconds = now.epoch_ms() / 1000;
        let written = format!(
            "{:08x}-0000-0100-0000-{:08x}0000",
            self.written.wrapping_mul(0x0101),
            seconds & 0xffff_ffff
        );
        let stored = Stored {
            name: name.to_owned(),
            definition: Arc::new(Definition::read(&Value::Object(properties.clone()))),
            properties,
            etag: etag.unwrap_or(written),
            order: self.pipelines.get(&name.to_lowercase()).map_or(self.written, |old| old.order),
        };
        self.pipelines.insert(name.to_lowercase(), stored);
    }

    /// Returns what stands for a pipeline without a definition.
    fn stand_in(&self, name: &str, script: &Script) -> Stored {
        let (properties, etag) = stand_in::properties(name, script.pipelines.get(name), self.opened_at);
        let definition = Arc::new(Definition::read(&Value::Object(properties.clone())));
        Stored { name: name.to_owned(), properties, definition, etag, order: u64::MAX }
    }

    /// Returns the stand-ins of all pipelines that are there without a definition, by name.
    fn unwritten(&self, desk: &Desk<'_>) -> Vec<Stored> {
        let names: BTreeSet<&String> = desk.script.pipelines.keys().chain(&self.named).collect();
        let is_unwritten = |name: &&String| {
            let name = name.to_lowercase();
            !self.pipelines.contains_key(&name) && !self.gone.contains(&name)
        };
        names.into_iter().filter(is_unwritten).map(|name| self.stand_in(name, desk.script)).collect()
    }

    fn list(&self, request: &Request, desk: &Desk<'_>) -> Answer {
        let skip = match request.query_member("$skiptoken").as_deref() {
            None => 0,
            Some(token) => match token.parse::<usize>() {
                Ok(skip) => skip,
                Err(_) => return Answer::flat_error(400, "BadRequest", "The skip token is not valid."),
            },
        };
        let unwritten = self.unwritten(desk);
        let mut all: Vec<&Stored> = self.pipelines.values().chain(&unwritten).collect();
        all.sort_by_key(|stored| stored.order);
        let page: Vec<Value> =
            all.iter().skip(skip).take(desk.page_size).map(|stored| stored.json(desk.workspace)).collect();
        let mut body = json!({ "value": page });
        let next = skip.saturating_add(desk.page_size);
        if next < all.len() {
            let version = request.query_member("api-version").unwrap_or_default();
            body["nextLink"] =
                format!("{}/pipelines?api-version={}&%24skiptoken={next}", request.origin, encoded(&version))
                    .into();
        }
        Answer::json(200, &body)
    }

    fn read(&self, request: &Request, name: &str, desk: &Desk<'_>) -> Answer {
        let is_pipeline = self.is_pipeline(name, desk.script, desk.is_strict);
        let stand_in = is_pipeline.then(|| self.stand_in(name, desk.script));
        let Some(stored) = self.pipelines.get(&name.to_lowercase()).or(stand_in.as_ref()) else {
            return not_found(name, desk.workspace);
        };
        let known = request.header("if-none-match").map(|tag| tag.trim().trim_matches('"'));
        if known.is_some_and(|tag| tag == stored.etag || tag == "*") {
            return Answer::empty(304);
        }
        Answer::json(200, &stored.json(desk.workspace))
    }

    fn put(&mut self, request: &Request, name: &str, desk: &mut Desk<'_>) -> Answer {
        if let Some(answer) = self.refuse_write(request, name) {
            return answer;
        }
        let properties = match request.json() {
            Ok(Some(Value::Object(mut body))) => match body.remove("properties") {
                Some(Value::Object(properties)) => properties,
                _ => return bad_definition("The request body has no 'properties'."),
            },
            Ok(_) => return bad_definition("The request body is empty or no object."),
            Err(error) => return bad_definition(&format!("The request body is not valid JSON: {error}")),
        };
        let name = self.spelling(name).unwrap_or(name).to_owned();
        let record_id = 2_300_000 + self.written;
        let artifact_id = desk.ids.guid().to_uppercase();
        let at = stamp(desk.now, 0);
        let mut body = json!({
            "id": pipeline_id(desk.workspace, &name),
            "recordId": record_id,
            "state": "Creating",
            "created": at,
            "changed": at,
            "type": "Pipeline",
            "name": name,
        });
        let operation = self.begin(Change::Write { name, properties }, desk);
        body["operationId"] = operation.clone().into();
        body["artifactId"] = artifact_id.into();
        let answer = Answer::json(202, &body).with_header("location", &location(request, &operation));
        answer.with_header("retry-after", &desk.retry_after_s.to_string())
    }

    fn delete(&mut self, request: &Request, name: &str, desk: &mut Desk<'_>) -> Answer {
        if let Some(answer) = self.refuse_write(request, name) {
            return answer;
        }
        let Some(name) = self.spelling(name).map(str::to_owned) else { return Answer::empty(204) };
        let mut body = json!({
            "id": pipeline_id(desk.workspace, &name),
            "recordId": 0,
            "state": "Deleting",
            // Without a zone, as recorded.
            "created": "0001-01-01T00:00:00",
            "changed": "0001-01-01T00:00:00",
            "type": "Pipeline",
            "name": name,
        });
        let operation = self.begin(Change::Delete { name }, desk);
        body["operationId"] = operation.clone().into();
        Answer::json(202, &body).with_header("location", &location(request, &operation))
    }

    fn rename(&mut self, request: &Request, name: &str, desk: &mut Desk<'_>) -> Answer {
        let Some(from) = self.spelling(name).map(str::to_owned) else {
            return not_found(name, desk.workspace);
        };
        let body = request.json().ok().flatten();
        let to =
            body.as_ref().and_then(|body| body.get("newName")).and_then(Value::as_str).unwrap_or_default();
        if !is_name(to) {
            return bad_definition(&format!("'{to}' is not a valid name for a pipeline."));
        }
        if self.spelling(to).is_some() && !to.eq_ignore_ascii_case(&from) {
            return Answer::flat_error(
                409,
                "Conflict",
                &format!("A pipeline with the name {to} exists already."),
            );
        }
        let operation = self.begin(Change::Rename { from, to: to.to_owned() }, desk);
        let answer = Answer::empty(202).with_header("location", &location(request, &operation));
        answer.with_header("retry-after", &desk.retry_after_s.to_string())
    }

    fn operation_result(&self, request: &Request, id: &str, desk: &Desk<'_>) -> Answer {
        let Some(pending) = self.operations.get(id) else {
            let message = format!("The operation {id} was not found in {}", desk.workspace.place());
            return Answer::flat_error(404, "OperationNotFound", &message);
        };
        if !pending.is_done {
            let answer = Answer::json(202, &json!({ "status": "InProgress" }));
            let answer = answer.with_header("location", &location(request, id));
            return answer.with_header("retry-after", &desk.retry_after_s.to_string());
        }
        match &pending.change {
            Change::Write { name, .. } => match self.pipelines.get(&name.to_lowercase()) {
                Some(stored) => Answer::json(200, &stored.json(desk.workspace)),
                None => not_found(name, desk.workspace),
            },
            Change::Delete { .. } | Change::Rename { .. } => Answer::empty(200),
        }
    }

    /// Finds what is wrong with a write before its body is looked at.
    fn refuse_write(&self, request: &Request, name: &str) -> Option<Answer> {
        if !is_name(name) {
            return Some(bad_definition(&format!("'{name}' is not a valid name for a pipeline.")));
        }
        let wanted = request.header("if-match")?.trim().trim_matches('"');
        let stored = self.pipelines.get(&name.to_lowercase());
        let fits = stored.is_some_and(|stored| wanted == "*" || wanted == stored.etag);
        let message = format!("The pipeline {name} was changed since; its etag is not {wanted}.");
        (!fits).then(|| Answer::flat_error(412, "PreconditionFailed", &message))
    }

    fn begin(&mut self, change: Change, desk: &mut Desk<'_>) -> String {
        let id = desk.ids.guid();
        let pending = Pending { ready_at: desk.now + desk.takes, change, is_done: false };
        self.operations.insert(id.clone(), pending);
        id
    }
}

impl Stored {
    fn json(&self, workspace: &Workspace) -> Value {
        json!({
            "id": pipeline_id(workspace, &self.name),
            "name": self.name,
            "type": "Microsoft.Synapse/workspaces/pipelines",
            "properties": self.properties,
            "etag": self.etag,
        })
    }
}

/// Returns the 404 of a pipeline that is not there, in the flat shape.
pub(super) fn not_found(name: &str, workspace: &Workspace) -> Answer {
    let message = format!("The Pipeline {name} was not found in {}", workspace.place());
    Answer::flat_error(404, "PipelineNotFound", &message)
}

fn bad_definition(message: &str) -> Answer {
    Answer::flat_error(400, "BadRequest", message)
}

fn pipeline_id(workspace: &Workspace, name: &str) -> String {
    format!("{}/pipelines/{name}", workspace.root())
}

fn location(request: &Request, operation: &str) -> String {
    let version = request.query_member("api-version").unwrap_or_default();
    format!("{}/operationResults/{operation}?api-version={}", request.origin, encoded(&version))
}

/// Returns whether the service takes this as a name: `^[A-Za-z0-9_][^<>*#.%&:\\+?/]*$`, 260 characters at most.
fn is_name(name: &str) -> bool {
    let first_fits = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    first_fits
        && name.chars().count() <= 260
        && !name.contains(['<', '>', '*', '#', '.', '%', '&', ':', '\\', '+', '?', '/'])
}
