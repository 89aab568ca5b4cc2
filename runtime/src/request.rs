//! What a ring buffer record asks for.

use crate::capture::Packet;
use crate::event::Event;

/// What to do about a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Hand it to the sink.
    Output(Event),
    /// Print a map: read it and hand it to [`crate::decode::Decoder::map`].
    PrintMap {
        /// Index into [`rbtrace_probes_ebpf::plan::Plan::maps`].
        map: u32,
        /// Only so many entries, the last in order; 0 is all.
        top: u32,
        /// Divide values by this; 0 and 1 leave them.
        div: u32,
    },
    /// Print one entry: look it up and hand it to [`crate::decode::Decoder::entry`].
    PrintEntry {
        /// Index into [`rbtrace_probes_ebpf::plan::Plan::maps`].
        map: u32,
        /// The key's bytes.
        key: Vec<u8>,
        /// Divide the value by this; 0 and 1 leave it.
        div: u32,
    },
    /// Remove every entry of a map.
    Clear {
        /// Index into [`rbtrace_probes_ebpf::plan::Plan::maps`].
        map: u32,
    },
    /// Set every value of a map to 0.
    Zero {
        /// Index into [`rbtrace_probes_ebpf::plan::Plan::maps`].
        map: u32,
    },
    /// Detach the watchpoints on an address.
    Unwatch {
        /// The address.
        address: u64,
    },
    /// Write a packet to a file.
    Packet {
        /// Path of the file.
        file: String,
        /// The packet, from its IP header on.
        packet: Packet,
    },
    /// End the run.
    Exit {
        /// Exit status.
        code: i32,
    },
    /// Print a file, as [`Event::Cat`].
    Cat {
        /// Path of the file.
        path: Vec<u8>,
        /// Largest number of bytes to print.
        max_bytes: u64,
    },
    /// Run a command in a shell and print what it prints, as [`Event::System`].
    System {
        /// The command.
        command: Vec<u8>,
    },
}
