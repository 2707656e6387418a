//! What the teacher's work on one user leaves behind: verdict, chains, posterior, cost.

use scaletot_core::text::printable;
use scaletot_profile::UserId;
use serde::{Deserialize, Serialize};

use crate::check;
use crate::error::{Error, Result};
use crate::{Chain, ChainSchema, Reason, SearchCost, Verdict};

/// Everything the search found out about one user: a line of the corpus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RecordLine", into = "RecordLine")]
#[non_exhaustive]
pub struct ChainRecord {
    /// The user, under the id it came with.
    pub user: UserId,
    /// What became of the user.
    pub verdict: Verdict,
    /// The best chain, if there is one; always there when accepted.
    pub best: Option<Chain>,
    /// Further chains that were kept, best first.
    pub runners_up: Vec<Chain>,
    /// For each state the probability of each of its values over all scored chains, or over all legal ones as far as they are known; empty
    /// if no chain was found.
    pub posterior: Vec<Vec<f64>>,
    /// For each state how far its posterior is from known, in `[0, 1]`: the width of the widest interval around one of its probabilities.
    /// Empty where the posterior is not of all chains but of the scored ones.
    pub posterior_width: Vec<f64>,
    /// For each state the normalised entropy in the first draft, before refinement; empty if there was no draft.
    pub entropy_before: Vec<f64>,
    /// What the search used.
    pub cost: SearchCost,
}

/// A record as it stands in a corpus: the verdict and its reason are keys of their own.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine {
    user: UserId,
    verdict: VerdictName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(default)]
    best: Option<Chain>,
    #[serde(default)]
    runners_up: Vec<Chain>,
    #[serde(default)]
    posterior: Vec<Vec<f64>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    posterior_width: Vec<f64>,
    #[serde(default)]
    entropy_before: Vec<f64>,
    #[serde(default)]
    cost: SearchCost,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum VerdictName {
    Accepted,
    Rejected,
    Abstained,
    Failed,
}

impl TryFrom<RecordLine> for ChainRecord {
    type Error = Error;

    fn try_from(line: RecordLine) -> Result<Self> {
        let verdict = match (line.verdict, line.reason) {
            (VerdictName::Accepted, None) => Verdict::Accepted,
            (VerdictName::Rejected, Some(reason)) => Verdict::Rejected { reason },
            (VerdictName::Abstained, Some(reason)) => Verdict::Abstained { reason },
            (VerdictName::Failed, Some(reason)) => Verdict::Failed { reason },
            (VerdictName::Accepted, Some(_)) => {
                return Err(Error::VerdictReason {
                    expected: "none, as the verdict is accepted",
                    found: "one",
                });
            }
            (_, None) => {
                return Err(Error::VerdictReason {
                    expected: "one, as the verdict is not accepted",
                    found: "none",
                });
            }
        };
        let RecordLine { user, best, runners_up, posterior, posterior_width, entropy_before, cost, .. } =
            line;
        Ok(Self { user, verdict, best, runners_up, posterior, posterior_width, entropy_before, cost })
    }
}

impl From<ChainRecord> for RecordLine {
    fn from(record: ChainRecord) -> Self {
        let ChainRecord { user, verdict, best, runners_up, posterior, posterior_width, entropy_before, cost } =
            record;
        let (verdict, reason) = match verdict {
            Verdict::Accepted => (VerdictName::Accepted, None),
            Verdict::Rejected { reason } => (VerdictName::Rejected, Some(reason)),
            Verdict::Abstained { reason } => (VerdictName::Abstained, Some(reason)),
            Verdict::Failed { reason } => (VerdictName::Failed, Some(reason)),
        };
        Self { user, verdict, reason, best, runners_up, posterior, posterior_width, entropy_before, cost }
    }
}

impl ChainRecord {
    /// A record with a verdict and nothing else; set the fields for the rest.
    ///
    /// ```
    /// use scaletot_chain::{ChainRecord, Reason, Verdict};
    /// use scaletot_profile::UserId;
    ///
    /// let reason = Reason::TooFewFields { populated: 0, required: 2 };
    /// let record = ChainRecord::new(UserId::Int(7), Verdict::Abstained { reason });
    /// assert!(!record.verdict.is_accepted() && record.best.is_none());
    /// ```
    pub fn new(user: UserId, verdict: Verdict) -> Self {
        Self {
            user,
            verdict,
            best: None,
            runners_up: Vec::new(),
            posterior: Vec::new(),
            posterior_width: Vec::new(),
            entropy_before: Vec::new(),
            cost: SearchCost::default(),
        }
    }

