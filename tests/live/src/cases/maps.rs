//! Maps and aggregations, against the same figures computed here.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::ctx::{COMM, Ctx};
use crate::features::Feature::{Root, Tracepoint, Uprobe};
use crate::output::Output;
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("maps/text_output", &[Root], text_output),
    Test::new("maps/json_output", &[Root], json_output),
    Test::new("maps/aggregations", &[Root, Uprobe], aggregations),
    Test::new("maps/aggregations_by_key", &[Root, Uprobe], aggregations_by_key),
    Test::new("maps/hist", &[Root, Uprobe], hist),
    Test::new("maps/lhist", &[Root, Uprobe], lhist),
    Test::new("maps/series", &[Root], series),
    Test::new("maps/every_cpu_counts", &[Root, Uprobe], every_cpu_counts),
    Test::new("maps/several_keys", &[Root, Uprobe], several_keys),
    Test::new("maps/comm_as_key", &[Root, Tracepoint], comm_as_key),
    Test::new("maps/delete_clear_zero", &[Root], delete_clear_zero),
    Test::new("maps/has_key_and_len", &[Root], has_key_and_len),
    Test::new("maps/print_top_and_div", &[Root], print_top_and_div),
    Test::new("maps/sorted_by_value", &[Root], sorted_by_value),
    Test::new("maps/ten_thousand_keys", &[Root, Uprobe], ten_thousand_keys),
    Test::new("maps/full_is_reported", &[Root, Uprobe], full_is_reported),
];

const EVERY_KIND: &str = r#"BEGIN {
    @c = count(); @s = sum(-5); @a = avg(4); @a = avg(-7); @mi = min(-3); @ma = max(9);
    @st = stats(5); @st = stats(-8);
    @h = hist(-2); @h = hist(0); @h = hist(1); @h = hist(5);
    @l = lhist(7, 0, 100, 10); @l = lhist(-7, 0, 100, 10); @l = lhist(700, 0, 100, 10);
    @k[1, "a"] = 3; @t[(1, 2)] = 4; @hh[1] = hist(7); @ss[3] = stats(2); @str["x"] = "y";
    exit(); }"#;

const EVERY_KIND_TEXT: &str = "
@a: -1
@c: 1
@h:
(..., 0)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[0]                    1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[1]                    1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[2, 4)                 0 |                                                    |
[4, 8)                 1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

@hh[1]:
[4, 8)                 1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

@k[1, a]: 3
@l:
(..., 0)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[0, 10)                1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[10, 20)               0 |                                                    |
[20, 30)               0 |                                                    |
[30, 40)               0 |                                                    |
[40, 50)               0 |                                                    |
[50, 60)               0 |                                                    |
[60, 70)               0 |                                                    |
[70, 80)               0 |                                                    |
[80, 90)               0 |                                                    |
[90, 100)              0 |                                                    |
[100, ...)             1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

@ma: 9
@mi: -3
@s: -5
@ss[3]: { .count = 1, .average = 2, .total = 2 }
@st: { .count = 2, .average = -1, .total = -3 }
@str[x]: y
@t[1, 2]: 4
";

fn text_output(ctx: &Ctx) -> Result<()> {
    let out = ctx.script(EVERY_KIND).finish()?.success()?;
    out.same("the text", out.stdout.trim(), EVERY_KIND_TEXT.trim())
}

fn json_output(ctx: &Ctx) -> Result<()> {
    let out = ctx.script(EVERY_KIND).json().finish()?.success()?;
    for line in [
        r#"{"type": "stats", "data": {"@a": -1}}"#,
        r#"{"type": "map", "data": {"@c": 1}}"#,
        r#"{"type": "hist", "data": {"@h": [{"max": -1, "count": 1},{"min": 0, "max": 0, "count": 1},{"min": 1, "max": 1, "count": 1},{"min": 2, "max": 3, "count": 0},{"min": 4, "max": 7, "count": 1}]}}"#,
        r#"{"type": "hist", "data": {"@hh": {"1": [{"min": 4, "max": 7, "count": 1}]}}}"#,
        r#"{"type": "map", "data": {"@k": {"1,a": 3}}}"#,
        r#"{"type": "map", "data": {"@ma": 9}}"#,
        r#"{"type": "map", "data": {"@s": -5}}"#,
        r#"{"type": "stats", "data": {"@ss": {"3": {"count": 1, "average": 2, "total": 2}}}}"#,
        r#"{"type": "stats", "data": {"@st": {"count": 2, "average": -1, "total": -3}}}"#,
        r#"{"type": "map", "data": {"@str": {"x": "y"}}}"#,
        r#"{"type": "map", "data": {"@t": {"1,2": 4}}}"#,
    ] {
        out.has_line(line)?;
    }
    Ok(())
}

