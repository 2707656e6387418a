//! The key under which an answer is recorded and cached.

use std::fmt;

use scaletot_core::{ContentHash, ContentHasher};

/// SHA-256 of a model, a prompt and labels: what identifies an answer. Shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PromptKey(ContentHash);

impl PromptKey {
    /// Bytes of a key that a replay file keeps.
    pub const SHORT: usize = 16;

    /// All 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The first [`SHORT`](Self::SHORT) bytes as hexadecimal digits, as a replay file writes them. 128 bits: a
    /// chance clash among a billion prompts has a probability below 1e-20.
    #[must_use]
    pub fn short(&self) -> String {
        self.0.prefix(2 * Self::SHORT)
    }
}

impl fmt::Display for PromptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
    PromptKey(hasher.finish())
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
        }
    }
}
