//! `rbtrace explain CODE`.

use std::io::{self, Write};

use rbtrace_lang::diag::{codes, suggest};

/// Writes what a code means; without one, all codes. `false`: there is no such code.
pub fn write(code: Option<&str>, out: &mut dyn Write) -> io::Result<bool> {
    let Some(code) = code else {
        let mut names: Vec<&str> = codes::all().map(|code| code.name).collect();
        names.sort_unstable();
        for name in names {
            writeln!(out, "{name}")?;
        }
        return Ok(true);
    };
    // As it is printed in a message: error[code]
    let name = code.trim().trim_start_matches("error").trim_matches(['[', ']']);
    match codes::explain(name) {
        Some(text) => writeln!(out, "{name}\n\n{}", text.trim()).map(|()| true),
        None => Ok(false),
    }
}

/// Says that there is no such code, and which are like it.
pub fn unknown(code: &str) -> String {
    let hint = suggest::did_you_mean(code, codes::all().map(|code| code.name));
    let hint = hint.unwrap_or_else(|| "`rbtrace explain` lists them".into());
    format!("there is no error code `{code}`; {hint}")
}
