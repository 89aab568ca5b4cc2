//! What a guest boots: busybox, rbtrace, the live tests and a shell script that starts them.

use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::cpio::Archive;
use crate::setup::kernel::Kernel;
use crate::setup::packages;
use crate::workspace::Programs;
use crate::{process, workspace};

/// Where the small programs are in a guest.
pub const GUEST_PROGRAMS: &str = "/programs";

/// Where the compiled generated scripts are in a guest.
pub const GUEST_PREPARED: &str = "/prepared";
/// Where bpftrace's tools are in a guest, a folder for each suite.
pub const GUEST_TOOLS: &str = "/tools";

/// The guest's first process. The serial ports are: 0 the kernel's console, 1 the command's
/// standard streams, 2 its exit status.
const INIT: &str = include_str!("init.sh");

/// Writes the initramfs for `kernel` in which `command`, a shell script, is run. Files and folders that are
/// `added` are below its root.
pub fn write(
    kernel: Kernel,
    programs: &Programs,
    command: &str,
    added: &[PathBuf],
) -> Result<PathBuf> {
    let path = workspace::vm_folder("images")?.join(format!("{kernel}.cpio"));
    let file = std::fs::File::create(&path).with_context(|| path.display().to_string())?;
    let mut archive = Archive::new(BufWriter::new(file));
    for directory in
        ["dev", "proc", "sys", "tmp", "root", "run", "etc", "usr/bin", "usr/sbin", "sbin", "var"]
    {
        archive.directory(directory)?;
    }
    archive.file("init", INIT.as_bytes())?;
    archive.file("command", command.as_bytes())?;
    archive.file(
        "etc/passwd",
        b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    )?;
    archive.file("etc/group", b"root:x:0:\nnogroup:x:65534:\n")?;
    archive.file("bin/busybox", &std::fs::read(which("busybox")?)?)?;
    archive.link("bin/sh", "busybox")?;
    archive.file("bin/rbtrace", &stripped(&programs.rbtrace, "--strip-all")?)?;
    // The functions that tests probe are in its symbol table.
    archive.file("bin/rbtrace-live-tests", &stripped(&programs.tests, "--strip-debug")?)?;
    for module in kernel.modules()? {
        archive.file(&format!("modules/{}", name_of(&module)?), &std::fs::read(&module)?)?;
    }
    add_programs(&mut archive, &programs.small)?;
    archive.directory(&GUEST_PREPARED[1..])?;
    for entry in std::fs::read_dir(&programs.prepared)? {
        let path = entry?.path();
        let name = format!("{}/{}", &GUEST_PREPARED[1..], name_of(&path)?);
        archive.file(&name, &std::fs::read(&path)?)?;
    }
    add_tools(&mut archive)?;
    for path in added {
        add(&mut archive, path, &name_of(path)?)?;
    }
    archive.finish()?;
    Ok(path)
}

/// Adds a file, or a folder with all that is in it. Links are taken for what they lead to.
fn add(archive: &mut Archive<impl std::io::Write>, path: &Path, place: &str) -> Result<()> {
    if !path.is_dir() {
        let content = std::fs::read(path).with_context(|| path.display().to_string())?;
        return Ok(archive.file(place, &content)?);
    }
    archive.directory(place)?;
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        add(archive, &path, &format!("{place}/{}", name_of(&path)?))?;
    }
    Ok(())
}

/// Adds bpftrace's tools and what they probe.
fn add_tools(archive: &mut Archive<impl std::io::Write>) -> Result<()> {
    for suite in std::fs::read_dir(packages::tools())? {
        let suite = suite?.path();
        for tool in std::fs::read_dir(&suite)? {
            let tool = tool?.path();
            let place = format!("{}/{}/{}", &GUEST_TOOLS[1..], name_of(&suite)?, name_of(&tool)?);
            archive.file(&place, &std::fs::read(&tool)?)?;
        }
    }
    for (file, place) in packages::userland() {
        archive.file(place, &std::fs::read(&file).with_context(|| file.display().to_string())?)?;
    }
    Ok(())
}

/// Adds the small programs and addr2line(1), and the libraries that they need, where they lie here.
fn add_programs(archive: &mut Archive<impl std::io::Write>, folder: &Path) -> Result<()> {
    let mut all = vec![(which("addr2line")?, "bin/addr2line".to_owned())];
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let place = format!("{}/{}", &GUEST_PROGRAMS[1..], name_of(&path)?);
        all.push((path, place));
    }
    let mut libraries = std::collections::BTreeSet::new();
    for (path, place) in all {
        archive.file(&place, &std::fs::read(&path)?)?;
        libraries.extend(libraries_of(&path)?);
    }
    for library in libraries {
        archive.file(&library[1..], &std::fs::read(&library)?)?;
    }
    Ok(())
}

/// Paths of the libraries that a program needs; none of one that is linked statically, which ldd(1) takes
/// for a failure.
fn libraries_of(program: &Path) -> Result<Vec<String>> {
    let output = Command::new("ldd").arg(program).output().context("running ldd")?;
    let list = String::from_utf8_lossy(&output.stdout);
    let paths = list.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(paths.filter(|path| !path.ends_with(':')).map(str::to_owned).collect())
}

fn name_of(path: &Path) -> Result<String> {
    Ok(path.file_name().with_context(|| path.display().to_string())?.to_string_lossy().into_owned())
}

fn which(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join(program));
    candidates
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("{program} is not on the path"))
}

/// The program without its debug information: it is the greater part, and guests have no disk.
fn stripped(program: &Path, what: &str) -> Result<Vec<u8>> {
    let copy = workspace::vm_folder("images")?.join(format!(
        "stripped-{}-{}",
        std::process::id(),
        name_of(program)?
    ));
    process::run(Command::new("strip").arg(what).arg("-o").arg(&copy).arg(program))?;
    let bytes = std::fs::read(&copy)?;
    std::fs::remove_file(copy)?;
    Ok(bytes)
}
