//! The tools that come with bpftrace, unchanged: those of its newest version in Debian's sid, and
//! those of 0.17 in bookworm.

mod attach;
mod expected;
mod files;
mod programs;
mod system;

use crate::ctx::Workload;
use crate::features::Feature::{
    Bash, Btf, Disk, Kprobe, LibcShared, NoKprobe, Root, Tools, Tracepoint, Uprobe,
};
use crate::output::Output;
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("tools/sid_compile", &[Root, Btf, Tracepoint, Tools, NoKprobe], attach::sid_compile),
    Test::new(
        "tools/bookworm_compile",
        &[Root, Btf, Tracepoint, Tools, NoKprobe],
        attach::bookworm_compile,
    ),
    Test::new(
        "tools/sid_attach",
        &[Root, Btf, Tracepoint, Tools, Kprobe, Uprobe, LibcShared, Bash],
        attach::sid_attach,
    ),
    Test::new(
        "tools/bookworm_attach",
        &[Root, Btf, Tracepoint, Tools, Kprobe, Uprobe, LibcShared, Bash],
        attach::bookworm_attach,
    ),
    Test::new("tools/opensnoop", &[Root, Btf, Tracepoint, Tools], files::opensnoop),
    Test::new("tools/statsnoop", &[Root, Tracepoint, Tools], files::statsnoop),
    Test::new("tools/vfscount", &[Root, Kprobe, Tools], files::vfscount),
    Test::new("tools/biolatency", &[Root, Tracepoint, Tools, Disk], files::biolatency),
    Test::new("tools/execsnoop", &[Root, Tracepoint, Tools], programs::execsnoop),
    Test::new("tools/bashreadline", &[Root, Uprobe, Tools, Bash], programs::bashreadline),
    Test::new("tools/runqlat", &[Root, Tracepoint, Tools], system::runqlat),
    Test::new("tools/syscount", &[Root, Tracepoint, Tools], system::syscount),
    Test::new("tools/capable", &[Root, Kprobe, Tools], system::capable),
    Test::new("tools/tcpconnect", &[Root, Btf, Kprobe, Tools], system::tcpconnect),
];

/// The name of this program, as `comm` shows it.
const OWN_COMM: &str = "rbtrace-live-te";

/// The lines of a table that `pid` made, as words; the number is in column `column`.
fn rows_of(out: &Output, column: usize, pid: u32) -> Vec<Vec<&str>> {
    let pid = pid.to_string();
    let rows = out.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.get(column) == Some(&pid.as_str())).collect()
}

/// Lets a workload run and gives the process id that it had.
fn pid_of(workload: Workload) -> anyhow::Result<u32> {
    let pid = workload.pid();
    workload.go()?;
    Ok(pid)
}
