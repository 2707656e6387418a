//! A synthetic world in which the truth is known: latent states, profiles drawn from them with holes, outcomes drawn
//! from them too, and exact inference from a profile back to the states.
//!
//! What reasoning about a user is worth, and what a model makes of it, can only be measured where somebody knows the
//! answer. Here, [`PlantedWorld::marginals`] is the best possible knowledge of the states from a profile,
//! [`PlantedWorld::expected_score`] the best possible prediction of the value, and [`PlantedWorld::blurred`] is a teacher
//! of a chosen quality: noisy by call ([`Blur::noise`]), and wrong about fields for everybody alike ([`FieldErrors`]), as real teachers are.
//!
//! With `K` states of `V` values, `F` fields of `C` codes, all drawn from one seed:
//!
//! | part | distribution |
//! | --- | --- |
//! | prior of the states | Markov chain: `P(s_0) ~ Dirichlet(1)`, rows of `P(s_k given s_{k−1}) ~ Dirichlet(0.5)` |
//! | field | two distinct states at random; the code's row for every pair of their values `~ Dirichlet(0.6)` |
//! | missing cells | each with probability `missing`, whatever its code |
//! | score | `Σ_k w_k[s_k] + W[s_1, s_{K−1}]` (states from 0), `w`, `W` standard normal; standardised under the prior |
//! | outcome above 0 | with probability `sigmoid(−1.2 + 1.2 · score)` |
//! | its amount | `exp(Normal(1 + 0.6 · score, 1))` |
//!
//! With two states, the interaction is between these two. Random numbers are ChaCha8 words put through fixed formulas,
//! each user and each table on a stream of its own: the same seed gives the same world in every release and, up to the
//! last digit of the platform's `ln`, `exp` and `cos`, on every platform; a user stays the same when there are more
//! users, and keeps states and outcome when there are other fields.
//!
//! ```
//! use scaletot_eval::planted::{Blur, PlantedConfig, PlantedWorld};
//!
//! let config = PlantedConfig::default().with_users(300);
//! let world = PlantedWorld::new(&config, 0)?;
//!
//! // A teacher's greedy path for one user.
//! let teacher = Blur::new(0.7);
//! let mut path = Vec::new();
//! while path.len() < config.states {
//!     let answer = world.blurred(0, &path, &teacher, 11)?;
//!     let best = (0..4_u16).max_by(|a, b| answer[usize::from(*a)].total_cmp(&answer[usize::from(*b)]));
//!     path.extend(best);
//! }
//! let right = path.iter().zip(world.states(0)?).filter(|(a, b)| a == b).count();
//! println!("{right} of {} states; no one can expect more than {:.2}", config.states, world.bayes_accuracy());
//! # Ok::<(), scaletot_eval::Error>(())
//! ```

mod blur;
mod config;
mod draw;
mod fields;
mod tables;

pub use blur::Blur;
pub use config::PlantedConfig;
pub use fields::{FieldErrors, FieldReading};

use draw::{Draws, Stream};
use scaletot_core::numeric::softmax;
use tables::{Tables, argmax, dot};

use crate::{Error, Result};

/// Users, their hidden states, profiles and outcomes, and the tables that they were drawn from.
///
/// Users count from 0. A combination of state values `s` has the number `Σ_k s_k V^(K−1−k)`: the first state moves
/// slowest.
#[derive(Debug, Clone)]
pub struct PlantedWorld {
    config: PlantedConfig,
    tables: Tables,
    /// `[users][states]`.
    states: Vec<u16>,
    /// `[users][fields]`.
    codes: Vec<Option<u16>>,
    outcomes: Vec<f64>,
}

