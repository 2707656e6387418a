//! What the value model is worth on the held-out users, beside the strongest model of the profile alone.

use scaletot_core::Progress;
use scaletot_core::files::write_json;

use super::record::StageReport;
use super::split::known_outcomes;
use super::value::{Artifact, PROFILE_ONLY, SCALETOT, SERVED};
use super::{Done, Pipeline, Stage, read_json};
use crate::compare::{Evaluation, evaluate};
use crate::error::Result;

impl Pipeline {
    /// Measures every model on the held-out users, and compares the value model, and what is served of it, with the strongest of those
    /// that know the profile alone.
    ///
    /// # Errors
    /// If a metric is not defined on the held-out users, or a file cannot be written.
    pub fn evaluate(&self, artifact: &Done<Artifact>, progress: &dyn Progress) -> Result<Done<Evaluation>> {
        let inputs = self.inputs([("artifact", artifact.hash.short())]);
        let path = self.path("evaluation.json");
        self.stage(
            Stage::Evaluate,
            inputs,
            progress,
            || read_json(&path),
            || {
                let truth = known_outcomes(&self.held_out);
                let of = |name: &'static str| Some((name, artifact.value.held_out.get(name)?.as_slice()));
                let baselines: Vec<_> = PROFILE_ONLY.iter().filter_map(|(name, _)| of(name)).collect();
                let ours: Vec<_> = [SCALETOT, SERVED].into_iter().filter_map(of).collect();
                let evaluation = evaluate(&truth, &baselines, &ours, self.seed)?;
                write_json(&path, &evaluation)?;
                Ok((evaluation, StageReport::of_users(truth.len())))
            },
        )
    }
}
