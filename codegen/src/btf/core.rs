//! CO-RE: values that depend on the layout of the running kernel's types.
//!
//! A relocation names a path through a type as the script knows it; the loader finds the same path
//! in the kernel's BTF and writes the value into the instruction. Source: `struct bpf_core_relo` in
//! include/uapi/linux/bpf.h.

use super::strings::identifier;
use super::{Builder, Member, TypeId};

/// A value that depends on the running kernel's types.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CoreReloc {
    /// The type that the path starts from, by its tag; only the parts that matter need be there.
    pub root: LocalType,
    /// The path: index 0 for the root itself, then a member's index among the local fields, or an
    /// element's in an array. Of an enum: the variant's index alone. Of a type: 0 alone.
    pub access: Vec<u32>,
    /// What is asked.
    pub kind: CoreKind,
}

/// What a CO-RE relocation asks (`enum bpf_core_relo_kind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CoreKind {
    /// Offset of a field in bytes from the start of the root.
    FieldByteOffset = 0,
    /// Size of a field in bytes.
    FieldByteSize = 1,
    /// 1 if the kernel has the field, else 0.
    FieldExists = 2,
    /// 1 if the field is signed, else 0.
    FieldSigned = 3,
    /// Left shift that moves a field to the top of 64 bits.
    FieldLShift64 = 4,
    /// Right shift that follows the left one.
    FieldRShift64 = 5,
    /// 1 if the kernel has the type, else 0.
    TypeExists = 8,
    /// Size of the type in bytes.
    TypeSize = 9,
    /// 1 if the kernel has the variant, else 0.
    EnumVariantExists = 10,
    /// The variant's value.
    EnumVariantValue = 11,
}

/// A type as the script knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LocalType {
    /// An integer.
    Int {
        /// Bytes: 1, 2, 4 or 8.
        size: u8,
        /// Two's complement when set.
        signed: bool,
    },
    /// A pointer to anything.
    Ptr,
    /// A struct or union.
    Record {
        /// It is a union.
        union: bool,
        /// The tag; empty for none.
        name: String,
        /// Bytes.
        size: u32,
        /// The fields that are used, ascending by offset.
        fields: Vec<LocalField>,
    },
    /// An array.
    Array {
        /// Type of an element.
        elem: Box<LocalType>,
        /// Number of elements.
        len: u32,
    },
    /// An enum.
    Enum {
        /// The tag.
        name: String,
        /// Bytes.
        size: u8,
        /// Names and values of the variants that are used.
        variants: Vec<(String, i64)>,
    },
}

/// A field of a [`LocalType::Record`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LocalField {
    /// Name; empty for an anonymous struct or union.
    pub name: String,
    /// Type.
    pub ty: LocalType,
    /// Bits from the start of the record.
    pub bit_offset: u32,
    /// Width in bits of a bitfield, else 0.
    pub bits: u8,
}

/// Where a path ends.
struct End<'a> {
    ty: &'a LocalType,
    bit_offset: u64,
    bits: u8,
}

impl LocalType {
    /// Bytes of a value.
    pub fn size(&self) -> u32 {
        match self {
            LocalType::Int { size, .. } | LocalType::Enum { size, .. } => u32::from(*size),
            LocalType::Ptr => 8,
            LocalType::Record { size, .. } => *size,
            LocalType::Array { elem, len } => elem.size().saturating_mul(*len),
        }
    }

    fn is_signed(&self) -> bool {
        match self {
            LocalType::Int { signed, .. } => *signed,
            LocalType::Enum { variants, .. } => variants.iter().any(|(_, v)| *v < 0),
            _ => false,
        }
    }
}

impl CoreReloc {
    /// The path as BTF has it: `0:1:2`.
    pub fn access_string(&self) -> String {
        self.access.iter().map(u32::to_string).collect::<Vec<_>>().join(":")
    }

    /// The value by the local types, which the instruction carries until it is loaded; `None` where
    /// the path does not lead anywhere or the value has more than 32 bits.
    pub fn local_value(&self) -> Option<i32> {
        match self.kind {
            CoreKind::TypeExists => Some(1),
            CoreKind::TypeSize => i32::try_from(self.root.size()).ok(),
            CoreKind::EnumVariantExists => self.variant().map(|_| 1),
            // The low 32 bits are the value in either sign.
            CoreKind::EnumVariantValue => {
                let value = self.variant()?;
                i32::try_from(value)
                    .ok()
                    .or_else(|| u32::try_from(value).ok().map(u32::cast_signed))
            }
            _ => i32::try_from(self.field_value(&self.end()?)).ok(),
        }
    }

    fn variant(&self) -> Option<i64> {
        match (&self.root, self.access.as_slice()) {
            (LocalType::Enum { variants, .. }, [i]) => variants.get(*i as usize).map(|(_, v)| *v),
            _ => None,
        }
    }

