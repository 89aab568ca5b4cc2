//! A bar on the terminal while many probes are attached.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use rbtrace_runtime::progress::Progress;

/// Attaching that is done within this time needs no bar.
const PATIENCE: Duration = Duration::from_millis(300);
/// Times that the bar is drawn in a second, at most.
const DRAWN: u8 = 10;

/// Draws a bar on standard error, if that is a terminal, until all is attached.
pub fn bar() -> Progress {
    let begun = Instant::now();
    let bar: Mutex<Option<ProgressBar>> = Mutex::new(None);
    Progress::new(move |done, total| {
        let mut bar = bar.lock().unwrap_or_else(|e| e.into_inner());
        if done >= total {
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
        } else if begun.elapsed() >= PATIENCE {
            bar.get_or_insert_with(|| new(total)).set_position(done as u64);
        }
    })
}

fn new(total: usize) -> ProgressBar {
    let target = ProgressDrawTarget::stderr_with_hz(DRAWN);
    let bar = ProgressBar::with_draw_target(Some(total as u64), target);
    // An error ends it as well.
    let bar = bar.with_finish(ProgressFinish::AndClear);
    match ProgressStyle::with_template("Attaching {bar:30} {pos} of {len} probes") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
