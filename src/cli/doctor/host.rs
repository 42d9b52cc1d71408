//! Can we reach a host at all: its name, a connection, its clock.

use std::net::IpAddr;

use crate::cli::connect::Connections;
use crate::cli::failure::Exit;
use crate::driver::now;
use crate::flow::policy::CLOCKS_DIFFER_MAX;
use crate::report::checkup::{Check, Mark};
use crate::synapse::{Endpoint, NoAnswer, NoAnswerKind};
use crate::time::{Delay, Timestamp};

/// How long a name may take to be looked up.
const LOOKUP_LIMIT: Delay = Delay::from_secs(5);

/// How long a host may take to answer.
const KNOCK_LIMIT: Delay = Delay::from_secs(10);

/// From this difference on the reader should know of it: the vendor's sign-in takes assertions that are five
/// minutes off, and no more.
const CLOCK_NOTE: Delay = Delay::from_secs(5 * 60);

/// Whose host it is: what to do about it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It gives out tokens.
    Login,
    /// It is a workspace.
    Workspace,
}

/// Whether anybody wanted something of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It was needed.
    Needed,
    /// There was nothing to ask it.
    NotAsked,
    /// What was wanted came from elsewhere, if it did not answer.
    WentWithout,
}

/// What became of the attempt to reach a host.
#[derive(Clone, Debug)]
pub(super) struct Reached {
    endpoint: Endpoint,
    name: Name,
    knock: Result<Option<Timestamp>, NoAnswer>,
    /// Our own clock when the answer came.
    at: Timestamp,
    is_proxy_named: bool,
}

/// What the host's name led to.
#[derive(Clone, Debug)]
enum Name {
    /// It is an address.
    Address,
    Known(Vec<IpAddr>),
    /// Not known, in the system's words.
    Unknown(String),
}

/// Looks the host up and knocks.
pub(super) async fn reach(connections: &Connections<'_>, endpoint: &Endpoint) -> Reached {
    let name = look_up(endpoint.host()).await;
    // Even with a name that we do not know: a proxy may.
    let knock = connections.http().knock(endpoint, KNOCK_LIMIT).await;
    let is_proxy_named = connections.is_proxy_named();
    Reached { endpoint: endpoint.clone(), name, knock, at: now(), is_proxy_named }
}

async fn look_up(host: &str) -> Name {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return Name::Address;
    }
    match tokio::time::timeout(LOOKUP_LIMIT.to_std(), tokio::net::lookup_host((bare, 0))).await {
        Err(_) => Name::Unknown(format!("no answer within {}", LOOKUP_LIMIT.short())),
        Ok(Err(error)) => {
            let text = error.to_string();
            Name::Unknown(text.trim_start_matches("failed to lookup address information: ").to_owned())
        }
        Ok(Ok(found)) => {
            let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            addresses.dedup();
            Name::Known(addresses)
        }
    }
}

impl Reached {
    /// Says whether something answered.
    pub(super) fn is_reachable(&self) -> bool {
        self.knock.is_ok()
    }

    /// Returns the checks. Where nobody needed the host, its failures are no more than notes.
    pub(super) fn checks(&self, role: Role, need: Need) -> Vec<Check> {
        let mut checks = vec![self.name(role), self.connection(role), self.clock()];
        for check in &mut checks {
            if need != Need::Needed && matches!(check.mark, Mark::Fail(_)) {
                check.mark = Mark::Note;
            }
            if need == Need::WentWithout && check.name != "clock" && check.mark == Mark::Note {
                check.next = vec!["nothing: this sign-in does without that host".to_owned()];
            }
        }
        checks
    }

    fn name(&self, role: Role) -> Check {
        let host = self.endpoint.host();
        match &self.name {
            Name::Address => {
                Check::new("dns", Mark::Ok, format!("{host} is an address: there is no name to look up"))
            }
            Name::Known(addresses) => {
                let first = addresses.first().map(ToString::to_string).unwrap_or_default();
                let is_private = addresses.iter().any(is_private);
                let kind = if is_private { ", an address of a private network" } else { "" };
                Check::new("dns", Mark::Ok, format!("{host} is {first}{kind}")).fact("address", first)
            }
            Name::Unknown(_) if self.is_reachable() => {
                let found = format!("{host} is not known to this machine; the proxy knows it");
                Check::new("dns", Mark::Note, found)
            }
            Name::Unknown(why) => {
                let found = format!("there is no host {host} ({why})");
                let check = Check::new("dns", Mark::Fail(Exit::Unreachable.code()), found);
                match role {
                    Role::Login => check.next("check the network, the proxy (HTTPS_PROXY) and AZURE_AUTHORITY_HOST"),
                    Role::Workspace => check
                        .next("compare the workspace's name in the plan with the one in the Azure portal, under Synapse workspaces")
                        .next("if it is reached through a private endpoint only, connect to its network first"),
                }
            }
        }
    }

