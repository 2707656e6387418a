//! A planted world: its profiles as a table, its states as a chain schema, and a teacher that knows the posterior, blurred.

use std::sync::Arc;

use crate::error::Result;
use scaletot_chain::{ChainSchema, StateDef};
use scaletot_eval::planted::{Blur, FieldErrors, PlantedConfig, PlantedWorld};
use scaletot_profile::{FieldSpec, ProfileSchema, ProfileTable, TableBuilder, Value};
use scaletot_teacher::{LabelAnswer, PromptKey, Question, Teacher};

/// A world whose last state has its values in the order of the score that goes with them, as a schema's author would put them: so its
/// expected level can rank users without any label.
#[derive(Debug)]
pub struct Planted {
    world: PlantedWorld,
    /// The world's value of every value of the last state.
    order: Vec<u16>,
}

impl Planted {
    pub(super) fn new(config: &PlantedConfig, seed: u64) -> Result<Self> {
        let world = PlantedWorld::new(config, seed)?;
        let mut scores = vec![(0.0, 0.0); config.values];
        for user in 0..world.users() {
            if let Some((sum, count)) =
                world.states(user)?.last().and_then(|&last| scores.get_mut(usize::from(last)))
            {
                *sum += world.score(user)?;
                *count += 1.0;
            }
        }
        let level = |value: &u16| {
            scores.get(usize::from(*value)).map_or(0.0, |(sum, count)| sum / f64::max(*count, 1.0))
        };
        let mut order: Vec<u16> = (0..).take(config.values).collect();
        order.sort_by(|a, b| level(a).total_cmp(&level(b)));
        Ok(Self { world, order })
    }

    /// The world itself.
    #[must_use]
    pub fn world(&self) -> &PlantedWorld {
        &self.world
    }

    /// Every user's profile, with codes for values.
    pub(super) fn profiles(&self, config: &PlantedConfig) -> Result<ProfileTable> {
        let codes: Vec<String> = (0..config.codes).map(|code| format!("c{code}")).collect();
        let mut schema = ProfileSchema::builder("planted");
        for name in self.world.field_names() {
            schema = schema.with_field(FieldSpec::categorical(name, codes.clone()));
        }
        let mut builder = TableBuilder::new(schema.build()?);
        for user in 0..self.world.users() {
            let profile = self.world.profile(user)?.iter();
            let cells: Vec<Option<Value<'_>>> =
                profile.map(|code| code.map(|code| Value::Code(u32::from(code)))).collect();
            builder.push_values(user as i64, &cells)?;
        }
        Ok(builder.finish())
    }

    /// The world's states, each with all earlier ones in view.
    pub(super) fn chain(&self, config: &PlantedConfig) -> Result<ChainSchema> {
        let values: Vec<String> = (0..config.values).map(|value| format!("v{value}")).collect();
        let mut chain = ChainSchema::builder("planted");
        let mut earlier: Vec<String> = Vec::new();
        for name in self.world.state_names() {
            let state = StateDef::ordinal(name.clone(), values.clone()).with_depends_on(earlier.clone());
            chain = chain.with_state(state);
            earlier.push(name);
        }
        Ok(chain.build()?)
    }

    /// The true chain of a user; empty for a user who is not there.
    #[must_use]
    pub fn truth(&self, user: usize) -> Vec<u16> {
        let mut states = self.world.states(user).map(<[u16]>::to_vec).unwrap_or_default();
        if let Some(last) = states.last_mut() {
            *last =
                (0..).zip(&self.order).find(|(_, value)| **value == *last).map_or(*last, |(place, _)| place);
        }
        states
    }
}

/// Knows the conditional of every state given the profile, blurred by logit noise and by what it gets wrong about fields.
pub(super) struct PlantedTeacher {
    planted: Arc<Planted>,
    blur: Blur,
    seed: u64,
    name: String,
}

impl PlantedTeacher {
    pub(super) fn new(planted: Arc<Planted>, blur: Blur, seed: u64) -> Self {
        let fields = match blur.fields {
            FieldErrors::None => String::new(),
            errors => format!(", field errors {errors}"),
        };
        let name = format!("planted, noise {}{fields}, seed {seed}", blur.noise);
        Self { planted, blur, seed, name }
    }
}

impl Teacher for PlantedTeacher {
    fn model(&self) -> &str {
        &self.name
    }

    fn answer(&self, question: &Question<'_>) -> scaletot_teacher::Result<LabelAnswer> {
        let path = question.path.get(..question.state).unwrap_or(question.path);
        let answer =
            self.planted.world.blurred(question.row, path, &self.blur, self.seed).map_err(|error| {
                scaletot_teacher::Error::Model {
                    model: self.name.clone(),
                    message: "expected a question that the planted world can answer".to_owned(),
                    source: Some(std::sync::Arc::new(error)),
                }
            })?;
        let last = question.state + 1 == question.schema.len();
        let log_probs = (0..answer.len())
            .map(|value| if last { usize::from(self.planted.order[value]) } else { value })
            .map(|value| answer[value].ln())
            .collect();
        Ok(LabelAnswer::new(log_probs, 0))
    }

    /// The noise is the user's own, so equal prompts have different answers.
    fn cache_key(&self, _: &Question<'_>) -> Option<PromptKey> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_teacher_says_what_is_wrong_with_it() {
        let planted = Arc::new(Planted::new(&PlantedConfig::default().with_users(20), 3).unwrap());
        let name = |blur| PlantedTeacher::new(Arc::clone(&planted), blur, 3).model().to_owned();
        assert_eq!(name(Blur::new(0.7)), "planted, noise 0.7, seed 3");
        let hard = Blur::new(0.7).with_fields(FieldErrors::Hard);
        assert_eq!(name(hard), "planted, noise 0.7, field errors hard, seed 3");
    }
}
