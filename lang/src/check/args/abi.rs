//! Where a function finds its parameters when it is entered: the System V ABI of x86-64 (3.2.3),
//! the procedure call standard of 64-bit Arm (AAPCS64, 6.8).

use rbtrace_probes_ebpf::kinds::argument_offset;
use rbtrace_probes_ebpf::profile::Arch;

use crate::catalog::ctypes::{CRecord, CType, Signature, TypeRef};

/// Registers for floating-point arguments, on both architectures.
const VECTORS: u32 = 8;
/// Most bytes of a struct that is passed in integer registers, on both.
const IN_REGISTERS: u32 = 16;
/// Most floating-point members of a struct that Arm passes in vector registers.
const MOST_FLOATS: u32 = 4;
/// Deepest nesting of structs: more are damage.
const MOST_LEVELS: u32 = 32;

pub(super) const IN_VECTOR: &str =
    "floating-point arguments are in registers that programs cannot read";
pub(super) const BY_VALUE: &str =
    "structs and integers of 128 bits are passed in parts, which programs cannot read as one";

/// Where a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the register of `argN`.
    Register(u32),
    /// In a word of the stack, counted from the first argument there.
    Stack(u32),
    /// Where programs cannot read it, and why.
    Nowhere(&'static str),
}

/// How a type is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// An integer or a pointer.
    Word,
    /// In a vector register.
    Vector,
    /// In parts, if there are registers for all of them; else on the stack.
    Parts { integers: u32, vectors: u32, words: u32 },
    /// On the stack, this many words.
    Memory(u32),
    /// By the address of a copy.
    Address,
}

/// Where each parameter of a function is. `describe` says what a reference stands for.
pub(super) fn places(
    signature: &Signature,
    arch: Arch,
    describe: &dyn Fn(TypeRef) -> Option<CType>,
) -> Vec<Place> {
    let types = Types { arch, describe };
    let mut next = Next::new(arch);
    // A large result is written to where a hidden first argument points; Arm has a register of
    // its own for that.
    if arch == Arch::X86_64 && matches!(types.class(&signature.result), Class::Memory(3..)) {
        next.register = 1;
    }
    signature.params.iter().map(|(_, ty)| next.place(types.class(ty))).collect()
}

/// Where the kernel has put each argument for a program that gets them in a row.
pub(super) fn slots(
    signature: &Signature,
    arch: Arch,
    describe: &dyn Fn(TypeRef) -> Option<CType>,
) -> Vec<Place> {
    let types = Types { arch, describe };
    let mut slot: u32 = 0;
    let place = |(_, ty): &(String, CType)| {
        let (place, words) = match types.class(ty) {
            Class::Word => (Place::Register(slot), 1),
            Class::Vector => (Place::Nowhere(IN_VECTOR), 1),
            Class::Address => (Place::Nowhere(BY_VALUE), 1),
            Class::Parts { words, .. } | Class::Memory(words) => (Place::Nowhere(BY_VALUE), words),
        };
        slot = slot.saturating_add(words);
        place
    };
    signature.params.iter().map(place).collect()
}

/// The types of parameters.
struct Types<'a> {
    arch: Arch,
    describe: &'a dyn Fn(TypeRef) -> Option<CType>,
}

