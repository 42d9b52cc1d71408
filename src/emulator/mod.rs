//! A local Synapse workspace to try plans and clients against: `synflow emulate` and `--emulate`.
//!
//! [`model`] is the pretend service itself, pure: calls and the time go in, answers come out. Its [`script`] is what a
//! user tells it to do, [`files`] reads it from disk. [`server`] gives the model sockets. Nothing here may name the
//! client's types: the emulator writes its own JSON, so that both sides cannot share one mistake.

pub mod files;

pub mod model;

pub mod server;

pub use self::files::{LoadError, list_artifacts, read_artifacts, read_script};
pub use self::model::script;
pub use self::model::{CLIENT_ID, CLIENT_SECRET, Model, TENANT_ID};
pub use self::script::Script;
pub use self::server::{Options, Server, Tls, start, start_with};
