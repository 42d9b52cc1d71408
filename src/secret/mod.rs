//! From references to secrets: at the moment of the request that sends them, and nowhere else.
//!
//! Environment, files and Azure Key Vault. Secrets live in memory alone, in types that print as `[REDACTED]`; what has been
//! read is remembered so that it can be taken out of texts that a service sends back. Main type: [`Secrets`].

mod failure;
mod local;
mod mask;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::failure::SecretFailure;
use self::failure::Why;
use self::mask::Masks;
use crate::plan::{self, Piece, SecretRef, SecretText, Vault};
use crate::synapse::{Cloud, Endpoint, Http, KeyVault, Limits, TokenCache};
use crate::time::Delay;

/// How long a secret of a vault is used before it is read again: a plan may start a thousand steps with one.
const KEPT_FOR: Duration = Duration::from_secs(300);

/// What stands in the place of a text that may hold a secret that this process cannot read.
const WITHHELD: &str = "(not shown: it may hold a secret that this process cannot read)";

/// A secret that is wanted: in which cloud its workspace is, and where it is kept.
pub type Wanted = (plan::Cloud, SecretRef);

/// How a cloud's vaults are reached.
#[derive(Clone, Debug)]
pub struct VaultAccess {
    /// The cloud as a plan names it.
    pub cloud: plan::Cloud,
    /// The same cloud in the client's terms.
    pub endpoints: Cloud,
    /// The tokens for it.
    pub tokens: TokenCache,
}

/// Where secrets come from.
#[derive(Clone)]
pub struct Sources {
    /// The process's environment.
    pub environment: BTreeMap<String, String>,
    /// Where relative paths begin.
    pub folder: PathBuf,
    /// The vaults of each cloud.
    pub vaults: Vec<VaultAccess>,
    /// Where all vaults are instead, by their names: an emulator's.
    pub emulated_vaults: Option<Endpoint>,
    /// What sends the requests.
    pub http: Option<Http>,
    /// The patience of questions that a person waits for.
    pub asking: Limits,
    /// The patience of those that the core repeats.
    pub driving: Limits,
}

/// Reads secrets and takes them out of texts. Clones share what they have read.
#[derive(Clone)]
pub struct Secrets {
    shared: Arc<Shared>,
}

struct Shared {
    sources: Sources,
    /// Held while a secret of a vault is read: others who want it wait instead of asking, too.
    slots: Mutex<BTreeMap<Wanted, Arc<tokio::sync::Mutex<Option<Kept>>>>>,
    memory: Mutex<Memory>,
}

/// A secret of a vault for a while.
struct Kept {
    secret: SecretString,
    read_at: Instant,
}

/// All that this process has read.
#[derive(Default)]
struct Memory {
    read: BTreeSet<Wanted>,
    masks: Masks,
}

/// Parameters with their secrets in place, as a request sends them. Has no `Debug`.
pub struct Filled(Map<String, Value>);

