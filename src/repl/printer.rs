//! Output above the prompt: what probes print must not end up in the line being typed.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// Longest wait for output to reach the terminal before the prompt comes back.
const DRAIN: Duration = Duration::from_millis(200);

/// Bytes that may wait to be printed before a paced writer waits, too. What the kernel has no
/// room for meanwhile it counts, and that is reported.
const BACKLOG: usize = 1 << 20;
/// How long a paced writer sleeps before it looks again.
const PAUSE: Duration = Duration::from_millis(2);

enum Message {
    Text(Vec<u8>),
    /// Answered once everything before it is printed.
    Drain(Sender<()>),
}

/// Where output goes; each clone gathers lines of its own and prints whole ones.
pub struct Printer {
    to: Sender<Message>,
    line: Vec<u8>,
    pace: Arc<Pace>,
    paced: bool,
}

/// How far printing is behind.
#[derive(Default)]
struct Pace {
    /// Bytes that wait.
    waiting: AtomicUsize,
    /// The prompt waits for the thread that writes: it must not wait for the prompt.
    hurry: AtomicBool,
}

impl Printer {
    /// Prints through `print`, in a thread of its own: the line editor may make it wait, and
    /// whoever produces output must not.
    pub fn new(print: impl FnMut(String) + Send + 'static) -> Self {
        let (to, from) = channel();
        let pace = Arc::<Pace>::default();
        let shared = Arc::clone(&pace);
        thread::spawn(move || print_all(&from, &shared, print));
        Self { to, line: Vec::new(), pace, paced: false }
    }

    /// A clone that waits when too much is waiting to be printed.
    pub fn paced(&self) -> Self {
        let mut clone = self.clone();
        clone.paced = true;
        clone
    }

    /// Whether paced clones may not wait for now.
    pub fn hurry(&self, hurry: bool) {
        self.pace.hurry.store(hurry, Ordering::Relaxed);
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
        self.pace.waiting.fetch_add(text.len(), Ordering::Relaxed);
        self.to
            .send(Message::Text(text))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        let must_wait = || {
            self.pace.waiting.load(Ordering::Relaxed) > BACKLOG
                && !self.pace.hurry.load(Ordering::Relaxed)
        };
        while self.paced && must_wait() {
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

impl Clone for Printer {
    fn clone(&self) -> Self {
        Self {
            to: self.to.clone(),
            line: Vec::new(),
            pace: Arc::clone(&self.pace),
            paced: self.paced,
        }
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
fn print_all(from: &Receiver<Message>, pace: &Pace, mut print: impl FnMut(String)) {
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
            pace.waiting.fetch_sub(text.len(), Ordering::Relaxed);
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
        assert_eq!(*seen.lock().expect("lock"), "one\nthree\ntw\n");
    }
}
