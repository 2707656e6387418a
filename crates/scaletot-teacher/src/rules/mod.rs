//! Expert rules: the transparent baseline that every other teacher is compared with.
//!
//! A rules file describes, in TOML, how known facts shift the log-odds of a state's values. Nothing is learned and nothing
//! is hidden: the score of a value is the sum of what the rules that hold add to it, and the answer is the softmax.
//!
//! ```toml
//! name = "shop-expert"
//!
//! [[rule]]                                   # no condition: the base rate
//! state = "capacity"
//! add = { high = -0.5 }
//!
//! [[rule]]
//! state = "capacity"
//! when = { income = ["75-99K", "100K+"] }    # profile fields; all of them must hold
//! add = { low = -1.0, high = 1.5 }
//! note = "income is what can be spent"
//!
//! [[rule]]
//! state = "spend"
//! when = { tenure = { at_least = 3, below = 10 }, owner = true }
//! after = { capacity = "high" }              # values of states it depends on
//! add = { high = 2.0 }
//! ```
//!
//! A condition on a categorical, ordinal or multi-valued field is a value or a list of values, any of which will do;
//! on a boolean field `true` or `false`; on a numeric one a range with `at_least` (inclusive), `below` (exclusive) or
//! both; on any field `{ missing = true }`. A missing field meets no other condition.

mod compile;
mod raw;

use std::fmt;
use std::path::Path;

use scaletot_chain::ChainSchema;
use scaletot_core::ContentHash;
use scaletot_core::files;
use scaletot_core::numeric::log_sum_exp;
use scaletot_profile::{ProfileSchema, ProfileTable, Value};

use crate::answer::LabelAnswer;
use crate::error::{Error, Result};
use crate::key::PromptKey;
use crate::question::Question;
use crate::teacher::Teacher;

/// Of a rules file, which people write by hand.
const MAX_BYTES: u64 = 16 << 20;

/// Additive log-odds rules over profile fields and earlier states.
///
/// For a state with values `v`: `p(v) = exp(s_v) / Σ_w exp(s_w)`, `s_v = Σ_r a_{r,v}` over the rules `r` that hold
/// (this project's own formulation; a log-linear model with hand-set weights). With no rule that holds every value
/// is as likely as the next. The answer names the fields that the rules which held have looked at.
///
/// Rules read the typed profile, not the prompt, so their answers are neither cached nor recorded.
#[derive(Clone, PartialEq)]
pub struct Rules {
    model: String,
    rules: Vec<Rule>,
    fields: Vec<String>,
    profile_schema: ContentHash,
    chain_schema: ContentHash,
}

/// One rule, checked.
#[derive(Debug, Clone, PartialEq)]
struct Rule {
    state: usize,
    /// Conditions on profile fields.
    when: Vec<(usize, Condition)>,
    /// Conditions on earlier states: any of these values.
    after: Vec<(usize, Vec<u16>)>,
    /// Log-odds per value of the state.
    add: Vec<f64>,
    note: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    AnyOf(Vec<u32>),
    Flag(bool),
    Range { at_least: f64, below: f64 },
    Missing,
}

/// A rule that held for a question.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct MatchedRule<'a> {
    /// The rule's number in its file, from 1.
    pub rule: usize,
    /// What it adds to the log-odds of each value of the state.
    pub add: &'a [f64],
    /// Why, in the words of the file.
    pub note: Option<&'a str>,
}

impl Rules {
    /// Reads a rules file and checks it against both schemas.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read; otherwise as [`from_toml`](Self::from_toml), with the file named.
    pub fn load(path: impl AsRef<Path>, profile: &ProfileSchema, chain: &ChainSchema) -> Result<Self> {
        let path = path.as_ref();
        let text = files::read_to_string(path, MAX_BYTES)?;
        Self::parse(&text, &path.display().to_string(), profile, chain)
    }

