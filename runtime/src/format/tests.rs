//! The expected texts are what bpftrace 0.27.1 printed for the same formats and values.

use super::*;
use crate::value::Text;

fn render(format: &str, args: &[Value]) -> String {
    let format = Format::parse(format).expect("valid format");
    String::from_utf8_lossy(&format.render(args)).into_owned()
}

fn ints<const N: usize>(values: [i64; N]) -> [Value; N] {
    values.map(Value::Int)
}

#[test]
fn integers_are_cut_to_the_length_modifier() {
    let n = 0xff_ffff_ffff;
    assert_eq!(
        render("[%d|%u|%x|%ld|%lu|%lx|%lld|%i|%li]", &ints([n; 9])),
        "[-1|4294967295|ffffffff|1099511627775|1099511627775|ffffffffff|1099511627775|-1|1099511627775]"
    );
    let values = ints([200, 70000, 300, -5, -6, -7]);
    assert_eq!(render("%hhd|%hd|%hhu|%zd|%jd|%td", &values), "-56|4464|44|-5|-6|-7");
    assert_eq!(
        render("%llu %hhx %lx", &ints([-1, 0xfff, -1])),
        "18446744073709551615 ff ffffffffffffffff"
    );
}

#[test]
fn flags_and_widths() {
    let values = ints([-42, 42, 42, 42, 42, 31, 8, 31, 31, 31, 31, 0xabc, 0xabc]);
    assert_eq!(
        render("[%05d|%-5d|%5d|%+d|% d|%#x|%#o|%08x|%#08x|%#10x|%-#10x|%X|%#X]", &values),
        "[00-42|42   |   42|+42|42|0x1f|010|0000001f|00000x1f|      0x1f|0x1f      |ABC|0XABC]"
    );
    assert_eq!(render("%+d %#o %#x", &ints([0, 0, 0])), "+0 0 0");
    assert_eq!(render("[%*d|%-*d|%.*d|%5.d]", &ints([1, 2, 3])), "[1|2|3|%5.d]");
}

#[test]
fn pointers_and_characters() {
    let pointers = [0, 0x1234, 0x1234, 0x1234, 0x1234].map(Value::Ptr);
    assert_eq!(
        render("%p|%p|%10p|%-10p|%010p", &pointers),
        "0|0x1234|    0x1234|0x1234    |00000x1234"
    );
    assert_eq!(render("%c|%3c|%-3c|%c", &ints([65, 65, 65, 0])), "A|  A|A  |\0");
    let pointer = Value::Ptr(255);
    assert_eq!(render("%d %s %x", &[pointer.clone(), pointer.clone(), pointer]), "255 0xff ff");
}

#[test]
fn strings_ignore_the_precision() {
    let [short, long] = ["abc", "abcdef"].map(Value::text);
    let tuple = Value::Tuple(vec![Value::Int(1), Value::Int(2)]);
    let args = [short.clone(), short.clone(), short, long.clone(), long, Value::Int(12)];
    assert_eq!(
        render("%s|%10s|%-10s|%.3s|%10.2s|%s", &args),
        "abc|       abc|abc       |abcdef|    abcdef|12"
    );
    let args = [Value::text("ab"), tuple, Value::Bool(true), Value::Bool(false), Value::Bool(true)];
    assert_eq!(render("%05s|%s|%5s|%-7s|%d", &args), "000ab|(1, 2)| true|false  |1");
}

#[test]
fn widths_count_bytes_not_characters() {
    let text = Value::text("é");
    let args = [text.clone(), text, Value::text("héé")];
    assert_eq!(render("[%5s|%-5s|%.2s]", &args), "[   é|é   |héé]");
    assert_eq!(render("Süre: %d ns\n", &ints([7])), "Süre: 7 ns\n");
}

#[test]
fn a_width_pads_the_bracket_of_compound_values() {
    let tuple = |second| Value::Tuple(vec![Value::Int(1), second]);
    let args = [tuple(Value::text("a")), tuple(Value::Int(2)), Value::Int(5)];
    assert_eq!(render("[%10s|%-10s|%010s]", &args), "[         (1, a)|(         1, 2)|0000000005]");
    let signed = [Value::Int(5), Value::Int(0), Value::Tuple(vec![Value::Int(5), Value::Uint(6)])];
    assert_eq!(render("%+s|%+d|%+s", &signed), "+5|+0|(+5, 6)");
    let member = vec![("x".to_owned(), Value::Int(1))];
    assert_eq!(render("%4s", &[Value::Struct(member)]), "  { .x = 1 }");
}

#[test]
fn buffers() {
    let long = || Value::Buf(b"abc\x01\xff".to_vec());
    let short = || Value::Buf(b"ab".to_vec());
    assert_eq!(
        render("[%s|%r|%rx|%rh|%20r|%-20rx|]", &[long(), long(), long(), long(), short(), short()]),
        r"[abc\x01\xff|abc\x01\xff|\x61\x62\x63\x01\xff|61 62 63 01 ff|                  ab|\x61\x62            |]"
    );
}

#[test]
fn names_and_numbers_of_enums() {
    let value = |name: &str, number| Value::Enum { name: Some(name.into()), number };
    let args = [value("A", 1), value("A", 1), value("C", 7), value("C", 7), value("C", 7)];
    assert_eq!(render("%s|%d|%5s|%-3s|%x", &args), "A|1|    C|C  |7");
    let unnamed = Value::Enum { name: None, number: 9 };
    let negative = value("B", (-2i64).cast_unsigned());
    assert_eq!(render("%s %d %ld", &[unnamed, negative.clone(), negative]), "9 -2 -2");
}

#[test]
fn allocation_flags() {
    let flags = ints([0, 0xcc0, 0x4_0000_0000, 0x400dc0]);
    assert_eq!(
        render("%gr|%gr|%15gr|%gr", &flags),
        "0|GFP_KERNEL|    0x400000000|GFP_KERNEL_ACCOUNT|__GFP_ZERO"
    );
}

#[test]
fn text_around_conversions() {
    assert_eq!(render("100%% %5% %y %\n", &[]), "100% % %y %\n");
    assert_eq!(render("%d", &[]), "!{missing argument}");
    assert_eq!(render("%d", &[Value::text("x")]), "!{invalid integer conversion: x}");
    let cut = Text { bytes: b"ab".to_vec(), trailer: Some("..".into()) };
    assert_eq!(render("%s|", &[Value::Str(cut)]), "ab..|");
    let format = Format::parse("%s").expect("valid format");
    let bytes = Text { bytes: vec![0xff, b'a'], trailer: None };
    assert_eq!(format.render(&[Value::Str(bytes)]), [0xff, b'a']);
}