/// Numbers of all sizes and both signs, the same in every run.
fn samples(count: usize) -> Vec<i64> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let bits = 1 + state % 40;
        let size = (state >> 8) & ((1 << bits) - 1);
        if state & (1 << 60) == 0 { size as i64 } else { -(size as i64) }
    };
    (0..count).map(|_| next()).chain([0, 1, -1, 2, 4, 1 << 40]).collect()
}

/// Runs `script` while `live_value` is called once for each of `values`.
fn trace_values(ctx: &Ctx, script: &str, values: &[i64]) -> Result<Output> {
    let file = ctx.values(values)?;
    ctx.script(script).json().workload(&format!("values {}", file.display())).finish()?.success()
}

fn aggregations(ctx: &Ctx) -> Result<()> {
    let values = samples(400);
    let script =
        "uprobe:{exe}:live_value { $v = (int64)arg0; @c = count(); @s = sum($v); @a = avg($v);
        @mi = min($v); @ma = max($v); @st = stats($v); @last = $v; @plus += $v; @n++; }";
    let out = trace_values(ctx, script, &values)?;
    let (count, sum) = (values.len() as i64, values.iter().sum::<i64>());
    out.same("@c", out.number("@c")?, count)?;
    out.same("@s", out.number("@s")?, sum)?;
    out.same("@a", out.number("@a")?, sum / count)?;
    out.same("@mi", Some(out.number("@mi")?), values.iter().min().copied())?;
    out.same("@ma", Some(out.number("@ma")?), values.iter().max().copied())?;
    out.same("@last", Some(out.number("@last")?), values.last().copied())?;
    out.same("@plus", out.number("@plus")?, sum)?;
    out.same("@n", out.number("@n")?, count)?;
    for (field, expected) in [("count", count), ("average", sum / count), ("total", sum)] {
        out.same(field, out.number_at("@st", field)?, expected)?;
    }
    Ok(())
}

fn aggregations_by_key(ctx: &Ctx) -> Result<()> {
    let values: Vec<i64> = (1..=300).map(|n| n * n).collect();
    let script = "uprobe:{exe}:live_value { $k = arg0 % 7; @c[$k] = count(); @s[$k] = sum(arg0); @a[$k] = avg(arg0);
        @mi[$k] = min(arg0); @ma[$k] = max(arg0); @st[$k] = stats(arg0); }";
    let out = trace_values(ctx, script, &values)?;
    for key in 0..7 {
        let group: Vec<i64> = values.iter().copied().filter(|value| value % 7 == key).collect();
        let key = key.to_string();
        if group.is_empty() {
            out.check(out.number_at("@c", &key).is_err(), format_args!("@c has a key {key}"))?;
            continue;
        }
        let (count, sum) = (group.len() as i64, group.iter().sum::<i64>());
        out.same("@c", out.number_at("@c", &key)?, count)?;
        out.same("@s", out.number_at("@s", &key)?, sum)?;
        out.same("@a", out.number_at("@a", &key)?, sum / count)?;
        out.same("@mi", Some(out.number_at("@mi", &key)?), group.iter().min().copied())?;
        out.same("@ma", Some(out.number_at("@ma", &key)?), group.iter().max().copied())?;
        out.same("@st", out.map("@st")?[&key]["total"].as_i64(), Some(sum))?;
    }
    Ok(())
}

/// The ends of a bucket, both within it; an open end is None. And its count.
type Bucket = (Option<i64>, Option<i64>, u64);

/// A histogram's buckets, empty ones left out.
fn buckets(histogram: &Value) -> Result<Vec<Bucket>> {
    let list = histogram.as_array().context("a list of buckets")?;
    let bucket = |one: &Value| {
        (one["min"].as_i64(), one["max"].as_i64(), one["count"].as_u64().unwrap_or(0))
    };
    Ok(list.iter().map(bucket).filter(|(_, _, count)| *count > 0).collect())
}

