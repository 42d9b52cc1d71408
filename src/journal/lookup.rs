//! Finds the flow that a person names.

use super::{Journal, JournalError};
use crate::flow::FlowHeader;

/// How a flow was named on the command line, and that it names none or several.
#[derive(Debug, thiserror::Error)]
pub enum FlowLookup {
    /// No flow fits.
    #[error("there is no flow `{0}` in the journal")]
    None(String),
    /// The journal holds no flow at all.
    #[error("the journal holds no flows yet")]
    Empty,
    /// Several flows fit.
    #[error("`{name}` fits several flows: {}", ids.join(", "))]
    Several {
        /// What was asked for.
        name: String,
        /// Some of the ids that fit.
        ids: Vec<String>,
    },
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Journal {
    /// Finds the flow that a name means: an id, a unique beginning of one, `@latest`, `@latest~1`,
    /// `PLAN@latest`; without a name the latest flow.
    pub fn find(&mut self, name: Option<&str>) -> Result<FlowHeader, FlowLookup> {
        let flows = self.flows()?;
        let name = name.unwrap_or("@latest");
        let Some((plan, back)) = latest(name) else { return by_id(flows, name) };
        let mut of_plan = flows.into_iter().filter(|flow| plan.is_empty() || flow.plan_name == plan);
        of_plan.nth(back).ok_or_else(|| match plan {
            "" if back == 0 => FlowLookup::Empty,
            _ => FlowLookup::None(name.to_owned()),
        })
    }
}

/// Reads `@latest`, `@latest~2` and `PLAN@latest`: the plan's name, perhaps empty, and how many flows back.
fn latest(name: &str) -> Option<(&str, usize)> {
    let (plan, rest) = name.rsplit_once("@latest")?;
    let back = match rest {
        "" => 0,
        _ => rest.strip_prefix('~')?.parse().ok()?,
    };
    Some((plan, back))
}

fn by_id(flows: Vec<FlowHeader>, name: &str) -> Result<FlowHeader, FlowLookup> {
    let fits = |flow: &FlowHeader| !name.is_empty() && flow.id.0.starts_with(name);
    let mut fitting: Vec<FlowHeader> = flows.into_iter().filter(fits).collect();
    if let Some(exact) = fitting.iter().position(|flow| flow.id.0 == name) {
        return Ok(fitting.swap_remove(exact));
    }
    match fitting.len() {
        0 => Err(FlowLookup::None(name.to_owned())),
        1 => Ok(fitting.remove(0)),
        _ => Err(FlowLookup::Several {
            name: name.to_owned(),
            ids: fitting.iter().take(5).map(|flow| flow.id.0.clone()).collect(),
        }),
    }
}
