//! What can be known of users before the first question about them is asked, and would end a run or an evaluation after answers were paid for.

use scaletot_chain::ChainSchema;
use scaletot_ltv::{Representation, ValueModelConfig};
use scaletot_profile::Dataset;

use crate::error::{Result, ensure};
use crate::pipeline::{PipelineConfig, Split};

/// Fewer users with a known outcome than this, to train on or to test on, tell nothing.
pub(crate) const MIN_USERS: usize = 20;

/// Checks everything that a run needs of its users and that can be known before its first question, and splits them by the seed.
///
/// [`PipelineBuilder::build`](crate::PipelineBuilder::build) does it; a plan wants it without a teacher.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) as [`Split::new`]; [`Error::Profile`](crate::Error::Profile) for outcomes in a unit that serves nobody;
/// [`Error::Value`](crate::Error::Value) for profiles of more values than a regression takes.
pub fn preflight(
    dataset: &Dataset,
    chain: &ChainSchema,
    config: &PipelineConfig,
    seed: u64,
) -> Result<Split> {
    let split = Split::new(dataset, config, seed)?;
    dataset.check_unit()?;
    check_columns(dataset, chain, &config.value, &split.train, config.encoder.rep_dim)?;
    Ok(split)
}

/// Refuses known outcomes that are all the same: nobody is then worth more than anybody else. `who` names the users and `remedy` what helps.
pub(crate) fn check_differ(dataset: &Dataset, rows: &[usize], who: &str, remedy: &str) -> Result<()> {
    let mut known = rows.iter().filter_map(|&row| dataset.outcome(row));
    let first = known.next().unwrap_or_default();
    ensure!(
        known.any(|outcome| outcome != first),
        "the known outcomes of the users {who} must differ, and all of them are {first}; {remedy}"
    );
    Ok(())
}

/// Refuses profiles of more values than a regression takes on the labelled users among `rows`; `representation` is the width of what is read
/// of a representation.
pub(crate) fn check_columns(
    dataset: &Dataset,
    chain: &ChainSchema,
    config: &ValueModelConfig,
    rows: &[usize],
    representation: usize,
) -> Result<()> {
    let labelled: Vec<usize> = rows.iter().copied().filter(|&row| dataset.outcome(row).is_some()).collect();
    let marginals: usize = chain.states().iter().map(|state| state.values().len()).sum();
    let read = if config.representation == Representation::Ignored { 0 } else { representation };
    Ok(config.check_columns(dataset.table(), &labelled, marginals.saturating_add(read))?)
}
