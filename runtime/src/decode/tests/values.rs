use rbtrace_probes_ebpf::types::{
    Clock, Field, Record, RecordKind, Stack, StackMode, Type, lay_out,
};

use super::fixture::{I64, U64, decoder, int, padded, printed, string, tuple, words};
use crate::decode::DecodeError;
use crate::decode::typed::Typed;
use crate::event::Event;
use crate::value::Value;

fn decode(ty: &Type, bytes: &[u8]) -> Value {
    let decoder = decoder(Vec::new(), Vec::new());
    Typed::new(&decoder, 1).value(ty, bytes).expect("enough bytes")
}

/// What `print` of the value prints in text and as the `data` of JSON.
#[track_caller]
fn shows(ty: &Type, bytes: &[u8], text: &str, json: &str) {
    let (out, data) = printed(&Event::Value(decode(ty, bytes)));
    assert_eq!(out, format!("{text}\n"));
    assert_eq!(data, format!("{{\"type\": \"value\", \"data\": {json}}}\n"));
}

#[test]
fn integers() {
    shows(&I64, &words(&[-1]), "-1", "-1");
    shows(&int(1, false), &[200], "200", "200");
    shows(&int(1, true), &[253], "-3", "-3");
    shows(&int(2, true), &(-2i16).to_ne_bytes(), "-2", "-2");
    shows(&int(4, false), &u32::MAX.to_ne_bytes(), "4294967295", "4294967295");
    shows(&Type::Bool, &[1], "true", "true");
}

#[test]
fn json_quotes_integers_that_a_double_cannot_hold() {
    let max = "18446744073709551615";
    shows(&U64, &words(&[-1]), max, &format!("\"{max}\""));
    shows(&U64, &words(&[9_007_199_254_740_993]), "9007199254740993", "\"9007199254740993\"");
    shows(&I64, &words(&[-9_007_199_254_740_993]), "-9007199254740993", "\"-9007199254740993\"");
    shows(&U64, &words(&[i64::MIN]), "9223372036854775808", "9223372036854775808");
    shows(&I64, &words(&[i64::MIN]), "-9223372036854775808", "-9223372036854775808");
}

