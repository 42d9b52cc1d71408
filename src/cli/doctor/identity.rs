//! Can we sign in: which way won, whom it is, and what the token is good for.

use crate::cli::connect::{Connections, Login};
use crate::cli::doctor::host::{self, Need, Role};
use crate::cli::failure::{Exit, Failure};
use crate::report::checkup::{Check, Group, Mark};
use crate::synapse::{AuthMethod, Cloud, Identity, SignInFailure};

/// Signs in. Returns what was seen and who we are, if anybody.
///
/// Fails with exit 10 if `AZURE_AUTHORITY_HOST` names no endpoint.
pub(super) async fn check(
    connections: &mut Connections<'_>,
    login: &Login,
) -> Result<(Group, Option<Identity>), Failure> {
    let authority = connections.authority(login.cloud)?;
    let reached = host::reach(connections, &authority).await;
    let answer = connections.tokens(login)?.who(login.cloud.audience()).await;
    let need = match &answer {
        Ok(_) => Need::WentWithout,
        Err(failure) if failure.is_final() => Need::NotAsked,
        Err(_) => Need::Needed,
    };
    let mut checks = reached.checks(Role::Login, need);
    let identity = match answer {
        Ok(identity) => {
            checks.push(winner(&identity));
            checks.extend(passed_over(connections, login, identity.method).await?);
            checks.push(principal(&identity));
            checks.push(token(&identity, login.cloud));
            Some(identity)
        }
        Err(failure) => {
            let is_told = !reached.is_reachable() && matches!(failure, SignInFailure::Unreachable { .. });
            checks.push(if is_told {
                Check::new("credential", Mark::Skipped, "needs a connection")
            } else {
                refused(&failure, login.method)
            });
            None
        }
    };
    let tenant = login.tenant.iter().map(|tenant| format!(", tenant {tenant}"));
    let method = login.method.iter().map(|method| format!(", `{method}` only"));
    let title: String =
        [format!("sign-in, {}", name(login.cloud))].into_iter().chain(tenant).chain(method).collect();
    Ok((Group { title, checks }, identity))
}

const fn name(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Public => "public cloud",
        Cloud::China => "China cloud",
        Cloud::UsGovernment => "US Government cloud",
    }
}

fn winner(identity: &Identity) -> Check {
    let method = identity.method;
    let what = match method {
        AuthMethod::Environment => "an application named by the environment",
        AuthMethod::WorkloadIdentity => "an application that trusts the token in AZURE_FEDERATED_TOKEN_FILE",
        AuthMethod::GitHub => "an application that trusts this GitHub Actions job",
        AuthMethod::AzurePipelines => "an application that trusts this Azure Pipelines job",
        AuthMethod::ManagedIdentity => "the identity of this machine",
        AuthMethod::AzureCli => "whoever is logged in with `az login`",
    };
    Check::new("credential", Mark::Ok, format!("`{method}` works: {what}")).fact("auth", method.name())
}

/// Finds ways that come first, were set up, and did not work: their owner may not know that another won.
async fn passed_over(
    connections: &Connections<'_>,
    login: &Login,
    won: AuthMethod,
) -> Result<Vec<Check>, Failure> {
    let mut checks = Vec::new();
    for method in AuthMethod::ALL.into_iter().take_while(|method| *method < won) {
        let tokens = connections.new_tokens(&Login { method: Some(method), ..login.clone() })?;
        // A managed identity that was not asked for by name is looked for with patience; nobody set it up.
        if method == AuthMethod::ManagedIdentity {
            continue;
        }
        let Err(failure) = tokens.check(login.cloud.audience()).await else { continue };
        if matches!(failure, SignInFailure::Refused(_)) {
            let check =
                Check::new("credential", Mark::Note, format!("`{method}` comes first and was refused"))
                    .detail(failure.reason())
                    .next(failure.hint().unwrap_or("correct it, or unset its variables"))
                    .next(format!("to be sure of the one that works: `--auth {won}`"));
            checks.push(check);
        }
    }
    Ok(checks)
}

fn principal(identity: &Identity) -> Check {
    let parts = [
        ("object id", &identity.object_id),
        ("application", &identity.client_id),
        ("user", &identity.name),
        ("tenant", &identity.tenant),
    ];
    let who = match (&identity.name, &identity.client_id) {
        (Some(user), _) => format!("user {user}"),
        (None, Some(application)) => format!("application {application}"),
        (None, None) => "not told by the token".to_owned(),
    };
    let is_told = identity.object_id.is_some();
    let check = Check::new("identity", if is_told { Mark::Ok } else { Mark::Note }, who);
    let check = match &identity.object_id {
        Some(id) => check.detail(format!("object id {id}: this is what roles are given to")),
        None => check,
    };
    let check = match &identity.tenant {
        Some(tenant) => check.detail(format!("tenant {tenant}")),
        None => check,
    };
    parts.into_iter().fold(check, |check, (word, value)| match value {
        Some(value) => check.fact(&word.replace(' ', "_"), value.as_str()),
        None => check,
    })
}

fn token(identity: &Identity, cloud: Cloud) -> Check {
    let wanted = cloud.audience();
    let until = match identity.expires {
        Some(expires) => format!(", good until {}", expires.to_jiff()),
        None => String::new(),
    };
    let check = match identity.audience.as_deref() {
        None => Check::new("token", Mark::Note, format!("does not tell whom it is for{until}")),
        Some(audience) if audience.trim_end_matches('/') == wanted => {
            Check::new("token", Mark::Ok, format!("for {audience}{until}"))
        }
        // A GUID may be the service's own application; only the workspace can tell.
        Some(audience) if !audience.contains("://") => {
            Check::new("token", Mark::Note, format!("for {audience} instead of {wanted}{until}"))
        }
        Some(audience) => {
            let found = format!("for {audience} instead of {wanted}: workspaces will not take it");
            Check::new("token", Mark::Fail(Exit::Denied.code()), found)
                .next("check the workspace's `cloud` in the plan, and what hands out the token")
        }
    };
    let audience = identity.audience.as_deref().map(|audience| ("audience", audience.to_owned()));
    let expires = identity.expires.map(|expires| ("expires", expires.to_string()));
    [audience, expires].into_iter().flatten().fold(check, |check, (name, value)| check.fact(name, value))
}

fn refused(failure: &SignInFailure, auth: Option<AuthMethod>) -> Check {
    let exit = if failure.is_final() { Exit::Denied } else { Exit::Unreachable };
    let mark = Mark::Fail(exit.code());
    let check = match failure {
        SignInFailure::NoneWorked { tried } => {
            let check =
                Check::new("credential", mark, "no way to sign in works; they were tried in this order");
            tried.iter().fold(check, |check, (method, failure)| {
                check.detail(format!("{method}: {}", failure.reason()))
            })
        }
        other => Check::new("credential", mark, other.reason()),
    };
    let check = failure.hint().into_iter().fold(check, Check::next);
    match failure {
        SignInFailure::NoneWorked { tried } if tried.iter().all(|(_, failure)| failure.hint().is_none()) => {
            check.next("try synflow without Azure: `synflow apply PLAN --emulate`")
        }
        _ if check.next.is_empty() => match auth {
            Some(AuthMethod::AzureCli) => check
                .next("install the Azure command line and run `az login`")
                .next("leave out `--auth`: then every way is tried"),
            Some(_) => check.next("set what is missing, or leave out `--auth`: then every way is tried"),
            None => check.next("docs/sign-in.md tells what each way needs"),
        },
        _ => check,
    }
}
