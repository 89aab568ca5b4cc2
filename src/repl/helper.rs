//! What the line editor asks while a line is typed.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use rbtrace_lang::parse::is_incomplete;
use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper, Result};

use super::{complete, highlight, is_name};
use crate::catalog::Machine;
use crate::style::{self, Colour};

/// Completion, colours, hints from the history, and whether a line is complete.
pub struct Editing {
    /// The machine whose probes are offered.
    pub machine: Rc<Machine>,
    /// Names of the session's maps.
    pub maps: Rc<RefCell<Vec<String>>>,
    history: HistoryHinter,
}

impl Editing {
    /// For a session with these maps.
    pub fn new(machine: Rc<Machine>, maps: Rc<RefCell<Vec<String>>>) -> Self {
        Self { machine, maps, history: HistoryHinter::new() }
    }
}

impl Helper for Editing {}

impl Completer for Editing {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> Result<(usize, Vec<String>)> {
        let text = line.get(..at).unwrap_or_default();
        Ok(complete::complete(text, self.machine.as_ref(), &self.maps.borrow()))
    }
}

impl Hinter for Editing {
    type Hint = String;

    fn hint(&self, line: &str, at: usize, context: &Context<'_>) -> Option<String> {
        let hint = self.history.hint(line, at, context)?;
        // Several lines of grey text would only be in the way.
        (!hint.contains('\n')).then_some(hint)
    }
}

impl Highlighter for Editing {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if !style::on_stdout() {
            return Cow::Borrowed(line);
        }
        if line.starts_with(':') {
            return Cow::Owned(Colour::Strong.paint(line));
        }
        Cow::Owned(highlight::paint(line, is_name))
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Owned(style::paint(Colour::Strong, prompt))
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(style::paint(Colour::Faint, hint))
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        style::on_stdout()
    }
}

impl Validator for Editing {
    fn validate(&self, context: &mut ValidationContext<'_>) -> Result<ValidationResult> {
        let text = context.input();
        let goes_on = !text.starts_with(':') && is_incomplete(text);
        // An empty line ends what will never be complete.
        if goes_on && !text.ends_with("\n\n") {
            return Ok(ValidationResult::Incomplete);
        }
        Ok(ValidationResult::Valid(None))
    }
}
