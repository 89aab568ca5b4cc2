//! One frame of a stack: the callbacks of the loops that unwind one.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use rbtrace_lang::hir::Int;
use rbtrace_probes_ebpf::helpers;
use rbtrace_probes_ebpf::unwind::{self, Base, flag, key, place, rule};

use super::func::FnBuilder;
use super::mem::Place;
use super::own_maps::{OwnMap, STACK_FRAMES};
use super::unwind::{MOST_INSTANCES, context, state};
use crate::clif::{CoreKind, CoreReloc, Intrinsic, LocalField, LocalType, namespace};
use crate::error::Error;

/// A distance.
const I32: Int = Int { size: 4, signed: true };
/// Bytes of a slot of a procedure linkage table, and the byte from which on its push has run.
const LINKAGE_SLOT: i64 = 16;
const LINKAGE_PUSHED: i64 = 11;

impl FnBuilder<'_, '_, '_> {
    /// Notes the frame at hand and goes on to its caller.
    pub(super) fn unwind_step(&mut self, shared: Place) -> Result<(), Error> {
        let state = self.state_of(shared);
        let rip = self.load(state.plus(state::RIP), Int::U64);
        let behind = self.load(state.plus(state::BEHIND), Int::U64);
        let address = self.b.ins().isub(rip, behind);
        let place = self.place_of(state, address)?;
        let rows = self.load(place.plus(place::ROWS), Int::U32);
        self.either(
            rows,
            |f| f.find_rule(state, place, address),
            |f| f.do_without_rule(state, place),
        )?;
        self.note_frame(shared, state)?;
        let found = self.look_up_own(OwnMap::UnwindRules, state.plus(state::RULE));
        self.stop_unless(found)?;
        self.go_to_caller(state, Place::pointer(found))
    }

    fn state_of(&mut self, shared: Place) -> Place {
        Place::pointer(self.load(shared.plus(context::STATE), Int::U64))
    }

    /// Ends the loop if this is 0.
    fn stop_unless(&mut self, value: Value) -> Result<(), Error> {
        let none = self.b.ins().icmp_imm_s(IntCC::Equal, value, 0);
        self.stop_if(none)
    }

    /// Ends the loop if this is not 0.
    fn stop_if(&mut self, cond: Value) -> Result<(), Error> {
        self.when(cond, |f| {
            let stop = f.iconst(1);
            f.return_from_function(stop);
            Ok(())
        })
    }

    /// Ends this round if this is not 0.
    fn next_if(&mut self, cond: Value) -> Result<(), Error> {
        self.when(cond, |f| {
            let go_on = f.iconst(0);
            f.return_from_function(go_on);
            Ok(())
        })
    }

    /// What is mapped at an address of the current process.
    fn place_of(&mut self, state: Place, address: Value) -> Result<Place, Error> {
        let swapped = self.call(namespace::INTRINSIC, Intrinsic::Bswap64 as u32, &[address]);
        let at = state.plus(state::KEY);
        self.store(at.plus(key::ADDRESS), 8, swapped);
        let found = self.look_up_own(OwnMap::UnwindPlaces, at);
        self.stop_unless(found)?;
        Ok(Place::pointer(found))
    }

    /// Finds the rule for an address among the rows of its file.
    fn find_rule(&mut self, state: Place, place: Place, address: Value) -> Result<(), Error> {
        let bias = self.load(place.plus(place::BIAS), Int::U64);
        let in_file = self.b.ins().isub(address, bias);
        let start = self.b.ins().ishl_imm_u(in_file, 32);
        let target = self.b.ins().bor_imm_s(start, i64::from(u32::MAX));
        self.store(state.plus(state::TARGET), 8, target);
        let first = self.load(place.plus(place::FIRST), Int::U32);
        let rows = self.load(place.plus(place::ROWS), Int::U32);
        let end = self.b.ins().iadd(first, rows);
        let halvings = self.load(place.plus(place::HALVINGS), Int::U32);
        let one = self.iconst(1);
        let stride = self.b.ins().ishl(one, halvings);
        for (to, value) in [(state::ROW, first), (state::END, end), (state::STRIDE, stride)] {
            self.store(state.plus(to), 4, value);
        }
        let array = self.look_up_own(OwnMap::UnwindRows, state.plus(state::ZERO));
        self.stop_unless(array)?;
        let callback = self.unwind_callback("unwind_halve", |f, shared| f.unwind_halve(shared))?;
        self.run_unwinding(callback, halvings, state, array);
        let row = self.row_at(array, state.plus(state::ROW));
        self.stop_unless(row)?;
        let number = self.load(Place::pointer(row), Int::U32);
        self.store(state.plus(state::RULE), 4, number);
        Ok(())
    }

    fn row_at(&mut self, array: Value, index: Place) -> Value {
        let index = self.address(index);
        self.helper(helpers::MAP_LOOKUP_ELEM, &[array, index])
    }

    /// Halves the rows among which the right one is.
    fn unwind_halve(&mut self, shared: Place) -> Result<(), Error> {
        let state = self.state_of(shared);
        let stride = self.load(state.plus(state::STRIDE), Int::U32);
        let stride = self.b.ins().ushr_imm_u(stride, 1);
        self.store(state.plus(state::STRIDE), 4, stride);
        let row = self.load(state.plus(state::ROW), Int::U32);
        let probed = self.b.ins().iadd(row, stride);
        let end = self.load(state.plus(state::END), Int::U32);
        let beyond = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, probed, end);
        self.next_if(beyond)?;
        self.store(state.plus(state::PROBED), 4, probed);
        let array = self.load(shared.plus(context::DATA), Int::U64);
        let found = self.row_at(array, state.plus(state::PROBED));
        let none = self.b.ins().icmp_imm_s(IntCC::Equal, found, 0);
        self.next_if(none)?;
        let found = self.load(Place::pointer(found), Int::U64);
        let target = self.load(state.plus(state::TARGET), Int::U64);
        let before = self.b.ins().icmp(IntCC::UnsignedLessThanOrEqual, found, target);
        self.when(before, |f| {
            let probed = f.load(state.plus(state::PROBED), Int::U32);
            f.store(state.plus(state::ROW), 4, probed);
            Ok(())
        })
    }

    /// Goes by frame pointers where there is no unwind data, unless the address is one that a return
    /// probe has put in place of another. What a guess leads to counts only if it is code.
    fn do_without_rule(&mut self, state: Place, place: Place) -> Result<(), Error> {
        if self.unit.profile.has_btf {
            self.recover_return_address(state)?;
        }
        let guessed = self.load(state.plus(state::GUESSED), Int::U64);
        let mapped = self.load(place.plus(place::MAPPED), Int::U32);
        let unmapped = self.b.ins().bxor_imm_s(mapped, 1);
        let lost = self.b.ins().band(guessed, unmapped);
        self.stop_if(lost)?;
        let by_frame_pointer = self.iconst(i64::from(unwind::FRAME_POINTER));
        self.store(state.plus(state::RULE), 4, by_frame_pointer);
        Ok(())
    }

    /// Appends the frame at hand to those written, which ends the loop if it is the last wanted.
    fn note_frame(&mut self, shared: Place, state: Place) -> Result<(), Error> {
        let count = self.load(state.plus(state::COUNT), Int::U64);
        let most = i64::from(STACK_FRAMES);
        let full = self.b.ins().icmp_imm_s(IntCC::UnsignedGreaterThanOrEqual, count, most);
        self.stop_if(full)?;
        let frames = Place::pointer(self.load(shared.plus(context::DATA), Int::U64));
        let bytes = self.b.ins().ishl_imm_u(count, 3);
        let to = self.indexed(frames, bytes);
        let rip = self.load(state.plus(state::RIP), Int::U64);
        self.store(to, 8, rip);
        let more = self.b.ins().iadd_imm_s(count, 1);
        self.store(state.plus(state::COUNT), 8, more);
        let limit = self.load(state.plus(state::LIMIT), Int::U64);
        let enough = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, more, limit);
        self.stop_if(enough)
    }

    /// Computes the caller's registers by a rule.
    fn go_to_caller(&mut self, state: Place, rule: Place) -> Result<(), Error> {
        let flags = self.load(rule.plus(rule::FLAGS), Int::U32);
        let ends = self.b.ins().band_imm_s(flags, i64::from(flag::END));
        self.stop_if(ends)?;
        let cfa = self.frame_address(state, rule, flags)?;
        self.store(state.plus(state::CFA), 8, cfa);
        let at = self.slot(state, rule, rule::RETURN_ADDRESS);
        let rip = self.user_word(state, at)?;
        self.stop_unless(rip)?;
        self.store(state.plus(state::RIP), 8, rip);
        let saves = self.b.ins().band_imm_s(flags, i64::from(flag::SAVES_RBP));
        self.when(saves, |f| {
            let at = f.slot(state, rule, rule::RBP);
            let rbp = f.user_word(state, at)?;
            f.store(state.plus(state::RBP), 8, rbp);
            Ok(())
        })?;
        let cfa = self.load(state.plus(state::CFA), Int::U64);
        self.store(state.plus(state::RSP), 8, cfa);
        let signal = self.bit(flags, flag::SIGNAL);
        let behind = self.b.ins().bxor_imm_s(signal, 1);
        self.store(state.plus(state::BEHIND), 8, behind);
        let guess = self.bit(flags, flag::GUESS);
        self.store(state.plus(state::GUESSED), 8, guess);
        Ok(())
    }

    /// 1 if a flag is set, else 0.
    fn bit(&mut self, flags: Value, bit: u32) -> Value {
        let low = self.b.ins().ushr_imm_u(flags, i64::from(bit.trailing_zeros()));
        self.b.ins().band_imm_s(low, 1)
    }

    /// The frame's address, which lies above the stack pointer unless it is read from a place that
    /// may lead to another stack.
    fn frame_address(&mut self, state: Place, rule: Place, flags: Value) -> Result<Value, Error> {
        let at = self.slot(state, rule, rule::CFA);
        let indirect = self.b.ins().band_imm_s(flags, i64::from(flag::INDIRECT));
        let cfa = self.choose(
            indirect,
            |f| f.user_word(state, at),
            |f| {
                let rsp = f.load(state.plus(state::RSP), Int::U64);
                let below = f.b.ins().icmp(IntCC::UnsignedLessThanOrEqual, at, rsp);
                f.stop_if(below)?;
                Ok(at)
            },
        )?;
        let add = self.load(rule.plus(rule::CFA_ADD), I32);
        let cfa = self.b.ins().iadd(cfa, add);
        let linkage = self.b.ins().band_imm_s(flags, i64::from(flag::LINKAGE));
        self.choose(
            linkage,
            |f| {
                let rip = f.load(state.plus(state::RIP), Int::U64);
                let byte = f.b.ins().band_imm_s(rip, LINKAGE_SLOT - 1);
                let pushed = IntCC::UnsignedGreaterThanOrEqual;
                let pushed = f.b.ins().icmp_imm_s(pushed, byte, LINKAGE_PUSHED);
                f.choose(pushed, |f| Ok(f.b.ins().iadd_imm_s(cfa, 8)), |_| Ok(cfa))
            },
            |_| Ok(cfa),
        )
    }

    /// The address that the base and the distance at `at` of a rule stand for.
    fn slot(&mut self, state: Place, rule: Place, at: u32) -> Value {
        let base = self.load(rule.plus(at), Int::U32);
        let base = self.b.ins().band_imm_s(base, i64::from(Base::MASK));
        let bytes = self.b.ins().ishl_imm_u(base, 3);
        let register = self.indexed(state.plus(state::REGISTERS), bytes);
        let base = self.load(register, Int::U64);
        let distance = self.load(rule.plus(at + rule::DISTANCE), I32);
        self.b.ins().iadd(base, distance)
    }

    /// A word of the current process; without it the loop ends.
    fn user_word(&mut self, state: Place, address: Value) -> Result<Value, Error> {
        let to = self.address(state.plus(state::WORD));
        let size = self.iconst(8);
        let failed = self.helper(helpers::PROBE_READ_USER, &[to, size, address]);
        self.stop_if(failed)?;
        Ok(self.load(state.plus(state::WORD), Int::U64))
    }

    /// Puts the address that a return probe has replaced in its place, where the frame at hand is one
    /// that the kernel keeps such an address for, and ends the round.
    fn recover_return_address(&mut self, state: Place) -> Result<(), Error> {
        let has_probes = self.core(TASK_PROBES.question(CoreKind::FieldExists));
        self.when(has_probes, |f| {
            let zero = f.iconst(0);
            f.store(state.plus(state::RECOVERED), 8, zero);
            let task = f.helper(helpers::GET_CURRENT_TASK, &[]);
            let probes = f.kernel_word(state, task, TASK_PROBES);
            let instance = f.kernel_word(state, probes, FIRST_INSTANCE);
            f.store(state.plus(state::INSTANCE), 8, instance);
            let callback =
                f.unwind_callback("unwind_recover", |f, shared| f.unwind_recover(shared))?;
            let (rounds, nothing) = (f.iconst(i64::from(MOST_INSTANCES)), f.iconst(0));
            f.run_unwinding(callback, rounds, state, nothing);
            let recovered = f.load(state.plus(state::RECOVERED), Int::U64);
            f.next_if(recovered)
        })
    }

    /// Looks at one `struct return_instance` (linux/uprobes.h): its `stack` is where the return
    /// address was, just below the stack pointer that the frame's callee has left.
    fn unwind_recover(&mut self, shared: Place) -> Result<(), Error> {
        let state = self.state_of(shared);
        let instance = self.load(state.plus(state::INSTANCE), Int::U64);
        self.stop_unless(instance)?;
        let stack = self.kernel_word(state, instance, INSTANCE_STACK);
        let rsp = self.load(state.plus(state::RSP), Int::U64);
        let place = self.b.ins().iadd_imm_s(rsp, -8);
        let is_it = self.b.ins().icmp(IntCC::Equal, stack, place);
        self.when(is_it, |f| {
            let address = f.kernel_word(state, instance, INSTANCE_ADDRESS);
            f.store(state.plus(state::RIP), 8, address);
            let (one, stop) = (f.iconst(1), f.iconst(1));
            f.store(state.plus(state::RECOVERED), 8, one);
            f.return_from_function(stop);
            Ok(())
        })?;
        let next = self.kernel_word(state, instance, NEXT_INSTANCE);
        self.store(state.plus(state::INSTANCE), 8, next);
        Ok(())
    }

    /// A word in a structure of the kernel; 0 if it cannot be read.
    fn kernel_word(&mut self, state: Place, at: Value, field: KernelField) -> Value {
        let offset = self.core(field.question(CoreKind::FieldByteOffset));
        let from = self.b.ins().iadd(at, offset);
        self.read_kernel(state.plus(state::WORD), 8, from);
        self.load(state.plus(state::WORD), Int::U64)
    }
}

