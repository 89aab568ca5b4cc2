use super::*;

#[test]
fn assignments() {
    assert_eq!(body("$x = 1; @ = 2; @y[1, $x] = 3;"), "$x = 1\n@ = 2\n@y[tuple(1, $x)] = 3\n");
    assert_eq!(
        body(
            "$x += 1; $x -= 1; $x *= 1; $x /= 1; $x %= 1; $x &= 1; $x |= 1; $x ^= 1; @x <<= 1; @x[1] >>= 1"
        ),
        "$x += 1\n$x -= 1\n$x *= 1\n$x /= 1\n$x %= 1\n$x &= 1\n$x |= 1\n$x ^= 1\n@x <<= 1\n@x[1] >>= 1\n"
    );
    assert_eq!(body("$x++; --@y; _ = f();"), "$x++\n--@y\n_ = f()\n");
    assert_eq!(
        body("let $x; let $x: uint8; let $x : struct s * = 1; let $x = 2;"),
        "let $x\nlet $x: uint8\nlet $x: struct s * = 1\nlet $x = 2\n"
    );
}

#[test]
fn semicolons() {
    assert_eq!(body("f(); g()"), "f()\ng()\n");
    assert_eq!(body(";; f();; "), "f()\n");
    assert_eq!(body("if (a) { f() }; g()"), "if a\n  f()\ng()\n");
    assert_eq!(body("if (a) { f(); } $x = 1"), "if a\n  f()\n$x = 1\n");
}

#[test]
fn conditions() {
    assert_eq!(body("if a == 1 { f(); }"), "if (a == 1)\n  f()\n");
    assert_eq!(body("if (a) && (b) { f(); }"), "if (a && b)\n  f()\n");
    assert_eq!(
        body("if (a) { f() } else if (b) { g() } else { h() }"),
        "if a\n  f()\nelse\n  if b\n    g()\n  else\n    h()\n"
    );
    assert_eq!(body("if (pid) { } else { }"), "if pid\nelse\n");
}

#[test]
fn loops() {
    assert_eq!(
        body("while ($i < 5) { $i++; break; continue; }"),
        "while ($i < 5)\n  $i++\n  break\n  continue\n"
    );
    assert_eq!(body("unroll(5) { f(); } unroll $1 { }"), "unroll 5\n  f()\nunroll $1\n");
    assert_eq!(body("for ($kv : @map) { f($kv.0) }"), "for $kv : @map\n  f($kv.0)\n");
    assert_eq!(body("for $i : 0..10 { }"), "for $i : 0..10\n");
    assert_eq!(body("for ($i : $a.x..(int64)g()) { }"), "for $i : $a.x..((int64)g())\n");
}

#[test]
fn jumps_blocks_and_imports() {
    assert_eq!(body("return; return 1; { return } "), "return\nreturn 1\nblock\n  return\n");
    assert_eq!(body("import \"a/b\"; f()"), "import \"a/b\"\nf()\n");
    assert_eq!(body("importance()"), "importance()\n");
}

#[test]
fn values_of_blocks_are_kept_where_they_are_used() {
    assert_eq!(body("if (a) { 1 } else { 2 }"), "if a\n  1\nelse\n  2\n");
    assert_eq!(
        body("$x = if (a) { f(); 1 } else { 2 };"),
        "$x = (a ? {\n  f()\n  value 1\n} : { 2 })\n"
    );
}

#[test]
fn mistakes() {
    for (text, code, at) in [
        ("$x.0 = 1;", "invalid-assignment", "$x.0"),
        ("*$x = 1;", "invalid-assignment", "*$x"),
        ("x = 1;", "invalid-assignment", "x"),
        ("_ += 1;", "invalid-assignment", "_"),
        ("pid++;", "invalid-increment", "++"),
        ("&5;", "invalid-address-of", "&5"),
        ("$x[1, 2];", "invalid-index", "[1, 2]"),
        ("for ($x : 1) { }", "invalid-loop", "1"),
        ("for ($x : @a[1]) { }", "invalid-loop", "@a[1]"),
        ("$0;", "invalid-parameter", "$0"),
        ("(a=1, a=2);", "duplicate-field", "a"),
        ("$x = if (a) { 1 };", "missing-else", "if (a) { 1 }"),
        ("while (x = 1) { }", "syntax-error", "(x = 1)"),
        ("f(\"\\q\");", "invalid-escape", "\\q"),
        ("f(1x);", "invalid-literal", "x"),
    ] {
        assert_eq!(wrong(&format!("BEGIN {{ {text} }}")), [(code, at.to_owned())], "{text}");
    }
}
