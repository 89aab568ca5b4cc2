//! What selection knows of a value of the IR: its constant, the register bits it can set, the
//! address it is.

use cranelift_codegen::ir::{
    ExternalName, Function, GlobalValue, GlobalValueData, Inst, InstructionData, Opcode, StackSlot,
    Type, UserExternalName, Value, ValueDef, types,
};

use crate::bpf::RelocTarget;
use crate::clif::namespace;

/// How far back the search for known bits goes.
const DEPTH: u32 = 8;

/// Looks values of one function up.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub func: &'a Function,
}

impl<'a> Facts<'a> {
    /// The instruction that defines `value`, unless it is a parameter.
    pub fn def(self, value: Value) -> Option<Inst> {
        let value = self.func.dfg.resolve_aliases(value);
        match self.func.dfg.value_def(value) {
            ValueDef::Result(inst, 0) => Some(inst),
            _ => None,
        }
    }

    /// The type of `value`.
    pub fn ty(self, value: Value) -> Type {
        self.func.dfg.value_type(value)
    }

    /// The instruction that defines `value`, its opcode and arguments.
    pub fn def_op(self, value: Value) -> Option<(Opcode, &'a [Value], Inst)> {
        let inst = self.def(value)?;
        Some((self.func.dfg.insts[inst].opcode(), self.func.dfg.inst_args(inst), inst))
    }

    /// The value whose register `value` shares: reductions, and extensions of what is extended
    /// already, cost nothing.
    pub fn root(self, value: Value) -> Value {
        let mut value = self.func.dfg.resolve_aliases(value);
        while let Some((opcode, args, _)) = self.def_op(value) {
            let &[arg] = args else { break };
            let free = match opcode {
                Opcode::Ireduce => true,
                Opcode::Bitcast => self.ty(arg).is_int(),
                Opcode::Uextend => self.zero_extended(arg),
                Opcode::Sextend => self.reg_bits(arg, DEPTH) < self.ty(arg).bits(),
                _ => false,
            };
            if !free {
                break;
            }
            value = self.func.dfg.resolve_aliases(arg);
        }
        value
    }

    /// The constant that `value` is, zero-extended from its type.
    pub fn constant(self, value: Value) -> Option<u64> {
        let (opcode, args, inst) = self.def_op(value)?;
        let bits = match (opcode, args, &self.func.dfg.insts[inst]) {
            (Opcode::Iconst, _, InstructionData::UnaryImm { imm, .. }) => imm.bits() as u64,
            (Opcode::SymbolValue, _, _) => {
                let (name, offset) = self.symbol(inst)?;
                if name.namespace != namespace::OPAQUE {
                    return None;
                }
                offset as u64
            }
            (Opcode::Ireduce | Opcode::Uextend, &[arg], _) => self.constant(arg)?,
            (Opcode::Sextend, &[arg], _) => sign_extend(self.constant(arg)?, self.ty(arg)) as u64,
            _ => return None,
        };
        Some(bits & mask(self.ty(value)))
    }

    /// As [`Facts::constant`], sign-extended.
    pub fn signed_constant(self, value: Value) -> Option<i64> {
        Some(sign_extend(self.constant(value)?, self.ty(value)))
    }

    /// Name and offset of the symbol that `inst` takes the value of.
    pub fn symbol(self, inst: Inst) -> Option<(&'a UserExternalName, i64)> {
        let InstructionData::UnaryGlobalValue { global_value, .. } = self.func.dfg.insts[inst]
        else {
            return None;
        };
        self.global(global_value)
    }

    fn global(self, global: GlobalValue) -> Option<(&'a UserExternalName, i64)> {
        let GlobalValueData::Symbol { name, offset, .. } = &self.func.global_values[global] else {
            return None;
        };
        Some((self.user_name(name)?, offset.bits()))
    }

