//! Where events go.

use std::io;

use crate::event::Event;

pub use crate::print::json::JsonSink;
pub use crate::print::text::TextSink;

/// Takes events in the order in which they happened.
pub trait Sink {
    /// Takes an event.
    fn event(&mut self, event: &Event) -> io::Result<()>;

    /// Passes on what was kept back.
    fn flush(&mut self) -> io::Result<()>;
}
