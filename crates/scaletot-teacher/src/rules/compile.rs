//! Checks rules against the schemas and resolves their names.

use scaletot_chain::{ChainSchema, StateType};
use scaletot_profile::{Field, FieldKind, ProfileSchema};

use super::raw::{OneOrMany, RawCondition, RawRule, RawRules};
use super::{Condition, Rule};
use crate::error::{Error, Result};

/// Beyond this a log-odds is a certainty that no other rule could ever answer.
const MAX_LOG_ODDS: f64 = 30.0;

/// Where in the file a check is.
struct At<'a> {
    source: &'a str,
    rule: usize,
    state: &'a str,
}

impl At<'_> {
    fn error(&self, key: &str, message: impl Into<String>) -> Error {
        let Self { source, rule, state } = self;
        Error::Rules {
            location: format!("{source}, rule {rule} (state `{state}`), {key}"),
            message: message.into(),
        }
    }
}

pub(super) fn compile(
    raw: &RawRules,
    source: &str,
    profile: &ProfileSchema,
    chain: &ChainSchema,
) -> Result<Vec<Rule>> {
    if raw.name.trim().is_empty() {
        return Err(Error::Rules {
            location: format!("{source}, name"),
            message: "expected a name, found an empty one".to_owned(),
        });
    }
    raw.rules
        .iter()
        .enumerate()
        .map(|(i, rule)| compile_rule(rule, &At { source, rule: i + 1, state: &rule.state }, profile, chain))
        .collect()
}

fn compile_rule(raw: &RawRule, at: &At<'_>, profile: &ProfileSchema, chain: &ChainSchema) -> Result<Rule> {
    let state = chain.state_index(&raw.state).ok_or_else(|| {
        at.error("state", unknown("state", &raw.state, chain.states().iter().map(StateType::name)))
    })?;
    let asked = &chain.states()[state];

    let mut when = Vec::with_capacity(raw.when.len());
    for (name, condition) in &raw.when {
        let key = format!("when.{name}");
        let field = profile.field_index(name).ok_or_else(|| {
            at.error(&key, unknown("field", name, profile.fields().iter().map(Field::name)))
        })?;
        when.push((field, compile_condition(condition, &profile.fields()[field], &key, at)?));
    }

    let mut after = Vec::with_capacity(raw.after.len());
    for (name, values) in &raw.after {
        let key = format!("after.{name}");
        let parents = || asked.depends_on().iter().map(|&parent| chain.states()[parent].name());
        let parent = chain
            .state_index(name)
            .filter(|parent| asked.depends_on().contains(parent))
            .ok_or_else(|| at.error(&key, unknown("state that it depends on", name, parents())))?;
        let domain = &chain.states()[parent];
        let codes = some(values, &key, at)?
            .iter()
            .map(|value| {
                code(domain, value).ok_or_else(|| at.error(&key, unknown("value", value, domain.values())))
            })
            .collect::<Result<_>>()?;
        after.push((parent, codes));
    }

    if raw.add.is_empty() {
        return Err(at.error("add", "expected log-odds for at least one value, found none"));
    }
    let mut add = vec![0.0; asked.values().len()];
    for (value, &log_odds) in &raw.add {
        let key = format!("add.{value}");
        let code =
            code(asked, value).ok_or_else(|| at.error(&key, unknown("value", value, asked.values())))?;
        if log_odds.is_nan() || log_odds.abs() > MAX_LOG_ODDS {
            return Err(at.error(&key, format!("expected log-odds within ±{MAX_LOG_ODDS}, found {log_odds}")));
        }
        add[usize::from(code)] = log_odds;
    }
    Ok(Rule { state, when, after, add, note: raw.note.clone() })
}

fn compile_condition(raw: &RawCondition, field: &Field, key: &str, at: &At<'_>) -> Result<Condition> {
    let values = match field.kind() {
        FieldKind::Categorical(domain) | FieldKind::Ordinal(domain) => Some(domain.values()),
        FieldKind::Multi(domain) => Some(domain.values()),
        _ => None,
    };
    match (raw, field.kind()) {
        (RawCondition::Table(table), _) if table.missing => {
            if table.at_least.is_some() || table.below.is_some() {
                return Err(at.error(key, "expected a range or `missing`, found both"));
            }
            Ok(Condition::Missing)
        }
        (RawCondition::Table(table), FieldKind::Numeric(_)) => {
            if table.at_least.is_none() && table.below.is_none() {
                return Err(at.error(key, "expected `at_least`, `below` or both, found neither"));
            }
            let at_least = table.at_least.unwrap_or(f64::NEG_INFINITY);
            let below = table.below.unwrap_or(f64::INFINITY);
            if at_least.is_nan() || below.is_nan() || at_least >= below {
                return Err(
                    at.error(key, format!("expected `at_least` under `below`, found {at_least} and {below}"))
                );
            }
            Ok(Condition::Range { at_least, below })
        }
        (RawCondition::Flag(flag), FieldKind::Boolean) => Ok(Condition::Flag(*flag)),
        (RawCondition::Values(wanted), _) if values.is_some() => {
            let domain = values.unwrap_or_default();
            let codes = some(wanted, key, at)?
                .iter()
                .map(|value| {
                    let index =
                        domain.iter().position(|known| known == value).and_then(|i| u32::try_from(i).ok());
                    index.ok_or_else(|| at.error(key, unknown("value", value, domain)))
                })
                .collect::<Result<_>>()?;
            Ok(Condition::AnyOf(codes))
        }
        (given, kind) => {
            let expected = match kind {
                FieldKind::Numeric(_) => "a range { at_least = …, below = … }",
                FieldKind::Boolean => "true or false",
                _ => "a value or a list of values",
            };
            let found = match given {
                RawCondition::Flag(_) => "true or false",
                RawCondition::Values(_) => "values",
                RawCondition::Table(_) => "a range",
            };
            Err(at.error(key, format!("expected {expected} for this field, found {found}")))
        }
    }
}

fn code(state: &StateType, value: &str) -> Option<u16> {
    state.values().iter().position(|known| known == value).and_then(|i| u16::try_from(i).ok())
}

fn some<'a>(values: &'a OneOrMany, key: &str, at: &At<'_>) -> Result<&'a [String]> {
    match values.as_slice() {
        [] => Err(at.error(key, "expected at least one value, found none")),
        values => Ok(values),
    }
}

fn unknown<S: AsRef<str>>(what: &str, found: &str, known: impl IntoIterator<Item = S>) -> String {
    let known: Vec<String> = known.into_iter().map(|name| name.as_ref().to_owned()).collect();
    format!("expected a {what} among [{}], found `{found}`", known.join(", "))
}