    /// Sets [`best`](Self::best).
    #[must_use]
    pub fn with_best(mut self, best: Option<Chain>) -> Self {
        self.best = best;
        self
    }

    /// Sets [`runners_up`](Self::runners_up).
    #[must_use]
    pub fn with_runners_up(mut self, runners_up: Vec<Chain>) -> Self {
        self.runners_up = runners_up;
        self
    }

    /// Sets [`posterior`](Self::posterior).
    #[must_use]
    pub fn with_posterior(mut self, posterior: Vec<Vec<f64>>) -> Self {
        self.posterior = posterior;
        self
    }

    /// Sets [`posterior_width`](Self::posterior_width).
    #[must_use]
    pub fn with_posterior_width(mut self, posterior_width: Vec<f64>) -> Self {
        self.posterior_width = posterior_width;
        self
    }

    /// Sets [`entropy_before`](Self::entropy_before).
    #[must_use]
    pub fn with_entropy_before(mut self, entropy_before: Vec<f64>) -> Self {
        self.entropy_before = entropy_before;
        self
    }

    /// Sets [`cost`](Self::cost).
    #[must_use]
    pub fn with_cost(mut self, cost: SearchCost) -> Self {
        self.cost = cost;
        self
    }

    /// All chains of the record: the best first, then the runners-up.
    pub fn chains(&self) -> impl Iterator<Item = &Chain> {
        self.best.iter().chain(&self.runners_up)
    }

    /// Checks the record against `schema`: every chain as [`Chain::check`] does, the posterior over every domain, and
    /// what [`check_numbers`](Self::check_numbers) checks.
    ///
    /// # Errors
    /// The first thing that does not hold, inside [`Error::InRecord`].
    pub fn check(&self, schema: &ChainSchema) -> Result<()> {
        let fits = || {
            self.chains().try_for_each(|c| c.check(schema))?;
            if !self.posterior.is_empty() {
                expect_length("posterior", schema.len(), self.posterior.len())?;
                for (state, p) in schema.states().iter().zip(&self.posterior) {
                    expect_length(
                        &format!("posterior of state `{}`", state.name()),
                        state.values().len(),
                        p.len(),
                    )?;
                }
            }
            if !self.posterior_width.is_empty() {
                expect_length("width of the posterior", self.posterior.len(), self.posterior_width.len())?;
            }
            if !self.entropy_before.is_empty() {
                expect_length("entropy before refinement", schema.len(), self.entropy_before.len())?;
            }
            Ok(())
        };
        fits().map_err(|e| self.locate(e))?;
        self.check_numbers()
    }

    /// Checks what needs no schema: an accepted record has a best chain, posteriors are distributions, entropies lie in
    /// `[0, 1]`, scores are finite. What a corpus cannot hold, JSON having no NaN, it finds too.
    ///
    /// # Errors
    /// The first thing that does not hold, inside [`Error::InRecord`].
    pub fn check_numbers(&self) -> Result<()> {
        let check = || {
            if self.verdict.is_accepted() && self.best.is_none() {
                return Err(Error::AcceptedWithoutChain);
            }
            if let Some(Reason::LowScore { score, bar }) = self.verdict.reason() {
                check::finite(|| "score of the verdict".to_owned(), *score)?;
                check::finite(|| "bar of the verdict".to_owned(), *bar)?;
            }
            for (k, p) in self.posterior.iter().enumerate() {
                check::distribution(|| format!("posterior of state #{}", k + 1), p)?;
            }
            for (k, &width) in self.posterior_width.iter().enumerate() {
                check::unit(|| format!("width of the posterior of state #{}", k + 1), width)?;
            }
            for (k, &h) in self.entropy_before.iter().enumerate() {
                check::unit(|| format!("entropy before refinement of state #{}", k + 1), h)?;
            }
            Ok(())
        };
        check().map_err(|e| self.locate(e))
    }

    fn locate(&self, error: Error) -> Error {
        Error::InRecord { user: shown(&self.user), source: Box::new(error) }
    }
}

/// A user's id for a message; ids of files can be of any length.
pub(crate) fn shown(user: &UserId) -> String {
    const SHOWN: usize = 80;
    printable(&user.to_string(), SHOWN)
}

fn expect_length(what: &str, expected: usize, found: usize) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::WrongLength { what: what.to_owned(), expected, found })
}
