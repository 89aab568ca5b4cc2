//! Codes of names, types and limits.

use super::Code;

/// The codes.
pub const CODES: &[Code] = &[
    Code {
        name: "type-as-value",
        text: "\
`typeof(T)` as an argument passes a type to a macro, which uses it where a type stands. Functions take
values.

    macro bytes(t) { sizeof(t) * 10 }
    BEGIN { print(bytes(typeof(uint64))); }",
    },
    Code {
        name: "endless-loop",
        text: "\
The condition of a `while` loop is always true, and nothing in the loop leaves it. The kernel takes no
program that may run for ever.

    while (1) { @x++; }                              # wrong
    while (1) { if (@x++ > 9) { break; } }           # right
    for ($i : 0..10) { @x++; }                       # right",
    },
    Code {
        name: "path-refused",
        text: "\
The kernel answers path() only to programs on a few functions, and refuses all others when they are
loaded. Of the hooks of security modules it does so in those that may sleep.

    fentry:vfs_read { print(path(args.file.f_path)); }         # refused
    fentry:filp_close { print(path(args.filp.f_path)); }       # right
    lsm:file_open { print(path(args.file.f_path)); }           # right",
    },
    Code {
        name: "unknown-to-kernel",
        text: "\
path() and skboutput() hand an object to the kernel, which must know its type. It knows that of an
argument of the function that the probe is on, and of what is in it, but not of what another pointer
in there points to.

    fentry:vfs_fallocate { print(path(args.file.f_path)); }    # right: a part of *file",
    },
    Code {
        name: "unstable-feature",
        text: "\
The feature works, but what it prints and how it is called may change with a new version. A setting
says whether that is a matter: `enable` for no, `warn`, or `error` to have nothing use it by mistake.

    config = { unstable_tseries=enable }",
    },
    Code {
        name: "pinned-iterator",
        text: "\
An iterator with a pin is left to the kernel: the program runs whenever somebody reads the file, and rbtrace
has ended by then. What it prints with printf() is formatted by the kernel, which knows %d, %u, %x, %X, %c,
%s and %p, and prints numbers and text. Nobody is there to do anything else that needs user space.

    iter:task:tasks { print(ctx.task.pid); }                 # wrong
    iter:task:tasks { printf(\"%d\\n\", ctx.task.pid); }       # right
    iter:task { print(ctx.task.pid); }                       # right: rbtrace runs it, once",
    },
    Code {
        name: "aggregate-as-value",
        text: "\
The map keeps more than one number: `hist`, `lhist` and `stats` have no single value that could be
printed with %d, compared or stored.

    @h = hist(arg2); $x = @h;         # wrong
    @h = hist(arg2); print(@h);       # right

`count`, `sum`, `min`, `max` and `avg` do have one: the number over all CPUs.",
    },
    Code {
        name: "aggregate-not-assigned",
        text: "\
`count()`, `sum()`, `hist()` and their kin add to a map. They stand alone on the right of an
assignment to one, and nowhere else.

    $n = count();                     # wrong
    @n = count();                     # right",
    },
    Code {
        name: "argument-count",
        text: "\
A function was called with too few or too many arguments. The help line shows how it is called.",
    },
    Code {
        name: "argument-range",
        text: "\
An argument is a number that the function cannot take. The message names the limits.",
    },
    Code {
        name: "argument-type",
        text: "\
An argument is of a type that the function cannot take. The message says which type was expected
and which was found.

    printf(\"%d\", strlen(arg0));       # wrong: arg0 is an address
    printf(\"%d\", strlen(str(arg0)));  # right",
    },
    Code {
        name: "bad-address",
        text: "\
`pton` turns the text of an IPv4 or IPv6 address into its bytes when the script is compiled. It looks
up no names.

    pton(\"localhost\")                # wrong
    pton(\"127.0.0.1\")                # right",
    },
    Code {
        name: "bad-cast",
        text: "\
There is no conversion between these two types. Integers, truth values, enums and pointers convert
into each other; texts only into longer texts. Arrays of integers and integers convert into each
other if they have as many bytes; a constant becomes an enum only if one of its variants has that
value.",
    },
    Code {
        name: "bad-condition",
        text: "\
A condition is a truth value, a number or a pointer; the last two are true unless they are 0.

    if (comm) { }                     # wrong
    if (comm == \"bash\") { }           # right",
    },
    Code {
        name: "bad-format",
        text: "\
The format of `printf` has a conversion that is not known here. These are: %d %i %u %o %x %X %c %p %s,
%r %rx %rh for the result of buf(), and %gr for allocation flags.",
    },
    Code {
        name: "bad-index",
        text: "\
Arrays, pointers and tuples have elements, and a number says which. The index of an array must lie
within it; that of a tuple must be a literal, since its members are of different types.",
    },
    Code {
        name: "bad-map-key",
        text: "\
A key is stored, so it cannot be something that is only valid while the probe runs, such as the whole
record of a tracepoint or the context. Use members of it.",
    },
    Code {
        name: "bad-member",
        text: "\
Only records and tuples have members. Those of a tuple are numbered from 0: `$t.0`.",
    },
    Code {
        name: "bad-operand",
        text: "\
The operator does not work on values of these types. Arithmetic takes numbers; `+` and `-` also take a
pointer and a number; texts and tuples can be compared by `==` and `!=` only.",
    },
    Code {
        name: "bad-return",
        text: "\
A probe can only return a number, for kinds of probe to which it means something: `return XDP_DROP;`. On a
hook of the kernel's security modules that is 0 or a negative error number, and a few hooks decide nothing.

Each kind of probe about packets has verdicts of its own, which the message lists; a socket probe sees copies,
so that it has none.

    tc:eth0:ingress { return XDP_DROP; }         # wrong
    tc:eth0:ingress { return TC_ACT_SHOT; }      # right
    lsm:file_open { return EPERM; }              # wrong
    lsm:file_open { return -EPERM; }             # right, with --unsafe",
    },
    Code {
        name: "builtin-not-here",
        text: "\
The probe has no such thing. A return probe has no arguments, only an entry probe has; a packet arrives
while any process may be running, so an xdp probe has no pid.

    kretprobe:vfs_read { print(arg0); }                           # wrong
    kprobe:vfs_read { @arg0[tid] = arg0; }                        # right: keep it
    kretprobe:vfs_read { print(@arg0[tid]); delete(@arg0, tid); }",
    },
    Code {
        name: "debugf",
        text: "\
`debugf` prints through the kernel's trace pipe (`bpf_trace_printk`), which all programs share. It
takes a lock, so it is slow, and is meant for looking for an error in a script. `printf` is what
scripts print with.",
    },
    Code {
        name: "discarded-value",
        text: "\
A value is computed and dropped. If that is meant, write `_ = ` in front of it.

    has_key(@x, 1);                   # a warning
    _ = has_key(@x, 1);               # none",
    },
    Code {
        name: "division-by-zero",
        text: "\
The divisor is the literal 0. A divisor that only turns out to be 0 at run time gives 1.",
    },
    Code {
        name: "duplicate-map",
        text: "A map is declared twice.",
    },
    Code {
        name: "format-arguments",
        text: "\
Each conversion of a format takes one value, and each value needs a conversion.

    printf(\"%s %d\", comm);            # wrong
    printf(\"%s %d\", comm, pid);       # right",
    },
    Code {
        name: "format-mismatch",
        text: "\
A conversion cannot print a value of this type. %d, %u, %x, %c and %p take numbers; %r takes the result
of buf(); %s takes everything.",
    },
    Code {
        name: "incomplete-type",
        text: "\
A member or the size of a struct is asked for of which nothing but the name is known: it is only
declared, or it is one of the kernel's and the kernel does not describe its types. The way out is
to write its definition at the start of the script.

    struct point { int x; int y; };
    uprobe:./plot:draw { print(((struct point *)arg0).x); }",
    },
    Code {
        name: "jump-outside-loop",
        text: "\
`break` and `continue` belong to the loop around them. There is none. `return` ends the whole probe.",
    },
    Code {
        name: "kernel-too-old",
        text: "\
The kernel that the script is compiled for lacks what this needs. The note says which kernel is the first
that has it.",
    },
    Code {
        name: "literal-overflow",
        text: "\
Arithmetic on literals is done when the script is compiled, and its result does not fit into 64 bits.",
    },
    Code {
        name: "literal-range",
        text: "\
A literal is no value of the type that the variable was declared with.

    let $x: uint8 = 300;              # wrong
    let $x: uint8 = (uint8)300;       # right: 44",
    },
    Code {
        name: "lossy-conversion",
        text: "\
A number is stored where not all numbers of its type can be stored: a signed one into an unsigned, or a
longer into a shorter. A cast says that it is meant, and silences the warning.",
    },
    Code {
        name: "map-key-mismatch",
        text: "\
All keys of a map are of one type, which its uses together decide. Integers of different sizes join, and
so do texts of different lengths; a number and a text do not, nor do keys of different numbers of parts.

    @x[pid] = 1; @x[comm] = 2;        # wrong",
    },
    Code {
        name: "map-kind-mismatch",
        text: "\
The kind that a map was declared with does not fit what it is used for: `count()` and its kin keep a value for
each CPU, so they need percpuhash or percpulruhash; everything else needs hash or lruhash.",
    },
    Code {
        name: "map-size",
        text: "A map is declared with the number of its entries: a literal above 0.",
    },
    Code {
        name: "map-value-mismatch",
        text: "\
All values of a map are of one type, which its uses together decide. A map that counts can only be counted
with.

    @x = 1; @x = \"one\";               # wrong
    @x = count(); @x = 1;             # wrong",
    },
    Code {
        name: "map-with-key",
        text: "\
A map either has keys everywhere or nowhere. This one was used with a key before.

    @x[pid] = 1; print(@x + 1);       # wrong
    @x[pid] = 1; print(@x[pid] + 1);  # right",
    },
    Code {
        name: "map-without-key",
        text: "\
A map either has keys everywhere or nowhere. This one was used without a key before.

    @x = 1; @x[pid] = 1;              # wrong",
    },
    Code {
        name: "never-stored",
        text: "\
The map is read but nothing ever stores anything in it, so it is always 0. Perhaps its name is misspelt.",
    },
    Code {
        name: "no-address",
        text: "\
Addresses can be taken of variables, of maps' values, and of members and elements that a pointer
leads to. Bitfields have none, since only whole bytes do; neither have values that were just
computed, nor aggregations, which are kept for each CPU.

    $p = &($x + 1);                   # wrong
    $y = $x + 1; $p = &$y;            # right",
    },
    Code {
        name: "no-command",
        text: "`cpid` is the process that -c starts. There is none, so it is 0.",
    },
    Code {
        name: "no-value",
        text: "\
A function that only does something, such as `printf`, stands where a value is needed.",
    },
    Code {
        name: "not-a-literal",
        text: "\
This must be known when the script is compiled: a literal, or arithmetic on literals.

    @h = lhist(arg2, 0, $max, 10);    # wrong
    @h = lhist(arg2, 0, 1000, 10);    # right",
    },
    Code {
        name: "not-text",
        text: "\
A format, and what else user space prints as it stands, must be UTF-8 text.",
    },
    Code {
        name: "outliving-variable",
        text: "\
A variable is used after the block that assigns it. Since bpftrace 0.22 variables end with their blocks;
before, they lived to the end of the action. So that older scripts run, such a variable is kept, and is 0
where it was not assigned. A variable that `let` declares ends with its block.

    if (pid) { $x = 1; } print($x);                 # a warning
    let $x; if (pid) { $x = 1; } print($x);         # right",
    },
    Code {
        name: "script-failed",
        text: "\
The script calls `fail`, which ends the compilation with a message of the script's own. What is left
out by `if comptime` does not fail.",
    },
    Code {
        name: "shadowed-variable",
        text: "\
A variable lives to the end of the block in which it was first assigned or declared. Until then no other
variable can have its name, not even in an inner block.",
    },
    Code {
        name: "string-cut",
        text: "\
A text is longer than texts may be, and is cut. The limit is the setting `max_strlen`: in the config block
of the script, or as BPFTRACE_MAX_STRLEN in the environment.",
    },
    Code {
        name: "string-too-long",
        text: "\
A text does not fit. Texts as a whole are limited by the setting `max_strlen`; a variable that was declared
with a length, such as `let $x: string[16]`, by that.",
    },
    Code {
        name: "type-mismatch",
        text: "\
Two types that should be the same are not. A variable keeps the type of its first assignment, both values of
`? :` must be of one type, and a range goes from one integer to another.

    $x = 1; $x = \"one\";               # wrong",
    },
    Code {
        name: "unassigned-variable",
        text: "\
A variable is read before anything was assigned to it, or nothing is ever assigned to it. It is 0.",
    },
    Code {
        name: "undefined-map",
        text: "\
The map is used as a whole but never with a value. Perhaps its name is misspelt.",
    },
    Code {
        name: "undefined-variable",
        text: "\
There is no variable of this name here. A variable lives to the end of the block in which it is declared;
to use it after that block, declare it before.

    if (pid) { let $x = 1; } print($x);             # wrong
    let $x; if (pid) { $x = 1; } print($x);         # right",
    },
    Code {
        name: "unknown-aggregation",
        text: "\
The fourth argument of `tseries` says what becomes of several numbers in one interval: `avg`, `max`,
`min` or `sum`. Without it the last number stays.

    @t = tseries(arg2, 1s, 60, \"max\");",
    },
    Code {
        name: "unknown-cgroup",
        text: "\
`cgroupid` asks for the id of the cgroup at a path when the script is compiled. Only directories of
the cgroup2 file system have one.",
    },
    Code {
        name: "unknown-clock",
        text: "\
nsecs() takes the name of a clock: `boot` (the default), `monotonic` or `tai`.",
    },
    Code {
        name: "unknown-field",
        text: "\
The record has no field, or the function no argument, of this name. `rbtrace -lv PROBE` lists them.",
    },
    Code {
        name: "unknown-function",
        text: "\
There is no function of this name. Macros must be defined in the script or imported.",
    },
    Code {
        name: "unknown-identifier",
        text: "\
The name is no builtin, no constant and no macro. Variables begin with `$`, maps with `@`, texts stand in
quotes.",
    },
    Code {
        name: "unknown-map-kind",
        text: "A map can be declared as hash, lruhash, percpuhash or percpulruhash.",
    },
    Code {
        name: "unknown-register",
        text: "\
The processor has no register of this name. Names are those of struct pt_regs: `ip`, `sp`, `ax`, `r8`.",
    },
    Code {
        name: "unknown-signal",
        text: "\
There is no signal of this name. Signals are named as kill(1) has them, with or without `SIG`, or
given as a number from 1 to 64.",
    },
    Code {
        name: "unknown-stack-mode",
        text: "A stack prints as `bpftrace`, `perf`, `raw` or `build_id`.",
    },
    Code {
        name: "unknown-symbol",
        text: "\
The kernel has no symbol of this name, or hides addresses from this user.",
    },
    Code {
        name: "unknown-type",
        text: "\
There is no type of this name. Integers are int8 to int64 and uint8 to uint64; C's names work too.",
    },
    Code {
        name: "unreachable",
        text: "\
What follows `return`, `exit()`, `break` or `continue` in a block is never run.",
    },
    Code {
        name: "unreadable-field",
        text: "\
The first 8 bytes of a tracepoint's record, the fields common_*, are closed to programs. Of a function's
arguments, those in the processor's integer registers and on the stack can be read; floating-point numbers
are in other registers, and structs that are passed by value may be spread over several. Of the context of
packets, each kind of probe may read some fields and not others.",
    },
    Code {
        name: "unresolved-type",
        text: "\
Nothing in the script says what type the variable is of: it is never assigned. Declare it with a type:
`let $x: uint64;`.",
    },
    Code {
        name: "unroll-count",
        text: "\
The body of `unroll` is copied, so the number of copies must be known when the script is compiled, and is
limited to 100. `for ($i : 0..n)` has neither limit.",
    },
    Code {
        name: "unsafe-needed",
        text: "\
This can harm the machine or what runs on it, so it must be allowed with --unsafe on the command line. On a
hook of security modules that is any verdict but 0: programs get an error for what they do, and some do not
get over it.",
    },
    Code {
        name: "unsupported",
        text: "bpftrace has this; rbtrace has not yet.",
    },
    Code {
        name: "unused-map",
        text: "A map is declared but not used.",
    },
    Code {
        name: "value-too-large",
        text: "\
A value takes more memory than an eBPF program can set aside for one. Texts take their largest length: str()
of a pointer 1024 bytes unless it is told otherwise.",
    },
];
