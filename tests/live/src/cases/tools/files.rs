//! Tools that show what is done with files and disks.

use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, symlink};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{OWN_COMM, pid_of, rows_of};
use crate::ctx::{COMM, Ctx};
use crate::features::DISK;
use crate::sys;

/// Names of files that are there or not, and the error that opening or asking for them gives.
fn names_and_errors(ctx: &Ctx) -> Result<Vec<(String, i32)>> {
    let mut files = vec![("/does/not/exist".to_owned(), libc::ENOENT)];
    for name in ["birinci", "dosya-ç.txt"] {
        files.push((ctx.file(name, "")?.to_string_lossy().into_owned(), 0));
    }
    let below_a_file = format!("{}/below", files[1].0);
    files.push((below_a_file, libc::ENOTDIR));
    files.push(files[1].clone());
    Ok(files)
}

pub fn opensnoop(ctx: &Ctx) -> Result<()> {
    // A relative name is shown under the folder in which it is opened.
    std::env::set_current_dir(&ctx.dir)?;
    let files = names_and_errors(ctx)?;
    let mut arguments = vec!["open", "birinci"];
    arguments.extend(files.iter().map(|(name, _)| name.as_str()));
    let session = ctx.tool("opensnoop").start()?;
    let pid = pid_of(ctx.start_workload(&arguments)?)?;
    let out = session.interrupt()?.success()?;
    let relative = (files[1].0.clone(), 0);
    let expected: Vec<(&str, i32, bool, &str)> = std::iter::once(&relative)
        .chain(&files)
        .map(|(name, error)| (COMM, *error, *error == 0, name.as_str()))
        .collect();
    // What the C library opens before the workload comes first.
    let rows = rows_of(&out, 0, pid);
    let own = rows.len().saturating_sub(expected.len());
    let mut opened = Vec::new();
    for row in &rows[own..] {
        let [_, comm, descriptor, error, path] = row.as_slice() else {
            return Err(out.failure(format_args!("a row of other columns: {row:?}")));
        };
        let opens = descriptor.parse::<i32>().context("a descriptor")? > 2;
        opened.push((*comm, error.parse::<i32>().context("an error")?, opens, *path));
    }
    out.same("files opened", opened, expected)
}

pub fn statsnoop(ctx: &Ctx) -> Result<()> {
    let files = names_and_errors(ctx)?;
    let session = ctx.tool("statsnoop").start()?;
    for (name, error) in &files {
        let found = std::fs::metadata(name).err().and_then(|error| error.raw_os_error());
        ensure!(found.unwrap_or(0) == *error, "the error of {name} is {found:?}");
    }
    sys::statfs(&files[1].0)?;
    let out = session.interrupt()?.success()?;
    let mut expected: Vec<Vec<String>> = Vec::new();
    let pid = std::process::id();
    for (name, error) in files.iter().chain([&files[1]]) {
        expected
            .push([&pid.to_string(), OWN_COMM, &error.to_string(), name].map(String::from).into());
    }
    out.same("files asked for", rows_of(&out, 0, pid), as_words(&expected))
}

fn as_words(rows: &[Vec<String>]) -> Vec<Vec<&str>> {
    rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect()
}

pub fn vfscount(ctx: &Ctx) -> Result<()> {
    // Calls that nobody else makes meanwhile.
    let (folders, links, renamings) = (41, 29, 17);
    let session = ctx.tool("vfscount").json().start()?;
    let place = |name: &str, number: usize| ctx.dir.join(format!("{name}{number}"));
    (0..folders).try_for_each(|number| std::fs::create_dir(place("folder", number)))?;
    (0..links).try_for_each(|number| symlink("/", place("link", number)))?;
    (0..renamings)
        .try_for_each(|number| std::fs::rename(place("folder", number), place("moved", number)))?;
    (renamings..folders).try_for_each(|number| std::fs::remove_dir(place("folder", number)))?;
    let out = session.interrupt()?.success()?;
    for (function, calls) in [
        ("vfs_mkdir", folders),
        ("vfs_symlink", links),
        ("vfs_rename", renamings),
        ("vfs_rmdir", folders - renamings),
    ] {
        out.same(function, out.number_at("@", function)?, calls as i64)?;
    }
    Ok(())
}

pub fn biolatency(ctx: &Ctx) -> Result<()> {
    let reads = 50;
    let session = ctx.tool("biolatency").json().start()?;
    let took = read_disk(reads).context("reading the disk")?;
    let out = session.interrupt()?.success()?;
    let map = out.map("@usecs")?;
    let buckets = map.as_array().context("a histogram")?;
    let count = |bucket: &serde_json::Value| bucket["count"].as_u64().unwrap_or(0);
    out.same("requests", buckets.iter().map(count).sum(), reads)?;
    // All together waited no longer than it took to read one after the other.
    let least =
        buckets.iter().map(|one| one["min"].as_u64().unwrap_or(0) * count(one)).sum::<u64>();
    out.check(least <= took, format_args!("{least} us and more, when it took {took} us"))
}

/// Reads `count` blocks of the disk, one request each, and answers how long it took in us.
fn read_disk(count: u64) -> io::Result<u64> {
    const BLOCK: usize = 4096;
    let disk = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(format!("/dev/{DISK}"))?;
    // Without the page cache, the buffer has to be aligned as the disk wants it.
    let mut buffer = vec![0; 2 * BLOCK];
    let start = buffer.as_ptr().align_offset(BLOCK);
    let block = &mut buffer[start..start + BLOCK];
    let begin = Instant::now();
    for number in 0..count {
        disk.read_exact_at(block, number * 2 * BLOCK as u64)?;
    }
    Ok(begin.elapsed().as_micros() as u64)
}
