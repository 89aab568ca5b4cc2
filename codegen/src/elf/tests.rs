use std::collections::HashSet;

use aya_obj::{EbpfSectionKind, Map, Object, ProgramSection, programs::XdpAttachType};
use rbtrace_probes_ebpf::object::{ReadError, read_object};
use rbtrace_probes_ebpf::plan::{MapKind, MapRole, VERSION};

use super::Error;
use super::samples::{Asm, Sample, counter, everything};
use crate::bpf::RelocTarget;

/// Parses an object as aya does and links it with made-up map descriptors, 100 and up by name.
fn link(elf: &[u8]) -> Object {
    let mut object = Object::parse(elf).unwrap();
    let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    let mut maps: Vec<_> = object.maps.clone().into_iter().collect();
    maps.sort_by(|a, b| a.0.cmp(&b.0));
    let fds = (100..).zip(&maps).map(|(fd, (name, map))| (name.as_str(), fd, map));
    object.relocate_maps(fds, &text).unwrap();
    object.relocate_calls(&text).unwrap();
    object
}

#[test]
fn same_input_same_bytes() {
    assert_eq!(everything().write().unwrap(), everything().write().unwrap());
}

#[test]
fn plan_comes_back() {
    for sample in [counter(), everything()] {
        let elf = sample.write().unwrap();
        let object = read_object(&elf).unwrap();
        assert_eq!(object.plan, sample.plan);
        assert_eq!(object.elf, elf);
    }
}

#[test]
fn aya_links_a_program_with_its_map() {
    let object = link(&counter().write().unwrap());
    assert_eq!(object.license.to_str(), Ok("GPL"));
    let program = &object.programs["count"];
    let ProgramSection::Xdp { frags: false, attach_type: XdpAttachType::Interface } =
        program.section
    else {
        panic!("{:?}", program.section)
    };
    let map = &object.maps["packets"];
    assert_eq!((map.map_type(), map.key_size(), map.value_size(), map.max_entries()), (2, 4, 8, 1));
    let code = &object.functions[&program.function_key()];
    assert_eq!((code.instructions[3].src_reg(), code.instructions[3].imm), (1, 100));
    assert_eq!(code.func_info.func_info.len(), 1);
    let lines: Vec<_> = code.line_info.line_info.iter().map(|l| (l.insn_off, l.line_col)).collect();
    assert_eq!(lines, [(0, 2 << 10 | 5), (7, 3 << 10 | 5)]);
}

#[test]
fn aya_links_callbacks_calls_and_data() {
    let object = link(&everything().write().unwrap());
    // By name: .bss 100, .rodata 101, avgs 102, hists 103, names 104, rb.ring 105, stacks 106, start 107
    let begin = &object.functions[&object.programs["begin"].function_key()];
    let at = |i: usize| (begin.instructions[i].src_reg(), begin.instructions[i].imm);
    let own = 28;
    assert_eq!(at(0), (1, 107), "map");
    assert_eq!(at(2), (4, own - 2 - 1), "callback: BPF_PSEUDO_FUNC");
    assert_eq!(at(8), (1, own + 2 - 8 - 1), "call");
    assert_eq!((at(9), begin.instructions[10].imm), ((2, 101), 8), "constant");
    assert_eq!((at(12), begin.instructions[13].imm), ((2, 100), 8), "variable");
    assert_eq!(begin.func_info.func_info.len(), 3);
    assert_eq!(begin.instructions.len() as i32, own + 2 + 4);
    // Two programs of one section, each with its own code.
    for name in ["tick_1", "tick_2"] {
        let code = &object.functions[&object.programs[name].function_key()];
        assert_eq!((code.instructions[1].src_reg(), code.instructions[1].imm), (1, 2));
        assert_eq!(code.line_info.line_info[0].insn_off, 0);
    }
    let sizes = |name: &str| (object.maps[name].key_size(), object.maps[name].value_size());
    assert_eq!(sizes("avgs"), (32, 16));
    assert_eq!(sizes("hists"), (4, 66 * 8));
    assert_eq!(sizes("stacks"), (4, 127 * 8));
    assert_eq!(sizes("names"), (16, 16));
    assert_eq!(sizes("rb.ring"), (0, 0));
    assert_eq!(object.maps[".bss"].section_kind(), EbpfSectionKind::Bss);
}

#[test]
fn aya_relocates_fields() {
    let elf = everything().write().unwrap();
    let mut object = Object::parse(&elf).unwrap();
    assert!(object.has_btf_relocations());
    // The object's own types stand in for the kernel's.
    let target = object.btf.clone().unwrap();
    object.relocate_btf(&target).unwrap();
    let begin = &object.functions[&object.programs["begin"].function_key()];
    assert_eq!([begin.instructions[24].imm, begin.instructions[25].imm], [8, 1]);
}

