//! Files that scripts import.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rbtrace_lang::catalog::{ImportError, Imported, Loader};
use rbtrace_lang::parse::MAX_SIZE;

use super::Machine;

/// Directories that are searched after that of the importing script, separated by colons.
const SEARCH_PATH: &str = "RBTRACE_PATH";
/// The right of everybody to write (sys/stat.h).
const S_IWOTH: u32 = 0o002;

impl Loader for Machine {
    fn load(&self, name: &str, from: &str) -> Result<Imported, ImportError> {
        // `-e` and standard input have no directory: the current one is theirs.
        let beside = Path::new(from).parent().unwrap_or(Path::new(""));
        let search = std::env::var_os(SEARCH_PATH).unwrap_or_default();
        let folders = std::iter::once(beside.to_owned())
            .chain(std::env::split_paths(&search).filter(|path| !path.as_os_str().is_empty()));
        let mut looked_in = Vec::new();
        for folder in folders {
            let path = folder.join(name);
            if path.exists() {
                return load(&path);
            }
            let shown = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
            looked_in.push(shown.display().to_string());
        }
        Err(ImportError::NotFound { looked_in })
    }
}

fn load(path: &Path) -> Result<Imported, ImportError> {
    let path = path.canonicalize().map_err(|e| unreadable(&e))?;
    refuse_if_writable(&path)?;
    if path.is_dir() {
        return directory(&path);
    }
    if let Some(parent) = path.parent() {
        refuse_if_writable(parent)?;
    }
    let shown = path.display().to_string();
    match kind(&path) {
        Some(Kind::Script) => Ok(Imported::Script { path: shown, text: script(&path)? }),
        Some(Kind::Header) => Ok(Imported::Header { path: shown }),
        Some(Kind::BpfC) => Err(ImportError::NeedsCompiler),
        None => Err(ImportError::UnknownKind),
    }
}

fn unreadable(error: &std::io::Error) -> ImportError {
    ImportError::Unreadable(error.to_string())
}

fn script(path: &Path) -> Result<String, ImportError> {
    let size = fs::metadata(path).map_err(|e| unreadable(&e))?.len();
    if size > MAX_SIZE as u64 {
        return Err(ImportError::Unreadable(format!("it has {size} bytes")));
    }
    fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => ImportError::Unreadable("it is not UTF-8 text".into()),
        _ => unreadable(&error),
    })
}

/// What the end of a file's name says that it is.
enum Kind {
    Script,
    Header,
    BpfC,
}

fn kind(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_str()?;
    if name.ends_with(".bt") || name.ends_with(".rt") {
        Some(Kind::Script)
    } else if name.ends_with(".h") {
        Some(Kind::Header)
    } else {
        name.ends_with(".bpf.c").then_some(Kind::BpfC)
    }
}

/// The files in a directory that can be imported; those in its own directories are left alone.
fn directory(path: &Path) -> Result<Imported, ImportError> {
    let entries = fs::read_dir(path).map_err(|e| unreadable(&e))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.is_file() && kind(path).is_some());
    paths.sort();
    Ok(Imported::Directory(paths.iter().map(|path| path.display().to_string()).collect()))
}

/// Whoever can change what root runs is root.
fn refuse_if_writable(path: &Path) -> Result<(), ImportError> {
    let metadata = fs::metadata(path).map_err(|e| unreadable(&e))?;
    if metadata.mode() & S_IWOTH != 0 {
        return Err(ImportError::WorldWritable(path.display().to_string()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn finds_files_beside_the_script_and_refuses_what_anybody_can_write() {
        let name = format!("rbtrace-imports-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a directory");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("rights");
        let at = |name: &str| folder.join(name);
        fs::write(at("a.bt"), "macro a { 1 }").expect("a file");
        fs::write(at("b.h"), "struct b { int x; };").expect("a file");
        fs::write(at("c.bpf.c"), "").expect("a file");
        fs::write(at("d.txt"), "").expect("a file");
        let from = at("main.bt").display().to_string();
        let load = |name: &str| Machine::default().load(name, &from);
        assert!(
            matches!(load("a.bt"), Ok(Imported::Script { text, .. }) if text == "macro a { 1 }")
        );
        assert!(matches!(load("b.h"), Ok(Imported::Header { .. })));
        assert_eq!(load("c.bpf.c"), Err(ImportError::NeedsCompiler));
        assert_eq!(load("d.txt"), Err(ImportError::UnknownKind));
        assert!(matches!(load("none.bt"), Err(ImportError::NotFound { .. })));
        assert!(matches!(load("."), Ok(Imported::Directory(paths)) if paths.len() == 3));
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("rights");
        assert!(matches!(load("a.bt"), Err(ImportError::WorldWritable(_))));
        fs::remove_dir_all(&folder).expect("a directory");
    }
}