/// Counts `values` by the bucket that `place` gives them, in ascending order.
fn count_by(values: &[i64], place: impl Fn(i64) -> (Option<i64>, Option<i64>)) -> Vec<Bucket> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let mut counted: Vec<Bucket> = Vec::new();
    for value in sorted {
        let (min, max) = place(value);
        match counted.last_mut() {
            Some(last) if (last.0, last.1) == (min, max) => last.2 += 1,
            _ => counted.push((min, max, 1)),
        }
    }
    counted
}

fn hist(ctx: &Ctx) -> Result<()> {
    let values = samples(600);
    let out = trace_values(ctx, "uprobe:{exe}:live_value { @ = hist((int64)arg0); }", &values)?;
    let expected = count_by(&values, |value| match value {
        ..0 => (None, Some(-1)),
        0 => (Some(0), Some(0)),
        _ => {
            let power = value.ilog2();
            (Some(1 << power), Some((2 << power) - 1))
        }
    });
    out.same("the histogram", buckets(&out.map("@")?)?, expected)
}

fn lhist(ctx: &Ctx) -> Result<()> {
    let values: Vec<i64> = samples(300).into_iter().map(|value| value % 300).collect();
    let out = trace_values(
        ctx,
        "uprobe:{exe}:live_value { @ = lhist((int64)arg0, 0, 200, 20); }",
        &values,
    )?;
    let expected = count_by(&values, |value| match value {
        ..0 => (None, Some(-1)),
        0..200 => (Some(value / 20 * 20), Some(value / 20 * 20 + 19)),
        _ => (Some(200), None),
    });
    out.same("the histogram", buckets(&out.map("@")?)?, expected)
}

/// Intervals begin at whole multiples of their length, on the clock on the wall too.
fn series(ctx: &Ctx) -> Result<()> {
    let script = "config = { unstable_tseries=enable } BEGIN { @ = tseries(7, 100ms, 3); exit(); }";
    let out = ctx.script(script).json().finish()?.success()?;
    let points = out.map("@")?;
    let [point] = &points.as_array().context("a series")?[..] else {
        return Err(out.failure("one point is not all there is"));
    };
    out.same("the value", point["value"].as_i64(), Some(7))?;
    let start = point["interval_start"].as_str().context("a start")?;
    out.check(start.ends_with("00000000"), format_args!("an interval that begins at {start}"))
}

fn every_cpu_counts(ctx: &Ctx) -> Result<()> {
    let calls = ctx.scaled(4000);
    let script = "uprobe:{exe}:live_value { @c = count(); @s = sum(arg0 + 1); @a = avg(arg0); @h = hist(arg0);
        @by[cpu] = count(); }";
    let out =
        ctx.script(script).json().workload(&format!("threads 4 {calls}")).finish()?.success()?;
    let total = (4 * calls) as i64;
    out.same("@c", out.number("@c")?, total)?;
    out.same("@s", out.number("@s")?, 2 * total)?;
    out.same("@a", out.number("@a")?, 1)?;
    out.same("@h", buckets(&out.map("@h")?)?, vec![(Some(1), Some(1), total as u64)])?;
    let by_cpu = out.map("@by")?;
    let by_cpu = by_cpu.as_object().context("a map by CPU")?;
    let cpus = std::thread::available_parallelism()?.get().min(4);
    out.same("CPUs that counted", by_cpu.len(), cpus)?;
    out.same("@by", by_cpu.values().filter_map(Value::as_i64).sum(), total)
}

fn several_keys(ctx: &Ctx) -> Result<()> {
    let values: Vec<i64> = (0..60).collect();
    let script = r#"uprobe:{exe}:live_value { @[arg0 % 2, comm, arg0 % 3 == 0 ? "three" : "other"] = count();
        @t[(arg0 % 2, "x"), pid == tid] = sum(arg0); }"#;
    let out = trace_values(ctx, script, &values)?;
    for (parity, word) in [(0, "three"), (0, "other"), (1, "three"), (1, "other")] {
        let matching =
            values.iter().filter(|v| **v % 2 == parity && (**v % 3 == 0) == (word == "three"));
        let key = format!("{parity},rbt-workload,{word}");
        out.same(&key, out.number_at("@", &key)?, matching.count() as i64)?;
    }
    let total: i64 =
        out.map("@t")?.as_object().context("@t")?.values().filter_map(Value::as_i64).sum();
    out.same("@t", total, values.iter().sum())
}