impl Filled {
    /// Returns the parameters. They must go nowhere but into the request.
    pub const fn expose(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl Secrets {
    /// Prepares to read secrets; reads none.
    pub fn new(sources: Sources) -> Self {
        let shared = Shared { sources, slots: Mutex::default(), memory: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Returns a reader without any source, for flows whose plan has no secrets.
    pub fn none() -> Self {
        Self::new(Sources {
            environment: BTreeMap::new(),
            folder: PathBuf::new(),
            vaults: Vec::new(),
            emulated_vaults: None,
            http: None,
            asking: Limits::default(),
            driving: Limits::default(),
        })
    }

    /// Puts the secrets into parameters. Every request reads them anew, those of vaults after some minutes.
    ///
    /// Fails at the first that cannot be read.
    pub async fn fill(
        &self,
        cloud: plan::Cloud,
        parameters: &Map<String, Value>,
        secrets: &[SecretText],
    ) -> Result<Filled, SecretFailure> {
        let mut filled = Value::Object(parameters.clone());
        for place in secrets {
            let mut text = String::new();
            for piece in &place.pieces {
                match piece {
                    Piece::Text(words) => text += words,
                    Piece::Secret(reference) => {
                        let wanted = (cloud, reference.clone());
                        text += self.read(&wanted, self.shared.sources.driving).await?.expose_secret();
                    }
                }
            }
            match (filled.pointer_mut(&place.at), place.references().next()) {
                (Some(value @ Value::String(_)), _) => *value = Value::String(text),
                (_, Some(reference)) => {
                    return Err(SecretFailure { reference: reference.clone(), why: Why::NoPlace });
                }
                (_, None) => {}
            }
        }
        match filled {
            Value::Object(filled) => Ok(Filled(filled)),
            _ => Ok(Filled(parameters.clone())),
        }
    }

    /// Reads all of these, as people wait for it, and returns why some cannot be read.
    pub async fn check(&self, wanted: &BTreeSet<Wanted>) -> Vec<SecretFailure> {
        let mut failures = Vec::new();
        let (remote, local): (Vec<_>, Vec<_>) =
            wanted.iter().cloned().partition(|(_, reference)| reference.is_remote());
        for wanted in &local {
            failures.extend(self.read(wanted, self.shared.sources.asking).await.err());
        }
        // What this machine lacks is told before anybody is asked.
        if !failures.is_empty() {
            return failures;
        }
        let mut tasks = JoinSet::new();
        for wanted in remote {
            let all = self.clone();
            tasks.spawn(async move { all.read(&wanted, all.shared.sources.asking).await.err() });
        }
        failures.extend(tasks.join_all().await.into_iter().flatten());
        failures.sort_by(|a, b| a.reference.cmp(&b.reference));
        failures
    }

    /// Reads these, in this order, so that they can be taken out of texts, as far as they can be read in this time.
    pub async fn recall(&self, wanted: &[Wanted], limit: Delay) {
        let all = async {
            for wanted in wanted {
                // What cannot be read is not needed for anything else: `hide` withholds what may hold it.
                drop(self.read(wanted, self.shared.sources.driving).await);
            }
        };
        drop(tokio::time::timeout(limit.to_std(), all).await);
    }

    /// Takes every secret that was read out of a text, and the whole text if it may hold one of `secrets` that was not.
    pub fn hide(&self, cloud: plan::Cloud, secrets: &[SecretText], text: &mut String) {
        let memory = self.memory();
        let is_read = |reference: &SecretRef| memory.read.contains(&(cloud, reference.clone()));
        if !text.is_empty() && !secrets.iter().flat_map(SecretText::references).all(is_read) {
            WITHHELD.clone_into(text);
            return;
        }
        memory.masks.hide(text);
    }

    /// Says why a value must not be kept, if it holds a secret that was read, or may hold one of `secrets` that was not.
    /// Numbers are taken for what they are.
    pub fn why_withheld(
        &self,
        cloud: plan::Cloud,
        secrets: &[SecretText],
        value: &Value,
    ) -> Option<&'static str> {
        let memory = self.memory();
        let is_read = |reference: &SecretRef| memory.read.contains(&(cloud, reference.clone()));
        if holds(value, &|text| memory.masks.is_in(text)) {
            return Some("it holds a secret, and secrets are not kept");
        }
        let is_open = !secrets.iter().flat_map(SecretText::references).all(is_read);
        (is_open && holds(value, &|text| !text.is_empty()))
            .then_some("it may hold a secret that this process cannot read")
    }

    /// Takes every secret that was read out of all texts of a value.
    pub fn hide_in(&self, cloud: plan::Cloud, secrets: &[SecretText], value: &mut Value) {
        match value {
            Value::String(text) => self.hide(cloud, secrets, text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_in(cloud, secrets, item)),
            Value::Object(members) => {
                members.values_mut().for_each(|member| self.hide_in(cloud, secrets, member));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    async fn read(&self, wanted: &Wanted, limits: Limits) -> Result<SecretString, SecretFailure> {
        let (_, reference) = wanted;
        let sources = &self.shared.sources;
        let read = match reference {
            SecretRef::Env(name) => local::variable(&sources.environment, name),
            SecretRef::File(path) => local::file(&sources.folder, path),
            SecretRef::KeyVault { vault, name, version } => {
                // Boxed: the client's futures are large.
                Box::pin(self.read_in_vault(wanted, vault, name, version.as_deref(), limits)).await
            }
        };
        let secret = read.map_err(|why| SecretFailure { reference: reference.clone(), why })?;
        let mut memory = self.memory();
        memory.masks.add(secret.expose_secret());
        memory.read.insert(wanted.clone());
        Ok(secret)
    }

    async fn read_in_vault(
        &self,
        wanted: &Wanted,
        vault: &Vault,
        name: &str,
        version: Option<&str>,
        limits: Limits,
    ) -> Result<SecretString, Why> {
        let slot = {
            let mut slots = self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(wanted.clone()).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(kept) = slot.as_ref().filter(|kept| kept.read_at.elapsed() < KEPT_FOR) {
            return Ok(kept.secret.clone());
        }
        let secret = self.vault(wanted.0, vault, limits)?.secret(name, version).await.map_err(Why::Vault)?;
        if secret.expose_secret().is_empty() {
            return Err(Why::Empty);
        }
        *slot = Some(Kept { secret: secret.clone(), read_at: Instant::now() });
        Ok(secret)
    }

    fn vault(&self, cloud: plan::Cloud, vault: &Vault, limits: Limits) -> Result<KeyVault, Why> {
        let sources = &self.shared.sources;
        let access = |fits: &dyn Fn(&VaultAccess) -> bool| sources.vaults.iter().find(|access| fits(access));
        let of_plan = access(&|access| access.cloud == cloud);
        let (endpoint, access) = match vault {
            Vault::Named(name) => match (&sources.emulated_vaults, of_plan) {
                (Some(below), _) => (below.vault_below(name), of_plan),
                (None, Some(access)) => {
                    (Some(Endpoint::of_vault(name, access.endpoints).map_err(Why::Address)?), of_plan)
                }
                (None, None) => (None, None),
            },
            Vault::At(address) => {
                let endpoint = Endpoint::parse(address).map_err(Why::Address)?;
                match (Cloud::of_vault(endpoint.host()), &sources.emulated_vaults) {
                    (Some(_), Some(below)) => {
                        let name = endpoint.host().split('.').next().unwrap_or_default();
                        (below.vault_below(name), of_plan)
                    }
                    (Some(cloud), None) => (Some(endpoint), access(&|access| access.endpoints == cloud)),
                    // Only an address on this very machine is none of Azure's: the plan's check knows no other.
                    (None, _) => (Some(endpoint), of_plan),
                }
            }
        };
        match (endpoint, access, &sources.http) {
            (Some(endpoint), Some(access), Some(http)) => {
                Ok(KeyVault::new(endpoint, access.endpoints, access.tokens.clone(), http.clone(), limits))
            }
            _ => Err(Why::NoPlace),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says whether a text of a value, names of members included, is one of these.
fn holds(value: &Value, is_one: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is_one(text),
        Value::Array(items) => items.iter().any(|item| holds(item, is_one)),
        Value::Object(members) => members.iter().any(|(name, member)| is_one(name) || holds(member, is_one)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::{Map, Value, json};

    use super::{Secrets, Sources, WITHHELD};
    use crate::plan::{Cloud, Piece, SecretRef, SecretText};

    fn key(name: &str) -> SecretRef {
        SecretRef::parse(&format!("env:{name}")).expect("it is a reference")
    }

    fn secrets() -> Secrets {
        let none = Secrets::none();
        let environment = BTreeMap::from([("KEY".to_owned(), "canary-7f3a".to_owned())]);
        Secrets::new(Sources { environment, ..none.shared.sources.clone() })
    }

    fn parameters(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other} is no map"),
        }
    }

    #[tokio::test]
    async fn secrets_stand_only_where_they_belong() {
        let look_alike = "{{secret \"env:KEY\"}}";
        let sent = parameters(json!({ "plain": look_alike, "list": ["x", look_alike], "key": look_alike }));
        let place = |at: &str, pieces: Vec<Piece>| SecretText { at: at.to_owned(), pieces };
        let places = [
            place("/list/1", vec![Piece::Text("Bearer ".to_owned()), Piece::Secret(key("KEY"))]),
            place("/key", vec![Piece::Secret(key("KEY"))]),
        ];
        let filled = secrets().fill(Cloud::Public, &sent, &places).await.expect("it is set");
        let want = json!({ "plain": look_alike, "list": ["x", "Bearer canary-7f3a"], "key": "canary-7f3a" });
        assert_eq!(Value::Object(filled.expose().clone()), want);
    }

    #[tokio::test]
    async fn what_has_no_place_or_no_value_is_a_failure() {
        let all = secrets();
        let at =
            |at: &str, name: &str| [SecretText { at: at.to_owned(), pieces: vec![Piece::Secret(key(name))] }];
        let sent = parameters(json!({ "key": "x", "n": 1 }));
        let say = |failure: Option<super::SecretFailure>| failure.expect("it fails").to_string();
        let unset = say(all.fill(Cloud::Public, &sent, &at("/key", "NONE")).await.err());
        assert_eq!(unset, "the secret `env:NONE` cannot be read: the variable is not set");
        for lost in ["/none", "/n"] {
            let lost = say(all.fill(Cloud::Public, &sent, &at(lost, "KEY")).await.err());
            assert!(lost.ends_with("have no place for it"), "{lost}");
        }
        let wanted = BTreeSet::from([
            (Cloud::Public, key("KEY")),
            (Cloud::Public, key("A")),
            (Cloud::China, key("B")),
        ]);
        let failures: Vec<String> = all.check(&wanted).await.iter().map(ToString::to_string).collect();
        assert_eq!(failures.len(), 2, "{failures:?}");
    }

    #[tokio::test]
    async fn a_text_that_may_hold_what_nobody_could_read_is_withheld() {
        let all = secrets();
        let of = |name: &str| [SecretText { at: "/k".to_owned(), pieces: vec![Piece::Secret(key(name))] }];
        let hide = |secrets: &[SecretText]| {
            let mut text = "the key canary-7f3a is wrong".to_owned();
            all.hide(Cloud::Public, secrets, &mut text);
            text
        };
        assert_eq!(hide(&of("KEY")), WITHHELD, "nothing was read so far");
        all.recall(&[(Cloud::Public, key("KEY"))], crate::time::Delay::from_secs(1)).await;
        assert_eq!(hide(&of("KEY")), "the key *** is wrong");
        assert_eq!(hide(&[]), "the key *** is wrong");
        assert_eq!(hide(&of("OTHER")), WITHHELD);
        let withheld =
            |secrets: &[SecretText], value: Value| all.why_withheld(Cloud::Public, secrets, &value).is_some();
        assert!(withheld(&[], json!([{ "a": "Bearer canary-7f3a" }])));
        assert!(withheld(&[], json!({ "canary-7f3a": 1 })));
        assert!(!withheld(&of("KEY"), json!([{ "a": "canary-7f3" }, 7, null])), "not a whole one");
        assert!(withheld(&of("OTHER"), json!({ "a": ["x"] })));
        assert!(!withheld(&of("OTHER"), json!([7, true, ""])));
        assert_eq!(format!("{all:?}"), "Secrets { .. }");
    }
}
