//! Every kind of probe, once: what it says is compared with the truth where the kernel has it, and
//! elsewhere it must be refused with the reason. What each test notes is a cell of docs/kernels.md.

use std::fs;

use anyhow::{Context, Result, bail, ensure};

use crate::cgroup::Cgroup;
use crate::ctx::{COMM, Ctx, Workload};
use crate::features::Feature::{self, Root};
use crate::net::{FAR, Hosts, Pair};
use crate::output::Output;
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("kinds/begin_and_end", &[Root], begin_and_end),
    Test::new("kinds/self:signal", &[Root], signal),
    Test::new("kinds/test_and_bench", &[Root], test_and_bench),
    Test::new("kinds/interval", &[Root], interval),
    Test::new("kinds/profile", &[Root], profile),
    Test::new("kinds/software", &[Root], software),
    Test::new("kinds/hardware", &[Root], hardware),
    Test::new("kinds/watchpoint", &[Root], watchpoint),
    Test::new("kinds/kprobe", &[Root], kprobe),
    Test::new("kinds/kprobe_at_offset", &[Root], kprobe_at_offset),
    Test::new("kinds/kprobe_at_address", &[Root], kprobe_at_address),
    Test::new("kinds/kretprobe", &[Root], kretprobe),
    Test::new("kinds/kprobe_of_many", &[Root], kprobe_of_many),
    Test::new("kinds/fentry", &[Root], fentry),
    Test::new("kinds/fexit", &[Root], fexit),
    Test::new("kinds/fentry_of_module", &[Root], fentry_of_module),
    Test::new("kinds/iter:task", &[Root], iter_task),
    Test::new("kinds/iter:task_file", &[Root], iter_task_file),
    Test::new("kinds/iter:task_vma", &[Root], iter_task_vma),
    Test::new("kinds/lsm", &[Root], lsm),
    Test::new("kinds/tracepoint", &[Root], tracepoint),
    Test::new("kinds/rawtracepoint", &[Root], rawtracepoint),
    Test::new("kinds/uprobe", &[Root], uprobe),
    Test::new("kinds/uprobe_at_offset", &[Root], uprobe_at_offset),
    Test::new("kinds/uretprobe", &[Root], uretprobe),
    Test::new("kinds/usdt", &[Root], usdt),
    Test::new("kinds/usdt_with_semaphore", &[Root], usdt_with_semaphore),
    Test::new("kinds/xdp", &[Root], xdp),
    Test::new("kinds/tc", &[Root], tc),
    Test::new("kinds/socket", &[Root], socket),
    Test::new("kinds/cgroup_skb", &[Root], cgroup_skb),
];

/// getpgid(2): its function in the kernel and its number.
const GETPGID: &str =
    if cfg!(target_arch = "x86_64") { "__x64_sys_getpgid" } else { "__arm64_sys_getpgid" };
const GETPGID_NUMBER: u32 = if cfg!(target_arch = "x86_64") { 121 } else { 155 };

/// Whether the kernel has what a kind needs; if not, a script of that kind is refused with this
/// message.
fn has(ctx: &Ctx, feature: Feature, script: &str, refusal: &str) -> Result<bool> {
    if ctx.has(feature) {
        return Ok(true);
    }
    ctx.script(script).finish()?.exited(1)?.complains(refusal)?;
    note_lack(ctx, refusal);
    Ok(false)
}

/// Notes what the kernel lacks, which messages say as `this kernel has no ...`.
fn note_lack(ctx: &Ctx, refusal: &str) {
    ctx.note(refusal.strip_prefix("this kernel has ").unwrap_or(refusal));
}

/// What a script prints as JSON while a workload runs.
fn with_workload(ctx: &Ctx, script: &str, workload: &str) -> Result<Output> {
    ctx.script(script).json().workload(workload).finish()?.success()
}

/// The same of a script that ends by itself, which finds the workload as it is held, with its process
/// id in place of `{pid}`.
fn of_process(ctx: &Ctx, script: &str, workload: Workload) -> Result<Output> {
    let script = script.replace("{pid}", &workload.pid().to_string());
    let out = ctx.script(&script).json().finish()?.success()?;
    workload.go()?;
    Ok(out)
}

fn begin_and_end(ctx: &Ctx) -> Result<()> {
    let script = r#"BEGIN { @n = 1; exit(); } END { @n++; print(@n); clear(@n); }"#;
    ctx.script(script).finish()?.success()?.lines_are(&["@n: 2"])
}

