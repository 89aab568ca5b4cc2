//! Functions of programs and libraries.

pub mod archive;
pub mod cpp;
mod go;
mod instructions;
pub mod kernel;
mod library;
pub(crate) mod perf_map;
pub(crate) mod process;
pub mod separate;
pub(crate) mod symbolizer;
mod usdt;

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use object::elf::{PF_X, STT_FUNC, STT_GNU_IFUNC, gnu_hash};
use object::read::elf::Sym as _;
use object::{Object as _, ObjectSegment as _, ObjectSymbol as _, SegmentFlags, SymbolKind};

use crate::error::{Error, nearest};
use crate::guard::guarded;
use crate::sys::mmap::MappedFile;

pub use library::{find_binary, path_in_process};
pub use usdt::UsdtSite;

/// A function in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its symbol, without a version.
    pub name: String,
    /// Address in the file's own address space.
    pub address: u64,
    /// Bytes; 0 where the symbol does not tell.
    pub size: u64,
}

/// A program or library, in a file of its own or in a ZIP archive.
#[derive(Debug)]
pub struct Binary {
    path: PathBuf,
    data: MappedFile,
    /// Where in the file it is.
    range: Range<usize>,
}

impl Binary {
    /// Opens a file, or a member of an archive (`app.apk!/lib.so`). That it is an ELF file is found
    /// out when it is used.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let member = archive::split(path).map(|(_, member)| member);
        let path = archive::file_of(path);
        let doing = || format!("open {}", path.display());
        let file = File::open(&path).map_err(Error::system(doing()))?;
        let regular = file.metadata().is_ok_and(|m| m.is_file());
        if !regular {
            return Err(bad(&path, "it is not a file"));
        }
        let data = MappedFile::new(&file).map_err(Error::system(doing()))?;
        let range = match member {
            Some(member) => archive::find(&data, member).map_err(|reason| bad(&path, &reason))?,
            None => 0..data.len(),
        };
        Ok(Self { path, data, range })
    }

    /// The file that it is in.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its contents.
    pub fn data(&self) -> &[u8] {
        self.data.get(self.range.clone()).unwrap_or_default()
    }

    fn parse(&self) -> Result<object::File<'_>, Error> {
        object::File::parse(self.data())
            .map_err(|e| bad(&self.path, &format!("it is not an ELF file: {e}")))
    }

    /// Calls `visit` for each function, until it returns false. A function that is in both
    /// symbol tables comes twice.
    fn visit(&self, mut visit: impl FnMut(&str, u64, u64) -> bool) -> Result<(), Error> {
        let file = self.parse()?;
        for symbol in file.symbols().chain(file.dynamic_symbols()) {
            if symbol.kind() != SymbolKind::Text || symbol.is_undefined() || symbol.address() == 0 {
                continue;
            }
            let Ok(name) = symbol.name() else { continue };
            // The static symbol table has names such as `memcpy@@GLIBC_2.14`.
            let name = name.split('@').next().unwrap_or(name);
            if !name.is_empty() && !visit(name, symbol.address(), symbol.size()) {
                break;
            }
        }
        Ok(())
    }

    /// Every function, sorted by name, each once.
    pub fn functions(&self) -> Result<Vec<Function>, Error> {
        let mut all = Vec::new();
        self.visit(|name, address, size| {
            all.push(Function { name: name.to_owned(), address, size });
            true
        })?;
        all.sort_unstable_by(|a, b| (&a.name, a.address).cmp(&(&b.name, b.address)));
        all.dedup_by(|a, b| a.name == b.name);
        Ok(all)
    }

    /// The function with this name.
    pub fn function(&self, name: &str) -> Result<Function, Error> {
        self.find(name)?.ok_or_else(|| self.unknown(name))
    }

    /// The function with this name, if there is one: looked up by the hash table of what the file
    /// exports, else searched for in its symbol tables.
    pub fn find(&self, name: &str) -> Result<Option<Function>, Error> {
        let file = self.parse()?;
        match exported(&file, name) {
            Some(None) if file.symbols().next().is_none() => return Ok(None),
            Some(Some(found)) => return Ok(Some(found)),
            _ => {}
        }
        let mut found = None;
        self.visit(|n, address, size| {
            if n == name {
                found = Some(Function { name: n.to_owned(), address, size });
            }
            found.is_none()
        })?;
        Ok(found)
    }

    fn unknown(&self, name: &str) -> Error {
        let all = self.functions().unwrap_or_default();
        let similar = nearest(name, all.iter().map(|f| f.name.as_str()), 3);
        Error::UnknownSymbol {
            name: name.to_owned(),
            place: self.path.display().to_string(),
            similar,
        }
    }

    /// The function that an address of the file's own address space lies in.
    pub fn function_at(&self, address: u64) -> Option<Function> {
        let mut found: Option<Function> = None;
        let visited = self.visit(|name, start, size| {
            let inside = address >= start && address - start < size.max(1);
            if inside && found.as_ref().is_none_or(|f| f.address < start) {
                found = Some(Function { name: name.to_owned(), address: start, size });
            }
            true
        });
        visited.ok().and(found)
    }

    /// Where in the file the code at an address of its address space is, in bytes.
    pub fn file_offset(&self, address: u64) -> Result<u64, Error> {
        Ok(self.code_offset(address)?.saturating_add(self.range.start as u64))
    }

    /// The address, in the file's own address space, of what is mapped from there: an offset in bytes
    /// from the start of the file.
    pub fn address_at(&self, offset: u64) -> Option<u64> {
        let offset = offset.checked_sub(self.range.start as u64)?;
        self.parse().ok()?.segments().find_map(|segment| {
            let (start, size) = segment.file_range();
            let inside = offset.checked_sub(start).filter(|inside| *inside < size)?;
            segment.address().checked_add(inside)
        })
    }

    /// Whether it has debug information of its own.
    pub fn has_debug_info(&self) -> bool {
        let section = |file: object::File<'_>| file.section_by_name(".debug_info").is_some();
        self.parse().is_ok_and(section)
    }

    /// Where in its own contents the code at an address is, in bytes.
    fn code_offset(&self, address: u64) -> Result<u64, Error> {
        let file = self.parse()?;
        for segment in file.segments() {
            let (start, size) = segment.file_range();
            let Some(inside) = address.checked_sub(segment.address()) else { continue };
            if inside >= size {
                continue;
            }
            let executable =
                matches!(segment.flags(), SegmentFlags::Elf { p_flags } if p_flags & PF_X != 0);
            if executable {
                return Ok(start.saturating_add(inside));
            }
        }
        Err(bad(&self.path, &format!("there is no code at address {address:#x}")))
    }

    /// Whether an instruction begins `offset` bytes into a function.
    pub fn is_instruction(&self, function: &Function, offset: u64) -> Result<bool, Error> {
        let code = self.code(function, function.size.max(offset))?;
        Ok(instructions::begins_at(code, offset as usize))
    }

    /// Where a function returns: addresses of the file's own address space.
    ///
    /// # Errors
    ///
    /// If no instruction of it returns, or its code cannot be decoded.
    pub fn returns_of(&self, function: &Function) -> Result<Vec<u64>, Error> {
        let failed = |why: String| bad(&self.path, &why);
        let code = self.code(function, function.size)?;
        let offsets = instructions::returns(code)
            .ok_or_else(|| failed(format!("the code of {} cannot be decoded", function.name)))?;
        if offsets.is_empty() {
            return Err(failed(format!("no instruction in {} returns", function.name)));
        }
        Ok(offsets.into_iter().map(|at| function.address.saturating_add(at as u64)).collect())
    }

    /// Where a function of Go goes on when there is room for it on the stack. At its entry it may be several
    /// times for one call.
    pub fn go_body(&self, function: &Function) -> Result<u64, Error> {
        let code = self.code(function, function.size)?;
        Ok(function.address.saturating_add(instructions::behind_stack_check(code) as u64))
    }

    /// The first bytes of a function's code.
    fn code(&self, function: &Function, size: u64) -> Result<&[u8], Error> {
        let start = self.code_offset(function.address)?;
        let end = start.saturating_add(size).min(self.data().len() as u64);
        Ok(self.data().get(start as usize..end as usize).unwrap_or_default())
    }
}

