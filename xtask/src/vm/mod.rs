//! `cargo xtask vm`: another kernel to try something on, and the machinery of tests on kernels.

pub mod cpio;
pub mod image;
pub mod qemu;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::setup::{self, kernel::Kernel};
use crate::workspace;

/// Runs `cargo xtask vm -- rbtrace -e 'kprobe:vfs_open { @[comm] = count(); }' -c 'ls /'`
#[derive(clap::Args)]
pub struct Args {
    /// The kernel to boot
    #[arg(long, value_enum, default_value = "6.12")]
    kernel: Kernel,
    #[command(flatten)]
    choice: workspace::Choice,
    /// Put this file or folder into the guest, below its root and under its own name (may be repeated)
    #[arg(long, value_name = "PATH")]
    add: Vec<PathBuf>,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// What to run there: one word is a line of shell; `setup` only fetches what is needed
    #[arg(trailing_var_arg = true)]
    command: Vec<String>,
}

/// Runs the command in a guest and ends with its exit status.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.command.iter().eq(["setup"]) {
        setup::prepare(&[Kernel::V6_1, Kernel::V6_12, Kernel::V7_2])?;
        println!("virtual machines are ready under {}", workspace::target().join("vm").display());
        return Ok(ExitCode::SUCCESS);
    }
    setup::prepare(&[args.kernel])?;
    let programs = workspace::build_programs(&args.choice)?;
    let image = image::write(args.kernel, &programs, &shell_line(&args.command), &args.add)?;
    let limit = args.timeout.map(Duration::from_secs);
    let code = qemu::boot(args.kernel, &image, &qemu::Streams::Inherited, limit)?.wait()?;
    Ok(ExitCode::from(code))
}

/// The command as a line of shell: a single word is one already.
fn shell_line(words: &[String]) -> String {
    match words {
        [line] => line.clone(),
        words => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::shell_line;

    #[test]
    fn words_are_quoted_and_a_line_is_not() {
        assert_eq!(shell_line(&["ls | wc".to_owned()]), "ls | wc");
        let words = ["rbtrace", "-e", "BEGIN { print('x') }"].map(str::to_owned);
        assert_eq!(shell_line(&words), r"'rbtrace' '-e' 'BEGIN { print('\''x'\'') }'");
    }
}
