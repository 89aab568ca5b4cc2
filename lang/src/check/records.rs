//! Structs, unions and enums: types of C become types of the program when something asks for
//! them.
//!
//! A name is looked for in what the script declares, then in the debug information of the program
//! that a probe is on, then in the kernel. A record is known by its place there ([`TypeRef`]); its
//! members are read when something needs them, so that a pointer to a struct costs nothing and a
//! struct may point to itself.

use std::collections::HashMap;
use std::rc::Rc;

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::Target;

use crate::catalog::ctypes::{CEnum, CField, CRecord, CType, Origin, Tag, TypeRef};
use crate::hir::{self, EnumId, Field, Int, RecordId, Space, Type};

use super::Checker;

/// Longest chain of names that stand for names.
const MOST_ALIASES: u32 = 64;
/// Deepest nesting of types within one type.
const MOST_LEVELS: u32 = 32;

/// What a record or enum is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// Its place in its source.
    Place(TypeRef),
    /// A struct or union without a place of its own, by its description.
    Record(Rc<CRecord>),
    /// As [`Key::Record`], of an enum.
    Enum(Rc<CEnum>),
    /// A struct of the kernel by its name, until its place is known.
    Kernel(Rc<str>),
}

/// The types of C that a script uses.
#[derive(Debug, Default)]
pub(super) struct CTypes {
    records: HashMap<Key, RecordId>,
    /// By the bytes that a value takes, too: constants take more than members.
    enums: HashMap<(Key, u8), EnumId>,
    /// Where records come from, those of tracepoints excepted.
    sources: HashMap<RecordId, Source>,
    /// Answers to questions for names; the place in a program is of the program that is named.
    found: HashMap<(Option<String>, Tag, String), Option<TypeRef>>,
}

#[derive(Clone, Debug)]
struct Source {
    /// Absent for one that is known by name alone.
    description: Option<Rc<CRecord>>,
    /// Its members, those of anonymous ones among them; as many as the record has fields.
    members: Option<Rc<Vec<CField>>>,
    /// A type of the kernel that is known by name alone.
    wanted: Option<Rc<str>>,
}

/// Why a record has no members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It is only declared.
    Incomplete,
    /// The kernel does not have it, or does not say.
    Unknown,
}

