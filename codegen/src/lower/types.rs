//! Types of the typed program as layouts in memory.

use rbtrace_lang::hir::{Aggregate, Program, StackType, Type};
use rbtrace_probes_ebpf::types::{self as plan, Field, RecordKind};

/// Indices in the plan of the maps of stacks; 0 where a type mentions none.
#[derive(Clone, Copy, Default)]
pub(super) struct StackMaps {
    addresses: u32,
    build_ids: u32,
}

impl StackMaps {
    /// The map of stacks that print in this way.
    pub(super) fn of(&mut self, mode: plan::StackMode) -> &mut u32 {
        if mode == plan::StackMode::BuildId { &mut self.build_ids } else { &mut self.addresses }
    }
}

/// The layout of `ty`.
pub(super) fn layout(program: &Program, stacks: StackMaps, ty: &Type) -> plan::Type {
    let cx = Layouts { program, stacks };
    cx.layout(ty)
}

struct Layouts<'a> {
    program: &'a Program,
    stacks: StackMaps,
}

impl Layouts<'_> {
    fn layout(&self, ty: &Type) -> plan::Type {
        match ty {
            Type::Int(i) => plan::Type::Int { size: i.size, signed: i.signed },
            Type::Bool => plan::Type::Bool,
            Type::Str { size } => plan::Type::Str { size: *size },
            Type::Buf { size } => plan::Type::Buf { size: *size },
            Type::Ptr { .. } => plan::Type::Ptr,
            Type::Array { elem, len } => {
                plan::Type::Array { elem: Box::new(self.stored(elem)), len: *len }
            }
            Type::Record(id) => self.record(id.index()),
            Type::Tuple(members) => self.tuple(members),
            Type::Enum(id) => match self.program.enums.get(id.index()) {
                Some(e) => plan::Type::Enum {
                    name: e.name.clone(),
                    size: e.int.size,
                    signed: e.int.signed,
                    variants: e.variants.clone(),
                },
                None => plan::Type::Int { size: 8, signed: true },
            },
            Type::Inet => plan::Type::Inet,
            Type::Inet4 => plan::Type::Inet4,
            Type::Inet6 => plan::Type::Inet6,
            Type::Mac => plan::Type::Mac,
            Type::KSym => plan::Type::KSym,
            Type::USym => plan::Type::USym,
            Type::KStack(s) => plan::Type::KStack(self.stack(*s)),
            Type::UStack(s) => plan::Type::UStack(self.stack(*s)),
            Type::Username => plan::Type::Username,
            Type::Timestamp { format, clock } => {
                plan::Type::Timestamp { format: format.clone(), clock: *clock, utc: false }
            }
            Type::CgroupPath { filter } => plan::Type::CgroupPath { filter: filter.clone() },
            Type::Probe => plan::Type::Probe,
            Type::Func => plan::Type::Func,
            Type::Aggregate(a) => aggregate(a),
            Type::Void => plan::Type::Void,
        }
    }

    /// What is in a record or an array of C's: its text need not end.
    fn stored(&self, ty: &Type) -> plan::Type {
        match ty {
            Type::Str { size } => plan::Type::Chars { size: *size },
            ty => self.layout(ty),
        }
    }

    fn stack(&self, stack: StackType) -> plan::Stack {
        let mut stacks = self.stacks;
        plan::Stack { mode: stack.mode, limit: stack.limit, map: *stacks.of(stack.mode) }
    }

    fn record(&self, index: usize) -> plan::Type {
        let Some(record) = self.program.records.get(index) else { return plan::Type::Void };
        plan::Type::Record(plan::Record {
            kind: if record.union { RecordKind::Union } else { RecordKind::Struct },
            name: record.name.clone(),
            size: record.size,
            fields: record
                .fields
                .iter()
                .map(|f| Field {
                    name: f.name.clone(),
                    offset: f.offset,
                    ty: self.stored(&f.ty),
                    bits: f.bits,
                })
                .collect(),
        })
    }

    fn tuple(&self, members: &[(String, Type)]) -> plan::Type {
        let named = members.iter().any(|(name, _)| !name.is_empty());
        let (fields, size) =
            plan::lay_out(members.iter().map(|(name, ty)| (name.clone(), self.layout(ty))));
        plan::Type::Record(plan::Record {
            kind: if named { RecordKind::Struct } else { RecordKind::Tuple },
            name: String::new(),
            size,
            fields,
        })
    }
}

fn aggregate(a: &Aggregate) -> plan::Type {
    match *a {
        Aggregate::Count => plan::Type::Count,
        Aggregate::Sum { signed } => plan::Type::Sum { signed },
        Aggregate::Min { signed } => plan::Type::Min { signed },
        Aggregate::Max { signed } => plan::Type::Max { signed },
        Aggregate::Avg { signed } => plan::Type::Avg { signed },
        Aggregate::Stats { signed } => plan::Type::Stats { signed },
        Aggregate::Hist { bits } => plan::Type::Hist { bits },
        Aggregate::Tseries { interval, intervals, how, signed } => {
            plan::Type::Tseries { interval, intervals, how, signed }
        }
        Aggregate::Lhist { min, max, step } => plan::Type::Lhist { min, max, step },
    }
}

/// Whether the members of a layout leave bytes that belong to none of them, or strings whose
/// tail is not theirs: a map key of this type must be cleared before it is filled.
pub(super) fn has_gaps(ty: &plan::Type) -> bool {
    match ty {
        plan::Type::Str { .. } | plan::Type::Buf { .. } | plan::Type::Inet => true,
        plan::Type::Array { elem, .. } => has_gaps(elem),
        plan::Type::Record(r) => {
            r.kind == RecordKind::Union
                || r.fields.iter().any(|f| has_gaps(&f.ty))
                || r.fields.iter().map(|f| f.ty.size()).sum::<u32>() != r.size
        }
        _ => false,
    }
}
