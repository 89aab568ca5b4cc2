//! Reading captures.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::form::{Failure, Form};
use super::{CaptureError, LinkType, Packet};

/// Bytes that are read at once.
const STEP: usize = 64 << 10;
/// Most bytes of a record. One that claims more is broken, not large: packets have less than a
/// hundredth of that.
const LARGEST: usize = 16 << 20;

/// Bytes by which the format is told.
const MAGIC: usize = 4;

/// Reads the Ethernet frames of a capture, one after another.
pub struct Reader<R = File> {
    window: Window<R>,
    form: Form,
    /// What was read ahead of [`Reader::next_packet`].
    first: Option<Packet>,
    /// Packets that were read.
    count: u64,
}

impl Reader<File> {
    /// Opens a file, and reads it up to its first packet.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        Self::new(File::open(path)?)
    }
}

impl<R: Read> Reader<R> {
    /// Reads up to the first packet, so that most of what can be wrong with a capture is found before
    /// anything is done with it.
    pub fn new(input: R) -> Result<Self, CaptureError> {
        let mut window = Window { input, bytes: Vec::new(), start: 0 };
        let form = loop {
            match Form::of(window.rest()) {
                Ok((length, form)) => {
                    window.start += length;
                    break form;
                }
                Err(Failure::Incomplete) if window.read_on()? => {}
                Err(Failure::Incomplete) if window.rest().len() >= MAGIC => {
                    return Err(CaptureError::Cut { after: 0 });
                }
                Err(Failure::Compressed) => return Err(CaptureError::Compressed),
                Err(_) => return Err(CaptureError::NotACapture),
            }
        };
        if let Form::Plain(plain) = &form {
            ethernet(plain.link)?;
        }
        let mut reader = Self { window, form, first: None, count: 0 };
        reader.first = reader.read()?;
        Ok(reader)
    }

    /// The next packet; `None` at the end. After an error there is nothing more to read.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, CaptureError> {
        match self.first.take() {
            Some(packet) => Ok(Some(packet)),
            None => self.read(),
        }
    }

    fn read(&mut self) -> Result<Option<Packet>, CaptureError> {
        let after = self.count;
        loop {
            match self.form.step(self.window.rest()) {
                Ok(step) => {
                    self.window.start += step.length;
                    let Some((link, packet)) = step.packet else { continue };
                    ethernet(link)?;
                    self.count += 1;
                    return Ok(Some(packet));
                }
                Err(Failure::Obsolete) => return Err(CaptureError::Obsolete { after }),
                Err(Failure::Incomplete) if self.window.rest().len() <= LARGEST => {
                    if self.window.read_on()? {
                        continue;
                    }
                    let at_end = self.window.rest().is_empty();
                    return if at_end { Ok(None) } else { Err(CaptureError::Cut { after }) };
                }
                Err(_) => return Err(CaptureError::Broken { after }),
            }
        }
    }
}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("count", &self.count).finish_non_exhaustive()
    }
}

fn ethernet(link: LinkType) -> Result<(), CaptureError> {
    if link == LinkType::ETHERNET { Ok(()) } else { Err(CaptureError::Link { link }) }
}

/// What was read of a file and is not yet done with.
struct Window<R> {
    input: R,
    bytes: Vec<u8>,
    /// Bytes that are done with.
    start: usize,
}

impl<R: Read> Window<R> {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Reads some more. False at the end of the file.
    fn read_on(&mut self) -> io::Result<bool> {
        self.bytes.drain(..self.start.min(self.bytes.len()));
        self.start = 0;
        let before = self.bytes.len();
        self.bytes.resize(before + STEP, 0);
        let read = loop {
            let space = self.bytes.get_mut(before..).unwrap_or_default();
            match self.input.read(space) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.bytes.truncate(before + read.as_ref().map_or(0, |count| *count));
        read.map(|count| count > 0)
    }
}
