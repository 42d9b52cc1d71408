//! Where Synapse Studio shows a run. The form of the address is what other tools use; it has not been tried.

use crate::flow::RunId;
use crate::plan::Cloud;

/// Returns the address of a run in Synapse Studio; nothing for an emulated workspace, or one at an address of its own, of
/// which nobody knows the Studio.
///
/// Without the workspace's resource id, which the journal does not have, Studio opens the workspace that was open last, or
/// asks for one.
pub(super) fn link(endpoint: &str, run: &str) -> Option<String> {
    host(endpoint).map(|host| page(&host, run))
}

/// Returns the Studio's host in the cloud of an endpoint.
fn host(endpoint: &str) -> Option<String> {
    let host = endpoint.strip_prefix("https://")?.trim_end_matches('/').to_ascii_lowercase();
    let suffix = Cloud::ALL.into_iter().map(Cloud::host_suffix).find(|suffix| host.ends_with(suffix))?;
    host.strip_suffix(suffix).filter(|name| !name.is_empty())?;
    Some(format!("web{}", suffix.strip_prefix(".dev")?))
}

fn page(host: &str, run: &str) -> String {
    format!("https://{host}/en/monitoring/pipelineruns/{run}")
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
    /// That a pipeline's answer holds such an id is recorded (protocol 3).
    pub fn of(endpoint: &str, pipeline_id: &str) -> Option<Self> {
        let host = host(endpoint)?;
        let (resource, _) = pipeline_id.split_once("/pipelines/")?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
        let is_one = resource.starts_with("/subscriptions/") && resource.chars().all(is_plain);
        is_one.then(|| Self { host, resource: resource.replace('/', "%2F") })
    }

    /// Returns the page of a run.
    pub fn run(&self, run: RunId) -> String {
        format!("{}?workspace={}", page(&self.host, &run.to_string()), self.resource)
    }
}

#[cfg(test)]
mod tests {
    use super::{Studio, link};
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
        assert_eq!(link("http://127.0.0.1:8080", "1"), None);
        assert_eq!(link("https://.dev.azuresynapse.net", "1"), None);
        assert_eq!(Studio::of("https://proxy.example", PIPELINE), None);
        assert_eq!(Studio::of("https://a.dev.azuresynapse.net", "pl"), None);
        let hostile = "/subscriptions/0a1b\x1b]8;;/workspaces/a/pipelines/pl";
        assert_eq!(Studio::of("https://a.dev.azuresynapse.net", hostile), None);
    }
}
