//! Where a script's output goes, and when.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::path::Path;

use rbtrace_runtime::sink::{JsonSink, Sink, TextSink};

use crate::cli::{Buffering, Format, Output};

/// Bytes of a buffer.
const CAPACITY: usize = 64 << 10;

/// Opens the output.
pub fn open(output: &Output) -> io::Result<Box<dyn Sink>> {
    let file: Box<dyn Write> = match &output.file {
        Some(path) => Box::new(File::create(path).map_err(|e| named(e, path))?),
        // Not `Stdout`, which would buffer a second time.
        None => Box::new(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
    };
    let out: Box<dyn Write> = match output.buffering {
        Buffering::None => file,
        Buffering::Line => Box::new(BufWriter::with_capacity(CAPACITY, file)),
        Buffering::Full => Box::new(Full(BufWriter::with_capacity(CAPACITY, file))),
    };
    Ok(match output.format {
        Format::Text => Box::new(TextSink::new(out)),
        Format::Json => Box::new(JsonSink::new(out)),
    })
}

/// Writes only when the buffer is full, and at the end.
struct Full<W: Write>(BufWriter<W>);

impl<W: Write> Write for Full<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    /// A sink flushes whenever there is a pause; that is not asked for here.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn named(error: io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
