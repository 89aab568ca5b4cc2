//! Tests of the back end: from IR as text to listings, and to results of running the code.

mod machine;
mod ops;
mod random;
mod shapes;

use cranelift_codegen::ir::Function;
use cranelift_reader::parse_functions;

use super::compile_function;
use crate::bpf::{FunctionCode, Insn, write_listing};
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
    assert_eq!(function, "%f");
    assert!(instruction.contains("v1 = fcvt_from_sint"), "{instruction}");
    assert!(ir.contains("return v2"), "{ir}");
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
