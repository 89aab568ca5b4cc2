//! `kprobe` and `kretprobe`: the kprobe PMU, or one link for many functions.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::BorrowedFd;

use rbtrace_probes_ebpf::plan::{KernelFunction, Probe, Target};

use super::{Attachment, Context, Site};
use crate::error::{Error, Unsupported};
use crate::features::{self, Need};
use crate::symbols::kernel::KernelSymbols;
use crate::sys::{link, perf};

/// Name of the PMU.
const PMU: &str = "kprobe";

/// Tracepoints that tell what probes on a family of functions are mostly used for.
const SERVING: &[(&str, &[&str])] = &[
    ("open", &["syscalls:sys_enter_openat", "syscalls:sys_enter_open"]),
    ("vfs_read", &["syscalls:sys_enter_read", "syscalls:sys_exit_read"]),
    ("vfs_write", &["syscalls:sys_enter_write", "syscalls:sys_exit_write"]),
    ("unlink", &["syscalls:sys_enter_unlinkat", "syscalls:sys_enter_unlink"]),
    ("tcp_connect", &["sock:inet_sock_set_state", "syscalls:sys_enter_connect"]),
    ("tcp", &["sock:inet_sock_set_state", "tcp:tcp_probe"]),
    ("udp", &["net:net_dev_xmit", "net:netif_receive_skb"]),
    ("exec", &["sched:sched_process_exec"]),
    ("fork", &["sched:sched_process_fork"]),
    ("exit", &["sched:sched_process_exit"]),
    ("sched", &["sched:sched_switch", "sched:sched_wakeup"]),
    ("blk", &["block:block_rq_issue", "block:block_rq_complete"]),
    ("alloc", &["kmem:kmalloc", "kmem:mm_page_alloc"]),
    ("fault", &["exceptions:page_fault_user"]),
];

/// Attaches to one function, instruction or address.
pub(super) fn attach(
    site: &Site<'_>,
    function: &KernelFunction,
    on_return: bool,
) -> Result<Attachment, Error> {
    let Some(pmu) = features::pmu_type(PMU) else {
        return Err(no_kprobes(&function.function, site.context));
    };
    let name = match (module(function), function.function.as_str()) {
        (_, "") => None,
        (None, name) => Some(name.to_owned()),
        (Some(module), name) => Some(format!("{module}:{name}")),
    };
    let c_name = name.as_deref().map(CString::new).transpose();
    let c_name = c_name.map_err(|_| unknown(function))?;
    let spec = perf::ProbeSpec {
        pmu,
        return_bit: on_return.then(|| features::pmu_return_bit(PMU)),
        semaphore: 0,
        name: c_name.as_deref(),
        offset: function.offset,
        pid: None,
    };
    let event = perf::open_probe(&spec).map_err(|e| explain(function, e))?;
    site.attach_event(event)
}

/// The module that a function is in; `vmlinux` names the kernel itself.
pub(crate) fn module(function: &KernelFunction) -> Option<&str> {
    function.module.as_deref().filter(|m| *m != "vmlinux")
}

/// Attaches to many functions by one link.
pub(super) fn attach_many(
    program: BorrowedFd<'_>,
    probes: &[(u32, &Probe)],
    on_return: bool,
) -> Result<Attachment, Error> {
    let mut names = Vec::new();
    let mut cookies = Vec::new();
    for (index, probe) in probes {
        if let Target::Kprobe(f) | Target::Kretprobe(f) = &probe.target
            && let Ok(name) = CString::new(f.function.as_str())
        {
            names.push(name);
            cookies.push(u64::from(*index));
        }
    }
    let names: Vec<&CStr> = names.iter().map(CString::as_c_str).collect();
    let link = link::kprobe_multi(program, &names, &cookies, on_return)
        .map_err(|e| Error::privileged("attach to kernel functions", Need::Tracing, e))?;
    Ok(Attachment::by_link(link))
}

fn explain(function: &KernelFunction, error: io::Error) -> Error {
    let place = || match function.offset {
        0 => function.function.clone(),
        offset => format!("{}+{offset:#x}", function.function),
    };
    let reason = match error.raw_os_error() {
        Some(libc::ENOENT) => return unknown(function),
        Some(libc::EINVAL | libc::EILSEQ) => {
            "no instruction begins there, or the kernel does not allow probes in this function"
        }
        Some(libc::EADDRNOTAVAIL) => "the address is in no module that is loaded",
        Some(libc::EOPNOTSUPP) => "the kernel cannot replace this instruction",
        _ => {
            let doing = format!("open a kprobe on {}", place());
            return Error::privileged(doing, Need::Tracing, error);
        }
    };
    Error::BadLocation { place: place(), reason: reason.into() }
}

fn unknown(function: &KernelFunction) -> Error {
    let symbols = KernelSymbols::read().unwrap_or_default();
    let place = match module(function) {
        Some(module) => format!("module {module}"),
        None => "the kernel".into(),
    };
    let similar = symbols.similar(&function.function, 3);
    Error::UnknownSymbol { name: function.function.clone(), place, similar }
}

fn no_kprobes(function: &str, context: &Context) -> Error {
    let serving = serving_tracepoints(function, context);
    let hint = match serving.as_slice() {
        [] => "tracepoints and uprobes work: see `rbtrace -l 'tracepoint:*'`".into(),
        names => format!("a tracepoint may serve: {}", names.join(", ")),
    };
    Unsupported {
        feature: "kprobes",
        since: None,
        config: Some("CONFIG_KPROBES"),
        hint: Some(hint),
    }
    .into()
}

/// Tracepoints of this kernel that may serve instead of a probe on a function.
fn serving_tracepoints(function: &str, context: &Context) -> Vec<String> {
    let Ok(tracefs) = context.tracefs() else { return Vec::new() };
    // `__x64_sys_openat`, `sys_openat`, `do_sys_openat2`: the system call's own name.
    let call = function.split("sys_").last().unwrap_or(function).trim_end_matches('2');
    let own = format!("syscalls:sys_enter_{call}");
    let table = SERVING.iter().filter(|(part, _)| function.contains(part)).take(1);
    let candidates =
        std::iter::once(own.as_str()).chain(table.flat_map(|(_, t)| t.iter().copied()));
    let mut found: Vec<String> = Vec::new();
    for name in candidates {
        let exists = name.split_once(':').is_some_and(|(c, n)| tracefs.has(c, n));
        let full = format!("tracepoint:{name}");
        if exists && !found.contains(&full) {
            found.push(full);
        }
    }
    found
}
