//! From the environment and a plan's workspaces to clients that have proved they can call.
//!
//! One [`Connections`] for each command: all its clients share connections, tokens and what may be sent to a workspace,
//! whatever patience each of them has.

use std::collections::BTreeMap;
use std::fs;

use http::StatusCode;

use crate::cli::args::SignIn;
use crate::cli::failure::{Exit, Failure};
use crate::cli::settings::Settings;
use crate::plan::{self, Plan, Workspace};
use crate::report::remedy::missing_role;
use crate::synapse::{
    Allowance, AuthMethod, CallFailure, Chain, Cloud, Endpoint, Http, HttpSettings, Limits,
    REQUESTS_PER_MINUTE, SignInFailure, SignInSettings, SynapseClient, TokenCache,
};
use crate::time::Delay;

/// The patience of questions that a person waits for: a hiccup is passed over, an outage is told soon.
pub(super) const ASKING: Limits = Limits {
    attempts_max: 3,
    first_wait: Delay::from_ms(500),
    first_throttled_wait: Delay::from_secs(5),
    wait_max: Delay::from_secs(10),
    deadline: Delay::from_secs(60),
    seed: 0,
};

/// Returns the patience of the driver's clients: one request for each call.
///
/// The core asks again after each failure, waits longer each time and says so on the screen. Were the client
/// to repeat as well, every question would be sent their product of times, most of them unseen. The client
/// keeps the allowance of requests, and leaves a service alone that asks for it.
pub(super) fn driving(seed: u64) -> Limits {
    Limits { attempts_max: 1, seed, ..Limits::default() }
}

/// Where and how somebody signs in: whoever signs in alike shares tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Login {
    /// The cloud.
    pub(super) cloud: Cloud,
    /// The directory, if the plan names one; else the surroundings do.
    pub(super) tenant: Option<String>,
    /// The one way to sign in, if one was asked for.
    pub(super) method: Option<AuthMethod>,
}

/// What all clients of one command share: the connections, and the tokens of each login.
pub(super) struct Connections<'a> {
    settings: &'a Settings,
    sign_in: &'a SignIn,
    /// The way to sign in that the surroundings ask for where nobody else does.
    usual_method: Option<AuthMethod>,
    http: Http,
    tokens: Vec<(Login, TokenCache)>,
    /// What may be sent to each endpoint.
    allowances: BTreeMap<String, Allowance>,
}

impl<'a> Connections<'a> {
    /// Prepares to connect. Touches no network.
    ///
    /// Fails with exit 2 if the extra certificates cannot be read, or `SYNFLOW_AUTH` names no way to sign in.
    pub(super) fn prepare(settings: &'a Settings, sign_in: &'a SignIn) -> Result<Self, Failure> {
        let hint = "--ca-file and SYNFLOW_CA_FILE name a file with certificates in PEM";
        let extra_roots_pem = match &sign_in.ca_file {
            None => None,
            Some(path) => Some(fs::read(path).map_err(|error| {
                let name = path.display();
                Failure::new(Exit::Usage, format!("cannot read the certificates in `{name}`: {error}"))
                    .hint(hint)
            })?),
        };
        let http = Http::new(&HttpSettings { extra_roots_pem, ..HttpSettings::default() });
        let http = http.map_err(|error| match &sign_in.ca_file {
            Some(_) => Failure::from_error(Exit::Usage, &error).hint(hint),
            None => Failure::from_error(Exit::Unreachable, &error),
        })?;
        // Not an alias of `--auth`: that beats the plan's `auth`, and this does not.
        let usual_method = settings.env("SYNFLOW_AUTH").map(str::parse).transpose();
        let usual_method = usual_method.map_err(|why: String| {
            Failure::new(Exit::Usage, format!("SYNFLOW_AUTH cannot be used: {why}"))
        })?;
        Ok(Self { settings, sign_in, usual_method, http, tokens: Vec::new(), allowances: BTreeMap::new() })
    }

