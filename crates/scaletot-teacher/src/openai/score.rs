//! The three ways to a distribution over labels: top tokens, echoes, samples.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde_json::Value;

use super::labels::{self, Matched};
use super::refusal;
use super::reply::Reply;
use super::request::Writer;
use super::scoring::Endpoint;
use super::{OpenAi, Scored};
use crate::answer::LabelAnswer;
use crate::fault::Fault;
use crate::question::Question;

/// Most requests for the tokens of one question: labels have few beginnings in common, and each is asked on from once.
const MAX_REQUESTS: usize = 64;
/// A beginning of labels with a smaller share of the probability that was found for labels is not worth a request.
const MIN_SHARE: f64 = 1e-3;
/// Choices that are asked for at once; some servers take no more.
const MAX_CHOICES: u32 = 128;
/// A server of whose first answers so many cannot be read, and none can, is taken for one of another kind.
const UNREADABLE: u32 = 3;

/// A beginning that several labels have in common.
struct Open {
    probability: f64,
    among: Vec<usize>,
}

impl OpenAi {
    /// Sends a request in the server's dialect, which is learned from its refusals.
    fn ask(&self, question: &Question<'_>, write: impl Fn(&Writer<'_>) -> Value) -> Result<Reply, Fault> {
        let mut dialect = self.abilities().dialect;
        loop {
            let body = write(&Writer { endpoint: self.endpoint, model: &self.served, dialect });
            let answered =
                self.transport.post(body.to_string(), question).map_err(|fault| self.counted(fault))?;
            let fault = match answered.is_good() {
                true => match Reply::parse(&answered.text, &body) {
                    Ok(reply) => {
                        self.readable.store(true, Ordering::Relaxed);
                        // Not before: another refusal tells that the first was not about how the request is written.
                        self.speak(dialect);
                        return Ok(reply);
                    }
                    Err(fault) => self.counted(fault),
                },
                false => refusal::fault(&answered, &body),
            };
            // Some fail over what they do not take.
            let (Fault::Refused { message, .. } | Fault::Failed { status: 500, message, .. }) = &fault else {
                return Err(fault);
            };
            match dialect.adapted(message, &body) {
                Some(adapted) => dialect = adapted,
                None => return Err(fault),
            }
        }
    }

    /// A fault of an answer that cannot be read; if none of the first could be, that of a server of another kind. An error that the
    /// server tells in an answer can be read.
    fn counted(&self, fault: Fault) -> Fault {
        if !matches!(fault, Fault::Malformed { .. } | Fault::Unusable { .. })
            || self.readable.load(Ordering::Relaxed)
        {
            return fault;
        }
        let answers = self.unreadable.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        match answers < UNREADABLE {
            true => fault,
            false => Fault::Incompatible { answers, message: fault.to_string() },
        }
    }

    /// Reads labels off the most probable next tokens; where labels begin alike, asks on from there.
    pub(super) fn top_tokens(&self, question: &Question<'_>, top: u32) -> Result<Scored, Fault> {
        let mut probabilities = vec![0.0; question.labels.len()];
        let mut tokens = 0_u64;
        // Texts beyond the prompt that labels begin with, the shortest first: what leads to one text is summed before it is asked.
        let mut open = BTreeMap::from([(
            (0, String::new()),
            Open { probability: 1.0, among: (0..question.labels.len()).collect() },
        )]);
        let mut requests = 0;
        while let Some(((_, generated), Open { probability, among })) = open.pop_first() {
            let found = probabilities.iter().chain(open.values().map(|open| &open.probability)).sum::<f64>();
            if probability <= MIN_SHARE * (found + probability) {
                continue;
            }
            if requests == MAX_REQUESTS {
                let message = format!(
                    "expected labels to be told apart in {MAX_REQUESTS} requests, found some that are not"
                );
                return Err(Fault::Unusable { message });
            }
            requests += 1;
            let reply = self.ask(question, |to| to.next_token(question, &generated, top))?;
            tokens = tokens.saturating_add(reply.tokens);
            let Some(next) = reply.top else {
                return Ok(if reply.is_empty { Scored::Untold } else { Scored::Unsupported });
            };
            if reply.is_sure && self.scoring().is_none() {
                return Ok(Scored::Untold);
            }
            for (token, log_prob) in next {
                let p = probability * log_prob.exp();
                match labels::matched(self.endpoint, question.labels, &among, &generated, &token) {
                    Matched::One(label) => probabilities[label] += p,
                    Matched::Several(longer, among) => {
                        let longer = (longer.len(), longer);
                        open.entry(longer).or_insert(Open { probability: 0.0, among }).probability += p;
                    }
                    Matched::None => {}
                }
            }
            if self.endpoint == Endpoint::Chat {
                // A conversation cannot be asked on from half an answer.
                let undecided: f64 = open.values().map(|open| open.probability).sum();
                if undecided > MIN_SHARE * (undecided + probabilities.iter().sum::<f64>()) {
                    return Ok(Scored::Undecided(tokens));
                }
                break;
            }
        }
        if probabilities.iter().all(|p| *p == 0.0) {
            return Ok(Scored::Undecided(tokens));
        }
        let log_probs = probabilities.iter().map(|p| p.ln().min(0.0)).collect();
        Ok(Scored::Answer(LabelAnswer::new(log_probs, tokens)))
    }

    /// Reads each label's log-probability off an echoed prompt.
    pub(super) fn echo(&self, question: &Question<'_>) -> Result<Scored, Fault> {
        let mut log_probs = Vec::with_capacity(question.labels.len());
        let mut tokens = 0_u64;
        for label in question.labels {
            let reply = self.ask(question, |to| to.echo(question, label))?;
            tokens = tokens.saturating_add(reply.tokens);
            match reply.echoed(&question.prompt, label) {
                Some(log_prob) => log_probs.push(log_prob),
                None => return Ok(Scored::Unsupported),
            }
        }
        Ok(Scored::Answer(LabelAnswer::new(log_probs, tokens)))
    }

    /// Counts sampled answers.
    pub(super) fn sample(
        &self,
        question: &Question<'_>,
        samples: u32,
        guided: bool,
    ) -> Result<LabelAnswer, Fault> {
        let mut counts = vec![0_u32; question.labels.len()];
        let (mut drawn, mut tokens, mut other) = (0, 0_u64, None);
        while drawn < samples {
            let at_once = (samples - drawn).min(self.samples_per_request).min(MAX_CHOICES);
            let reply = self.ask(question, |to| {
                to.sample(question, if to.dialect.one_choice { 1 } else { at_once }, guided)
            })?;
            tokens = tokens.saturating_add(reply.tokens);
            // Some servers give one choice whatever is asked for.
            for text in reply.texts.into_iter().take((samples - drawn) as usize) {
                drawn += 1;
                match labels::named(question.labels, &text) {
                    Some(label) => counts[label] += 1,
                    None => other = Some(text),
                }
            }
        }
        if counts.iter().all(|count| *count == 0) {
            let text: String = other.unwrap_or_default().chars().take(100).collect();
            let message = format!(
                "expected one of the labels among {samples} sampled answers, found none (the last was `{text}`): a model that thinks \
                 before it answers is to be asked without thinking"
            );
            return Err(Fault::Unusable { message });
        }
        let log_probs = counts.iter().map(|count| (f64::from(*count) / f64::from(samples)).ln()).collect();
        Ok(LabelAnswer::new(log_probs, tokens).with_samples(counts.iter().sum()))
    }

    /// Whether a server takes what a question of ours needs, which no prompt of a user is in the way of.
    pub(super) fn probe(
        &self,
        way: super::abilities::Way,
        top: u32,
        question: &Question<'_>,
    ) -> Result<bool, Fault> {
        use super::abilities::Way;
        // No model is sure of it.
        let labels = ["heads", "tails"].map(str::to_owned);
        let probe = question.clone().with_prompt("She tossed a coin, and it came up").with_labels(&labels);
        let asked = match way {
            Way::Top => self
                .ask(&probe, |to| to.next_token(&probe, "", top))
                .map(|reply| reply.top.is_some() && !reply.is_sure),
            Way::Echo => self
                .ask(&probe, |to| to.echo(&probe, &labels[0]))
                .map(|reply| reply.echoed(&probe.prompt, &labels[0]).is_some()),
            Way::Guided => self.ask(&probe, |to| to.sample(&probe, 1, true)).map(|_| true),
        };
        match asked {
            Err(fault) if super::may_lack(way, &fault) => Ok(false),
            asked => asked,
        }
    }
}
