//! The labels of one question as a token trie: labels that begin alike share their first tokens.
//!
//! A label's probability is the product over its tokens of `p(token | prompt, tokens before)`. The model must be
//! run on a label's token only if another token follows it, so one-token labels cost nothing beyond the prompt.

use std::collections::HashMap;

/// Labels as token sequences, ready to be scored after a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LabelTrie {
    /// The tokens that the model is run on: `(slot, token)`, parents first. Slot 0 is the prompt's last token,
    /// slot `i + 1` is `inner[i]`.
    inner: Vec<(usize, u32)>,
    /// The distinct probabilities that are needed: of `token` after `slot`.
    steps: Vec<(usize, u32)>,
    /// For each label the steps whose log-probabilities add up to its own.
    labels: Vec<Vec<usize>>,
}

impl LabelTrie {
    /// Builds the trie of one token sequence per label.
    pub(super) fn new<'a>(labels: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let mut trie = Self { inner: Vec::new(), steps: Vec::new(), labels: Vec::new() };
        let (mut slots, mut known) = (HashMap::new(), HashMap::new());
        for tokens in labels {
            let mut label = Vec::with_capacity(tokens.len());
            let mut slot = 0;
            for (i, &token) in tokens.iter().enumerate() {
                label.push(*known.entry((slot, token)).or_insert_with(|| {
                    trie.steps.push((slot, token));
                    trie.steps.len() - 1
                }));
                if i + 1 < tokens.len() {
                    slot = *slots.entry((slot, token)).or_insert_with(|| {
                        trie.inner.push((slot, token));
                        trie.inner.len()
                    });
                }
            }
            trie.labels.push(label);
        }
        trie
    }

    /// The tokens that the model is run on after the prompt.
    pub(super) fn inner(&self) -> &[(usize, u32)] {
        &self.inner
    }

    /// The `(slot, token)` whose log-probability is needed.
    pub(super) fn steps(&self) -> &[(usize, u32)] {
        &self.steps
    }

    /// The labels' log-probabilities, from those of the [`steps`](Self::steps).
    pub(super) fn add_up(&self, steps: &[f64]) -> Vec<f64> {
        let of =
            |label: &Vec<usize>| label.iter().map(|&step| steps.get(step).copied().unwrap_or(f64::NAN)).sum();
        self.labels.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shared_tokens_are_run_once() {
        let labels: [&[u32]; 4] = [&[7], &[1, 2], &[1, 3, 4], &[1]];
        let trie = LabelTrie::new(labels);
        assert_eq!(trie.inner(), [(0, 1), (1, 3)]);
        assert_eq!(trie.steps(), [(0, 7), (0, 1), (1, 2), (1, 3), (2, 4)]);
        assert_eq!(trie.add_up(&[0.5, 1.0, 2.0, 4.0, 8.0]), [0.5, 3.0, 13.0, 1.0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Walking a label's steps spells the label, after the slots that its tokens lead to.
        #[test]
        fn steps_spell_the_labels(labels in prop::collection::vec(prop::collection::vec(0_u32..3, 1..5), 1..8)) {
            let trie = LabelTrie::new(labels.iter().map(Vec::as_slice));
            for (label, steps) in labels.iter().zip(&trie.labels) {
                let spelled: Vec<u32> = steps.iter().map(|&s| trie.steps[s].1).collect();
                prop_assert_eq!(&spelled, label);
                let mut slot = 0;
                for &step in steps {
                    prop_assert_eq!(trie.steps[step].0, slot);
                    let child = trie.inner.iter().position(|&inner| inner == trie.steps[step]);
                    slot = child.map_or(usize::MAX, |i| i + 1);
                }
            }
            let tokens: usize = labels.iter().map(Vec::len).sum();
            prop_assert!(trie.inner().len() <= tokens - labels.len());
            prop_assert!(trie.inner().iter().enumerate().all(|(i, &(slot, _))| slot <= i));
        }
    }
}
