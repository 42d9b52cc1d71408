//! How an activity of each type begins: what it evaluates, how long it takes, what it opens.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Ground, State, Walk, Want, unread_parameter};
use crate::emulator::model::definition::{Activity, Body, Ending};
use crate::emulator::model::expression::{
    Failing, Scope as Names, as_text, evaluate, member, parameter_not_found,
};
use crate::emulator::model::generator::digest;
use crate::emulator::model::script::{ActivityOutcome, ActivityScript, Failure, RunOutcome, RunScript};
use crate::time::Delay;

/// The longest a Wait may take: seven days and more, in seconds.
const WAIT_S_MAX: f64 = 7.0e5;
const SCRIPTED_TEXT: &str = "The activity failed because the emulator's script says so.";

impl Walk {
    /// Starts a waiting activity: a row of its own, and a wish for its end.
    pub(super) fn start(
        &mut self,
        block: usize,
        index: usize,
        ground: &mut Ground<'_>,
        wants: &mut Vec<Want>,
        todo: &mut Vec<usize>,
    ) {
        let activities = Arc::clone(&self.blocks[block].activities);
        let activity = &activities[index];
        let is_top = self.blocks[block].owner.is_none();
        if is_top && ground.taken_over.contains(&activity.name) {
            self.blocks[block].states[index] = State::Ended(Ending::Succeeded, None);
            return;
        }
        let row = self.add_row(block, index, ground);
        if let Some(ending) = activity.inactive_as {
            self.rows[row].status = "Inactive";
            self.rows[row].end = Some(ground.now);
            self.blocks[block].states[index] = State::Ended(ending, Some(row));
            return;
        }
        self.blocks[block].states[index] = State::Running;
        let is_target = is_top && self.target == Some(index);
        if is_target && ground.behaviour.outcome == Some(RunOutcome::Stuck) {
            return;
        }
        if let Some(missing) = missing_parameter(activity, is_top && index == 0, ground) {
            self.fail_on(row, Err(Failing::Error(parameter_not_found(&missing))));
            wants.push(Want::Wake { row, at: ground.now + ground.pace.instant });
            return;
        }
        self.rows[row].fails = scripted_failure(activity, self.rows[row].retry, is_target, ground.behaviour);
        match &activity.body {
            Body::If { .. } | Body::Switch { .. } | Body::ForEach { .. } | Body::Until { .. } => {
                self.start_container(row, activity, ground, todo);
                if self.rows[row].open == 0 {
                    wants.push(Want::Wake { row, at: ground.now + ground.pace.instant });
                }
            }
            Body::Call { pipeline, waits, parameters } => {
                let parameters = self.parameters_of_call(row, parameters, ground);
                wants.push(Want::Call { row, pipeline: pipeline.clone(), parameters, waits: *waits });
            }
            _ => {
                let usual = self.start_simple(row, activity, ground);
                let scripted = ground.behaviour.activities.get(&activity.name);
                let own = scripted.and_then(|scripted| scripted.duration);
                let takes = own.map_or(usual, |length| ground.pace.speed.shorten(length.0));
                wants.push(Want::Wake { row, at: ground.now + takes });
            }
        }
        let scripted = ground.behaviour.activities.get(&activity.name);
        if let Some(output) = scripted.and_then(|scripted| scripted.output.clone()) {
            self.rows[row].output = output;
        }
    }

    /// Does what an activity without inner ones does. Returns how long it takes when nobody says.
    fn start_simple(&mut self, row: usize, activity: &Activity, ground: &Ground<'_>) -> Delay {
        match &activity.body {
            Body::Simple => {
                self.rows[row].output = usual_output(&activity.kind);
                ground.pace.share
            }
            Body::Wait { seconds } => {
                let Ok(value) = self.evaluate(row, seconds, ground) else { return ground.pace.share };
                let Some(seconds) = value.as_f64() else { return ground.pace.share };
                self.rows[row].input = json!({ "waitTimeInSeconds": value });
                if ground.behaviour.duration.is_some() {
                    return ground.pace.share;
                }
                ground.pace.speed.shorten(Delay::from_ms((seconds.clamp(0.0, WAIT_S_MAX) * 1000.0) as u64))
            }
            Body::Fail { message, code } => {
                let text = |value: &Value, otherwise: &str| {
                    let value = self.evaluate(row, value, ground);
                    value.map_or_else(|_| otherwise.to_owned(), |value| as_text(&value))
                };
                let failure = Failure { code: text(code, "500"), message: text(message, SCRIPTED_TEXT) };
                self.rows[row].fails = Some(failure);
                ground.pace.instant
            }
            Body::Set { value, returns: true, .. } => {
                let done = self.set_returned(row, value, ground);
                self.fail_on(row, done);
                ground.pace.instant
            }
            Body::Set { variable, value, .. } => {
                let done = self.set(row, variable, value, ground);
                self.fail_on(row, done);
                ground.pace.instant
            }
            Body::Append { variable, value } => {
                let done = self.append(row, variable, value, ground);
                self.fail_on(row, done);
                ground.pace.instant
            }
            _ => ground.pace.instant,
        }
    }

