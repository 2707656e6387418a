//! Whether an answer may be taken: what a model or a server answers is input, and is checked before anything is counted.

use std::collections::HashSet;

use crate::error::shown;

use crate::{Answer, Budget, EntropyEstimator, EntropyInput, Error, Query, QueryId, Result};

/// Checks that an answer fits its query and is well formed.
pub(crate) fn check<T: Eq + std::hash::Hash + std::fmt::Debug>(
    id: QueryId,
    query: &Query<T>,
    answer: &Answer<T>,
    budget: &Budget,
) -> Result<()> {
    if let Some(bound) = budget.max_tokens_per_query
        && answer.tokens() > bound
    {
        return Err(Error::TooManyTokens { id, tokens: answer.tokens(), bound });
    }
    match (query, answer) {
        (_, Answer::Failed { .. }) => Ok(()),
        (Query::Evaluate { .. }, Answer::Value { value, .. }) => {
            if (0.0..=1.0).contains(value) {
                Ok(())
            } else {
                Err(Error::BadValue { id, value: *value })
            }
        }
        (Query::Propose { .. }, Answer::Proposals(proposals)) => {
            let (items, covered) = (proposals.items(), proposals.covered());
            check_items(id, items)?;
            // Sums of probabilities overshoot 1 by rounding; that much is forgiven.
            if !(0.0..=1.0 + 1e-6).contains(&covered) {
                return Err(Error::BadCovered { id, covered });
            }
            check_entropy(id, proposals.entropy(), items.is_empty())
        }
        (Query::Vote { paths }, Answer::Votes { shares, .. }) => {
            let total: f64 = shares.iter().sum();
            let usable = shares.iter().all(|share| share.is_finite() && *share >= 0.0);
            if shares.len() == paths.len() && usable && total > 0.0 && total.is_finite() {
                Ok(())
            } else {
                Err(Error::BadVotes { id, paths: paths.len(), shares: shares.clone() })
            }
        }
        _ => Err(Error::WrongKind { id, expected: query.expects(), found: answer.kind() }),
    }
}

fn check_entropy(id: QueryId, entropy: EntropyInput, empty: bool) -> Result<()> {
    let bad = |expected, found: f64| Err(Error::BadEntropy { id, expected, found });
    match entropy {
        EntropyInput::Given(h) if !(0.0..=1.0).contains(&h) => bad("a normalised entropy in [0, 1]", h),
        EntropyInput::Sampled { samples: 0, .. } if !empty => bad("proposals from at least 1 sample", 0.0),
        EntropyInput::Sampled { estimator: EntropyEstimator::Dirichlet { concentration }, .. }
            if !(concentration > 0.0 && concentration <= 1e6) =>
        {
            bad("a Dirichlet concentration in (0, 1e6]", concentration)
        }
        EntropyInput::Partial { mass, .. } if !(mass.is_finite() && mass >= 0.0) => {
            bad("a finite missing mass of at least 0", mass)
        }
        _ => Ok(()),
    }
}

fn check_items<T: Eq + std::hash::Hash + std::fmt::Debug>(id: QueryId, items: &[(T, f64)]) -> Result<()> {
    let mut seen = HashSet::with_capacity(items.len());
    for (index, (thought, mass)) in items.iter().enumerate() {
        if !mass.is_finite() || *mass < 0.0 {
            return Err(Error::BadMass { id, index, thought: shown(thought), mass: *mass });
        }
        if !seen.insert(thought) {
            return Err(Error::RepeatedThought { id, index, thought: shown(thought) });
        }
    }
    let total: f64 = items.iter().map(|(_, m)| m).sum();
    if items.is_empty() || (total > 0.0 && total.is_finite()) {
        Ok(())
    } else {
        Err(Error::BadTotal { id, items: items.len(), total })
    }
}
