//! Functions in their sections: bytes, references between them, types and source lines.

use rbtrace_probes_ebpf::kinds::Context;

use super::symbols::Names;
use super::{Error, FunctionInput, FunctionRole, Input};
use crate::bpf::{Insn, RelocTarget};
use crate::btf::ext::SectionInfo;
use crate::btf::strings::identifier;
use crate::btf::{Builder, Linkage, TypeId};

/// Bytes of an instruction slot.
pub const SLOT: u32 = 8;

/// `BPF_LD | BPF_IMM | BPF_DW`, two slots.
const LD_IMM64: u8 = 0x18;
/// `BPF_JMP | BPF_CALL`
const CALL: u8 = 0x85;
/// `BPF_ALU` and `BPF_ALU64`, the classes of arithmetic.
const ARITHMETIC: [u8; 2] = [0x04, 0x07];
/// `BPF_X`: the operand is a register, not the immediate.
const FROM_REGISTER: u8 = 0x08;
/// `BPF_PSEUDO_CALL`: a call of a function, not of a helper.
const PSEUDO_CALL: u8 = 1;

/// The code sections; `.text` is the first if there are subprograms.
#[derive(Debug, Default)]
pub struct Code {
    pub sections: Vec<Section>,
}

/// A code section.
#[derive(Debug)]
pub struct Section {
    pub name: String,
    pub bytes: Vec<u8>,
    pub functions: Vec<Placed>,
    /// Ascending by offset.
    pub relocs: Vec<Reloc>,
    pub info: SectionInfo,
}

/// A function in its section; in bytes.
#[derive(Debug)]
pub struct Placed {
    pub name: String,
    pub linkage: Linkage,
    pub offset: u32,
    pub size: u32,
}

/// An instruction that the loader completes.
#[derive(Clone, Copy, Debug)]
pub struct Reloc {
    /// Bytes from the start of the section.
    pub offset: u32,
    pub target: Target,
}

/// What it refers to. Places in a section are in the instruction itself, as clang has it for
/// static symbols: a byte offset in an address; in a call, slots less one.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    Map(u32),
    Rodata,
    Data,
    TextCall,
    TextAddress,
    Kfunc(u32),
}

/// A function about to be placed.
struct Placing<'a> {
    function: &'a FunctionInput<'a>,
    section: &'a str,
    offset: u32,
}

/// Places the functions and resolves what they refer to.
pub fn lay_out(input: &Input<'_>, btf: &mut Builder, symbols: &mut Names) -> Result<Code, Error> {
    let placing = place(input)?;
    let mut code = Code::default();
    // Subprograms first: loaders find them by `.text` alone, and relocations count on the order.
    let text = placing.iter().filter(|p| p.section == TEXT);
    for p in text.chain(placing.iter().filter(|p| p.section != TEXT)) {
        symbols.function(p.function.name)?;
        let known = code.sections.iter().position(|s| s.name == p.section);
        let index = known.unwrap_or_else(|| {
            code.sections.push(Section {
                name: p.section.to_owned(),
                bytes: Vec::new(),
                functions: Vec::new(),
                relocs: Vec::new(),
                info: SectionInfo::new(&mut btf.strings, p.section),
            });
            code.sections.len() - 1
        });
        if let Some(section) = code.sections.get_mut(index) {
            emit(input, &placing, p, section, btf)?;
        }
    }
    Ok(code)
}

/// Section of subprograms.
const TEXT: &str = ".text";

/// Sections that mean something else to a loader, by the start of their names.
const RESERVED: [&str; 4] = [".", "license", "maps", "version"];

fn is_reserved(section: &str) -> bool {
    section.is_empty() || RESERVED.iter().any(|start| section.starts_with(start))
}

