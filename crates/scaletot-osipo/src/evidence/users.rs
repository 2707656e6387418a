//! The labelled users: their outcomes, and what a policy says of their chains, a row at a time.

use crate::error::check_segments;
use crate::evidence::ChainSet;
use crate::reward::check_outcomes;
use crate::{Error, Result};

/// What came of a user, and who the user is compared with. Closed on purpose: callers build one per user.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Label {
    /// The realised outcome, finite and at least 0.
    pub outcome: f64,
    /// The user segment.
    pub segment: usize,
}

/// What a policy says of one user's chains. Closed on purpose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChainRow<'a> {
    /// The user's chains as indices into the [`ChainSet`], each once; `None` for all of it in its order.
    pub chains: Option<&'a [usize]>,
    /// `ln π(c|x)` of these chains; −∞ for what cannot be. Candidates that were sampled from `μ` have `ln π − ln μ`, the logarithm of
    /// their importance weight. They are normalised over the row: exactly nothing where all legal chains are there,
    /// self-normalised importance weights where they are not.
    pub log_probs: &'a [f32],
}

/// What is called for every user: its index and its row.
pub type Visit<'a> = dyn FnMut(usize, ChainRow<'_>) -> Result<()> + 'a;

/// Labelled users and a policy's log-probabilities of their chains.
///
/// `[users, chains]` is large (100,000 users with 1,024 chains are 400 MB in f32), so it need not be in memory: rows are asked for in
/// passes, and an implementation computes them in blocks as it goes, or reads them from a file. [`PolicyTable`] is the one in memory.
pub trait LabelledUsers {
    /// What can go wrong.
    type Error: From<Error>;

    /// The users' labels.
    fn labels(&self) -> &[Label];

    /// Calls `visit` for every user in the order of [`labels`](Self::labels), and the same rows in every pass.
    ///
    /// # Errors
    /// The first of `visit`, or of making a row.
    fn for_each(&self, visit: &mut Visit<'_>) -> Result<(), Self::Error>;
}

/// Labelled users and their rows in memory.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PolicyTable {
    labels: Vec<Label>,
    chains: Vec<Option<Vec<usize>>>,
    log_probs: Vec<Vec<f32>>,
}

impl PolicyTable {
    /// Adds a user.
    pub fn push(&mut self, label: Label, row: ChainRow<'_>) {
        self.labels.push(label);
        self.chains.push(row.chains.map(<[usize]>::to_vec));
        self.log_probs.push(row.log_probs.to_vec());
    }
}

impl LabelledUsers for PolicyTable {
    type Error = Error;

    fn labels(&self) -> &[Label] {
        &self.labels
    }

    fn for_each(&self, visit: &mut Visit<'_>) -> Result<()> {
        for (user, (chains, log_probs)) in self.chains.iter().zip(&self.log_probs).enumerate() {
            visit(user, ChainRow { chains: chains.as_deref(), log_probs })?;
        }
        Ok(())
    }
}

/// A row that was checked: chains, and log-probabilities that sum to 1.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) chains: &'a [usize],
    pub(crate) log_probs: &'a [f64],
}

/// Labels that can be used, of one user at least.
pub(crate) fn check_labels(what: &'static str, labels: &[Label]) -> Result<()> {
    if labels.is_empty() {
        return Err(Error::NoLabelled { what, rows: 0 });
    }
    check_outcomes(labels.iter().map(|label| Some(label.outcome)))?;
    check_segments(labels.iter().map(|label| label.segment))
}

/// One pass over users whose labels were checked. Each row is checked and normalised; users that come twice, not at all or in
/// another order are an error.
pub(crate) fn pass<U: LabelledUsers + ?Sized>(
    chains: &ChainSet,
    users: &U,
    visit: &mut dyn FnMut(usize, Label, Row<'_>) -> Result<()>,
) -> Result<(), U::Error> {
    let labels = users.labels();
    let all: Vec<usize> = (0..chains.len()).collect();
    let mut log_probs = Vec::with_capacity(chains.len());
    let mut next = 0;
    let mut seen = vec![usize::MAX; chains.len()];
    users.for_each(&mut |user, row| {
        let label = labels.get(user).filter(|_| user == next).ok_or_else(|| Error::Shape {
            what: "users of a pass",
            expected: format!("user {next} of {}", labels.len()),
            found: format!("user {user}"),
        })?;
        let of = row.chains.unwrap_or(&all);
        if of.len() != row.log_probs.len() || of.is_empty() {
            let expected = format!("{} log-probabilities of user {user}, and at least one", of.len());
            let found = row.log_probs.len().to_string();
            return Err(Error::Shape { what: "row of a user", expected, found });
        }
        for &index in of {
            let bound = chains.len();
            let seen =
                seen.get_mut(index).ok_or(Error::OutOfRange { what: "chain", row: user, index, bound })?;
            if *seen == user {
                return Err(Error::RepeatedChain { chain: index });
            }
            *seen = user;
        }
        log_probs.clear();
        log_probs.extend(row.log_probs.iter().map(|&p| f64::from(p)));
        super::normalise(user, &mut log_probs)?;
        visit(user, *label, Row { chains: of, log_probs: &log_probs })?;
        next += 1;
        Ok(())
    })?;
    if next != labels.len() {
        let (expected, found) = (format!("all {}", labels.len()), next.to_string());
        return Err(Error::Shape { what: "users of a pass", expected, found }.into());
    }
    Ok(())
}
