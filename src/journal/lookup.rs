//! Finds the flow that a person names.

use rusqlite::{OptionalExtension, params};

use super::error::Cause;
use super::history::header;
use super::{Journal, JournalError};
use crate::flow::{FlowHeader, FlowId};

/// How many of several flows that fit are named.
const NAMED_MAX: usize = 5;

/// The ids that begin with a text, newest first. All are digits and lower-case letters, so `~` comes behind them.
pub(super) const IDS_FROM: &str =
    "SELECT id FROM flows WHERE id >= ?1 AND id < ?1 || '~' ORDER BY rowid DESC LIMIT ?2";

/// How a flow was named on the command line, and that it names none or several.
#[derive(Debug, thiserror::Error)]
pub enum FlowLookup {
    /// No flow fits.
    #[error("there is no flow `{0}` in the journal")]
    None(String),
    /// The journal holds no flow at all.
    #[error("the journal holds no flows yet")]
    Empty,
    /// Several flows fit.
    #[error("`{name}` fits several flows: {}", ids.join(", "))]
    Several {
        /// What was asked for.
        name: String,
        /// Some of the ids that fit.
        ids: Vec<String>,
    },
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Journal {
    /// Finds the flow that a name means: an id, a unique beginning of one, `@latest`, `@latest~1`,
    /// `PLAN@latest`; without a name the latest flow. Reads the header of that flow alone.
    pub fn find(&mut self, name: Option<&str>) -> Result<FlowHeader, FlowLookup> {
        let name = name.unwrap_or("@latest");
        let Some((plan, back)) = latest(name) else { return self.by_id(name) };
        let found = self.read(|connection| {
            let sql = "SELECT id, header FROM flows WHERE ?1 = '' OR plan = ?1 ORDER BY rowid DESC
                       LIMIT 1 OFFSET ?2";
            let back = i64::try_from(back).unwrap_or(i64::MAX);
            let found = connection
                .prepare_cached(sql)?
                .query_row(params![plan, back], |row| Ok((FlowId(row.get(0)?), row.get::<_, String>(1)?)))
                .optional()?;
            found.map(|(id, text)| header(id, &text)).transpose()
        })?;
        found.ok_or_else(|| match plan {
            "" if back == 0 => FlowLookup::Empty,
            _ => FlowLookup::None(name.to_owned()),
        })
    }

    fn by_id(&mut self, name: &str) -> Result<FlowHeader, FlowLookup> {
        let none = || FlowLookup::None(name.to_owned());
        if name.is_empty() {
            return Err(none());
        }
        if let Some(exact) = self.header(&FlowId(name.to_owned()))? {
            return Ok(exact);
        }
        let ids: Vec<String> = self.read(|connection| {
            let mut select = connection.prepare_cached(IDS_FROM)?;
            let ids = select.query_map(params![name, NAMED_MAX as i64], |row| row.get(0))?;
            ids.collect::<rusqlite::Result<_>>().map_err(Cause::from)
        })?;
        match ids.as_slice() {
            [] => Err(none()),
            [one] => self.header(&FlowId(one.clone()))?.ok_or_else(none),
            _ => Err(FlowLookup::Several { name: name.to_owned(), ids }),
        }
    }
}

/// Reads `@latest`, `@latest~2` and `PLAN@latest`: the plan's name, perhaps empty, and how many flows back.
fn latest(name: &str) -> Option<(&str, usize)> {
    let (plan, rest) = name.rsplit_once("@latest")?;
    let back = match rest {
        "" => 0,
        _ => rest.strip_prefix('~')?.parse().ok()?,
    };
    Some((plan, back))
}
