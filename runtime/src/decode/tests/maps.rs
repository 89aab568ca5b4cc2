use rbtrace_probes_ebpf::plan::MapKind;
use rbtrace_probes_ebpf::types::Type;

use super::fixture::{
    I64, U64, decoder, int, map, padded, printed, snapshot, string, tuple, words,
};
use crate::decode::Decoder;
use crate::snapshot::MapSnapshot;

type Entry = (Vec<u8>, Vec<Vec<u8>>);

fn one(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Entry {
    (key.into(), vec![value.into()])
}

/// An entry with the key 0 of a scalar map.
fn cpus(values: &[&[i64]]) -> MapSnapshot {
    snapshot(vec![(vec![0; 4], values.iter().map(|value| words(value)).collect())])
}

/// What `print` shows of the map `@m`, in text and in JSON.
#[track_caller]
fn shows(
    decoder: &Decoder,
    snapshot: &MapSnapshot,
    (top, div): (u32, u32),
    expected: (&str, &str),
) {
    let event = decoder.map(snapshot, top, div).expect("well-formed");
    let (text, json) = printed(&event);
    assert_eq!((text.as_str(), json.as_str()), expected);
}

#[track_caller]
fn scalar(value: Type, snapshot: &MapSnapshot, div: u32, expected: (&str, &str)) {
    let kind = match value {
        Type::Avg { .. } | Type::Stats { .. } => "stats",
        _ => "map",
    };
    let decoder = decoder(vec![map("@m", Type::Void, value)], Vec::new());
    let text = format!("@m: {}\n", expected.0);
    let json = format!("{{\"type\": \"{kind}\", \"data\": {{\"@m\": {}}}}}\n", expected.1);
    shows(&decoder, snapshot, (0, div), (&text, &json));
}

#[test]
fn aggregations_over_cpus() {
    scalar(Type::Count, &cpus(&[&[3], &[4]]), 0, ("7", "7"));
    scalar(Type::Count, &cpus(&[&[3], &[4]]), 2, ("3", "3"));
    scalar(Type::Sum { signed: true }, &cpus(&[&[-5], &[2]]), 1, ("-3", "-3"));
    scalar(Type::Sum { signed: true }, &cpus(&[&[-7], &[0]]), 2, ("-3", "-3"));
    let max = "18446744073709551615";
    let quoted = format!("\"{max}\"");
    scalar(Type::Sum { signed: false }, &cpus(&[&[-1], &[0]]), 1, (max, &quoted));
    // Value, then whether this CPU has one.
    scalar(Type::Min { signed: true }, &cpus(&[&[0, 0], &[-3, 1], &[9, 1]]), 1, ("-3", "-3"));
    scalar(Type::Max { signed: true }, &cpus(&[&[0, 0], &[-3, 1], &[-9, 1]]), 1, ("-3", "-3"));
    scalar(Type::Max { signed: false }, &cpus(&[&[-1, 1], &[5, 1]]), 1, (max, &quoted));
    scalar(Type::Max { signed: true }, &cpus(&[&[0, 0]]), 1, ("0", "0"));
    // Total, then count.
    scalar(Type::Avg { signed: true }, &cpus(&[&[-7, 1], &[2, 1]]), 1, ("-2", "-2"));
    scalar(Type::Avg { signed: true }, &cpus(&[&[-7, 1]]), 2, ("-3", "-3"));
    scalar(Type::Avg { signed: false }, &cpus(&[&[-1, 1]]), 1, (max, &quoted));
    scalar(
        Type::Stats { signed: true },
        &cpus(&[&[-7, 1], &[2, 1]]),
        1,
        (
            "{ .count = 2, .average = -2, .total = -5 }",
            r#"{"count": 2, "average": -2, "total": -5}"#,
        ),
    );
    scalar(
        Type::Stats { signed: true },
        &cpus(&[&[-7, 1]]),
        2,
        (
            "{ .count = 1, .average = -3, .total = -7 }",
            r#"{"count": 1, "average": -3, "total": -7}"#,
        ),
    );
}

#[test]
fn plain_scalars() {
    scalar(I64, &cpus(&[&[5]]), 1, ("5", "5"));
    scalar(I64, &cpus(&[&[5], &[6]]), 1, ("11", "11"));
    scalar(string(4), &snapshot(vec![one([0; 4], *b"x\0\0\0")]), 1, ("x", "\"x\""));
    let pair = tuple([I64, string(4)]);
    let bytes = [words(&[1]), padded("s", 8)].concat();
    scalar(pair, &snapshot(vec![one([0; 4], bytes)]), 1, ("(1, s)", r#"[1,"s"]"#));
}

#[test]
fn scalars_that_were_never_written() {
    let empty = snapshot(Vec::new());
    scalar(Type::Count, &empty, 1, ("0", "0"));
    scalar(Type::Avg { signed: true }, &empty, 1, ("0", "0"));
    scalar(string(4), &empty, 1, ("", "\"\""));
    scalar(
        Type::Stats { signed: false },
        &empty,
        1,
        ("{ .count = 0, .average = 0, .total = 0 }", r#"{"count": 0, "average": 0, "total": 0}"#),
    );
    let hist = decoder(vec![map("@m", Type::Void, Type::Hist { bits: 0 })], Vec::new());
    shows(&hist, &empty, (0, 0), ("", ""));
}

#[test]
fn at_exit_empty_maps_are_silent() {
    let at_exit = |key: Type, value: Type, kind: MapKind, snapshot: &MapSnapshot| {
        let mut map = map("@m", key, value);
        map.kind = kind;
        let event = decoder(vec![map], Vec::new()).map_at_exit(snapshot).expect("well-formed");
        event.as_ref().map(printed)
    };
    let empty = snapshot(Vec::new());
    assert_eq!(at_exit(Type::Void, I64, MapKind::Hash, &empty), None);
    assert_eq!(at_exit(I64, Type::Count, MapKind::PerCpuHash, &empty), None);
    let zero = cpus(&[&[0], &[0]]);
    assert_eq!(at_exit(Type::Void, Type::Count, MapKind::PerCpuArray, &zero), None);
    let shown = at_exit(Type::Void, Type::Count, MapKind::PerCpuHash, &zero);
    assert_eq!(shown.map(|(text, _)| text).as_deref(), Some("@m: 0\n"));
    let json = "{\"type\": \"stats\", \"data\": {\"@m\": {}}}\n".to_owned();
    let stats = at_exit(I64, Type::Stats { signed: true }, MapKind::PerCpuHash, &empty);
    assert_eq!(stats, Some((String::new(), json)));
}

fn numbers() -> (Decoder, MapSnapshot) {
    let entry = |key: &str, value: i64| one(padded(key, 4), words(&[value]));
    let entries = vec![entry("d", 7), entry("b", 1), entry("c", -1), entry("a", 1)];
    (decoder(vec![map("@", string(4), I64)], Vec::new()), snapshot(entries))
}

#[test]
fn sorted_by_value_then_by_key() {
    let (decoder, snapshot) = numbers();
    shows(
        &decoder,
        &snapshot,
        (0, 0),
        (
            "@[c]: -1\n@[a]: 1\n@[b]: 1\n@[d]: 7\n",
            "{\"type\": \"map\", \"data\": {\"@\": {\"c\": -1, \"a\": 1, \"b\": 1, \"d\": 7}}}\n",
        ),
    );
}

#[test]
fn top_keeps_the_last_and_div_divides() {
    let (decoder, snapshot) = numbers();
    shows(
        &decoder,
        &snapshot,
        (2, 2),
        ("@[b]: 0\n@[d]: 3\n", "{\"type\": \"map\", \"data\": {\"@\": {\"b\": 0, \"d\": 3}}}\n"),
    );
    let all = printed(&decoder.map(&snapshot, 0, 0).expect("well-formed"));
    assert_eq!(printed(&decoder.map(&snapshot, 9, 1).expect("well-formed")), all);
}

#[test]
fn unsigned_values_sort_unsigned_and_extremes_too() {
    let keyed = |value: Type, entries| {
        let decoder = decoder(vec![map("@m", I64, value)], Vec::new());
        printed(&decoder.map(&snapshot(entries), 0, 1).expect("well-formed")).0
    };
    let key = |n| words(&[n]);
    let entries = vec![one(key(1), words(&[-1])), one(key(2), words(&[3]))];
    assert_eq!(keyed(U64, entries), "@m[2]: 3\n@m[1]: 18446744073709551615\n");
    // A quirk of bpftrace: smallest and largest values are sorted as if they had no sign.
    let extreme = |k, n| one(key(k), words(&[n, 1]));
    let entries = vec![extreme(1, -5), extreme(2, 5), extreme(3, 0)];
    assert_eq!(keyed(Type::Min { signed: true }, entries), "@m[3]: 0\n@m[2]: 5\n@m[1]: -5\n");
    let bytes = vec![one(key(1), vec![200u8]), one(key(2), vec![3u8])];
    assert_eq!(keyed(int(1, false), bytes), "@m[2]: 3\n@m[1]: 200\n");
}

#[test]
fn other_values_are_sorted_by_key() {
    let decoder = decoder(vec![map("@x", I64, string(2))], Vec::new());
    let entry = |key, value: &str| one(words(&[key]), padded(value, 2));
    let entries = snapshot(vec![entry(3, "z"), entry(200, "w"), entry(-1, "y")]);
    shows(
        &decoder,
        &entries,
        (0, 0),
        (
            "@x[-1]: y\n@x[3]: z\n@x[200]: w\n",
            "{\"type\": \"map\", \"data\": {\"@x\": {\"-1\": \"y\", \"3\": \"z\", \"200\": \"w\"}}}\n",
        ),
    );
}

#[test]
fn several_keys() {
    let decoder = decoder(vec![map("@k", tuple([I64, string(8)]), string(8))], Vec::new());
    let entry =
        |n, key: &str, value: &str| one([words(&[n]), padded(key, 8)].concat(), padded(value, 8));
    let entries = vec![entry(1, "b c", "x"), entry(1, "a", "y"), entry(-1, "z", "w")];
    shows(
        &decoder,
        &snapshot(entries),
        (0, 0),
        (
            "@k[-1, z]: w\n@k[1, a]: y\n@k[1, b c]: x\n",
            "{\"type\": \"map\", \"data\": {\"@k\": {\"-1,z\": \"w\", \"1,a\": \"y\", \"1,bc\": \"x\"}}}\n",
        ),
    );
}

#[test]
fn keys_in_parentheses() {
    let nested =
        decoder(vec![map("@b", tuple([tuple([I64, I64]), string(8)]), Type::Bool)], Vec::new());
    let key = [words(&[1, 2]), padded("k", 8)].concat();
    shows(
        &nested,
        &snapshot(vec![one(key, [1])]),
        (0, 0),
        ("@b[(1, 2), k]: true\n", "{\"type\": \"map\", \"data\": {\"@b\": {\"(1,2),k\": true}}}\n"),
    );
    // bpftrace takes text in parentheses for a tuple.
    let text = decoder(vec![map("@e", string(16), U64)], Vec::new());
    let entries =
        vec![one(padded("(sd-pam)", 16), words(&[1])), one(padded("q\"u o", 16), words(&[2]))];
    shows(
        &text,
        &snapshot(entries),
        (0, 0),
        (
            "@e[sd-pam]: 1\n@e[q\"u o]: 2\n",
            "{\"type\": \"map\", \"data\": {\"@e\": {\"sd-pam\": 1, \"q\\\"uo\": 2}}}\n",
        ),
    );
}

#[test]
fn zero_counts_as_written() {
    let zeroed = |ty: Type, size: usize| {
        let mut map = map("@m", Type::Void, ty);
        map.kind = MapKind::PerCpuArray;
        let decoder = decoder(vec![map], Vec::new());
        let entries = vec![one([0; 4], vec![0; size])];
        let snapshot = MapSnapshot { zeroed: true, ..snapshot(entries) };
        printed(&decoder.map_at_exit(&snapshot).expect("well-formed").expect("shown"))
    };
    let count = zeroed(Type::Count, 8);
    assert_eq!(count, ("@m: 0\n".into(), "{\"type\": \"map\", \"data\": {\"@m\": 0}}\n".into()));
    let ty = Type::Hist { bits: 0 };
    let size = usize::try_from(ty.size()).expect("small");
    let empty = "{\"type\": \"hist\", \"data\": {\"@m\": []}}\n";
    assert_eq!(zeroed(ty, size), ("@m:\n\n".into(), empty.into()));
}

#[test]
fn stats_with_keys() {
    let stats = Type::Stats { signed: true };
    let decoder = decoder(vec![map("@st", tuple([I64, I64]), stats)], Vec::new());
    let entries = vec![one(words(&[3, 4]), words(&[2, 1])), one(words(&[1, 2]), words(&[-7, 1]))];
    shows(
        &decoder,
        &snapshot(entries),
        (0, 0),
        (
            "@st[1, 2]: { .count = 1, .average = -7, .total = -7 }\n\
             @st[3, 4]: { .count = 1, .average = 2, .total = 2 }\n",
            "{\"type\": \"stats\", \"data\": {\"@st\": {\
             \"1,2\": {\"count\": 1, \"average\": -7, \"total\": -7}, \
             \"3,4\": {\"count\": 1, \"average\": 2, \"total\": 2}}}}\n",
        ),
    );
}

#[test]
fn one_entry_prints_its_value_alone() {
    let decoder = decoder(vec![map("@av", string(4), Type::Avg { signed: true })], Vec::new());
    let key = padded("k", 4);
    let values = [words(&[-7, 1]), words(&[2, 1])];
    let entry =
        |values: &[Vec<u8>]| printed(&decoder.entry(0, &key, values, 1).expect("well-formed"));
    let json = |n: i64| format!("{{\"type\": \"value\", \"data\": {n}}}\n");
    assert_eq!(entry(&values), ("-2\n".into(), json(-2)));
    assert_eq!(entry(&[]), ("0\n".into(), json(0)));
}

#[test]
fn malformed_maps_are_errors() {
    let decoder = decoder(vec![map("@m", I64, Type::Count)], Vec::new());
    assert!(decoder.map(&snapshot(vec![one([0; 3], words(&[1]))]), 0, 0).is_err());
    assert!(decoder.map(&snapshot(vec![one([0; 8], [1])]), 0, 0).is_err());
    assert!(decoder.map(&MapSnapshot { map: 7, ..MapSnapshot::default() }, 0, 0).is_err());
    assert!(decoder.entry(0, &[], &[], 0).is_err());
}
