//! Tables by which programs unwind user stacks: user space writes them, the code of `dw_ustack()`
//! reads them, and both know their layout from here.
//!
//! An address of a process is looked up in a trie of [`place`]s, which tells the rows of the file
//! that is mapped there. A row is a `u64`: in its upper half where in the file the row begins, in
//! its lower half the number of a [`Rule`]; it holds up to the next row. All rows of all files lie
//! in one array, those of a file together and ascending, the first one for its very beginning.

use crate::types::{Record, RecordKind, Type, lay_out};

/// Number of the rule for code without unwind data: by frame pointers ([`Rule::FRAME_POINTER`]).
pub const FRAME_POINTER: u32 = 0;
/// Number of the rule where nothing is known of the caller: there is none, or it takes more than a
/// [`Rule`] can say ([`Rule::END`]).
pub const END: u32 = 1;
/// Rules that there is room for: the largest programs have a thousand or two.
pub const MOST_RULES: u32 = 1 << 13;
/// Places that there is room for; a mapping is some ten to twenty of them.
pub const MOST_PLACES: u32 = 1 << 18;

/// The key of a place: `u32` number of bits of what follows that count, then, highest byte first,
/// `u32` process id and `u64` address. No bit of the address: all of the process.
pub mod key {
    /// Offset of the number of bits.
    pub const BITS: u32 = 0;
    /// Offset of the process id.
    pub const PROCESS: u32 = 4;
    /// Offset of the address.
    pub const ADDRESS: u32 = 8;
    /// Bytes of a key.
    pub const SIZE: u32 = 16;
    /// Bits of the process id.
    pub const PROCESS_BITS: u32 = 32;
    /// Bits of process id and address.
    pub const ALL_BITS: u32 = 96;
}

/// What is at an address of a process.
pub mod place {
    /// Offset of what to subtract from an address to get the place in the file, a `u64`.
    pub const BIAS: u32 = 0;
    /// Offset of the index of the file's first row, a `u32`.
    pub const FIRST: u32 = 8;
    /// Offset of the number of rows, a `u32`; 0: there is no unwind data.
    pub const ROWS: u32 = 12;
    /// Offset of the number of halvings that lead to one of that many rows, a `u32`.
    pub const HALVINGS: u32 = 16;
    /// Offset of a `u32` that is 1 if code is known to be mapped there, else 0.
    pub const MAPPED: u32 = 20;
    /// Bytes of a place.
    pub const SIZE: u32 = 24;
}

/// Offsets in a rule as the program reads it.
pub mod rule {
    /// `u32`: see [`super::flag`].
    pub const FLAGS: u32 = 0;
    /// `i32`: what to add to the frame's address once it is read ([`super::flag::INDIRECT`]).
    pub const CFA_ADD: u32 = 4;
    /// `u32` base and `i32` distance of the frame's address.
    pub const CFA: u32 = 8;
    /// As for the frame's address: where the return address is.
    pub const RETURN_ADDRESS: u32 = 16;
    /// As for the frame's address: where the caller's `rbp` is.
    pub const RBP: u32 = 24;
    /// Bytes from a base to its distance.
    pub const DISTANCE: u32 = 4;
    /// Bytes of a rule.
    pub const SIZE: u32 = 32;
}

/// Bits of [`rule::FLAGS`].
pub mod flag {
    /// There is no caller to be found.
    pub const END: u32 = 1;
    /// The frame's address is read from where it would be.
    pub const INDIRECT: u32 = 2;
    /// In a slot of a procedure linkage table: the frame's address is 8 more from the eleventh byte
    /// of its 16 on, behind a push.
    pub const LINKAGE: u32 = 4;
    /// `rbp` is saved.
    pub const SAVES_RBP: u32 = 8;
    /// A signal interrupted the caller, so that its address is that of an instruction and not the
    /// one behind a call.
    pub const SIGNAL: u32 = 16;
    /// The rule is a guess.
    pub const GUESS: u32 = 32;
}

/// What a place in memory is relative to (System V ABI for AMD64, DWARF version 5, 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Base {
    /// The stack pointer of this frame.
    Rsp = 0,
    /// `rbp` of this frame.
    Rbp = 1,
    /// This frame's address: the canonical frame address, which is the caller's stack pointer.
    Cfa = 2,
}

impl Base {
    /// Bits that tell them apart.
    pub const MASK: u32 = 3;
}

/// A place in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    /// What it is relative to.
    pub base: Base,
    /// Bytes from there.
    pub distance: i32,
}

impl Slot {
    /// `distance` bytes from `base`.
    pub const fn new(base: Base, distance: i32) -> Self {
        Self { base, distance }
    }
}

/// How a frame's address is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cfa {
    /// It is this place.
    At(Slot),
    /// It is read from this place, and so many bytes are added.
    Read(Slot, i32),
    /// It is this place, or 8 bytes further on: see [`flag::LINKAGE`].
    Linkage(Slot),
}

/// How the caller of a frame is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// There is none, or the unwind data takes more than this to say.
    End,
    /// The caller goes on where the return address says.
    Caller {
        /// This frame's address.
        cfa: Cfa,
        /// Where the return address is.
        return_address: Slot,
        /// Where the caller's `rbp` is; absent: it is the same.
        rbp: Option<Slot>,
        /// See [`flag::SIGNAL`].
        signal: bool,
        /// See [`flag::GUESS`].
        guess: bool,
    },
}

