//! Language models behind any OpenAI-compatible server: llama.cpp, vLLM, Ollama and many others.
//!
//! A label's probability is read off in one of three ways ([`Scoring`]), and which of them a server can do is found out with
//! the first question: the most probable next tokens; the log-probabilities of the given labels, where the server echoes
//! prompts with theirs; or the shares of sampled answers, guided to the labels where the server can.

mod abilities;
mod address;
mod builder;
mod labels;
mod lenient;
mod refusal;
mod repair;
mod reply;
mod request;
mod said;
mod sanitise;
mod score;
mod scoring;
mod shape;
mod transport;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::answer::LabelAnswer;
use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::key::PromptKey;
use crate::question::Question;
use crate::teacher::Teacher;

pub use builder::OpenAiBuilder;
pub use scoring::{Endpoint, Scoring};

use abilities::{Abilities, Dialect, Way};
use address::KeySource;
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
    samples_per_request: u32,
    abilities: Mutex<Abilities>,
    /// Whether an answer of the server could be read, and how many could not before.
    readable: AtomicBool,
    unreadable: AtomicU32,
    /// When it could not be found out what is done where top tokens do not tell; held while it is tried.
    unknown: Mutex<Option<Instant>>,
}

/// What came of one way of scoring.
enum Scored {
    Answer(LabelAnswer),
    /// The server cannot do it.
    Unsupported,
    /// It cannot be done for these labels, or none of them was found.
    Undecided(u64),
    /// The answer tells nothing of what the server can do: it has no token at all, or, as the first, one that leaves nothing to others.
    Untold,
}

/// The wait before an ability is asked for again, where the server asks for none; doubled each time.
const PROBE_WAIT: Duration = Duration::from_millis(250);
/// How long it is tried to find out an ability, and how long it is left alone then.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(60);

impl OpenAi {
    /// How distributions are obtained; `None` until the first question has found out.
    #[must_use]
    pub fn scoring(&self) -> Option<Scoring> {
        self.abilities().scoring
    }

