//! The tokens of chains, which are the same however the profile is read.

use scaletot_chain::ChainSchema;

/// The cue to begin the chain.
pub(super) const THINK_WORD: &str = "<think>";

/// A token as it is written, and its name or value in plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) word: String,
    pub(super) plain: String,
}

/// The words of a chain by id, from the first state's name on: of each state its name, then its values.
pub(super) fn words(chain: &ChainSchema) -> Vec<Word> {
    let plain = |text: &str| text.replace('_', " ");
    let mut words = Vec::new();
    for state in chain.states() {
        let name = escaped(state.name());
        words.push(Word { word: format!("<state:{name}>"), plain: plain(state.name()) });
        words.extend(state.values().iter().map(|value| {
            let word = format!("<state:{name}={}>", escaped(value));
            Word { word, plain: plain(value) }
        }));
    }
    words
}

/// Ids of the tokens that a chain is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChainTokens {
    pub(super) think: u32,
    pub(super) eos: u32,
    /// What fills the gaps of a batch; masked, so that any token would do.
    pub(super) pad: u32,
    /// The names of the states; each is followed by its values without a gap.
    names: Vec<u32>,
    /// One after the last value of the last state.
    end: u32,
}

impl ChainTokens {
    /// With the [`words`] of the chain from the id `first` on.
    pub(super) fn new(chain: &ChainSchema, first: u32, think: u32, eos: u32, pad: u32) -> Self {
        let mut end = first;
        let mut names = Vec::with_capacity(chain.len());
        for size in chain.domain_sizes() {
            names.push(end);
            end += 1 + size as u32;
        }
        Self { think, eos, pad, names, end }
    }

    /// Token of state `k`'s name.
    pub(super) fn state(&self, k: usize) -> u32 {
        self.names[k]
    }

    /// Token of the first value of state `k`.
    pub(super) fn values(&self, k: usize) -> u32 {
        self.names[k] + 1
    }

    /// The states' tokens, and the cue where it stands right before them, as it does unless the checkpoint had one.
    pub(super) fn block(&self) -> std::ops::Range<u32> {
        let first = self.names.first().copied().unwrap_or(self.end);
        let first = if self.think + 1 == first { self.think } else { first };
        first..self.end
    }
}

/// Escapes what the token texts are built of, so that no two tokens share a text, no text holds the
/// separator, and no value can spell a special token.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '=' => out.push_str("\\e"),
            '<' => out.push_str("\\l"),
            '>' => out.push_str("\\g"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out
}
