//! Why users failed, counted.

use std::collections::BTreeMap;

use scaletot_chain::Verdict;
use serde::{Deserialize, Serialize};

/// A reason for which users failed, and how many did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FailureCount {
    /// The reason that one of them has; those of the others differ from it in numbers and in what they quote at most.
    pub reason: String,
    /// Users who failed for it.
    pub users: u64,
}

/// More kinds of reasons are not told apart.
const MAX_KINDS: usize = 1_000;

#[derive(Default)]
pub(super) struct Tally {
    /// By the reason without what differs between users.
    kinds: BTreeMap<String, FailureCount>,
}

impl Tally {
    pub(super) fn count(&mut self, verdict: &Verdict) {
        if let Verdict::Failed { reason } = verdict {
            self.count_reason(reason.to_string());
        }
    }

    pub(super) fn count_reason(&mut self, reason: String) {
        let kind = kind(&reason);
        if self.kinds.len() < MAX_KINDS || self.kinds.contains_key(&kind) {
            self.kinds.entry(kind).or_insert(FailureCount { reason, users: 0 }).users += 1;
        }
    }

    /// The reason of most users, of equally frequent ones the first by its text.
    pub(super) fn most_frequent(&self) -> Option<FailureCount> {
        self.kinds.values().rev().max_by_key(|count| count.users).cloned()
    }
}

/// A reason without words that hold a digit, such as seconds and keys, and without what it quotes.
fn kind(reason: &str) -> String {
    let unquoted: Vec<&str> = reason.split(['"', '`']).step_by(2).collect();
    let words = unquoted.iter().flat_map(|part| part.split_whitespace());
    words.filter(|word| !word.contains(|c: char| c.is_ascii_digit())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use scaletot_chain::Reason;

    use super::*;

    #[test]
    fn reasons_that_differ_in_numbers_and_quotes_are_one() {
        let mut tally = Tally::default();
        let failed = |message: &str| {
            let reason = Reason::TeacherFailed { message: message.to_owned() };
            Verdict::Failed { reason }
        };
        tally.count(&failed("gave up after 6 attempts in 8.1 s: away"));
        tally.count(&failed("no answer to \"a\" (key 0af3)"));
        tally.count(&failed("no answer to \"b c\" (key 99e1)"));
        tally.count(&Verdict::Accepted);
        let most = tally.most_frequent().unwrap();
        assert_eq!(most.users, 2);
        assert!(most.reason.ends_with("no answer to \"a\" (key 0af3)"), "{}", most.reason);
        assert_eq!(Tally::default().most_frequent(), None);
    }
}