    /// Returns what the command goes by.
    pub(super) const fn settings(&self) -> &'a Settings {
        self.settings
    }

    /// Returns what sends the requests.
    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    /// Returns the login to a cloud where no workspace says more.
    pub(super) fn login_of(&self, cloud: Cloud) -> Login {
        Login { cloud, tenant: None, method: self.sign_in.auth.or(self.usual_method) }
    }

    /// Returns the login to a workspace: `--auth` beats the plan, and the plan beats the environment.
    pub(super) fn login(&self, workspace: &Workspace) -> Login {
        // The words of both are the same: a test compares them.
        let planned = workspace.auth.and_then(|name| name.parse().ok());
        Login {
            cloud: cloud(workspace.cloud),
            tenant: workspace.tenant.clone(),
            method: self.sign_in.auth.or(planned).or(self.usual_method),
        }
    }

    /// Says whether the surroundings name a proxy for https. What it is for is the transport's to decide.
    pub(super) fn is_proxy_named(&self) -> bool {
        let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
        names.iter().any(|name| self.settings.env(name).is_some())
    }

    /// Returns where sign-ins to a cloud go.
    ///
    /// Fails with exit 10 if `AZURE_AUTHORITY_HOST` names no endpoint.
    pub(super) fn authority(&self, cloud: Cloud) -> Result<Endpoint, Failure> {
        let authority = self.settings.env("AZURE_AUTHORITY_HOST").unwrap_or_else(|| cloud.authority());
        Endpoint::parse(authority).map_err(|error| {
            Failure::from_error(Exit::Denied, &error).hint("check AZURE_AUTHORITY_HOST, or unset it")
        })
    }

    /// Returns the tokens of a login, one cache for all its workspaces.
    ///
    /// Fails with exit 10 if `AZURE_AUTHORITY_HOST` names no endpoint.
    pub(super) fn tokens(&mut self, login: &Login) -> Result<TokenCache, Failure> {
        if let Some((_, tokens)) = self.tokens.iter().find(|(of, _)| of == login) {
            return Ok(tokens.clone());
        }
        let tokens = self.new_tokens(login)?;
        self.tokens.push((login.clone(), tokens.clone()));
        Ok(tokens)
    }

    /// Returns an empty cache for a login.
    pub(super) fn new_tokens(&self, login: &Login) -> Result<TokenCache, Failure> {
        // For the hint: the chain would only say that the text is no endpoint.
        self.authority(login.cloud)?;
        let settings = SignInSettings {
            environment: &self.settings.env,
            cloud: login.cloud,
            tenant: login.tenant.as_deref(),
            method: login.method,
        };
        let chain = Chain::choose(&settings).map_err(|error| Failure::from_error(Exit::Denied, &error))?;
        Ok(TokenCache::new(chain, self.http.clone()))
    }

    /// Makes a client for a workspace of the plan.
    ///
    /// Fails with exit 3 if its endpoint cannot be used.
    pub(super) fn client(&mut self, workspace: &Workspace, limits: Limits) -> Result<SynapseClient, Failure> {
        let login = self.login(workspace);
        let endpoint = Endpoint::parse(&workspace.endpoint)
            .map_err(|error| Failure::from_error(Exit::PlanInvalid, &error))?;
        let (tokens, allowance) = (self.tokens(&login)?, self.allowance(&endpoint));
        let (audience, http) = (login.cloud.audience(), self.http.clone());
        Ok(SynapseClient::with_limits(endpoint, audience, tokens, http, limits, allowance))
    }

    /// Returns what may be sent to a workspace: all that this command sends there shares it.
    fn allowance(&mut self, endpoint: &Endpoint) -> Allowance {
        let asked = self.sign_in.requests_per_minute;
        let new = || match asked {
            Some(requests) => Allowance::per_minute(requests),
            None if endpoint.is_https() => Allowance::per_minute(REQUESTS_PER_MINUTE),
            // Plain http leads to an emulator on this machine, which nobody else asks for anything.
            None => Allowance::endless(),
        };
        self.allowances.entry(endpoint.to_string()).or_insert_with(new).clone()
    }

    /// Makes a client for each workspace of the plan, in its order.
    pub(super) fn clients(&mut self, plan: &Plan, limits: Limits) -> Result<Vec<SynapseClient>, Failure> {
        plan.workspaces.iter().map(|workspace| self.client(workspace, limits)).collect()
    }
}

