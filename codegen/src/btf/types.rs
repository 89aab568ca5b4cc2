//! BTF of the plan's types: what `bpftool map dump` shows of a map.

use rbtrace_probes_ebpf::types::{self as plan, Field, RecordKind, Type};

use super::strings::{identifier, is_identifier};
use super::{Builder, Encoding, Member, TypeId};

/// Records nested deeper than this become bytes: the kernel follows 32 types in a row and no more.
const MAX_DEPTH: u32 = 6;

impl Builder {
    /// `u8` ... `s64`: an integer of 1, 2, 4 or 8 bytes under its short name.
    pub fn sized_int(&mut self, size: u32, signed: bool) -> TypeId {
        let (short, long) = match (size, signed) {
            (1, false) => ("u8", "unsigned char"),
            (1, true) => ("s8", "signed char"),
            (2, false) => ("u16", "unsigned short"),
            (2, true) => ("s16", "short"),
            (4, false) => ("u32", "unsigned int"),
            (4, true) => ("s32", "int"),
            (_, false) => ("u64", "unsigned long long"),
            (_, true) => ("s64", "long long"),
        };
        let size = if matches!(size, 1 | 2 | 4) { size } else { 8 };
        let encoding = if signed { Encoding::Signed } else { Encoding::Unsigned };
        let int = self.int(long, size, encoding);
        self.typedef(short, int)
    }

    /// `char[len]`
    pub fn chars(&mut self, len: u32) -> TypeId {
        let char = self.int("char", 1, Encoding::Signed);
        self.array(char, len)
    }

    /// A plan type. `void` is 0.
    pub fn plan_type(&mut self, ty: &Type) -> TypeId {
        self.nested(ty, 0)
    }

    /// A plan type as the key or value of a map.
    ///
    /// Loaders take the size from the type, and aya-obj 0.3 counts only the innermost dimension of
    /// an array of arrays; a struct around it has a size of its own.
    pub fn map_type(&mut self, ty: &Type) -> TypeId {
        let id = self.plan_type(ty);
        match ty {
            Type::Array { elem, .. } if is_array(elem) => {
                let member = Member { name: "elements".into(), ty: id, bit_offset: 0, bits: 0 };
                self.record(false, "", ty.size(), &[member])
            }
            _ => id,
        }
    }

    fn nested(&mut self, ty: &Type, depth: u32) -> TypeId {
        match ty {
            Type::Void => 0,
            Type::Int { size, signed } => self.sized_int(u32::from(*size), *signed),
            Type::Bool => {
                let int = self.int("_Bool", 1, Encoding::Bool);
                self.typedef("bool", int)
            }
            Type::Str { size } | Type::Chars { size } => self.chars(*size),
            Type::Buf { size } => {
                let bytes = self.bytes(*size);
                self.layout("buf_t", &[("length", Word::U32), ("data", Word::Other(bytes, *size))])
            }
            Type::Ptr => self.ptr(0),
            Type::Array { elem, len } => {
                let elem = self.nested(elem, depth + 1);
                self.array(elem, *len)
            }
            Type::Record(record) => self.plan_record(record, depth),
            Type::Enum { name, size, signed, variants } => {
                self.plan_enum(name, *size, *signed, variants)
            }
            Type::Inet => {
                let bytes = self.bytes(16);
                self.layout("inet_t", &[("family", Word::U32), ("address", Word::Other(bytes, 16))])
            }
            Type::Inet4 => self.bytes(4),
            Type::Inet6 => self.bytes(16),
            Type::Mac => self.bytes(6),
            Type::KSym => self.alias("ksym_t", false),
            Type::USym => self.layout(
                "usym_t",
                &[("address", Word::U64), ("pid", Word::U32), ("probe", Word::U32)],
            ),
            Type::KStack(_) => self.stack("kstack_t"),
            Type::UStack(_) => self.stack("ustack_t"),
            Type::Username => self.alias("username_t", false),
            Type::Timestamp { .. } => self.alias("timestamp_t", false),
            Type::CgroupPath { .. } => self.alias("cgroup_path_t", false),
            Type::Probe => self.alias("probe_t", false),
            Type::Func => self.alias("func_t", false),
            Type::Count => self.alias("count_t", false),
            Type::Sum { signed } => self.alias("sum_t", *signed),
            Type::Min { signed } => {
                self.layout("min_t", &[("value", Word::of(*signed)), ("set", Word::U64)])
            }
            Type::Max { signed } => {
                self.layout("max_t", &[("value", Word::of(*signed)), ("set", Word::U64)])
            }
            Type::Avg { signed } => {
                self.layout("avg_t", &[("total", Word::of(*signed)), ("count", Word::U64)])
            }
            Type::Stats { signed } => {
                self.layout("stats_t", &[("total", Word::of(*signed)), ("count", Word::U64)])
            }
            Type::Hist { .. } | Type::Lhist { .. } | Type::Tseries { .. } => {
                let bucket = self.sized_int(8, false);
                self.array(bucket, ty.size() / 8)
            }
        }
    }

