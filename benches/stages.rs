//! What the stages cost, and the whole process beside bpftrace.
//!
//! `cargo bench` runs everything; as root it loads programs too. Where a command `bpftrace` is
//! found, or `RBTRACE_BENCH_BPFTRACE` names one, it is measured in the same run.
//! `RBTRACE_BENCH_SCRIPT` names a further script to compile.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use divan::Bencher;
use rbtrace::catalog::Machine;
use rbtrace::compile::{Compiled, Setting, compile, unobserved};
use rbtrace_lang::expand::{Params, expand};
use rbtrace_lang::resolve::{Context, Options, resolve};
use rbtrace_lang::span::Sources;
use rbtrace_lang::{check, parse};
use rbtrace_probes_ebpf::profile::TargetProfile;
use rbtrace_runtime::Session;

const ONE_LINE: &str = r#"BEGIN { printf("hello\n"); exit(); }"#;

/// Runs until it is ended, so that its memory can be looked at.
const STAYS: &str = r#"BEGIN { printf("hello\n"); } interval:s:100 { exit(); }"#;

fn main() {
    println!("hello, started to first output, best of 20, and its most memory:");
    report("rbtrace", env!("CARGO_BIN_EXE_rbtrace"));
    let peer = std::env::var("RBTRACE_BENCH_BPFTRACE").unwrap_or_else(|_| "bpftrace".into());
    report("bpftrace", &peer);
    println!();
    divan::main();
}

/// Sixty blocks of five lines: what tools are made of.
fn three_hundred_lines() -> String {
    (0..60)
        .map(|i| {
            format!(
                "interval:s:{}\n{{\n    @start{i}[tid, comm] = nsecs;\n    \
                 @sizes{} = hist((nsecs - @start{i}[tid, comm]) / {});\n}}\n",
                i + 1,
                i % 7,
                i + 2
            )
        })
        .collect()
}

/// The scripts that are measured, by name.
fn scripts() -> Vec<(&'static str, String)> {
    let mut all = vec![("one line", ONE_LINE.to_owned()), ("300 lines", three_hundred_lines())];
    if let Some(path) = std::env::var_os("RBTRACE_BENCH_SCRIPT") {
        all.push(("given", std::fs::read_to_string(path).expect("a readable script")));
    }
    all
}

const NAMES: [&str; 3] = ["one line", "300 lines", "given"];

fn script(name: &str) -> Option<String> {
    scripts().into_iter().find(|(n, _)| *n == name).map(|(_, text)| text)
}

#[divan::bench(args = NAMES)]
fn parse_stage(bencher: Bencher<'_, '_>, name: &str) {
    let Some(text) = script(name) else { return };
    let mut sources = Sources::default();
    let file = sources.add("bench", text);
    bencher.bench(|| parse::parse(&sources, file).expect("a script that parses"));
}

#[divan::bench(args = NAMES)]
fn check_stage(bencher: Bencher<'_, '_>, name: &str) {
    let Some(text) = script(name) else { return };
    let mut sources = Sources::default();
    let file = sources.add("bench", text);
    let parsed = parse::parse(&sources, file).expect("a script that parses");
    let machine = Machine::default();
    let options = Options::default();
    let profile = TargetProfile::REFERENCE;
    let cx = Context {
        catalog: &machine,
        types: &machine,
        profile: &profile,
        options: &options,
        known_maps: &[],
    };
    bencher.with_inputs(|| parsed.clone()).bench_local_values(|script| {
        let mut sources = Sources::default();
        let expanded = expand(script, &mut sources, &machine, &Params::default());
        let script = expanded.expect("parameters").script;
        check::check(resolve(script, &cx).expect("attach points"), &cx).expect("types")
    });
}

#[divan::bench(args = NAMES)]
fn compile_all(bencher: Bencher<'_, '_>, name: &str) {
    let Some(text) = script(name) else { return };
    bencher.bench(|| compiled(&text));
}

#[divan::bench(args = NAMES)]
fn load(bencher: Bencher<'_, '_>, name: &str) {
    let Some(text) = script(name) else { return };
    let object = compiled(&text).object;
    let try_once = || Session::new(Default::default()).and_then(|mut s| s.load(&object).map(|_| s));
    if let Err(error) = try_once() {
        println!("load is not measured: {error}");
        return;
    }
    bencher.bench(|| try_once().is_ok());
}

fn compiled(text: &str) -> Compiled {
    let mut sources = Sources::default();
    let file = sources.add("bench", text);
    let setting = Setting {
        machine: &Machine::default(),
        profile: &TargetProfile::REFERENCE,
        options: &Options::default(),
        params: &Params::default(),
        known_maps: &[],
    };
    match compile(&mut sources, file, &setting, &mut unobserved) {
        Ok(compiled) => compiled,
        Err(failure) => panic!("{failure:?}"),
    }
}

/// Prints the time to the first output and the memory of a tracer's hello.
fn report(name: &str, program: &str) {
    let times: Vec<Duration> = (0..20).filter_map(|_| first_output(program)).collect();
    match (times.iter().min(), most_memory(program)) {
        (Some(best), Some(kib)) => {
            println!(
                "  {name:9} {:8.2} ms {:8.1} MiB",
                best.as_secs_f64() * 1e3,
                kib as f64 / 1024.0
            );
        }
        _ => println!("  {name:9} not measured: it cannot be run here"),
    }
}

fn first_output(program: &str) -> Option<Duration> {
    let start = Instant::now();
    let (mut child, line) = first_line(program, ONE_LINE)?;
    let took = start.elapsed();
    child.wait().ok()?;
    (line == "hello\n").then_some(took)
}

/// `VmHWM` of proc(5), in KiB, once it has printed.
fn most_memory(program: &str) -> Option<u64> {
    let (mut child, _) = first_line(program, STAYS)?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    child.kill().ok()?;
    child.wait().ok()?;
    let status = status.ok()?;
    let value = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    value.trim().trim_end_matches("kB").trim().parse().ok()
}

/// Starts a tracer on a script and waits for its first line.
fn first_line(program: &str, script: &str) -> Option<(Child, String)> {
    let mut child = Command::new(program)
        .args(["-q", "-e", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut line = String::new();
    let read = child.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
    matches!(read, Some(Ok(_))).then_some((child, line))
}
