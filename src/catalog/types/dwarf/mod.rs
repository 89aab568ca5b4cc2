//! Types, functions and lines of programs and libraries, from their DWARF (<https://dwarfstd.org>).
//!
//! | file       | part                                                              |
//! |------------|-------------------------------------------------------------------|
//! | `search`   | where the files are that it consists of                           |
//! | `file`     | one file and its sections                                         |
//! | `parts`    | all that a program's debug information consists of, and places in it |
//! | `unit`     | walking from entry to entry                                       |
//! | `index`    | names, made in one pass over all units when one is first asked for |
//! | `describe` | entries as the compiler's types                                   |
//! | `go`       | what is particular to Go                                          |
//! | `show`     | entries as a listing shows them                                   |
//! | `lines`    | lines of source                                                   |

mod describe;
mod file;
mod go;
mod index;
mod lines;
mod parts;
mod search;
mod show;
#[cfg(test)]
mod tests;
mod unit;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rbtrace_lang::catalog::ctypes::{CType, Signature, Tag, TypeRef};
use rbtrace_lang::catalog::source::{SourceLine, SourceLineError};

use describe::Describe;
use parts::{DebugInfo, Place};

/// Types of programs and libraries. The debug information of one is found when it is first asked
/// for.
#[derive(Debug, Default)]
pub struct UserTypes {
    /// Where separate debug information is looked for first.
    folders: Vec<PathBuf>,
    programs: RefCell<Vec<Program>>,
}

#[derive(Debug)]
struct Program {
    path: String,
    /// Absent if there is none.
    info: Option<Rc<DebugInfo>>,
}

impl UserTypes {
    /// [`TypeRef::source`] of the first program's types; others follow.
    pub const SOURCE: u32 = 1 << 16;

    /// Separate debug information is looked for in these folders, then in the standard ones.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders, ..Self::default() }
    }

    /// The debug information of a program and its number.
    fn program(&self, path: &str) -> Option<(u32, Rc<DebugInfo>)> {
        let mut programs = self.programs.borrow_mut();
        let known = programs.iter().position(|program| program.path == path);
        let index = known.unwrap_or_else(|| {
            let info = DebugInfo::find(Path::new(path), &self.folders).map(Rc::new);
            programs.push(Program { path: path.to_owned(), info });
            programs.len() - 1
        });
        let info = programs.get(index)?.info.clone()?;
        Some((Self::SOURCE.checked_add(u32::try_from(index).ok()?)?, info))
    }

    /// Whether there is debug information, and the files that it consists of but that are not
    /// there.
    pub fn missing_parts(&self, path: &str) -> Option<Vec<PathBuf>> {
        Some(self.program(path)?.1.missing().to_vec())
    }

    /// A type of a program by its name.
    pub fn find(&self, path: &str, tag: Tag, name: &str) -> Option<TypeRef> {
        let (source, info) = self.program(path)?;
        Describe { info: &info, source }.find(tag, name)
    }

    /// What a reference stands for.
    pub fn describe(&self, at: TypeRef) -> Option<CType> {
        let index = at.source.checked_sub(Self::SOURCE)? as usize;
        let info = self.programs.borrow().get(index)?.info.clone()?;
        Describe { info: &info, source: at.source }.describe(Place::from_number(at.id))
    }

    /// A function of a program, by its name in the source or its symbol.
    pub fn function(&self, path: &str, name: &str) -> Option<Signature> {
        let (source, info) = self.program(path)?;
        Describe { info: &info, source }.function(name)
    }

    /// Declarations of a function's parameters, as a listing shows them.
    pub fn parameters(&self, path: &str, name: &str) -> Option<Vec<String>> {
        show::declarations(&self.program(path)?.1, name)
    }

    /// The address of the first instruction of a line of source.
    ///
    /// # Errors
    ///
    /// If there is no such line.
    pub fn source_line(&self, path: &str, line: &SourceLine) -> Result<u64, SourceLineError> {
        let (_, info) = self.program(path).ok_or(SourceLineError::NoDebugInfo)?;
        lines::address_of(&info, line)
    }
}
