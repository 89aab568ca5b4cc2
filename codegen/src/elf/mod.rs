//! The last stage, `write`: code, maps, types and the plan become a relocatable ELF object.
//!
//! The object follows libbpf's conventions (Documentation/bpf/libbpf/libbpf_overview.rst), so that
//! libbpf, bpftool, aya and cilium/ebpf load it too:
//!
//! - programs are global functions, in a section for each attach point or in one that several share;
//!   functions that they call are static, in `.text`;
//! - maps are variables in `.maps`, described by BTF; constants are `.rodata`, variables `.bss`;
//! - references are `R_BPF_64_64` (addresses) and `R_BPF_64_32` (calls);
//! - the plan is JSON in [`plan::SECTION`].
//!
//! Equal input gives equal bytes.

mod code;
pub mod dump;
mod maps;
#[cfg(test)]
pub(crate) mod samples;
mod symbols;
#[cfg(test)]
mod tests;

use object::write::{Object, Relocation, SectionId, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope, elf,
};
use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{self, Plan};

use crate::bpf::FunctionCode;
use crate::btf::core::CoreReloc;
use crate::btf::{self, Builder, Linkage, SectionVar};
use crate::clif::{DataVar, LineSpan};

/// What an object is made of.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Maps, licence, and all that user space must know.
    pub plan: &'a Plan,
    /// Functions; a [`crate::bpf::RelocTarget::Call`] names one by its index.
    pub functions: &'a [FunctionInput<'a>],
    /// Contents of `.rodata`.
    pub rodata: &'a [u8],
    /// Bytes of `.bss`.
    pub bss_size: u32,
    /// Variables in `.bss`.
    pub data: &'a [DataVar],
    /// What instructions ask of the running kernel's types.
    pub core_relocs: &'a [CoreReloc],
    /// Names of kernel functions that are called.
    pub kfuncs: &'a [String],
    /// Places in the script, for line information.
    pub spans: &'a [LineSpan],
    /// Name of the script's file.
    pub source_name: &'a str,
}

/// A function of the object.
#[derive(Clone, Copy, Debug)]
pub struct FunctionInput<'a> {
    /// Symbol.
    pub name: &'a str,
    /// What it is.
    pub role: FunctionRole<'a>,
    /// The code.
    pub code: &'a FunctionCode,
}

/// What a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionRole<'a> {
    /// A program in the section of this name, which several may share.
    Program {
        /// ELF section.
        section: &'a str,
        /// Kind of its probes, which fixes the type of its context.
        kind: ProbeKind,
    },
    /// A static function that programs call or hand to helpers.
    Subprogram {
        /// Number of parameters, 0 to 5.
        params: u8,
    },
}

