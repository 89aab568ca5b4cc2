//! Text that is meant to break the parser: it answers, and soon.

use super::*;

/// Reads a text in which anything may be wrong; asks for all that it declares.
fn survive(text: &str) {
    let machine = Machine {
        headers: [("x.h", "#include \"x.h\"\n#define HX 1\nstruct h { int a; };\n")].into(),
    };
    let (declared, _) = read_with(&machine, text);
    let names: Vec<String> = declared.names().map(str::to_owned).collect();
    for name in names {
        declared.constant(&name, &machine);
    }
    for tag in [Tag::Struct, Tag::Union, Tag::Enum, Tag::Name] {
        let types: Vec<_> =
            declared.type_names(tag).filter_map(|name| declared.find(tag, name)).collect();
        for at in types {
            declared.describe(at);
        }
    }
}

#[test]
fn deep_nesting_is_refused() {
    for n in [10, 63, 64, 65, 1000, 5000] {
        let (open, close) = ("(".repeat(n), ")".repeat(n));
        survive(&format!("#define X {open}1{close}\n"));
        survive(&format!("struct s {{ int {open}*x{close}; }}"));
        survive(&format!("struct s {{ int x{}; }}", "[1]".repeat(n)));
        survive(&format!("struct s {{ int {}x; }}", "*".repeat(n)));
        survive(&format!("#define X {}1\n", "-".repeat(n)));
        survive(&format!("#define X {}1\n", "- ".repeat(n)));
        survive(&format!("#define X {}1\n", "1 ? 1 : ".repeat(n)));
        survive(&format!("#define X {}1\n", "(int)".repeat(n)));
        survive(&format!("#define X {}1\n", "sizeof ".repeat(n)));
        survive(&format!("#define X {}1\n", "1 + ".repeat(n)));
        survive(&format!("struct s {{ {} int x; {} }}", "struct {".repeat(n), "} a;".repeat(n)));
        survive(&"#if 1\n".repeat(n));
        survive(&format!("struct s {{ int x{}; }}", "(int)".repeat(n)));
    }
}

#[test]
fn long_chains_end() {
    let aliases: String = (1..1000).map(|i| format!("typedef t{} t{i};\n", i - 1)).collect();
    survive(&format!("typedef int t0;\n{aliases}struct s {{ t999 x; }}"));
    let wraps: String =
        (1..500).map(|i| format!("struct s{i} {{ struct s{} x; }};\n", i - 1)).collect();
    survive(&format!("struct s0 {{ int x; }};\n{wraps}"));
    let doubled: String = (1..64).map(|i| format!("#define M{i} M{0} M{0}\n", i - 1)).collect();
    survive(&format!("#define M0 1\n{doubled}struct s {{ int x[M63]; }}"));
    let calls: String =
        (1..64).map(|i| format!("#define F{i}(x) F{0}(F{0}(x))\n", i - 1)).collect();
    survive(&format!("#define F0(x) x\n{calls}#define X F63(1)\n"));
    let arrays = "[4294967295]".repeat(20);
    survive(&format!("struct s {{ char x{arrays}; }}"));
}

#[test]
fn any_text_is_answered() {
    const WORDS: &[&str] = &[
        "struct",
        "union",
        "enum",
        "typedef",
        "s",
        "t",
        "int",
        "unsigned",
        "long",
        "char",
        "void",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ";",
        ",",
        ":",
        "*",
        "=",
        "?",
        "+",
        "-",
        "<<",
        "&&",
        "...",
        "1",
        "0x",
        "9999999999999999999",
        "'a'",
        "'",
        "\"x",
        "\"y\"",
        "sizeof",
        "offsetof",
        "#",
        "\n#define",
        "\n#define X",
        "\n#define F(a)",
        "\n#if",
        "\n#else\n",
        "\n#endif\n",
        "\n",
        "\n#include <x.h>\n",
        "\n#undef X\n",
        "##",
        "X",
        "F",
        "F(",
        "__VA_ARGS__",
        "defined",
        "__attribute__((packed))",
        "__attribute__((aligned(",
        "const",
        "static",
        "\\\n",
        "/*",
        "//",
        "é",
        "\u{0}",
        "@",
        "$",
        "list_head",
        "atomic_t",
        "_Static_assert",
        "__int128",
        "float",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |most: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % most as u64) as usize
    };
    for _ in 0..500 {
        let words: Vec<&str> = (0..random(40)).map(|_| WORDS[random(WORDS.len())]).collect();
        let between = ["", " "][random(2)];
        survive(&words.join(between));
    }
}