fn place<'a>(input: &Input<'a>) -> Result<Vec<Placing<'a>>, Error> {
    let mut ends = std::collections::HashMap::<&str, u32>::new();
    let mut out = Vec::new();
    for function in input.functions {
        let invalid =
            |reason: String| Error::InvalidFunction { function: function.name.into(), reason };
        let section = match function.role {
            FunctionRole::Program { section, .. } if is_reserved(section) => {
                return Err(invalid(format!("`{section}` is no section for a program")));
            }
            FunctionRole::Program { section, .. } => section,
            FunctionRole::Subprogram { params: 0..=5 } => TEXT,
            FunctionRole::Subprogram { params } => {
                return Err(invalid(format!("{params} parameters are too many")));
            }
        };
        if function.name.is_empty() || function.code.insns.is_empty() {
            return Err(invalid("it has no name or no code".into()));
        }
        let end = ends.entry(section).or_default();
        let offset = *end;
        let size = u32::try_from(function.code.insns.len()).ok().and_then(|n| n.checked_mul(SLOT));
        *end = size.and_then(|n| n.checked_add(offset)).ok_or(Error::TooLarge("a code section"))?;
        out.push(Placing { function, section, offset });
    }
    Ok(out)
}

/// Appends a function with all that belongs to it.
fn emit(
    input: &Input<'_>,
    all: &[Placing<'_>],
    p: &Placing<'_>,
    section: &mut Section,
    btf: &mut Builder,
) -> Result<(), Error> {
    let code = p.function.code;
    let mut insns = code.insns.clone();
    for reloc in &code.relocs {
        let offset = p.offset.saturating_add(reloc.slot.saturating_mul(SLOT));
        let bad = |reason: String| Error::InvalidReference {
            function: p.function.name.into(),
            slot: reloc.slot,
            reason,
        };
        let missing = || bad(format!("{:?} does not exist", reloc.target));
        let Patch { imm, src, target } = match reloc.target {
            RelocTarget::Core(i) => {
                let core = input.core_relocs.get(i as usize).ok_or_else(missing)?;
                let imm = core.local_value().ok_or_else(missing)?;
                let root = btf.local_type(&core.root);
                let access = core.access_string();
                section.info.relo(&mut btf.strings, offset, root, &access, core.kind as u32);
                Patch { imm, src: 0, target: None }
            }
            other => resolve(input, all, other).ok_or_else(missing)?,
        };
        patch(&mut insns, reloc.slot, reloc.target, (imm, src)).map_err(bad)?;
        section.relocs.extend(target.map(|target| Reloc { offset, target }));
    }
    for insn in &insns {
        section.bytes.extend_from_slice(&insn.to_bytes());
    }
    let linkage = match p.function.role {
        FunctionRole::Program { .. } => Linkage::Global,
        FunctionRole::Subprogram { .. } => Linkage::Static,
    };
    let size = insns.len() as u32 * SLOT;
    section.functions.push(Placed {
        name: p.function.name.into(),
        linkage,
        offset: p.offset,
        size,
    });
    let func = func_type(btf, p.function, linkage);
    section.info.func(p.offset, func);
    add_lines(input, p, section, btf)
}

/// What an instruction gets and what the loader does with it.
struct Patch {
    imm: i32,
    src: u8,
    target: Option<Target>,
}

fn resolve(input: &Input<'_>, all: &[Placing<'_>], target: RelocTarget) -> Option<Patch> {
    let subprogram = |i: u32| all.get(i as usize).filter(|p| p.section == TEXT);
    let within = |offset: u32, size: usize| (offset as usize) < size;
    let (imm, src, target) = match target {
        RelocTarget::Map(i) => (0, 0, Target::Map(i)),
        RelocTarget::Rodata(offset) if within(offset, input.rodata.len()) => {
            (i32::try_from(offset).ok()?, 0, Target::Rodata)
        }
        RelocTarget::Data(offset) if within(offset, input.bss_size as usize) => {
            (i32::try_from(offset).ok()?, 0, Target::Data)
        }
        RelocTarget::Call(i) => {
            let slot = i32::try_from(subprogram(i)?.offset / SLOT).ok()?;
            (slot - 1, PSEUDO_CALL, Target::TextCall)
        }
        RelocTarget::FuncAddr(i) => {
            (i32::try_from(subprogram(i)?.offset).ok()?, 0, Target::TextAddress)
        }
        RelocTarget::Kfunc(i) if within(i, input.kfuncs.len()) => {
            (-1, PSEUDO_CALL, Target::Kfunc(i))
        }
        _ => return None,
    };
    Some(Patch { imm, src, target: Some(target) })
}

