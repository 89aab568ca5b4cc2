//! Every operation at every width, operands in registers and as constants, against Cranelift's
//! interpreter.

use super::random::{Random, interpret};
use super::{compile, parse, run};

const WIDTHS: [u32; 4] = [8, 16, 32, 64];

/// Operations on three values of one type, `@` for the type.
const OPERATIONS: &[&str] = &[
    "v9 = iadd x, y",
    "v9 = isub x, y",
    "v9 = imul x, y",
    "v9 = band x, y",
    "v9 = bor x, y",
    "v9 = bxor x, y",
    "v9 = smin x, y",
    "v9 = smax x, y",
    "v9 = umin x, y",
    "v9 = umax x, y",
    "v9 = umulhi x, y",
    "v9 = smulhi x, y",
    "v9 = ishl x, y",
    "v9 = ushr x, y",
    "v9 = sshr x, y",
    "v9 = rotl x, y",
    "v9 = rotr x, y",
    "v9 = ineg x",
    "v9 = bnot x",
    "v9 = iabs x",
    "v9 = bitrev x",
    "v9 = clz x",
    "v9 = cls x",
    "v9 = ctz x",
    "v9 = popcnt x",
    "v9 = select x, y, z",
    "v9 = bitselect x, y, z",
    "v8 = icmp eq x, y\n v9 = bmask.@ v8",
    "v8 = bor z, ONE\n v9 = udiv x, v8",
    "v8 = bor z, ONE\n v9 = urem x, v8",
    "v8 = band z, THREE\n v7 = iadd v8, ONE\n v9 = sdiv x, v7",
    "v8 = band z, THREE\n v7 = iadd v8, ONE\n v6 = ineg v7\n v9 = srem x, v6",
    "v8 = icmp ult x, y\n v9 = select v8, y, z",
    "v8 = band x, y\n v7 = icmp eq v8, ZERO\n v9 = select v7, y, z",
    "v8 = sextend.i64 x\n v9 = ireduce.@ v8",
];

const CONDITIONS: &[&str] = &["eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge"];

/// A function that reduces its parameters to `width` bits, some of them replaced by constants.
fn function(operation: &str, width: u32, constants: [Option<u64>; 3]) -> String {
    let mut text =
        String::from("function %f(i64, i64, i64) -> i64 {\nblock0(v0: i64, v1: i64, v2: i64):\n");
    let mask = u64::MAX >> (64 - width);
    for (n, constant) in constants.into_iter().enumerate() {
        let line = match constant {
            Some(bits) => format!("v{} = iconst.i{width} {}\n", 10 + n, (bits & mask) as i64),
            None if width == 64 => format!("v{} = bor v{n}, v{n}\n", 10 + n),
            None => format!("v{} = ireduce.i{width} v{n}\n", 10 + n),
        };
        text.push_str(&line);
    }
    for (name, value, bits) in [("ZERO", 13, 0), ("ONE", 14, 1), ("THREE", 15, 3)] {
        if operation.contains(name) {
            text.push_str(&format!("v{value} = iconst.i{width} {bits}\n"));
        }
    }
    let body = operation
        .replace("ZERO", "v13")
        .replace("ONE", "v14")
        .replace("THREE", "v15")
        .replace(" x", " v10")
        .replace(" y", " v11")
        .replace(" z", " v12")
        .replace('@', &format!("i{width}"));
    text.push_str(&body);
    text.push_str("\nreturn v99 }");
    let result = if width == 64 { "v9".to_owned() } else { "v99".to_owned() };
    if width < 64 {
        text = text.replace("return v99", "v99 = uextend.i64 v9\nreturn v99");
    }
    text.replace("return v99", &format!("return {result}"))
}

/// Compiles `text` both ways and compares results with the interpreter's.
#[track_caller]
pub(super) fn check(text: &str, random: &mut Random) {
    let func = parse(text);
    for optimized in [false, true] {
        let code = compile(func.clone(), optimized).unwrap_or_else(|e| panic!("{e}"));
        for _ in 0..12 {
            let args = [random.number(), random.number(), random.number()];
            let (found, wanted) = (run(&code, &args), interpret(&func, &args));
            assert_eq!(found, wanted, "optimized {optimized}, {args:x?}: {}", func.display());
        }
    }
}

/// The operands that are constants, in each case.
fn cases(random: &mut Random) -> [[Option<u64>; 3]; 4] {
    let mut constant = || Some(random.number());
    [[None; 3], [None, constant(), None], [constant(), None, None], [None, constant(), constant()]]
}

#[test]
fn operations() {
    let mut random = Random(1);
    for operation in OPERATIONS {
        for width in WIDTHS {
            for constants in cases(&mut random) {
                if !(width == 64 && operation.contains("sextend")) {
                    check(&function(operation, width, constants), &mut random);
                }
            }
        }
    }
}

#[test]
fn byte_swaps() {
    for width in [16, 32, 64] {
        check(&function("v9 = bswap x", width, [None; 3]), &mut Random(2));
    }
}

#[test]
fn comparisons_as_values_conditions_and_branches() {
    let mut random = Random(3);
    for condition in CONDITIONS {
        for width in WIDTHS {
            for constants in cases(&mut random) {
                let value = format!("v8 = icmp {condition} x, y\n v9 = uextend.@ v8");
                let chosen = format!("v8 = icmp {condition} x, y\n v9 = select v8, x, z");
                let branched = format!(
                    "v8 = icmp {condition} x, y\n brif v8, block1(x), block1(z)\nblock1(v9: @):"
                );
                if width > 8 {
                    check(&function(&value, width, constants), &mut random);
                }
                check(&function(&chosen, width, constants), &mut random);
                let branched = branched.replace("(x)", "( x)").replace("(z)", "( z)");
                check(&function(&branched, width, constants), &mut random);
            }
        }
    }
}

#[test]
fn bit_tests() {
    let mut random = Random(4);
    for width in WIDTHS {
        for constants in cases(&mut random) {
            for branch in [
                "v8 = band x, y\n brif v8, block1( x), block1( z)\nblock1(v9: @):",
                "v8 = band x, y\n v7 = icmp eq v8, ZERO\n brif v7, block1( x), block1( z)\nblock1(v9: @):",
                "brif x, block1( y), block1( z)\nblock1(v9: @):",
            ] {
                check(&function(branch, width, constants), &mut random);
            }
        }
    }
}

#[test]
fn extensions_and_reductions() {
    let mut random = Random(5);
    for (from, to) in [(8, 16), (8, 32), (8, 64), (16, 32), (16, 64), (32, 64)] {
        for extend in ["uextend", "sextend"] {
            // Bits above the narrow type are garbage in the first, known in the second.
            for source in ["v7 = iadd x, y", "v6 = ushr x, ONE\n v7 = bor v6, v6"] {
                let body = format!("{source}\n v8 = {extend}.i{to} v7\n v5 = icmp slt v8, v8");
                let text = function(&format!("{body}\n v9 = bor x, x"), from, [None; 3]);
                let wide = if to == 64 { "v8".into() } else { "v98\n".to_string() };
                let text = match to {
                    64 => text.replace("return v99", &format!("return {wide}")),
                    _ => text.replace("return v99", "v98 = uextend.i64 v8\n return v98"),
                };
                check(&text, &mut random);
            }
        }
    }
}
