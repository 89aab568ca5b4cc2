//! One JSON object a line.

use std::io::{self, Write};
use std::time::Duration;

use super::{key, text};
use crate::event::{
    Event, HelperError, Losses, Lost, MapContent, MapEvent, MapKind, Outcome, PacketEvent, Verdict,
};
use crate::sink::Sink;
use crate::value::{Bucket, Point, Value};

/// Prints events as JSON on `out`. Errors and warnings that are none of the script's own go to
/// `err`, as text.
#[derive(Debug)]
pub struct JsonSink<O, E = io::Stderr> {
    out: O,
    err: E,
    buffer: Vec<u8>,
}

impl<O: Write> JsonSink<O> {
    /// Errors go to standard error.
    pub fn new(out: O) -> Self {
        Self::with_errors(out, io::stderr())
    }
}

impl<O: Write, E: Write> JsonSink<O, E> {
    /// Errors go to `err`.
    pub fn with_errors(out: O, err: E) -> Self {
        Self { out, err, buffer: Vec::new() }
    }

    /// The writers.
    pub fn into_inner(self) -> (O, E) {
        (self.out, self.err)
    }
}

impl<O: Write, E: Write> Sink for JsonSink<O, E> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.buffer.clear();
        if let Event::Error { .. } | Event::Warning { .. } = event {
            text::write_diagnostic(event, &mut self.buffer);
            return self.err.write_all(&self.buffer);
        }
        write_event(event, &mut self.buffer);
        self.out.write_all(&self.buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.err.flush()
    }
}

fn write_event(event: &Event, out: &mut Vec<u8>) {
    match event {
        Event::Printf(formatted) => data("printf", out, |out| string(&formatted.text(), out)),
        Event::Value(v) | Event::Entry { value: v, .. } => data("value", out, |out| value(v, out)),
        Event::Map(map) => write_map(map, out),
        Event::Time(text) => data("time", out, |out| string(text.as_bytes(), out)),
        Event::Join(bytes) => data("join", out, |out| string(bytes, out)),
        Event::Cat(bytes) => data("cat", out, |out| string(bytes, out)),
        Event::System(bytes) => data("syscall", out, |out| string(bytes, out)),
        Event::Errorf { message, location, warning } => {
            let kind = if *warning { "warnf" } else { "errorf" };
            diagnostic(kind, &message.text(), location, out);
        }
        Event::HelperError(error) => helper_error(error, out),
        Event::AttachedProbes { count } => counted("attached_probes", "probes", *count, None, out),
        Event::Pinned { path } => data("pinned", out, |out| string(path.as_bytes(), out)),
        Event::Lost { what, count, probe } => {
            let (kind, unit) = match what {
                Lost::Events => ("lost_events", "events"),
                Lost::MapUpdates => ("lost_map_updates", "map_updates"),
                Lost::Runs => ("lost_runs", "runs"),
            };
            counted(kind, unit, *count, probe.as_deref(), out);
        }
        Event::Losses(rows) if rows.is_empty() => {}
        Event::Losses(rows) => data("losses", out, |out| list(rows, out, losses)),
        Event::TestResult { name, passed, duration, output } => {
            let members = [
                ("duration".to_owned(), nanoseconds(*duration)),
                ("passed".to_owned(), Value::Bool(*passed)),
                ("output".to_owned(), Value::text(String::from_utf8_lossy(output))),
            ];
            named("test_result", name, &members, out);
        }
        Event::BenchResult { name, average, iterations, .. } => {
            let members = [
                ("average".to_owned(), nanoseconds(*average)),
                ("iters".to_owned(), Value::Uint(*iterations)),
            ];
            named("benchmark_result", name, &members, out);
        }
        Event::Packet(packet) => data("packet", out, |out| structure(&members(packet), out)),
        Event::End
        | Event::Tests { .. }
        | Event::TestsDone { .. }
        | Event::Benches { .. }
        | Event::Error { .. }
        | Event::Warning { .. } => {}
    }
}

