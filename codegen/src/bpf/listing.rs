//! Code as text, in the notation of the kernel's verifier log, with names for numbers.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::op::{AluOp, AtomicOp, CallKind, ConstKind, Op, Size, Src, Width};
use super::{FunctionCode, RelocTarget};

/// Names of what code refers to. `None` makes the listing show the number.
pub trait Names {
    /// A helper's name, without `bpf_`.
    fn helper(&self, id: u32) -> Option<String> {
        let _ = id;
        None
    }

    /// What a symbolic reference refers to, such as `@count` or `task_struct.pid`.
    fn target(&self, target: RelocTarget) -> Option<String> {
        let _ = target;
        None
    }

    /// The script's text at a span.
    fn source(&self, span: u32) -> Option<String> {
        let _ = span;
        None
    }
}

/// Shows no names.
impl Names for () {}

/// Writes the listing of a function: one instruction a line with its slot, the script's text as
/// comments where it changes, labels before the targets of jumps.
pub fn write_listing(code: &FunctionCode, names: &dyn Names, out: &mut dyn Write) -> fmt::Result {
    let labels = labels(code);
    let stack = code.frame_bytes;
    writeln!(out, "{}: # {} slots, {stack} bytes of stack", code.name, code.insns.len())?;
    let mut lines = code.lines.iter().peekable();
    let mut shown = None;
    let mut slot = 0;
    while let Some(insns) = code.insns.get(slot as usize..).filter(|rest| !rest.is_empty()) {
        if let Some(label) = labels.get(&i64::from(slot)) {
            writeln!(out, "L{label}:")?;
        }
        while let Some(entry) = lines.next_if(|entry| entry.slot <= slot) {
            let text = names.source(entry.span);
            if let Some(text) = text.as_ref().filter(|_| shown != text) {
                writeln!(out, "      ; {}", text.trim())?;
            }
            shown = text;
        }
        let target = code.relocs.iter().find(|reloc| reloc.slot == slot).map(|r| r.target);
        write!(out, "{slot:4}: ")?;
        let slots = match Op::decode(insns) {
            Some(op) => {
                let printer = Printer { names, target, slot, labels: &labels };
                printer.op(op, out)?;
                op.slots()
            }
            None => {
                write!(out, "{:02x?}", insns[0].to_bytes())?;
                1
            }
        };
        writeln!(out)?;
        slot += slots;
    }
    Ok(())
}

/// Numbers for the targets of jumps, by slot.
fn labels(code: &FunctionCode) -> BTreeMap<i64, usize> {
    let mut targets = BTreeMap::new();
    for (slot, insn) in code.insns.iter().enumerate() {
        if let Some(Op::Jump { off } | Op::Branch { off, .. }) = Op::decode(&[*insn]) {
            targets.insert(slot as i64 + 1 + i64::from(off), 0);
        }
    }
    for (number, label) in targets.values_mut().enumerate() {
        *label = number + 1;
    }
    targets
}

struct Printer<'a> {
    names: &'a dyn Names,
    target: Option<RelocTarget>,
    slot: u32,
    labels: &'a BTreeMap<i64, usize>,
}

