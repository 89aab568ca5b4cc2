//! Debian's packages whose files tests use: fetched and unpacked, never installed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::apt::{Apt, Suite};
use crate::workspace;

/// The suites whose bpftrace gives its tools: what is newest, and what 0.17 came with.
const TOOLS: &[Suite] = &[Suite("sid"), Suite("bookworm")];

/// Programs and libraries that those tools probe, for guests, which have nothing but busybox.
const USERLAND: &[&str] = &["bash", "libtinfo6", "libssl3"];
const USERLAND_SUITE: Suite = Suite("bookworm");

/// The files that guests get of them, where Debian has them.
const USERLAND_FILES: &[&str] = &[
    "bin/bash",
    "lib/x86_64-linux-gnu/libtinfo.so.6",
    "usr/lib/x86_64-linux-gnu/libssl.so.3",
    "usr/lib/x86_64-linux-gnu/libcrypto.so.3",
];

/// A folder of bpftrace's tools for each suite that they come from.
pub fn tools() -> PathBuf {
    workspace::target().join("vm/tools")
}

/// Where each file of [`USERLAND_FILES`] lies here, and its path in a guest.
pub fn userland() -> impl Iterator<Item = (PathBuf, &'static str)> {
    USERLAND_FILES.iter().map(|path| (userland_folder().join("root").join(path), *path))
}

fn userland_folder() -> PathBuf {
    workspace::target().join("vm/userland")
}

/// A compiler of Go. This one comes with its standard library compiled.
const GO: &[&str] = &["golang-1.19-go", "golang-1.19-src"];
const GO_SUITE: Suite = Suite("bookworm");

/// The folder of that compiler, as its GOROOT variable names it.
pub fn go_root() -> PathBuf {
    go_folder().join("usr/lib/go-1.19")
}

fn go_folder() -> PathBuf {
    workspace::target().join("vm/go")
}

/// What is not there yet, as the suites that have it.
pub fn missing() -> Vec<Suite> {
    let mut suites: Vec<Suite> =
        TOOLS.iter().copied().filter(|suite| !tools().join(suite.0).is_dir()).collect();
    if userland().any(|(file, _)| !file.is_file()) && !suites.contains(&USERLAND_SUITE) {
        suites.push(USERLAND_SUITE);
    }
    if !go_folder().is_dir() && !suites.contains(&GO_SUITE) {
        suites.push(GO_SUITE);
    }
    suites
}

/// Fetches what is not there yet.
pub fn fetch(apt: &Apt) -> Result<()> {
    for suite in TOOLS.iter().filter(|suite| !tools().join(suite.0).is_dir()) {
        eprintln!("setup: fetching bpftrace's tools from {}", suite.0);
        fetch_folder(apt, &["bpftrace"], *suite, "usr/sbin", &tools().join(suite.0))?;
    }
    if userland().any(|(file, _)| !file.is_file()) {
        eprintln!("setup: fetching {}", USERLAND.join(", "));
        for package in USERLAND {
            apt.unpack(&format!("{package}/{}", USERLAND_SUITE.0), &userland_folder())?;
        }
    }
    if !go_folder().is_dir() {
        eprintln!("setup: fetching {}", GO.join(", "));
        fetch_folder(apt, GO, GO_SUITE, "", &go_folder())?;
    }
    Ok(())
}

/// Fetches packages and unpacks one of their folders to a place. It comes there last, so that a fetch that
/// was cut short counts for nothing.
fn fetch_folder(
    apt: &Apt,
    packages: &[&str],
    suite: Suite,
    part: &str,
    place: &Path,
) -> Result<()> {
    let folder = workspace::vm_folder("unpacked")?;
    for package in packages {
        apt.unpack(&format!("{package}/{}", suite.0), &folder)?;
    }
    let unpacked = folder.join("root").join(part);
    if let Some(parent) = place.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::rename(&unpacked, place)
        .with_context(|| format!("moving {} to {}", unpacked.display(), place.display()))?;
    Ok(std::fs::remove_dir_all(&folder)?)
}
