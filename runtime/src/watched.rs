//! Whose code a script shows, and what else it shows that is not in its records.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use rbtrace_probes_ebpf::plan::{Action, Plan, Target};
use rbtrace_probes_ebpf::types::{Stack, StackMode, Type};

use crate::symbols::find_binary;

/// Whether a script prints names of functions of user programs.
pub(crate) fn shows_user_code(plan: &Plan) -> bool {
    shows(plan, &|ty| match ty {
        Type::USym => true,
        Type::UStack(stack) => has_names(stack),
        _ => false,
    })
}

/// Whether a script prints names of functions of the kernel.
pub(crate) fn shows_kernel_code(plan: &Plan) -> bool {
    shows(plan, &|ty| match ty {
        Type::KSym => true,
        Type::KStack(stack) => has_names(stack),
        _ => false,
    })
}

fn has_names(stack: &Stack) -> bool {
    matches!(stack.mode, StackMode::Bpftrace | StackMode::Perf)
}

/// Whether values of such a type are printed, or kept in maps.
fn shows(plan: &Plan, wanted: &dyn Fn(&Type) -> bool) -> bool {
    let maps = plan.maps.iter().flat_map(|map| [&map.key, &map.value]);
    maps.chain(plan.actions.iter().flat_map(arguments)).any(|ty| has(ty, wanted))
}

fn has(ty: &Type, wanted: &dyn Fn(&Type) -> bool) -> bool {
    match ty {
        Type::Array { elem, .. } => has(elem, wanted),
        Type::Record(record) => record.fields.iter().any(|field| has(&field.ty, wanted)),
        _ => wanted(ty),
    }
}

fn arguments(action: &Action) -> Vec<&Type> {
    match action {
        Action::Printf { args, .. }
        | Action::Errorf { args, .. }
        | Action::Join { args, .. }
        | Action::Cat { args, .. }
        | Action::System { args, .. } => args.iter().map(|arg| &arg.ty).collect(),
        Action::PrintValue { value } => vec![&value.ty],
        Action::PrintEntry { key, value, .. } => {
            [Some(key), value.as_ref()].into_iter().flatten().map(|field| &field.ty).collect()
        }
        _ => Vec::new(),
    }
}

/// Processes that run already and are sure to be seen: the one that is traced, else those that run
/// a program with probes.
pub(crate) fn processes(plan: &Plan, pid: Option<u32>) -> Vec<u32> {
    if let Some(pid) = pid {
        return vec![pid];
    }
    let programs: HashSet<PathBuf> = plan
        .probes
        .iter()
        .filter_map(|probe| match &probe.target {
            Target::Uprobe(f) | Target::Uretprobe(f) => Some(f),
            _ => None,
        })
        .map(|f| (f.binary.as_str(), f.pid))
        .collect::<HashSet<_>>()
        .into_iter()
        .filter_map(|(binary, pid)| fs::canonicalize(find_binary(binary, pid).ok()?).ok())
        .collect();
    if programs.is_empty() {
        return Vec::new();
    }
    let runs = |pid: &u32| {
        fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| programs.contains(&exe))
    };
    running().filter(runs).collect()
}

/// Whether probes can meet any process.
pub(crate) fn meets_any(plan: &Plan, pid: Option<u32>) -> bool {
    use Target as T;
    let of_one = |target: &T| matches!(target, T::Uprobe(_) | T::Uretprobe(_) | T::Begin | T::End);
    pid.is_none() && !plan.probes.iter().all(|probe| of_one(&probe.target))
}

/// Every process.
pub(crate) fn running() -> impl Iterator<Item = u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_stacks_need_no_names() {
        let stack = |mode| Stack { mode, limit: 1, map: 0 };
        assert!(has_names(&stack(StackMode::Perf)) && !has_names(&stack(StackMode::Raw)));
        let nested = Type::Array { elem: Box::new(Type::USym), len: 2 };
        assert!(has(&nested, &|ty| *ty == Type::USym) && !has(&nested, &|ty| *ty == Type::KSym));
    }
}
