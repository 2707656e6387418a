//! Reasons about users: asks a teacher under the search's guidance, calibrates, and writes down the chain.

pub(crate) mod asks;
mod builder;
mod calibrate;
mod guard;
mod mass;
mod preview;
mod rationale;
mod record;
mod run;
mod tally;
mod user;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use scaletot_chain::{ChainSchema, CorpusHeader};
use scaletot_core::config::ConfigError;
use scaletot_profile::ProfileTable;
use scaletot_search::{Budget, Strategy};

use crate::cached::Cached;
use crate::calibration::Calibration;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::problem::ChainProblem;
use crate::prompter::{PROMPT_FORMAT, Prompter};
use crate::teacher::Teacher;

pub use builder::ReasonerBuilder;
pub use preview::{Preview, PromptCount, PromptPreview};
pub use run::RunSummary;
pub use tally::FailureCount;

use asks::Ask;

/// Turns profiles into typed user-state chains.
///
/// For each user: abstain if too few fields are populated; otherwise run a search over the chain's states, answering
/// its queries from the teacher (equal prompts are asked once), with the teacher's label bias taken out by a
/// [`Calibration`] and forbidden values removed before any entropy is taken; then judge what came out. The
/// [`ChainRecord`](scaletot_chain::ChainRecord) holds the best chain with every step's distribution, entropy, evidence
/// and rationale, the runners-up, the posterior per state (with its widths, by [`Strategy::Marginal`]), the draft's entropies, and what it cost. A teacher that fails
/// makes a failed record, never a lost user.
///
/// # Examples
///
/// ```
/// use scaletot_chain::{ChainSchema, StateDef};
/// use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder, Verbaliser};
/// use scaletot_teacher::{Prompter, Reasoner, Rules};
///
/// let schema = ProfileSchema::builder("shop")
///     .with_field(FieldSpec::ordinal("income", ["under 35K", "35-75K", "over 75K"]))
///     .build()?;
/// let mut users = TableBuilder::new(schema);
/// users.push_text("anna", &["over 75K"])?;
/// users.push_text("berta", &[""])?;
/// let table = users.finish();
/// let chain = ChainSchema::builder("shopper").with_state(StateDef::ordinal("capacity", ["low", "high"])).build()?;
///
/// let rules = Rules::from_toml(
///     r#"
///     name = "shop-expert"
///     [[rule]]
///     state = "capacity"
///     when = { income = "over 75K" }
///     add = { high = 1.5 }
///     "#,
///     table.schema(),
///     &chain,
/// )?;
/// let prompter = Prompter::new(table.schema(), chain, Verbaliser::fit(&table, 5)?)?;
/// let reasoner = Reasoner::builder(rules, prompter).with_min_populated(1).build()?;
///
/// let anna = reasoner.reason(&table, 0, 1)?;
/// let step = &anna.best.as_ref().ok_or("no chain")?.steps()[0];
/// assert_eq!((step.value, step.evidence.as_slice()), (1, &["income".to_owned()][..]));
///
/// let berta = reasoner.reason(&table, 1, 1)?;
/// assert_eq!(berta.verdict.reason().ok_or("accepted")?.to_string(), "too few populated profile fields: 0 of the 1 required");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reasoner<'t> {
    teacher: Cached<Box<dyn Teacher + 't>>,
    prompter: Prompter,
    strategy: Strategy,
    problem: ChainProblem,
    budget: Budget,
    calibration: Calibration,
    min_populated: usize,
    score_bar: Option<f64>,
    user_deadline: Option<Duration>,
    max_failed_share: f64,
    asks: OnceLock<Vec<Ask>>,
}

impl<'t> Reasoner<'t> {
    /// Starts with a teacher and a prompter; see [`ReasonerBuilder`] for what can be set and its defaults.
    pub fn builder(teacher: impl Teacher + 't, prompter: Prompter) -> ReasonerBuilder<'t> {
        ReasonerBuilder::new(Box::new(teacher), prompter)
    }

    /// The teacher, behind its cache.
    pub fn teacher(&self) -> &dyn Teacher {
        &self.teacher
    }

    /// The chain schema.
    pub fn chain(&self) -> &Arc<ChainSchema> {
        self.prompter.chain()
    }

    /// What puts questions into words.
    pub fn prompter(&self) -> &Prompter {
        &self.prompter
    }

    /// The calibration in use.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// What the teacher's work has cost so far.
    pub fn ledger(&self) -> &Ledger {
        self.teacher.ledger()
    }

    /// Users with fewer populated fields are abstained on.
    pub fn min_populated(&self) -> usize {
        self.min_populated
    }

    /// Uses another calibration from now on, such as one that
    /// [`fit_calibration`](Self::fit_calibration) gave. What the teacher has answered stays cached.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) if it is for another chain schema or another model.
    pub fn set_calibration(&mut self, calibration: Calibration) -> Result<()> {
        builder::check_calibration(&calibration, self.teacher.model(), self.chain())?;
        self.calibration = calibration;
        Ok(())
    }

    /// The header of a corpus that this reasoner writes for users of `table`: schemas, teacher, the seed of the searches
    /// and, in its settings, everything that the records depend on, the calibration's priors among it.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) if the table has another schema, or the config cannot be written.
    pub fn header(&self, table: &ProfileTable, seed: u64) -> Result<CorpusHeader> {
        self.prompter.check(table)?;
        let value = |name: &'static str, value: serde_json::Result<serde_json::Value>| {
            value.map_err(|error| ConfigError::new(name, "a value that JSON can hold", error))
        };
        let settings = serde_json::json!({
            "prompt_format": PROMPT_FORMAT,
            "wording": table.schema().wording_hash(),
            "strategy": value("strategy", serde_json::to_value(self.strategy))?,
            "budget": value("budget", serde_json::to_value(self.budget))?,
            "calibration": value("calibration", serde_json::to_value(&self.calibration))?,
            "min_populated": self.min_populated,
            "score_bar": self.score_bar,
        });
        let header = CorpusHeader::new(table.schema().hash(), self.chain(), self.teacher.model(), seed);
        Ok(header.with_settings(settings))
    }

    /// Refuses a failure of more users than may fail.
    fn check_failed(&self, failed: usize, users: usize, most_frequent: Option<&FailureCount>) -> Result<()> {
        if failed as f64 <= self.max_failed_share * users as f64 {
            return Ok(());
        }
        let reason = most_frequent.map(|failure| failure.reason.clone()).unwrap_or_default();
        let (failed, users, max_share) = (failed as u64, users as u64, self.max_failed_share);
        Err(Error::TooManyFailed { failed, users, max_share, reason })
    }

    /// Checks that a table is of the right schema and holds these rows.
    fn check(&self, table: &ProfileTable, rows: &[usize]) -> Result<()> {
        self.prompter.check(table)?;
        match rows.iter().find(|&&row| row >= table.len()) {
            Some(row) => {
                Err(ConfigError::new("row", format!("a row of {} users, from 0", table.len()), row).into())
            }
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Reasoner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reasoner")
            .field("teacher", &self.teacher)
            .field("chain", &self.chain().name())
            .field("strategy", &self.strategy)
            .field("budget", &self.budget)
            .field("min_populated", &self.min_populated)
            .field("score_bar", &self.score_bar)
            .finish_non_exhaustive()
    }
}