    /// Evaluates what a caller hands to the pipeline it calls.
    fn parameters_of_call(
        &self,
        row: usize,
        parameters: &Map<String, Value>,
        ground: &Ground<'_>,
    ) -> Map<String, Value> {
        let given = parameters.iter().map(|(name, value)| {
            let value = self.evaluate(row, value, ground).unwrap_or(Value::Null);
            // A list reaches the child as text: a page of the service warns of it.
            let value = if value.is_array() { Value::String(value.to_string()) } else { value };
            (name.clone(), value)
        });
        given.collect()
    }

    /// Opens the blocks of a container. One that has none is left for its caller to end.
    fn start_container(
        &mut self,
        row: usize,
        activity: &Activity,
        ground: &Ground<'_>,
        todo: &mut Vec<usize>,
    ) {
        let scripted = ground.behaviour.activities.get(&activity.name);
        let item = self.blocks[self.rows[row].block].item.clone();
        let iteration = self.rows[row].iteration.clone();
        let chosen: Option<&Arc<[Activity]>> = match &activity.body {
            Body::If { condition, yes, no } => {
                let value = self.evaluate(row, condition, ground);
                let told = scripted.and_then(|scripted| scripted.branch);
                let known = value.as_ref().ok().and_then(|value| match value {
                    Value::Bool(truth) => Some(*truth),
                    Value::String(text) => text.parse().ok(),
                    _ => None,
                });
                self.fail_on(row, value.map(|_| ()));
                Some(if told.or(known).unwrap_or(true) { yes } else { no })
            }
            Body::Switch { on, cases, otherwise } => {
                let value = self.evaluate(row, on, ground);
                let text = value.as_ref().map(as_text).unwrap_or_default();
                self.fail_on(row, value.map(|_| ()));
                let case = cases.iter().find(|(name, _)| *name == text).map(|(_, inner)| inner);
                Some(case.unwrap_or(otherwise))
            }
            Body::Until { inner } => Some(inner),
            Body::ForEach { items, at_once, .. } => {
                let value = self.evaluate(row, items, ground);
                let told = scripted.and_then(|scripted| scripted.items.clone());
                let known = value.as_ref().ok().and_then(list_of);
                self.fail_on(row, value.map(|_| ()));
                // What only a run could know: two items, so that the loop is seen to be one.
                let items = told.or(known).unwrap_or_else(|| vec![json!({}), json!({})]);
                self.rows[row].pending = items.into_iter().enumerate().collect();
                self.rows[row].at_once = *at_once;
                None
            }
            _ => None,
        };
        if self.rows[row].fails.as_ref().is_some_and(|failure| failure.code == "InvalidTemplate") {
            self.rows[row].pending.clear();
            return;
        }
        match chosen {
            Some(inner) if inner.is_empty() => {}
            Some(inner) => {
                self.rows[row].open = 1;
                todo.push(self.open_block(Some(row), Arc::clone(inner), item, iteration));
            }
            None => self.open_iterations(row, todo),
        }
    }

    /// Opens as many iterations of a For Each as may be open.
    pub(super) fn open_iterations(&mut self, row: usize, todo: &mut Vec<usize>) {
        let (block, index) = (self.rows[row].block, self.rows[row].index);
        let activities = Arc::clone(&self.blocks[block].activities);
        let Body::ForEach { inner, .. } = &activities[index].body else { return };
        while self.rows[row].open < self.rows[row].at_once {
            let Some((number, item)) = self.rows[row].pending.pop_front() else { return };
            if inner.is_empty() {
                continue;
            }
            let mark = format!("{}:{}:{number}", self.rows[row].iteration, self.rows[row].name);
            let iteration = format!("{:016x}", digest(mark.as_bytes()));
            self.rows[row].open += 1;
            todo.push(self.open_block(Some(row), Arc::clone(inner), Some(item), iteration));
        }
    }

    fn evaluate(&self, row: usize, setting: &Value, ground: &Ground<'_>) -> Result<Value, Failing> {
        let names = Names {
            parameters: ground.parameters,
            variables: &self.variables,
            item: self.blocks[self.rows[row].block].item.as_ref(),
            outputs: &self.outputs,
            run_id: ground.run_id,
            pipeline: ground.pipeline,
        };
        evaluate(setting, &names)
    }

    /// Makes an activity fail where the service would not get past its settings.
    fn fail_on(&mut self, row: usize, done: Result<(), Failing>) {
        if let Err(Failing::Error(message)) = done {
            self.rows[row].fails = Some(Failure { code: "InvalidTemplate".to_owned(), message });
        }
    }

    fn set(&mut self, row: usize, variable: &str, value: &Value, ground: &Ground<'_>) -> Result<(), Failing> {
        let value = self.evaluate(row, value, ground)?;
        self.rows[row].output = json!({ "name": variable, "value": value });
        self.variables.insert(self.spelling(variable), value);
        Ok(())
    }

