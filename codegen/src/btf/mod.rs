//! BTF: the types of maps, variables and functions, for the kernel, its tools and CO-RE.
//!
//! Source of the format: Documentation/bpf/btf.rst and include/uapi/linux/btf.h.

pub mod core;
pub mod ext;
pub mod read;
pub mod strings;
pub mod types;

use std::collections::HashMap;

use strings::Strings;

/// `BTF_MAGIC`
pub const MAGIC: u16 = 0xeb9f;
/// Bytes of `struct btf_header`.
pub const HEADER_SIZE: u32 = 24;

/// The kinds of types (`enum` of `BTF_KIND_*`).
#[allow(missing_docs)]
pub mod kind {
    pub const INT: u32 = 1;
    pub const PTR: u32 = 2;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const FWD: u32 = 7;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const FUNC: u32 = 12;
    pub const FUNC_PROTO: u32 = 13;
    pub const VAR: u32 = 14;
    pub const DATASEC: u32 = 15;
    pub const FLOAT: u32 = 16;
    pub const DECL_TAG: u32 = 17;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUM64: u32 = 19;
}

/// Index of a type; 0 is `void`.
pub type TypeId = u32;

/// How an integer is to be read (`BTF_INT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Without sign.
    Unsigned = 0,
    /// Two's complement; of characters too, as clang has it.
    Signed = 1,
    /// A truth value.
    Bool = 4,
}

/// Who sees a function or a variable (`BTF_FUNC_*`, `BTF_VAR_*`, which agree).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linkage {
    /// This object alone.
    Static = 0,
    /// Everyone.
    Global = 1,
    /// Defined elsewhere: a kernel function.
    Extern = 2,
}

/// A member of a struct or union.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Name; empty for none.
    pub name: String,
    /// Type.
    pub ty: TypeId,
    /// Bits from the start.
    pub bit_offset: u32,
    /// Width in bits of a bitfield, else 0.
    pub bits: u8,
}

/// A variable in a data section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionVar {
    /// The variable, or the function in `.ksyms`.
    pub ty: TypeId,
    /// Bytes from the start of the section.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

/// Builds a `.BTF` section: types get ids in the order in which they are first asked for, equal
/// types share an id.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    /// Names; `.BTF.ext` uses them too.
    pub strings: Strings,
    types: Vec<u8>,
    ids: HashMap<Vec<u8>, TypeId>,
}

