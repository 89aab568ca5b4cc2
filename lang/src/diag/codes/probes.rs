//! Codes of attach points and settings.

use super::Code;

/// The codes.
pub const CODES: &[Code] = &[
    Code {
        name: "deprecated-setting",
        text: "\
The setting allowed a feature that was unstable in earlier versions of the language. Now it is always
there, and the setting can go.",
    },
    Code {
        name: "attach-point-form",
        text: "\
An attach point has parts between colons, and each kind of probe its own. The message shows the forms of
this kind.

    kprobe:vfs_read+4                # a function, and an offset into it
    uprobe:/bin/bash:readline        # a program, and a function in it
    interval:s:1                     # a unit and a number; or interval:1s
    tracepoint:syscalls:sys_enter_openat",
    },
    Code {
        name: "bad-setting",
        text: "\
The value of a setting is of the wrong kind or out of range. The message says what is expected.",
    },
    Code {
        name: "bypassed-function",
        text: "\
The function exists and can be probed, but newer kernels hardly call it: its work is done by the function
that the help line names.",
    },
    Code {
        name: "duplicate-probe",
        text: "\
Tests and benchmarks report by their names, so that each `test:NAME` and each `bench:NAME` can stand in a
script once.",
    },
    Code {
        name: "no-attach-points",
        text: "A probe block is attached to something; this one names nothing.",
    },
    Code {
        name: "no-debug-info",
        text: "\
The lines of a program's source, and the names and types of its functions' arguments, are read from its
debug information (DWARF). A program has it if it was compiled with -g. Distributions keep it in packages
of their own (-dbgsym, -debuginfo) that install into /usr/lib/debug; --debuginfo names other folders.

    uprobe:/bin/bash:readline { printf(\"%s\\n\", str(arg0)); }   # needs none of it",
    },
    Code {
        name: "no-format",
        text: "\
The fields of a tracepoint are read from its format file, /sys/kernel/tracing/events/CATEGORY/NAME/format.
It cannot be read here: tracefs is not mounted, or closed to this user. The arguments of the kernel's
functions and of raw tracepoints are read from its types, /sys/kernel/btf.",
    },
    Code {
        name: "no-match",
        text: "\
A wildcard matches nothing. `rbtrace -l PATTERN` lists what there is. Where the block has other attach points
this is a warning.",
    },
    Code {
        name: "no-probe-list",
        text: "\
A wildcard needs the list of what can be probed, and that cannot be read here. Kernel functions are listed in
/sys/kernel/tracing/available_filter_functions, tracepoints in /sys/kernel/tracing/events.",
    },
    Code {
        name: "too-many-probes",
        text: "\
The script attaches to more places than allowed. Each takes time to attach and to detach, and slows down
what it is on. The setting `max_probes` (BPFTRACE_MAX_PROBES in the environment) raises the limit.",
    },
    Code {
        name: "unknown-binary",
        text: "\
There is no such program or library, or it is not an ELF file. A name without a slash is looked for in PATH,
then among the libraries that the dynamic linker knows: `libc` finds libc.so.6.",
    },
    Code {
        name: "unknown-event",
        text: "\
There is no such event to count. The message lists those of this kind; `rbtrace -l 'software:*'` and
`rbtrace -l 'hardware:*'` do, too. One probe counts one event: wildcards mean nothing here.",
    },
    Code {
        name: "unknown-interface",
        text: "There is no network interface of this name. `ip link` lists them.",
    },
    Code {
        name: "unknown-iterator",
        text: "\
The kernel goes over its objects by iterators, each of which is for one kind of objects, such as tasks or
sockets. It has none of this name. `rbtrace -l 'iter:*'` lists those that it has, and -lv shows what each
of them tells.",
    },
    Code {
        name: "unknown-lsm-hook",
        text: "\
The kernel asks its security modules at fixed places, the hooks; each has a name, and each version of the
kernel some more. On a few it takes no programs. `rbtrace -l 'lsm:*NAME*'` searches.

    lsm:file_open { print(path(args.file.f_path)); }",
    },
    Code {
        name: "unknown-kernel-function",
        text: "\
The kernel has no function of this name that can be probed. It may have been inlined, be marked as not to be
traced, or belong to a module that is not loaded. `rbtrace -l 'kprobe:*NAME*'` searches.",
    },
    Code {
        name: "unknown-probe-kind",
        text: "There is no kind of probe of this name.",
    },
    Code {
        name: "unknown-setting",
        text: "\
There is no setting of this name. Names are those of the environment variables without their prefix, in
lower case: BPFTRACE_MAX_STRLEN is `max_strlen`.",
    },
    Code {
        name: "unknown-source-line",
        text: "\
A uprobe on a line of source names a file that the program was made of, or the last parts of its path, and
a line that has code: not a comment, a declaration or a closing brace.

    uprobe:/bin/bash@readline.c:362         # the first instruction of the line
    uprobe:/bin/bash@lib/readline.c:362:7   # of what begins in column 7",
    },
    Code {
        name: "unknown-tracepoint",
        text: "\
The kernel has no such tracepoint. `rbtrace -l 'tracepoint:*NAME*'` searches.",
    },
    Code {
        name: "unknown-raw-tracepoint",
        text: "\
The kernel has no raw tracepoint of this name. They are those of its tracepoints, without their categories;
`rbtrace -l 'rawtracepoint:*NAME*'` searches.",
    },
    Code {
        name: "unknown-usdt-probe",
        text: "\
The program or library has no static probe of this name. Its author has put none in, or it was built without
them. `rbtrace -l 'usdt:FILE:*'` lists those that it has.",
    },
    Code {
        name: "usdt-argument",
        text: "\
A note in the program says for each place of a USDT probe where its arguments are: in which register, or where
in memory. This one has no such argument, or the program says of it what cannot be read, such as a
floating-point register.",
    },
    Code {
        name: "unknown-user-function",
        text: "\
The program or library has no function of this name in its symbol table. A file without symbols can be
probed by address: `uprobe:FILE:0x1234`.",
    },
    Code {
        name: "unsupported-probe-kind",
        text: "bpftrace has this kind of probe; rbtrace has not yet.",
    },
];
