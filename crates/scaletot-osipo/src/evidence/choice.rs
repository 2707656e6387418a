//! What is learned: chosen by held-out log evidence.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A choice between students by held-out evidence, from the simplest to the most flexible.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EvidenceChoice {
    /// Index of what was chosen.
    pub chosen: usize,
    /// The candidates' names, in their order.
    pub names: Vec<String>,
    /// Mean held-out log evidence of each, in nats per user above what segments alone say.
    pub evidence: Vec<f64>,
    /// Each later candidate against the best of those before it.
    pub margins: Vec<Margin>,
    /// Held-out users.
    pub users: usize,
}

/// How much more evidence a candidate has than the one that it has to beat.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Margin {
    /// Index of the candidate.
    pub candidate: usize,
    /// Index of the one to beat.
    pub against: usize,
    /// Mean difference in nats per user.
    pub difference: f64,
    /// Its standard error over users, paired; 0 with fewer than two users.
    pub error: f64,
    /// Whether it was chosen over the other: the difference is above one standard error, and above 0 by more than rounding.
    pub wins: bool,
}

/// Chooses between students by the log evidence of the same held-out users ([`log_evidence`](super::log_evidence)).
///
/// `candidates` come with the simplest first (reference, tilt, whole network), each with one number per user. A later one has to beat what was
/// chosen so far by more than one standard error of the paired difference: what outcomes do not clearly ask for is left alone.
///
/// ```
/// use scaletot_osipo::evidence::choose;
///
/// let reference = [0.10, 0.20, -0.10, 0.00];
/// let tilt = [0.15, 0.24, -0.04, 0.05];
/// let choice = choose(&[("reference", &reference), ("tilt", &tilt)])?;
/// assert_eq!(choice.chosen, 1);
/// assert!(choice.to_string().starts_with("chosen: tilt"));
/// # Ok::<(), scaletot_osipo::Error>(())
/// ```
///
/// # Errors
/// [`Error::Empty`] for no candidate, [`Error::NoLabelled`] without a user, [`Error::Shape`] for candidates of different users, and
/// [`Error::InvalidValue`] for evidence that is NaN or infinite.
pub fn choose(candidates: &[(&str, &[f64])]) -> Result<EvidenceChoice> {
    let Some((_, first)) = candidates.first() else {
        return Err(Error::Empty { what: "candidates to choose from" });
    };
    let users = first.len();
    if users == 0 {
        return Err(Error::NoLabelled { what: "choice by held-out evidence", rows: 0 });
    }
    for (_, evidence) in candidates {
        if evidence.len() != users {
            let (expected, found) = (format!("{users} users"), evidence.len().to_string());
            return Err(Error::Shape { what: "held-out evidence", expected, found });
        }
        if let Some((row, &found)) = evidence.iter().enumerate().find(|(_, x)| !x.is_finite()) {
            let (what, expected) = ("held-out evidence", "a finite number");
            return Err(Error::InvalidValue { what, row, expected, found });
        }
    }
    let mut chosen = 0;
    let mut margins = Vec::new();
    for candidate in 1..candidates.len() {
        let pairs = candidates[candidate].1.iter().zip(candidates[chosen].1);
        let (difference, error) = mean_and_error(pairs.map(|(new, old)| new - old));
        let wins = difference > error && difference > 1e-9;
        margins.push(Margin { candidate, against: chosen, difference, error, wins });
        if wins {
            chosen = candidate;
        }
    }
    let mean = |evidence: &[f64]| mean_and_error(evidence.iter().copied()).0;
    Ok(EvidenceChoice {
        chosen,
        names: candidates.iter().map(|(name, _)| (*name).to_owned()).collect(),
        evidence: candidates.iter().map(|(_, evidence)| mean(evidence)).collect(),
        margins,
        users,
    })
}

fn mean_and_error(numbers: impl ExactSizeIterator<Item = f64> + Clone) -> (f64, f64) {
    let n = numbers.len() as f64;
    let mean = numbers.clone().sum::<f64>() / n;
    if n < 2.0 {
        return (mean, 0.0);
    }
    let variance = numbers.map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

impl fmt::Display for EvidenceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |index: usize| self.names.get(index).map_or("?", String::as_str);
        write!(f, "chosen: {}, by the log evidence of {} held-out users", name(self.chosen), self.users)?;
        for margin in &self.margins {
            let Margin { candidate, against, difference, error, wins } = *margin;
            let than = if difference < 0.0 { "below" } else { "above" };
            let verdict = match (wins, difference > 0.0) {
                (true, _) => "more than one standard error: better",
                (false, true) => "no more than one standard error: not clearly better",
                (false, false) => "not better",
            };
            write!(
                f,
                "; {} is {:.4} ± {error:.4} nats per user {than} {} ({verdict})",
                name(candidate),
                difference.abs(),
                name(against)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_within_noise_is_not_taken_and_the_words_say_so() {
        let reference = [0.0, 0.0, 0.0, 0.0];
        let noisy = [1.0, -0.9, 0.8, -0.8];
        let better = [0.2, 0.1, 0.2, 0.1];
        let choice = choose(&[("reference", &reference), ("tilt", &noisy), ("network", &better)]).unwrap();
        assert_eq!(choice.chosen, 2);
        assert_eq!((choice.margins[0].wins, choice.margins[1].against), (false, 0));
        let words = choice.to_string();
        assert!(words.contains("chosen: network, by the log evidence of 4 held-out users"), "{words}");
        assert!(words.contains("tilt is 0.0250 ± 0.5") && words.contains("not clearly better"), "{words}");
        assert!(words.contains("network is 0.1500 ± 0.0289 nats per user above reference"), "{words}");
        let json = serde_json::to_string(&choice).unwrap();
        assert_eq!(serde_json::from_str::<EvidenceChoice>(&json).unwrap(), choice);
    }

    #[test]
    fn equal_candidates_leave_the_simplest_and_unusable_ones_are_refused() {
        let same = [0.1, -3.0];
        assert_eq!(choose(&[("reference", &same), ("tilt", &same)]).unwrap().chosen, 0);
        assert!(matches!(choose(&[]), Err(Error::Empty { .. })));
        assert!(matches!(choose(&[("a", &[])]), Err(Error::NoLabelled { .. })));
        assert!(matches!(choose(&[("a", &same), ("b", &[0.0])]), Err(Error::Shape { .. })));
        let bad = choose(&[("a", &same), ("b", &[0.0, f64::NAN])]);
        assert!(matches!(bad, Err(Error::InvalidValue { row: 1, .. })));
    }
}
