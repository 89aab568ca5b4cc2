//! Texts for numbers of the kernel: errors, signals, system calls.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::profile::Arch;

/// A set of texts by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Names {
    /// What an errno value means, as `strerror` prints it; negative ones count as positive.
    Errors,
    /// What a signal means, as strsignal(3) has it.
    Signals,
    /// The names of system calls.
    Syscalls(Arch),
}

impl Names {
    /// The texts of 0, 1, 2 and so on; an empty one where a number has none.
    pub fn texts(self) -> &'static [&'static str] {
        match self {
            Names::Errors => ERRORS,
            Names::Signals => &SIGNALS,
            Names::Syscalls(Arch::X86_64) => &X86_64,
            Names::Syscalls(Arch::Aarch64) => &AARCH64,
        }
    }

    /// The text of a number that has none.
    pub const fn otherwise(self) -> &'static str {
        match self {
            Names::Errors => "Unknown error",
            Names::Signals => "N/A",
            Names::Syscalls(_) => "Unknown syscall",
        }
    }
}

/// Signals by their names without `SIG` (asm-generic/signal.h; the real-time ones as the C library
/// has them).
pub const SIGNAL_NAMES: &[(&str, u32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("IOT", 6),
    ("CLD", 17),
    ("POLL", 29),
    ("RTMIN", 34),
    ("RTMAX", 64),
];

/// The number of a signal by its name without `SIG`.
pub fn signal_number(name: &str) -> Option<u32> {
    SIGNAL_NAMES.iter().find(|(n, _)| *n == name).map(|(_, number)| *number)
}

/// First signal that is for the use of programs (`SIGRTMIN` of the C library), and the last.
const REAL_TIME: [usize; 2] = [34, 64];

static SIGNALS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut texts = ORDINARY_SIGNALS.to_vec();
    for number in REAL_TIME[0]..=REAL_TIME[1] {
        let text = format!("Real-time signal {}", number - REAL_TIME[0]);
        texts.push(text.leak());
    }
    texts
});

/// The names of an architecture's calls by number.
macro_rules! syscalls {
    ($arch:ident) => {
        LazyLock::new(|| {
            let mut texts = Vec::new();
            for call in syscalls::$arch::Sysno::iter() {
                let number = call.id() as usize;
                if texts.len() <= number {
                    texts.resize(number + 1, "");
                }
                if let Some(text) = texts.get_mut(number) {
                    *text = call.name();
                }
            }
            texts
        })
    };
}

static X86_64: LazyLock<Vec<&'static str>> = syscalls!(x86_64);
static AARCH64: LazyLock<Vec<&'static str>> = syscalls!(aarch64);

