//! Programs and libraries: finding them by path, by pattern and by name.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rbtrace_probes_ebpf::glob;
use rbtrace_runtime::symbols::{archive, find_binary, path_in_process};

/// Paths that `pattern` names, sorted. With a slash it is a path or a pattern of paths; without
/// one a name, or a pattern of names, of programs in `PATH`, else of a library.
pub fn find(pattern: &str, pid: Option<u32>) -> Vec<String> {
    if let (Some(pid), "" | "*") = (pid, pattern) {
        return mapped_files(pid);
    }
    if pattern.contains('/') {
        return paths(pattern, pid);
    }
    if glob::is_glob(pattern) {
        return in_path(pattern);
    }
    let found = find_binary(pattern, pid).ok();
    found.and_then(|path| path.into_os_string().into_string().ok()).into_iter().collect()
}

/// Files by their path or a pattern of it, and members of archives (`app.apk!/lib.so`).
fn paths(pattern: &str, pid: Option<u32>) -> Vec<String> {
    if let Some((archives, member)) = archive::split(Path::new(pattern)) {
        let archives = files(archives.to_str().unwrap_or_default(), pid);
        return archives.into_iter().map(|path| format!("{path}!/{member}")).collect();
    }
    files(pattern, pid)
}

fn files(pattern: &str, pid: Option<u32>) -> Vec<String> {
    let rooted = match pattern.starts_with('/') {
        true => path_in_process(Path::new(pattern), pid),
        false => PathBuf::from(pattern),
    };
    let mut found = match rooted.to_str() {
        Some(rooted) if glob::is_glob(pattern) => expand(rooted),
        _ => vec![rooted],
    };
    found.retain(|path| path.is_file());
    found.sort_unstable();
    once_each(found)
}

/// The paths, sorted, without further names of the same file: its events must not count twice.
fn once_each(paths: Vec<PathBuf>) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut once: Vec<String> = paths
        .into_iter()
        .filter(|path| fs::metadata(path).is_ok_and(|m| seen.insert((m.dev(), m.ino()))))
        .filter_map(|path| path.into_os_string().into_string().ok())
        .collect();
    once.sort_unstable();
    once
}

/// Expands a pattern of paths, one directory after the other.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let start = if pattern.starts_with('/') { "/" } else { "" };
    let mut found = vec![PathBuf::from(start)];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        if glob::is_glob(part) {
            found = found.iter().flat_map(|directory| entries(directory, part)).collect();
        } else {
            found.iter_mut().for_each(|path| path.push(part));
        }
    }
    found
}

fn entries(directory: &Path, pattern: &str) -> Vec<PathBuf> {
    let readable = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(entries) = fs::read_dir(readable) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let hidden = pattern.starts_with('.');
    names
        .filter(|name| (hidden || !name.starts_with('.')) && glob::matches(pattern, name))
        .map(|name| directory.join(name))
        .collect()
}

/// Programs in `PATH` that match a pattern.
fn in_path(pattern: &str) -> Vec<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let programs = std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .flat_map(|directory| entries(&directory, pattern))
        .filter(|path| is_program(path));
    once_each(programs.collect())
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// Files that a process has mapped to execute.
pub fn mapped_files(pid: u32) -> Vec<String> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let mut files: Vec<String> = maps
        .lines()
        .filter(|line| {
            line.split_ascii_whitespace().nth(1).is_some_and(|flags| flags.contains('x'))
        })
        .filter_map(|line| line.get(line.find('/')?..))
        .filter(|path| !path.ends_with(" (deleted)"))
        .filter_map(|path| {
            path_in_process(Path::new(path), Some(pid)).into_os_string().into_string().ok()
        })
        .collect();
    files.sort_unstable();
    files.dedup();
    files
}

/// Files that any process has mapped to execute, each once.
pub fn in_use() -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut files: Vec<PathBuf> = pids.flat_map(mapped_files).map(PathBuf::from).collect();
    files.sort_unstable();
    files.dedup();
    once_each(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_by_path_by_pattern_and_by_name() {
        assert_eq!(find("/bin/sh", None), ["/bin/sh"]);
        assert_eq!(find("/b?n/s[h]", None), ["/bin/sh"]);
        assert!(find("sh", None).first().is_some_and(|path| path.ends_with("/sh")));
        assert!(find("/no/such/*", None).is_empty());
        // A link to a directory gives its files a second name.
        let (one, both) = (find("/proc/self/exe", None), find("/proc/[st]*elf/exe", None));
        assert_eq!(both.len(), one.len(), "{both:?}");
        assert!(find("no-such-program-or-library", None).is_empty());
    }
}
