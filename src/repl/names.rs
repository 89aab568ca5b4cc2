//! Names of the language, for completion and colours.

/// Functions, each followed by an opening parenthesis.
const FUNCTIONS: &[&str] = &[
    "avg",
    "bswap",
    "buf",
    "cat",
    "cgroup_path",
    "cgroupid",
    "clear",
    "count",
    "delete",
    "exit",
    "has_key",
    "hist",
    "join",
    "kaddr",
    "kptr",
    "kstack",
    "ksym",
    "len",
    "lhist",
    "macaddr",
    "max",
    "min",
    "ntop",
    "print",
    "printf",
    "reg",
    "sizeof",
    "stats",
    "str",
    "strcontains",
    "strerror",
    "strftime",
    "strncmp",
    "sum",
    "system",
    "time",
    "uaddr",
    "uptr",
    "ustack",
    "usym",
    "zero",
];

/// Builtins.
const BUILTINS: &[&str] = &[
    "arg0", "arg1", "arg2", "arg3", "arg4", "arg5", "arg6", "arg7", "arg8", "arg9", "args",
    "cgroup", "comm", "cpid", "cpu", "curtask", "elapsed", "func", "gid", "kstack", "ncpus",
    "nsecs", "pid", "probe", "rand", "retval", "tid", "uid", "username", "ustack",
];

/// Every name, sorted within its kind.
pub fn all() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().chain(BUILTINS).copied()
}

/// Whether a word is one of them.
pub fn is_name(word: &str) -> bool {
    all().any(|name| name == word)
}