    /// A name of the unit, by namespace and index.
    pub fn user_name(self, name: &ExternalName) -> Option<&'a UserExternalName> {
        match name {
            ExternalName::User(name) => self.func.params.user_named_funcs().get(*name),
            _ => None,
        }
    }

    /// The index of the CO-RE relocation whose value `value` is.
    pub fn core_relocation(self, value: Value) -> Option<u32> {
        let (name, _) = self.symbol(self.def(value)?)?;
        (name.namespace == namespace::CORE).then_some(name.index)
    }

    /// The address that `value` is the sum of and a constant.
    fn peel(self, value: Value) -> (Value, i64) {
        let (mut value, mut offset) = (self.func.dfg.resolve_aliases(value), 0i64);
        while let Some((opcode, &[lhs, rhs], _)) = self.def_op(value) {
            let (base, constant) = match opcode {
                Opcode::Iadd => match (self.signed_constant(lhs), self.signed_constant(rhs)) {
                    (None, Some(constant)) => (lhs, constant),
                    (Some(constant), None) => (rhs, constant),
                    _ => break,
                },
                Opcode::Isub => match self.signed_constant(rhs) {
                    Some(constant) => (lhs, constant.wrapping_neg()),
                    None => break,
                },
                _ => break,
            };
            let Some(sum) = offset.checked_add(constant).filter(|sum| small(*sum)) else { break };
            (value, offset) = (self.func.dfg.resolve_aliases(base), sum);
        }
        (value, offset)
    }

    /// Base and offset of an access at `value + offset`, constants folded while the sum is small.
    pub fn address(self, value: Value, offset: i64) -> (Value, i64) {
        if self.ty(value) == types::I64 {
            let (base, peeled) = self.peel(value);
            if small(peeled + offset) {
                return (base, peeled + offset);
            }
        }
        (value, offset)
    }

    /// The place in a stack slot that `value` is the address of.
    pub fn stack_address(self, value: Value) -> Option<(StackSlot, i32)> {
        let (base, offset) = self.peel(value);
        let InstructionData::StackAddr { stack_slot, offset: start, .. } =
            self.func.dfg.insts[self.def(base)?]
        else {
            return None;
        };
        Some((stack_slot, i32::try_from(offset).ok()?.checked_add(start.into())?))
    }

    /// The symbol that `value` is the address of.
    pub fn symbol_address(self, value: Value) -> Option<RelocTarget> {
        let (base, peeled) = self.peel(value);
        let inst = self.def(base)?;
        if let InstructionData::FuncAddr { func_ref, .. } = self.func.dfg.insts[inst] {
            let name = self.user_name(&self.func.dfg.ext_funcs[func_ref].name)?;
            let whole = peeled == 0 && name.namespace == namespace::FUNCTION;
            return whole.then_some(RelocTarget::FuncAddr(name.index));
        }
        let (name, offset) = self.symbol(inst)?;
        let offset = offset.checked_add(peeled)?;
        match name.namespace {
            namespace::MAP if offset == 0 => Some(RelocTarget::Map(name.index)),
            namespace::RODATA => Some(RelocTarget::Rodata(u32::try_from(offset).ok()?)),
            namespace::DATA => Some(RelocTarget::Data(u32::try_from(offset).ok()?)),
            _ => None,
        }
    }

    /// Symbol and offset of an access to data, by the section's start where that is near enough.
    pub fn data_place(self, pointer: Value, offset: i64) -> Option<(RelocTarget, i16)> {
        let target = self.symbol_address(pointer)?;
        let (start, place) = match target {
            RelocTarget::Rodata(place) => (RelocTarget::Rodata(0), place),
            RelocTarget::Data(place) => (RelocTarget::Data(0), place),
            _ => return None,
        };
        match i16::try_from(i64::from(place) + offset) {
            Ok(off) => Some((start, off)),
            Err(_) => Some((target, i16::try_from(offset).ok()?)),
        }
    }

    /// Whether the register of `value` holds it zero-extended to 64 bits.
    pub fn zero_extended(self, value: Value) -> bool {
        self.reg_bits(value, DEPTH) <= self.ty(value).bits()
    }

    /// Whether the register of `value` holds it sign-extended to 32 bits at least.
    pub fn sign_extended(self, value: Value) -> bool {
        self.reg_bits(value, DEPTH) < self.ty(value).bits()
    }

    /// A bound: the register of `value` holds less than two to this power.
    ///
    /// Mirrors what the rules emit: 64-bit operations for `i64`, 32-bit ones (which zero the upper
    /// half) for all narrower types.
    fn reg_bits(self, value: Value, depth: u32) -> u32 {
        if let Some(constant) = self.constant(value) {
            return u64::BITS - constant.leading_zeros();
        }
        let ty = self.ty(value);
        let bits = |arg: Value| self.reg_bits(arg, depth - 1);
        let Some((opcode, args, inst)) = self.def_op(value).filter(|_| depth > 0) else {
            return u64::BITS;
        };
        let cap = if ty == types::I64 { 64 } else { 32 };
        match (opcode, args) {
            (Opcode::Load, _) => ty.bits(),
            (Opcode::Uload8, _) => 8,
            (Opcode::Uload16, _) => 16,
            (Opcode::Uload32, _) => 32,
            (Opcode::Icmp, _) => 1,
            (Opcode::Bswap, _) => ty.bits(),
            (Opcode::AtomicRmw | Opcode::AtomicCas, _) => ty.bits(),
            (Opcode::Ireduce | Opcode::Bitcast, &[arg]) => bits(arg),
            (Opcode::Uextend, &[arg]) => bits(arg).min(self.ty(arg).bits()),
            (Opcode::Sextend, &[arg]) if bits(arg) < self.ty(arg).bits() => bits(arg),
            (Opcode::Sextend, _) => cap,
            (Opcode::Band, &[x, y]) => bits(x).min(bits(y)).min(cap),
            (Opcode::Bor | Opcode::Bxor, &[x, y]) => bits(x).max(bits(y)).min(cap),
            (Opcode::Select, &[_, x, y]) => bits(x).max(bits(y)),
            (Opcode::Iadd, &[x, y]) => (bits(x).max(bits(y)) + 1).min(cap),
            (Opcode::Imul, &[x, y]) => (bits(x) + bits(y)).min(cap),
            // Narrow operands are zero-extended first.
            (Opcode::Udiv, &[x, _]) => bits(x).min(ty.bits()),
            // The remainder by zero is the dividend.
            (Opcode::Urem, &[x, y]) => match self.constant(y) {
                None | Some(0) => bits(x).min(ty.bits()),
                Some(_) => bits(x).min(bits(y)),
            },
            (Opcode::Ushr, &[x, count]) => {
                let known = self.constant(count).map_or(0, |n| n as u32 % ty.bits());
                bits(x).min(ty.bits()) - known.min(bits(x).min(ty.bits()))
            }
            (Opcode::Ishl, &[x, count]) => match self.constant(count) {
                Some(n) => (bits(x) + n as u32 % ty.bits()).min(cap),
                None => cap,
            },
            (Opcode::Call, _) => self.intrinsic_bits(inst),
            (opcode, _) if zeroes_upper_half(opcode) => cap,
            _ => u64::BITS,
        }
    }

    fn intrinsic_bits(self, inst: Inst) -> u32 {
        let InstructionData::Call { func_ref, .. } = self.func.dfg.insts[inst] else {
            return u64::BITS;
        };
        match self.user_name(&self.func.dfg.ext_funcs[func_ref].name) {
            Some(name) if name.namespace == namespace::INTRINSIC => {
                super::swap_bits(name.index).map_or(u64::BITS, u32::from)
            }
            _ => u64::BITS,
        }
    }
}

/// Operations that the rules emit as 32-bit arithmetic for types below `i64`.
fn zeroes_upper_half(opcode: Opcode) -> bool {
    matches!(opcode, Opcode::Isub | Opcode::Ineg | Opcode::Bnot | Opcode::Sshr)
}

/// Whether an offset fits an instruction, with room for a place in a stack slot.
fn small(offset: i64) -> bool {
    (-0x7000..0x7000).contains(&offset)
}

/// The bits of a type's values.
pub(super) fn mask(ty: Type) -> u64 {
    u64::MAX.checked_shr(64 - ty.bits().min(64)).unwrap_or(0)
}

/// Sign-extends the value of a type.
pub(super) fn sign_extend(bits: u64, ty: Type) -> i64 {
    let unused = 64 - ty.bits().min(64);
    ((bits << unused) as i64) >> unused
}