#[test]
fn wrong_references_are_named() {
    let with = |code| {
        let mut sample = counter();
        sample.functions[0].2 = code;
        sample.write().unwrap_err()
    };
    for target in [
        RelocTarget::Map(7),
        RelocTarget::Rodata(0),
        RelocTarget::Data(16),
        RelocTarget::FuncAddr(0),
        RelocTarget::Call(0),
    ] {
        let error = with(Asm::default().address(1, target).exit(0));
        assert!(matches!(error, Error::InvalidReference { slot: 0, .. }), "{target:?}: {error}");
    }
    assert!(matches!(with(Asm::default().core(1, 0).exit(0)), Error::InvalidReference { .. }));
    assert!(matches!(with(Asm::default().line(9).exit(0)), Error::InvalidReference { .. }));
}

#[test]
fn wrong_names_are_refused() {
    let change = |f: fn(&mut Sample)| {
        let mut sample = counter();
        f(&mut sample);
        sample.write().unwrap_err()
    };
    assert!(matches!(change(|s| s.plan.maps[0].symbol = "a b".into()), Error::InvalidName(_)));
    assert!(matches!(
        change(|s| s.plan.maps.push(s.plan.maps[0].clone())),
        Error::DuplicateSymbol(_)
    ));
    assert!(matches!(change(|s| s.plan.maps[0].max_entries = 0), Error::InvalidMap { .. }));
    assert!(matches!(change(|s| s.plan.config.license = "a\0b".into()), Error::InvalidLicense));
}

#[test]
fn maps_may_have_any_name() {
    for name in ["_license", "count", "rb.ring"] {
        let mut sample = counter();
        sample.plan.maps[0].symbol = name.into();
        let elf = sample.write().unwrap();
        read_object(&elf).unwrap();
        let object = link(&elf);
        assert_eq!(object.license.to_str(), Ok("GPL"));
        assert_eq!(object.maps[name].value_size(), 8);
        assert!(object.programs.contains_key("count"));
    }
}

#[test]
fn an_array_may_hold_arrays() {
    let mut sample = counter();
    let mut outer = sample.plan.maps[0].clone();
    outer.symbol = "outer".into();
    outer.kind = MapKind::ArrayOfArrays;
    outer.role = MapRole::UnwindRows;
    sample.plan.maps.push(outer);
    let elf = sample.write().unwrap();
    assert_eq!(read_object(&elf).unwrap().plan, sample.plan);
    let object = link(&elf);
    let sizes = |map: &Map| (map.map_type(), map.key_size(), map.value_size(), map.map_flags());
    let outer = &object.maps["outer"];
    assert_eq!(sizes(outer), (12, 4, 4, 0));
    // Of any length: BPF_F_INNER_MAP.
    assert_eq!(sizes(&outer.inner().unwrap()), (2, 4, 8, 1 << 12));
}

#[test]
fn other_plans_are_refused() {
    let mut sample = counter();
    sample.plan.version = VERSION + 1;
    let found = u64::from(VERSION) + 1;
    assert_eq!(
        read_object(&sample.write().unwrap()).unwrap_err(),
        ReadError::PlanVersion { found }
    );
    let mut sample = counter();
    sample.plan.programs[0].symbol = "other".into();
    let error = read_object(&sample.write().unwrap()).unwrap_err();
    assert!(matches!(error, ReadError::InconsistentPlan(_)));
}

/// A reader of values trusts the plan for their size, so both must agree.
#[test]
fn maps_that_differ_from_the_plan_are_refused() {
    let elf = counter().write().unwrap();
    let plan = br#""size":8"#;
    let at = elf.windows(plan.len()).position(|w| w == plan).unwrap();
    let mut altered = elf.clone();
    altered[at + plan.len() - 1] = b'4';
    let error = read_object(&altered).unwrap_err();
    assert!(matches!(error, ReadError::InconsistentPlan(_)), "{error}");
}

/// Whatever is cut off or altered, the reader refuses it, or aya copes with it.
#[test]
fn damage_never_panics() {
    let elf = everything().write().unwrap();
    for len in 0..elf.len() {
        assert!(read_object(&elf[..len]).is_err(), "cut to {len}");
    }
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut altered = elf.clone();
        for _ in 0..=next() % 4 {
            let at = next() as usize % altered.len();
            altered[at] = [0, 1, 0x7f, 0x80, 0xff, next() as u8][next() as usize % 6];
        }
        if read_object(&altered).is_ok() {
            accepted += 1;
            load_as_aya_does(&altered);
        }
    }
    assert!(accepted > 1000);
}

/// All that aya does with an object before it talks to the kernel.
fn load_as_aya_does(elf: &[u8]) {
    let Ok(mut object) = Object::parse(elf) else {
        return;
    };
    if let Some(target) = object.btf.clone() {
        let _ = object.relocate_btf(&target);
    }
    let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    let maps = object.maps.clone();
    let fds = (100..).zip(&maps).map(|(fd, (name, map))| (name.as_str(), fd, map));
    if object.relocate_maps(fds, &text).is_ok() {
        let _ = object.relocate_calls(&text);
    }
}
