//! What programs are tied to by the kernel's types: its iterators and the hooks of its security
//! modules.

use std::collections::BTreeMap;

use rbtrace_probes_ebpf::btf::{Btf, Kind};
use rbtrace_probes_ebpf::glob;
use rbtrace_probes_ebpf::kinds::{iter, lsm};
use rbtrace_runtime::features;

/// Iterators that need nothing but their name, sorted.
pub fn iterators(btf: &Btf<'_>, pattern: &str) -> Vec<String> {
    let exists = |object: &str| {
        !iter::OF_A_MAP.contains(&object)
            && btf.find(&[Kind::Func], &iter::function(object)).is_some()
    };
    let mut found: Vec<String> = match glob::is_glob(pattern) {
        true => names_with(btf, Kind::Struct, iter::CONTEXT)
            .filter(|(object, _)| glob::matches(pattern, object) && exists(object))
            .map(|(object, _)| object.to_owned())
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

/// Hooks that the kernel takes programs on, sorted.
pub fn lsm_hooks(btf: &Btf<'_>, pattern: &str) -> Vec<String> {
    let functions: BTreeMap<&str, u32> = names_with(btf, Kind::Func, lsm::PREFIX)
        .filter(|(hook, _)| glob::matches(pattern, hook))
        .collect();
    let hooks = btf.find(&[Kind::Union], lsm::HOOKS);
    let hooks = hooks.iter().flat_map(|hooks| hooks.members()).map(|hook| hook.name);
    let mut found: Vec<String> = hooks
        .filter(|hook| functions.get(hook).copied().is_some_and(features::takes_hook))
        .map(str::to_owned)
        .collect();
    found.sort_unstable();
    found
}

/// What is behind a prefix in the names of the types of a kind, and their numbers.
fn names_with<'a>(
    btf: &'a Btf<'_>,
    kind: Kind,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a str, u32)> {
    let of_kind = btf.types().filter(move |ty| ty.kind() == kind);
    of_kind.filter_map(move |ty| Some((ty.name().strip_prefix(prefix)?, ty.id())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::types::kernel::KernelTypes;

    #[test]
    fn iterators_and_hooks_are_told_from_what_only_begins_like_them() {
        let types = KernelTypes::default();
        // Tests that need the running kernel's types pass where it has none.
        let Some(btf) = types.own() else { return };
        let tasks = iterators(btf, "task*");
        assert!(tasks.starts_with(&["task".into(), "task_file".into()]), "{tasks:?}");
        assert_eq!(iterators(btf, "task"), ["task"]);
        for other in ["bpf_map_elem", "task__safe_trusted", "run_prog", "task_f"] {
            assert!(iterators(btf, other).is_empty(), "{other}");
        }
        if btf.find(&[Kind::Func], &lsm::function("file_open")).is_some() {
            assert_eq!(lsm_hooks(btf, "file_open"), ["file_open"]);
            assert_eq!(lsm_hooks(btf, "file_ope[n]"), ["file_open"]);
            assert!(lsm_hooks(btf, "*verify_prog").is_empty());
        }
    }
}
