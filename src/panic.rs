//! What is said when rbtrace itself is wrong.

use std::cell::Cell;
use std::panic::PanicHookInfo;

/// Exit status after a bug, as sysexits(3)'s `EX_SOFTWARE`.
pub const EXIT_STATUS: u8 = 70;

thread_local! {
    static STAGE: Cell<&'static str> = const { Cell::new("starting") };
}

/// Says what is being done, for the message if it fails.
pub fn stage(name: &'static str) {
    STAGE.set(name);
}

/// Replaces the standard message, which shows source files and asks for a backtrace.
pub fn install_hook() {
    std::panic::set_hook(Box::new(report));
}

fn report(info: &PanicHookInfo<'_>) {
    if rbtrace_runtime::guard::is_guarded() {
        return;
    }
    let what = info.payload_as_str().unwrap_or("no reason was given");
    // Standard output was closed by whoever read it; that is no bug of ours.
    if what.contains("Broken pipe") {
        std::process::exit(0);
    }
    let place = info.location().map(|place| format!(" ({}:{})", place.file(), place.line()));
    eprintln!(
        "rbtrace: bug: failed while {}: {what}{}\n\
         This is not the script's fault. Please report it at {}/issues with the script, the output \
         of `rbtrace --info`\nand what `rbtrace -d all` prints for the script.",
        STAGE.get(),
        place.unwrap_or_default(),
        env!("CARGO_PKG_REPOSITORY"),
    );
    if std::env::var_os("RUST_BACKTRACE").is_some() {
        eprintln!("{}", std::backtrace::Backtrace::force_capture());
    }
}
