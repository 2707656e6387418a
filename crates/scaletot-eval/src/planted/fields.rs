//! What a teacher gets wrong about the fields of a profile, alike for all users.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::draw::{Draws, Stream};

/// Weights that a field may get, from ignored to twice its worth.
const WEIGHTS: [f64; 5] = [0.0, 0.3, 1.0, 1.5, 2.0];
/// Those of them that do not ignore it.
const HEEDED: [f64; 4] = [0.3, 1.0, 1.5, 2.0];
/// Those of them at which what is misread counts in full.
const CONVINCED: [f64; 3] = [1.0, 1.5, 2.0];

/// How a teacher errs by field: it ignores one, overrates another and reads the codes of a third as others.
///
/// Noise is a call's own, and averages out over users; these errors are the same for everybody, so that whoever learns
/// from the teacher learns them too, and only outcomes can tell. Which fields are concerned is drawn from the teacher's
/// seed, on a stream of its own.
///
/// | | misread, weight 1, 1.5 or 2 | ignored, weight 0 | all others, each weight as probable as the next |
/// | --- | --- | --- | --- |
/// | [`None`](Self::None) | – | – | weight 1 |
/// | [`Mixed`](Self::Mixed) | a fifth of the fields | – | 0, 0.3, 1, 1.5 or 2 |
/// | [`Hard`](Self::Hard) | a third of the fields | a third, together two thirds | 0.3, 1, 1.5 or 2 |
///
/// Shares are rounded to whole fields. As a text, on a command line and in files: `none`, `mixed`, `hard`.
///
/// ```
/// use scaletot_eval::planted::FieldErrors;
///
/// assert_eq!("hard".parse(), Ok(FieldErrors::Hard));
/// assert_eq!(FieldErrors::Mixed.to_string(), "mixed");
/// assert!("soft".parse::<FieldErrors>().unwrap_err().contains("`soft`"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FieldErrors {
    /// Every field counts for what it is worth.
    #[default]
    None,
    /// Weights are wrong, and a few fields are misread.
    Mixed,
    /// Two thirds of the fields are ignored or misread.
    Hard,
}

impl FieldErrors {
    /// Every setting, the mildest first.
    pub const ALL: [Self; 3] = [Self::None, Self::Mixed, Self::Hard];

    /// The text of a setting.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Mixed => "mixed",
            Self::Hard => "hard",
        }
    }

    /// How each of `fields` fields of `codes` codes is read by the teacher of this seed.
    pub(super) fn readings(self, fields: usize, codes: usize, seed: u64) -> Vec<FieldReading> {
        let mut readings: Vec<FieldReading> = (0..fields).map(|_| FieldReading::faithful(codes)).collect();
        let share = |numerator: usize, denominator: usize| {
            (2 * numerator * fields + denominator) / (2 * denominator) // rounded, a half up
        };
        let (misread, wrong, others) = match self {
            Self::None => return readings,
            Self::Mixed => (share(1, 5), share(1, 5), &WEIGHTS[..]),
            Self::Hard => (share(1, 3), share(2, 3), &HEEDED[..]),
        };
        let mut draws = Draws::new(seed, Stream::FieldErrors);
        let mut order: Vec<usize> = (0..fields).collect();
        for last in (1..fields).rev() {
            order.swap(last, draws.below(last + 1));
        }
        for (at, &field) in order.iter().enumerate() {
            let reading = &mut readings[field];
            if at < misread {
                reading.weight = CONVINCED[draws.below(CONVINCED.len())];
                // Sattolo's cycle: no code is read as itself.
                for last in (1..codes).rev() {
                    reading.read_as.swap(last, draws.below(last));
                }
            } else if at < wrong {
                reading.weight = 0.0;
            } else {
                reading.weight = others[draws.below(others.len())];
            }
        }
        readings
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// From `none`, `mixed` or `hard`; the error says so.
impl FromStr for FieldErrors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|errors| errors.name() == text)
            .ok_or_else(|| format!("expected none, mixed or hard, found `{text}`"))
    }
}

/// How a teacher reads one field; see [`PlantedWorld::field_readings`](super::PlantedWorld::field_readings).
#[derive(Debug, Clone, PartialEq)]
pub struct FieldReading {
    pub(super) weight: f64,
    pub(super) read_as: Vec<u16>,
}

impl FieldReading {
    fn faithful(codes: usize) -> Self {
        Self { weight: 1.0, read_as: (0..codes).map(|code| code as u16).collect() }
    }

    /// The exponent `α` of the field's likelihood: 0 ignores it, 1 is right, 2 counts it twice.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Which code each code is taken for, `[codes]`: a permutation, without a fixed point where the field is misread.
    #[must_use]
    pub fn read_as(&self) -> &[u16] {
        &self.read_as
    }

    /// Whether the field's codes are taken for others.
    #[must_use]
    pub fn is_misread(&self) -> bool {
        self.read_as.iter().enumerate().any(|(code, &read)| code != usize::from(read))
    }
}
