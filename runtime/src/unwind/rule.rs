//! A row of unwind data as a rule, as far as rules go: x86-64, frames by `rsp` and `rbp`.

use gimli::{
    CfaRule, Encoding, Expression, Format, Operation, Reader, Register, RegisterRule,
    UnwindExpression, UnwindSection, UnwindTableRow, X86_64,
};
use rbtrace_probes_ebpf::unwind::{Base, Cfa, Rule, Slot};

/// How expressions in unwind data are encoded.
const ENCODING: Encoding = Encoding { address_size: 8, format: Format::Dwarf32, version: 4 };
/// Most operations of an expression that is understood.
const MOST_OPERATIONS: usize = 12;

/// The rule of a row; `signal`: its frame is one that a signal handler returns to.
pub(super) fn of_row<R: Reader>(
    section: &impl UnwindSection<R>,
    row: &UnwindTableRow<R::Offset>,
    signal: bool,
) -> Rule {
    caller(section, row, signal).unwrap_or(Rule::End)
}

/// `None`: there is no caller, or a rule cannot say how to find it.
fn caller<R: Reader>(
    section: &impl UnwindSection<R>,
    row: &UnwindTableRow<R::Offset>,
    signal: bool,
) -> Option<Rule> {
    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => Cfa::At(slot(*register, *offset)?),
        CfaRule::Expression(expression) => frame_address(&operations(section, expression)?)?,
    };
    let saved = |register: Register| match row.register(register)? {
        RegisterRule::Offset(distance) => Some(Slot::new(Base::Cfa, i32::try_from(distance).ok()?)),
        RegisterRule::Expression(expression) => match *operations(section, &expression)? {
            [Term::Register(slot)] => Some(slot),
            _ => None,
        },
        _ => None,
    };
    let rbp = match row.register(X86_64::RBP) {
        None | Some(RegisterRule::SameValue | RegisterRule::Undefined) => None,
        Some(_) => Some(saved(X86_64::RBP)?),
    };
    Some(Rule::Caller { cfa, return_address: saved(X86_64::RA)?, rbp, signal, guess: false })
}

/// A place relative to a register that the program keeps.
fn slot(register: Register, distance: i64) -> Option<Slot> {
    let base = match register {
        X86_64::RSP => Base::Rsp,
        X86_64::RBP => Base::Rbp,
        _ => return None,
    };
    Some(Slot::new(base, i32::try_from(distance).ok()?))
}

/// An operation that occurs in expressions that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    Register(Slot),
    /// The instruction pointer.
    Instruction,
    Constant(u64),
    Read,
    AddConstant(u64),
    Add,
    And,
    AtLeast,
    ShiftLeft,
}

/// The operations of an expression; `None` if there are others among them.
fn operations<R: Reader>(
    section: &impl UnwindSection<R>,
    expression: &UnwindExpression<R::Offset>,
) -> Option<Vec<Term>> {
    terms(expression.get(section).ok()?)
}

fn terms<R: Reader>(expression: Expression<R>) -> Option<Vec<Term>> {
    let mut all = expression.operations(ENCODING);
    let mut terms = Vec::new();
    while let Some(operation) = all.next().ok()? {
        if terms.len() == MOST_OPERATIONS {
            return None;
        }
        terms.push(match operation {
            Operation::RegisterOffset { register: X86_64::RA, offset: 0, .. } => Term::Instruction,
            Operation::RegisterOffset { register, offset, .. } => {
                Term::Register(slot(register, offset)?)
            }
            Operation::UnsignedConstant { value } => Term::Constant(value),
            Operation::Deref { size: 8, space: false, .. } => Term::Read,
            Operation::PlusConstant { value } => Term::AddConstant(value),
            Operation::Plus => Term::Add,
            Operation::And => Term::And,
            Operation::Ge => Term::AtLeast,
            Operation::Shl => Term::ShiftLeft,
            _ => return None,
        });
    }
    Some(terms)
}

/// The expressions of a frame's address that there are: a slot of a procedure linkage table as
/// linkers describe it; a realigned frame's, whose address the function has saved; a signal's.
fn frame_address(terms: &[Term]) -> Option<Cfa> {
    use Term::*;
    match *terms {
        [
            Register(slot),
            Instruction,
            Constant(15),
            And,
            Constant(11),
            AtLeast,
            Constant(3),
            ShiftLeft,
            Add,
        ] => Some(Cfa::Linkage(slot)),
        [Register(slot), Read] => Some(Cfa::Read(slot, 0)),
        [Register(slot), Read, AddConstant(add)] => Some(Cfa::Read(slot, i32::try_from(add).ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gimli::{EndianSlice, LittleEndian};

    fn address(bytes: &[u8]) -> Option<Cfa> {
        frame_address(&terms(Expression(EndianSlice::new(bytes, LittleEndian)))?)
    }

    #[test]
    fn expressions_that_compilers_and_linkers_write() {
        let rsp = |distance| Slot::new(Base::Rsp, distance);
        let rbp = |distance| Slot::new(Base::Rbp, distance);
        // breg7 8; breg16 0; lit15; and; lit11; ge; lit3; shl; plus
        let linkage = [0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
        assert_eq!(address(&linkage), Some(Cfa::Linkage(rsp(8))));
        // breg6 -8; deref
        assert_eq!(address(&[0x76, 0x78, 0x06]), Some(Cfa::Read(rbp(-8), 0)));
        // breg7 160; deref
        assert_eq!(address(&[0x77, 0xa0, 0x01, 0x06]), Some(Cfa::Read(rsp(160), 0)));
        // breg7 8; deref; plus_uconst 8
        assert_eq!(address(&[0x77, 8, 0x06, 0x23, 8]), Some(Cfa::Read(rsp(8), 8)));
        // breg3 0; deref: rbx is not kept
        assert_eq!(address(&[0x73, 0, 0x06]), None);
        assert_eq!(address(&[]), None);
        assert_eq!(address(&[0x30; 100]), None);
    }
}
