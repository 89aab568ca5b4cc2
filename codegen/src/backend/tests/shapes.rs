//! The exact code of shapes that programs are made of.

use cranelift_codegen::ir::SourceLoc;

use super::{assert_listing, compile, parse};
use crate::bpf::{LineEntry, RelocTarget};

/// Clang makes twelve instructions of this one: it stores the key through a register.
#[test]
fn packet_counter() {
    let counter = |body: &str| {
        format!(
            "function %counter(i64) -> i64 {{
                ss0 = explicit_slot 4
                gv0 = symbol u3:0
                fn0 = u0:1(i64, i64) -> i64
            block0(v0: i64):
                v1 = iconst.i32 0
                v2 = stack_addr.i64 ss0
                store v1, v2
                v3 = symbol_value.i64 gv0
                v4 = call fn0(v3, v2)
                brif v4, block1, block2
            block1:
                v5 = iconst.i64 1
                {body}
                jump block2
            block2:
                v9 = iconst.i64 2
                return v9
            }}"
        )
    };
    let lookup = "*(u32 *)(r10 -8) = 0
        r1 = map#0 ll
        r2 = r10
        r2 += -8
        call #1
        if r0 == 0 goto L1";
    assert_listing(
        &counter("v6 = load.i64 v4\n v7 = iadd v6, v5\n store v7, v4"),
        &format!(
            "{lookup}
            r1 = *(u64 *)(r0 +0)
            r1 += 1
            *(u64 *)(r0 +0) = r1
            L1:
            r0 = 2
            exit"
        ),
    );
    assert_listing(
        &counter("v6 = atomic_rmw.i64 add v4, v5"),
        &format!(
            "{lookup}
            r1 = 1
            lock *(u64 *)(r0 +0) += r1
            L1:
            r0 = 2
            exit"
        ),
    );
}

#[test]
fn context_survives_calls_in_a_saved_register() {
    assert_listing(
        "function %f(i64) -> i64 {
            fn0 = u0:14() -> i64
            fn1 = u0:5() -> i64
        block0(v0: i64):
            v1 = call fn0()
            v2 = iconst.i64 32
            v3 = ushr v1, v2
            v4 = call fn1()
            v5 = load.i64 v0+112
            v6 = iadd v4, v5
            v7 = iadd v6, v3
            return v7
        }",
        "r6 = r1
        call #14
        r8 = r0
        call #5
        r1 = *(u64 *)(r6 +112)
        r0 += r1
        r8 >>= 32
        r0 += r8
        exit",
    );
}

#[test]
fn packet_bounds_are_checked_on_the_pointer_used() {
    assert_listing(
        "function %f(i64) -> i64 {
        block0(v0: i64):
            v1 = uload32 v0
            v2 = uload32 v0+4
            v3 = iconst.i64 14
            v4 = iadd v1, v3
            v5 = icmp ugt v4, v2
            brif v5, block2, block1
        block1:
            v6 = uload16.i64 v1+12
            return v6
        block2:
            return v3
        }",
        "r2 = *(u32 *)(r1 +0)
        r5 = *(u32 *)(r1 +4)
        r1 = r2
        r1 += 14
        if r1 <= r5 goto L1
        r0 = 14
        exit
        L1:
        r0 = *(u16 *)(r2 +12)
        exit",
    );
}

/// The verifier forgets what it learns of a sum that is computed again.
#[test]
fn checked_sum_is_the_one_used() {
    assert_listing(
        "function %f(i64) -> i64 {
            fn0 = u0:5(i64) -> i64
        block0(v0: i64):
            v1 = load.i64 v0
            v2 = iconst.i64 5
            v3 = iadd v1, v2
            v4 = iconst.i64 64
            v5 = icmp ult v3, v4
            brif v5, block1, block2
        block1:
            v6 = call fn0(v3)
            return v6
        block2:
            return v4
        }",
        "r1 = *(u64 *)(r1 +0)
        r1 += 5
        if r1 >= 64 goto L1
        call #5
        exit
        L1:
        r0 = 64
        exit",
    );
}

