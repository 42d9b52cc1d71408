//! `synflow unlock [FLOW]`: shows who holds which key, and breaks a lease.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cli::args::Unlock;
use crate::cli::failure::{Exit, Failure};
use crate::cli::resume::tell;
use crate::cli::settings::Settings;
use crate::cli::{load, put_value};
use crate::driver::now;
use crate::journal::Lease;
use crate::report::one_line;
use crate::time::Timestamp;

/// Shows the leases, or that of one flow; removes that if asked to.
///
/// Fails with exit 2 if the name fits no flow, several, or one without a lease.
pub(super) fn run(args: &Unlock, settings: &Settings) -> Result<(), Failure> {
    let mut journal = load::journal(settings)?;
    let leases = match &args.flow {
        None => journal.leases()?,
        Some(name) => {
            // By the lease's own word first: before its first record, a flow is a lease alone.
            let named = journal.leases()?.into_iter().filter(|lease| lease.flow.0 == *name);
            let mut leases: Vec<Lease> = named.collect();
            if leases.is_empty() {
                let header = journal.find(Some(name))?;
                let lease = journal.lease(&header.key())?.filter(|lease| lease.flow == header.id);
                leases.extend(lease);
                if leases.is_empty() {
                    return Err(Failure::new(Exit::Usage, format!("nobody holds flow `{}`", header.id))
                        .hint(format!("synflow resume {}", header.id)));
                }
            }
            leases
        }
    };
    let at = now();
    put_value(&json!({ "leases": leases.iter().map(object).collect::<Vec<_>>() }), args.output, || {
        text(&leases, at)
    })?;
    let Some(lease) = leases.first().filter(|_| args.break_it) else { return Ok(()) };
    if !journal.break_lease(lease)? {
        return Err(Failure::new(Exit::Locked, "the lease has changed hands meanwhile; nothing was removed")
            .hint("look again before you break it"));
    }
    let id = &lease.flow;
    tell(&if lease.is_locked {
        format!(
            "the lease is removed: process {} starts nothing more and ends; then `synflow resume {id}` goes on",
            lease.holder.pid
        )
    } else {
        format!("the lease is removed; next: synflow resume {id}")
    });
    Ok(())
}

fn text(leases: &[Lease], now: Timestamp) -> String {
    if leases.is_empty() {
        return "no plan is held: no process drives a flow\n".to_owned();
    }
    let mut out = String::new();
    for lease in leases {
        let (key, holder) = (&lease.key, &lease.holder);
        let _ = writeln!(out, "flow {} of {}", lease.flow, one_line(&key.plan));
        if !key.environment.is_empty() {
            let _ = writeln!(out, "  environment  {}", one_line(&key.environment));
        }
        if !key.run_key.is_empty() {
            let _ = writeln!(out, "  run key      {}", one_line(&key.run_key));
        }
        let _ = writeln!(out, "  held by      {}", one_line(&holder.to_string()));
        let _ = writeln!(out, "  since        {}", lease.since);
        let _ =
            writeln!(out, "  last heard   {} ({} ago)", lease.heartbeat, now.since(lease.heartbeat).short());
        let alive = if lease.is_locked {
            "yes: its process holds the lock"
        } else {
            "no: its process is gone, and `synflow resume` goes on without waiting"
        };
        let _ = writeln!(out, "  alive        {alive}");
    }
    out
}

fn object(lease: &Lease) -> Value {
    json!({
        "flow": lease.flow,
        "plan": lease.key.plan,
        "environment": lease.key.environment,
        "run_key": lease.key.run_key,
        "host": lease.holder.host,
        "pid": lease.holder.pid,
        "user": lease.holder.user,
        "since": lease.since,
        "heartbeat": lease.heartbeat,
        "is_alive": lease.is_locked,
    })
}
