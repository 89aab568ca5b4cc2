//! Makes the machine ready: packages installed, kernels fetched. Does nothing the second time.

mod apt;
pub mod kernel;
pub mod packages;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{process, workspace};
use apt::{Apt, Suite};
use kernel::Kernel;

/// The oldest QEMU that runs these kernels soundly under TCG: 7.2 corrupts flags, and kernels from
/// 6.12 on oops at random.
const QEMU: &str = "qemu-system-x86_64";
const QEMU_MAJOR: u32 = 10;

/// Programs that are run, and the Debian packages that have them.
const TOOLS: &[(&str, &str)] = &[
    ("cc", "gcc libc6-dev"),
    ("c++", "g++"),
    ("strip", "binutils"),
    ("busybox", "busybox-static"),
    ("xz", "xz-utils"),
    ("tshark", "tshark"),
];

/// Has everything ready that live tests need, here and in a virtual machine on each of `kernels`.
pub fn prepare(kernels: &[Kernel]) -> Result<()> {
    let log = log_file()?;
    install_missing(!kernels.is_empty(), &log)?;
    let missing: Vec<Kernel> =
        kernels.iter().copied().filter(|kernel| !kernel.is_there()).collect();
    let mut suites: Vec<Suite> =
        missing.iter().flat_map(|kernel| kernel.suites()).copied().collect();
    suites.extend(packages::missing());
    if suites.is_empty() {
        return Ok(());
    }
    require_debian(&format!("bpftrace's tools and the kernels {kernels:?}"))?;
    let apt = Apt::for_download(&suites, &log)?;
    packages::fetch(&apt)?;
    for kernel in missing {
        eprintln!("setup: fetching Linux {kernel}");
        kernel.fetch(&apt)?;
    }
    Ok(())
}

fn log_file() -> Result<PathBuf> {
    Ok(workspace::vm_folder("logs")?.join("setup.log"))
}

fn install_missing(with_qemu: bool, log: &std::path::Path) -> Result<()> {
    let missing = TOOLS.iter().filter(|(program, _)| !process::is_installed(program));
    let mut packages: Vec<&str> = missing.flat_map(|(_, packages)| packages.split(' ')).collect();
    if process::is_installed("busybox") && !is_static("busybox") {
        packages.push("busybox-static");
    }
    let qemu_missing = with_qemu && qemu_version().is_none_or(|version| version < QEMU_MAJOR);
    if qemu_missing {
        packages.push("qemu-system-x86");
    }
    if packages.is_empty() {
        return Ok(());
    }
    require_debian(&format!("the packages {}", packages.join(", ")))?;
    if !is_root()? {
        bail!(
            "these packages are missing, and only root can install them: {}",
            packages.join(", ")
        );
    }
    eprintln!("setup: installing {}", packages.join(", "));
    Apt::for_install(log)?.install(&packages)?;
    if qemu_missing {
        match qemu_version() {
            Some(version) if version >= QEMU_MAJOR => {}
            found => {
                bail!("QEMU {QEMU_MAJOR} or newer is needed; after installing it is {found:?}")
            }
        }
    }
    Ok(())
}

/// The major version of the QEMU on the path.
fn qemu_version() -> Option<u32> {
    let text = process::capture(Command::new(QEMU).arg("--version")).ok()?;
    let version =
        text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    version.split('.').next()?.parse().ok()
}

/// Whether the program needs no shared library.
fn is_static(program: &str) -> bool {
    let command = format!("! ldd \"$(command -v {program})\" 2>/dev/null | grep -q '=>'");
    Command::new("sh").args(["-c", &command]).status().is_ok_and(|status| status.success())
}

/// Whether this runs as root.
pub fn is_root() -> Result<bool> {
    Ok(process::capture(Command::new("id").arg("-u"))?.trim() == "0")
}

/// The Debian release's name, such as `bookworm`; None on another system.
fn debian_codename() -> Option<String> {
    let release = std::fs::read_to_string("/etc/os-release").ok()?;
    let field = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_matches('"').to_owned())
    };
    (field("ID=")? == "debian").then(|| field("VERSION_CODENAME="))?
}

fn require_debian(what: &str) -> Result<()> {
    debian_codename().map(drop).with_context(|| {
        format!("{what} come from Debian's archive by apt, and this is no Debian system")
    })
}