/// Errors of asm-generic/errno.h.
const ERRORS: &[&str] = &[
    "Success",
    "Operation not permitted",
    "No such file or directory",
    "No such process",
    "Interrupted system call",
    "I/O error",
    "No such device or address",
    "Argument list too long",
    "Exec format error",
    "Bad file number",
    "No child processes",
    "Try again (operation would block)",
    "Out of memory",
    "Permission denied",
    "Bad address",
    "Block device required",
    "Device or resource busy",
    "File exists",
    "Cross-device link",
    "No such device",
    "Not a directory",
    "Is a directory",
    "Invalid argument",
    "File table overflow",
    "Too many open files",
    "Not a typewriter",
    "Text file busy",
    "File too large",
    "No space left on device",
    "Illegal seek",
    "Read-only file system",
    "Too many links",
    "Broken pipe",
    "Math argument out of domain of func",
    "Math result not representable",
    "Resource deadlock would occur",
    "File name too long",
    "No record locks available",
    "Invalid system call number",
    "Directory not empty",
    "Too many symbolic links encountered",
    "",
    "No message of desired type",
    "Identifier removed",
    "Channel number out of range",
    "Level 2 not synchronized",
    "Level 3 halted",
    "Level 3 reset",
    "Link number out of range",
    "Protocol driver not attached",
    "No CSI structure available",
    "Level 2 halted",
    "Invalid exchange",
    "Invalid request descriptor",
    "Exchange full",
    "No anode",
    "Invalid request code",
    "Invalid slot",
    "",
    "Bad font file format",
    "Device not a stream",
    "No data available",
    "Timer expired",
    "Out of streams resources",
    "Machine is not on the network",
    "Package not installed",
    "Object is remote",
    "Link has been severed",
    "Advertise error",
    "Srmount error",
    "Communication error on send",
    "Protocol error",
    "Multihop attempted",
    "RFS specific error",
    "Not a data message",
    "Value too large for defined data type",
    "Name not unique on network",
    "File descriptor in bad state",
    "Remote address changed",
    "Can not access a needed shared library",
    "Accessing a corrupted shared library",
    ".lib section in a.out corrupted",
    "Attempting to link in too many shared libraries",
    "Cannot exec a shared library directly",
    "Illegal byte sequence",
    "Interrupted system call should be restarted",
    "Streams pipe error",
    "Too many users",
    "Socket operation on non-socket",
    "Destination address required",
    "Message too long",
    "Protocol wrong type for socket",
    "Protocol not available",
    "Protocol not supported",
    "Socket type not supported",
    "Operation not supported on transport endpoint",
    "Protocol family not supported",
    "Address family not supported by protocol",
    "Address already in use",
    "Cannot assign requested address",
    "Network is down",
    "Network is unreachable",
    "Network dropped connection because of reset",
    "Software caused connection abort",
    "Connection reset by peer",
    "No buffer space available",
    "Transport endpoint is already connected",
    "Transport endpoint is not connected",
    "Cannot send after transport endpoint shutdown",
    "Too many references: cannot splice",
    "Connection timed out",
    "Connection refused",
    "Host is down",
    "No route to host",
    "Operation already in progress",
    "Operation now in progress",
    "Stale file handle",
    "Structure needs cleaning",
    "Not a XENIX named type file",
    "No XENIX semaphores available",
    "Is a named type file",
    "Remote I/O error",
    "Quota exceeded",
    "No medium found",
    "Wrong medium type",
    "Operation Canceled",
    "Required key not available",
    "Key has expired",
    "Key has been revoked",
    "Key was rejected by service",
    "Owner died",
    "State not recoverable",
    "Operation not possible due to RF-kill",
    "Memory page has hardware error",
];

/// Signals below the real-time ones (signal(7)).
const ORDINARY_SIGNALS: &[&str] = &[
    "Unknown signal 0",
    "Hangup",
    "Interrupt",
    "Quit",
    "Illegal instruction",
    "Trace/breakpoint trap",
    "Aborted",
    "Bus error",
    "Floating point exception",
    "Killed",
    "User defined signal 1",
    "Segmentation fault",
    "User defined signal 2",
    "Broken pipe",
    "Alarm clock",
    "Terminated",
    "Stack fault",
    "Child exited",
    "Continued",
    "Stopped (signal)",
    "Stopped",
    "Stopped (tty input)",
    "Stopped (tty output)",
    "Urgent I/O condition",
    "CPU time limit exceeded",
    "File size limit exceeded",
    "Virtual timer expired",
    "Profiling timer expired",
    "Window changed",
    "I/O possible",
    "Power failure",
    "Bad system call",
    "Unknown signal 32",
    "Unknown signal 33",
];

/// The number of a system call.
pub fn syscall_number(arch: Arch, name: &str) -> Option<u32> {
    let all = Names::Syscalls(arch).texts();
    let number = all.iter().position(|text| *text == name).filter(|_| !name.is_empty())?;
    u32::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_texts() {
        let text = |names: Names, number: usize| names.texts().get(number).copied();
        assert_eq!(text(Names::Errors, 2), Some("No such file or directory"));
        assert_eq!(text(Names::Errors, 133), Some("Memory page has hardware error"));
        assert_eq!(text(Names::Errors, 134), None);
        assert_eq!(text(Names::Signals, 9), Some("Killed"));
        assert_eq!(text(Names::Signals, 64), Some("Real-time signal 30"));
        assert_eq!(text(Names::Syscalls(Arch::X86_64), 0), Some("read"));
        assert_eq!(text(Names::Syscalls(Arch::X86_64), 334), Some("rseq"));
        assert_eq!(syscall_number(Arch::X86_64, "rseq"), Some(334));
        assert_eq!(syscall_number(Arch::Aarch64, "read"), Some(63));
        assert_eq!(syscall_number(Arch::X86_64, ""), None);
        assert_eq!(text(Names::Syscalls(Arch::Aarch64), 63), Some("read"));
    }
}
