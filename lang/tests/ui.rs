//! Diagnostics as users see them: each `tests/ui/**/NAME.rt` against `NAME.stderr`.
//!
//! `RBTRACE_BLESS=1 cargo test -p rbtrace-lang --test ui` writes what is expected anew;
//! `RBTRACE_BLESS=syntax` does so for the cases in that directory.

mod machine;

use std::fs;
use std::path::{Path, PathBuf};

use machine::Machine;
use rbtrace_lang::check::check;
use rbtrace_lang::diag::{Diagnostic, codes};
use rbtrace_lang::expand::{Params, expand};
use rbtrace_lang::parse::parse;
use rbtrace_lang::render;
use rbtrace_lang::resolve::{Context, Options, resolve};
use rbtrace_lang::span::Sources;
use rbtrace_probes_ebpf::profile::TargetProfile;

/// Runs a script through the stages and returns what they say about it.
fn diagnose(sources: &mut Sources, file: u32) -> Vec<Diagnostic> {
    let machine = Machine::default();
    let options = Options::default();
    let cx = Context {
        catalog: &machine,
        types: &machine,
        profile: &TargetProfile::REFERENCE,
        options: &options,
        known_maps: &[],
    };
    let checked = parse(sources, file)
        .and_then(|script| expand(script, sources, &machine, &Params::default()))
        .and_then(|expanded| resolve(expanded.script, &cx))
        .and_then(|resolved| check(resolved, &cx));
    match checked {
        Ok(checked) => checked.warnings,
        Err(errors) => errors,
    }
}

fn scripts_in(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            scripts_in(&path, found);
        } else if path.extension().is_some_and(|e| e == "rt") {
            found.push(path);
        }
    }
}

fn all_scripts() -> (PathBuf, Vec<PathBuf>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/ui");
    let mut scripts = Vec::new();
    scripts_in(&root, &mut scripts);
    scripts.sort();
    (root, scripts)
}

#[test]
fn diagnostics_are_as_expected() {
    let bless = std::env::var("RBTRACE_BLESS").ok();
    let (root, scripts) = all_scripts();
    assert!(!scripts.is_empty());
    let mut wrong = Vec::new();
    for path in scripts {
        let name = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
        let text = fs::read_to_string(&path).expect("scripts are UTF-8");
        let mut sources = Sources::default();
        let file = sources.add(name.clone(), text);
        let shown = {
            let diagnostics = diagnose(&mut sources, file);
            render::text(&diagnostics, &sources, false)
        };
        let expected_path = path.with_extension("stderr");
        if bless.as_ref().is_some_and(|dir| dir == "1" || name.starts_with(dir.as_str())) {
            fs::write(&expected_path, &shown).expect("tests/ui can be written");
            continue;
        }
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if shown != expected {
            wrong.push(format!("--- {name}\nexpected:\n{expected}\ngot:\n{shown}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every code of the parser but those that need a large or strange file has a case.
#[test]
fn every_code_has_a_case() {
    const ELSEWHERE: &[&str] =
        &["internal", "script-too-large", "not-a-script", "unknown-option", "bad-option"];
    if std::env::var_os("RBTRACE_BLESS").is_some() {
        return;
    }
    let expected: String = all_scripts()
        .1
        .iter()
        .filter_map(|path| fs::read_to_string(path.with_extension("stderr")).ok())
        .collect();
    let missing: Vec<&str> = codes::syntax::CODES
        .iter()
        .chain(codes::expand::CODES)
        .map(|code| code.name)
        .filter(|name| !ELSEWHERE.contains(name) && !expected.contains(&format!("[{name}]")))
        .collect();
    assert!(missing.is_empty(), "no case in tests/ui for {missing:?}");
}
