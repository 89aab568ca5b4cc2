//! Numbers that look random and are the same in every run.

/// A xorshift64* generator.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Numbers that follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.bits() >> 16) % end.max(1)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of `all`.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    /// A number of 1 to `bits` bits, which are at most 64.
    pub fn sized(&mut self, bits: u64) -> u64 {
        let shift = 64 - (1 + self.below(bits));
        self.bits() >> shift
    }

    /// The edges of the integer types, small numbers and any others.
    pub fn number(&mut self) -> i64 {
        const EDGES: &[i64] = &[
            0,
            1,
            -1,
            i64::MIN,
            i64::MAX,
            1 << 31,
            (1 << 31) - 1,
            -(1 << 31),
            0x7f,
            0x80,
            0xff,
            0x7fff,
            0x8000,
            0xffff,
            0xffff_ffff,
            1 << 32,
        ];
        match self.below(4) {
            0 => self.pick(EDGES),
            1 => self.below(32) as i64 - 16,
            2 => {
                let shift = self.below(63);
                (self.bits() >> shift) as i64
            }
            _ => self.bits() as i64,
        }
    }
}
