//! Codes of C definitions.

use super::Code;

/// The codes.
pub const CODES: &[Code] = &[
    Code {
        name: "c-constant",
        text: "\
An expression of C that must be known when the script is compiled is not, or has a value that cannot
stand there: the length of an array, the width of a bitfield, the value of a variant.

    struct s { int x[n]; }            # wrong: nothing is called n
    #define N 4
    struct s { int x[N]; }            # right",
    },
    Code {
        name: "c-directive",
        text: "\
A line that starts with `#` is not one that the preprocessor of C understands, or an `#if` and its
`#endif` do not match.",
    },
    Code {
        name: "c-duplicate",
        text: "\
The script declares the same name twice: a type, a variant of an enum, or a member of a struct. A type
of the kernel or of a header can be declared anew; then the script's declaration counts.",
    },
    Code {
        name: "c-incomplete-type",
        text: "\
Something is made of a type whose size is not known: a struct that is declared nowhere, or the very
struct that is being declared. A pointer to such a type is possible.

    struct node { struct node next; }   # wrong: it would never end
    struct node { struct node *next; }  # right",
    },
    Code {
        name: "c-limit",
        text: "\
A declaration is too large or has too many levels. The message says how many are possible.",
    },
    Code {
        name: "c-syntax",
        text: "\
A definition in C cannot be understood. Scripts can have `struct`, `union`, `enum`, `typedef` and the
lines of the preprocessor, in front of the probes.",
    },
    Code {
        name: "c-unknown-type",
        text: "\
A C definition names a type that neither the script nor a header nor the kernel declares.

    struct s { task_struct *t; }         # wrong: it is called struct task_struct
    struct s { struct task_struct *t; }  # right",
    },
];
