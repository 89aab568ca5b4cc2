//! Stage `select`: Cranelift IR to eBPF instructions over virtual registers.
//!
//! Blocks and instructions are visited last to first, so that an instruction knows whether its
//! result is used. A use that another instruction's rule folds away (a constant, an address, a
//! comparison) does not count, and what nothing uses is never emitted.

mod arith;
mod bits;
mod control;
pub(crate) mod facts;
mod memory;
mod table;

use cranelift_codegen::entity::{EntitySet, SecondaryMap};
use cranelift_codegen::ir::{Block, BlockCall, Function, Inst as IrInst, Value};
use cranelift_codegen::packed_option::PackedOption;

use crate::bpf::RelocTarget;
use crate::bpf::op::{AluOp, Width};
use crate::error::Error;
use crate::vcode::{self, BlockId, BlockOrder, Builder, Inst, Operand, Origin, Reg};
use facts::{Facts, mask};

/// An instruction that no rule covers.
struct Unsupported;

type Selected = Result<(), Unsupported>;

/// Selects instructions for `func`, which is optimized and legalized.
pub(crate) fn select(func: &Function) -> Result<vcode::Function, Error> {
    let facts = Facts { func };
    let order = BlockOrder::new(func, |branch| facts.jumps_if_true(branch));
    let mut selector = Selector {
        facts,
        builder: Builder::new(&order.succs),
        order: &order,
        regs: SecondaryMap::new(),
        used: EntitySet::new(),
        done: EntitySet::new(),
        next_reg: 0,
        chunk: Vec::new(),
        bases: Vec::new(),
    };
    for id in (0..order.origins.len() as BlockId).rev() {
        match order.origins[id as usize] {
            Origin::Block(block) => selector.block(id, block)?,
            Origin::Edge { branch, succ } => selector.edge(id, branch, succ),
        }
    }
    Ok(selector.builder.finish(selector.next_reg, order.cold(func)))
}

/// State of the selection of one function.
struct Selector<'a> {
    facts: Facts<'a>,
    order: &'a BlockOrder,
    builder: Builder,
    /// Registers of values, given at the first (that is, last) use.
    regs: SecondaryMap<Value, PackedOption<RegIndex>>,
    /// Values that some emitted instruction reads.
    used: EntitySet<Value>,
    /// Blocks selected already.
    done: EntitySet<Block>,
    next_reg: u32,
    /// Instructions of the IR instruction at hand, in order.
    chunk: Vec<Inst>,
    /// Addresses that accesses up to the next call go by, still to be made.
    bases: Vec<(RelocTarget, Reg)>,
}

/// Number of a virtual register.
#[derive(Clone, Copy, PartialEq, Eq)]
struct RegIndex(u32);
cranelift_codegen::entity::entity_impl!(RegIndex);

