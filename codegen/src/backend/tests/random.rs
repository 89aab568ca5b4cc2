//! Random functions, compiled and run, against Cranelift's interpreter of its IR.

use cranelift_codegen::data_value::DataValue;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, Function, InstBuilder, MemFlagsData, Opcode, Signature, StackSlot, StackSlotData,
    StackSlotKind, Type, UserFuncName, Value, types,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_interpreter::environment::FunctionStore;
use cranelift_interpreter::interpreter::{Interpreter, InterpreterState};
use cranelift_interpreter::step::ControlFlow;

use super::{compile, run};

const PARAMS: usize = 4;
const TYPES: [Type; 4] = [types::I8, types::I16, types::I32, types::I64];

/// SplitMix64.
pub(super) struct Random(pub u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Numbers at which something changes, often.
    pub(super) fn number(&mut self) -> u64 {
        let raw = self.next();
        match self.below(6) {
            0 => raw % 8,
            1 => (raw % 8).wrapping_neg(),
            2 => 1 << (raw % 64),
            3 => (1u64 << (raw % 64)).wrapping_sub(1),
            4 => u64::from(raw as u32),
            _ => raw,
        }
    }
}

struct Generator<'a> {
    random: &'a mut Random,
    builder: FunctionBuilder<'a>,
    slot: StackSlot,
    /// Values that dominate the place at hand.
    pool: Vec<Value>,
}

const BINARY: [Opcode; 13] = [
    Opcode::Iadd,
    Opcode::Isub,
    Opcode::Imul,
    Opcode::Band,
    Opcode::Bor,
    Opcode::Bxor,
    Opcode::Smin,
    Opcode::Smax,
    Opcode::Umin,
    Opcode::Umax,
    Opcode::Umulhi,
    Opcode::Smulhi,
    Opcode::Isub,
];
const UNARY: [Opcode; 8] = [
    Opcode::Ineg,
    Opcode::Bnot,
    Opcode::Iabs,
    Opcode::Clz,
    Opcode::Ctz,
    Opcode::Cls,
    Opcode::Popcnt,
    Opcode::Bitrev,
];
const SHIFTS: [Opcode; 5] = [Opcode::Ishl, Opcode::Ushr, Opcode::Sshr, Opcode::Rotl, Opcode::Rotr];

