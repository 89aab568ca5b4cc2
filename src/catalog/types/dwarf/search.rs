//! Where separate debug information is looked for, as gdb and elfutils do
//! (gdb's manual, "Debugging Information in Separate Files").

use std::path::{Path, PathBuf};

use object::Object as _;
use rbtrace_runtime::symbols::Binary;

use super::file::DebugFile;

/// Where distributions install debug information.
pub const STANDARD: &str = "/usr/lib/debug";
/// Where it may lie next to a program.
const BESIDE: &str = ".debug";

/// A file that `-gsplit-dwarf` made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its path, relative to the directory of the compilation.
    pub name: PathBuf,
    /// The directory of the compilation.
    pub directory: Option<PathBuf>,
}

/// What ties a program to its separate debug information.
struct Identity {
    build_id: Option<Vec<u8>>,
    /// Name, and CRC of the file.
    link: Option<(PathBuf, u32)>,
}

impl Identity {
    fn of(binary: &Binary) -> Option<Self> {
        let file = object::File::parse(binary.data()).ok()?;
        let build_id = file.build_id().ok().flatten().map(<[u8]>::to_vec);
        let link = file.gnu_debuglink().ok().flatten().and_then(|(name, crc)| {
            let name = Path::new(std::str::from_utf8(name).ok()?).file_name()?;
            Some((PathBuf::from(name), crc))
        });
        Some(Self { build_id, link })
    }

    /// Whether a file is the debug information of this very program.
    fn fits(&self, file: &DebugFile) -> bool {
        let theirs = Identity::of(file.binary()).and_then(|identity| identity.build_id);
        match (&self.build_id, theirs, &self.link) {
            (Some(ours), Some(theirs), _) => *ours == theirs,
            (_, _, Some((_, crc))) => crc32(file.binary().data()) == *crc,
            _ => true,
        }
    }
}

/// The separate debug information of a program: by its build id, then by the name in its
/// `.gnu_debuglink`, or its own with `.debug` behind.
pub fn separate(binary: &Path, folders: &[PathBuf]) -> Option<DebugFile> {
    let opened = Binary::open(binary).ok()?;
    let identity = Identity::of(&opened)?;
    let path = std::fs::canonicalize(binary).unwrap_or_else(|_| binary.to_owned());
    let by_id = identity.build_id.as_deref().and_then(build_id_path);
    let by_id = by_id.iter().flat_map(|name| {
        let rooted = |folder: &Path| {
            if folder.is_absolute() {
                folder.join(name)
            } else {
                path_beside(&path, folder).join(name)
            }
        };
        searched(folders).map(move |folder| rooted(&folder)).collect::<Vec<_>>()
    });
    let by_name = named(&path, &identity, folders);
    by_id
        .chain(by_name)
        .filter(|candidate| *candidate != path && candidate.is_file())
        .filter_map(|candidate| DebugFile::whole(&candidate))
        .find(|file| identity.fits(file))
}

/// The folders given, then the standard ones.
fn searched(folders: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    folders.iter().cloned().chain([PathBuf::from(BESIDE), PathBuf::from(STANDARD)])
}

/// `.build-id/ab/cdef.debug`
fn build_id_path(id: &[u8]) -> Option<PathBuf> {
    let (first, rest) = id.split_first().filter(|(_, rest)| !rest.is_empty())?;
    let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(PathBuf::from(format!(".build-id/{first:02x}/{rest}.debug")))
}

/// A folder as seen from the one that a program is in.
fn path_beside(binary: &Path, folder: &Path) -> PathBuf {
    binary.parent().unwrap_or(Path::new("/")).join(folder)
}

/// Candidates by name. Under a folder that is not relative, the program's own directory counts,
/// with and without its first parts.
fn named(binary: &Path, identity: &Identity, folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut names = Vec::new();
    if let Some((name, _)) = &identity.link {
        names.push(name.clone());
    }
    if let Some(name) = binary.file_name() {
        let mut own = name.to_owned();
        own.push(".debug");
        names.push(own.into());
    }
    let directory = binary.parent().unwrap_or(Path::new("/"));
    let mut found = Vec::new();
    for name in names {
        found.push(directory.join(&name));
        for folder in searched(folders) {
            if folder.is_relative() {
                found.push(directory.join(&folder).join(&name));
                // Relative to where we are, as a shell's user would mean it.
                found.push(folder.join(&name));
                continue;
            }
            let parts: Vec<_> = directory.iter().skip(1).collect();
            for skipped in 0..=parts.len() {
                let below: PathBuf = parts.iter().skip(skipped).collect();
                found.push(folder.join(below).join(&name));
            }
        }
    }
    found
}

/// The file that holds what several programs share (`.gnu_debugaltlink`).
pub fn shared(main: &Binary, folders: &[PathBuf]) -> Option<DebugFile> {
    let file = object::File::parse(main.data()).ok()?;
    let (name, id) = file.gnu_debugaltlink().ok().flatten()?;
    let name = Path::new(std::str::from_utf8(name).ok()?);
    let by_name = path_beside(main.path(), name);
    let by_id = build_id_path(id).into_iter().flat_map(|path| {
        searched(folders).filter(|f| f.is_absolute()).map(move |folder| folder.join(&path))
    });
    let fits = |file: &DebugFile| {
        let theirs = Identity::of(file.binary()).and_then(|identity| identity.build_id);
        theirs.is_none_or(|theirs| theirs == id)
    };
    std::iter::once(by_name)
        .chain(by_id)
        .filter_map(|candidate| DebugFile::whole(&candidate))
        .find(fits)
}

/// The `.dwp` file beside a program.
pub fn package(binary: &Path) -> Option<DebugFile> {
    let mut path = binary.as_os_str().to_owned();
    path.push(".dwp");
    DebugFile::package(Path::new(&path))
}

/// A `.dwo` file: where it was made, or beside the program.
pub fn split(wanted: &Wanted, binary: &Path) -> Option<DebugFile> {
    let made = wanted.directory.as_deref().unwrap_or(Path::new("")).join(&wanted.name);
    let beside = path_beside(binary, &wanted.name);
    let alone = wanted.name.file_name().map(|name| path_beside(binary, Path::new(name)));
    [Some(made), Some(beside), alone].into_iter().flatten().find_map(|path| DebugFile::split(&path))
}

/// The CRC of a file that `.gnu_debuglink` has: that of zlib (IEEE 802.3).
fn crc32(data: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let table: [u32; 256] = std::array::from_fn(|i| {
        (0..8).fold(i as u32, |crc, _| if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 })
    });
    !data.iter().fold(u32::MAX, |crc, byte| {
        crc >> 8 ^ table.get((crc as u8 ^ byte) as usize).copied().unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_of_a_program() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(build_id_path(&[0xab, 0xcd, 1]), Some(".build-id/ab/cd01.debug".into()));
        assert_eq!(build_id_path(&[0xab]), None);
        let identity = Identity { build_id: None, link: Some(("tool.dbg".into(), 0)) };
        let found = named(Path::new("/usr/bin/tool"), &identity, &["/d".into()]);
        for path in [
            "/usr/bin/tool.dbg",
            "/d/usr/bin/tool.dbg",
            "/d/tool.dbg",
            "/usr/bin/.debug/tool.dbg",
            "/usr/lib/debug/usr/bin/tool.debug",
        ] {
            assert!(found.contains(&path.into()), "{path}: {found:?}");
        }
    }
}