impl Checker<'_> {
    /// The place of a type by its name, as seen from the block at hand.
    pub fn find_type(&mut self, tag: Tag, name: &str) -> Option<TypeRef> {
        if let Some(at) = self.c.find(tag, name) {
            return Some(at);
        }
        if let Some(binary) = self.probed_binary() {
            let types = self.cx.types;
            let key = (Some(binary), tag, name.to_owned());
            let found = self.ctypes.found.entry(key).or_insert_with_key(|(binary, tag, name)| {
                types.user_type(binary.as_deref().unwrap_or_default(), *tag, name)
            });
            if found.is_some() {
                return *found;
            }
        }
        self.find_kernel_type(tag, name)
    }

    fn find_kernel_type(&mut self, tag: Tag, name: &str) -> Option<TypeRef> {
        let types = self.cx.types;
        let key = (None, tag, name.to_owned());
        *self
            .ctypes
            .found
            .entry(key)
            .or_insert_with_key(|(_, tag, name)| types.kernel_type(*tag, name))
    }

    /// The program or library that the block's probes are on.
    fn probed_binary(&self) -> Option<String> {
        if !matches!(self.at.kind, ProbeKind::Uprobe | ProbeKind::Uretprobe) {
            return None;
        }
        self.at.probes.iter().find_map(|(_, probe)| match &probe.target {
            Target::Uprobe(at) | Target::Uretprobe(at) => Some(at.binary.clone()),
            _ => None,
        })
    }

    /// What a name stands for, aliases followed.
    pub fn named(&mut self, tag: Tag, name: &str) -> Option<Type> {
        let at = self.find_type(tag, name)?;
        let space = self.pointer_space();
        Some(self.value_type(&CType::Ref(at), space))
    }

    /// The enum at a place as its constants, casts and declarations have it: of 8 bytes.
    pub fn enum_of_constants(&mut self, at: TypeRef) -> Option<Type> {
        match self.described(at)? {
            (at, CType::Enum(e)) => Some(self.enumeration(Key::Place(at), &e, 8)),
            _ => None,
        }
    }

    /// What is at a place, aliases followed; never a [`CType::Ref`].
    pub fn describe(&self, at: TypeRef) -> Option<CType> {
        self.described(at).map(|(_, ty)| ty)
    }

    /// As [`Checker::describe`], with the last place of the chain.
    fn described(&self, mut at: TypeRef) -> Option<(TypeRef, CType)> {
        for _ in 0..MOST_ALIASES {
            let found = match at.source {
                TypeRef::SCRIPT => self.c.describe(at),
                _ => self.cx.types.describe(at),
            };
            match found? {
                CType::Ref(next) => at = next,
                ty => return Some((at, ty)),
            }
        }
        None
    }

    fn origin(&self, at: TypeRef) -> Origin {
        match at.source {
            TypeRef::SCRIPT => Origin::Script,
            _ => self.cx.types.origin(at),
        }
    }

    /// The type of a value of a C type. `space` is where pointers in it point.
    pub fn value_type(&mut self, ty: &CType, space: Space) -> Type {
        self.converted(ty, Some(space), 0)
    }

    /// The type as it lies in memory: as the value's, but what pointers point to is not asked for.
    fn storage_type(&mut self, ty: &CType, level: u32) -> Type {
        self.converted(ty, None, level)
    }

    fn converted(&mut self, ty: &CType, space: Option<Space>, level: u32) -> Type {
        if level > MOST_LEVELS {
            return Type::Void;
        }
        match ty {
            CType::Void | CType::Function | CType::Float { .. } => Type::Void,
            CType::Bool => Type::Int(Int { size: 1, signed: false }),
            CType::Char => Type::Int(Int { size: 1, signed: true }),
            CType::Int { size: 16, .. } => Type::Array { elem: Box::new(Type::U64), len: 2 },
            CType::Int { size, signed } => Type::Int(Int { size: *size, signed: *signed }),
            CType::Pointer(to) => match space {
                Some(space) => {
                    let to = Box::new(self.converted(to, Some(space), level + 1));
                    Type::Ptr { to, space }
                }
                None => Type::Ptr { to: Box::new(Type::Void), space: Space::Unknown },
            },
            CType::Array { elem, len } => self.array_of(elem, *len, space, level),
            CType::Record(record) => {
                let record = Rc::new(record.clone());
                let id = self.intern(Key::Record(record.clone()), Some(record), Origin::Script);
                Type::Record(id)
            }
            CType::Enum(e) => self.enumeration(Key::Enum(Rc::new(e.clone())), e, e.size),
            CType::Ref(at) => match self.described(*at) {
                None => Type::Void,
                Some((at, CType::Record(record))) => {
                    let origin = self.origin(at);
                    let key = self.key_of(at, &record, origin);
                    Type::Record(self.intern(key, Some(Rc::new(record)), origin))
                }
                Some((at, CType::Enum(e))) => self.enumeration(Key::Place(at), &e, e.size),
                Some((_, ty)) => self.converted(&ty, space, level + 1),
            },
        }
    }

    fn array_of(&mut self, elem: &CType, len: u32, space: Option<Space>, level: u32) -> Type {
        let is_char = match elem {
            CType::Char => true,
            CType::Ref(at) => matches!(self.describe(*at), Some(CType::Char)),
            _ => false,
        };
        if is_char && len > 0 {
            return Type::Str { size: len };
        }
        Type::Array { elem: Box::new(self.converted(elem, space, level + 1)), len }
    }

    /// A struct of the kernel that a builtin gave out by name is that struct.
    fn key_of(&mut self, at: TypeRef, record: &CRecord, origin: Origin) -> Key {
        let key = Key::Place(at);
        if origin != Origin::Kernel || self.ctypes.records.contains_key(&key) {
            return key;
        }
        let named = self.ctypes.records.iter().find_map(|(key, id)| match key {
            Key::Kernel(name) if **name == *record.name => Some((name.clone(), *id)),
            _ => None,
        });
        if let Some((name, id)) = named
            && self.find_kernel_type(Tag::Struct, &name) == Some(at)
        {
            self.ctypes.records.insert(key.clone(), id);
        }
        key
    }

    /// A struct of the kernel by its name, which is only looked up when a member is asked for;
    /// the script's own if it declares one.
    pub fn kernel_struct(&mut self, name: &str) -> Type {
        if self.c.find(Tag::Struct, name).is_some()
            && let Some(ty) = self.named(Tag::Struct, name)
        {
            return ty;
        }
        let key = Key::Kernel(name.into());
        if let Some(id) = self.ctypes.records.get(&key) {
            return Type::Record(*id);
        }
        let known = self.ctypes.found.get(&(None, Tag::Struct, name.to_owned()));
        if let Some(Some(at)) = known.copied()
            && let Some(id) = self.ctypes.records.get(&Key::Place(at))
        {
            return Type::Record(*id);
        }
        let id = self.intern(key, None, Origin::Kernel);
        if let Some(record) = self.program.records.get_mut(id.index()) {
            record.name = name.to_owned();
        }
        if let Some(source) = self.ctypes.sources.get_mut(&id) {
            source.wanted = Some(name.into());
        }
        Type::Record(id)
    }

    fn intern(&mut self, key: Key, description: Option<Rc<CRecord>>, origin: Origin) -> RecordId {
        if let Some(id) = self.ctypes.records.get(&key) {
            return *id;
        }
        let id = RecordId(self.program.records.len() as u32);
        let of = |f: fn(&CRecord) -> u32| description.as_deref().map(f).unwrap_or_default();
        self.program.records.push(hir::Record {
            name: description.as_ref().map(|d| d.name.clone()).unwrap_or_default(),
            union: description.as_ref().is_some_and(|d| d.union),
            size: of(|d| d.size.unwrap_or_default()),
            fields: Vec::new(),
            origin: Some(origin),
        });
        self.ctypes.sources.insert(id, Source { description, members: None, wanted: None });
        self.ctypes.records.insert(key, id);
        id
    }

    fn enumeration(&mut self, key: Key, e: &CEnum, size: u8) -> Type {
        if let Some(id) = self.ctypes.enums.get(&(key.clone(), size)) {
            return Type::Enum(*id);
        }
        let id = EnumId(self.program.enums.len() as u32);
        self.program.enums.push(hir::Enum {
            name: e.name.clone(),
            int: Int { size, signed: false },
            variants: e.variants.iter().map(|(name, value)| (*value, name.clone())).collect(),
        });
        self.ctypes.enums.insert((key, size), id);
        Type::Enum(id)
    }

    /// Reads the members of a record, once.
    pub fn complete(&mut self, id: RecordId) -> Result<(), Missing> {
        self.completed(id, 0)
    }

    fn completed(&mut self, id: RecordId, level: u32) -> Result<(), Missing> {
        let Some(source) = self.ctypes.sources.get(&id).cloned() else { return Ok(()) };
        if source.members.is_some() {
            return Ok(());
        }
        let description = match (&source.description, &source.wanted) {
            (Some(description), _) => description.clone(),
            (None, Some(name)) => self.look_up(id, name)?,
            (None, None) => return Err(Missing::Unknown),
        };
        let Some(size) = description.size else { return Err(Missing::Incomplete) };
        let mut members = Vec::new();
        self.flatten(&description, 0, 0, &mut members);
        let mut fields = Vec::with_capacity(members.len());
        for member in &members {
            let ty = self.storage_type(&member.ty, level);
            self.complete_within(&ty, level + 1);
            fields.push(field(member, ty, size));
        }
        if let Some(record) = self.program.records.get_mut(id.index()) {
            record.size = size;
            record.union = description.union;
            record.fields = fields;
        }
        if let Some(source) = self.ctypes.sources.get_mut(&id) {
            source.members = Some(Rc::new(members));
        }
        Ok(())
    }

    /// Reads the members of the records that a type consists of.
    fn complete_within(&mut self, ty: &Type, level: u32) {
        if level > MOST_LEVELS {
            return;
        }
        match ty {
            Type::Record(id) => {
                // A member of a type that is not known has no size: it prints as nothing.
                let _ = self.completed(*id, level);
            }
            Type::Array { elem, .. } => self.complete_within(elem, level + 1),
            _ => {}
        }
    }

    fn look_up(&mut self, id: RecordId, name: &str) -> Result<Rc<CRecord>, Missing> {
        let at = self.find_kernel_type(Tag::Struct, name).ok_or(Missing::Unknown)?;
        let Some((at, CType::Record(record))) = self.described(at) else {
            return Err(Missing::Unknown);
        };
        let record = Rc::new(record);
        self.ctypes.records.entry(Key::Place(at)).or_insert(id);
        if let Some(source) = self.ctypes.sources.get_mut(&id) {
            source.description = Some(record.clone());
        }
        Ok(record)
    }

    /// Appends members; those of anonymous structs and unions count as the record's own.
    fn flatten(&self, record: &CRecord, start: u32, level: u32, into: &mut Vec<CField>) {
        for member in &record.fields {
            let bit_offset = start.saturating_add(member.bit_offset);
            if !member.name.is_empty() {
                into.push(CField { bit_offset, ..member.clone() });
                continue;
            }
            let inner = match &member.ty {
                CType::Record(inner) => Some(inner.clone()),
                CType::Ref(at) => match self.describe(*at) {
                    Some(CType::Record(inner)) => Some(inner),
                    _ => None,
                },
                // A bitfield that is there for its width.
                _ => None,
            };
            if let Some(inner) = inner
                && level < MOST_LEVELS
            {
                self.flatten(&inner, bit_offset, level + 1, into);
            }
        }
    }

    /// The C type of a record's field; absent where the record is none of C's.
    pub fn member_type(&self, record: RecordId, field: usize) -> Option<CType> {
        let members = self.ctypes.sources.get(&record)?.members.as_ref()?;
        members.get(field).map(|member| member.ty.clone())
    }
}