impl PlantedWorld {
    /// Draws the world, tables and users, from a seed.
    ///
    /// ```
    /// use scaletot_eval::planted::{PlantedConfig, PlantedWorld};
    ///
    /// let world = PlantedWorld::new(&PlantedConfig::default().with_users(100), 0)?;
    /// assert_eq!((world.users(), world.profile(99)?.len()), (100, 10));
    /// # Ok::<(), scaletot_eval::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`PlantedConfig::validate`].
    pub fn new(config: &PlantedConfig, seed: u64) -> Result<Self> {
        config.validate()?;
        let tables = Tables::draw(config, seed);
        let mut states = Vec::with_capacity(config.users * config.states);
        let mut codes = Vec::with_capacity(config.users * config.fields);
        let mut outcomes = Vec::with_capacity(config.users);
        for user in 0..config.users {
            let mut draws = Draws::new(seed, Stream::User(user));
            let drawn = tables.draw_states(&mut draws);
            let score = tables.score[number(config.values, &drawn)];
            let (chance, amount) = (draws.uniform(), draws.normal());
            let positive = chance < 1.0 / (1.0 + (1.2 - 1.2 * score).exp());
            outcomes.push(if positive { (1.0 + 0.6 * score + amount).exp() } else { 0.0 });
            for field in 0..config.fields {
                let code = tables.draw_code(field, &drawn, &mut draws);
                let missing = draws.uniform() < config.missing;
                codes.push((!missing).then_some(code as u16));
            }
            states.extend(drawn.into_iter().map(|value| value as u16));
        }
        Ok(Self { config: config.clone(), tables, states, codes, outcomes })
    }

    /// The sizes.
    #[must_use]
    pub fn config(&self) -> &PlantedConfig {
        &self.config
    }

    /// Number of users.
    #[must_use]
    pub fn users(&self) -> usize {
        self.config.users
    }

    /// Names of the states: `state_0`, `state_1`, …
    #[must_use]
    pub fn state_names(&self) -> Vec<String> {
        (0..self.config.states).map(|state| format!("state_{state}")).collect()
    }

    /// Names of the fields: `field_0`, `field_1`, …
    #[must_use]
    pub fn field_names(&self) -> Vec<String> {
        (0..self.config.fields).map(|field| format!("field_{field}")).collect()
    }

    /// The two states that each field is drawn from, the earlier first; `[fields]`.
    #[must_use]
    pub fn field_states(&self) -> &[[usize; 2]] {
        &self.tables.parents
    }

    /// The states that were drawn for a user, `[states]`, each below `values`: the truth.
    ///
    /// # Errors
    /// [`Error::NoSuchUser`].
    pub fn states(&self, user: usize) -> Result<&[u16]> {
        self.check(user)?;
        Ok(self.true_states(user))
    }

    /// The observed codes of a user, `[fields]`, each below `codes`; `None` where the cell is missing.
    ///
    /// # Errors
    /// [`Error::NoSuchUser`].
    pub fn profile(&self, user: usize) -> Result<&[Option<u16>]> {
        self.check(user)?;
        Ok(self.observed(user))
    }

    /// Outcomes of all users, at least 0; `[users]`.
    #[must_use]
    pub fn outcomes(&self) -> &[f64] {
        &self.outcomes
    }

    /// The score of the user's true states, of mean 0 and deviation 1 under the prior: an oracle, which no model of
    /// the profile reaches.
    ///
    /// # Errors
    /// [`Error::NoSuchUser`].
    pub fn score(&self, user: usize) -> Result<f64> {
        let states: Vec<usize> = self.states(user)?.iter().map(|&value| value.into()).collect();
        Ok(self.tables.score[number(self.config.values, &states)])
    }

    /// Share of users whose outcome is 0, in [0, 1]; about 0.72 in the standard world.
    #[must_use]
    pub fn zero_share(&self) -> f64 {
        self.outcomes.iter().filter(|&&outcome| outcome == 0.0).count() as f64 / self.outcomes.len() as f64
    }

    /// `P(s | x)` for every combination of state values given a user's profile, `[values^states]` in the order of
    /// their numbers; sums to 1. Exact, by enumeration.
    ///
    /// # Errors
    /// [`Error::NoSuchUser`].
    pub fn posterior(&self, user: usize) -> Result<Vec<f64>> {
        self.check(user)?;
        Ok(self.joint(user))
    }

