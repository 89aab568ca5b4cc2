//! Libraries that panic on some broken files.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What `f` answers; `None` if it panics. It must not leave anything behind that is used afterwards
/// and half done.
pub(crate) fn guarded<T>(f: impl FnOnce() -> T) -> Option<T> {
    let before = GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(f));
    GUARDED.set(before);
    done.ok()
}

/// Whether a panic of this thread is expected, and made an error of: nothing needs to be said of it.
pub fn is_guarded() -> bool {
    GUARDED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_no_answer() {
        assert_eq!(guarded(|| 1), Some(1));
        assert_eq!(guarded(|| -> i32 { panic!("is it guarded? {}", is_guarded()) }), None);
        assert!(!is_guarded());
        assert_eq!(guarded(|| guarded(is_guarded)), Some(Some(true)));
    }
}
