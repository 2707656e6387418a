//! What a run did.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use scaletot_encoder::Drift;

use super::files::Quarantined;

/// What a run did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScoreSummary {
    /// Input files whose scores are in place, those of earlier runs among them.
    pub files: usize,
    /// Users in the output.
    pub users: usize,
    /// Users whom this run scored.
    pub scored: usize,
    /// Users of these whom the encoder abstained on.
    pub abstained: usize,
    /// Users of these who are too far from the training profiles; the others have too few fields.
    pub too_far: usize,
    /// Wall time of this run's scoring.
    pub elapsed: Duration,
    /// Threads that scored.
    pub threads: usize,
    /// What could not be scored, in this run or an earlier one.
    pub quarantined: Vec<Quarantined>,
    /// How far the users are from the training profiles, by every sixteenth batch of 8,192 of the row groups that this run scored, the
    /// first of a group among them.
    pub drift: Option<Drift>,
    /// Files of scores in the output directory, by their path in it, that are of no input of this run and stay as they are.
    pub left_over: Vec<PathBuf>,
}

impl ScoreSummary {
    /// What was left out, and of how much; empty if nothing was.
    #[must_use]
    pub fn left_out_line(&self) -> String {
        let rows: usize = self.quarantined.iter().map(|bad| bad.rows).sum();
        let unread = self.quarantined.iter().filter(|bad| bad.rows == 0).count();
        let mut parts = vec![];
        if rows > 0 {
            parts.push(format!("{rows} of {} users", self.users + rows));
        }
        if unread > 0 {
            parts.push(format!("{unread} of {} files", self.files + unread));
        }
        parts.join(" and ")
    }

    /// Users per second of wall time.
    #[must_use]
    pub fn users_per_second(&self) -> f64 {
        self.scored as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

impl fmt::Display for ScoreSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rate, seconds) = (self.users_per_second(), self.elapsed.as_secs_f64());
        let files = if self.files == 1 { "file" } else { "files" };
        writeln!(f, "{} users in {} {files} are scored", self.users, self.files)?;
        writeln!(
            f,
            "this run: {} users in {seconds:.2} s, {:.2} million a second, {:.2} million per core-second on {} threads; abstained on {}, {} of them for their distance from the training profiles",
            self.scored,
            rate / 1e6,
            rate / 1e6 / self.threads as f64,
            self.threads,
            self.abstained,
            self.too_far,
        )?;
        if let Some(memory) = peak_memory() {
            writeln!(f, "largest memory of the process: {:.0} MiB", memory as f64 / 1024.0)?;
        }
        if let Some(drift) = &self.drift {
            // 0.25 is customarily called a large shift of the population stability index.
            let shifted: Vec<String> =
                drift.shifted(0.25).map(|field| format!("{} ({:.2})", field.name, field.psi)).collect();
            match shifted.as_slice() {
                [] => writeln!(f, "drift: no field is far from the training profiles")?,
                fields => writeln!(f, "drift: far from the training profiles (PSI): {}", fields.join(", "))?,
            }
        }
        if let Some(first) = self.left_over.first() {
            let (count, first) = (self.left_over.len(), first.display());
            writeln!(
                f,
                "{count} files of scores are of no input of this run and stay as they are, first {first}"
            )?;
        }
        match self.quarantined.is_empty() {
            true => write!(f, "nothing was left out"),
            false => write!(f, "LEFT OUT: {}, see quarantine.json", self.left_out_line()),
        }
    }
}

/// The largest memory of this process so far in KiB, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}