    /// `P(s_k | x)` for every state, `[states][values]`; every row sums to 1.
    ///
    /// # Errors
    /// [`Error::NoSuchUser`].
    pub fn marginals(&self, user: usize) -> Result<Vec<Vec<f64>>> {
        self.check(user)?;
        Ok(self.all_marginals(user))
    }

    /// `P(s_k | x, s_0 … s_{k−1} = path)` with `k = path.len()`, `[values]`; sums to 1.
    ///
    /// Defined for every path: no path has probability 0 in this world, however little a profile speaks for it, and
    /// the computation is in logarithms relative to the path.
    ///
    /// ```
    /// # use scaletot_eval::planted::{PlantedConfig, PlantedWorld};
    /// let world = PlantedWorld::new(&PlantedConfig::default().with_users(10), 0)?;
    /// let (first, second) = (world.conditional(3, &[])?, world.conditional(3, &[2])?);
    /// let both: f64 = world.posterior(3)?[2 * 256 + 64..2 * 256 + 128].iter().sum();
    /// assert!((first[2] * second[1] - both).abs() < 1e-12);
    /// # Ok::<(), scaletot_eval::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoSuchUser`]; [`Error::PathTooLong`] for a path of all states or more; [`Error::NoSuchValue`].
    pub fn conditional(&self, user: usize, path: &[u16]) -> Result<Vec<f64>> {
        Ok(self.next(&self.tables.log_weights(self.profile(user)?, &self.check_path(path)?)))
    }

    /// How the teacher of this seed reads each field, `[fields]`: what it gets wrong about everybody's profile.
    ///
    /// ```
    /// # use scaletot_eval::planted::{FieldErrors, PlantedConfig, PlantedWorld};
    /// let world = PlantedWorld::new(&PlantedConfig::default().with_users(1), 0)?;
    /// let readings = world.field_readings(FieldErrors::Hard, 5);
    /// let wrong = readings.iter().filter(|field| field.weight() == 0.0 || field.is_misread()).count();
    /// assert_eq!((readings.len(), wrong), (10, 7));
    /// # Ok::<(), scaletot_eval::Error>(())
    /// ```
    #[must_use]
    pub fn field_readings(&self, errors: FieldErrors, seed: u64) -> Vec<FieldReading> {
        errors.readings(self.config.fields, self.config.codes, seed)
    }

    /// A teacher's answer in place of [`conditional`](Self::conditional), `[values]`; sums to 1. With `p` the
    /// conditional, `k = path.len()` and `σ` the noise,
    ///
    /// ```text
    /// softmax_v( ln(p_v + 10⁻⁴) + σ z(user, path, v) + σ/2 · b(k, v) )
    /// ```
    ///
    /// `z` and `b` are standard normal and pure functions of their arguments and the seed (and of the numbers of
    /// states and values): the same question always gets the same answer, and another seed is another teacher. `b` is what the teacher gets wrong about
    /// everybody.
    ///
    /// `p` is exact unless the teacher errs by field: then it is that of `P(s) Π_f P(π_f(x_f) | s)^{α_f}`, with weights `α` and
    /// permutations of codes `π` from [`field_readings`](Self::field_readings) at the same seed.
    ///
    /// ```
    /// # use scaletot_eval::planted::{Blur, PlantedConfig, PlantedWorld};
    /// let world = PlantedWorld::new(&PlantedConfig::default().with_users(10), 0)?;
    /// let teacher = Blur::new(0.7);
    /// let answer = world.blurred(3, &[2, 1], &teacher, 5)?;
    /// assert_eq!(answer, world.blurred(3, &[2, 1], &teacher, 5)?);
    /// assert_ne!(answer, world.blurred(3, &[2, 1], &teacher, 6)?);
    /// # Ok::<(), scaletot_eval::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`conditional`](Self::conditional), and [`Error::Config`] for a noise out of range.
    pub fn blurred(&self, user: usize, path: &[u16], blur: &Blur, seed: u64) -> Result<Vec<f64>> {
        blur.validate()?;
        let conditional = match blur.fields {
            FieldErrors::None => self.conditional(user, path)?,
            errors => {
                let readings = self.field_readings(errors, seed);
                let (profile, path) = (self.profile(user)?, self.check_path(path)?);
                self.next(&self.tables.log_weights_as_read(profile, &readings, &path))
            }
        };
        // Paths of one user are numbered level by level; fewer than 2¹⁷ of them, so nothing overflows.
        let (mut level, mut before, mut within, mut nodes) = (1_u64, 0, 0, 0);
        for state in 0..self.config.states {
            if let Some(&value) = path.get(state) {
                before += level;
                within = within * self.config.values as u64 + u64::from(value);
            }
            nodes += level;
            level *= self.config.values as u64;
        }
        Ok(blur.apply(&conditional, user as u64 * nodes + before + within, path.len(), seed))
    }

