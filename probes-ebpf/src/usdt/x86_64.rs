//! Operands in the notation of AT&T: `$5`, `%rdi`, `16(%rsp)`, `(%rax,%rbx,8)`, `counter(%rip)`.

use super::operand::{number, sum};
use super::{Extend, Index, Memory, Place};

/// Names of the parts of each register of 64, 32, 16 and 8 bits, and where it is in
/// `struct pt_regs` (arch/x86/include/uapi/asm/ptrace.h).
const REGISTERS: &[(u32, &[&str])] = &[
    (0, &["r15", "r15d", "r15w", "r15b"]),
    (8, &["r14", "r14d", "r14w", "r14b"]),
    (16, &["r13", "r13d", "r13w", "r13b"]),
    (24, &["r12", "r12d", "r12w", "r12b"]),
    (32, &["rbp", "ebp", "bp", "bpl"]),
    (40, &["rbx", "ebx", "bx", "bl"]),
    (48, &["r11", "r11d", "r11w", "r11b"]),
    (56, &["r10", "r10d", "r10w", "r10b"]),
    (64, &["r9", "r9d", "r9w", "r9b"]),
    (72, &["r8", "r8d", "r8w", "r8b"]),
    (80, &["rax", "eax", "ax", "al"]),
    (88, &["rcx", "ecx", "cx", "cl"]),
    (96, &["rdx", "edx", "dx", "dl"]),
    (104, &["rsi", "esi", "si", "sil"]),
    (112, &["rdi", "edi", "di", "dil"]),
    (RIP, &["rip", "eip"]),
    (152, &["rsp", "esp", "sp", "spl"]),
];
/// Registers whose second byte has a name.
const SECOND_BYTES: &[(u32, &str)] = &[(40, "bh"), (80, "ah"), (88, "ch"), (96, "dh")];
/// Offset of the instruction pointer.
const RIP: u32 = 128;

/// Reads an operand.
pub(super) fn place(text: &str) -> Result<Place, &'static str> {
    if let Some(constant) = text.strip_prefix('$') {
        let value = number(constant).ok_or("only numbers can be constants")?;
        return Ok(Place::Constant(value));
    }
    // `%fs:16`
    if text.contains(':') {
        return Err("it is relative to a segment, as thread-local variables are");
    }
    if let Some(name) = text.strip_prefix('%') {
        let second = SECOND_BYTES.iter().find(|(_, n)| *n == name).map(|(offset, _)| (*offset, 8));
        let whole = || register(name).map(|offset| (offset, 0));
        let (offset, shift) = second.or_else(whole).ok_or(UNKNOWN_REGISTER)?;
        return Ok(Place::Register { offset, shift });
    }
    memory(text).map(Place::Memory)
}

const UNKNOWN_REGISTER: &str = "only registers for integers can be read";

fn register(name: &str) -> Option<u32> {
    REGISTERS.iter().find(|(_, names)| names.contains(&name)).map(|(offset, _)| *offset)
}

/// `DISPLACEMENT(BASE,INDEX,SCALE)`, of which most may be left out.
fn memory(text: &str) -> Result<Memory, &'static str> {
    const MALFORMED: &str = "it is no operand of this processor";
    let (before, inside) = match text.split_once('(') {
        Some((before, rest)) => (before.trim(), Some(rest.strip_suffix(')').ok_or(MALFORMED)?)),
        None => (text, None),
    };
    let (symbol, displacement) = match (before, inside) {
        ("", Some(_)) => (None, 0),
        (before, _) => sum(before).ok_or(MALFORMED)?,
    };
    let mut memory = Memory { symbol, displacement, base: None, index: None };
    let Some(inside) = inside else { return Ok(memory) };
    let wanted =
        |name: &str| name.strip_prefix('%').and_then(register).ok_or(UNKNOWN_REGISTER).map(Some);
    let parts: Vec<&str> = inside.split(',').map(str::trim).collect();
    let (base, index, scale) = match parts.as_slice() {
        [base] => (*base, "", "1"),
        [base, index] => (*base, *index, "1"),
        [base, index, scale] => (*base, *index, *scale),
        _ => return Err(MALFORMED),
    };
    if base.is_empty() && index.is_empty() {
        return Err(MALFORMED);
    }
    memory.base = if base.is_empty() { None } else { wanted(base)? };
    if !index.is_empty() {
        let scale = match scale {
            "1" => 1,
            "2" => 2,
            "4" => 4,
            "8" => 8,
            _ => return Err(MALFORMED),
        };
        let register = wanted(index)?;
        memory.index = register.map(|register| Index { register, extend: Extend::Whole, scale });
    }
    Ok(memory)
}

