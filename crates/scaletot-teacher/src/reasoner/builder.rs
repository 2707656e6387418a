//! What a reasoner is made of, checked before it works.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use scaletot_chain::ChainSchema;
use scaletot_core::config::ConfigError;
use scaletot_search::{Budget, RefineConfig, Strategy};

use super::Reasoner;
use crate::cached::Cached;
use crate::calibration::Calibration;
use crate::error::Result;
use crate::problem::ChainProblem;
use crate::prompter::Prompter;
use crate::teacher::Teacher;

/// Sets up a [`Reasoner`]; [`build`](Self::build) checks everything.
pub struct ReasonerBuilder<'t> {
    teacher: Box<dyn Teacher + 't>,
    prompter: Prompter,
    strategy: Strategy,
    budget: Budget,
    calibration: Option<Calibration>,
    min_populated: usize,
    score_bar: Option<f64>,
    cache_capacity: usize,
    user_deadline: Option<Duration>,
    max_failed_share: f64,
}

impl<'t> ReasonerBuilder<'t> {
    /// The largest share of users who may fail, unless set otherwise: a twentieth, as single faults of a server make, and far from a
    /// corpus of those alone about whom a sick one happened to answer.
    pub const MAX_FAILED_SHARE: f64 = 0.05;

    pub(super) fn new(teacher: Box<dyn Teacher + 't>, prompter: Prompter) -> Self {
        Self {
            teacher,
            prompter,
            strategy: Strategy::Refine(RefineConfig::default()),
            budget: Budget::default(),
            calibration: None,
            min_populated: 1,
            score_bar: None,
            cache_capacity: Cached::<&dyn Teacher>::CAPACITY,
            user_deadline: None,
            max_failed_share: Self::MAX_FAILED_SHARE,
        }
    }

    /// Sets how to search; by default [`Strategy::Refine`] with its defaults. With [`Strategy::Marginal`] the posterior of a record is the
    /// teacher's marginal over all legal chains, as far as the budget bought it, and has its
    /// [widths](scaletot_chain::ChainRecord::posterior_width).
    #[must_use]
    pub fn with_strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Sets hard bounds per user; none by default. A tick is a millisecond of wall time: a bound on ticks makes results
    /// depend on the machine's speed, the other bounds do not.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Sets the calibration; by default none, that is [`Calibration::identity`].
    #[must_use]
    pub fn with_calibration(mut self, calibration: Calibration) -> Self {
        self.calibration = Some(calibration);
        self
    }

    /// Sets the least number of populated fields; users with fewer are abstained on. 1 by default.
    #[must_use]
    pub fn with_min_populated(mut self, fields: usize) -> Self {
        self.min_populated = fields;
        self
    }

    /// Sets the score under which chains are rejected; by default there is no bar. The score is the search's `J`: without
    /// self-evaluation `(1/K) Σ_k ln q_k(v_k) − λ (1/K) Σ_k h_k`, at most 0; λ is the strategy's, 0 where it has none.
    #[must_use]
    pub fn with_score_bar(mut self, bar: f64) -> Self {
        self.score_bar = Some(bar);
        self
    }

    /// Sets how many answers are kept in memory; [`Cached::CAPACITY`] by default.
    #[must_use]
    pub fn with_cache_capacity(mut self, answers: usize) -> Self {
        self.cache_capacity = answers;
        self
    }

    /// Sets the longest wall time for one user, waits and further attempts included; none by default. It is looked at before each wave of
    /// questions; a request to a server is broken off by it, and nothing is asked again after it, while a model in this process
    /// finishes the wave that it is at. A user who is not done by then [failed](scaletot_chain::Verdict::Failed), and is asked about again by a run that
    /// [resumes without the failed](scaletot_chain::CorpusWriter::resume_without_failed). A budget of
    /// [ticks](Budget) ends the search with what it has instead, but looks at the time between answers only.
    #[must_use]
    pub fn with_user_deadline(mut self, limit: Duration) -> Self {
        self.user_deadline = Some(limit);
        self
    }

    /// Sets the largest share of the users of a [`run`](Reasoner::run) who may fail, in `[0, 1]`;
    /// [`MAX_FAILED_SHARE`](Self::MAX_FAILED_SHARE) by default. Beyond it the run is an error, so that nobody trains on what is left of a
    /// population by accident.
    #[must_use]
    pub fn with_max_failed_share(mut self, share: f64) -> Self {
        self.max_failed_share = share;
        self
    }

    /// Checks the config.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) if the score bar is not a number, the share that may fail is none, or the calibration is for another chain schema or model;
    /// [`Error::Search`](crate::Error::Search) if the strategy or the budget is out of its range.
    pub fn build(self) -> Result<Reasoner<'t>> {
        if self.score_bar.is_some_and(|bar| !bar.is_finite()) {
            let found = self.score_bar.unwrap_or_default();
            return Err(ConfigError::new("score_bar", "a finite number", found).into());
        }
        if !(0.0..=1.0).contains(&self.max_failed_share) {
            let found = self.max_failed_share;
            return Err(ConfigError::new("max_failed_share", "a number in [0, 1]", found).into());
        }
        self.strategy.validate()?;
        self.budget.validate()?;
        let chain = self.prompter.chain();
        let calibration = match self.calibration {
            Some(calibration) => calibration,
            None => Calibration::identity(self.teacher.model(), chain),
        };
        check_calibration(&calibration, self.teacher.model(), chain)?;
        let problem = ChainProblem::new(Arc::clone(chain));
        let problem = match self.strategy {
            Strategy::Marginal(_) => problem.joined(),
            _ => problem,
        };
        Ok(Reasoner {
            teacher: Cached::with_capacity(self.teacher, self.cache_capacity),
            prompter: self.prompter,
            strategy: self.strategy,
            problem,
            budget: self.budget,
            calibration,
            min_populated: self.min_populated,
            score_bar: self.score_bar,
            user_deadline: self.user_deadline,
            max_failed_share: self.max_failed_share,
            asks: OnceLock::new(),
        })
    }
}

pub(super) fn check_calibration(calibration: &Calibration, model: &str, chain: &ChainSchema) -> Result<()> {
    calibration.check(chain)?;
    if calibration.model() != model {
        let found = format!("`{}`", calibration.model());
        return Err(ConfigError::new("calibration", format!("priors of model `{model}`"), found).into());
    }
    Ok(())
}

impl fmt::Debug for ReasonerBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReasonerBuilder")
            .field("teacher", &self.teacher.model())
            .field("strategy", &self.strategy)
            .field("budget", &self.budget)
            .field("calibration", &self.calibration)
            .field("min_populated", &self.min_populated)
            .field("score_bar", &self.score_bar)
            .field("user_deadline", &self.user_deadline)
            .field("max_failed_share", &self.max_failed_share)
            .finish_non_exhaustive()
    }
}
