//! Packets that programs hand over, on their way to files in the format of pcap-savefile(5).

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::error::Error;
use crate::features;
use crate::maps::LoadedMap;
use crate::request::Packet;
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
pub(crate) struct PacketFiles(HashMap<String, Option<BufWriter<File>>>);

impl PacketFiles {
    /// Writes a packet. After a failure nothing more is written to the file.
    pub fn write(&mut self, packet: &Packet) -> io::Result<()> {
        let file = match self.0.get_mut(&packet.file) {
            Some(known) => known,
            None => {
                let made = create(&packet.file);
                let (file, failed) = match made {
                    Ok(file) => (Some(file), None),
                    Err(e) => (None, Some(e)),
                };
                let file = self.0.entry(packet.file.clone()).or_insert(file);
                if let Some(failed) = failed {
                    return Err(failed);
                }
                file
            }
        };
        let Some(open) = file else { return Ok(()) };
        let written = write_packet(open, packet).and_then(|()| open.flush());
        if written.is_err() {
            *file = None;
        }
        written
    }
}

/// A new file, with the header that says: microseconds, packets that begin with an IP header.
fn create(path: &str) -> io::Result<BufWriter<File>> {
    const MAGIC: u32 = 0xa1b2_c3d4;
    const VERSION: [u16; 2] = [2, 4];
    const LONGEST: u32 = 65_535;
    /// `LINKTYPE_RAW`
    const RAW_IP: u32 = 101;
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&MAGIC.to_ne_bytes())?;
    for part in VERSION {
        file.write_all(&part.to_ne_bytes())?;
    }
    // Time zone and accuracy, which nobody uses.
    for word in [0, 0, LONGEST, RAW_IP] {
        file.write_all(&word.to_ne_bytes())?;
    }
    Ok(file)
}

fn write_packet(to: &mut impl Write, packet: &Packet) -> io::Result<()> {
    let seconds = packet.time / 1_000_000_000;
    let microseconds = packet.time % 1_000_000_000 / 1000;
    let length = packet.bytes.len() as u32;
    for word in [seconds as u32, microseconds as u32, length, length] {
        to.write_all(&word.to_ne_bytes())?;
    }
    to.write_all(&packet.bytes)
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
    fn files_are_those_of_pcap() {
        let folder = std::env::temp_dir().join(format!("rbtrace-packets-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("a.pcap").display().to_string();
        let mut files = PacketFiles::default();
        let packet = Packet { file: path.clone(), time: 1_500_000_000, bytes: vec![0x45, 0, 0, 3] };
        files.write(&packet).expect("a file");
        files.write(&packet).expect("a file");
        let written = std::fs::read(&path).expect("a file");
        let missing = Packet { file: folder.join("no/such").display().to_string(), ..packet };
        assert!(files.write(&missing).is_err());
        assert!(files.write(&missing).is_ok(), "said once");
        std::fs::remove_dir_all(&folder).expect("the folder");
        let words: Vec<u32> = written
            .chunks_exact(4)
            .filter_map(|w| Some(u32::from_ne_bytes(w.try_into().ok()?)))
            .collect();
        let one = [1, 500_000, 4, 4, u32::from_ne_bytes([0x45, 0, 0, 3])];
        assert_eq!(words[..6], [0xa1b2_c3d4, u32::from_ne_bytes([2, 0, 4, 0]), 0, 0, 65_535, 101]);
        assert_eq!(words[6..], [one, one].concat());
    }
}
