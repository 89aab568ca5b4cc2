//! Cgroups that tests make.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A cgroup of version 2, removed when it is dropped; its processes must have ended by then.
pub struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// Makes one in the hierarchy's root. The name is made the test's own.
    pub fn new(name: &str) -> Result<Self> {
        Self::make(root()?.join(format!("rbtrace-{name}-{}", std::process::id())))
    }

    /// One below it.
    pub fn below(&self, name: &str) -> Result<Self> {
        Self::make(self.folder.join(name))
    }

    fn make(folder: PathBuf) -> Result<Self> {
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self { folder })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path from the hierarchy's root.
    pub fn path(&self) -> Result<String> {
        Ok(format!("/{}", self.folder.strip_prefix(root()?)?.display()))
    }

    /// Moves a process here.
    pub fn take(&self, pid: u32) -> Result<()> {
        let file = self.folder.join("cgroup.procs");
        fs::write(&file, pid.to_string()).with_context(|| file.display().to_string())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // What is left over is seen by the next test that makes it.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Where the hierarchy of version 2 is mounted.
fn root() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let of_line = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let point = before.split(' ').nth(4)?;
        after.starts_with("cgroup2 ").then(|| PathBuf::from(point))
    };
    mounts.lines().find_map(of_line).context("no cgroup2 file system is mounted")
}