    fn end(&self) -> Option<End<'_>> {
        let (first, path) = self.access.split_first()?;
        let bit_offset = u64::from(*first) * u64::from(self.root.size()) * 8;
        let mut end = End { ty: &self.root, bit_offset, bits: 0 };
        for &index in path {
            match end.ty {
                LocalType::Record { fields, .. } => {
                    let field = fields.get(index as usize)?;
                    end.ty = &field.ty;
                    end.bits = field.bits;
                    end.bit_offset += u64::from(field.bit_offset);
                }
                LocalType::Array { elem, len } if index < *len => {
                    end.ty = elem;
                    end.bit_offset += u64::from(index) * u64::from(elem.size()) * 8;
                }
                _ => return None,
            }
        }
        Some(end)
    }

    fn field_value(&self, end: &End<'_>) -> u64 {
        let size = u64::from(end.ty.size());
        // A bitfield is read as the aligned integer around it, a larger one where it straddles.
        let mut unit = size.max(1);
        let mut start = end.bit_offset / 8;
        let bits = if end.bits == 0 { size * 8 } else { u64::from(end.bits) };
        if end.bits != 0 {
            start = end.bit_offset / (unit * 8) * unit;
            while unit < 8 && end.bit_offset + bits > (start + unit) * 8 {
                unit *= 2;
                start = end.bit_offset / (unit * 8) * unit;
            }
        }
        match self.kind {
            CoreKind::FieldByteOffset => start,
            CoreKind::FieldByteSize => {
                if end.bits == 0 {
                    size
                } else {
                    unit
                }
            }
            CoreKind::FieldSigned => u64::from(end.ty.is_signed()),
            CoreKind::FieldLShift64 => 64u64.saturating_sub(end.bit_offset + bits - start * 8),
            CoreKind::FieldRShift64 => 64u64.saturating_sub(bits),
            _ => 1,
        }
    }
}

impl Builder {
    /// BTF of a local type. Tags stay as they are: the loader looks the kernel's type up by them.
    pub fn local_type(&mut self, ty: &LocalType) -> TypeId {
        match ty {
            LocalType::Int { size, signed } => self.sized_int(u32::from(*size), *signed),
            LocalType::Ptr => self.ptr(0),
            LocalType::Array { elem, len } => {
                let elem = self.local_type(elem);
                self.array(elem, *len)
            }
            LocalType::Enum { name, size, variants } => {
                let variants: Vec<_> =
                    variants.iter().map(|(n, v)| (identifier(n), *v as u32)).collect();
                self.enumeration(&identifier(name), u32::from(*size), &variants)
            }
            LocalType::Record { union, name, size, fields } => {
                let mut members = Vec::new();
                for field in fields {
                    let ty = self.local_type(&field.ty);
                    let (bit_offset, bits) = (field.bit_offset, field.bits);
                    members.push(Member { name: identifier(&field.name), ty, bit_offset, bits });
                }
                self.record(*union, &identifier(name), *size, &members)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, bit_offset: u32, bits: u8, ty: LocalType) -> LocalField {
        LocalField { name: name.into(), ty, bit_offset, bits }
    }

    fn reloc(kind: CoreKind, access: &[u32]) -> CoreReloc {
        let int = || LocalType::Int { size: 4, signed: true };
        let inner = LocalType::Record {
            union: false,
            name: String::new(),
            size: 12,
            fields: vec![field("n", 32, 0, LocalType::Array { elem: Box::new(int()), len: 2 })],
        };
        let root = LocalType::Record {
            union: false,
            name: "task_struct".into(),
            size: 24,
            fields: vec![field("flag", 35, 4, int()), field("in", 64, 0, inner)],
        };
        CoreReloc { root, access: access.to_vec(), kind }
    }

    #[test]
    fn local_values() {
        use CoreKind::*;
        let value = |kind, access: &[u32]| reloc(kind, access).local_value();
        assert_eq!(value(FieldByteOffset, &[0, 1, 0, 1]), Some(16));
        assert_eq!(value(FieldByteSize, &[0, 1, 0]), Some(8));
        assert_eq!(value(FieldExists, &[0, 1, 0, 1]), Some(1));
        assert_eq!(value(FieldExists, &[0, 1, 0, 2]), None);
        assert_eq!(value(FieldExists, &[0, 2]), None);
        assert_eq!(value(TypeSize, &[0]), Some(24));
        // bits 35..39: in the four bytes at 4, bits 3..7 of them
        assert_eq!(value(FieldByteOffset, &[0, 0]), Some(4));
        assert_eq!(value(FieldLShift64, &[0, 0]), Some(57));
        assert_eq!(value(FieldRShift64, &[0, 0]), Some(60));
        assert_eq!(value(FieldSigned, &[0, 0]), Some(1));
        assert_eq!(reloc(FieldExists, &[0, 1, 0]).access_string(), "0:1:0");
    }

    #[test]
    fn enum_values() {
        let root = LocalType::Enum {
            name: "e".into(),
            size: 4,
            variants: vec![("A".into(), 0xffff_ffff)],
        };
        let value = |i, kind| CoreReloc { root: root.clone(), access: vec![i], kind }.local_value();
        assert_eq!(value(0, CoreKind::EnumVariantValue), Some(-1));
        assert_eq!(value(1, CoreKind::EnumVariantExists), None);
    }
}
