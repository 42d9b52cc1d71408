//! Pictures of a plan, or of a flow with its outcomes: text, Mermaid, DOT, SVG and JSON.
//!
//! [`draw`] makes a [`Drawing`] of boxes and arrows; each format is a pure function from it to text. Iterations of a step
//! are one box unless they are asked for. Colour never stands alone: every state is also a word.

mod dot;
mod draw;
mod inline;
mod json;
mod layout;
mod mermaid;
mod svg;
mod text;

pub use dot::dot;
pub use draw::draw;
pub use inline::{inline, waves};
pub use json::json;
pub use mermaid::{EDGES_MAX as MERMAID_EDGES_MAX, TEXT_MAX as MERMAID_TEXT_MAX, mermaid};
pub use svg::svg;
pub use text::text;

/// A plan or flow as boxes and arrows.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// The plan's name.
    pub plan: String,
    /// The flow's id, if it is one.
    pub flow: Option<String>,
    /// What it is, in a line.
    pub headline: String,
    /// The boxes, in file order.
    pub nodes: Vec<Node>,
    /// The arrows, each from what is waited for to what waits.
    pub links: Vec<Link>,
}

impl Drawing {
    /// Returns in how many waves the steps start.
    pub fn waves(&self) -> usize {
        let waves = self.nodes.iter().filter(|node| node.kind.is_step()).map(|node| node.wave + 1);
        waves.max().unwrap_or(0)
    }

    /// Returns how many steps there are, every iteration for itself.
    pub fn steps(&self) -> usize {
        self.nodes
            .iter()
            .map(|node| match &node.kind {
                Kind::Step { .. } => 1,
                Kind::Group { iterations } => iterations.unwrap_or(0),
                Kind::Junction | Kind::Barrier => 0,
            })
            .sum()
    }
}

/// A box.
#[derive(Clone, Debug)]
pub struct Node {
    /// The step's id; of a group that without brackets.
    pub id: String,
    /// What it stands for.
    pub kind: Kind,
    /// The pipeline it runs; empty for what runs none.
    pub pipeline: String,
    /// The workspace it runs in; empty for what runs none.
    pub workspace: String,
    /// What it is for, if the plan says.
    pub description: Option<String>,
    /// Its condition, if it has one.
    pub when: Option<String>,
    /// Whether it waits for the end of all others.
    pub is_final: bool,
    /// Whether it may fail.
    pub allow_failure: bool,
    /// Why it does not run whatever happens, if so.
    pub spared: Option<String>,
    /// Words to select it by.
    pub tags: Vec<String>,
    /// How many steps end, one after the other, before it starts.
    pub wave: usize,
    /// How many boxes stand before it on the longest way.
    pub layer: usize,
    /// How it stands, in a flow.
    pub state: Option<State>,
}

/// What a box stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A step, or one iteration of one.
    Step {
        /// The step that it is an iteration of.
        group: Option<String>,
    },
    /// All iterations of a step.
    Group {
        /// How many; nothing where they are not known yet.
        iterations: Option<usize>,
    },
    /// The end of all iterations that have boxes of their own.
    Junction,
    /// The end of all steps without `finally`.
    Barrier,
}

impl Kind {
    /// Says whether it runs something.
    pub const fn is_step(&self) -> bool {
        matches!(self, Self::Step { .. } | Self::Group { .. })
    }
}

/// How a box stands in a flow.
#[derive(Clone, Debug)]
pub struct State {
    /// Its colour.
    pub mark: Mark,
    /// The word for where it is, as `status` has it; of several iterations that of all together, if they have ended.
    pub state: String,
    /// How it ended.
    pub outcome: Option<&'static str>,
    /// The same for people.
    pub words: String,
    /// Of how many iterations what is true, in the order of the marks.
    pub counts: Vec<(Mark, usize)>,
}

/// An arrow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What is waited for, a position in the drawing's boxes.
    pub from: usize,
    /// What waits.
    pub to: usize,
    /// The edge's words; empty for a bare edge.
    pub conditions: Vec<&'static str>,
    /// Which iterations are meant.
    pub through: Through,
}

/// Which iterations of a box an arrow means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Through {
    /// All, or there is only one.
    All,
    /// Each waits for the one with its own key.
    Paired,
    /// These.
    Keys(Vec<String>),
    /// It is no edge of the plan: it gathers steps whose end is waited for.
    Gathering,
}

impl Link {
    /// Returns what stands at the arrow; empty for one that needs no words.
    pub fn label(&self) -> String {
        let words = self.conditions.join(", ");
        let through = match &self.through {
            Through::All | Through::Gathering => String::new(),
            Through::Paired => "each its own".to_owned(),
            Through::Keys(keys) => format!("only {}", keys.join(", ")),
        };
        match (through.as_str(), words.as_str()) {
            ("", _) => words,
            (_, "") => through,
            _ => format!("{through}: {words}"),
        }
    }

