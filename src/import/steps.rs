//! Activities of a master pipeline become steps: what each waits for, runs and is given.

use serde_json::{Map, Value};

use super::draft::{Draft, DraftInput, DraftStep, Edge, Item, Todo, add};
use super::expression::Text;
use super::master::{Activity, Ends, in_order, survives};
use super::names::unique;
use super::parts::{
    cut, key_is_guess, key_of, listed, literal_list, original_of, parameter, policy, sent, text_of,
};
use super::translate::{self, Input, Kind, Names};

/// What has become of an activity.
#[derive(Clone, Debug)]
enum Fate {
    /// It is this step.
    Step(usize),
    /// It is these steps: together they have succeeded if these edges are met.
    Several(Vec<Edge>),
    /// It has stayed behind; it would run if these edges are met, and is taken to succeed then.
    Passed(Vec<Edge>),
    /// It cannot run in a plan.
    Never,
}

/// What holds for all activities of a list.
#[derive(Clone, Debug, Default)]
struct Around {
    /// What the first of them wait for.
    entry: Vec<Edge>,
    /// The conditions they stand below.
    when: Vec<String>,
    /// The loop they stand in.
    rows: Option<Loop>,
}

/// A `ForEach`.
#[derive(Clone, Debug)]
struct Loop {
    list: Value,
    /// The items, if they are known.
    items: Option<Vec<Value>>,
    number: usize,
    key: Option<String>,
    max_parallel: Option<u64>,
}

/// Makes steps of activities.
pub(super) struct Builder<'a> {
    /// The plan in the making.
    pub(super) draft: Draft,
    inputs: Vec<Input>,
    defaults: Map<String, Value>,
    master: &'a str,
    top: &'a [Activity<'a>],
    loops: usize,
    /// Whether something waits for the activity that is being looked at.
    is_awaited: bool,
}

