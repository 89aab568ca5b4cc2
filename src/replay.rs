//! `--test-packets`: the blocks for packets of a script, run over a capture.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::Plan;
use rbtrace_runtime::capture::{LinkType, Reader, Writer};
use rbtrace_runtime::replay::{self, Replay};
use rbtrace_runtime::sink::Sink;
use rbtrace_runtime::{self as runtime, Session, StopFlag, UnitId};

use crate::cli::Cli;
use crate::panic;

/// Opens what the flags name, and leaves only those blocks in the plan that are run. `None`: the flags
/// ask for no such run.
///
/// # Errors
///
/// There are no blocks for packets, or the files cannot be used.
pub fn prepare(flags: &Cli, plan: &mut Plan) -> Result<Option<Replay>> {
    let Some(path) = &flags.test_packets else { return Ok(None) };
    let left_out = replay::keep_replayed(plan);
    let hooks = replay::hooks(plan);
    if hooks.is_empty() {
        bail!(
            "--test-packets runs network blocks, and there is none, such as `xdp:eth0 {{ ... }}`"
        );
    }
    if !left_out.is_empty() && !flags.no_warnings {
        eprintln!("WARNING: {}", not_run(&left_out));
    }
    let name = path.display().to_string();
    // As text, since the chain of causes would repeat the last.
    let failed = |source| anyhow!("{}", runtime::Error::Capture { path: name.clone(), source });
    let capture = Reader::open(path).map_err(failed)?;
    let passed = flags.write_packets.as_deref().map(|path| create(path, &hooks)).transpose()?;
    Ok(Some(Replay { capture, path: name, repeat: flags.repeat.unwrap_or(1), passed }))
}

/// The file of `--write-packets`.
fn create(path: &Path, hooks: &[String]) -> Result<Writer> {
    if hooks.len() > 1 {
        bail!(
            "--write-packets wants blocks on one interface, or each packet would be there several \
             times; the script has them on {}: --probe-filter chooses",
            hooks.join(" and ")
        );
    }
    Writer::create(path, LinkType::ETHERNET)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Says which blocks are left out.
fn not_run(kinds: &[ProbeKind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.spec().name).collect();
    let list = match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    };
    format!("{list} blocks are not run: --test-packets runs network blocks, `begin` and `end`")
}

/// Runs a loaded object over the capture and ends it.
pub fn run(
    mut replay: Replay,
    session: &mut Session,
    unit: UnitId,
    sink: &mut dyn Sink,
    stop: &StopFlag,
) -> Result<ExitCode, runtime::Error> {
    panic::stage("running blocks on packets");
    let ran = session.replay(unit, &mut replay, sink, stop);
    panic::stage("ending");
    let status = session.finish(sink)?;
    ran?;
    Ok(ExitCode::from(status.code.to_le_bytes()[0]))
}
