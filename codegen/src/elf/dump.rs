//! An object as text: sections, symbols, relocations, maps, functions and the plan.

use std::fmt::Write as _;

use object::read::elf::ElfFile64;
use object::{
    LittleEndian, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, elf,
};
use rbtrace_probes_ebpf::object::{ReadError, read_object};
use rbtrace_probes_ebpf::plan::{Map, Plan};

use crate::btf::read::Btf;
use crate::btf::{TypeId, kind};

type File<'a> = ElfFile64<'a, LittleEndian>;

/// Bytes of an instruction slot.
const SLOT: u64 = 8;

/// The object as text, for `-d elf`.
pub fn dump(data: &[u8]) -> Result<String, ReadError> {
    let plan = read_object(data)?.plan;
    let damaged = |e: object::read::Error| ReadError::Damaged(e.to_string());
    let file = File::parse(data).map_err(damaged)?;
    let btf = file.section_by_name(".BTF").and_then(|s| s.data().ok()).and_then(Btf::parse);
    let btf = btf.unwrap_or_default();
    let mut out = String::new();
    for part in [
        sections(&file),
        symbols(&file),
        relocations(&file),
        maps(&btf, &plan),
        variables(&btf),
        functions(&file, &btf),
        json(&plan),
    ] {
        if !out.is_empty() && !part.is_empty() {
            out.push('\n');
        }
        out.push_str(&part);
    }
    Ok(out)
}

fn sections(file: &File<'_>) -> String {
    let mut out = String::from("sections\n");
    for s in file.sections() {
        let header = s.elf_section_header();
        let kind = match header.sh_type.get(LittleEndian) {
            elf::SHT_PROGBITS => "progbits",
            elf::SHT_NOBITS => "nobits",
            elf::SHT_SYMTAB => "symtab",
            elf::SHT_STRTAB => "strtab",
            elf::SHT_REL => "rel",
            _ => "other",
        };
        let flags = header.sh_flags.get(LittleEndian);
        let flags: String =
            [(elf::SHF_ALLOC, 'a'), (elf::SHF_WRITE, 'w'), (elf::SHF_EXECINSTR, 'x')]
                .into_iter()
                .map(|(bit, c)| if flags & u64::from(bit) != 0 { c } else { '-' })
                .collect();
        let _ = writeln!(out, "  {:<8} {flags} {:>6}  {}", kind, s.size(), s.name().unwrap_or("?"));
    }
    out
}

fn section_name<'a>(file: &'a File<'_>, index: Option<object::SectionIndex>) -> &'a str {
    let section = index.and_then(|i| file.section_by_index(i).ok());
    section.map_or("undefined", |s| s.name().unwrap_or("?"))
}

