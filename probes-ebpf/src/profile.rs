//! The kernel that a script is compiled for.

use serde::{Deserialize, Serialize};

/// A kernel version, `major.minor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KernelVersion {
    /// The 6 of 6.12.
    pub major: u16,
    /// The 12 of 6.12.
    pub minor: u16,
}

impl KernelVersion {
    /// `major.minor`.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Reads the first two numbers of a release such as `6.12.43+deb13-cloud-amd64`.
    pub fn parse(release: &str) -> Option<Self> {
        let mut parts = release.split(|c: char| !c.is_ascii_digit());
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        Some(Self { major, minor })
    }
}

impl std::fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Processor architectures whose calling convention is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arch {
    /// x86-64
    X86_64,
    /// 64-bit Arm
    Aarch64,
}

impl Arch {
    /// The architecture that this program was built for, if it is a known one.
    pub const HOST: Arch = if cfg!(target_arch = "aarch64") { Arch::Aarch64 } else { Arch::X86_64 };
}

/// What the compiler may assume of the kernel that will run the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetProfile {
    /// Kernel version.
    pub kernel: KernelVersion,
    /// Processor architecture.
    pub arch: Arch,
    /// Number of possible CPUs; 1 to 8192.
    pub cpus: u32,
    /// Kernel has BTF of its own types.
    pub has_btf: bool,
}

impl TargetProfile {
    /// A fixed profile for tests and dumps: the same everywhere.
    pub const REFERENCE: TargetProfile = TargetProfile {
        kernel: KernelVersion::new(6, 1),
        arch: Arch::X86_64,
        cpus: 4,
        has_btf: true,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_releases() {
        assert_eq!(
            KernelVersion::parse("6.12.43+deb13-cloud-amd64"),
            Some(KernelVersion::new(6, 12))
        );
        assert_eq!(KernelVersion::parse("7.2-rc1"), Some(KernelVersion::new(7, 2)));
        assert_eq!(KernelVersion::parse("six"), None);
    }
}