impl Types<'_> {
    fn class(&self, ty: &CType) -> Class {
        match ty {
            CType::Ref(at) => match (self.describe)(*at) {
                Some(CType::Ref(_)) | None => Class::Word,
                Some(ty) => self.class(&ty),
            },
            // `long double`
            CType::Float { size: 9.. } if self.arch == Arch::X86_64 => Class::Memory(2),
            CType::Float { .. } => Class::Vector,
            CType::Int { size: 16, .. } => Class::Parts { integers: 2, vectors: 0, words: 2 },
            CType::Record(record) => self.record(record),
            _ => Class::Word,
        }
    }

    fn record(&self, record: &CRecord) -> Class {
        let size = record.size.unwrap_or_default();
        let words = size.div_ceil(8);
        match self.arch {
            Arch::X86_64 if size > IN_REGISTERS => Class::Memory(words),
            Arch::X86_64 => {
                let mut halves = [None; 2];
                self.mark(&CType::Record(record.clone()), (0, size * 8), &mut halves, 0);
                let count = |class| halves.iter().filter(|half| **half == class).count() as u32;
                Class::Parts { integers: count(Some(true)), vectors: count(Some(false)), words }
            }
            Arch::Aarch64 => match self.floats(&CType::Record(record.clone()), 0) {
                Some(vectors @ 1..=MOST_FLOATS) => Class::Parts { integers: 0, vectors, words },
                _ if size > IN_REGISTERS => Class::Address,
                _ => Class::Parts { integers: words, vectors: 0, words },
            },
        }
    }

    /// Marks the words that a member from one bit to another reaches into: `true` where there is
    /// an integer, `false` where floating-point numbers are alone.
    fn mark(&self, ty: &CType, bits: (u32, u32), halves: &mut [Option<bool>; 2], level: u32) {
        let (start, end) = bits;
        match ty {
            _ if level > MOST_LEVELS => {}
            CType::Ref(at) => {
                if let Some(ty) = (self.describe)(*at) {
                    self.mark(&ty, bits, halves, level + 1);
                }
            }
            CType::Array { elem, .. } => self.mark(elem, bits, halves, level + 1),
            CType::Record(record) => {
                for (i, field) in record.fields.iter().enumerate() {
                    let next = record.fields.get(i + 1).filter(|_| !record.union);
                    let last = next.map_or(end, |next| start.saturating_add(next.bit_offset));
                    let first = start.saturating_add(field.bit_offset);
                    self.mark(&field.ty, (first, last.min(end)), halves, level + 1);
                }
            }
            scalar => {
                let integer = !matches!(scalar, CType::Float { .. });
                for (half, first) in halves.iter_mut().zip([0, 64]) {
                    if start < first + 64 && end > first {
                        *half = Some(half.unwrap_or(false) | integer);
                    }
                }
            }
        }
    }

    /// How many floating-point numbers a type consists of, if of nothing else.
    fn floats(&self, ty: &CType, level: u32) -> Option<u32> {
        match ty {
            _ if level > MOST_LEVELS => None,
            CType::Float { .. } => Some(1),
            CType::Ref(at) => self.floats(&(self.describe)(*at)?, level + 1),
            CType::Array { elem, len } => self.floats(elem, level + 1)?.checked_mul(*len),
            CType::Record(record) => {
                let mut all = record.fields.iter().map(|field| self.floats(&field.ty, level + 1));
                all.try_fold(0, |sum: u32, floats| match record.union {
                    true => Some(sum.max(floats?)),
                    false => sum.checked_add(floats?),
                })
            }
            _ => None,
        }
    }
}

/// The next free registers and word of the stack.
struct Next {
    arch: Arch,
    /// How many integer registers there are.
    registers: u32,
    register: u32,
    vector: u32,
    stack: u32,
}

impl Next {
    fn new(arch: Arch) -> Self {
        let registers = (0..).take_while(|n| argument_offset(arch, *n).is_some()).count() as u32;
        Self { arch, registers, register: 0, vector: 0, stack: 0 }
    }

    fn place(&mut self, class: Class) -> Place {
        match class {
            Class::Word => return self.word(),
            Class::Address => _ = self.word(),
            Class::Memory(words) => self.on_stack(words),
            Class::Vector => {
                match self.vector < VECTORS {
                    true => self.vector += 1,
                    false => self.on_stack(1),
                }
                return Place::Nowhere(IN_VECTOR);
            }
            Class::Parts { integers, vectors, words } => self.parts(integers, vectors, words),
        }
        Place::Nowhere(BY_VALUE)
    }

    fn word(&mut self) -> Place {
        if self.register < self.registers {
            self.register += 1;
            return Place::Register(self.register - 1);
        }
        self.on_stack(1);
        Place::Stack(self.stack - 1)
    }

    fn parts(&mut self, integers: u32, vectors: u32, words: u32) {
        if self.register + integers <= self.registers && self.vector + vectors <= VECTORS {
            self.register += integers;
            self.vector += vectors;
            return;
        }
        self.on_stack(words);
        // What follows does not use the registers that are left over.
        match self.arch {
            Arch::X86_64 => {}
            Arch::Aarch64 if integers > 0 => self.register = self.registers,
            Arch::Aarch64 => self.vector = VECTORS,
        }
    }

