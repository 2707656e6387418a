//! What a run will ask, before anything is asked.
//!
//! Reasoning is what costs, and how much depends on three things that nobody sees in a table: how many users have enough fields, how many
//! of them read alike, and how the chain's dependencies multiply the prompts. A [`Plan`] counts all three, gives bounds on questions and
//! tokens, and shows profiles and prompts as a teacher will read them.
//!
//! ```
//! use scaletot_chain::{ChainSchema, StateDef};
//! use scaletot_pipeline::plan::{Plan, PlanOptions};
//! use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
//!
//! let schema = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35+"])).build()?;
//! let mut users = TableBuilder::new(schema);
//! for (id, age) in [(1, "18-34"), (2, "35+"), (3, "35+"), (4, "")] {
//!     users.push_text(id, &[age])?;
//! }
//! let chain = ChainSchema::builder("shop")
//!     .with_state(StateDef::ordinal("capacity", ["low", "high"]))
//!     .with_state(StateDef::ordinal("spend", ["low", "high"]).with_depends_on(["capacity"]))
//!     .build()?;
//! let plan = Plan::of(&users.finish(), &chain, &PlanOptions::default().with_min_populated(1).with_coverage(0.5))?;
//! assert_eq!((plan.users, plan.eligible, plan.distinct_profiles), (4, 3, 2));
//! // One prompt about the capacity, two about the spending, for each profile.
//! assert_eq!((plan.prompts_per_profile, plan.everybody.questions), (3, 6));
//! assert_eq!(plan.reasoned_users, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod preview;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use scaletot_chain::ChainSchema;
use scaletot_core::config::{check, share};
use scaletot_profile::{LevelConfig, ProfileTable, Verbaliser};
use scaletot_search::{Budget, RefineConfig, Strategy};
use scaletot_teacher::{
    ChainProblem, Coverage, CoveragePlan, Error as TeacherError, LabelAnswer, LedgerSnapshot, Price,
    Prompter, Question, Reasoner, Teacher,
};
use serde::Serialize;

use crate::error::{Error, Result};

pub use preview::{Preview, RenderedProfile, StatePrompt};

/// Characters of English that make one token: a rule of thumb, since the tokenizer is the teacher's own.
pub const CHARACTERS_PER_TOKEN: f64 = 4.0;

/// Profiles whose prompts are measured, at most; the most frequent ones.
const MAX_MEASURED: usize = 20_000;

/// What a run is going to do.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PlanOptions {
    /// Share of all users, in (0, 1], whom the teacher reasons about.
    pub coverage: f64,
    /// Users with fewer populated fields are abstained on; at least 1.
    pub min_populated: usize,
    /// How a number is rendered in words, by 2 to 5 levels.
    pub levels: LevelConfig,
    /// How the chains are searched for.
    pub strategy: Strategy,
    /// Hard bound on the questions about one user.
    pub max_queries: u64,
    /// Users that the teacher's prior is averaged over.
    pub calibration_users: usize,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            coverage: 0.0732,
            min_populated: 3,
            levels: LevelConfig::new(5),
            strategy: Strategy::Refine(RefineConfig::default()),
            max_queries: 64,
            calibration_users: 200,
        }
    }
}

impl PlanOptions {
    /// Sets the share of all users whom the teacher reasons about.
    #[must_use]
    pub fn with_coverage(mut self, share: f64) -> Self {
        self.coverage = share;
        self
    }

    /// Sets the fewest populated fields of a user who is not abstained on.
    #[must_use]
    pub fn with_min_populated(mut self, fields: usize) -> Self {
        self.min_populated = fields;
        self
    }

    /// Sets the level words that a number is rendered by.
    #[must_use]
    pub fn with_levels(mut self, levels: impl Into<LevelConfig>) -> Self {
        self.levels = levels.into();
        self
    }

    /// Sets how the chains are searched for.
    #[must_use]
    pub fn with_strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Sets the hard bound on the questions about one user.
    #[must_use]
    pub fn with_max_queries(mut self, questions: u64) -> Self {
        self.max_queries = questions;
        self
    }

    fn validate(&self) -> Result<()> {
        share("coverage", self.coverage)?;
        Ok(check(self.min_populated >= 1, "min_populated", "at least 1", self.min_populated)?)
    }
}

