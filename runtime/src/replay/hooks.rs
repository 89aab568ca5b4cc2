//! Which blocks are for packets, and which of them see the same ones.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rbtrace_probes_ebpf::kinds::{ProbeKind, ProgramType};
use rbtrace_probes_ebpf::plan::{Plan, Program, Target};

use crate::event::Verdict;

/// How the kernel's test run treats the packets of a type of programs (net/bpf/test_run.c). Whatever the
/// program sees, what is handed over begins with an Ethernet header.
#[derive(Debug)]
pub(super) struct Treatment {
    program: ProgramType,
    /// Bytes that have to stand before the packet, since the program sees it from behind them on.
    pub prepended: usize,
    /// Bytes at the start that the program does not see, and that come back as zeros.
    pub hidden: usize,
    /// Most bytes that the program sees of a packet; absent: a longer one is refused.
    pub seen: Option<fn() -> usize>,
    /// Verdicts with which a packet goes no further.
    pub dropping: &'static [i64],
}

/// One for each type of programs that packets can be handed to.
static TREATMENTS: &[Treatment] = &[
    Treatment {
        program: ProgramType::Xdp,
        prepended: 0,
        hidden: 0,
        seen: Some(first_page),
        // `XDP_ABORTED` and `XDP_DROP`.
        dropping: &[0, 1],
    },
    Treatment {
        program: ProgramType::SchedCls,
        prepended: 0,
        hidden: 0,
        seen: None,
        // `TC_ACT_SHOT`, `TC_ACT_STOLEN`, `TC_ACT_QUEUED` and `TC_ACT_TRAP`.
        dropping: &[2, 4, 5, 8],
    },
    Treatment {
        program: ProgramType::SocketFilter,
        // On a packet socket they see the frame's header, which the test run keeps from them.
        prepended: 14,
        hidden: 0,
        seen: None,
        dropping: &[],
    },
    Treatment {
        program: ProgramType::CgroupSkb,
        prepended: 0,
        hidden: 14,
        seen: None,
        // `SK_DROP`.
        dropping: &[0],
    },
];

/// What a page has room for between the room that XDP programs may take before a packet and the
/// kernel's own record behind it: the rest of a packet lies elsewhere.
fn first_page() -> usize {
    /// `XDP_PACKET_HEADROOM` of linux/bpf.h, and `struct skb_shared_info` of linux/skbuff.h.
    const AROUND: usize = 256 + 320;
    rustix::param::page_size().saturating_sub(AROUND)
}

/// A hook of the kernel: the blocks on it see the same packets, in their order, until one decides.
#[derive(Debug)]
pub(super) struct Hook {
    /// As attach points have it; several, separated by commas, where all have the same blocks.
    pub name: Arc<str>,
    pub blocks: Vec<Block>,
    /// Where the blocks call each other: the first of them, once it is known.
    pub chain: Option<OwnedFd>,
}

/// A block on a hook.
#[derive(Debug)]
pub(super) struct Block {
    /// Index in [`Plan::programs`].
    pub program: usize,
    /// Line of the script on which it begins.
    pub line: u32,
    kind: ProbeKind,
    pub treatment: &'static Treatment,
    /// Runs so far, and nanoseconds that they took.
    pub runs: u64,
    pub nanoseconds: u64,
}

impl Block {
    fn new(index: usize, program: &Program) -> Option<Self> {
        Some(Self {
            program: index,
            line: program.line,
            kind: program.kind,
            treatment: treatment(program.kind)?,
            runs: 0,
            nanoseconds: 0,
        })
    }

    /// Whether the program itself calls the next one where it decides nothing.
    pub fn calls_next(&self) -> bool {
        self.kind.calls_next()
    }

    /// Whether a block that returned this leaves the packet to the next one.
    pub fn passes_on(&self, result: i64) -> bool {
        result == self.kind.spec().default_return
    }

    /// What a result means.
    pub fn verdict(&self, result: i64) -> Verdict {
        let verdicts = self.kind.spec().verdicts;
        match verdicts.iter().find(|verdict| verdict.value == result) {
            _ if verdicts.is_empty() => Verdict::Unasked,
            Some(verdict) => Verdict::Named(verdict.name),
            None => Verdict::Number(result),
        }
    }
}

fn treatment(kind: ProbeKind) -> Option<&'static Treatment> {
    // Tests and benchmarks are of a type for packets as well.
    let program = kind.spec().program;
    TREATMENTS.iter().find(|one| one.program == program && !kind.is_run())
}

/// What the probes that see the same packets have in common.
fn name(target: &Target) -> Option<String> {
    match target {
        Target::Xdp { interface, .. } => Some(format!("xdp:{}", interface.text())),
        Target::Tc { interface, direction } => {
            Some(format!("tc:{}:{}", interface.text(), direction.name()))
        }
        Target::Socket { interface } => Some(format!("socket:{}", interface.text())),
        Target::CgroupSkb { path, direction } => {
            Some(format!("cgroup_skb:{path}:{}", direction.name()))
        }
        _ => None,
    }
}

