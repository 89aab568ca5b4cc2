//! Text for people.

use std::io::{self, Write};

use rbtrace_probes_ebpf::types::StackMode;

use super::{key, label, series, trial};
use crate::event::{Event, HelperError, Losses, Lost, MapContent, MapEvent};
use crate::sink::Sink;
use crate::value::{Frame, Histogram, Stack, Stats, Symbol, Value};

/// Width of the bars of a histogram, in characters.
const BAR: usize = 52;

/// Prints events as text: what a script prints on `out`, what went wrong on `err`.
#[derive(Debug)]
pub struct TextSink<O, E = io::Stderr> {
    out: O,
    err: E,
    buffer: Vec<u8>,
}

impl<O: Write> TextSink<O> {
    /// Errors go to standard error.
    pub fn new(out: O) -> Self {
        Self::with_errors(out, io::stderr())
    }
}

impl<O: Write, E: Write> TextSink<O, E> {
    /// Errors go to `err`.
    pub fn with_errors(out: O, err: E) -> Self {
        Self { out, err, buffer: Vec::new() }
    }

    /// The writers.
    pub fn into_inner(self) -> (O, E) {
        (self.out, self.err)
    }
}

impl<O: Write, E: Write> Sink for TextSink<O, E> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.buffer.clear();
        if append(event, &mut self.buffer) {
            return self.out.write_all(&self.buffer);
        }
        // Keeps the two in order where they are one file.
        self.out.flush()?;
        self.err.write_all(&self.buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.err.flush()
    }
}

/// Appends an event. Returns whether it belongs on standard output.
pub(crate) fn append(event: &Event, out: &mut Vec<u8>) -> bool {
    match event {
        Event::Printf(formatted) => out.extend(formatted.text()),
        Event::Value(v) | Event::Entry { value: v, .. } => line(out, |out| value(v, out)),
        Event::Map(map) => write_map(map, out),
        Event::Time(text) => out.extend_from_slice(text.as_bytes()),
        Event::Cat(bytes) => out.extend_from_slice(bytes),
        Event::Join(bytes) | Event::System(bytes) => line(out, |out| out.extend_from_slice(bytes)),
        Event::Tests { .. }
        | Event::TestResult { .. }
        | Event::TestsDone { .. }
        | Event::Benches { .. }
        | Event::BenchResult { .. }
        | Event::Packet(_) => trial::write(event, out),
        Event::Pinned { path } => out.extend(format!("Program pinned to {path}\n").into_bytes()),
        Event::End => out.extend_from_slice(b"\n\n"),
        other => {
            write_diagnostic(other, out);
            return false;
        }
    }
    true
}

/// Appends an event that belongs on standard error.
pub(super) fn write_diagnostic(event: &Event, out: &mut Vec<u8>) {
    match event {
        Event::Errorf { message, location, warning } => {
            let severity = if *warning { "WARNING" } else { "ERROR" };
            located(severity, Some(location), message.text(), out);
        }
        Event::Error { message, location } => {
            located("ERROR", location.as_ref(), message.clone().into_bytes(), out);
        }
        Event::Warning { message, location } => {
            located("WARNING", location.as_ref(), message.clone().into_bytes(), out);
        }
        Event::HelperError(error) => helper_error(error, out),
        Event::AttachedProbes { count } => {
            let plural = if *count == 1 { "" } else { "s" };
            out.extend(format!("Attached {count} probe{plural}\n").into_bytes());
        }
        Event::Lost { what, count, probe } => {
            let what = match what {
                Lost::Events => "events",
                Lost::MapUpdates => "map updates, map full",
                Lost::Runs => "runs",
            };
            let probe = probe.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
            out.extend(format!("Lost {count} {what}{probe}\n").into_bytes());
        }
        Event::Losses(rows) => losses(rows, out),
        _ => {}
    }
}

/// A table, the probes last since their names have any length.
fn losses(rows: &[Losses], out: &mut Vec<u8>) {
    if rows.is_empty() {
        return;
    }
    let header = format!("LOST {:>9} {:>13} {:>9}  PROBE\n", "EVENTS", "MAP UPDATES", "RUNS");
    out.extend(header.into_bytes());
    for row in rows {
        let line = format!(
            "     {:>9} {:>13} {:>9}  {}\n",
            row.events, row.map_updates, row.runs, row.probe
        );
        out.extend(line.into_bytes());
    }
}

