//! What a person can do about a step that did not end well, where that can be told from what is known of it.
//!
//! Pure, as the rest of the wording. Says nothing where only the error itself helps.

use crate::flow::{Flow, Outcome};
use crate::plan::StepIndex;
use crate::report::text::one_line;

/// The role with the fewest other rights for each permission that a runner needs, by the service's own list (protocol 8.2).
const ROLES: [(&str, &str); 5] = [
    ("read", "Synapse User"),
    ("artifacts/read", "Synapse Artifact User"),
    ("credentials/useSecret/action", "Synapse Credential User"),
    ("pipelines/viewOutputs/action", "Synapse Artifact User"),
    ("cancelPipelineRun/action", "Synapse Compute Operator"),
];

/// What the service's text about a missing permission says before its name (protocol 6.2).
const BEFORE_ACTION: &str = "Action: Microsoft.Synapse/workspaces/";

/// Returns the role that gives a permission, named without what all of them begin with.
pub fn role_for(action: &str) -> Option<&'static str> {
    ROLES.iter().find(|(known, _)| *known == action).map(|(_, role)| *role)
}

/// Returns what to do about a permission that the service's text says is missing; nothing if it speaks of none.
pub fn missing_role(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(BEFORE_ACTION)?;
    let action = rest.split([',', ' ']).next()?;
    let role = match role_for(action) {
        Some(role) => format!("the role `{role}`"),
        None => "a role with this permission".to_owned(),
    };
    Some(format!(
        "a Synapse Administrator gives that principal {role}: Synapse Studio, Manage > Access control > Add"
    ))
}

/// Returns what a person can do before the flow goes on, if that is more than to type the next command.
pub(super) fn of_step(flow: &Flow, step: StepIndex) -> Option<String> {
    let run = flow.run(step);
    let attempt = run.last_attempt()?;
    match run.outcome() {
        Some(Outcome::Unknown) if attempt.started_at.is_none() => Some(format!(
            "look in Synapse Studio, Monitor > Pipeline runs, for a run of `{}` from about {}: `--run ITS_ID` if there is \
             one, `--not-started` if there is none",
            one_line(&flow.step(step).pipeline),
            attempt.intended_at.spoken()
        )),
        Some(Outcome::Failed) => missing_role(&run.error()?.message),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::missing_role;

    #[test]
    fn names_the_role_that_the_service_asks_for() {
        let check = |text: &str, want: Option<&str>| {
            let told = missing_role(text);
            match want {
                Some(want) => assert!(told.as_ref().is_some_and(|told| told.contains(want)), "{told:?}"),
                None => assert_eq!(told, None),
            }
        };
        // As recorded, with the action of a start.
        check(
            "The principal 'x' does not have the required Synapse RBAC permission to perform this action. Required \
             permission: Action: Microsoft.Synapse/workspaces/credentials/useSecret/action, Scope: workspaces/w/*.",
            Some("`Synapse Credential User`"),
        );
        check(
            "Required permission: Action: Microsoft.Synapse/workspaces/x/y, Scope: z",
            Some("a role with this"),
        );
        check("The table does not exist", None);
    }
}
