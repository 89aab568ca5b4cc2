//! Codes of imports, macros and named parameters.

use super::Code;

/// The codes.
pub const CODES: &[Code] = &[
    Code {
        name: "duplicate-macro",
        text: "\
Macros of one name must differ in the number or the kinds of their parameters, and the parameters of
a macro in their names.

    macro add(x) { x + 1 }      macro add(y) { y + 2 }         # wrong
    macro add(x) { x + 1 }      macro add($v) { $v += 1; }     # right: chosen by the argument",
    },
    Code {
        name: "macro-arguments",
        text: "\
A macro was called with arguments that none of its definitions takes. A parameter `$x` takes a
variable, `@x` a map without a key, and `x` any expression.

    macro inc($x) { $x += 1; }
    BEGIN { inc(1); }               # wrong
    BEGIN { $a = 1; inc($a); }      # right",
    },
    Code {
        name: "macro-recursion",
        text: "\
A macro is replaced by its body when the script is compiled, so it cannot come to call itself, not
by way of other macros either. The message lists the chain of calls. Loops repeat: `for ($i : 0..n)`.",
    },
    Code {
        name: "macro-map",
        text: "\
A macro reaches only maps that are passed to it.

    macro inc() { @x++; }       # wrong
    macro inc(@x) { @x++; }     # right: inc(@reads)",
    },
    Code {
        name: "macro-type-argument",
        text: "\
A parameter that is used as part of a type, or as the name of a member, was given something else.

    macro size(t) { sizeof(struct t) }
    BEGIN { print(size(1 + 1)); }           # wrong
    BEGIN { print(size(task_struct)); }     # right

    macro many(t) { sizeof(t[10]) }
    BEGIN { print(many(typeof(uint64))); }",
    },
    Code {
        name: "expansion-too-large",
        text: "\
Calls of macros in arguments and bodies of others make a script grow with every level. Bind what is
used more than once to a variable, so that it is there once:

    macro twice(x) { let $x = x; $x + $x }",
    },
    Code {
        name: "import-failed",
        text: "\
A file that the script imports is not there, cannot be read, or could be changed by anybody. A name
is looked for in the directory of the script that imports it, then in those of RBTRACE_PATH.

    import \"helpers.bt\";        a script: its probes, macros and maps
    import \"lib\";               all scripts and headers in a directory
    import \"types.h\";           a C header: its types",
    },
    Code {
        name: "import-cycle",
        text: "Scripts that import each other cannot be put in order. Move what both need into a third one.",
    },
    Code {
        name: "import-config",
        text: "Settings are those of the script that is run: one that is imported has no config block.",
    },
    Code {
        name: "import-unsupported",
        text: "\
Scripts (`.bt`, `.rt`) and C headers (`.h`) can be imported. C code for the kernel (`.bpf.c`) cannot:
bpftrace hands it to clang, which rbtrace does without. Most of what such files hold can be said by
a macro.",
    },
    Code {
        name: "option-conflict",
        text: "\
A named parameter has one default and one description, wherever getopt() asks for it. Call getopt()
in a macro and use that:

    macro limit { getopt(\"limit\", 10, \"lines to print\") }",
    },
    Code {
        name: "unknown-option",
        text: "\
The command line has a named parameter that the script does not ask for with getopt(). They follow
`--`: `rbtrace script.bt -- --limit=5`; `-- --help` lists them.",
    },
    Code {
        name: "bad-option",
        text: "\
A named parameter is of the kind of its default in the script: a number, text, or true and false.

    getopt(\"limit\", 10)      --limit=5
    getopt(\"name\", \"sh\")     --name=bash
    getopt(\"all\")            --all, --all=true, --all=false",
    },
];
