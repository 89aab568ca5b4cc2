//! `.BTF` and `.BTF.ext`: every offset, count and id is within bounds.
//!
//! Sources: Documentation/bpf/btf.rst, include/uapi/linux/btf.h.

use super::ReadError;
use super::elf::{File, damaged, section};

const MAGIC: u16 = 0xeb9f;
/// Record sizes of `.BTF.ext`: `bpf_func_info`, `bpf_line_info`, `bpf_core_relo`.
const RECORDS: [u32; 3] = [8, 16, 16];

/// Bytes of the longest name (`KSYM_NAME_LEN`).
const MAX_NAME: usize = 512;
/// Types that refer to one another in a row (`MAX_RESOLVE_DEPTH` of libbpf).
const MAX_DEPTH: u32 = 32;

/// Little-endian words of a section.
#[derive(Clone, Copy)]
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn get(self, at: usize) -> Result<u32, ReadError> {
        let chunk = self.0.get(at..).and_then(|d| d.first_chunk::<4>());
        chunk.map(|c| u32::from_le_bytes(*c)).ok_or_else(|| damaged("BTF ends too early"))
    }

    /// The part at the offset after `header` that the word at `off` gives, with the length at `off + 4`.
    fn part(self, header: u32, off: usize) -> Result<Words<'a>, ReadError> {
        let (start, len) = (self.get(off)?, self.get(off + 4)?);
        let start = header.checked_add(start);
        let end = start.and_then(|s| s.checked_add(len));
        let range = start.zip(end).map(|(s, e)| s as usize..e as usize);
        range.and_then(|r| self.0.get(r)).map(Words).ok_or_else(|| damaged("BTF is cut off"))
    }

    /// Bytes of the header, which begins as every header of BTF does.
    fn header(self, least: u32) -> Result<u32, ReadError> {
        let size = self.get(4)?;
        if self.get(0)? != u32::from(MAGIC) | 1 << 16 || size < least || size > 256 {
            return Err(damaged("BTF has an unknown header"));
        }
        Ok(size)
    }
}

/// Bounds of what a type may name.
struct Bounds<'a> {
    types: u32,
    strings: &'a str,
}

impl Bounds<'_> {
    /// The table is text and ends in NUL, so what begins within it is text that ends.
    fn check_string(&self, offset: u32) -> Result<(), ReadError> {
        let offset = offset as usize;
        if offset < self.strings.len() && self.strings.is_char_boundary(offset) {
            Ok(())
        } else {
            Err(damaged("BTF names a string that is not there"))
        }
    }

    fn check_type(&self, id: u32) -> Result<(), ReadError> {
        if id <= self.types { Ok(()) } else { Err(damaged("BTF names a type that is not there")) }
    }
}

/// Which words after a type's common three are names and which are ids, once or for each member.
struct Form {
    /// Words, of each member if there are any.
    words: usize,
    names: &'static [usize],
    ids: &'static [usize],
    /// One group a member.
    members: bool,
    /// The third common word is an id, not a size.
    refers: bool,
}

const fn form(kind: u32) -> Option<Form> {
    const fn one(words: usize, ids: &'static [usize], refers: bool) -> Option<Form> {
        Some(Form { words, names: &[], ids, members: false, refers })
    }
    const fn each(
        words: usize,
        names: &'static [usize],
        ids: &'static [usize],
        refers: bool,
    ) -> Option<Form> {
        Some(Form { words, names, ids, members: true, refers })
    }
    match kind {
        1 => one(1, &[], false),              // INT
        3 => one(3, &[0, 1], false),          // ARRAY
        4 | 5 => each(3, &[0], &[1], false),  // STRUCT, UNION
        6 => each(2, &[0], &[], false),       // ENUM
        7 | 16 => one(0, &[], false),         // FWD, FLOAT
        13 => each(2, &[0], &[1], true),      // FUNC_PROTO
        14 => one(1, &[], true),              // VAR
        15 => each(3, &[], &[0], false),      // DATASEC
        17 => one(1, &[], true),              // DECL_TAG
        19 => each(3, &[0], &[], false),      // ENUM64
        2 | 8..=12 | 18 => one(0, &[], true), // PTR, TYPEDEF ... FUNC, TYPE_TAG
        _ => None,
    }
}

/// The types of an object, by id.
pub struct Types<'a> {
    words: Words<'a>,
    places: Vec<usize>,
    strings: &'a str,
}

