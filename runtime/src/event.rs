//! What happened, for a sink to print or a program to use.

use std::sync::Arc;
use std::time::Duration;

use crate::format::Format;
use crate::value::Value;

/// Something that a script printed, or that its user must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `printf`.
    Printf(Formatted),
    /// `errorf` or `warnf`.
    Errorf {
        /// The message.
        message: Formatted,
        /// `file:line:columns` of the call.
        location: String,
        /// From `warnf`.
        warning: bool,
    },
    /// A helper of the kernel has failed in a script that wants to know.
    HelperError(Box<HelperError>),
    /// `print` of a value that is no map.
    Value(Value),
    /// `print` of one entry of a map.
    Entry {
        /// The map's name, with its `@`.
        map: String,
        /// The key; [`Value::Null`] for a scalar map.
        key: Value,
        /// The value.
        value: Value,
    },
    /// A whole map.
    Map(MapEvent),
    /// `time`.
    Time(String),
    /// `join`.
    Join(Vec<u8>),
    /// `cat`: what the file holds.
    Cat(Vec<u8>),
    /// `system`: what the command printed.
    System(Vec<u8>),
    /// Tests are about to run.
    Tests {
        /// How many.
        count: usize,
    },
    /// A test ran.
    TestResult {
        /// Its name.
        name: String,
        /// Whether it passed.
        passed: bool,
        /// How long it ran.
        duration: Duration,
        /// What it printed.
        output: Vec<u8>,
    },
    /// Every test ran.
    TestsDone {
        /// How many.
        count: usize,
        /// Names of those that failed.
        failed: Vec<String>,
    },
    /// Benchmarks are about to run.
    Benches {
        /// Characters of the longest name, or so many as names usually get.
        width: usize,
    },
    /// A benchmark ran.
    BenchResult {
        /// Its name.
        name: String,
        /// How long a run took on average.
        average: Duration,
        /// How many runs there were.
        iterations: u64,
        /// As in [`Event::Benches`].
        width: usize,
    },
    /// A packet of a capture has gone through the blocks of a hook.
    Packet(PacketEvent),
    /// Every probe is attached.
    AttachedProbes {
        /// How many.
        count: u64,
    },
    /// An iterator was left to those who read a file.
    Pinned {
        /// Path of the file.
        path: String,
    },
    /// Data was lost since the last event of this kind.
    Lost {
        /// What was lost.
        what: Lost,
        /// How much.
        count: u64,
        /// Full name of the probe that lost it, where it is known.
        probe: Option<String>,
    },
    /// All that was lost in the whole run, a row for each probe that lost something.
    Losses(Vec<Losses>),
    /// Nothing more will come from probes; maps may follow.
    End,
    /// Something failed; the run goes on.
    Error {
        /// What, and what to do about it.
        message: String,
        /// `file:line:columns`, where it is known.
        location: Option<String>,
    },
    /// Something the user ought to know.
    Warning {
        /// What.
        message: String,
        /// `file:line:columns`, where it is known.
        location: Option<String>,
    },
}

/// What became of a packet of a capture at a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketEvent {
    /// Its number in the capture, from 1.
    pub number: u64,
    /// The hook as attach points have it: `xdp:eth0`; several that have the same blocks are separated
    /// by commas.
    pub hook: Arc<str>,
    /// The script has blocks on other hooks as well.
    pub among_others: bool,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The blocks ran.
    Decided {
        /// What the last of them returned.
        verdict: Verdict,
        /// They have changed the packet.
        rewritten: bool,
    },
    /// No block ran, and why: the kernel's test run does not take the packet.
    Skipped(String),
}

/// What a block for packets returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// By the kernel's name.
    Named(&'static str),
    /// A value without a name.
    Number(i64),
    /// The kernel asks for none: the block gets a copy of the packet.
    Unasked,
}

/// A helper of the kernel that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelperError {
    /// Its name, without the kernel's `bpf_` in front.
    pub helper: String,
    /// What it answered: a negative errno value, or 0 for an entry that is not there.
    pub result: i64,
    /// `file:line:columns` of what called it.
    pub location: String,
    /// The script's line; empty if it is too long to be shown.
    pub source: String,
    /// Columns to mark in it: the first, from 1, and the one behind the last.
    pub columns: (u32, u32),
}

impl HelperError {
    /// What went wrong.
    pub fn message(&self) -> String {
        if self.helper == "map_lookup_elem" {
            return "Can't lookup map element because it does not exist.".into();
        }
        let code = i32::try_from(self.result.unsigned_abs()).unwrap_or(i32::MAX);
        let text = std::io::Error::from_raw_os_error(code).to_string();
        text.split(" (os error").next().unwrap_or_default().to_owned()
    }
}

/// A format and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formatted {
    /// The format.
    pub format: Arc<Format>,
    /// One for each conversion.
    pub args: Vec<Value>,
}

impl Formatted {
    /// The text.
    pub fn text(&self) -> Vec<u8> {
        self.format.render(&self.args)
    }
}

/// A map's contents, in the order in which they print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapEvent {
    /// Name, with its `@`.
    pub name: String,
    /// What its values are.
    pub kind: MapKind,
    /// The contents.
    pub content: MapContent,
}

/// What the values of a map are, as far as output tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// Anything but the following.
    Plain,
    /// `avg` or `stats`.
    Stats,
    /// `hist` or `lhist`.
    Hist,
    /// `tseries`.
    Series,
}

/// The contents of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapContent {
    /// Of a map without keys.
    Scalar(Value),
    /// Keys and values.
    Entries(Vec<(Value, Value)>),
}

/// What can be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Records that found the ring buffer full.
    Events,
    /// Updates of a map that was full.
    MapUpdates,
    /// Runs of a probe that were skipped.
    Runs,
}

/// What a probe lost in the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Full name of the probe.
    pub probe: String,
    /// Records that found the ring buffer full.
    pub events: u64,
    /// Updates of a map that was full.
    pub map_updates: u64,
    /// Runs that were skipped.
    pub runs: u64,
}