    fn on_stack(&mut self, words: u32) {
        self.stack = self.stack.saturating_add(words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ctypes::CField;
    use Place::{Nowhere, Register, Stack};

    const INT: CType = CType::Int { size: 8, signed: true };
    const DOUBLE: CType = CType::Float { size: 8 };

    /// A struct of members of 8 bytes each.
    fn record(members: &[CType]) -> CType {
        let field = |(i, ty): (usize, &CType)| CField {
            name: format!("m{i}"),
            ty: ty.clone(),
            bit_offset: 64 * i as u32,
            bits: None,
        };
        CType::Record(CRecord {
            name: String::new(),
            union: false,
            size: Some(8 * members.len() as u32),
            fields: members.iter().enumerate().map(field).collect(),
        })
    }

    fn found(arch: Arch, result: CType, params: &[CType]) -> Vec<Place> {
        let params = params.iter().map(|ty| (String::new(), ty.clone())).collect();
        places(&Signature { params, result }, arch, &|_| None)
    }

    /// Where the last of some parameters is, an integer.
    fn last(arch: Arch, before: &[CType]) -> Option<Place> {
        found(arch, CType::Void, &[before, &[INT]].concat()).last().copied()
    }

    #[test]
    fn words_are_in_registers_and_then_on_the_stack() {
        let all = found(Arch::X86_64, CType::Void, &[const { INT }; 8]);
        assert_eq!(all.get(5..), Some(&[Register(5), Stack(0), Stack(1)][..]));
        let all = found(Arch::Aarch64, CType::Void, &[const { INT }; 9]);
        assert_eq!(all.get(7..), Some(&[Register(7), Stack(0)][..]));
    }

    #[test]
    fn floating_point_numbers_leave_integer_registers_alone() {
        let all = found(Arch::X86_64, CType::Void, &[DOUBLE, INT]);
        assert_eq!(all, [Nowhere(IN_VECTOR), Register(0)]);
        // The ninth is on the stack.
        let many = [&[const { DOUBLE }; 9][..], &[const { INT }; 6]].concat();
        assert_eq!(last(Arch::X86_64, &many), Some(Stack(1)));
        assert_eq!(last(Arch::X86_64, &[CType::Float { size: 16 }]), Some(Register(0)));
    }

    #[test]
    fn structs_take_the_registers_that_their_parts_need() {
        for (members, x86, arm) in [
            (&[INT][..], 1, 1),
            (&[INT, INT], 2, 2),
            (&[INT, DOUBLE], 1, 2),
            (&[DOUBLE, DOUBLE], 0, 0),
            (&[DOUBLE, DOUBLE, DOUBLE], 0, 0),
            (&[INT, INT, INT], 0, 1),
        ] {
            let before = [record(members)];
            assert_eq!(last(Arch::X86_64, &before), Some(Register(x86)), "{members:?}");
            assert_eq!(last(Arch::Aarch64, &before), Some(Register(arm)), "{members:?}");
        }
        let two = CType::Array { elem: Box::new(CType::Float { size: 4 }), len: 2 };
        assert_eq!(last(Arch::X86_64, &[record(&[two, INT])]), Some(Register(1)));
    }

    #[test]
    fn structs_that_do_not_fit_go_to_the_stack_whole() {
        let pair = record(&[INT, INT]);
        let x86 = [&[const { INT }; 5][..], std::slice::from_ref(&pair)].concat();
        assert_eq!(last(Arch::X86_64, &x86), Some(Register(5)));
        let arm = [&[const { INT }; 7][..], &[pair]].concat();
        assert_eq!(last(Arch::Aarch64, &arm), Some(Stack(2)));
    }

    #[test]
    fn arguments_in_a_row_take_a_slot_a_word() {
        let params = [INT, record(&[INT, INT]), INT].map(|ty| (String::new(), ty));
        let signature = Signature { params: params.to_vec(), result: CType::Void };
        let all = slots(&signature, Arch::X86_64, &|_| None);
        assert_eq!(all, [Register(0), Nowhere(BY_VALUE), Register(3)]);
    }

    #[test]
    fn large_results_have_a_hidden_argument() {
        let large = record(&[INT, INT, INT]);
        assert_eq!(found(Arch::X86_64, large.clone(), &[INT]), [Register(1)]);
        assert_eq!(found(Arch::Aarch64, large, &[INT]), [Register(0)]);
        // `long double` is returned on the stack of the floating-point unit.
        assert_eq!(found(Arch::X86_64, CType::Float { size: 16 }, &[INT]), [Register(0)]);
    }
}