/// What a run will ask, and what of.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// Users of the table.
    pub users: usize,
    /// Users with enough populated fields, who are served and may be reasoned about.
    pub eligible: usize,
    /// The fewest populated fields that are enough.
    pub min_populated: usize,
    /// Users by the number of their populated fields, from none to all.
    pub populated: Vec<PopulatedUsers>,
    /// Distinct profiles of eligible users, as they are rendered: equal ones are asked about once.
    pub distinct_profiles: usize,
    /// How many users the most frequent profiles stand for.
    pub curve: Vec<CurvePoint>,
    /// Users whom the teacher reasons about: the coverage's share of all users, or all eligible ones if these are fewer.
    pub reasoned_users: usize,
    /// Most questions that one user's search asks.
    pub questions_per_user: u64,
    /// Distinct prompts that any search about one profile may ask.
    pub prompts_per_profile: usize,
    /// Mean length of a prompt, in characters; of the 20,000 most frequent profiles where there are more.
    pub mean_prompt: f64,
    /// Longest prompt of these, in characters.
    pub longest_prompt: usize,
    /// At most what a run asks: its calibration and the searches about the reasoned users, equal prompts once.
    pub run: Asked,
    /// What a recording of everything asks: every prompt about every eligible user, once.
    pub everybody: Asked,
    /// Profiles and prompts as a teacher reads them.
    pub preview: Preview,
}

/// Users with a number of populated fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PopulatedUsers {
    /// The number of populated fields.
    pub fields: usize,
    /// How many users have so many.
    pub users: usize,
}

/// Users whom the most frequent profiles stand for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CurvePoint {
    /// So many profiles, the most frequent ones.
    pub profiles: usize,
    /// Users who have one of them.
    pub users: usize,
    /// Their share of the eligible users, in `[0, 1]`.
    pub share: f64,
}

/// Questions to a teacher.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Asked {
    /// Questions, equal prompts counted once.
    pub questions: u64,
    /// Tokens of their prompts, by [`CHARACTERS_PER_TOKEN`].
    pub tokens: u64,
}

impl Asked {
    /// What it costs at a price, in the price's currency, if an answer takes so many seconds.
    #[must_use]
    pub fn cost(&self, price: &Price, seconds_per_call: f64) -> f64 {
        let mut spent = LedgerSnapshot::default();
        (spent.calls, spent.tokens) = (self.questions, self.tokens);
        spent.seconds = self.questions as f64 * seconds_per_call;
        price.of(&spent)
    }

    /// Seconds that it takes if an answer takes so many seconds and so many are under way at a time.
    #[must_use]
    pub fn seconds(&self, seconds_per_call: f64, at_a_time: usize) -> f64 {
        self.questions as f64 * seconds_per_call / at_a_time.max(1) as f64
    }
}

/// The plan is made without a teacher.
struct NoTeacher;

