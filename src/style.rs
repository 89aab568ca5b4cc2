//! Whether and how to use colours.

use std::io::{IsTerminal, stderr, stdout};
use std::sync::OnceLock;

/// A colour, as the parameters of the escape sequence that sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Words of the language.
    Keyword,
    /// Probes.
    Probe,
    /// Names of functions and builtins.
    Function,
    /// Maps and variables.
    Variable,
    /// Text in quotes.
    Text,
    /// Numbers.
    Number,
    /// Comments, hints.
    Faint,
    /// Headings, prompts.
    Strong,
}

impl Colour {
    const fn parameters(self) -> &'static str {
        match self {
            Colour::Keyword => "35",
            Colour::Probe => "1;34",
            Colour::Function => "36",
            Colour::Variable => "33",
            Colour::Text => "32",
            Colour::Number => "31",
            Colour::Faint => "2",
            Colour::Strong => "1",
        }
    }

    /// The text in this colour.
    pub fn paint(self, text: &str) -> String {
        format!("\x1b[{}m{text}\x1b[0m", self.parameters())
    }
}

/// Whether messages on standard error are to have colours.
pub fn on_stderr() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| wanted(stderr().is_terminal()))
}

/// Whether what rbtrace itself writes to standard output is to have colours.
pub fn on_stdout() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| wanted(stdout().is_terminal()))
}

/// `RBTRACE_COLOR` or bpftrace's `BPFTRACE_COLOR` decide (`always`, `never`, `auto`); otherwise
/// `NO_COLOR` (<https://no-color.org>), `TERM=dumb` and whether there is a terminal.
fn wanted(terminal: bool) -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    match set("RBTRACE_COLOR").or_else(|| set("BPFTRACE_COLOR")).as_deref() {
        Some("always") => true,
        Some("never") => false,
        _ => terminal && set("NO_COLOR").is_none() && set("TERM").as_deref() != Some("dumb"),
    }
}

/// The text in this colour on standard output, where colours are wanted there.
pub fn paint(colour: Colour, text: &str) -> String {
    if on_stdout() { colour.paint(text) } else { text.to_owned() }
}
