//! Reading the verifier's log.

use std::fmt;
use std::io;

use crate::sys::bpf::{ProgramSpec, load_program};

/// The kernel's verifier refused a program. That is a bug of the compiler.
#[derive(Debug)]
pub struct Rejected {
    /// Symbol of the program.
    pub program: String,
    /// Why, in the verifier's words.
    pub reason: String,
    /// Index of the instruction that it was looking at.
    pub instruction: Option<usize>,
    /// Line of the script that the instruction comes from.
    pub line: Option<u32>,
    /// Column of the script, from 1.
    pub column: Option<u32>,
    /// Text of that line.
    pub source_line: Option<String>,
    /// The whole log.
    pub log: String,
    /// What the system call returned.
    pub error: io::Error,
}

impl Rejected {
    /// Whether the verifier did not come to an end: what it was given is no mistake of the compiler,
    /// but takes too many rounds or is too large.
    pub fn is_too_much(&self) -> bool {
        const SIGNS: [&str; 4] = [
            "infinite loop detected",
            "BPF program is too large",
            "jumps is too complex",
            "back-edge from insn",
        ];
        SIGNS.iter().any(|sign| self.reason.contains(sign))
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the kernel's verifier refuses program {}: {}", self.program, self.reason)?;
        match self.line {
            Some(line) => write!(f, " (line {line})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Rejected {}

/// First size of the log buffer, and the largest, in bytes.
const LOG_SIZES: [usize; 2] = [1 << 20, 64 << 20];
/// Bytes of a `struct bpf_line_info` (linux/bpf.h).
const LINE_INFO_SIZE: usize = 16;
/// Bits of `bpf_line_info::line_col` that hold the column.
const COLUMN_BITS: u32 = 10;

/// Loads a program once more, for the verifier's log alone.
pub(crate) fn log_of(spec: &ProgramSpec<'_>) -> String {
    let mut log = Vec::new();
    for size in LOG_SIZES {
        log = vec![0u8; size];
        match load_program(spec, &mut log) {
            Err(e) if e.raw_os_error() == Some(libc::ENOSPC) => {}
            _ => break,
        }
    }
    text(&log)
}

/// The text in a log buffer, which ends in NUL.
pub(crate) fn text(log: &[u8]) -> String {
    let text = log.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// What the log and the line records say about a rejection.
pub(crate) fn explain(program: &str, error: io::Error, log: String, lines: &[u8]) -> Rejected {
    let mut instruction = None;
    let mut source_line = None;
    let mut reason = None;
    for line in log.lines() {
        if let Some(index) = instruction_index(line) {
            instruction = Some(index);
            reason = None;
        } else if let Some(comment) = line.strip_prefix("; ") {
            // Since 6.9: `; source @ file:line`
            source_line = Some(comment.split(" @ ").next().unwrap_or(comment).to_owned());
        } else if !is_statistics(line) {
            reason = Some(line.trim());
        }
    }
    let reason = reason.map_or_else(|| error.to_string(), str::to_owned);
    let place = instruction.and_then(|i| line_of(lines, i));
    Rejected {
        program: program.to_owned(),
        reason,
        instruction,
        line: place.map(|(line, _)| line),
        column: place.map(|(_, column)| column).filter(|c| *c > 0),
        source_line,
        log,
        error,
    }
}

/// `12` of `12: (85) call bpf_trace_printk#6`.
fn instruction_index(line: &str) -> Option<usize> {
    let (index, rest) = line.split_once(": ")?;
    rest.starts_with('(').then(|| index.parse().ok())?
}

/// Lines after or between the interesting ones.
fn is_statistics(line: &str) -> bool {
    const STARTS: [&str; 12] = [
        "processed ",
        "verification time ",
        "stack depth ",
        "max_states ",
        "mark_precise",
        "from ",
        "func#",
        "peak_states ",
        "insns processed",
        "cur state:",
        "old state:",
        "parent ",
    ];
    let line = line.trim();
    // A line such as `4: R0=scalar()` tells the state of registers.
    let state = line.split_once(": R").is_some_and(|(n, _)| n.parse::<usize>().is_ok());
    line.is_empty() || state || STARTS.iter().any(|s| line.starts_with(s))
}

/// Line and column of the last line record at or before an instruction.
fn line_of(records: &[u8], instruction: usize) -> Option<(u32, u32)> {
    let word = |record: &[u8], at: usize| {
        record.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes)
    };
    let mut found = None;
    for record in records.chunks_exact(LINE_INFO_SIZE) {
        let (first, place) = (word(record, 0)?, word(record, 12)?);
        if first as usize > instruction {
            break;
        }
        found = Some((place >> COLUMN_BITS, place & ((1 << COLUMN_BITS) - 1)));
    }
    found.filter(|(line, _)| *line > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
func#0 @0
0: R1=ctx() R10=fp0
; $x = args.foo; @ script.rt:3
0: (b7) r0 = 0                        ; R0_w=0
1: (79) r1 = *(u64 *)(r1 +8)
invalid bpf_context access off=8 size=8
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
";

    fn record(instruction: u32, line: u32, column: u32) -> Vec<u8> {
        [instruction, 0, 0, (line << COLUMN_BITS) | column]
            .iter()
            .flat_map(|w| w.to_ne_bytes())
            .collect()
    }

    #[test]
    fn finds_reason_and_line() {
        let lines = [record(0, 2, 1), record(1, 3, 6), record(2, 4, 1)].concat();
        let error = io::Error::from_raw_os_error(libc::EACCES);
        let r = explain("probe", error, LOG.into(), &lines);
        assert_eq!(r.reason, "invalid bpf_context access off=8 size=8");
        assert_eq!((r.instruction, r.line, r.column), (Some(1), Some(3), Some(6)));
        assert_eq!(r.source_line.as_deref(), Some("$x = args.foo;"));
    }

    #[test]
    fn loops_that_do_not_end_are_told_apart() {
        let log = "0: (05) goto pc-1\ninfinite loop detected at insn 0\ncur state: R1=ctx()\n\
                   old state: R1=ctx()\nprocessed 2 insns (limit 1000000)\n";
        let error = || io::Error::from_raw_os_error(libc::EINVAL);
        let endless = explain("p", error(), log.into(), &[]);
        assert_eq!(endless.reason, "infinite loop detected at insn 0");
        assert!(endless.is_too_much() && !explain("p", error(), LOG.into(), &[]).is_too_much());
    }

    #[test]
    fn an_empty_log_leaves_the_errno() {
        let r = explain("p", io::Error::from_raw_os_error(libc::E2BIG), String::new(), &[]);
        assert!(r.reason.contains("too long"), "{}", r.reason);
        assert_eq!(r.line, None);
    }
}
