//! The small programs that live tests trace, in tests/live/programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::packages;
use crate::{process, workspace};

/// Frame pointers in every function, and a build id.
const FRAMED: &[&str] =
    &["-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer", "-Wl,--build-id"];

/// What programs of C and C++ are compiled with beyond `-g -O1`.
const FLAGS: &[(&str, &[&str])] = &[
    ("frames", FRAMED),
    ("frames_cpp", FRAMED),
    ("jit", FRAMED),
    (
        "brief",
        &[
            "-fno-omit-frame-pointer",
            "-mno-omit-leaf-frame-pointer",
            "-fno-stack-protector",
            "-static",
            "-nostdlib",
            "-no-pie",
        ],
    ),
];

/// The program that there are copies of without debug information, which is in a file of its own.
const SEPARATED: &str = "frames";

/// Compiles all of them, each by the name of its source: `NAME.so.c` to a library. The folder that they
/// are in.
pub fn build() -> Result<PathBuf> {
    let folder = workspace::target().join("live-programs");
    std::fs::create_dir_all(&folder)?;
    for entry in std::fs::read_dir(workspace::root().join("tests/live/programs"))? {
        let source = entry?.path();
        let extension = source.extension().and_then(|extension| extension.to_str());
        let Some(name) = source.file_stem().and_then(|name| name.to_str()) else { continue };
        let command = match extension {
            Some("c") => native("CC", "cc", name),
            Some("cc") => native("CXX", "c++", name),
            Some("rs") => rust(),
            Some("go") => go()?,
            _ => continue,
        };
        let mut command = command;
        process::run(command.arg("-o").arg(folder.join(name)).arg(&source))
            .with_context(|| format!("compiling {}", source.display()))?;
    }
    separate(&folder)?;
    Ok(folder)
}

/// The compiler that a variable names, or else this one.
fn native(variable: &str, compiler: &str, name: &str) -> Command {
    let mut command = Command::new(std::env::var_os(variable).unwrap_or_else(|| compiler.into()));
    command.args(["-g", "-O1"]);
    if Path::new(name).extension().is_some_and(|extension| extension == "so") {
        command.args(["-shared", "-fPIC"]);
    }
    let flags = FLAGS.iter().find(|(program, _)| *program == name);
    command.args(flags.map_or(&[][..], |(_, flags)| flags));
    command
}

fn rust() -> Command {
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.args(["--edition", "2024", "-g", "-O", "-C", "force-frame-pointers=yes"]);
    command
}

fn go() -> Result<Command> {
    let root = packages::go_root();
    let mut command = Command::new(root.join("bin/go"));
    command.arg("build").env("GOROOT", &root).env("GOCACHE", workspace::vm_folder("go-cache")?);
    command.env("GO111MODULE", "off").env("GOFLAGS", "").env("CGO_ENABLED", "0");
    Ok(command)
}

/// Puts the debug information of a program into a file of its own, `NAME.debug`: `NAME_by_id` has the build
/// id to find it by, `NAME_by_link` its name, too.
fn separate(folder: &Path) -> Result<()> {
    let path = |suffix: &str| folder.join(format!("{SEPARATED}{suffix}"));
    let (program, debug) = (path(""), path(".debug"));
    process::run(Command::new("objcopy").arg("--only-keep-debug").arg(&program).arg(&debug))?;
    process::run(Command::new("strip").arg("-o").arg(path("_by_id")).arg(&program))?;
    let mut link = std::ffi::OsString::from("--add-gnu-debuglink=");
    link.push(&debug);
    process::run(Command::new("objcopy").arg(link).arg(path("_by_id")).arg(path("_by_link")))
}