impl Selector<'_> {
    fn block(&mut self, id: BlockId, block: Block) -> Result<(), Error> {
        let func = self.facts.func;
        // Last to first.
        let mut body = Vec::new();
        for inst in func.layout.block_insts(block).rev() {
            self.chunk.clear();
            if func.dfg.insts[inst].opcode().is_call() {
                self.make_bases(&mut body);
            }
            self.inst(id, inst).map_err(|Unsupported| Error::UnsupportedInstruction {
                function: func.name.to_string(),
                instruction: func.dfg.display_inst(inst).to_string(),
                ir: func.display().to_string(),
            })?;
            let loc = func.srcloc(inst);
            let line = (!loc.is_default()).then(|| loc.bits());
            body.extend(self.chunk.drain(..).rev().map(|inst| (inst, line)));
        }
        self.make_bases(&mut body);
        let mut params = Vec::new();
        if id == 0 {
            let regs = func.dfg.block_params(block).iter().map(|&p| self.reg(p)).collect();
            body.push((Inst::Params { regs }, None));
        } else {
            for &param in func.dfg.block_params(block) {
                if self.used.contains(param) {
                    params.push(self.reg(param));
                }
            }
        }
        body.reverse();
        self.builder.set_block(id, &params, body);
        self.done.insert(block);
        Ok(())
    }

    /// Makes the addresses that accesses after this place share.
    fn make_bases(&mut self, body: &mut Vec<(Inst, Option<u32>)>) {
        let line = body.last().and_then(|(_, line)| *line);
        let make = |(target, dst)| (Inst::Address { dst, target }, line);
        body.extend(self.bases.drain(..).map(make));
    }

    /// A register with an address, shared by accesses that no call separates.
    fn shared_address(&mut self, target: RelocTarget) -> Reg {
        if let Some(&(_, reg)) = self.bases.iter().find(|(base, _)| *base == target) {
            return reg;
        }
        let reg = self.temp();
        self.bases.push((target, reg));
        reg
    }

    /// Selects the block on an edge: the arguments it passes, and a jump.
    fn edge(&mut self, id: BlockId, branch: IrInst, succ: usize) {
        self.chunk.clear();
        let call = self.destination(branch, succ);
        let args = self.block_args(call);
        self.builder.set_args(id, 0, &args);
        self.emit(Inst::Jump { target: self.order.succs[id as usize][0] });
        let body = self.chunk.drain(..).map(|inst| (inst, None)).collect();
        self.builder.set_block(id, &[], body);
    }

    fn inst(&mut self, id: BlockId, inst: IrInst) -> Selected {
        let func = self.facts.func;
        let row = table::row(func.dfg.insts[inst].opcode()).ok_or(Unsupported)?;
        let results = func.dfg.inst_results(inst);
        if row.pure && !results.iter().any(|&result| self.used.contains(result)) {
            return Ok(());
        }
        (row.rule)(self, id, inst)
    }

    fn destination(&self, branch: IrInst, succ: usize) -> BlockCall {
        let dfg = &self.facts.func.dfg;
        dfg.insts[branch].branch_destination(&dfg.jump_tables, &dfg.exception_tables)[succ]
    }

    /// The registers of a block call's arguments, those of parameters that nothing uses left out.
    fn block_args(&mut self, call: BlockCall) -> Vec<Reg> {
        let func = self.facts.func;
        let target = call.block(&func.dfg.value_lists);
        let params = func.dfg.block_params(target);
        if !self.done.contains(target) {
            // A loop's head, not selected yet: whether it uses its parameters is not known.
            for &param in params {
                self.used.insert(param);
            }
        }
        let args: Vec<Value> = call
            .args(&func.dfg.value_lists)
            .zip(params)
            .filter(|&(_, &param)| self.used.contains(param))
            .filter_map(|(arg, _)| arg.as_value())
            .collect();
        args.into_iter().map(|arg| self.value(arg)).collect()
    }

    fn emit(&mut self, inst: Inst) {
        self.chunk.push(inst);
    }

    /// A register of its own.
    fn temp(&mut self) -> Reg {
        self.next_reg += 1;
        Reg::Virtual(self.next_reg - 1)
    }

    /// The register that `value` is defined in.
    fn reg(&mut self, value: Value) -> Reg {
        if let Some(RegIndex(n)) = self.regs[value].expand() {
            return Reg::Virtual(n);
        }
        let n = self.next_reg;
        self.next_reg += 1;
        self.regs[value] = RegIndex(n).into();
        Reg::Virtual(n)
    }

    /// The register of `inst`'s first result.
    fn result(&mut self, inst: IrInst) -> Reg {
        match self.facts.func.dfg.inst_results(inst) {
            &[result, ..] => self.reg(result),
            [] => self.temp(),
        }
    }

    /// Whether an instruction selected already, so later in the code, reads `value`.
    fn used_later(&self, value: Value) -> bool {
        self.used.contains(self.facts.root(value))
    }

    /// A register that holds `value`. Bits above its type are undefined. Constants and addresses
    /// are made anew for each use: that costs no more than a copy, and keeps registers free.
    fn value(&mut self, value: Value) -> Reg {
        let facts = self.facts;
        if let Some(constant) = facts.constant(value) {
            return self.constant(constant);
        }
        let value = facts.root(value);
        if let Some((slot, off)) = facts.stack_address(value) {
            let dst = self.temp();
            self.emit(Inst::FrameAddress { dst, slot, off });
            dst
        } else if let Some(target) = facts.symbol_address(value) {
            let dst = self.temp();
            self.emit(Inst::Address { dst, target });
            dst
        } else if let Some(index) = facts.core_relocation(value) {
            let dst = self.temp();
            self.emit(Inst::Core { dst, index });
            dst
        } else {
            self.used.insert(value);
            self.reg(value)
        }
    }

    /// A register that holds a constant.
    fn constant(&mut self, value: u64) -> Reg {
        let dst = self.temp();
        self.emit(match short_constant(value) {
            Some((width, imm)) => Inst::Mov { width, dst, src: Operand::Imm(imm) },
            None => Inst::Const { dst, value },
        });
        dst
    }

    /// A register that holds `value` zero-extended to 64 bits.
    fn zero_extended(&mut self, value: Value) -> Reg {
        let lhs = self.value(value);
        if self.facts.zero_extended(value) {
            return lhs;
        }
        let dst = self.temp();
        self.emit(zero_extend(dst, lhs, mask(self.facts.ty(value))));
        dst
    }

    /// A register whose low 32 bits hold `value` sign-extended.
    fn sign_extended(&mut self, value: Value) -> Reg {
        let src = self.value(value);
        let bits = self.facts.ty(value).bits();
        if bits >= 32 || self.facts.sign_extended(value) {
            return src;
        }
        let dst = self.temp();
        self.shift_pair(Width::W32, 32 - bits, dst, src);
        dst
    }

    /// Sign-extends by shifting left and back; eBPF had nothing better before its version 4.
    fn shift_pair(&mut self, width: Width, count: u32, dst: Reg, src: Reg) {
        let high = self.temp();
        let rhs = Operand::Imm(count as i32);
        self.emit(Inst::Alu { op: AluOp::Lsh, width, dst: high, lhs: src, rhs });
        self.emit(Inst::Alu { op: AluOp::Arsh, width, dst, lhs: high, rhs });
    }

    /// `value` as an operand of arithmetic of its width: an immediate if it fits. Those of narrow
    /// types are zero-extended, as their registers would be.
    fn operand(&mut self, value: Value) -> Operand {
        let imm = match self.facts.constant(value) {
            Some(constant) if width_of(self.facts.ty(value)) == Width::W32 => Some(constant as i32),
            Some(constant) => i32::try_from(constant as i64).ok(),
            None => None,
        };
        match imm {
            Some(imm) => Operand::Imm(imm),
            None => Operand::Reg(self.value(value)),
        }
    }
}

