//! Macros and the expressions that they stand for.

use super::*;

fn int(text: &str) -> i128 {
    let declared = read(&format!("#define X {text}\n"));
    match value(&declared, "X") {
        Some(ConstantValue::Int(value)) => value,
        other => panic!("{text} is {other:?}"),
    }
}

#[test]
fn arithmetic_of_c() {
    assert_eq!(int("1 + 2 * 3"), 7);
    assert_eq!(int("(1 + 2) * 3 % 5"), 4);
    assert_eq!(int("-7 / 2"), -3);
    assert_eq!(int("~0"), -1);
    assert_eq!(int("~0U"), 0xffff_ffff);
    assert_eq!(int("~0UL"), u64::MAX.into());
    assert_eq!(int("-1 < 0u"), 0);
    assert_eq!(int("0x80000000"), 0x8000_0000);
    assert_eq!(int("2147483648 > 0 ? 5 : 6"), 5);
    assert_eq!(int("1 << 4 | 1 << 2 & ~3 ^ 1"), 21);
    assert_eq!(int("!3 || 2 && 1"), 1);
    assert_eq!(int("0 && 1 / 0"), 0);
    assert_eq!(int("1 ? 2 : 1 / 0"), 2);
    assert_eq!(int("'a' + '\\n'"), 107);
    assert_eq!(int("010 + 0b11"), 11);
}

#[test]
fn casts_and_sizes() {
    assert_eq!(int("(__u8)-1"), 255);
    assert_eq!(int("(unsigned short) 0x12345"), 0x2345);
    assert_eq!(int("((size_t)1 << 40)"), 1 << 40);
    assert_eq!(int("sizeof(int) * 2"), 8);
    assert_eq!(int("sizeof(struct list_head)"), 16);
    assert_eq!(int("sizeof(struct list_head *)"), 8);
    assert_eq!(int("sizeof \"abc\""), 4);
    assert_eq!(int("sizeof(((struct list_head *)0)->next)"), 8);
    assert_eq!(int("offsetof(struct list_head, prev)"), 8);
    assert_eq!(int("sizeof(uint16_t)"), 2);
    assert_eq!(int("(void *)0"), 0);
    assert_eq!(int("KERNEL_MAX + 1"), 13);
}

#[test]
fn macros_in_macros() {
    let declared = read(
        "#define A 2\n#define B (A + C)\n#define C 3\n#define TIMES(x, y) ((x) * (y))\n\
         #define D TIMES(A, B)\n#define CAT(a, b) a ## b\n#define E CAT(1, 2)\n#define S(x) #x\n\
         #define F S(a \"b\")\n#define G \"x\" \"y\"\n#define LOOP LOOP2\n#define LOOP2 LOOP + 1\n\
         #define EMPTY\n#define SUM(a, ...) (a + __VA_ARGS__)\n#define H SUM(1, TIMES(2, 3))\n\
         #define I TIMES\n",
    );
    let value = |name: &str| value(&declared, name);
    assert_eq!(value("B"), Some(ConstantValue::Int(5)));
    assert_eq!(value("D"), Some(ConstantValue::Int(10)));
    assert_eq!(value("E"), Some(ConstantValue::Int(12)));
    assert_eq!(value("F"), Some(ConstantValue::Str(b"a \"b\"".to_vec())));
    assert_eq!(value("G"), Some(ConstantValue::Str(b"xy".to_vec())));
    assert_eq!(value("H"), Some(ConstantValue::Int(7)));
    for name in ["LOOP", "EMPTY", "I", "TIMES", "NONE"] {
        assert_eq!(value(name), None, "{name}");
    }
}

#[test]
fn text_for_the_language_of_scripts() {
    let declared = read("#define ME (pid + 1)\n#define NEG -1\n#define M -NEG\n#define P @x[$1]\n");
    let text = |name: &str| declared.constant(name, &Machine::default()).map(|c| c.text);
    assert_eq!(text("ME").as_deref(), Some("(pid + 1)"));
    assert_eq!(text("M").as_deref(), Some("- -1"));
    assert_eq!(text("P").as_deref(), Some("@x[$1]"));
}

#[test]
fn variants_hide_macros_of_their_name() {
    let declared = read("enum { A = 1 };\n#define A A\n");
    assert_eq!(declared.constant("A", &Machine::default()), None);
    assert_eq!(declared.enumerator("A").map(|(_, value)| value), Some(1));
}

#[test]
fn conditions() {
    let taken = |text: &str| {
        let text = format!("{text}\n#define YES 1\n#endif\n");
        value(&read(&text), "YES").is_some()
    };
    assert!(taken("#if 1"));
    assert!(!taken("#if 0 || NOTHING"));
    assert!(taken("#ifdef BPFTRACE_HAVE_BTF"));
    assert!(taken("#if defined(__x86_64__) && !defined __aarch64__"));
    assert!(taken("#define V(a,b) (a*10+b)\n#if V(4,2) >= 42"));
    assert!(taken("#ifndef X"));
    assert!(!taken("#define X\n#ifndef X"));
    assert!(taken("#define X\n#undef X\n#ifndef X"));
    assert!(taken("#if 0\n#else"));
    assert!(taken("#if 0\n#elif 1"));
    assert!(!taken("#if 1\n#elif 1"));
    assert!(!taken("#if 0\n#if 1\n#endif\n#elif 0"));
    assert!(taken("#if 0\n#error this is not said\n#nonsense\n#else"));
}