/// Writes `imm` and the source register into the instruction, which must be of the right sort.
fn patch(
    insns: &mut [Insn],
    slot: u32,
    target: RelocTarget,
    (imm, src): (i32, u8),
) -> Result<(), String> {
    let (first, rest) = match insns.get_mut(slot as usize..).and_then(<[Insn]>::split_first_mut) {
        Some(found) => found,
        None => return Err("it is beyond the function's end".into()),
    };
    let is_right = match target {
        RelocTarget::Call(_) | RelocTarget::Kfunc(_) => first.code == CALL,
        RelocTarget::Core(_) => {
            ARITHMETIC.contains(&(first.code & 0x07)) && first.code & FROM_REGISTER == 0
        }
        _ => first.code == LD_IMM64 && rest.first().is_some_and(|second| second.code == 0),
    };
    if !is_right {
        return Err(format!("opcode {:#04x} cannot hold {target:?}", first.code));
    }
    (first.imm, first.src) = (imm, src);
    if let (LD_IMM64, Some(second)) = (first.code, rest.first_mut()) {
        second.imm = 0;
    }
    Ok(())
}

/// Source lines. The kernel wants one at each function's start and none inside an `LD_IMM64`.
fn add_lines(
    input: &Input<'_>,
    p: &Placing<'_>,
    section: &mut Section,
    btf: &mut Builder,
) -> Result<(), Error> {
    let code = p.function.code;
    let mut last = None;
    let mut next = 0;
    for entry in &code.lines {
        let span = input.spans.get(entry.span as usize).ok_or_else(|| Error::InvalidReference {
            function: p.function.name.into(),
            slot: entry.slot,
            reason: format!("there is no span {}", entry.span),
        })?;
        let starts = code.insns.get(entry.slot as usize).is_some_and(|i| i.code != 0);
        if last == Some(entry.span) || !starts || (last.is_some() && entry.slot < next) {
            continue;
        }
        let slot = if last.is_none() { 0 } else { entry.slot };
        let offset = p.offset + slot * SLOT;
        let (file, text) = (input.source_name, span.text.as_str());
        section.info.line(&mut btf.strings, offset, file, text, span.line, span.column);
        last = Some(entry.span);
        next = slot + 1;
    }
    if last.is_none() {
        section.info.line(&mut btf.strings, p.offset, input.source_name, "", 0, 0);
    }
    Ok(())
}

fn func_type(btf: &mut Builder, function: &FunctionInput<'_>, linkage: Linkage) -> TypeId {
    let proto = match function.role {
        FunctionRole::Program { kind, .. } => {
            let context = context_type(btf, kind.spec().context);
            let result = btf.int("int", 4, crate::btf::Encoding::Signed);
            btf.func_proto(result, &[("ctx", context)])
        }
        FunctionRole::Subprogram { params } => {
            const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
            let word = btf.sized_int(8, false);
            let params: Vec<_> =
                NAMES.iter().take(params.into()).map(|name| (*name, word)).collect();
            btf.func_proto(word, &params)
        }
    };
    btf.func(&identifier(function.name), proto, linkage)
}

/// Pointer to the context that the kernel expects of the program type, by its tag alone: the
/// kernel looks at nothing else.
fn context_type(btf: &mut Builder, context: Context) -> TypeId {
    let tag = match context {
        Context::Registers => "pt_regs",
        Context::PerfEvent => "bpf_perf_event_data",
        Context::Xdp => "xdp_md",
        Context::Skb => "__sk_buff",
        Context::TracepointRecord | Context::Arguments | Context::Objects => return btf.ptr(0),
        Context::Opaque => "bpf_raw_tracepoint_args",
    };
    let context = btf.record(false, tag, 0, &[]);
    btf.ptr(context)
}
