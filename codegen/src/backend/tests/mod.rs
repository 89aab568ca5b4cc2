//! Tests of the back end: from IR as text to listings, and to results of running the code.

mod machine;
mod ops;
mod random;
mod shapes;

use cranelift_codegen::ir::{Function, SourceLoc};
use cranelift_reader::parse_functions;

use super::compile_function;
use crate::bpf::{FunctionCode, Insn, Names, RelocTarget, write_listing};
use crate::error::Error;
use crate::legalize::legalize;
use crate::optimize::optimize;

fn parse(text: &str) -> Function {
    parse_functions(text).expect("test IR parses").remove(0)
}

fn compile(mut func: Function, optimized: bool) -> Result<FunctionCode, Error> {
    if optimized {
        optimize(&mut func)?;
    }
    legalize(&mut func)?;
    compile_function(&func, "f")
}

/// The listing of the optimized code of `text`, without the header, indentation and slot numbers.
fn listing(text: &str) -> String {
    let code = compile(parse(text), true).expect("test IR compiles");
    let mut listing = String::new();
    write_listing(&code, &(), &mut listing).expect("writing to a string");
    let lines = listing.lines().skip(1).map(|line| match line.split_once(": ") {
        Some((_, insn)) => insn,
        None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Compares the listing of `text` with the lines of `expected`.
#[track_caller]
fn assert_listing(text: &str, expected: &str) {
    let expected: Vec<_> = expected.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let found = listing(text);
    assert_eq!(found.lines().collect::<Vec<_>>(), expected, "\n{found}");
}

/// Runs code that takes `i64` arguments.
fn run(code: &FunctionCode, args: &[u64]) -> u64 {
    let result = machine::run(&code.insns, args);
    if machine::rbpf_is_faithful(&code.insns) {
        assert_eq!(run_in_rbpf(code, args), result, "rbpf disagrees");
    }
    result
}

/// Runs code in rbpf, arguments loaded by instructions in front of it.
fn run_in_rbpf(code: &FunctionCode, args: &[u64]) -> u64 {
    let mut bytes: Vec<u8> = Vec::new();
    for n in (1..=args.len()).rev() {
        let off = 8 * (n as i16 - 1);
        let load = Insn { code: 0x79, dst: n as u8, src: 1, off, imm: 0 };
        bytes.extend(load.to_bytes());
    }
    bytes.extend(code.insns.iter().flat_map(|insn| insn.to_bytes()));
    let mut memory: Vec<u8> = args.iter().flat_map(|arg| arg.to_le_bytes()).collect();
    let vm = rbpf::EbpfVmRaw::new(Some(&bytes)).expect("rbpf accepts the code");
    vm.execute_program(&mut memory).expect("rbpf runs the code")
}

#[test]
fn unsupported_instruction_is_named() {
    let text = "function %f(i64) -> i64 { block0(v0: i64):
        v1 = fcvt_from_sint.f64 v0
        v2 = bitcast.i64 v1
        return v2 }";
    let error = compile(parse(text), true).expect_err("no floating point");
    let Error::UnsupportedInstruction { function, instruction, ir } = error else {
        panic!("{error}");
    };
    assert_eq!(function, "f");
    assert!(instruction.contains("v1 = fcvt_from_sint"), "{instruction}");
    assert!(ir.contains("return v2"), "{ir}");
}

/// A unit with one of everything that has a name.
struct TestNames;

impl Names for TestNames {
    fn helper(&self, id: u32) -> Option<String> {
        (id == 1).then(|| "map_lookup_elem".to_owned())
    }

    fn target(&self, target: RelocTarget) -> Option<String> {
        match target {
            RelocTarget::Map(0) => Some("@count".to_owned()),
            RelocTarget::Core(2) => Some("task_struct.pid".to_owned()),
            _ => None,
        }
    }

    fn source(&self, span: u32) -> Option<String> {
        (span == 7).then(|| "@count[pid]++;".to_owned())
    }
}

#[test]
fn listing_has_names_and_the_scripts_lines() {
    let mut func = parse(
        "function %f(i64) -> i64 {
            gv0 = symbol u3:0
            gv1 = symbol u5:2
            gv2 = symbol u3:9
            fn0 = u0:1(i64, i64) -> i64
            fn1 = u0:999(i64) -> i64
        block0(v0: i64):
            v1 = symbol_value.i64 gv0
            v2 = symbol_value.i64 gv1
            v3 = iadd v0, v2
            v4 = call fn0(v1, v3)
            v5 = symbol_value.i64 gv2
            v6 = call fn1(v5)
            return v6
        }",
    );
    let entry = func.layout.entry_block().expect("an entry");
    for inst in func.layout.block_insts(entry).collect::<Vec<_>>() {
        func.set_srcloc(inst, SourceLoc::new(7));
    }
    let code = compile(func, true).expect("test IR compiles");
    let mut listing = String::new();
    write_listing(&code, &TestNames, &mut listing).expect("writing to a string");
    let expected = "f: # 9 slots, 0 bytes of stack
      ; @count[pid]++;
   0: r2 = r1
   1: r2 += task_struct.pid
   2: r1 = @count ll
   4: call map_lookup_elem
   5: r1 = map#9 ll
   7: call #999
   8: exit
";
    assert_eq!(listing, expected, "{listing}");
}

#[test]
fn conditional_trap_returns_zero() {
    let text = "function %f(i64, i64) -> i64 { block0(v0: i64, v1: i64):
        trapz v0, user1
        v2 = iadd v0, v1
        trapnz v1, user1
        return v2 }";
    for optimized in [false, true] {
        let code = compile(parse(text), optimized).expect("test IR compiles");
        assert_eq!(run(&code, &[0, 0]), 0);
        assert_eq!(run(&code, &[5, 0]), 5);
        assert_eq!(run(&code, &[5, 3]), 0);
    }
}

