//! Transfer report: how much of the student's signals the encoder has learned.
//!
//! A degraded transfer still gives scores that look like scores. These four numbers tell before an outcome does, and groups of users tell
//! where it degrades: a mean over all users hides a segment, and above all the sparse profiles, which the encoder is there for. The
//! choice of measures is this project's own; linear CKA is from Kornblith et al., *Similarity of Neural Network
//! Representations Revisited*, ICML 2019.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the encoder reproduces the student on some users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TransferReport {
    /// Users compared.
    pub users: usize,
    /// Users that were abstained on, and are not in any other figure.
    #[serde(default)]
    pub abstained: usize,
    /// Names of the states.
    pub states: Vec<String>,
    /// Per state, the share of users whose most probable value is the student's, in `[0, 1]`.
    pub agreement: Vec<f64>,
    /// Per state, the mean `KL(student ‖ encoder)` in nats, at least 0.
    pub kl: Vec<f64>,
    /// Mean cosine of projected and student representation over users and states, both relative to the training users'
    /// mean, in `[−1, 1]`.
    pub cosine: f64,
    /// Linear CKA of the encoder's representation and the student's over users, in `[0, 1]`; 0 where either does not
    /// vary.
    pub cka: f64,
    /// The users by the number of their populated fields, the sparsest first.
    #[serde(default)]
    pub by_populated: Vec<TransferGroup>,
    /// The users by segment, in the order of the segments' names; empty where all users are in one.
    #[serde(default)]
    pub by_segment: Vec<TransferGroup>,
    /// Share of the student's gain that the encoder keeps, see [`with_retention`](Self::with_retention); `None` where it is not known.
    #[serde(default)]
    pub retention: Option<f64>,
}

/// How the encoder reproduces the student on a group of users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TransferGroup {
    /// The segment's label, or the number of populated fields.
    pub name: String,
    /// Users compared, at least 1: a group of users who are all abstained on is left out.
    pub users: usize,
    /// Share of users and states whose most probable value is the student's, in `[0, 1]`.
    pub agreement: f64,
    /// Mean `KL(student ‖ encoder)` over users and states, in nats, at least 0.
    pub kl: f64,
    /// Mean cosine as [`TransferReport::cosine`], in `[−1, 1]`.
    pub cosine: f64,
}

/// A model's signals of some users.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// The marginal of every state, `K × [n, |V_k|]`.
    pub(crate) marginals: Vec<Array2<f32>>,
    /// A representation, `[n, r]`.
    pub(crate) representation: Array2<f32>,
    /// The representation as the student has it, relative to the training users' mean, `[n, K·d]`.
    pub(crate) projected: Array2<f32>,
}

impl TransferReport {
    /// Mean agreement over the states.
    #[must_use]
    pub fn mean_agreement(&self) -> f64 {
        mean(self.agreement.iter().copied())
    }

    /// Mean KL divergence over the states, in nats.
    #[must_use]
    pub fn mean_kl(&self) -> f64 {
        mean(self.kl.iter().copied())
    }

    /// Sets the share of the student's gain that the encoder keeps, from one metric of predicted outcomes measured on the same users three
    /// times: `(encoder − profile_only) / (student − profile_only)`, where `profile_only` is a network of the same kind without signals.
    /// The metric is one of which more is better, such as a rank correlation. 1 keeps the whole gain, 0 none of it; below 0 the signals
    /// did harm, above 1 the encoder is better than the student.
    ///
    /// It stays `None` where the student gains nothing over the profile alone (or a number is not finite): there is nothing to keep, and a
    /// quotient of two small or negative differences would tell nothing. The measure is this project's own.
    #[must_use]
    pub fn with_retention(mut self, profile_only: f64, student: f64, encoder: f64) -> Self {
        let gain = student - profile_only;
        let kept = (encoder - profile_only) / gain;
        self.retention = (gain > 0.0 && kept.is_finite()).then_some(kept);
        self
    }

    /// Share of the users that were abstained on, in `[0, 1]`.
    #[must_use]
    pub fn abstained_share(&self) -> f64 {
        // Not a sum of integers: a file may hold anything.
        let (compared, abstained) = (self.users as f64, self.abstained as f64);
        abstained / (compared + abstained).max(1.0)
    }

    /// Every figure with its name.
    pub(crate) fn figures(&self) -> impl Iterator<Item = (&str, f64)> {
        let groups = self.by_populated.iter().chain(&self.by_segment);
        let groups = groups.flat_map(|group| {
            [("group agreement", group.agreement), ("group kl", group.kl), ("group cosine", group.cosine)]
        });
        let states = [("agreement", &self.agreement), ("kl", &self.kl)];
        let states = states.into_iter().flat_map(|(name, all)| all.iter().map(move |figure| (name, *figure)));
        let retention = self.retention.map(|figure| ("retention", figure));
        [("cosine", self.cosine), ("cka", self.cka)].into_iter().chain(retention).chain(states).chain(groups)
    }

