//! What rbtrace is pointed at: `rbtrace-live-tests workload NAME ARGUMENTS`.

use std::ffi::CString;
use std::hint::black_box;
use std::io::Read;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{net, sys, targets};

/// Runs the workload that `arguments` name.
pub fn run(arguments: &[String]) -> Result<()> {
    sys::set_comm(c"rbt-workload");
    let mut arguments = arguments;
    if arguments.first().is_some_and(|name| name == "wait") {
        std::io::stdin().read_to_end(&mut Vec::new())?;
        arguments = &arguments[1..];
    }
    let Some((name, rest)) = arguments.split_first() else { bail!("no workload named") };
    let number = |at: usize| -> Result<u64> {
        Ok(rest
            .get(at)
            .with_context(|| format!("{name}: argument {} is missing", at + 1))?
            .parse()?)
    };
    match name.as_str() {
        "nothing" => {}
        "exit" => std::process::exit(number(0)? as i32),
        "open" => open(rest),
        "hold" => hold(rest.first().context("a name")?, number(1)? as usize, &rest[2..])?,
        "values" => values(rest.first().context("a file of values")?)?,
        "strings" => strings(rest)?,
        "args" => {
            targets::live_args(
                number(0)?,
                number(1)?,
                number(2)?,
                number(3)?,
                number(4)?,
                number(5)?,
            );
        }
        "calls" => (0..number(0)?).for_each(|call| call_value(call as i64)),
        "threads" => threads(number(0)?, number(1)?),
        "spin" => spin(number(0)?),
        "sleep" => sleep(number(0)?, number(1)?),
        "myfunc" => (0..number(0)?).for_each(|_| targets::myfunc()),
        "wild" => wild(number(0)?, number(1)?, number(2)?),
        "offsets" => (0..number(0)?).for_each(|_| targets::live_offsets()),
        "syscalls" => (0..number(0)?).for_each(|_| sys::getpgid()),
        "faults" => faults(number(0)? as usize)?,
        "watched" => watched(number(0)?)?,
        "datagrams" => datagrams(number(0)? as usize)?,
        "exchange" => exchange(number(0)? as u8)?,
        "ids" => ids()?,
        other => bail!("no workload {other}"),
    }
    Ok(())
}

fn call_value(value: i64) {
    targets::live_value(value);
}

/// Opens files for reading, and tells standard error what came of it; that some cannot be is part of
/// tests.
fn open(files: &[String]) {
    for file in files {
        match std::fs::File::open(file) {
            Ok(_) => eprintln!("opened {file}"),
            Err(error) => eprintln!("error {} {file}", error.raw_os_error().unwrap_or_default()),
        }
    }
}

/// What the workload `hold` says when it stays as it is.
pub const HOLDING: &str = "holding";

/// Stays as it is, under this name, with files open and threads that wait, until standard input ends. A
/// line on standard output says when it has come to that.
fn hold(name: &str, threads: usize, files: &[String]) -> Result<()> {
    sys::set_comm(&CString::new(name)?);
    let files: Vec<_> = files.iter().map(std::fs::File::open).collect::<Result<_, _>>()?;
    let ready = Arc::new(Barrier::new(threads + 1));
    let release = Arc::new(Barrier::new(threads + 1));
    let workers: Vec<_> = (0..threads)
        .map(|index| {
            let (ready, release) = (ready.clone(), release.clone());
            std::thread::spawn(move || {
                let name = CString::new(format!("rbt-thread-{index}")).unwrap_or_default();
                sys::set_comm(&name);
                ready.wait();
                release.wait();
            })
        })
        .collect();
    ready.wait();
    println!("{HOLDING}");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    release.wait();
    for worker in workers {
        // A panic in a worker has been printed by it.
        let _ = worker.join();
    }
    drop(files);
    Ok(())
}

fn values(file: &str) -> Result<()> {
    for line in std::fs::read_to_string(file)?.lines() {
        targets::live_value(line.parse()?);
    }
    Ok(())
}

