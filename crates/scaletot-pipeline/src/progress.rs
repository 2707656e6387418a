//! Progress bars: connects the library's [`Progress`] trait to `indicatif`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use scaletot_core::Progress;

/// A bar per job on the terminal, and one line per job where there is none.
#[derive(Debug, Default)]
pub struct Bars {
    current: Mutex<Option<Job>>,
    stop: AtomicBool,
}

#[derive(Debug)]
struct Job {
    bar: ProgressBar,
    what: String,
}

impl Bars {
    /// A sink with no job under way.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the job under way to stop at its next safe point.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn with_job(&self, act: impl FnOnce(&mut Option<Job>)) {
        // A panic of another thread while it drew a bar leaves nothing inconsistent behind.
        let mut job = self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        act(&mut job);
    }
}

impl Progress for Bars {
    fn start(&self, what: &str, total: u64) {
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
        self.with_job(|job| {
            if let Some(job) = job {
                job.bar.inc(n);
            }
        });
    }

    fn message(&self, text: &str) {
        self.with_job(|job| {
            if let Some(job) = job {
                job.bar.set_message(format!("{} ({text})", job.what));
            }
        });
    }

    fn finish(&self) {
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
