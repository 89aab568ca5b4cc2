//! Events that come from the session, not from records.

use crate::event::{Event, Losses, Lost, Outcome, PacketEvent, Verdict};
use crate::sink::{JsonSink, Sink, TextSink};

fn text(event: &Event) -> (Vec<u8>, Vec<u8>) {
    let mut sink = TextSink::with_errors(Vec::new(), Vec::new());
    sink.event(event).expect("a Vec takes everything");
    sink.into_inner()
}

fn json(event: &Event) -> String {
    let mut sink = JsonSink::with_errors(Vec::new(), Vec::new());
    sink.event(event).expect("a Vec takes everything");
    let (out, err) = sink.into_inner();
    assert_eq!(err.is_empty(), !matches!(event, Event::Error { .. } | Event::Warning { .. }));
    String::from_utf8(out).expect("JSON is UTF-8")
}

#[track_caller]
fn on_standard_error(event: &Event, expected: &str) {
    let (out, err) = text(event);
    assert_eq!((out.as_slice(), String::from_utf8_lossy(&err).as_ref()), (&[][..], expected));
}

#[test]
fn attached_probes() {
    on_standard_error(&Event::AttachedProbes { count: 1 }, "Attached 1 probe\n");
    on_standard_error(&Event::AttachedProbes { count: 2 }, "Attached 2 probes\n");
    let expected = "{\"type\": \"attached_probes\", \"count\": 1, \"data\": {\"probes\": 1}}\n";
    assert_eq!(json(&Event::AttachedProbes { count: 1 }), expected);
}

#[test]
fn pins() {
    let event = Event::Pinned { path: "/sys/fs/bpf/tasks".into() };
    let (out, err) = text(&event);
    assert_eq!(
        (out.as_slice(), err.as_slice()),
        (&b"Program pinned to /sys/fs/bpf/tasks\n"[..], &[][..])
    );
    assert_eq!(json(&event), "{\"type\": \"pinned\", \"data\": \"/sys/fs/bpf/tasks\"}\n");
}

#[test]
fn packets() {
    let json_of = |outcome| {
        let hook = "xdp:lo".into();
        json(&Event::Packet(PacketEvent { number: 3, hook, among_others: false, outcome }))
    };
    let decided = |verdict| json_of(Outcome::Decided { verdict, rewritten: true });
    let rest = "\"rewritten\": true}}\n";
    let start = "{\"type\": \"packet\", \"data\": {\"number\": 3, \"probe\": \"xdp:lo\", ";
    let named = decided(Verdict::Named("XDP_TX"));
    assert_eq!(named, format!("{start}\"verdict\": \"XDP_TX\", {rest}"));
    assert_eq!(decided(Verdict::Number(-2)), format!("{start}\"verdict\": -2, {rest}"));
    assert_eq!(decided(Verdict::Unasked), format!("{start}\"verdict\": null, {rest}"));
    let skipped = json_of(Outcome::Skipped("short".into()));
    assert_eq!(skipped, format!("{start}\"skipped\": \"short\"}}}}\n"));
}

#[test]
fn losses() {
    let lost =
        |what, probe: Option<&str>| Event::Lost { what, count: 5, probe: probe.map(Into::into) };
    on_standard_error(&lost(Lost::Events, None), "Lost 5 events\n");
    on_standard_error(
        &lost(Lost::MapUpdates, Some("kprobe:f")),
        "Lost 5 map updates, map full (kprobe:f)\n",
    );
    let expected = "{\"type\": \"lost_events\", \"count\": 5, \"data\": {\"events\": 5}}\n";
    assert_eq!(json(&lost(Lost::Events, None)), expected);
}

#[test]
fn table_of_losses() {
    let row = Losses { probe: "kprobe:f".into(), events: 5, map_updates: 0, runs: 12 };
    on_standard_error(
        &Event::Losses(vec![row.clone()]),
        "LOST    EVENTS   MAP UPDATES      RUNS  PROBE\n             5             0        12  kprobe:f\n",
    );
    let expected = r#"{"type": "losses", "data": [{"probe": "kprobe:f", "events": 5, "map_updates": 0, "runs": 12}]}"#;
    assert_eq!(json(&Event::Losses(vec![row])), format!("{expected}\n"));
    on_standard_error(&Event::Losses(Vec::new()), "");
    assert_eq!(json(&Event::Losses(Vec::new())), "");
}

#[test]
fn errors_and_the_end() {
    let message = "cannot open\n".to_owned();
    let error = Event::Error { message, location: Some("a.rt:3:1-4".into()) };
    on_standard_error(&error, "a.rt:3:1-4: ERROR: cannot open\n");
    let warning = Event::Warning { message: "slow".into(), location: None };
    on_standard_error(&warning, "WARNING: slow\n");
    assert_eq!(json(&warning), "");
    assert_eq!(text(&Event::End).0, b"\n\n");
    assert_eq!(json(&Event::End), "");
}

#[test]
fn output_of_commands_and_files() {
    let system = Event::System(b"a\nb\n".to_vec());
    assert_eq!(text(&system).0, b"a\nb\n\n");
    assert_eq!(json(&system), "{\"type\": \"syscall\", \"data\": \"a\\nb\\n\"}\n");
    let cat = Event::Cat(b"x".to_vec());
    assert_eq!(text(&cat).0, b"x");
    assert_eq!(json(&cat), "{\"type\": \"cat\", \"data\": \"x\"}\n");
}
