//! What a tracer printed against what the interpreter says.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use rbtrace_lang::catalog::Nothing;
use rbtrace_lang::expand::{Params, expand};
use rbtrace_lang::resolve::{Context, Options, resolve};
use rbtrace_lang::span::Sources;
use rbtrace_lang::{check, hir, parse};
use rbtrace_probes_ebpf::profile::TargetProfile;
use serde_json::Value as Json;

use crate::interpret;
pub use crate::interpret::Outcome;

/// What a script must print and leave in its maps.
///
/// # Errors
///
/// The messages of the compiler, or what the interpreter does not know.
pub fn expected(script: &str) -> Result<Outcome, String> {
    interpret::run(&check(script)?.0)
}

/// The script as an object, and what it must print and leave in its maps.
///
/// # Errors
///
/// Those of [`expected`], and those of the compiler's later stages.
pub fn compiled(script: &str) -> Result<(Vec<u8>, Outcome), String> {
    let (program, sources) = check(script)?;
    let object = rbtrace_codegen::compile(&program, &sources, &TargetProfile::REFERENCE);
    Ok((object.map_err(|error| error.to_string())?.elf, interpret::run(&program)?))
}

fn check(script: &str) -> Result<(hir::Program, Sources), String> {
    let mut sources = Sources::default();
    let file = sources.add("generated".to_owned(), script.to_owned());
    let profile = TargetProfile::REFERENCE;
    let options = Options::default();
    let cx = Context {
        catalog: &Nothing,
        types: &Nothing,
        profile: &profile,
        options: &options,
        known_maps: &[],
    };
    let checked = parse::parse(&sources, file)
        .and_then(|script| expand(script, &mut sources, &Nothing, &Params::default()))
        .and_then(|expanded| resolve(expanded.script, &cx))
        .and_then(|resolved| check::check(resolved, &cx));
    match checked {
        Ok(checked) => Ok((checked.program, sources)),
        Err(all) => Err(all.iter().map(|d| format!("{}\n", d.message)).collect()),
    }
}

/// Runs a tracer and reads what it printed.
///
/// # Errors
///
/// What it complained about, and what [`observed`] says.
pub fn run(tracer: &Path, script: &[&OsStr]) -> Result<Outcome, String> {
    let output = Command::new(tracer)
        .args(["-q", "-f", "json"])
        .args(script)
        .output()
        .map_err(|error| format!("{}: {error}", tracer.display()))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let start: String = stderr.chars().take(600).collect();
        return Err(format!("{} failed: {start}", tracer.display()));
    }
    observed(&String::from_utf8_lossy(&output.stdout))
}

/// What a tracer printed as JSON.
///
/// # Errors
///
/// The line that is no JSON.
pub fn observed(stdout: &str) -> Result<Outcome, String> {
    let (mut printed, mut maps) = (Vec::new(), BTreeMap::new());
    for line in stdout.lines().filter(|line| !line.trim().is_empty()) {
        let mut event: Json = serde_json::from_str(line).map_err(|e| format!("{e}: {line}"))?;
        let data = event["data"].take();
        match (event["type"].as_str(), data) {
            (Some("value"), data) => printed.push(data),
            (Some("map" | "stats"), Json::Object(all)) => maps.extend(all),
            _ => {}
        }
    }
    Ok(Outcome { printed, maps })
}

/// The first difference, in words.
pub fn difference(expected: &Outcome, observed: &Outcome) -> Option<String> {
    for (at, wanted) in expected.printed.iter().enumerate() {
        match observed.printed.get(at) {
            Some(got) if exact(got) == exact(wanted) => {}
            Some(got) => return Some(format!("value {at} is {got}, expected {wanted}")),
            None => return Some(format!("value {at} is not there, expected {wanted}")),
        }
    }
    if let Some(more) = observed.printed.get(expected.printed.len()) {
        return Some(format!("one value too many: {more}"));
    }
    let names = expected.maps.keys().chain(observed.maps.keys());
    for name in names {
        let (wanted, got) = (content(expected, name), content(observed, name));
        if wanted != got {
            return Some(format!("{name} is {got}, expected {wanted}"));
        }
    }
    None
}

fn content(outcome: &Outcome, name: &str) -> Json {
    exact(outcome.maps.get(name).unwrap_or(&Json::Object(Default::default())))
}

/// Numbers that JSON output quotes since readers would round them, as numbers.
fn exact(value: &Json) -> Json {
    match value {
        Json::String(text) => match (text.parse::<i64>(), text.parse::<u64>()) {
            (Ok(number), _) => number.into(),
            (_, Ok(number)) => number.into(),
            _ => value.clone(),
        },
        Json::Array(members) => members.iter().map(exact).collect(),
        Json::Object(entries) => {
            Json::Object(entries.iter().map(|(key, value)| (key.clone(), exact(value))).collect())
        }
        other => other.clone(),
    }
}
