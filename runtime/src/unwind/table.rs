//! The unwind data of a file as rows.

use std::collections::HashMap;
use std::hash::Hash;

use gimli::{
    BaseAddresses, CieOrFde, CommonInformationEntry, DebugFrame, EhFrame, EndianSlice,
    LittleEndian, UnwindContext, UnwindSection,
};
use object::read::elf::ElfFile64;
use object::{
    Architecture, Object as _, ObjectSection as _, ObjectSegment as _, SegmentFlags, elf,
};
use rbtrace_probes_ebpf::unwind::{self, Rule};

use super::rule;

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type ElfFile<'a> = ElfFile64<'a, object::LittleEndian>;

/// Bytes of a page, to which mappings are aligned.
const PAGE: u64 = 4096;

/// How the code of a file is unwound, and where it lies.
#[derive(Debug)]
pub(crate) struct Table {
    /// Ascending, as programs read them; empty if the file has no unwind data.
    pub rows: Vec<u64>,
    /// Address in the file's own address space that the places of rows count from.
    base: u64,
    /// Executable parts: where in the file they begin and end, and what to add to get the address.
    code: Vec<(u64, u64, u64)>,
}

/// A row while the table is made: first address, first address behind it, number of the rule.
type Span = (u64, u64, u32);

impl Table {
    /// Reads an ELF file; `None` if it is none for x86-64. `number` gives out numbers of rules.
    pub fn read(data: &[u8], mut number: impl FnMut(Rule) -> u32) -> Option<Self> {
        let file = ElfFile::parse(data).ok()?;
        if file.architecture() != Architecture::X86_64 {
            return None;
        }
        let base = file.segments().map(|segment| segment.address()).min()? / PAGE * PAGE;
        let code = file.segments().filter(is_code).map(|segment| {
            let (start, size) = segment.file_range();
            (start / PAGE * PAGE, start.saturating_add(size), segment.address().wrapping_sub(start))
        });
        let mut spans = Vec::new();
        for name in [".eh_frame", ".debug_frame"] {
            if spans.is_empty() {
                spans = read_section(&file, name, &mut number);
            }
        }
        Some(Self { code: code.collect(), rows: rows(spans, base), base })
    }

    /// What to subtract from the addresses of a mapping that begins at `start`, `offset` bytes into
    /// the file, to get the places that rows have; `None` where there is no code.
    pub fn bias(&self, start: u64, offset: u64) -> Option<u64> {
        let (.., add) = self.code.iter().find(|(from, to, _)| (*from..*to).contains(&offset))?;
        let address = offset.wrapping_add(*add);
        let place = address.checked_sub(self.base).filter(|place| *place <= u32::MAX.into())?;
        Some(start.wrapping_sub(place))
    }
}

fn is_code<'data>(segment: &impl object::ObjectSegment<'data>) -> bool {
    matches!(segment.flags(), SegmentFlags::Elf { p_flags } if p_flags & elf::PF_X != 0)
}

fn read_section(file: &ElfFile<'_>, name: &str, number: &mut impl FnMut(Rule) -> u32) -> Vec<Span> {
    let Some(section) = file.section_by_name(name) else { return Vec::new() };
    let Ok(data) = section.uncompressed_data() else { return Vec::new() };
    let text = file.section_by_name(".text").map_or(0, |text| text.address());
    let bases = BaseAddresses::default().set_eh_frame(section.address()).set_text(text);
    let mut spans = Vec::new();
    // What was read before something that cannot be is of use all the same.
    let _ = match name {
        ".eh_frame" => read_entries(&EhFrame::new(&data, LittleEndian), &bases, number, &mut spans),
        _ => {
            let mut frames = DebugFrame::new(&data, LittleEndian);
            frames.set_address_size(8);
            read_entries(&frames, &bases, number, &mut spans)
        }
    };
    spans
}

