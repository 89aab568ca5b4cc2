//! Arguments of USDT probes, as the notes of a program describe them.
//!
//! A note has a text for each argument: its size in bytes, negative if it is signed, an `@` and an
//! operand in the notation of the architecture's assembler: `-4@%edi`, `8@-24(%rbp)`, `4@[sp, 12]`
//! (sys/sdt.h of SystemTap, "Defining probes"; its wiki, "UserSpaceProbeImplementation").

mod aarch64;
mod operand;
mod x86_64;

use std::fmt;

use crate::profile::Arch;

/// An argument of a USDT probe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Argument {
    /// Bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// Two's complement.
    pub signed: bool,
    /// Where its value is.
    pub place: Place,
}

/// Where the value of an argument is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Nowhere: it is this.
    Constant(i64),
    /// In a register, from this bit on.
    Register {
        /// Bytes from the start of `struct pt_regs`.
        offset: u32,
        /// The lowest bit of the value: 8 for `%ah` and the like, else 0.
        shift: u8,
    },
    /// In memory.
    Memory(Memory),
}

/// An address: the sum of its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    /// A symbol of the file. Its address is known only once the file is loaded.
    pub symbol: Option<String>,
    /// Bytes.
    pub displacement: i64,
    /// A register, by its offset in `struct pt_regs`.
    pub base: Option<u32>,
    /// A scaled register.
    pub index: Option<Index>,
}

/// A register that is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Index {
    /// Bytes from the start of `struct pt_regs`.
    pub register: u32,
    /// What is taken of the register.
    pub extend: Extend,
    /// Factor: 1, 2, 4 or 8.
    pub scale: u8,
}

/// What is taken of an index register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extend {
    /// All of it.
    Whole,
    /// The lower half, zero-extended.
    Unsigned32,
    /// The lower half, sign-extended.
    Signed32,
}

/// An argument that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its text in the note.
    pub text: String,
    /// Why.
    pub reason: &'static str,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.text, self.reason)
    }
}

/// The texts of a probe's arguments: they are separated by spaces, but may have some in brackets.
pub fn split(arguments: &str) -> Vec<&str> {
    let mut depth = 0u32;
    let separate = |c: char| {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && c.is_ascii_whitespace()
    };
    arguments.split(separate).filter(|text| !text.is_empty()).collect()
}

/// Reads one argument.
///
/// # Errors
///
/// It is a floating-point number, lies in thread-local memory, or is no argument at all.
pub fn parse(text: &str, arch: Arch) -> Result<Argument, Unreadable> {
    let unreadable = |reason| Unreadable { text: text.to_owned(), reason };
    let (size, signed, operand) = match text.split_once('@') {
        Some((size, operand)) => {
            let (size, signed) = parse_size(size).map_err(unreadable)?;
            (size, signed, operand)
        }
        // Old notes say nothing of the size.
        None => (8, false, text),
    };
    let place = match arch {
        Arch::X86_64 => x86_64::place(operand.trim()),
        Arch::Aarch64 => aarch64::place(operand.trim()),
    };
    Ok(Argument { size, signed, place: place.map_err(unreadable)? })
}

fn parse_size(text: &str) -> Result<(u8, bool), &'static str> {
    if text.ends_with('f') {
        return Err("programs in the kernel cannot compute with floating-point numbers");
    }
    match text.trim().parse::<i8>() {
        Ok(size @ (1 | 2 | 4 | 8 | -1 | -2 | -4 | -8)) => Ok((size.unsigned_abs(), size < 0)),
        Ok(_) => Err("only sizes of 1, 2, 4 and 8 bytes can be read"),
        Err(_) => Err("its size is no number"),
    }
}

/// Writes the symbols in the arguments of a probe at `address` as distances from it, which are
/// the same wherever the file is loaded: `4@counter(%rip)` becomes `4@8212(%rip)`. What cannot be
/// read or found stays as it is.
pub fn resolve_symbols(
    arguments: &str,
    arch: Arch,
    address: u64,
    find: impl Fn(&str) -> Option<u64>,
) -> String {
    let resolved = split(arguments).into_iter().map(|text| {
        let Ok(Argument { size, signed, place: Place::Memory(memory) }) = parse(text, arch) else {
            return text.to_owned();
        };
        let Some(target) = memory.symbol.as_deref().and_then(&find) else {
            return text.to_owned();
        };
        let distance = target.wrapping_sub(address).cast_signed();
        let displacement = memory.displacement.wrapping_add(distance);
        let sign = if signed { "-" } else { "" };
        let operand = match arch {
            Arch::X86_64 => x86_64::near(displacement, memory.index),
            Arch::Aarch64 => aarch64::near(displacement),
        };
        format!("{sign}{size}@{operand}")
    });
    resolved.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_told_apart() {
        assert_eq!(split("8@%rdi -4@$5"), ["8@%rdi", "-4@$5"]);
        assert_eq!(split(" 4@[sp, 12]  8@x0"), ["4@[sp, 12]", "8@x0"]);
        assert_eq!(split("8@(%rax, %rbx, 8) 1@%al"), ["8@(%rax, %rbx, 8)", "1@%al"]);
        assert!(split("").is_empty());
        assert_eq!(split(")] 8@%rdi"), [")]", "8@%rdi"]);
    }

    #[test]
    fn sizes_and_signs() {
        let size = |text| parse(text, Arch::X86_64).map(|a| (a.size, a.signed));
        assert_eq!(size("-4@$1"), Ok((4, true)));
        assert_eq!(size("1@$1"), Ok((1, false)));
        assert_eq!(size("%rdi"), Ok((8, false)));
        for text in ["8f@%xmm0", "16@%xmm0", "3@%rdi", "@%rdi", "x@%rdi", "-@%rdi", "0@$1"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn symbols_become_distances() {
        let find = |name: &str| (name == "counter").then_some(0x3000);
        let resolve = |text| resolve_symbols(text, Arch::X86_64, 0x1000, find);
        assert_eq!(resolve("-4@counter(%rip) 8@%rdi"), "-4@8192(%rip) 8@%rdi");
        assert_eq!(resolve("4@counter+4(%rip)"), "4@8196(%rip)");
        assert_eq!(resolve("4@counter-4"), "4@8188(%rip)");
        assert_eq!(resolve("4@counter(,%rax,4)"), "4@8192(%rip,%rax,4)");
        assert_eq!(resolve("4@unknown(%rip)"), "4@unknown(%rip)");
        // What was written can be read again.
        for text in ["4@8192(%rip)", "4@-8(%rip,%rax,4)"] {
            assert!(parse(text, Arch::X86_64).is_ok(), "{text}");
            assert_eq!(resolve(text), text);
        }
    }

    #[test]
    fn nonsense_is_refused_on_every_architecture() {
        for text in
            ["", "@", "8@", "8@(", "8@)", "8@[", "8@[x0", "8@$", "8@%", "8@()", "8@[]", "8@,"]
        {
            for arch in [Arch::X86_64, Arch::Aarch64] {
                assert!(parse(text, arch).is_err(), "{text}");
            }
        }
    }
}
