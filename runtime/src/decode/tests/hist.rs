use rbtrace_probes_ebpf::types::Type;

use super::fixture::{I64, decoder, map, printed, snapshot, words};
use crate::snapshot::MapSnapshot;

const FULL: &str = "|@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|";
const HALF: &str = "|@@@@@@@@@@@@@@@@@@@@@@@@@@                          |";
const NONE: &str = "|                                                    |";

/// Buckets of `ty` with these counts at these indices.
fn buckets(ty: &Type, counts: &[(usize, i64)]) -> Vec<u8> {
    let mut all = vec![0; usize::try_from(ty.size() / 8).expect("small")];
    for (index, count) in counts {
        all[*index] = *count;
    }
    words(&all)
}

fn scalar(ty: &Type, counts: &[(usize, i64)]) -> MapSnapshot {
    snapshot(vec![(vec![0; 4], vec![buckets(ty, counts)])])
}

/// The lines between `@m:` and the empty line, and the array in JSON.
fn print(ty: &Type, counts: &[(usize, i64)], div: u32) -> (Vec<String>, String) {
    let decoder = decoder(vec![map("@m", Type::Void, ty.clone())], Vec::new());
    let event = decoder.map(&scalar(ty, counts), 0, div).expect("well-formed");
    let (text, json) = printed(&event);
    let lines = text.strip_prefix("@m:\n").and_then(|t| t.strip_suffix('\n')).expect("framed");
    let json = json.strip_prefix("{\"type\": \"hist\", \"data\": {\"@m\": [").expect("framed");
    let json = json.strip_suffix("]}}\n").expect("framed");
    (lines.lines().map(str::to_owned).collect(), json.to_owned())
}

