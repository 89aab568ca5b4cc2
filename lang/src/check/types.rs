//! Types while they are still being found: which integers may yet change their sign, how two
//! types join, what fits into what.

use crate::hir::{Int, Program, Type};

/// A type of which the parts that came from integer literals are known: `1` is an `int8`, but it
/// becomes a `uint8` as soon as it meets an unsigned number.
#[derive(Clone, Debug, PartialEq)]
pub struct Ty {
    /// The type as it stands.
    pub ty: Type,
    /// What of it can still change its sign.
    pub flex: Flex,
}

/// Which integers of a type can still change their sign.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Flex {
    /// None.
    #[default]
    Fixed,
    /// The integer itself.
    Sign,
    /// Those of a tuple's members.
    Members(Vec<Flex>),
}

impl Flex {
    /// That of a tuple's member.
    pub fn member(&self, index: usize) -> Flex {
        match self {
            Flex::Members(members) => members.get(index).cloned().unwrap_or_default(),
            _ => Flex::Fixed,
        }
    }

    /// Of a tuple with these members.
    pub fn of_members(members: Vec<Flex>) -> Flex {
        if members.iter().all(|m| *m == Flex::Fixed) { Flex::Fixed } else { Flex::Members(members) }
    }
}

impl Ty {
    /// A type that nothing can change.
    pub fn fixed(ty: Type) -> Self {
        Self { ty, flex: Flex::Fixed }
    }

    /// That of an integer literal that is not negative: the smallest signed integer that holds
    /// it, or `uint64`.
    pub fn of_literal(value: u64) -> Self {
        match i64::try_from(value) {
            Ok(value) => Self { ty: Type::Int(smallest_signed(value)), flex: Flex::Sign },
            Err(_) => Self::fixed(Type::U64),
        }
    }
}

/// The smallest signed integer that holds a value.
pub fn smallest_signed(value: i64) -> Int {
    let size = if i8::try_from(value).is_ok() {
        1
    } else if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    };
    Int { size, signed: true }
}

/// The type that holds values of both, if there is one.
pub fn promote(a: &Ty, b: &Ty) -> Option<Ty> {
    match (&a.ty, &b.ty) {
        (Type::Int(x), Type::Int(y)) => Some(promote_ints(*x, &a.flex, *y, &b.flex)),
        (x, y) if x == y => Some(a.clone()),
        // Another enum, or a number: no name fits any more.
        (Type::Enum(_), Type::Int(_) | Type::Enum(_)) | (Type::Int(_), Type::Enum(_)) => {
            promote(&as_number(a), &as_number(b))
        }
        // A function's name is an address where it meets one.
        (Type::KSym, Type::Func) | (Type::Func, Type::KSym) => Some(Ty::fixed(Type::KSym)),
        (Type::Str { size: x }, Type::Str { size: y }) => {
            Some(Ty::fixed(Type::Str { size: *x.max(y) }))
        }
        (Type::Buf { size: x }, Type::Buf { size: y }) => {
            Some(Ty::fixed(Type::Buf { size: *x.max(y) }))
        }
        (Type::Ptr { to: x, space: s }, Type::Ptr { to: y, space: t }) => {
            let space = if s == t { *s } else { crate::hir::Space::Unknown };
            let to = match (x.as_ref(), y.as_ref()) {
                (x, y) if x == y => x.clone(),
                (Type::Void, y) => y.clone(),
                (x, Type::Void) => x.clone(),
                (Type::Int(x), Type::Int(y)) if x.size == y.size => Type::Int(*x),
                _ => return None,
            };
            Some(Ty::fixed(Type::Ptr { to: Box::new(to), space }))
        }
        (x, y) if x.is_inet() && y.is_inet() => Some(Ty::fixed(Type::Inet)),
        (Type::Tuple(x), Type::Tuple(y)) => promote_tuples(x, &a.flex, y, &b.flex),
        _ => None,
    }
}

/// An enum as the number that it is.
fn as_number(ty: &Ty) -> Ty {
    match ty.ty {
        Type::Enum(_) => Ty::fixed(Type::U64),
        _ => ty.clone(),
    }
}

/// Joins two tuples, or two record literals whose members may stand in different orders.
fn promote_tuples(
    x: &[(String, Type)],
    x_flex: &Flex,
    y: &[(String, Type)],
    y_flex: &Flex,
) -> Option<Ty> {
    if x.len() != y.len() {
        return None;
    }
    let mut members = Vec::with_capacity(x.len());
    let mut flex = Vec::with_capacity(x.len());
    for (i, (name, ty)) in x.iter().enumerate() {
        let j = if name.is_empty() { i } else { y.iter().position(|(n, _)| n == name)? };
        let (other_name, other) = y.get(j)?;
        if other_name != name {
            return None;
        }
        let joined = promote(
            &Ty { ty: ty.clone(), flex: x_flex.member(i) },
            &Ty { ty: other.clone(), flex: y_flex.member(j) },
        )?;
        members.push((name.clone(), joined.ty));
        flex.push(joined.flex);
    }
    Some(Ty { ty: Type::Tuple(members), flex: Flex::of_members(flex) })
}

fn promote_ints(a: Int, a_flex: &Flex, b: Int, b_flex: &Flex) -> Ty {
    let (a_free, b_free) = (*a_flex == Flex::Sign, *b_flex == Flex::Sign);
    let size = a.size.max(b.size);
    let flex = if a_free && b_free { Flex::Sign } else { Flex::Fixed };
    let int = |size, signed| Type::Int(Int { size, signed });
    if a.signed == b.signed {
        return Ty { ty: int(size, a.signed), flex };
    }
    if a_free || b_free {
        let signed = (!a_free && a.signed) || (!b_free && b.signed);
        return Ty { ty: int(size, signed), flex };
    }
    let (signed, unsigned) = if a.signed { (a, b) } else { (b, a) };
    if signed.size > unsigned.size {
        return Ty::fixed(int(signed.size, true));
    }
    // Both of 8 bytes: no integer holds both; signed it is.
    Ty::fixed(int((size * 2).min(8), true))
}

