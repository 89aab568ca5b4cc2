//! Sizes, alignment and places of members: the System V ABI of LP64, in which x86-64 and AArch64
//! agree but for the alignment that nameless bitfields give (Procedure Call Standard for AArch64,
//! 8.1.8; AMD64 ABI, 3.1.2).

use crate::catalog::TypeSource;
use crate::catalog::ctypes::{CField, CRecord, CType};

use super::store::Store;

/// Most bytes of a record: what 32 bits number the bits of.
pub(super) const MOST_BYTES: u64 = (u32::MAX / 8) as u64;

/// Most records inside of each other in a type of the kernel.
const MOST_LEVELS: u32 = 64;

/// Size and alignment in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub size: u64,
    pub align: u64,
}

impl Layout {
    const fn same(size: u64) -> Self {
        let align = if size == 0 { 1 } else { size };
        Self { size, align }
    }
}

/// The layout of a type; `None` if it has none: `void`, functions, what is only declared.
pub(super) fn of(ty: &CType, store: &Store, types: &dyn TypeSource) -> Option<Layout> {
    layout(ty, store, types, 0)
}

fn layout(ty: &CType, store: &Store, types: &dyn TypeSource, level: u32) -> Option<Layout> {
    if level > MOST_LEVELS {
        return None;
    }
    match ty {
        CType::Void | CType::Function => None,
        CType::Bool | CType::Char => Some(Layout::same(1)),
        CType::Int { size, .. } | CType::Float { size } => Some(Layout::same((*size).into())),
        CType::Pointer(_) => Some(Layout::same(8)),
        CType::Enum(of) => Some(Layout::same(of.size.into())),
        CType::Array { elem, len } => {
            let elem = layout(elem, store, types, level + 1)?;
            let size = elem.size.checked_mul((*len).into())?;
            Some(Layout { size, align: elem.align })
        }
        CType::Record(record) => described(record, store, types, level),
        CType::Ref(at) => match store.get(*at) {
            Some(declared) => declared.layout.or_else(|| match &declared.ty {
                CType::Record(_) => None,
                ty => layout(ty, store, types, level + 1),
            }),
            None => match store.describe(*at) {
                Some(ty) => layout(ty, store, types, level + 1),
                None => layout(&types.describe(*at)?, store, types, level + 1),
            },
        },
    }
}

/// The layout of a record of which only the members are known. Its alignment is that of its
/// members, unless their places show that it is packed.
fn described(
    record: &CRecord,
    store: &Store,
    types: &dyn TypeSource,
    level: u32,
) -> Option<Layout> {
    let size = u64::from(record.size?);
    let mut align = 1;
    for field in &record.fields {
        let Some(member) = layout(&field.ty, store, types, level + 1) else { continue };
        let byte = u64::from(field.bit_offset / 8);
        let aligned = field.bits.is_some() || byte % member.align == 0;
        if aligned && size % member.align == 0 {
            align = member.align.max(align);
        }
    }
    Some(Layout { size, align })
}

/// A record while its members are placed.
pub(super) struct Placer {
    union: bool,
    packed: bool,
    /// The next free bit.
    bits: u64,
    /// Bits of the largest member of a union.
    largest: u64,
    align: u64,
    fields: Vec<CField>,
}

/// A member to be placed.
pub(super) struct Member {
    pub name: String,
    pub ty: CType,
    pub layout: Layout,
    /// Width of a bitfield.
    pub bits: Option<u8>,
    /// `__attribute__((packed))`
    pub packed: bool,
    /// `__attribute__((aligned(n)))`
    pub align: Option<u64>,
}

impl Placer {
    pub fn new(union: bool, packed: bool) -> Self {
        Self { union, packed, bits: 0, largest: 0, align: 1, fields: Vec::new() }
    }

    /// The member of this name, anonymous ones not looked into.
    pub fn has(&self, name: &str) -> bool {
        !name.is_empty() && self.fields.iter().any(|field| field.name == name)
    }

    /// Places a member after the others. `None`: the record gets too large.
    pub fn place(&mut self, member: Member) -> Option<()> {
        let packed = self.packed || member.packed;
        let mut align = if packed { 1 } else { member.layout.align };
        if let Some(wanted) = member.align {
            align = align.max(wanted);
        }
        let at = match member.bits {
            None => self.next(align * 8),
            Some(0) => {
                // Closes the unit in which the last bitfield lies.
                self.bits = self.next(member.layout.align * 8);
                return Some(());
            }
            Some(width) => {
                let unit = member.layout.size * 8;
                let start = if self.union { 0 } else { self.bits };
                let straddles = start % (member.layout.align * 8) + u64::from(width) > unit;
                if member.align.is_some() || straddles && !packed {
                    self.next(align * 8)
                } else {
                    start
                }
            }
        };
        // A nameless bitfield is a gap, which aligns nothing on x86-64.
        if member.bits.is_none() || !member.name.is_empty() {
            self.align = self.align.max(align);
        }
        let length = member.bits.map_or(member.layout.size.checked_mul(8)?, u64::from);
        let end = at.checked_add(length)?;
        if end.div_ceil(8) > MOST_BYTES {
            return None;
        }
        self.largest = self.largest.max(end);
        if !self.union {
            self.bits = end;
        }
        if member.bits.is_none() || !member.name.is_empty() {
            let Member { name, ty, bits, .. } = member;
            self.fields.push(CField { name, ty, bit_offset: at as u32, bits });
        }
        Some(())
    }

    /// Where something of this alignment in bits can lie next.
    fn next(&self, align: u64) -> u64 {
        if self.union { 0 } else { self.bits.next_multiple_of(align.max(1)) }
    }

    /// The record, aligned to `align` at least. `None`: it is too large.
    pub fn finish(self, name: String, align: Option<u64>) -> Option<(CRecord, Layout)> {
        let align = self.align.max(align.unwrap_or(1));
        let size = self.largest.max(self.bits).div_ceil(8).next_multiple_of(align);
        if size > MOST_BYTES {
            return None;
        }
        let record =
            CRecord { name, union: self.union, size: Some(size as u32), fields: self.fields };
        Some((record, Layout { size, align }))
    }
}
