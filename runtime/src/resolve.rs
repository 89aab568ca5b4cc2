//! What output needs to know of the machine: symbols, stacks, names, clocks.

use std::sync::Arc;

use jiff::Timestamp;
use rbtrace_probes_ebpf::types::Clock;

use crate::value::Symbol;

/// A frame as the stack map has it, before its symbol is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawFrame {
    /// Address of an instruction.
    Address(u64),
    /// Place in a file (`struct bpf_stack_build_id` in linux/bpf.h).
    BuildId {
        /// Build id of the file.
        id: [u8; 20],
        /// Bytes from the start of the file.
        offset: u64,
    },
}

/// Looks up facts of the running machine. Whatever is not known stays absent, and the number
/// itself is printed.
pub trait Resolve {
    /// The kernel symbol that `address` lies in.
    fn kernel_symbol(&self, address: u64) -> Option<Symbol> {
        let _ = address;
        None
    }

    /// The symbol that `address` lies in, in the process `pid`. `probe` is an index into
    /// [`rbtrace_probes_ebpf::plan::Plan::probes`]: its binary serves once the process is gone.
    fn user_symbol(&self, pid: u32, probe: u32, address: u64) -> Option<Symbol> {
        let _ = (pid, probe, address);
        None
    }

    /// The frames of a captured stack, innermost first. `map` is an index into
    /// [`rbtrace_probes_ebpf::plan::Plan::maps`], `id` the stack's key in it; `build_id` says that the map holds build ids and offsets instead of addresses.
    fn stack(&self, map: u32, id: u64, build_id: bool) -> Option<Vec<RawFrame>> {
        let _ = (map, id, build_id);
        None
    }

    /// Name of a user.
    fn user_name(&self, uid: u64) -> Option<String> {
        let _ = uid;
        None
    }

    /// Hierarchies that match the glob `filter` (empty: all) and the cgroup's path in each:
    /// `("unified", "/user.slice")`, version 2 first.
    fn cgroup_paths(&self, id: u64, filter: &str) -> Vec<(String, String)> {
        let _ = (id, filter);
        Vec::new()
    }

    /// Nanoseconds to add to a reading of `clock` to get Unix time.
    fn clock_offset(&self, clock: Clock) -> Option<i64> {
        let _ = clock;
        None
    }

    /// The wall clock.
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Knows nothing: every value prints as its number.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoResolve;

impl Resolve for NoResolve {}

impl<T: Resolve + ?Sized> Resolve for Arc<T> {
    fn kernel_symbol(&self, address: u64) -> Option<Symbol> {
        (**self).kernel_symbol(address)
    }

    fn user_symbol(&self, pid: u32, probe: u32, address: u64) -> Option<Symbol> {
        (**self).user_symbol(pid, probe, address)
    }

    fn stack(&self, map: u32, id: u64, build_id: bool) -> Option<Vec<RawFrame>> {
        (**self).stack(map, id, build_id)
    }

    fn user_name(&self, uid: u64) -> Option<String> {
        (**self).user_name(uid)
    }

    fn cgroup_paths(&self, id: u64, filter: &str) -> Vec<(String, String)> {
        (**self).cgroup_paths(id, filter)
    }

    fn clock_offset(&self, clock: Clock) -> Option<i64> {
        (**self).clock_offset(clock)
    }

    fn now(&self) -> Timestamp {
        (**self).now()
    }
}