    /// The report over all users, and how each of them is reproduced. Of the student the two representations are one.
    pub(crate) fn compare(
        states: Vec<String>,
        student: &Sample,
        encoder: &Sample,
    ) -> Result<(Self, Vec<Reproduction>)> {
        let users = student.projected.nrows();
        if users == 0 {
            return Err(Error::shape("users of a transfer report", "at least 1 that is not abstained on", 0));
        }
        let dim = (student.projected.ncols() / student.marginals.len().max(1)).max(1);
        let rows = student.projected.outer_iter().zip(encoder.projected.outer_iter());
        let cosines = rows.map(|(student, encoder)| {
            let (student, encoder) = (student.to_vec(), encoder.to_vec());
            mean(student.chunks(dim).zip(encoder.chunks(dim)).map(|(a, b)| cosine(a, b)))
        });
        let cosines: Vec<f64> = cosines.collect();
        // Per state, per user.
        let pairs = || student.marginals.iter().zip(&encoder.marginals);
        let agreements: Vec<Vec<f64>> =
            pairs().map(|(student, encoder)| agreement(student, encoder)).collect();
        let kls: Vec<Vec<f64>> = pairs().map(|(student, encoder)| kl(student, encoder)).collect();
        let over_users =
            |states: &[Vec<f64>]| states.iter().map(|users| mean(users.iter().copied())).collect();
        let over_states = |states: &[Vec<f64>], user: usize| mean(states.iter().map(|users| users[user]));
        let each = cosines.iter().enumerate().map(|(user, &cosine)| Reproduction {
            agreement: over_states(&agreements, user),
            kl: over_states(&kls, user),
            cosine,
        });
        let report = Self {
            users,
            abstained: 0,
            states,
            agreement: over_users(&agreements),
            kl: over_users(&kls),
            cosine: mean(cosines.iter().copied()),
            cka: linear_cka(encoder.representation.view(), student.representation.view()),
            by_populated: vec![],
            by_segment: vec![],
            retention: None,
        };
        Ok((report, each.collect()))
    }
}

/// How one user is reproduced, on average over the states.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reproduction {
    agreement: f64,
    kl: f64,
    cosine: f64,
}

/// The groups of equal keys, in their order.
pub(crate) fn grouped<'a, K: Ord + ToString>(
    users: impl Iterator<Item = (K, &'a Reproduction)>,
) -> Vec<TransferGroup> {
    let mut groups: BTreeMap<K, Vec<&Reproduction>> = BTreeMap::new();
    users.for_each(|(key, user)| groups.entry(key).or_default().push(user));
    let group = |(key, users): (K, Vec<&Reproduction>)| {
        let of = |part: fn(&Reproduction) -> f64| mean(users.iter().map(|user| part(user)));
        TransferGroup {
            name: key.to_string(),
            users: users.len(),
            agreement: of(|user| user.agreement),
            kl: of(|user| user.kl),
            cosine: of(|user| user.cosine),
        }
    };
    groups.into_iter().map(group).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// Index of the largest value, the first of equals.
fn argmax<'a>(values: impl IntoIterator<Item = &'a f32>) -> usize {
    let best = values
        .into_iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (i, &value)| if value > best.1 { (i, value) } else { best });
    best.0
}

/// Per user 1 where the most probable values agree, else 0.
fn agreement(student: &Array2<f32>, encoder: &Array2<f32>) -> Vec<f64> {
    let pairs = student.outer_iter().zip(encoder.outer_iter());
    pairs.map(|(a, b)| f64::from(u8::from(argmax(a) == argmax(b)))).collect()
}

/// Per user `KL(student ‖ encoder)`, at least 0: rounded probabilities may give less. Those of the encoder are taken as at least 1e-12.
fn kl(student: &Array2<f32>, encoder: &Array2<f32>) -> Vec<f64> {
    let rows = student.outer_iter().zip(encoder.outer_iter());
    let divergence = rows.map(|(student, encoder)| {
        let terms = student.iter().zip(encoder).filter(|(p, _)| **p > 0.0);
        let sum: f64 =
            terms.map(|(&p, &q)| f64::from(p) * (f64::from(p).ln() - f64::from(q).max(1e-12).ln())).sum();
        sum.max(0.0)
    });
    divergence.collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum() };
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 1e-12 { dot(a, b) / norms } else { 0.0 }
}

