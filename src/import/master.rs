//! The master pipeline as its definition has it: activities, what they wait for, and what they hold.

use serde_json::Value;

/// Which ends of an activity are meant, out of succeeded, failed and skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends(u8);

impl Ends {
    pub(super) const NONE: Self = Self(0);
    pub(super) const SUCCEEDED: Self = Self(1);
    pub(super) const FAILED: Self = Self(2);
    pub(super) const SKIPPED: Self = Self(4);
    pub(super) const ALL: Self = Self(7);

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn others(self) -> Self {
        Self(Self::ALL.0 & !self.0)
    }

    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// An activity and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Activity<'a> {
    /// Its definition.
    pub(super) json: &'a Value,
    /// Its place, such as `properties.activities[3]`.
    pub(super) path: String,
}

/// Activities inside another.
pub(super) struct Branch<'a> {
    /// The value of a `Switch` that leads here, if one does.
    pub(super) case: Option<&'a str>,
    /// Whether it is the other way: the `ifFalseActivities`, or the `defaultActivities`.
    pub(super) is_other: bool,
    /// The activities.
    pub(super) activities: Vec<Activity<'a>>,
}

/// Returns the activities of a list.
pub(super) fn activities<'a>(list: Option<&'a Value>, path: &str) -> Vec<Activity<'a>> {
    let items = list.and_then(Value::as_array).into_iter().flatten().enumerate();
    items.map(|(at, json)| Activity { json, path: format!("{path}[{at}]") }).collect()
}

impl<'a> Activity<'a> {
    /// Returns its name.
    pub(super) fn name(&self) -> &'a str {
        self.json["name"].as_str().unwrap_or_default()
    }

    /// Returns its type.
    pub(super) fn kind(&self) -> &'a str {
        self.json["type"].as_str().unwrap_or_default()
    }

    /// Returns a setting of its type, with the place where it stands.
    pub(super) fn setting(&self, key: &str) -> (&'a Value, String) {
        (&self.json["typeProperties"][key], format!("{}.typeProperties.{key}", self.path))
    }

    /// Says whether somebody has switched it off.
    pub(super) fn is_inactive(&self) -> bool {
        self.json["state"].as_str().is_some_and(|state| state.eq_ignore_ascii_case("inactive"))
    }

    /// Returns how it counts while it is switched off.
    pub(super) fn end_if_inactive(&self) -> Ends {
        match self.json["onInactiveMarkAs"].as_str().unwrap_or_default().to_ascii_lowercase().as_str() {
            "failed" => Ends::FAILED,
            "skipped" => Ends::SKIPPED,
            _ => Ends::SUCCEEDED,
        }
    }

    /// Returns what it waits for.
    pub(super) fn depends_on(&self) -> Vec<(&'a str, Ends)> {
        let edges = self.json["dependsOn"].as_array().into_iter().flatten();
        let edge = |edge: &'a Value| {
            let conditions = edge["dependencyConditions"].as_array().into_iter().flatten();
            let ends = conditions.filter_map(Value::as_str).fold(Ends::NONE, |ends, word| {
                ends.or(match word.to_ascii_lowercase().as_str() {
                    "succeeded" => Ends::SUCCEEDED,
                    "failed" => Ends::FAILED,
                    "skipped" => Ends::SKIPPED,
                    "completed" => Ends::SUCCEEDED.or(Ends::FAILED),
                    _ => Ends::NONE,
                })
            });
            let ends = if ends == Ends::NONE { Ends::SUCCEEDED } else { ends };
            Some((edge["activity"].as_str()?, ends))
        };
        edges.filter_map(edge).collect()
    }

    /// Returns the activities inside it.
    pub(super) fn branches(&self) -> Vec<Branch<'a>> {
        let of = |key: &str, is_other: bool| {
            let (list, path) = self.setting(key);
            Branch { case: None, is_other, activities: activities(Some(list), &path) }
        };
        match self.kind() {
            "IfCondition" => vec![of("ifTrueActivities", false), of("ifFalseActivities", true)],
            "ForEach" | "Until" => vec![of("activities", false)],
            "Switch" => {
                let (cases, path) = self.setting("cases");
                let cases = cases.as_array().into_iter().flatten().enumerate();
                let case = |(at, case): (usize, &'a Value)| Branch {
                    case: case["value"].as_str(),
                    is_other: false,
                    activities: activities(Some(&case["activities"]), &format!("{path}[{at}].activities")),
                };
                cases.map(case).chain([of("defaultActivities", true)]).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Returns the pipelines that are executed inside it.
    pub(super) fn pipelines_inside(&self) -> Vec<&'a str> {
        let mut found = Vec::new();
        for branch in self.branches() {
            for inner in &branch.activities {
                if inner.kind() == "ExecutePipeline" {
                    found.extend(inner.json["typeProperties"]["pipeline"]["referenceName"].as_str());
                }
                found.extend(inner.pipelines_inside());
            }
        }
        found
    }
}