fn symbols(file: &File<'_>) -> String {
    let mut out = String::from("symbols\n");
    for s in file.symbols() {
        let kind = match s.elf_symbol().st_type() {
            elf::STT_FUNC => "func",
            elf::STT_OBJECT => "object",
            elf::STT_SECTION => "section",
            _ => "notype",
        };
        let bind = if s.is_local() { "local" } else { "global" };
        let place = section_name(file, s.section_index());
        let line = format!(
            "  {bind:<6} {kind:<7} {place}+{:#x} {} {}",
            s.address(),
            s.size(),
            s.name().unwrap_or("?")
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn relocations(file: &File<'_>) -> String {
    let mut out = String::new();
    for section in file.sections() {
        for (offset, relocation) in section.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else {
                continue;
            };
            let Ok(symbol) = file.symbol_by_index(index) else {
                continue;
            };
            let kind = match relocation.flags() {
                object::RelocationFlags::Elf { r_type: elf::R_BPF_64_32 } => "R_BPF_64_32",
                _ => "R_BPF_64_64",
            };
            let name = symbol.name().ok().filter(|n| !n.is_empty());
            let name = name.unwrap_or_else(|| section_name(file, symbol.section_index()));
            let place = format!("{}+{offset:#x}", section.name().unwrap_or("?"));
            let _ =
                writeln!(out, "  {place} {kind} {name}{}", addend(&section, offset, kind, &symbol));
        }
    }
    if out.is_empty() { out } else { format!("relocations\n{out}") }
}

/// `+N`: the place in a section that an instruction names, in bytes.
fn addend<'a>(
    section: &impl object::ObjectSection<'a>,
    offset: u64,
    kind: &str,
    symbol: &impl object::ObjectSymbol<'a>,
) -> String {
    if symbol.kind() != object::SymbolKind::Section {
        return String::new();
    }
    let at = usize::try_from(offset).ok().and_then(|o| o.checked_add(4));
    let imm = section.data().ok().zip(at).and_then(|(d, at)| d.get(at..)?.first_chunk::<4>());
    let imm = i64::from(imm.map_or(0, |b| i32::from_le_bytes(*b)));
    let bytes = if kind == "R_BPF_64_32" { (imm + 1) * SLOT as i64 } else { imm };
    format!("+{bytes:#x}")
}

/// The variables of a section, by BTF.
fn section_vars(btf: &Btf, section: &str) -> Vec<(String, TypeId)> {
    let found = btf.iter().find(|(_, t)| t.kind == kind::DATASEC && t.name == section);
    let vars = found.map_or(&[][..], |(_, t)| t.rest.as_slice());
    let var = |v: &[u32; 3]| btf.get(v[0]).map(|t| (t.name.clone(), t.last));
    vars.as_chunks().0.iter().filter_map(var).collect()
}

fn maps(btf: &Btf, plan: &Plan) -> String {
    let mut out = String::new();
    for (symbol, definition) in section_vars(btf, ".maps") {
        let Some(map) = plan.maps.iter().find(|m| m.symbol == symbol) else {
            continue;
        };
        let _ = writeln!(out, "  {}", describe(btf, map, definition));
    }
    if out.is_empty() { out } else { format!("maps\n{out}") }
}

fn describe(btf: &Btf, map: &Map, definition: TypeId) -> String {
    let kind = serde_json::to_value(map.kind).unwrap_or_default();
    let mut out = format!("{} ({}): {}", map.symbol, map.name, kind.as_str().unwrap_or_default());
    for (name, pointer, _, _) in btf.members(definition) {
        let target = btf.get(pointer).map_or(0, |t| t.last);
        let length = || btf.get(target).and_then(|t| t.rest.get(2)).copied().unwrap_or(0);
        let _ = match name {
            "type" => Ok(()),
            "key" | "value" => write!(out, ", {name} {}", btf.declare(target, "")),
            _ => write!(out, ", {name} {}", length()),
        };
    }
    out
}

fn variables(btf: &Btf) -> String {
    let mut out = String::new();
    for section in [".rodata", ".bss", "license"] {
        for (name, ty) in section_vars(btf, section) {
            let _ = writeln!(out, "  {section}: {}", btf.declare(ty, &name));
        }
    }
    format!("variables\n{out}")
}

fn functions(file: &File<'_>, btf: &Btf) -> String {
    let mut out = String::from("functions\n");
    for s in file.symbols().filter(|s| s.elf_symbol().st_type() == elf::STT_FUNC) {
        let name = s.name().unwrap_or("?");
        let is = |k: u32, n: &str| btf.iter().find(|(_, t)| t.kind == k && t.name == n);
        let proto =
            is(kind::FUNC, &crate::btf::strings::identifier(name)).map_or(0, |(_, t)| t.last);
        let section = section_name(file, s.section_index());
        let slots = s.size() / SLOT;
        let _ =
            writeln!(out, "  {section}: {name}({}), {slots} instructions", parameters(btf, proto));
    }
    out
}

fn parameters(btf: &Btf, proto: TypeId) -> String {
    let words = btf.get(proto).map_or(&[][..], |t| t.rest.as_slice());
    let parameter = |p: &[u32; 2]| {
        let name = btf.string(p[0]).unwrap_or_default();
        // A context's struct is its tag alone.
        match btf.get(p[1]).and_then(|t| btf.get(t.last)).filter(|t| t.kind == kind::STRUCT) {
            Some(context) => format!("struct {} *{name}", context.name),
            None => btf.declare(p[1], name),
        }
    };
    words.as_chunks().0.iter().map(parameter).collect::<Vec<_>>().join(", ")
}

fn json(plan: &Plan) -> String {
    format!("plan\n{}\n", serde_json::to_string_pretty(plan).unwrap_or_default())
}
