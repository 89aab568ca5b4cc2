//! What the command line asks for, its flags checked against each other.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::{Buffering, Cli, Format, Mode, Stage};
use crate::scripts;

/// What to do, and how.
#[derive(Debug)]
pub struct Invocation {
    /// What to do.
    pub action: Action,
    /// All flags, for those that need no check.
    pub flags: Cli,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Compile, then run, print stages or write the object, as the flags have it.
    Run {
        /// The script.
        input: Input,
        /// `$1` and so on, and `--name=value` after `--`.
        params: Vec<String>,
    },
    /// List the probes that a pattern names.
    ListPattern(String),
    /// List the probes of a script.
    ListScript {
        /// The script.
        input: Input,
        /// As for [`Action::Run`].
        params: Vec<String>,
    },
    /// Print scripts in the standard layout, or compare them with it.
    Format(Vec<Input>),
    /// Ask line by line.
    Repl,
    /// Show what rbtrace does.
    Demo,
    /// Be the workload of this name.
    DemoWorkload(String),
    /// Tell what the kernel can do.
    Info,
    /// Explain an error code; without one, name all.
    Explain(Option<String>),
    /// List the built-in scripts.
    Scripts,
    /// Completions for a shell.
    Completions(Option<String>),
    /// The man page.
    Manual,
}

/// Where a script is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// `-e`
    Text(String),
    /// Standard input.
    Stdin,
    /// A script or an object.
    File(PathBuf),
    /// A built-in script, by name.
    BuiltIn(&'static scripts::Script),
}

/// Where output goes.
#[derive(Clone, Debug)]
pub struct Output {
    /// A file instead of standard output.
    pub file: Option<PathBuf>,
    /// Text or JSON.
    pub format: Format,
    /// When it is written.
    pub buffering: Buffering,
}

impl Invocation {
    /// Where output goes.
    pub fn output(&self) -> Output {
        let Cli { output, format, buffering, .. } = &self.flags;
        Output { file: output.clone(), format: *format, buffering: *buffering }
    }

    /// What is to be run instead of tracing.
    pub fn mode(&self) -> Option<Mode> {
        match &self.flags {
            Cli { test: true, .. } => Some(Mode::Test),
            Cli { bench: true, .. } => Some(Mode::Bench),
            flags => flags.mode,
        }
    }

    /// Whether a stage is to be printed.
    pub fn prints(&self, stage: Stage) -> bool {
        let all = stage != Stage::Verifier;
        self.flags.stages.iter().any(|s| *s == stage || (all && *s == Stage::All))
    }
}

/// Reads the command line. The error prints itself: help and version among the errors.
pub fn parse<I: IntoIterator<Item = OsString>>(args: I) -> Result<Invocation, clap::Error> {
    let flags = Cli::try_parse_from(args)?;
    let action = action(&flags)?;
    Ok(Invocation { action, flags })
}

fn usage_error(kind: ErrorKind, message: impl std::fmt::Display) -> clap::Error {
    Cli::command().error(kind, message)
}

fn action(flags: &Cli) -> Result<Action, clap::Error> {
    if let Some(name) = &flags.demo_workload {
        return Ok(Action::DemoWorkload(name.clone()));
    }
    if flags.info {
        return Ok(Action::Info);
    }
    if flags.demo {
        return Ok(Action::Demo);
    }
    if flags.list {
        return list(flags);
    }
    if flags.fmt {
        return format(flags);
    }
    if let Some(program) = &flags.program {
        let params = flags.words.clone();
        return Ok(Action::Run { input: Input::Text(program.clone()), params });
    }
    let Some((first, rest)) = flags.words.split_first() else {
        return without_script(flags);
    };
    if let Some(action) = word(first, rest) {
        return Ok(action);
    }
    Ok(Action::Run { input: input(first), params: rest.to_vec() })
}

/// `rbtrace` alone asks line by line on a terminal; elsewhere, and with flags that are about a
/// script, a script is missing.
fn without_script(flags: &Cli) -> Result<Action, clap::Error> {
    match about_a_script(flags) {
        Some(flag) if flags.repl => {
            let message = format!("{flag} is for a script; the prompt does not take it");
            Err(usage_error(ErrorKind::ArgumentConflict, message))
        }
        None if flags.repl || std::io::stdin().is_terminal() => Ok(Action::Repl),
        _ => {
            Err(usage_error(ErrorKind::MissingRequiredArgument, "a FILE or -e PROGRAM is required"))
        }
    }
}

/// A flag that was given and that only a script's run heeds.
fn about_a_script(flags: &Cli) -> Option<&'static str> {
    let given = [
        (flags.pid.is_some(), "-p"),
        (flags.cmd.is_some(), "-c"),
        (flags.cgroup.is_some(), "--cgroup"),
        (flags.container.is_some(), "--container"),
        (!flags.dwarf_pids.is_empty(), "--dwarf-pid"),
        (flags.output.is_some(), "-o"),
        (flags.format != Format::Text, "-f"),
        (flags.dry_run, "--dry-run"),
        (flags.test_packets.is_some(), "--test-packets"),
        (flags.emit_elf.is_some(), "--emit-elf"),
        (!flags.stages.is_empty(), "-d"),
    ];
    given.iter().find(|(given, _)| *given).map(|(_, flag)| *flag)
}