    /// Says whether a failure or the lack of a run may meet it, so that it is drawn dashed.
    pub const fn is_conditional(&self) -> bool {
        !self.conditions.is_empty()
    }
}

/// How a step stands, as a colour. In the order in which the marks of a group are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// It succeeded.
    Succeeded,
    /// It succeeded, yet an activity failed.
    Warned,
    /// It failed.
    Failed,
    /// It took too long.
    TimedOut,
    /// It was cancelled.
    Cancelled,
    /// A person must look.
    Unknown,
    /// It is under way.
    Running,
    /// It waits.
    Waiting,
    /// Its own condition was false.
    Skipped,
    /// What it waited for did not happen.
    NotNeeded,
    /// What it depends on went wrong.
    Blocked,
}

impl Mark {
    /// Every mark, in order.
    pub const ALL: [Self; 11] = [
        Self::Succeeded,
        Self::Warned,
        Self::Failed,
        Self::TimedOut,
        Self::Cancelled,
        Self::Unknown,
        Self::Running,
        Self::Waiting,
        Self::Skipped,
        Self::NotNeeded,
        Self::Blocked,
    ];

    /// Returns the word for programs; it is also the class in Mermaid and SVG.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Warned => "warned",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Skipped => "skipped",
            Self::NotNeeded => "not_needed",
            Self::Blocked => "blocked",
        }
    }

    /// Returns the word for people.
    pub fn spoken(self) -> String {
        self.word().replace('_', " ")
    }

    /// Returns its colours: the inside and the border on a light ground, then both on a dark one.
    const fn colours(self) -> [&'static str; 4] {
        match self {
            Self::Succeeded => ["#dafbe1", "#1a7f37", "#0f2d1a", "#3fb950"],
            Self::Warned => ["#fff8c5", "#9a6700", "#2e2400", "#d29922"],
            Self::Failed => ["#ffebe9", "#cf222e", "#3c1113", "#f85149"],
            Self::TimedOut => ["#fff1e5", "#bc4c00", "#341a00", "#f0883e"],
            Self::Cancelled => ["#fbefff", "#8250df", "#271052", "#bc8cff"],
            Self::Unknown => ["#ffeff7", "#bf3989", "#3a0f26", "#f778ba"],
            Self::Running => ["#ddf4ff", "#0969da", "#0b2545", "#58a6ff"],
            Self::Waiting => ["#ffffff", "#6e7781", "#161b22", "#8b949e"],
            Self::Skipped | Self::NotNeeded => ["#eaeef2", "#8c959f", "#21262d", "#6e7681"],
            Self::Blocked => ["#eaeef2", "#57606a", "#21262d", "#8b949e"],
        }
    }
}

/// Returns the marks of a drawing, each with how many steps have it.
fn tally(drawing: &Drawing) -> Vec<(Mark, usize)> {
    let states = drawing.nodes.iter().filter(|node| node.kind.is_step()).filter_map(|n| n.state.as_ref());
    let counts: Vec<(Mark, usize)> = states.flat_map(|state| state.counts.iter().copied()).collect();
    let of = |mark: Mark| counts.iter().filter(|(other, _)| *other == mark).map(|(_, count)| count).sum();
    Mark::ALL.into_iter().map(|mark| (mark, of(mark))).filter(|(_, count): &(_, usize)| *count > 0).collect()
}

/// Returns the name of a box with how many iterations it stands for.
fn name(node: &Node) -> String {
    match &node.kind {
        Kind::Group { iterations: Some(iterations) } => format!("{} ×{iterations}", node.id),
        Kind::Group { iterations: None } => format!("{} ×?", node.id),
        Kind::Junction => format!("all of {}", node.id),
        Kind::Step { .. } | Kind::Barrier => node.id.clone(),
    }
}

/// Returns the second line of a box: how it stands, and its pipeline where that has another name.
fn second_line(node: &Node) -> String {
    let state = node.state.iter().map(|state| state.words.as_str());
    let pipeline = Some(node.pipeline.as_str()).filter(|name| !name.is_empty() && *name != node.id);
    state.chain(pipeline).collect::<Vec<_>>().join(" · ")
}

/// Returns what is said of a box where there is room: one fact a line.
fn facts(node: &Node) -> Vec<String> {
    let mut facts = vec![name(node)];
    facts.extend(node.state.iter().map(|state| state.words.clone()));
    if !node.pipeline.is_empty() {
        facts.push(format!("pipeline {} in {}", node.pipeline, node.workspace));
    }
    facts.extend(node.description.clone());
    facts.extend(node.when.iter().map(|when| format!("when {when}")));
    facts.extend(node.spared.iter().map(|why| format!("does not run: {why}")));
    if node.allow_failure {
        facts.push("may fail".to_owned());
    }
    facts
}
