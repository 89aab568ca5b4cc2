//! Layout of ring buffer records and of the loss counters.
//!
//! A record is a header of [`HEADER_SIZE`] bytes (`u32` index of the action in
//! [`crate::plan::Plan::actions`], `u32` index of the program) and the action's arguments at the
//! offsets that the plan gives, counted from the start of the record.

/// Bytes before the arguments of a record.
pub const HEADER_SIZE: u32 = 8;
/// Offset of the action's index, a `u32`.
pub const ACTION_OFFSET: u32 = 0;
/// Offset of the index of the program that sent the record, a `u32`.
pub const PROGRAM_OFFSET: u32 = 4;

/// Offset of the time of a packet, `CLOCK_BOOTTIME` in nanoseconds, a `u64`.
pub const PACKET_TIME: u32 = HEADER_SIZE;
/// Offset of the number of bytes of a packet, a `u64`.
pub const PACKET_LENGTH: u32 = PACKET_TIME + 8;
/// Offset of the bytes of a packet.
pub const PACKET_DATA: u32 = PACKET_LENGTH + 8;

/// What can be lost. The loss counters are an array in `.bss` with an entry for each program; an
/// entry is a `u64` counter for each of these, in this order. All CPUs add to the same counters,
/// atomically.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Loss {
    /// A record found no room in the ring buffer.
    RingFull = 0,
    /// A map update failed because the map was full.
    MapFull = 1,
    /// A run was skipped because too many of the program were under way on the CPU.
    Crowded = 2,
}

impl Loss {
    /// Every kind of loss, in the order of the counters.
    pub const ALL: [Loss; 3] = [Loss::RingFull, Loss::MapFull, Loss::Crowded];
    /// Bytes of a program's entry.
    pub const ENTRY_SIZE: u32 = 8 * Self::ALL.len() as u32;

    /// Offset of the counter in a program's entry, in bytes.
    pub const fn offset(self) -> u32 {
        8 * self as u32
    }
}
