//! Tests, benchmarks and packets of captures as text.

use std::time::Duration;

use crate::event::{Event, Outcome, PacketEvent, Verdict};

/// Width of the column of times in a table of benchmarks.
const TIME_WIDTH: usize = 15;
const GREEN: &str = "32";
const RED: &str = "31";

/// Appends an event of a test or benchmark; others are none of this module's.
pub(super) fn write(event: &Event, out: &mut Vec<u8>) {
    match event {
        Event::Tests { count } => {
            line(GREEN, "==========", &format!("Running {count} tests."), out)
        }
        Event::TestResult { name, passed, duration, output } => {
            line(GREEN, " RUN      ", name, out);
            let (value, unit) = rounded(*duration);
            let text = format!("{name} ({value} {unit})");
            if *passed {
                line(GREEN, "       OK ", &text, out);
                return;
            }
            for line in output.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                out.extend_from_slice(line);
                out.push(b'\n');
            }
            line(RED, "  FAILED  ", &text, out);
        }
        Event::TestsDone { count, failed } => summary(*count, failed, out),
        Event::Benches { width } => {
            let header = row("Benchmark", "Time(ns)", "Iterations", *width);
            let rule = "-".repeat(header.len());
            out.extend(format!("{header}\n{rule}\n").into_bytes());
        }
        Event::BenchResult { name, average, iterations, width } => {
            let (average, runs) = (average.as_nanos().to_string(), iterations.to_string());
            out.extend(row(name, &average, &runs, *width).into_bytes());
            out.push(b'\n');
        }
        Event::Packet(packet) => packet_line(packet, out),
        _ => {}
    }
}

/// `packet 3: XDP_TX, rewritten`
fn packet_line(packet: &PacketEvent, out: &mut Vec<u8>) {
    let hook = if packet.among_others { format!(", {}", packet.hook) } else { String::new() };
    let outcome = match &packet.outcome {
        Outcome::Decided { verdict, rewritten } => {
            let rewritten = if *rewritten { ", rewritten" } else { "" };
            match verdict {
                Verdict::Named(name) => format!("{name}{rewritten}"),
                Verdict::Number(number) => format!("{number}{rewritten}"),
                Verdict::Unasked => format!("seen{rewritten}"),
            }
        }
        Outcome::Skipped(why) => format!("skipped, {why}"),
    };
    out.extend(format!("packet {}{hook}: {outcome}\n", packet.number).into_bytes());
}

fn row(name: &str, time: &str, runs: &str, width: usize) -> String {
    format!("{name:<width$} {time:<TIME_WIDTH$}{runs}")
}

fn summary(count: usize, failed: &[String], out: &mut Vec<u8>) {
    let tests = |n: usize| if n == 1 { "test" } else { "tests" };
    line(GREEN, "==========", &format!("{count} {} ran.", tests(count)), out);
    let passed = count.saturating_sub(failed.len());
    line(GREEN, "  PASSED  ", &format!("{passed} {}.", tests(passed)), out);
    if failed.is_empty() {
        return;
    }
    let count = failed.len();
    line(RED, "  FAILED  ", &format!("{count} {}, listed below:", tests(count)), out);
    for name in failed {
        line(RED, "  FAILED  ", name, out);
    }
}

/// `[LABEL] text`, the label in a colour.
fn line(colour: &str, label: &str, text: &str, out: &mut Vec<u8>) {
    out.extend(format!("\x1b[{colour}m[{label}]\x1b[0m {text}\n").into_bytes());
}

/// In the largest unit of which there is a whole one.
fn rounded(duration: Duration) -> (u128, &'static str) {
    match duration.as_nanos() {
        n @ 0..1_000 => (n, "ns"),
        n @ 1_000..1_000_000 => (n / 1_000, "μs"),
        n @ 1_000_000..1_000_000_000 => (n / 1_000_000, "ms"),
        n => (n / 1_000_000_000, "s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(events: &[Event]) -> String {
        let mut out = Vec::new();
        events.iter().for_each(|event| write(event, &mut out));
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn benchmarks_are_a_table() {
        let average = Duration::from_nanos(66);
        let name = "a".to_owned();
        let shown = text(&[
            Event::Benches { width: 40 },
            Event::BenchResult { name, average, iterations: 20000, width: 40 },
        ]);
        assert_eq!(
            shown,
            "Benchmark                                Time(ns)       Iterations\n\
             ------------------------------------------------------------------\n\
             a                                        66             20000\n"
        );
    }

    #[test]
    fn packets_have_their_verdicts() {
        let packet = |among_others, outcome| {
            let hook = "xdp:lo".into();
            Event::Packet(PacketEvent { number: 7, hook, among_others, outcome })
        };
        let decided = |verdict, rewritten| Outcome::Decided { verdict, rewritten };
        let shown = text(&[
            packet(false, decided(Verdict::Named("XDP_DROP"), false)),
            packet(true, decided(Verdict::Named("XDP_TX"), true)),
            packet(false, decided(Verdict::Number(77), false)),
            packet(false, decided(Verdict::Unasked, false)),
            packet(true, Outcome::Skipped("it is short".into())),
        ]);
        assert_eq!(
            shown,
            "packet 7: XDP_DROP\npacket 7, xdp:lo: XDP_TX, rewritten\npacket 7: 77\n\
             packet 7: seen\npacket 7, xdp:lo: skipped, it is short\n"
        );
    }

    #[test]
    fn what_a_failed_test_printed_is_shown() {
        let result = |name: &str, passed| Event::TestResult {
            name: name.to_owned(),
            passed,
            duration: Duration::from_micros(3),
            output: b"\nx\n".to_vec(),
        };
        let done = Event::TestsDone { count: 2, failed: vec!["b".into()] };
        let shown = text(&[Event::Tests { count: 2 }, result("a", true), result("b", false), done]);
        let plain = shown.replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[0m", "");
        assert_eq!(
            plain,
            "[==========] Running 2 tests.\n[ RUN      ] a\n[       OK ] a (3 μs)\n\
             [ RUN      ] b\nx\n[  FAILED  ] b (3 μs)\n[==========] 2 tests ran.\n\
             [  PASSED  ] 1 test.\n[  FAILED  ] 1 test, listed below:\n[  FAILED  ] b\n"
        );
    }
}