impl Generator<'_> {
    fn type_of(&self, value: Value) -> Type {
        self.builder.func.dfg.value_type(value)
    }

    fn any(&mut self) -> Value {
        if self.random.below(6) == 0 {
            let ty = self.random.pick(&TYPES);
            return self.constant(ty);
        }
        self.random.pick(&self.pool)
    }

    fn constant(&mut self, ty: Type) -> Value {
        let bits = self.random.number() & (u64::MAX >> (64 - ty.bits()));
        self.builder.ins().iconst(ty, bits as i64)
    }

    /// A value of a type, by an extension or reduction where needed.
    fn of(&mut self, ty: Type) -> Value {
        if self.random.below(4) == 0 {
            return self.constant(ty);
        }
        let value = self.random.pick(&self.pool);
        self.convert(value, ty)
    }

    fn convert(&mut self, value: Value, ty: Type) -> Value {
        let from = self.type_of(value).bits();
        if from == ty.bits() {
            value
        } else if from > ty.bits() {
            self.builder.ins().ireduce(ty, value)
        } else if self.random.below(2) == 0 {
            self.builder.ins().sextend(ty, value)
        } else {
            self.builder.ins().uextend(ty, value)
        }
    }

    fn binary(&mut self, opcode: Opcode, ty: Type, x: Value, y: Value) -> Value {
        let (inst, dfg) = self.builder.ins().Binary(opcode, ty, x, y);
        dfg.first_result(inst)
    }

    fn unary(&mut self, opcode: Opcode, ty: Type, x: Value) -> Value {
        let (inst, dfg) = self.builder.ins().Unary(opcode, ty, x);
        dfg.first_result(inst)
    }

    fn op(&mut self) {
        let ty = self.random.pick(&TYPES);
        let value = match self.random.below(14) {
            0..=3 => {
                let (opcode, x, y) = (self.random.pick(&BINARY), self.of(ty), self.of(ty));
                self.binary(opcode, ty, x, y)
            }
            4 => {
                let (opcode, x) = (self.random.pick(&UNARY), self.of(ty));
                self.unary(opcode, ty, x)
            }
            5..=6 => {
                let (opcode, x, count) = (self.random.pick(&SHIFTS), self.of(ty), self.any());
                self.binary(opcode, ty, x, count)
            }
            7 => self.division(ty),
            8..=9 => self.comparison(ty),
            10 => {
                let (cond, x, y) = (self.any(), self.of(ty), self.of(ty));
                self.builder.ins().select(cond, x, y)
            }
            11 => {
                let (mask, x, y) = (self.of(ty), self.of(ty), self.of(ty));
                self.builder.ins().bitselect(mask, x, y)
            }
            12 if ty != types::I8 => {
                let x = self.of(ty);
                self.builder.ins().bswap(x)
            }
            12 => {
                let x = self.any();
                self.builder.ins().bmask(ty, x)
            }
            _ => self.memory(ty),
        };
        self.pool.push(value);
    }

    fn comparison(&mut self, ty: Type) -> Value {
        let (cond, x, y) = (self.random.pick(IntCC::all()), self.of(ty), self.of(ty));
        self.builder.ins().icmp(cond, x, y)
    }

    /// A division that does not trap: by one to eight.
    fn division(&mut self, ty: Type) -> Value {
        let opcodes = [Opcode::Udiv, Opcode::Urem, Opcode::Sdiv, Opcode::Srem];
        let (opcode, x, y) = (self.random.pick(&opcodes), self.of(ty), self.of(ty));
        let seven = self.builder.ins().iconst(ty, 7);
        let one = self.builder.ins().iconst(ty, 1);
        let y = self.builder.ins().band(y, seven);
        let y = self.builder.ins().iadd(y, one);
        self.binary(opcode, ty, x, y)
    }

    /// A store to a slot and a load that overlaps it.
    fn memory(&mut self, ty: Type) -> Value {
        let flags = MemFlagsData::new();
        let offset = self.random.below(2) as i32 * 8;
        let address = self.builder.ins().stack_addr(types::I64, self.slot, offset);
        let stored = self.of(ty);
        self.builder.ins().store(flags, stored, address, 8);
        match self.random.below(7) {
            0 => self.builder.ins().uload8(types::I64, flags, address, 8),
            1 => self.builder.ins().sload8(types::I32, flags, address, 8),
            2 => self.builder.ins().uload16(types::I32, flags, address, 8),
            3 => self.builder.ins().sload16(types::I64, flags, address, 8),
            4 => self.builder.ins().uload32(flags, address, 8),
            5 => self.builder.ins().sload32(flags, address, 8),
            _ => self.builder.ins().load(ty, flags, address, 8),
        }
    }

    fn ops(&mut self, count: usize) {
        for _ in 0..count {
            self.op();
        }
    }

    /// `if cond { .. } else { .. }`, two values joined.
    fn diamond(&mut self) {
        let types = [self.random.pick(&TYPES), self.random.pick(&TYPES)];
        let [then, other, join] = std::array::from_fn(|_| self.builder.create_block());
        types.iter().for_each(|&ty| {
            self.builder.append_block_param(join, ty);
        });
        let cond = self.any();
        let direct = self.random.below(3) == 0;
        let visible = self.pool.len();
        if direct {
            // A critical edge.
            let args = types.map(|ty| self.of(ty).into());
            self.builder.ins().brif(cond, then, &[], join, &args);
        } else {
            self.builder.ins().brif(cond, then, &[], other, &[]);
        }
        let arms = if direct { &[then][..] } else { &[then, other][..] };
        for &arm in arms {
            self.builder.switch_to_block(arm);
            self.ops(3);
            let args = types.map(|ty| self.of(ty).into());
            self.builder.ins().jump(join, &args);
            self.pool.truncate(visible);
        }
        self.builder.switch_to_block(join);
        self.pool.extend_from_slice(self.builder.block_params(join));
    }

    /// A loop of a few rounds, with values carried around.
    fn repeat(&mut self) {
        let ty = self.random.pick(&TYPES);
        let [head, body, exit] = std::array::from_fn(|_| self.builder.create_block());
        for carried in [types::I32, ty, ty] {
            self.builder.append_block_param(head, carried);
        }
        let rounds = self.builder.ins().iconst(types::I32, 3);
        let (x, y) = (self.of(ty), self.of(ty));
        self.builder.ins().jump(head, &[rounds.into(), x.into(), y.into()]);
        let visible = self.pool.len();
        self.builder.switch_to_block(head);
        let &[rounds, x, y] = self.builder.block_params(head) else { return };
        self.builder.ins().brif(rounds, body, &[], exit, &[]);
        self.builder.switch_to_block(body);
        self.pool.extend([x, y]);
        self.ops(3);
        let one = self.builder.ins().iconst(types::I32, 1);
        let rest = self.builder.ins().isub(rounds, one);
        let next = self.of(ty);
        // Carried values change places.
        self.builder.ins().jump(head, &[rest.into(), y.into(), next.into()]);
        self.pool.truncate(visible);
        self.builder.switch_to_block(exit);
        self.pool.extend([x, y]);
    }

    /// A choice among blocks by number.
    fn table(&mut self) {
        let join = self.builder.create_block();
        self.builder.append_block_param(join, types::I64);
        let mut switch = cranelift_frontend::Switch::new();
        let arms: Vec<_> = (0..4).map(|_| self.builder.create_block()).collect();
        for (n, &arm) in arms.iter().enumerate().skip(1) {
            switch.set_entry(n as u128, arm);
        }
        let (index, three) = (self.of(types::I32), self.builder.ins().iconst(types::I32, 3));
        let index = self.builder.ins().band(index, three);
        switch.emit(&mut self.builder, index, arms[0]);
        for arm in arms {
            self.builder.switch_to_block(arm);
            let value = self.of(types::I64);
            self.builder.ins().jump(join, &[value.into()]);
        }
        self.builder.switch_to_block(join);
        self.pool.extend_from_slice(self.builder.block_params(join));
    }

    /// Mixes all that is visible into the result.
    fn finish(mut self) {
        let mut hash = self.builder.ins().iconst(types::I64, 0);
        for value in std::mem::take(&mut self.pool) {
            let wide = self.convert(value, types::I64);
            let factor = self.builder.ins().iconst(types::I64, 31);
            hash = self.builder.ins().imul(hash, factor);
            hash = self.builder.ins().bxor(hash, wide);
        }
        self.builder.ins().return_(&[hash]);
        self.builder.seal_all_blocks();
        let isa = crate::carrier::carrier().expect("a carrier");
        self.builder.finalize(isa.frontend_config());
    }
}

