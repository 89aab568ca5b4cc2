//! The instructions of Cranelift's IR that selection accepts: all of them, in one table.

use cranelift_codegen::ir::{Inst, Opcode};

use super::{Selected, Selector};
use crate::bpf::op::{AluOp, Size};
use crate::vcode::BlockId;

/// What selection does with an opcode.
pub(super) struct Row {
    /// Whether the instruction matters for its result alone.
    pub pure: bool,
    /// Emits its code.
    pub rule: fn(&mut Selector<'_>, BlockId, Inst) -> Selected,
}

const PURE: bool = true;
const EFFECT: bool = false;

macro_rules! accept {
    ($($opcode:ident: $pure:ident => $rule:expr;)*) => {
        /// The row of an opcode, if it is accepted.
        pub(super) fn row(opcode: Opcode) -> Option<Row> {
            let (pure, rule): (_, fn(&mut Selector<'_>, BlockId, Inst) -> Selected) = match opcode {
                $(Opcode::$opcode => ($pure, $rule),)*
                _ => return None,
            };
            Some(Row { pure, rule })
        }
    };
}

accept! {
    // Constants and addresses; most are folded into their uses or made where they are used.
    Iconst: PURE => |_, _, _| Ok(());
    StackAddr: PURE => |_, _, _| Ok(());
    SymbolValue: PURE => |_, _, _| Ok(());
    FuncAddr: PURE => |_, _, _| Ok(());

    // Arithmetic of 8 to 64 bits.
    Iadd: PURE => |s, _, i| s.add(i);
    Isub: PURE => |s, _, i| s.alu(i, AluOp::Sub);
    Imul: PURE => |s, _, i| s.alu(i, AluOp::Mul);
    Band: PURE => |s, _, i| s.and(i);
    Bor: PURE => |s, _, i| s.alu(i, AluOp::Or);
    Bxor: PURE => |s, _, i| s.alu(i, AluOp::Xor);
    Ishl: PURE => |s, _, i| s.shift(i, AluOp::Lsh);
    Ushr: PURE => |s, _, i| s.shift(i, AluOp::Rsh);
    Sshr: PURE => |s, _, i| s.shift(i, AluOp::Arsh);
    Udiv: PURE => |s, _, i| s.divide(i, AluOp::Div);
    Urem: PURE => |s, _, i| s.divide(i, AluOp::Mod);
    Ineg: PURE => |s, _, i| s.negate(i);
    Bnot: PURE => |s, _, i| s.not(i);
    Bswap: PURE => |s, _, i| s.swap_bytes(i);
    Uextend: PURE => |s, _, i| s.uextend(i);
    Sextend: PURE => |s, _, i| s.sextend(i);
    Ireduce: PURE => |_, _, _| Ok(());
    Bitcast: PURE => |_, _, _| Ok(());
    Icmp: PURE => |s, _, i| s.set_condition(i);
    Select: PURE => |s, _, i| s.select(i);

    // Memory. A load that nothing uses has no effect: eBPF's do not trap.
    Load: PURE => |s, _, i| s.load(i, None);
    Uload8: PURE => |s, _, i| s.load(i, Some(Size::Byte));
    Uload16: PURE => |s, _, i| s.load(i, Some(Size::Half));
    Uload32: PURE => |s, _, i| s.load(i, Some(Size::Word));
    Sload8: PURE => |s, _, i| s.load_signed(i, Size::Byte);
    Sload16: PURE => |s, _, i| s.load_signed(i, Size::Half);
    Sload32: PURE => |s, _, i| s.load_signed(i, Size::Word);
    Store: EFFECT => |s, _, i| s.store(i, None);
    Istore8: EFFECT => |s, _, i| s.store(i, Some(Size::Byte));
    Istore16: EFFECT => |s, _, i| s.store(i, Some(Size::Half));
    Istore32: EFFECT => |s, _, i| s.store(i, Some(Size::Word));
    AtomicRmw: EFFECT => |s, _, i| s.atomic_rmw(i);
    AtomicCas: EFFECT => |s, _, i| s.atomic_cas(i);

    // Control.
    Call: EFFECT => |s, _, i| s.call(i);
    Jump: EFFECT => |s, id, i| s.jump(id, i);
    Brif: EFFECT => |s, id, i| s.brif(id, i);
    Return: EFFECT => |s, _, i| s.ret(i);
    Trap: EFFECT => |s, _, _| s.trap();
    Nop: PURE => |_, _, _| Ok(());
    SequencePoint: PURE => |_, _, _| Ok(());
}