/// The operand for a place so far from the instruction.
pub(super) fn near(displacement: i64, index: Option<Index>) -> String {
    let names = |offset| REGISTERS.iter().find(|(o, _)| *o == offset).and_then(|(_, n)| n.first());
    match index.and_then(|index| Some((names(index.register)?, index.scale))) {
        Some((name, scale)) => format!("{displacement}(%rip,%{name},{scale})"),
        None => format!("{displacement}(%rip)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register_at(text: &str) -> Option<(u32, u8)> {
        match place(text) {
            Ok(Place::Register { offset, shift }) => Some((offset, shift)),
            _ => None,
        }
    }

    #[test]
    fn registers_of_every_width() {
        for (text, offset) in
            [("%rdi", 112), ("%edi", 112), ("%di", 112), ("%dil", 112), ("%r15b", 0), ("%rsp", 152)]
        {
            assert_eq!(register_at(text), Some((offset, 0)), "{text}");
        }
        assert_eq!(register_at("%ah"), Some((80, 8)));
        assert_eq!(register_at("%xmm0"), None);
        assert_eq!(register_at("%"), None);
    }

    #[test]
    fn constants() {
        assert_eq!(place("$5"), Ok(Place::Constant(5)));
        assert_eq!(place("$-0x10"), Ok(Place::Constant(-16)));
        assert_eq!(place("$9223372036854775807"), Ok(Place::Constant(i64::MAX)));
        assert!(place("$counter").is_err());
    }

    #[test]
    fn memory_in_every_form() {
        let plain = Memory::default();
        let rbp = Some(32);
        let index = |scale| Some(Index { register: 80, extend: Extend::Whole, scale });
        let symbol = |name: &str| Some(name.to_owned());
        for (text, expected) in [
            ("(%rbp)", Memory { base: rbp, ..plain.clone() }),
            ("-20(%rbp)", Memory { base: rbp, displacement: -20, ..plain.clone() }),
            ("0x10(%rbp)", Memory { base: rbp, displacement: 16, ..plain.clone() }),
            ("(%rbp,%rax)", Memory { base: rbp, index: index(1), ..plain.clone() }),
            (
                "8(%rbp, %rax, 4)",
                Memory { base: rbp, index: index(4), displacement: 8, symbol: None },
            ),
            ("(,%rax,8)", Memory { index: index(8), ..plain.clone() }),
            ("4096", Memory { displacement: 4096, ..plain.clone() }),
            ("a", Memory { symbol: symbol("a"), ..plain.clone() }),
            (
                "a+4(%rip)",
                Memory { symbol: symbol("a"), displacement: 4, base: Some(RIP), index: None },
            ),
            (
                "8+a(,%rax,2)",
                Memory { symbol: symbol("a"), displacement: 8, base: None, index: index(2) },
            ),
        ] {
            assert_eq!(place(text), Ok(Place::Memory(expected)), "{text}");
        }
        for text in ["%fs:16", "(%xmm0)", "(%rax,%rbx,3)", "(%rax", "a b(%rip)", "(%rax,%rbx,1,1)"]
        {
            assert!(place(text).is_err(), "{text}");
        }
    }
}
