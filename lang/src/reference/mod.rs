//! The reference of the language: every name that scripts can use, described beside its code.
//!
//! A family of names has a Markdown file beside the file with its table (`functions/text.rs`,
//! `functions/text.md`), with a section for each:
//!
//! ````text
//! ## bswap
//! value: an unsigned integer as wide as the argument
//!
//! What it computes, in one sentence. Then whatever else there is to know.
//!
//! ```rbtrace run
//! BEGIN { printf("%x\n", bswap((uint16)0x1234)); }
//! ```
//! ```output
//! 3412
//! ```
//! ````
//!
//! How it is called, where it can be and what it needs comes from the table. `docs/functions.md`
//! ([`functions`]), `rbtrace explain NAME` and the prompt's `:help NAME` are made of both;
//! [`examples`] finds the examples, which are tests.

pub mod examples;
pub mod functions;
pub mod language;
mod sections;

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::profile::KernelVersion;

use crate::check::functions::{FAMILIES, Function};
use crate::check::place::Place;
use crate::check::{aggregate, builtins, comptime};
use crate::expand::{options, stdlib};

use sections::Section;

/// Text of the reference, a section for each name.
#[derive(Clone, Copy, Debug)]
pub struct Docs {
    /// The file, from the top of the repository.
    pub path: &'static str,
    /// What is in it.
    pub text: &'static str,
}

/// The text of a file in `$folder` of this crate, which is the folder of the file that says so unless
/// `$from` leads from there to the crate's.
macro_rules! docs {
    ($folder:literal, $file:literal) => {
        $crate::reference::Docs {
            path: concat!("lang/", $folder, "/", $file),
            text: include_str!($file),
        }
    };
    ($folder:literal, $file:literal, $from:literal) => {
        $crate::reference::Docs {
            path: concat!("lang/", $folder, "/", $file),
            text: include_str!(concat!($from, $folder, "/", $file)),
        }
    };
}
pub(crate) use docs;

/// A name of the language.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name.
    pub name: &'static str,
    /// The ways to write it.
    pub usage: Vec<String>,
    /// Which probes have it.
    pub place: Place,
    /// What it does that needs `--unsafe`; empty if nothing.
    pub harm: &'static str,
    /// The first kernel that has it; `None`: every kernel that rbtrace runs on.
    pub since: Option<KernelVersion>,
    /// Where its section is, or should be.
    pub path: &'static str,
    /// What is said of it; `None`: nothing yet, which tests complain of.
    section: Option<Section<'static>>,
}

/// Names of one kind.
#[derive(Clone, Debug)]
pub struct Chapter {
    /// Its heading.
    pub title: &'static str,
    /// The names, in the order of their table.
    pub entries: Vec<Entry>,
}

impl Entry {
    fn new(name: &'static str, usage: Vec<String>, docs: Docs) -> Entry {
        Entry {
            name,
            usage,
            place: Place::ANYWHERE,
            harm: "",
            since: None,
            path: docs.path,
            section: sections::find(docs.text, name),
        }
    }

    fn of_function(function: &Function, docs: Docs) -> Entry {
        // Some can be written without a call, too.
        let bare = builtins::exists(function.name).then(|| function.name.to_owned());
        let calls = ways(function.usage);
        Entry {
            place: function.place,
            harm: function.harm,
            since: function.helper.map(|helper| helper.since),
            ..Entry::new(function.name, bare.into_iter().chain(calls).collect(), docs)
        }
    }

    /// What its value is, in Markdown.
    pub fn value(&self) -> &'static str {
        self.section.map_or("", |section| section.value)
    }

    /// What it is, in a sentence of Markdown.
    pub fn summary(&self) -> &'static str {
        self.section.map_or("", |section| section.summary())
    }

    /// All that is said of it, in Markdown: paragraphs and examples.
    pub fn text(&self) -> &'static str {
        self.section.map_or("", |section| section.text)
    }

    /// The kinds of probes that have it, in words; empty for all of them.
    pub fn kinds(&self) -> String {
        let (have, lack): (Vec<_>, Vec<_>) = ProbeKind::ALL
            .into_iter()
            .map(ProbeKind::spec)
            .partition(|spec| self.place.holds(spec));
        let names = |kinds: Vec<&rbtrace_probes_ebpf::kinds::KindSpec>| {
            kinds.iter().map(|spec| format!("`{}`", spec.name)).collect::<Vec<_>>().join(", ")
        };
        match (have.len(), lack.len()) {
            (_, 0) => String::new(),
            (have_count, lack_count) if lack_count < have_count => {
                format!("every probe but {}", names(lack))
            }
            _ => format!("{} probes", names(have)),
        }
    }
}

/// The ways to call a function: `len(@map), len(string)` are two.
fn ways(usage: &str) -> Vec<String> {
    let mut ways: Vec<String> = usage.split("), ").map(|way| format!("{way})")).collect();
    if let Some(last) = ways.last_mut() {
        last.pop();
    }
    ways
}

