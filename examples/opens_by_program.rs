//! Embedding rbtrace: counts the files that programs open, and takes the map as data.
//!
//! As root: `cargo run --example opens_by_program`. It runs for a second.

use std::io;

use anyhow::{Result, anyhow};
use rbtrace::catalog::Machine;
use rbtrace::compile::{Setting, compile, unobserved};
use rbtrace_lang::expand::Params;
use rbtrace_lang::resolve::Options;
use rbtrace_lang::span::Sources;
use rbtrace_runtime::event::Event;
use rbtrace_runtime::features::target_profile;
use rbtrace_runtime::sink::Sink;
use rbtrace_runtime::{Session, StopFlag};

const SCRIPT: &str = "
    tracepoint:syscalls:sys_enter_openat { @opens[comm] = count(); }
    interval:s:1 { exit(); }
";

/// Takes events as they come; a real program would hand them on.
struct Show;

impl Sink for Show {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        if let Event::Map(map) = event {
            println!("{map:#?}");
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> Result<()> {
    let mut sources = Sources::default();
    let file = sources.add("opens", SCRIPT);
    let setting = Setting {
        machine: &Machine::default(),
        profile: &target_profile(),
        options: &Options::default(),
        params: &Params::default(),
        known_maps: &[],
    };
    let compiled = compile(&mut sources, file, &setting, &mut unobserved)
        .map_err(|failure| anyhow!("the script does not compile: {failure:?}"))?;

    let stop = StopFlag::on_signals()?;
    let mut session = Session::new(Default::default())?;
    let unit = session.load(&compiled.object)?;
    session.attach(unit)?;
    session.run(&mut Show, &stop)?;
    session.finish(&mut Show)?;
    Ok(())
}
