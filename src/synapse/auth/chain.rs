//! Which way to sign in: the one asked for, else the first that works, in a fixed order.
//!
//! The way that worked first is kept. One that is only out of order for a while is waited for, not
//! passed over: the next might sign in somebody else.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::OnceLock;

use reqwest::Url;

use super::azure_cli::AzureCli;
use super::entra::Issued;
use super::federated::AssertionSource;
use super::managed::ManagedIdentity;
use super::{Credential, SignInFailure};
use crate::synapse::endpoint::{Cloud, Endpoint, EndpointError, is_machines_own, is_secure};
use crate::synapse::http::Http;

/// The metadata service of a virtual machine.
const METADATA_HOST: &str = "http://169.254.169.254";

/// A way to sign in, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuthMethod {
    /// A secret or a certificate named by the environment.
    Environment,
    /// A token file, as in Kubernetes.
    WorkloadIdentity,
    /// The job's own issuer in GitHub Actions.
    GitHub,
    /// The job's own issuer in Azure Pipelines.
    AzurePipelines,
    /// The identity of the machine.
    ManagedIdentity,
    /// The login of the Azure command line.
    AzureCli,
}

impl AuthMethod {
    /// Every way, in the order in which they are tried.
    pub const ALL: [Self; 6] = [
        Self::Environment,
        Self::WorkloadIdentity,
        Self::GitHub,
        Self::AzurePipelines,
        Self::ManagedIdentity,
        Self::AzureCli,
    ];

    /// Returns the name that `--auth` takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::WorkloadIdentity => "workload_identity",
            Self::GitHub => "github",
            Self::AzurePipelines => "azure_pipelines",
            Self::ManagedIdentity => "managed_identity",
            Self::AzureCli => "azure_cli",
        }
    }
}

impl fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for AuthMethod {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = Self::ALL.map(Self::name).join(", ");
        let known = Self::ALL.into_iter().find(|method| method.name() == text);
        known.ok_or_else(|| format!("`{text}` is no way to sign in; there are {names}"))
    }
}

/// What decides how to sign in.
#[derive(Clone, Debug)]
pub struct SignInSettings<'a> {
    /// The process's environment, read once by the caller.
    pub environment: &'a BTreeMap<String, String>,
    /// The cloud, which names the authority unless `AZURE_AUTHORITY_HOST` does.
    pub cloud: Cloud,
    /// The plan's tenant; beats the environment's.
    pub tenant: Option<&'a str>,
    /// The way asked for; without it all are tried.
    pub method: Option<AuthMethod>,
}

/// The ways to sign in that come into question, and which of them worked.
#[derive(Debug)]
pub struct Chain {
    links: Vec<Link>,
    won: OnceLock<usize>,
}

#[derive(Debug)]
struct Link {
    method: AuthMethod,
    /// What to sign in with, or what is missing for it.
    credential: Result<Credential, String>,
}

impl From<Credential> for Chain {
    fn from(credential: Credential) -> Self {
        let link = Link { method: credential.method(), credential: Ok(credential) };
        Self { links: vec![link], won: OnceLock::new() }
    }
}

impl Chain {
    /// Finds out what the surroundings offer; touches no network.
    ///
    /// Fails where `AZURE_AUTHORITY_HOST` is no endpoint. What is missing for one way or another shows
    /// when signing in.
    pub fn choose(settings: &SignInSettings<'_>) -> Result<Self, EndpointError> {
        let finder = Finder {
            settings,
            authority: match lookup(settings.environment, "AZURE_AUTHORITY_HOST") {
                Some(host) => Endpoint::parse(host)?,
                None => Endpoint::parse(settings.cloud.authority())?,
            },
        };
        let methods = match settings.method {
            Some(method) => vec![method],
            None => AuthMethod::ALL.to_vec(),
        };
        let link = |method| Link { method, credential: finder.credential(method) };
        Ok(Self { links: methods.into_iter().map(link).collect(), won: OnceLock::new() })
    }

    /// Asks for a token with the way that worked before, else with each in turn.
    pub(super) async fn request(
        &self,
        audience: &str,
        http: &Http,
    ) -> Result<(AuthMethod, Issued), SignInFailure> {
        let mut tried = Vec::new();
        for (index, link) in self.links.iter().enumerate() {
            if self.won.get().is_some_and(|won| *won != index) {
                continue;
            }
            let failure = match &link.credential {
                Ok(credential) => match self.try_one(credential, audience, http).await {
                    Ok(issued) => {
                        self.won.get_or_init(|| index);
                        return Ok((link.method, issued));
                    }
                    Err(failure) => failure,
                },
                Err(reason) => SignInFailure::Unusable { reason: reason.clone() },
            };
            if !failure.is_final() || self.links.len() == 1 || self.won.get().is_some() {
                return Err(failure);
            }
            tried.push((link.method, failure));
        }
        Err(SignInFailure::NoneWorked { tried })
    }

    async fn try_one(
        &self,
        credential: &Credential,
        audience: &str,
        http: &Http,
    ) -> Result<Issued, SignInFailure> {
        if let (Credential::ManagedIdentity(identity), None) = (credential, self.won.get()) {
            identity.probe(http).await?;
        }
        credential.request(audience, http).await
    }
}

/// Reads credentials from the surroundings.
struct Finder<'a> {
    settings: &'a SignInSettings<'a>,
    authority: Endpoint,
}

