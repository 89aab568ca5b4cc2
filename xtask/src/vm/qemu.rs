//! Boots a guest and waits for its end.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::tail;
use crate::setup::kernel::Kernel;
use crate::workspace;

/// Megabytes of memory: the initramfs is in it twice for a moment.
const MEMORY: u32 = 2048;
const CPUS: u32 = 2;

/// Where the standard streams of the guest's command are.
pub enum Streams {
    /// Those of this process.
    Inherited,
    /// A file that standard output and standard error go to.
    File(PathBuf),
}

/// A running guest. Killed when dropped.
pub struct Guest {
    child: Child,
    kernel: Kernel,
    console: PathBuf,
    status: PathBuf,
    deadline: Option<(Instant, Duration)>,
}

/// Boots `kernel` with `initramfs`.
///
/// Without KVM, which guests do not start under everywhere, and with QEMU's default CPU model:
/// `-cpu max` makes kernels use instructions that TCG is slow at or gets wrong.
pub fn boot(
    kernel: Kernel,
    initramfs: &Path,
    streams: &Streams,
    limit: Option<Duration>,
) -> Result<Guest> {
    let logs = workspace::vm_folder("logs")?;
    let console = logs.join(format!("{kernel}-console.log"));
    let status = logs.join(format!("{kernel}-status"));
    for file in [&console, &status] {
        File::create(file).with_context(|| file.display().to_string())?;
    }
    let mut command = Command::new("qemu-system-x86_64");
    command.args([
        "-accel",
        "tcg,thread=multi",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
    ]);
    command.args(["-smp", &CPUS.to_string(), "-m", &MEMORY.to_string()]);
    command.arg("-kernel").arg(kernel.image()).arg("-initrd").arg(initramfs);
    command.args(["-append", "console=ttyS0 quiet panic=-1 oops=panic mitigations=off"]);
    command.arg("-serial").arg(format!("file:{}", console.display()));
    match streams {
        Streams::Inherited => command.args(["-serial", "stdio"]),
        Streams::File(path) => {
            File::create(path).with_context(|| path.display().to_string())?;
            command.arg("-serial").arg(format!("file:{}", path.display())).stdin(Stdio::null())
        }
    };
    command.arg("-serial").arg(format!("file:{}", status.display()));
    let child = command.spawn().context("starting qemu-system-x86_64")?;
    let deadline = limit.map(|limit| (Instant::now() + limit, limit));
    Ok(Guest { child, kernel, console, status, deadline })
}

impl Guest {
    /// Whether it has ended: the exit status of its command. Fails where it crashed or is late.
    pub fn poll(&mut self) -> Result<Option<u8>> {
        if let Some(qemu) = self.child.try_wait()? {
            let text = std::fs::read_to_string(&self.status)?;
            let code =
                text.trim().strip_prefix("exit status ").and_then(|number| number.parse().ok());
            return code.map(Some).with_context(|| {
                format!("the guest ended without a word, QEMU with {qemu}; {}", self.last_words())
            });
        }
        if let Some((deadline, limit)) = self.deadline
            && Instant::now() > deadline
        {
            bail!("the guest was not done within {limit:?}; {}", self.last_words());
        }
        Ok(None)
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> Result<u8> {
        loop {
            if let Some(code) = self.poll()? {
                return Ok(code);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn last_words(&self) -> String {
        let console = self.console.display();
        format!(
            "the end of the console of Linux {} ({console}):\n{}",
            self.kernel,
            tail(&self.console, 25)
        )
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Both fail only where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Gives the whole lines that were added to a growing file since the last time.
pub struct Follower {
    file: File,
    rest: Vec<u8>,
}

impl Follower {
    /// Follows `path` from its beginning.
    pub fn new(path: &Path) -> Result<Self> {
        let mut file = File::open(path).with_context(|| path.display().to_string())?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Follower { file, rest: Vec::new() })
    }

    /// The lines that are new.
    pub fn lines(&mut self) -> Result<Vec<String>> {
        self.file.read_to_end(&mut self.rest)?;
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(Vec::new());
        };
        let whole: Vec<u8> = self.rest.drain(..=end).collect();
        Ok(String::from_utf8_lossy(&whole).lines().map(|line| line.trim_end().to_owned()).collect())
    }
}
