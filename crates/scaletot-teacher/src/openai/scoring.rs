//! Which endpoint is asked, and how a distribution is obtained from it.

use std::fmt;

/// Which of a server's endpoints is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Endpoint {
    /// `/completions`: the model continues the prompt, as base models and small ones do best.
    #[default]
    Completions,
    /// `/chat/completions`: the model is asked to complete the sentence with one of the labels.
    Chat,
}

/// How a distribution over labels is obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scoring {
    /// One token with the log-probabilities of the most probable ones. Labels are distinguished by their first tokens; where
    /// two begin alike, the question is asked on from there (completions) or sampled (chat). Labels that are not among the
    /// tokens are missing from the answer.
    TopTokens {
        /// How many tokens to ask for.
        top: u32,
    },
    /// The prompt with each label appended, echoed with log-probabilities: one request per label, nothing is missing.
    Echo,
    /// Sampled answers, counted.
    Sample {
        /// How many.
        samples: u32,
        /// Whether the server is asked to answer with one of the labels (`structured_outputs`, as vLLM has it).
        guided: bool,
    },
}

impl fmt::Display for Scoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TopTokens { top } => write!(f, "top {top}"),
            Self::Echo => f.write_str("echo"),
            Self::Sample { samples, guided: true } => write!(f, "{samples} guided samples"),
            Self::Sample { samples, guided: false } => write!(f, "{samples} samples"),
        }
    }
}
