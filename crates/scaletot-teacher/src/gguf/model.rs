//! The forward pass over a tree of tokens, and the scoring of labels.

use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::attention::{Attention, Paths, Rotary};
use super::failure::Failure;
use super::kernels::{add, gated, log_sum_exp, rms_norm};
use super::options::GgufOptions;
use super::shape::Shape;
use super::tree::{PrefixTree, ROOT};
use super::trie::LabelTrie;
use super::weights::{Layer, Weights, product};

/// Rows of logits computed at a time: 32 rows of a vocabulary of 49,152 take 6 MB.
const LOGIT_ROWS: usize = 32;

/// What is asked of the model: how likely is each label after the prompt?
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// At least one token.
    pub(super) prompt: Vec<u32>,
    pub(super) labels: LabelTrie,
}

impl Job {
    /// Tokens that the model is run on if nothing is shared.
    pub(super) fn tokens(&self) -> usize {
        self.prompt.len() + self.labels.inner().len()
    }
}

/// What was computed since the model was opened.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Work {
    pub(super) tokens: u64,
    pub(super) passes: u64,
    pub(super) time: Duration,
}

/// A model with the keys, values and last hidden states of the tokens in its tree.
#[derive(Debug)]
pub(super) struct Llama {
    shape: Shape,
    weights: Weights,
    options: GgufOptions,
    tree: PrefixTree,
    /// Per layer `[slots, kv_dim]`.
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
    /// The normalised output of the last layer, `[slots, width]`: logits are taken from it only where a label
    /// needs them.
    hidden: Vec<f32>,
    rotary: Rotary,
    /// Counters; the caller reads them.
    pub(super) work: Work,
}

impl Llama {
    pub(super) fn new(shape: Shape, weights: Weights, options: GgufOptions) -> Self {
        let rotary = Rotary::new(&shape);
        let (keys, values) = (vec![Vec::new(); shape.layers], vec![Vec::new(); shape.layers]);
        let (tree, hidden, work) = (PrefixTree::default(), Vec::new(), Work::default());
        Self { shape, weights, options, tree, keys, values, hidden, rotary, work }
    }

