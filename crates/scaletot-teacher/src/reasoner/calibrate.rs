//! Fits the calibration to a batch of users.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use scaletot_core::config::ConfigError;
use scaletot_core::{Pool, Progress, causes};
use scaletot_profile::{ProfileSchema, ProfileTable, TableBuilder};

use super::Reasoner;
use super::guard::RunGuard;
use super::mass::{Mean, warn_of_low_mass};
use super::tally::Tally;
use crate::answer::LabelAnswer;
use crate::calibration::{Calibration, MeanPrediction, ParentPrior, normalise};
use crate::error::{Error, Result};
use crate::question::Question;
use crate::teacher::Teacher;

impl Reasoner<'_> {
    /// The mean prediction per state over a batch of users, as a [`Calibration`] of strength 1.
    ///
    /// No outcome or label of any user is read. A state that depends on others is asked along the path that is greedy
    /// under the calibration of the states before it, so states are fitted in their order. Users with too few populated
    /// fields are left out, as is one about whom the teacher fails from that state on, who is [counted](Calibration::failed). Answers stay cached: users
    /// of the batch who are reasoned about later cost nothing again. That many worker threads ask; the result is the same
    /// whatever their number. Progress counts questions.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the table has another schema, a row does not exist, or no user has enough fields;
    /// [`Error::Stopped`] when `progress` asks to stop, as half a calibration is none; [`Error::NoAnswers`] if the teacher answers
    /// nobody, and its own error if it could not answer about anybody; [`Error::TooManyFailed`] if it failed about more users than
    /// [may](crate::ReasonerBuilder::with_max_failed_share).
    pub fn fit_calibration(
        &self,
        table: &ProfileTable,
        rows: &[usize],
        workers: usize,
        progress: &dyn Progress,
    ) -> Result<Calibration> {
        self.fit(&Fit { table, by_parents: false, workers, progress }, self.batch(table, rows)?)
    }

    /// As [`fit_calibration`](Self::fit_calibration), with a prior for each combination of values that the states which a state
    /// depends on had in the batch, too. It asks nothing more. Such a prior also takes out what a given value does to the answer
    /// about any user: a small model that repeats the level it was just given, but also a dependence that the teacher knows
    /// of. Where that is wanted, take the priors per state.
    ///
    /// A prior rests on the users with these values and is drawn towards the state's, which counts as
    /// [`Calibration::PARENT_WEIGHT`] users; values that nobody had are divided by the state's.
    ///
    /// # Errors
    ///
    /// As [`fit_calibration`](Self::fit_calibration).
    pub fn fit_calibration_by_parents(
        &self,
        table: &ProfileTable,
        rows: &[usize],
        workers: usize,
        progress: &dyn Progress,
    ) -> Result<Calibration> {
        self.fit(&Fit { table, by_parents: true, workers, progress }, self.batch(table, rows)?)
    }

    /// The users among `rows` who can be fitted on.
    fn batch(&self, table: &ProfileTable, rows: &[usize]) -> Result<Vec<User>> {
        self.check(table, rows)?;
        let eligible = rows.iter().copied().filter(|&row| table.populated(row) >= self.min_populated);
        let users: Vec<User> = eligible.map(|row| self.unasked(table, row)).collect();
        if users.is_empty() {
            let expected = format!("a user with at least {} populated fields to fit on", self.min_populated);
            return Err(ConfigError::new("rows", expected, format!("none among {}", rows.len())).into());
        }
        Ok(users)
    }

    /// The prediction per state for a profile of which nothing is known, as a [`Calibration`] of strength 1: contextual
    /// calibration (Zhao et al., ICML 2021). It costs a question per state and needs no users, but rests on one prompt that
    /// no user has; where a batch of users is at hand [`fit_calibration`](Self::fit_calibration) is the safer choice.
    ///
    /// # Errors
    ///
    /// The teacher's, if it could not answer.
    pub fn contextual_calibration(&self, schema: &ProfileSchema) -> Result<Calibration> {
        let mut blank = TableBuilder::new(schema.clone());
        blank.push_values(0, &vec![None; schema.fields().len()])?;
        let table = blank.finish();
        self.check(&table, &[0])?;
        let job = Fit { table: &table, by_parents: false, workers: 1, progress: &() };
        self.fit(&job, vec![self.unasked(&table, 0)])
    }

    fn unasked(&self, table: &ProfileTable, row: usize) -> User {
        User { row, profile: self.prompter.profile(table, row), path: Vec::new() }
    }

    fn fit(&self, job: &Fit<'_>, users: Vec<User>) -> Result<Calibration> {
        job.progress.start("calibrate", (users.len() * self.chain().len()) as u64);
        let stopped = || job.progress.stopped();
        let guard = RunGuard::new(&stopped);
        let fitted = self.fit_states(job, users, &guard);
        job.progress.finish();
        // A teacher that answers nobody is the reason, and not that the questions in hand were stopped for it.
        guard.finish().and(fitted)
    }

    fn fit_states(&self, job: &Fit<'_>, mut users: Vec<User>, guard: &RunGuard<'_>) -> Result<Calibration> {
        let fitted_on = users.len();
        let chain = self.chain();
        let mut priors: Vec<Vec<f64>> =
            (0..chain.len()).map(|k| MeanPrediction::new(chain.domain_size(k)).mean()).collect();
        let mut parent_priors = Vec::new();
        let (mut failed, mut failures, mut answered) = (0, Tally::default(), Vec::new());
        let mut covered = Mean::default();
        for (state, def) in chain.states().iter().enumerate() {
            let mut mean = MeanPrediction::new(chain.domain_size(state));
            let mut failure = None;
            let mut predictions = Vec::with_capacity(users.len());
            for answer in self.answers(job, &users, state, guard)? {
                let prediction = match answer {
                    Ok(answer) => {
                        covered.add(answer.covered_mass());
                        answer.distribution()
                    }
                    Err(error) => {
                        tracing::warn!(error = causes(&error), "a user is left out of the calibration");
                        failed += 1;
                        failures.count_reason(causes(&error));
                        failure = Some(error);
                        None
                    }
                };
                if let Some(prediction) = &prediction {
                    mean.add(prediction);
                }
                predictions.push(prediction);
            }
            if mean.count() == 0 {
                let nothing = || Error::Incomplete {
                    what: "calibration",
                    expected: "an answer about at least one user".to_owned(),
                    found: "none".to_owned(),
                };
                return Err(failure.unwrap_or_else(nothing));
            }
            self.check_failed(failed, fitted_on, failures.most_frequent().as_ref())?;
            answered.push(mean.count());
            priors[state] = mean.mean();
            if job.by_parents && !def.depends_on().is_empty() {
                let answered = users.iter().zip(&predictions);
                parent_priors.extend(after_parents(state, def.depends_on(), answered, &priors[state]));
            }
            let so_far = Calibration::from_priors(self.teacher.model(), chain, fitted_on, priors.clone())?
                .with_parents(parent_priors.clone())?;
            let mut kept = Vec::with_capacity(users.len());
            for (mut user, prediction) in users.into_iter().zip(predictions) {
                let Some(mut q) = prediction else { continue };
                so_far.apply(state, &user.path, &mut q)?;
                q.iter_mut().zip(chain.allowed(state, &user.path)).for_each(|(q, allowed)| {
                    if !allowed {
                        *q = 0.0;
                    }
                });
                normalise(&mut q);
                // A user whose every legal value has no probability is at a dead end: nothing more to ask.
                if let Some(value) = most_probable(&q) {
                    user.path.push(value);
                    kept.push(user);
                }
            }
            users = kept;
        }
        warn_of_low_mass(covered.mean(), job.progress);
        Calibration::from_priors(self.teacher.model(), chain, fitted_on, priors)?
            .with_parents(parent_priors)?
            .with_failed(failed, answered)?
            .with_covered_mass(covered.mean())
    }

    /// What the teacher answers about a state for each user, in their order.
    fn answers(
        &self,
        job: &Fit<'_>,
        users: &[User],
        state: usize,
        guard: &RunGuard<'_>,
    ) -> Result<Vec<Result<LabelAnswer>>> {
        let stopped = || guard.stopped();
        let workers = NonZeroUsize::new(job.workers.min(users.len())).unwrap_or(NonZeroUsize::MIN);
        // Whole batches, but no worker without one.
        let size = self.teacher.batch_size().clamp(1, users.len().div_ceil(workers.get()).max(1));
        let mut answers = Vec::with_capacity(users.len());
        Pool::new(workers).with_stop(&stopped).map(
            users.chunks(size),
            |_, batch| {
                let questions: Vec<Question<'_>> = batch
                    .iter()
                    .map(|user| {
                        let profile = &user.profile;
                        self.prompter.question_of(profile, job.table, user.row, state, &user.path)
                    })
                    .map(|question| question.with_stop(&stopped))
                    .collect();
                guard.ask_batch(&self.teacher, &questions)
            },
            |_, batch| {
                let batch = batch?;
                job.progress.advance(batch.len() as u64);
                answers.extend(batch);
                Ok::<(), Error>(())
            },
        )?;
        if answers.len() < users.len() { Err(Error::Stopped) } else { Ok(answers) }
    }
}

