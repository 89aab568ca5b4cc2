//! Where things are, and building them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{process, programs};

/// The workspace's top folder.
pub fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// Where builds go.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A folder under `target/vm/`, made if need be: everything that virtual machines need lies there.
pub fn vm_folder(name: &str) -> Result<PathBuf> {
    let folder = target().join("vm").join(name);
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

/// cargo, in the workspace.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // What cargo has set for this program is not meant for the builds that it starts.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    command
}

/// What live tests are made of.
pub struct Programs {
    /// The program under test.
    pub rbtrace: PathBuf,
    /// The tests themselves.
    pub tests: PathBuf,
    /// A folder of small programs that are traced.
    pub small: PathBuf,
    /// A folder of generated scripts, compiled; empty until they are prepared.
    pub prepared: PathBuf,
}

/// Which rbtrace live tests and virtual machines get.
#[derive(clap::Args)]
pub struct Choice {
    /// Take rbtrace as it is released, rather than built with debug assertions
    #[arg(long)]
    release: bool,
    /// Take this rbtrace, a static binary, rather than building one
    #[arg(long, value_name = "PATH", conflicts_with = "release")]
    rbtrace: Option<PathBuf>,
}

/// Builds the programs of the live tests.
pub fn build_programs(choice: &Choice) -> Result<Programs> {
    let rbtrace = match &choice.rbtrace {
        Some(path) => path.canonicalize().with_context(|| path.display().to_string())?,
        None => build("rbtrace", choice.release)?,
    };
    let tests = build("rbtrace-live-tests", false)?;
    let prepared = target().join("prepared");
    if prepared.exists() {
        std::fs::remove_dir_all(&prepared)?;
    }
    std::fs::create_dir_all(&prepared)?;
    Ok(Programs { rbtrace, tests, small: programs::build()?, prepared })
}

/// Compiles the generated scripts for guests, where compiling takes too long.
pub fn prepare_generated(programs: &Programs) -> Result<()> {
    process::run(Command::new(&programs.tests).arg("prepare").arg(&programs.prepared))
}

/// Builds the program of `package` and gives its path.
fn build(package: &str, release: bool) -> Result<PathBuf> {
    let mut command = cargo();
    command.args([
        "build",
        "--message-format=json-render-diagnostics",
        "-p",
        package,
        "--bin",
        package,
    ]);
    if release {
        command.arg("--release");
    }
    let output = command.stderr(Stdio::inherit()).output().context("running cargo build")?;
    if !output.status.success() {
        bail!("{package} does not build");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut executables = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let name = message.get("target")?.get("name")?.as_str()? == package;
        name.then(|| message.get("executable")?.as_str().map(PathBuf::from))?
    });
    executables.next_back().with_context(|| format!("cargo built no program for {package}"))
}
