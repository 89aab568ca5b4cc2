//! From the bytes of the kernel to events.

mod map;
mod merge;
mod read;
mod record;
mod series;
mod typed;

use std::sync::{Arc, OnceLock};

use jiff::tz::TimeZone;
use rbtrace_probes_ebpf::format::FormatError;
use rbtrace_probes_ebpf::plan::{Action, Map, Plan};

use crate::event::Event;
use crate::format::Format;
use crate::request::Request;
use crate::resolve::{NoResolve, Resolve};
use crate::snapshot::MapSnapshot;

/// Why bytes from the kernel make no sense. All of them mean that the plan and the programs
/// disagree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the plan says.
    #[error("{have} bytes where {need} are expected")]
    Short {
        /// Bytes that the plan asks for.
        need: usize,
        /// Bytes that there are.
        have: usize,
    },
    /// A record of an action that the plan does not have.
    #[error("no action {0} in the plan")]
    UnknownAction(u32),
    /// A map that the plan does not have.
    #[error("no map {0} in the plan")]
    UnknownMap(u32),
    /// A probe that the plan does not have.
    #[error("no probe {0} in the plan")]
    UnknownProbe(u64),
    /// An integer of a size that none has, or a bitfield beyond its integer.
    #[error("no integer has {0} bytes")]
    BadInteger(u8),
    /// A histogram that splits powers of two too finely.
    #[error("no histogram has {0} bits")]
    BadHistogram(u8),
    /// Types nested too deeply.
    #[error("types nested more than {} deep", typed::MAX_DEPTH)]
    TooDeep,
    /// A format in the plan cannot be parsed.
    #[error("format in the plan: {0}")]
    Format(#[from] FormatError),
}

/// Turns records and maps into events.
pub struct Decoder {
    plan: Arc<Plan>,
    resolve: Box<dyn Resolve + Send>,
    /// Found when a time is first printed: finding it reads many files.
    zone: OnceLock<TimeZone>,
    /// Printed after text that was cut.
    trailer: Arc<str>,
    /// Parsed formats, one for each action; those of actions without a format are empty.
    formats: Vec<Result<Arc<Format>, FormatError>>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl Decoder {
    /// A decoder that looks nothing up: addresses and ids print as numbers.
    pub fn new(plan: Arc<Plan>) -> Self {
        Self::with_resolve(plan, Box::new(NoResolve))
    }

    /// A decoder that asks `resolve` for names.
    pub fn with_resolve(plan: Arc<Plan>, resolve: Box<dyn Resolve + Send>) -> Self {
        let formats = plan.actions.iter().map(|a| Format::parse(format_of(a)).map(Arc::new));
        let formats = formats.collect();
        let trailer = plan.config.str_trunc_trailer.as_str().into();
        Self { plan, resolve, zone: OnceLock::new(), trailer, formats }
    }

    /// Prints times in this zone instead of the local one.
    pub fn with_time_zone(mut self, zone: TimeZone) -> Self {
        self.zone = OnceLock::from(zone);
        self
    }

    fn zone(&self) -> &TimeZone {
        self.zone.get_or_init(TimeZone::system)
    }

    /// What a ring buffer record asks for.
    pub fn record(&self, bytes: &[u8]) -> Result<Request, DecodeError> {
        record::decode(self, bytes)
    }

    /// A map as `print` shows it: sorted, at most `top` entries, integers divided by `div`. A
    /// scalar map that was never written shows as 0.
    pub fn map(&self, snapshot: &MapSnapshot, top: u32, div: u32) -> Result<Event, DecodeError> {
        map::decode(self, snapshot, top, div).map(Event::Map)
    }

    /// A map as it prints at the end; absent if there is nothing to print.
    pub fn map_at_exit(&self, snapshot: &MapSnapshot) -> Result<Option<Event>, DecodeError> {
        Ok(map::decode_at_exit(self, snapshot)?.map(Event::Map))
    }

    /// One entry of a map as `print` shows it. `values` are the value's bytes, one or one for
    /// each CPU; none if the map has no such key, which shows as 0.
    pub fn entry(
        &self,
        map: u32,
        key: &[u8],
        values: &[Vec<u8>],
        div: u32,
    ) -> Result<Event, DecodeError> {
        map::entry(self, map, key, values, div)
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    fn map_of_plan(&self, index: u32) -> Result<&Map, DecodeError> {
        let map = usize::try_from(index).ok().and_then(|index| self.plan.maps.get(index));
        map.ok_or(DecodeError::UnknownMap(index))
    }
}

fn format_of(action: &Action) -> &str {
    match action {
        Action::Printf { format, .. }
        | Action::Errorf { format, .. }
        | Action::Cat { format, .. }
        | Action::System { format, .. } => format,
        _ => "",
    }
}

#[cfg(test)]
mod tests;
