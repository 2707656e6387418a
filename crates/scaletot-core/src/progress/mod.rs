//! How long-running work tells its caller where it stands, and hears that it should stop.
//!
//! Libraries neither print nor install loggers. A stage that takes a while takes a `&dyn Progress`; a program
//! connects it to whatever it shows (a progress bar, a log line, a metric), and `&()` shows nothing.
//!
//! ```
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use scaletot_core::Progress;
//!
//! #[derive(Default)]
//! struct Counter(AtomicU64);
//!
//! impl Progress for Counter {
//!     fn advance(&self, n: u64) {
//!         self.0.fetch_add(n, Ordering::Relaxed);
//!     }
//! }
//!
//! fn work(progress: &dyn Progress) {
//!     progress.start("users", 3);
//!     for _ in 0..3 {
//!         if progress.stopped() {
//!             break;
//!         }
//!         progress.advance(1);
//!     }
//!     progress.finish();
//! }
//!
//! let counter = Counter::default();
//! work(&counter);
//! assert_eq!(counter.0.load(Ordering::Relaxed), 3);
//! work(&()); // nothing is shown
//! ```

#[cfg(feature = "indicatif")]
mod bars;
mod lines;

#[cfg(feature = "indicatif")]
pub use bars::Bars;
pub use lines::{Lines, duration};

/// A listener to the progress of one piece of work. Every method has a default that does nothing, and all may
/// be called from several threads at once.
pub trait Progress: Sync {
    /// Work called `what` begins; `total` units are expected (0 where the total is not known).
    fn start(&self, what: &str, total: u64) {
        let _ = (what, total);
    }

    /// `n` more units are done.
    fn advance(&self, n: u64) {
        let _ = n;
    }

    /// A short text about the current state, such as a loss.
    fn message(&self, text: &str) {
        let _ = text;
    }

    /// A line worth keeping: a stage that begins, or is done already, or what was left out.
    fn note(&self, line: &str) {
        let _ = line;
    }

    /// The work that was started last has ended.
    fn finish(&self) {}

    /// Whether the work should end early. Workers ask between units, finish the unit in hand, and keep what they
    /// have done.
    fn stopped(&self) -> bool {
        false
    }
}

/// Shows nothing and never stops.
impl Progress for () {}

impl<T: Progress + ?Sized> Progress for &T {
    fn start(&self, what: &str, total: u64) {
        (**self).start(what, total);
    }

    fn advance(&self, n: u64) {
        (**self).advance(n);
    }

    fn message(&self, text: &str) {
        (**self).message(text);
    }

    fn note(&self, line: &str) {
        (**self).note(line);
    }

    fn finish(&self) {
        (**self).finish();
    }

    fn stopped(&self) -> bool {
        (**self).stopped()
    }
}
