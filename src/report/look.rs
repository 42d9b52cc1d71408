//! How progress is shown: what the command line and the environment have settled for every report.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::flow::{Flow, RunId};
use crate::plan::{Cloud, StepIndex};
use crate::report::wording::{Tone, run_of};

/// How much is told while a flow runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Telling {
    /// Nothing before the end.
    Nothing,
    /// What went wrong or may.
    Problems,
    /// Every fact that matters.
    #[default]
    Facts,
    /// Also why a step starts, what Synapse says of its run, and how its activities ended.
    Everything,
}

impl Telling {
    /// Says whether a line that is meant like this is told.
    pub(super) const fn takes(self, tone: Tone) -> bool {
        match self {
            Self::Nothing => false,
            Self::Problems => matches!(tone, Tone::Warn | Tone::Bad),
            Self::Facts | Self::Everything => true,
        }
    }
}

/// How a terminal is spoken to.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Whether it takes colours.
    pub colour: bool,
    /// Whether it shows progress in the task bar or the tab, on OSC 9;4.
    pub task_bar: bool,
    /// Where runs can be looked at, if it takes hyperlinks.
    pub links: Links,
    /// How much is told.
    pub telling: Telling,
}

/// The pages of a flow's workspaces in Synapse Studio, as far as they are known. Clones share what they know.
#[derive(Clone, Debug, Default)]
pub struct Links {
    workspaces: Arc<Mutex<BTreeMap<usize, Studio>>>,
}

/// A workspace in Synapse Studio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Studio {
    host: String,
    /// The workspace's resource id, each slash as `%2F`.
    resource: String,
}

impl Studio {
    /// Returns the workspace at an endpoint, by the id of one of its pipelines, which begins with its own; nothing where
    /// the endpoint is in none of the clouds or the id is none.
    ///
    /// That a pipeline's answer holds such an id is recorded (protocol 3); the form of the page's address is what other
    /// tools use, and has not been tried.
    pub fn of(endpoint: &str, pipeline_id: &str) -> Option<Self> {
        let host = endpoint.strip_prefix("https://")?.trim_end_matches('/').to_ascii_lowercase();
        let suffix = Cloud::ALL.into_iter().map(Cloud::host_suffix).find(|suffix| host.ends_with(suffix))?;
        let host = format!("web{}", suffix.strip_prefix(".dev")?);
        let (resource, _) = pipeline_id.split_once("/pipelines/")?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
        let is_one = resource.starts_with("/subscriptions/") && resource.chars().all(is_plain);
        is_one.then(|| Self { host, resource: resource.replace('/', "%2F") })
    }

    /// Returns the page of a run.
    pub fn run(&self, run: RunId) -> String {
        format!("https://{}/en/monitoring/pipelineruns/{run}?workspace={}", self.host, self.resource)
    }
}

impl Links {
    /// Takes in where a workspace of the plan is found.
    pub fn learn(&self, workspace: usize, studio: Studio) {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).insert(workspace, studio);
    }

    /// Returns the page of the run of a step's newest attempt, if both are known.
    pub(super) fn of(&self, flow: &Flow, step: StepIndex) -> Option<String> {
        let run = run_of(flow.run(step))?;
        let workspaces = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        Some(workspaces.get(&flow.step(step).workspace)?.run(run))
    }
}

#[cfg(test)]
mod tests {
    use super::Studio;
    use crate::flow::RunId;

    const PIPELINE: &str = "/subscriptions/0a1b/resourceGroups/rg-dw/providers/Microsoft.Synapse/workspaces/contoso-dw/pipelines/pl";

    #[test]
    fn a_run_has_a_page_in_the_studio_of_its_cloud() {
        let check = |endpoint: &str, want: &str| {
            let page = Studio::of(endpoint, PIPELINE)
                .expect("it is in a cloud")
                .run(RunId(uuid::Uuid::from_u128(7)));
            let rest = "/en/monitoring/pipelineruns/00000000-0000-0000-0000-000000000007?workspace=\
                        %2Fsubscriptions%2F0a1b%2FresourceGroups%2Frg-dw%2Fproviders%2FMicrosoft.Synapse%2Fworkspaces%2Fcontoso-dw";
            assert_eq!(page, format!("https://{want}{rest}"));
        };
        check("https://contoso-dw.dev.azuresynapse.net", "web.azuresynapse.net");
        check("https://contoso-dw.dev.azuresynapse.azure.cn/", "web.azuresynapse.azure.cn");
        check("https://contoso-dw.dev.azuresynapse.usgovcloudapi.net", "web.azuresynapse.usgovcloudapi.net");
    }

    #[test]
    fn what_is_no_workspace_of_a_cloud_has_none() {
        assert_eq!(Studio::of("http://127.0.0.1:8080", PIPELINE), None);
        assert_eq!(Studio::of("https://proxy.example", PIPELINE), None);
        assert_eq!(Studio::of("https://a.dev.azuresynapse.net", "pl"), None);
        let hostile = "/subscriptions/0a1b\x1b]8;;/workspaces/a/pipelines/pl";
        assert_eq!(Studio::of("https://a.dev.azuresynapse.net", hostile), None);
    }
}
