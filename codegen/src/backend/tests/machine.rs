//! An eBPF machine after RFC 9669, for results of code that rbpf does not run as the kernel does.

use crate::bpf::Insn;
use crate::bpf::op::{AluOp, AtomicOp, Cond, Op, Size, Src, Width};

/// Where the frame pointer points.
const FRAME: u64 = 0x1_0000_0000;
const STACK: usize = 512;

struct Machine {
    regs: [u64; 11],
    stack: [u8; STACK],
}

/// Runs `insns` with `args` in r1 and up; calls double the sum of their arguments and clobber.
pub(super) fn run(insns: &[Insn], args: &[u64]) -> u64 {
    let mut machine = Machine { regs: [0xdead_beef_dead_beef; 11], stack: [0xa5; STACK] };
    machine.regs[1..=args.len()].copy_from_slice(args);
    machine.regs[10] = FRAME;
    let mut pc = 0usize;
    for _ in 0..1_000_000 {
        let op = Op::decode(&insns[pc..]).expect("a known instruction");
        pc += op.slots() as usize;
        match op {
            Op::Exit => return machine.regs[0],
            Op::Jump { off } => pc = pc.wrapping_add_signed(off.into()),
            Op::Branch { cond, width, lhs, rhs, off } => {
                if holds(cond, width, machine.reg(lhs), machine.source(rhs)) {
                    pc = pc.wrapping_add_signed(off.into());
                }
            }
            _ => machine.step(op),
        }
    }
    panic!("endless code");
}

impl Machine {
    fn reg(&self, reg: u8) -> u64 {
        self.regs[usize::from(reg)]
    }

    fn set(&mut self, reg: u8, value: u64) {
        assert_ne!(reg, 10, "the frame pointer is read-only");
        self.regs[usize::from(reg)] = value;
    }

    fn source(&self, src: Src) -> u64 {
        match src {
            Src::Reg(reg) => self.reg(reg),
            Src::Imm(imm) => i64::from(imm) as u64,
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Alu { op, width, dst, src } => {
                self.set(dst, alu(op, width, self.reg(dst), self.source(src)));
            }
            Op::Neg { width, dst } => self.set(dst, truncate(width, self.reg(dst).wrapping_neg())),
            Op::Swap { bits, dst } => {
                self.set(dst, self.reg(dst).swap_bytes() >> (64 - u32::from(bits)));
            }
            Op::Const { dst, value, .. } => self.set(dst, value),
            Op::Load { size, dst, base, off } => {
                let value = self.load(size, base, off);
                self.set(dst, value);
            }
            Op::Store { size, base, off, src } => {
                let value = self.source(src);
                self.store(size, base, off, value);
            }
            Op::Atomic { op, size, base, off, src } => self.atomic(op, size, base, off, src),
            Op::Call { imm, .. } => {
                let sum: u64 = self.regs[1..=5].iter().fold(0, |sum, r| sum.wrapping_add(*r));
                assert!((0..=5).contains(&imm), "test helpers are numbered by their arguments");
                self.regs[1..=5].fill(0xbad);
                self.regs[0] = sum.wrapping_mul(2);
            }
            Op::Exit | Op::Jump { .. } | Op::Branch { .. } => unreachable!("control"),
        }
    }

    fn place(&self, size: Size, base: u8, off: i16) -> std::ops::Range<usize> {
        let address = self.reg(base).wrapping_add_signed(off.into());
        let start = address.wrapping_sub(FRAME - STACK as u64) as usize;
        assert!(start + size.bytes() as usize <= STACK, "access at {address:#x}");
        assert_eq!(address % u64::from(size.bytes()), 0, "misaligned");
        start..start + size.bytes() as usize
    }

    fn load(&self, size: Size, base: u8, off: i16) -> u64 {
        let mut bytes = [0; 8];
        let place = self.place(size, base, off);
        bytes[..place.len()].copy_from_slice(&self.stack[place]);
        u64::from_le_bytes(bytes)
    }

