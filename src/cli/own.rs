//! Owning a key: one process at a time drives the flows of a plan, environment and run key.

use crate::cli::failure::{Exit, Failure};
use crate::cli::load;
use crate::driver::now;
use crate::flow::{Event, Flow, FlowHeader, FlowId, FlowKey};
use crate::journal::{Holder, Holding, Journal, JournalError, Lease};
use crate::time::Delay;

/// How long to wait before looking again whether a key is free.
const LOOK_AGAIN: Delay = Delay::from_secs(1);

/// Returns this process, as a person on another screen would look for it.
pub(super) fn holder() -> Holder {
    let unknown = |_| "unknown".to_owned();
    Holder {
        host: whoami::hostname().unwrap_or_else(unknown),
        pid: std::process::id(),
        user: whoami::username().unwrap_or_else(unknown),
    }
}

/// Takes a key for a flow. Fails with exit 6 and who has it if it is held.
pub(super) fn take(journal: &mut Journal, key: &FlowKey, flow: &FlowId) -> Result<(), Failure> {
    match journal.hold(key, flow, &holder(), now())? {
        Holding::Ours => Ok(()),
        Holding::Elsewhere(lease) => Err(held_by(lease.as_ref())),
    }
}

/// Takes a key for a flow as soon as nobody else has it; `say` is told once whom this waits for.
pub(super) async fn wait_and_take(
    journal: &mut Journal,
    key: &FlowKey,
    flow: &FlowId,
    say: impl Fn(&str),
) -> Result<(), JournalError> {
    let mut told = None;
    loop {
        match journal.hold(key, flow, &holder(), now())? {
            Holding::Ours => return Ok(()),
            Holding::Elsewhere(lease) => {
                let owner = lease.map_or_else(|| "another process".to_owned(), |lease| owner(&lease));
                if told.as_ref() != Some(&owner) {
                    say(&format!("waiting for {owner}"));
                    told = Some(owner);
                }
            }
        }
        tokio::time::sleep(LOOK_AGAIN.to_std()).await;
    }
}

/// Takes up a flow that the journal holds: owns its key and brings it back as it is then.
///
/// Fails, with nothing changed, with exit 2 if the flow was emulated, and with 6 if another process has it, a newer flow
/// has the same key, or it was given up.
pub(super) fn take_up(journal: &mut Journal, header: &FlowHeader) -> Result<Flow, Failure> {
    if header.emulated {
        return Err(Failure::new(Exit::Usage, format!("flow `{}` cannot be taken up", header.id))
            .because("its runs ended with the workspace that was emulated inside its process")
            .hint(format!("`synflow apply {} --emulate` begins another", header.plan_file)));
    }
    take(journal, &header.key(), &header.id)?;
    bring_back(journal, header)
}

/// Brings back a flow whose key this process owns already; fails as [`take_up`] does.
pub(super) fn bring_back(journal: &mut Journal, header: &FlowHeader) -> Result<Flow, Failure> {
    let id = &header.id;
    journal.hold_for(id)?;
    if let Some(newest) = journal.newest_of(&header.key())?.filter(|newest| newest.id != *id) {
        let message =
            format!("flow `{id}` cannot be taken up: flow `{}` of the same key is newer", newest.id);
        return Err(
            Failure::new(Exit::Locked, message).hint(format!("`synflow status {}` shows it", newest.id))
        );
    }
    // Now that nobody else writes to it.
    let flow = load::flow(journal, header)?;
    if flow.is_given_up() {
        let message = format!("flow `{id}` was given up: nothing more is done for it");
        return Err(Failure::new(Exit::Locked, message)
            .hint(format!("`synflow apply {}` begins another", header.plan_file)));
    }
    // Whoever asked the owner before this one for an end has seen that it died, or will.
    for (request, event) in journal.asked(id)? {
        if matches!(event, Event::CancelRequested | Event::StepCancelRequested { .. }) {
            journal.dismiss(request)?;
        }
    }
    Ok(flow)
}

/// Says who has a key, since when, and what can be done about it.
pub(super) fn held_by(lease: Option<&Lease>) -> Failure {
    let Some(lease) = lease else {
        return Failure::new(Exit::Locked, "another process has the lock of this plan; nothing was started")
            .because("its lease was removed, so that it starts nothing more, but it has not ended yet")
            .hint("try again in a moment, or add `--wait`");
    };
    let id = &lease.flow;
    Failure::new(
        Exit::Locked,
        format!("another process runs this plan: {}; nothing was started", owner(lease)),
    )
    .hint(format!("`synflow status {id}` shows how it stands, `synflow cancel {id}` ends it"))
    .hint("`synflow apply PLAN --wait` waits until it is done")
}

fn owner(lease: &Lease) -> String {
    format!(
        "flow `{}`, held by {} since {}, last heard of {}",
        lease.flow, lease.holder, lease.since, lease.heartbeat
    )
}
