//! `cgroup_skb`.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Probe, Target};

use super::point::{Point, is_pattern};
use super::{Expansion, Failure, interface};

pub(super) fn expand(point: &Point) -> Expansion {
    let path = match point.texts().as_slice() {
        [path, _] if !path.is_empty() => (*path).to_owned(),
        _ => return Err(point.wrong_form(ProbeKind::CgroupSkb.spec().forms)),
    };
    if is_pattern(&path) {
        return Err(Failure::Malformed(
            point
                .bad_part(0, "a cgroup is named without wildcards")
                .help("what is attached to a cgroup holds for those below it as well"),
        ));
    }
    let direction = interface::direction(1, point)?;
    let name = format!("cgroup_skb:{path}:{}", direction.name());
    Ok(vec![Probe { name, target: Target::CgroupSkb { path, direction } }])
}