/// What a calibration is fitted on, and how.
struct Fit<'a> {
    table: &'a ProfileTable,
    by_parents: bool,
    workers: usize,
    progress: &'a dyn Progress,
}

struct User {
    row: usize,
    profile: String,
    path: Vec<u16>,
}

/// The mean prediction of a state for each combination of its parents' values.
fn after_parents<'a>(
    state: usize,
    parents: &[usize],
    answered: impl Iterator<Item = (&'a User, &'a Option<Vec<f64>>)>,
    prior: &[f64],
) -> Vec<ParentPrior> {
    let mut means: BTreeMap<Vec<(usize, u16)>, MeanPrediction> = BTreeMap::new();
    for (user, prediction) in answered {
        let values = parents.iter().filter_map(|&parent| Some((parent, *user.path.get(parent)?))).collect();
        if let Some(prediction) = prediction {
            means.entry(values).or_insert_with(|| MeanPrediction::new(prior.len())).add(prediction);
        }
    }
    let own = |(parents, mean): (_, MeanPrediction)| {
        let (users, prior) = (mean.count(), mean.shrunk(prior, Calibration::PARENT_WEIGHT));
        ParentPrior { state, parents, users, prior }
    };
    means.into_iter().map(own).collect()
}

/// The value of greatest probability, of equal ones the first; `None` if all are 0.
fn most_probable(q: &[f64]) -> Option<u16> {
    let mut best = None;
    for (value, &p) in (0..).zip(q) {
        if p > best.map_or(0.0, |(_, top)| top) {
            best = Some((value, p));
        }
    }
    best.map(|(value, _)| value)
}
