//! The whole pipeline on typed programs made by hand: instruction counts are exact.

use rbtrace_codegen::StackUse;
use rbtrace_lang::hir::*;
use rbtrace_lang::span::{Sources, Span};
use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{self, MapKind};
use rbtrace_probes_ebpf::profile::TargetProfile;

fn program(kind: ProbeKind, target: plan::Target, maps: Vec<Map>, body: Vec<Stmt>) -> Program {
    Program {
        maps,
        probes: vec![plan::Probe { name: kind.spec().name.into(), target }],
        blocks: vec![ProbeBlock {
            kind,
            probes: vec![0],
            locals: Vec::new(),
            objects: Vec::new(),
            packet: Vec::new(),
            required: Vec::new(),
            predicate: None,
            body,
            span: Span::default(),
        }],
        ..Program::default()
    }
}

fn listing(program: &Program) -> String {
    let mut sources = Sources::default();
    sources.add("test", "xdp:lo { @ = count(); }");
    let lowered =
        rbtrace_codegen::lower(program, &sources, &TargetProfile::REFERENCE, StackUse::Usual)
            .expect("a stage that works");
    let optimized = lowered.optimize().expect("a stage that works");
    let selected = optimized.select().expect("a stage that works");
    let text = selected.dump();
    selected.write().expect("a stage that works");
    text
}

/// Instructions in a listing: lines that begin with a slot's number.
fn instructions(listing: &str) -> usize {
    listing.lines().filter(|l| l.trim_start().starts_with(|c: char| c.is_ascii_digit())).count()
}

#[test]
fn a_packet_counter_is_as_short_as_clangs() {
    let map = Map {
        name: "@".into(),
        key: Type::Void,
        value: Type::Aggregate(Aggregate::Count),
        kind: MapKind::PerCpuArray,
        max_entries: 1,
        span: Span::default(),
    };
    let count = Stmt {
        kind: StmtKind::Aggregate { map: MapId(0), key: None, value: None, time: None },
        span: Span::default(),
    };
    let target = plan::Target::Xdp { interface: plan::Interface::Named("lo".into()), mode: None };
    let text = listing(&program(ProbeKind::Xdp, target, vec![map], vec![count]));
    assert_eq!(instructions(&text), 11, "{text}");
}

#[test]
fn hello_sends_a_record_of_its_header_alone() {
    let hello = Stmt {
        kind: StmtKind::Action(Action::Printf { format: "hello\n".into(), args: Vec::new() }),
        span: Span::default(),
    };
    let text = listing(&program(ProbeKind::Begin, plan::Target::Begin, Vec::new(), vec![hello]));
    assert!(text.contains("r2 = 8"), "{text}");
}

#[test]
fn a_computed_verdict_is_kept_within_what_the_hook_takes() {
    let pid = ExprKind::Builtin(Builtin::Pid);
    let pid = Expr { kind: pid, ty: Type::U32, span: Span::default() };
    let cast = ExprKind::Cast(Box::new(pid));
    let verdict = Expr { kind: cast, ty: Type::I64, span: Span::default() };
    let ret = Stmt { kind: StmtKind::Return(Some(verdict)), span: Span::default() };
    for (hook, bounds) in
        [("file_open", ["-4095", "r0 = -1"]), ("inode_xattr_skipcap", ["> 1", "r0 = 1"])]
    {
        let target = plan::Target::Lsm { hook: hook.into() };
        let text = listing(&program(ProbeKind::Lsm, target, Vec::new(), vec![ret.clone()]));
        assert!(bounds.iter().all(|bound| text.contains(bound)), "{hook}: {text}");
    }
}
