//! Chains from the first state on, many users and many chains of each at a time. What chains have in common is read once.

use burn::tensor::Tensor;

use crate::choose::legal_softmax;
use crate::decoder::{KvCache, TokenBatch};
use crate::error::Result;
use crate::student::Student;

/// The first states of a chain.
pub(crate) struct Prefix {
    /// Which of the walk's users it is of.
    pub(crate) user: usize,
    /// Value codes.
    pub(crate) values: Vec<u16>,
    /// The logarithm of its probability, or of what it stands for.
    pub(crate) log_mass: f64,
}

/// Prefixes of the same length, and what the decoder remembers of them.
pub(crate) struct Walk<'a> {
    student: &'a Student,
    cache: KvCache,
    prefixes: Vec<Prefix>,
    /// What of each prefix has not been read yet.
    next: Vec<Vec<u32>>,
}

impl<'a> Walk<'a> {
    /// The empty prefix of each user.
    pub(crate) fn new(student: &'a Student, prompts: &[&[u32]]) -> Self {
        let empty = |user| Prefix { user, values: Vec::new(), log_mass: 0.0 };
        Self {
            student,
            cache: KvCache::new(),
            prefixes: (0..prompts.len()).map(empty).collect(),
            next: prompts.iter().map(|prompt| prompt.to_vec()).collect(),
        }
    }

    /// All legal prefixes that are one value longer, by prefix and value, each with the index of the prefix that it goes on from.
    pub(crate) fn longer(&mut self, state: usize) -> Result<Vec<(usize, Prefix)>> {
        let (tokenizer, schema) = (self.student.tokenizer(), self.student.chain_schema());
        self.next.iter_mut().for_each(|tokens| tokens.extend(tokenizer.state_token(state)));
        let hidden = self.last_hidden(&TokenBatch::left_padded(&self.next, tokenizer.pad()))?;
        let logits = self.student.value_logits(hidden, state)?;
        let mut longer = Vec::with_capacity(logits.len());
        for (from, (prefix, logits)) in
            self.prefixes.iter().zip(logits.chunks_exact(schema.domain_size(state))).enumerate()
        {
            let legal = schema.allowed(state, &prefix.values);
            let p = legal_softmax(logits, &legal, 1.0);
            for (value, p) in (0..).zip(p).filter(|(value, _)| legal[usize::from(*value)]) {
                let values = prefix.values.iter().copied().chain([value]).collect();
                longer.push((from, Prefix { user: prefix.user, values, log_mass: prefix.log_mass + p.ln() }));
            }
        }
        Ok(longer)
    }

    /// Goes on with these prefixes, some or all of [`longer`](Self::longer) at `state`.
    pub(crate) fn keep(&mut self, state: usize, kept: Vec<(usize, Prefix)>) {
        let first = self.student.tokenizer().value_tokens(state).start;
        let token = |prefix: &Prefix| prefix.values.last().map(|value| first + u32::from(*value));
        let (from, prefixes): (Vec<usize>, Vec<Prefix>) = kept.into_iter().unzip();
        self.cache = self.cache.select(&from);
        self.next = prefixes.iter().map(|prefix| token(prefix).into_iter().collect()).collect();
        self.prefixes = prefixes;
    }

    pub(crate) fn into_prefixes(self) -> Vec<Prefix> {
        self.prefixes
    }

    /// Hidden states `[rows, d]` of the last column.
    fn last_hidden(&mut self, tokens: &TokenBatch) -> Result<Tensor<2>> {
        let last: Vec<i64> = (1..=tokens.rows()).map(|row| (row * tokens.len()) as i64 - 1).collect();
        self.student.model().hidden_at(tokens, &last, Some(&mut self.cache), None)
    }
}
