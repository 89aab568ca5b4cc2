//! The cgroups of the machine, as its file systems show them (cgroups(7)).

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, nearest};

/// Name of the version 2 hierarchy.
pub const UNIFIED: &str = "unified";
/// `CGROUP2_SUPER_MAGIC` of linux/magic.h.
const MAGIC: i64 = 0x6367_7270;
/// Deepest cgroup that is looked for.
const DEPTH: usize = 32;
/// Most names to suggest in place of one that there is not.
const SUGGESTIONS: usize = 3;

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

/// The hierarchy of version 2, wherever it is mounted.
///
/// # Errors
///
/// It is not.
pub fn unified() -> Result<Vec<Hierarchy>, Error> {
    let mut all = hierarchies();
    all.retain(|one| one.name == UNIFIED);
    if all.is_empty() { Err(Error::NoCgroups) } else { Ok(all) }
}

/// The folder of the cgroup of version 2 at a path, which is the folder's or that from the hierarchy's
/// root.
///
/// # Errors
///
/// There is none.
pub fn find(path: &Path) -> Result<PathBuf, Error> {
    if path.is_dir() && is_unified(path) {
        return Ok(path.to_owned());
    }
    let unified = unified()?;
    let relative = path.strip_prefix("/").unwrap_or(path);
    let below = unified.iter().map(|hierarchy| hierarchy.root.join(relative));
    if let Some(found) = below.into_iter().find(|folder| folder.is_dir()) {
        return Ok(found);
    }
    let path = path.display().to_string();
    if Path::new(&path).is_dir() {
        let roots = unified.iter().map(|one| one.root.display().to_string()).collect();
        return Err(Error::NotACgroup { path, roots });
    }
    Err(Error::UnknownCgroup { path, similar: similar(relative, &unified) })
}

/// Opens the folder of the cgroup at a path, as [`find`] has it, and tells its id.
pub(crate) fn open(path: &Path) -> Result<(OwnedFd, u64), Error> {
    let folder = find(path)?;
    let failed = |e| Error::system(format!("open the cgroup {}", folder.display()))(e);
    let opened = File::open(&folder).map_err(failed)?;
    let id = opened.metadata().map_err(failed)?.ino();
    Ok((opened.into(), id))
}

/// Names beside the one that was looked for that are much like it.
fn similar(relative: &Path, unified: &[Hierarchy]) -> Vec<String> {
    let parent = relative.parent().unwrap_or(Path::new(""));
    let name = relative.file_name().unwrap_or_default().to_string_lossy();
    let mut beside: Vec<String> = Vec::new();
    for hierarchy in unified {
        let folders = hierarchy.root.join(parent).read_dir().into_iter().flatten().flatten();
        let folders = folders.filter(|entry| entry.file_type().is_ok_and(|ty| ty.is_dir()));
        beside.extend(folders.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    }
    nearest(&name, beside.iter().map(String::as_str), SUGGESTIONS)
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

    /// The paths in the hierarchy of all cgroups, sorted.
    pub fn paths(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.visit(|folder| {
            let relative = folder.strip_prefix(&self.root).unwrap_or(folder);
            found.push(format!("/{}", relative.display()));
            true
        });
        found.sort_unstable();
        found
    }

    /// The folders of the cgroups that are wanted, but for those below others of them.
    pub fn folders(&self, is_wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        let mut found = Vec::new();
        self.visit(|folder| {
            let wanted = is_wanted(folder);
            if wanted {
                found.push(folder.to_owned());
            }
            !wanted
        });
        found
    }

    /// Visits the folders of all cgroups, and goes below those for which `visitor` says so.
    fn visit(&self, mut visitor: impl FnMut(&Path) -> bool) {
        let mut left = vec![(self.root.clone(), 0)];
        while let Some((folder, depth)) = left.pop() {
            if !visitor(&folder) {
                continue;
            }
            let below = fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok);
            if depth < DEPTH {
                let below = below.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
                left.extend(below.map(|e| (e.path(), depth + 1)));
            }
        }
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
        assert_eq!(hierarchy.paths(), ["/", "/a", "/a/x", "/a/x/x", "/x"]);
        assert!(!is_unified(&root) && id(&root).is_none());
        fs::remove_dir_all(root).expect("removed");
    }
}