/// The reference, chapter by chapter.
pub fn chapters() -> Vec<Chapter> {
    let mut chapters = vec![
        Chapter { title: "Builtins", entries: builtin_entries() },
        Chapter {
            title: "Map values",
            entries: aggregate::usages()
                .map(|(name, usage)| Entry::new(name, ways(usage), aggregate::DOCS))
                .collect(),
        },
    ];
    chapters.extend(FAMILIES.iter().map(|family| Chapter {
        title: family.title,
        entries: family.table.iter().map(|f| Entry::of_function(f, family.docs)).collect(),
    }));
    let form = |(name, usage): &(&'static str, &str), docs| Entry::new(name, ways(usage), docs);
    chapters.push(Chapter {
        title: "Words that look like functions",
        entries: comptime::FORMS
            .iter()
            .map(|it| form(it, comptime::FORMS_DOCS))
            .chain([form(&("getopt", options::USAGE), options::DOCS)])
            .collect(),
    });
    chapters.push(Chapter {
        title: "Macros of the standard library",
        entries: stdlib::MODULES.iter().flat_map(macro_entries).collect(),
    });
    chapters
}

/// The builtins that are no functions as well.
fn builtin_entries() -> Vec<Entry> {
    let (name, place) = builtins::ARGUMENTS;
    let numbered = Entry { place, ..Entry::new(name, vec![name.into()], builtins::DOCS) };
    let named = builtins::TABLE.iter().filter(|it| !crate::check::functions::exists(it.name));
    let named = named.map(|builtin| Entry {
        place: builtin.place,
        ..Entry::new(builtin.name, vec![builtin.name.into()], builtins::DOCS)
    });
    named.chain([numbered]).collect()
}

fn macro_entries(module: &stdlib::Module) -> Vec<Entry> {
    let signatures = module.signatures();
    let entry = |name: &&'static str| {
        let of_name = signatures.iter().filter(|it| it.split('(').next() == Some(name));
        Entry::new(name, of_name.cloned().collect(), module.docs)
    };
    module.macros.iter().map(entry).collect()
}

/// Every name, in no order. Names of arguments by number are `arg0` to `arg9`.
pub fn names() -> impl Iterator<Item = &'static str> {
    const ARGUMENTS: [&str; 10] =
        ["arg0", "arg1", "arg2", "arg3", "arg4", "arg5", "arg6", "arg7", "arg8", "arg9"];
    let functions = FAMILIES.iter().flat_map(|family| family.table.iter().map(|f| f.name));
    let builtins = builtins::TABLE.iter().map(|it| it.name).chain(ARGUMENTS);
    let forms = comptime::FORMS.iter().map(|(name, _)| *name).chain(["getopt"]);
    functions.chain(builtins).chain(aggregate::names()).chain(forms).chain(stdlib::names())
}

/// What the reference says of a name.
pub fn find(name: &str) -> Option<Entry> {
    let numbered = builtins::argument_number(name).is_some();
    let name = if numbered { builtins::ARGUMENTS.0 } else { name };
    chapters().into_iter().flat_map(|chapter| chapter.entries).find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::examples::examples;
    use super::*;

    /// What is said of names, file by file.
    fn all_docs() -> Vec<Docs> {
        let mut all = vec![builtins::DOCS, aggregate::DOCS, comptime::FORMS_DOCS, options::DOCS];
        all.extend(FAMILIES.iter().map(|family| family.docs));
        all.extend(stdlib::MODULES.iter().map(|module| module.docs));
        all
    }

    #[test]
    fn every_name_is_described_with_an_example() {
        let mut wrong = Vec::new();
        for entry in chapters().into_iter().flat_map(|chapter| chapter.entries) {
            let Entry { name, path, .. } = &entry;
            if entry.section.is_none() {
                wrong.push(format!(
                    "{path} has no section `## {name}`: add one with a line `value: ...`, a \
                     sentence and an example"
                ));
                continue;
            }
            if entry.value().is_empty() {
                wrong.push(format!("{path}: `## {name}` is not followed by a line `value: ...`"));
            }
            if !entry.summary().ends_with('.') {
                wrong.push(format!("{path}: `## {name}` does not begin with a sentence"));
            }
            match examples(entry.text()) {
                Ok(found) if found.is_empty() => wrong.push(format!(
                    "{path}: `## {name}` has no example: a block ```rbtrace run with its \
                     ```output, or ```rbtrace compile"
                )),
                Ok(_) => {}
                Err(error) => wrong.push(format!("{path}: `## {name}`: {error}")),
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_section_is_of_a_name() {
        let names: BTreeSet<(&str, &str)> = chapters()
            .into_iter()
            .flat_map(|chapter| chapter.entries)
            .map(|entry| (entry.path, entry.name))
            .collect();
        for docs in all_docs() {
            for name in sections::names(docs.text) {
                assert!(names.contains(&(docs.path, name)), "{}: there is no {name}", docs.path);
            }
        }
    }

    #[test]
    fn names_are_found() {
        for name in names() {
            assert!(find(name).is_some(), "{name}");
        }
        assert!(find("arg10").is_some_and(|entry| entry.name == "argN"));
        assert!(find("frobnicate").is_none());
    }

    #[test]
    fn usages_are_split() {
        assert_eq!(ways("len(@map), len(stack)"), ["len(@map)", "len(stack)"]);
        assert_eq!(ways("ntop([family, ]address)"), ["ntop([family, ]address)"]);
    }
}
