//! The ring buffer, read by aya.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};

use aya::maps::{Map, MapData, RingBuf};

use crate::error::Error;
use crate::maps::LoadedMap;

/// Reads the records of a ring buffer in the order in which they were sent.
pub(crate) struct Ring {
    buffer: RingBuf<MapData>,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ring")
    }
}

impl Ring {
    /// Reads a map, of which it must be the only reader.
    pub fn new(map: &LoadedMap) -> Result<Self, Error> {
        let doing = || format!("read ring buffer {}", map.plan.symbol);
        let aya_error = |e: aya::maps::MapError| Error::System {
            doing: doing(),
            source: std::io::Error::other(e.to_string()),
        };
        let fd = map.fd().try_clone_to_owned().map_err(Error::system(doing()))?;
        let data = MapData::from_fd(fd).map_err(aya_error)?;
        let buffer = RingBuf::try_from(Map::RingBuf(data)).map_err(aya_error)?;
        Ok(Self { buffer })
    }

    /// Hands over every record that is there, until `take` breaks.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8]) -> ControlFlow<()>) {
        while let Some(record) = self.buffer.next() {
            if take(&record).is_break() {
                return;
            }
        }
    }

    /// Readable when there are records.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.buffer.as_fd()
    }
}