fn strings(texts: &[String]) -> Result<()> {
    for text in texts {
        let text = CString::new(text.as_str())?;
        targets::live_string(text.as_ptr());
    }
    Ok(())
}

/// Bytes of a page, or of several.
const PAGE: usize = 4096;

/// Touches so many pages for the first time, and tells standard error how many page faults it had.
fn faults(pages: usize) -> Result<()> {
    let mut memory = vec![0_u8; pages * PAGE];
    for page in memory.chunks_mut(PAGE) {
        page[0] = black_box(1);
    }
    black_box(&memory);
    eprintln!("faults {}", sys::minor_faults()?);
    Ok(())
}

/// Says where it will write, and once standard input has ended writes 1 to `count` there.
fn watched(count: u64) -> Result<()> {
    static PLACE: AtomicU64 = AtomicU64::new(0);
    println!("{:p}", &raw const PLACE);
    std::io::stdin().read_to_end(&mut Vec::new())?;
    (1..=count).for_each(|number| PLACE.store(number, Ordering::SeqCst));
    Ok(())
}

/// Sends datagrams to this machine: the `n`th consists of 100 + `n` bytes, all of them `n`.
fn datagrams(count: usize) -> Result<()> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    let to = socket.local_addr()?;
    for n in 0..count {
        socket.send_to(&vec![n as u8; 100 + n], to)?;
    }
    Ok(())
}

/// Sends datagrams to this machine, which hold 1 to `count`, and tells standard error which have arrived.
fn exchange(count: u8) -> Result<()> {
    let [from, to] = [(); 2].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)));
    let (from, to) = (from?, to?);
    to.set_read_timeout(Some(Duration::from_secs(10)))?;
    let arrived = net::exchange(&from, &to, Ipv4Addr::LOCALHOST, 1..=count)?;
    eprintln!("arrived {arrived:?}");
    Ok(())
}

/// Calls `live_value(1)` `calls` times in each of `count` threads.
fn threads(count: u64, calls: u64) {
    on_threads(count as usize, move || (0..calls).for_each(|_| call_value(1)));
}

/// Does `work` in each of `count` threads, spread over the CPUs.
fn on_threads(count: usize, work: impl Fn() + Clone + Send + 'static) {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let start = |index: usize| {
        let work = work.clone();
        std::thread::spawn(move || {
            // Where it may not be pinned, the scheduler spreads it.
            let _ = sys::pin_to_cpu(index % cpus);
            work();
        })
    };
    let workers: Vec<_> = (0..count).map(start).collect();
    for worker in workers {
        // A panic in a worker has been printed by it.
        let _ = worker.join();
    }
}

/// Keeps every CPU busy for a number of milliseconds.
fn spin(milliseconds: u64) {
    let end = sys::monotonic_nanos() + milliseconds * 1_000_000;
    on_threads(std::thread::available_parallelism().map_or(1, usize::from), move || {
        while sys::monotonic_nanos() < end {
            std::hint::spin_loop();
        }
    });
}

/// Calls `live_sleep` `count` times and tells standard error what each call took by this program's own clock.
fn sleep(count: u64, milliseconds: u64) {
    for _ in 0..count {
        let start = sys::monotonic_nanos();
        targets::live_sleep(milliseconds);
        eprintln!("took {}", sys::monotonic_nanos() - start);
    }
}

fn wild(one: u64, two: u64, three: u64) {
    (0..one).for_each(|_| targets::live_wild_one());
    (0..two).for_each(|_| targets::live_wild_two());
    (0..three).for_each(|_| targets::live_wild_three());
}

/// Tells standard error who this is, then calls `live_value` once, for a script to print the same.
fn ids() -> Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| -> Option<&str> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)
    };
    let pid = std::process::id();
    let (uid, gid) = (field("Uid:").context("Uid")?, field("Gid:").context("Gid")?);
    eprintln!("own {pid} {pid} {uid} {gid}");
    targets::live_value(0);
    Ok(())
}