impl Teacher for NoTeacher {
    fn model(&self) -> &str {
        "none"
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer, TeacherError> {
        Err(TeacherError::Answer {
            model: self.model().to_owned(),
            state: question.state_name().to_owned(),
            message: "a plan asks nothing".to_owned(),
        })
    }
}

/// A profile in words, with the users who have it.
struct Distinct {
    /// The first of them.
    row: usize,
    users: usize,
}

impl Plan {
    /// Plans a run on a table.
    ///
    /// # Errors
    /// [`Error::Config`] for an option out of range, [`Error::Input`] if nobody has enough populated fields; the errors of the verbaliser, the
    /// strategy and the chain schema, whose states may be too entangled to count their prompts.
    pub fn of(table: &ProfileTable, chain: &ChainSchema, options: &PlanOptions) -> Result<Self> {
        options.validate()?;
        let verbaliser = Verbaliser::fit(table, options.levels)?;
        let prompter = Prompter::new(table.schema(), chain.clone(), verbaliser)?;
        let reasoner = Reasoner::builder(NoTeacher, prompter.clone())
            .with_strategy(options.strategy)
            .with_min_populated(options.min_populated)
            .build()?;
        let mut populated = vec![0; table.schema().fields().len() + 1];
        (0..table.len()).for_each(|row| populated[table.populated(row)] += 1);
        let distinct = distinct(table, &prompter, options.min_populated);
        let eligible: usize = distinct.iter().map(|profile| profile.users).sum();
        if eligible == 0 {
            return Err(Error::Input(format!(
                "no user of {} has {} populated fields: lower the least number of fields, or add fields to the profile schema",
                table.len(),
                options.min_populated
            )));
        }

        let mut lengths = Lengths::default();
        let mut asks = 0;
        for profile in distinct.iter().take(MAX_MEASURED) {
            let questions = reasoner.all_questions(table, profile.row)?;
            asks = questions.len();
            questions.iter().for_each(|question| lengths.add(question.prompt.chars().count()));
        }
        let budget = Budget::default().with_queries(options.max_queries);
        let most = options.strategy.estimate(&ChainProblem::new(Arc::new(chain.clone())), &budget)?;
        let everybody = lengths.asked((distinct.len() * asks) as u64);
        let plan =
            CoveragePlan::new(Coverage::Share(options.coverage))?.with_min_populated(options.min_populated);
        let covered = plan.random(table, 0)?;
        // Which users are drawn is the run's seed's business; how many of them read alike hardly depends on it.
        let alike = of_rows(table, &prompter, covered.rows());
        let calibration = (options.calibration_users.min(eligible) * chain.len()) as u64;
        let searches = (covered.rows().len() as u64 * most.queries).min((alike * asks) as u64);
        Ok(Self {
            users: table.len(),
            eligible,
            min_populated: options.min_populated,
            populated: (0..).zip(populated).map(|(fields, users)| PopulatedUsers { fields, users }).collect(),
            distinct_profiles: distinct.len(),
            curve: curve(&distinct, eligible),
            reasoned_users: covered.rows().len(),
            questions_per_user: most.queries.min(asks as u64),
            prompts_per_profile: asks,
            mean_prompt: lengths.mean(),
            longest_prompt: lengths.longest,
            run: lengths.asked((searches + calibration).min(everybody.questions)),
            everybody,
            preview: Preview::of(table, chain, &prompter, &distinct),
        })
    }
}

/// The distinct profiles of eligible users, the most frequent first.
fn distinct(table: &ProfileTable, prompter: &Prompter, min_populated: usize) -> Vec<Distinct> {
    let mut of_sentence: HashMap<String, Distinct> = HashMap::new();
    for row in (0..table.len()).filter(|&row| table.populated(row) >= min_populated) {
        of_sentence.entry(prompter.profile(table, row)).or_insert(Distinct { row, users: 0 }).users += 1;
    }
    let mut distinct: Vec<Distinct> = of_sentence.into_values().collect();
    distinct.sort_by_key(|profile| (std::cmp::Reverse(profile.users), profile.row));
    distinct
}

/// How many distinct profiles some users have.
fn of_rows(table: &ProfileTable, prompter: &Prompter, rows: &[usize]) -> usize {
    rows.iter().map(|&row| (prompter.profile(table, row), ())).collect::<BTreeMap<_, _>>().len()
}

/// Points at 1, 2, 5, 10, 20, 50 … profiles and at all of them.
fn curve(distinct: &[Distinct], eligible: usize) -> Vec<CurvePoint> {
    let mut at: Vec<usize> = std::iter::successors(Some(1_usize), |decade| decade.checked_mul(10))
        .flat_map(|decade| [1, 2, 5].map(|times| decade.saturating_mul(times)))
        .take_while(|&profiles| profiles < distinct.len())
        .collect();
    at.push(distinct.len());
    let mut users = 0;
    let mut next = at.into_iter().peekable();
    let mut points = Vec::new();
    for (index, profile) in distinct.iter().enumerate() {
        users += profile.users;
        if next.next_if_eq(&(index + 1)).is_some() {
            points.push(CurvePoint { profiles: index + 1, users, share: users as f64 / eligible as f64 });
        }
    }
    points
}

/// Lengths of prompts, in characters.
#[derive(Debug, Default)]
struct Lengths {
    prompts: u64,
    characters: u64,
    longest: usize,
}

impl Lengths {
    fn add(&mut self, characters: usize) {
        self.prompts += 1;
        self.characters += characters as u64;
        self.longest = self.longest.max(characters);
    }

    fn mean(&self) -> f64 {
        self.characters as f64 / self.prompts.max(1) as f64
    }

    fn asked(&self, questions: u64) -> Asked {
        Asked { questions, tokens: (questions as f64 * self.mean() / CHARACTERS_PER_TOKEN).round() as u64 }
    }
}
