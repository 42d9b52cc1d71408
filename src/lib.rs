//! synflow runs plans of Azure Synapse Analytics pipelines.
//!
//! Modules in reading order. The upper half is pure: no clock, no disk, no network, no async; the
//! lower half acts. `tests/it/tidy.rs` holds the table of who may name whom.
//!
//! ```text
//! text --plan--> Plan --graph--> PlanGraph --flow--> Decision        pure
//! ------------------------------------------------------------------------
//! driver: Decision --synapse--> Event --journal--> Flow --report--> screen
//! ```

pub mod time;

pub mod plan;

pub mod graph;

pub mod import;

pub mod flow;

pub mod diff;

pub mod definition;

pub mod saved;

pub mod journal;

pub mod synapse;

pub mod secret;

pub mod hook;

pub mod emulator;

pub mod rehearse;

pub mod report;

#[cfg(feature = "otel")]
pub mod otlp;

pub mod driver;

pub mod cli;
