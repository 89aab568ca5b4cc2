//! Labels of histogram buckets.

use crate::value::{Bucket, Scale};

const KIB: i128 = 1 << 10;
const MIB: i128 = 1 << 20;

/// The interval that a bucket covers: `[2, 4)`, `[1]`, `(..., 0)`, `[1K, ...)`.
pub(super) fn interval(scale: Scale, bucket: &Bucket) -> String {
    let text = |bound| bound_text(scale, bound);
    match (bucket.low, bucket.high) {
        (Some(low), Some(high)) if high == low.saturating_add(1) => format!("[{}]", text(low)),
        (Some(low), Some(high)) => format!("[{}, {})", text(low), text(high)),
        (Some(low), None) => format!("[{}, ...)", text(low)),
        (None, Some(high)) => format!("(..., {})", text(high)),
        (None, None) => "(..., ...)".into(),
    }
}

fn bound_text(scale: Scale, bound: i128) -> String {
    match scale {
        Scale::Log2 { bits } => log2_text(bits, bound),
        Scale::Linear { step } => linear_text(i128::from(step), bound),
    }
}

/// Units change with the width of the bucket, not with the bound: with `bits` set, 1024 to 3584
/// print in full.
fn log2_text(bits: u8, bound: i128) -> String {
    let power = bound.max(1).ilog2().saturating_sub(u32::from(bits));
    let (unit, suffix) = match power / 10 {
        0 => (0, ""),
        1 => (10, "K"),
        2 => (20, "M"),
        3 => (30, "G"),
        4 => (40, "T"),
        5 => (50, "P"),
        _ => (60, "E"),
    };
    format!("{}{suffix}", bound >> unit)
}

/// Units only where the width of a bucket is a multiple of 1024.
fn linear_text(step: i128, bound: i128) -> String {
    if step % KIB != 0 || bound == 0 || bound % KIB != 0 {
        bound.to_string()
    } else if bound % MIB == 0 {
        format!("{}M", bound / MIB)
    } else {
        format!("{}K", bound / KIB)
    }
}
