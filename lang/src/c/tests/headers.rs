//! Headers.

use super::*;

fn machine(headers: &[(&'static str, &'static str)]) -> Machine {
    Machine { headers: headers.iter().copied().collect() }
}

#[test]
fn headers_include_each_other() {
    let machine = machine(&[
        ("a.h", "#ifndef A_H\n#define A_H\n#include \"b.h\"\nstruct a { struct b b; };\n#endif"),
        ("b.h", "#pragma once\n#include <a.h>\nstruct b { int x; };\nenum { FROM_B = 7 };\n"),
        ("sys/c.h", "#include \"bits/d.h\"\n"),
        ("sys/bits/d.h", "#define D (FROM_B << 1)\n"),
    ]);
    let text = "#include <a.h>\n#include <a.h>\n#include \"sys/c.h\"\nstruct s { struct a a[2]; }";
    let (declared, diagnostics) = read_with(&machine, text);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    assert_eq!(layout(&declared, Tag::Struct, "s"), "8 a@0");
    assert_eq!(value(&declared, "D"), Some(ConstantValue::Int(14)));
    assert!(declared.missing_headers().is_empty());
}

#[test]
fn what_is_not_there_is_remembered() {
    let (declared, diagnostics) = read_with(&Machine::default(), "#include <lol/no.h>\n");
    assert!(diagnostics.is_empty());
    assert_eq!(declared.missing_headers()[0].name, "lol/no.h");
}

#[test]
fn what_a_header_has_besides_types() {
    let machine = machine(&[(
        "h.h",
        "extern int printf(const char *__restrict f, ...) __attribute__((format(printf, 1, 2)));\n\
         static inline int f(struct x { int a; } *p) { if (p) { return 1; } return 0; }\n\
         extern \"C\" { nonsense }\n\
         int table[] = { 1, 2, { 3 } };\n\
         @ this is no C at all;\n\
         struct __attribute__((packed)) good { char c; int i; };\n\
         struct bad { unknown_t u; };\n\
         struct good *make(void);\n\
         _Static_assert(sizeof(struct good) == 5, \"packed\");\n\
         struct good g(int x) { return (struct good) { 1, 2 }; }\n\
         typedef struct after { long l; } after;\n\
         asm(\".globl x\");\n\
         #if 1\nstruct last { struct good g; after a; };\n",
    )]);
    let (declared, diagnostics) =
        read_with(&machine, "#include <h.h>\nstruct s { struct last l; }");
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    assert_eq!(layout(&declared, Tag::Struct, "good"), "5 c@0 i@1");
    assert_eq!(layout(&declared, Tag::Struct, "s"), "16 l@0");
    assert_eq!(declared.find(Tag::Struct, "bad"), None);
}

#[test]
fn a_script_has_the_last_word() {
    let machine = machine(&[("h.h", "struct s { long x; };\nenum { N = 1 };\ntypedef int t;\n")]);
    let text = "#include <h.h>\nstruct s { int x; char y[N]; }; enum { N = 2 }; typedef long t;";
    let (declared, diagnostics) = read_with(&machine, text);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    assert_eq!(layout(&declared, Tag::Struct, "s"), "8 x@0 y@4");
    assert_eq!(declared.enumerator("N").map(|(_, value)| value), Some(2));
}