fn signal(ctx: &Ctx) -> Result<()> {
    let script =
        r#"self:signal:SIGUSR1 { @n++; if (@n == 2) { exit(); } else { printf("one\n"); } }"#;
    let mut session = ctx.script(script).json().start()?;
    session.signal(libc::SIGUSR1)?;
    session.wait_for_line(r#"{"type": "printf", "data": "one\n"}"#)?;
    session.signal(libc::SIGUSR1)?;
    let out = session.wait()?.success()?;
    out.same("signals", out.number("@n")?, 2)
}

fn test_and_bench(ctx: &Ctx) -> Result<()> {
    let script =
        "test:right { assert(1 + 1 == 2, \"sum\"); } test:wrong { assert(1 > 2, \"order\"); }";
    let out = ctx.script(script).args(&["--test"]).finish()?.exited(1)?;
    let said = |what: &str| out.check(out.stdout.contains(what), format_args!("not said: {what}"));
    said("OK ]\u{1b}[0m right")?;
    said("FAILED  ]\u{1b}[0m wrong")?;
    said("2 tests ran.")?;
    let out = ctx.script("bench:nothing { }").args(&["--bench"]).finish()?.success()?;
    out.check(out.stdout.contains("nothing "), "no line of the benchmark")
}

fn interval(ctx: &Ctx) -> Result<()> {
    let script = "interval:ms:20 { @n++; if (@n == 5) { @took = elapsed; exit(); } }";
    let out = ctx.script(script).json().finish()?.success()?;
    out.same("intervals", out.number("@n")?, 5)?;
    // They begin when the probe is attached, a little after what `elapsed` counts from.
    out.check(out.number("@took")? >= 100_000_000, "the intervals are too short")
}

fn profile(ctx: &Ctx) -> Result<()> {
    let script = "BEGIN { @start = nsecs; } END { @took = nsecs - @start; }
        profile:ms:10 { @[cpu] = count(); }";
    let session = ctx.script(script).json().start()?;
    ctx.start_workload(&["spin", "300"])?.go()?;
    let out = session.interrupt()?.success()?;
    let most = out.number("@took")? / 10_000_000 + 1;
    for cpu in 0..std::thread::available_parallelism()?.get() {
        let samples = out.number_at("@", &cpu.to_string())?;
        out.check((1..=most).contains(&samples), format_args!("{samples} samples on CPU {cpu}"))?;
    }
    Ok(())
}

fn software(ctx: &Ctx) -> Result<()> {
    let script = format!(r#"software:page-faults:1 /comm == "{COMM}"/ {{ @ = count(); }}"#);
    let out = with_workload(ctx, &script, "faults 100")?;
    let own = out.stderr.lines().find_map(|line| line.strip_prefix("faults ")?.parse().ok());
    let own: i64 = own.context("the workload's own count")?;
    let counted = out.number("@")?;
    out.check((100..=own).contains(&counted), format_args!("{counted} page faults, not {own}"))
}

fn hardware(ctx: &Ctx) -> Result<()> {
    let script = format!(r#"hardware:cycles:100000 /comm == "{COMM}"/ {{ @ = count(); }}"#);
    if !has(ctx, Feature::Counters, &script, "this kernel has no hardware counter of this event")? {
        return Ok(());
    }
    let out = with_workload(ctx, &script, "spin 300")?;
    out.check(out.number("@")? > 0, "nothing was counted")
}

fn watchpoint(ctx: &Ctx) -> Result<()> {
    let (workload, address) = ctx.start_talking(&["watched", "7"])?;
    let script = format!("watchpoint:{address}:8:w {{ @s = sum(*(uint64 *)uptr({address})); }}");
    let pid = workload.pid().to_string();
    if !ctx.has(Feature::Breakpoint) {
        let out = ctx.script(&script).args(&["-p", &pid]).finish()?.exited(1)?;
        out.complains("this kernel has no hardware breakpoints")?;
        note_lack(ctx, "this kernel has no hardware breakpoints");
        return Ok(());
    }
    let session = ctx.script(&script).json().args(&["-p", &pid]).start()?;
    workload.go()?;
    let out = session.wait()?.success()?;
    // What is there when it is hit has been written: 1 to 7.
    out.same("the sum of what was written", out.number("@s")?, (1..=7).sum())
}

/// What kernels without kprobes say.
const NO_KPROBES: &str = "this kernel has no kprobes";

fn kprobe(ctx: &Ctx) -> Result<()> {
    let script = format!(r#"kprobe:{GETPGID} /comm == "{COMM}"/ {{ @ = count(); }}"#);
    if !has(ctx, Feature::Kprobe, &script, NO_KPROBES)? {
        return Ok(());
    }
    let out = with_workload(ctx, &script, "syscalls 50")?;
    out.same("calls", out.number("@")?, 50)
}

fn kprobe_at_offset(ctx: &Ctx) -> Result<()> {
    // Where the first instructions end depends on how the kernel was built.
    for offset in [4, 5, 9] {
        let script = format!(r#"kprobe:{GETPGID}+{offset} /comm == "{COMM}"/ {{ @ = count(); }}"#);
        if !has(ctx, Feature::Kprobe, &script, NO_KPROBES)? {
            return Ok(());
        }
        let out = ctx.script(&script).json().workload("syscalls 50").finish()?;
        if out.status.success() {
            return out.same("calls", out.number("@")?, 50);
        }
        out.complains(&format!("{GETPGID}+{offset}"))?;
    }
    bail!("no offset could be probed")
}

fn kprobe_at_address(ctx: &Ctx) -> Result<()> {
    let symbols = fs::read_to_string("/proc/kallsyms")?;
    let suffix = format!(" {GETPGID}");
    let line = symbols.lines().find(|line| line.ends_with(&suffix)).context("its address")?;
    let address = line.split(' ').next().unwrap_or_default();
    let script = format!(r#"kprobe:0x{address} /comm == "{COMM}"/ {{ @ = count(); }}"#);
    ctx.script(&script).finish()?.exited(1)?.complains("--unsafe")?;
    let run = || ctx.script(&script).json().args(&["--unsafe"]).workload("syscalls 50").finish();
    if !ctx.has(Feature::Kprobe) {
        run()?.exited(1)?.complains(NO_KPROBES)?;
        note_lack(ctx, NO_KPROBES);
        return Ok(());
    }
    let out = run()?.success()?;
    out.same("calls", out.number("@")?, 50)
}

fn kretprobe(ctx: &Ctx) -> Result<()> {
    let script =
        format!(r#"kretprobe:{GETPGID} /comm == "{COMM}"/ {{ @[retval == pid] = count(); }}"#);
    if !has(ctx, Feature::Kprobe, &script, NO_KPROBES)? {
        return Ok(());
    }
    let out = with_workload(ctx, &script, "syscalls 50")?;
    let returned: i64 =
        ["true", "false"].iter().map(|is| out.number_at("@", is).unwrap_or(0)).sum();
    out.same("returns", returned, 50)
}

fn kprobe_of_many(ctx: &Ctx) -> Result<()> {
    let script =
        format!(r#"kprobe:{GETPGID}, kprobe:vfs_* /comm == "{COMM}"/ {{ @[func] = count(); }}"#);
    if !has(ctx, Feature::Kprobe, &script, NO_KPROBES)? {
        return Ok(());
    }
    let out = with_workload(ctx, &script, "syscalls 50")?;
    out.same("calls", out.number_at("@", GETPGID)?, 50)?;
    ctx.note(if ctx.has(Feature::KprobeMulti) { "yes, by one link" } else { "yes, one by one" });
    Ok(())
}

/// What kernels without trampolines for programs say.
const NO_FENTRY: &str = "this kernel has no fentry and fexit";

fn fentry(ctx: &Ctx) -> Result<()> {
    let file = ctx.file("some-name", "")?.to_string_lossy().into_owned();
    let script = format!(
        r#"fentry:security_file_open /comm == "{COMM}"/ {{ @[path(args.file.f_path)] = count(); }}"#
    );
    if !has(ctx, Feature::Fentry, &script, NO_FENTRY)? {
        return Ok(());
    }
    let out = with_workload(ctx, &script, &format!("open {file} {file}"))?;
    out.same("times it was opened", out.number_at("@", &file)?, 2)
}

fn fexit(ctx: &Ctx) -> Result<()> {
    let script = format!(
        r#"fexit:{GETPGID} /comm == "{COMM}"/ {{ @ = count(); @failed = sum((int64)retval < 0); }}"#
    );
    if !has(ctx, Feature::Fentry, &script, NO_FENTRY)? {
        return Ok(());
    }
    let out = with_workload(ctx, &script, "syscalls 50")?;
    out.same("returns", out.number("@")?, 50)?;
    out.same("errors", out.number("@failed")?, 0)
}

fn fentry_of_module(ctx: &Ctx) -> Result<()> {
    let script = "fentry:veth:veth_xmit { @ = count(); @name = str(args.dev.name); }";
    if !has(ctx, Feature::Fentry, "fentry:vfs_read { }", NO_FENTRY)? {
        return Ok(());
    }
    let pair = Pair::new()?;
    let session = ctx.script(script).json().start()?;
    pair.send(20)?;
    let out = session.interrupt()?.success()?;
    out.same("frames", out.number("@")?, 20)
}

/// What kernels that load no iterators say.
const NO_ITERATORS: &str = "this kernel has no iterators";

fn iter_task(ctx: &Ctx) -> Result<()> {
    let script = "iter:task { if (ctx.task.tgid == {pid}) { @ = count(); } }";
    if !has(ctx, Feature::Iter, &script.replace("{pid}", "1"), NO_ITERATORS)? {
        return Ok(());
    }
    let out = of_process(ctx, script, ctx.hold("rbt-held", 3, &[])?)?;
    out.same("threads", out.number("@")?, 4)
}

fn iter_task_file(ctx: &Ctx) -> Result<()> {
    let file = ctx.file("some-name", "")?.to_string_lossy().into_owned();
    let script = r#"iter:task_file { if (ctx.task.pid == {pid} && str(ctx.file.f_path.dentry.d_name.name) == "some-name") { @ = count(); } }"#;
    if !has(ctx, Feature::Iter, &script.replace("{pid}", "1"), NO_ITERATORS)? {
        return Ok(());
    }
    let out = of_process(ctx, script, ctx.hold("rbt-held", 0, &[&file, &file])?)?;
    out.same("descriptors", out.number("@")?, 2)
}

fn iter_task_vma(ctx: &Ctx) -> Result<()> {
    let script = "iter:task_vma { if (ctx.task.pid == {pid}) { @ = count(); } }";
    if !has(ctx, Feature::Iter, &script.replace("{pid}", "1"), NO_ITERATORS)? {
        return Ok(());
    }
    let workload = ctx.hold("rbt-held", 0, &[])?;
    let maps = fs::read_to_string(format!("/proc/{}/maps", workload.pid()))?;
    // The one page that is not the process's own.
    let mappings = maps.lines().filter(|line| !line.ends_with("[vsyscall]")).count();
    let out = of_process(ctx, script, workload)?;
    out.same("mappings", out.number("@")?, mappings as i64)
}

fn lsm(ctx: &Ctx) -> Result<()> {
    let denied = ctx.file("denied", "")?.to_string_lossy().into_owned();
    let script = format!(
        r#"lsm:file_open /comm == "{COMM}"/ {{ @ = count();
            if (str(args.file.f_path.dentry.d_name.name) == "denied") {{ return -EPERM; }} }}"#
    );
    let run = || {
        let workload = format!("open {denied}");
        ctx.script(&script).json().args(&["--unsafe"]).workload(&workload).finish()
    };
    if !ctx.has(Feature::Lsm) {
        run()?.exited(1)?.complains("this kernel has no eBPF")?;
        note_lack(ctx, "this kernel has no eBPF in its security modules");
        return Ok(());
    }
    let out = run()?.success()?;
    out.same("files", out.number("@")?, 1)?;
    out.complains(&format!("error {} {denied}", libc::EPERM))
}

fn tracepoint(ctx: &Ctx) -> Result<()> {
    let script = format!(
        r#"tracepoint:syscalls:sys_enter_getpgid /comm == "{COMM}"/ {{ @ = count(); @pid = args.pid; }}"#
    );
    let out = with_workload(ctx, &script, "syscalls 50")?;
    out.same("calls", out.number("@")?, 50)
}

fn rawtracepoint(ctx: &Ctx) -> Result<()> {
    let script = format!(
        r#"rawtracepoint:sys_enter /comm == "{COMM}" && arg1 == {GETPGID_NUMBER}/ {{ @ = count(); }}"#
    );
    let out = with_workload(ctx, &script, "syscalls 50")?;
    out.same("calls", out.number("@")?, 50)
}

fn uprobe(ctx: &Ctx) -> Result<()> {
    let script = "uprobe:{exe}:live_value { @ = count(); @s = sum(arg0); }";
    let out = with_workload(ctx, script, "calls 50")?;
    out.same("calls", out.number("@")?, 50)?;
    out.same("the sum of the arguments", out.number("@s")?, (0..50).sum())
}

fn uprobe_at_offset(ctx: &Ctx) -> Result<()> {
    let script = "uprobe:{exe}:live_offsets+4 { @ = count(); @at[reg(\"ip\") - (uint64)uaddr(\"live_offsets\")] = count(); }";
    let out = with_workload(ctx, script, "offsets 50")?;
    out.same("times", out.number("@")?, 50)?;
    out.same("times there", out.number_at("@at", "4")?, 50)
}

fn uretprobe(ctx: &Ctx) -> Result<()> {
    let out = with_workload(ctx, "uretprobe:{exe}:live_value { @s = sum(retval); }", "calls 50")?;
    out.same("the sum of the results", out.number("@s")?, 2 * (0..50).sum::<i64>())
}

fn usdt(ctx: &Ctx) -> Result<()> {
    usdt_probe(ctx, "fired")
}

fn usdt_with_semaphore(ctx: &Ctx) -> Result<()> {
    usdt_probe(ctx, "guarded")
}

/// A static probe with the number of the round and the address of a text.
fn usdt_probe(ctx: &Ctx, name: &str) -> Result<()> {
    if !ctx.has(Feature::LibcShared) {
        bail!("there is no program with static probes");
    }
    let program = ctx.programs.join("usdt");
    let program = program.to_string_lossy();
    let script =
        format!("usdt:{program}:rbtrace:{name} {{ @s = sum(arg0); @t[str(arg1)] = count(); }}");
    let out = ctx.script(&script).json().command(&format!("{program} 50")).finish()?.success()?;
    out.same("the sum of the rounds", out.number("@s")?, (1..=50).sum())?;
    out.same("texts", out.number_at("@t", "round")?, 50)
}

fn xdp(ctx: &Ctx) -> Result<()> {
    ensure!(ctx.has(Feature::Xdp), "every kernel that is tested has XDP");
    let pair = Pair::new()?;
    let script = format!("xdp:{FAR} {{ @ = count(); return XDP_PASS; }}");
    let session = ctx.script(&script).json().start()?;
    pair.send(20)?;
    let out = session.interrupt()?.success()?;
    out.same("frames", out.number("@")?, 20)
}

fn tc(ctx: &Ctx) -> Result<()> {
    let hosts = Hosts::new()?;
    let script = format!(
        "tc:{FAR}:ingress {{ @++; if (@ == 1) {{ return TC_ACT_SHOT; }} }} tc:{FAR}:egress {{ @out++; }}"
    );
    let session = ctx.script(&script).json().start()?;
    let arrived = hosts.receive(1..=5)?;
    hosts.send(1..=3)?;
    let out = session.interrupt()?.success()?;
    out.same("what arrived", arrived, vec![2, 3, 4, 5])?;
    out.same("datagrams that arrived", out.number("@")?, 5)?;
    out.same("datagrams that were sent", out.number("@out")?, 3)?;
    ctx.note(if ctx.has(Feature::Tcx) { "yes, by links" } else { "yes, by filters" });
    Ok(())
}

fn socket(ctx: &Ctx) -> Result<()> {
    let hosts = Hosts::new()?;
    let session = ctx.script(&format!("socket:{FAR} {{ @ = count(); }}")).json().start()?;
    hosts.receive(1..=5)?;
    hosts.send(1..=3)?;
    let out = session.interrupt()?.success()?;
    out.same("datagrams", out.number("@")?, 8)
}

fn cgroup_skb(ctx: &Ctx) -> Result<()> {
    let cgroup = Cgroup::new("kinds")?;
    let script = format!(
        "cgroup_skb:{}:egress {{ @++; if (@ == 1) {{ return SK_DROP; }} }}",
        cgroup.path()?
    );
    let (workload, errors) = ctx.start_complaining(&["exchange", "4"])?;
    cgroup.take(workload.pid())?;
    let session = ctx.script(&script).json().start()?;
    workload.go()?;
    let out = session.interrupt()?.success()?;
    out.same("what the workload says", errors.text(), "arrived [2, 3, 4]\n".to_owned())?;
    out.same("datagrams", out.number("@")?, 4)
}
