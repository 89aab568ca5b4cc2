//! Addresses to symbols, source lines and inlined functions, by blazesym.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use blazesym::Pid;
use blazesym::symbolize::source::{Elf, Process, Source};
use blazesym::symbolize::{CodeInfo, InlinedFn, Input, Sym, Symbolizer};

use crate::guard::guarded;
use crate::value::{Inlined, Symbol};

/// How symbols are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Style {
    /// Source lines and inlined functions are looked up, and names in separate debug files.
    pub debug_info: bool,
    /// Names of C++ and Rust are shown as they are written in the source.
    pub demangle: bool,
}

/// What an address is relative to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// Bytes from the start of a file.
    Offset(&'a Path, u64),
    /// An address in a file's own address space.
    Address(&'a Path, u64),
    /// An address of a process that lies in no file: the vDSO, or code made by a just-in-time
    /// compiler that writes a perf map (tools/perf/Documentation/jit-interface.txt).
    Process(u32, u64),
}

thread_local! {
    /// blazesym's caches belong to one thread.
    static SYMBOLIZERS: RefCell<HashMap<Style, Symbolizer>> = RefCell::default();
}

/// The symbol at a place.
pub(crate) fn look_up(place: Place<'_>, style: Style) -> Option<Symbol> {
    let (source, input) = match place {
        Place::Offset(path, offset) => (elf(path, style), Input::FileOffset(offset)),
        Place::Address(path, address) => (elf(path, style), Input::VirtOffset(address)),
        Place::Process(pid, address) => {
            let mut process = Process::new(Pid::from(pid));
            process.debug_syms = style.debug_info;
            (Source::Process(process), Input::AbsAddr(address))
        }
    };
    SYMBOLIZERS.with_borrow_mut(|all| {
        let symbolizer = all.entry(style).or_insert_with(|| build(style));
        // The files are not ours, and may be broken in ways that nobody has thought of.
        let found = guarded(|| {
            let found = symbolizer.symbolize_single(&source, input).ok()?;
            found.into_sym().map(|sym| symbol(&sym))
        });
        found.flatten()
    })
}

fn elf(path: &Path, style: Style) -> Source<'static> {
    let mut elf = Elf::new(path);
    elf.debug_syms = style.debug_info;
    Source::Elf(elf)
}

fn build(style: Style) -> Symbolizer {
    Symbolizer::builder()
        .enable_code_info(style.debug_info)
        .enable_inlined_fns(style.debug_info)
        .enable_demangling(style.demangle)
        .build()
}

fn symbol(sym: &Sym<'_>) -> Symbol {
    Symbol {
        name: sym.name.to_string(),
        offset: sym.offset as u64,
        module: sym.module.as_ref().map(|module| module.to_string_lossy().into_owned()),
        place: sym.code_info.as_deref().and_then(place),
        // blazesym has the outermost first; stacks print the innermost first.
        inlined: sym.inlined.iter().rev().map(inlined).collect(),
    }
}

fn inlined(function: &InlinedFn<'_>) -> Inlined {
    Inlined { name: function.name.to_string(), place: function.code_info.as_ref().and_then(place) }
}

/// `directory/file:line`.
fn place(code: &CodeInfo<'_>) -> Option<String> {
    Some(format!("{}:{}", code.to_path().display(), code.line?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::process::{Files, Mappings};

    const STYLE: Style = Style { debug_info: true, demangle: true };

    #[test]
    fn names_a_function_of_this_program() {
        let address = names_a_function_of_this_program as *const () as u64;
        let map = Mappings::read(std::process::id(), &mut Files::default());
        let mapping = map.and_then(|m| m.find(address).cloned()).expect("this program is mapped");
        let file = mapping.file().expect("of a file");
        let found = look_up(Place::Offset(file.readable(), mapping.offset_of(address)), STYLE);
        let found = found.expect("a symbol");
        assert!(found.name.contains("names_a_function_of_this_program"), "{}", found.name);
        assert!(found.place.is_some_and(|place| place.contains("symbolizer.rs:")));
    }

    #[test]
    fn what_is_no_program_has_no_symbols() {
        for path in ["/etc/passwd", "/no/such/file", "/", "/dev/null"] {
            assert_eq!(look_up(Place::Offset(Path::new(path), 1), STYLE), None, "{path}");
        }
        assert_eq!(look_up(Place::Process(u32::MAX >> 1, 1), STYLE), None);
    }
}