    fn abilities(&self) -> Abilities {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Abilities> {
        self.abilities.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps how a request was written that the server took.
    fn speak(&self, taken: Dialect) {
        let mut abilities = self.lock();
        let dialect = abilities.dialect.and(taken);
        if dialect != abilities.dialect {
            tracing::info!(model = self.model, ?dialect, "how the server wants to be asked");
            abilities.dialect = dialect;
        }
    }

    /// The fault with its server's text made fit for errors, logs and files. Every fault leaves through here.
    fn fit_to_show(&self, mut fault: Fault) -> Fault {
        let for_chat = matches!(&fault, Fault::Refused { message, .. } | Fault::UnknownModel { message, .. }
            if self.endpoint == Endpoint::Completions && message.to_lowercase().contains("chat"));
        if let Some(text) = fault.text_mut() {
            *text = self.sanitiser.clean(text);
            if for_chat {
                text.push_str(" (its chat endpoint is asked with `with_endpoint(Endpoint::Chat)`; on a command line `,chat` after the model)");
            }
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
        let mut abilities = self.lock();
        if abilities.scoring.is_none() {
            tracing::info!(model = self.model, ?scoring, "how label probabilities are obtained");
            abilities.scoring = Some(scoring);
        }
    }

    /// Tries what servers can do, the best first.
    fn find_out(&self, question: &Question<'_>) -> Result<LabelAnswer, Fault> {
        let mut tops = vec![self.top];
        // Some servers take 5 at most.
        tops.extend((self.top > 5).then_some(5));
        for &top in &tops {
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
                Ok(Scored::Untold) if self.probe(Way::Top, top, question)? => {
                    self.settle(Scoring::TopTokens { top });
                    return self.by(Scoring::TopTokens { top }, question);
                }
                Ok(Scored::Unsupported | Scored::Untold) => break,
                // Whether fewer are taken tells.
                Err(fault) if Some(&top) != tops.last() && may_lack(Way::Top, &fault) => {}
                Err(fault) if self.lacks(Way::Top, top, question, &fault)? => {}
                Err(fault) => return Err(fault),
            }
        }
        let answer = self.otherwise(question, 0)?;
        let guided = self.abilities().guided == Some(true);
        self.settle(match answer.samples {
            Some(_) => Scoring::Sample { samples: self.samples, guided },
            None => Scoring::Echo,
        });
        Ok(answer)
    }

    /// An echo where the server has it, or else samples; `spent` tokens were used before.
    fn otherwise(&self, question: &Question<'_>, spent: u64) -> Result<LabelAnswer, Fault> {
        let with = |mut answer: LabelAnswer| {
            answer.tokens = answer.tokens.saturating_add(spent);
            answer
        };
        let known = self.abilities().echo;
        if self.endpoint == Endpoint::Completions && known != Some(false) {
            match self.echo(question) {
                Ok(Scored::Answer(answer)) => {
                    self.lock().echo = Some(true);
                    return Ok(with(answer));
                }
                Ok(_) if known == Some(true) => return Err(not_given(Scoring::Echo)),
                Ok(_) => {}
                Err(fault) if known.is_none() && self.lacks(Way::Echo, 0, question, &fault)? => {}
                Err(fault) => return Err(fault),
            }
        }
        let answer = self.sampled(question)?;
        // Not before another way was found: a server in trouble lacks nothing for good.
        self.lock().echo.get_or_insert(false);
        Ok(with(answer))
    }

    /// Samples, guided where the server can.
    fn sampled(&self, question: &Question<'_>) -> Result<LabelAnswer, Fault> {
        let known = self.abilities().guided;
        if known != Some(false) {
            match self.sample(question, self.samples, true) {
                Ok(answer) => {
                    self.lock().guided = Some(true);
                    return Ok(answer);
                }
                Err(fault) if known.is_none() && self.lacks(Way::Guided, 0, question, &fault)? => {}
                Err(fault) => return Err(fault),
            }
        }
        let answer = self.sample(question, self.samples, false)?;
        self.lock().guided.get_or_insert(false);
        Ok(answer)
    }

    /// Whether a fault means that the server lacks a way to answer, rather than that something is wrong with the question, the key
    /// or the moment: a prompt of ours tells, since any words may come from the question.
    fn lacks(&self, way: Way, top: u32, question: &Question<'_>, fault: &Fault) -> Result<bool, Fault> {
        match may_lack(way, fault) {
            true => self.probe(way, top, question).map(|able| !able),
            false => Ok(false),
        }
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
            Scored::Untold => self.otherwise(question, 0),
            Scored::Unsupported => Err(not_given(scoring)),
        }
    }

    /// How answers are obtained, all of it: what is done where top tokens do not tell is found out if no question has.
    fn way(&self, question: &Question<'_>) -> Option<String> {
        let scoring = self.scoring()?;
        // The rest of a dialect changes no probability.
        let dialect = self.abilities().dialect;
        let unset = |is_unset: bool| if is_unset { ", no temperature set" } else { "" };
        let (cooled, sampled) = (unset(dialect.own_temperature), unset(dialect.own_sampling));
        match scoring {
            Scoring::Sample { .. } => return Some(format!("{scoring}{sampled}")),
            Scoring::Echo => return Some(format!("{scoring}{cooled}")),
            Scoring::TopTokens { .. } => {}
        }
        let mut failed = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        let asks_echo = self.endpoint == Endpoint::Completions;
        let known = self.abilities();
        let found = |way| match *failed {
            Some(at) if at.elapsed() < UNKNOWN_PAUSE => Err(Fault::Stopped),
            _ => self.found_out(way, question),
        };
        let echo = match known.echo {
            Some(echo) => Ok(echo && asks_echo),
            None if asks_echo => found(Way::Echo),
            None => Ok(false),
        };
        let guided = match (&echo, known.guided) {
            (Ok(false), Some(guided)) => Ok(guided),
            (Ok(false), None) => found(Way::Guided),
            _ => Ok(false),
        };
        let (echo, guided) = match (echo, guided) {
            (Ok(echo), Ok(guided)) => (echo, guided),
            (Err(fault), _) | (_, Err(fault)) => {
                // One user's time tells nothing of the server, nor does a wish to stop.
                if !matches!(fault, Fault::Late | Fault::Stopped) {
                    *failed = Some(Instant::now());
                }
                // For this question, and not for good.
                return Some(format!("{scoring}{cooled}, or else unknown"));
            }
        };
        *failed = None;
        let mut abilities = self.lock();
        abilities.echo.get_or_insert(echo);
        let otherwise = if echo {
            Scoring::Echo
        } else {
            abilities.guided.get_or_insert(guided);
            Scoring::Sample { samples: self.samples, guided }
        };
        Some(format!("{scoring}{cooled}, or else {otherwise}"))
    }

    /// What a prompt of ours tells of an ability, asked again while the server is busy.
    fn found_out(&self, way: Way, question: &Question<'_>) -> Result<bool, Fault> {
        let (until, mut wait) = (Instant::now() + UNKNOWN_PAUSE, PROBE_WAIT);
        loop {
            let fault = match self.probe(way, 0, question) {
                Err(fault) if fault.is_transient() => fault,
                found => return found,
            };
            let asked = fault.retry_after().unwrap_or(wait).min(UNKNOWN_PAUSE);
            let next = Instant::now() + asked;
            if question.deadline.is_some_and(|deadline| next >= deadline) {
                return Err(Fault::Late);
            }
            if next >= until {
                return Err(fault);
            }
            if question.sleep(asked) {
                return Err(Fault::Stopped);
            }
            wait *= 2;
        }
    }
}

/// Whether a fault may mean that the server lacks a way to answer.
fn may_lack(way: Way, fault: &Fault) -> bool {
    match fault {
        Fault::Refused { status, message } | Fault::Failed { status, message, .. } => {
            way.may_lack(*status, message)
        }
        _ => false,
    }
}

fn not_given(scoring: Scoring) -> Fault {
    Fault::Unusable { message: format!("expected log-probabilities for {scoring}, found none") }
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

    /// With how the answer is obtained, once the first question has found it out: what a server that can do less answers later
    /// is another answer.
    fn cache_key(&self, question: &Question<'_>) -> Option<PromptKey> {
        Some(question.key(&self.model).with_way(&self.way(question)?))
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
