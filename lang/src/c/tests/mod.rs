//! C as scripts have it.

mod constants;
mod headers;
mod hostile;
mod layouts;
mod mistakes;

use std::collections::HashMap;

use rbtrace_probes_ebpf::profile::TargetProfile;

use super::{ConstantValue, Declarations, parse};
use crate::ast::CDefinition;
use crate::catalog::ctypes::{CField, CRecord, CType, Tag, TypeRef};
use crate::catalog::{TracepointFormat, TypeSource};
use crate::diag::Diagnostic;
use crate::span::Span;

/// A kernel with a few types, and headers made of strings.
#[derive(Default)]
struct Machine {
    headers: HashMap<&'static str, &'static str>,
}

const KERNEL: u32 = 1;

impl TypeSource for Machine {
    fn tracepoint(&self, _: &str, _: &str) -> Option<TracepointFormat> {
        None
    }
    fn kernel_type(&self, tag: Tag, name: &str) -> Option<TypeRef> {
        let types = [(Tag::Struct, "list_head"), (Tag::Name, "atomic_t"), (Tag::Struct, "odd")];
        let id = types.iter().position(|known| *known == (tag, name))?;
        Some(TypeRef { source: KERNEL, id: id as u64 })
    }
    fn describe(&self, at: TypeRef) -> Option<CType> {
        let list = CType::Pointer(Box::new(CType::Ref(TypeRef { source: KERNEL, id: 0 })));
        let int = CType::Int { size: 4, signed: true };
        let field = |name: &str, ty: CType, byte: u32| CField {
            name: name.to_owned(),
            ty,
            bit_offset: byte * 8,
            bits: None,
        };
        let (name, size, fields) = match (at.source, at.id) {
            (KERNEL, 0) => {
                ("list_head", 16, vec![field("next", list.clone(), 0), field("prev", list, 8)])
            }
            (KERNEL, 1) => ("", 4, vec![field("counter", int, 0)]),
            (KERNEL, 2) => ("odd", 5, vec![field("c", CType::Char, 0), field("n", int, 1)]),
            _ => return None,
        };
        let (name, size) = (name.to_owned(), Some(size));
        Some(CType::Record(CRecord { name, union: false, size, fields }))
    }
    fn kernel_enumerator(&self, name: &str) -> Option<(TypeRef, i64)> {
        (name == "KERNEL_MAX").then_some((TypeRef { source: KERNEL, id: 9 }, 12))
    }
    fn header(&self, name: &str, _: bool) -> Option<String> {
        self.headers.get(name).map(|text| (*text).to_owned())
    }
}

/// Definitions as the script's parser cuts them. What it would not let pass is cut into lines that
/// start with `#` and what is between.
fn definitions(text: &str) -> Vec<CDefinition> {
    let mut sources = crate::span::Sources::default();
    let file = sources.add("test", text);
    if let Ok(script) = crate::parse::parse(&sources, file) {
        return script.definitions;
    }
    let mut definitions: Vec<CDefinition> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let span = Span { start: at, end: at + line.len() as u32, file: 0 };
        at = span.end;
        let is_directive = line.trim_start().starts_with('#');
        match definitions.last_mut() {
            Some(last) if !is_directive && !last.text.trim_start().starts_with('#') => {
                last.text.push_str(line);
                last.span = last.span.to(span);
            }
            _ => definitions.push(CDefinition { text: line.to_owned(), span }),
        }
    }
    definitions
}

fn read_with(machine: &Machine, text: &str) -> (Declarations, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let definitions = definitions(text);
    let declarations = parse(&definitions, machine, &TargetProfile::REFERENCE, &mut diagnostics);
    (declarations, diagnostics)
}

/// What a text without mistakes declares.
fn read(text: &str) -> Declarations {
    let (declarations, diagnostics) = read_with(&Machine::default(), text);
    assert!(diagnostics.is_empty(), "{text}: {diagnostics:#?}");
    declarations
}

/// The messages about a text, with what they point at.
fn mistakes(text: &str) -> Vec<String> {
    let (_, diagnostics) = read_with(&Machine::default(), text);
    let shown = |d: &Diagnostic| {
        let span = d.labels[0].span;
        let at = text.get(span.start as usize..span.end as usize).unwrap_or("?");
        format!("[{}] {} @ {at}", d.code, d.message)
    };
    diagnostics.iter().map(shown).collect()
}

/// The members of a record.
fn record(declarations: &Declarations, tag: Tag, name: &str) -> CRecord {
    let mut ty = CType::Ref(declarations.find(tag, name).expect("it is declared"));
    while let CType::Ref(at) = ty {
        ty = declarations.describe(at).expect("it is described");
    }
    match ty {
        CType::Record(record) => record,
        other => panic!("{name} is {other:?}"),
    }
}

/// Size, and name, bit offset and width of the members.
fn layout(declarations: &Declarations, tag: Tag, name: &str) -> String {
    let record = record(declarations, tag, name);
    let fields = record.fields.iter().map(|field| match field.bits {
        Some(bits) => format!(" {}@{}:{bits}", field.name, field.bit_offset),
        None => format!(" {}@{}", field.name, field.bit_offset / 8),
    });
    format!("{}{}", record.size.expect("it has members"), fields.collect::<String>())
}

fn value(declarations: &Declarations, name: &str) -> Option<ConstantValue> {
    declarations.constant(name, &Machine::default())?.value
}
