//! Profiles and prompts as a teacher reads them.

use scaletot_chain::ChainSchema;
use scaletot_profile::ProfileTable;
use scaletot_teacher::Prompter;
use serde::Serialize;

use super::Distinct;

/// Three profiles, and the prompts about one of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Preview {
    /// The most frequent profile, the fullest and the sparsest one of those that are eligible, each once.
    pub profiles: Vec<RenderedProfile>,
    /// One prompt about each state for the fullest profile. The states before it have their middle values.
    pub prompts: Vec<StatePrompt>,
}

/// A profile in words.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RenderedProfile {
    /// A user who has it.
    pub user: String,
    /// How many users read alike.
    pub users: usize,
    /// Populated fields.
    pub populated: usize,
    /// The words.
    pub text: String,
}

/// A prompt about one state.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StatePrompt {
    /// The state.
    pub state: String,
    /// The prompt.
    pub prompt: String,
    /// What may follow it.
    pub values: Vec<String>,
}

impl Preview {
    /// `distinct` holds the eligible profiles, the most frequent first.
    pub(super) fn of(
        table: &ProfileTable,
        chain: &ChainSchema,
        prompter: &Prompter,
        distinct: &[Distinct],
    ) -> Self {
        let fullness = |profile: &&Distinct| table.populated(profile.row);
        // Of equally full ones the most frequent.
        let fullest = distinct.iter().rev().max_by_key(fullness);
        let sparsest = distinct.iter().min_by_key(fullness);
        let mut chosen: Vec<&Distinct> =
            distinct.first().into_iter().chain(fullest).chain(sparsest).collect();
        let mut seen = Vec::new();
        chosen.retain(|profile| {
            let is_new = !seen.contains(&profile.row);
            seen.push(profile.row);
            is_new
        });
        let rendered = |profile: &Distinct| RenderedProfile {
            user: table.id(profile.row).to_string(),
            users: profile.users,
            populated: table.populated(profile.row),
            text: prompter.profile(table, profile.row),
        };
        Self {
            profiles: chosen.into_iter().map(rendered).collect(),
            prompts: fullest.map(|profile| prompts(table, chain, prompter, profile.row)).unwrap_or_default(),
        }
    }
}

/// A prompt about each state, on a legal path through the middle values.
fn prompts(table: &ProfileTable, chain: &ChainSchema, prompter: &Prompter, row: usize) -> Vec<StatePrompt> {
    let mut path: Vec<u16> = Vec::with_capacity(chain.len());
    let mut prompts = Vec::with_capacity(chain.len());
    for (at, state) in chain.states().iter().enumerate() {
        prompts.push(StatePrompt {
            state: state.name().to_owned(),
            prompt: prompter.prompt(table, row, at, &path),
            values: state.values().to_vec(),
        });
        let allowed =
            (0..).zip(chain.allowed(at, &path)).filter(|(_, allowed)| *allowed).map(|(value, _)| value);
        let allowed: Vec<u16> = allowed.collect();
        // A schema leaves a value after every legal start.
        path.push(allowed.get(allowed.len() / 2).copied().unwrap_or(0));
    }
    prompts
}
