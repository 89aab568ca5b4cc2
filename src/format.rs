//! Scripts in the standard layout: `--fmt`.

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use rbtrace_lang::fmt;
use rbtrace_lang::span::Sources;

use crate::cli::{Cli, Input};
use crate::compile::Failure;
use crate::source::{self, Program};
use crate::{panic, report, run};

/// Writes a script in the standard layout to standard output, or to the file of `-o`, which may be its
/// own. With `--check`, prints instead the names of the scripts that have another layout, and fails if
/// there are any.
pub fn run(flags: &Cli, inputs: &[Input]) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for input in inputs {
        let (name, text) = match source::read(input)? {
            Program::Script { name, text } => (name, text),
            Program::Object { name, .. } => bail!("{name} is an object; --fmt takes scripts"),
        };
        let mut sources = Sources::default();
        let file = sources.add(name.clone(), text.clone());
        panic::stage("formatting the script");
        match fmt::format(&sources, file) {
            Ok(formatted) if !flags.check => write(flags, &formatted)?,
            Ok(formatted) if formatted == text => {}
            Ok(_) => {
                writeln!(io::stdout(), "{name}")?;
                code = ExitCode::FAILURE;
            }
            Err(errors) => {
                let failure = Failure::Script(errors);
                eprint!("{}", report::failure(&failure, &sources, run::loudness(flags)));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

fn write(flags: &Cli, formatted: &str) -> Result<()> {
    match &flags.output {
        Some(path) => {
            fs::write(path, formatted).with_context(|| format!("cannot write {}", path.display()))
        }
        None => Ok(io::stdout().lock().write_all(formatted.as_bytes())?),
    }
}