impl Printer<'_> {
    fn op(&self, op: Op, out: &mut dyn Write) -> fmt::Result {
        match op {
            Op::Alu { op, width, dst, src } => {
                let dst = register(width, dst);
                write!(out, "{dst} {} {}", op.text(), self.alu_source(op, width, src))
            }
            Op::Neg { width, dst } => {
                let dst = register(width, dst);
                write!(out, "{dst} = -{dst}")
            }
            Op::Swap { bits, dst } => write!(out, "r{dst} = be{bits} r{dst}"),
            Op::Const { dst, kind, value } => self.constant(dst, kind, value, out),
            Op::Load { size, dst, base, off } => {
                write!(out, "r{dst} = {}", place(size, base, off))
            }
            Op::Store { size, base, off, src } => {
                write!(out, "{} = {}", place(size, base, off), source(Width::W64, src))
            }
            Op::Atomic { op, size, base, off, src } => atomic(op, size, base, off, src, out),
            Op::Call { kind, imm } => self.call(kind, imm, out),
            Op::Exit => out.write_str("exit"),
            Op::Jump { off } => write!(out, "goto {}", self.label(off)),
            Op::Branch { cond, width, lhs, rhs, off } => {
                let (lhs, rhs) = (register(width, lhs), source(width, rhs));
                write!(out, "if {lhs} {} {rhs} goto {}", cond.text(), self.label(off))
            }
        }
    }

    fn label(&self, off: i16) -> String {
        let target = i64::from(self.slot) + 1 + i64::from(off);
        self.labels.get(&target).map_or_else(|| format!("{off:+}"), |label| format!("L{label}"))
    }

    fn target_name(&self) -> Option<String> {
        self.names.target(self.target?)
    }

    /// A bit mask reads best in hexadecimal.
    fn alu_source(&self, op: AluOp, width: Width, src: Src) -> String {
        match (src, self.target, self.target_name()) {
            (Src::Imm(_), Some(_), Some(name)) => name,
            (Src::Imm(_), Some(RelocTarget::Core(index)), None) => format!("core#{index}"),
            (Src::Imm(imm), ..) if op == AluOp::And => format!("{imm:#x}"),
            _ => source(width, src),
        }
    }

    fn constant(&self, dst: u8, kind: ConstKind, value: u64, out: &mut dyn Write) -> fmt::Result {
        let kind_text = kind.text();
        match (self.target, self.target_name()) {
            (Some(_), Some(name)) => write!(out, "r{dst} = {name} ll"),
            (Some(target), None) => write!(out, "r{dst} = {} ll", unnamed(target)),
            (None, _) => write!(out, "r{dst} = {kind_text}{value:#x} ll"),
        }
    }

    fn call(&self, kind: CallKind, imm: i32, out: &mut dyn Write) -> fmt::Result {
        let helper = || self.names.helper(u32::try_from(imm).ok()?);
        let name = match (kind, self.target) {
            (CallKind::Helper, _) => helper(),
            (_, Some(target)) => Some(self.target_name().unwrap_or_else(|| unnamed(target))),
            _ => None,
        };
        match name {
            Some(name) => write!(out, "call {name}"),
            None => write!(out, "call {}#{imm}", kind.text()),
        }
    }
}

fn unnamed(target: RelocTarget) -> String {
    match target {
        RelocTarget::Map(index) => format!("map#{index}"),
        RelocTarget::Rodata(offset) => format!(".rodata+{offset}"),
        RelocTarget::Data(offset) => format!(".bss+{offset}"),
        RelocTarget::Call(index) | RelocTarget::FuncAddr(index) => format!("func#{index}"),
        RelocTarget::Kfunc(index) => format!("kfunc#{index}"),
        RelocTarget::Core(index) => format!("core#{index}"),
    }
}

fn atomic(
    op: AtomicOp,
    size: Size,
    base: u8,
    off: i16,
    src: u8,
    out: &mut dyn Write,
) -> fmt::Result {
    let place = place(size, base, off);
    let name = op.text();
    match op {
        AtomicOp::Add | AtomicOp::Or | AtomicOp::And | AtomicOp::Xor => {
            write!(out, "lock {place} {name} r{src}")
        }
        AtomicOp::Cmpxchg => write!(out, "r0 = atomic_{name}({place}, r0, r{src})"),
        _ => write!(out, "r{src} = atomic_{name}({place}, r{src})"),
    }
}

fn place(size: Size, base: u8, off: i16) -> String {
    format!("*({} *)(r{base} {off:+})", size.text())
}

fn register(width: Width, number: u8) -> String {
    match width {
        Width::W32 => format!("w{number}"),
        Width::W64 => format!("r{number}"),
    }
}

fn source(width: Width, src: Src) -> String {
    match src {
        Src::Reg(number) => register(width, number),
        Src::Imm(imm) => imm.to_string(),
    }
}
