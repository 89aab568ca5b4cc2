//! The stages of a unit as text that reads like the script.

use std::fmt::{self, Write};

use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{
    Block, ExternalName, Function, GlobalValueData, Inst, InstructionData, UserExternalName, Value,
};
use cranelift_codegen::write::{FuncWriter, PlainWriter, decorate_function};
use rbtrace_probes_ebpf::helpers;

use crate::bpf::{Code, Names, RelocTarget, write_listing};
use crate::clif::{CoreKind, CoreReloc, LocalType, Unit, namespace};

/// Cranelift IR of every function, with the script's lines before and the names of helpers,
/// maps and data after the instructions that they belong to.
pub(crate) fn unit(unit: &Unit) -> String {
    let mut out = String::new();
    for (index, function) in unit.functions.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let mut writer = Annotated { unit, line: 0 };
        // Writing to a string does not fail.
        let _ = decorate_function(&mut writer, &mut out, &function.ir);
    }
    out
}

/// eBPF of every function.
pub(crate) fn listing(unit: &Unit, code: &Code) -> String {
    let mut out = String::new();
    for (index, function) in code.functions.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let _ = write_listing(function, &UnitNames(unit), &mut out);
    }
    out
}

struct Annotated<'a> {
    unit: &'a Unit,
    /// The script's line that was shown last; 0 for none.
    line: u32,
}

impl FuncWriter for Annotated<'_> {
    fn write_preamble(&mut self, _: &mut dyn Write, _: &Function) -> Result<bool, fmt::Error> {
        // Slots, signatures and references are shown where they are used.
        Ok(false)
    }

    fn write_block_header(
        &mut self,
        w: &mut dyn Write,
        func: &Function,
        block: Block,
        indent: usize,
    ) -> fmt::Result {
        PlainWriter.write_block_header(w, func, block, indent)
    }

    fn write_instruction(
        &mut self,
        w: &mut dyn Write,
        func: &Function,
        aliases: &SecondaryMap<Value, Vec<Value>>,
        inst: Inst,
        indent: usize,
    ) -> fmt::Result {
        let line = func.srcloc(inst);
        let span = self.unit.spans.get(line.bits() as usize).filter(|_| !line.is_default());
        if let Some(span) = span.filter(|s| s.line != self.line) {
            self.line = span.line;
            writeln!(w, "{:indent$}; {}: {}", "", span.line, span.text)?;
        }
        let mut text = String::new();
        PlainWriter.write_instruction(&mut text, func, aliases, inst, indent)?;
        let text = text.trim_end();
        match self.reference(func, inst) {
            Some(name) => writeln!(w, "{text:<44}; {name}"),
            None => writeln!(w, "{text}"),
        }
    }
}

impl Annotated<'_> {
    /// Name of what an instruction refers to outside of the function.
    fn reference(&self, func: &Function, inst: Inst) -> Option<String> {
        match &func.dfg.insts[inst] {
            InstructionData::Call { func_ref, .. } | InstructionData::FuncAddr { func_ref, .. } => {
                let name = user_name(func, &func.dfg.ext_funcs[*func_ref].name)?;
                Some(external(self.unit, name, 0))
            }
            InstructionData::UnaryGlobalValue { global_value, .. } => {
                let GlobalValueData::Symbol { name, offset, .. } =
                    &func.global_values[*global_value]
                else {
                    return None;
                };
                Some(external(self.unit, user_name(func, name)?, (*offset).into()))
            }
            _ => None,
        }
    }
}

fn user_name<'f>(func: &'f Function, name: &ExternalName) -> Option<&'f UserExternalName> {
    match name {
        ExternalName::User(name) => func.params.user_named_funcs().get(*name),
        _ => None,
    }
}

fn external(unit: &Unit, name: &UserExternalName, offset: i64) -> String {
    let names = UnitNames(unit);
    let index = name.index;
    let named = match name.namespace {
        namespace::HELPER => names.helper(index),
        namespace::FUNCTION => names.target(RelocTarget::Call(index)),
        namespace::KFUNC => names.target(RelocTarget::Kfunc(index)),
        namespace::MAP => names.target(RelocTarget::Map(index)),
        namespace::RODATA => names.target(RelocTarget::Rodata(offset as u32)),
        namespace::DATA => names.target(RelocTarget::Data(offset as u32)),
        namespace::CORE => names.target(RelocTarget::Core(index)),
        namespace::OPAQUE => Some(offset.to_string()),
        namespace::INTRINSIC => ["bswap16", "bswap32", "bswap64", "unlinked", "settled"]
            .get(index as usize)
            .map(|s| (*s).to_owned()),
        _ => None,
    };
    named.unwrap_or_else(|| format!("u{}:{index}+{offset}", name.namespace))
}

/// What a CO-RE relocation asks: `task_struct.utask` for an offset, else with the question around it.
fn core_question(reloc: &CoreReloc) -> String {
    let mut path = match &reloc.root {
        LocalType::Record { name, .. } | LocalType::Enum { name, .. } => name.clone(),
        _ => "type".to_owned(),
    };
    let mut ty = &reloc.root;
    for &index in reloc.access.iter().skip(1) {
        match ty {
            LocalType::Record { fields, .. } => {
                let Some(field) = fields.get(index as usize) else { break };
                path.push_str(&format!(".{}", field.name));
                ty = &field.ty;
            }
            LocalType::Array { elem, .. } => {
                path.push_str(&format!("[{index}]"));
                ty = elem;
            }
            _ => break,
        }
    }
    match reloc.kind {
        CoreKind::FieldByteOffset => path,
        kind => format!("{kind:?}({path})"),
    }
}

/// Names of a unit's own.
struct UnitNames<'a>(&'a Unit);

impl Names for UnitNames<'_> {
    fn helper(&self, id: u32) -> Option<String> {
        helpers::by_id(id).map(|h| h.name.to_owned())
    }

    fn target(&self, target: RelocTarget) -> Option<String> {
        let unit = self.0;
        match target {
            RelocTarget::Map(map) => unit.plan.maps.get(map as usize).map(|m| m.name.clone()),
            RelocTarget::Rodata(offset) => Some(format!(".rodata+{offset}")),
            RelocTarget::Data(offset) => Some(
                unit.data
                    .iter()
                    .find(|v| v.offset == offset)
                    .map_or_else(|| format!(".bss+{offset}"), |v| v.name.clone()),
            ),
            RelocTarget::Call(function) | RelocTarget::FuncAddr(function) => {
                unit.functions.get(function as usize).map(|f| f.name.clone())
            }
            RelocTarget::Kfunc(index) => unit.kfuncs.get(index as usize).cloned(),
            RelocTarget::Core(index) => unit.core_relocs.get(index as usize).map(core_question),
        }
    }

    fn source(&self, span: u32) -> Option<String> {
        self.0.spans.get(span as usize).map(|s| format!("{}: {}", s.line, s.text))
    }
}