#[test]
fn branch_table_goes_where_the_index_says() {
    let text = "function %f(i64) -> i64 { block0(v0: i64):
        v1 = ireduce.i32 v0
        v2 = iconst.i64 10
        v3 = iconst.i64 11
        br_table v1, block1(v0), [block1(v2), block2, block1(v3)]
    block1(v4: i64):
        return v4
    block2:
        v5 = iconst.i64 99
        return v5 }";
    for optimized in [false, true] {
        let code = compile(parse(text), optimized).expect("test IR compiles");
        for (index, result) in [(0, 10), (1, 99), (2, 11), (3, 3), (1 << 32, 10)] {
            assert_eq!(run(&code, &[index]), result);
        }
    }
}

#[test]
fn atomic_operations_update_memory_and_give_the_old_value() {
    let text = "function %f(i64, i64) -> i64 {
        ss0 = explicit_slot 8
        block0(v0: i64, v1: i64):
        v2 = stack_addr.i64 ss0
        store v0, v2
        v3 = atomic_rmw.i64 add v2, v1
        v4 = atomic_rmw.i64 sub v2, v3
        v5 = atomic_rmw.i64 xchg v2, v4
        v6 = iadd v5, v3
        v7 = atomic_cas.i64 v2, v4, v6
        v8 = atomic_rmw.i64 xor v2, v0
        v9 = load.i64 v2
        v10 = imul v9, v7
        return v10 }";
    for optimized in [false, true] {
        let code = compile(parse(text), optimized).expect("test IR compiles");
        for (x, y) in [(3u64, 4u64), (u64::MAX, 1), (1 << 40, 7)] {
            // After add: x + y; after sub: y; exchanged for x + y; then compared and set to y + x.
            let sum = x.wrapping_add(y);
            let last = y.wrapping_add(x) ^ x;
            assert_eq!(run(&code, &[x, y]), last.wrapping_mul(sum));
        }
    }
}

#[test]
fn stack_limit_is_an_error() {
    let text = "function %f(i64) -> i64 {
        ss0 = explicit_slot 400
        ss1 = explicit_slot 113
        fn0 = u0:4(i64, i64) -> i64
        block0(v0: i64):
        v1 = stack_addr.i64 ss0
        v2 = stack_addr.i64 ss1
        v3 = call fn0(v1, v2)
        return v3 }";
    let error = compile(parse(text), true).expect_err("520 bytes");
    assert!(matches!(error, Error::StackLimit { bytes: 520, limit: 512, .. }), "{error}");
}

#[test]
fn invalid_ir_is_reported_with_its_stage() {
    let text = "function %f(i64) -> i64 { block0(v0: i64):
        v1 = iadd v0, v2
        v2 = iadd v0, v0
        return v1 }";
    let error = compile(parse(text), true).expect_err("use before definition");
    assert!(matches!(error, Error::InvalidIr { stage: "lower", .. }), "{error}");
}