/// The members of what became of a packet.
fn members(packet: &PacketEvent) -> Vec<(String, Value)> {
    let mut members =
        vec![("number", Value::Uint(packet.number)), ("probe", Value::text(&*packet.hook))];
    match &packet.outcome {
        Outcome::Decided { verdict, rewritten } => {
            let verdict = match verdict {
                Verdict::Named(name) => Value::text(*name),
                Verdict::Number(number) => Value::Int(*number),
                Verdict::Unasked => Value::Null,
            };
            members.push(("verdict", verdict));
            members.push(("rewritten", Value::Bool(*rewritten)));
        }
        Outcome::Skipped(why) => members.push(("skipped", Value::text(why.as_str()))),
    }
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn nanoseconds(duration: Duration) -> Value {
    Value::Uint(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// `{"type": KIND, "data": {NAME: {...}}}`
fn named(kind: &str, name: &str, members: &[(String, Value)], out: &mut Vec<u8>) {
    data(kind, out, |out| {
        out.push(b'{');
        string(name.as_bytes(), out);
        out.extend_from_slice(b": ");
        structure(members, out);
        out.push(b'}');
    });
}

/// `{"type": KIND, "data": ...}`
fn data(kind: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend(format!("{{\"type\": \"{kind}\", \"data\": ").into_bytes());
    write(out);
    out.extend_from_slice(b"}\n");
}

fn counted(kind: &str, unit: &str, count: u64, probe: Option<&str>, out: &mut Vec<u8>) {
    out.extend(format!("{{\"type\": \"{kind}\", \"count\": {count}, ").into_bytes());
    if let Some(probe) = probe {
        out.extend_from_slice(b"\"probe\": ");
        string(probe.as_bytes(), out);
        out.extend_from_slice(b", ");
    }
    out.extend(format!("\"data\": {{\"{unit}\": {count}}}}}\n").into_bytes());
}

fn losses(row: &Losses, out: &mut Vec<u8>) {
    let member = |name: &str, count| (name.to_owned(), Value::Uint(count));
    let members = [
        ("probe".to_owned(), Value::text(row.probe.as_str())),
        member("events", row.events),
        member("map_updates", row.map_updates),
        member("runs", row.runs),
    ];
    structure(&members, out);
}

fn diagnostic(kind: &str, message: &[u8], location: &str, out: &mut Vec<u8>) {
    out.extend(format!("{{\"type\": \"{kind}\", \"msg\": ").into_bytes());
    string(message, out);
    let (file, line, column) = split_location(location);
    out.extend_from_slice(b", \"filename\": ");
    string(file.as_bytes(), out);
    out.extend(format!(", \"line\": {line}, \"col\": {column}}}\n").into_bytes());
}

fn helper_error(error: &HelperError, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\": \"helper_error\", \"msg\": ");
    string(error.message().as_bytes(), out);
    out.extend_from_slice(b", \"helper\": ");
    string(error.helper.as_bytes(), out);
    let (file, line, column) = split_location(&error.location);
    out.extend(format!(", \"retcode\": {}, \"filename\": ", error.result).into_bytes());
    string(file.as_bytes(), out);
    out.extend(format!(", \"line\": {line}, \"col\": {column}}}\n").into_bytes());
}

/// Takes `file:line:column-column` apart; what is missing is 0.
fn split_location(location: &str) -> (&str, u64, u64) {
    let first = |range: &str| range.split('-').next().and_then(|n| n.parse().ok());
    let mut parts = location.rsplitn(3, ':');
    let (last, middle, file) = (parts.next(), parts.next(), parts.next());
    match (file, middle.and_then(first), last.and_then(first)) {
        (Some(file), Some(line), Some(column)) => (file, line, column),
        _ => (location, 0, 0),
    }
}

fn write_map(map: &MapEvent, out: &mut Vec<u8>) {
    let empty = matches!(&map.content, MapContent::Entries(entries) if entries.is_empty());
    let kind = match map.kind {
        MapKind::Stats => "stats",
        _ if empty => return,
        MapKind::Hist => "hist",
        MapKind::Series => "tseries",
        MapKind::Plain => "map",
    };
    data(kind, out, |out| {
        out.push(b'{');
        string(map.name.as_bytes(), out);
        out.extend_from_slice(b": ");
        match &map.content {
            MapContent::Scalar(v) => value(v, out),
            MapContent::Entries(entries) => {
                object(entries.iter().map(|(k, v)| (key::member(k), v)), out);
            }
        }
        out.push(b'}');
    });
}

/// Appends a value.
pub fn value(v: &Value, out: &mut Vec<u8>) {
    match v {
        Value::Int(n) => integer(i128::from(*n), out),
        Value::Uint(n) | Value::Ptr(n) | Value::Enum { number: n, .. } => {
            integer(i128::from(*n), out);
        }
        Value::Null | Value::Bool(_) => text::value(v, out),
        Value::Buf(bytes) => {
            // As `char` is signed on the machines that bpftrace runs on most.
            list(bytes, out, |byte, out| integer(i128::from(byte.cast_signed()), out));
        }
        Value::Array(elements) | Value::Tuple(elements) => list(elements, out, value),
        Value::Struct(members) => structure(members, out),
        Value::Stats(stats) => structure(&text::stats_members(stats), out),
        Value::Series(series) => {
            let points: Vec<&Point> = series.points.iter().filter(|p| p.value.is_some()).collect();
            list(&points, out, |point, out| series_point(point, out));
        }
        Value::Hist(histogram) => list(&histogram.buckets, out, bucket),
        Value::Str(_)
        | Value::Inet(_)
        | Value::Mac(_)
        | Value::Symbol { .. }
        | Value::Stack(_)
        | Value::Named { .. }
        | Value::Time { .. } => {
            let mut bytes = Vec::new();
            text::value(v, &mut bytes);
            string(&bytes, out);
        }
    }
}

fn list<T>(elements: &[T], out: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for (i, element) in elements.iter().enumerate() {
        if i != 0 {
            out.push(b',');
        }
        write(element, out);
    }
    out.push(b']');
}

fn structure(members: &[(String, Value)], out: &mut Vec<u8>) {
    object(members.iter().map(|(name, v)| (name.as_bytes().to_vec(), v)), out);
}

fn object<'a>(members: impl Iterator<Item = (Vec<u8>, &'a Value)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, (name, v)) in members.enumerate() {
        if i != 0 {
            out.extend_from_slice(b", ");
        }
        string(&name, out);
        out.extend_from_slice(b": ");
        value(v, out);
    }
    out.push(b'}');
}

