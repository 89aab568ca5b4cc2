//! Maps.

use serde::{Deserialize, Serialize};

use crate::types::{Field, Record, RecordKind, Type};

/// Bytes of the flag of a cell.
const FLAG: u32 = 8;

/// An eBPF map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// Name in the script, with its `@`; the symbol for rbtrace's own maps.
    pub name: String,
    /// Symbol in the ELF object.
    pub symbol: String,
    /// What it is for.
    pub role: MapRole,
    /// The kernel's map type.
    pub kind: MapKind,
    /// Type of the key; [`Type::Void`] for a scalar map, whose only key is the `u32` 0.
    /// A key of several expressions is a tuple.
    pub key: Type,
    /// Type of the value.
    pub value: Type,
    /// Number of entries; bytes for a ring buffer.
    pub max_entries: u32,
}

impl Map {
    /// Bytes from the start of a cell's value to the `u64` that is 1 if it is set.
    pub fn flag_offset(&self) -> u32 {
        self.value.size().next_multiple_of(FLAG)
    }

    /// The value as the kernel has it: of a cell, the value and its flag.
    pub fn stored(&self) -> Type {
        if !self.kind.is_cell() {
            return self.value.clone();
        }
        let flag = self.flag_offset();
        let field = |name: &str, offset, ty| Field { name: name.into(), offset, ty, bits: None };
        Type::Record(Record {
            kind: RecordKind::Struct,
            name: String::new(),
            size: flag + FLAG,
            fields: vec![
                field("value", 0, self.value.clone()),
                field("set", flag, Type::Int { size: FLAG as u8, signed: false }),
            ],
        })
    }
}

/// What a map is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MapRole {
    /// A map of the script.
    Script,
    /// The ring buffer that carries records. At most one in a plan.
    Ring,
    /// Memory for values too large for the eBPF stack. In a map that is not per CPU,
    /// `max_entries` counts the entries of one CPU: user space makes as many for each.
    Scratch,
    /// Captured stacks.
    Stacks,
    /// Where processes have mapped code (see [`crate::unwind`]).
    UnwindPlaces,
    /// Where rules for unwinding hold: all rows of all files.
    UnwindRows,
    /// Rules for unwinding, by number.
    UnwindRules,
    /// Programs that others call where they decide nothing (see [`super::Program::passes_on`]). At most
    /// one in a plan.
    Next,
    /// The cgroup that is traced, which user space names. At most one in a plan.
    Cgroup,
    /// The perf buffer that carries packets. At most one in a plan; it has an entry for each CPU,
    /// whatever `max_entries` says.
    Packets,
    /// Read-only data (`.rodata`) or variables (`.bss`, `.data`).
    Data,
}

/// The kernel's map types that rbtrace uses (`enum bpf_map_type` in linux/bpf.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MapKind {
    /// `BPF_MAP_TYPE_HASH`
    Hash,
    /// `BPF_MAP_TYPE_ARRAY`
    Array,
    /// `BPF_MAP_TYPE_ARRAY` of one value and whether it is set ([`Map::stored`]): quicker than a hash
    /// of one entry, and told apart from a value that is 0.
    Cell,
    /// `BPF_MAP_TYPE_PROG_ARRAY`
    ProgArray,
    /// `BPF_MAP_TYPE_PERF_EVENT_ARRAY`
    PerfEventArray,
    /// `BPF_MAP_TYPE_PERCPU_HASH`
    PerCpuHash,
    /// `BPF_MAP_TYPE_PERCPU_ARRAY`
    PerCpuArray,
    /// `BPF_MAP_TYPE_PERCPU_ARRAY`, as [`MapKind::Cell`]: set if it is on any CPU.
    PerCpuCell,
    /// `BPF_MAP_TYPE_STACK_TRACE`
    StackTrace,
    /// `BPF_MAP_TYPE_CGROUP_ARRAY`
    CgroupArray,
    /// `BPF_MAP_TYPE_LRU_HASH`
    LruHash,
    /// `BPF_MAP_TYPE_LRU_PERCPU_HASH`
    LruPerCpuHash,
    /// `BPF_MAP_TYPE_LPM_TRIE`
    LpmTrie,
    /// `BPF_MAP_TYPE_ARRAY_OF_MAPS`: of arrays of any length, whose elements the map's value type is
    /// that of.
    ArrayOfArrays,
    /// `BPF_MAP_TYPE_RINGBUF`
    RingBuf,
}

impl MapKind {
    /// The number in `enum bpf_map_type` (linux/bpf.h).
    pub const fn number(self) -> u32 {
        match self {
            MapKind::Hash => 1,
            MapKind::Array | MapKind::Cell => 2,
            MapKind::ProgArray => 3,
            MapKind::PerfEventArray => 4,
            MapKind::PerCpuHash => 5,
            MapKind::PerCpuArray | MapKind::PerCpuCell => 6,
            MapKind::StackTrace => 7,
            MapKind::CgroupArray => 8,
            MapKind::LruHash => 9,
            MapKind::LruPerCpuHash => 10,
            MapKind::LpmTrie => 11,
            MapKind::ArrayOfArrays => 12,
            MapKind::RingBuf => 27,
        }
    }

    /// Whether each CPU has a value of its own.
    pub const fn is_per_cpu(self) -> bool {
        matches!(
            self,
            MapKind::PerCpuHash
                | MapKind::PerCpuArray
                | MapKind::PerCpuCell
                | MapKind::LruPerCpuHash
        )
    }

    /// Whether the value is followed by a flag that it is set.
    pub const fn is_cell(self) -> bool {
        matches!(self, MapKind::Cell | MapKind::PerCpuCell)
    }

    /// Whether all entries are always there.
    pub const fn is_array(self) -> bool {
        matches!(self, MapKind::Array | MapKind::PerCpuArray) || self.is_cell()
    }
}
