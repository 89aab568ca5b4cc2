//! Ranges of addresses as the prefixes that a trie has.

use rbtrace_probes_ebpf::unwind::key;

use super::laid_out;

/// Addresses whose first bits are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Prefix {
    /// The first of them.
    pub address: u64,
    /// How many bits are the same.
    pub bits: u32,
}

impl Prefix {
    /// All addresses.
    pub const ALL: Prefix = Prefix { address: 0, bits: 0 };

    /// The key of these addresses of a process.
    pub fn key(self, pid: u32) -> [u8; key::SIZE as usize] {
        let bits = key::PROCESS_BITS + self.bits;
        laid_out([
            (key::BITS, &bits.to_ne_bytes()),
            (key::PROCESS, &pid.to_be_bytes()),
            (key::ADDRESS, &self.address.to_be_bytes()),
        ])
    }
}

/// The fewest prefixes that are the addresses from `start` up to, but without, `end`.
pub(super) fn of_range(mut start: u64, end: u64) -> Vec<Prefix> {
    let mut prefixes = Vec::new();
    while start < end {
        let aligned = start.trailing_zeros().min(u64::BITS - 1);
        let bits = aligned.min((end - start).ilog2());
        prefixes.push(Prefix { address: start, bits: u64::BITS - bits });
        match start.checked_add(1 << bits) {
            Some(next) => start = next,
            None => break,
        }
    }
    prefixes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_covered_once() {
        let (start, end) = (0x5000, 0x1_2000);
        let prefixes = of_range(start, end);
        let mut at = start;
        for Prefix { address, bits } in prefixes {
            assert_eq!(address, at);
            let size = 1u64 << (64 - bits);
            assert_eq!(address % size, 0);
            at += size;
        }
        assert_eq!(at, end);
        assert!(of_range(8, 8).is_empty());
        assert_eq!(of_range(u64::MAX - 1, u64::MAX).len(), 1);
    }

    #[test]
    fn keys_compare_from_the_highest_byte_on() {
        let key = Prefix { address: 0x7f00_0000_1000, bits: 52 }.key(0x102);
        let mut expected = 84u32.to_ne_bytes().to_vec();
        expected.extend([0, 0, 1, 2, 0, 0, 0x7f, 0, 0, 0, 0x10, 0]);
        assert_eq!(key, *expected);
    }
}
