//! Where instructions begin. A probe in the middle of one would break the program that it is in.

use iced_x86::{Decoder, DecoderOptions};

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
}
