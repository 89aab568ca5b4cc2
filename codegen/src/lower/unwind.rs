//! User stacks by unwind data. User space keeps tables of what processes have mapped and of how each
//! place in it is unwound ([`rbtrace_probes_ebpf::unwind`]); a loop of the kernel's goes from frame to
//! frame by them. Its callback is in `unwind_step`.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{self, AtomicRmwOp, InstBuilder, MemFlagsData, UserFuncName, Value};
use cranelift_frontend::FunctionBuilderContext;
use rbtrace_lang::hir::{Builtin, Int, StackType};
use rbtrace_probes_ebpf::plan::Action;
use rbtrace_probes_ebpf::unwind::{Base, key};
use rbtrace_probes_ebpf::{helpers, kinds};

use super::func::{FnBuilder, signature};
use super::mem::Place;
use super::own_maps::{OwnMap, STACK_FRAMES};
use crate::clif::{Function, Intrinsic, Role, namespace};
use crate::error::Error;

/// Offsets in what the loop works on. It lies in scratch memory, whose contents the verifier does not
/// follow, so that it walks each callback once.
pub(super) mod state {
    use super::{Base, key};

    /// The registers of the frame at hand by the number that rules have for them, and one more that
    /// their mask reaches.
    pub const REGISTERS: u32 = 0;
    pub const RSP: u32 = REGISTERS + 8 * Base::Rsp as u32;
    pub const RBP: u32 = REGISTERS + 8 * Base::Rbp as u32;
    pub const CFA: u32 = REGISTERS + 8 * Base::Cfa as u32;
    /// Where the frame goes on.
    pub const RIP: u32 = 32;
    /// 1 if that is behind a call, which may be a function's last instruction; else 0.
    pub const BEHIND: u32 = 40;
    /// Number of frames written.
    pub const COUNT: u32 = 48;
    /// Number of frames wanted.
    pub const LIMIT: u32 = 56;
    /// 1 if the frame was found by a guess, else 0.
    pub const GUESSED: u32 = 64;
    /// A word that was read.
    pub const WORD: u32 = 72;
    /// Key of a place.
    pub const KEY: u32 = 80;
    /// Number of the rule, a `u32`.
    pub const RULE: u32 = KEY + key::SIZE;
    /// The last row so far that begins before what is looked for, a `u32`.
    pub const ROW: u32 = 100;
    /// The row that is looked at, a `u32`.
    pub const PROBED: u32 = 104;
    /// The row behind the last, a `u32`.
    pub const END: u32 = 108;
    /// How far apart the rows are that are looked at, a `u32`.
    pub const STRIDE: u32 = 112;
    /// A `u32` that is 0.
    pub const ZERO: u32 = 116;
    /// The last row that there could be for what is looked for.
    pub const TARGET: u32 = 120;
    /// A `struct return_instance` of the kernel.
    pub const INSTANCE: u32 = 128;
    /// 1 if the address that a return probe has replaced was found, else 0.
    pub const RECOVERED: u32 = 136;
    /// Bytes of all.
    pub const SIZE: u32 = 144;
}

/// Offsets in what callbacks get.
pub(super) mod context {
    /// Pointer to the state.
    pub const STATE: u32 = 0;
    /// Pointer to the frames that are written, or to the array that is searched.
    pub const DATA: u32 = 8;
    /// Bytes of both.
    pub const SIZE: u32 = 16;
}

/// Return probes that a stack may lie under (`MAX_URETPROBE_DEPTH` of linux/uprobes.h).
pub(super) const MOST_INSTANCES: u32 = 64;
/// Offset of `rbp` in `struct pt_regs` of x86-64.
const RBP_OFFSET: u32 = 32;

const NO_DATA: &str = "No DWARF unwind data available for this process: its stack goes by frame \
                       pointers. Processes whose data is read are named by -p, -c or --dwarf-pid.";

