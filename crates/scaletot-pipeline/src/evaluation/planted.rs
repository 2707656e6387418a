//! A planted world as a study: its profiles as a table, and a teacher that knows the posterior, blurred.

use std::sync::Arc;

use crate::error::Result;
use scaletot_chain::{ChainSchema, StateDef};
use scaletot_eval::planted::{Blur, PlantedConfig, PlantedWorld};
use scaletot_profile::{FieldSpec, LevelConfig, ProfileSchema, Segments, TableBuilder, Value};
use scaletot_search::{RefineConfig, Strategy};
use scaletot_teacher::{LabelAnswer, PromptKey, Question, Teacher};

use super::options::EvaluateOptions;
use super::results::RefinementPoint;
use super::study::{Study, budget};

/// A world whose last state has its values in the order of the score that goes with them, as a schema's author would put them: so its
/// expected level can rank users without any label.
#[derive(Debug)]
pub struct Planted {
    world: PlantedWorld,
    /// The world's value of every value of the last state.
    order: Vec<u16>,
}

impl Planted {
    fn new(config: &PlantedConfig, seed: u64) -> Result<Self> {
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

/// Knows the exact conditional of every state given the profile, blurred by logit noise.
struct PlantedTeacher {
    planted: Arc<Planted>,
    blur: Blur,
    seed: u64,
    name: String,
}

impl Teacher for PlantedTeacher {
    fn model(&self) -> &str {
        &self.name
    }

    fn answer(&self, question: &Question<'_>) -> scaletot_teacher::Result<LabelAnswer> {
        let path = question.path.get(..question.state).unwrap_or(question.path);
        let answer =
            self.planted.world.blurred(question.row, path, &self.blur, self.seed).map_err(|error| {
                scaletot_teacher::Error::Model { model: self.name.clone(), message: error.to_string() }
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

/// A world of its own per seed.
///
/// # Errors
/// If the schemas cannot be built.
pub(super) fn study(config: &PlantedConfig, noise: f64, min_populated: usize, seed: u64) -> Result<Study> {
    let planted = Arc::new(Planted::new(config, seed)?);
    let world = planted.world();
    let codes: Vec<String> = (0..config.codes).map(|code| format!("c{code}")).collect();
    let mut schema = ProfileSchema::builder("planted");
    for name in world.field_names() {
        schema = schema.with_field(FieldSpec::categorical(name, codes.clone()));
    }
    let mut builder = TableBuilder::new(schema.build()?);
    for user in 0..world.users() {
        let cells: Vec<Option<Value<'_>>> =
            world.profile(user)?.iter().map(|code| code.map(|code| Value::Code(u32::from(code)))).collect();
        builder.push_values(user as i64, &cells)?;
    }
    let profiles = Arc::new(builder.finish());
    let values: Vec<String> = (0..config.values).map(|value| format!("v{value}")).collect();
    let mut chain = ChainSchema::builder("planted");
    let mut earlier: Vec<String> = Vec::new();
    for name in world.state_names() {
        let state = StateDef::ordinal(name.clone(), values.clone()).with_depends_on(earlier.clone());
        chain = chain.with_state(state);
        earlier.push(name);
    }
    let outcomes = world.outcomes().iter().map(|&outcome| Some(outcome)).collect();
    let eligible =
        (0..profiles.len()).filter(|&row| profiles.populated(row) >= min_populated.max(1)).collect();
    Ok(Study {
        schema: Arc::clone(profiles.schema()),
        chain: chain.build()?,
        segments: Segments::all(profiles.len()),
        outcomes,
        groups: None,
        levels: LevelConfig::new(5),
        teacher: Box::new(PlantedTeacher {
            planted: Arc::clone(&planted),
            blur: Blur::new(noise),
            seed,
            name: format!("planted, noise {noise}, seed {seed}"),
        }),
        seconds_per_answer: None,
        profiles,
        trial: None,
        planted: Some(planted),
        users: config.users,
        eligible,
    })
}

/// Users of each small world in which refinement is compared with greedy chains.
const REFINED_USERS: usize = 1_000;

/// How refinement changes the teacher's accuracy, over noises of the teacher and shares of missing cells.
///
/// # Errors
/// If a world cannot be made.
pub(super) fn refinement(options: &EvaluateOptions) -> Result<Vec<RefinementPoint>> {
    let mut points = Vec::new();
    for noise in [0.0, 0.7, 1.5] {
        for missing in [0.2, 0.4, 0.6] {
            let source = &options.source;
            let config = PlantedConfig::default().with_users(REFINED_USERS).with_missing(missing);
            let study = study(&config, noise, source.min_populated, source.seed)?;
            let measure = |strategy: Strategy| -> Result<(f64, f64)> {
                let reasoner = study.reasoner(strategy, budget(), source.min_populated)?;
                let (mut right, mut states, mut questions) = (0.0, 0.0, 0.0);
                for &row in &study.eligible {
                    let record = reasoner.reason(&study.profiles, row, source.seed)?;
                    questions += record.cost.queries as f64;
                    let truth = study.planted.as_ref().map(|planted| planted.truth(row)).unwrap_or_default();
                    for (step, value) in record.best.iter().flat_map(|best| best.steps()).zip(truth) {
                        right += f64::from(u8::from(step.value == value));
                        states += 1.0;
                    }
                }
                Ok((right / f64::max(states, 1.0), questions / study.eligible.len().max(1) as f64))
            };
            let (greedy, greedy_questions) = measure(Strategy::Greedy)?;
            let (refined, refined_questions) = measure(Strategy::Refine(RefineConfig::default()))?;
            points.push(RefinementPoint {
                noise,
                missing,
                greedy,
                refined,
                greedy_questions,
                refined_questions,
            });
        }
    }
    Ok(points)
}