impl Types<'_> {
    /// Kind (`BTF_KIND_*`), count of members, and the words of a type.
    pub fn get(&self, id: u32) -> Option<(u32, usize, &[u8])> {
        let &at = self.places.get((id as usize).checked_sub(1)?)?;
        let info = self.words.get(at + 4).ok()?;
        Some(((info >> 24) & 0x1f, (info & 0xffff) as usize, self.words.0.get(at..)?))
    }

    /// Word `i` of a type, name and kind included.
    pub fn word(&self, id: u32, i: usize) -> Option<u32> {
        Words(self.get(id)?.2).get(i * 4).ok()
    }

    /// The name at an offset; `None` if it is longer than any is.
    pub fn string(&self, offset: u32) -> Option<&str> {
        let text = self.strings.get(offset as usize..)?;
        let end = text.bytes().take(MAX_NAME).position(|b| b == 0)?;
        text.get(..end)
    }

    /// Ids of all types.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        (1..).zip(&self.places).map(|(id, _)| id)
    }

    /// What lies within another type has a size, and no size overflows.
    fn check_sizes(&self, id: u32) -> Result<(), ReadError> {
        self.size(id, MAX_DEPTH)?;
        let inner: Vec<u32> = match self.get(id) {
            Some((3, ..)) => self.word(id, 3).into_iter().collect(),
            Some((4 | 5, count, _)) => {
                (0..count).filter_map(|i| self.word(id, 4 + i * 3)).collect()
            }
            _ => return Ok(()),
        };
        if inner.iter().all(|&id| self.size_of(id).is_some()) {
            Ok(())
        } else {
            Err(damaged("BTF has a member without size"))
        }
    }

    /// Bytes of a value of the type; `None` for what has none.
    pub fn size_of(&self, id: u32) -> Option<u64> {
        self.size(id, MAX_DEPTH).ok().flatten()
    }

    /// Bytes of a value of the type; `None` for what has none.
    fn size(&self, id: u32, depth: u32) -> Result<Option<u64>, ReadError> {
        let Some(&at) = (id as usize).checked_sub(1).and_then(|i| self.places.get(i)) else {
            return Ok(None);
        };
        let depth = depth.checked_sub(1).ok_or_else(|| damaged("BTF nests too deep"))?;
        let word = |i: usize| self.words.get(at + i * 4);
        Ok(match (word(1)? >> 24) & 0x1f {
            1 | 4..=6 | 16 | 19 => Some(word(2)?.into()),
            2 => Some(8),
            3 => {
                let bytes =
                    self.size(word(3)?, depth)?.unwrap_or(0).saturating_mul(word(5)?.into());
                if bytes > u64::from(u32::MAX) {
                    return Err(damaged("BTF has an array that is too large"));
                }
                Some(bytes)
            }
            8..=11 | 18 => self.size(word(2)?, depth)?,
            _ => None,
        })
    }
}

/// Calls `f` with the place of each type, its form and its number of groups.
fn each_type(
    types: Words<'_>,
    mut f: impl FnMut(usize, &Form, usize) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut at = 0;
    while at < types.0.len() {
        let info = types.get(at + 4)?;
        let form =
            form((info >> 24) & 0x1f).ok_or_else(|| damaged("BTF has a type of unknown kind"))?;
        let groups = if form.members { (info & 0xffff) as usize } else { 1 };
        f(at, &form, groups)?;
        at += 12 + groups * form.words * 4;
    }
    if at == types.0.len() { Ok(()) } else { Err(damaged("BTF ends within a type")) }
}

/// Checks both sections. An object without BTF has no maps that could be loaded.
pub fn check<'a>(file: &File<'a>) -> Result<Types<'a>, ReadError> {
    let data = Words(section(file, ".BTF")?.ok_or_else(|| damaged("it has no BTF"))?);
    let header = data.header(24)?;
    let (types, strings) = (data.part(header, 8)?, data.part(header, 16)?);
    let strings =
        std::str::from_utf8(strings.0).map_err(|_| damaged("BTF's strings are no text"))?;
    if !strings.starts_with('\0') || !strings.ends_with('\0') {
        return Err(damaged("BTF's strings do not end"));
    }
    let mut places = Vec::new();
    each_type(types, |at, _, _| {
        places.push(at);
        Ok(())
    })?;
    let all = Types { words: types, places, strings };
    let bounds = Bounds { types: u32::try_from(all.places.len()).unwrap_or(u32::MAX), strings };
    each_type(types, |at, form, groups| {
        bounds.check_string(types.get(at)?)?;
        if form.refers {
            bounds.check_type(types.get(at + 8)?)?;
        }
        for group in 0..groups {
            let word = |i: usize| types.get(at + 12 + (group * form.words + i) * 4);
            form.names.iter().try_for_each(|&i| bounds.check_string(word(i)?))?;
            form.ids.iter().try_for_each(|&i| bounds.check_type(word(i)?))?;
        }
        Ok(())
    })?;
    all.ids().try_for_each(|id| all.check_sizes(id))?;
    if let Some(ext) = section(file, ".BTF.ext")? {
        check_ext(Words(ext), &bounds, &all)?;
    }
    Ok(all)
}

fn check_ext(data: Words<'_>, bounds: &Bounds<'_>, all: &Types<'_>) -> Result<(), ReadError> {
    let header = data.header(32)?;
    for (i, size) in RECORDS.into_iter().enumerate() {
        let part = data.part(header, 8 + i * 8)?;
        if part.0.is_empty() {
            continue;
        }
        if part.get(0)? != size {
            return Err(damaged("BTF has records of unknown size"));
        }
        let mut at = 4;
        while at < part.0.len() {
            bounds.check_string(part.get(at)?)?;
            let records = part.get(at + 4)?;
            at += 8;
            for _ in 0..records {
                let word = |i: usize| part.get(at + i * 4);
                match i {
                    0 => bounds.check_type(word(1)?)?,
                    1 => bounds.check_string(word(1)?).and(bounds.check_string(word(2)?))?,
                    _ => {
                        bounds.check_string(word(2)?)?;
                        // INT, STRUCT, UNION, ENUM, ENUM64: what a path may start from.
                        if !matches!(all.get(word(1)?), Some((1 | 4..=6 | 19, ..))) {
                            return Err(damaged("BTF looks for a field in no type"));
                        }
                    }
                }
                at += size as usize;
                if at > part.0.len() {
                    return Err(damaged("BTF ends within a record"));
                }
            }
        }
    }
    Ok(())
}
