//! Reading integers from bytes, in the byte order of this machine.

use super::DecodeError;

/// `len` bytes from `offset`.
pub(super) fn slice(bytes: &[u8], offset: u32, len: u32) -> Result<&[u8], DecodeError> {
    let short = || DecodeError::Short {
        need: usize::try_from(u64::from(offset) + u64::from(len)).unwrap_or(usize::MAX),
        have: bytes.len(),
    };
    let start = usize::try_from(offset).map_err(|_| short())?;
    let len = usize::try_from(len).map_err(|_| short())?;
    let end = start.checked_add(len).ok_or_else(short)?;
    bytes.get(start..end).ok_or_else(short)
}

/// A `u32` at `offset`.
pub(super) fn u32_at(bytes: &[u8], offset: u32) -> Result<u32, DecodeError> {
    Ok(u32::from_ne_bytes(array(slice(bytes, offset, 4)?)))
}

/// A `u64` at `offset`.
pub(super) fn u64_at(bytes: &[u8], offset: u32) -> Result<u64, DecodeError> {
    Ok(u64::from_ne_bytes(array(slice(bytes, offset, 8)?)))
}

/// An unsigned integer of 1, 2, 4 or 8 bytes at the start of `bytes`.
pub(super) fn unsigned(bytes: &[u8], size: u8) -> Result<u64, DecodeError> {
    let bytes = slice(bytes, 0, u32::from(size))?;
    Ok(match size {
        1 => u64::from(u8::from_ne_bytes(array(bytes))),
        2 => u64::from(u16::from_ne_bytes(array(bytes))),
        4 => u64::from(u32::from_ne_bytes(array(bytes))),
        8 => u64::from_ne_bytes(array(bytes)),
        _ => return Err(DecodeError::BadInteger(size)),
    })
}

/// The bytes as an array; the caller has checked the length.
pub(super) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}
