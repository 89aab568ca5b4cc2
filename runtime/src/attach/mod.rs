//! Attaching programs to probes, a file for each kind.
//!
//! Whatever is attached hangs on file descriptors alone: when they are closed, by whatever end
//! of the process, nothing is left in the kernel. The one exception are filters of `tc` probes on kernels
//! without links for them, which a process of their own removes.

mod cgroup_skb;
mod counter;
mod fentry;
pub(crate) mod hook;
pub(crate) mod iter;
pub(crate) mod kprobe;
mod lsm;
mod rawtracepoint;
pub(crate) mod run;
mod socket;
mod tc;
mod timer;
mod tracepoint;
mod uprobe;
mod usdt;
mod watchpoint;
mod xdp;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Probe, Target};
use rbtrace_probes_ebpf::profile::KernelVersion;

use crate::error::{Error, Unsupported};
use crate::features::{self, Need};
use crate::load::LoadedProgram;
use crate::progress::Progress;
use crate::sys::{link, perf};
use crate::tracefs::Tracefs;

/// First kernel whose perf events take links, and with them cookies.
const COOKIES_SINCE: KernelVersion = KernelVersion::new(5, 15);
/// Most threads that close descriptors.
const CLOSERS: usize = 32;

/// An attached program. Dropping it detaches.
#[derive(Debug, Default)]
pub(crate) struct Attachment {
    /// Links. Without them the program no longer runs.
    pub links: Vec<OwnedFd>,
    /// Perf events that the links are on, or that the program is on without a link. Closing one
    /// takes the kernel long.
    pub events: Vec<OwnedFd>,
    /// What removes it where no descriptor does.
    pub filter: Option<tc::Filter>,
    /// An iterator, which runs when it is told to.
    pub iterator: Option<iter::Run>,
    /// What the user should know of how it was attached.
    pub note: Option<String>,
}

impl Attachment {
    /// By a link alone.
    fn by_link(link: OwnedFd) -> Self {
        Self { links: vec![link], ..Self::default() }
    }
}

/// What attaching needs to know of the machine.
#[derive(Debug)]
pub(crate) struct Context {
    /// Version of the running kernel.
    pub kernel: KernelVersion,
    /// Only this process, for probes that can be limited to one.
    pub pid: Option<u32>,
    /// Told while probes are attached.
    pub progress: Progress,
    /// Queueing disciplines that were added.
    clsact: tc::Disciplines,
    tracefs: OnceLock<Tracefs>,
}

impl Context {
    /// For the running kernel.
    pub fn new(pid: Option<u32>, progress: Progress) -> Self {
        let kernel = features::kernel_version();
        let clsact = tc::Disciplines::default();
        Self { kernel, pid, progress, clsact, tracefs: OnceLock::new() }
    }

    /// The tracing filesystem, opened when first asked for.
    pub fn tracefs(&self) -> Result<&Tracefs, Error> {
        if let Some(open) = self.tracefs.get() {
            return Ok(open);
        }
        let opened = Tracefs::open()?;
        Ok(self.tracefs.get_or_init(|| opened))
    }
}

/// A program and the probe that it is to be attached to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    /// The program.
    pub program: BorrowedFd<'a>,
    /// Index of the probe in the plan, which is its attach cookie.
    pub probe: u32,
    /// The program reads its cookie.
    pub uses_cookie: bool,
    /// The machine.
    pub context: &'a Context,
}

impl Site<'_> {
    /// Attaches the program to a perf event and starts that.
    fn attach_event(&self, event: OwnedFd) -> Result<Attachment, Error> {
        let failed = |e| Error::privileged("attach a program", Need::Tracing, e);
        if self.context.kernel >= COOKIES_SINCE {
            let link =
                link::perf_event(self.program, event.as_fd(), self.probe.into()).map_err(failed)?;
            perf::enable(event.as_fd()).map_err(failed)?;
            return Ok(Attachment { events: vec![event], ..Attachment::by_link(link) });
        }
        if self.uses_cookie {
            return Err(Unsupported {
                feature: "attach cookies",
                since: Some(COOKIES_SINCE),
                config: None,
                hint: Some("write a block of its own for each probe".into()),
            }
            .into());
        }
        perf::set_program(event.as_fd(), self.program).map_err(failed)?;
        perf::enable(event.as_fd()).map_err(failed)?;
        Ok(Attachment { events: vec![event], ..Attachment::default() })
    }
}