/// What failed, where, and the script's line with the place marked.
fn helper_error(error: &HelperError, out: &mut Vec<u8>) {
    located("WARNING", Some(&error.location), error.message().into_bytes(), out);
    let info = format!("Additional Info - helper: {}, retcode: {}\n", error.helper, error.result);
    out.extend(info.into_bytes());
    if !error.source.is_empty() {
        let (first, behind) = error.columns;
        let before = " ".repeat(first.saturating_sub(1) as usize);
        let mark = "~".repeat(behind.saturating_sub(first).max(1) as usize);
        out.extend(format!("{}\n{before}{mark}\n", error.source).into_bytes());
    }
}

/// `location: SEVERITY: message`, with one line feed at the end.
fn located(severity: &str, location: Option<&String>, mut message: Vec<u8>, out: &mut Vec<u8>) {
    if let Some(location) = location {
        out.extend(format!("{location}: ").into_bytes());
    }
    out.extend(format!("{severity}: ").into_bytes());
    if message.last() == Some(&b'\n') {
        message.pop();
    }
    out.append(&mut message);
    out.push(b'\n');
}

fn line(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    write(out);
    out.push(b'\n');
}

fn write_map(map: &MapEvent, out: &mut Vec<u8>) {
    match &map.content {
        MapContent::Scalar(v) => write_entry(map.name.as_bytes(), v, out),
        MapContent::Entries(entries) => {
            for (k, v) in entries {
                let mut name = map.name.clone().into_bytes();
                name.push(b'[');
                name.extend(key::bare(k));
                name.push(b']');
                write_entry(&name, v, out);
            }
        }
    }
}

/// `name: value`; a histogram begins on a line of its own and has an empty one after it.
fn write_entry(name: &[u8], v: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    let separator: &[u8] = match v {
        Value::Hist(_) | Value::Series(_) => b":\n",
        _ => b": ",
    };
    out.extend_from_slice(separator);
    line(out, |out| value(v, out));
}

/// How numbers print.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style {
    /// A sign before signed numbers that are not negative.
    pub plus: bool,
}

/// Appends a value.
pub fn value(v: &Value, out: &mut Vec<u8>) {
    value_with(v, Style::default(), out);
}

/// Appends a value in a style.
pub(crate) fn value_with(v: &Value, style: Style, out: &mut Vec<u8>) {
    match v {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        Value::Int(n) => {
            if style.plus && *n >= 0 {
                out.push(b'+');
            }
            out.extend(n.to_string().into_bytes());
        }
        Value::Uint(n) => out.extend(n.to_string().into_bytes()),
        Value::Str(text) => {
            out.extend_from_slice(&text.bytes);
            out.extend_from_slice(text.trailer.as_deref().unwrap_or_default().as_bytes());
        }
        Value::Buf(bytes) => buffer(bytes, out),
        Value::Ptr(address) => out.extend(format!("{address:#x}").into_bytes()),
        Value::Enum { name: Some(name), .. } | Value::Named { name, .. } => {
            out.extend_from_slice(name.as_bytes());
        }
        Value::Enum { name: None, number } => out.extend(number.to_string().into_bytes()),
        Value::Inet(address) => {
            out.extend(address.map(inet).unwrap_or_default().into_bytes());
        }
        Value::Mac(bytes) => {
            let parts: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            out.extend(parts.join(":").into_bytes());
        }
        Value::Symbol { address, symbol } => {
            let name = symbol.as_ref().map_or_else(|| bare_address(*address), |s| s.name.clone());
            out.extend(name.into_bytes());
        }
        Value::Stack(s) => stack(s, out),
        Value::Time { text, .. } => out.extend_from_slice(text.as_bytes()),
        Value::Array(elements) => list(("[", ",", "]"), elements, style, out),
        Value::Tuple(elements) => list(("(", ", ", ")"), elements, style, out),
        Value::Struct(members) => structure(members, style, out),
        Value::Stats(s) => structure(&stats_members(s), style, out),
        Value::Hist(h) => histogram(h, out),
        Value::Series(s) => series::graph(s, out),
    }
}

fn list(brackets: (&str, &str, &str), elements: &[Value], style: Style, out: &mut Vec<u8>) {
    let (open, separator, close) = brackets;
    out.extend_from_slice(open.as_bytes());
    for (i, element) in elements.iter().enumerate() {
        if i != 0 {
            out.extend_from_slice(separator.as_bytes());
        }
        value_with(element, style, out);
    }
    out.extend_from_slice(close.as_bytes());
}

fn structure(members: &[(String, Value)], style: Style, out: &mut Vec<u8>) {
    if members.is_empty() {
        out.extend_from_slice(b"{}");
        return;
    }
    for (i, (name, v)) in members.iter().enumerate() {
        let before = if i == 0 { "{ ." } else { ", ." };
        out.extend_from_slice(before.as_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b" = ");
        value_with(v, style, out);
    }
    out.extend_from_slice(b" }");
}