/// Returns the activities so that each stands after what it waits for, else in the order of the file.
pub(super) fn in_order<'a>(activities: &[Activity<'a>]) -> Vec<Activity<'a>> {
    let mut left: Vec<&Activity<'a>> = activities.iter().collect();
    let mut sorted: Vec<Activity<'a>> = Vec::new();
    while !left.is_empty() {
        let is_open = |name: &str| left.iter().any(|other| other.name() == name);
        let ready = left.iter().position(|it| it.depends_on().iter().all(|(name, _)| !is_open(name)));
        // Activities that wait for each other are refused by the service; here they keep their order.
        sorted.push(left.remove(ready.unwrap_or(0)).clone());
    }
    sorted
}

/// Says whether the master succeeds although the activity at this place fails. One that runs only when another has failed
/// is looked at with each of those.
pub(super) fn survives(top: &[Activity<'_>], failing: &str) -> bool {
    let (well, ran) = ends_well(top, &[failing]);
    if ran {
        return well;
    }
    let all = places(top);
    let ends = all.iter().map(|other| ends_well(top, &[failing, other]));
    let mut ends = ends.filter(|(_, ran)| *ran).map(|(well, _)| well).peekable();
    ends.peek().is_some() && ends.all(|well| well)
}

/// Returns the places of the activities and of all inside them.
pub(super) fn places(activities: &[Activity<'_>]) -> Vec<String> {
    let mut found = Vec::new();
    for activity in activities {
        found.push(activity.path.clone());
        found.extend(activity.branches().iter().flat_map(|branch| places(&branch.activities)));
    }
    found
}

/// Says whether the activities count as succeeded together if those at `failing` fail where they run, and nothing else
/// does: all that nothing waits for must have succeeded, and in place of one that was skipped, what it waited for. Says
/// also whether the first of the failing ones ran.
/// <https://learn.microsoft.com/azure/data-factory/tutorial-pipeline-failure-error-handling>
fn ends_well(activities: &[Activity<'_>], failing: &[&str]) -> (bool, bool) {
    let sorted = in_order(activities);
    let mut ends: Vec<(&str, Ends)> = Vec::new();
    let mut ran = false;
    for activity in &sorted {
        let met = activity.depends_on().iter().all(|(name, wanted)| {
            let end = ends.iter().find(|(known, _)| known == name);
            end.is_none_or(|(_, end)| wanted.has(*end))
        });
        let end = if activity.is_inactive() {
            activity.end_if_inactive()
        } else if !met {
            Ends::SKIPPED
        } else {
            ran |= failing.first() == Some(&activity.path.as_str());
            let mut failed = failing.contains(&activity.path.as_str());
            for branch in activity.branches() {
                let (well, inside) = ends_well(&branch.activities, failing);
                failed |= !well;
                ran |= inside;
            }
            if failed { Ends::FAILED } else { Ends::SUCCEEDED }
        };
        ends.push((activity.name(), end));
    }
    let awaited =
        |name: &str| sorted.iter().any(|it| it.depends_on().iter().any(|(other, _)| *other == name));
    let mut seen: Vec<&str> = Vec::new();
    let mut open: Vec<&str> = sorted.iter().map(Activity::name).filter(|name| !awaited(name)).collect();
    while let Some(name) = open.pop() {
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        match ends.iter().find(|(known, _)| *known == name) {
            Some((_, Ends::FAILED)) => return (false, ran),
            Some((_, Ends::SKIPPED)) => {
                let of = sorted.iter().filter(|it| it.name() == name);
                open.extend(of.flat_map(Activity::depends_on).map(|(name, _)| name));
            }
            _ => {}
        }
    }
    (true, ran)
}
