//! What programs are tied to by the kernel's types: its iterators.

use rbtrace_probes_ebpf::btf::{Btf, Kind};
use rbtrace_probes_ebpf::kinds::iter;

use super::glob;

/// Iterators that need nothing but their name, sorted.
pub fn iterators(btf: &Btf<'_>, pattern: &str) -> Vec<String> {
    let exists = |object: &str| {
        !iter::OF_A_MAP.contains(&object)
            && btf.find(&[Kind::Func], &iter::function(object)).is_some()
    };
    let mut found: Vec<String> = match glob::is_glob(pattern) {
        true => names_with(btf, Kind::Struct, iter::CONTEXT)
            .filter(|object| glob::matches(pattern, object) && exists(object))
            .map(str::to_owned)
            .collect(),
        false => btf
            .find(&[Kind::Struct], &iter::context(pattern))
            .filter(|_| exists(pattern))
            .map(|_| pattern.to_owned())
            .into_iter()
            .collect(),
    };
    found.sort_unstable();
    found
}

/// What is behind a prefix in the names of the types of a kind.
fn names_with<'a>(btf: &'a Btf<'_>, kind: Kind, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    let of_kind = btf.types().filter(move |ty| ty.kind() == kind);
    of_kind.filter_map(move |ty| ty.name().strip_prefix(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::types::kernel::KernelTypes;

    #[test]
    fn iterators_are_told_from_what_only_begins_like_them() {
        let types = KernelTypes::default();
        // Tests that need the running kernel's types pass where it has none.
        let Some(btf) = types.own() else { return };
        let tasks = iterators(btf, "task*");
        assert!(tasks.starts_with(&["task".into(), "task_file".into()]), "{tasks:?}");
        assert_eq!(iterators(btf, "task"), ["task"]);
        for other in ["bpf_map_elem", "task__safe_trusted", "run_prog", "task_f"] {
            assert!(iterators(btf, other).is_empty(), "{other}");
        }
    }
}
