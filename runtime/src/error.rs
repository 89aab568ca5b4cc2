//! What can go wrong between an object and its output.

use std::fmt;
use std::io;

use rbtrace_probes_ebpf::object::ReadError;
use rbtrace_probes_ebpf::profile::KernelVersion;

pub use crate::load::verifier::Rejected;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The object was not made for this program or this machine.
    #[error(transparent)]
    NotAnObject(#[from] ReadError),
    /// The ELF file and its plan disagree, or one of them is broken.
    #[error("malformed object: {0}")]
    Malformed(String),
    /// The kernel lacks something.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The process lacks a capability.
    #[error("cannot {doing} without {capability}: run as root, or grant it to this program")]
    MissingCapability {
        /// Name as in capabilities(7).
        capability: &'static str,
        /// What it is needed for: an infinitive.
        doing: String,
    },
    /// The verifier refused a program: a bug of the compiler.
    #[error(transparent)]
    Rejected(Box<Rejected>),
    /// A kernel or user function does not exist.
    #[error("no function `{name}` in {place}{}", did_you_mean(similar))]
    UnknownSymbol {
        /// What was asked for.
        name: String,
        /// The kernel, or the path of a file.
        place: String,
        /// Names that exist, nearest first.
        similar: Vec<String>,
    },
    /// A tracepoint does not exist.
    #[error("no tracepoint `{name}`{}", did_you_mean(similar))]
    UnknownTracepoint {
        /// `category:name`
        name: String,
        /// Names that exist, nearest first.
        similar: Vec<String>,
    },
    /// A network interface does not exist.
    #[error("no network interface `{name}`{}", existing_interfaces(existing))]
    UnknownInterface {
        /// What was asked for.
        name: String,
        /// Those that exist.
        existing: Vec<String>,
    },
    /// A cgroup of version 2 does not exist.
    #[error("there is no cgroup {path}{}", cgroups_instead(similar))]
    UnknownCgroup {
        /// What was asked for.
        path: String,
        /// Names of cgroups beside it, nearest first.
        similar: Vec<String>,
    },
    /// A folder is no cgroup of version 2.
    #[error("{path} is no cgroup of version 2; those are below {}", roots.join(", "))]
    NotACgroup {
        /// The folder.
        path: String,
        /// Where the hierarchy is mounted.
        roots: Vec<String>,
    },
    /// There are no cgroups of version 2.
    #[error(
        "eBPF programs can only tell cgroups of version 2, whose file system is not mounted: \
         mount -t cgroup2 cgroup2 DIR"
    )]
    NoCgroups,
    /// A program or library was not found.
    #[error("no program or library `{name}`: {searched}")]
    UnknownBinary {
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        searched: String,
    },
    /// The place in a file is none that can be probed.
    #[error("cannot probe {place}: {reason}")]
    BadLocation {
        /// File and offset or symbol.
        place: String,
        /// Why not.
        reason: String,
    },
    /// A link cannot be given a name in a BPF file system.
    #[error("cannot pin {path}: {reason}")]
    Pin {
        /// Where it was to be.
        path: String,
        /// Why not.
        reason: String,
    },
    /// An interface runs an XDP program already.
    #[error("interface {interface} already runs an XDP program{}", program_named(program))]
    XdpConflict {
        /// Name of the interface.
        interface: String,
        /// Id and name of the program that is there, where the kernel tells.
        program: Option<(u32, String)>,
    },
    /// A map of this object has the name of another one of the session, but not its type.
    #[error("map {name} is already in use with another type: {reason}")]
    MapConflict {
        /// Name in the script.
        name: String,
        /// What differs.
        reason: String,
    },
    /// A probe could not be attached.
    #[error("cannot attach {probe}: {source}")]
    Attach {
        /// Full name of the probe.
        probe: String,
        /// Why.
        source: Box<Error>,
    },
    /// The process has as many files open as it may.
    #[error(
        "cannot {doing}: this process may not open more files, of which each probe takes two; run it as \
         root, or raise `ulimit -n`"
    )]
    TooManyFiles {
        /// What was tried: an infinitive.
        doing: String,
    },
    /// Every probe failed to attach.
    #[error("no probe could be attached")]
    NothingAttached,
    /// All that there is runs on request only.
    #[error("No probes attached; use {flag} to run {kind} probes.")]
    OnRequest {
        /// The flag of the command that asks for it.
        flag: &'static str,
        /// The kind of probes.
        kind: &'static str,
    },
    /// A command cannot be run.
    #[error("cannot run `{command}`: {reason}")]
    Command {
        /// The command, or its first word.
        command: String,
        /// Why.
        reason: String,
    },
    /// There is no such process.
    #[error("no process {0}")]
    NoProcess(u32),
    /// A capture cannot be read, or not to its end.
    #[error("cannot read {path}: {source}")]
    Capture {
        /// Path of the file.
        path: String,
        /// Why not.
        source: crate::capture::CaptureError,
    },
    /// An object heeds a cgroup, and nobody has said which.
    #[error("this object is for one cgroup: name it with --cgroup or --container")]
    NoCgroup,
    /// An object unwinds stacks by unwind data, and nobody has said of which processes.
    #[error("dw_ustack requires a target process: name one with -p, -c or --dwarf-pid")]
    NothingToUnwind,
    /// A record or a map entry does not fit the plan.
    #[error("malformed record: {0}")]
    Record(String),
    /// Output could not be written.
    #[error("cannot write output: {0}")]
    Output(#[source] io::Error),
    /// The system refused something else.
    #[error("cannot {doing}: {source}")]
    System {
        /// What was tried: an infinitive.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: says what was tried.
    pub(crate) fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let doing = doing.into();
        move |source| Error::System { doing, source }
    }

    /// An error of bpf(2) or perf_event_open(2): a missing capability where that explains it.
    pub(crate) fn privileged(
        doing: impl Into<String>,
        needs: crate::features::Need,
        source: io::Error,
    ) -> Error {
        let doing = doing.into();
        let refused = matches!(source.raw_os_error(), Some(libc::EPERM | libc::EACCES));
        if source.raw_os_error() == Some(libc::EMFILE) {
            return Error::TooManyFiles { doing };
        }
        match crate::features::missing_capability(needs) {
            _ if !refused => Error::System { doing, source },
            Some(capability) => Error::MissingCapability { capability, doing },
            // Older kernels want more for user probes, for one.
            None if !crate::features::Capabilities::current().sys_admin() => {
                Error::MissingCapability { capability: "CAP_SYS_ADMIN", doing }
            }
            None => Error::System { doing, source },
        }
    }

    /// The kernel feature that is missing, if that is the reason.
    pub fn unsupported(&self) -> Option<&Unsupported> {
        match self {
            Error::Unsupported(u) => Some(u),
            Error::Attach { source, .. } => source.unsupported(),
            _ => None,
        }
    }
}

