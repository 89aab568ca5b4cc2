//! Plans and decoders for tests.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rbtrace_probes_ebpf::plan::{
    Action, Config, KernelFunction, Map, MapKind, MapRole, Plan, Probe, Target, VERSION,
};
use rbtrace_probes_ebpf::profile::TargetProfile;
use rbtrace_probes_ebpf::types::{Clock, Field, Record, RecordKind, Type, lay_out};

use crate::decode::Decoder;
use crate::event::Event;
use crate::resolve::{RawFrame, Resolve};
use crate::sink::{JsonSink, Sink, TextSink};
use crate::snapshot::{MapSnapshot, RawEntry};
use crate::value::{Inlined, Symbol};

pub const I64: Type = Type::Int { size: 8, signed: true };
pub const U64: Type = Type::Int { size: 8, signed: false };

/// A machine where everything is known.
struct Fixed;

impl Resolve for Fixed {
    fn kernel_symbol(&self, address: u64) -> Option<Symbol> {
        let name = "vfs_read".to_owned();
        (address >= 0x1000).then(|| Symbol { name, offset: address - 0x1000, ..Symbol::default() })
    }

    fn user_symbol(&self, pid: u32, _probe: u32, address: u64) -> Option<Symbol> {
        let symbol = Symbol {
            name: "syscall".into(),
            offset: 25,
            module: Some("/lib/libc.so.6".into()),
            place: Some("/src/x.c:3".into()),
            inlined: vec![Inlined { name: "inner".into(), place: Some("/src/x.h:9".into()) }],
        };
        (pid == 7 && address != 0x99).then_some(symbol)
    }

    fn stack(&self, _map: u32, id: u64, build_id: bool) -> Option<Vec<RawFrame>> {
        match (id, build_id) {
            (1, false) => Some([0x1010, 0x99, 0x1020].map(RawFrame::Address).into()),
            (1, true) => Some(vec![RawFrame::BuildId { id: [0xab; 20], offset: 7 }]),
            _ => None,
        }
    }

    fn user_name(&self, uid: u64) -> Option<String> {
        (uid == 0).then(|| "root".into())
    }

    fn cgroup_paths(&self, _id: u64, _filter: &str) -> Vec<(String, String)> {
        let pair = |name: &str, path: &str| (name.to_owned(), path.to_owned());
        vec![pair("unified", "/user.slice"), pair("cpu", ""), pair("memory", "/")]
    }

    fn clock_offset(&self, clock: Clock) -> Option<i64> {
        (clock != Clock::Tai).then_some(1_795_386_674_000_000_000)
    }

    fn now(&self) -> Timestamp {
        Timestamp::new(1_795_386_674, 0).expect("in range")
    }
}

pub fn int(size: u8, signed: bool) -> Type {
    Type::Int { size, signed }
}

pub fn string(size: u32) -> Type {
    Type::Str { size }
}

pub fn field(offset: u32, ty: Type) -> Field {
    Field { name: String::new(), offset, ty, bits: None }
}

pub fn tuple(types: impl IntoIterator<Item = Type>) -> Type {
    let (fields, size) = lay_out(types.into_iter().map(|ty| (String::new(), ty)));
    Type::Record(Record { kind: RecordKind::Tuple, name: String::new(), size, fields })
}

pub fn map(name: &str, key: Type, value: Type) -> Map {
    let kind = if value.is_per_cpu() { MapKind::PerCpuHash } else { MapKind::Hash };
    let symbol = name.replace('@', "AT_");
    Map { name: name.into(), symbol, role: MapRole::Script, kind, key, value, max_entries: 16 }
}

pub fn decoder(maps: Vec<Map>, actions: Vec<Action>) -> Decoder {
    let function = KernelFunction { module: None, function: "vfs_read".into(), offset: 0 };
    let probes = vec![
        Probe { name: "begin".into(), target: Target::Begin },
        Probe { name: "kprobe:vfs_read".into(), target: Target::Kprobe(function) },
    ];
    // By way of JSON, so that what a test does not care for has its default.
    let plan = serde_json::json!({
        "version": VERSION,
        "compiler": "test",
        "target": TargetProfile::REFERENCE,
        "maps": maps,
        "programs": [],
        "probes": probes,
        "actions": actions,
        "config": Config::default(),
    });
    let plan: Plan = serde_json::from_value(plan).expect("a plan");
    Decoder::with_resolve(Arc::new(plan), Box::new(Fixed)).with_time_zone(TimeZone::UTC)
}

/// What the two sinks print of an event.
pub fn printed(event: &Event) -> (String, String) {
    let mut text = TextSink::with_errors(Vec::new(), Vec::new());
    text.event(event).expect("a Vec takes everything");
    let (out, err) = text.into_inner();
    let mut json = JsonSink::with_errors(Vec::new(), Vec::new());
    json.event(event).expect("a Vec takes everything");
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (lossy(&out) + &lossy(&err), lossy(&json.into_inner().0))
}

/// A map of the plan with entries of one value each.
pub fn snapshot(entries: Vec<(Vec<u8>, Vec<Vec<u8>>)>) -> MapSnapshot {
    let entries = entries.into_iter().map(|(key, values)| RawEntry { key, values }).collect();
    MapSnapshot { map: 0, entries, zeroed: false }
}

/// Words in memory, one after another.
pub fn words(words: &[i64]) -> Vec<u8> {
    words.iter().flat_map(|n| n.to_ne_bytes()).collect()
}

/// Text in a field of `size` bytes.
pub fn padded(text: &str, size: usize) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(size, 0);
    bytes
}
