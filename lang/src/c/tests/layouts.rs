//! Layouts, against what GCC makes of the same declarations on x86-64.

use super::*;

fn of(text: &str) -> String {
    layout(&read(text), Tag::Struct, "s")
}

#[test]
fn members_are_aligned() {
    assert_eq!(
        of("struct s { char a; int b; char c; long d; short e; }"),
        "32 a@0 b@4 c@8 d@16 e@24"
    );
    assert_eq!(of("struct s { char a[3]; char b; }"), "4 a@0 b@3");
    assert_eq!(of("struct s { int x; }; "), "4 x@0");
    assert_eq!(of("struct s { unsigned long x }"), "8 x@0");
    assert_eq!(of("struct s { }"), "0");
    assert_eq!(
        of("struct s { long double x; float f; _Bool b; __int128 q; }"),
        "48 x@0 f@16 b@20 q@32"
    );
    assert_eq!(of("struct s { int n; char data[]; }"), "4 n@0 data@4");
    assert_eq!(of("struct s { int n; long data[0]; }"), "8 n@0 data@8");
    assert_eq!(
        of("struct s { int a, *b, c[2], (*f)(int, char *), *d[3]; }"),
        "56 a@0 b@8 c@16 f@24 d@32"
    );
}

#[test]
fn names_that_need_no_header() {
    assert_eq!(
        of("struct s { u8 a; __be16 b; uint32_t c; size_t d; pid_t e; bool f; int64_t g; }"),
        "32 a@0 b@2 c@4 d@8 e@16 f@20 g@24"
    );
}

#[test]
fn records_in_records() {
    let text =
        "struct s { int m; struct { int x; char y; } bar; union { char c; long l; }; int n; }";
    assert_eq!(of(text), "32 m@0 bar@4 @16 n@24");
    assert_eq!(
        of("struct s { struct in { char c; short h; } a, b[2]; struct in *p; }"),
        "24 a@0 b@4 p@16"
    );
    let text = "union u { char a[5]; int b; }\nstruct s { char c; union u u; }";
    assert_eq!(of(text), "12 c@0 u@4");
    let both = read("struct s { struct in { int x; } a; } struct t { struct in b; }");
    assert_eq!(layout(&both, Tag::Struct, "t"), "4 b@0");
}

#[test]
fn packed_and_aligned() {
    let packed = "__attribute__((packed))";
    assert_eq!(of(&format!("struct s {{ int x; char y; int z; }} {packed}")), "9 x@0 y@4 z@5");
    assert_eq!(of(&format!("struct {packed} s {{ int x; char y; int z; }}")), "9 x@0 y@4 z@5");
    assert_eq!(of("struct s { char a; int x __attribute__((packed)); }"), "5 a@0 x@1");
    assert_eq!(of("struct s { char a; int x; } __attribute__((__aligned__(64)))"), "64 a@0 x@4");
    assert_eq!(of("struct s { char a; char b __attribute__((aligned(8))); }"), "16 a@0 b@8");
    assert_eq!(of("struct s { int x; char y; } __packed"), "5 x@0 y@4");
    assert_eq!(of("struct s { char c; _Alignas(16) int x; }"), "32 c@0 x@16");
    let text = "typedef int wide __attribute__((aligned(16)));\nstruct s { char c; wide w; }";
    assert_eq!(of(text), "32 c@0 w@16");
    assert_eq!(
        of("struct s { int x; char y; } __attribute__((packed)) __attribute__((aligned(1)))"),
        "5 x@0 y@4"
    );
}

#[test]
fn bitfields() {
    assert_eq!(
        of("struct s { unsigned int a:4, b:8, c:3, d:1, e:16; }"),
        "4 a@0:4 b@4:8 c@12:3 d@15:1 e@16:16"
    );
    // The same declaration as bpftrace's bitfield_test has it: GCC puts `f` into a new unit.
    assert_eq!(
        of("struct s { short a:4, b:8, c:3, d:1; int e:9, f:15, g:1, h:2, i:5; }"),
        "8 a@0:4 b@4:8 c@12:3 d@15:1 e@16:9 f@32:15 g@47:1 h@48:2 i@50:5"
    );
    assert_eq!(of("struct s { int a:3; int :0; int b:2; }"), "8 a@0:3 b@32:2");
    assert_eq!(of("struct s { int a:3; int :4; int b:2; char c; }"), "4 a@0:3 b@7:2 c@2");
    assert_eq!(of("struct s { char a; int b:20; long c:40; }"), "16 a@0 b@8:20 c@64:40");
    assert_eq!(of("struct s { int a:20, b:20; } __packed"), "5 a@0:20 b@20:20");
    assert_eq!(of("struct s { _Bool b:1; unsigned char c:7, d:2; }"), "2 b@0:1 c@1:7 d@8:2");
    assert_eq!(layout(&read("union s { int a:3; char b:5; }"), Tag::Union, "s"), "4 a@0:3 b@0:5");
}