/// Linear centred kernel alignment of two representations of the same users, `[n, p]` and `[n, q]`:
/// `‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖)` with centred columns and Frobenius norms. It does not change under rotation, common scale
/// and shift of either; 0 where either does not vary.
///
/// ```
/// use ndarray::array;
/// let x = array![[1.0f32, 0.0], [0.0, 1.0], [-1.0, 0.5]];
/// let rotated = array![[0.0f32, 3.0], [-3.0, 0.0], [-1.5, -3.0]];
/// let cka = scaletot_encoder::linear_cka(x.view(), rotated.view());
/// assert!((cka - 1.0).abs() < 1e-6);
/// ```
#[must_use]
pub fn linear_cka(x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> f64 {
    let centred = |m: ArrayView2<'_, f32>| {
        let m = m.mapv(f64::from);
        match m.mean_axis(Axis(0)) {
            Some(mean) => m - &mean,
            None => m,
        }
    };
    if x.nrows() != y.nrows() {
        return 0.0;
    }
    let (x, y) = (centred(x), centred(y));
    let squares = |m: Array2<f64>| m.iter().map(|v| v * v).sum::<f64>();
    let norms = (squares(x.t().dot(&x)) * squares(y.t().dot(&y))).sqrt();
    if norms > 1e-20 { squares(y.t().dot(&x)) / norms } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    fn student() -> Sample {
        let representation = array![[1.0, -0.5, -0.5, 2.0], [-1.0, 0.5, 0.5, -2.0]];
        Sample {
            marginals: vec![array![[0.8, 0.2], [0.3, 0.7]], array![[0.2, 0.3, 0.5], [0.6, 0.2, 0.2]]],
            representation: representation.clone(),
            projected: representation,
        }
    }

    #[test]
    fn a_perfect_copy_gets_full_marks() {
        let states = vec!["a".to_string(), "b".to_string()];
        let (report, _) = TransferReport::compare(states, &student(), &student()).unwrap();
        assert_eq!(report.users, 2);
        assert_eq!(report.agreement, [1.0, 1.0]);
        assert!(report.mean_kl() < 1e-7);
        assert!((report.cosine - 1.0).abs() < 1e-6);
        assert!((report.cka - 1.0).abs() < 1e-6);
    }

    #[test]
    fn measures_have_their_textbook_values() {
        let student = array![[0.5f32, 0.5], [1.0, 0.0]];
        let encoder = array![[0.25f32, 0.75], [0.5, 0.5]];
        // ½(½ ln 2 + ½ ln ⅔ + ln 2); ties agree with the first value.
        let expected = 0.5 * (0.5 * 2f64.ln() + 0.5 * (2f64 / 3.0).ln() + 2f64.ln());
        assert!((mean(kl(&student, &encoder).into_iter()) - expected).abs() < 1e-7);
        assert_eq!(agreement(&student, &encoder), [0.0, 1.0]);
        assert!((cosine(&[1.0, 0.0], &[1.0, 1.0]) - 0.5f64.sqrt()).abs() < 1e-9);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 1.0]), 0.0);
    }

    #[test]
    fn retention_is_the_share_of_the_gain() {
        let (report, _) = TransferReport::compare(vec![], &student(), &student()).unwrap();
        let kept = |a, b, c| report.clone().with_retention(a, b, c).retention;
        assert!((kept(0.2, 0.4, 0.35).unwrap() - 0.75).abs() < 1e-12);
        assert_eq!(kept(0.2, 0.4, 0.2), Some(0.0));
        assert!(kept(0.2, 0.4, 0.1).unwrap() < 0.0 && kept(0.2, 0.4, 0.5).unwrap() > 1.0);
        // Nothing to keep, or nothing known.
        assert_eq!([kept(0.4, 0.4, 0.5), kept(0.4, 0.3, 0.5)], [None, None]);
        assert_eq!([kept(0.4, f64::NAN, 0.5), kept(0.0, 1e-320, 1e300)], [None, None]);
        // A report that was written before there were groups.
        let mut old = serde_json::to_value(&report).unwrap();
        old.as_object_mut().unwrap().retain(|name, _| !name.starts_with("by_") && name != "retention");
        assert_eq!(serde_json::from_value::<TransferReport>(old).unwrap(), report);
    }

    #[test]
    fn unknown_keys_are_refused() {
        let states = vec!["a".to_string(), "b".to_string()];
        let (report, _) = TransferReport::compare(states, &student(), &student()).unwrap();
        let mut misspelt = serde_json::to_value(&report).unwrap();
        misspelt["retentoin"] = 0.9.into();
        let error = serde_json::from_value::<TransferReport>(misspelt).unwrap_err().to_string();
        assert!(error.contains("unknown field `retentoin`"), "{error}");
    }

    #[test]
    fn cka_of_what_does_not_vary_is_zero() {
        let constant = Array2::from_elem((5, 3), 2.0f32);
        let other = Array2::from_shape_fn((5, 2), |(i, j)| (i * i + j) as f32);
        assert_eq!(linear_cka(constant.view(), other.view()), 0.0);
    }

    proptest! {
        #[test]
        fn cka_is_symmetric_and_bounded(values in prop::collection::vec(-5f32..5.0, 30)) {
            let x = Array2::from_shape_vec((6, 2), values[..12].to_vec()).unwrap();
            let y = Array2::from_shape_vec((6, 3), values[12..].to_vec()).unwrap();
            let cka = linear_cka(x.view(), y.view());
            prop_assert!((-1e-9..=1.0 + 1e-9).contains(&cka));
            prop_assert!((cka - linear_cka(y.view(), x.view())).abs() < 1e-9);
            prop_assert!((linear_cka((x.clone() * 3.0 + 7.0).view(), y.view()) - cka).abs() < 1e-4);
        }
    }
}
