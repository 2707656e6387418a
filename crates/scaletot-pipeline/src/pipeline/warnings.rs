//! What a run did that is worth less than it seems.

use scaletot_chain::{ChainRecord, ChainSchema};

use super::record::StageReport;

/// A mean normalised entropy above this is that of answers which prefer nothing.
const UNIFORM: f64 = 0.99;

/// Answers that differ by less are the same.
const SAME: f64 = 1e-6;

/// States about which the teacher preferred no value, and others about which it said the same of every user.
pub(crate) fn of_answers(records: &[ChainRecord], chain: &ChainSchema) -> Vec<String> {
    let (uniform, told): (Vec<usize>, Vec<usize>) =
        (0..chain.len()).partition(|&state| is_uniform(records, state));
    let same: Vec<usize> = told.into_iter().filter(|&state| is_same(records, state)).collect();
    let warning = |(states, what): (Vec<usize>, &str)| {
        let names: Vec<String> =
            states.iter().map(|&state| format!("`{}`", chain.states()[state].name())).collect();
        (!names.is_empty()).then(|| {
            format!(
                "the teacher's answers about {} {what}, so that nothing is learned of it: fill in the blanks of the rules, or give the \
                 chain schema other words",
                names.join(", ")
            )
        })
    };
    let found = [(uniform, "prefer no value"), (same, "are the same for every user")];
    found.into_iter().filter_map(warning).collect()
}

/// Whether the first answers about a state are uniform, on average.
fn is_uniform(records: &[ChainRecord], state: usize) -> bool {
    let entropies: Vec<f64> =
        records.iter().filter_map(|record| record.entropy_before.get(state).copied()).collect();
    !entropies.is_empty() && entropies.iter().sum::<f64>() > UNIFORM * entropies.len() as f64
}

/// Whether several users all have one distribution of a state.
fn is_same(records: &[ChainRecord], state: usize) -> bool {
    let mut of_users = records.iter().filter_map(|record| record.posterior.get(state));
    let Some(first) = of_users.next() else { return false };
    let near = |other: &Vec<f64>| first.iter().zip(other).all(|(a, b)| (a - b).abs() < SAME);
    records.len() > 1 && of_users.all(near)
}

/// That OSIPO had nobody to train on.
pub(super) fn of_osipo(report: &StageReport) -> Option<String> {
    let why = "OSIPO had nobody to train on, no reasoned user with a known outcome and two chains that it tells apart: the student is that \
               of SFT; know more outcomes, or cover more users";
    (report.users == 0).then(|| why.to_owned())
}

#[cfg(test)]
mod tests {
    use scaletot_chain::{StateDef, Verdict};

    use super::*;

    #[test]
    fn answers_that_tell_nobody_apart_are_named() {
        let levels = ["low", "high"];
        let chain = ChainSchema::builder("shop")
            .with_state(StateDef::ordinal("blank", levels))
            .with_state(StateDef::ordinal("capacity", levels))
            .with_state(StateDef::ordinal("spend", levels))
            .build()
            .unwrap();
        let record = |user: i64, spend: f64| {
            ChainRecord::new(user.into(), Verdict::Accepted)
                .with_posterior(vec![vec![0.5, 0.5], vec![0.2, 0.8], vec![spend, 1.0 - spend]])
                .with_entropy_before(vec![1.0, 0.7, 0.6])
        };
        let warnings = of_answers(&[record(1, 0.3), record(2, 0.4)], &chain);
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].contains("`blank` prefer no value"), "{warnings:?}");
        assert!(warnings[1].contains("`capacity` are the same"), "{warnings:?}");
        assert!(of_answers(&[record(1, 0.3)], &chain)[0].contains("`blank`"));
        assert!(of_answers(&[], &chain).is_empty());
    }
}
