//! Language models behind any OpenAI-compatible server: llama.cpp, vLLM, Ollama and many others.
//!
//! A label's probability is read off in one of three ways ([`Scoring`]), and which of them a server can do is found out with
//! the first question: the most probable next tokens; the log-probabilities of the given labels, where the server echoes
//! prompts with theirs; or the shares of sampled answers, guided to the labels where the server can.

mod address;
mod builder;
mod labels;
mod refusal;
mod reply;
mod request;
mod sanitise;
mod scoring;
mod transport;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::answer::LabelAnswer;
use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::question::Question;
use crate::teacher::Teacher;

pub use builder::OpenAiBuilder;
pub use scoring::{Endpoint, Scoring};

use address::KeySource;
use labels::Matched;
use reply::Reply;
use sanitise::Sanitiser;
use transport::Transport;

/// A model behind an OpenAI-compatible server.
///
/// It asks once and returns what went wrong; wrap it in [`Retry`](crate::Retry) for another try, and in
/// [`Cached`](crate::Cached) or a [`Recorder`](crate::Recorder) to ask equal prompts once. The API key is sent to the server that it
/// was given for and nowhere else: it is not in `Debug`, errors, logs or traces, not even where a server sends it back.
///
/// ```no_run
/// use scaletot_teacher::openai::OpenAi;
/// use scaletot_teacher::{Retry, RetryPolicy};
///
/// let model = OpenAi::builder("http://127.0.0.1:8080/v1", "smollm2").build()?;
/// let teacher = Retry::new(model, RetryPolicy::default())?;
/// # Ok::<(), scaletot_teacher::Error>(())
/// ```
pub struct OpenAi {
    transport: Transport,
    sanitiser: Sanitiser,
    key: KeySource,
    /// The name that answers are known by.
    model: String,
    /// The name that the server knows.
    served: String,
    endpoint: Endpoint,
    top: u32,
    samples: u32,
    /// How distributions are obtained, once it is known.
    scoring: Mutex<Option<Scoring>>,
    /// Whether the server was found not to echo, or not to guide samples.
    no_echo: AtomicBool,
    unguided: AtomicBool,
}

/// What came of one way of scoring.
enum Scored {
    Answer(LabelAnswer),
    /// The server cannot do it.
    Unsupported,
    /// It cannot be done for these labels, or none of them was found.
    Undecided(u64),
}

