//! Reads `.BTF` back, for dumps and tests.

use std::fmt::Write as _;

use super::{TypeId, kind};

/// A type as it is in the section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawType {
    /// Name, empty for none.
    pub name: String,
    /// One of [`kind`].
    pub kind: u32,
    /// Kind flag: members carry bit widths.
    pub flag: bool,
    /// Number of members, or linkage of a function.
    pub vlen: u32,
    /// Size in bytes, or the type referred to.
    pub last: u32,
    /// The words after the common ones.
    pub rest: Vec<u32>,
}

/// A parsed `.BTF` section.
#[derive(Clone, Debug, Default)]
pub struct Btf {
    types: Vec<RawType>,
    strings: Vec<u8>,
}

/// Type references that are followed in a row.
const MAX_DEPTH: u32 = 32;

fn word(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// Words after the common three of a type.
fn rest_len(kind: u32, vlen: u32) -> Option<usize> {
    let vlen = vlen as usize;
    Some(match kind {
        kind::INT | kind::VAR | kind::DECL_TAG => 1,
        kind::ARRAY => 3,
        kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => vlen * 3,
        kind::ENUM | kind::FUNC_PROTO => vlen * 2,
        kind::PTR | kind::FWD | kind::TYPEDEF | kind::VOLATILE | kind::CONST => 0,
        kind::RESTRICT | kind::FUNC | kind::FLOAT | kind::TYPE_TAG => 0,
        _ => return None,
    })
}

impl Btf {
    /// Parses a little-endian section; `None` if it is malformed.
    pub fn parse(data: &[u8]) -> Option<Self> {
        if data.get(..2)? != super::MAGIC.to_le_bytes() {
            return None;
        }
        let part = |off: usize, len: usize| {
            let start = (word(data, 4)? as usize).checked_add(word(data, off)? as usize)?;
            data.get(start..start.checked_add(word(data, len)? as usize)?)
        };
        let (types, strings) = (part(8, 12)?, part(16, 20)?);
        let mut btf = Self { types: Vec::new(), strings: strings.to_vec() };
        let mut at = 0;
        while at < types.len() {
            let info = word(types, at + 4)?;
            let (kind, vlen) = ((info >> 24) & 0x1f, info & 0xffff);
            let rest = (0..rest_len(kind, vlen)?)
                .map(|i| word(types, at + 12 + i * 4))
                .collect::<Option<Vec<_>>>()?;
            let name = btf.string(word(types, at)?)?.to_owned();
            let last = word(types, at + 8)?;
            at += 12 + rest.len() * 4;
            btf.types.push(RawType { name, kind, flag: info >> 31 == 1, vlen, last, rest });
        }
        Some(btf)
    }

    /// The string at an offset.
    pub fn string(&self, offset: u32) -> Option<&str> {
        let bytes = self.strings.get(offset as usize..)?;
        let end = bytes.iter().position(|&b| b == 0)?;
        std::str::from_utf8(bytes.get(..end)?).ok()
    }

    /// The type with this id; `None` for `void` and beyond the last.
    pub fn get(&self, id: TypeId) -> Option<&RawType> {
        self.types.get((id as usize).checked_sub(1)?)
    }

    /// Ids and types.
    pub fn iter(&self) -> impl Iterator<Item = (TypeId, &RawType)> {
        (1..).zip(&self.types)
    }

    /// Names, types and offsets in bits of a struct's or a union's members, each with its width if
    /// it is a bitfield.
    pub fn members(&self, id: TypeId) -> Vec<(&str, TypeId, u32, u32)> {
        let Some(ty) = self.get(id).filter(|t| matches!(t.kind, kind::STRUCT | kind::UNION)) else {
            return Vec::new();
        };
        let member = |m: &[u32; 3]| {
            let [name, id, offset] = *m;
            let (offset, bits) =
                if ty.flag { (offset & 0xff_ffff, offset >> 24) } else { (offset, 0) };
            Some((self.string(name)?, id, offset, bits))
        };
        ty.rest.as_chunks().0.iter().filter_map(member).collect()
    }

    /// Bytes of a value of the type.
    #[cfg(test)]
    pub fn size(&self, id: TypeId) -> Option<u32> {
        self.size_within(id, MAX_DEPTH)
    }

    #[cfg(test)]
    fn size_within(&self, id: TypeId, depth: u32) -> Option<u32> {
        let ty = self.get(id)?;
        let depth = depth.checked_sub(1)?;
        match (ty.kind, ty.rest.as_slice()) {
            (
                kind::INT | kind::STRUCT | kind::UNION | kind::ENUM | kind::ENUM64 | kind::FLOAT,
                _,
            ) => Some(ty.last),
            (kind::PTR, _) => Some(8),
            (kind::ARRAY, [elem, _, len]) => self.size_within(*elem, depth)?.checked_mul(*len),
            (kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG, _) => {
                self.size_within(ty.last, depth)
            }
            _ => None,
        }
    }

    /// A C-like declaration of `name` with this type, structs written out.
    pub fn declare(&self, id: TypeId, name: &str) -> String {
        self.declare_within(id, name.to_owned(), MAX_DEPTH)
    }

    fn declare_within(&self, id: TypeId, name: String, depth: u32) -> String {
        let join = |base: &str| {
            if name.is_empty() { base.to_owned() } else { format!("{base} {name}") }
        };
        let Some(depth) = depth.checked_sub(1) else {
            return join("...");
        };
        let Some(ty) = self.get(id) else {
            return join(if id == 0 { "void" } else { "?" });
        };
        match (ty.kind, ty.rest.as_slice()) {
            (kind::PTR, _) => self.declare_within(ty.last, format!("*{name}"), depth),
            (kind::CONST, _) => format!("const {}", self.declare_within(ty.last, name, depth)),
            (kind::ARRAY, [elem, _, len]) => {
                self.declare_within(*elem, format!("{name}[{len}]"), depth)
            }
            (kind::ENUM | kind::ENUM64, _) => join(&format!("enum {}", ty.name)),
            (kind::STRUCT | kind::UNION, _) => join(&self.write_out(id, ty, depth)),
            _ => join(&ty.name),
        }
    }

    fn write_out(&self, id: TypeId, ty: &RawType, depth: u32) -> String {
        let mut out = String::from(if ty.kind == kind::UNION { "union " } else { "struct " });
        if !ty.name.is_empty() {
            let _ = write!(out, "{} ", ty.name);
        }
        out.push('{');
        for (name, member, _, bits) in self.members(id) {
            let _ = write!(out, " {}", self.declare_within(member, name.to_owned(), depth));
            if bits != 0 {
                let _ = write!(out, ":{bits}");
            }
            out.push(';');
        }
        out.push_str(" }");
        out
    }
}
