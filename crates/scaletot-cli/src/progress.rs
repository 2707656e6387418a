//! Progress: connects the libraries' [`Progress`] trait to `indicatif` at a terminal, and to lines where there is none.

use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use scaletot_core::{Lines, Progress};

use crate::terminal::note;

/// A bar per job where standard error is a terminal; [lines](Lines) on standard error where it is none, so that a log of a run of hours
/// tells where it is.
#[derive(Debug)]
pub(crate) struct Bars {
    current: Mutex<Option<Job>>,
    lines: Option<Lines>,
    stop: AtomicBool,
}

#[derive(Debug)]
struct Job {
    bar: ProgressBar,
    what: String,
}

impl Bars {
    /// A sink with no job under way.
    pub(crate) fn new() -> Self {
        let lines = (!io::stderr().is_terminal()).then(|| Lines::new(|line| note(&format!("  {line}"))));
        Self { current: Mutex::new(None), lines, stop: AtomicBool::new(false) }
    }

    /// Asks the job under way to stop at its next safe point; asked a second time, ends the program at once.
    pub(crate) fn stop(&self) {
        if self.stop.swap(true, Ordering::Relaxed) {
            // What stands under its final name is whole, so nothing is lost but the work in hand.
            std::process::exit(130);
        }
        note("stopping at the next safe point; press Ctrl-C again to stop at once");
    }

    /// Whether it was asked to stop.
    pub(crate) fn was_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
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
            None => note(line),
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
        self.was_stopped()
    }
}
