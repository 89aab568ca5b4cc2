//! Tests and benchmarks: programs that run on request, on this thread, their output kept.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rbtrace_probes_ebpf::kinds::ProbeKind;

use crate::attach::run;
use crate::error::Error;
use crate::event::Event;
use crate::print::text;
use crate::session::output;
use crate::sink::Sink;
use crate::unit::Unit;

/// A benchmark runs for at least so long, unless that takes more than [`MOST_RUNS`].
const LONG_ENOUGH: Duration = Duration::from_millis(1);
/// Most runs that the kernel is asked for in one go.
const MOST_RUNS: u32 = 1 << 30;
/// Least width of the column of names in a table of benchmarks.
const NAME_WIDTH: usize = 40;

/// Keeps what is printed, as text.
#[derive(Debug, Default)]
struct Kept {
    text: Vec<u8>,
    errors: usize,
}

impl Sink for Kept {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let failed = matches!(event, Event::Errorf { warning: false, .. } | Event::Error { .. });
        self.errors += usize::from(failed);
        text::append(event, &mut self.text);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Unit {
    /// Runs the tests and reports them. Returns whether all passed.
    pub(crate) fn run_tests(&mut self, sink: &mut dyn Sink) -> Result<bool, Error> {
        let tests = self.programs_of(ProbeKind::Test);
        let count = tests.len();
        if count > 0 {
            output(sink.event(&Event::Tests { count }))?;
        }
        let mut failed = Vec::new();
        for (program, name) in tests {
            let ran = run::repeated(self.program(program)?.fd.as_fd(), 1)?;
            let (mut kept, mut exit) = (Kept::default(), None);
            self.drain_all(&mut kept, &mut exit)?;
            let passed = ran.result == 0 && exit.unwrap_or(0) == 0 && kept.errors == 0;
            if !passed {
                failed.push(name.clone());
            }
            let duration = ran.average;
            output(sink.event(&Event::TestResult { name, passed, duration, output: kept.text }))?;
        }
        let passed = failed.is_empty();
        if count > 0 {
            output(sink.event(&Event::TestsDone { count, failed }))?;
        }
        Ok(passed)
    }

    /// Runs the benchmarks and reports them. Returns whether none failed.
    pub(crate) fn run_benches(&mut self, sink: &mut dyn Sink) -> Result<bool, Error> {
        let benches = self.programs_of(ProbeKind::Bench);
        let longest = benches.iter().map(|(_, name)| name.chars().count()).max();
        let width = longest.unwrap_or(0).max(NAME_WIDTH);
        if !benches.is_empty() {
            output(sink.event(&Event::Benches { width }))?;
        }
        let mut all_well = true;
        for (program, name) in benches {
            match self.measure(program)? {
                Measured::Skipped => {}
                Measured::Failed => {
                    all_well = false;
                    let message = format!("Benchmark '{name}' failed.");
                    output(sink.event(&Event::Error { message, location: None }))?;
                }
                Measured::Took { average, iterations } => {
                    let result = Event::BenchResult { name, average, iterations, width };
                    output(sink.event(&result))?;
                }
            }
            output(sink.flush())?;
        }
        Ok(all_well)
    }

    /// Runs a benchmark more and more often until it takes long enough to be measured.
    fn measure(&mut self, program: usize) -> Result<Measured, Error> {
        let mut runs = 1;
        loop {
            let ran = run::repeated(self.program(program)?.fd.as_fd(), runs)?;
            let (mut kept, mut exit) = (Kept::default(), None);
            self.drain_all(&mut kept, &mut exit)?;
            let code = exit.unwrap_or(0);
            if code == 0 && ran.result != 0 {
                return Ok(Measured::Skipped);
            }
            if let Some(more) = more_runs(runs, ran.average) {
                runs = more;
            } else if code != 0 || kept.errors != 0 {
                return Ok(Measured::Failed);
            } else {
                return Ok(Measured::Took { average: ran.average, iterations: runs.into() });
            }
        }
    }
}

/// What became of a benchmark.
enum Measured {
    /// It returned something other than 0.
    Skipped,
    /// It called `errorf` or `exit` with a status.
    Failed,
    /// It ran.
    Took {
        /// How long a run took.
        average: Duration,
        /// How many there were.
        iterations: u64,
    },
}

/// How often to run what took so long on average; `None`: that was enough. The steps are
/// bpftrace's, so that the numbers of runs compare.
fn more_runs(runs: u32, average: Duration) -> Option<u32> {
    let total = average.saturating_mul(runs);
    if total >= LONG_ENOUGH || runs >= MOST_RUNS {
        return None;
    }
    let factor = match total.as_micros() {
        0 => 10_000,
        1..10 => 100,
        10..100 => 10,
        _ => 2,
    };
    Some(runs.saturating_mul(factor).min(MOST_RUNS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn benchmarks_run_until_it_can_be_measured() {
        let nanoseconds = Duration::from_nanos;
        assert_eq!(more_runs(1, nanoseconds(50)), Some(10_000));
        assert_eq!(more_runs(10_000, nanoseconds(50)), Some(20_000));
        assert_eq!(more_runs(20_000, nanoseconds(50)), None);
        assert_eq!(more_runs(1, nanoseconds(5_000)), Some(100));
        // The clock of some machines sees nothing, however long it looks.
        assert_eq!(more_runs(MOST_RUNS, nanoseconds(0)), None);
    }
}
