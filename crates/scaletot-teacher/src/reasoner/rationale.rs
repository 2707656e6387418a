//! A step in words.

use scaletot_chain::{ChainSchema, Step};

/// One sentence on why a step has its value, made from what was asked and answered: what was given, how likely the
/// value is, and what comes next.
///
/// ```text
/// Given age, income and need = high, capacity is high at 62 %, before moderate at 30 %.
/// ```
pub(super) fn sentence(
    schema: &ChainSchema,
    state: usize,
    before: &[u16],
    step: &Step,
    evidence: &[String],
) -> String {
    let Some(asked) = schema.states().get(state) else { return String::new() };
    let mut given = evidence.to_vec();
    for &parent in asked.depends_on() {
        let known = schema.states().get(parent).zip(before.get(parent));
        if let Some((name, value)) = known.and_then(|(state, &code)| Some((state.name(), state.value(code)?)))
        {
            given.push(format!("{name} = {value}"));
        }
    }
    let chosen = asked.value(step.value).unwrap_or("?");
    let share = step.probability();
    let mut text = if given.is_empty() {
        "With nothing in the profile to go by, ".to_owned()
    } else {
        format!("Given {}, ", listed(&given))
    };
    text.push_str(&format!("{} is {chosen} at {}", asked.name(), percent(share)));
    // The most probable of the others; of equal ones the first.
    let other = (0..).zip(&step.distribution).filter(|(value, _)| *value != step.value).fold(
        None,
        |best: Option<(u16, f64)>, (value, &p)| {
            if best.is_none_or(|(_, top)| p > top) { Some((value, p)) } else { best }
        },
    );
    match other {
        Some((value, p)) if p > share => {
            let name = asked.value(value).unwrap_or("?");
            text.push_str(&format!(", behind {name} at {}, for what follows from it", percent(p)));
        }
        Some((value, p)) if p > 0.0 => {
            text.push_str(&format!(", before {} at {}", asked.value(value).unwrap_or("?"), percent(p)));
        }
        _ => text.push_str(", the only value left"),
    }
    let forbidden: Vec<String> = schema
        .allowed(state, before)
        .iter()
        .zip(asked.values())
        .filter(|(allowed, _)| !**allowed)
        .map(|(_, value)| value.clone())
        .collect();
    if !forbidden.is_empty() {
        text.push_str(&format!("; {} ruled out by a constraint", listed(&forbidden)));
    }
    text.push('.');
    text
}

fn percent(p: f64) -> String {
    format!("{:.0} %", 100.0 * p)
}

/// "a, b and c".
fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