    /// `u8[len]`
    fn bytes(&mut self, len: u32) -> TypeId {
        let byte = self.sized_int(1, false);
        self.array(byte, len)
    }

    fn alias(&mut self, name: &str, signed: bool) -> TypeId {
        let int = self.sized_int(8, signed);
        self.typedef(name, int)
    }

    fn stack(&mut self, name: &str) -> TypeId {
        self.layout(name, &[("id", Word::S64), ("pid", Word::U32), ("probe", Word::U32)])
    }

    /// A struct of words one after another.
    fn layout(&mut self, name: &str, words: &[(&str, Word)]) -> TypeId {
        let mut offset = 0;
        let mut members = Vec::new();
        for (member, word) in words {
            let (ty, size) = match word {
                Word::U32 => (self.sized_int(4, false), 4),
                Word::U64 => (self.sized_int(8, false), 8),
                Word::S64 => (self.sized_int(8, true), 8),
                Word::Other(ty, size) => (*ty, *size),
            };
            members.push(Member { name: (*member).into(), ty, bit_offset: offset * 8, bits: 0 });
            offset += size;
        }
        self.record(false, name, offset, &members)
    }

    fn plan_record(&mut self, record: &plan::Record, depth: u32) -> TypeId {
        if depth >= MAX_DEPTH || !is_regular(record) {
            return self.bytes(record.size);
        }
        let tuple = record.kind == RecordKind::Tuple;
        let mut members = Vec::new();
        for (i, field) in record.fields.iter().enumerate().filter(|(_, f)| f.ty.size() > 0) {
            let name = if tuple { format!("_{i}") } else { identifier(&field.name) };
            let ty = match field.bits {
                Some(_) => self.sized_int(field.ty.size(), is_signed(&field.ty)),
                None => self.nested(&field.ty, depth + 1),
            };
            let (first, bits) = field.bits.unwrap_or_default();
            members.push(Member {
                name,
                ty,
                bit_offset: field.offset * 8 + u32::from(first),
                bits,
            });
        }
        members.sort_by_key(|m| m.bit_offset);
        let union = record.kind == RecordKind::Union;
        self.record(union, &tag(&record.name), record.size, &members)
    }

    fn plan_enum(
        &mut self,
        name: &str,
        size: u8,
        signed: bool,
        variants: &[(i64, String)],
    ) -> TypeId {
        let fits = |v: i64| i32::try_from(v).is_ok() || u32::try_from(v).is_ok();
        let regular = !variants.is_empty()
            && variants.len() <= usize::from(u16::MAX)
            && variants.iter().all(|(v, n)| fits(*v) && is_identifier(n));
        if !regular || size > 4 {
            return self.sized_int(u32::from(size), signed);
        }
        // The low 32 bits are the value in either sign.
        let variants: Vec<_> = variants.iter().map(|(v, n)| (n.clone(), *v as u32)).collect();
        self.enumeration(&tag(name), u32::from(size), &variants)
    }
}

/// A member of a fixed struct.
#[derive(Clone, Copy)]
enum Word {
    U32,
    U64,
    S64,
    Other(TypeId, u32),
}

impl Word {
    fn of(signed: bool) -> Self {
        if signed { Word::S64 } else { Word::U64 }
    }
}

