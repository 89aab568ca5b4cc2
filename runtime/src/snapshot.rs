//! The contents of a map, read once.

/// A map's entries at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapSnapshot {
    /// Index into [`rbtrace_probes_ebpf::plan::Plan::maps`].
    pub map: u32,
    /// In any order.
    pub entries: Vec<RawEntry>,
    /// The script called `zero()`, so that values of 0 were written on purpose.
    pub zeroed: bool,
}

/// An entry as the kernel has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawEntry {
    /// The key's bytes.
    pub key: Vec<u8>,
    /// The value's bytes: one, or one for each CPU.
    pub values: Vec<Vec<u8>>,
}