impl<'p> FnBuilder<'_, '_, 'p> {
    /// Writes the frames of the current process, of one without unwind data by frame pointers; the
    /// result is the number of their bytes, or negative.
    pub(super) fn unwind(&mut self, stack: StackType, frames: Place) -> Result<Value, Error> {
        let state = self.scratch(state::SIZE)?;
        self.begin_key(state)?;
        let known = self.look_up_own(OwnMap::UnwindPlaces, state.plus(state::KEY));
        self.choose(
            known,
            |f| {
                f.begin_unwinding(state, stack)?;
                f.unwind_frames(state, stack, frames)
            },
            |f| {
                let written = f.capture(stack, true, frames);
                // The kernel's own threads have no such stack, with data or without.
                let any = f.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, written, 0);
                f.when(any, Self::warn_of_missing_data)?;
                Ok(written)
            },
        )
    }

    /// The key of the current process.
    fn begin_key(&mut self, state: Place) -> Result<(), Error> {
        let pid = self.builtin(Builtin::Pid)?;
        let pid = self.call(namespace::INTRINSIC, Intrinsic::Bswap32 as u32, &[pid]);
        let (bits, none) = (self.iconst(i64::from(key::ALL_BITS)), self.iconst(0));
        let at = state.plus(state::KEY);
        self.store(at.plus(key::BITS), 4, bits);
        self.store(at.plus(key::PROCESS), 4, pid);
        self.store(at.plus(key::ADDRESS), 8, none);
        Ok(())
    }

    /// The registers with which the current thread entered the kernel: where a probe is in a program,
    /// those are what the program's context has, too.
    fn begin_unwinding(&mut self, state: Place, stack: StackType) -> Result<(), Error> {
        let arch = self.unit.profile.arch;
        let task = self.helper(helpers::GET_CURRENT_TASK_BTF, &[]);
        let entered = self.helper(helpers::TASK_PT_REGS, &[task]);
        let registers = [
            (state::RIP, kinds::instruction_pointer_offset(arch)),
            (state::RSP, kinds::stack_pointer_offset(arch)),
            (state::RBP, RBP_OFFSET),
        ];
        for (to, from) in registers {
            let value = self.load(Place::pointer(entered).plus(from), Int::U64);
            self.store(state.plus(to), 8, value);
        }
        let zero = self.iconst(0);
        for word in [state::BEHIND, state::COUNT, state::GUESSED] {
            self.store(state.plus(word), 8, zero);
        }
        self.store(state.plus(state::ZERO), 4, zero);
        let limit = self.iconst(i64::from(stack.limit.min(STACK_FRAMES)));
        self.store(state.plus(state::LIMIT), 8, limit);
        Ok(())
    }

    fn unwind_frames(
        &mut self,
        state: Place,
        stack: StackType,
        frames: Place,
    ) -> Result<Value, Error> {
        let step = self.unwind_callback("unwind_step", |f, context| f.unwind_step(context))?;
        let frames = self.address(frames);
        let rounds = self.iconst(i64::from(stack.limit.min(STACK_FRAMES) + MOST_INSTANCES));
        self.run_unwinding(step, rounds, state, frames);
        let count = self.load(state.plus(state::COUNT), Int::U64);
        Ok(self.b.ins().ishl_imm_u(count, 3))
    }

    /// Has the kernel call a function again and again, with pointers to the state and something else.
    pub(super) fn run_unwinding(
        &mut self,
        callback: u32,
        rounds: Value,
        state: Place,
        data: Value,
    ) {
        let shared = self.shared_memory(context::SIZE);
        let state = self.address(state);
        self.store(shared.plus(context::STATE), 8, state);
        self.store(shared.plus(context::DATA), 8, data);
        let function = self.function_address(callback, 2);
        let (shared, flags) = (self.address(shared), self.iconst(0));
        self.helper(helpers::LOOP, &[rounds, function, shared, flags]);
    }

    /// A callback of `bpf_loop` that is the same for all programs: `round` gets the context.
    pub(super) fn unwind_callback(
        &mut self,
        name: &str,
        round: impl FnOnce(&mut FnBuilder<'_, '_, 'p>, Place) -> Result<(), Error>,
    ) -> Result<u32, Error> {
        if let Some(known) = self.unit.function_named(name) {
            return Ok(known);
        }
        let mut ir = ir::Function::with_name_signature(UserFuncName::testcase(name), signature(2));
        let mut context = FunctionBuilderContext::new();
        let mut inner =
            FnBuilder::new(&mut ir, &mut context, &mut *self.unit, self.index, self.block);
        inner.b.set_srcloc(self.b.srcloc());
        let Some(shared) = inner.second_parameter() else {
            return Err(inner.bug("a callback without parameters"));
        };
        round(&mut inner, Place::pointer(shared))?;
        let go_on = inner.iconst(0);
        inner.return_from_function(go_on);
        inner.finish()?;
        Ok(self.unit.add_function(Function { name: name.into(), role: Role::Subprogram, ir }))
    }

    fn second_parameter(&self) -> Option<Value> {
        let entry = self.b.current_block()?;
        self.b.block_params(entry).get(1).copied()
    }

    /// Tells user space, the first time, that a process has no unwind data.
    fn warn_of_missing_data(&mut self) -> Result<(), Error> {
        let location = self.unit.location(self.place);
        let format = NO_DATA.to_owned();
        let action = Action::Errorf { format, args: Vec::new(), location, warning: true };
        let action = self.unit.action(action);
        let told = self.unit.told("told_of_missing_data");
        let (told, one) = (self.bss(told), self.iconst(1));
        let flags = MemFlagsData::new();
        let known = self.b.ins().load(I64, flags, told, 0);
        let first = self.b.ins().icmp_imm_s(IntCC::Equal, known, 0);
        self.when(first, |f| {
            // Of several CPUs one is the first.
            let before = f.b.ins().atomic_rmw(I64, flags, AtomicRmwOp::Xchg, told, one);
            let first = f.b.ins().icmp_imm_s(IntCC::Equal, before, 0);
            f.when(first, |f| f.tell(action))
        })
    }
}
