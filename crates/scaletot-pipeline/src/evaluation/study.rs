//! What is evaluated: a table with outcomes, a chain schema, a teacher, and what is known beyond them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Result, ensure};
use rand::seq::SliceRandom;
use scaletot_chain::ChainSchema;
use scaletot_core::seed::stream;
use scaletot_eval::planted::{Blur, PlantedConfig};
use scaletot_profile::{Dataset, LevelConfig, Verbaliser};
use scaletot_search::{Budget, Strategy};
use scaletot_teacher::{DiskCached, Prompter, Reasoner, Teacher};

use super::folds::Fold;
use super::options::SourceOptions;
use super::planted::{Planted, PlantedTeacher};
use crate::tasks::Task;
use crate::teachers;

/// Users of a task who take part in a quick run at most.
const QUICK_USERS: usize = 10_000;
/// Hard bound on the questions of one user's search.
const MAX_QUERIES: u64 = 64;

/// A randomised experiment that the users took part in.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Trial {
    /// What the treatment is.
    pub treatment: String,
    /// Every outcome that was measured, by column: the study's users, each dataset with that column's outcomes.
    pub outcomes: BTreeMap<String, Dataset>,
}

/// One population with its outcomes and its teacher.
#[non_exhaustive]
pub struct Study {
    /// Every user of the task, with outcomes, segments, groups and arm.
    pub dataset: Dataset,
    /// Chain schema.
    pub chain: ChainSchema,
    /// How a number is rendered in words.
    pub levels: LevelConfig,
    /// Teacher: answers the search's questions.
    pub teacher: Box<dyn Teacher>,
    /// Mean seconds of one of its answers when they were recorded, if they were.
    pub seconds_per_answer: Option<f64>,
    /// The experiment that the table comes from, if it does.
    pub trial: Option<Trial>,
    /// The world that the users are drawn from, where it is known.
    pub planted: Option<Arc<Planted>>,
    /// Rows with enough populated fields, ascending; with `--quick` a random sample of them if they are very many.
    pub eligible: Vec<usize>,
    /// Users that shares are of: all of the table, or as many as the sample stands for.
    pub users: usize,
}

/// The bound on the teacher's questions about one user.
pub(super) fn budget() -> Budget {
    Budget::default().with_queries(MAX_QUERIES)
}

impl std::fmt::Debug for Study {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Study")
            .field("users", &self.dataset.len())
            .field("teacher", &self.teacher.model())
            .finish_non_exhaustive()
    }
}

impl Study {
    /// The users of a task, at most 10,000 of them if it has to be `quick`, and the teacher that was asked for: by default the task's
    /// recorded answers, or else its rules.
    ///
    /// # Errors
    /// If the task's table or the teacher cannot be read.
    pub fn of_task(task: &Task, source: &SourceOptions, quick: bool) -> Result<Self> {
        let population = task.load(source.data.as_deref())?;
        let table = population.dataset.table();
        let opened = match &source.teacher {
            Some(choice) => teachers::open(choice, table.schema(), &population.chain)?,
            None => population.teacher()?,
        };
        let least = source.min_populated(table.schema().fields().len());
        let mut eligible: Vec<usize> =
            (0..table.len()).filter(|&row| table.populated(row) >= least).collect();
        let mut users = table.len();
        let trial = task.experiment.as_ref().map(|experiment| {
            let mut outcomes = population.further_outcomes;
            outcomes.insert(task.outcome.clone(), population.dataset.clone());
            Trial { treatment: experiment.treatment.clone(), outcomes }
        });
        ensure!(
            !eligible.is_empty(),
            "no user of {users} has {least} populated fields (`min_populated`): lower the least number of fields, or add fields to the profile \
             schema"
        );
        if quick && eligible.len() > QUICK_USERS {
            users = users * QUICK_USERS / eligible.len();
            eligible.shuffle(&mut stream(source.seed, &[5]));
            eligible.truncate(QUICK_USERS);
            eligible.sort_unstable();
        }
        Ok(Self {
            dataset: population.dataset,
            chain: population.chain,
            levels: task.level_config(),
            teacher: opened.teacher,
            seconds_per_answer: opened.seconds_per_answer,
            trial,
            planted: None,
            eligible,
            users,
        })
    }

    /// The same with every answer that the teacher computes kept in a file, for all folds and later runs.
    ///
    /// # Errors
    /// If the file cannot be read or is of another kind.
    pub(super) fn with_answers_kept(mut self, path: &Path) -> Result<Self> {
        self.teacher = Box::new(DiskCached::open(self.teacher, path)?);
        Ok(self)
    }

    /// Eligible rows with a known outcome.
    #[must_use]
    pub fn labelled(&self) -> Vec<usize> {
        self.eligible.iter().copied().filter(|&row| self.dataset.outcome(row).is_some()).collect()
    }

    /// Splits the eligible users with a known outcome into `folds` parts of equal size, again for every repeat. Users of one group stay
    /// together.
    #[must_use]
    pub fn folds(&self, folds: usize, repeats: usize, seed: u64) -> Vec<Fold> {
        super::folds::folds(&self.dataset, &self.labelled(), folds, repeats, seed)
    }

    /// A planted world of that many users, with the seed and the teacher that were asked for.
    ///
    /// # Errors
    /// If the world cannot be made.
    pub fn planted(source: &SourceOptions, users: usize) -> Result<Self> {
        let config = PlantedConfig::default().with_users(users);
        Self::of_world(&config, &source.blur(), source.min_populated(config.fields), source.seed)
    }

    /// A world of its own per seed.
    pub(super) fn of_world(
        config: &PlantedConfig,
        blur: &Blur,
        min_populated: usize,
        seed: u64,
    ) -> Result<Self> {
        let planted = Arc::new(Planted::new(config, seed)?);
        let table = planted.profiles(config)?;
        let eligible = (0..table.len()).filter(|&row| table.populated(row) >= min_populated.max(1)).collect();
        let outcomes = planted.world().outcomes().iter().map(|&outcome| Some(outcome)).collect();
        Ok(Self {
            dataset: Dataset::builder(table).with_outcomes(outcomes).build()?,
            chain: planted.chain(config)?,
            levels: LevelConfig::new(5),
            teacher: Box::new(PlantedTeacher::new(Arc::clone(&planted), *blur, seed)),
            seconds_per_answer: None,
            trial: None,
            planted: Some(planted),
            users: config.users,
            eligible,
        })
    }

    /// A reasoner, uncalibrated, who abstains on profiles with fewer populated fields.
    ///
    /// # Errors
    /// If the schemas do not fit each other, or the strategy is not valid.
    pub fn reasoner(
        &self,
        strategy: Strategy,
        budget: Budget,
        min_populated: usize,
        max_failed_share: f64,
    ) -> Result<Reasoner<'_>> {
        let table = self.dataset.table();
        let verbaliser = Verbaliser::fit(table, self.levels)?;
        let prompter = Prompter::new(table.schema(), self.chain.clone(), verbaliser)?;
        Ok(Reasoner::builder(&*self.teacher, prompter)
            .with_strategy(strategy)
            .with_budget(budget)
            .with_min_populated(min_populated)
            .with_max_failed_share(max_failed_share)
            .build()?)
    }
}