fn is_array(ty: &Type) -> bool {
    matches!(
        ty,
        Type::Array { .. }
            | Type::Str { .. }
            | Type::Inet4
            | Type::Inet6
            | Type::Mac
            | Type::Hist { .. }
            | Type::Lhist { .. }
            | Type::Tseries { .. }
    )
}

fn is_signed(ty: &Type) -> bool {
    matches!(ty, Type::Int { signed: true, .. } | Type::Enum { signed: true, .. })
}

/// Whether the kernel takes the record as it is: every member inside it, bitfields in integers.
fn is_regular(record: &plan::Record) -> bool {
    let end = |f: &Field| u64::from(f.offset) + u64::from(f.ty.size());
    let whole = |f: &Field| match f.bits {
        None => true,
        Some((first, bits)) => {
            let size = f.ty.size();
            matches!(size, 1 | 2 | 4 | 8)
                && bits > 0
                && u32::from(first) + u32::from(bits) <= size * 8
        }
    };
    // With bitfields, an offset has 24 bits.
    record.size < 1 << 20
        && record.fields.len() <= usize::from(u16::MAX)
        && record.fields.iter().all(|f| end(f) <= u64::from(record.size) && whole(f))
        && (record.kind != RecordKind::Union || record.fields.iter().all(|f| f.offset == 0))
}

/// A tag for BTF. In a map's value the kernel gives `struct bpf_timer` and its like a meaning, which
/// a copy of one does not have.
fn tag(name: &str) -> String {
    let mut name = identifier(name);
    if name.starts_with("bpf_") {
        name.truncate(super::strings::MAX_NAME - 5);
        name.push_str("_copy");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btf::read::Btf;
    use rbtrace_probes_ebpf::types::{Record, lay_out};

    fn show(ty: &Type) -> String {
        let mut btf = Builder::default();
        let id = btf.map_type(ty);
        let bytes = btf.finish();
        let btf = Btf::parse(&bytes).unwrap();
        assert_eq!(btf.size(id), Some(ty.size()), "{ty:?}");
        btf.declare(id, "")
    }

    #[test]
    fn plan_types_read_as_c() {
        let u64 = Type::Int { size: 8, signed: false };
        let s16 = Type::Int { size: 2, signed: true };
        assert_eq!(show(&u64), "u64");
        assert_eq!(show(&Type::Bool), "bool");
        assert_eq!(show(&Type::Str { size: 64 }), "char [64]");
        assert_eq!(show(&Type::Avg { signed: true }), "struct avg_t { s64 total; u64 count; }");
        assert_eq!(show(&Type::Hist { bits: 0 }), "u64 [66]");
        let (fields, size) =
            lay_out([(String::new(), s16), (String::new(), Type::Str { size: 16 })]);
        let tuple =
            Type::Record(Record { kind: RecordKind::Tuple, name: String::new(), size, fields });
        assert_eq!(show(&tuple), "struct { s16 _0; char _1[16]; }");
        let names = Type::Array { elem: Box::new(Type::Str { size: 16 }), len: 3 };
        assert_eq!(show(&names), "struct { char elements[3][16]; }");
    }

    #[test]
    fn enums_and_bitfields() {
        let color = |size| Type::Enum {
            name: "color".into(),
            size,
            signed: true,
            variants: vec![(-1, "NONE".into()), (1, "RED".into())],
        };
        assert_eq!(show(&color(4)), "enum color");
        assert_eq!(show(&color(8)), "s64");
        let field = |name: &str, bits| Field {
            name: name.into(),
            offset: 4,
            ty: Type::Int { size: 4, signed: false },
            bits,
        };
        let record = |fields| {
            Type::Record(Record {
                kind: RecordKind::Struct,
                name: "bpf_timer".into(),
                size: 8,
                fields,
            })
        };
        let flags = record(vec![field("b", Some((3, 5))), field("a", Some((0, 3)))]);
        assert_eq!(show(&flags), "struct bpf_timer_copy { u32 a:3; u32 b:5; }");
        // A member that sticks out makes the whole struct bytes.
        let mut out = field("a", None);
        out.offset = 6;
        assert_eq!(show(&record(vec![out])), "u8 [8]");
    }
}
