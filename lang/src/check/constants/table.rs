//! Constants that no type of the kernel tells: its `#define`s for programs.

use rbtrace_probes_ebpf::profile::Arch;

/// A constant a line, sorted: the name, the value on x86-64, and, where it differs, that on AArch64
/// (`-`: there is none). From the headers of the UAPI (include/uapi of Linux), and from
/// include/linux/{sched,fs,mm}.h, vdso/time64.h and linux/limits.h of the kernel itself.
const LINUX: &str = include_str!("linux.txt");

/// The value of a constant.
pub(super) fn find(name: &str, arch: Arch) -> Option<i128> {
    let (mut low, mut high) = (0, LINUX.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = LINUX.get(low..middle)?.rfind('\n').map_or(low, |end| low + end + 1);
        let line = LINUX.get(start..)?.lines().next()?;
        let mut words = line.split(' ');
        match words.next()?.cmp(name) {
            std::cmp::Ordering::Less => low = start + line.len() + 1,
            std::cmp::Ordering::Greater => high = start,
            std::cmp::Ordering::Equal => {
                let common = words.next()?;
                let value = match arch {
                    Arch::X86_64 => common,
                    Arch::Aarch64 => words.next().unwrap_or(common),
                };
                return value.parse().ok();
            }
        }
    }
    None
}

/// All names.
pub(super) fn names<'a>() -> impl Iterator<Item = &'a str> {
    LINUX.lines().filter_map(|line| line.split(' ').next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_found() {
        let names: Vec<_> = names().collect();
        assert!(names.is_sorted_by(|a, b| a < b));
        for name in names {
            assert!(find(name, Arch::X86_64).is_some(), "{name}");
        }
    }

    #[test]
    fn values_are_linux_own() {
        assert_eq!(find("AF_INET6", Arch::X86_64), Some(10));
        assert_eq!(find("TASK_RUNNING", Arch::X86_64), Some(0));
        assert_eq!(find("O_DIRECTORY", Arch::X86_64), Some(0o200_000));
        assert_eq!(find("O_DIRECTORY", Arch::Aarch64), Some(0o40_000));
        assert_eq!(find("MAP_32BIT", Arch::Aarch64), None);
        assert_eq!(find("U64_MAX", Arch::Aarch64), Some(u64::MAX.into()));
        assert_eq!(find("S64_MIN", Arch::X86_64), Some(i64::MIN.into()));
        assert_eq!(find("NOTHING", Arch::X86_64), None);
        assert_eq!(find("", Arch::X86_64), None);
        assert_eq!(find("zzz", Arch::X86_64), None);
    }
}