impl Finder<'_> {
    fn credential(&self, method: AuthMethod) -> Result<Credential, String> {
        match method {
            AuthMethod::Environment => self.environment(),
            AuthMethod::WorkloadIdentity => {
                let file = self.need("AZURE_FEDERATED_TOKEN_FILE")?;
                self.federated(AssertionSource::File(PathBuf::from(file)))
            }
            AuthMethod::GitHub => {
                let url = self.need("ACTIONS_ID_TOKEN_REQUEST_URL").map_err(|missing| {
                    format!("{missing} (in GitHub Actions the job needs `permissions: id-token: write`)")
                })?;
                let token = self.need("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?.to_owned().into();
                let url = url_where("ACTIONS_ID_TOKEN_REQUEST_URL", url, is_secure)?;
                self.federated(AssertionSource::GitHub { url, token })
            }
            AuthMethod::AzurePipelines => self.azure_pipelines(),
            AuthMethod::ManagedIdentity => self.managed_identity().map(Credential::ManagedIdentity),
            AuthMethod::AzureCli => {
                let tenant = self.settings.tenant.map(str::to_owned);
                let search_path = self.find("PATH").map(str::to_owned);
                Ok(Credential::AzureCli(AzureCli::new(search_path, tenant)))
            }
        }
    }

    fn environment(&self) -> Result<Credential, String> {
        let client_id = self.need("AZURE_CLIENT_ID")?.to_owned();
        let tenant = self.tenant("AZURE_TENANT_ID")?;
        let authority = self.authority.clone();
        if let Some(secret) = self.find("AZURE_CLIENT_SECRET") {
            let secret = secret.to_owned().into();
            return Ok(Credential::ClientSecret { tenant, client_id, secret, authority });
        }
        let path = self
            .find("AZURE_CLIENT_CERTIFICATE_PATH")
            .ok_or("neither AZURE_CLIENT_SECRET nor AZURE_CLIENT_CERTIFICATE_PATH is set")?;
        Ok(Credential::ClientCertificate { tenant, client_id, path: PathBuf::from(path), authority })
    }

    fn federated(&self, source: AssertionSource) -> Result<Credential, String> {
        let client_id = self.need("AZURE_CLIENT_ID")?.to_owned();
        let tenant = self.tenant("AZURE_TENANT_ID")?;
        Ok(Credential::Federated { tenant, client_id, source, authority: self.authority.clone() })
    }

    fn azure_pipelines(&self) -> Result<Credential, String> {
        let url = self.need("SYSTEM_OIDCREQUESTURI")?;
        let url = url_where("SYSTEM_OIDCREQUESTURI", url, is_secure)?;
        let token = self.need("SYSTEM_ACCESSTOKEN").map_err(|missing| {
            format!("{missing} (map it in the step: `env: {{ SYSTEM_ACCESSTOKEN: $(System.AccessToken) }}`)")
        })?;
        let token = token.to_owned().into();
        let service_connection = self.need("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID")?.to_owned();
        let client_id = match self.find("AZURESUBSCRIPTION_CLIENT_ID") {
            Some(client_id) => client_id,
            None => self.need("AZURE_CLIENT_ID")?,
        };
        let tenant = match self.find("AZURESUBSCRIPTION_TENANT_ID") {
            Some(_) => self.tenant("AZURESUBSCRIPTION_TENANT_ID")?,
            None => self.tenant("AZURE_TENANT_ID")?,
        };
        Ok(Credential::Federated {
            tenant,
            client_id: client_id.to_owned(),
            source: AssertionSource::AzurePipelines { url, service_connection, token },
            authority: self.authority.clone(),
        })
    }

    fn managed_identity(&self) -> Result<ManagedIdentity, String> {
        let client_id = self.find("AZURE_CLIENT_ID").map(str::to_owned);
        if let Some(endpoint) = self.find("IDENTITY_ENDPOINT") {
            let header = self.need("IDENTITY_HEADER")?.to_owned().into();
            let url = url_where("IDENTITY_ENDPOINT", endpoint, is_machines_own)?;
            return Ok(ManagedIdentity::AppService { url, header, client_id });
        }
        let host = self.find("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or(METADATA_HOST);
        let mut host = url_where("AZURE_POD_IDENTITY_AUTHORITY_HOST", host, is_machines_own)?;
        host.set_path("/metadata/identity/oauth2/token");
        let is_probed = self.settings.method.is_none();
        Ok(ManagedIdentity::VirtualMachine { url: host, client_id, is_probed })
    }

    fn tenant(&self, name: &str) -> Result<String, String> {
        match self.settings.tenant {
            Some(tenant) => Ok(tenant.to_owned()),
            None => self.need(name).map(str::to_owned),
        }
    }

    fn need(&self, name: &str) -> Result<&str, String> {
        self.find(name).ok_or_else(|| format!("{name} is not set"))
    }

    fn find(&self, name: &str) -> Option<&str> {
        lookup(self.settings.environment, name)
    }
}

/// An empty variable is one that is not set.
fn lookup<'a>(environment: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

fn url_where(name: &str, text: &str, is_allowed: fn(&Url) -> bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| format!("{name} is no URL"))?;
    if is_allowed(&url) { Ok(url) } else { Err(format!("{name} must be https")) }
}