/// Whether every value of `from` is a value of `to`.
pub fn fits(from: &Ty, to: &Type) -> bool {
    match (&from.ty, to) {
        (Type::Int(a), Type::Int(b)) => {
            if a.signed == b.signed || from.flex == Flex::Sign {
                a.size <= b.size
            } else {
                !a.signed && a.size < b.size
            }
        }
        (Type::Str { size: a }, Type::Str { size: b }) => a <= b,
        (from, Type::Inet) => from.is_inet(),
        (Type::Tuple(a), Type::Tuple(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).enumerate().all(|(i, ((_, x), (_, y)))| {
                    fits(&Ty { ty: x.clone(), flex: from.flex.member(i) }, y)
                })
        }
        (a, b) => a == b,
    }
}

/// Whether an integer constant, as two's complement of 64 bits, is a value of `int`.
pub fn literal_fits(value: i64, unsigned: bool, int: Int) -> bool {
    let bits = u32::from(int.size) * 8;
    if unsigned {
        let limit = if int.signed { bits - 1 } else { bits };
        limit >= 64 || (value as u64) >> limit == 0
    } else if int.signed {
        let shift = 64 - bits;
        (value << shift) >> shift == value
    } else {
        value >= 0 && (bits == 64 || value >> bits == 0)
    }
}

/// Bytes that a value of this type takes; 0 where that is not known here.
pub fn size_of(ty: &Type, program: &Program) -> u32 {
    match ty {
        Type::Int(int) => u32::from(int.size),
        Type::Bool => 1,
        Type::Str { size } => *size,
        Type::Buf { size } => size.saturating_add(4),
        Type::Array { elem, len } => size_of(elem, program).saturating_mul(*len),
        Type::Record(id) => program.records.get(id.index()).map_or(0, |r| r.size),
        Type::Tuple(members) => tuple_size(members, program),
        Type::Enum(id) => program.enums.get(id.index()).map_or(0, |e| u32::from(e.int.size)),
        Type::Inet => 20,
        Type::Inet4 => 4,
        Type::Inet6 => 16,
        Type::Mac => 6,
        Type::USym | Type::KStack(_) | Type::UStack(_) => 16,
        Type::Aggregate(_) | Type::Void => 0,
        _ => 8,
    }
}

/// A tuple lies in memory as a C struct would.
fn tuple_size(members: &[(String, Type)], program: &Program) -> u32 {
    let mut offset = 0u32;
    let mut align = 1;
    for (_, ty) in members {
        let a = align_of(ty, program);
        align = align.max(a);
        offset = offset.next_multiple_of(a).saturating_add(size_of(ty, program));
    }
    offset.next_multiple_of(align)
}

fn align_of(ty: &Type, program: &Program) -> u32 {
    match ty {
        Type::Int(_) | Type::Enum(_) => size_of(ty, program).max(1),
        Type::Bool | Type::Str { .. } | Type::Mac | Type::Void => 1,
        Type::Record(id) => {
            let fields = program.records.get(id.index()).map(|r| r.fields.iter());
            fields.into_iter().flatten().map(|f| align_of(&f.ty, program)).max().unwrap_or(1)
        }
        Type::Buf { .. } | Type::Inet | Type::Inet4 | Type::Inet6 => 4,
        Type::Array { elem, .. } => align_of(elem, program),
        Type::Tuple(members) => {
            members.iter().map(|(_, ty)| align_of(ty, program)).max().unwrap_or(1)
        }
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(size: u8, signed: bool) -> Ty {
        Ty::fixed(Type::Int(Int { size, signed }))
    }

    #[test]
    fn literals_take_the_sign_of_what_they_meet() {
        assert_eq!(promote(&Ty::of_literal(1), &int(8, false)), Some(int(8, false)));
        assert_eq!(promote(&Ty::of_literal(1000), &int(1, false)), Some(int(2, false)));
        assert_eq!(promote(&int(4, false), &int(4, true)), Some(int(8, true)));
        assert_eq!(promote(&int(8, false), &int(8, true)), Some(int(8, true)));
        assert_eq!(promote(&int(8, true), &int(4, false)), Some(int(8, true)));
        let both = promote(&Ty::of_literal(1), &Ty::of_literal(300)).expect("they join");
        assert_eq!(both.flex, Flex::Sign);
    }

    #[test]
    fn tuples_join_member_by_member() {
        let tuple = |a: Ty, size| Ty {
            ty: Type::Tuple(vec![(String::new(), a.ty), (String::new(), Type::Str { size })]),
            flex: Flex::of_members(vec![a.flex, Flex::Fixed]),
        };
        let joined =
            promote(&tuple(Ty::of_literal(5), 3), &tuple(int(4, false), 16)).expect("they join");
        assert_eq!(joined, tuple(int(4, false), 16));
        assert_eq!(promote(&joined, &int(4, false)), None);
    }

    #[test]
    fn literals_are_checked_against_the_range() {
        let int = |size, signed| Int { size, signed };
        assert!(literal_fits(255, true, int(1, false)));
        assert!(!literal_fits(256, true, int(1, false)));
        assert!(!literal_fits(128, true, int(1, true)));
        assert!(literal_fits(-128, false, int(1, true)));
        assert!(!literal_fits(-1, false, int(8, false)));
        assert!(literal_fits(-1, true, int(8, false)));
    }
}
