//! Synthetic users to measure speed with.

use std::error::Error;

use scaletot_chain::{ChainSchema, StateDef};
use scaletot_encoder::EncoderConfig;
use scaletot_profile::{Field, FieldSpec, ProfileSchema, ProfileTable, TableBuilder};

const FIELDS: usize = 8;
const VALUES: usize = 64;

/// Eight fields of 64 values.
pub(crate) fn fields() -> Result<ProfileSchema, Box<dyn Error>> {
    let values: Vec<String> = (0..VALUES).map(|value| format!("v{value}")).collect();
    let mut schema = ProfileSchema::builder("speed");
    for field in 0..FIELDS {
        schema = schema.with_field(FieldSpec::categorical(format!("f{field}"), values.clone()));
    }
    Ok(schema.build()?)
}

/// Users whose cells are drawn evenly, by a fixed rule; an eighth is missing.
pub(crate) fn users(schema: &ProfileSchema, count: usize) -> Result<ProfileTable, Box<dyn Error>> {
    let values = |field: &Field| match field.kind().domain() {
        Some(domain) => domain.values().to_vec(),
        None => vec!["no".to_owned(), "yes".to_owned()],
    };
    let values: Vec<Vec<String>> = schema.fields().iter().map(values).collect();
    let mut builder = TableBuilder::new(schema.clone());
    let mut state = 1_u64;
    for user in 0..count {
        let mut cell = |values: &Vec<String>| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let draw = (state >> 33) as usize;
            if draw.is_multiple_of(8) { String::new() } else { values[draw / 8 % values.len()].clone() }
        };
        let cells: Vec<String> = values.iter().map(&mut cell).collect();
        builder.push_text(user as i64, &cells)?;
    }
    Ok(builder.finish())
}

/// A chain of so many states of two values.
pub(crate) fn chain(states: usize) -> Result<ChainSchema, Box<dyn Error>> {
    let mut chain = ChainSchema::builder("speed");
    for state in 0..states {
        chain = chain.with_state(StateDef::ordinal(format!("spend_{state}"), ["low", "high"]));
    }
    Ok(chain.build()?)
}

/// The network's sizes, with hidden layers of these widths.
pub(crate) fn sizes(hidden: &[usize]) -> EncoderConfig {
    let mut config = EncoderConfig::default();
    (config.embed_dim, config.hidden, config.min_populated) = (16, hidden.to_vec(), 0);
    config
}
