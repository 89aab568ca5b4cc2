//! Reads BTF (Documentation/bpf/btf.rst, include/uapi/linux/btf.h): the kernel's, that of one of
//! its modules, or an object's.
//!
//! Reading takes one pass over the headers of the types, which finds where each begins; all else
//! is looked at when it is asked for. So the 130,000 types of a kernel cost about a millisecond.

mod c;
mod ty;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

pub use ty::{ArrayInfo, IntInfo, Kind, Member, Param, Type, Variant};

/// First two bytes of BTF, in the byte order of its machine.
const MAGIC: u16 = 0xeb9f;
/// Bytes of the header's fixed part.
const HEADER: usize = 24;
/// Bytes that all types have in common: name, info, size or type.
const COMMON: usize = 12;
/// Types that refer to one another in a row, at most: what is deeper is damaged.
const MAX_DEPTH: u32 = 32;

/// Why bytes are no BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// It does not begin as BTF of this byte order and version does.
    #[error("it is not BTF")]
    NotBtf,
    /// A part lies outside of the data.
    #[error("the BTF is cut off")]
    CutOff,
    /// A type of a kind that this version does not know, after which nothing can be found.
    #[error("the BTF has a type of unknown kind {0}")]
    UnknownKind(u32),
}

/// BTF, with an index of where each type begins.
///
/// BTF of a module is split: its numbers go on where those of its base end, and what is below
/// is the base's.
#[derive(Debug)]
pub struct Btf<'a> {
    data: Cow<'a, [u8]>,
    strings: Range<usize>,
    /// Where each type begins in `data`.
    places: Vec<u32>,
    base: Option<Arc<Btf<'static>>>,
}

impl<'a> Btf<'a> {
    /// Reads BTF that stands alone, or split BTF over its base.
    ///
    /// # Errors
    ///
    /// If the bytes are no BTF, or what they hold cannot be told apart.
    pub fn parse(
        data: impl Into<Cow<'a, [u8]>>,
        base: Option<Arc<Btf<'static>>>,
    ) -> Result<Self, BtfError> {
        let data = data.into();
        let head = |at| word(&data, at).ok_or(BtfError::NotBtf);
        // Magic, version 1, no flags.
        if head(0)? != u32::from(MAGIC) | 1 << 16 || (head(4)? as usize) < HEADER {
            return Err(BtfError::NotBtf);
        }
        let header = head(4)? as usize;
        let part = |at| -> Result<Range<usize>, BtfError> {
            let start = header.checked_add(head(at)? as usize).ok_or(BtfError::CutOff)?;
            let end = start.checked_add(head(at + 4)? as usize).ok_or(BtfError::CutOff)?;
            if end <= data.len() { Ok(start..end) } else { Err(BtfError::CutOff) }
        };
        let (types, strings) = (part(8)?, part(16)?);
        let places = index(&data, types)?;
        Ok(Self { data, strings, places, base })
    }

    /// Number of the first type that is not of the base; 1 without one.
    pub fn first_id(&self) -> u32 {
        self.base.as_ref().map_or(1, |base| base.end_id())
    }

    /// The number after that of the last type.
    pub fn end_id(&self) -> u32 {
        self.first_id().saturating_add(self.places.len() as u32)
    }

    /// Numbers of the types, without those of the base.
    pub fn ids(&self) -> Range<u32> {
        self.first_id()..self.end_id()
    }

