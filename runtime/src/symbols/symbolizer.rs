//! Addresses to symbols, source lines and inlined functions, by blazesym.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use blazesym::Pid;
use blazesym::symbolize::source::{Elf, Process, Source};
use blazesym::symbolize::{CodeInfo, InlinedFn, Input, Sym, Symbolizer};

use super::{Binary, separate};
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

/// A program without debug information of its own, and the file that has it.
#[derive(Debug)]
struct Stripped {
    program: Binary,
    debug: PathBuf,
}

/// The device and number of an inode: paths below /proc/self/fd are of one file now and of another then.
type Inode = (u64, u64);

thread_local! {
    /// blazesym's caches belong to one thread.
    static SYMBOLIZERS: RefCell<HashMap<Style, Symbolizer>> = RefCell::default();
    /// Where the debug information of files was found that have none themselves.
    static SEPARATE: RefCell<HashMap<Inode, Option<Rc<Stripped>>>> = RefCell::default();
}

/// The symbol at a place.
pub(crate) fn look_up(place: Place<'_>, style: Style) -> Option<Symbol> {
    let (path, input) = match place {
        Place::Offset(path, offset) => (path, Input::FileOffset(offset)),
        Place::Address(path, address) => (path, Input::VirtOffset(address)),
        Place::Process(pid, address) => {
            let mut process = Process::new(Pid::from(pid));
            process.debug_syms = style.debug_info;
            return symbolize(&Source::Process(process), Input::AbsAddr(address), style);
        }
    };
    match style.debug_info {
        // blazesym gives up where a file that it is led to is not the right one.
        true => look_up_separately(place, style)
            .or_else(|| in_file(path, input, style))
            .or_else(|| symbolize(&elf(path, false), input, style)),
        false => symbolize(&elf(path, false), input, style),
    }
}

/// The symbol in a file with debug information. That leaves out what encloses functions which are known in
/// their own file alone, so that the symbol table is asked for the name, too.
fn in_file(path: &Path, input: Input<u64>, style: Style) -> Option<Symbol> {
    let symbol = symbolize(&elf(path, true), input, style)?;
    if symbol.name.contains(is_of_no_identifier) {
        return Some(symbol);
    }
    let table = symbolize(&elf(path, false), input, style);
    let better = table.filter(|table| table.offset == symbol.offset && is_scoped(&table.name));
    Some(match better {
        Some(table) => Symbol { name: table.name, ..symbol },
        None => symbol,
    })
}

fn is_of_no_identifier(letter: char) -> bool {
    !letter.is_alphanumeric() && letter != '_'
}

/// Whether a name of C++ or Rust is whole, or the symbol that stands for it.
fn is_scoped(name: &str) -> bool {
    name.contains("::") || name.starts_with("_Z") || name.starts_with("_R")
}

/// The symbol in a program's separate debug information. blazesym finds that by `.gnu_debuglink` alone.
fn look_up_separately(place: Place<'_>, style: Style) -> Option<Symbol> {
    let (Place::Offset(path, _) | Place::Address(path, _)) = place else { return None };
    let stripped = stripped(path)?;
    let address = match place {
        Place::Offset(_, offset) => stripped.program.address_at(offset)?,
        Place::Address(_, address) | Place::Process(_, address) => address,
    };
    in_file(&stripped.debug, Input::VirtOffset(address), style)
}

fn stripped(path: &Path) -> Option<Rc<Stripped>> {
    let inode = fs::metadata(path).ok().map(|m| (m.dev(), m.ino()))?;
    let find = || {
        let program = Binary::open(path).ok().filter(|program| !program.has_debug_info())?;
        let debug = separate::files(&program, &[]).next()?.path().to_owned();
        Some(Rc::new(Stripped { program, debug }))
    };
    SEPARATE.with_borrow_mut(|all| all.entry(inode).or_insert_with(|| guarded(find)?).clone())
}

fn symbolize(source: &Source<'_>, input: Input<u64>, style: Style) -> Option<Symbol> {
    SYMBOLIZERS.with_borrow_mut(|all| {
        let symbolizer = all.entry(style).or_insert_with(|| build(style));
        // The files are not ours, and may be broken in ways that nobody has thought of.
        let found = guarded(|| {
            let found = symbolizer.symbolize_single(source, input).ok()?;
            found.into_sym().map(|sym| symbol(&sym))
        });
        found.flatten()
    })
}

fn elf(path: &Path, debug_info: bool) -> Source<'static> {
    let mut elf = Elf::new(path);
    elf.debug_syms = debug_info;
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
