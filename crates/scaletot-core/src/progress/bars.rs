//! Progress as bars at a terminal, and as lines where there is none.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Lines, Progress};

/// A bar per job where standard error is a terminal; [lines](Lines) on standard error where it is none, so that a log of a run of hours
/// tells where it is. For programs: a library takes a `&dyn Progress` and leaves it to its caller what is shown.
///
/// ```
/// use std::sync::Arc;
/// use scaletot_core::progress::{Bars, Progress};
///
/// let bars = Arc::new(Bars::new());
/// // What a handler of Ctrl-C does: work that shows its progress on these bars ends at its next safe point.
/// let on_interrupt = Arc::clone(&bars);
/// std::thread::spawn(move || on_interrupt.stop()).join().unwrap_or_default();
/// assert!(bars.stopped());
/// ```
#[derive(Debug)]
pub struct Bars {
    current: Mutex<Option<Job>>,
    lines: Option<Lines>,
    stop: AtomicBool,
}

#[derive(Debug)]
struct Job {
    bar: ProgressBar,
    what: String,
}

impl Default for Bars {
    fn default() -> Self {
        let lines = (!io::stderr().is_terminal()).then(|| Lines::new(|line| write(&format!("  {line}"))));
        Self { current: Mutex::new(None), lines, stop: AtomicBool::new(false) }
    }
}

impl Bars {
    /// A sink with no job under way.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the job under way, and all that follow, to stop at the next safe point. Returns whether that had been asked before: somebody who
    /// asks twice does not want to wait for it.
    pub fn stop(&self) -> bool {
        self.stop.swap(true, Ordering::Relaxed)
    }

    fn with_job(&self, act: impl FnOnce(&mut Option<Job>)) {
        // A panic of another thread while it drew a bar leaves nothing inconsistent behind.
        let mut job = self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        act(&mut job);
    }
}

impl Progress for Bars {
    fn start(&self, what: &str, total: u64) {
        if let Some(lines) = &self.lines {
            return lines.start(what, total);
        }
        let bar = ProgressBar::new(total);
        if let Ok(style) = ProgressStyle::with_template(
            "  {msg:<28} [{bar:30}] {pos}/{len} {elapsed} ({per_sec}, left: {eta})",
        ) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        self.with_job(|job| *job = Some(Job { bar, what: what.to_owned() }));
    }

    fn advance(&self, n: u64) {
        if let Some(lines) = &self.lines {
            return lines.advance(n);
        }
        self.with_job(|job| {
            if let Some(job) = job {
                job.bar.inc(n);
            }
        });
    }

    fn message(&self, text: &str) {
        if let Some(lines) = &self.lines {
            return lines.message(text);
        }
        self.with_job(|job| {
            if let Some(job) = job {
                job.bar.set_message(format!("{} ({text})", job.what));
            }
        });
    }

    fn note(&self, line: &str) {
        self.with_job(|job| match job {
            // Above the bar, which would be written over.
            Some(job) => job.bar.println(line),
            None => write(line),
        });
    }

    fn finish(&self) {
        if let Some(lines) = &self.lines {
            return lines.finish();
        }
        self.with_job(|job| {
            if let Some(job) = job.take() {
                job.bar.finish_and_clear();
            }
        });
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Writes a line to standard error. A reader that has gone away must not end the run.
fn write(line: &str) {
    writeln!(io::stderr(), "{line}").unwrap_or_default();
}
