//! What would happen: a plan in waves, with the values it would send, why each step waits, what it may take, what binds,
//! and what is other than last time. For people, for programs and for the comment of a pull request.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::diff::Difference;
use crate::graph::PlanGraph;
use crate::plan::{Plan, Step, StepIndex, When};
use crate::report::checkup::{self, Group};
use crate::report::markdown::{cell, code_cell};
use crate::report::{counted, differences, one_line};
use crate::time::{Delay, Timestamp};

/// How many steps of a wave the text names when they have to take turns.
const NAMED_MAX: usize = 5;

/// All that is known before anything starts.
#[derive(Debug)]
pub struct Outlook<'a> {
    /// The plan, narrowed to what would run.
    pub plan: &'a Plan,
    /// Its graph.
    pub graph: &'a PlanGraph,
    /// How many runs may be under way at once.
    pub max_parallel: usize,
    /// When it is looked at.
    pub now: Timestamp,
    /// What earlier flows make likely; nothing where nobody asked.
    pub forecast: Option<Forecast>,
    /// What is other than in the latest flow: its id, and the differences.
    pub earlier: Option<(String, Vec<Difference>)>,
    /// Runs of the plan's pipelines that are live already; nothing where nobody looked.
    pub live: Option<Vec<String>>,
    /// What the sign-in and the workspaces look like.
    pub groups: Vec<Group>,
    /// Where the plan does not fit the pipelines' definitions, a line each.
    pub findings: Vec<String>,
}

/// What earlier flows make likely.
#[derive(Clone, Debug, Default)]
pub struct Forecast {
    /// What steps took in half of the flows, and in nine of ten.
    pub steps: BTreeMap<StepIndex, (Delay, Delay)>,
    /// How a rehearsal with what they usually took goes; nothing if no step was ever seen.
    pub course: Option<Course>,
}

/// How a rehearsed flow goes.
#[derive(Clone, Debug)]
pub struct Course {
    /// How long it takes.
    pub makespan: Delay,
    /// The longest way through what ran.
    pub critical_path: Vec<StepIndex>,
    /// How it ends, as a word.
    pub outcome: &'static str,
}