#[test]
fn arrays_of_arrays() {
    let declared = read(
        "#define N 3\nenum { M = 2 };\nstruct s { int y[N][M * 2]; char z[sizeof(long) + 'a' - 96]; }",
    );
    assert_eq!(layout(&declared, Tag::Struct, "s"), "60 y@0 z@48");
    let CType::Array { elem, len: 3 } = &record(&declared, Tag::Struct, "s").fields[0].ty else {
        panic!("not three rows");
    };
    let int = CType::Int { size: 4, signed: true };
    assert_eq!(**elem, CType::Array { elem: Box::new(int), len: 4 });
}

#[test]
fn aliases() {
    let declared = read(
        "typedef struct { int a; } one, *two;\ntypedef struct list { struct list *next; } list;\n\
         typedef int (*fn_t)(void *, ...);\ntypedef unsigned char mac_t[6];\ntypedef union un un;\n\
         union un { int x; };\nstruct s { one a; two b; list c; fn_t d; mac_t e; un f; }",
    );
    assert_eq!(layout(&declared, Tag::Struct, "s"), "48 a@0 b@8 c@16 d@24 e@32 f@40");
    assert_eq!(layout(&declared, Tag::Name, "list"), "8 next@0");
    let function = declared.find(Tag::Name, "fn_t").and_then(|at| declared.describe(at));
    assert_eq!(function, Some(CType::Pointer(Box::new(CType::Function))));
}

#[test]
fn types_of_the_kernel() {
    let declared = read(
        "struct s { char c; struct list_head l; atomic_t n; struct odd o; struct sock *sk; }\n\
         struct t { struct list_head *p; struct s s[2]; }",
    );
    assert_eq!(layout(&declared, Tag::Struct, "s"), "48 c@0 l@8 n@24 o@28 sk@40");
    assert_eq!(layout(&declared, Tag::Struct, "t"), "104 p@0 s@8");
    let list = declared.find(Tag::Struct, "list_head");
    assert_eq!(list, Some(TypeRef { source: KERNEL, id: 0 }));
    // Nobody knows it: it can be pointed to.
    let sock = declared.find(Tag::Struct, "sock").and_then(|at| declared.describe(at));
    assert!(matches!(sock, Some(CType::Record(CRecord { size: None, .. }))));
    assert_eq!(declared.find(Tag::Struct, "task_struct"), None);
}

#[test]
fn a_script_declares_a_type_of_the_kernel_anew() {
    let declared = read("struct list_head { int x; }\nstruct s { struct list_head l; }");
    assert_eq!(layout(&declared, Tag::Struct, "s"), "4 l@0");
}

#[test]
fn enums() {
    let declared = read(
        "enum e { A, B = -5, C, D = A + 10, };\nenum { BIG = 1UL << 40, SMALL };\n\
         enum __attribute__((packed)) p { X = 200 };\nstruct s { enum e e; enum p p; enum { Q } q; }",
    );
    let value = |name: &str| declared.enumerator(name).map(|(_, value)| value);
    assert_eq!(["A", "B", "C", "D"].map(value), [Some(0), Some(-5), Some(-4), Some(10)]);
    assert_eq!(value("SMALL"), Some((1 << 40) + 1));
    assert_eq!(layout(&declared, Tag::Struct, "s"), "12 e@0 p@4 q@8");
    let of = declared.enumerator("SMALL").and_then(|(of, _)| declared.describe(of));
    assert!(
        matches!(of, Some(CType::Enum(of)) if of.size == 8 && !of.signed && of.name.is_empty())
    );
    assert_eq!(declared.find(Tag::Enum, "e"), declared.enumerator("B").map(|(of, _)| of));
}
