//! Writes an initramfs: a cpio archive in the `newc` format of the kernel's
//! Documentation/driver-api/early-userspace/buffer-format.rst.

use std::io::{self, Write};

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

/// An archive being written.
pub struct Archive<W> {
    out: W,
    written: usize,
    inode: u32,
    directories: std::collections::BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    /// An empty archive on `out`.
    pub fn new(out: W) -> Self {
        Archive { out, written: 0, inode: 1, directories: std::collections::BTreeSet::new() }
    }

    /// Adds a directory and those that it lies in. Paths have no leading slash.
    pub fn directory(&mut self, path: &str) -> io::Result<()> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let part = &path[..end];
            if !part.is_empty() && self.directories.insert(part.to_owned()) {
                self.entry(part, DIRECTORY, &[])?;
            }
        }
        Ok(())
    }

    /// Adds an executable file, and the directories that it lies in.
    pub fn file(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        self.parent(path)?;
        self.entry(path, FILE, content)
    }

    /// Adds a symbolic link to `target`.
    pub fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.parent(path)?;
        self.entry(path, LINK, target.as_bytes())
    }

    /// Ends the archive.
    pub fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn parent(&mut self, path: &str) -> io::Result<()> {
        path.rsplit_once('/').map_or(Ok(()), |(parent, _)| self.directory(parent))
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let size = u32::try_from(content.len())
            .map_err(|_| io::Error::other("a file of 4 GB and more"))?;
        let links = 1 + u32::from(mode == DIRECTORY);
        let (owner, time, device) = (0, 0, 0);
        let name_size = path.len() as u32 + 1;
        let fields = [
            self.inode, mode, owner, owner, links, time, size, device, device, device, device,
            name_size, 0,
        ];
        self.inode += 1;
        self.write(b"070701")?;
        for field in fields {
            self.write(format!("{field:08x}").as_bytes())?;
        }
        self.write(path.as_bytes())?;
        self.write(&[0])?;
        self.pad()?;
        self.write(content)?;
        self.pad()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len();
        self.out.write_all(bytes)
    }

    fn pad(&mut self) -> io::Result<()> {
        let gap = self.written.next_multiple_of(4) - self.written;
        self.write(&[0; 4][..gap])
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn entries_are_aligned_and_parents_come_first() {
        let mut archive = Archive::new(Vec::new());
        archive.file("a/b/c", b"hello").expect("writing to memory");
        archive.link("a/d", "b").expect("writing to memory");
        let bytes = archive.finish().expect("writing to memory");
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        let at = |name: &str| text.find(&format!("{name}\0")).expect("an entry");
        assert!(at("a") < at("a/b") && at("a/b") < at("a/b/c") && at("a/b/c") < at("a/d"));
        assert_eq!(text.matches("070701").count(), 5);
    }
}
