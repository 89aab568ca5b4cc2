//! USDT probes: the notes that a program carries, one for each place of a probe.
//!
//! A note of type 3 by `stapsdt` in the section `.note.stapsdt` has three addresses (of the probe,
//! of the section `.stapsdt.base` as it was linked, and of a semaphore or 0), and three texts that
//! end in NUL: provider, name and arguments (SystemTap wiki, "UserSpaceProbeImplementation").

use object::elf::{FileHeader32, FileHeader64};
use object::endian::{Endian as _, Endianness};
use object::read::elf::{FileHeader, NoteIterator};
use object::{Object as _, ObjectSection as _, ObjectSegment as _, ObjectSymbol as _};
use rbtrace_probes_ebpf::profile::Arch;
use rbtrace_probes_ebpf::usdt;

use super::{Binary, bad};
use crate::error::Error;

const SECTION: &str = ".note.stapsdt";
const BASE_SECTION: &str = ".stapsdt.base";
const OWNER: &[u8] = b"stapsdt";
/// `n_type` of a note about a probe.
const PROBE: u32 = 3;

/// A place of a USDT probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsdtSite {
    /// Who defines the probe.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// Its arguments, for [`usdt::parse`]; symbols in them that the file has are resolved.
    pub arguments: String,
    /// Address in the file's own address space.
    pub address: u64,
    /// Address of a counter in the file's own address space: the program prepares the arguments
    /// only while it is above 0.
    pub semaphore: Option<u64>,
}

impl Binary {
    /// Every place of every USDT probe, in the order of the notes. Notes that make no sense are
    /// left out.
    pub fn usdt_sites(&self) -> Result<Vec<UsdtSite>, Error> {
        let file = self.parse()?;
        let Some(section) = file.section_by_name(SECTION) else { return Ok(Vec::new()) };
        let data = section.data().map_err(|e| bad(self.path(), &format!("its notes: {e}")))?;
        let endian = if file.is_little_endian() { Endianness::Little } else { Endianness::Big };
        let notes = match file.is_64() {
            true => notes::<FileHeader64<Endianness>>(data, endian),
            false => notes::<FileHeader32<Endianness>>(data, endian),
        };
        let base = file.section_by_name(BASE_SECTION).map(|section| section.address());
        let find = |name: &str| {
            let mut symbols = file.symbols().chain(file.dynamic_symbols());
            let symbol = symbols.find(|s| !s.is_undefined() && s.name() == Ok(name))?;
            Some(symbol.address())
        };
        let sites = notes.into_iter().map(|note| {
            // A prelinked file is elsewhere than where it was linked.
            let moved = base.filter(|_| note.base != 0).map_or(0, |b| b.wrapping_sub(note.base));
            let address = note.address.wrapping_add(moved);
            UsdtSite {
                arguments: usdt::resolve_symbols(&note.arguments, Arch::HOST, address, find),
                provider: note.provider,
                name: note.name,
                address,
                semaphore: (note.semaphore != 0).then(|| note.semaphore.wrapping_add(moved)),
            }
        });
        Ok(sites.collect())
    }

    /// Where in the file the data at an address of its address space is, in bytes.
    pub fn data_offset(&self, address: u64) -> Result<u64, Error> {
        let file = self.parse()?;
        let found = file.segments().find_map(|segment| {
            let (start, size) = segment.file_range();
            let inside = address.checked_sub(segment.address()).filter(|i| *i < size)?;
            start.checked_add(inside)?.checked_add(self.range.start as u64)
        });
        found.ok_or_else(|| bad(self.path(), &format!("there is no data at address {address:#x}")))
    }
}

/// What a note says.
struct Note {
    address: u64,
    base: u64,
    semaphore: u64,
    provider: String,
    name: String,
    arguments: String,
}

fn notes<Elf: FileHeader<Endian = Endianness>>(data: &[u8], endian: Endianness) -> Vec<Note> {
    // The alignment of 0 stands for that of notes, 4.
    let all = NoteIterator::<Elf>::new(endian, Elf::Word::default(), data);
    let Ok(mut all) = all else { return Vec::new() };
    let mut found = Vec::new();
    // What follows a broken note cannot be found.
    while let Ok(Some(note)) = all.next() {
        if note.name().split(|b| *b == 0).next() == Some(OWNER) && note.n_type(endian) == PROBE {
            found.extend(parse(note.desc(), size_of::<Elf::Word>(), endian));
        }
    }
    found
}

/// Reads a note about a probe with addresses of `size` bytes.
fn parse(description: &[u8], size: usize, endian: Endianness) -> Option<Note> {
    let (addresses, texts) = description.split_at_checked(3 * size)?;
    let mut addresses = addresses.chunks_exact(size).map(|bytes| address(bytes, endian));
    let mut texts = texts.split(|byte| *byte == 0).map(std::str::from_utf8);
    Some(Note {
        address: addresses.next()??,
        base: addresses.next()??,
        semaphore: addresses.next()??,
        provider: texts.next()?.ok()?.to_owned(),
        name: texts.next()?.ok()?.to_owned(),
        // A probe without arguments may leave them out.
        arguments: texts.next().and_then(Result::ok).unwrap_or_default().to_owned(),
    })
}

fn address(bytes: &[u8], endian: Endianness) -> Option<u64> {
    match bytes.len() {
        4 => Some(endian.read_u32(bytes.try_into().ok()?).into()),
        8 => Some(endian.read_u64(bytes.try_into().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(size: usize, addresses: [u64; 3], texts: &[u8]) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            addresses.iter().flat_map(|a| a.to_le_bytes().into_iter().take(size)).collect();
        bytes.extend_from_slice(texts);
        bytes
    }

    #[test]
    fn reads_notes_of_both_widths() {
        for size in [4, 8] {
            let bytes = description(size, [0x1000, 0x2000, 0x3000], b"libc\0setjmp\08@%rdi\0");
            let note = parse(&bytes, size, Endianness::Little).expect("a note");
            assert_eq!((note.address, note.base, note.semaphore), (0x1000, 0x2000, 0x3000));
            assert_eq!((note.provider.as_str(), note.name.as_str()), ("libc", "setjmp"));
            assert_eq!(note.arguments, "8@%rdi");
        }
    }

    #[test]
    fn broken_notes_are_left_out() {
        let bytes = description(8, [1, 2, 3], b"a\0b\0");
        assert_eq!(parse(&bytes, 8, Endianness::Little).expect("a note").arguments, "");
        for end in 0..24 {
            assert!(parse(&bytes[..end], 8, Endianness::Little).is_none());
        }
        let not_text = description(8, [1, 2, 3], b"\xff\0b\0");
        assert!(parse(&not_text, 8, Endianness::Little).is_none());
        for length in 0..64 {
            assert!(
                notes::<FileHeader64<Endianness>>(&vec![0xff; length], Endianness::Little)
                    .is_empty()
            );
        }
    }
}
