//! What the kernel knows: one arm a builtin.

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use rbtrace_lang::catalog::PidNamespace;
use rbtrace_lang::hir::{Builtin, Int, Space};
use rbtrace_probes_ebpf::helpers;
use rbtrace_probes_ebpf::kinds::{self, Context};
use rbtrace_probes_ebpf::plan::GlobalValue;
use rbtrace_probes_ebpf::profile::Arch;
use rbtrace_probes_ebpf::types::Clock;

use super::func::FnBuilder;
use super::mem::Place;
use super::own_maps::OwnMap;
use crate::error::Error;

/// Bytes of `struct bpf_pidns_info` of linux/bpf.h, and the offsets of its members.
const IDS_BYTES: u32 = 8;
const THREAD_ID: u32 = 0;
const PROCESS_ID: u32 = 4;

impl FnBuilder<'_, '_, '_> {
    /// The value of a builtin that is a scalar.
    pub(super) fn builtin(&mut self, builtin: Builtin) -> Result<Value, Error> {
        Ok(match builtin {
            Builtin::Pid => match self.unit.program.pid_namespace {
                Some(namespace) => self.id_in(namespace, PROCESS_ID)?,
                None => self.upper_half(helpers::GET_CURRENT_PID_TGID),
            },
            Builtin::Tid => match self.unit.program.pid_namespace {
                Some(namespace) => self.id_in(namespace, THREAD_ID)?,
                None => self.lower_half(helpers::GET_CURRENT_PID_TGID),
            },
            Builtin::InitPid => self.upper_half(helpers::GET_CURRENT_PID_TGID),
            Builtin::InitTid => self.lower_half(helpers::GET_CURRENT_PID_TGID),
            Builtin::Uid | Builtin::Username => self.lower_half(helpers::GET_CURRENT_UID_GID),
            Builtin::Gid => self.upper_half(helpers::GET_CURRENT_UID_GID),
            Builtin::Nsecs(Clock::Monotonic) => self.helper(helpers::KTIME_GET_NS, &[]),
            Builtin::Nsecs(Clock::Tai) => self.helper(helpers::KTIME_GET_TAI_NS, &[]),
            Builtin::Nsecs(_) => self.helper(helpers::KTIME_GET_BOOT_NS, &[]),
            Builtin::SwTai => {
                let now = self.helper(helpers::KTIME_GET_BOOT_NS, &[]);
                let offset = self.global(GlobalValue::TaiOffset);
                self.b.ins().iadd(now, offset)
            }
            Builtin::Jiffies => self.helper(helpers::JIFFIES64, &[]),
            Builtin::NumaNode => self.helper(helpers::GET_NUMA_NODE_ID, &[]),
            Builtin::Elapsed => {
                let now = self.helper(helpers::KTIME_GET_BOOT_NS, &[]);
                let start = self.global(GlobalValue::StartTime);
                self.b.ins().isub(now, start)
            }
            Builtin::Cpu => self.helper(helpers::GET_SMP_PROCESSOR_ID, &[]),
            Builtin::Ncpus => self.global(GlobalValue::PossibleCpus),
            Builtin::Curtask => self.helper(helpers::GET_CURRENT_TASK, &[]),
            Builtin::Cgroup => self.helper(helpers::GET_CURRENT_CGROUP_ID, &[]),
            Builtin::InCgroup => {
                let map = self.unit.own_map(OwnMap::Cgroup);
                let (map, first) = (self.map_ref(map), self.iconst(0));
                let answer = self.helper(helpers::CURRENT_TASK_UNDER_CGROUP, &[map, first]);
                let is_in = self.status_is(answer, 1);
                self.b.ins().uextend(I64, is_in)
            }
            Builtin::Rand => {
                let value = self.helper(helpers::GET_PRANDOM_U32, &[]);
                self.fit(value, Int::U32)
            }
            Builtin::Arg(n) => self.argument(n)?,
            Builtin::StackArg(n) => self.stack_argument(n)?,
            Builtin::Retval => {
                let offset = kinds::retval_offset(self.unit.profile.arch);
                self.register(offset)?
            }
            Builtin::Probe | Builtin::Func => self.probe_number(),
            Builtin::InstructionPointer => {
                let offset = kinds::instruction_pointer_offset(self.unit.profile.arch);
                self.register(offset)?
            }
            Builtin::Context => self.ctx,
            Builtin::Packet(property) => self.packet_property(property),
            Builtin::Comm => return Err(self.bug("a string where a scalar is expected")),
        })
    }

    /// An id of the current thread in a PID namespace; 0 if the thread is of another one.
    fn id_in(&mut self, namespace: PidNamespace, at: u32) -> Result<Value, Error> {
        let ids = self.temp_bytes(IDS_BYTES)?;
        let device = self.iconst(namespace.device as i64);
        let inode = self.iconst(namespace.inode as i64);
        let (address, size) = (self.address(ids), self.iconst(i64::from(IDS_BYTES)));
        self.helper(helpers::GET_NS_CURRENT_PID_TGID, &[device, inode, address, size]);
        Ok(self.load(ids.plus(at), Int::U32))
    }

    fn lower_half(&mut self, helper: helpers::Helper) -> Value {
        let both = self.helper(helper, &[]);
        self.fit(both, Int::U32)
    }

    fn upper_half(&mut self, helper: helpers::Helper) -> Value {
        let both = self.helper(helper, &[]);
        self.b.ins().ushr_imm_s(both, 32)
    }

    /// A variable that user space has set.
    fn global(&mut self, value: GlobalValue) -> Value {
        let offset = self.unit.global(value);
        let address = self.bss(offset);
        self.load(Place::pointer(address), Int::U64)
    }

    /// The register at this offset of the context.
    pub(super) fn register(&mut self, offset: u32) -> Result<Value, Error> {
        match self.kind().context {
            Context::Registers | Context::PerfEvent => Ok(self.load_context(offset, Int::U64)),
            _ => Err(self.bug("a register where the context has none")),
        }
    }

    /// An argument of the function that the probe is on.
    fn argument(&mut self, n: u32) -> Result<Value, Error> {
        match self.kind().context {
            Context::Arguments => return Ok(self.load_context(8 * n, Int::U64)),
            Context::Objects => return Ok(self.object(n)),
            _ => {}
        }
        match kinds::argument_offset(self.unit.profile.arch, n) {
            Some(offset) => self.register(offset),
            None => {
                let in_registers = match self.unit.profile.arch {
                    Arch::X86_64 => 6,
                    Arch::Aarch64 => 8,
                };
                self.stack_argument(n.saturating_sub(in_registers))
            }
        }
    }

    /// The `n`th argument that is passed on the stack. At a function's entry x86-64 has the
    /// return address on top of it (System V AMD64 ABI 3.2.2).
    fn stack_argument(&mut self, n: u32) -> Result<Value, Error> {
        let arch = self.unit.profile.arch;
        let top = self.register(kinds::stack_pointer_offset(arch))?;
        let skip = u32::from(arch == Arch::X86_64);
        let address = self.b.ins().iadd_imm_s(top, i64::from(8 * (n + skip)));
        let space = match self.kind().pointers {
            kinds::PointerSpace::User => Space::User,
            _ => Space::Kernel,
        };
        self.load_foreign(address, space, Int::U64)
    }

    /// Number of the probe that the program runs for.
    pub(super) fn probe_number(&mut self) -> Value {
        match self.block.probes.as_slice() {
            [one] => self.iconst(i64::from(*one)),
            _ if self.kind().has_cookie => {
                self.uses_cookie = true;
                let ctx = self.ctx;
                self.helper(helpers::GET_ATTACH_COOKIE, &[ctx])
            }
            several => self.iconst(several.first().map_or(0, |&p| i64::from(p))),
        }
    }
}
