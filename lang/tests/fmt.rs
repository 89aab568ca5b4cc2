//! Scripts in the standard layout: `tests/fmt/NAME.rt` against `NAME.fmt`, and what holds for every
//! script there is in the repository.
//!
//! `RBTRACE_BLESS=1 cargo test -p rbtrace-lang --test fmt` writes what is expected anew.

use std::fs;
use std::path::{Path, PathBuf};

use rbtrace_lang::diag::Diagnostic;
use rbtrace_lang::span::Sources;
use rbtrace_lang::{dump, fmt, parse, render};

fn scripts_in(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory of scripts").flatten() {
        let path = entry.path();
        if path.is_dir() {
            scripts_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rt") {
            found.push(path);
        }
    }
}

/// The scripts in some directories of the repository, with their names.
fn scripts(dirs: &[&str]) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut paths = Vec::new();
    dirs.iter().for_each(|dir| scripts_in(&root.join(dir), &mut paths));
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("scripts are UTF-8");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

fn of<T>(
    text: &str,
    stage: impl Fn(&Sources, u32) -> Result<T, Vec<Diagnostic>>,
) -> Result<T, String> {
    let mut sources = Sources::default();
    let file = sources.add("script", text);
    stage(&sources, file).map_err(|errors| render::text(&errors, &sources, false))
}

/// A script's tree without places, and the letters and digits of its comments.
fn meaning(text: &str) -> (String, String) {
    let script = of(text, parse::parse).expect("a script");
    let comments = script.comments.iter().map(|s| &text[s.start as usize..s.end as usize]);
    (dump::ast::script(&script), comments.flat_map(letters).collect())
}

fn letters(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| c.is_alphanumeric())
}

/// The script in the standard layout, which must mean the same and be formatted already.
#[track_caller]
fn checked(name: &str, text: &str) -> String {
    let formatted = of(text, fmt::format).unwrap_or_else(|error| panic!("{name}\n{text}\n{error}"));
    assert_eq!(meaning(text), meaning(&formatted), "{name}\n{text}\n{formatted}");
    assert_eq!(of(&formatted, fmt::format).as_ref(), Ok(&formatted), "{name}\n{text}");
    formatted
}

#[test]
fn layouts_are_as_expected() {
    let bless = std::env::var_os("RBTRACE_BLESS").is_some();
    let scripts = scripts(&["tests/fmt"]);
    assert!(!scripts.is_empty());
    for (path, text) in scripts {
        let formatted = checked(&path.display().to_string(), &text);
        let expected = path.with_extension("fmt");
        if bless {
            fs::write(expected, formatted).expect("tests/fmt can be written");
        } else {
            let expected = fs::read_to_string(expected).expect("what is expected");
            assert_eq!(formatted, expected, "{}", path.display());
        }
    }
}

#[test]
fn every_script_keeps_its_meaning() {
    let scripts = scripts(&["tests/fmt", "tests/golden", "tests/ui", "scripts"]);
    let parsed = scripts.iter().filter(|(_, text)| of(text, parse::parse).is_ok());
    let mut count = 0;
    for (path, text) in parsed {
        checked(&path.display().to_string(), text);
        count += 1;
    }
    assert!(count > 100, "{count}");
}

/// Comments and empty lines wherever a script can have them, at one place in seven.
#[test]
fn comments_may_stand_anywhere() {
    let kinds = [" /* aa */ ", " // bb\n", "\n// cc\n", "\n\n/* dd\n * ee\n */\n", " /* ff */\n"];
    for (path, text) in scripts(&["tests/fmt"]) {
        for (number, at) in
            (0..text.len()).step_by(7).filter(|at| text.is_char_boundary(*at)).enumerate()
        {
            let mut commented = text.clone();
            commented.insert_str(at, kinds[number % kinds.len()]);
            if of(&commented, parse::parse).is_ok() {
                checked(&path.display().to_string(), &commented);
            }
        }
    }
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_formatted() {
    let error = of("BEGIN { print(1 }", fmt::format).expect_err("a missing bracket");
    assert!(error.contains("error[unclosed"), "{error}");
    // Brackets around each operator make it twice as deep.
    let deep = format!("BEGIN {{ print(1{}); }}", " + 1".repeat(200));
    let error = of(&deep, fmt::format).expect_err("too deep");
    assert!(error.contains("error[nesting-too-deep]: formatted"), "{error}");
}
