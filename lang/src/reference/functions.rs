//! `docs/functions.md`, and what a terminal shows of one name.

use std::fmt::Write;

use super::{Chapter, Entry, chapters};

const HEAD: &str = "\
<!-- Written by `cargo xtask docs` from the compiler's tables and the .md files beside them. -->

# Functions and builtins

Every name that a script can use, made from the tables that the compiler looks names up in.
[language.md](language.md) describes the language itself.

In signatures, `[x]` may be left out, `...` may be repeated, `@map` is the name of a map without a
key, and \"...\" is text that must be written out in the script. What is not said otherwise is there
in every probe and on every kernel that runs rbtrace (Linux 5.10; several kinds of probes need
more).

Examples marked `run` are run by the tests, on several kernels, and print exactly what is shown; only
the line `Attached 1 probe` and blank lines at the ends are left out. Those marked `compile` need
events that do not come by themselves: the tests compile them. `rbtrace explain NAME` prints one
description, and so does `:help NAME` at the prompt.
";

/// The whole document.
pub fn document() -> String {
    let chapters = chapters();
    let mut out = HEAD.to_owned();
    for (number, chapter) in chapters.iter().enumerate() {
        index(chapter, &mut out);
        if number == 0 {
            also_builtins(&chapters, &mut out);
        }
    }
    for chapter in &chapters {
        out.push_str(&format!("\n## {}\n", chapter.title));
        for entry in &chapter.entries {
            out.push('\n');
            out.push_str(&section(entry));
        }
    }
    out
}

/// A table of a chapter's names.
fn index(chapter: &Chapter, out: &mut String) {
    out.push_str(&format!("\n{}:\n\n| name | what it is |\n|---|---|\n", chapter.title));
    for entry in &chapter.entries {
        let Entry { name, .. } = entry;
        let anchor = name.to_lowercase();
        let summary = entry.summary().replace('\n', " ").replace('|', "\\|");
        out.push_str(&format!("| [{name}](#{anchor}) | {summary} |\n"));
    }
}

/// The functions that are builtins, too.
fn also_builtins(chapters: &[Chapter], out: &mut String) {
    let functions = chapters.iter().skip(1).flat_map(|chapter| &chapter.entries);
    let both = functions.filter(|entry| entry.usage.first().is_some_and(|way| way == entry.name));
    let links: Vec<_> = both.map(|entry| format!("[{0}](#{0})", entry.name)).collect();
    out.push_str(&format!("\nBuiltins that can be called, too: {}.\n", links.join(", ")));
}

/// What there is to know of a name, in Markdown.
fn section(entry: &Entry) -> String {
    let mut out = format!("### {}\n\n", entry.name);
    for way in &entry.usage {
        out.push_str(&format!("    {way}\n"));
    }
    for (what, said) in facts(entry) {
        // Writing to a string does not fail.
        let _ = write!(out, "\n- {what}: {said}");
    }
    out.push_str(&format!("\n\n{}\n", entry.text()));
    out
}

/// What the table says of a name, and the type of its value.
fn facts(entry: &Entry) -> Vec<(&'static str, String)> {
    let mut facts = vec![("value", entry.value().to_owned())];
    let kinds = entry.kinds();
    if !kinds.is_empty() {
        facts.push(("where", kinds));
    }
    if !entry.harm.is_empty() {
        facts.push(("needs", format!("`--unsafe`, since it {}", entry.harm)));
    }
    if let Some(kernel) = entry.since {
        facts.push(("since", format!("Linux {kernel}")));
    }
    facts
}

/// What there is to know of a name, for a terminal.
pub fn plain(entry: &Entry) -> String {
    let mut out = String::new();
    for way in &entry.usage {
        out.push_str(&format!("{way}\n"));
    }
    out.push('\n');
    for (what, said) in facts(entry) {
        out.push_str(&format!("{what}: {said}\n"));
    }
    out.push('\n');
    let mut fenced = false;
    for line in entry.text().lines() {
        match (line.strip_prefix("```"), fenced) {
            (Some("output"), false) => out.push_str("    # prints\n"),
            (Some("errors"), false) => out.push_str("    # and on standard error\n"),
            (Some(_), _) => {}
            (None, true) if !line.is_empty() => out.push_str(&format!("    {line}\n")),
            (None, _) => out.push_str(&format!("{line}\n")),
        }
        fenced ^= line.starts_with("```");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_fences() {
        let entry = super::super::find("bswap").expect("there");
        let text = plain(&entry);
        assert!(text.starts_with("bswap(number)\n\nvalue: "), "{text}");
        assert!(!text.contains("```") && text.contains("\n    BEGIN {"), "{text}");
    }
}
