//! A time series as a graph: time goes down, numbers go right.

use crate::value::{Point, Series};

/// Width of the graph, its frame included.
const WIDTH: usize = 53;
/// Width of the field of the smallest number above and below the graph.
const LEAST: usize = 21;

/// Appends the graph.
pub(super) fn graph(series: &Series, out: &mut Vec<u8>) {
    let Some((min, max)) = range(series) else {
        out.extend_from_slice(b"<no data>");
        return;
    };
    let (unit, digits) = unit(series.interval);
    let header = format!("hh:mm:ss{unit}");
    // A letter of the unit may take two bytes, and widths are counted in bytes.
    let time = "hh:mm:ss".len() + if digits == 0 { 0 } else { 1 + digits };
    let ends = format!("{:time$} {min:<LEAST$}{max:>rest$}\n", "", rest = WIDTH - LEAST);
    let pad = " ".repeat((time + 1).saturating_sub(header.len()));
    let top = "_".repeat(WIDTH - 2);
    out.extend(format!("{ends}{header}{pad}|{top}|\n").into_bytes());
    let zero = if min < 0 && max > 0 { share(WIDTH, min, 0, max) } else { 0 };
    for point in &series.points {
        let fraction = format!(".{:09}", point.fraction);
        let fraction = if digits == 0 { "" } else { fraction.get(..=digits).unwrap_or_default() };
        out.extend(format!("{}{fraction} ", point.clock).into_bytes());
        row(point, zero, (min, max), out);
    }
    out.extend(format!("{:time$} v{top}v\n{ends}", "").into_bytes());
}

fn row(point: &Point, zero: usize, (min, max): (i128, i128), out: &mut Vec<u8>) {
    let mut line = [b' '; WIDTH];
    line[0] = b'|';
    line[WIDTH - 1] = b'|';
    if let (true, Some(place)) = (zero > 0, line.get_mut(zero)) {
        *place = b'.';
    }
    let shown = match point.value {
        Some(value) => {
            let at = match min == max {
                true => WIDTH / 2,
                false => share(WIDTH - 1, min, value, max),
            };
            line[at.min(WIDTH - 1)] = b'*';
            value.to_string()
        }
        None => "-".into(),
    };
    out.extend_from_slice(&line);
    out.extend(format!(" {shown}\n").into_bytes());
}

/// Smallest and largest number; one to each side of a number that is alone, unless 64 bits end
/// there.
fn range(series: &Series) -> Option<(i128, i128)> {
    let numbers = || series.points.iter().filter_map(|point| point.value);
    let (min, max) = (numbers().min()?, numbers().max()?);
    if min != max {
        return Some((min, max));
    }
    let (least, most) = match series.signed {
        true => (i64::MIN.into(), i64::MAX.into()),
        false => (0, u64::MAX.into()),
    };
    Some(((min - 1).max(least), (max + 1).min(most)))
}

/// What follows the seconds: the unit's name after a point, and the number of digits.
fn unit(interval: u64) -> (&'static str, usize) {
    match interval {
        1_000_000_000.. => ("", 0),
        1_000_000.. => (".ms", 3),
        1_000.. => (".\u{3bc}s", 6),
        _ => (".ns", 9),
    }
}

/// How far a number is on the way from `min` to `max`, of `width` characters. Computed in single
/// precision, as bpftrace does, so that it ends at the same character.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the loss is intended, and the result lies between 0 and the width"
)]
fn share(width: usize, min: i128, value: i128, max: i128) -> usize {
    let share = width as f32 * ((value - min) as f32) / ((max - min) as f32);
    share as usize
}
