//! Where Synapse Studio shows a run.

use crate::plan::{Cloud, Workspace};

/// Returns the address of a run in Synapse Studio; nothing for an emulated workspace, or one at an address of its own, of
/// which nobody knows the Studio.
///
/// Without the subscription, which no call of a workspace's own interface tells for certain, Studio opens the workspace
/// that was open last, or asks for one.
pub(super) fn link(workspace: &Workspace, run: &str) -> Option<String> {
    let host = workspace.endpoint.strip_prefix("https://")?;
    let (own, studio) = match workspace.cloud {
        Cloud::Public => (".dev.azuresynapse.net", "web.azuresynapse.net"),
        Cloud::China => (".dev.azuresynapse.azure.cn", "web.azuresynapse.azure.cn"),
        Cloud::UsGovernment => (".dev.azuresynapse.usgovcloudapi.net", "web.azuresynapse.us"),
    };
    host.strip_suffix(own).filter(|name| !name.is_empty())?;
    Some(format!("https://{studio}/en/monitoring/pipelineruns/{run}"))
}