    /// The type with this number. `None` for 0, which is `void`, and for what is not there.
    pub fn get(&self, id: u32) -> Option<Type<'_>> {
        match id.checked_sub(self.first_id()) {
            Some(index) => {
                let at = *self.places.get(index as usize)? as usize;
                Type::new(self, id, self.data.get(at..)?)
            }
            None => self.base.as_deref()?.get(id),
        }
    }

    /// The types, without those of the base.
    pub fn types(&self) -> impl Iterator<Item = Type<'_>> {
        self.ids().filter_map(|id| self.get(id))
    }

    /// The string at an offset. `None` if there is none, or it is no text.
    pub fn string(&self, offset: u32) -> Option<&str> {
        std::str::from_utf8(self.string_bytes(offset)?).ok()
    }

    fn string_bytes(&self, offset: u32) -> Option<&[u8]> {
        let base_len = self.base.as_ref().map_or(0, |base| base.strings_end());
        match offset.checked_sub(base_len) {
            Some(offset) => {
                let all = self.data.get(self.strings.clone())?;
                let rest = all.get(offset as usize..)?;
                rest.get(..memchr::memchr(0, rest)?)
            }
            None => self.base.as_deref()?.string_bytes(offset),
        }
    }

    /// The offset after the last string.
    fn strings_end(&self) -> u32 {
        let before = self.base.as_ref().map_or(0, |base| base.strings_end());
        before.saturating_add(self.strings.len() as u32)
    }

    /// Numbers of the types of one of these kinds that have this name, without those of the base.
    pub fn named<'b>(&'b self, kinds: &'b [Kind], name: &str) -> impl Iterator<Item = u32> + 'b {
        let offsets = self.offsets_of(name);
        let none = offsets.is_empty();
        let ids = if none { 0..0 } else { self.ids() };
        ids.zip(&self.places).filter_map(move |(id, &at)| {
            let name = word(&self.data, at as usize)?;
            if !offsets.contains(&name) {
                return None;
            }
            let kind = Kind::of_info(word(&self.data, at as usize + 4)?)?;
            kinds.contains(&kind).then_some(id)
        })
    }

    /// The first type of one of these kinds that has this name, without those of the base.
    pub fn find(&self, kinds: &[Kind], name: &str) -> Option<Type<'_>> {
        self.get(self.named(kinds, name).next()?)
    }

    /// The first enum that has a variant of this name, and the variant's value, without those of the
    /// base. The name is looked for among the strings once; variants are told by its offsets.
    pub fn enumerator(&self, name: &str) -> Option<(Type<'_>, i64)> {
        let offsets = self.offsets_of(name);
        let ids = if offsets.is_empty() { 0..0 } else { self.ids() };
        ids.filter_map(|id| self.get(id)).find_map(|ty| Some((ty, ty.variant_at(&offsets)?)))
    }

    /// Every offset that stands for this string. A string may be the tail of a longer one.
    fn offsets_of(&self, name: &str) -> Vec<u32> {
        if name.is_empty() {
            return Vec::new();
        }
        let mut pattern = name.as_bytes().to_vec();
        pattern.push(0);
        let mut offsets = Vec::new();
        self.collect_offsets(&memchr::memmem::Finder::new(&pattern), &mut offsets);
        offsets
    }

    fn collect_offsets(&self, finder: &memchr::memmem::Finder<'_>, into: &mut Vec<u32>) {
        let mut before = 0;
        if let Some(base) = &self.base {
            base.collect_offsets(finder, into);
            before = base.strings_end();
        }
        let own = self.data.get(self.strings.clone()).unwrap_or_default();
        into.extend(finder.find_iter(own).map(|at| before.saturating_add(at as u32)));
    }

    /// The type that this one is another name of: what is behind typedefs, `const` and the like.
    /// `None` is `void`.
    pub fn resolve(&self, id: u32) -> Option<Type<'_>> {
        let mut ty = self.get(id)?;
        for _ in 0..MAX_DEPTH {
            if !ty.kind().is_alias() {
                return Some(ty);
            }
            ty = self.get(ty.target())?;
        }
        None
    }

    /// Bytes of a value. `None` for what has no size.
    pub fn size_of(&self, id: u32) -> Option<u32> {
        self.size_within(id, MAX_DEPTH)
    }

    fn size_within(&self, id: u32, depth: u32) -> Option<u32> {
        let depth = depth.checked_sub(1)?;
        let ty = self.resolve(id)?;
        match ty.kind() {
            Kind::Ptr => Some(8),
            Kind::Array => {
                let array = ty.array()?;
                self.size_within(array.elem, depth)?.checked_mul(array.len)
            }
            _ => ty.size(),
        }
    }
}

/// Where each type begins.
fn index(data: &[u8], types: Range<usize>) -> Result<Vec<u32>, BtfError> {
    // Offsets are kept in 32 bits; no BTF comes near that.
    if data.len() > u32::MAX as usize {
        return Err(BtfError::CutOff);
    }
    // A kernel's types take 25 bytes each.
    let mut places = Vec::with_capacity(types.len() / 24);
    let mut at = types.start;
    while at < types.end {
        let info = word(data, at + 4).ok_or(BtfError::CutOff)?;
        let kind = Kind::of_info(info).ok_or(BtfError::UnknownKind(ty::kind_bits(info)))?;
        places.push(at as u32);
        at += COMMON + kind.words(ty::vlen(info)) * 4;
    }
    if at == types.end { Ok(places) } else { Err(BtfError::CutOff) }
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests;