impl Outlook<'_> {
    fn waves(&self) -> Vec<Vec<StepIndex>> {
        let mut waves: BTreeMap<usize, Vec<StepIndex>> = BTreeMap::new();
        for (step, _) in self.plan.runs() {
            waves.entry(self.graph.wave(step)).or_default().push(step);
        }
        waves.into_values().collect()
    }

    fn headline(&self) -> String {
        let environment = match self.plan.environment.as_str() {
            "" => String::new(),
            name => format!(" in the environment `{name}`"),
        };
        format!(
            "plan `{}`{environment}: {} in {}, at most {} at once",
            self.plan.name,
            counted(self.plan.runs().count(), "step"),
            counted(self.waves().len(), "wave"),
            self.max_parallel
        )
    }

    /// Returns what binds: places and pools for which steps take turns.
    fn limits(&self) -> Vec<String> {
        let mut limits = Vec::new();
        for (number, wave) in
            self.waves().iter().enumerate().filter(|(_, wave)| wave.len() > self.max_parallel)
        {
            limits.push(format!(
                "`max_parallel` {}: the {} of wave {} take turns",
                self.max_parallel,
                counted(wave.len(), "step"),
                number + 1
            ));
        }
        for (position, pool) in self.plan.pools.iter().enumerate() {
            let takers: Vec<(&Step, u64)> = self
                .plan
                .runs()
                .filter_map(|(_, step)| {
                    let taken = step.pools.iter().find(|(pool, _)| *pool == position)?;
                    Some((step, taken.1))
                })
                .collect();
            let wanted: u64 =
                takers.iter().map(|(_, weight)| weight).fold(0, |sum, weight| sum.saturating_add(*weight));
            if wanted > pool.size {
                let mut names: Vec<String> =
                    takers.iter().take(NAMED_MAX).map(|(step, _)| step.id.to_string()).collect();
                if takers.len() > NAMED_MAX {
                    names.push(format!("{} more", takers.len() - NAMED_MAX));
                }
                limits.push(format!("pool `{}` of {}: shared by {}", pool.name, pool.size, names.join(", ")));
            }
        }
        limits
    }

    /// Says how long it would take, and by which steps; and how that stands to the deadline.
    fn expectation(&self) -> Vec<String> {
        let Some(forecast) = &self.forecast else { return Vec::new() };
        let Some(course) = &forecast.course else {
            return vec!["no step of this plan has been seen to end: there is no forecast".to_owned()];
        };
        let end = self.now + course.makespan;
        let way: Vec<String> = course
            .critical_path
            .iter()
            .map(|step| {
                let took = forecast.steps.get(step).map(|(usual, _)| usual.short()).unwrap_or_default();
                format!("{} ({took})", self.plan.steps[step.0].id)
            })
            .collect();
        let mut said = vec![
            format!("about {}; begun now, it would end {}", course.makespan.short(), end.spoken()),
            format!("the longest way: {}", way.join(" > ")),
        ];
        if course.outcome != "succeeded" {
            said.push(format!(
                "it would end {}: `synflow rehearse` says why",
                course.outcome.replace('_', " ")
            ));
        }
        let unseen = self.plan.runs().filter(|(step, _)| !forecast.steps.contains_key(step)).count();
        if unseen > 0 {
            let (noun, verb) = if unseen == 1 { ("step has", "counts") } else { ("steps have", "count") };
            said.push(format!("{unseen} {noun} not been seen to end, and {verb} as nothing"));
        }
        if let Some(deadline) = &self.plan.deadline {
            let due = deadline.of(self.now);
            said.push(if end > due {
                format!("the deadline {} is at risk: {} too late", due.spoken(), end.since(due).short())
            } else {
                format!("the deadline {} leaves {}", due.spoken(), due.since(end).short())
            });
        }
        said
    }

    /// Returns the text for people. The groups are left out: they are shown as they are found.
    pub fn text(&self) -> String {
        let mut out = String::new();
        line(&mut out, &self.headline());
        for (name, value) in &self.plan.inputs {
            line(&mut out, &format!("  input {name} = {value}"));
        }
        if let Some(deadline) = &self.plan.deadline {
            line(&mut out, &format!("  deadline, if begun now: {}", deadline.of(self.now).spoken()));
        }
        for (number, steps) in self.waves().into_iter().enumerate() {
            out.push('\n');
            line(&mut out, &format!("wave {}", number + 1));
            for step in steps {
                self.describe(&mut out, step);
            }
        }
        section(&mut out, "limits that bind", &self.limits());
        section(&mut out, "forecast", &self.expectation());
        if let Some((id, differences)) = &self.earlier {
            let _ = write!(out, "\nsince flow {id}: {}\n", differences::tally(differences));
            for one in differences::text(differences).lines() {
                let _ = writeln!(out, "  {one}");
            }
        }
        if let Some(live) = &self.live {
            section(&mut out, "already running", live);
        }
        out
    }

    fn describe(&self, out: &mut String, index: StepIndex) {
        let plan = self.plan;
        let step = &plan.steps[index.0];
        let workspace = &plan.workspaces[step.workspace];
        line(out, &format!("  {}: pipeline `{}` in `{}`", step.id, step.pipeline, workspace.name));
        if let Some(reason) = reason(plan, step) {
            line(out, &format!("    {reason}"));
        }
        if let Some(when) = &step.when {
            line(out, &format!("    when {}", when.text()));
        }
        for (name, value) in values(plan, step) {
            line(out, &format!("    {name} = {value}"));
        }
        if !step.outputs.is_empty() {
            let names: Vec<&str> = step.outputs.iter().map(|output| output.name.as_str()).collect();
            line(out, &format!("    gives {}", names.join(", ")));
        }
        if let Some((usual, long)) = self.took(index) {
            let long = if long > usual {
                format!(", in one flow of ten more than {}", long.short())
            } else {
                String::new()
            };
            line(out, &format!("    usually {}{long}", usual.short()));
        }
        if let Some(timeout) = step.timeout {
            line(out, &format!("    times out after {}", timeout.short()));
        }
        if step.retry.max_attempts > 1 {
            line(out, &format!("    up to {} attempts", step.retry.max_attempts));
        }
        for &(pool, weight) in &step.pools {
            let pool = &plan.pools[pool];
            line(out, &format!("    takes {weight} of {} of pool `{}`", pool.size, pool.name));
        }
        if let Some(reason) = &step.spared {
            line(out, &format!("    does not run: {reason}"));
        }
        if step.allow_failure {
            line(out, "    may fail");
        }
    }

    fn took(&self, step: StepIndex) -> Option<(Delay, Delay)> {
        self.forecast.as_ref()?.steps.get(&step).copied()
    }

    /// Returns the same as the comment of a pull request: Markdown that GitHub and Azure DevOps show alike.
    pub fn markdown(&self) -> String {
        let mut out = format!("### {}\n", cell(&self.headline()));
        if let Some((id, differences)) = &self.earlier {
            let _ = write!(out, "\n**Since flow `{id}`:** {}\n", differences::tally(differences));
            let said = differences::text(differences);
            if !said.is_empty() {
                let _ = write!(out, "\n```diff\n{said}```\n");
            }
        }
        let mut list = |title: &str, lines: &[String]| {
            if !lines.is_empty() {
                let _ = write!(out, "\n**{title}**\n\n");
                for one in lines {
                    let _ = writeln!(out, "- {}", cell(one));
                }
            }
        };
        list("Against the pipelines", &self.findings);
        list("Limits that bind", &self.limits());
        list("Forecast", &self.expectation());
        list("Already running", self.live.as_deref().unwrap_or_default());
        let failed = self.groups.iter().flat_map(|group| &group.checks).filter(|check| check.is_failure());
        let failed: Vec<String> = failed.map(|check| format!("{}: {}", check.name, check.found)).collect();
        list("Checks that failed", &failed);
        out.push_str("\n<details><summary>Steps and values</summary>\n\n");
        out.push_str(
            "| wave | step | pipeline | waits | parameters | usually |\n|---|---|---|---|---|---|\n",
        );
        for (number, steps) in self.waves().into_iter().enumerate() {
            for index in steps {
                let step = &self.plan.steps[index.0];
                let mut waits: Vec<String> = reason(self.plan, step).iter().map(|text| cell(text)).collect();
                waits.extend(step.when.as_ref().map(|when| format!("when {}", code_cell(&when.text()))));
                let values = values(self.plan, step);
                let values: Vec<String> =
                    values.iter().map(|(name, value)| code_cell(&format!("{name} = {value}"))).collect();
                let _ = writeln!(
                    out,
                    "| {} | {} | {} | {} | {} | {} |",
                    number + 1,
                    cell(step.id.as_str()),
                    code_cell(&step.pipeline),
                    waits.join("; "),
                    values.join(" "),
                    self.took(index).map(|(usual, _)| usual.short()).unwrap_or_default(),
                );
            }
        }
        out.push_str("\n</details>\n");
        out
    }

    /// Returns the same for programs.
    pub fn value(&self, exit_code: u8) -> Value {
        let plan = self.plan;
        let mut steps = Vec::new();
        for (number, wave) in self.waves().into_iter().enumerate() {
            for index in wave {
                let step = &plan.steps[index.0];
                let took = self.took(index);
                steps.push(json!({
                    "id": step.id,
                    "wave": number + 1,
                    "pipeline": step.pipeline,
                    "workspace": plan.workspaces[step.workspace].key,
                    "reason": reason(plan, step),
                    "depends_on": step.depends_on.iter().map(|edge| plan.edge_text(edge)).collect::<Vec<_>>(),
                    "when": step.when.as_ref().map(When::text),
                    "parameters": Map::from_iter(values(plan, step)),
                    "usual_ms": took.map(|(usual, _)| usual.as_ms()),
                    "long_ms": took.map(|(_, long)| long.as_ms()),
                }));
            }
        }
        let forecast = self.forecast.as_ref().map(|forecast| {
            let course = forecast.course.as_ref();
            let id = |step: &StepIndex| plan.steps[step.0].id.to_string();
            json!({
                "makespan_ms": course.map(|course| course.makespan.as_ms()),
                "ends_at": course.map(|course| self.now + course.makespan),
                "outcome": course.map(|course| course.outcome),
                "critical_path": course.map(|course| course.critical_path.iter().map(id).collect::<Vec<_>>()),
                "deadline": plan.deadline.as_ref().map(|deadline| deadline.of(self.now)),
            })
        });
        let earlier = self.earlier.as_ref().map(|(id, differences)| {
            let mut value = differences::json(differences);
            value["flow"] = json!(id);
            value
        });
        json!({
            "plan": plan.name,
            "environment": plan.environment,
            "inputs": plan.inputs,
            "max_parallel": self.max_parallel,
            "steps": steps,
            "limits": self.limits(),
            "forecast": forecast,
            "since": earlier,
            "live": self.live,
            "findings": self.findings,
            "exit_code": exit_code,
            "checks": checkup::value(&self.groups, exit_code)["places"],
        })
    }
}

/// Says what a step waits for; nothing where it starts at once.
fn reason(plan: &Plan, step: &Step) -> Option<String> {
    if step.is_final {
        let words: Vec<&str> = step.depends_on.iter().flat_map(|edge| edge.rule.words()).collect();
        return Some(format!("finally: {}", words.join(", ")));
    }
    let edges: Vec<String> = step.depends_on.iter().map(|edge| plan.edge_text(edge)).collect();
    (!edges.is_empty()).then(|| format!("after {}", edges.join(", ")))
}

/// Returns the parameters as they would be sent; a text that needs what is not known yet stands as the plan writes it.
fn values(plan: &Plan, step: &Step) -> Vec<(String, Value)> {
    let scope = plan.scope(step);
    step.parameters.iter().map(|(name, template)| (name.clone(), template.shown(&scope))).collect()
}

fn section(out: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = write!(out, "\n{title}\n");
    for one in lines {
        line(out, &format!("  {one}"));
    }
}

fn line(out: &mut String, text: &str) {
    // Names come from the plan as they are; a terminal must not obey them.
    let (indent, rest) = text.split_at(text.len() - text.trim_start_matches(' ').len());
    out.push_str(indent);
    out.push_str(&one_line(rest));
    out.push('\n');
}