/// `n` as the format's 32-bit counts have it. Sections near that size fail elsewhere: the kernel
/// takes no more than 16 MiB.
pub(crate) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Appends 32-bit words.
pub(crate) fn put(out: &mut Vec<u8>, words: &[u32]) {
    for word in words {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

impl Builder {
    /// Adds the type with this encoding unless it is there.
    fn add(
        &mut self,
        name: u32,
        kind: u32,
        vlen: usize,
        flag: bool,
        last: u32,
        rest: &[u32],
    ) -> TypeId {
        let info = (u32::from(flag) << 31) | (kind << 24) | (count(vlen) & 0xffff);
        let mut bytes = Vec::with_capacity(12 + rest.len() * 4);
        put(&mut bytes, &[name, info, last]);
        put(&mut bytes, rest);
        if let Some(&id) = self.ids.get(&bytes) {
            return id;
        }
        let id = count(self.ids.len()) + 1;
        self.types.extend_from_slice(&bytes);
        self.ids.insert(bytes, id);
        id
    }

    /// An integer of `size` bytes.
    pub fn int(&mut self, name: &str, size: u32, encoding: Encoding) -> TypeId {
        let name = self.strings.offset(name);
        self.add(name, kind::INT, 0, false, size, &[((encoding as u32) << 24) | (size * 8)])
    }

    /// A pointer.
    pub fn ptr(&mut self, to: TypeId) -> TypeId {
        self.add(0, kind::PTR, 0, false, to, &[])
    }

    /// `const`
    pub fn constant(&mut self, of: TypeId) -> TypeId {
        self.add(0, kind::CONST, 0, false, of, &[])
    }

    /// An array of `len` elements.
    pub fn array(&mut self, elem: TypeId, len: u32) -> TypeId {
        let index = self.int("__ARRAY_SIZE_TYPE__", 4, Encoding::Unsigned);
        self.add(0, kind::ARRAY, 0, false, 0, &[elem, index, len])
    }

    /// Another name for a type.
    pub fn typedef(&mut self, name: &str, of: TypeId) -> TypeId {
        let name = self.strings.offset(name);
        self.add(name, kind::TYPEDEF, 0, false, of, &[])
    }

    /// A struct, or a union where `union` is set. Members ascend by offset: the kernel insists.
    pub fn record(&mut self, union: bool, name: &str, size: u32, members: &[Member]) -> TypeId {
        let name = self.strings.offset(name);
        let flag = members.iter().any(|m| m.bits != 0);
        let mut rest = Vec::with_capacity(members.len() * 3);
        for m in members {
            let offset = if flag {
                (u32::from(m.bits) << 24) | (m.bit_offset & 0xff_ffff)
            } else {
                m.bit_offset
            };
            rest.extend([self.strings.offset(&m.name), m.ty, offset]);
        }
        let kind = if union { kind::UNION } else { kind::STRUCT };
        self.add(name, kind, members.len(), flag, size, &rest)
    }

    /// An enum of `size` bytes. Kernels before 6.0 refuse the mark of a signed one, so there is none.
    pub fn enumeration(&mut self, name: &str, size: u32, variants: &[(String, u32)]) -> TypeId {
        let name = self.strings.offset(name);
        let mut rest = Vec::with_capacity(variants.len() * 2);
        for (variant, value) in variants {
            rest.extend([self.strings.offset(variant), *value]);
        }
        self.add(name, kind::ENUM, variants.len(), false, size, &rest)
    }

    /// The type of a function: its result and its named parameters.
    pub fn func_proto(&mut self, result: TypeId, params: &[(&str, TypeId)]) -> TypeId {
        let mut rest = Vec::with_capacity(params.len() * 2);
        for (name, ty) in params {
            rest.extend([self.strings.offset(name), *ty]);
        }
        self.add(0, kind::FUNC_PROTO, params.len(), false, result, &rest)
    }

    /// A function.
    pub fn func(&mut self, name: &str, proto: TypeId, linkage: Linkage) -> TypeId {
        let name = self.strings.offset(name);
        self.add(name, kind::FUNC, linkage as usize, false, proto, &[])
    }

    /// A variable.
    pub fn var(&mut self, name: &str, ty: TypeId, linkage: Linkage) -> TypeId {
        let name = self.strings.offset(name);
        self.add(name, kind::VAR, 0, false, ty, &[linkage as u32])
    }

    /// The variables of an ELF section of `size` bytes, ascending by offset.
    pub fn datasec(&mut self, section: &str, size: u32, vars: &[SectionVar]) -> TypeId {
        let name = self.strings.offset(section);
        let rest: Vec<u32> = vars.iter().flat_map(|v| [v.ty, v.offset, v.size]).collect();
        self.add(name, kind::DATASEC, vars.len(), false, size, &rest)
    }

    /// The section.
    pub fn finish(&self) -> Vec<u8> {
        let types = count(self.types.len());
        let strings = self.strings.bytes();
        let mut out = Vec::with_capacity(HEADER_SIZE as usize + self.types.len() + strings.len());
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&[1, 0]);
        put(&mut out, &[HEADER_SIZE, 0, types, types, count(strings.len())]);
        out.extend_from_slice(&self.types);
        out.extend_from_slice(strings);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_types_share_an_id() {
        let mut btf = Builder::default();
        let int = btf.int("int", 4, Encoding::Signed);
        let ptr = btf.ptr(int);
        assert_eq!((int, ptr), (1, 2));
        assert_eq!(btf.int("int", 4, Encoding::Signed), int);
        assert_eq!(btf.ptr(int), ptr);
        assert_ne!(btf.int("int", 4, Encoding::Unsigned), int);
    }

    #[test]
    fn header_frames_types_and_strings() {
        let mut btf = Builder::default();
        btf.int("int", 4, Encoding::Signed);
        let bytes = btf.finish();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!([word(4), word(8), word(12), word(16), word(20)], [24, 0, 16, 16, 5]);
        assert_eq!(bytes.len(), 24 + 16 + 5);
        // name, kind INT, 4 bytes; signed, 32 bits
        assert_eq!([word(24), word(28), word(32), word(36)], [1, 1 << 24, 4, 1 << 24 | 32]);
    }
}