fn read_entries<'data, S>(
    section: &S,
    bases: &BaseAddresses,
    number: &mut impl FnMut(Rule) -> u32,
    spans: &mut Vec<Span>,
) -> gimli::Result<()>
where
    S: UnwindSection<Slice<'data>>,
    S::Offset: Eq + Hash,
{
    // Most functions of a file share one of a few.
    let mut known: HashMap<S::Offset, CommonInformationEntry<Slice<'data>>> = HashMap::new();
    let mut context = UnwindContext::new();
    let mut entries = section.entries(bases);
    while let Some(entry) = entries.next()? {
        let CieOrFde::Fde(partial) = entry else { continue };
        let function = partial.parse(|section, bases, offset| {
            if let Some(common) = known.get(&offset) {
                return Ok(common.clone());
            }
            let common = section.cie_from_offset(bases, offset)?;
            known.insert(offset, common.clone());
            Ok(common)
        });
        // One function that cannot be read hides no other.
        let Ok(function) = function else { continue };
        let signal = function.is_signal_trampoline();
        let Ok(mut rows) = function.rows(section, bases, &mut context) else { continue };
        while let Ok(Some(row)) = rows.next_row() {
            let (start, end) = (row.start_address(), row.end_address());
            spans.push((start, end, number(rule::of_row(section, row, signal))));
        }
    }
    Ok(())
}

/// Rows without gaps: what lies between two spans is code without unwind data.
fn rows(mut spans: Vec<Span>, base: u64) -> Vec<u64> {
    // Functions that the linker has left out are at 0.
    spans.retain(|(start, end, _)| start < end && *start >= base && end - base <= u32::MAX.into());
    if spans.is_empty() {
        return Vec::new();
    }
    spans.sort_unstable();
    let mut rows: Vec<(u64, u32)> = vec![(base, unwind::FRAME_POINTER)];
    let mut put = |start: u64, rule: u32| match rows.last_mut() {
        Some(last) if last.0 == start => last.1 = rule,
        Some(last) if last.1 == rule => {}
        _ => rows.push((start, rule)),
    };
    let mut end = base;
    for (start, behind, rule) in spans {
        if start > end {
            put(end, unwind::FRAME_POINTER);
        }
        put(start, rule);
        end = end.max(behind);
    }
    put(end, unwind::FRAME_POINTER);
    // None is more than 32 bits from the base.
    rows.into_iter().map(|(start, rule)| unwind::row((start - base) as u32, rule)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rbtrace_probes_ebpf::unwind::{Base, Cfa, END, Slot, row};

    #[test]
    fn gaps_go_by_frame_pointers() {
        let spans = vec![(0x1030, 0x1040, 5), (0x1010, 0x1018, 4), (0x1018, 0x1020, 4), (0, 8, 9)];
        let expected = [row(0, 0), row(0x10, 4), row(0x20, 0), row(0x30, 5), row(0x40, 0)];
        assert_eq!(rows(spans, 0x1000), expected);
        assert!(rows(Vec::new(), 0x1000).is_empty());
        // At the very beginning, and one within another.
        let spans = vec![(0x1000, 0x1008, 3), (0x1004, 0x1006, 2)];
        assert_eq!(rows(spans, 0x1000), [row(0, 3), row(4, 2), row(8, 0)]);
    }

    #[test]
    fn this_program_can_be_unwound() {
        let me = std::fs::read("/proc/self/exe").expect("this program");
        let mut rules = vec![Rule::FRAME_POINTER, Rule::END];
        let table = Table::read(&me, |rule| {
            let known = rules.iter().position(|r| *r == rule).unwrap_or_else(|| {
                rules.push(rule);
                rules.len() - 1
            });
            known as u32
        });
        let table = table.expect("an ELF file");
        assert!(table.rows.is_sorted() && table.rows.len() > 1000);
        // A function before it has pushed anything.
        let entry = Rule::Caller {
            cfa: Cfa::At(Slot::new(Base::Rsp, 8)),
            return_address: Slot::new(Base::Cfa, -8),
            rbp: None,
            signal: false,
            guess: false,
        };
        let entry = rules.iter().position(|rule| *rule == entry).expect("in every program");
        let of = |rule: u32| table.rows.iter().filter(|row| **row as u32 == rule).count();
        assert!(of(entry as u32) > 100 && of(END) < table.rows.len() / 10);
    }

    #[test]
    fn what_is_no_program_has_no_table() {
        assert!(Table::read(b"#!/bin/sh\n", |_| 0).is_none());
        assert!(Table::read(&[], |_| 0).is_none());
    }

    #[test]
    fn addresses_of_a_mapping_become_places() {
        let code = vec![(0x1000, 0x3000, 0x40_0000 - 0x200)];
        let table = Table { rows: Vec::new(), base: 0x40_0000, code };
        let bias = table.bias(0x7000_0000, 0x1000).expect("code");
        assert_eq!(0x7000_0010 - bias, 0x1010 - 0x200);
        assert_eq!(table.bias(0x7000_0000, 0x3000), None);
    }
}
