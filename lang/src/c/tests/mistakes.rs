//! Messages and their places.

use super::*;

#[test]
fn the_place_is_exact() {
    let cases = [
        ("struct s { int x int y; }", "[c-syntax] `int` cannot follow `x` here @ int"),
        ("struct s { foo x; }", "[c-unknown-type] there is no type called `foo` @ foo"),
        (
            "struct s { struct s s; }",
            "[c-incomplete-type] `struct s` cannot have itself as a member @ s",
        ),
        (
            "struct s { struct s s[4]; }",
            "[c-incomplete-type] `struct s` cannot have itself as a member @ s",
        ),
        (
            "struct s { struct gone g; }",
            "[c-incomplete-type] the size of `struct gone` is not known @ g",
        ),
        ("struct s { void v; }", "[c-incomplete-type] the size of `void` is not known @ v"),
        ("struct s { int a; char a; }", "[c-duplicate] there is a member called `a` already @ a"),
        ("struct s { int x; } struct s { int y; }", "[c-duplicate] `s` is declared already @ s"),
        ("enum { A, A }", "[c-duplicate] `A` is declared already @ A"),
        ("typedef int t; typedef long t;", "[c-duplicate] `t` is declared already @ t"),
        ("struct s { int x[-1]; }", "[c-constant] an array cannot have -1 elements @ [-1]"),
        ("struct s { int x[N]; }", "[c-constant] there is no constant called `N` @ N"),
        ("struct s { int x:40; }", "[c-constant] a bitfield of this type cannot have 40 bits @ 40"),
        ("struct s { int x:0; }", "[c-constant] a bitfield of this type cannot have 0 bits @ 0"),
        ("struct s { float x:3; }", "[c-constant] only integers can be bitfields @ 3"),
        ("struct s { int x[1 / 0]; }", "[c-constant] the divisor is 0 @ /"),
        ("enum { A = 1 << 40 }", "[c-constant] a shift by 40 bits has no meaning @ <<"),
        ("struct s { int; }", "[c-syntax] this declares no member @ int;"),
        ("struct s { enum e x; }", "[c-unknown-type] there is no type called `enum e` @ e"),
        ("struct s { char x[4000000000]; }", "[c-limit] this record is too large @ x[4000000000]"),
        ("typedef foo foo;", "[c-unknown-type] there is no type called `foo` @ foo"),
        ("#if 1\n", "[c-directive] this condition is never closed @ if"),
        ("#endif\n", "[c-directive] #endif without #if @ endif"),
        ("#error no good\n", "[c-directive] #error: no good @ error"),
        ("#defin X 1\n", "[c-directive] there is no directive `#defin` @ defin"),
        ("#if 1 +\n#endif\n", "[c-directive] this ends too early @ if"),
    ];
    for (text, expected) in cases {
        let found = mistakes(text);
        assert!(found.iter().any(|message| message == expected), "{text}: {found:#?}");
    }
}

#[test]
fn one_mistake_spoils_nothing_else() {
    let text = "struct a { foo x; } struct b { int y; }";
    let (declared, diagnostics) = read_with(&Machine::default(), text);
    assert_eq!(diagnostics.len(), 1);
    assert_eq!(layout(&declared, Tag::Struct, "b"), "4 y@0");
}
