//! A gate between training and serving: an encoder that does not reproduce its student well enough is not served by mistake.
//!
//! The artifact of an encoder that fails is still written, for it is what one needs to find out why, but it carries that with it, and
//! [`FrozenEncoder::load`](crate::FrozenEncoder::load) refuses it. Which limits are right depends on the data and on what the student is
//! worth; there are no defaults. The gate is this project's own.

use scaletot_core::config::check;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::transfer::TransferReport;

/// What a [`TransferReport`] has to show; `None` asks for nothing.
///
/// ```
/// use scaletot_encoder::TransferGate;
///
/// let mut gate = TransferGate::default();
/// gate.min_agreement = Some(0.8);
/// assert!(gate.validate().is_ok());
/// gate.min_agreement = Some(80.0);
/// assert!(gate.validate().unwrap_err().to_string().contains("min_agreement"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TransferGate {
    /// Least [mean agreement](TransferReport::mean_agreement), in `[0, 1]`.
    pub min_agreement: Option<f64>,
    /// Largest [mean KL divergence](TransferReport::mean_kl) in nats, at least 0.
    pub max_kl: Option<f64>,
    /// Least [cosine](TransferReport::cosine), in `[−1, 1]`.
    pub min_cosine: Option<f64>,
    /// Least [agreement](crate::TransferGroup::agreement) of every group of at least [`min_group`](Self::min_group) users, by populated
    /// fields and by segment, in `[0, 1]`.
    pub min_group_agreement: Option<f64>,
    /// Users that a group needs for `min_group_agreement`: the share of a handful is chance.
    pub min_group: usize,
    /// Least [retention](TransferReport::with_retention), in `[0, 1]`. A report without one fails.
    pub min_retention: Option<f64>,
    /// Largest [share of users abstained on](TransferReport::abstained_share), in `[0, 1]`: all other limits are about those who are left.
    pub max_abstained: Option<f64>,
}

/// Whether an encoder may serve.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Readiness {
    /// No gate was asked, as for every artifact from before there were any.
    #[default]
    Unchecked,
    /// It passed its gate.
    Ready,
    /// It did not.
    NotReady {
        /// Why, in words, at least one.
        reasons: Vec<String>,
    },
}

impl TransferGate {
    /// Checks every limit.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) naming the first one that is out of its range.
    pub fn validate(&self) -> Result<()> {
        let limits = [
            ("min_agreement", self.min_agreement, 0.0..=1.0, "in [0, 1]"),
            ("max_kl", self.max_kl, 0.0..=f64::MAX, "a finite number of at least 0"),
            ("min_cosine", self.min_cosine, -1.0..=1.0, "in [-1, 1]"),
            ("min_group_agreement", self.min_group_agreement, 0.0..=1.0, "in [0, 1]"),
            ("min_retention", self.min_retention, 0.0..=1.0, "in [0, 1]"),
            ("max_abstained", self.max_abstained, 0.0..=1.0, "in [0, 1]"),
        ];
        for (field, limit, range, expected) in limits {
            if let Some(limit) = limit {
                check(range.contains(&limit), field, expected, limit)?;
            }
        }
        Ok(())
    }

    /// Holds a report against the limits. A gate without any leaves it [`Unchecked`](Readiness::Unchecked).
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn check(&self, report: &TransferReport) -> Result<Readiness> {
        self.validate()?;
        let least = [
            ("mean agreement", Some(report.mean_agreement()), self.min_agreement),
            ("cosine", Some(report.cosine), self.min_cosine),
            ("retention", report.retention, self.min_retention),
        ];
        let mut reasons = vec![];
        for (what, found, limit) in least {
            reasons.extend(limit.and_then(|limit| under(what, found, limit)));
        }
        let kl = report.mean_kl();
        // A range holds no NaN.
        if let Some(limit) = self.max_kl.filter(|limit| !(0.0..=*limit).contains(&kl)) {
            reasons.push(format!("mean KL {kl:.4} nats, at most {limit} was asked for"));
        }
        let abstained = report.abstained_share();
        if let Some(limit) = self.max_abstained.filter(|limit| abstained > *limit) {
            reasons
                .push(format!("share of users abstained on {abstained:.4}, at most {limit} was asked for"));
        }
        if let Some(limit) = self.min_group_agreement {
            for (kind, groups) in
                [("populated fields", &report.by_populated), ("segment", &report.by_segment)]
            {
                for group in groups.iter().filter(|group| group.users >= self.min_group) {
                    let what = format!("agreement of {kind} `{}` ({} users)", group.name, group.users);
                    reasons.extend(under(&what, Some(group.agreement), limit));
                }
            }
        }
        let least = [self.min_agreement, self.min_cosine, self.min_group_agreement, self.min_retention];
        let mut asked = least.into_iter().chain([self.max_kl, self.max_abstained]);
        Ok(match (reasons.is_empty(), asked.any(|limit| limit.is_some())) {
            (true, false) => Readiness::Unchecked,
            (true, true) => Readiness::Ready,
            (false, _) => Readiness::NotReady { reasons },
        })
    }
}

