//! Golden tests: `tests/golden/**/*.rt`, one feature a file, against dumps of the stages that
//! matter for it. They need no kernel and give the same everywhere.
//!
//! A script's expected dumps lie beside it: `add.rt` with `add.hir` compares the typed program,
//! `add.bpf` the code, and so on for each stage of `-d`. `RBTRACE_BLESS=1` rewrites the dumps
//! that exist; create an empty one to get a new one.

mod machine;

use std::fs;
use std::path::{Path, PathBuf};

use machine::Machine;
use rbtrace_lang::catalog::Nothing;
use rbtrace_lang::expand::Params;
use rbtrace_lang::resolve::{Context, Options};
use rbtrace_lang::span::Sources;
use rbtrace_probes_ebpf::profile::TargetProfile;

/// Stages in order; the extension of a dump is its stage.
const STAGES: [&str; 6] = ["ast", "hir", "clif", "clif-opt", "bpf", "elf"];

/// The dumps of a script, in the order of [`STAGES`]; stops at the first that fails.
fn dumps(text: &str) -> Result<Vec<String>, String> {
    let mut sources = Sources::default();
    let file = sources.add("test.rt", text);
    let diagnostics = |d: Vec<rbtrace_lang::diag::Diagnostic>| format!("{d:#?}");
    let params = Params::new(&["7", "text"]);
    let options = Options::default();
    let cx = Context {
        catalog: &Machine,
        types: &Machine,
        profile: &TargetProfile::REFERENCE,
        options: &options,
        known_maps: &[],
    };
    let script = rbtrace_lang::parse::parse(&sources, file).map_err(diagnostics)?;
    let mut all = vec![rbtrace_lang::dump::ast::script(&script)];
    let expanded = rbtrace_lang::expand::expand(script, &mut sources, &Nothing, &params)
        .map_err(diagnostics)?;
    let resolved = rbtrace_lang::resolve::resolve(expanded.script, &cx).map_err(diagnostics)?;
    let checked = rbtrace_lang::check::check(resolved, &cx).map_err(diagnostics)?;
    all.push(rbtrace_lang::dump::hir::program(&checked.program));
    let error = |e: rbtrace_codegen::Error| e.to_string();
    let lowered = rbtrace_codegen::lower(
        &checked.program,
        &sources,
        cx.profile,
        rbtrace_codegen::StackUse::Usual,
    )
    .map_err(error)?;
    all.push(lowered.dump());
    let optimized = lowered.optimize().map_err(error)?;
    all.push(optimized.dump());
    let selected = optimized.select().map_err(error)?;
    all.push(selected.dump());
    let object = selected.write().map_err(error)?;
    all.push(rbtrace_codegen::elf::dump::dump(&object.elf).map_err(|e| e.to_string())?);
    Ok(all)
}

fn scripts(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|e| e.path()) {
        if path.is_dir() {
            scripts(&path, found);
        } else if path.extension().is_some_and(|e| e == "rt") {
            found.push(path);
        }
    }
}

/// Compares one script with its dumps; answers what differs.
fn compare(script: &Path, bless: bool) -> Vec<String> {
    let name = script.display();
    let text = fs::read_to_string(script).expect("a readable script");
    let all = match dumps(&text) {
        Ok(all) => all,
        Err(error) => return vec![format!("{name}: {error}")],
    };
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (stage, dump) in STAGES.iter().zip(&all) {
        let expected_path = script.with_extension(stage);
        let Ok(expected) = fs::read_to_string(&expected_path) else { continue };
        compared += 1;
        if *dump == expected {
            continue;
        }
        if bless {
            fs::write(&expected_path, dump).expect("a writable dump");
        } else {
            wrong.push(format!("{}:\n{dump}", expected_path.display()));
        }
    }
    if compared == 0 {
        wrong.push(format!("{name}: no dump to compare with"));
    }
    wrong
}

#[test]
fn dumps_are_as_expected() {
    let mut found = Vec::new();
    scripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden"), &mut found);
    found.sort();
    assert!(found.len() >= 60, "only {} golden scripts", found.len());
    let bless = std::env::var_os("RBTRACE_BLESS").is_some();
    let wrong: Vec<String> = found.iter().flat_map(|s| compare(s, bless)).collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_same_text_gives_the_same_dumps() {
    let text = "kprobe:vfs_* { @[comm, arg2] = count(); } END { printf(\"%d\\n\", 1); }";
    assert_eq!(dumps(text), dumps(text));
}
