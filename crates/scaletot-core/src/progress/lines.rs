//! Progress as lines of text, for logs and wherever there is no terminal.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Progress;

/// Lines whose progress the rate is taken over: the last minute, at the default interval.
const WINDOW: usize = 6;

/// Writes a line when a job starts, at most one every ten seconds while it runs, and one when it ends: what is done, how
/// fast it goes and how long it may still take.
///
/// The rate is that of the last lines, not of the whole job, so that users who were skipped at the start of a resumed run
/// do not make the rest look fast. The lines go to whatever function is given: standard error, a log, a channel.
///
/// ```
/// use std::sync::mpsc;
/// use scaletot_core::{Lines, Progress};
///
/// let (sender, lines) = mpsc::channel();
/// let progress = Lines::new(move |line| sender.send(line.to_owned()).unwrap_or_default());
/// progress.start("record", 2_400);
/// progress.advance(2_400); // in less than ten seconds
/// progress.finish();
/// drop(progress);
///
/// let lines: Vec<String> = lines.iter().collect();
/// assert_eq!(lines[0], "record: 2400 to do");
/// assert!(lines[1].starts_with("record: 2400 of 2400 done in 0 s"));
/// ```
pub struct Lines {
    write: Box<dyn Fn(&str) + Send + Sync>,
    interval: Duration,
    job: Mutex<Option<Job>>,
}

#[derive(Debug)]
struct Job {
    what: String,
    total: u64,
    done: u64,
    text: String,
    began: Instant,
    /// When something was written last.
    wrote: Instant,
    /// When and how much was done at the first step and at each of the last lines.
    marks: VecDeque<(Instant, u64)>,
}

impl Lines {
    /// A sink that hands its lines, without line ends, to `write`, at most one every ten seconds.
    pub fn new(write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { write: Box::new(write), interval: Duration::from_secs(10), job: Mutex::new(None) }
    }

    /// Sets the least time between two lines of a job; what starts or ends is told at once.
    #[must_use]
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    fn job(&self) -> MutexGuard<'_, Option<Job>> {
        // A panic of another thread leaves counts that are a little old at worst.
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_at(&self, now: Instant, what: &str, total: u64) {
        let (what, marks) = (what.to_owned(), VecDeque::new());
        let job = Job { what, total, done: 0, text: String::new(), began: now, wrote: now, marks };
        let line =
            if total > 0 { format!("{}: {total} to do", job.what) } else { format!("{}: begun", job.what) };
        *self.job() = Some(job);
        (self.write)(&line);
    }

    fn advance_at(&self, now: Instant, n: u64) {
        let mut job = self.job();
        let Some(job) = job.as_mut() else { return };
        job.done += n;
        if job.marks.is_empty() {
            job.marks.push_back((now, job.done));
        }
        if now.duration_since(job.wrote) >= self.interval {
            job.wrote = now;
            (self.write)(&job.line(now));
            job.marks.push_back((now, job.done));
            if job.marks.len() > WINDOW {
                job.marks.pop_front();
            }
        }
    }

    fn finish_at(&self, now: Instant) {
        if let Some(job) = self.job().take() {
            (self.write)(&job.end(now));
        }
    }
}

impl Job {
    fn line(&self, now: Instant) -> String {
        let Self { what, total, done, .. } = self;
        let per_second = self.marks.front().and_then(|&(at, before)| rate(done - before, now - at));
        let mut line = match total {
            0 => format!("{what}: {done} done"),
            _ => format!("{what}: {done} of {total} ({:.0} %)", 100.0 * *done as f64 / *total as f64),
        };
        if let Some(per_second) = per_second {
            line.push_str(&format!(", {}", speed(per_second)));
            if *total > 0 {
                let left = total.saturating_sub(*done) as f64 / per_second;
                line.push_str(&format!(", about {} left", duration(left)));
            }
        }
        self.with_text(line)
    }

    fn end(&self, now: Instant) -> String {
        let Self { what, total, done, .. } = self;
        let of = if *total > 0 { format!(" of {total}") } else { String::new() };
        let took = now - self.began;
        let mut line = format!("{what}: {done}{of} done in {}", duration(took.as_secs_f64()));
        if let Some(per_second) = rate(*done, took).filter(|_| took >= Duration::from_secs(1)) {
            line.push_str(&format!(", {}", speed(per_second)));
        }
        self.with_text(line)
    }

