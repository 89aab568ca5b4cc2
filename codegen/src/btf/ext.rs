//! `.BTF.ext`: which function and which line of the script an instruction is of, and which
//! instructions depend on the running kernel's types (CO-RE).

use super::{TypeId, count, put};
use crate::btf::strings::Strings;

/// Bytes of `struct btf_ext_header` with CO-RE fields.
const HEADER_SIZE: u32 = 32;
/// Bytes of `struct bpf_func_info`.
const FUNC_INFO_SIZE: u32 = 8;
/// Bytes of `struct bpf_line_info`.
const LINE_INFO_SIZE: u32 = 16;
/// Bytes of `struct bpf_core_relo`.
const CORE_RELO_SIZE: u32 = 16;
/// A line number has 22 bits, a column 10 (`BPF_LINE_INFO_LINE_NUM`, `BPF_LINE_INFO_LINE_COL`).
const MAX_LINE: u32 = (1 << 22) - 1;
const MAX_COLUMN: u32 = (1 << 10) - 1;
/// Bytes of a source line that are kept: the kernel prints it on one line of its log.
const MAX_TEXT: usize = 200;

/// What `.BTF.ext` says of one code section. Offsets are in bytes from its start and ascend.
#[derive(Clone, Debug, Default)]
pub struct SectionInfo {
    name: u32,
    funcs: Vec<u32>,
    lines: Vec<u32>,
    relos: Vec<u32>,
}

impl SectionInfo {
    /// Nothing yet about the section of this name.
    pub fn new(strings: &mut Strings, name: &str) -> Self {
        Self { name: strings.offset(name), ..Self::default() }
    }

    /// The function `func` begins at `offset`.
    pub fn func(&mut self, offset: u32, func: TypeId) {
        self.funcs.extend([offset, func]);
    }

    /// Code of a source line begins at `offset`. Numbers beyond the format's are cut to its largest.
    pub fn line(
        &mut self,
        strings: &mut Strings,
        offset: u32,
        file: &str,
        text: &str,
        line: u32,
        column: u32,
    ) {
        let file = strings.offset(file);
        let text = strings.offset(shorten(text));
        self.lines.extend([
            offset,
            file,
            text,
            (line.min(MAX_LINE) << 10) | column.min(MAX_COLUMN),
        ]);
    }

    /// The instruction at `offset` depends on what `access` finds in `root`.
    pub fn relo(
        &mut self,
        strings: &mut Strings,
        offset: u32,
        root: TypeId,
        access: &str,
        kind: u32,
    ) {
        self.relos.extend([offset, root, strings.offset(access), kind]);
    }
}

/// A source line without its indentation, cut at a character's end.
fn shorten(text: &str) -> &str {
    let text = text.lines().next().unwrap_or_default().trim();
    let end = (0..=MAX_TEXT.min(text.len())).rev().find(|&i| text.is_char_boundary(i));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// One of the three parts: a record's size, then each section's name, count and records.
fn part(sections: &[SectionInfo], size: u32, records: impl Fn(&SectionInfo) -> &[u32]) -> Vec<u8> {
    let mut out = Vec::new();
    for section in sections {
        let words = records(section);
        if words.is_empty() {
            continue;
        }
        if out.is_empty() {
            put(&mut out, &[size]);
        }
        put(&mut out, &[section.name, count(words.len()) * 4 / size]);
        put(&mut out, words);
    }
    out
}

/// The section.
pub fn finish(sections: &[SectionInfo]) -> Vec<u8> {
    let funcs = part(sections, FUNC_INFO_SIZE, |s| &s.funcs);
    let lines = part(sections, LINE_INFO_SIZE, |s| &s.lines);
    let relos = part(sections, CORE_RELO_SIZE, |s| &s.relos);
    let (f, l, r) = (count(funcs.len()), count(lines.len()), count(relos.len()));
    let mut out = Vec::new();
    out.extend_from_slice(&super::MAGIC.to_le_bytes());
    out.extend_from_slice(&[1, 0]);
    put(&mut out, &[HEADER_SIZE, 0, f, f, l, f + l, r]);
    for part in [funcs, lines, relos] {
        out.extend_from_slice(&part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_to_what_the_format_holds() {
        let mut strings = Strings::default();
        let mut info = SectionInfo::new(&mut strings, "xdp");
        info.line(&mut strings, 0, "f", &format!("\t{}", "ü".repeat(150)), u32::MAX, u32::MAX);
        assert_eq!(info.lines[3], u32::MAX);
        // "xdp", "f" and 100 two-byte characters, each with a NUL
        assert_eq!(strings.bytes().len(), 1 + 4 + 2 + 201);
    }

    #[test]
    fn empty_parts_have_no_bytes() {
        let mut strings = Strings::default();
        let mut info = SectionInfo::new(&mut strings, "xdp");
        info.func(0, 7);
        let bytes = finish(&[info]);
        assert_eq!(bytes.len(), 32 + 4 + 8 + 8);
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!([word(12), word(20), word(28)], [20, 0, 0]);
        assert_eq!([word(32), word(40), word(44), word(48)], [8, 1, 0, 7]);
    }
}
