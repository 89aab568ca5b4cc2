//! Writing captures.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::{LinkType, Packet};

/// Says: times have nanoseconds, in the byte order of this machine.
const MAGIC: u32 = 0xa1b2_3c4d;
const VERSION: [u16; 2] = [2, 4];
/// Most bytes of a packet that readers have to expect: libpcap's `MAXIMUM_SNAPLEN`.
const LONGEST: u32 = 262_144;

/// Writes packets to a file in the format of pcap.
#[derive(Debug)]
pub struct Writer(BufWriter<File>);

impl Writer {
    /// A new file, for packets that begin with a header of this type.
    pub fn create(path: &Path, link: LinkType) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&MAGIC.to_ne_bytes())?;
        for part in VERSION {
            file.write_all(&part.to_ne_bytes())?;
        }
        // Time zone and accuracy, which nobody uses.
        for word in [0, 0, LONGEST, link.0.into()] {
            file.write_all(&u32::to_ne_bytes(word))?;
        }
        Ok(Self(file))
    }

    /// Adds a packet.
    pub fn write(&mut self, packet: &Packet) -> io::Result<()> {
        const SECOND: u64 = 1_000_000_000;
        let (seconds, nanoseconds) = (packet.time / SECOND, packet.time % SECOND);
        let kept = packet.bytes.len() as u32;
        for word in [seconds as u32, nanoseconds as u32, kept, packet.length.max(kept)] {
            self.0.write_all(&word.to_ne_bytes())?;
        }
        self.0.write_all(&packet.bytes)
    }

    /// Has everything written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