    /// `E[score | x]`: the mean of the score under the posterior, which no prediction of the score from the profile
    /// beats in squared error.
    ///
    /// # Errors
    /// [`Error::NoSuchUser`].
    pub fn expected_score(&self, user: usize) -> Result<f64> {
        Ok(dot(&self.posterior(user)?, &self.tables.score))
    }

    /// Share of states, over all users, in which the most probable value by [`marginals`](Self::marginals) is the true
    /// one, in [0, 1]: what no method beats, on average over worlds and users, from the profile.
    #[must_use]
    pub fn bayes_accuracy(&self) -> f64 {
        let right = |user| {
            let marginals = self.all_marginals(user);
            marginals
                .iter()
                .zip(self.true_states(user))
                .filter(|(p, s)| argmax(p) == usize::from(**s))
                .count()
        };
        (0..self.users()).map(right).sum::<usize>() as f64 / self.states.len() as f64
    }

    fn check(&self, user: usize) -> Result<()> {
        let users = self.users();
        if user < users { Ok(()) } else { Err(Error::NoSuchUser { user, users }) }
    }

    fn check_path(&self, path: &[u16]) -> Result<Vec<usize>> {
        let PlantedConfig { states, values, .. } = self.config;
        if path.len() >= states {
            return Err(Error::PathTooLong { states, found: path.len() });
        }
        let path: Vec<usize> = path.iter().map(|&value| value.into()).collect();
        match path.iter().position(|&value| value >= values) {
            None => Ok(path),
            Some(state) => Err(Error::NoSuchValue { state, values, found: path[state] }),
        }
    }

    /// Distribution of the next state, from the logarithms of all that may follow.
    fn next(&self, log_weights: &[f64]) -> Vec<f64> {
        let below = softmax(log_weights);
        let block = below.len() / self.config.values;
        below.chunks_exact(block).map(|block| block.iter().sum()).collect()
    }

    fn observed(&self, user: usize) -> &[Option<u16>] {
        &self.codes[user * self.config.fields..][..self.config.fields]
    }

    fn true_states(&self, user: usize) -> &[u16] {
        &self.states[user * self.config.states..][..self.config.states]
    }

    fn joint(&self, user: usize) -> Vec<f64> {
        softmax(&self.tables.log_weights(self.observed(user), &[]))
    }

    /// Sums out the last state again and again, so that every marginal reads a table no longer than it must.
    fn all_marginals(&self, user: usize) -> Vec<Vec<f64>> {
        let values = self.config.values;
        let mut left = self.joint(user);
        let mut marginals = Vec::with_capacity(self.config.states);
        for _ in 0..self.config.states {
            let mut row = vec![0.0; values];
            for block in left.chunks_exact(values) {
                row.iter_mut().zip(block).for_each(|(sum, p)| *sum += p);
            }
            marginals.push(row);
            left = left.chunks_exact(values).map(|block| block.iter().sum()).collect();
        }
        marginals.reverse();
        marginals
    }
}

/// Number of a combination.
fn number(values: usize, states: &[usize]) -> usize {
    states.iter().fold(0, |number, value| number * values + value)
}