    /// The labels' log-probabilities for each job, in the order of the jobs. Prompts must fit the context. Where nobody waits for them
    /// any more, which is looked at before each pass, they are none.
    pub(super) fn score(
        &mut self,
        jobs: &[Job],
        stopped: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<Vec<f64>>, Failure> {
        let started = Instant::now();
        let scores = self.score_in_groups(jobs, stopped);
        if scores.is_err() {
            // Nodes may be without their keys and values.
            self.tree.clear();
        }
        self.work.time += started.elapsed();
        scores
    }

    fn score_in_groups(
        &mut self,
        jobs: &[Job],
        stopped: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<Vec<f64>>, Failure> {
        // Neighbours in this order share most, so that little is lost where a group ends.
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        order.sort_by(|&a, &b| jobs[a].prompt.cmp(&jobs[b].prompt));
        let mut scores = vec![Vec::new(); jobs.len()];
        let mut waiting = order.as_slice();
        while !waiting.is_empty() {
            self.tree.begin_round();
            let (mut fresh, mut ends) = (Vec::new(), Vec::new());
            for &index in waiting {
                let job = &jobs[index];
                let needed = self.tree.missing(&job.prompt) + job.labels.inner().len();
                if !ends.is_empty() && fresh.len() + needed > self.options.batch_tokens {
                    break;
                }
                ends.push(self.insert(job, &mut fresh));
            }
            // Evenly, so that no pass is left with a few tokens; parents come first, so each pass finds its
            // ancestors computed.
            let passes = fresh.len().div_ceil(self.options.batch_tokens).max(1);
            for nodes in fresh.chunks(fresh.len().div_ceil(passes).max(1)) {
                if stopped() {
                    return Err(
                        "expected somebody who waits for the answer, found that the run is to stop".into()
                    );
                }
                self.forward(nodes)?;
            }
            let (group, rest) = waiting.split_at(ends.len());
            let group_jobs: Vec<&Job> = group.iter().map(|&index| &jobs[index]).collect();
            for (&index, score) in group.iter().zip(self.read_out(&group_jobs, &ends)?) {
                scores[index] = score;
            }
            self.tree.shrink(self.options.cache_tokens);
            waiting = rest;
        }
        Ok(scores)
    }

    /// Puts a job's tokens into the tree; returns the nodes of the label trie's slots.
    fn insert(&mut self, job: &Job, fresh: &mut Vec<u32>) -> Vec<u32> {
        let mut slots = vec![self.tree.insert(ROOT, &job.prompt, fresh)];
        for &(slot, token) in job.labels.inner() {
            slots.push(self.tree.insert(slots[slot], &[token], fresh));
        }
        slots
    }

    /// Runs the model on nodes whose ancestors are computed or come before them in `nodes`.
    fn forward(&mut self, nodes: &[u32]) -> Result<(), Failure> {
        let (width, kv_dim) = (self.shape.width, self.shape.kv_dim());
        let slots = self.tree.slots();
        self.hidden.resize(slots * width, 0.0);
        for cache in self.keys.iter_mut().chain(&mut self.values) {
            cache.resize(slots * kv_dim, 0.0);
        }
        let tokens: Vec<(u32, usize)> = nodes.iter().filter_map(|&id| self.tree.token(id)).collect();
        self.rotary.reserve(tokens.iter().map(|&(_, position)| position + 1).max().unwrap_or(0));
        let mut paths = Paths::default();
        nodes.iter().for_each(|&id| paths.push(self.tree.path(id)));
        let pass = Pass {
            shape: &self.shape,
            rotary: &self.rotary,
            nodes,
            tokens: &tokens,
            paths: &paths,
            tasks: self.options.threads,
        };

        // Rows beyond the nodes are padding: zeros, computed and not read.
        let rows = nodes.len().max(self.shape.min_rows());
        let mut x = vec![0.0; rows * width];
        self.weights.embed(tokens.iter().map(|&(token, _)| token), &self.shape, &mut x)?;
        for (index, layer) in self.weights.layers.iter().enumerate() {
            let (keys, values) = (&mut self.keys[index], &mut self.values[index]);
            pass.block(layer, keys, values, &mut x)?;
        }
        let mut normed = vec![0.0; x.len()];
        pass.norm(&x, &self.weights.norm, &mut normed);
        for (&node, row) in nodes.iter().zip(normed.chunks_exact(width)) {
            self.hidden[node as usize * width..][..width].copy_from_slice(row);
        }
        self.work.tokens += nodes.len() as u64;
        self.work.passes += 1;
        Ok(())
    }

    /// The labels' log-probabilities, from the hidden states of the slots in `ends`.
    fn read_out(&self, jobs: &[&Job], ends: &[Vec<u32>]) -> Result<Vec<Vec<f64>>, Failure> {
        let (width, vocab) = (self.shape.width, self.shape.vocab);
        let mut nodes: Vec<u32> = ends.iter().flatten().copied().collect();
        nodes.sort_unstable();
        nodes.dedup();
        // Which tokens are asked for after each node.
        let mut asked = vec![Vec::new(); nodes.len()];
        let mut results: Vec<Vec<f64>> = jobs.iter().map(|job| vec![0.0; job.labels.steps().len()]).collect();
        for (job, slots) in ends.iter().enumerate() {
            for (step, &(slot, token)) in jobs[job].labels.steps().iter().enumerate() {
                if let Ok(row) = nodes.binary_search(&slots[slot]) {
                    asked[row].push((job, step, token as usize));
                }
            }
        }
        for (nodes, asked) in nodes.chunks(LOGIT_ROWS).zip(asked.chunks(LOGIT_ROWS)) {
            let mut rows = vec![0.0; nodes.len().max(self.shape.min_rows()) * width];
            for (row, &node) in rows.chunks_exact_mut(width).zip(nodes) {
                row.copy_from_slice(&self.hidden[node as usize * width..][..width]);
            }
            let finite = product(rows, &self.weights.head, |logits| {
                let mut finite = true;
                for (logits, asked) in logits.chunks_exact(vocab).zip(asked) {
                    let total = log_sum_exp(logits);
                    for &(job, step, token) in asked {
                        let log_prob = f64::from(logits[token]) - total;
                        finite &= log_prob.is_finite();
                        // Rounding may put a certain token a hair above 0.
                        results[job][step] = if log_prob > 0.0 { 0.0 } else { log_prob };
                    }
                }
                finite
            })?;
            if !finite {
                return Err(
                    "expected finite log-probabilities, found an overflow: are the weights damaged?".into()
                );
            }
        }
        Ok(jobs.iter().zip(&results).map(|(job, steps)| job.labels.add_up(steps)).collect())
    }
}

/// What one pass is about: the model's sizes, its nodes with their tokens, positions and paths, and how many tasks the work
/// between matrix products is split into.
struct Pass<'a> {
    shape: &'a Shape,
    rotary: &'a Rotary,
    nodes: &'a [u32],
    tokens: &'a [(u32, usize)],
    paths: &'a Paths,
    tasks: usize,
}

impl Pass<'_> {
    /// Numbers per task, if `total` rows of `columns` numbers are split evenly.
    fn task(&self, total: usize, columns: usize) -> usize {
        (total / columns).div_ceil(self.tasks).max(1) * columns
    }