impl<'a> Builder<'a> {
    /// Begins with the inputs of a draft.
    pub(super) fn new(draft: Draft, inputs: Vec<Input>, master: &'a str, top: &'a [Activity<'a>]) -> Self {
        let defaults = draft.inputs.iter().filter_map(|it| Some((it.name.clone(), it.default.clone()?)));
        let defaults = defaults.collect();
        Self { draft, inputs, defaults, master, top, loops: 0, is_awaited: false }
    }

    /// Makes steps of all activities.
    pub(super) fn build(mut self) -> Draft {
        let top = self.top;
        self.level(top, &Around::default());
        self.draft
    }

    fn names<'n>(&'n self, around: &'n Around) -> Names<'n> {
        Names {
            inputs: &self.inputs,
            master: self.master,
            has_item: around.rows.is_some(),
            items: around.rows.as_ref().and_then(|rows| rows.items.as_deref()),
        }
    }

    /// Makes steps of a list of activities and says what they have become.
    fn level(&mut self, activities: &[Activity<'_>], around: &Around) -> Fate {
        let first = self.draft.steps.len();
        let mut fates: Vec<(String, Fate)> = Vec::new();
        for activity in in_order(activities) {
            let fate = match incoming(&activity, &fates, around) {
                Ok(edges) => {
                    self.is_awaited = awaits(activities, activity.name());
                    self.one(&activity, edges, around)
                }
                Err(why) => {
                    self.is_awaited = false;
                    let inside = activity.pipelines_inside();
                    let text = format!(
                        "`{}` stays behind: {why}.{}",
                        activity.name(),
                        if inside.is_empty() {
                            String::new()
                        } else {
                            format!(" So do {}.", listed(&inside))
                        }
                    );
                    self.left(&activity, text);
                    Fate::Never
                }
            };
            fates.push((activity.name().to_owned(), fate));
        }
        if self.draft.steps.len() == first + 1
            && let [Fate::Step(step)] = fates
                .iter()
                .map(|(_, fate)| fate.clone())
                .filter(|fate| !matches!(fate, Fate::Passed(_)))
                .collect::<Vec<_>>()
                .as_slice()
        {
            return Fate::Step(*step);
        }
        if self.draft.steps.len() == first {
            return Fate::Passed(around.entry.clone());
        }
        let mut edges = Vec::new();
        for leaf in activities.iter().filter(|it| !awaits(activities, it.name())) {
            self.ends_well(leaf, activities, &fates, &mut edges);
        }
        Fate::Several(edges)
    }

    /// Adds what must be true for a list whose last activity is this one to have succeeded: it has, or what it waited
    /// for has instead.
    fn ends_well(
        &self,
        leaf: &Activity<'_>,
        all: &[Activity<'_>],
        fates: &[(String, Fate)],
        edges: &mut Vec<Edge>,
    ) {
        let is_handler = leaf.depends_on().iter().any(|(_, ends)| !ends.has(Ends::SUCCEEDED));
        let fate = fates.iter().find(|(name, _)| name == leaf.name()).map(|(_, fate)| fate);
        let mut asks_before = is_handler;
        match fate {
            Some(Fate::Step(step)) => {
                let failed = if self.draft.steps[*step].allow_failure { Ends::FAILED } else { Ends::NONE };
                let skipped = if is_handler { Ends::SKIPPED } else { Ends::NONE };
                add(edges, &[Edge { step: *step, ends: Ends::SUCCEEDED.or(failed).or(skipped) }]);
            }
            Some(Fate::Several(inner)) => add(edges, inner),
            Some(Fate::Passed(_) | Fate::Never) | None => asks_before = true,
        }
        if asks_before {
            for (name, _) in leaf.depends_on() {
                if let Some(before) = all.iter().find(|it| it.name() == name) {
                    self.ends_well(before, all, fates, edges);
                }
            }
        }
    }

    fn one(&mut self, activity: &Activity<'_>, edges: Vec<Edge>, around: &Around) -> Fate {
        if activity.is_inactive() {
            let text = format!("`{}` is switched off in the master and stays behind.", activity.name());
            self.left(activity, text);
            return if activity.end_if_inactive() == Ends::SUCCEEDED {
                Fate::Passed(edges)
            } else {
                Fate::Never
            };
        }
        match activity.kind() {
            "ExecutePipeline" => self.execute(activity, edges, around),
            "ForEach" if around.rows.is_none() => self.for_each(activity, edges, around),
            "IfCondition" => self.condition(activity, edges, around),
            "Switch" => self.switch(activity, &edges, around),
            kind => {
                let inside = activity.pipelines_inside();
                let kind = if kind.is_empty() { "an activity without a type" } else { kind };
                let mut text = format!("`{}` ({kind}) runs no pipeline and stays behind.", activity.name());
                if !inside.is_empty() {
                    text = format!(
                        "`{}` ({kind}) has no counterpart in a plan and stays behind, with {} inside.",
                        activity.name(),
                        listed(&inside)
                    );
                }
                self.left(activity, text);
                Fate::Passed(edges)
            }
        }
    }

    /// Leaves an activity to a person.
    fn left(&mut self, activity: &Activity<'_>, mut text: String) {
        if self.is_awaited {
            text.push_str(" What waits for it waits for what it waited for instead.");
        }
        let original = Some(cut(&activity.json.to_string()));
        self.draft.items.push(Item::Todo(Todo { path: activity.path.clone(), text, original }));
    }

    /// Asks for a value that the master computed, as an input that must be given.
    fn asked(&mut self, name: &str, kind: &'static str, path: &str, text: &str, original: &str) -> String {
        let taken: Vec<&str> = self.draft.inputs.iter().map(|input| input.name.as_str()).collect();
        let name = unique(&super::names::input(name), &taken);
        let todo = Todo { path: path.to_owned(), text: text.to_owned(), original: Some(cut(original)) };
        self.draft.inputs.push(DraftInput {
            name: name.clone(),
            kind,
            default: None,
            is_secret: false,
            todos: vec![todo],
        });
        name
    }

    fn for_each(&mut self, activity: &Activity<'_>, edges: Vec<Edge>, around: &Around) -> Fate {
        let (items, path) = activity.setting("items");
        let names = self.names(around);
        let text = text_of(items);
        let input = match &text {
            Some(Text::Whole(expression)) => {
                translate::input(expression, names).filter(|it| it.kind == Kind::List)
            }
            _ => None,
        };
        let (list, known) = if let (Some(text), Some(input)) = (&text, input) {
            let default = self.defaults.get(&input.name).and_then(Value::as_array).cloned();
            (translate::value(text, names), default)
        } else {
            let list = literal_list(items, text.as_ref());
            (list.clone().and_then(|list| translate::literal(&Value::from(list))), list)
        };
        let (list, known) = match (known, input) {
            // Two iterations cannot have one key: those of a literal list are numbered, another list is asked for.
            (Some(items), None) if has_twins(&items) => {
                let numbered =
                    items.iter().enumerate().map(|(at, item)| ((at + 1).to_string(), item.clone()));
                (list.map(|_| Value::Object(numbered.collect())), Some(items))
            }
            (Some(items), Some(_)) if has_twins(&items) => (None, None),
            (known, _) => (list, known),
        };
        if activity.pipelines_inside().is_empty() {
            let text = format!("`{}` (ForEach) runs no pipelines and stays behind.", activity.name());
            self.left(activity, text);
            return Fate::Passed(edges);
        }
        let list = list.unwrap_or_else(|| {
            let text =
                "the master computes this list when it runs. Give it as an input, or write it into the plan.";
            let name = self.asked(activity.name(), "array", &path, text, &original_of(items));
            Value::String(format!("{{{{inputs.{name}}}}}"))
        });
        let json = sent(activity);
        let key = key_of(known.as_deref(), &json).filter(|_| !list.is_object());
        let (sequential, _) = activity.setting("isSequential");
        let (count, _) = activity.setting("batchCount");
        let max_parallel =
            if sequential.as_bool() == Some(true) { Some(1) } else { count.as_u64().filter(|n| *n > 0) };
        self.loops += 1;
        let rows = Loop { list, items: known.clone(), number: self.loops, key, max_parallel };
        let inner = Around { entry: edges, when: around.when.clone(), rows: Some(rows) };
        let branch = activity.branches().remove(0);
        let first = self.draft.steps.len();
        let fate = self.level(&branch.activities, &inner);
        let steps = first..self.draft.steps.len();
        if steps.len() > 1 && max_parallel == Some(1) {
            let text = "the master runs all activities for one item before it begins the next; here each step takes the items one at a time, \
                        and the next item may begin while later steps of this one run.";
            self.note(first, &path, text);
        }
        if known.is_none() && key_is_guess(self.draft.steps.get(first)) {
            self.note(
                first,
                &path,
                "`key` must be different for each item; another member may name it better.",
            );
        }
        fate
    }

    fn note(&mut self, step: usize, path: &str, text: &str) {
        if let Some(step) = self.draft.steps.get_mut(step) {
            step.todos.push(Todo { path: path.to_owned(), text: text.to_owned(), original: None });
        }
    }

    fn condition(&mut self, activity: &Activity<'_>, edges: Vec<Edge>, around: &Around) -> Fate {
        if activity.pipelines_inside().is_empty() {
            let text = format!("`{}` (IfCondition) runs no pipelines and stays behind.", activity.name());
            self.left(activity, text);
            return Fate::Passed(edges);
        }
        let (given, path) = activity.setting("expression");
        let names = self.names(around);
        let known = match text_of(given) {
            Some(Text::Whole(expression)) => translate::condition(&expression, names),
            _ => None,
        };
        let when = known.unwrap_or_else(|| {
            let text = if around.rows.is_some() {
                "the master decides this for each item when it runs. Give it as an input, which then holds for all items, or write a condition \
                 into `when`."
            } else {
                "the master decides this when it runs. Give it as an input, or write a condition into `when`."
            };
            format!("inputs.{}", self.asked(activity.name(), "bool", &path, text, &original_of(given)))
        });
        let cases = activity.branches().into_iter().map(|branch| {
            let when = match (branch.is_other, when.contains(' ')) {
                (false, _) => when.clone(),
                (true, false) => format!("not {when}"),
                (true, true) => format!("not ({when})"),
            };
            (when, branch.activities)
        });
        let cases = cases.collect();
        self.cases(cases, &edges, around)
    }

    fn switch(&mut self, activity: &Activity<'_>, edges: &[Edge], around: &Around) -> Fate {
        if activity.pipelines_inside().is_empty() {
            let text = format!("`{}` (Switch) runs no pipelines and stays behind.", activity.name());
            self.left(activity, text);
            return Fate::Passed(edges.to_vec());
        }
        let (given, path) = activity.setting("on");
        let branches = activity.branches();
        let all: Vec<&str> = branches.iter().filter_map(|branch| branch.case).collect();
        let names = self.names(around);
        let text = text_of(given).unwrap_or(Text::Unreadable);
        let asked = if translate::one_of(&text, &["x"], false, names).is_none() {
            let text =
                "the master decides this when it runs. Give it as an input, or write conditions into `when`.";
            Some(self.asked(activity.name(), "string", &path, text, &original_of(given)))
        } else {
            None
        };
        let cases = branches
            .into_iter()
            .filter(|branch| !(branch.activities.is_empty() || branch.is_other && all.is_empty()))
            .map(|branch| {
                let own: Vec<&str> = branch.case.into_iter().collect();
                let values = if branch.is_other { &all } else { &own };
                let when = match &asked {
                    None => translate::one_of(&text, values, branch.is_other, self.names(around))
                        .unwrap_or_default(),
                    Some(name) => {
                        let values: Vec<String> =
                            values.iter().map(|value| Value::from(*value).to_string()).collect();
                        let sign = if branch.is_other { "not in" } else { "in" };
                        format!("inputs.{name} {sign} [{}]", values.join(", "))
                    }
                };
                (when, branch.activities)
            });
        let cases = cases.collect();
        self.cases(cases, edges, around)
    }

    /// Makes steps of activities of which only some run.
    fn cases(&mut self, cases: Vec<(String, Vec<Activity<'_>>)>, edges: &[Edge], around: &Around) -> Fate {
        let mut fates = Vec::new();
        for (when, activities) in cases {
            let mut inner = Around { entry: edges.to_vec(), ..around.clone() };
            inner.when.push(when);
            if !activities.is_empty() {
                fates.push(self.level(&activities, &inner));
            }
        }
        fates.retain(|fate| !matches!(fate, Fate::Passed(_)));
        match fates.as_slice() {
            [] => Fate::Passed(edges.to_vec()),
            [one] => one.clone(),
            several => {
                let mut all = Vec::new();
                for fate in several {
                    match fate {
                        Fate::Step(step) => {
                            let allowed =
                                if self.draft.steps[*step].allow_failure { Ends::FAILED } else { Ends::NONE };
                            add(&mut all, &[Edge { step: *step, ends: Ends::SUCCEEDED.or(allowed) }]);
                        }
                        Fate::Several(edges) => add(&mut all, edges),
                        Fate::Passed(_) | Fate::Never => {}
                    }
                }
                Fate::Several(all)
            }
        }
    }

    fn execute(&mut self, activity: &Activity<'_>, edges: Vec<Edge>, around: &Around) -> Fate {
        let names = self.names(around);
        let (reference, path) = activity.setting("pipeline");
        let name = &reference["referenceName"];
        let pipeline = text_of(name)
            .and_then(|text| translate::value(&text, names))
            .and_then(|value| Some(value.as_str()?.to_owned()));
        let Some(pipeline) = pipeline.filter(|name| !name.is_empty()) else {
            let text = format!(
                "`{}` takes the name of its pipeline from something that a plan does not know ({path}) and stays behind.",
                activity.name()
            );
            self.left(activity, text);
            return Fate::Passed(edges);
        };
        let mut step = DraftStep {
            pipeline,
            description: activity.json["description"]
                .as_str()
                .filter(|text| !text.trim().is_empty())
                .map(str::to_owned),
            edges,
            when: match around.when.as_slice() {
                [] => None,
                [one] => Some(one.clone()),
                several => Some(
                    several
                        .iter()
                        .map(|when| if when.contains(' ') { format!("({when})") } else { when.clone() })
                        .collect::<Vec<_>>()
                        .join(" and "),
                ),
            },
            rows: around.rows.as_ref().map(|rows| (rows.list.clone(), rows.number)),
            key: around.rows.as_ref().and_then(|rows| rows.key.clone()),
            max_parallel: around.rows.as_ref().and_then(|rows| rows.max_parallel),
            ..DraftStep::default()
        };
        let (given, path) = activity.setting("parameters");
        for (name, value) in given.as_object().into_iter().flatten() {
            match parameter(value).and_then(|text| match text {
                Ok(text) => translate::value(&text, names),
                Err(value) => translate::literal(&value),
            }) {
                Some(value) => step.parameters.push((name.clone(), value)),
                None => step.todos.push(Todo {
                    path: format!("{path}.{name}"),
                    text: format!("the parameter `{name}` is not sent: a plan cannot compute this."),
                    original: Some(cut(&original_of(value))),
                }),
            }
        }
        policy(activity, &mut step);
        self.finish(activity, &mut step);
        let taken: Vec<&str> = self.draft.steps.iter().map(|step| step.id.as_str()).collect();
        step.id = unique(&super::names::step(activity.name()), &taken);
        let at = self.draft.steps.len();
        self.draft.steps.push(step);
        self.draft.items.push(Item::Step(at));
        Fate::Step(at)
    }

    /// Says what becomes of the step's failure, and where its edges mean something else than the master's.
    fn finish(&self, activity: &Activity<'_>, step: &mut DraftStep) {
        let (waits, path) = activity.setting("waitOnCompletion");
        let todo = |text: &str, original: String| Todo {
            path: path.clone(),
            text: text.to_owned(),
            original: Some(original),
        };
        if waits.as_bool() == Some(true) {
            step.allow_failure = survives(self.top, &activity.path);
            if step.allow_failure {
                step.notes.push("The master succeeds although this fails: every last activity succeeds all the same, or was skipped.".to_owned());
            }
        } else {
            step.allow_failure = true;
            let text = "the master starts this and does not wait for it. A plan always waits: what depends on this step begins when its run has ended, \
                        well or badly.";
            step.todos.push(todo(text, original_of(waits)));
        }
        for edge in &step.edges {
            let upstream = &self.draft.steps[edge.step];
            if edge.ends.has(Ends::SKIPPED) && edge.ends != Ends::ALL && upstream.when.is_some() {
                step.todos.push(Todo {
                    path: format!("{}.dependsOn", activity.path),
                    text: format!(
                        "this edge is also met when the condition of `{}` is false; in the master it is not.",
                        upstream.id
                    ),
                    original: None,
                });
            }
        }
    }
}

/// Returns what an activity waits for; in half a sentence why that can never happen in a plan.
fn incoming(activity: &Activity<'_>, fates: &[(String, Fate)], around: &Around) -> Result<Vec<Edge>, String> {
    let mut edges = Vec::new();
    for (name, ends) in activity.depends_on() {
        let Some((_, fate)) = fates.iter().find(|(known, _)| known == name) else { continue };
        let (ran, skipped) = (ends.has(Ends::SUCCEEDED), ends.has(Ends::SKIPPED));
        match fate {
            Fate::Step(step) => add(&mut edges, &[Edge { step: *step, ends }]),
            Fate::Several(all) if ran => {
                let more = ends.and(Ends::FAILED).or(ends.and(Ends::SKIPPED));
                let all: Vec<Edge> =
                    all.iter().map(|edge| Edge { ends: edge.ends.or(more), ..*edge }).collect();
                add(&mut edges, &all);
            }
            Fate::Several(_) => {
                return Err(format!(
                    "it waits for `{name}` not to succeed, and that has become several steps"
                ));
            }
            Fate::Passed(before) if ran && skipped => {
                let all: Vec<Edge> = before.iter().map(|edge| Edge { ends: Ends::ALL, ..*edge }).collect();
                add(&mut edges, &all);
            }
            Fate::Passed(before) if ran => add(&mut edges, before),
            Fate::Passed(before) if skipped => match before.as_slice() {
                [edge] if edge.ends.others() != Ends::NONE => {
                    add(&mut edges, &[Edge { ends: edge.ends.others(), ..*edge }]);
                }
                _ => return Err(format!("it waits for `{name}` to be skipped, which stays behind")),
            },
            Fate::Passed(_) => return Err(format!("it waits for `{name}` to fail, which stays behind")),
            Fate::Never if skipped => {}
            Fate::Never => return Err(format!("it waits for `{name}`, which stays behind")),
        }
    }
    if edges.iter().any(|edge| edge.ends == Ends::NONE) {
        return Err("what it waits for can never be true at once".to_owned());
    }
    if edges.is_empty() {
        edges.clone_from(&around.entry);
    }
    Ok(edges)
}

/// Says whether two items of a list are the same.
fn has_twins(items: &[Value]) -> bool {
    items.iter().enumerate().any(|(at, item)| items[..at].contains(item))
}

/// Says whether one of the activities waits for the one of this name.
fn awaits(activities: &[Activity<'_>], name: &str) -> bool {
    activities.iter().any(|it| it.depends_on().iter().any(|(other, _)| *other == name))
}
