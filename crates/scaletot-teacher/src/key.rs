//! The key under which an answer is recorded and cached.

use std::fmt;

use scaletot_core::{ContentHash, ContentHasher};

/// SHA-256 of a model, a prompt and labels, and of the [way](Self::with_way) the answer is obtained where a model has several: what
/// identifies an answer. Shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PromptKey {
    hash: ContentHash,
    /// The beginning of the hash of model, prompt and labels alone.
    question: [u8; PromptKey::SHORT],
}

impl PromptKey {
    /// Bytes of a key that a replay file keeps.
    pub const SHORT: usize = 16;

    /// All 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        self.hash.as_bytes()
    }

    /// The first [`SHORT`](Self::SHORT) bytes as hexadecimal digits, as a replay file writes them. 128 bits: a
    /// chance clash among a billion prompts has a probability below 1e-20.
    #[must_use]
    pub fn short(&self) -> String {
        self.hash.prefix(2 * Self::SHORT)
    }

    /// The key of an answer to the same question that depends on `way` too: how the answer is obtained, where that is found out
    /// while asking and the model's name does not tell.
    #[must_use]
    pub fn with_way(&self, way: &str) -> Self {
        let mut hasher = ContentHasher::new();
        hasher.update_part(self.hash.as_bytes());
        hasher.update_part(way);
        Self { hash: hasher.finish(), question: self.question }
    }

    /// Whether both are keys of the same model's answers to the same question, in whatever [way](Self::with_way) obtained.
    #[must_use]
    pub fn has_question_of(&self, other: &Self) -> bool {
        self.question == other.question
    }
}

impl fmt::Display for PromptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hash.fmt(f)
    }
}

impl fmt::Debug for PromptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PromptKey({self})")
    }
}

/// The key of `model`'s answer to `prompt` with `labels`: SHA-256 over the parts, each preceded by its length, so
/// that no two different questions hash the same bytes.
///
/// ```
/// use scaletot_teacher::prompt_key;
/// let labels = ["low".to_owned(), "high".to_owned()];
/// let key = prompt_key("smollm2", "This customer's spending is", &labels);
/// assert_eq!(key, prompt_key("smollm2", "This customer's spending is", &labels));
/// assert_ne!(key, prompt_key("smollm2", "This customer's spending is", &labels[..1]));
/// ```
#[must_use]
pub fn prompt_key(model: &str, prompt: &str, labels: &[String]) -> PromptKey {
    let mut hasher = ContentHasher::new();
    [model, prompt]
        .into_iter()
        .chain(labels.iter().map(String::as_str))
        .for_each(|part| hasher.update_part(part));
    let hash = hasher.finish();
    let mut question = [0; PromptKey::SHORT];
    question.copy_from_slice(&hash.as_bytes()[..PromptKey::SHORT]);
    PromptKey { hash, question }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Moving a character from one part to the next is another question.
        #[test]
        fn parts_do_not_run_together(a in "[a-c]{1,4}", b in "[a-c]{0,4}", c in "[a-c]{0,4}") {
            let labels = [c.clone()];
            let key = prompt_key(&a, &b, &labels);
            let (head, last) = a.split_at(a.len() - 1);
            prop_assert_ne!(key, prompt_key(head, &format!("{last}{b}"), &labels));
            prop_assert_eq!(key.to_string().len(), 64);
            prop_assert!(key.to_string().starts_with(&key.short()));
            // So is another way, to the same question.
            let (way, other) = (key.with_way(&b), format!("{b}x"));
            prop_assert!(way != key && way != key.with_way(&other) && way != way.with_way(&b));
            prop_assert!(way.has_question_of(&key) && !way.has_question_of(&prompt_key(&other, &a, &labels)));
        }
    }
}
