//! What a teacher is asked.
//!
//! The question carries the typed profile as well as the prompt, because a rule reads fields where a language model reads
//! words.

use std::fmt;
use std::time::{Duration, Instant};

use scaletot_chain::ChainSchema;
use scaletot_profile::ProfileTable;

use crate::key::{PromptKey, prompt_key};

/// One question to a teacher: which of `labels` continues `prompt`?
#[derive(Clone)]
#[non_exhaustive]
pub struct Question<'a> {
    /// The text, ending right before the label and without a space at its end; the continuation that is scored is
    /// a space and the label (`" low"`).
    pub prompt: String,
    /// The values of the state that is asked, in the schema's order.
    pub labels: &'a [String],
    /// The table that holds the user's profile.
    pub table: &'a ProfileTable,
    /// The user's row in [`table`](Self::table).
    pub row: usize,
    /// The chain schema.
    pub schema: &'a ChainSchema,
    /// The state that is asked, an index into the schema's states.
    pub state: usize,
    /// The values of the states before it, as codes; at least as long as [`state`](Self::state).
    pub path: &'a [u16],
    /// When the caller stops waiting for the answer; `None` if it always waits. No answer depends on it, but that one may
    /// not come: a teacher that waits for a server, or tries again, gives up then.
    pub deadline: Option<Instant>,
    stop: Option<&'a (dyn Fn() -> bool + Sync)>,
}

impl<'a> Question<'a> {
    /// The longest time that a teacher waits before it looks again whether a question was [`stopped`](Self::stopped).
    pub const STOP_INTERVAL: Duration = Duration::from_millis(50);

    /// A question about `state` for the user in `row`, given the values of the states before it: with the state's labels, no
    /// prompt yet, no deadline, and nothing that stops it. [`Prompter::question`](crate::Prompter::question) makes one with its prompt.
    #[must_use]
    pub fn new(
        schema: &'a ChainSchema,
        state: usize,
        path: &'a [u16],
        table: &'a ProfileTable,
        row: usize,
    ) -> Self {
        let labels = schema.states().get(state).map_or(&[][..], |state| state.values());
        Self { prompt: String::new(), labels, table, row, schema, state, path, deadline: None, stop: None }
    }

    /// Sets the prompt.
    #[must_use]
    pub fn with_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.prompt = prompt.into();
        self
    }

    /// Sets the labels; by default the values of the state.
    #[must_use]
    pub fn with_labels(mut self, labels: &'a [String]) -> Self {
        self.labels = labels;
        self
    }

    /// Sets when the caller stops waiting; by default it always waits.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets what tells that nobody waits for the answer any more; by default nothing does.
    #[must_use]
    pub fn with_stop(mut self, stopped: &'a (dyn Fn() -> bool + Sync)) -> Self {
        self.stop = Some(stopped);
        self
    }

    /// Whether nobody waits for the answer any more, because the run is to stop or has ended. No answer depends on it, but that
    /// one may not come: a teacher that waits, for a server or before it tries again, looks at it at least every
    /// [`STOP_INTERVAL`](Self::STOP_INTERVAL), and returns [`Error::Stopped`](crate::Error::Stopped) then.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stop.is_some_and(|stopped| stopped())
    }

    /// Waits for `wait`, or until the question is [`stopped`](Self::stopped); returns whether it is.
    pub(crate) fn sleep(&self, wait: Duration) -> bool {
        let Some(until) = Instant::now().checked_add(wait) else { return self.stopped() };
        loop {
            if self.stopped() {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            std::thread::sleep(left.min(Self::STOP_INTERVAL));
        }
    }

    /// The name of the state that is asked.
    #[must_use]
    pub fn state_name(&self) -> &str {
        self.schema.states().get(self.state).map_or("?", |state| state.name())
    }

    /// The key under which `model`'s answer to this question is recorded and cached.
    #[must_use]
    pub fn key(&self, model: &str) -> PromptKey {
        prompt_key(model, &self.prompt, self.labels)
    }
}

/// Names the prompt and the state; the table is left out, it may hold millions of users.
impl fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("state", &self.state_name())
            .field("path", &self.path)
            .field("row", &self.row)
            .field("prompt", &self.prompt)
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}
