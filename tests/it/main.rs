//! Every integration test, in one binary.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod deciding;
mod flow;
mod journal;
mod plans;
mod play;
mod pretend;
mod simulation;
mod source_text;
mod tidy;
mod watching;
mod world;