    fn connection(&self, role: Role) -> Check {
        let endpoint = &self.endpoint;
        let reason = match &self.knock {
            Ok(_) if endpoint.is_https() => {
                let found = format!("{endpoint} answers, and its certificate is trusted");
                return Check::new("connection", Mark::Ok, found);
            }
            Ok(_) => {
                let found = format!("{endpoint} answers, unencrypted, as only this machine may");
                return Check::new("connection", Mark::Ok, found);
            }
            Err(reason) => reason,
        };
        if matches!(self.name, Name::Unknown(_)) && !self.is_proxy_named {
            return Check::new("connection", Mark::Skipped, "there is no address to connect to");
        }
        let found = format!("{endpoint} does not answer: {reason}");
        let check = Check::new("connection", Mark::Fail(Exit::Unreachable.code()), found);
        if self.is_proxy_named && reason.kind != NoAnswerKind::Tls {
            return check
                .next("check the proxy that HTTPS_PROXY names, and whether NO_PROXY should name this host");
        }
        match (reason.kind, role) {
            (NoAnswerKind::Tls, _) => check
                .next("if a proxy of your company inspects traffic, name its root certificate: `--ca-file FILE` or SYNFLOW_CA_FILE")
                .next("for `synflow emulate --tls`, name the file that it printed as SYNFLOW_CA_FILE"),
            (NoAnswerKind::ConnectionRefused, Role::Workspace) => {
                check.next("check host and port of the workspace's `endpoint` in the plan; is something listening there?")
            }
            (NoAnswerKind::ConnectionRefused, Role::Login) => {
                check.next("check host and port of AZURE_AUTHORITY_HOST; unset, it is the cloud's own")
            }
            _ => check
                .next("look for what stands between: a firewall, a VPN that is off, a proxy that HTTPS_PROXY does not name"),
        }
    }

    fn clock(&self) -> Check {
        match &self.knock {
            Err(_) => Check::new("clock", Mark::Skipped, "nobody answered, so nobody told the time"),
            Ok(None) => Check::new("clock", Mark::Skipped, "the answer does not tell the time"),
            Ok(Some(theirs)) => clock(*theirs, self.at, self.endpoint.host()),
        }
    }
}

/// Compares the clocks.
///
/// Beyond [`CLOCKS_DIFFER_MAX`] it is a failure: lists of runs reach back that far by our clock and no further, so
/// that runs of ours would be missing from them.
fn clock(theirs: Timestamp, ours: Timestamp, host: &str) -> Check {
    let is_behind = theirs > ours;
    let gap = theirs.since(ours).max(ours.since(theirs));
    let signed = theirs.epoch_ms().saturating_sub(ours.epoch_ms()) / 1000;
    let minutes = (gap.as_ms() + 30_000) / 60_000;
    let unit = if minutes == 1 { "minute" } else { "minutes" };
    let side = if is_behind { "behind" } else { "ahead of" };
    let found = match minutes {
        0 => format!("agrees with that of {host}"),
        _ => format!("this machine's is {minutes} {unit} {side} that of {host}"),
    };
    let mark = if gap > CLOCKS_DIFFER_MAX {
        Mark::Fail(Exit::Contract.code())
    } else if gap > CLOCK_NOTE {
        Mark::Note
    } else {
        Mark::Ok
    };
    let check = Check::new("clock", mark, found).fact("service_ahead_seconds", signed);
    let check = match mark {
        Mark::Note => check.detail("signing in with a certificate fails so, and times in reports are off"),
        Mark::Fail(_) => check.detail(format!(
            "synflow finds its runs by their times, which may be {} minutes off and no more",
            CLOCKS_DIFFER_MAX.as_ms() / 60_000
        )),
        _ => return check,
    };
    check.next(
        "set the clock from the network: `timedatectl set-ntp true` on Linux, `w32tm /resync` on Windows",
    )
}

fn is_private(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private(),
        IpAddr::V6(address) => address.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::clock;
    use crate::report::checkup::Mark;
    use crate::time::{Delay, Timestamp};

    #[test]
    fn tells_how_far_the_clocks_differ() {
        let ours = Timestamp::from_epoch_ms(1_764_000_000_000);
        let check = |ahead_s: i64, want: Mark, text: &str| {
            let gap = Delay::from_secs(ahead_s.unsigned_abs());
            let theirs = if ahead_s < 0 { ours - gap } else { ours + gap };
            let got = clock(theirs, ours, "h");
            assert_eq!((got.mark, got.found.as_str()), (want, text), "{ahead_s}");
            assert_eq!(got.next.is_empty(), want == Mark::Ok, "{ahead_s}");
        };
        check(0, Mark::Ok, "agrees with that of h");
        check(-29, Mark::Ok, "agrees with that of h");
        check(70, Mark::Ok, "this machine's is 1 minute behind that of h");
        check(-300, Mark::Ok, "this machine's is 5 minutes ahead of that of h");
        check(-301, Mark::Note, "this machine's is 5 minutes ahead of that of h");
        check(600, Mark::Note, "this machine's is 10 minutes behind that of h");
        check(900, Mark::Note, "this machine's is 15 minutes behind that of h");
        check(-960, Mark::Fail(4), "this machine's is 16 minutes ahead of that of h");
    }
}
