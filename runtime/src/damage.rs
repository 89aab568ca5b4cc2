//! Whatever is in a file, reading it never panics and always ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::symbols::Binary;
use crate::symbols::symbolizer::{Place, Style, look_up};
use crate::unwind::Table;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rbtrace-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A small program with symbols, debug information, static probes and unwind data.
fn program(folder: &Folder) -> Vec<u8> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/live/programs/usdt.c");
    let program = folder.0.join("program");
    let status = Command::new("cc").args(["-g", "-O1", "-o"]).args([&program, &source]).status();
    assert!(status.expect("a C compiler").success());
    fs::read(program).expect("the program")
}

/// Calls `look` with the bytes cut off at many places, and changed at others: the same each time.
pub(crate) fn with_damage(whole: &[u8], keep: usize, mut look: impl FnMut(&[u8])) {
    for at in (0..whole.len()).step_by((whole.len() / 60).max(1)) {
        look(&whole[..at]);
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..2000 {
        let mut data = whole.to_vec();
        for _ in 0..1 << (round % 8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = keep + state as usize % (data.len() - keep);
            data[at] = (state >> 32) as u8;
        }
        look(&data);
    }
}

/// Reads all that is read of programs and libraries.
fn read(path: &Path) {
    let Ok(binary) = Binary::open(path) else { return };
    let _ = Table::read(binary.data(), |_| 0);
    for site in binary.usdt_sites().unwrap_or_default() {
        let _ = binary.file_offset(site.address);
        let _ = site.semaphore.map(|semaphore| binary.data_offset(semaphore));
    }
    for function in binary.functions().unwrap_or_default() {
        let _ = binary.file_offset(function.address);
        let _ = binary.function_at(function.address);
        let _ = binary.is_instruction(&function, function.size / 2);
        let style = Style { debug_info: true, demangle: true };
        let _ = look_up(Place::Address(path, function.address), style);
    }
    let _ = binary.find("fired");
}

#[test]
fn damaged_programs_are_read_or_refused() {
    let folder = Folder::new("damaged-programs");
    let whole = program(&folder);
    let mut round = 0;
    // The ELF header stays, so that what is behind it is read.
    with_damage(&whole, 64, |data| {
        // A name of its own: files are remembered by theirs.
        round += 1;
        let path = folder.0.join(format!("damaged-{round}"));
        fs::write(&path, data).expect("written");
        read(&path);
        fs::remove_file(&path).expect("removed");
    });
}

#[test]
fn damaged_archives_are_read_or_refused() {
    use std::io::Write;
    let folder = Folder::new("damaged-archives");
    let content = program(&folder);
    let mut whole = Vec::new();
    let mut archive = rawzip::ZipArchiveWriter::new(&mut whole);
    let (mut entry, config) = archive.new_file("lib.so").start().expect("a name");
    let mut writer = config.wrap(&mut entry);
    writer.write_all(&content).expect("memory");
    let (_, output) = writer.finish().expect("memory");
    entry.finish(output).expect("memory");
    archive.finish().expect("memory");
    // The directory is at the end, and what matters of the member at its beginning.
    let directory = whole.len() - 200;
    let path = folder.0.join("app.apk");
    with_damage(&whole, directory, |data| {
        fs::write(&path, data).expect("written");
        let _ = Binary::open(&folder.0.join("app.apk!/lib.so"));
    });
}
