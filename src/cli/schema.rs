//! `synflow schema`: the JSON Schema of plans, on stdout.

use crate::cli::failure::Failure;
use crate::cli::put;
use crate::plan;

/// Prints the schema.
pub(super) fn run() -> Result<(), Failure> {
    put(&format!("{:#}\n", plan::schema()))
}
