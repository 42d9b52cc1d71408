//! The `synflow` command: parses, runs, turns the result into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    synflow::cli::main()
}
