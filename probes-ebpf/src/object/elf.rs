//! The ELF file: header, sections, symbols and relocations.

use std::collections::{BTreeMap, HashMap, HashSet};

use object::read::elf::ElfFile64;
use object::{
    LittleEndian, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, elf,
};

use super::ReadError;
use crate::plan::{MapRole, Plan};
use crate::record::Loss;

/// A little-endian 64-bit ELF file.
pub type File<'a> = ElfFile64<'a, LittleEndian>;

type Section<'a, 'f> = object::read::elf::ElfSection64<'a, 'f, LittleEndian>;

/// Functions of an object. Loaders follow calls by recursion.
const MAX_FUNCTIONS: usize = 4096;
/// Bytes of a section without contents in the file, which a loader allocates.
const MAX_BSS: u64 = 64 << 20;
/// Bytes of an instruction slot.
const SLOT: u64 = 8;
/// `BPF_LD | BPF_IMM | BPF_DW`, two slots.
const LD_IMM64: u8 = 0x18;
/// `BPF_JMP | BPF_CALL`
const CALL: u8 = 0x85;

pub fn damaged(reason: impl ToString) -> ReadError {
    ReadError::Damaged(reason.to_string())
}

/// Checks what makes a file an eBPF object, in the order in which the errors help most.
pub fn check_header(data: &[u8]) -> Result<(), ReadError> {
    if !super::is_elf(data) {
        return Err(ReadError::NotElf);
    }
    let half = |at: usize| data.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    let (Some(&class), Some(&order), Some(kind), Some(machine)) =
        (data.get(4), data.get(5), half(16), half(18))
    else {
        return Err(damaged("it ends within its header"));
    };
    match (class, order) {
        (elf::ELFCLASS64, elf::ELFDATA2LSB) => {}
        (elf::ELFCLASS64, elf::ELFDATA2MSB) => return Err(ReadError::BigEndian),
        (elf::ELFCLASS32, _) => return Err(ReadError::Not64Bit),
        _ => return Err(damaged("its header names no known class or byte order")),
    }
    match (machine, kind) {
        (elf::EM_BPF, elf::ET_REL) => Ok(()),
        (elf::EM_BPF, kind) => Err(ReadError::NotRelocatable { kind }),
        (machine, _) => Err(ReadError::NotBpf { machine }),
    }
}

/// Parses the file's tables.
pub fn parse(data: &[u8]) -> Result<File<'_>, ReadError> {
    File::parse(data).map_err(damaged)
}

/// Contents of the section `name`, if there is one.
pub fn section<'a>(file: &File<'a>, name: &str) -> Result<Option<&'a [u8]>, ReadError> {
    file.section_by_name(name).map(|s| s.data().map_err(damaged)).transpose()
}

/// Functions of a code section: start and end in bytes.
type Functions = BTreeMap<u64, u64>;

/// Checks sections, symbols and relocations.
pub fn check(file: &File<'_>) -> Result<(), ReadError> {
    let mut names = HashSet::new();
    for section in file.sections() {
        let name = section.name().map_err(damaged)?;
        let size = section.data().map_err(damaged)?.len() as u64;
        if !name.is_empty() && !names.insert(name) {
            return Err(damaged(format!("it has two sections `{name}`")));
        }
        // Loaders take these for tables of an older form.
        if name.starts_with("maps") || name.starts_with("version") {
            return Err(damaged(format!("section `{name}` has no place in it")));
        }
        if section.address() != 0 || (section.size() != size && section.size() > MAX_BSS) {
            return Err(damaged(format!("section `{name}` is out of bounds")));
        }
    }
    let functions = functions(file)?;
    for section in file.sections() {
        let code = functions.get(&section.index().0);
        check_code(&section, code)?;
        check_relocations(file, &section, code, &functions)?;
    }
    Ok(())
}

fn is_code(section: &Section<'_, '_>) -> bool {
    section.elf_section_header().sh_flags.get(LittleEndian) & u64::from(elf::SHF_EXECINSTR) != 0
}

/// Checks symbols; returns the functions of each section.
fn functions(file: &File<'_>) -> Result<HashMap<usize, Functions>, ReadError> {
    let mut out = HashMap::<usize, Functions>::new();
    let mut count = 0;
    for symbol in file.symbols() {
        let name = symbol.name().map_err(damaged)?;
        let kind = symbol.elf_symbol().st_type();
        let bad = || damaged(format!("symbol `{name}` is out of bounds"));
        let section = match symbol.section_index() {
            Some(index) => Some(file.section_by_index(index).map_err(damaged)?),
            None => None,
        };
        let end = symbol.address().checked_add(symbol.size()).ok_or_else(bad)?;
        match (kind, section) {
            (elf::STT_FUNC, Some(section)) => {
                let executable = is_code(&section);
                let aligned = symbol.address() % SLOT == 0 && symbol.size() % SLOT == 0;
                if !executable || !aligned || symbol.size() == 0 || end > section.size() {
                    return Err(bad());
                }
                count += 1;
                if out.entry(section.index().0).or_default().insert(symbol.address(), end).is_some()
                {
                    return Err(damaged(format!(
                        "function `{name}` shares its place with another"
                    )));
                }
            }
            (elf::STT_OBJECT | elf::STT_NOTYPE, Some(section)) if end <= section.size() => {}
            (elf::STT_SECTION, Some(_)) if symbol.address() == 0 => {}
            (elf::STT_NOTYPE | elf::STT_FILE, None) => {}
            _ => return Err(bad()),
        }
    }
    if count > MAX_FUNCTIONS {
        return Err(damaged(format!("it has {count} functions; {MAX_FUNCTIONS} is the limit")));
    }
    Ok(out)
}