fn series_point(point: &Point, out: &mut Vec<u8>) {
    let start = format!("{}.{:09}", point.date, point.fraction);
    out.extend(format!("{{\"interval_start\":\"{start}\",\"value\":").into_bytes());
    integer(point.value.unwrap_or_default(), out);
    out.push(b'}');
}

/// Upper bounds are inclusive here, unlike in text.
fn bucket(bucket: &Bucket, out: &mut Vec<u8>) {
    out.push(b'{');
    let bounds = [("min", bucket.low), ("max", bucket.high.map(|high| high - 1))];
    for (name, bound) in bounds {
        if let Some(bound) = bound {
            out.extend(format!("\"{name}\": ").into_bytes());
            integer(bound, out);
            out.extend_from_slice(b", ");
        }
    }
    out.extend(format!("\"count\": {}}}", bucket.count).into_bytes());
}

/// Appends a number, in quotes if a 64-bit floating point number cannot hold it: that is what
/// most readers of JSON make of numbers.
fn integer(n: i128, out: &mut Vec<u8>) {
    // Exact unless more than 53 bits lie between the highest and the lowest that is set.
    let magnitude = n.unsigned_abs();
    let exact = match magnitude {
        0 => true,
        _ => 128 - magnitude.leading_zeros() - magnitude.trailing_zeros() <= 53,
    };
    let text = if exact { n.to_string() } else { format!("\"{n}\"") };
    out.extend(text.into_bytes());
}

/// Appends a string. UTF-8 stays as it is; bytes that are none become U+FFFD.
fn string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0..=0x1f => out.extend(format!("\\u{byte:04x}").into_bytes()),
                _ => out.push(byte),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}
