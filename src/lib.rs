//! rbtrace: traces Linux with bpftrace-style scripts.
//!
//! The crates under this one compile a script ([`rbtrace_lang`], [`rbtrace_codegen`]) and run the
//! result ([`rbtrace_runtime`]); here are the command line, the machine's facts that a compilation
//! needs, and what is built on both: the prompt, the demo, the lists.

pub mod catalog;
mod cgroup;
pub mod cli;
pub mod compile;
mod demo;
mod explain;
mod filter;
mod format;
mod info;
mod list;
mod output;
mod panic;
mod privileges;
mod progress;
mod repl;
mod replay;
mod report;
mod run;
pub mod scripts;
mod source;
mod style;
mod sys;
mod systemd;
mod verbose;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Result, bail};
use rbtrace_lang::expand::Params;
use rbtrace_lang::span::Sources;
use rbtrace_runtime::features::target_profile;

use cli::{Action, Input, Invocation};
use compile::Setting;
use source::Program;

/// The `rbtrace` command, from the process's arguments to its exit status.
pub fn main() -> ExitCode {
    panic::install_hook();
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(message) => {
            // Help goes to standard output and is no error; if nobody reads it, so be it.
            let _ = message.print();
            return if message.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    match std::panic::catch_unwind(|| act(&invocation)) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("ERROR: {error:#}");
            ExitCode::FAILURE
        }
        // The hook has said what there is to say.
        Err(_) => ExitCode::from(panic::EXIT_STATUS),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

fn act(invocation: &Invocation) -> Result<ExitCode> {
    if invocation.flags.end_with_parent {
        demo::end_with_parent();
    }
    let mut out = io::BufWriter::new(io::stdout());
    match &invocation.action {
        Action::Run { input, params } => return run::run(invocation, input, params),
        Action::Format(inputs) => return format::run(&invocation.flags, inputs),
        Action::Repl => return repl::run(&invocation.flags),
        Action::Demo => demo::run()?,
        Action::DemoWorkload(name) => demo::workload::run(name)?,
        Action::ListPattern(pattern) => {
            let machine = run::machine(&invocation.flags, None)?;
            let listed = list::patterns(pattern, &machine, invocation.flags.verbose > 0, &mut out);
            // What was found before the mistake is shown.
            out.flush()?;
            listed?;
        }
        Action::ListScript { input, params } => {
            return list_script(invocation, input, params, &mut out);
        }
        Action::Info => info::write(&mut out)?,
        Action::Explain(code) => {
            if !explain::write(code.as_deref(), &mut out)? {
                bail!("{}", explain::unknown(code.as_deref().unwrap_or_default()));
            }
        }
        Action::Scripts => scripts::list(&mut out)?,
        Action::Completions(shell) => {
            let shell = shell.as_deref().unwrap_or_default();
            if !cli::completions(shell, &mut out)? {
                bail!("`rbtrace completions` takes bash, zsh, fish, elvish or powershell");
            }
        }
        Action::Manual => cli::manual(&mut out)?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Lists the probes of a script, or of an object.
fn list_script(
    invocation: &Invocation,
    input: &Input,
    params: &[String],
    out: &mut dyn Write,
) -> Result<ExitCode> {
    let flags = &invocation.flags;
    let (name, text) = match source::read(input)? {
        Program::Object { name, elf } => {
            list::object(&source::object(&name, &elf)?, out)?;
            out.flush()?;
            return Ok(ExitCode::SUCCESS);
        }
        Program::Script { name, text } => (name, text),
    };
    let machine = run::machine(flags, None)?;
    let mut sources = Sources::default();
    let file = sources.add(name, text);
    let profile = target_profile();
    let options = run::options(flags);
    let params = Params::new(params);
    let setting = Setting {
        machine: &machine,
        profile: &profile,
        options: &options,
        params: &params,
        known_maps: &[],
    };
    match compile::resolve(&mut sources, file, &setting, &mut compile::unobserved) {
        Ok(resolved) => {
            list::script(&resolved, &machine, flags.verbose > 0, out)?;
            out.flush()?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            eprint!("{}", report::failure(&failure, &sources, run::loudness(flags)));
            Ok(ExitCode::FAILURE)
        }
    }
}