impl OpenAi {
    /// How distributions are obtained; `None` until the first question has found out.
    #[must_use]
    pub fn scoring(&self) -> Option<Scoring> {
        *self.scoring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault with its server's text made fit for errors, logs and files. Every fault leaves through here.
    fn fit_to_show(&self, mut fault: Fault) -> Fault {
        if let Some(text) = fault.text_mut() {
            *text = self.sanitiser.clean(text);
        }
        if let Fault::Refused { status: 401 | 403, message } = &mut fault
            && !self.transport.has_key()
        {
            message.push_str(&format!(" ({})", self.key.absence()));
        }
        fault
    }

    /// Keeps what was found out first.
    fn settle(&self, scoring: Scoring) {
        let mut settled = self.scoring.lock().unwrap_or_else(PoisonError::into_inner);
        if settled.is_none() {
            tracing::info!(model = self.model, ?scoring, "how label probabilities are obtained");
            *settled = Some(scoring);
        }
    }

    /// Tries what servers can do, the best first.
    fn find_out(&self, question: &Question<'_>) -> Result<LabelAnswer, Fault> {
        for top in [self.top, self.top.min(5)] {
            match self.top_tokens(question, top) {
                Ok(Scored::Answer(answer)) => {
                    self.settle(Scoring::TopTokens { top });
                    return Ok(answer);
                }
                // The server can; these labels cannot be distinguished, or none was among the tokens.
                Ok(Scored::Undecided(spent)) => {
                    self.settle(Scoring::TopTokens { top });
                    return self.otherwise(question, spent);
                }
                Ok(Scored::Unsupported) => break,
                // Some servers take 5 at most, and refuse with that reason.
                Err(Fault::Refused { message, .. }) if message.contains("logprobs") => {}
                Err(fault) => return Err(fault),
            }
        }
        let answer = self.otherwise(question, 0)?;
        let guided = !self.unguided.load(Ordering::Relaxed);
        self.settle(match answer.samples {
            Some(_) => Scoring::Sample { samples: self.samples, guided },
            None => Scoring::Echo,
        });
        Ok(answer)
    }

    /// An echo where the server has it, or else samples; `spent` tokens were used before.
    fn otherwise(&self, question: &Question<'_>, spent: u64) -> Result<LabelAnswer, Fault> {
        let with = |mut answer: LabelAnswer| {
            answer.tokens += spent;
            answer
        };
        if self.endpoint == Endpoint::Completions && !self.no_echo.load(Ordering::Relaxed) {
            match self.echo(question) {
                Ok(Scored::Answer(answer)) => return Ok(with(answer)),
                Ok(_) | Err(Fault::Refused { .. }) => self.no_echo.store(true, Ordering::Relaxed),
                Err(fault) => return Err(fault),
            }
        }
        if !self.unguided.load(Ordering::Relaxed) {
            match self.sample(question, self.samples, true) {
                Ok(answer) => return Ok(with(answer)),
                // A parameter that the server does not know.
                Err(Fault::Refused { .. }) => self.unguided.store(true, Ordering::Relaxed),
                Err(fault) => return Err(fault),
            }
        }
        self.sample(question, self.samples, false).map(with)
    }

    fn by(&self, scoring: Scoring, question: &Question<'_>) -> Result<LabelAnswer, Fault> {
        let tried = match scoring {
            Scoring::TopTokens { top } => self.top_tokens(question, top)?,
            Scoring::Echo => self.echo(question)?,
            Scoring::Sample { samples, guided } => return self.sample(question, samples, guided),
        };
        match tried {
            Scored::Answer(answer) => Ok(answer),
            Scored::Undecided(spent) => self.otherwise(question, spent),
            Scored::Unsupported => {
                let message = format!("expected log-probabilities for {scoring:?}, found none");
                Err(Fault::Unusable { message })
            }
        }
    }

    /// Reads labels off the most probable next tokens; where labels begin alike, asks on from there.
    fn top_tokens(&self, question: &Question<'_>, top: u32) -> Result<Scored, Fault> {
        let mut probabilities = vec![0.0; question.labels.len()];
        let mut tokens = 0;
        // Text generated beyond the prompt, its probability, and the labels that it may become.
        let all = (0..question.labels.len()).collect::<Vec<_>>();
        let mut open = vec![(String::new(), 1.0, all)];
        while let Some((generated, mass, among)) = open.pop() {
            let body = request::next_token(self.endpoint, &self.served, question, &generated, top);
            let reply = Reply::parse(&self.transport.post(body.to_string(), question)?)?;
            tokens += reply.tokens;
            let Some(next) = reply.top else { return Ok(Scored::Unsupported) };
            for (token, log_prob) in next {
                let p = mass * log_prob.exp();
                match labels::matched(self.endpoint, question.labels, &among, &generated, &token) {
                    Matched::One(label) => probabilities[label] += p,
                    // A thousandth of the mass is not worth a question.
                    Matched::Several(..) if p <= 1e-3 => {}
                    Matched::Several(..) if self.endpoint == Endpoint::Chat => {
                        return Ok(Scored::Undecided(tokens));
                    }
                    Matched::Several(longer, among) => open.push((longer, p, among)),
                    Matched::None => {}
                }
            }
        }
        if probabilities.iter().all(|p| *p == 0.0) {
            return Ok(Scored::Undecided(tokens));
        }
        let log_probs = probabilities.iter().map(|p| p.ln().min(0.0)).collect();
        Ok(Scored::Answer(LabelAnswer::new(log_probs, tokens)))
    }

    /// Reads each label's log-probability off an echoed prompt.
    fn echo(&self, question: &Question<'_>) -> Result<Scored, Fault> {
        let mut log_probs = Vec::with_capacity(question.labels.len());
        let mut tokens = 0;
        for label in question.labels {
            let body = request::echo(&self.served, question, label);
            let reply = Reply::parse(&self.transport.post(body.to_string(), question)?)?;
            tokens += reply.tokens;
            match reply.echoed(&question.prompt, label) {
                Some(log_prob) => log_probs.push(log_prob),
                None => return Ok(Scored::Unsupported),
            }
        }
        Ok(Scored::Answer(LabelAnswer::new(log_probs, tokens)))
    }

    /// Counts sampled answers.
    fn sample(&self, question: &Question<'_>, samples: u32, guided: bool) -> Result<LabelAnswer, Fault> {
        let mut counts = vec![0_u32; question.labels.len()];
        let (mut drawn, mut tokens) = (0, 0);
        while drawn < samples {
            let body = request::sample(self.endpoint, &self.served, question, samples - drawn, guided);
            let reply = Reply::parse(&self.transport.post(body.to_string(), question)?)?;
            tokens += reply.tokens;
            // Some servers give one choice whatever is asked for.
            for text in reply.texts.iter().take((samples - drawn) as usize) {
                drawn += 1;
                if let Some(label) = labels::named(question.labels, text) {
                    counts[label] += 1;
                }
            }
        }
        if counts.iter().all(|count| *count == 0) {
            let message = format!("expected one of the labels among {samples} sampled answers, found none");
            return Err(Fault::Unusable { message });
        }
        let log_probs = counts.iter().map(|count| (f64::from(*count) / f64::from(samples)).ln()).collect();
        Ok(LabelAnswer::new(log_probs, tokens).with_samples(counts.iter().sum()))
    }
}

impl Teacher for OpenAi {
    fn model(&self) -> &str {
        &self.model
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        let answered = match self.scoring() {
            Some(scoring) => self.by(scoring, question),
            None => self.find_out(question),
        };
        answered.map_err(|fault| Error::server(&self.model, self.fit_to_show(fault)))
    }
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAi")
            .field("model", &self.model)
            .field("served", &self.served)
            .field("endpoint", &self.endpoint)
            .field("scoring", &self.scoring())
            .finish_non_exhaustive()
    }
}
