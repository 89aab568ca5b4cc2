//! Libraries that lie in ZIP archives as they are, which programs map from there: `app.apk!/lib.so`.

use std::ops::Range;
use std::path::{Path, PathBuf};

use rawzip::{CompressionMethod, ZipArchive};

/// What stands between an archive's path and a member's.
const MARK: &str = "!/";

/// The archive and the member that a path names, if it names one.
pub fn split(path: &Path) -> Option<(PathBuf, &str)> {
    let (archive, member) = path.to_str()?.split_once(MARK)?;
    Some((archive.into(), member))
}

/// The file that a path is in: an archive if it names a member of one, else itself.
pub fn file_of(path: &Path) -> PathBuf {
    split(path).map_or_else(|| path.to_owned(), |(archive, _)| archive)
}

/// Where in an archive the bytes of a member are.
///
/// # Errors
///
/// Why there is no such member, or why it cannot be used where it is.
pub(super) fn find(archive: &[u8], member: &str) -> Result<Range<usize>, String> {
    let broken = |error: rawzip::Error| format!("it is no ZIP archive: {error}");
    let archive = ZipArchive::from_slice(archive).map_err(broken)?;
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry().map_err(broken)? {
        if entry.file_path().as_bytes() != member.as_bytes() {
            continue;
        }
        if entry.compression_method() != CompressionMethod::STORE {
            return Err(format!(
                "{member} is compressed in it, so that no program can run it from there; unpack it"
            ));
        }
        let (start, end) =
            archive.get_entry(entry.wayfinder()).map_err(broken)?.compressed_data_range();
        return Ok(start as usize..end as usize);
    }
    Err(format!("there is no {member} in it"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rawzip::ZipArchiveWriter;

    use super::*;

    /// An archive with one member.
    fn archive(name: &str, method: CompressionMethod, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut archive = ZipArchiveWriter::new(&mut bytes);
        let file = archive.new_file(name).compression_method(method);
        let (mut entry, config) = file.start().expect("a name");
        let mut writer = config.wrap(&mut entry);
        writer.write_all(content).expect("memory");
        let (_, output) = writer.finish().expect("memory");
        entry.finish(output).expect("memory");
        archive.finish().expect("memory");
        bytes
    }

    #[test]
    fn a_path_may_lead_into_an_archive() {
        let path = Path::new("/a/b.apk!/lib/c.so");
        assert_eq!(split(path), Some(("/a/b.apk".into(), "lib/c.so")));
        assert_eq!(split(Path::new("/a/b")), None);
        assert_eq!(file_of(path), Path::new("/a/b.apk"));
    }

    #[test]
    fn finds_what_is_stored() {
        let bytes = archive("lib/c.so", CompressionMethod::STORE, b"content");
        let range = find(&bytes, "lib/c.so").expect("it is there");
        assert_eq!(&bytes[range], b"content");
        assert_eq!(find(&bytes, "lib/d.so"), Err("there is no lib/d.so in it".to_owned()));
        let packed = archive("lib/c.so", CompressionMethod::DEFLATE, b"content");
        assert!(find(&packed, "lib/c.so").expect_err("it is compressed").contains("compressed"));
        for cut in 0..bytes.len() {
            let _ = find(&bytes[..cut], "lib/c.so");
        }
    }
}
