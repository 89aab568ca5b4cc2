//! Loops over ranges: short ones are loops of the program itself, others the kernel runs by `bpf_loop`.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use rbtrace_lang::hir::{
    BinaryOp, Expr, ExprKind, Int, LocalId, ProbeBlock, Stmt, StmtKind, Type, UnaryOp,
};
use rbtrace_probes_ebpf::helpers;

use super::captures::{Captures, constant_bounds, loops_in_kernel};
use super::func::{FnBuilder, Loop, Storage};
use crate::error::Error;

/// Most rounds of arithmetic that one call of a callback does.
const STRIP: i64 = 16;
/// Fewest rounds to a call for which a strip is shortened so that its length divides a range's.
const SHORT_STRIP: i64 = 8;

/// How many rounds a call of a callback does.
#[derive(Clone, Copy)]
struct Strip {
    rounds: i64,
    /// The last call may have fewer to do.
    ends_early: bool,
}

impl<'p> FnBuilder<'_, '_, 'p> {
    /// `for ($i : start..end) { ... }`
    pub(super) fn for_range(
        &mut self,
        local: LocalId,
        start: &Expr,
        end: &Expr,
        body: &[Stmt],
    ) -> Result<(), Error> {
        if !loops_in_kernel(start, end) {
            return self.for_short_range(local, start, end, body);
        }
        let int = self.int_of(&start.ty)?;
        let first = self.scalar(start)?;
        let last = self.scalar(end)?;
        if let Some(kept) = self.kept_bounds(local)? {
            self.store(kept[0], 8, first);
            self.store(kept[1], 8, last);
        }
        let constant = constant_bounds(start, end);
        let strip = is_arithmetic(self.block, body).then(|| Strip::of(constant));
        let callback = self.callback(2, body, |f, params| {
            let &[index, _] = params else {
                return Err(f.bug("a callback with other parameters"));
            };
            let [first, last] = f.bounds(local, constant)?;
            let Some(strip) = strip else {
                // Below the range's end, so that it needs no wrapping.
                let now = f.b.ins().iadd(first, index);
                f.begin_round(local, int, now)?;
                return f.stmts(body);
            };
            let done = f.b.ins().imul_imm_s(index, strip.rounds);
            let now = f.b.ins().iadd(first, done);
            f.strip(strip, (local, int), now, last, body)
        })?;
        let any = self.b.ins().icmp(less(int), first, last);
        self.when(any, |f| {
            f.forget_shared()?;
            let rounds = f.b.ins().isub(last, first);
            let calls = f.calls(rounds, strip);
            let function = f.function_address(callback, 2);
            let context = f.shared_address()?;
            let flags = f.iconst(0);
            f.helper(helpers::LOOP, &[calls, function, context, flags]);
            f.return_if_asked()
        })
    }

    /// How often the callback is to be called for so many rounds, of which there is at least one.
    fn calls(&mut self, rounds: Value, strip: Option<Strip>) -> Value {
        let Some(strip) = strip else { return rounds };
        let before_last = self.b.ins().iadd_imm_s(rounds, -1);
        let size = self.iconst(strip.rounds);
        let whole = self.b.ins().udiv(before_last, size);
        self.b.ins().iadd_imm_s(whole, 1)
    }

    /// In a callback: where the range starts and ends.
    fn bounds(&mut self, local: LocalId, constant: Option<[i64; 2]>) -> Result<[Value; 2], Error> {
        match (self.kept_bounds(local)?, constant) {
            (Some(kept), _) => Ok(kept.map(|place| self.load(place, Int::I64))),
            (None, Some(bounds)) => Ok(bounds.map(|bound| self.iconst(bound))),
            (None, None) => Err(self.bug("a range whose bounds are not kept")),
        }
    }

    /// Several rounds from `now` on, with the variables in registers.
    fn strip(
        &mut self,
        strip: Strip,
        (local, int): (LocalId, Int),
        now: Value,
        last: Value,
        body: &[Stmt],
    ) -> Result<(), Error> {
        let kept = self.keep_in_registers(Captures::of(body).own)?;
        let (round, number) = (self.b.declare_var(I64), self.b.declare_var(I64));
        let zero = self.iconst(0);
        self.b.def_var(round, zero);
        self.b.def_var(number, now);
        let head = self.b.create_block();
        let again = self.b.create_block();
        let exit = self.b.create_block();
        self.b.ins().jump(head, &[]);
        self.b.switch_to_block(head);
        let now = self.b.use_var(number);
        self.begin_round(local, int, now)?;
        self.stmts(body)?;
        let next = self.b.ins().iadd_imm_s(now, 1);
        self.b.def_var(number, next);
        let so_far = self.b.use_var(round);
        let so_far = self.b.ins().iadd_imm_s(so_far, 1);
        self.b.def_var(round, so_far);
        let more = self.b.ins().icmp_imm_s(IntCC::NotEqual, so_far, strip.rounds);
        self.b.ins().brif(more, again, &[], exit, &[]);
        self.enter(again);
        if strip.ends_early {
            let more = self.b.ins().icmp(less(int), next, last);
            self.b.ins().brif(more, head, &[], exit, &[]);
        } else {
            self.b.ins().jump(head, &[]);
        }
        self.b.seal_block(head);
        self.enter(exit);
        self.put_back(kept)
    }