/// The exported function with this name by the file's hash table (`DT_GNU_HASH`); `None` if it has
/// no such table.
fn exported(file: &object::File<'_>, name: &str) -> Option<Option<Function>> {
    let object::File::Elf64(elf) = file else { return None };
    let (endian, data, sections) = (elf.endian(), elf.data(), elf.elf_section_table());
    let (table, link) = sections.gnu_hash(endian, data).ok()??;
    let symbols = sections.symbol_table_by_index(endian, data, link).ok()?;
    let versions = sections.versions(endian, data).ok()?.unwrap_or_default();
    let hash = gnu_hash(name.as_bytes());
    let find = || table.find(endian, name.as_bytes(), hash, None, &symbols, &versions);
    let found = guarded(find)?;
    Some(
        found
            .map(|(_, symbol)| symbol)
            .filter(|symbol| matches!(symbol.st_type(), STT_FUNC | STT_GNU_IFUNC))
            .map(|symbol| Function {
                name: name.to_owned(),
                address: symbol.st_value(endian),
                size: symbol.st_size(endian),
            }),
    )
}

fn bad(path: &Path, reason: &str) -> Error {
    Error::BadLocation { place: path.display().to_string(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_functions_of_this_program() {
        let me =
            Binary::open(&std::env::current_exe().expect("this program")).expect("this program");
        let main = me.function("main").expect("this program");
        assert_eq!(me.function_at(main.address).expect("this program").address, main.address);
        let offset = me.file_offset(main.address).expect("this program");
        assert!(offset > 0);
        assert!(me.file_offset(u64::MAX).is_err());
    }

    #[test]
    fn a_typo_is_answered_with_names() {
        let me =
            Binary::open(&std::env::current_exe().expect("this program")).expect("this program");
        match me.function("mian") {
            Err(Error::UnknownSymbol { similar, .. }) => assert!(similar.contains(&"main".into())),
            other => panic!("{other:?}"),
        }
    }
}