#[test]
fn constants_are_immediates_where_they_fit() {
    assert_listing(
        "function %f(i64) -> i64 {
            gv0 = symbol u6:0+10
        block0(v0: i64):
            v1 = load.i64 v0
            v2 = iconst.i64 0x8000_0001
            v3 = iconst.i64 0x1_0000_0000
            v4 = band v1, v2
            v5 = symbol_value.i64 gv0
            v6 = udiv v4, v5
            store v2, v0+8
            store v3, v0+16
            v8 = iconst.i16 -2
            store v8, v0+24
            return v6
        }",
        "r0 = *(u64 *)(r1 +0)
        w0 &= 0x80000001
        r0 /= 10
        w2 = -2147483647
        *(u64 *)(r1 +8) = r2
        r2 = 0x100000000 ll
        *(u64 *)(r1 +16) = r2
        *(u16 *)(r1 +24) = -2
        exit",
    );
}

#[test]
fn bits_are_tested_without_a_mask_in_a_register() {
    assert_listing(
        "function %f(i64) -> i64 {
        block0(v0: i64):
            v1 = load.i64 v0
            v2 = iconst.i64 6
            v3 = band v1, v2
            v4 = iconst.i64 0
            v5 = icmp eq v3, v4
            brif v5, block1, block2
        block1:
            return v2
        block2:
            return v4
        }",
        "r3 = *(u64 *)(r1 +0)
        if r3 & 6 goto L1
        r0 = 6
        exit
        L1:
        r0 = 0
        exit",
    );
}

#[test]
fn values_that_are_extended_already_are_not_again() {
    assert_listing(
        "function %f(i64) -> i64 {
        block0(v0: i64):
            v1 = load.i32 v0
            v2 = uload8.i32 v0+4
            v3 = iadd v1, v2
            v4 = uextend.i64 v3
            v5 = load.i16 v0+6
            v6 = iconst.i16 1000
            v7 = icmp ugt v5, v6
            v8 = uextend.i64 v7
            v9 = iadd v4, v8
            return v9
        }",
        "r0 = *(u32 *)(r1 +0)
        r2 = *(u8 *)(r1 +4)
        r1 = *(u16 *)(r1 +6)
        w0 += w2
        r2 = 1
        if w1 > 1000 goto L1
        r2 = 0
        L1:
        r0 += r2
        exit",
    );
}

#[test]
fn selection_is_in_place() {
    assert_listing(
        "function %f(i64) -> i64 {
        block0(v0: i64):
            v1 = load.i64 v0
            v2 = iconst.i64 100
            v3 = icmp ult v1, v2
            v4 = select v3, v1, v2
            return v4
        }",
        "r0 = *(u64 *)(r1 +0)
        if r0 <= 100 goto L1
        r0 = 100
        L1:
        exit",
    );
}

#[test]
fn unused_results_and_slots_vanish() {
    assert_listing(
        "function %f(i64) -> i64 {
            fn0 = u0:5() -> i64
            ss0 = explicit_slot 8
            ss1 = explicit_slot 600
        block0(v0: i64):
            v1 = load.i64 v0
            v2 = iconst.i64 3
            v3 = imul v1, v2
            v4 = stack_addr.i64 ss1
            v5 = stack_addr.i64 ss0
            store v2, v5
            v6 = call fn0()
            return v2
        }",
        "*(u64 *)(r10 -8) = 3
        call #5
        r0 = 3
        exit",
    );
}

#[test]
fn loops_need_no_moves() {
    assert_listing(
        "function %f(i64) -> i64 {
        block0(v0: i64):
            v1 = iconst.i64 0
            jump block1(v1, v1)
        block1(v2: i64, v3: i64):
            v4 = iconst.i64 10
            v5 = icmp ult v2, v4
            brif v5, block2, block3
        block2:
            v6 = iadd v0, v2
            v7 = uload8.i64 v6
            v8 = iadd v3, v7
            v9 = iconst.i64 1
            v10 = iadd v2, v9
            jump block1(v10, v8)
        block3:
            return v3
        }",
        "r2 = 0
        r0 = 0
        L1:
        if r2 >= 10 goto L2
        r3 = r1
        r3 += r2
        r3 = *(u8 *)(r3 +0)
        r2 += 1
        r0 += r3
        goto L1
        L2:
        exit",
    );
}