    fn with_text(&self, mut line: String) -> String {
        if !self.text.is_empty() {
            line.push_str(&format!(" ({})", self.text));
        }
        line
    }
}

/// Units per second; `None` where nothing was done or no time passed.
fn rate(done: u64, time: Duration) -> Option<f64> {
    (done > 0 && !time.is_zero()).then(|| done as f64 / time.as_secs_f64())
}

/// A rate in the unit that shows it: per second, or per minute where that is few.
fn speed(per_second: f64) -> String {
    match per_second {
        fast if fast >= 10.0 => format!("{fast:.0} per s"),
        medium if medium >= 0.5 => format!("{medium:.1} per s"),
        slow => format!("{:.1} per min", slow * 60.0),
    }
}

/// Seconds in words: `8 s`, `3 min 20 s`, `2 h 5 min`.
///
/// ```
/// use scaletot_core::progress::duration;
///
/// assert_eq!(duration(7_500.0), "2 h 5 min");
/// ```
#[must_use]
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

impl Progress for Lines {
    fn start(&self, what: &str, total: u64) {
        self.start_at(Instant::now(), what, total);
    }

    fn advance(&self, n: u64) {
        self.advance_at(Instant::now(), n);
    }

    fn message(&self, text: &str) {
        if let Some(job) = self.job().as_mut() {
            text.clone_into(&mut job.text);
        }
    }

    fn finish(&self) {
        self.finish_at(Instant::now());
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("interval", &self.interval)
            .field("job", &self.job())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn sink() -> (Lines, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&lines);
        (Lines::new(move |line| into.lock().unwrap().push(line.to_owned())), lines)
    }

    fn taken(lines: &Mutex<Vec<String>>) -> Vec<String> {
        std::mem::take(&mut lines.lock().unwrap())
    }

    #[test]
    fn a_long_job_tells_where_it_is_every_ten_seconds() {
        let (progress, lines) = sink();
        let began = Instant::now();
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        progress.start_at(began, "record", 1_000);
        // Two units per second, one call each.
        for second in 1..=25 {
            progress.advance_at(at(second), 2);
        }
        assert_eq!(
            taken(&lines),
            [
                "record: 1000 to do",
                "record: 20 of 1000 (2 %), 2.0 per s, about 8 min 10 s left",
                "record: 40 of 1000 (4 %), 2.0 per s, about 8 min 0 s left",
            ]
        );
        progress.message("loss 0.5");
        progress.finish_at(at(30));
        assert_eq!(taken(&lines), ["record: 50 of 1000 done in 30 s, 1.7 per s (loss 0.5)"]);
        progress.advance_at(at(50), 1);
        progress.finish_at(at(50));
        assert!(taken(&lines).is_empty(), "no job is under way");
    }

    #[test]
    fn what_was_skipped_at_the_start_is_no_speed() {
        let (progress, lines) = sink();
        let began = Instant::now();
        progress.start_at(began, "reason", 1_000);
        progress.advance_at(began, 900);
        for second in 1..=10 {
            progress.advance_at(began + Duration::from_secs(second), 1);
        }
        assert_eq!(taken(&lines)[1], "reason: 910 of 1000 (91 %), 1.0 per s, about 1 min 30 s left");
    }

    #[test]
    fn a_job_without_a_total_and_a_slow_one_have_lines() {
        let (progress, lines) = sink();
        let began = Instant::now();
        progress.start_at(began, "read", 0);
        progress.advance_at(began, 0);
        progress.advance_at(began + Duration::from_secs(30), 3);
        progress.finish_at(began + Duration::from_millis(30_400));
        let expected = ["read: begun", "read: 3 done, 6.0 per min", "read: 3 done in 30 s, 5.9 per min"];
        assert_eq!(taken(&lines), expected);
    }

    #[test]
    fn rates_follow_the_last_minute() {
        let (progress, lines) = sink();
        let began = Instant::now();
        progress.start_at(began, "distil", 10_000);
        for second in 0..200 {
            progress.advance_at(began + Duration::from_secs(second), if second < 100 { 50 } else { 1 });
        }
        let last = taken(&lines).pop().unwrap();
        assert!(last.contains("1.0 per s"), "{last}");
    }
}