impl Rule {
    /// See [`END`].
    pub const END: Rule = Rule::End;

    /// See [`FRAME_POINTER`].
    pub const FRAME_POINTER: Rule = Rule::Caller {
        cfa: Cfa::At(Slot::new(Base::Rbp, 16)),
        return_address: Slot::new(Base::Cfa, -8),
        rbp: Some(Slot::new(Base::Cfa, -16)),
        signal: false,
        guess: true,
    };

    /// The rule as the program reads it.
    pub fn to_bytes(self) -> [u8; rule::SIZE as usize] {
        let mut bytes = [0; rule::SIZE as usize];
        let mut put = |at: u32, word: u32| {
            let at = at as usize;
            bytes[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        };
        let Rule::Caller { cfa, return_address, rbp, signal, guess } = self else {
            put(rule::FLAGS, flag::END);
            return bytes;
        };
        let (frame, add, kind) = match cfa {
            Cfa::At(slot) => (slot, 0, 0),
            Cfa::Read(slot, add) => (slot, add, flag::INDIRECT),
            Cfa::Linkage(slot) => (slot, 0, flag::LINKAGE),
        };
        let flags =
            [(rbp.is_some(), flag::SAVES_RBP), (signal, flag::SIGNAL), (guess, flag::GUESS)];
        let set = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, bit)| bit);
        put(rule::FLAGS, set.fold(kind, |all, bit| all | bit));
        put(rule::CFA_ADD, add.cast_unsigned());
        let slots = [(rule::CFA, Some(frame)), (rule::RETURN_ADDRESS, Some(return_address))];
        for (at, slot) in slots.into_iter().chain([(rule::RBP, rbp)]) {
            if let Some(Slot { base, distance }) = slot {
                put(at, base as u32);
                put(at + rule::DISTANCE, distance.cast_unsigned());
            }
        }
        bytes
    }
}

/// The row of a rule that holds from `start` on, counted from the file's beginning.
pub const fn row(start: u32, rule: u32) -> u64 {
    (start as u64) << 32 | rule as u64
}

/// The type of the key of a place.
pub fn key_type() -> Type {
    record(&[("bits", 4, false), ("process", 4, false), ("address", 8, false)])
}

/// The type of a place.
pub fn place_type() -> Type {
    record(&[
        ("bias", 8, false),
        ("first", 4, false),
        ("rows", 4, false),
        ("halvings", 4, false),
        ("mapped", 4, false),
    ])
}

/// The type of a rule.
pub fn rule_type() -> Type {
    record(&[
        ("flags", 4, false),
        ("cfa_add", 4, true),
        ("cfa_base", 4, false),
        ("cfa_distance", 4, true),
        ("return_address_base", 4, false),
        ("return_address_distance", 4, true),
        ("rbp_base", 4, false),
        ("rbp_distance", 4, true),
    ])
}

fn record(members: &[(&str, u8, bool)]) -> Type {
    let member =
        |&(name, size, signed): &(&str, u8, bool)| (name.to_owned(), Type::Int { size, signed });
    let (fields, size) = lay_out(members.iter().map(member));
    Type::Record(Record { kind: RecordKind::Struct, name: String::new(), size, fields })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(ty: &Type) -> (Vec<u32>, u32) {
        match ty {
            Type::Record(record) => (record.fields.iter().map(|f| f.offset).collect(), record.size),
            _ => (Vec::new(), 0),
        }
    }

    #[test]
    fn types_and_offsets_agree() {
        let expected = vec![key::BITS, key::PROCESS, key::ADDRESS];
        assert_eq!(offsets(&key_type()), (expected, key::SIZE));
        let expected = vec![place::BIAS, place::FIRST, place::ROWS, place::HALVINGS, place::MAPPED];
        assert_eq!(offsets(&place_type()), (expected, place::SIZE));
        let slots = [rule::CFA, rule::RETURN_ADDRESS, rule::RBP];
        let slots = slots.iter().flat_map(|at| [*at, at + rule::DISTANCE]);
        let expected = [rule::FLAGS, rule::CFA_ADD].into_iter().chain(slots).collect();
        assert_eq!(offsets(&rule_type()), (expected, rule::SIZE));
    }

    #[test]
    fn a_rule_as_words() {
        let words = |rule: Rule| -> Vec<i32> {
            let bytes = rule.to_bytes();
            bytes.as_chunks().0.iter().map(|word| i32::from_ne_bytes(*word)).collect()
        };
        assert_eq!(words(Rule::END), [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(words(Rule::FRAME_POINTER), [40, 0, 1, 16, 2, -8, 2, -16]);
        let signal = Rule::Caller {
            cfa: Cfa::Read(Slot::new(Base::Rsp, 160), 8),
            return_address: Slot::new(Base::Rsp, 168),
            rbp: None,
            signal: true,
            guess: false,
        };
        assert_eq!(words(signal), [18, 8, 0, 160, 0, 168, 0, 0]);
        assert_eq!(row(7, 9), 0x7_0000_0009);
    }
}