    fn norm(&self, x: &[f32], gain: &[f32], y: &mut [f32]) {
        let (task, epsilon) = (self.task(x.len(), gain.len()), self.shape.epsilon);
        x.par_chunks(task).zip(y.par_chunks_mut(task)).for_each(|(x, y)| rms_norm(x, gain, epsilon, y));
    }

    /// One transformer block: `x += attention(norm(x))`, then `x += feed_forward(norm(x))`.
    fn block(
        &self,
        layer: &Layer,
        keys: &mut [f32],
        values: &mut [f32],
        x: &mut [f32],
    ) -> Result<(), Failure> {
        let shape = self.shape;
        let (q_dim, kv_dim, width) = (shape.q_dim(), shape.kv_dim(), shape.width);
        let rows = x.len() / width;
        let mut normed = vec![0.0; x.len()];
        self.norm(x, &layer.attention_norm, &mut normed);
        let mut queries = vec![0.0; self.nodes.len() * q_dim];
        let scale = 1.0 / (shape.head_dim as f32).sqrt();
        product(normed, &layer.qkv, |qkv| {
            let per_node = self.nodes.iter().zip(self.tokens).zip(qkv.chunks_exact(q_dim + 2 * kv_dim));
            for (((&node, &(_, position)), row), query) in per_node.zip(queries.chunks_exact_mut(q_dim)) {
                let (q, kv) = row.split_at(q_dim);
                let (k, v) = kv.split_at(kv_dim);
                let slot = node as usize * kv_dim..(node as usize + 1) * kv_dim;
                self.rotary.turn(q, position, scale, query);
                self.rotary.turn(k, position, 1.0, &mut keys[slot.clone()]);
                values[slot].copy_from_slice(v);
            }
        })?;
        let mut mixed = vec![0.0; rows * q_dim];
        let attention = Attention { shape, keys, values, paths: self.paths };
        let task = self.task(queries.len(), q_dim);
        queries.par_chunks(task).zip(mixed.par_chunks_mut(task)).enumerate().for_each(
            |(i, (queries, mixed))| {
                attention.attend(i * task / q_dim, queries, mixed);
            },
        );
        product(mixed, &layer.output, |y| add(x, y))?;

        let mut normed = vec![0.0; x.len()];
        self.norm(x, &layer.feed_forward_norm, &mut normed);
        let ff = shape.feed_forward;
        let mut active = vec![0.0; rows * ff];
        product(normed, &layer.gate_up, |gate_up| {
            let task = self.task(active.len(), ff);
            let tasks = gate_up.par_chunks(2 * task).zip(active.par_chunks_mut(task));
            tasks.for_each(|(gate_up, active)| gated(gate_up, ff, active));
        })?;
        product(active, &layer.down, |y| add(x, y))
    }
}
