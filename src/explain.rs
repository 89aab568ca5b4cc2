//! `rbtrace explain WORD`: what an error code means, or what a name of the language is.

use std::io::{self, Write};

use rbtrace_lang::diag::{codes, suggest};
use rbtrace_lang::reference::{self, functions};

/// Writes what a code or a name means; without one, all codes and names. `false`: there is no such
/// word.
pub fn write(word: Option<&str>, out: &mut dyn Write) -> io::Result<bool> {
    let Some(word) = word else {
        let mut all: Vec<&str> = words().collect();
        all.sort_unstable();
        all.dedup();
        for word in all {
            writeln!(out, "{word}")?;
        }
        return Ok(true);
    };
    // As it is printed in a message: error[code]
    let code = word.trim().trim_start_matches("error").trim_matches(['[', ']']);
    if let Some(text) = codes::explain(code) {
        return writeln!(out, "{code}\n\n{}", text.trim()).map(|()| true);
    }
    match name(word) {
        Some(text) => write!(out, "{text}").map(|()| true),
        None => Ok(false),
    }
}

/// What the reference says of a function or builtin; `str`, `str()` and `@x = count()` are such.
pub fn name(word: &str) -> Option<String> {
    let name = word.split('(').next().unwrap_or_default();
    let name = name.rsplit([' ', '=']).next().unwrap_or_default();
    reference::find(name).map(|entry| functions::plain(&entry))
}

fn words() -> impl Iterator<Item = &'static str> {
    codes::all().map(|code| code.name).chain(reference::names())
}

/// Says that there is no such word, and which are like it.
pub fn unknown(word: &str) -> String {
    let hint = suggest::did_you_mean(word, words());
    let hint = hint.unwrap_or_else(|| "`rbtrace explain` lists them".into());
    format!("there is no error code, function or builtin `{word}`; {hint}")
}