/// A member as the program has it, in a record of `size` bytes.
fn field(member: &CField, ty: Type, size: u32) -> Field {
    let name = member.name.clone();
    let Some(width) = member.bits else {
        return Field { name, offset: member.bit_offset / 8, ty, bits: None, data_loc: None };
    };
    // The smallest aligned integer around the bits; a larger or unaligned one where they
    // straddle. It prints and computes unsigned, as in bpftrace.
    let declared = match &ty {
        Type::Int(int) => u32::from(int.size),
        _ => 8,
    };
    let bits = u32::from(width);
    let mut unit = declared.clamp(1, 8);
    let mut offset = member.bit_offset / (unit * 8) * unit;
    while member.bit_offset + bits > (offset + unit) * 8 && unit < 8 {
        unit *= 2;
        offset = member.bit_offset / (unit * 8) * unit;
    }
    if offset + unit > size || member.bit_offset + bits > (offset + unit) * 8 {
        // Packed: start at the byte of the first bit, or as late as the record allows.
        unit = (member.bit_offset % 8 + bits).div_ceil(8).next_power_of_two().min(8);
        offset = (member.bit_offset / 8).min(size.saturating_sub(unit));
    }
    let first = member.bit_offset.saturating_sub(offset * 8);
    let width = bits.min((unit * 8).saturating_sub(first));
    Field {
        name,
        offset,
        ty: Type::Int(Int { size: unit as u8, signed: false }),
        bits: Some((first as u8, width as u8)),
        data_loc: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bitfield(bit_offset: u32, bits: u8, bytes: u8, size: u32) -> (u32, Type, Option<(u8, u8)>) {
        let ty = CType::Int { size: bytes, signed: false };
        let member = CField { name: "x".into(), ty, bit_offset, bits: Some(bits) };
        let field = field(&member, Type::Int(Int { size: bytes, signed: false }), size);
        (field.offset, field.ty, field.bits)
    }

    #[test]
    fn bitfields_are_read_by_integers_within_the_record() {
        let int = |size| Type::Int(Int { size, signed: false });
        assert_eq!(bitfield(35, 4, 4, 8), (4, int(4), Some((3, 4))));
        // Packed, across the border of the declared integer.
        assert_eq!(bitfield(30, 4, 4, 8), (0, int(8), Some((30, 4))));
        // Packed, at the end of a record of three bytes.
        assert_eq!(bitfield(20, 4, 4, 3), (2, int(1), Some((4, 4))));
        assert_eq!(bitfield(15, 9, 4, 3), (1, int(2), Some((7, 9))));
    }
}