fn comm_as_key(ctx: &Ctx) -> Result<()> {
    // Many calls, for the kernel leaves different things where the name is put.
    let script = "tracepoint:syscalls:sys_enter_getpgid { @[comm] = count(); }";
    let out = ctx.script(script).json().workload("syscalls 20000").finish()?.success()?;
    out.same("calls", out.number_at("@", COMM)?, 20_000)
}

fn delete_clear_zero(ctx: &Ctx) -> Result<()> {
    let script = r#"BEGIN { @d[1] = 10; @d[2] = 20; delete(@d, 1); @c[1] = 1; @c[2] = 2; clear(@c);
        @z[1] = 5; @z[2] = 6; zero(@z); @n[3] = count(); zero(@n); @one = 9; delete(@one); exit(); }"#;
    let out = ctx.script(script).json().finish()?.success()?;
    out.same("@d", out.map("@d")?.to_string(), r#"{"2":20}"#.to_owned())?;
    out.same("@z[1]", out.number_at("@z", "1")?, 0)?;
    out.same("@z[2]", out.number_at("@z", "2")?, 0)?;
    out.same("@n[3]", out.number_at("@n", "3")?, 0)?;
    let cleared = out.map("@c").map_or(0, |map| map.as_object().map_or(0, serde_json::Map::len));
    out.same("keys of @c", cleared, 0)
}

fn has_key_and_len(ctx: &Ctx) -> Result<()> {
    let script = r#"BEGIN { @a[1, "x"] = 1; @a[2, "y"] = 1; printf("%d %d %d\n", has_key(@a, (1, "x")),
        has_key(@a, (1, "y")), len(@a)); clear(@a); exit(); }"#;
    ctx.script(script).finish()?.success()?.lines_are(&["1 0 2"])
}

fn print_top_and_div(ctx: &Ctx) -> Result<()> {
    let script = "BEGIN { @a[1] = 1000; @a[2] = 5000; @a[3] = 3000; print(@a, 2, 1000); clear(@a);
        print(7); print((1, \"x\")); exit(); }";
    ctx.script(script).finish()?.success()?.lines_are(&["@a[3]: 3", "@a[2]: 5", "7", "(1, x)"])
}

fn sorted_by_value(ctx: &Ctx) -> Result<()> {
    let script = "BEGIN { @a[1] = 30; @a[2] = 10; @a[3] = -20; @a[4] = 20; exit(); }";
    ctx.script(script).finish()?.success()?.lines_are(&[
        "@a[3]: -20",
        "@a[2]: 10",
        "@a[4]: 20",
        "@a[1]: 30",
    ])
}

fn ten_thousand_keys(ctx: &Ctx) -> Result<()> {
    let values: Vec<i64> = (0..10_000).collect();
    let script =
        "config = { max_map_keys = 10000 } uprobe:{exe}:live_value { @[arg0] = sum(arg0 + 1); }";
    let out = trace_values(ctx, script, &values)?;
    let map = out.map("@")?;
    out.same("keys", map.as_object().map(serde_json::Map::len), Some(values.len()))?;
    for value in values {
        out.same("a value", map[value.to_string()].as_i64(), Some(value + 1))?;
    }
    Ok(())
}

fn full_is_reported(ctx: &Ctx) -> Result<()> {
    let values: Vec<i64> = (0..150).collect();
    let script = "config = { max_map_keys = 100 } uprobe:{exe}:live_value { @[arg0] = 1; }";
    let out = trace_values(ctx, script, &values)?;
    out.same("keys", out.map("@")?.as_object().map(serde_json::Map::len), Some(100))?;
    out.complains("full")?;
    let numbers = out.stderr.split(|c: char| !c.is_ascii_digit());
    out.check(
        numbers.into_iter().any(|number| number == "50"),
        "that 50 updates failed is not said",
    )
}