/// The result of `stats` as the members that print.
pub(super) fn stats_members(stats: &Stats) -> [(String, Value); 3] {
    let number = |n: i128| match i64::try_from(n) {
        Ok(n) => Value::Int(n),
        Err(_) => Value::Uint(u64::try_from(n).unwrap_or_default()),
    };
    [
        ("count".into(), Value::Uint(stats.count)),
        ("average".into(), number(stats.average)),
        ("total".into(), number(stats.total)),
    ]
}

/// Appends bytes, those that are not printable ASCII as `\x00`.
pub(crate) fn buffer(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            b' '..=b'~' => out.push(*byte),
            _ => out.extend(format!("\\x{byte:02x}").into_bytes()),
        }
    }
}

/// An address without a symbol: as `%p` prints it.
fn bare_address(address: u64) -> String {
    if address == 0 { "0".into() } else { format!("{address:#x}") }
}

/// As inet_ntop(3) has it, which writes IPv4-compatible IPv6 addresses with dots.
pub(super) fn inet(address: std::net::IpAddr) -> String {
    if let std::net::IpAddr::V6(v6) = address
        && let [0, 0, 0, 0, 0, 0, high, _] = v6.segments()
        && high != 0
        && let Some(v4) = v6.to_ipv4()
    {
        return format!("::{v4}");
    }
    address.to_string()
}

fn stack(stack: &Stack, out: &mut Vec<u8>) {
    out.push(b'\n');
    for frame in &stack.frames {
        match frame {
            Frame::Address { address: u64::MAX, .. } => {
                out.extend_from_slice(b"        <unwind failure>\n");
                return;
            }
            Frame::Address { address, symbol } => {
                let text = frame_lines(stack, *address, symbol.as_ref()).join("\n");
                out.extend(text.into_bytes());
            }
            Frame::BuildId { id, offset } => {
                let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
                out.extend(format!("{id} 0x{offset:02x}").into_bytes());
            }
        }
        out.push(b'\n');
    }
}

/// A frame's lines: inlined functions first, as if they had been called.
fn frame_lines(stack: &Stack, address: u64, symbol: Option<&Symbol>) -> Vec<String> {
    let inlined = symbol.map_or(&[][..], |symbol| &symbol.inlined);
    let mut lines = Vec::new();
    match stack.mode {
        StackMode::Bpftrace => {
            let at = |place: &Option<String>| {
                place.as_ref().map(|place| format!("@{place}")).unwrap_or_default()
            };
            for function in inlined {
                lines.push(format!("        [inlined] {}{}", function.name, at(&function.place)));
            }
            let place = symbol.map(|symbol| at(&symbol.place)).unwrap_or_default();
            lines.push(format!("        {}{place}", with_offset(address, symbol)));
        }
        StackMode::Perf => {
            for function in inlined {
                lines.push(format!("\t{address:x} {} (inlined)", function.name));
            }
            let module = symbol.and_then(|symbol| symbol.module.as_deref());
            // What is in no module is the kernel itself.
            let module = if stack.user { Some(module.unwrap_or("[unknown]")) } else { module };
            let module = module.map(|module| format!(" ({module})")).unwrap_or_default();
            lines.push(format!("\t{address:x} {}{module}", with_offset(address, symbol)));
        }
        StackMode::Raw | StackMode::BuildId => lines.push(format!("{address:x}")),
    }
    lines
}

fn with_offset(address: u64, symbol: Option<&Symbol>) -> String {
    match symbol {
        Some(symbol) => format!("{}+{}", symbol.name, symbol.offset),
        None => bare_address(address),
    }
}

fn histogram(histogram: &Histogram, out: &mut Vec<u8>) {
    let largest = histogram.buckets.iter().map(|b| b.count).max().unwrap_or(0);
    for bucket in &histogram.buckets {
        let interval = label::interval(histogram.scale, bucket);
        let bar = "@".repeat(bar_width(bucket.count, largest));
        let text = format!("{interval:<16}{:>8} |{bar:<BAR$}|\n", bucket.count);
        out.extend(text.into_bytes());
    }
}

/// Computed in single precision, as bpftrace does, so that bars end at the same character.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the loss is intended, and the result lies between 0 and BAR"
)]
fn bar_width(count: u64, largest: u64) -> usize {
    if largest == 0 {
        return 0;
    }
    ((count as f32 / largest as f32) * BAR as f32) as usize
}
