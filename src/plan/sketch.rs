//! The steps of a plan before they are read: which ids there are, and where each will stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::reader::{Fields, Reader};
use super::rows::Rows;
use super::source::Node;
use super::steps::STEPS_MAX;
use super::{Each, Edge, EdgeRule, Step, StepId, StepIndex, StepKind};

/// The id of the barrier: no step can have it.
const BARRIER_ID: &str = "all other steps";

/// A step whose keys have been checked, with the rows it is run for.
pub(super) struct Sketch<'n> {
    /// The step's id in the text.
    pub(super) key: &'n Node,
    /// Its text.
    pub(super) id: &'n str,
    /// Its keys; nothing if it is no map.
    pub(super) fields: Option<Fields<'n>>,
    /// What it is run for.
    pub(super) rows: Rows,
}

impl Sketch<'_> {
    /// Returns how many runs it stands for. Rows that are not known yet count as one.
    pub(super) fn runs(&self) -> usize {
        match &self.rows {
            Rows::Single | Rows::Open => 1,
            Rows::Known(rows) => rows.len(),
        }
    }

    /// Returns its id and those of its iterations.
    pub(super) fn ids(&self) -> Vec<StepId> {
        let rows: &[Arc<Each>] = if let Rows::Known(rows) = &self.rows { rows } else { &[] };
        let iterations = rows.iter().map(|each| StepId::new(&iteration_id(self.id, &each.key)));
        std::iter::once(StepId::new(self.id)).chain(iterations).collect()
    }

    /// Returns the keys of its iterations with its id; nothing for those not known yet, or if it has none.
    pub(super) fn group(&self) -> Option<(StepId, Option<BTreeSet<String>>)> {
        let keys = match &self.rows {
            Rows::Single => return None,
            Rows::Open => None,
            Rows::Known(rows) => Some(rows.iter().map(|each| each.key.clone()).collect()),
        };
        Some((StepId::new(self.id), keys))
    }

    /// Says whether it stands for iterations and their group.
    pub(super) fn is_group(&self) -> bool {
        !matches!(self.rows, Rows::Single)
    }

    /// Says whether it runs when all others have ended.
    pub(super) fn is_final(&self) -> bool {
        self.fields.is_some_and(|fields| !fields.lacks("finally"))
    }
}

/// Returns the id of an iteration.
pub(super) fn iteration_id(step: &str, key: &str) -> String {
    format!("{step}[{key}]")
}

/// Where each step of a plan stands, by its id.
pub(super) struct Index<'n> {
    targets: BTreeMap<&'n str, Target<'n>>,
    barrier: StepIndex,
}

/// Where a step and its iterations stand.
pub(super) struct Target<'n> {
    first: usize,
    /// The step itself, or the group of its iterations.
    pub(super) at: StepIndex,
    /// Whether it has iterations.
    pub(super) is_group: bool,
    /// Whether its iterations are known.
    pub(super) has_rows: bool,
    /// Whether it runs when all others have ended.
    pub(super) is_final: bool,
    keys: BTreeMap<&'n str, usize>,
}

impl Target<'_> {
    /// Returns where the iteration with this key stands.
    pub(super) fn iteration(&self, key: &str) -> Option<StepIndex> {
        self.keys.get(key).map(|nth| StepIndex(self.first + nth))
    }

    /// Returns the keys of the iterations.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().copied()
    }
}

impl<'n> Index<'n> {
    /// Gives each step its place: iterations in the order of their rows, their group behind them.
    pub(super) fn of(sketches: &'n [Sketch<'n>]) -> Self {
        let mut next = 0;
        let mut targets = BTreeMap::new();
        for sketch in sketches {
            let rows: &[Arc<Each>] = if let Rows::Known(rows) = &sketch.rows { rows } else { &[] };
            let is_group = sketch.is_group();
            let target = Target {
                first: next,
                at: StepIndex(if is_group { next + sketch.runs() } else { next }),
                is_group,
                has_rows: matches!(sketch.rows, Rows::Known(_)),
                is_final: sketch.is_final(),
                keys: rows.iter().enumerate().map(|(nth, each)| (each.key.as_str(), nth)).collect(),
            };
            next = target.at.0 + 1;
            targets.insert(sketch.id, target);
        }
        Self { targets, barrier: StepIndex(next) }
    }

    /// Returns where a step stands.
    pub(super) fn get(&self, id: &str) -> Option<&Target<'n>> {
        self.targets.get(id)
    }

    /// Returns every id below `steps`.
    pub(super) fn ids(&self) -> impl Iterator<Item = &'n str> {
        self.targets.keys().copied()
    }

    /// Returns where the first run of a step stands.
    pub(super) fn first_of(&self, id: &str) -> usize {
        self.targets.get(id).map_or(0, |target| target.first)
    }

    /// Returns where the barrier stands, behind all steps.
    pub(super) const fn barrier(&self) -> StepIndex {
        self.barrier
    }
}

/// Says whether there are more runs than a plan may have.
pub(super) fn too_many(reader: &mut Reader<'_>, sketches: &[Sketch<'_>]) -> bool {
    let runs: usize = sketches.iter().map(Sketch::runs).sum();
    let Some(largest) = sketches.iter().max_by_key(|sketch| sketch.runs()) else { return false };
    if runs <= STEPS_MAX {
        return false;
    }
    let message = format!("the plan has {runs} steps with all their iterations; {STEPS_MAX} are allowed");
    reader.report(
        Diagnostic::at(Code::TooManySteps, largest.key.span(), message)
            .label(format!("{} iterations", largest.runs()))
            .help("shorten the list, or split the plan in two"),
    );
    true
}

/// Returns the step that stands for all those without `finally`, if there are any with it.
pub(super) fn barrier(steps: &[Step]) -> Option<Step> {
    steps.iter().any(|step| step.is_final).then(|| {
        let positions = steps.iter().enumerate();
        // Iterations end before their group does.
        let awaited = positions.filter(|(_, step)| !step.is_final && step.group.is_none());
        let edge = |(at, step): (usize, &Step)| Edge {
            upstream: StepIndex(at),
            rule: EdgeRule::Bare,
            place: step.place,
        };
        Step {
            id: StepId::new(BARRIER_ID),
            kind: StepKind::Barrier,
            depends_on: awaited.map(edge).collect(),
            ..Step::default()
        }
    })
}