/// The running kernel lacks a feature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Unsupported {
    /// The feature, in a few words: `kprobes`.
    pub feature: &'static str,
    /// First kernel that has it.
    pub since: Option<KernelVersion>,
    /// Option of the kernel's configuration that it needs.
    pub config: Option<&'static str>,
    /// What to do instead.
    pub hint: Option<String>,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this kernel has no {}", self.feature)?;
        match (self.since, self.config) {
            (Some(since), Some(config)) => write!(f, " (Linux {since} with {config})")?,
            (Some(since), None) => write!(f, " (Linux {since} and later have it)")?,
            (None, Some(config)) => write!(f, " ({config} is off)")?,
            (None, None) => {}
        }
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

fn did_you_mean(similar: &[String]) -> String {
    match similar {
        [] => String::new(),
        names => format!("; did you mean {}?", alternatives(names)),
    }
}

fn cgroups_instead(similar: &[String]) -> String {
    match similar {
        [] => "; systemd-cgls or find /sys/fs/cgroup -type d shows them".into(),
        names => format!("; there is {}", names.join(", ")),
    }
}

fn existing_interfaces(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; there are {}", names.join(", ")) }
}

fn program_named(program: &Option<(u32, String)>) -> String {
    match program {
        Some((id, name)) if name.is_empty() => format!(": id {id}"),
        Some((id, name)) => format!(": id {id}, `{name}`"),
        None => String::new(),
    }
}

/// `a`, `a or b`, `a, b or c`.
fn alternatives(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// The `count` names most like `name`, nearest first; none that are far off.
pub fn nearest<'a>(
    name: &str,
    names: impl IntoIterator<Item = &'a str>,
    count: usize,
) -> Vec<String> {
    let limit = (name.len() / 3).clamp(1, 6);
    let mut scored: Vec<(usize, &str)> = names
        .into_iter()
        .filter(|n| may_be_near(name, n, limit))
        .map(|n| (strsim::damerau_levenshtein(name, n), n))
        .filter(|(distance, n)| *distance <= limit || is_part(name, n))
        .collect();
    scored.sort_unstable();
    scored.dedup();
    scored.into_iter().take(count).map(|(_, n)| n.to_owned()).collect()
}

/// Most bytes that a name may have around another that is part of it.
const AROUND: usize = 8;

fn is_part(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    short.len() > 2 && long.len() - short.len() <= AROUND && long.contains(short)
}

/// A quick look, since the kernel has 100,000 names: names that differ in more letters than
/// `limit` can change are not near.
fn may_be_near(a: &str, b: &str, limit: usize) -> bool {
    if a.len().abs_diff(b.len()) > limit {
        return is_part(a, b);
    }
    let mut letters = [0i16; 256];
    a.bytes().for_each(|c| letters[usize::from(c)] += 1);
    b.bytes().for_each(|c| letters[usize::from(c)] -= 1);
    let unmatched: usize = letters.iter().map(|n| usize::from(n.unsigned_abs())).sum();
    // One change of a letter leaves two unmatched.
    unmatched <= 2 * limit || is_part(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names_come_first() {
        let names = ["sys_enter_open", "sys_enter_openat", "sys_exit_openat", "sched_switch"];
        let near = nearest("sys_enter_opentat", names, 2);
        assert_eq!(near, ["sys_enter_openat", "sys_enter_open"]);
        assert!(nearest("xyzzy", names, 2).is_empty());
    }

    #[test]
    fn messages_read_as_sentences() {
        let e = Error::UnknownSymbol {
            name: "opne".into(),
            place: "/bin/x".into(),
            similar: vec!["open".into(), "opener".into()],
        };
        assert_eq!(e.to_string(), "no function `opne` in /bin/x; did you mean `open` or `opener`?");
        let u = Unsupported {
            feature: "kprobes",
            since: None,
            config: Some("CONFIG_KPROBES"),
            hint: Some("tracepoints serve".into()),
        };
        assert_eq!(
            u.to_string(),
            "this kernel has no kprobes (CONFIG_KPROBES is off); tracepoints serve"
        );
    }
}