/// The plan's word in the client's terms: neither knows the other.
pub(super) const fn cloud(cloud: plan::Cloud) -> Cloud {
    match cloud {
        plan::Cloud::Public => Cloud::Public,
        plan::Cloud::China => Cloud::China,
        plan::Cloud::UsGovernment => Cloud::UsGovernment,
    }
}

/// Signs in and reads one definition in each workspace that a step uses and that is needed, by its position in the plan.
///
/// Fails with exit 10 where we are not let in, and with exit 11 where nobody answers.
pub(super) async fn preflight_of(
    plan: &Plan,
    connections: &mut Connections<'_>,
    is_needed: impl Fn(usize) -> bool,
) -> Result<(), Failure> {
    let needed = plan.workspaces.iter().enumerate().filter(|(position, _)| is_needed(*position));
    for (position, workspace) in needed {
        let Some((_, step)) = plan.runs().find(|(_, step)| step.workspace == position) else { continue };
        let client = connections.client(workspace, ASKING)?;
        client.pipeline(&step.pipeline).await.map_err(|failure| refused(workspace, &failure))?;
    }
    Ok(())
}

/// Says why a workspace cannot be used.
pub(super) fn refused(workspace: &Workspace, failure: &CallFailure) -> Failure {
    let told = unusable(workspace, failure);
    let checks = "`synflow doctor PLAN` checks sign-in, network and permissions one by one";
    match failure {
        // What was refused is named, with what to do about it.
        CallFailure::SignIn(failure) if failure.headline().is_some() => told,
        CallFailure::SignIn(SignInFailure::NoneWorked { .. }) => {
            told.hint(checks).hint("to try the plan without Azure, add `--emulate`")
        }
        _ => told.hint(checks),
    }
}

/// Says that a workspace cannot be used, and what may be done about that without a plan.
pub(super) fn unusable(workspace: &Workspace, failure: &CallFailure) -> Failure {
    let exit = exit_of(failure);
    let told = if let CallFailure::SignIn(failure) = failure {
        not_signed_in(exit, failure)
    } else {
        let message = format!("cannot use workspace `{}` ({})", workspace.name, workspace.endpoint);
        Failure::new(exit, message).because(failure.to_string())
    };
    let role = match failure {
        CallFailure::Refused { status: StatusCode::FORBIDDEN, message, .. } => missing_role(message),
        _ => None,
    };
    match role {
        Some(role) => told.hint(role),
        None => failure.hint().into_iter().fold(told, Failure::hint),
    }
}

/// Says why there is no token. Where somebody was refused, the ways that nobody has set up are no news.
fn not_signed_in(exit: Exit, failure: &SignInFailure) -> Failure {
    let told = match failure.headline() {
        Some(headline) => Failure::new(exit, format!("cannot sign in: {headline}")),
        None => Failure::new(exit, "cannot sign in"),
    };
    let SignInFailure::NoneWorked { tried } = failure else { return told.because(failure.reason()) };
    // One that only a proxy has refused may be nobody's.
    let is_refused = |failure: &SignInFailure| match failure {
        SignInFailure::Refused(refusal) => !refusal.error.is_empty(),
        _ => false,
    };
    let some_refused = tried.iter().any(|(_, failure)| is_refused(failure));
    let shown = tried.iter().filter(|(_, failure)| !some_refused || is_refused(failure));
    let told =
        shown.fold(told, |told, (method, failure)| told.because(format!("{method}: {}", failure.reason())));
    if some_refused { told.because("no other way to sign in is set up") } else { told }
}

/// Says which exit code a call's failure means for a command that cannot go on.
pub(super) fn exit_of(failure: &CallFailure) -> Exit {
    if failure.is_sign_in_or_permission() { Exit::Denied } else { Exit::Unreachable }
}
