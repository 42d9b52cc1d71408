//! The plan in the making: steps, inputs and what is left to a person.

use serde_json::Value;

use super::master::Ends;

/// Something that a person must look at.
#[derive(Clone, Debug)]
pub(super) struct Todo {
    /// Where it stands in the definition.
    pub(super) path: String,
    /// What is the matter and what to do.
    pub(super) text: String,
    /// What stands there.
    pub(super) original: Option<String>,
}

/// The plan in the making.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The plan's name.
    pub(super) name: String,
    /// What it is for.
    pub(super) description: Option<String>,
    /// The workspace's name, if it was given.
    pub(super) workspace: Option<String>,
    /// The inputs.
    pub(super) inputs: Vec<DraftInput>,
    /// The steps.
    pub(super) steps: Vec<DraftStep>,
    /// What stands below `steps`, in order.
    pub(super) items: Vec<Item>,
}

/// A line below `steps`.
#[derive(Debug)]
pub(super) enum Item {
    /// A step.
    Step(usize),
    /// Something that has become no step.
    Todo(Todo),
}

/// An input.
#[derive(Debug)]
pub(super) struct DraftInput {
    /// Its name.
    pub(super) name: String,
    /// Its type.
    pub(super) kind: &'static str,
    /// Its default.
    pub(super) default: Option<Value>,
    /// Whether its value is a secret.
    pub(super) is_secret: bool,
    /// What is to be looked at.
    pub(super) todos: Vec<Todo>,
}

/// A step.
#[derive(Debug, Default)]
pub(super) struct DraftStep {
    pub(super) id: String,
    pub(super) pipeline: String,
    pub(super) description: Option<String>,
    pub(super) todos: Vec<Todo>,
    /// Comments that ask for nothing.
    pub(super) notes: Vec<String>,
    pub(super) parameters: Vec<(String, Value)>,
    /// The list that it runs for, and which of the master's loops that is.
    pub(super) rows: Option<(Value, usize)>,
    pub(super) key: Option<String>,
    pub(super) max_parallel: Option<u64>,
    pub(super) when: Option<String>,
    pub(super) edges: Vec<Edge>,
    pub(super) timeout: Option<String>,
    pub(super) retry: Option<(u64, u64)>,
    pub(super) allow_failure: bool,
    pub(super) tags: Vec<String>,
}

/// What a step waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    /// The step.
    pub(super) step: usize,
    /// Which of its ends meet the edge.
    pub(super) ends: Ends,
}

/// Adds edges; of two on one step both must be met.
pub(super) fn add(edges: &mut Vec<Edge>, more: &[Edge]) {
    for edge in more {
        match edges.iter_mut().find(|known| known.step == edge.step) {
            Some(known) => known.ends = known.ends.and(edge.ends),
            None => edges.push(*edge),
        }
    }
}