/// A random function of [`PARAMS`] parameters.
pub(super) fn function(random: &mut Random) -> Function {
    let mut signature = Signature::new(CallConv::Fast);
    signature.params = vec![AbiParam::new(types::I64); PARAMS];
    signature.returns = vec![AbiParam::new(types::I64)];
    let mut func = Function::with_name_signature(UserFuncName::testcase("f"), signature);
    let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, 32, 3);
    let slot = func.create_sized_stack_slot(slot);
    let mut context = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut func, &mut context);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let pool = builder.block_params(entry).to_vec();
    let address = builder.ins().stack_addr(types::I64, slot, 0);
    for (n, value) in pool.iter().take(4).enumerate() {
        builder.ins().store(MemFlagsData::new(), *value, address, 8 * n as i32);
    }
    let mut generator = Generator { random, builder, slot, pool };
    for _ in 0..1 + generator.random.below(5) {
        let count = generator.random.below(6);
        generator.ops(count);
        match generator.random.below(6) {
            0..=1 => generator.diamond(),
            2 => generator.repeat(),
            3 => generator.table(),
            _ => {}
        }
    }
    generator.finish();
    func
}

/// What Cranelift's interpreter says that `func` returns.
pub(super) fn interpret(func: &Function, args: &[u64]) -> u64 {
    let mut store = FunctionStore::default();
    store.add("f".to_owned(), func);
    let args: Vec<_> = args.iter().map(|&arg| DataValue::I64(arg as i64)).collect();
    let state = InterpreterState::default().with_function_store(store);
    let result = Interpreter::new(state).call_by_name("f", &args).expect("interpretable");
    match result {
        ControlFlow::Return(values) => match values.as_slice() {
            &[DataValue::I64(value)] => value as u64,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn random_functions_compute_what_the_ir_says() {
    let count = std::env::var("RBTRACE_RANDOM_FUNCTIONS").ok().and_then(|n| n.parse().ok());
    for seed in 0..count.unwrap_or(400) {
        let mut random = Random(seed);
        let func = function(&mut random);
        let args: Vec<Vec<u64>> =
            (0..4).map(|_| (0..PARAMS).map(|_| random.number()).collect()).collect();
        for optimized in [false, true] {
            let code = match compile(func.clone(), optimized) {
                Ok(code) => code,
                Err(error) => panic!("seed {seed}, optimized {optimized}: {error}"),
            };
            for args in &args {
                let (found, wanted) = (run(&code, args), interpret(&func, args));
                assert_eq!(
                    found,
                    wanted,
                    "seed {seed}, optimized {optimized}, {args:x?}:\n{}",
                    func.display()
                );
            }
        }
    }
}
