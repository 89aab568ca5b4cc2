//! Where functions of Go find their parameters when they are entered: ABIInternal (the section "Function
//! call argument and result passing" of cmd/compile/abi-internal.md in Go's sources).

use rbtrace_probes_ebpf::kinds::{self, go_argument_offset};
use rbtrace_probes_ebpf::profile::Arch;

use crate::catalog::ctypes::{CRecord, CType, Signature, TypeRef};
use crate::hir::{BinaryOp, Builtin, Call, Expr, ExprKind, Space, Type};
use crate::span::Span;

use super::super::{Checker, Value};
use super::abi::IN_VECTOR;

/// Deepest nesting of types: more are damage.
const MOST_LEVELS: u32 = 32;

const ARRAY: &str = "arrays are passed in parts, which programs cannot read as one";
const EMPTY: &str = "its type has no values that differ";

/// Where a parameter begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The first of its integer registers, by number.
    Registers(u32),
    /// Bytes from the first parameter that is on the stack.
    Stack(u32),
}

/// Where each parameter of a function begins.
fn places(
    signature: &Signature,
    arch: Arch,
    describe: &dyn Fn(TypeRef) -> Option<CType>,
) -> Vec<Place> {
    let types = Types { describe };
    let mut next = Next::default();
    let integers = (0..).take_while(|n| go_argument_offset(arch, *n).is_some()).count() as u32;
    let most = Next { integers, floats: floats(arch), stack: 0 };
    let place = |(_, ty): &(String, CType)| {
        let mut after = next;
        if types.take(ty, &mut after, 0) && after.fits(&most) && types.size(ty, 0) != 0 {
            let place = Place::Registers(next.integers);
            next = after;
            return place;
        }
        let start = next.stack.next_multiple_of(types.alignment(ty, 0));
        next.stack = start.saturating_add(types.size(ty, 0));
        Place::Stack(start)
    };
    signature.params.iter().map(place).collect()
}

/// Registers for floating-point numbers.
fn floats(arch: Arch) -> u32 {
    match arch {
        Arch::X86_64 => 15,
        Arch::Aarch64 => 16,
    }
}

/// What is taken so far: registers of both kinds, bytes of the stack.
#[derive(Clone, Copy, Debug, Default)]
struct Next {
    integers: u32,
    floats: u32,
    stack: u32,
}

impl Next {
    fn fits(&self, most: &Next) -> bool {
        self.integers <= most.integers && self.floats <= most.floats
    }
}

/// The types of parameters.
struct Types<'a> {
    describe: &'a dyn Fn(TypeRef) -> Option<CType>,
}

impl Types<'_> {
    fn described(&self, ty: &CType) -> CType {
        match ty {
            CType::Ref(at) => (self.describe)(*at).unwrap_or(CType::Void),
            ty => ty.clone(),
        }
    }

    /// Takes the registers that a value needs. False: it never is in registers.
    fn take(&self, ty: &CType, next: &mut Next, level: u32) -> bool {
        match self.described(ty) {
            _ if level > MOST_LEVELS => false,
            CType::Float { .. } => {
                next.floats += 1;
                true
            }
            CType::Array { len: 0, .. } => true,
            CType::Array { len: 1, elem } => self.take(&elem, next, level + 1),
            CType::Array { .. } => false,
            CType::Record(record) => {
                record.fields.iter().all(|field| self.take(&field.ty, next, level + 1))
            }
            _ => {
                next.integers += 1;
                true
            }
        }
    }

    /// In bytes.
    fn size(&self, ty: &CType, level: u32) -> u32 {
        match self.described(ty) {
            _ if level > MOST_LEVELS => 0,
            CType::Bool | CType::Char => 1,
            CType::Int { size, .. } | CType::Float { size } => size.into(),
            CType::Enum(kind) => kind.size.into(),
            CType::Array { elem, len } => self.size(&elem, level + 1).saturating_mul(len),
            CType::Record(record) => record.size.unwrap_or_default(),
            _ => 8,
        }
    }

    /// In bytes, 1 and up.
    fn alignment(&self, ty: &CType, level: u32) -> u32 {
        match self.described(ty) {
            _ if level > MOST_LEVELS => 1,
            CType::Array { elem, .. } => self.alignment(&elem, level + 1),
            CType::Record(record) => {
                let members = record.fields.iter();
                members.map(|field| self.alignment(&field.ty, level + 1)).max().unwrap_or(1)
            }
            scalar => self.size(&scalar, level).clamp(1, 8),
        }
    }
}