/// A member of a structure of the kernel.
#[derive(Clone, Copy)]
struct KernelField {
    tag: &'static str,
    name: &'static str,
    /// It is a pointer, not an integer.
    pointer: bool,
}

const fn pointer(tag: &'static str, name: &'static str) -> KernelField {
    KernelField { tag, name, pointer: true }
}

const TASK_PROBES: KernelField = pointer("task_struct", "utask");
const FIRST_INSTANCE: KernelField = pointer("uprobe_task", "return_instances");
const NEXT_INSTANCE: KernelField = pointer("return_instance", "next");
const INSTANCE_STACK: KernelField =
    KernelField { pointer: false, ..pointer("return_instance", "stack") };
const INSTANCE_ADDRESS: KernelField =
    KernelField { pointer: false, ..pointer("return_instance", "orig_ret_vaddr") };

impl KernelField {
    /// A question about it that the loader answers.
    fn question(self, kind: CoreKind) -> CoreReloc {
        let ty = match self.pointer {
            true => LocalType::Ptr,
            false => LocalType::Int { size: 8, signed: false },
        };
        let field = LocalField { name: self.name.into(), ty, bit_offset: 0, bits: 0 };
        let (name, fields) = (self.tag.into(), vec![field]);
        let root = LocalType::Record { union: false, name, size: 8, fields };
        CoreReloc { root, access: vec![0, 0], kind }
    }
}
