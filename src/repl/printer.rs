//! Output above the prompt: what probes print must not end up in the line being typed.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// Longest wait for output to reach the terminal before the prompt comes back.
const DRAIN: Duration = Duration::from_millis(200);

enum Message {
    Text(Vec<u8>),
    /// Answered once everything before it is printed.
    Drain(Sender<()>),
}

/// Where output goes; each clone gathers lines of its own and prints whole ones.
pub struct Printer {
    to: Sender<Message>,
    line: Vec<u8>,
}

impl Printer {
    /// Prints through `print`, in a thread of its own: the line editor may make it wait, and
    /// whoever produces output must not.
    pub fn new(print: impl FnMut(String) + Send + 'static) -> Self {
        let (to, from) = channel();
        thread::spawn(move || print_all(&from, print));
        Self { to, line: Vec::new() }
    }

    /// Waits, not for long, until what was written is printed.
    pub fn drain(&self) {
        let (done, wait) = channel();
        if self.to.send(Message::Drain(done)).is_ok() {
            // Late output appears above the next prompt.
            let _ = wait.recv_timeout(DRAIN);
        }
    }

    fn send(&self, text: Vec<u8>) -> io::Result<()> {
        self.to.send(Message::Text(text)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Clone for Printer {
    fn clone(&self) -> Self {
        Self { to: self.to.clone(), line: Vec::new() }
    }
}

impl Write for Printer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if let Some(end) = self.line.iter().rposition(|b| *b == b'\n') {
            let rest = self.line.split_off(end + 1);
            let lines = std::mem::replace(&mut self.line, rest);
            self.send(lines)?;
        }
        Ok(bytes.len())
    }

    /// Half a line stays: the editor draws whole lines only.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Printer {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.line.push(b'\n');
            let line = std::mem::take(&mut self.line);
            // Nobody is left to tell.
            let _ = self.send(line);
        }
    }
}

/// Prints what has come since the last time in one go: the editor redraws its line each time.
fn print_all(from: &Receiver<Message>, mut print: impl FnMut(String)) {
    while let Ok(first) = from.recv() {
        let mut text = Vec::new();
        let mut waiting = Vec::new();
        for message in std::iter::once(first).chain(from.try_iter()) {
            match message {
                Message::Text(bytes) => text.extend(bytes),
                Message::Drain(done) => waiting.push(done),
            }
        }
        if !text.is_empty() {
            print(String::from_utf8_lossy(&text).into_owned());
        }
        for done in waiting {
            // Whoever waited may have given up.
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn prints_whole_lines_in_order() {
        let seen = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&seen);
        let mut printer = Printer::new(move |text| sink.lock().expect("lock").push_str(&text));
        write!(printer, "one\ntw").expect("written");
        printer.drain();
        assert_eq!(*seen.lock().expect("lock"), "one\n");
        let mut other = printer.clone();
        writeln!(other, "three").expect("written");
        drop(printer);
        other.drain();
        assert_eq!(*seen.lock().expect("lock"), "one\nthree\ntwo\n");
    }
}
