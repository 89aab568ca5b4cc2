//! `--cgroup` and `--container`: the cgroup that is traced.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
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
        (Some(path), _) => cgroups::find(path)?,
        (None, Some(id)) => by_container(id, &cgroups::unified()?)?,
        (None, None) => return Ok(None),
    };
    let opened = File::open(&folder);
    let opened = opened.with_context(|| format!("cannot open the cgroup {}", folder.display()))?;
    Ok(Some(opened.into()))
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
