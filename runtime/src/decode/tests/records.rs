use rbtrace_probes_ebpf::plan::Action;
use rbtrace_probes_ebpf::types::Type;

use super::fixture::{I64, decoder, field, int, map, padded, printed, string, words};
use crate::decode::DecodeError;
use crate::event::Event;
use crate::request::Request;
use crate::value::Value;

/// A record of action 0 with these arguments.
fn record(args: &[u8]) -> Vec<u8> {
    [&[0; 8], args].concat()
}

fn decode(action: Action, args: &[u8]) -> Result<Request, DecodeError> {
    let maps = vec![map("@c", I64, Type::Count), map("@x", I64, I64)];
    decoder(maps, vec![action]).record(&record(args))
}

fn output(action: Action, args: &[u8]) -> (Event, String, String) {
    match decode(action, args) {
        Ok(Request::Output(event)) => {
            let (text, json) = printed(&event);
            (event, text, json)
        }
        other => panic!("not output: {other:?}"),
    }
}

#[test]
fn failed_helpers() {
    let action = Action::HelperError {
        helper: "probe_read_user".into(),
        location: "stdin:1:3-5".into(),
        source: "a bb c".into(),
        columns: (3, 5),
        result: field(8, I64),
    };
    let (_, text, json) = output(action, &words(&[-14]));
    let expected = "stdin:1:3-5: WARNING: Bad address\n\
                    Additional Info - helper: probe_read_user, retcode: -14\n\
                    a bb c\n  ~~\n";
    assert_eq!(text, expected);
    let expected = "{\"type\": \"helper_error\", \"msg\": \"Bad address\", \
                    \"helper\": \"probe_read_user\", \"retcode\": -14, \
                    \"filename\": \"stdin\", \"line\": 1, \"col\": 3}\n";
    assert_eq!(json, expected);
}

#[test]
fn printf() {
    let action = Action::Printf {
        format: "%s é %d\n".into(),
        args: vec![field(8, string(8)), field(16, int(4, true))],
    };
    let args = [padded("bash", 8), (-5i32).to_ne_bytes().to_vec()].concat();
    let (event, text, json) = output(action, &args);
    assert_eq!(text, "bash é -5\n");
    assert_eq!(json, "{\"type\": \"printf\", \"data\": \"bash é -5\\n\"}\n");
    let Event::Printf(formatted) = event else { panic!("not a printf") };
    assert_eq!(formatted.args, [Value::text("bash"), Value::Int(-5)]);
}

#[test]
fn errorf_and_warnf() {
    let action = |warning| Action::Errorf {
        format: "bad %d\n\n".into(),
        args: vec![field(8, I64)],
        location: "stdin:1:9-30".into(),
        warning,
    };
    let (_, text, json) = output(action(false), &words(&[3]));
    assert_eq!(text, "stdin:1:9-30: ERROR: bad 3\n\n");
    let expected =
        r#"{"type": "errorf", "msg": "bad 3\n\n", "filename": "stdin", "line": 1, "col": 9}"#;
    assert_eq!(json, format!("{expected}\n"));
    let (_, text, json) = output(action(true), &words(&[3]));
    assert_eq!(text, "stdin:1:9-30: WARNING: bad 3\n\n");
    assert!(json.starts_with("{\"type\": \"warnf\", "));
}

#[test]
fn time_and_join() {
    let (_, text, json) = output(Action::Time { format: "%H:%M:%S %f\n".into() }, &[]);
    assert_eq!(text, "22:31:14 %f\n");
    assert_eq!(json, "{\"type\": \"time\", \"data\": \"22:31:14 %f\\n\"}\n");
    let join = Action::Join {
        separator: " ".into(),
        args: (0..4).map(|i| field(8 + 4 * i, string(4))).collect(),
    };
    let (_, text, json) = output(join.clone(), b"ls\0\0-l\0\0\0\0\0\0old\0");
    assert_eq!(
        (text.as_str(), json.as_str()),
        ("ls -l\n", "{\"type\": \"join\", \"data\": \"ls -l\"}\n")
    );
    assert_eq!(output(join, &[0; 16]).1, "\n");
}

#[test]
fn print_value_and_entries() {
    let (_, text, _) = output(Action::PrintValue { value: field(8, I64) }, &words(&[5]));
    assert_eq!(text, "5\n");
    let entry = |map, value| Action::PrintEntry { map, key: field(8, I64), value, div: 2 };
    let (event, text, json) = output(entry(1, Some(field(16, I64))), &words(&[1, -7]));
    assert_eq!((text.as_str(), json.as_str()), ("-3\n", "{\"type\": \"value\", \"data\": -3}\n"));
    let (key, value) = (Value::Int(1), Value::Int(-3));
    assert_eq!(event, Event::Entry { map: "@x".into(), key, value });
    let request = Request::PrintEntry { map: 0, key: words(&[1]), div: 2 };
    assert_eq!(decode(entry(0, None), &words(&[1])), Ok(request));
}

#[test]
fn requests() {
    let map = Action::PrintMap { map: 1, top: 3, div: 4 };
    assert_eq!(decode(map, &[]), Ok(Request::PrintMap { map: 1, top: 3, div: 4 }));
    assert_eq!(decode(Action::Clear { map: 1 }, &[]), Ok(Request::Clear { map: 1 }));
    assert_eq!(decode(Action::Zero { map: 1 }, &[]), Ok(Request::Zero { map: 1 }));
    assert_eq!(decode(Action::Exit { code: None }, &[]), Ok(Request::Exit { code: 0 }));
    let exit = Action::Exit { code: Some(field(8, I64)) };
    assert_eq!(decode(exit, &words(&[-2])), Ok(Request::Exit { code: -2 }));
    let system = Action::System { format: "ls %s".into(), args: vec![field(8, string(4))] };
    assert_eq!(decode(system, b"/\0\0\0"), Ok(Request::System { command: b"ls /".into() }));
    let cat = Action::Cat { format: "/proc/%d/stat".into(), args: vec![field(8, I64)] };
    let request = Request::Cat { path: b"/proc/7/stat".into(), max_bytes: 10240 };
    assert_eq!(decode(cat, &words(&[7])), Ok(request));
}

#[test]
fn malformed_records_are_errors() {
    let print = || Action::PrintValue { value: field(8, I64) };
    assert_eq!(decode(print(), &[1]), Err(DecodeError::Short { need: 16, have: 9 }));
    let decoder = decoder(Vec::new(), vec![print()]);
    assert_eq!(decoder.record(&[]), Err(DecodeError::Short { need: 4, have: 0 }));
    let wild = 9u64.to_le_bytes();
    assert!(matches!(decoder.record(&wild), Err(DecodeError::UnknownAction(_))));
    let broken = Action::Printf { format: "%f".into(), args: Vec::new() };
    assert!(matches!(decode(broken, &[]), Err(DecodeError::Format(_))));
    let entry =
        Action::PrintEntry { map: 9, key: field(8, I64), value: Some(field(8, I64)), div: 0 };
    assert_eq!(decode(entry, &words(&[1])), Err(DecodeError::UnknownMap(9)));
}
