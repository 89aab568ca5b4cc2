//! Operands of AArch64: `5`, `x0`, `w0`, `[sp, 16]`, `[x1, x2, lsl 3]`.

use super::operand::{number, sum};
use super::{Extend, Index, Memory, Place};

/// Offsets in `struct user_pt_regs` (arch/arm64/include/uapi/asm/ptrace.h).
const STACK_POINTER: u32 = 248;
const PROGRAM_COUNTER: u32 = 256;

const MALFORMED: &str = "it is no operand of this processor";

/// Reads an operand.
pub(super) fn place(text: &str) -> Result<Place, &'static str> {
    if let Some(inside) = text.strip_prefix('[') {
        return memory(inside.strip_suffix(']').ok_or(MALFORMED)?).map(Place::Memory);
    }
    let constant = text.strip_prefix('#').unwrap_or(text);
    if let Some(value) = number(constant) {
        return Ok(Place::Constant(value));
    }
    if let Some((offset, _)) = register(text) {
        return Ok(Place::Register { offset, shift: 0 });
    }
    // `v0`, `d0`, `s0`: none for integers.
    let kind = text.chars().next().filter(|c| "bhsdqv".contains(*c));
    if kind.is_some() && text.get(1..).is_some_and(|n| n.parse::<u8>().is_ok()) {
        return Err("only registers for integers can be read");
    }
    match sum(text) {
        Some((symbol @ Some(_), displacement)) => {
            Ok(Place::Memory(Memory { symbol, displacement, base: None, index: None }))
        }
        _ => Err(MALFORMED),
    }
}

/// Offset of a register, and whether its name is that of the lower half.
fn register(name: &str) -> Option<(u32, bool)> {
    match name {
        "sp" => return Some((STACK_POINTER, false)),
        "wsp" => return Some((STACK_POINTER, true)),
        "pc" => return Some((PROGRAM_COUNTER, false)),
        "fp" => return Some((29 * 8, false)),
        "lr" => return Some((30 * 8, false)),
        _ => {}
    }
    let half = name.starts_with('w');
    let digits = name.strip_prefix(['x', 'w'])?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u32 = digits.parse().ok().filter(|n| plain && *n <= 30)?;
    Some((number * 8, half))
}

/// `BASE`, `BASE, DISPLACEMENT` or `BASE, INDEX[, EXTENSION AMOUNT]`.
fn memory(inside: &str) -> Result<Memory, &'static str> {
    let parts: Vec<&str> = inside.split(',').map(str::trim).collect();
    let (base, rest) = parts.split_first().ok_or(MALFORMED)?;
    let (base, false) = register(base).ok_or(MALFORMED)? else { return Err(MALFORMED) };
    let mut memory = Memory { base: Some(base), ..Memory::default() };
    match rest {
        [] => {}
        [offset] if register(offset).is_none() => {
            let offset = offset.strip_prefix('#').unwrap_or(offset);
            memory.displacement =
                number(offset).ok_or("a part of an address stands for a symbol")?;
        }
        [index] => memory.index = Some(scaled(index, "")?),
        [index, extension] => memory.index = Some(scaled(index, extension)?),
        _ => return Err(MALFORMED),
    }
    Ok(memory)
}

fn scaled(index: &str, extension: &str) -> Result<Index, &'static str> {
    let (register, half) = register(index).ok_or(MALFORMED)?;
    let mut words = extension.split_ascii_whitespace();
    let extend = match (words.next(), half) {
        (None, _) | (Some("lsl" | "sxtx" | "uxtx"), false) => Extend::Whole,
        (Some("uxtw"), true) => Extend::Unsigned32,
        (Some("sxtw"), true) => Extend::Signed32,
        _ => return Err(MALFORMED),
    };
    let scale = match words.next().map(|n| n.strip_prefix('#').unwrap_or(n)) {
        None | Some("0") => 1,
        Some("1") => 2,
        Some("2") => 4,
        Some("3") => 8,
        Some(_) => return Err(MALFORMED),
    };
    Ok(Index { register, extend, scale })
}

/// The operand for a place so far from the instruction.
pub(super) fn near(displacement: i64) -> String {
    format!("[pc, {displacement}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_and_constants() {
        for (text, offset) in [("x0", 0), ("w1", 8), ("x30", 240), ("sp", 248), ("fp", 232)] {
            assert_eq!(place(text), Ok(Place::Register { offset, shift: 0 }), "{text}");
        }
        assert_eq!(place("-5"), Ok(Place::Constant(-5)));
        assert_eq!(place("#0x10"), Ok(Place::Constant(16)));
        for text in ["v0", "d3", "%x0", "#x"] {
            assert!(place(text).is_err(), "{text}");
        }
    }

    #[test]
    fn memory_in_every_form() {
        let plain = Memory { base: Some(8), ..Memory::default() };
        let index = |extend, scale| Some(Index { register: 16, extend, scale });
        for (text, expected) in [
            ("[x1]", plain.clone()),
            ("[x1, 16]", Memory { displacement: 16, ..plain.clone() }),
            ("[x1, #-16]", Memory { displacement: -16, ..plain.clone() }),
            ("[x1, x2]", Memory { index: index(Extend::Whole, 1), ..plain.clone() }),
            ("[x1,x2,lsl 3]", Memory { index: index(Extend::Whole, 8), ..plain.clone() }),
            ("[x1, w2, sxtw #2]", Memory { index: index(Extend::Signed32, 4), ..plain.clone() }),
            ("[x1, w2, uxtw]", Memory { index: index(Extend::Unsigned32, 1), ..plain.clone() }),
            (
                &near(-8),
                Memory { displacement: -8, base: Some(PROGRAM_COUNTER), ..Memory::default() },
            ),
        ] {
            assert_eq!(place(text), Ok(Place::Memory(expected)), "{text}");
        }
        for text in
            ["[w1]", "[x1, #:lo12:a]", "[x1, x2, lsl 4]", "[x1, x2, ror 1]", "[x1, x2, x3, 4]"]
        {
            assert!(place(text).is_err(), "{text}");
        }
        assert!(matches!(
            place("a+4"),
            Ok(Place::Memory(Memory { symbol: Some(_), displacement: 4, .. }))
        ));
    }
}
