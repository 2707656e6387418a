//! What a value model is fitted on: the network's inner numbers, beside what it serves.

use ndarray::Array2;
use scaletot_core::numeric::softmax;
use scaletot_profile::ProfileTable;

use super::FrozenEncoder;
use crate::error::Result;
use crate::plan::Plan;

/// What an encoder's network makes of profiles, one row per profile: the parts of which a [`ValueHead`](crate::ValueHead) is linear.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Activations {
    /// The trunk's output `h`, `[n, width of the last hidden layer]`, at least 0; without hidden layers what the heads see, the embedded
    /// profile.
    pub trunk: Array2<f32>,
    /// The marginals `p_k` of all states side by side, `[n, Σ|V_k|]`; without signal heads `[n, 0]`.
    pub marginals: Array2<f32>,
    /// The representation `z`, `[n, r]`; without signal heads `[n, 0]`.
    pub representation: Array2<f32>,
}

impl FrozenEncoder {
    /// The network's activations for the named rows, in the named order: in 32-bit floats whichever [precision](Self::with_precision) scores,
    /// all of them whichever are [selected](Self::with_selection), and without abstention.
    ///
    /// # Errors
    /// [`Error::Schema`](crate::Error::Schema) for a table of another schema, [`Error::Shape`](crate::Error::Shape) when there is no such row.
    pub fn activations(&self, table: &ProfileTable, rows: &[usize]) -> Result<Activations> {
        let features = self.featuriser().transform(table, rows)?;
        let outputs = self.plan.forward(&features)?;
        let mut marginals = outputs.states;
        for mut row in marginals.outer_iter_mut() {
            let mut first = 0;
            for &size in &self.heads().states {
                let logits: Vec<f64> = row.iter().skip(first).take(size).map(|&x| x.into()).collect();
                let own = row.iter_mut().skip(first);
                own.zip(softmax(&logits)).for_each(|(to, p)| *to = p as f32);
                first += size;
            }
        }
        let trunk = Plan::of_trunk(&self.network, &self.featuriser().numeric())?.forward(&features)?;
        Ok(Activations { trunk: trunk.representation, marginals, representation: outputs.representation })
    }
}
