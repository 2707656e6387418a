//! Progress: connects the libraries' [`Progress`] trait to `indicatif` at a terminal, and to lines where there is none.

use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use scaletot_core::Progress;

use crate::terminal::note;

/// How long the first line of a job without a terminal takes to come; each further one takes as long again, up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(10);
/// The longest silence of a job without a terminal.
const LONGEST: Duration = Duration::from_secs(60);

/// A bar per job on the terminal; where there is none, a line after ten seconds, then at least once a minute, so that a log of a run of
/// hours tells where it is.
#[derive(Debug, Default)]
pub(crate) struct Bars {
    current: Mutex<Option<Job>>,
    stop: AtomicBool,
}

#[derive(Debug)]
struct Job {
    what: String,
    total: u64,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines { done: u64, began: Instant, next: Instant, every: Duration },
}

impl Bars {
    /// A sink with no job under way.
    pub(crate) fn new() -> Self {
        Self::default()
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
        let shown = if io::stderr().is_terminal() {
            let bar = ProgressBar::new(total);
            if let Ok(style) = ProgressStyle::with_template(
                "  {msg:<28} [{bar:30}] {pos}/{len} {elapsed} ({per_sec}, left: {eta})",
            ) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_message(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            Shown::Bar(bar)
        } else {
            let began = Instant::now();
            Shown::Lines { done: 0, began, next: began + FIRST, every: FIRST }
        };
        self.with_job(|job| *job = Some(Job { what: what.to_owned(), total, shown }));
    }

    fn advance(&self, n: u64) {
        self.with_job(|job| {
            let Some(Job { what, total, shown }) = job else { return };
            match shown {
                Shown::Bar(bar) => bar.inc(n),
                Shown::Lines { done, began, next, every } => {
                    *done += n;
                    let now = Instant::now();
                    if now >= *next {
                        note(&line(what, *done, *total, now - *began));
                        *every = (*every * 2).min(LONGEST);
                        *next = now + *every;
                    }
                }
            }
        });
    }

    fn message(&self, text: &str) {
        self.with_job(|job| {
            if let Some(Job { what, shown: Shown::Bar(bar), .. }) = job {
                bar.set_message(format!("{what} ({text})"));
            }
        });
    }

    fn finish(&self) {
        self.with_job(|job| {
            if let Some(Job { shown: Shown::Bar(bar), .. }) = job.take() {
                bar.finish_and_clear();
            }
        });
    }

    fn stopped(&self) -> bool {
        self.was_stopped()
    }
}

/// A job's progress as a line.
fn line(what: &str, done: u64, total: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let spent = duration(seconds);
    if total == 0 || done == 0 {
        return format!("  {what}: {done} after {spent}");
    }
    let left = duration(seconds * total.saturating_sub(done) as f64 / done as f64);
    let percent = 100.0 * done as f64 / total as f64;
    format!("  {what}: {done} of {total} ({percent:.0} %) after {spent}, about {left} left")
}

/// Seconds as people tell them: `8 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_what_is_left() {
        let told = line("answers", 250, 1000, Duration::from_secs(60));
        assert_eq!(told, "  answers: 250 of 1000 (25 %) after 1 min 0 s, about 3 min 0 s left");
        assert_eq!(line("epochs", 0, 0, Duration::from_secs(8)), "  epochs: 0 after 8 s");
        assert_eq!(duration(7500.0), "2 h 5 min");
    }
}
