//! Finding a program by `PATH` and a library as the dynamic linker does.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::archive::file_of;
use crate::error::Error;

/// The dynamic linker's cache of libraries.
const CACHE: &str = "/etc/ld.so.cache";
/// Folders that the dynamic linker looks into last.
const FOLDERS: [&str; 4] = ["/lib", "/usr/lib", "/lib64", "/usr/lib64"];
/// Where Debian keeps libraries of one architecture, under `/lib` and `/usr/lib`.
const MULTIARCH: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-linux-gnu" } else { "x86_64-linux-gnu" };

/// The file that a script means by `name`: a path, a program in `PATH`, or a library (`libc`,
/// `c`, `libc.so.6`). With `pid`, paths are those that this process sees.
pub fn find_binary(name: &str, pid: Option<u32>) -> Result<PathBuf, Error> {
    if name.contains('/') {
        let path = path_in_process(Path::new(name), pid);
        return if file_of(&path).exists() {
            Ok(path)
        } else {
            Err(unknown(name, "there is no such file"))
        };
    }
    let root = pid.and_then(other_root).unwrap_or_default();
    let found = program(name, &root).or_else(|| library(name, &root));
    found.ok_or_else(|| {
        unknown(name, "it is neither in PATH nor where the dynamic linker finds libraries")
    })
}

/// A path as a process sees it, usable from here.
pub fn path_in_process(path: &Path, pid: Option<u32>) -> PathBuf {
    match pid.and_then(other_root) {
        Some(root) => under(&root, path),
        None => path.to_owned(),
    }
}

fn unknown(name: &str, searched: &str) -> Error {
    Error::UnknownBinary { name: name.to_owned(), searched: searched.to_owned() }
}

/// The root folder of a process with other mounts than this one.
fn other_root(pid: u32) -> Option<PathBuf> {
    let namespace = |who: &str| fs::read_link(format!("/proc/{who}/ns/mnt")).ok();
    let theirs = namespace(&pid.to_string())?;
    (Some(theirs) != namespace("self")).then(|| PathBuf::from(format!("/proc/{pid}/root")))
}

fn under(root: &Path, path: &Path) -> PathBuf {
    if root.as_os_str().is_empty() {
        return path.to_owned();
    }
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn program(name: &str, root: &Path) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| under(root, &dir).join(name)).find(|file| is_elf(file))
}

fn library(name: &str, root: &Path) -> Option<PathBuf> {
    if let Some(path) = env::var_os("LD_LIBRARY_PATH")
        && let Some(found) = env::split_paths(&path).find_map(|d| in_folder(&under(root, &d), name))
    {
        return Some(found);
    }
    let cache = fs::read(under(root, Path::new(CACHE))).unwrap_or_default();
    let cached = cache_entries(&cache)
        .filter(|(soname, _)| is_called(soname, name))
        .map(|(_, path)| under(root, Path::new(path)))
        .find(|path| is_elf(path));
    cached.or_else(|| {
        let multiarch = FOLDERS.iter().take(2).map(|f| format!("{f}/{MULTIARCH}"));
        multiarch
            .chain(FOLDERS.iter().map(|f| (*f).to_owned()))
            .find_map(|folder| in_folder(&under(root, Path::new(&folder)), name))
    })
}

/// Whether a library file name is what `name` means: itself, or with `lib` in front and `.so`
/// and a version behind.
fn is_called(soname: &str, name: &str) -> bool {
    if soname == name {
        return true;
    }
    let stem = |s: &str| s.strip_prefix(name).is_some_and(is_suffix);
    stem(soname) || soname.strip_prefix("lib").is_some_and(stem)
}

/// `.so`, or a version: `.so.6`, `.6` after `.so`.
fn is_suffix(rest: &str) -> bool {
    let version = rest.strip_prefix(".so").unwrap_or(rest);
    let numbers = version.split('.').skip(1).all(|n| n.bytes().all(|b| b.is_ascii_digit()));
    rest.starts_with('.') && numbers && (version.is_empty() || version.starts_with('.'))
}

fn in_folder(folder: &Path, name: &str) -> Option<PathBuf> {
    let exact = folder.join(name);
    if is_elf(&exact) {
        return Some(exact);
    }
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .filter(|e| e.file_name().to_str().is_some_and(|n| is_called(n, name)))
        .map(|e| e.path())
        .filter(|p| is_elf(p))
        .collect();
    found.sort_unstable();
    // Without a version first, then the newest.
    found.pop()
}

/// Whether a file begins as ELF files do. `libc.so` of a development package is a text.
fn is_elf(path: &Path) -> bool {
    use std::io::Read;
    let mut magic = [0u8; 4];
    path.is_file()
        && fs::File::open(path).and_then(|mut f| f.read_exact(&mut magic)).is_ok()
        && magic == *b"\x7fELF"
}

/// Bytes of the cache's header and of an entry: glibc's `struct cache_file_new` and
/// `struct file_entry_new`.
const HEADER_SIZE: usize = 48;
const ENTRY_SIZE: usize = 24;
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// `flags` of a library for this architecture: `FLAG_ELF_LIBC6` and the architecture's bits.
const FLAGS: u32 = if cfg!(target_arch = "aarch64") { 0x0a03 } else { 0x0303 };

/// Names and paths of the libraries in the dynamic linker's cache, for this architecture and
/// any processor of it.
fn cache_entries(cache: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    // An old cache may come in front of it.
    let start = cache.windows(MAGIC.len()).position(|w| w == MAGIC).unwrap_or(cache.len());
    let cache = cache.get(start..).unwrap_or_default();
    let count = word(cache, MAGIC.len()).unwrap_or(0) as usize;
    let entries = cache.get(HEADER_SIZE..).unwrap_or_default();
    entries.chunks_exact(ENTRY_SIZE).take(count).filter_map(move |entry| {
        let hwcap = word(entry, 16)? | word(entry, 20)?;
        if word(entry, 0)? != FLAGS || hwcap != 0 {
            return None;
        }
        Some((string(cache, word(entry, 4)?)?, string(cache, word(entry, 8)?)?))
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn string(bytes: &[u8], at: u32) -> Option<&str> {
    let rest = bytes.get(at as usize..)?;
    std::str::from_utf8(rest.split(|b| *b == 0).next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_names() {
        for name in ["libc", "c", "libc.so", "libc.so.6"] {
            assert!(is_called("libc.so.6", name), "{name}");
        }
        assert!(is_called("libssl.so.1.1", "libssl.so.1"));
        assert!(!is_called("libcrypt.so.1", "libc"));
        assert!(!is_called("libc.so.6", "lib"));
        assert!(!is_called("libc-2.31.so", "libc"));
    }

    #[test]
    fn reads_the_cache() {
        let mut cache = MAGIC.to_vec();
        cache.extend(1u32.to_ne_bytes());
        cache.resize(HEADER_SIZE, 0);
        let strings = (HEADER_SIZE + ENTRY_SIZE) as u32;
        for word in [FLAGS, strings, strings + 10, 0, 0, 0] {
            cache.extend(word.to_ne_bytes());
        }
        cache.extend(b"libc.so.6\0/lib/libc.so.6\0");
        let entries: Vec<_> = cache_entries(&cache).collect();
        assert_eq!(entries, [("libc.so.6", "/lib/libc.so.6")]);
        // Cut anywhere, it yields less and never fails.
        for end in 0..cache.len() {
            assert!(cache_entries(&cache[..end]).count() <= 1);
        }
    }
}
