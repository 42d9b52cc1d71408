//! Owning a key: one process at a time drives the flows of a plan, environment and run key.

use crate::cli::failure::{Exit, Failure};
use crate::cli::load;
use crate::driver::now;
use crate::flow::{Event, Flow, FlowHeader, FlowId, FlowKey};
use crate::journal::{Holder, Holding, Journal, JournalError, Lease};
use crate::time::Delay;

/// How long to wait before looking again whether a key is free.
const LOOK_AGAIN: Delay = Delay::from_secs(1);

/// How long the owner on another machine may be silent before it counts as gone: the clocks of two machines differ, and signs
/// of life come every ten seconds.
const SILENCE_MAX: Delay = Delay::from_secs(60);

/// Returns this process, as a person on another screen would look for it.
pub(super) fn holder() -> Holder {
    let unknown = |_| "unknown".to_owned();
    Holder {
        host: whoami::hostname().unwrap_or_else(unknown),
        pid: std::process::id(),
        user: whoami::username().unwrap_or_else(unknown),
    }
}

/// Takes a flow's key for it. Fails with exit 6 and who has it if it is held.
pub(super) fn take(journal: &mut Journal, header: &FlowHeader) -> Result<(), Failure> {
    match journal.hold(&header.key(), &header.id, &holder(), now())? {
        Holding::Ours => Ok(()),
        Holding::Elsewhere(lease) => Err(held_by(journal, lease.as_ref(), &header.plan_file)?),
    }
}

/// Takes a key for a flow as soon as nobody else has it; `say` is told whom this waits for.
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
                let whom = lease.map_or_else(|| "another process".to_owned(), |lease| owner(&lease));
                if told.as_ref() != Some(&whom) {
                    say(&format!("waiting for {whom}"));
                    told = Some(whom);
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
        return Err(emulated(&header.id, "resumed")
            .hint(format!("`synflow apply {} --emulate` begins another", header.plan_file)));
    }
    take(journal, header)?;
    bring_back(journal, &header.id)
}

/// Brings back a flow whose key this process owns already; fails as [`take_up`] does.
pub(super) fn bring_back(journal: &mut Journal, id: &FlowId) -> Result<Flow, Failure> {
    journal.hold_for(id)?;
    // Now that nobody else writes to it.
    let flow = load::flow(journal, id)?;
    if let Some(newest) = journal.newest_of(&flow.header().key())?.filter(|newest| newest.id != *id) {
        let message =
            format!("flow `{id}` cannot go on: flow `{}` of the same plan and run key is newer", newest.id);
        return Err(
            Failure::new(Exit::Locked, message).hint(format!("`synflow status {}` shows it", newest.id))
        );
    }
    if flow.is_given_up() {
        let message = format!("flow `{id}` was given up: nothing more is done for it");
        return Err(Failure::new(Exit::Locked, message)
            .hint(format!("`synflow apply {}` begins another", flow.header().plan_file)));
    }
    // They were meant for an owner before this one. A `cancel` that still waits asks again.
    for (request, event) in journal.asked(id)? {
        if matches!(event, Event::CancelRequested | Event::StepCancelRequested { .. }) {
            journal.dismiss(request)?;
        }
    }
    Ok(flow)
}

/// Says whether a process drives a flow now: one of this machine, which a lock shows, or one of another machine on the same
/// journal, as long as it gives signs of life.
pub(super) fn is_driven(journal: &mut Journal, header: &FlowHeader) -> Result<bool, JournalError> {
    if header.emulated {
        return journal.is_attended(&header.id);
    }
    let lease = journal.lease(&header.key())?.filter(|lease| lease.flow == header.id);
    Ok(lease.is_some_and(|lease| is_alive(&lease)))
}

/// Says who drives a flow now; nothing if nobody does.
pub(super) fn driver(journal: &mut Journal, header: &FlowHeader) -> Result<Option<String>, JournalError> {
    if header.emulated {
        let is_driven = journal.is_attended(&header.id)?;
        return Ok(is_driven.then(|| "driven by the process that emulates its workspace".to_owned()));
    }
    let lease = journal.lease(&header.key())?.filter(|lease| lease.flow == header.id && is_alive(lease));
    Ok(lease.map(|lease| {
        let ago = now().since(lease.heartbeat).short();
        format!("driven by {}, last heard of {ago} ago", lease.holder)
    }))
}

/// Says whether a process drives any flow now.
pub(super) fn is_anyone_driving(journal: &mut Journal) -> Result<bool, JournalError> {
    if journal.leases()?.iter().any(is_alive) {
        return Ok(true);
    }
    journal.is_any_attended()
}

/// Says whether the owner of a lease lives. The lock of another machine cannot be seen from here.
fn is_alive(lease: &Lease) -> bool {
    let is_elsewhere = whoami::hostname().is_ok_and(|host| host != lease.holder.host);
    lease.is_locked || is_elsewhere && now() < lease.heartbeat + SILENCE_MAX
}

/// Says that something cannot be done to a flow whose service has died with its process.
pub(super) fn emulated(id: &FlowId, what: &str) -> Failure {
    Failure::new(Exit::Usage, format!("flow `{id}` cannot be {what}"))
        .because("its runs ended with the workspace that `--emulate` had inside its process")
}

/// Says who has a key, since when, and what can be done about it.
fn held_by(journal: &mut Journal, lease: Option<&Lease>, plan_file: &str) -> Result<Failure, JournalError> {
    let Some(lease) = lease else {
        let message = "another process has the lock of this plan; nothing was started";
        return Ok(Failure::new(Exit::Locked, message)
            .because("its lease was removed, so that it starts nothing more, but it has not ended yet")
            .hint("try again in a moment"));
    };
    let id = &lease.flow;
    let seen = now().since(lease.heartbeat).short();
    let failure = Failure::new(Exit::Locked, "this plan is running already; nothing was started")
        .because(format!("of {}; its last sign of life was {seen} ago", owner(lease)));
    // Before its first record, a flow is a lease alone.
    let failure = if journal.has(id)? {
        failure.hint(format!("`synflow status {id}` shows how it stands, `synflow cancel {id}` ends it"))
    } else {
        failure
    };
    Ok(failure.hint(format!("`synflow apply {plan_file} --wait` waits until it is done, and begins then")))
}

/// Names the owner of a key.
pub(super) fn owner(lease: &Lease) -> String {
    format!("flow `{}`, held by {} since {}", lease.flow, lease.holder, lease.since.spoken())
}
