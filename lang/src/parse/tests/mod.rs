use super::*;
use crate::dump;
use crate::render;

mod expressions;
mod hostile;
mod items;
mod statements;

fn sources(text: &str) -> (Sources, u32) {
    let mut sources = Sources::default();
    let file = sources.add("test", text);
    (sources, file)
}

#[track_caller]
fn ok<T>(text: &str, parse: impl Fn(&Sources, u32) -> Result<T, Vec<Diagnostic>>) -> T {
    let (sources, file) = sources(text);
    match parse(&sources, file) {
        Ok(value) => value,
        Err(diagnostics) => panic!("{text}\n{}", render::text(&diagnostics, &sources, false)),
    }
}

/// The dump of a script that must be right.
#[track_caller]
fn script(text: &str) -> String {
    dump::ast::script(&ok(text, parse))
}

/// The dump of a probe's body.
#[track_caller]
fn body(text: &str) -> String {
    let dump = script(&format!("BEGIN {{ {text} }}"));
    dump.lines()
        .skip(1)
        .map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line)))
        .collect()
}

/// The dump of an expression that must be right.
#[track_caller]
fn expr(text: &str) -> String {
    dump::ast::expr(&ok(text, parse_expression))
}

/// The codes of what is wrong with a script, and where in its text.
fn wrong(text: &str) -> Vec<(&'static str, String)> {
    let (sources, file) = sources(text);
    let diagnostics = parse(&sources, file).err().unwrap_or_default();
    diagnostics.iter().map(|d| (d.code, sources.text(d.labels[0].span).to_owned())).collect()
}
