//! Decoding: chains, marginals and representations for many users.
//!
//! The decoder is asked for a state's value only: after each state's name the logits of that state's values
//! are taken, values that the chain schema forbids after the values so far are removed, and one of the rest
//! is chosen. An illegal chain therefore cannot come about, and no probability is wasted on tokens that could
//! not follow.

use std::collections::HashSet;

use burn::tensor::Tensor;
use scaletot_chain::Signals;
use scaletot_core::config::check;
use scaletot_profile::ProfileTable;

use crate::choose::{Sampling, argmax, draw, legal_softmax, nucleus};
use crate::decoder::{KvCache, TokenBatch};
use crate::error::{Error, Result};
use crate::host::to_host;
use crate::inference::{InferConfig, Inference};
use crate::parts;
use crate::seeds;
use crate::student::Student;

impl Student {
    /// The signals of the users in `rows`, each named once, and their greedy chains.
    ///
    /// ```
    /// # use scaletot_chain::{ChainSchema, StateDef};
    /// # use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
    /// # use scaletot_student::{InferConfig, Student, StudentConfig};
    /// # let schema = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35+"])).build()?;
    /// # let mut builder = TableBuilder::new(schema);
    /// # builder.push_text(1, &["35+"])?;
    /// # let table = builder.finish();
    /// # let chain = ChainSchema::builder("spend").with_state(StateDef::ordinal("budget", ["low", "high"])).build()?;
    /// let student = Student::new(&StudentConfig::default(), &table, &chain, 7, &Default::default())?;
    /// let inference = student.infer(&table, &[0], &InferConfig::default())?;
    /// assert_eq!(inference.chain(0).len(), 1);
    /// assert!((inference.signals().marginal(0, 0).iter().sum::<f32>() - 1.0).abs() < 1e-5);
    /// assert_eq!(inference.signals().representation_shape(), [1, 64]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::SchemaMismatch`] for a table of another schema, [`Error::Row`] for a row that is not there, [`Error::RepeatedRow`],
    /// [`Error::TooLong`] for a profile whose text leaves no room for the chain, [`Error::Config`] for a setting of 0.
    pub fn infer(&self, table: &ProfileTable, rows: &[usize], config: &InferConfig) -> Result<Inference> {
        config.validate()?;
        check_distinct(rows)?;
        let (states, d) = (self.chain_schema().len(), self.shape().d_model);
        let sizes = self.chain_schema().domain_sizes();
        let width: usize = sizes.iter().sum();
        let mut chains = vec![0; rows.len() * states];
        let mut marginals = vec![0.0; rows.len() * width];
        let mut errors = vec![0.0; rows.len()];
        let mut representations = vec![0.0; rows.len() * states * d];
        let most_probable =
            |_: usize, logits: &[f32], legal: &[bool]| argmax(&legal_softmax(logits, legal, 1.0));
        let run = |at: &[usize], prompts: &[&[u32]]| {
            let rows: Vec<usize> = at.iter().map(|&at| rows[at]).collect();
            let steps = self.decode_batch(prompts, true, most_probable)?;
            Ok((steps, self.marginals_of(prompts, &rows, config.prefixes)?))
        };
        self.in_batches(table, rows, config.max_batch, run, |at, (steps, users)| {
            for (row, (&at, user)) in at.iter().zip(users).enumerate() {
                errors[at] = user.error;
                let of_user = &mut marginals[at * width..(at + 1) * width];
                of_user.iter_mut().zip(user.values).for_each(|(to, p)| *to = p as f32);
                for (state, step) in steps.iter().enumerate() {
                    chains[at * states + state] = step.values[row];
                    let hidden = &step.representations[row * d..(row + 1) * d];
                    let to = (at * states + state) * d;
                    representations[to..to + d].copy_from_slice(hidden);
                }
            }
        })?;
        let signals = Signals::new(rows.to_vec(), sizes, marginals, [states, d], representations)?;
        Ok(Inference { signals, chains, errors })
    }

