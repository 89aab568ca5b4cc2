//! `watchpoint`.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Access, Probe, Target, Watchpoint};
use rbtrace_probes_ebpf::profile::Arch;

use super::point::{Point, number};
use super::{Context, Expansion, Failure};

pub(super) fn expand(point: &Point, cx: &Context<'_>) -> Expansion {
    let texts = point.texts();
    let [address, length, mode] = texts.as_slice() else {
        return Err(point.wrong_form(ProbeKind::Watchpoint.spec().forms));
    };
    let malformed = |index, message: String, expected: &str| {
        Failure::Malformed(point.bad_part(index, message).label(format!("expected {expected}")))
    };
    let place = number(address).filter(|n| *n != 0).ok_or_else(|| {
        malformed(0, format!("`{address}` is no address"), "a number above 0, such as 0x10000000")
    })?;
    let size = number(length)
        .and_then(|n| u8::try_from(n).ok())
        .filter(|n| matches!(n, 1 | 2 | 4 | 8))
        .ok_or_else(|| malformed(1, format!("`{length}` is no length"), "1, 2, 4 or 8 bytes"))?;
    let arch = cx.profile.arch;
    let access = access(mode)
        .filter(|access| arch != Arch::X86_64 || *access != Access::Read)
        .ok_or_else(|| match arch {
            Arch::X86_64 => malformed(2, format!("`{mode}` is no mode"), "w, rw or x"),
            Arch::Aarch64 => malformed(2, format!("`{mode}` is no mode"), "r, w, rw or x"),
        })?;
    // The debug registers of x86-64 and Arm watch aligned memory only.
    if !place.is_multiple_of(u64::from(size)) && access != Access::Execute {
        return Err(malformed(
            0,
            format!("{place:#x} is no place to watch {size} bytes"),
            &format!("a multiple of {size}"),
        ));
    }
    let letters: String = texts.get(2).map(|mode| sorted(mode)).unwrap_or_default();
    Ok(vec![Probe {
        name: format!("watchpoint:{place}:{size}:{letters}"),
        target: Target::Watchpoint(Watchpoint { address: place, length: size, access }),
    }])
}

/// The letters in the order `r`, `w`, `x`.
fn sorted(mode: &str) -> String {
    let mut letters: Vec<char> = mode.chars().collect();
    letters.sort_unstable();
    letters.into_iter().collect()
}

fn access(mode: &str) -> Option<Access> {
    match sorted(mode).as_str() {
        "r" => Some(Access::Read),
        "w" => Some(Access::Write),
        "rw" => Some(Access::ReadWrite),
        "x" => Some(Access::Execute),
        _ => None,
    }
}
