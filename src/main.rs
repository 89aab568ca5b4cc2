//! The `rbtrace` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    rbtrace::main()
}