/// The hooks of a plan, in the order of the script.
pub(super) fn of(plan: &Plan) -> Vec<Hook> {
    let mut found: Vec<(String, Vec<usize>)> = Vec::new();
    for (index, program) in plan.programs.iter().enumerate() {
        if treatment(program.kind).is_none() {
            continue;
        }
        let probes = program.probes.iter().filter_map(|probe| plan.probes.get(*probe as usize));
        for name in probes.filter_map(|probe| name(&probe.target)) {
            let position = found.iter().position(|(known, _)| *known == name);
            match position.and_then(|position| found.get_mut(position)) {
                // Two probes of a block on one interface are one, whatever their modes are.
                Some((_, blocks)) if blocks.last() == Some(&index) => {}
                Some((_, blocks)) => blocks.push(index),
                None => found.push((name, vec![index])),
            }
        }
    }
    let mut merged: Vec<(String, Vec<usize>)> = Vec::new();
    for (name, blocks) in found {
        match merged.iter_mut().find(|(_, same)| *same == blocks) {
            Some((names, _)) => *names = format!("{names}, {name}"),
            None => merged.push((name, blocks)),
        }
    }
    let block = |index: usize| Block::new(index, plan.programs.get(index)?);
    let hook = |(name, blocks): (String, Vec<usize>)| Hook {
        name: name.into(),
        blocks: blocks.into_iter().filter_map(block).collect(),
        chain: None,
    };
    merged.into_iter().map(hook).collect()
}

/// The hooks that the blocks of a plan are on, in the order of the script: those that a replay runs.
pub fn hooks(plan: &Plan) -> Vec<String> {
    of(plan).into_iter().map(|hook| hook.name.to_string()).collect()
}

/// Takes their probes from all blocks that a replay does not run: they are then not even loaded. Returns
/// the kinds of these probes, in the order of the script.
pub fn keep_replayed(plan: &mut Plan) -> Vec<ProbeKind> {
    let mut left_out = Vec::new();
    for program in &mut plan.programs {
        let kind = program.kind;
        let stays = matches!(kind, ProbeKind::Begin | ProbeKind::End) || treatment(kind).is_some();
        if !stays && !program.probes.is_empty() {
            program.probes.clear();
            if !left_out.contains(&kind) {
                left_out.push(kind);
            }
        }
    }
    left_out
}

#[cfg(test)]
mod tests {
    use rbtrace_probes_ebpf::plan::{Interface, Probe, XdpMode};

    use super::*;
    use crate::empty_plan;

    /// A plan with a program for each of these lists of attach points.
    fn plan(programs: &[(ProbeKind, &[&str])]) -> Plan {
        let mut plan = empty_plan();
        for (line, (kind, points)) in programs.iter().enumerate() {
            let mut probes = Vec::new();
            for point in *points {
                let target = match point.split(':').collect::<Vec<_>>()[..] {
                    ["xdp", interface] => {
                        Target::Xdp { interface: Interface::Named(interface.into()), mode: None }
                    }
                    ["xdp", interface, _] => {
                        let interface = Interface::Named(interface.into());
                        Target::Xdp { interface, mode: Some(XdpMode::Generic) }
                    }
                    ["begin"] => Target::Begin,
                    _ => Target::Test { name: (*point).into() },
                };
                probes.push(plan.probes.len() as u32);
                plan.probes.push(Probe { name: (*point).into(), target });
            }
            plan.programs.push(Program {
                symbol: format!("program_{line}"),
                section: "x".into(),
                kind: *kind,
                probes,
                uses_cookie: false,
                passes_on: true,
                line: line as u32 + 1,
            });
        }
        plan
    }

    #[test]
    fn blocks_on_one_interface_are_one_hook() {
        use ProbeKind::{Begin, Test, Xdp};
        let mut plan = plan(&[
            (Begin, &["begin"]),
            (Xdp, &["xdp:a", "xdp:b", "xdp:c"]),
            (Test, &["t"]),
            (Xdp, &["xdp:a:generic", "xdp:a"]),
        ]);
        assert_eq!(keep_replayed(&mut plan), [Test]);
        assert_eq!(keep_replayed(&mut plan), []);
        assert_eq!(hooks(&plan), ["xdp:a", "xdp:b, xdp:c"]);
        let lines = |hook: &Hook| hook.blocks.iter().map(|block| block.line).collect::<Vec<_>>();
        assert_eq!(of(&plan).iter().map(lines).collect::<Vec<_>>(), [vec![2, 4], vec![2]]);
        plan.programs[1].probes.clear();
        assert_eq!(hooks(&plan), ["xdp:a"]);
        plan.programs[3].probes.clear();
        assert!(hooks(&plan).is_empty());
    }

    #[test]
    fn verdicts_have_names() {
        let plan = plan(&[(ProbeKind::Xdp, &["xdp:a"])]);
        let hooks = of(&plan);
        let block = &hooks[0].blocks[0];
        assert_eq!(block.verdict(1), Verdict::Named("XDP_DROP"));
        assert_eq!(block.verdict(5), Verdict::Number(5));
        assert!(block.passes_on(2) && !block.passes_on(1) && !block.passes_on(-1));
    }
}
