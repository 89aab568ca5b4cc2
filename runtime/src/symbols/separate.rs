//! Where the separate debug information of a program is looked for, as gdb and elfutils do (gdb's
//! manual, "Debugging Information in Separate Files").

use std::path::{Path, PathBuf};

use object::Object as _;

use super::Binary;

/// Where distributions install debug information.
const STANDARD: &str = "/usr/lib/debug";
/// Where it may lie next to a program.
const BESIDE: &str = ".debug";

/// What ties a program to its separate debug information.
struct Identity {
    build_id: Option<Vec<u8>>,
    /// Name, and CRC of the file.
    link: Option<(PathBuf, u32)>,
}

impl Identity {
    fn of(binary: &Binary) -> Option<Self> {
        let file = object::File::parse(binary.data()).ok()?;
        let link = file.gnu_debuglink().ok().flatten().and_then(|(name, crc)| {
            let name = Path::new(std::str::from_utf8(name).ok()?).file_name()?;
            Some((PathBuf::from(name), crc))
        });
        Some(Self { build_id: build_id(binary), link })
    }

    /// Whether a file is the debug information of this very program.
    fn fits(&self, file: &Binary) -> bool {
        match (&self.build_id, build_id(file), &self.link) {
            (Some(ours), Some(theirs), _) => *ours == theirs,
            (_, _, Some((_, crc))) => crc32(file.data()) == *crc,
            _ => true,
        }
    }
}

/// The build id of a program or library, or of its separate debug information.
pub fn build_id(binary: &Binary) -> Option<Vec<u8>> {
    let file = object::File::parse(binary.data()).ok()?;
    file.build_id().ok().flatten().map(<[u8]>::to_vec)
}

/// Files with the separate debug information of a program: by its build id, then by the name in its
/// `.gnu_debuglink`, or its own with `.debug` behind. `folders` come before the standard ones.
pub fn files(binary: &Binary, folders: &[PathBuf]) -> impl Iterator<Item = Binary> {
    let path = std::fs::canonicalize(binary.path()).unwrap_or_else(|_| binary.path().to_owned());
    let identity = Identity::of(binary);
    let candidates = identity.as_ref().map(|identity| candidates(&path, identity, folders));
    let files = candidates.unwrap_or_default().into_iter();
    let files = files.filter(move |candidate| *candidate != path && candidate.is_file());
    let files = files.filter_map(|candidate| Binary::open(&candidate).ok());
    files.filter(move |file| identity.as_ref().is_some_and(|identity| identity.fits(file)))
}

fn candidates(path: &Path, identity: &Identity, folders: &[PathBuf]) -> Vec<PathBuf> {
    let by_id = identity.build_id.as_deref().and_then(build_id_path);
    let rooted = |name: &PathBuf| {
        let in_folder = |folder: PathBuf| match folder.is_absolute() {
            true => folder.join(name),
            false => beside(path, &folder).join(name),
        };
        searched(folders).map(in_folder).collect::<Vec<_>>()
    };
    by_id.iter().flat_map(rooted).chain(named(path, identity, folders)).collect()
}

/// The folders given, then the standard ones.
pub fn searched(folders: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    folders.iter().cloned().chain([PathBuf::from(BESIDE), PathBuf::from(STANDARD)])
}

/// `.build-id/ab/cdef.debug`, below a folder of debug information.
pub fn build_id_path(id: &[u8]) -> Option<PathBuf> {
    let (first, rest) = id.split_first().filter(|(_, rest)| !rest.is_empty())?;
    let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(PathBuf::from(format!(".build-id/{first:02x}/{rest}.debug")))
}

/// A path as seen from the folder that a program is in.
pub fn beside(binary: &Path, path: &Path) -> PathBuf {
    binary.parent().unwrap_or(Path::new("/")).join(path)
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
        let link = Some(("tool.dbg".into(), 0));
        let identity = Identity { build_id: Some(vec![0xab, 0xcd]), link };
        let found = candidates(Path::new("/usr/bin/tool"), &identity, &["/d".into()]);
        for path in [
            "/usr/bin/tool.dbg",
            "/d/usr/bin/tool.dbg",
            "/d/tool.dbg",
            "/usr/bin/.debug/tool.dbg",
            "/usr/lib/debug/usr/bin/tool.debug",
        ] {
            assert!(found.contains(&path.into()), "{path}: {found:?}");
        }
        assert_eq!(found.first(), Some(&"/d/.build-id/ab/cd.debug".into()));
    }
}
