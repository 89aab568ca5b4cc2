//! `--cgroup` and `--container`: the cgroup that is traced.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rbtrace_lang::diag::suggest::nearest;
use rbtrace_runtime::cgroups::{self, Hierarchy};

use crate::cli::Cli;

/// What container managers put before the id or the name of a container in the name of its cgroup.
const PREFIXES: [&str; 10] = [
    "docker-",
    "libpod-payload-",
    "libpod-",
    "cri-containerd-",
    "crio-",
    "nerdctl-",
    "buildkit-",
    "lxc.payload.",
    "systemd-nspawn@",
    "machine-",
];
/// Digits of a container's whole id.
const ID_DIGITS: usize = 64;
/// Most containers to name.
const NAMES: usize = 10;

/// The folder of the cgroup that the flags name.
///
/// # Errors
///
/// If there is no such cgroup, or several, or it is none of version 2.
pub fn of_flags(flags: &Cli) -> Result<Option<OwnedFd>> {
    let folder = match (&flags.cgroup, &flags.container) {
        (Some(path), _) => by_path(path, &mounted()?)?,
        (None, Some(id)) => by_container(id, &mounted()?)?,
        (None, None) => return Ok(None),
    };
    let opened = File::open(&folder);
    let opened = opened.with_context(|| format!("cannot open the cgroup {}", folder.display()))?;
    Ok(Some(opened.into()))
}

/// The hierarchy of version 2, wherever it is mounted.
fn mounted() -> Result<Vec<Hierarchy>> {
    let all = cgroups::hierarchies().into_iter();
    let unified: Vec<Hierarchy> = all.filter(|one| one.name == cgroups::UNIFIED).collect();
    if unified.is_empty() {
        bail!(
            "eBPF programs can only tell cgroups of version 2, whose file system is not mounted: \
             mount -t cgroup2 cgroup2 DIR"
        );
    }
    Ok(unified)
}

fn by_path(path: &Path, unified: &[Hierarchy]) -> Result<PathBuf> {
    if path.is_dir() && cgroups::is_unified(path) {
        return Ok(path.to_owned());
    }
    let relative = path.strip_prefix("/").unwrap_or(path);
    let below = unified.iter().map(|hierarchy| hierarchy.root.join(relative));
    if let Some(found) = below.into_iter().find(|folder| folder.is_dir()) {
        return Ok(found);
    }
    let shown = path.display();
    let roots: Vec<String> = unified.iter().map(|one| one.root.display().to_string()).collect();
    if path.is_dir() {
        bail!("{shown} is no cgroup of version 2; those are below {}", roots.join(", "));
    }
    bail!("there is no cgroup {shown}{}", instead(relative, unified));
}

/// Names beside the one that was looked for that are much like it, or where to look.
fn instead(relative: &Path, unified: &[Hierarchy]) -> String {
    let parent = relative.parent().unwrap_or(Path::new(""));
    let name = relative.file_name().unwrap_or_default().to_string_lossy();
    let mut beside: Vec<String> = Vec::new();
    for hierarchy in unified {
        let folders = hierarchy.root.join(parent).read_dir().into_iter().flatten().flatten();
        let folders = folders.filter(|entry| entry.file_type().is_ok_and(|ty| ty.is_dir()));
        beside.extend(folders.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    }
    match nearest(&name, beside.iter().map(String::as_str)).as_slice() {
        [] => "; systemd-cgls or find /sys/fs/cgroup -type d shows them".into(),
        names => format!("; there is {}", names.join(", ")),
    }
}

fn by_container(id: &str, unified: &[Hierarchy]) -> Result<PathBuf> {
    if id.is_empty() {
        bail!("--container needs the id of a container, or the beginning of it");
    }
    let find = |wanted: &dyn Fn(&str) -> bool| {
        let name = |folder: &Path| folder.file_name().is_some_and(|n| wanted(&n.to_string_lossy()));
        let mut found: Vec<PathBuf> = unified.iter().flat_map(|one| one.folders(name)).collect();
        // The hierarchy may be mounted several times.
        found.sort_by_key(|folder| cgroups::id(folder));
        found.dedup_by_key(|folder| cgroups::id(folder));
        found
    };
    let mut found = find(&|cgroup| is_container(cgroup, id));
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            found.push(last);
            bail!("{id} is the beginning of several containers' ids: {}", listed(&found));
        }
        (None, _) => {
            let others = find(&|cgroup| container(cgroup).is_some());
            match others.is_empty() {
                true => bail!("there is no cgroup of a container {id}, nor of any other"),
                false => bail!("there is no container {id}; there is {}", listed(&others)),
            }
        }
    }
}

fn listed(folders: &[PathBuf]) -> String {
    let mut names: Vec<String> = folders
        .iter()
        .map(|folder| folder.file_name().unwrap_or_default().to_string_lossy().into_owned())
        .map(|cgroup| container(&cgroup).unwrap_or(&cgroup).to_owned())
        .collect();
    names.sort_unstable();
    if names.len() > NAMES {
        let more = names.len() - NAMES;
        names.truncate(NAMES);
        return format!("{} and {more} more", names.join(", "));
    }
    names.join(", ")
}

/// The id or the name of the container whose cgroup has this name. `None`: it does not look like one.
fn container(cgroup: &str) -> Option<&str> {
    let bare = cgroup.strip_suffix(".scope").or(cgroup.strip_suffix(".service")).unwrap_or(cgroup);
    let named = PREFIXES.iter().find_map(|prefix| bare.strip_prefix(prefix));
    named.or(is_id(bare).then_some(bare))
}

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether the cgroup of this name is that of a container: by its name, or by the beginning of its id.
fn is_container(cgroup: &str, wanted: &str) -> bool {
    if cgroup == wanted {
        return true;
    }
    container(cgroup)
        .is_some_and(|found| found == wanted || (is_id(found) && found.starts_with(wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_found_by_what_managers_call_their_cgroups() {
        let id = "0123456789abcdef".repeat(4);
        for cgroup in [
            id.clone(),
            format!("docker-{id}.scope"),
            format!("libpod-{id}.scope"),
            format!("cri-containerd-{id}.scope"),
        ] {
            assert_eq!(container(&cgroup), Some(id.as_str()), "{cgroup}");
            assert!(is_container(&cgroup, &id) && is_container(&cgroup, "0123456789ab"));
            assert!(!is_container(&cgroup, "123456789ab"), "{cgroup}");
        }
        assert!(is_container("lxc.payload.web", "web") && !is_container("lxc.payload.web", "we"));
        assert!(is_container("machine-db.scope", "db"));
        assert_eq!(container("system.slice"), None);
        assert_eq!(container("ssh.service"), None);
        assert!(is_container("ssh.service", "ssh.service"));
    }
}