/// The reason why a figure is not at least `limit`, if it is not.
fn under(what: &str, found: Option<f64>, limit: f64) -> Option<String> {
    let asked = format!("at least {limit} was asked for");
    match found {
        None => Some(format!("{what} is not known, {asked}")),
        Some(found) if found >= limit => None,
        Some(found) => Some(format!("{what} {found:.4}, {asked}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn report(agreement: f64, kl: f64) -> TransferReport {
        let group = |name: &str, users: usize, agreement: f64| {
            serde_json::json!({
                "name": name, "users": users, "agreement": agreement, "kl": kl, "cosine": 0.5,
            })
        };
        serde_json::from_value(serde_json::json!({
            "users": 100, "abstained": 100, "states": ["need"], "agreement": [agreement], "kl": [kl], "cosine": 0.5, "cka": 0.5,
            "by_populated": [group("1", 5, 0.1), group("2", 95, agreement)],
        }))
        .unwrap()
    }

    fn reasons(gate: &TransferGate, report: &TransferReport) -> Vec<String> {
        match gate.check(report).unwrap() {
            Readiness::NotReady { reasons } => reasons,
            Readiness::Ready => vec![],
            Readiness::Unchecked => panic!("{gate:?} asks for nothing"),
        }
    }

    #[test]
    fn every_limit_that_is_missed_is_said_in_words() {
        let gate = TransferGate {
            min_agreement: Some(0.8),
            max_kl: Some(0.1),
            min_cosine: Some(0.75),
            min_group_agreement: Some(0.5),
            min_group: 20,
            min_retention: Some(0.5),
            max_abstained: Some(0.25),
        };
        let found = reasons(&gate, &report(0.62, 0.25));
        assert_eq!(
            found,
            [
                "mean agreement 0.6200, at least 0.8 was asked for",
                "cosine 0.5000, at least 0.75 was asked for",
                "retention is not known, at least 0.5 was asked for",
                "mean KL 0.2500 nats, at most 0.1 was asked for",
                "share of users abstained on 0.5000, at most 0.25 was asked for",
            ],
            "the group of five users is left to chance"
        );
        let gate = TransferGate {
            min_group: 5,
            min_agreement: None,
            min_cosine: None,
            max_abstained: Some(0.5),
            ..gate
        };
        let found = reasons(&gate, &report(0.62, 0.05).with_retention(0.0, 1.0, 0.5));
        assert_eq!(found, ["agreement of populated fields `1` (5 users) 0.1000, at least 0.5 was asked for"]);
    }

    #[test]
    fn nothing_asked_is_nothing_checked() {
        assert_eq!(TransferGate::default().check(&report(0.0, 9.0)).unwrap(), Readiness::Unchecked);
        let gate = TransferGate { max_kl: Some(f64::NAN), ..TransferGate::default() };
        assert!(gate.check(&report(1.0, 0.0)).unwrap_err().to_string().contains("max_kl"));
    }

    proptest! {
        #[test]
        fn a_limit_is_met_from_the_limit_on(found in 0.0f64..=1.0, limit in 0.0f64..=1.0) {
            let gate = TransferGate { min_agreement: Some(limit), ..TransferGate::default() };
            prop_assert_eq!(reasons(&gate, &report(found, 0.0)).is_empty(), found >= limit);
            prop_assert!(reasons(&gate, &report(limit, 0.0)).is_empty());
            let gate = TransferGate { max_kl: Some(limit), ..TransferGate::default() };
            prop_assert_eq!(reasons(&gate, &report(0.0, found)).is_empty(), found <= limit);
            // What is not a number meets nothing.
            let mut broken = report(0.0, 0.0);
            broken.kl = vec![f64::NAN];
            prop_assert_eq!(reasons(&gate, &broken).len(), 1);
        }
    }
}