#[test]
fn accesses_to_data_share_an_address_between_calls() {
    assert_listing(
        "function %f(i64) -> i64 {
            gv0 = symbol u7:0
            gv1 = symbol u7:0+8
            fn0 = u0:5() -> i64
        block0(v0: i64):
            v1 = symbol_value.i64 gv0
            v2 = symbol_value.i64 gv1
            v3 = load.i64 v1
            store v3, v2
            v4 = call fn0()
            store v4, v2+8
            return v4
        }",
        "r4 = .bss+0 ll
        r5 = *(u64 *)(r4 +0)
        *(u64 *)(r4 +8) = r5
        call #5
        r1 = .bss+0 ll
        *(u64 *)(r1 +16) = r0
        exit",
    );
}

#[test]
fn references_stay_symbolic() {
    let code = compile(
        parse(
            "function %f(i64) -> i64 {
                ss0 = explicit_slot 8
                gv0 = symbol u5:3
                gv1 = symbol u4:0+24
                fn0 = u0:113(i64, i64, i64) -> i64
                fn1 = u1:7(i64, i64) -> i64
                fn2 = u2:1(i64) -> i64
            block0(v0: i64):
                v1 = symbol_value.i64 gv0
                v2 = iadd v0, v1
                v3 = stack_addr.i64 ss0
                v4 = iconst.i64 8
                v5 = call fn0(v3, v4, v2)
                v6 = func_addr.i64 fn1
                v7 = symbol_value.i64 gv1
                v8 = call fn1(v6, v7)
                v9 = call fn2(v8)
                return v9
            }",
        ),
        true,
    )
    .expect("test IR compiles");
    let targets: Vec<_> = code.relocs.iter().map(|reloc| reloc.target).collect();
    assert_eq!(
        targets,
        [
            RelocTarget::Core(3),
            RelocTarget::FuncAddr(7),
            RelocTarget::Rodata(24),
            RelocTarget::Call(7),
            RelocTarget::Kfunc(1),
        ]
    );
    // A CO-RE relocation patches the immediate of an addition.
    let core = code.insns[code.relocs[0].slot as usize];
    assert_eq!((core.code, core.src), (0x07, 0));
}

#[test]
fn lines_begin_with_the_function_and_change_with_the_instruction() {
    let mut func = parse(
        "function %f(i64) -> i64 {
        block0(v0: i64):
            v1 = load.i64 v0
            store v1, v0+8
            store v1, v0+16
            return v1
        }",
    );
    let entry = func.layout.entry_block().expect("an entry");
    let insts: Vec<_> = func.layout.block_insts(entry).collect();
    for (inst, line) in insts[1..].iter().zip([4, 4, 9]) {
        func.set_srcloc(*inst, SourceLoc::new(line));
    }
    let code = compile(func, true).expect("test IR compiles");
    assert_eq!(code.lines, [LineEntry { slot: 0, span: 4 }, LineEntry { slot: 3, span: 9 }]);
}

#[test]
fn cold_blocks_are_at_the_end() {
    assert_listing(
        "function %f(i64) -> i64 {
        block0(v0: i64):
            v1 = load.i64 v0
            brif v1, block1, block2
        block1 cold:
            v2 = iconst.i64 1
            jump block3(v2)
        block2:
            v3 = load.i64 v0+8
            jump block3(v3)
        block3(v4: i64):
            store v4, v0+16
            return v4
        }",
        "r5 = *(u64 *)(r1 +0)
        if r5 != 0 goto L2
        r0 = *(u64 *)(r1 +8)
        L1:
        *(u64 *)(r1 +16) = r0
        exit
        L2:
        r0 = 1
        goto L1",
    );
}