    /// Gives the loop's variable its value. Assignments to it do not change the number of rounds.
    fn begin_round(&mut self, local: LocalId, int: Int, now: Value) -> Result<(), Error> {
        match self.local(local)? {
            Storage::Memory(place) => self.store(place, u32::from(int.size), now),
            Storage::Register(variable) => self.b.def_var(variable, now),
            Storage::Members => return Err(self.bug("a number in parts")),
        }
        Ok(())
    }

    /// A range of few rounds, as a loop of the program itself.
    fn for_short_range(
        &mut self,
        local: LocalId,
        start: &Expr,
        end: &Expr,
        body: &[Stmt],
    ) -> Result<(), Error> {
        let int = self.int_of(&start.ty)?;
        let counter = self.b.declare_var(I64);
        let first = self.scalar(start)?;
        let last = self.scalar(end)?;
        self.b.def_var(counter, first);
        let head = self.b.create_block();
        let inside = self.b.create_block();
        let next = self.b.create_block();
        let exit = self.b.create_block();
        self.b.ins().jump(head, &[]);
        self.b.switch_to_block(head);
        let now = self.b.use_var(counter);
        let more = self.b.ins().icmp(less(int), now, last);
        self.b.ins().brif(more, inside, &[], exit, &[]);
        self.enter(inside);
        self.begin_round(local, int, now)?;
        self.loops.push(Loop { next, exit });
        self.stmts(body)?;
        self.loops.pop();
        self.join(next);
        let stepped = self.b.ins().iadd_imm_s(now, 1);
        self.b.def_var(counter, stepped);
        self.b.ins().jump(head, &[]);
        self.b.seal_block(head);
        self.enter(exit);
        Ok(())
    }
}

impl Strip {
    /// Of a range with these bounds, where they are known: without a rest if a strip of some length
    /// leaves none.
    fn of(bounds: Option<[i64; 2]>) -> Self {
        let longest = Self { rounds: STRIP, ends_early: true };
        let Some([first, last]) = bounds else { return longest };
        let divides = |size: &i64| last.checked_sub(first).is_some_and(|rounds| rounds % size == 0);
        match (SHORT_STRIP..=STRIP).rev().find(divides) {
            Some(rounds) => Self { rounds, ends_early: false },
            None => longest,
        }
    }
}

fn less(int: Int) -> IntCC {
    if int.signed { IntCC::SignedLessThan } else { IntCC::UnsignedLessThan }
}

/// Whether statements do arithmetic on variables and nothing else. The verifier has one path
/// through them, however often it follows them.
fn is_arithmetic(block: &ProbeBlock, stmts: &[Stmt]) -> bool {
    let in_register =
        |local: LocalId| block.locals.get(local.index()).is_some_and(|local| !local.addressed);
    stmts.iter().all(|stmt| match &stmt.kind {
        StmtKind::Set { local, value } => in_register(*local) && is_computed(value),
        StmtKind::Expr(e) => is_computed(e),
        _ => false,
    })
}

/// Whether a number comes from variables and constants without a branch.
fn is_computed(e: &Expr) -> bool {
    let is_number = matches!(e.ty, Type::Int(_));
    is_number
        && match &e.kind {
            ExprKind::Int(_) | ExprKind::Zero | ExprKind::Local(_) | ExprKind::LocalStep { .. } => {
                true
            }
            ExprKind::Unary { op, operand } => *op != UnaryOp::Not && is_computed(operand),
            ExprKind::Cast(operand) => is_computed(operand),
            ExprKind::Binary { op: BinaryOp::Div | BinaryOp::Rem, left, right } => {
                is_computed(left) && matches!(right.kind, ExprKind::Int(n) if n != 0)
            }
            ExprKind::Binary { op, left, right } => {
                !op.is_comparison()
                    && !matches!(op, BinaryOp::And | BinaryOp::Or)
                    && is_computed(left)
                    && is_computed(right)
            }
            _ => false,
        }
}
