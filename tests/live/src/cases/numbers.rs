//! Operators on numbers that the compiler cannot know, against the same in Rust.

use anyhow::Result;

use crate::ctx::Ctx;
use crate::features::Feature::{Root, Uprobe};
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("numbers/unsigned", &[Root, Uprobe], unsigned),
    Test::new("numbers/signed", &[Root, Uprobe], signed),
    Test::new("numbers/casts", &[Root, Uprobe], casts),
    Test::new("numbers/assignment_operators", &[Root, Uprobe], assignment_operators),
    Test::new("numbers/control_flow", &[Root, Uprobe], control_flow),
];

const PAIRS: [(u64, u64); 6] = [
    (7, 3),
    (1_000_000_007, 97),
    (u32::MAX as u64 + 5, 1 << 16),
    (u64::MAX, 10),
    (12, 12),
    (1 << 63, 63),
];

/// Runs `script` with `live_args(a, b, 0, 0, 0, 0)` called, for each of `pairs`, and compares
/// the line that it prints with what `expected` gives.
fn compare<T: ToString>(
    ctx: &Ctx,
    script: &str,
    pairs: &[(u64, u64)],
    expected: impl Fn(u64, u64) -> Vec<T>,
) -> Result<()> {
    for (a, b) in pairs.iter().copied() {
        let out =
            ctx.script(script).workload(&format!("args {a} {b} 0 0 0 0")).finish()?.success()?;
        let numbers: Vec<String> = expected(a, b).iter().map(T::to_string).collect();
        out.lines_are(&[numbers.join(" ")])?;
    }
    Ok(())
}

fn unsigned(ctx: &Ctx) -> Result<()> {
    let script = r#"uprobe:{exe}:live_args { $a = arg0; $b = arg1;
        printf("%llu %llu %llu %llu %llu ", $a + $b, $a - $b, $a * $b, $a / $b, $a % $b);
        printf("%llu %llu %llu %llu %llu ", $a & $b, $a | $b, $a ^ $b, $a << ($b & 63), $a >> ($b & 63));
        printf("%d %d %d %d %d %d ", $a < $b, $a <= $b, $a > $b, $a >= $b, $a == $b, $a != $b);
        printf("%d %d %d %llu %llu\n", $a && $b, $a || 0, !$a, ~$a, $a > $b ? $a : $b); }"#;
    compare(ctx, script, &PAIRS, |a, b| {
        let truths =
            [a < b, a <= b, a > b, a >= b, a == b, a != b, a != 0 && b != 0, a != 0, a == 0];
        let mut all = vec![a.wrapping_add(b), a.wrapping_sub(b), a.wrapping_mul(b), a / b, a % b];
        all.extend([a & b, a | b, a ^ b, a << (b & 63), a >> (b & 63)]);
        all.extend(truths.map(u64::from));
        all.extend([!a, a.max(b)]);
        all
    })
}

fn signed(ctx: &Ctx) -> Result<()> {
    let script = r#"uprobe:{exe}:live_args { $a = (int64)arg0; $b = (int64)arg1;
        printf("%lld %lld %lld %lld %lld ", $a + $b, $a - $b, $a * $b, -$a, $a >> 2);
        printf("%d %d %d %d\n", $a < $b, $a <= $b, $a > $b, $a >= $b); }"#;
    let pairs: Vec<(u64, u64)> = [(-7_i64, 3_i64), (7, -3), (-7, -3), (i64::MIN + 1, 1), (0, -1)]
        .map(|(a, b)| (a as u64, b as u64))
        .to_vec();
    compare(ctx, script, &pairs, |a, b| {
        let (a, b) = (a as i64, b as i64);
        // The language shifts to the right without the sign.
        let mut all = vec![
            a.wrapping_add(b),
            a.wrapping_sub(b),
            a.wrapping_mul(b),
            a.wrapping_neg(),
            (a as u64 >> 2) as i64,
        ];
        all.extend([a < b, a <= b, a > b, a >= b].map(i64::from));
        all
    })
}

fn casts(ctx: &Ctx) -> Result<()> {
    let script = r#"uprobe:{exe}:live_args { $a = arg0;
        printf("%d %d %d %lld ", (int8)$a, (int16)$a, (int32)$a, (int64)$a);
        printf("%u %u %u %llu ", (uint8)$a, (uint16)$a, (uint32)$a, (uint64)$a);
        printf("%lld %llu\n", (int64)(int8)$a, (uint64)(uint16)$a); }"#;
    let pairs = [0x7f, 0x80, 0xffff_8000, 0x1234_5678_9abc_def0, u64::MAX].map(|a| (a, 0));
    compare(ctx, script, &pairs, |a, _| {
        vec![
            (a as i8).to_string(),
            (a as i16).to_string(),
            (a as i32).to_string(),
            (a as i64).to_string(),
            (a as u8).to_string(),
            (a as u16).to_string(),
            (a as u32).to_string(),
            a.to_string(),
            i64::from(a as i8).to_string(),
            u64::from(a as u16).to_string(),
        ]
    })
}

fn assignment_operators(ctx: &Ctx) -> Result<()> {
    let script = r#"uprobe:{exe}:live_args { $x = arg0; $x += arg1; $x *= 3; $x -= 7; $x /= 2; $x %= 1000;
        $x <<= 4; $x |= 5; $x &= 4095; $x ^= 9; $x >>= 1; $y = $x++; $z = ++$x; $w = $x--; --$x;
        printf("%llu %llu %llu %llu\n", $x, $y, $z, $w); }"#;
    compare(ctx, script, &[(100, 23), (999_999, 1)], |a, b| {
        let x = ((((a + b) * 3 - 7) / 2 % 1000) << 4 | 5) & 4095;
        let x = (x ^ 9) >> 1;
        vec![x, x, x + 2, x + 2]
    })
}

fn control_flow(ctx: &Ctx) -> Result<()> {
    let script = r#"uprobe:{exe}:live_args { $sum = 0; $i = 1; unroll(5) { $sum = $sum + $i * arg0; $i++; }
        if (arg0 > arg1) { $sum += 1000; } else if (arg0 == arg1) { $sum += 2000; } else { $sum += 3000; }
        printf("%llu\n", $sum); }"#;
    compare(ctx, script, &[(4, 3), (3, 3), (2, 3)], |a, b| {
        vec![
            15 * a
                + match a.cmp(&b) {
                    std::cmp::Ordering::Greater => 1000,
                    std::cmp::Ordering::Equal => 2000,
                    std::cmp::Ordering::Less => 3000,
                },
        ]
    })
}
