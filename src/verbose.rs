//! What `-v` and `--stats` tell of a run.

use std::fmt::Write;

use rbtrace_probes_ebpf::plan::{Object, Plan, Program};
use rbtrace_runtime::event::Lost;
use rbtrace_runtime::features;
use rbtrace_runtime::session::{LossTotal, ProgramInfo};

/// Most names of probes to print one by one.
const NAMES: usize = 20;

/// What is in the kernel now, and what that kernel lacks.
pub fn loaded(object: &Object, programs: &[ProgramInfo]) -> String {
    let mut text = String::new();
    let absent: Vec<&str> =
        features::info().features.iter().filter(|f| !f.present).map(|f| f.name).collect();
    let missing = if absent.is_empty() { "nothing".into() } else { absent.join(", ") };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "Linux {} lacks: {missing}", features::kernel_release());
    let _ = writeln!(text, "Object of {} bytes", object.elf.len());
    for map in &object.plan.maps {
        let _ = writeln!(text, "Map {}: {:?}, {} entries", map.name, map.kind, map.max_entries);
    }
    for (program, info) in with_probes(&object.plan, programs).map(|(_, pair)| pair) {
        let _ = writeln!(
            text,
            "Program {} of line {}: {} instructions, {} bytes of machine code, {} verified",
            program.symbol, program.line, info.instructions, info.machine_code, info.verified
        );
    }
    text
}

/// Which probes are attached.
pub fn attached(names: &[&str]) -> String {
    let mut text = String::new();
    for name in names.iter().take(NAMES) {
        let _ = writeln!(text, "Attached {name}");
    }
    if names.len() > NAMES {
        let _ = writeln!(text, "and {} more", names.len() - NAMES);
    }
    text
}

/// How often each program ran, how long it took and what was lost, a line each.
pub fn table(plan: &Plan, programs: &[ProgramInfo], lost: &[LossTotal]) -> String {
    let mut text = format!(
        "{:>12} {:>10} {:>10} {:>12} {:>12}  PROGRAM\n",
        "RUNS", "NS EACH", "SKIPPED", "LOST EVENTS", "LOST UPDATES"
    );
    for (index, (program, info)) in with_probes(plan, programs) {
        let each = info.nanoseconds.checked_div(info.runs).unwrap_or(0);
        let count = |what| -> u64 {
            lost.iter().filter(|l| l.program == index && l.what == what).map(|l| l.count).sum()
        };
        let _ = writeln!(
            text,
            "{:>12} {each:>10} {:>10} {:>12} {:>12}  {}",
            info.runs,
            info.missed,
            count(Lost::Events),
            count(Lost::MapUpdates),
            name(plan, program)
        );
    }
    text
}

/// The programs that have probes, by their index: others are not in the kernel.
fn with_probes<'a>(
    plan: &'a Plan,
    programs: &'a [ProgramInfo],
) -> impl Iterator<Item = (usize, (&'a Program, &'a ProgramInfo))> {
    let all = plan.programs.iter().zip(programs).enumerate();
    all.filter(|(_, (program, _))| !program.probes.is_empty())
}

/// The first probe of a program, and how many there are beside it.
fn name(plan: &Plan, program: &Program) -> String {
    let first = program.probes.first().and_then(|index| plan.probes.get(*index as usize));
    let first = first.map_or(program.symbol.as_str(), |probe| probe.name.as_str());
    match program.probes.len() {
        0 | 1 => first.to_owned(),
        n => format!("{first} and {} more", n - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_counted() {
        let names = vec!["uprobe:x:f"; NAMES + 2];
        assert!(attached(&names).ends_with("Attached uprobe:x:f\nand 2 more\n"));
    }
}