/// Why an object cannot be written. Each is a bug in an earlier stage, or a stated limit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel takes letters, digits, underscores and dots, 127 at most.
    #[error("`{0}` cannot be the name of a map or variable")]
    InvalidName(String),
    /// Two things have the same symbol.
    #[error("two symbols have the name `{0}`")]
    DuplicateSymbol(String),
    /// A map without entries, key or value.
    #[error("map `{map}`: {reason}")]
    InvalidMap {
        /// The map's symbol.
        map: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A section name that means something else, or a function without code.
    #[error("function `{function}`: {reason}")]
    InvalidFunction {
        /// The function's name.
        function: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A reference to something that is not there, or from an instruction that cannot hold it.
    #[error("function `{function}`, slot {slot}: {reason}")]
    InvalidReference {
        /// The function's name.
        function: String,
        /// Index of the instruction slot.
        slot: u32,
        /// What is wrong with it.
        reason: String,
    },
    /// The licence holds a NUL or is empty.
    #[error("a licence must be text without NUL")]
    InvalidLicense,
    /// A variable lies outside `.bss`.
    #[error("variable `{0}` lies outside its section")]
    InvalidVariable(String),
    /// More than a section can hold.
    #[error("{0} is too large for an object")]
    TooLarge(&'static str),
    /// The plan cannot be written as JSON.
    #[error("the plan cannot be written: {0}")]
    Plan(#[from] serde_json::Error),
    /// The ELF writer's own complaint.
    #[error("the ELF file cannot be written: {0}")]
    Elf(#[from] object::write::Error),
}

/// Section of the licence.
const LICENSE: &str = "license";
/// Section of the maps.
const MAPS: &str = ".maps";
/// Section of constants.
const RODATA: &str = ".rodata";
/// Section of variables.
const BSS: &str = ".bss";
/// Section of kernel functions, in BTF alone.
const KSYMS: &str = ".ksyms";

/// Writes the object.
pub fn write(input: &Input<'_>) -> Result<Vec<u8>, Error> {
    let mut btf = Builder::default();
    let mut symbols = symbols::Names::default();
    let maps = maps::define(&mut btf, &mut symbols, input.plan)?;
    let code = code::lay_out(input, &mut btf, &mut symbols)?;

    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let text: Vec<_> = code.sections.iter().map(|s| add_code(&mut object, s)).collect();
    let maps_at = add_maps(&mut object, &mut btf, &maps);
    let rodata_at = add_rodata(&mut object, &mut btf, &mut symbols, input.rodata)?;
    let bss_at = add_bss(&mut object, &mut btf, &mut symbols, input)?;
    add_license(&mut object, &mut btf, &mut symbols, &input.plan.config.license)?;
    let kfuncs = add_kfuncs(&mut object, &mut btf, &mut symbols, input.kfuncs)?;

    for (section, &id) in code.sections.iter().zip(&text) {
        for reloc in &section.relocs {
            let (symbol, r_type) = match reloc.target {
                code::Target::Map(i) => (maps_at.get(&i).copied(), elf::R_BPF_64_64),
                code::Target::Rodata => (rodata_at, elf::R_BPF_64_64),
                code::Target::Data => (bss_at, elf::R_BPF_64_64),
                code::Target::TextCall => {
                    (text.first().map(|&id| object.section_symbol(id)), elf::R_BPF_64_32)
                }
                code::Target::TextAddress => {
                    (text.first().map(|&id| object.section_symbol(id)), elf::R_BPF_64_64)
                }
                code::Target::Kfunc(i) => (kfuncs.get(i as usize).copied(), elf::R_BPF_64_32),
            };
            let symbol = symbol.ok_or_else(|| Error::InvalidReference {
                function: section.name.clone(),
                slot: reloc.offset / code::SLOT,
                reason: format!("{:?} is not in the object", reloc.target),
            })?;
            let flags = RelocationFlags::Elf { r_type };
            object.add_relocation(
                id,
                Relocation { offset: reloc.offset.into(), symbol, addend: 0, flags },
            )?;
        }
    }

    let infos: Vec<_> = code.sections.into_iter().map(|s| s.info).collect();
    add_plain(&mut object, ".BTF", btf.finish());
    add_plain(&mut object, ".BTF.ext", btf::ext::finish(&infos));
    add_plain(&mut object, plan::SECTION, serde_json::to_vec(input.plan)?);
    Ok(object.write()?)
}

/// Adds a section that is not loaded.
fn add_plain(object: &mut Object<'_>, name: &str, data: Vec<u8>) {
    let id = object.add_section(Vec::new(), name.into(), SectionKind::Other);
    object.section_mut(id).set_data(data, 4);
}

/// Adds a symbol for `size` bytes at `offset` of a section.
fn add_symbol(
    object: &mut Object<'_>,
    section: SectionId,
    (name, kind, linkage): (&str, SymbolKind, Linkage),
    (offset, size): (u32, u32),
) -> SymbolId {
    let scope =
        if linkage == Linkage::Static { SymbolScope::Compilation } else { SymbolScope::Dynamic };
    object.add_symbol(Symbol {
        name: name.into(),
        value: offset.into(),
        size: size.into(),
        kind,
        scope,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    })
}

fn add_code(object: &mut Object<'_>, section: &code::Section) -> SectionId {
    let id = object.add_section(Vec::new(), section.name.clone().into_bytes(), SectionKind::Text);
    object.section_mut(id).set_data(section.bytes.clone(), 8);
    for f in &section.functions {
        add_symbol(object, id, (&f.name, SymbolKind::Text, f.linkage), (f.offset, f.size));
    }
    id
}

type MapSymbols = std::collections::BTreeMap<u32, SymbolId>;

fn add_maps(object: &mut Object<'_>, btf: &mut Builder, maps: &[maps::Definition]) -> MapSymbols {
    let mut symbols = MapSymbols::new();
    let Some(last) = maps.last() else {
        return symbols;
    };
    let size = last.offset + last.size;
    let id = object.add_section(Vec::new(), MAPS.into(), SectionKind::Data);
    object.section_mut(id).set_data(vec![0; size as usize], 8);
    for m in maps {
        let named = (m.name.as_str(), SymbolKind::Data, Linkage::Global);
        symbols.insert(m.index, add_symbol(object, id, named, (m.offset, m.size)));
    }
    let vars: Vec<_> =
        maps.iter().map(|m| SectionVar { ty: m.var, offset: m.offset, size: m.size }).collect();
    btf.datasec(MAPS, size, &vars);
    symbols
}

/// Adds constants; returns the section's symbol, since code refers to places in it by offset.
fn add_rodata(
    object: &mut Object<'_>,
    btf: &mut Builder,
    symbols: &mut symbols::Names,
    data: &[u8],
) -> Result<Option<SymbolId>, Error> {
    if data.is_empty() {
        return Ok(None);
    }
    let size = u32::try_from(data.len()).map_err(|_| Error::TooLarge(RODATA))?;
    let id = object.add_section(Vec::new(), RODATA.into(), SectionKind::ReadOnlyData);
    object.section_mut(id).set_data(data.to_vec(), 8);
    let bytes = btf.chars(size);
    let ty = btf.constant(bytes);
    let var = btf.var(&symbols.free("constants"), ty, Linkage::Static);
    btf.datasec(RODATA, size, &[SectionVar { ty: var, offset: 0, size }]);
    Ok(Some(object.section_symbol(id)))
}

fn add_bss(
    object: &mut Object<'_>,
    btf: &mut Builder,
    symbols: &mut symbols::Names,
    input: &Input<'_>,
) -> Result<Option<SymbolId>, Error> {
    if input.bss_size == 0 && input.data.is_empty() {
        return Ok(None);
    }
    let id = object.add_section(Vec::new(), BSS.into(), SectionKind::UninitializedData);
    object.section_mut(id).append_bss(input.bss_size.into(), 8);
    let mut sorted: Vec<_> = input.data.iter().collect();
    sorted.sort_by_key(|v| v.offset);
    let mut vars = Vec::new();
    let mut end = 0;
    for v in sorted {
        let after = v.offset.checked_add(v.size).filter(|&e| e <= input.bss_size);
        if v.size == 0 || v.offset < end || after.is_none() {
            return Err(Error::InvalidVariable(v.name.clone()));
        }
        end = after.unwrap_or(u32::MAX);
        symbols.variable(&v.name)?;
        add_symbol(object, id, (&v.name, SymbolKind::Data, Linkage::Global), (v.offset, v.size));
        let ty = match v.size {
            1 | 2 | 4 | 8 => btf.sized_int(v.size, false),
            _ => btf.chars(v.size),
        };
        let ty = btf.var(&v.name, ty, Linkage::Global);
        vars.push(SectionVar { ty, offset: v.offset, size: v.size });
    }
    // Kernels before 5.12 refuse a section without variables.
    if vars.is_empty() {
        let ty = btf.chars(input.bss_size);
        let ty = btf.var(&symbols.free("variables"), ty, Linkage::Static);
        vars.push(SectionVar { ty, offset: 0, size: input.bss_size });
    }
    btf.datasec(BSS, input.bss_size, &vars);
    Ok(Some(object.section_symbol(id)))
}

fn add_license(
    object: &mut Object<'_>,
    btf: &mut Builder,
    symbols: &mut symbols::Names,
    license: &str,
) -> Result<(), Error> {
    if license.is_empty() || license.contains('\0') {
        return Err(Error::InvalidLicense);
    }
    let mut data = license.as_bytes().to_vec();
    data.push(0);
    let size = u32::try_from(data.len()).map_err(|_| Error::TooLarge(LICENSE))?;
    let id = object.add_section(Vec::new(), LICENSE.into(), SectionKind::Data);
    object.section_mut(id).set_data(data, 1);
    let name = symbols.free("_license");
    add_symbol(object, id, (&name, SymbolKind::Data, Linkage::Global), (0, size));
    let chars = btf.chars(size);
    let var = btf.var(&name, chars, Linkage::Global);
    btf.datasec(LICENSE, size, &[SectionVar { ty: var, offset: 0, size }]);
    Ok(())
}

/// Declares kernel functions. Their real prototypes are the kernel's; ours takes nothing.
fn add_kfuncs(
    object: &mut Object<'_>,
    btf: &mut Builder,
    symbols: &mut symbols::Names,
    names: &[String],
) -> Result<Vec<SymbolId>, Error> {
    let mut ids = Vec::new();
    let mut entries = Vec::new();
    for name in names {
        symbols.variable(name)?;
        ids.push(object.add_symbol(Symbol {
            name: name.as_bytes().into(),
            value: 0,
            size: 0,
            kind: SymbolKind::Unknown,
            scope: SymbolScope::Unknown,
            weak: false,
            section: SymbolSection::Undefined,
            flags: SymbolFlags::None,
        }));
        let proto = btf.func_proto(0, &[]);
        entries.push(SectionVar { ty: btf.func(name, proto, Linkage::Extern), offset: 0, size: 0 });
    }
    if !entries.is_empty() {
        btf.datasec(KSYMS, 0, &entries);
    }
    Ok(ids)
}