/// A code section is made of functions, without gap or overlap.
fn check_code(section: &Section<'_, '_>, functions: Option<&Functions>) -> Result<(), ReadError> {
    let executable = is_code(section);
    let mut at = 0;
    for (&start, &end) in functions.into_iter().flatten() {
        if start != at {
            return Err(damaged("functions overlap or leave a gap"));
        }
        at = end;
    }
    if executable && at != section.size() {
        return Err(damaged("code belongs to no function"));
    }
    Ok(())
}

/// Every relocation is of an instruction that can hold it and of a symbol that fits.
fn check_relocations(
    file: &File<'_>,
    section: &Section<'_, '_>,
    code: Option<&Functions>,
    functions: &HashMap<usize, Functions>,
) -> Result<(), ReadError> {
    let data = section.data().map_err(damaged)?;
    for (offset, relocation) in section.relocations() {
        let bad = || damaged(format!("relocation at {offset:#x} is out of place"));
        let function = code.and_then(|f| f.range(..=offset).next_back()).ok_or_else(bad)?;
        let RelocationTarget::Symbol(index) = relocation.target() else {
            return Err(bad());
        };
        let symbol = file.symbol_by_index(index).map_err(damaged)?;
        let slot = usize::try_from(offset)
            .ok()
            .and_then(|at| data.get(at..)?.first_chunk::<8>())
            .ok_or_else(bad)?;
        let is_call = match relocation.flags() {
            object::RelocationFlags::Elf { r_type: elf::R_BPF_64_32 } if slot[0] == CALL => true,
            object::RelocationFlags::Elf { r_type: elf::R_BPF_64_64 } if slot[0] == LD_IMM64 => {
                false
            }
            _ => return Err(bad()),
        };
        let slots = if is_call { 1 } else { 2 };
        if offset % SLOT != 0
            || offset.checked_add(slots * SLOT).is_none_or(|end| end > *function.1)
        {
            return Err(bad());
        }
        let imm = i32::from_le_bytes([slot[4], slot[5], slot[6], slot[7]]);
        let into_code = symbol.section_index().and_then(|i| functions.get(&i.0));
        let fits = match (symbol.elf_symbol().st_type(), into_code, symbol.section_index()) {
            // A kernel function.
            (elf::STT_NOTYPE, None, None) => is_call,
            (elf::STT_FUNC, Some(_), _) => true,
            (elf::STT_SECTION, Some(places), _) => {
                let place =
                    if is_call { (i64::from(imm) + 1) * SLOT as i64 } else { i64::from(imm) };
                u64::try_from(place).is_ok_and(|p| places.contains_key(&p))
            }
            (elf::STT_SECTION, None, Some(index)) => {
                let size = file.section_by_index(index).map_err(damaged)?.size();
                !is_call && u64::try_from(imm).is_ok_and(|p| p < size)
            }
            (elf::STT_OBJECT | elf::STT_NOTYPE, None, Some(_)) => !is_call,
            _ => false,
        };
        if !fits {
            return Err(bad());
        }
    }
    Ok(())
}

/// What the plan names is in the object.
pub fn check_plan(file: &File<'_>, plan: &Plan) -> Result<(), ReadError> {
    let missing =
        |what: String| ReadError::InconsistentPlan(format!("{what} is not in the object"));
    let mut symbols = HashMap::new();
    for symbol in file.symbols() {
        let section = symbol.section_index().and_then(|i| file.section_by_index(i).ok());
        if let (Ok(name), Some(Ok(section))) =
            (symbol.name(), section.map(|s| s.name().map(str::to_owned)))
        {
            symbols.insert((name, section), symbol.elf_symbol().st_type());
        }
    }
    for program in &plan.programs {
        let key = (program.symbol.as_str(), program.section.clone());
        if symbols.get(&key) != Some(&elf::STT_FUNC) {
            return Err(missing(format!("program `{}`", program.symbol)));
        }
    }
    for map in plan.maps.iter().filter(|m| m.role != MapRole::Data) {
        if !symbols.contains_key(&(map.symbol.as_str(), ".maps".to_owned())) {
            return Err(missing(format!("map `{}`", map.symbol)));
        }
    }
    let variables = file.section_by_name(".bss").map_or(0, |s| s.size());
    if plan.globals.iter().any(|g| u64::from(g.offset) + 8 > variables) {
        return Err(missing("a variable".into()));
    }
    let counters = plan.programs.len() as u64 * u64::from(Loss::ENTRY_SIZE);
    if plan.losses.is_some_and(|offset| u64::from(offset) + counters > variables) {
        return Err(missing("the loss counters".into()));
    }
    Ok(())
}