    /// Reads rules from TOML text and checks them against both schemas.
    ///
    /// # Errors
    ///
    /// [`Error::Syntax`] if the text is not TOML of this form; [`Error::Rules`], with the rule and key, if a field, state or
    /// value is unknown; a condition does not fit its field's kind; `after` names a state that the rule's state does
    /// not depend on (its prompt would not tell it); a range is empty; a list is empty; or a log-odds is not within
    /// ±30.
    pub fn from_toml(text: &str, profile: &ProfileSchema, chain: &ChainSchema) -> Result<Self> {
        Self::parse(text, "text", profile, chain)
    }

    fn parse(text: &str, source: &str, profile: &ProfileSchema, chain: &ChainSchema) -> Result<Self> {
        let raw: raw::RawRules = toml::from_str(text)
            .map_err(|error| Error::Syntax { what: format!("rules {source}"), source: Box::new(error) })?;
        let rules = compile::compile(&raw, source, profile, chain)?;
        // Other rules are another model, even under the same name.
        let hash = ContentHash::of(text);
        Ok(Self {
            model: format!("rules:{}:{}", raw.name, hash.prefix(8)),
            rules,
            fields: profile.fields().iter().map(|field| field.name().to_owned()).collect(),
            profile_schema: profile.hash(),
            chain_schema: chain.hash(),
        })
    }

    /// The number of rules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules that hold for a user and a state, given the values of the states before it.
    pub fn explain<'a>(
        &'a self,
        table: &'a ProfileTable,
        row: usize,
        state: usize,
        path: &'a [u16],
    ) -> impl Iterator<Item = MatchedRule<'a>> {
        self.rules
            .iter()
            .enumerate()
            .filter(move |(_, rule)| rule.state == state && rule.holds(table, row, path))
            .map(|(i, rule)| MatchedRule { rule: i + 1, add: &rule.add, note: rule.note.as_deref() })
    }
}

impl Rule {
    fn holds(&self, table: &ProfileTable, row: usize, path: &[u16]) -> bool {
        self.after.iter().all(|(state, values)| path.get(*state).is_some_and(|value| values.contains(value)))
            && self.when.iter().all(|(field, condition)| condition.holds(table.value(row, *field)))
    }
}

impl Condition {
    fn holds(&self, value: Option<Value<'_>>) -> bool {
        match (self, value) {
            (Self::Missing, value) => value.is_none(),
            (Self::AnyOf(codes), Some(Value::Code(code))) => codes.contains(&code),
            (Self::AnyOf(codes), Some(Value::Codes(present))) => {
                present.iter().any(|code| codes.contains(code))
            }
            (Self::Flag(wanted), Some(Value::Flag(flag))) => *wanted == flag,
            (Self::Range { at_least, below }, Some(Value::Number(x))) => (*at_least..*below).contains(&x),
            _ => false,
        }
    }
}

impl Teacher for Rules {
    fn model(&self) -> &str {
        &self.model
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        let fits = question.table.schema().hash() == self.profile_schema
            && question.schema.hash() == self.chain_schema;
        if !fits {
            let message =
                "expected a question about the schemas that the rules were checked against".to_owned();
            return Err(Error::Answer {
                model: self.model.clone(),
                state: question.state_name().to_owned(),
                message,
            });
        }
        let mut scores = vec![0.0; question.labels.len()];
        let mut used = vec![false; self.fields.len()];
        for matched in self.explain(question.table, question.row, question.state, question.path) {
            scores.iter_mut().zip(matched.add).for_each(|(score, add)| *score += add);
            for (field, condition) in &self.rules[matched.rule - 1].when {
                used[*field] |= *condition != Condition::Missing;
            }
        }
        let log_sum = log_sum_exp(&scores);
        let mut answer = LabelAnswer::new(scores.iter().map(|score| (score - log_sum).min(0.0)).collect(), 0);
        let evidence = self.fields.iter().zip(used).filter(|(_, used)| *used).map(|(name, _)| name.clone());
        answer.evidence = Some(evidence.collect());
        Ok(answer)
    }

    /// Two users whose profiles read the same in words may differ in a number that a rule looks at.
    fn cache_key(&self, _: &Question<'_>) -> Option<PromptKey> {
        None
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("model", &self.model)
            .field("rules", &self.len())
            .finish_non_exhaustive()
    }
}
