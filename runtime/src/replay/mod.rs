//! Blocks for packets, run over a capture by `BPF_PROG_TEST_RUN`: nothing is attached.

mod hooks;

use std::borrow::Cow;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::attach::run;
use crate::capture::{Packet, Reader, Writer};
use crate::error::Error;
use crate::event::{Event, Outcome, PacketEvent};
use crate::features::Need;
use crate::session::output;
use crate::signals::StopFlag;
use crate::sink::Sink;
use crate::unit::Unit;
use hooks::{Block, Hook};

pub use hooks::{hooks, keep_replayed};

/// Bytes of an Ethernet header, without which the kernel takes no packet.
const HEADER: usize = 14;
/// Least width of the column of names in a table of times.
const NAME_WIDTH: usize = 40;

/// What is run over, and how.
#[derive(Debug)]
pub struct Replay {
    /// The packets.
    pub capture: Reader,
    /// Path of their file, for messages.
    pub path: String,
    /// How often each block runs on each packet; more than once, the times are told.
    pub repeat: u32,
    /// Where packets go that no block drops, as the blocks have left them.
    pub passed: Option<Writer>,
}

/// How far a replay has come.
#[derive(Default)]
struct Course {
    /// Packets that were read.
    packets: u64,
    /// Packets that were skipped at a hook or more.
    skipped: u64,
    told_cut: bool,
    told_long: bool,
}

impl Unit {
    /// Runs the blocks for packets over those of a capture: to its end, until one calls `exit`, or until
    /// the flag is set. What comes before an error has run.
    pub(crate) fn replay(
        &mut self,
        replay: &mut Replay,
        sink: &mut dyn Sink,
        exit: &mut Option<i32>,
        stop: &StopFlag,
    ) -> Result<(), Error> {
        let mut hooks = hooks::of(self.plan());
        for hook in &mut hooks {
            self.chain(hook)?;
        }
        let mut course = Course::default();
        let mut ended = Ok(());
        while exit.is_none() && !stop.is_set() {
            match replay.capture.next_packet() {
                Ok(Some(packet)) => {
                    course.packets += 1;
                    course.tell(&packet, &hooks, sink)?;
                    self.packet(&packet, &mut hooks, &mut course, replay, sink, exit)?;
                }
                Ok(None) => break,
                Err(source) => {
                    ended = Err(Error::Capture { path: replay.path.clone(), source });
                    break;
                }
            }
            self.report_losses(sink, false)?;
            output(sink.flush())?;
        }
        course.sum_up(ended.is_ok(), sink)?;
        if replay.repeat > 1 {
            times(&hooks, sink)?;
        }
        if let Some(writer) = &mut replay.passed {
            writer.flush().map_err(Error::system("write packets"))?;
        }
        ended
    }

    /// Has the blocks of a hook call each other as they do where they are attached.
    fn chain(&mut self, hook: &mut Hook) -> Result<(), Error> {
        if hook.blocks.iter().all(Block::calls_next) && hook.blocks.len() > 1 {
            let programs: Vec<usize> = hook.blocks.iter().map(|block| block.program).collect();
            let first = self.first_of_chain(&programs)?.try_clone_to_owned();
            hook.chain = Some(first.map_err(Error::system("duplicate a descriptor"))?);
        }
        Ok(())
    }

    /// Runs the blocks of all hooks on a packet; none after one that calls `exit`.
    fn packet(
        &mut self,
        packet: &Packet,
        hooks: &mut [Hook],
        course: &mut Course,
        replay: &mut Replay,
        sink: &mut dyn Sink,
        exit: &mut Option<i32>,
    ) -> Result<(), Error> {
        let among_others = hooks.len() > 1;
        let mut skipped = false;
        for hook in hooks {
            let (outcome, left) = self.through(packet, hook, replay.repeat, sink, exit)?;
            skipped |= matches!(outcome, Outcome::Skipped(_));
            let (number, hook) = (course.packets, hook.name.clone());
            let event = PacketEvent { number, hook, among_others, outcome };
            output(sink.event(&Event::Packet(event)))?;
            if let (Some(left), Some(writer)) = (left, &mut replay.passed) {
                writer.write(&left).map_err(Error::system("write packets"))?;
            }
            if exit.is_some() {
                break;
            }
        }
        course.skipped += u64::from(skipped);
        Ok(())
    }