    fn append(
        &mut self,
        row: usize,
        variable: &str,
        value: &Value,
        ground: &Ground<'_>,
    ) -> Result<(), Failing> {
        let value = self.evaluate(row, value, ground)?;
        let list = self.variables.entry(self.spelling(variable)).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(value);
        }
        let all = list.clone();
        self.rows[row].output = json!({ "name": variable, "value": all });
        Ok(())
    }

    /// Returns a variable's name as it is declared.
    fn spelling(&self, variable: &str) -> String {
        let declared = self.variables.keys().find(|known| known.eq_ignore_ascii_case(variable));
        declared.map_or(variable, String::as_str).to_owned()
    }

    /// Returns the value of a `{"type","content"}`: each of the service's types in the JSON that it names. Recurses as
    /// deep as the definition, which has a limit.
    fn content(&self, row: usize, typed: &Value, ground: &Ground<'_>) -> Result<Value, Failing> {
        let (Some(kind), Some(content)) = (typed.get("type").and_then(Value::as_str), typed.get("content"))
        else {
            return Ok(if typed.get("type").is_some() { Value::Null } else { typed.clone() });
        };
        let read = |text: &str| serde_json::from_str(&text.trim().to_lowercase()).ok();
        Ok(match (kind, content) {
            ("Expression", _) => {
                let code = json!({ "value": content, "type": "Expression" });
                self.evaluate(row, &code, ground)?
            }
            ("Null", _) => Value::Null,
            ("Array", Value::Array(items)) => {
                let items = items.iter().map(|item| self.content(row, item, ground));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            ("Object", Value::Array(pairs)) => {
                let members = pairs.iter().map(|pair| {
                    let key = pair.get("key").and_then(Value::as_str).unwrap_or_default();
                    let value = self.content(row, pair.get("value").unwrap_or(&Value::Null), ground)?;
                    Ok((key.to_owned(), value))
                });
                Value::Object(members.collect::<Result<_, _>>()?)
            }
            // Studio writes these as texts.
            ("Int" | "Float" | "Boolean", Value::String(text)) => {
                read(text).unwrap_or_else(|| content.clone())
            }
            _ => content.clone(),
        })
    }

    /// Sets the run's return value: `[{"key","value":{"type","content"}}]` (protocol 3.7).
    fn set_returned(&mut self, row: usize, value: &Value, ground: &Ground<'_>) -> Result<(), Failing> {
        for pair in value.as_array().map_or(&[][..], Vec::as_slice) {
            let key = pair.get("key").and_then(Value::as_str).unwrap_or_default();
            let content = self.content(row, pair.get("value").unwrap_or(&Value::Null), ground)?;
            // The script's word wins over the definition's.
            if !ground.behaviour.return_value.contains_key(key) {
                self.returned.insert(key.to_owned(), content);
            }
        }
        self.rows[row].output = json!({ "name": "pipelineReturnValue", "value": self.returned });
        Ok(())
    }
}

pub(super) fn fails_by_script(scripted: &ActivityScript) -> bool {
    match scripted.outcome {
        Some(outcome) => outcome == ActivityOutcome::Failed,
        None => scripted.error.is_some() || scripted.fails_first.is_some_and(|tries| tries > 0),
    }
}

/// Returns what the script makes an activity fail with, if it does.
fn scripted_failure(
    activity: &Activity,
    retry: u64,
    is_target: bool,
    behaviour: &RunScript,
) -> Option<Failure> {
    let scripted = behaviour.activities.get(&activity.name);
    let scripted = scripted.filter(|scripted| {
        fails_by_script(scripted) && scripted.fails_first.is_none_or(|tries| retry < tries)
    });
    if scripted.is_none() && !is_target {
        return None;
    }
    let own = scripted.and_then(|scripted| scripted.error.clone());
    let usual = || Failure { code: "UserErrorEmulated".to_owned(), message: SCRIPTED_TEXT.to_owned() };
    Some(own.or_else(|| behaviour.error.clone()).unwrap_or_else(usual))
}

/// Finds the parameter for want of which an activity fails. One that no activity reads fails the first.
fn missing_parameter(activity: &Activity, is_first: bool, ground: &Ground<'_>) -> Option<String> {
    let own = activity.reads.iter().find(|name| member(ground.parameters, name).is_none()).cloned();
    own.or_else(|| is_first.then(|| unread_parameter(ground)).flatten())
}

/// Returns the items of a list, which may have reached the run as text.
fn list_of(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items.clone()),
        Value::String(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

/// Returns what an activity of this type usually says when it went well (protocol 3.6).
fn usual_output(kind: &str) -> Value {
    match kind {
        "Copy" => json!({
            "dataRead": 134,
            "dataWritten": 134,
            "filesRead": 1,
            "filesWritten": 1,
            "rowsRead": 10,
            "rowsCopied": 10,
            "copyDuration": 3,
            "throughput": 0.044,
            "errors": [],
            "effectiveIntegrationRuntime": "AutoResolveIntegrationRuntime (West Europe)",
            "usedDataIntegrationUnits": 4,
            "usedParallelCopies": 1,
            "durationInQueue": { "integrationRuntimeQueue": 0 },
        }),
        "Lookup" => json!({ "firstRow": {}, "count": 1, "value": [{}] }),
        _ => json!({}),
    }
}
