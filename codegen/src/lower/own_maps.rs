//! Maps of rbtrace's own, which scripts do not see.

use rbtrace_probes_ebpf::plan::{Map, MapKind, MapRole};
use rbtrace_probes_ebpf::profile::TargetProfile;
use rbtrace_probes_ebpf::types::{StackMode, Type};
use rbtrace_probes_ebpf::unwind;

/// Fewest bytes of the ring buffer: a power of two and a multiple of the page size.
const RING_MIN: u32 = 1 << 20;
/// Entries of a stack map; they take memory only where they are used.
const STACK_ENTRIES: u32 = 1 << 17;
/// Largest number of frames that the kernel captures (`PERF_MAX_STACK_DEPTH`).
pub(super) const STACK_FRAMES: u32 = 127;

/// What the symbols of rbtrace's own maps begin with.
pub(super) const OWN_PREFIX: &str = "rbtrace_";

/// Maps of rbtrace's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum OwnMap {
    /// Ring buffer.
    Ring,
    /// Memory for large values.
    Scratch,
    /// The same, of more bytes than a per-CPU map can have.
    LargeScratch,
    /// Captured stacks.
    Stacks,
    /// Captured stacks whose frames are places in files.
    BuildIdStacks,
    /// Packets on their way to files.
    Packets,
    /// Programs that others call where they decide nothing.
    Next,
    /// The cgroup that is traced.
    Cgroup,
    /// Where processes have mapped code.
    UnwindPlaces,
    /// Where rules for unwinding hold.
    UnwindRows,
    /// Rules for unwinding.
    UnwindRules,
}

impl OwnMap {
    /// The map for stacks that print in this way.
    pub(super) fn stacks(mode: StackMode) -> Self {
        if mode == StackMode::BuildId { Self::BuildIdStacks } else { Self::Stacks }
    }

    /// The map as the plan has it. Some grow with what programs need.
    pub(super) fn define(self, profile: &TargetProfile) -> Map {
        use {MapKind as K, MapRole as R};
        let [u32_type, u64_type] = [4, 8].map(|size| Type::Int { size, signed: false });
        let u64s = |len| Type::Array { elem: Box::new(u64_type.clone()), len };
        let (name, role, kind, key, value, max_entries) = match self {
            OwnMap::Ring => ("ring", R::Ring, K::RingBuf, Type::Void, Type::Void, RING_MIN),
            OwnMap::Scratch => ("scratch", R::Scratch, K::PerCpuArray, u32_type, u64s(1), 1),
            OwnMap::LargeScratch => ("large_scratch", R::Scratch, K::Array, u32_type, u64s(1), 1),
            OwnMap::Stacks => {
                let frames = u64s(STACK_FRAMES);
                ("stacks", R::Stacks, K::Hash, u64_type, frames, STACK_ENTRIES)
            }
            OwnMap::BuildIdStacks => {
                let frames = u64s(4 * STACK_FRAMES);
                ("build_ids", R::Stacks, K::Hash, u64_type, frames, STACK_ENTRIES)
            }
            OwnMap::Packets => {
                let event = Type::Int { size: 4, signed: true };
                let cpus = profile.cpus.max(1);
                ("packets", R::Packets, K::PerfEventArray, u32_type, event, cpus)
            }
            OwnMap::Next => ("next", R::Next, K::ProgArray, u32_type.clone(), u32_type, 1),
            OwnMap::Cgroup => ("cgroup", R::Cgroup, K::CgroupArray, u32_type.clone(), u32_type, 1),
            OwnMap::UnwindPlaces => {
                let (key, place) = (unwind::key_type(), unwind::place_type());
                ("unwind_places", R::UnwindPlaces, K::LpmTrie, key, place, unwind::MOST_PLACES)
            }
            OwnMap::UnwindRows => {
                ("unwind_rows", R::UnwindRows, K::ArrayOfArrays, u32_type, u64_type, 1)
            }
            OwnMap::UnwindRules => {
                let rule = unwind::rule_type();
                ("unwind_rules", R::UnwindRules, K::Array, u32_type, rule, unwind::MOST_RULES)
            }
        };
        let symbol = format!("{OWN_PREFIX}{name}");
        Map { name: symbol.clone(), symbol, role, kind, key, value, max_entries }
    }
}