    /// Runs the blocks of a hook on a packet until one decides or calls `exit`. Also returns the packet as
    /// they have left it, unless it is dropped.
    fn through(
        &mut self,
        packet: &Packet,
        hook: &mut Hook,
        times: u32,
        sink: &mut dyn Sink,
        exit: &mut Option<i32>,
    ) -> Result<(Outcome, Option<Packet>), Error> {
        let length = packet.bytes.len();
        if length < HEADER {
            let why = format!("its {length} bytes are less than an Ethernet header");
            return Ok((Outcome::Skipped(why), None));
        }
        let (mut now, mut after) = (packet.bytes.clone(), Vec::new());
        let mut last = None;
        for block in &mut hook.blocks {
            let program = match &hook.chain {
                Some(first) => first.as_fd(),
                None => self.program(block.program)?.fd.as_fd(),
            };
            let handed = hand_over(block, &now);
            let ran = match run::on_packet(program, &handed, &mut after, times) {
                Ok(ran) => ran,
                Err(e) if is_about_packet(&e) => {
                    let why =
                        format!("the kernel's test run does not take its {length} bytes: {e}");
                    return Ok((Outcome::Skipped(why), None));
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                    return Ok((Outcome::Skipped("a signal came".into()), None));
                }
                Err(e) => {
                    return Err(Error::privileged("run a block on a packet", Need::Network, e));
                }
            };
            block.runs += u64::from(times);
            block.nanoseconds += u64::from(ran.nanoseconds) * u64::from(times);
            restore(block, &now, &mut after);
            std::mem::swap(&mut now, &mut after);
            let result = i64::from(ran.result.cast_signed());
            last = Some((block.verdict(result), block.treatment.dropping.contains(&result)));
            self.drain_all(sink, exit)?;
            if exit.is_some() || hook.chain.is_some() || !block.passes_on(result) {
                break;
            }
        }
        let (verdict, drops) =
            last.ok_or_else(|| Error::Malformed("a hook without a block".into()))?;
        let rewritten = now != packet.bytes;
        // What was cut off a packet that nobody changed is still missing.
        let length = if rewritten { now.len() as u32 } else { packet.length };
        let left = (!drops).then_some(Packet { time: packet.time, length, bytes: now });
        Ok((Outcome::Decided { verdict, rewritten }, left))
    }
}

/// What the test run gets for a packet.
fn hand_over<'p>(block: &Block, packet: &'p [u8]) -> Cow<'p, [u8]> {
    // The kernel takes the packet's protocol from there.
    match packet.get(..block.treatment.prepended) {
        Some([]) | None => Cow::Borrowed(packet),
        Some(header) => Cow::Owned([header, packet].concat()),
    }
}

/// Takes away what was handed over besides the packet, and puts back what the kernel has not returned.
fn restore(block: &Block, before: &[u8], after: &mut Vec<u8>) {
    after.drain(..block.treatment.prepended.min(after.len()));
    let hidden = block.treatment.hidden;
    if let (Some(before), Some(after)) = (before.get(..hidden), after.get_mut(..hidden)) {
        after.copy_from_slice(before);
    }
}

/// Whether an error of the test run says that it does not take the packet. It has no more pages for one
/// than a packet in the kernel has.
fn is_about_packet(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOMEM | libc::E2BIG))
}

impl Course {
    /// Says, of the first packet of which blocks cannot see all, that they cannot.
    fn tell(&mut self, packet: &Packet, hooks: &[Hook], sink: &mut dyn Sink) -> Result<(), Error> {
        let (number, has) = (self.packets, packet.bytes.len());
        if packet.length as usize > has && !self.told_cut {
            self.told_cut = true;
            let message = format!(
                "packet {number} was cut when it was captured: of its {} bytes there are {has}; blocks \
                 run on what there is",
                packet.length
            );
            warn(message, sink)?;
        }
        let limits = hooks.iter().flat_map(|hook| &hook.blocks).filter_map(|b| b.treatment.seen);
        let Some(seen) = limits.map(|limit| limit()).min() else { return Ok(()) };
        if has > seen && !self.told_long {
            self.told_long = true;
            let message = format!(
                "of the {has} bytes of packet {number} blocks see the first {seen}: the kernel's test run \
                 puts the rest of a long packet elsewhere"
            );
            warn(message, sink)?;
        }
        Ok(())
    }

    /// Says what was not run.
    fn sum_up(&self, whole: bool, sink: &mut dyn Sink) -> Result<(), Error> {
        if self.skipped > 0 {
            let were = if self.skipped == 1 { "was" } else { "were" };
            warn(format!("{} of {} packets {were} skipped", self.skipped, self.packets), sink)?;
        }
        if self.packets == 0 && whole {
            warn("the capture holds no packet".into(), sink)?;
        }
        Ok(())
    }
}

fn warn(message: String, sink: &mut dyn Sink) -> Result<(), Error> {
    output(sink.event(&Event::Warning { message, location: None }))
}

/// Tells how long the blocks took.
fn times(hooks: &[Hook], sink: &mut dyn Sink) -> Result<(), Error> {
    let mut rows = Vec::new();
    for hook in hooks {
        // Blocks that call each other run as one.
        let measured = if hook.chain.is_some() { 1 } else { hook.blocks.len() };
        for block in hook.blocks.iter().take(measured) {
            let name = match measured {
                1 => hook.name.to_string(),
                _ => format!("{}, line {}", hook.name, block.line),
            };
            let average =
                Duration::from_nanos(block.nanoseconds.checked_div(block.runs).unwrap_or(0));
            rows.push((name, average, block.runs));
        }
    }
    let longest = rows.iter().map(|(name, ..)| name.chars().count()).max();
    let width = longest.unwrap_or(0).max(NAME_WIDTH);
    output(sink.event(&Event::Benches { width }))?;
    rows.into_iter().try_for_each(|(name, average, iterations)| {
        output(sink.event(&Event::BenchResult { name, average, iterations, width }))
    })
}