/// `dst = src & mask`, the mask being that of a type below 64 bits.
fn zero_extend(dst: Reg, src: Reg, mask: u64) -> Inst {
    let width = Width::W32;
    if mask == u64::from(u32::MAX) {
        Inst::Mov { width, dst, src: Operand::Reg(src) }
    } else {
        Inst::Alu { op: AluOp::And, width, dst, lhs: src, rhs: Operand::Imm(mask as i32) }
    }
}

/// How one slot makes a constant: a move of this width of this immediate.
fn short_constant(value: u64) -> Option<(Width, i32)> {
    if let Ok(imm) = i32::try_from(value as i64) {
        Some((Width::W64, imm))
    } else {
        u32::try_from(value).ok().map(|imm| (Width::W32, imm as i32))
    }
}

/// The width of arithmetic on a type.
fn width_of(ty: cranelift_codegen::ir::Type) -> Width {
    if ty.bits() == 64 { Width::W64 } else { Width::W32 }
}

/// Bits whose bytes the intrinsic with this index swaps; all intrinsics do.
fn swap_bits(intrinsic: u32) -> Option<u8> {
    use crate::clif::Intrinsic;
    [(Intrinsic::Bswap16, 16), (Intrinsic::Bswap32, 32), (Intrinsic::Bswap64, 64)]
        .into_iter()
        .find_map(|(of, bits)| (of as u32 == intrinsic).then_some(bits))
}