    /// As [`infer`](Self::infer) for more users than fit in memory: the signals of `window` users at a time, in the order of `rows`, as
    /// the iterator is asked for them. An error costs its window alone; the next one is tried when it is
    /// asked for.
    ///
    /// ```
    /// # use scaletot_chain::{ChainSchema, StateDef};
    /// # use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
    /// # use scaletot_student::{InferConfig, Student, StudentConfig};
    /// # let schema = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35+"])).build()?;
    /// # let mut builder = TableBuilder::new(schema);
    /// # for user in 0..5 {
    /// #     builder.push_text(user, &[["18-34", "35+", ""][user as usize % 3]])?;
    /// # }
    /// # let table = builder.finish();
    /// # let chain = ChainSchema::builder("spend").with_state(StateDef::ordinal("budget", ["low", "high"])).build()?;
    /// # let student = Student::new(&StudentConfig::default(), &table, &chain, 7, &Default::default())?;
    /// let rows = [0, 1, 2, 3, 4];
    /// let mut users = vec![];
    /// for inference in student.infer_windows(&table, &rows, &InferConfig::default(), 2) {
    ///     users.push(inference?.signals().len()); // write them out before the next
    /// }
    /// assert_eq!(users, [2, 2, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn infer_windows<'a>(
        &'a self,
        table: &'a ProfileTable,
        rows: &'a [usize],
        config: &'a InferConfig,
        window: usize,
    ) -> impl Iterator<Item = Result<Inference>> + 'a {
        rows.chunks(window.max(1)).map(move |rows| self.infer(table, rows, config))
    }

    /// Samples one legal chain for each entry of `rows`, value codes by state: name a row twice for two chains. A chain depends on
    /// `seed`, on its position in `rows` and on the profile, not on `max_batch`.
    ///
    /// # Errors
    /// As [`infer`](Self::infer), and [`Error::Config`] for a batch of 0 or a setting of `sampling` out of its range.
    pub fn sample(
        &self,
        table: &ProfileTable,
        rows: &[usize],
        max_batch: usize,
        sampling: Sampling,
        seed: u64,
    ) -> Result<Vec<Vec<u16>>> {
        sampling.validate()?;
        let mut chains = vec![Vec::with_capacity(self.chain_schema().len()); rows.len()];
        let drawn = |at: &[usize]| {
            let mut streams: Vec<_> = at.iter().map(|&at| seeds::numbered(seed, at as u64)).collect();
            move |row: usize, logits: &[f32], legal: &[bool]| {
                let mut p = legal_softmax(logits, legal, sampling.temperature);
                nucleus(&mut p, sampling.top_p);
                draw(&p, &mut streams[row])
            }
        };
        let run = |at: &[usize], prompts: &[&[u32]]| self.decode_batch(prompts, false, drawn(at));
        self.in_batches(table, rows, max_batch, run, |at, steps| {
            for (row, &at) in at.iter().enumerate() {
                chains[at].extend(steps.iter().map(|step| step.values[row]));
            }
        })?;
        Ok(chains)
    }

    /// Gives `done` what `run` makes of the positions in `rows` and the prompts of some users, for all of them; on a CPU some at
    /// the same time.
    pub(crate) fn in_batches<T: Send>(
        &self,
        table: &ProfileTable,
        rows: &[usize],
        max_batch: usize,
        run: impl Fn(&[usize], &[&[u32]]) -> Result<T> + Send + Sync,
        mut done: impl FnMut(&[usize], T),
    ) -> Result<()> {
        check(max_batch > 0, "max_batch", "a positive number", max_batch)?;
        self.tokenizer().check_table(table)?;
        self.tokenizer().check_rows(table, rows)?;
        let prompts = rows.iter().map(|&row| self.tokenizer().prompt(table, row, |_| true));
        let prompts = prompts.collect::<Result<Vec<_>>>()?;
        // Profiles of about the same length share a batch, so that little is padded.
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&at| prompts[at].len());
        let batches: Vec<&[usize]> = order.chunks(max_batch).collect();
        let run = |at: &&[usize]| {
            let prompts: Vec<&[u32]> = at.iter().map(|&at| prompts[at].as_slice()).collect();
            Ok((at.to_vec(), run(at, &prompts)?))
        };
        parts::each(self.device(), &batches, run, |(at, found)| done(&at, found))
    }

    /// Logits of a state's values after hidden states `[rows, d]`, row by row.
    pub(crate) fn value_logits(&self, hidden: Tensor<2>, state: usize) -> Result<Vec<f32>> {
        let values = self.tokenizer().value_tokens(state);
        let logits = to_host("logits", self.model().logits_of(hidden, values.start as usize, values.len()))?;
        match logits.iter().find(|x| !x.is_finite()) {
            Some(value) => Err(Error::device("logits", format!("a logit is {value}"))),
            None => Ok(logits),
        }
    }

    /// The steps of one chain of each of some users, with hidden states at the values if they are wanted. `choose` gets a user, the logits
    /// of a state's values and which of them are legal.
    fn decode_batch(
        &self,
        prompts: &[&[u32]],
        represent: bool,
        mut choose: impl FnMut(usize, &[f32], &[bool]) -> u16,
    ) -> Result<Vec<Step>> {
        let (tokenizer, schema) = (self.tokenizer(), self.chain_schema());
        let mut cache = KvCache::new();
        let mut chains = vec![Vec::with_capacity(schema.len()); prompts.len()];
        let mut steps: Vec<Step> = Vec::with_capacity(schema.len());
        // Each pass reads the value before, if there is one, and the next state's name, if there is one.
        let mut next: Vec<Vec<u32>> = prompts.iter().map(|prompt| prompt.to_vec()).collect();
        for state in 0..schema.len() + usize::from(represent) {
            next.iter_mut().for_each(|tokens| tokens.extend(tokenizer.state_token(state)));
            let tokens = TokenBatch::left_padded(&next, tokenizer.pad());
            // Of a profile nothing is asked but the state of its last token.
            let [rows, len] = [tokens.rows(), tokens.len()];
            let asked = if state == 0 { 1 } else { len };
            let positions: Vec<i64> =
                (0..rows * len).filter(|at| at % len >= len - asked).map(|at| at as i64).collect();
            let hidden = self.model().hidden_at(&tokens, &positions, Some(&mut cache), None)?;
            let hidden = hidden.reshape([rows, asked, self.shape().d_model]);
            if let Some(before) = steps.last_mut().filter(|_| represent) {
                before.representations = to_host("representations", hidden.clone().narrow(1, 0, 1))?;
            }
            if state == schema.len() {
                break;
            }
            let last = hidden.narrow(1, asked - 1, 1).reshape([rows, self.shape().d_model]);
            let logits = self.value_logits(last, state)?;
            let first = tokenizer.value_tokens(state).start;
            let mut step = Step::default();
            for (row, logits) in logits.chunks_exact(schema.domain_size(state)).enumerate() {
                let value = choose(row, logits, &schema.allowed(state, &chains[row]));
                next[row] = vec![first + u32::from(value)];
                chains[row].push(value);
                step.values.push(value);
            }
            steps.push(step);
        }
        Ok(steps)
    }
}

/// One state of a batch's chains.
#[derive(Default)]
struct Step {
    /// Of each row.
    values: Vec<u16>,
    /// Hidden states at the values, row by row; empty if they were not asked for.
    representations: Vec<f32>,
}

/// Rows of a table of which none occurs twice.
fn check_distinct(rows: &[usize]) -> Result<()> {
    let mut seen = HashSet::with_capacity(rows.len());
    match rows.iter().find(|&&row| !seen.insert(row)) {
        None => Ok(()),
        Some(&row) => Err(Error::RepeatedRow { row }),
    }
}
