//! Every integration test, in one binary.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod apply;
mod client;
mod deciding;
mod doctor;
mod emulate;
mod emulator;
mod emulator_replay;
mod fault_table;
mod faulty_nights;
mod flow;
mod journal;
mod journal_formats;
mod owners;
mod plans;
mod play;
mod pretend;
mod readme;
mod retry;
mod screen;
mod script_server;
mod sign_in;
mod simulation;
mod source_text;
mod space;
mod starting;
mod tidy;
mod validate;
mod watching;
mod wire;
mod world;
