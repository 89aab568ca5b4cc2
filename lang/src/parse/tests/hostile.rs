//! Input meant to hurt: it must be refused with a message, soon, and without running out of stack.

use std::time::{Duration, Instant};

use super::*;

/// The code of the first message about a script.
fn code(text: &str) -> &'static str {
    let start = Instant::now();
    let code = wrong(text).first().map_or("", |(code, _)| code);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?} for {:.40}", start.elapsed(), text);
    code
}

#[test]
fn large_and_strange_files() {
    assert_eq!(code(""), "empty-script");
    assert_eq!(code(" \n\t// c\n"), "empty-script");
    assert_eq!(code(&"{".repeat(10 << 20)), "script-too-large");
    assert_eq!(code("\u{7f}ELF\u{2}\u{1}\u{1}\0\0"), "not-a-script");
    assert_eq!(code("\u{feff}BEGIN { }"), "invalid-character");
    assert_eq!(code(&"é".repeat(1000)), "invalid-character");
    assert_eq!(code(&"\"".repeat(100_000)), "syntax-error");
    assert_eq!(code(&format!("BEGIN {{ {}", "/*".repeat(100_000))), "unterminated-comment");
    assert_eq!(code(&"a:".repeat(100_000)), "syntax-error");
}

#[test]
fn deep_nesting() {
    for open in [
        "(", "[", "{", "@[", "f(", "{(", "(typeof(", "sizeof(", "if (1) {", "(a=", "$x[", "-(",
        "1+(",
    ] {
        assert_eq!(
            code(&format!("BEGIN {{ {}", open.repeat(10_000))),
            "nesting-too-deep",
            "{open}"
        );
    }
    assert_eq!(code(&format!("struct a {}", "{".repeat(10_000))), "nesting-too-deep");
    assert_eq!(code(&format!("BEGIN {{ {}1; }}", "1 ? ".repeat(10_000))), "nesting-too-deep");
}

#[test]
fn long_chains() {
    for (chain, end) in
        [("1 + ", "1"), ("!", "1"), ("- ", "1"), ("(int8)", "1"), ("1 ? 1 : ", "1"), ("1 ?: ", "1")]
    {
        let text = format!("BEGIN {{ $x = {}{end}; }}", chain.repeat(10_000));
        assert_eq!(code(&text), "nesting-too-deep", "{chain}");
    }
    for chain in [".a", "->a", "[1]"] {
        let text = format!("BEGIN {{ f($x{}); }}", chain.repeat(10_000));
        assert_eq!(code(&text), "nesting-too-deep", "{chain}");
    }
    let ifs = format!("BEGIN {{ if (1) {{ }} {} }}", "else if (1) { } ".repeat(1000));
    assert_eq!(code(&ifs), "nesting-too-deep");
    let pointers = format!("BEGIN {{ $x = (int{})1; }}", "*".repeat(10_000));
    assert_eq!(code(&pointers), "nesting-too-deep");
}

#[test]
fn limits_leave_room() {
    let sum = format!("BEGIN {{ $x = {}1; }}", "1 + ".repeat(200));
    assert_eq!(code(&sum), "");
    let parens = format!("BEGIN {{ $x = {}1{}; }}", "(".repeat(40), ")".repeat(40));
    assert_eq!(code(&parens), "");
    let ifs = format!("BEGIN {{ if (1) {{ }} {} }}", "else if (1) { } ".repeat(200));
    assert_eq!(code(&ifs), "");
    let many = format!("BEGIN {{ {} }}", "f(1, 2); ".repeat(5_000));
    assert_eq!(code(&many), "");
    let args = format!("BEGIN {{ f({}1); }}", "1, ".repeat(5_000));
    assert_eq!(code(&args), "");
}

/// Nested constructs that fail at their innermost place: no alternative may be tried at every level.
#[test]
fn failing_inside_is_linear() {
    for (open, close) in [
        ("(", ")"),
        ("@[", "]"),
        ("f(", ")"),
        ("{ ", "}"),
        ("if (1) { ", "}"),
        ("(typeof(", "))1"),
        ("sizeof(", ")"),
        ("(a=", ")"),
        ("$x[", "]"),
        ("while (1) { ", "}"),
        ("1 ? { ", "} : 1"),
        ("(int8)(", ")"),
        ("if { ", "} { }"),
    ] {
        let inner = 25;
        for bad in [";;=", "$", "\"", ")("] {
            let text = format!("BEGIN {{ {}{bad}{} }}", open.repeat(inner), close.repeat(inner));
            assert_ne!(code(&text), "", "{open}{bad}");
        }
    }
}

/// Any text at all gets an answer.
#[test]
fn mangled_scripts() {
    let script = "#include <a.h>\nconfig = { a = 1 }\nkprobe:f,u:/bin/sh:g /pid == 1/ { @x[tid, comm] = hist(args.a->b); \
                  if ($y > 5) { printf(\"%d\\n\", (int8)$y ?: 3); } else { return 0; } for ($i : 0..4) { @++ } }\nEND < clear(@x) >\n";
    assert_eq!(code(script), "");
    for cut in 0..script.len() {
        code(&script[..cut]);
        code(&script[cut..]);
        for insert in ["{", ")", "\"", "<", "'", "é", "/*", "$"] {
            code(&format!("{}{insert}{}", &script[..cut], &script[cut..]));
        }
    }
}