    fn store(&mut self, size: Size, base: u8, off: i16, value: u64) {
        let place = self.place(size, base, off);
        let len = place.len();
        self.stack[place].copy_from_slice(&value.to_le_bytes()[..len]);
    }

    fn atomic(&mut self, op: AtomicOp, size: Size, base: u8, off: i16, src: u8) {
        let width = if size == Size::Word { Width::W32 } else { Width::W64 };
        let (old, operand) = (self.load(size, base, off), self.reg(src));
        let new = match op {
            AtomicOp::Add | AtomicOp::FetchAdd => old.wrapping_add(operand),
            AtomicOp::Or | AtomicOp::FetchOr => old | operand,
            AtomicOp::And | AtomicOp::FetchAnd => old & operand,
            AtomicOp::Xor | AtomicOp::FetchXor => old ^ operand,
            AtomicOp::Xchg => operand,
            AtomicOp::Cmpxchg if old == truncate(width, self.reg(0)) => operand,
            AtomicOp::Cmpxchg => old,
        };
        self.store(size, base, off, new);
        match op {
            AtomicOp::Add | AtomicOp::Or | AtomicOp::And | AtomicOp::Xor => {}
            AtomicOp::Cmpxchg => self.set(0, old),
            _ => self.set(src, old),
        }
    }
}

fn truncate(width: Width, value: u64) -> u64 {
    match width {
        Width::W32 => u64::from(value as u32),
        Width::W64 => value,
    }
}

fn alu(op: AluOp, width: Width, x: u64, y: u64) -> u64 {
    let (x, y) = (truncate(width, x), truncate(width, y));
    let bits = if width == Width::W32 { 32 } else { 64 };
    let count = (y % bits) as u32;
    let result = match op {
        AluOp::Add => x.wrapping_add(y),
        AluOp::Sub => x.wrapping_sub(y),
        AluOp::Mul => x.wrapping_mul(y),
        AluOp::Div => x.checked_div(y).unwrap_or(0),
        AluOp::Mod => x.checked_rem(y).unwrap_or(x),
        AluOp::Or => x | y,
        AluOp::And => x & y,
        AluOp::Xor => x ^ y,
        AluOp::Mov => y,
        AluOp::Lsh => x << count,
        AluOp::Rsh => x >> count,
        AluOp::Arsh if width == Width::W32 => i64::from(x as i32 >> count) as u64,
        AluOp::Arsh => (x as i64 >> count) as u64,
    };
    truncate(width, result)
}

fn holds(cond: Cond, width: Width, x: u64, y: u64) -> bool {
    let (x, y) = (truncate(width, x), truncate(width, y));
    let signed = |value: u64| match width {
        Width::W32 => i64::from(value as i32),
        Width::W64 => value as i64,
    };
    match cond {
        Cond::Eq => x == y,
        Cond::Ne => x != y,
        Cond::Gt => x > y,
        Cond::Ge => x >= y,
        Cond::Lt => x < y,
        Cond::Le => x <= y,
        Cond::Set => x & y != 0,
        Cond::Sgt => signed(x) > signed(y),
        Cond::Sge => signed(x) >= signed(y),
        Cond::Slt => signed(x) < signed(y),
        Cond::Sle => signed(x) <= signed(y),
    }
}

/// Whether rbpf 0.4 runs `insns` as the kernel does: it zero-extends the immediates of 64-bit
/// comparisons, and has neither atomic operations nor a negation that wraps.
pub(super) fn rbpf_is_faithful(insns: &[Insn]) -> bool {
    let mut slot = 0;
    while let Some(op) = insns.get(slot..).and_then(Op::decode) {
        match op {
            Op::Branch { width: Width::W64, rhs: Src::Imm(imm), .. } if imm < 0 => return false,
            Op::Neg { .. } | Op::Atomic { .. } | Op::Call { .. } => return false,
            _ => slot += op.slots() as usize,
        }
    }
    true
}
