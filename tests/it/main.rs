//! Every integration test, in one binary.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod plans;
mod source_text;
mod tidy;