#[test]
fn powers_of_two() {
    let ty = Type::Hist { bits: 0 };
    // -1, 0, 5, 5, 1000
    let (lines, json) = print(&ty, &[(0, 1), (1, 1), (4, 2), (11, 1)], 1);
    let expected = [
        format!("(..., 0)               1 {HALF}"),
        format!("[0]                    1 {HALF}"),
        format!("[1]                    0 {NONE}"),
        format!("[2, 4)                 0 {NONE}"),
        format!("[4, 8)                 2 {FULL}"),
        format!("[8, 16)                0 {NONE}"),
    ];
    assert_eq!(lines[..6], expected);
    assert_eq!(lines[11..], [format!("[512, 1K)              1 {HALF}")]);
    let start = r#"{"max": -1, "count": 1},{"min": 0, "max": 0, "count": 1},{"min": 1, "max": 1, "count": 0},{"min": 2, "max": 3, "count": 0},{"min": 4, "max": 7, "count": 2},"#;
    assert!(json.starts_with(start) && json.ends_with(r#"{"min": 512, "max": 1023, "count": 1}"#));
}

#[test]
fn units_and_the_ends_of_the_range() {
    let ty = Type::Hist { bits: 0 };
    let label = |index| print(&ty, &[(index, 2)], 1).0[0].split("  ").next().map(str::to_owned);
    for (index, expected) in
        [(12, "[1K, 2K)"), (21, "[512K, 1M)"), (22, "[1M, 2M)"), (32, "[1G, 2G)")]
    {
        assert_eq!(label(index).as_deref(), Some(expected));
    }
    assert_eq!(label(65).as_deref(), Some("[8E, 16E)"));
    let (lines, json) = print(&ty, &[(64, 2)], 1);
    assert_eq!(lines, [format!("[4E, 8E)               2 {FULL}")]);
    assert_eq!(json, r#"{"min": 4611686018427387904, "max": "9223372036854775807", "count": 2}"#);
    assert_eq!(print(&ty, &[(0, 1)], 1).1, r#"{"max": -1, "count": 1}"#);
}

#[test]
fn split_powers_of_two() {
    let ty = Type::Hist { bits: 2 };
    let (lines, json) = print(&ty, &[(4, 1), (8, 1), (9, 1), (29, 1)], 1);
    let labels: Vec<&str> = lines.iter().map(|line| line[..16].trim_end()).collect();
    let expected = "[3] [4] [5] [6] [7] [8, 10) [10, 12) [12, 14) [14, 16) [16, 20) [20, 24) [24, 28) \
                    [28, 32) [32, 40) [40, 48) [48, 56) [56, 64) [64, 80) [80, 96) [96, 112) \
                    [112, 128) [128, 160) [160, 192) [192, 224) [224, 256) [256, 320)";
    assert_eq!(labels.join(" "), expected);
    assert!(
        json.ends_with(
            r#"{"min": 224, "max": 255, "count": 0},{"min": 256, "max": 319, "count": 1}"#
        )
    );
    let wide = Type::Hist { bits: 5 };
    assert_eq!(print(&wide, &[(61, 1)], 1).0, [format!("[60]                   1 {FULL}")]);
}

#[test]
fn division_can_leave_nothing() {
    let ty = Type::Hist { bits: 0 };
    assert_eq!(print(&ty, &[(4, 1)], 2).0, [format!("[4, 8)                 0 {NONE}")]);
    assert_eq!(print(&ty, &[(4, 3), (5, 1)], 2).0[0], format!("[4, 8)                 1 {FULL}"));
    assert_eq!(print(&ty, &[], 1), (Vec::new(), String::new()));
}

#[test]
fn linear() {
    let ty = Type::Lhist { min: 0, max: 100, step: 10 };
    // -5, 5, 35, 35, 500
    let (lines, json) = print(&ty, &[(0, 1), (1, 1), (4, 2), (11, 1)], 5);
    assert_eq!(lines.len(), 12);
    assert_eq!(lines[0], format!("(..., 0)               1 {HALF}"));
    assert_eq!(lines[1], format!("[0, 10)                1 {HALF}"));
    assert_eq!(lines[4], format!("[30, 40)               2 {FULL}"));
    assert_eq!(lines[11], format!("[100, ...)             1 {HALF}"));
    assert!(json.starts_with(r#"{"max": -1, "count": 1},{"min": 0, "max": 9, "count": 1},"#));
    assert!(json.ends_with(r#"{"min": 90, "max": 99, "count": 0},{"min": 100, "count": 1}"#));
}

#[test]
fn linear_labels() {
    let only = |min, max, step, index| {
        let ty = Type::Lhist { min, max, step };
        let (lines, json) = print(&ty, &[(index, 1)], 1);
        (lines[0][..16].trim_end().to_owned(), json)
    };
    assert_eq!(only(0, 10, 1, 5).0, "[4]");
    let mib = 1 << 20;
    let (label, json) = only(0, 10 * mib, mib, 6);
    assert_eq!(
        (label.as_str(), json.as_str()),
        ("[5M, 6M)", r#"{"min": 5242880, "max": 6291455, "count": 1}"#)
    );
    assert_eq!(only(1024, 4096, 1024, 1).0, "[1K, 2K)");
    assert_eq!(
        only(-2048, 4096, 1024, 1),
        ("[-2K, -1K)".into(), r#"{"min": -2048, "max": -1025, "count": 1}"#.into())
    );
}

#[test]
fn a_last_bucket_beyond_the_maximum_takes_what_is_above() {
    let ty = Type::Lhist { min: 0, max: 10, step: 3 };
    let (lines, json) = print(&ty, &[(1, 1), (4, 1), (5, 1)], 1);
    assert_eq!(lines[0], format!("[0, 3)                 1 {HALF}"));
    assert_eq!(lines[3..], [format!("[9, ...)               2 {FULL}")]);
    assert!(json.ends_with(r#"{"min": 6, "max": 8, "count": 0},{"min": 9, "count": 2}"#));
}

#[test]
fn with_keys_sorted_by_total_and_summed_over_cpus() {
    let ty = Type::Hist { bits: 0 };
    let decoder = decoder(vec![map("@k", I64, ty.clone())], Vec::new());
    let one = || buckets(&ty, &[(3, 1)]);
    let entries = vec![(words(&[2]), vec![one(), one()]), (words(&[1]), vec![one()])];
    let all = printed(&decoder.map(&snapshot(entries.clone()), 0, 0).expect("well-formed"));
    let text = format!(
        "@k[1]:\n[2, 4)                 1 {FULL}\n\n@k[2]:\n[2, 4)                 2 {FULL}\n\n"
    );
    let json = "{\"type\": \"hist\", \"data\": {\"@k\": {\
                \"1\": [{\"min\": 2, \"max\": 3, \"count\": 1}], \
                \"2\": [{\"min\": 2, \"max\": 3, \"count\": 2}]}}}\n";
    assert_eq!(all, (text, json.to_owned()));
    let top = printed(&decoder.map(&snapshot(entries), 1, 0).expect("well-formed"));
    assert!(top.0.starts_with("@k[2]:") && top.1.contains("{\"2\": "));
}

#[test]
fn zeroed_histograms_print_their_name() {
    let ty = Type::Hist { bits: 0 };
    let zeroed = vec![(words(&[1]), vec![buckets(&ty, &[])])];
    let decoder = decoder(vec![map("@hk", I64, ty)], Vec::new());
    let (text, json) = printed(&decoder.map(&snapshot(zeroed), 0, 0).expect("well-formed"));
    assert_eq!(text, "@hk[1]:\n\n");
    assert_eq!(json, "{\"type\": \"hist\", \"data\": {\"@hk\": {\"1\": []}}}\n");
}