/// Attaches a program to one probe.
pub(crate) fn attach(site: &Site<'_>, target: &Target) -> Result<Attachment, Error> {
    match target {
        Target::Begin
        | Target::End
        | Target::Signal { .. }
        | Target::Test { .. }
        | Target::Bench { .. } => Ok(Attachment::default()),
        Target::Interval { nanoseconds } => timer::interval(site, *nanoseconds),
        Target::Profile(period) => timer::profile(site, *period),
        Target::Software { event, count } => {
            counter::attach(site, ProbeKind::Software, event, *count)
        }
        Target::Hardware { event, count } => {
            counter::attach(site, ProbeKind::Hardware, event, *count)
        }
        Target::Watchpoint(watchpoint) => watchpoint::attach(site, watchpoint),
        Target::Kprobe(function) => kprobe::attach(site, function, false),
        Target::Kretprobe(function) => kprobe::attach(site, function, true),
        Target::Tracepoint { category, name } => tracepoint::attach(site, category, name),
        Target::RawTracepoint { name, .. } => rawtracepoint::attach(site, name),
        Target::Fentry(function) | Target::Fexit(function) => fentry::attach(site, function),
        Target::ProgramEntry(function) | Target::ProgramExit(function) => {
            fentry::attach_to_target(site, &function.function)
        }
        Target::Iter { object, pin } => iter::attach(site, object, pin.as_deref()),
        Target::Lsm { hook } => lsm::attach(site, hook),
        Target::Usdt(probe) => usdt::attach(site, probe),
        Target::Uprobe(function) => uprobe::attach(site, function, false),
        Target::Uretprobe(function) => uprobe::attach(site, function, true),
        Target::Xdp { .. }
        | Target::Tc { .. }
        | Target::Socket { .. }
        | Target::CgroupSkb { .. } => {
            Err(Error::Malformed("a probe for packets is attached by its hook".into()))
        }
    }
}

/// Attaches a program to many probes at once. An error means that it must be done one by one.
pub(crate) fn attach_many(
    kind: ProbeKind,
    program: &LoadedProgram,
    probes: &[(u32, &Probe)],
    context: &Context,
) -> Result<Attachment, Error> {
    let program = program.fd.as_fd();
    match kind {
        ProbeKind::Kprobe | ProbeKind::Kretprobe => {
            kprobe::attach_many(program, probes, kind == ProbeKind::Kretprobe)
        }
        ProbeKind::Usdt => usdt::attach_many(program, probes, context),
        _ => uprobe::attach_many(program, probes, context, kind == ProbeKind::Uretprobe),
    }
}

/// Whether probes of a kind are attached last to first. The kernel runs those in reverse order
/// of attachment, so that blocks run in the order in which they are written.
pub(crate) fn in_reverse(kind: ProbeKind) -> bool {
    matches!(kind, ProbeKind::Kprobe | ProbeKind::Uprobe | ProbeKind::Uretprobe | ProbeKind::Usdt)
}

/// Detaches: when this returns, no program runs any more. What is left of the perf events is
/// returned; closing it takes time that nothing has to wait for.
pub(crate) fn detach_all(attachments: Vec<Attachment>) -> Vec<OwnedFd> {
    let (mut links, mut events) = (Vec::new(), Vec::new());
    for attachment in attachments {
        // A program without a link is on the event itself.
        let to = if attachment.links.is_empty() { &mut links } else { &mut events };
        to.extend(attachment.events);
        links.extend(attachment.links);
        // It is waited for.
        drop(attachment.filter);
    }
    close_all(links);
    events
}

/// Closes descriptors, side by side where there are several: each waits for the kernel.
pub(crate) fn close_all(mut handles: Vec<OwnedFd>) {
    if handles.len() < 2 {
        return;
    }
    let share = handles.len().div_ceil(CLOSERS).max(1);
    std::thread::scope(|scope| {
        while !handles.is_empty() {
            let part = handles.split_off(handles.len().saturating_sub(share));
            // Where no thread can be had, the closure is dropped, and with it the part.
            drop(std::thread::Builder::new().spawn_scoped(scope, move || drop(part)));
        }
    });
}
