//! Iterators of an object: they run as they are read.

use super::{Group, Unit};
use crate::attach::iter::Step;
use crate::error::Error;
use crate::event::Event;
use crate::session::output;
use crate::sink::Sink;

impl Unit {
    /// Whether an iterator has not come to its end. Until then `exit` waits.
    pub fn iterates(&self) -> bool {
        self.attached.iter().any(Group::iterates)
    }

    /// Has the first iterator that is not at its end go over some objects, or leaves it to others, and
    /// handles what it tells. When the last has come to its end, `exit` is set if that was asked for.
    pub fn iterate(&mut self, sink: &mut dyn Sink, exit: &mut Option<i32>) -> Result<(), Error> {
        let Some(at) = self.attached.iter().position(Group::iterates) else { return Ok(()) };
        // What was sent before comes first.
        self.drain_all(sink, exit)?;
        let step = self.attached.get(at).map_or(Ok(Step::Done), Group::step);
        self.drain_all(sink, exit)?;
        if let Ok(Step::More) = step {
            return Ok(());
        }
        let group = self.attached.remove(at);
        if !self.iterates() {
            *exit = exit.or(self.waiting_exit.take());
        }
        match step {
            Ok(Step::Pinned(path)) => {
                output(sink.event(&Event::Pinned { path: path.display().to_string() }))
            }
            Ok(_) => Ok(()),
            Err(source) => {
                let name = group.probes.first().and_then(|probe| self.probe_name(*probe));
                let probe = name.unwrap_or_default().to_owned();
                Err(Error::Attach { probe, source: Box::new(source) })
            }
        }
    }
}

impl Group {
    fn iterates(&self) -> bool {
        self.attachment.iterator.is_some()
    }

    fn step(&self) -> Result<Step, Error> {
        match &self.attachment.iterator {
            Some(run) => run.step(&self.attachment.links),
            None => Ok(Step::Done),
        }
    }
}
