//! Where instructions begin, and what some of them do. A probe in the middle of one would break the program
//! that it is in.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Register};

/// Bytes of every instruction on 64-bit Arm.
const ARM_INSTRUCTION: usize = 4;

/// Whether an instruction begins `offset` bytes into `code`, whose first instruction is at 0.
/// Code that cannot be decoded is given the benefit of the doubt.
pub(super) fn begins_at(code: &[u8], offset: usize) -> bool {
    if cfg!(target_arch = "aarch64") {
        return offset.is_multiple_of(ARM_INSTRUCTION);
    }
    let mut decoder = Decoder::new(64, code, DecoderOptions::NONE);
    while decoder.can_decode() && decoder.position() < offset {
        if decoder.decode().is_invalid() {
            return true;
        }
    }
    decoder.position() == offset
}

/// Where in a function's code the instructions are that return from it, in bytes. `None`: it cannot be
/// decoded.
pub(super) fn returns(code: &[u8]) -> Option<Vec<usize>> {
    if cfg!(target_arch = "aarch64") {
        return Some(arm_returns(code));
    }
    let mut decoder = Decoder::new(64, code, DecoderOptions::NONE);
    let mut found = Vec::new();
    while decoder.can_decode() {
        let at = decoder.position();
        let instruction = decoder.decode();
        // Where one begins behind what cannot be decoded, nobody knows.
        if instruction.is_invalid() {
            return None;
        }
        if matches!(instruction.code(), Code::Retnq | Code::Retnq_imm16) {
            found.push(at);
        }
    }
    Some(found)
}

/// Most instructions of the check that [`behind_stack_check`] looks for.
const CHECK: usize = 4;
/// Where in Go's description of a goroutine the end of its stack is, in bytes (`g.stackguard0`).
const STACK_GUARD: u64 = 16;

/// Where a function of Go goes on behind the check that there is room for it on the stack, in bytes; 0 if it
/// begins with none, or with one of another form. Where there is no room, and where the goroutine is to make
/// way for others, the function begins anew. Arguments are where they were: the check uses what no
/// function expects anything in.
pub(super) fn behind_stack_check(code: &[u8]) -> usize {
    if cfg!(target_arch = "aarch64") {
        return behind_arm_stack_check(code);
    }
    let mut decoder = Decoder::new(64, code, DecoderOptions::NONE);
    let mut compared = false;
    for _ in 0..CHECK {
        if !decoder.can_decode() {
            return 0;
        }
        let instruction = decoder.decode();
        match instruction.code() {
            // The end of the frame, if that is large.
            Code::Lea_r64_m if instruction.op0_register() == Register::R12 => {}
            Code::Cmp_r64_rm64 if is_of_stack_guard(&instruction) => compared = true,
            Code::Jbe_rel8_64 | Code::Jbe_rel32_64 if compared => return decoder.position(),
            _ => return 0,
        }
    }
    0
}

/// Whether an instruction reads the end of the stack, by the goroutine that is in `r14`.
fn is_of_stack_guard(instruction: &Instruction) -> bool {
    instruction.memory_base() == Register::R14 && instruction.memory_displacement64() == STACK_GUARD
}

/// `ldr x16, [x28, 16]`, by the goroutine that is in `x28`; then a comparison of two or three instructions
/// and `b.ls`.
fn behind_arm_stack_check(code: &[u8]) -> usize {
    const LOAD: u32 = 0xf940_0b90;
    let words = code.chunks_exact(ARM_INSTRUCTION).take(CHECK);
    let words = words.filter_map(|word| word.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)));
    let mut numbered = words.enumerate();
    if numbered.next() != Some((0, LOAD)) {
        return 0;
    }
    let branch = numbered.find(|(_, word)| word & 0xff00_001f == 0x5400_0009);
    branch.map_or(0, |(i, _)| (i + 1) * ARM_INSTRUCTION)
}

/// `RET Xn` is 0xd65f0000, with the number of the register in bits 5 to 9.
fn arm_returns(code: &[u8]) -> Vec<usize> {
    let words = code.chunks_exact(ARM_INSTRUCTION).enumerate();
    let is_return = |word: &[u8]| {
        let word = word.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        word.is_some_and(|word| word & 0xffff_fc1f == 0xd65f_0000)
    };
    words.filter(|(_, word)| is_return(word)).map(|(i, _)| i * ARM_INSTRUCTION).collect()
}

#[cfg(test)]
mod tests_of_arm {
    use super::{arm_returns, behind_arm_stack_check};

    #[test]
    fn finds_the_end_of_stack_checks() {
        // ldr x16, [x28, 16]; cmp sp, x16; b.ls; nop
        let words: [u32; 4] = [0xf940_0b90, 0xeb30_63ff, 0x5400_0109, 0xd503_201f];
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(behind_arm_stack_check(&code), 12);
        assert_eq!(behind_arm_stack_check(&code[4..]), 0);
        assert_eq!(behind_arm_stack_check(&code[..8]), 0);
    }

    #[test]
    fn finds_returns() {
        // stp x29, x30, [sp, -16]!; ret; nop; ret x1; and a half
        let words: [u32; 4] = [0xa9bf_7bfd, 0xd65f_03c0, 0xd503_201f, 0xd65f_0020];
        let mut code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        code.extend([0xc0, 0x03]);
        assert_eq!(arm_returns(&code), [4, 12]);
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn knows_the_middle_of_an_instruction() {
        // push rbp; mov rbp, rsp; ret
        let code = [0x55, 0x48, 0x89, 0xe5, 0xc3];
        let begins: Vec<usize> = (0..code.len()).filter(|o| begins_at(&code, *o)).collect();
        assert_eq!(begins, [0, 1, 4]);
        assert!(!begins_at(&code, 100));
    }

    #[test]
    fn finds_the_end_of_stack_checks() {
        // cmp rsp, [r14 + 16]; jbe; sub rsp, 24
        let small = [0x49, 0x3b, 0x66, 0x10, 0x76, 0x20, 0x48, 0x83, 0xec, 0x18];
        assert_eq!(behind_stack_check(&small), 6);
        // lea r12, [rsp - 152]; cmp r12, [r14 + 16]; jbe
        let large = [
            0x4c, 0x8d, 0xa4, 0x24, 0x68, 0xff, 0xff, 0xff, 0x4d, 0x3b, 0x66, 0x10, 0x0f, 0x86,
            0x81, 0, 0, 0, 0x55,
        ];
        assert_eq!(behind_stack_check(&large), 18);
        for code in [&small[4..], &small[..4], &[0xc3], &[]] {
            assert_eq!(behind_stack_check(code), 0);
        }
    }

    #[test]
    fn finds_returns() {
        // mov eax, 0xc3; ret; ret 8; a byte that begins no instruction
        let code = [0xb8, 0xc3, 0, 0, 0, 0xc3, 0xc2, 8, 0, 0x06];
        assert_eq!(returns(&code[..9]), Some(vec![5, 6]));
        assert_eq!(returns(&code), None);
        assert_eq!(returns(&[]), Some(Vec::new()));
    }
}
