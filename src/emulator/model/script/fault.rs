//! What a script makes go wrong on the wire, and when. Which request it strikes is decided by the model.

use serde::Deserialize;

use super::{Length, Skew};
use crate::emulator::model::Operation;

/// One rule: which requests it strikes, how often, and what happens then. The first rule that strikes wins.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The operations it strikes: one, or a list.
    pub on: OneOrMany,
    /// Only requests that name this pipeline.
    pub pipeline: Option<String>,
    /// Only the first so many requests that fit (after `skip`).
    pub first: Option<u64>,
    /// Lets so many requests that fit through before it begins.
    #[serde(default)]
    pub skip: u64,
    /// Strikes with this probability, from 0 to 1, drawn from the script's seed.
    pub probability: Option<f64>,
    /// What happens.
    pub kind: FaultKind,
    /// With `kind: status`: the HTTP status.
    pub status: Option<u16>,
    /// With `kind: status`: how the answer tells when to come back.
    pub retry_after: Option<RetryAfter>,
    /// With `kind: status`: the answer's body.
    pub body: Option<BodyForm>,
    /// With `kind: status`, `html` and `cut`: whether the request is carried out all the same.
    #[serde(default)]
    pub accepted: bool,
    /// With `slow`, `list_lag`, `hide_run` and `short_token`: how long.
    #[serde(rename = "for")]
    pub length: Option<Length>,
    /// With `kind: clock`: by how much this answer's clock is wrong.
    pub ahead: Option<Skew>,
}

/// What happens to a request that is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// It is answered with `status`.
    Status,
    /// It is answered with a gateway's HTML page: `status`, or 502.
    Html,
    /// The connection ends without an answer.
    Cut,
    /// The connection ends in the middle of the answer's body.
    CutInBody,
    /// The answer is complete, but its JSON ends half way.
    Truncate,
    /// The answer comes late.
    Slow,
    /// A list misses runs younger than `for`.
    ListLag,
    /// A run younger than `for` is not found.
    HideRun,
    /// A token ends after `for`, although it promises the usual time.
    ShortToken,
    /// The answer's Date header is wrong by `ahead`.
    Clock,
}

/// How an answer tells when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// `Retry-After: 3`
    Seconds(Length),
    /// `Retry-After: Wed, 21 Oct 2026 07:28:00 GMT`
    Date(Length),
    /// `retry-after-ms: 1500`
    Ms(Length),
    /// `x-ms-retry-after-ms: 1500`
    XMs(Length),
}

/// What an error answer carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyForm {
    /// `{"error":{"code","message"}}`
    Wrapped,
    /// `{"code","message"}`
    Flat,
    /// A gateway's page.
    Html,
    /// Nothing.
    Empty,
}

impl RetryAfter {
    /// Returns how long it asks to wait.
    pub const fn length(self) -> Length {
        match self {
            Self::Seconds(length) | Self::Date(length) | Self::Ms(length) | Self::XMs(length) => length,
        }
    }
}

/// One operation or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrMany(pub Vec<Operation>);

impl Fault {
    /// Finds keys that do not belong together. Returns what is wrong in words.
    pub(super) fn check(&self) -> Result<(), String> {
        let kind = self.kind;
        let needs_length =
            matches!(kind, FaultKind::Slow | FaultKind::ListLag | FaultKind::HideRun | FaultKind::ShortToken);
        if needs_length != self.length.is_some() {
            return Err(if needs_length {
                "a fault of this kind needs `for`, a duration".to_owned()
            } else {
                "`for` belongs to the faults slow, list_lag, hide_run and short_token".to_owned()
            });
        }
        match (kind, self.status) {
            (FaultKind::Status, None) => return Err("a fault of kind `status` needs `status`".to_owned()),
            (FaultKind::Status | FaultKind::Html, Some(400..=599)) | (_, None) => {}
            (FaultKind::Status | FaultKind::Html, Some(_)) => {
                return Err("the `status` of a fault is from 400 to 599".to_owned());
            }
            (_, Some(_)) => return Err("`status` belongs to the faults status and html".to_owned()),
        }
        if let Some((struck, name)) = kind.strikes_only()
            && self.on.0.iter().any(|operation| !struck.contains(operation))
        {
            return Err(format!("the fault {name}"));
        }
        if (kind == FaultKind::Clock) != self.ahead.is_some() {
            return Err("`ahead` and the fault clock belong together".to_owned());
        }
        match self.probability {
            Some(p) if !(0.0..=1.0).contains(&p) => Err("a `probability` is from 0 to 1".to_owned()),
            _ => Ok(()),
        }
    }
}

impl FaultKind {
    /// Returns the only operations that a fault of this kind can strike, and that in words; nothing if it
    /// can strike all.
    const fn strikes_only(self) -> Option<(&'static [Operation], &'static str)> {
        match self {
            Self::ListLag => {
                Some((&[Operation::QueryPipelineRuns], "list_lag strikes only queryPipelineRuns"))
            }
            Self::HideRun => Some((&[Operation::GetRun], "hide_run strikes only getRun")),
            Self::ShortToken => Some((
                &[Operation::Token, Operation::ManagedIdentity],
                "short_token strikes only token and managedIdentity",
            )),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of an operation, or a list of them")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<OneOrMany, E> {
                let one = Operation::deserialize(serde::de::value::StrDeserializer::<E>::new(name))?;
                Ok(OneOrMany(vec![one]))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany, A::Error> {
                let mut many = Vec::new();
                while let Some(one) = list.next_element()? {
                    many.push(one);
                }
                Ok(OneOrMany(many))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
