//! Packets that programs hand over, on their way to files.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::capture::{LinkType, Packet, Writer};
use crate::error::Error;
use crate::features;
use crate::maps::LoadedMap;
use crate::sys::perf;
use crate::sys::perf_ring::{HEADER, PerfRing};

/// Pages of each CPU's buffer, where the script does not say.
const PAGES: usize = 64;
/// `PERF_RECORD_SAMPLE`
const SAMPLE: u32 = 9;

/// The perf buffers of all CPUs.
#[derive(Debug)]
pub(crate) struct PacketRings(Vec<PerfRing>);

impl PacketRings {
    /// Buffers of so many pages, 0 for the usual number, behind a map.
    pub fn new(map: &LoadedMap, pages: u32) -> Result<Self, Error> {
        let doing = || format!("open the buffer of {}", map.plan.symbol);
        let pages = match pages {
            0 => PAGES,
            pages => (pages as usize).next_power_of_two(),
        };
        let mut rings = Vec::new();
        for cpu in features::online_cpus() {
            let event = perf::open_output(cpu).map_err(Error::system(doing()))?;
            let ring = PerfRing::new(event, pages).map_err(Error::system(doing()))?;
            let number = ring.fd().as_raw_fd().to_ne_bytes();
            map.set(&cpu.to_ne_bytes(), &number).map_err(Error::system(doing()))?;
            perf::enable(ring.fd()).map_err(Error::system(doing()))?;
            rings.push(ring);
        }
        Ok(Self(rings))
    }

    /// Each readable when it holds packets.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(PerfRing::fd)
    }

    /// Hands over every record that is there, until `take` breaks.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8]) -> ControlFlow<()>) {
        for ring in &mut self.0 {
            ring.drain(|record| match sample(record) {
                Some(bytes) => take(bytes),
                None => ControlFlow::Continue(()),
            });
        }
    }
}

/// The bytes of a sample: its header, a `u32` with their number, then they.
fn sample(record: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| record.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    if word(0)? != SAMPLE {
        return None;
    }
    record.get(HEADER + 4..)?.get(..word(HEADER)? as usize)
}

/// Files that packets are written to. Each is made when its first packet comes.
#[derive(Debug, Default)]
pub(crate) struct PacketFiles(HashMap<String, Option<Writer>>);

impl PacketFiles {
    /// Writes a packet. After a failure nothing more is written to the file.
    pub fn write(&mut self, file: &str, packet: &Packet) -> io::Result<()> {
        let known = match self.0.get_mut(file) {
            Some(known) => known,
            None => {
                let made = Writer::create(file.as_ref(), LinkType::RAW_IP);
                let (writer, failed) = match made {
                    Ok(writer) => (Some(writer), None),
                    Err(e) => (None, Some(e)),
                };
                let known = self.0.entry(file.to_owned()).or_insert(writer);
                if let Some(failed) = failed {
                    return Err(failed);
                }
                known
            }
        };
        let Some(open) = known else { return Ok(()) };
        let written = open.write(packet).and_then(|()| open.flush());
        if written.is_err() {
            *known = None;
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_what_its_length_says() {
        let mut record = vec![9, 0, 0, 0, 0, 0, 24, 0, 5, 0, 0, 0];
        record.extend(b"hello..");
        assert_eq!(sample(&record), Some(&b"hello"[..]));
        assert_eq!(sample(&record[..14]), None);
        record[0] = 2;
        assert_eq!(sample(&record), None);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_said_once() {
        let folder = std::env::temp_dir().join(format!("rbtrace-packets-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("a.pcap").display().to_string();
        let missing = folder.join("no/such").display().to_string();
        let mut files = PacketFiles::default();
        let packet = Packet { time: 1_500_000_000, length: 4, bytes: vec![0x45, 0, 0, 3] };
        for _ in 0..2 {
            files.write(&path, &packet).expect("a file");
        }
        let written = std::fs::read(&path).expect("a file");
        assert!(files.write(&missing, &packet).is_err());
        assert!(files.write(&missing, &packet).is_ok());
        std::fs::remove_dir_all(&folder).expect("the folder");
        assert_eq!(written.len(), 24 + 2 * (16 + 4));
    }
}
