//! Codes of the parser.

use super::Code;

/// The codes.
pub const CODES: &[Code] = &[
    Code {
        name: "syntax-error",
        text: "\
The text does not fit the grammar at the caret. The message names what could stand there and what
was found instead.

    kprobe:vfs_read { $x = ; }        # wrong: a value is missing
    kprobe:vfs_read { $x = 1; }       # right

Often the mistake is just before the caret: a bracket, a quote or an operator too many or too few.",
    },
    Code {
        name: "missing-semicolon",
        text: "\
A statement ends with `;` unless it is the last of its block or ends with a block of its own.

    BEGIN { $x = 1 printf(\"%d\", $x); }     # wrong
    BEGIN { $x = 1; printf(\"%d\", $x) }     # right",
    },
    Code {
        name: "unclosed-bracket",
        text: "\
A `(`, `[` or `{` is not closed, or closed by a bracket of another kind. The message shows where it
was opened and where it should have been closed at the latest.",
    },
    Code {
        name: "unopened-bracket",
        text: "A `)`, `]` or `}` closes nothing: the bracket that would open it is missing, or it is one too many.",
    },
    Code {
        name: "unterminated-string",
        text: "\
A string ends on the line on which it begins. A line break in a string is written `\\n`, a quote `\\\"`.",
    },
    Code { name: "unterminated-comment", text: "A comment that begins with `/*` ends with `*/`. Such comments do not nest." },
    Code {
        name: "invalid-character",
        text: "\
A character that means nothing in a script. Most often text was copied from a document that turned
quotes, dashes or blanks into typographic ones: `\"` and `-` are needed. In strings and comments all
of UTF-8 is fine.",
    },
    Code {
        name: "invalid-literal",
        text: "\
A number or a character constant that has no value.

    1000  1_000  1e3  0x3e8  0b1111101000  01750     the same number
    10ms  5s  100us  2m  1h                          durations, in nanoseconds
    'a'  '\\n'                                        one byte

Numbers have 64 bits: the largest is 18446744073709551615.",
    },
    Code {
        name: "invalid-escape",
        text: "\
A backslash in a string begins an escape: `\\n` line break, `\\t` tabulator, `\\r` carriage return, `\\\"`
quote, `\\\\` backslash, `\\101` a byte by its octal number, `\\x41` by its hexadecimal number.",
    },
    Code {
        name: "invalid-assignment",
        text: "\
Only variables (`$x`) and maps (`@x`, `@x[key]`) can be assigned to. Tuples and records do not change
once they are made, and memory of the kernel and of programs is read, not written.

    $t = (1, 2); $t.0 = 3;            # wrong
    $t = (1, 2); $t = (3, $t.1);      # right",
    },
    Code {
        name: "invalid-increment",
        text: "`++` and `--` change a variable or a map: `$x++`, `--@x[pid]`. Nothing else can change.",
    },
    Code {
        name: "invalid-address-of",
        text: "`&` takes the address of a variable (`&$x`) or of a map (`&@x`).",
    },
    Code {
        name: "invalid-index",
        text: "\
Several values in brackets are the key of a map: `@x[pid, comm]`. Arrays and pointers have one index:
`$a[1]`.",
    },
    Code {
        name: "invalid-loop",
        text: "\
`for` goes over the keys and values of a map, or over a range of numbers of which the last is left out:

    for ($kv : @map) { print($kv.0); }
    for ($i : 0..10) { print($i); }",
    },
    Code {
        name: "invalid-parameter",
        text: "\
Parameters from the command line are `$1`, `$2` and so on; `$#` is their number. `${1:-libc}` stands
for `libc` if the first one is not given.",
    },
    Code {
        name: "missing-else",
        text: "\
An `if` whose value is used must have a value in every case.

    $x = if (pid == 1) { \"init\" };                    # wrong
    $x = if (pid == 1) { \"init\" } else { comm };      # right",
    },
    Code { name: "duplicate-config", text: "A script has one config block; put all settings into it." },
    Code { name: "duplicate-field", text: "The fields of a record have different names: `(a=1, b=2)`." },
    Code {
        name: "empty-script",
        text: "\
A script has at least one probe: an event and what to do when it happens.

    kprobe:vfs_read { @reads[comm] = count(); }",
    },
    Code {
        name: "not-a-script",
        text: "The file holds bytes that are no text. Scripts are UTF-8 text, usually in files that end in `.rt` or `.bt`.",
    },
    Code { name: "script-too-large", text: "Scripts are at most 1 MiB (1048576 bytes) long." },
    Code {
        name: "nesting-too-deep",
        text: "\
Brackets may be nested 128 levels deep, and expressions and blocks together 256: each operator, call,
bracket and block on the way from the outside in counts as one. Programs that write scripts reach
such limits; give parts names (`$part = ...;`) or use a map instead of a chain of conditions.",
    },
    Code {
        name: "internal",
        text: "A mistake in rbtrace, not in the script. Please report it with the script that shows it.",
    },
];