impl Checker<'_> {
    /// The value of each parameter of a function of Go, or why there is none.
    pub(super) fn go_parameters(
        &mut self,
        signature: &Signature,
        span: Span,
    ) -> Vec<Result<Value, &'static str>> {
        let places = places(signature, self.cx.profile.arch, &|at| self.describe(at));
        let params = signature.params.iter().zip(places);
        params.map(|((_, ty), mut place)| self.go_value(ty, &mut place, span, 0)).collect()
    }

    /// A word of the arguments of a function of Go, by number: those in registers come first.
    pub(in crate::check) fn go_argument(&self, number: u32, span: Span) -> Expr {
        let arch = self.cx.profile.arch;
        let registers = (0..).take_while(|n| go_argument_offset(arch, *n).is_some()).count() as u32;
        let mut place = match number.checked_sub(registers) {
            None => Place::Registers(number),
            Some(on_stack) => Place::Stack(8 * on_stack),
        };
        self.go_word(&mut place, span)
    }

    /// A value at a place, which is then behind its registers.
    fn go_value(
        &mut self,
        ty: &CType,
        place: &mut Place,
        span: Span,
        level: u32,
    ) -> Result<Value, &'static str> {
        let described = match ty {
            CType::Ref(at) => self.describe(*at).unwrap_or(CType::Void),
            ty => ty.clone(),
        };
        match &described {
            CType::Record(record) if level < MOST_LEVELS => {
                self.go_record(record, place, span, level)
            }
            CType::Array { elem, len } => {
                if *len == 1 {
                    // Its registers are taken all the same.
                    let _ = self.go_value(elem, place, span, level + 1);
                }
                Err(ARRAY)
            }
            CType::Record(_) => Err(EMPTY),
            CType::Float { .. } => Err(IN_VECTOR),
            scalar => {
                let word = self.go_word(place, span);
                // An enum's name is that of the reference.
                let ty = if matches!(scalar, CType::Enum(_)) { ty } else { scalar };
                Ok(self.typed(ty, word, Space::User))
            }
        }
    }

    /// The members of a struct that can be read, by name.
    fn go_record(
        &mut self,
        record: &CRecord,
        place: &mut Place,
        span: Span,
        level: u32,
    ) -> Result<Value, &'static str> {
        let (start, mut members, mut why) = (*place, Vec::new(), EMPTY);
        for field in &record.fields {
            if let Place::Stack(bytes) = start {
                *place = Place::Stack(bytes.saturating_add(field.bit_offset / 8));
            }
            match self.go_value(&field.ty, place, span, level + 1) {
                Ok(value) => members.push((field.name.clone(), value)),
                Err(reason) => why = reason,
            }
        }
        if members.is_empty() { Err(why) } else { Ok(Value::record(members, span)) }
    }

    /// The integer at a place, in the lowest bits.
    fn go_word(&self, place: &mut Place, span: Span) -> Expr {
        let arch = self.cx.profile.arch;
        let whole = |kind| Expr { kind, ty: Type::U64, span };
        match place {
            Place::Registers(number) => {
                let offset = go_argument_offset(arch, *number).unwrap_or_default();
                *number += 1;
                whole(ExprKind::Call(Box::new(Call::Register { offset })))
            }
            Place::Stack(bytes) => {
                let word = kinds::go_first_stack_argument(arch).saturating_add(*bytes / 8);
                let word = whole(ExprKind::Builtin(Builtin::StackArg(word)));
                match 8 * (*bytes % 8) {
                    0 => word,
                    // What is smaller may share a word with what is in front of it.
                    bits => whole(ExprKind::Binary {
                        op: BinaryOp::Shr,
                        left: Box::new(word),
                        right: Box::new(whole(ExprKind::Int(bits.into()))),
                    }),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ctypes::CField;
    use Place::{Registers, Stack};

    const INT: CType = CType::Int { size: 8, signed: true };
    const HALF: CType = CType::Int { size: 4, signed: false };
    const DOUBLE: CType = CType::Float { size: 8 };

    /// A struct of members of so many bytes, one after the other.
    fn record(members: &[(CType, u32)]) -> CType {
        let mut size = 0;
        let mut field = |(ty, bytes): &(CType, u32)| {
            let bit_offset = 8 * size;
            size += bytes;
            CField { name: format!("m{bit_offset}"), ty: ty.clone(), bit_offset, bits: None }
        };
        let fields = members.iter().map(&mut field).collect();
        CType::Record(CRecord { name: String::new(), union: false, size: Some(size), fields })
    }

    fn found(params: &[CType]) -> Vec<Place> {
        let params = params.iter().map(|ty| (String::new(), ty.clone())).collect();
        let signature = Signature { params, result: CType::Void };
        places(&signature, Arch::X86_64, &|_| None)
    }

    fn string() -> CType {
        record(&[(CType::Pointer(Box::new(CType::Char)), 8), (INT, 8)])
    }

    #[test]
    fn structs_take_a_register_for_each_member() {
        let point = record(&[(INT, 8), (HALF, 4), (CType::Bool, 4)]);
        let all = found(&[string(), INT, DOUBLE, point, INT]);
        assert_eq!(all, [Registers(0), Registers(2), Registers(3), Registers(3), Registers(6)]);
    }

    #[test]
    fn what_does_not_fit_is_on_the_stack_and_the_rest_is_not() {
        // Eight registers are taken; a string needs two, which leaves one for what follows.
        let eight = [const { INT }; 8];
        let all = found(&[&eight[..], &[string(), INT, HALF, HALF, INT]].concat());
        let rest = [Stack(0), Registers(8), Stack(16), Stack(20), Stack(24)];
        assert_eq!(all.get(8..), Some(&rest[..]));
    }

    #[test]
    fn arrays_are_on_the_stack_unless_they_have_one_element() {
        let array = |len| CType::Array { elem: Box::new(HALF), len };
        let all = found(&[array(2), array(1), INT, array(0), INT]);
        assert_eq!(all, [Stack(0), Registers(0), Registers(1), Stack(8), Registers(2)]);
    }

    #[test]
    fn types_without_size_take_nothing() {
        assert_eq!(found(&[record(&[]), INT]), [Stack(0), Registers(0)]);
    }
}
