//! The cgroups of the machine, as its file systems show them (cgroups(7)).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Name of the version 2 hierarchy.
pub const UNIFIED: &str = "unified";
/// `CGROUP2_SUPER_MAGIC` of linux/magic.h.
const MAGIC: i64 = 0x6367_7270;
/// Deepest cgroup that is looked for.
const DEPTH: usize = 32;

/// A hierarchy of cgroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// [`UNIFIED`], or the controllers of a version 1 hierarchy.
    pub name: String,
    /// Where it is mounted.
    pub root: PathBuf,
}

/// All that are mounted, some perhaps several times.
pub fn hierarchies() -> Vec<Hierarchy> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().filter_map(Hierarchy::of_mount).collect()
}

/// Whether a folder is a cgroup of version 2.
pub fn is_unified(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|mounted| mounted.f_type == MAGIC)
}

/// The id of the cgroup of version 2 that a folder is.
pub fn id(folder: &Path) -> Option<u64> {
    // The number of the directory (kernfs, fs/kernfs/mount.c).
    let metadata = fs::metadata(folder).ok()?;
    is_unified(folder).then(|| metadata.ino())
}

impl Hierarchy {
    /// That of a line of /proc/self/mountinfo.
    fn of_mount(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let root = PathBuf::from(before.split(' ').nth(4)?);
        let name = match after.split(' ').next()? {
            "cgroup2" => UNIFIED.to_owned(),
            "cgroup" => root.file_name()?.to_str()?.to_owned(),
            _ => return None,
        };
        Some(Self { name, root })
    }

    /// The path of a cgroup in the hierarchy, by its id.
    pub fn path_of(&self, id: u64) -> Option<String> {
        let is_it = |folder: &Path| fs::metadata(folder).is_ok_and(|m| m.ino() == id);
        let found = self.folders(is_it).into_iter().next()?;
        Some(format!("/{}", found.strip_prefix(&self.root).ok()?.display()))
    }

    /// The folders of the cgroups that are wanted, but for those below others of them.
    pub fn folders(&self, is_wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut left = vec![(self.root.clone(), 0)];
        while let Some((folder, depth)) = left.pop() {
            if is_wanted(&folder) {
                found.push(folder);
                continue;
            }
            let below = fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok);
            if depth < DEPTH {
                let below = below.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
                left.extend(below.map(|e| (e.path(), depth + 1)));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read() {
        let line = "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        let expected = Hierarchy { name: UNIFIED.into(), root: "/sys/fs/cgroup".into() };
        assert_eq!(Hierarchy::of_mount(line), Some(expected));
        assert_eq!(Hierarchy::of_mount("30 25 0:26 / /tmp rw - tmpfs tmpfs rw"), None);
    }

    #[test]
    fn what_is_below_is_not_searched() {
        let root = std::env::temp_dir().join(format!("rbtrace-cgroups-{}", std::process::id()));
        fs::create_dir_all(root.join("a/x/x")).expect("folders");
        fs::create_dir_all(root.join("x")).expect("a folder");
        let hierarchy = Hierarchy { name: UNIFIED.into(), root: root.clone() };
        let mut found = hierarchy.folders(|folder| folder.ends_with("x"));
        found.sort();
        assert_eq!(found, [root.join("a/x"), root.join("x")]);
        assert!(!is_unified(&root) && id(&root).is_none());
        fs::remove_dir_all(root).expect("removed");
    }
}
