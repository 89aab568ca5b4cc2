//! `rbtrace --demo`: the three built-in scripts, each with a workload that the demo starts.

mod step;
mod target;
mod veth;
pub mod workload;

use std::io::{self, Write};

use anyhow::{Context, Result, bail};
use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_runtime::features::{self, Capabilities};

pub use step::end_with_parent;

use crate::style::{Colour, paint};
use crate::{privileges, repl, scripts, sys};
use step::Step;

/// What stands in for the script where the kernel has no kprobes.
const OPEN_TRACEPOINT: &str =
    "tracepoint:syscalls:sys_enter_openat { printf(\"%s %s\\n\", comm, str(args.filename)); }";

/// Runs the demo.
pub fn run() -> Result<()> {
    check_capabilities()?;
    let mut complete = true;
    say(
        "rbtrace compiles a script to eBPF, loads it into the kernel and prints what it reports.\n\
         Here are its three built-in scripts, each on a workload that this demo starts.",
    );
    complete &= opening_files()?;
    complete &= counting_packets()?;
    complete &= measuring_calls()?;
    println!();
    if !complete {
        bail!("a script did not see all that its workload did");
    }
    say("That was it. Try one on what runs here anyway:\n\
         \x20   rbtrace latency            how long programs look up hosts\n\
         \x20   rbtrace packet_count       packets on all interfaces\n\
         \x20   rbtrace                    a prompt to try things out\n\
         \x20   rbtrace --help             everything else");
    Ok(())
}

fn check_capabilities() -> Result<()> {
    let mut missing = privileges::missing([ProbeKind::Uprobe, ProbeKind::Xdp]);
    if !Capabilities::current().sys_admin() {
        missing.push("CAP_SYS_ADMIN to make a network namespace".into());
    }
    if missing.is_empty() { Ok(()) } else { bail!("{}", privileges::sentence(&missing)) }
}

fn opening_files() -> Result<bool> {
    heading("1. Which files are opened, and by whom?");
    let of_the_demo = |line: &str| {
        let path = line.strip_prefix(workload::OPENER).unwrap_or_default().trim_start();
        u64::from(workload::FILES.contains(&path))
    };
    let seen = if has_kprobes() {
        show_script("do_sys_open");
        say(
            "A kprobe runs its block whenever the kernel enters a function, here the one that all\n\
             opening of files goes through. The block prints the name of the process and the path.",
        );
        command("rbtrace do_sys_open");
        let step = Step {
            script: &["-q", "do_sys_open"],
            workload: workload::OPENER,
            lines: 8,
            counts: of_the_demo,
        };
        step::run(&step)?
    } else {
        say(
            "The script do_sys_open.rt attaches to a kernel function. This kernel has no kprobes\n\
             (CONFIG_KPROBES is off), so the tracepoint at the entry of openat(2) takes its place:",
        );
        println!("\n{}", indent(&repl::painted(OPEN_TRACEPOINT)));
        command(&format!("rbtrace -e '{OPEN_TRACEPOINT}'"));
        let script = ["-q", "-e", OPEN_TRACEPOINT];
        let step =
            Step { script: &script, workload: workload::OPENER, lines: 8, counts: of_the_demo };
        step::run(&step)?
    };
    say(&format!(
        "The process {} opened {} files; the script named {} of them. Other lines are what else\n\
         this machine did meanwhile.",
        workload::OPENER,
        seen.done,
        seen.seen
    ));
    Ok(seen.done == seen.seen)
}

fn counting_packets() -> Result<bool> {
    heading("2. How many packets arrive?");
    sys::unshare_network().context("making a network namespace")?;
    veth::make().context("making a pair of virtual interfaces")?;
    show_script("packet_count");
    say(&format!(
        "An xdp block runs for each packet, before the network stack sees it. For the demo there is\n\
         a network namespace with two interfaces, {} and {}: what is sent from the one arrives\n\
         at the other. Nobody outside notices.",
        veth::NEAR,
        veth::FAR
    ));
    command(&format!("rbtrace packet_count {}", veth::FAR));
    let total = |line: &str| {
        line.rsplit_once("sayısı: ").and_then(|(_, n)| n.trim().parse().ok()).unwrap_or(0)
    };
    let script = ["-q", "packet_count", veth::FAR];
    let seen =
        step::run(&Step { script: &script, workload: workload::SENDER, lines: 8, counts: total })?;
    say(&format!("{} packets were sent, {} were counted.", seen.done, seen.seen));
    Ok(seen.done == seen.seen)
}

fn measuring_calls() -> Result<bool> {
    heading("3. How long does a function take?");
    show_script("latency");
    say(
        "A uprobe runs at the entry of a function of a program, a uretprobe when it returns. The\n\
         first notes the time for the thread, the second prints the difference; the histogram\n\
         comes at the end. The function is one of rbtrace itself that sleeps 5 to 60 ms.",
    );
    let own = std::env::current_exe().context("finding this program")?;
    let own = own.to_str().context("the path of this program is not UTF-8")?;
    command(&format!("rbtrace latency {own} {}", target::SYMBOL));
    let script = ["-q", "latency", own, target::SYMBOL];
    let calls = |line: &str| u64::from(line.starts_with("Süre: "));
    let seen =
        step::run(&Step { script: &script, workload: workload::WORKER, lines: 8, counts: calls })?;
    say(&format!(
        "{} calls were made, {} were measured. Each row of the histogram counts calls: [4M, 8M)\n\
         are those of 4 to 8 times 1024 * 1024 nanoseconds, which is some 4 to 8 ms.",
        seen.done, seen.seen
    ));
    Ok(seen.done == seen.seen)
}

fn has_kprobes() -> bool {
    features::info().has("kprobe")
}

fn heading(text: &str) {
    println!("\n{}", paint(Colour::Strong, text));
}

fn say(text: &str) {
    println!("\n{text}");
}

/// The command as it would be typed.
fn command(text: &str) {
    println!("\n  {} {}", paint(Colour::Faint, "$"), paint(Colour::Strong, text));
    // The script's own output follows from another process.
    let _ = io::stdout().flush();
}

fn show_script(name: &str) {
    let Some(script) = scripts::find(name) else { return };
    let code: String = script
        .text
        .split_inclusive('\n')
        .skip_while(|line| {
            line.starts_with("//") || line.starts_with("#!") || line.trim().is_empty()
        })
        .collect();
    println!("\n{}", indent(&repl::painted(&code)));
}

fn indent(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| if line.is_empty() { String::new() } else { format!("    {line}") });
    lines.collect::<Vec<_>>().join("\n")
}
