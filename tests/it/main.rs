//! Every integration test, in one binary.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod client;
mod deciding;
mod emulator;
mod emulator_replay;
mod flow;
mod journal;
mod plans;
mod play;
mod pretend;
mod retry;
mod screen;
mod script_server;
mod sign_in;
mod simulation;
mod source_text;
mod tidy;
mod watching;
mod wire;
mod world;
