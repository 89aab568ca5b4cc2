//! The prompt: blocks are attached as they are typed, beside those that run already.

mod command;
mod complete;
mod engine;
mod helper;
mod highlight;
mod input;
mod printer;
mod save;
mod shell;

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use anyhow::{Context, Result};
use rbtrace_lang::reference;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor, ExternalPrinter};

use crate::catalog::Machine;
use crate::cli::Cli;
use crate::panic;
use crate::style;
use helper::Editing;
use printer::Printer;
use shell::{Next, Shell};

const PROMPT: &str = "rbtrace> ";
const HISTORY: usize = 10_000;

/// Whether a word is a name of the language.
fn is_name(word: &str) -> bool {
    reference::names().any(|name| name == word)
}

/// Script text in colours, where standard output has them.
pub fn painted(text: &str) -> String {
    if style::on_stdout() { highlight::paint(text, is_name) } else { text.to_owned() }
}

/// Asks until there is nothing more.
pub fn run(flags: &Cli) -> Result<ExitCode> {
    let machine = Machine::new(None, None, flags.traceable_functions.clone())
        .with_debug_folders(flags.debug_folders())
        .with_headers(flags.headers());
    let machine = Rc::new(machine);
    let maps = Rc::new(RefCell::new(Vec::new()));
    let mut editor = editor(Editing::new(Rc::clone(&machine), Rc::clone(&maps)))?;
    let interactive = io::stdin().is_terminal() && io::stdout().is_terminal();
    let printer = match editor.create_external_printer() {
        Ok(mut above) if interactive => Printer::new(move |text| {
            if above.print(text.clone()).is_err() {
                on_stdout(&text);
            }
        }),
        _ => Printer::new(|text| on_stdout(&text)),
    };
    let mut shell = Shell::new(flags, machine, maps, printer.clone())?;
    if interactive {
        println!(
            "rbtrace {}: type a probe block, a statement or an expression; :help tells more",
            env!("CARGO_PKG_VERSION")
        );
    }
    let history = history_file();
    if let Some(path) = &history {
        // There is none the first time.
        let _ = editor.load_history(path);
    }
    panic::stage("reading the prompt");
    loop {
        printer.drain();
        match editor.readline(PROMPT) {
            Ok(line) => {
                remember(&mut editor, &line, history.as_deref());
                if shell.line(&line) == Next::Quit {
                    break;
                }
            }
            // Ctrl-C gives up the line.
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => {
                shell.quit();
                return Err(error).context("cannot read from the terminal");
            }
        }
    }
    shell.quit();
    printer.drain();
    Ok(ExitCode::SUCCESS)
}

fn editor(helper: Editing) -> Result<Editor<Editing, FileHistory>> {
    let config = Config::builder()
        .max_history_size(HISTORY)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .build();
    let mut editor = Editor::with_config(config).context("cannot use the terminal")?;
    editor.set_helper(Some(helper));
    Ok(editor)
}

fn on_stdout(text: &str) {
    let mut out = io::stdout().lock();
    // Nobody reads it any more: the end of input will come, too.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Adds a line to the history, in the file at once: a prompt may be killed.
fn remember(editor: &mut Editor<Editing, FileHistory>, line: &str, file: Option<&std::path::Path>) {
    let added = !line.trim().is_empty() && editor.add_history_entry(line).unwrap_or(false);
    if let (true, Some(path)) = (added, file) {
        if let Some(directory) = path.parent() {
            let _ = std::fs::create_dir_all(directory);
        }
        // A history that cannot be kept is no reason to stop.
        let _ = editor.append_history(path);
    }
}

/// `rbtrace/history` in the user's directory for state (XDG Base Directory Specification).
fn history_file() -> Option<PathBuf> {
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state =
        absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("rbtrace").join("history"))
}
