//! The part of the standard library that is written in the language: macros in scripts of
//! rbtrace's own. A script is parsed only when a name in it is used.

use crate::ast::{Item, Macro};
use crate::parse;
use crate::reference::{Docs, docs};
use crate::span::Sources;

use super::macros::signature;

/// A script of the library.
pub struct Module {
    /// What `import` calls it, `.rt` left out.
    pub name: &'static str,
    /// The script.
    pub text: &'static str,
    /// The macros in it that scripts can call. They are there without an import.
    pub macros: &'static [&'static str],
    /// What the reference says of them.
    pub docs: Docs,
}

impl Module {
    /// How each of its macros is called: `ppid()`, `ppid(task)`.
    pub(crate) fn signatures(&self) -> Vec<String> {
        macros(self, &mut Sources::default()).iter().map(signature).collect()
    }
}

/// Every script of the library.
pub const MODULES: &[Module] = &[
    Module {
        name: "stdlib/task",
        text: include_str!("../../stdlib/task.rt"),
        macros: &["ppid", "pcomm", "leader_tid", "leader_comm"],
        docs: docs!("stdlib", "task.md", "../../"),
    },
    Module {
        name: "stdlib/pointer",
        text: include_str!("../../stdlib/pointer.rt"),
        macros: &["container_of"],
        docs: docs!("stdlib", "pointer.md", "../../"),
    },
    Module {
        name: "stdlib/assertion",
        text: include_str!("../../stdlib/assertion.rt"),
        macros: &["static_assert", "assert_str"],
        docs: docs!("stdlib", "assertion.md", "../../"),
    },
    Module {
        name: "stdlib/test",
        text: include_str!("../../stdlib/test.rt"),
        macros: &["__always_true"],
        docs: docs!("stdlib", "test.md", "../../"),
    },
];

/// Which modules were read.
#[derive(Debug)]
pub(super) struct Read([bool; MODULES.len()]);

impl Default for Read {
    fn default() -> Self {
        Self([false; MODULES.len()])
    }
}

impl Read {
    /// The macros of the modules that have one of this name and that were not read before.
    pub fn modules_with(&mut self, name: &str, sources: &mut Sources) -> Vec<Vec<Macro>> {
        let unread = MODULES.iter().zip(&mut self.0).filter(|(_, read)| !**read);
        unread
            .filter(|(module, _)| module.macros.contains(&name))
            .map(|(module, read)| {
                *read = true;
                macros(module, sources)
            })
            .collect()
    }
}

/// The macros of a module, parsed. Tests see to it that it parses.
fn macros(module: &Module, sources: &mut Sources) -> Vec<Macro> {
    let file = sources.add(format!("{}.rt", module.name), module.text);
    let items = parse::parse(sources, file).map(|script| script.items).unwrap_or_default();
    let macros = items.into_iter().filter_map(|item| match item {
        Item::Macro(written) => Some(written),
        _ => None,
    });
    macros.collect()
}

/// Names of all macros that scripts can call.
pub fn names() -> impl Iterator<Item = &'static str> {
    MODULES.iter().flat_map(|module| module.macros.iter().copied())
}

/// Whether an import names part of the library: all of it is there at any time.
pub(super) fn has(import: &str) -> bool {
    let name = import.strip_suffix(".bt").or_else(|| import.strip_suffix(".rt")).unwrap_or(import);
    name == "stdlib" || MODULES.iter().any(|module| module.name == name) || BPFTRACE.contains(&name)
}

/// Modules of bpftrace's library whose content rbtrace has elsewhere.
const BPFTRACE: &[&str] = &[
    "stdlib/base",
    "stdlib/internal",
    "stdlib/kfunc",
    "stdlib/map",
    "stdlib/meta",
    "stdlib/process",
    "stdlib/stack",
    "stdlib/strings",
    "stdlib/system",
    "stdlib/usdt",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_parse_and_list_what_they_have() {
        for module in MODULES {
            let mut sources = Sources::default();
            let mut found: Vec<String> =
                macros(module, &mut sources).into_iter().map(|m| m.name.name).collect();
            found.sort_unstable();
            found.dedup();
            let mut listed = module.macros.to_vec();
            listed.sort_unstable();
            assert_eq!(found, listed, "{}", module.name);
        }
    }
}