#[test]
fn text_in_any_encoding() {
    shows(&string(8), &padded("a\"\\\n\t", 8), "a\"\\\n\t", r#""a\"\\\n\t""#);
    shows(&string(8), &padded("héé\x01", 8), "héé\x01", r#""héé\u0001""#);
    shows(&string(4), &[b'a', 0xff, b'b', 0], "a\u{fffd}b", "\"a\u{fffd}b\"");
    shows(&string(4), &padded("", 4), "", "\"\"");
    shows(&string(4), b"abcd", "abcd..", "\"abcd..\"");
}

#[test]
fn buffers_and_pointers() {
    let ty = Type::Buf { size: 8 };
    let mut bytes = 6u32.to_ne_bytes().to_vec();
    bytes.extend_from_slice(b"a b\x01\xff\"zz");
    shows(&ty, &bytes, r#"a b\x01\xff""#, "[97,32,98,1,-1,34]");
    shows(&Type::Ptr, &words(&[0x1234]), "0x1234", "4660");
    shows(&Type::Ptr, &words(&[0]), "0x0", "0");
}

#[test]
fn tuples_and_arrays() {
    let ty = tuple([I64, string(4), int(1, true)]);
    let mut bytes = words(&[1]);
    bytes.extend_from_slice(b"a\0\0\0\xfd\0\0\0");
    shows(&ty, &bytes, "(1, a, -3)", r#"[1,"a",-3]"#);
    let nested = tuple([I64, tuple([I64, string(2)])]);
    let mut bytes = words(&[1, 2]);
    bytes.extend_from_slice(b"x\0\0\0\0\0\0\0");
    shows(&nested, &bytes, "(1, (2, x))", r#"[1,[2,"x"]]"#);
    let array = Type::Array { elem: Box::new(int(2, false)), len: 3 };
    shows(&array, &[0; 6], "[0,0,0]", "[0,0,0]");
    shows(&tuple([I64]), &words(&[1]), "(1)", "[1]");
}

fn structure() -> Type {
    let array = Type::Array { elem: Box::new(int(2, false)), len: 3 };
    let named = |name: &str, ty| (name.to_owned(), ty);
    let (mut fields, size) = lay_out([
        named("x", int(4, true)),
        named("y", int(1, true)),
        named("a", array),
        named("s", string(4)),
        named("b", int(4, true)),
    ]);
    let shared = |name: &str, ty, bits| Field { name: name.into(), offset: 16, ty, bits };
    fields.truncate(4);
    fields.push(shared("b", int(4, true), Some((0, 3))));
    fields.push(shared("c", int(4, false), Some((3, 5))));
    Type::Record(Record { kind: RecordKind::Struct, name: "P".into(), size, fields })
}

#[test]
fn structs_with_bitfields() {
    let mut bytes = vec![0; 20];
    shows(
        &structure(),
        &bytes,
        "{ .x = 0, .y = 0, .a = [0,0,0], .s = , .b = 0, .c = 0 }",
        r#"{"x": 0, "y": 0, "a": [0,0,0], "s": "", "b": 0, "c": 0}"#,
    );
    bytes[16..20].copy_from_slice(&0x8fu32.to_ne_bytes());
    let Value::Struct(members) = decode(&structure(), &bytes) else { panic!("not a struct") };
    assert_eq!(members[4], ("b".into(), Value::Int(-1)));
    assert_eq!(members[5], ("c".into(), Value::Uint(17)));
}

#[test]
fn enums() {
    let variants = vec![(1, "A".to_owned()), (-2, "B".to_owned())];
    let ty = Type::Enum { name: "E".into(), size: 4, signed: true, variants };
    shows(&ty, &1u32.to_ne_bytes(), "A", "1");
    shows(&ty, &(-2i32).to_ne_bytes(), "B", "4294967294");
    shows(&ty, &9u32.to_ne_bytes(), "9", "9");
}

#[test]
fn addresses() {
    let inet = |family: u32, bytes: [u8; 16]| [&family.to_ne_bytes()[..], &bytes].concat();
    let mut v4 = [0; 16];
    v4[..4].copy_from_slice(&[127, 0, 0, 1]);
    shows(&Type::Inet, &inet(2, v4), "127.0.0.1", "\"127.0.0.1\"");
    let v6 =
        |text: &str| inet(10, text.parse::<std::net::Ipv6Addr>().expect("an address").octets());
    for text in ["::1", "::", "2001:db8::1:0:0:1", "::ffff:1.2.3.4", "::1.2.3.4"] {
        shows(&Type::Inet, &v6(text), text, &format!("\"{text}\""));
    }
    shows(&Type::Inet, &inet(1, v4), "", "\"\"");
    let mac = [0xaa, 0xbb, 0xcc, 1, 2, 0xff];
    shows(&Type::Mac, &mac, "AA:BB:CC:01:02:FF", "\"AA:BB:CC:01:02:FF\"");
}

#[test]
fn names() {
    shows(&Type::KSym, &words(&[0x1010]), "vfs_read", "\"vfs_read\"");
    shows(&Type::KSym, &words(&[0]), "0", "\"0\"");
    shows(&Type::KSym, &words(&[0x10]), "0x10", "\"0x10\"");
    let user = [words(&[0x1010]), [7u32.to_ne_bytes(), 0u32.to_ne_bytes()].concat()].concat();
    shows(&Type::USym, &user, "syscall", "\"syscall\"");
    shows(&Type::Username, &words(&[0]), "root", "\"root\"");
    shows(&Type::Username, &words(&[4242]), "", "\"\"");
    shows(&Type::Probe, &words(&[1]), "kprobe:vfs_read", "\"kprobe:vfs_read\"");
    shows(&Type::Func, &words(&[1]), "vfs_read", "\"vfs_read\"");
    let cgroup = Type::CgroupPath { filter: String::new() };
    shows(
        &cgroup,
        &words(&[1]),
        "unified:/user.slice,memory:/",
        "\"unified:/user.slice,memory:/\"",
    );
}

#[test]
fn stacks() {
    let stack = |mode, limit| Stack { mode, limit, map: 0 };
    let bytes =
        |id: i64| [words(&[id]), [7u32.to_ne_bytes(), 0u32.to_ne_bytes()].concat()].concat();
    let kernel = Type::KStack(stack(StackMode::Bpftrace, 2));
    let json = r#""\n        vfs_read+16\n        0x99\n""#;
    shows(&kernel, &bytes(1), "\n        vfs_read+16\n        0x99\n", json);
    let perf = Type::UStack(stack(StackMode::Perf, 9));
    let frame =
        |address| format!("\t{address} inner (inlined)\n\t{address} syscall+25 (/lib/libc.so.6)\n");
    let expected = format!("\n{}\t99 0x99 ([unknown])\n{}", frame("1010"), frame("1020"));
    assert_eq!(printed(&Event::Value(decode(&perf, &bytes(1)))).0, format!("{expected}\n"));
    let user = Type::UStack(stack(StackMode::Bpftrace, 1));
    let lines = "\n        [inlined] inner@/src/x.h:9\n        syscall+25@/src/x.c:3\n";
    assert_eq!(printed(&Event::Value(decode(&user, &bytes(1)))).0, format!("{lines}\n"));
    let perf = Type::KStack(stack(StackMode::Perf, 1));
    shows(&perf, &bytes(1), "\n\t1010 vfs_read+16\n", r#""\n\t1010 vfs_read+16\n""#);
    let raw = Type::KStack(stack(StackMode::Raw, 9));
    shows(&raw, &bytes(1), "\n1010\n99\n1020\n", r#""\n1010\n99\n1020\n""#);
    let id = Type::UStack(stack(StackMode::BuildId, 9));
    let line = format!("{} 0x07", "ab".repeat(20));
    shows(&id, &bytes(1), &format!("\n{line}\n"), &format!("\"\\n{line}\\n\""));
    shows(&kernel, &bytes(0), "\n", "\"\\n\"");
}

#[test]
fn timestamps() {
    let ty = |format: &str, clock| Type::Timestamp { format: format.into(), clock, utc: false };
    let at = words(&[1_001_002]);
    shows(&ty("%T.%f", Clock::Boot), &at, "22:31:14.001001", "\"22:31:14.001001\"");
    shows(&ty("%s %k", Clock::Monotonic), &at, "1795386674 001001002", "\"1795386674 001001002\"");
    shows(&ty("%s", Clock::Realtime), &at, "1795386674", "\"1795386674\"");
    shows(&ty("%T", Clock::Tai), &at, "(?)", "\"(?)\"");
    shows(&ty("", Clock::Boot), &at, "(?)", "\"(?)\"");
}

#[test]
fn malformed_values_are_errors() {
    let decoder = decoder(Vec::new(), Vec::new());
    let decode = |ty: &Type, bytes: &[u8]| Typed::new(&decoder, 1).value(ty, bytes);
    assert_eq!(decode(&I64, &[0; 7]), Err(DecodeError::Short { need: 8, have: 7 }));
    assert_eq!(decode(&int(3, false), &[0; 8]), Err(DecodeError::BadInteger(3)));
    assert_eq!(decode(&Type::Probe, &words(&[9])), Err(DecodeError::UnknownProbe(9)));
    assert!(decode(&structure(), &[0; 5]).is_err());
    assert!(decode(&Type::Buf { size: 4 }, &[9, 0, 0, 0, 1]).is_err());
    let huge = Type::Array { elem: Box::new(int(1, false)), len: u32::MAX };
    assert!(decode(&huge, &[0; 8]).is_err());
    let void = Type::Array { elem: Box::new(Type::Void), len: u32::MAX };
    assert_eq!(decode(&void, &[]), Ok(Value::Array(Vec::new())));
    let deep = (0..200).fold(I64, |inner, _| Type::Array { elem: Box::new(inner), len: 1 });
    assert_eq!(decode(&deep, &[0; 8]), Err(DecodeError::TooDeep));
    let wild = Field { name: String::new(), offset: u32::MAX, ty: I64, bits: Some((60, 9)) };
    assert!(Typed::new(&decoder, 1).field(&wild, &[0; 8]).is_err());
    let bits = Field { offset: 0, ..wild };
    assert_eq!(Typed::new(&decoder, 1).field(&bits, &[0; 8]), Err(DecodeError::BadInteger(8)));
}

#[test]
fn no_bytes_make_it_panic() {
    let decoder = decoder(Vec::new(), Vec::new());
    let stack = Stack { mode: StackMode::Perf, limit: 3, map: 0 };
    let types = [
        structure(),
        tuple([string(3), structure(), Type::Inet, Type::Mac]),
        Type::Buf { size: 9 },
        Type::Array { elem: Box::new(Type::USym), len: 2 },
        Type::KStack(stack),
        Type::Stats { signed: true },
        Type::Avg { signed: false },
        Type::Hist { bits: 2 },
        Type::Hist { bits: 200 },
        Type::Lhist { min: i64::MIN, max: i64::MAX, step: i64::MAX },
    ];
    let mut state = 1u64;
    for round in 0..2000usize {
        let len = round % 600;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        })
        .take(len)
        .collect();
        for ty in &types {
            // Bytes that are long enough must also print.
            if let Ok(value) = Typed::new(&decoder, 1).value(ty, &bytes) {
                printed(&Event::Value(value));
            }
        }
    }
}
