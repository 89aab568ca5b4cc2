//! The thread that owns what runs: it handles events as they come, and requests of the prompt in
//! between.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rbtrace_probes_ebpf::plan::{MapRole, Object};
use rbtrace_runtime::session::{AttachReport, Reason};
use rbtrace_runtime::sink::{Sink, TextSink};
use rbtrace_runtime::{Error, Options, Session, StopFlag, UnitId};

use super::printer::Printer;

/// Something for the thread to do.
type Request = Box<dyn FnOnce(&mut Running) + Send>;

/// A block that runs.
#[derive(Clone, Debug)]
pub struct Block {
    /// What `:detach` takes.
    pub number: u32,
    /// Its text; absent for an object.
    pub source: Option<String>,
    /// Full names of its probes.
    pub probes: Vec<String>,
    /// Names of the maps that it uses.
    pub maps: Vec<String>,
    unit: UnitId,
}

/// What runs.
pub struct Running {
    /// The kernel's side of it.
    pub session: Session,
    /// Where output goes.
    pub sink: Box<dyn Sink>,
    /// Blocks, by number.
    pub blocks: Vec<Block>,
    next: u32,
    printer: Printer,
}

/// What became of a block.
pub struct Started {
    /// Its number; absent if it has run and is done.
    pub number: Option<u32>,
    /// How attaching went.
    pub report: AttachReport,
    /// What went less well than it could.
    pub warnings: Vec<String>,
}

/// The thread, as the prompt sees it.
pub struct Engine {
    requests: Option<Sender<Request>>,
    wake: StopFlag,
    printer: Printer,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the thread.
    pub fn start(printer: Printer) -> Result<Self> {
        let wake = StopFlag::new().context("cannot make an event")?;
        let (requests, from) = channel();
        let (ready, started) = channel();
        let flag = wake.clone();
        let own = printer.clone();
        let thread = thread::Builder::new().name("events".into()).spawn(move || {
            // Made in here: a session need not be able to change threads.
            match Session::new(Options::default()) {
                Ok(session) => {
                    // The other end waits for it.
                    let _ = ready.send(Ok(()));
                    Running::new(session, printer).serve(&from, &flag);
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        })?;
        started.recv().context("the thread for events ended")??;
        Ok(Self { requests: Some(requests), wake, printer: own, thread: Some(thread) })
    }

    /// Has the thread do something, and waits for the result.
    pub fn call<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Running) -> T + Send + 'static,
    ) -> Result<T> {
        let (answer, result) = channel();
        let request: Request = Box::new(move |running| drop(answer.send(what(running))));
        let gone = || anyhow!("the thread for events has ended");
        self.requests.as_ref().ok_or_else(gone)?.send(request).map_err(|_| gone())?;
        self.printer.hurry(true);
        self.wake.stop();
        let result = result.recv().map_err(|_| gone());
        self.printer.hurry(false);
        result
    }

    /// Ends everything as at the end of a run.
    pub fn finish(&mut self) {
        drop(self.requests.take());
        self.printer.hurry(true);
        self.wake.stop();
        if let Some(thread) = self.thread.take() {
            // If it panicked, that was reported.
            let _ = thread.join();
        }
    }
}

impl Running {
    fn new(session: Session, printer: Printer) -> Self {
        let sink = Box::new(TextSink::with_errors(printer.paced(), printer.paced()));
        Self { session, sink, blocks: Vec::new(), next: 1, printer }
    }

    /// Until the prompt is gone.
    fn serve(mut self, from: &Receiver<Request>, wake: &StopFlag) {
        loop {
            wake.reset();
            loop {
                match from.try_recv() {
                    Ok(request) => request(&mut self),
                    Err(std::sync::mpsc::TryRecvError::Empty) => break,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return self.end(),
                }
            }
            let idle = match self.session.run(self.sink.as_mut(), wake) {
                Ok(status) if status.reason == Reason::Exit => {
                    self.exit();
                    true
                }
                Ok(status) => status.reason != Reason::Stopped,
                Err(error) => {
                    self.say(&format!("ERROR: {error}\n"));
                    thread::sleep(Duration::from_millis(100));
                    false
                }
            };
            if idle {
                match from.recv() {
                    Ok(request) => request(&mut self),
                    Err(_) => return self.end(),
                }
            }
        }
    }

    fn say(&mut self, text: &str) {
        use io::Write;
        // There is nowhere else to say it.
        let _ = self.printer.write_all(text.as_bytes());
    }

    /// A script called exit(): all blocks end, the prompt and the maps stay.
    fn exit(&mut self) {
        self.end_blocks();
        self.say("exit() has ended all blocks; :quit leaves\n");
    }

    fn end_blocks(&mut self) {
        if let Err(error) = self.session.finish(self.sink.as_mut()) {
            self.say(&format!("ERROR: {error}\n"));
        }
        let all = std::mem::take(&mut self.blocks);
        all.iter().for_each(|block| self.session.unload(block.unit));
    }

    fn end(mut self) {
        if !self.blocks.is_empty() {
            self.end_blocks();
        }
    }

    /// Loads and attaches an object. After an error nothing of it is left.
    pub fn start(&mut self, object: &Object, source: Option<String>) -> Result<Started, Error> {
        let unit = self.session.load(object)?;
        let warnings = self.session.warnings(unit).to_vec();
        let started = self.session.attach(unit).and_then(|report| {
            // What BEGIN and iterators print comes before anything else.
            let mut exited = self.session.poll(Some(Duration::ZERO), self.sink.as_mut())?;
            while !exited && self.session.iterates(unit) {
                exited = self.session.poll(None, self.sink.as_mut())?;
            }
            Ok((report, exited))
        });
        let (report, exited) = match started {
            Ok(done) => done,
            Err(error) => {
                self.session.unload(unit);
                return Err(error);
            }
        };
        let plan = &object.plan;
        let probes = plan.probes.iter().map(|probe| probe.name.clone()).collect();
        let maps = plan.maps.iter().filter(|map| map.role == MapRole::Script);
        let maps = maps.map(|map| map.name.clone()).collect();
        if !exited && lasts(object) {
            let number = self.next;
            self.next += 1;
            self.blocks.push(Block { number, source, probes, maps, unit });
            return Ok(Started { number: Some(number), report, warnings });
        }
        self.session.unload(unit);
        if exited {
            self.exit();
        }
        Ok(Started { number: None, report, warnings })
    }

    /// Ends the blocks that `which` chooses, their END included; how many that were.
    pub fn detach(&mut self, which: impl Fn(&Block) -> bool) -> Result<usize, Error> {
        let (gone, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.blocks).into_iter().partition(which);
        self.blocks = left;
        for block in &gone {
            self.session.end_unit(block.unit, self.sink.as_mut())?;
        }
        Ok(gone.len())
    }

    /// Whether a running block uses this map.
    pub fn uses(&self, map: &str) -> bool {
        self.blocks.iter().any(|block| block.maps.iter().any(|name| name == map))
    }
}

/// Whether an object has more than what runs at once.
fn lasts(object: &Object) -> bool {
    use rbtrace_probes_ebpf::kinds::ProbeKind;
    let at_once = |kind| matches!(kind, ProbeKind::Begin | ProbeKind::Iter);
    object.plan.programs.iter().any(|program| !at_once(program.kind))
}