fn list(flags: &Cli) -> Result<Action, clap::Error> {
    let params = flags.words.clone();
    if let Some(program) = &flags.program {
        return Ok(Action::ListScript { input: Input::Text(program.clone()), params });
    }
    match params.split_first() {
        None => Ok(Action::ListPattern("*".into())),
        Some((first, rest)) if is_file(first) => {
            Ok(Action::ListScript { input: input(first), params: rest.to_vec() })
        }
        Some((pattern, [])) => Ok(Action::ListPattern(pattern.clone())),
        Some(_) => Err(usage_error(
            ErrorKind::TooManyValues,
            "-l takes one PATTERN; separate several by commas",
        )),
    }
}

/// What `--fmt` is to format: one script, or with `--check` several.
fn format(flags: &Cli) -> Result<Action, clap::Error> {
    let text = flags.program.iter().map(|program| Input::Text(program.clone()));
    let inputs: Vec<Input> = text.chain(flags.words.iter().map(|word| input(word))).collect();
    match inputs.len() {
        0 => {
            Err(usage_error(ErrorKind::MissingRequiredArgument, "--fmt needs a FILE or -e PROGRAM"))
        }
        1 => Ok(Action::Format(inputs)),
        _ if flags.check => Ok(Action::Format(inputs)),
        _ => Err(usage_error(
            ErrorKind::TooManyValues,
            "--fmt prints one script; with --check it takes several",
        )),
    }
}

/// The words that stand for no script, unless there is a file with that name.
fn word(first: &str, rest: &[String]) -> Option<Action> {
    if is_file(first) {
        return None;
    }
    match (first, rest) {
        ("scripts", []) => Some(Action::Scripts),
        ("man", []) => Some(Action::Manual),
        ("explain", [] | [_]) => Some(Action::Explain(rest.first().cloned())),
        ("completions", [] | [_]) => Some(Action::Completions(rest.first().cloned())),
        _ => None,
    }
}

/// What a name on the command line stands for.
pub fn input(name: &str) -> Input {
    if name == "-" {
        return Input::Stdin;
    }
    match scripts::find(name) {
        Some(script) if !is_file(name) => Input::BuiltIn(script),
        _ => Input::File(name.into()),
    }
}

/// Whether a name is that of something to read; a directory is not.
fn is_file(name: &str) -> bool {
    name != "-" && Path::new(name).metadata().is_ok_and(|m| !m.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(args: &[&str]) -> Action {
        let args = ["rbtrace"].iter().chain(args).map(OsString::from);
        parse(args).expect("a valid command line").action
    }

    fn fails(args: &[&str]) -> String {
        let args = ["rbtrace"].iter().chain(args).map(OsString::from);
        parse(args).expect_err("an invalid command line").to_string()
    }

    #[test]
    fn flags_stand_anywhere_and_parameters_follow() {
        let Action::Run { input, params } = of(&["-e", "x", "a", "-v", "b", "--", "-5", "--n=1"])
        else {
            panic!("not run")
        };
        assert_eq!(input, Input::Text("x".into()));
        assert_eq!(params, ["a", "b", "-5", "--n=1"]);
        assert_eq!(of(&["-lv", "t:*"]), Action::ListPattern("t:*".into()));
        assert_eq!(of(&["-l"]), Action::ListPattern("*".into()));
    }

    #[test]
    fn words_and_files() {
        assert_eq!(of(&["scripts"]), Action::Scripts);
        assert_eq!(of(&["explain", "syntax"]), Action::Explain(Some("syntax".into())));
        let run = of(&["latency", "libc", "puts"]);
        assert!(matches!(run, Action::Run { input: Input::BuiltIn(_), .. }), "{run:?}");
        let run = of(&["-"]);
        assert!(matches!(run, Action::Run { input: Input::Stdin, .. }), "{run:?}");
        let run = of(&["no/such/file.rt"]);
        assert!(matches!(run, Action::Run { input: Input::File(_), .. }), "{run:?}");
    }

    #[test]
    fn what_does_not_go_together() {
        assert!(fails(&["-p", "1", "-c", "ls", "-e", "x"]).contains("cannot be used with"));
        assert!(fails(&["--bench", "--test", "x"]).contains("cannot be used with"));
        assert!(fails(&["--dry-run"]).contains("required"));
        assert!(fails(&["-B", "some", "x"]).contains("possible values"));
        assert!(fails(&["-p", "0", "x"]).contains("0 is not in"));
        assert!(fails(&["-p", "-1", "x"]).contains("-1 is not in"));
        assert!(fails(&["--repl", "-p", "1"]).contains("-p is for a script"));
        assert_eq!(of(&["--repl", "-q"]), Action::Repl);
    }
}
