//! Running a script or an object, from the command line to the exit status.

use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use rbtrace_lang::expand::Params;
use rbtrace_lang::resolve::Options;
use rbtrace_lang::span::Sources;
use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Interface, MissingProbes, Object, Plan, Target};
use rbtrace_runtime::child::Child;
use rbtrace_runtime::event::{Event, Lost};
use rbtrace_runtime::features::target_profile;
use rbtrace_runtime::progress::Progress;
use rbtrace_runtime::replay::Replay;
use rbtrace_runtime::session::AttachReport;
use rbtrace_runtime::sink::Sink;
use rbtrace_runtime::{self as runtime, Session, StopFlag, UnitId};

use crate::catalog::Machine;
use crate::cli::{Action, Cli, Input, Invocation, Mode, Stage};
use crate::compile::{self, Points, Setting};
use crate::report::{self, Loudness};
use crate::source::{self, Program};
use crate::{cgroup, filter, output, panic, privileges, progress, replay, systemd, verbose};

/// The variable whose text is printed on a line of standard output once all probes are attached.
const NOTIFY: &str = "RBTRACE_NOTIFY_ATTACHED";

/// Compiles and runs, or prints stages or writes the object, as the flags have it.
pub fn run(invocation: &Invocation, input: &Input, params: &[String]) -> Result<ExitCode> {
    let flags = &invocation.flags;
    let program = source::read(input)?;
    let params = Params::new(params);
    if params.ask_for_help()
        && let Program::Script { name, text } = &program
    {
        return help(flags, name, text);
    }
    let cgroup = match flags.emit_elf {
        None => cgroup::of_flags(flags)?,
        // It is named again when the object runs, perhaps elsewhere.
        Some(_) => None,
    };
    let child = flags.cmd.as_deref().map(Child::spawn).transpose()?;
    let machine = machine(flags, child.as_ref())?;
    let mut sources = Sources::default();
    let found = object(invocation, program, &params, &machine, &mut sources)?;
    let Some((mut object, points)) = found else {
        return Ok(ExitCode::FAILURE);
    };
    if let Some(pattern) = &flags.probe_filter {
        filter::apply(pattern, &mut object.plan)?;
    }
    if !flags.stages.is_empty() && !invocation.prints(Stage::Verifier) {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(path) = &flags.emit_elf {
        return write_object(path, &object.elf);
    }
    let replay = replay::prepare(flags, &mut object.plan)?;
    let run = object.plan.programs.iter().filter(|program| !program.probes.is_empty());
    let missing = privileges::missing(run.map(|program| program.kind));
    if !missing.is_empty() {
        bail!("{}", privileges::sentence(&missing));
    }
    let script = Script { object: &object, sources: &sources, points: &points };
    let what = What { child, cgroup, replay };
    let done = match invocation.prints(Stage::Verifier) {
        true => verify(flags, &object),
        false => trace(invocation, &script, what),
    };
    match done {
        Ok(code) => Ok(code),
        Err(error) if report::is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            let mut loudness = loudness(flags);
            loudness.verbose |= invocation.prints(Stage::Verifier);
            eprint!("{}", report::runtime_error(&error, &sources, &points, loudness));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What is run, and what messages about it need.
struct Script<'a> {
    object: &'a Object,
    sources: &'a Sources,
    points: &'a Points,
}

/// What is traced, or run instead.
struct What {
    /// The command of `-c`.
    child: Option<Child>,
    /// The folder of the cgroup.
    cgroup: Option<OwnedFd>,
    /// Packets that the object is run over.
    replay: Option<Replay>,
}

/// Loads an object and prints what the kernel's verifier says of each program.
fn verify(flags: &Cli, object: &Object) -> Result<ExitCode, runtime::Error> {
    let mut session = Session::new(runtime::Options::default())?;
    let unit = session.load(object)?;
    for (program, log) in object.plan.programs.iter().zip(session.verifier_logs(unit)) {
        print_stage(flags, Stage::Verifier, &format!("; {}\n{log}", program.symbol));
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists the named parameters of a script. Nothing has run: the status is that of a failure.
fn help(flags: &Cli, name: &str, text: &str) -> Result<ExitCode> {
    let mut sources = Sources::default();
    let file = sources.add(name, text);
    match compile::options(&mut sources, file, &machine(flags, None)?) {
        Ok(options) => eprint!("{}", rbtrace_lang::expand::options::help(&options)),
        Err(failure) => eprint!("{}", report::failure(&failure, &sources, loudness(flags))),
    }
    Ok(ExitCode::FAILURE)
}

/// Writes an object to a file; `-` is standard output.
fn write_object(path: &Path, elf: &[u8]) -> Result<ExitCode> {
    if path == Path::new("-") {
        io::stdout().lock().write_all(elf)?;
        return Ok(ExitCode::SUCCESS);
    }
    fs::write(path, elf).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// How much the flags want to be said.
pub fn loudness(flags: &Cli) -> Loudness {
    Loudness { warnings: !flags.no_warnings, verbose: flags.verbose > 0 }
}

/// What the flags and the environment allow and set.
pub fn options(flags: &Cli) -> Options {
    let environment = compile::environment();
    Options {
        allow_unsafe: flags.allow_unsafe,
        environment,
        helper_errors: flags.warnings,
        ..Options::default()
    }
}

/// The machine as the flags have it.
pub fn machine(flags: &Cli, child: Option<&Child>) -> Result<Machine> {
    if let Some(pid) = flags.pid
        && !std::path::Path::new("/proc").join(pid.to_string()).exists()
    {
        bail!("there is no process {pid}");
    }
    let cpid = child.map(Child::pid);
    let machine = Machine::new(flags.pid.or(cpid), cpid, flags.traceable_functions.clone())
        .with_debug_folders(flags.debug_folders())
        .with_headers(flags.headers())
        .with_cgroup(flags.cgroup.is_some() || flags.container.is_some())
        .with_any_interface(flags.test_packets.is_some());
    Ok(machine.with_program(child.map(|child| child.program().to_owned())))
}

/// The object of the input, compiled if need be, and where its probes are in the script. `None`:
/// it was wrong, which has been said.
fn object(
    invocation: &Invocation,
    program: Program,
    params: &Params,
    machine: &Machine,
    sources: &mut Sources,
) -> Result<Option<(Object, Points)>> {
    let (name, text) = match program {
        Program::Object { name, elf } => {
            if *params != Params::default() {
                bail!("{}", source::no_params(&name));
            }
            let object = source::object(&name, &elf)?;
            let there = invocation.prints(Stage::Elf) || invocation.prints(Stage::Verifier);
            if !invocation.flags.stages.is_empty() && !there {
                bail!(
                    "{name} is compiled already: -d elf and -d verifier show it, the other stages \
                     are gone"
                );
            }
            if invocation.prints(Stage::Elf) {
                let text = rbtrace_codegen::elf::dump::dump(&object.elf)?;
                print_stage(&invocation.flags, Stage::Elf, &text);
            }
            return Ok(Some((object, Points::default())));
        }
        Program::Script { name, text } => (name, text),
    };
    let flags = &invocation.flags;
    let file = sources.add(name, text);
    let profile = target_profile();
    let options = options(flags);
    let setting =
        Setting { machine, profile: &profile, options: &options, params, known_maps: &[] };
    let result = compile::compile(sources, file, &setting, &mut |stage, text| {
        if invocation.prints(stage) {
            print_stage(flags, stage, &text());
        }
    });
    match result {
        Ok(compiled) => {
            eprint!("{}", report::diagnostics(&compiled.warnings, sources, loudness(flags)));
            Ok(Some((compiled.object, compiled.points)))
        }
        Err(failure) => {
            eprint!("{}", report::failure(&failure, sources, loudness(flags)));
            let missing = privileges::missing([ProbeKind::Tracepoint]);
            if !missing.is_empty() && is_about_this_machine(&failure) {
                eprintln!(
                    "note: {}; what cannot be read without may be the reason",
                    privileges::sentence(&missing)
                );
            }
            Ok(None)
        }
    }
}

/// Whether a failure may come of what could not be read of this machine.
fn is_about_this_machine(failure: &compile::Failure) -> bool {
    const CODES: &[&str] = &[
        "no-format",
        "no-match",
        "no-probe-list",
        "unknown-binary",
        "unknown-kernel-function",
        "unknown-symbol",
        "unknown-tracepoint",
        "unknown-user-function",
    ];
    match failure {
        compile::Failure::Script(all) => all.iter().any(|d| CODES.contains(&d.code)),
        compile::Failure::Codegen(_) => false,
    }
}

/// One stage is printed bare, so that tools can read it; several under headings.
fn print_stage(flags: &Cli, stage: Stage, text: &str) {
    use clap::ValueEnum;
    if flags.stages.len() > 1 || flags.stages.contains(&Stage::All) {
        let name = stage.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default();
        println!("===== {name} =====");
    }
    println!("{}", text.trim_end());
}

/// Loads, attaches and runs an object.
fn trace(
    invocation: &Invocation,
    script: &Script<'_>,
    what: What,
) -> Result<ExitCode, runtime::Error> {
    let What { child, cgroup, replay } = what;
    let flags = &invocation.flags;
    panic::stage("loading the program");
    let stop = StopFlag::on_signals().map_err(system("handle signals"))?;
    let mut sink = output::open(&invocation.output()).map_err(system("open the output"))?;
    let pid = flags.pid;
    let user_signal = Some(StopFlag::on_user_signal().map_err(system("handle signals"))?);
    let unwind = flags.dwarf_pids.clone();
    let progress = if flags.quiet { Progress::default() } else { progress::bar() };
    let options = runtime::Options { pid, child, cgroup, unwind, progress, user_signal };
    let mut session = Session::new(options)?;
    if wants_table(flags) {
        session.count_runs();
    }
    let unit = session.load(script.object)?;
    if flags.verbose > 0 {
        eprint!("{}", verbose::loaded(script.object, &session.programs(unit)));
    }
    if let Some(mode) = invocation.mode() {
        return try_out(mode, &mut session, unit, sink.as_mut());
    }
    if let Some(replay) = replay {
        tell(flags, &session, unit, &AttachReport::default(), script);
        let done = replay::run(replay, &mut session, unit, sink.as_mut(), &stop);
        sum_up(flags, &session, unit, script);
        return done;
    }
    panic::stage("attaching probes");
    let attached = session.attach(unit)?;
    if flags.verbose > 0 {
        let names: Vec<_> = session.attached().into_iter().map(|(.., name)| name).collect();
        eprint!("{}", verbose::attached(&names));
    }
    tell(flags, &session, unit, &attached, script);
    tell_interfaces(invocation, &script.object.plan);
    if flags.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    panic::stage("printing what happens");
    session.give_up_capabilities()?;
    announce(flags, &attached, sink.as_mut())?;
    systemd::notify(systemd::State::Ready);
    session.run(sink.as_mut(), &stop)?;
    panic::stage("ending");
    systemd::notify(systemd::State::Stopping);
    let status = session.finish(sink.as_mut())?;
    sum_up(flags, &session, unit, script);
    Ok(ExitCode::from(status.code.to_le_bytes()[0]))
}

/// Whether a table of all programs is to end the run.
fn wants_table(flags: &Cli) -> bool {
    flags.verbose > 0 || flags.stats
}

/// Says at the end what ran and what was lost.
fn sum_up(flags: &Cli, session: &Session, unit: UnitId, script: &Script<'_>) {
    if wants_table(flags) {
        let runs = session.programs(unit);
        eprint!("{}", verbose::table(&script.object.plan, &runs, &session.losses()));
    } else if !flags.no_warnings {
        eprint!("{}", losses(session));
    }
}

/// Runs tests or benchmarks.
fn try_out(
    mode: Mode,
    session: &mut Session,
    unit: UnitId,
    sink: &mut dyn Sink,
) -> Result<ExitCode, runtime::Error> {
    panic::stage("running tests or benchmarks");
    let passed = match mode {
        Mode::Test => session.run_tests(unit, sink)?,
        Mode::Bench => session.run_benches(unit, sink)?,
    };
    panic::stage("ending");
    session.finish(sink)?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the user should know before anything happens.
fn tell(
    flags: &Cli,
    session: &Session,
    unit: UnitId,
    attached: &AttachReport,
    script: &Script<'_>,
) {
    if flags.no_warnings {
        return;
    }
    for warning in session.warnings(unit) {
        eprintln!("WARNING: {warning}");
    }
    let missing = session.plan(unit).map(|plan| plan.config.missing_probes);
    if missing == Some(MissingProbes::Warn) {
        for error in &attached.failed {
            eprint!("{}", report::missing_probe(error, script.sources, script.points));
        }
    }
    if !flags.quiet {
        for note in &attached.notes {
            eprintln!("{note}");
        }
    }
}

/// Says which interfaces packets are seen on, where the script leaves that open, and how to choose.
fn tell_interfaces(invocation: &Invocation, plan: &Plan) {
    let targets = plan.probes.iter().map(|probe| &probe.target);
    let mut names: Vec<&str> = targets
        .clone()
        .filter_map(|target| match target.interface()? {
            Interface::Named(name) => Some(name.as_str()),
            // They are told of when they are made.
            Interface::Matching { .. } => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.len() < 2 || invocation.flags.quiet {
        return;
    }
    let how = match &invocation.action {
        Action::Run { input: Input::BuiltIn(script), .. } => {
            format!("; for one alone: rbtrace {} INTERFACE", script.name)
        }
        _ => String::new(),
    };
    let other = |target: &Target| matches!(target, Target::Tc { .. } | Target::Socket { .. });
    let what = if targets.clone().any(other) { "Probes" } else { "XDP" };
    eprintln!("{what} on {} interfaces: {}{how}", names.len(), names.join(", "));
}

/// Says that everything is attached.
fn announce(
    flags: &Cli,
    attached: &AttachReport,
    sink: &mut dyn Sink,
) -> Result<(), runtime::Error> {
    if !flags.quiet {
        let count = attached.attached as u64;
        sink.event(&Event::AttachedProbes { count }).map_err(runtime::Error::Output)?;
        sink.flush().map_err(runtime::Error::Output)?;
    }
    if let Some(text) = std::env::var_os(NOTIFY).filter(|text| !text.is_empty()) {
        let mut out = io::stdout().lock();
        let line = [text.as_encoded_bytes(), b"\n"].concat();
        out.write_all(&line).and_then(|()| out.flush()).map_err(runtime::Error::Output)?;
    }
    Ok(())
}

/// The table of all that was lost; empty if nothing was.
fn losses(session: &Session) -> String {
    let lost = session.losses();
    if lost.is_empty() {
        return String::new();
    }
    let mut table = String::from("Lost in this run:\n");
    for total in lost {
        let what = match total.what {
            Lost::Events => "events that found the ring buffer full",
            Lost::MapUpdates => "updates of a map that was full",
            Lost::Runs => "runs that were skipped, others being under way on the CPU",
        };
        let probe = total.probe.as_deref().unwrap_or("all probes");
        table.push_str(&format!("{:>12}  {what}, by {probe}\n", total.count));
    }
    table
}

fn system(doing: &'static str) -> impl FnOnce(io::Error) -> runtime::Error {
    move |source| runtime::Error::System { doing: doing.into(), source }
}
