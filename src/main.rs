//! The `synflow` command: parses, runs, turns the result into an exit code.

fn main() {}
