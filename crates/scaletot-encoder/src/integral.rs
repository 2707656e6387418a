//! What each field of a profile contributes to its value.
//!
//! Integrated gradients (Sundararajan, Taly and Yan, *Axiomatic Attribution for Deep Networks*, ICML 2017): on the straight way from a
//! baseline to the profile, every step's change of the value is divided among the inputs by the gradient. The baseline is the blank
//! profile, every field missing, so that what is explained is what is known. The way is in the embeddings. The first layer is a sum
//! `b + Σ_f E_f W_f` over the fields, and each field's share of it is exact; since it is linear, the way in the embeddings *is* the
//! straight way between the two outputs of the first layer, and the integral only concerns what comes behind. With cross layers,
//! which multiply fields, the embeddings are the only place where fields are apart. What the tables of a value head add to the value's logarithm
//! goes the same straight way, a number per field beside the embeddings.
//!
//! Contributions sum to the difference of the two values (completeness). They tell what moves the *prediction* and nothing of causes; the
//! value of a field that goes with another may be credited to either.

use ndarray::{Array1, Axis, concatenate};

use crate::error::{Error, Result};
use crate::gradient::ValueFunction;

/// Steps of the integral, doubled as long as there is need.
const STEPS: [usize; 8] = [64, 128, 256, 512, 1024, 2048, 4096, 8192];

/// Allowed gap, and change of a contribution between two numbers of steps, in shares of the contributions' absolute sum.
const TOLERANCE: f64 = 1e-3;

/// What integration found.
pub(crate) struct Integral {
    /// By field.
    pub(crate) amounts: Vec<f64>,
    /// What they lack of the rise.
    pub(crate) gap: f64,
    pub(crate) steps: usize,
}

pub(crate) fn joined(embeddings: &Array1<f64>, terms: &Array1<f64>) -> Result<Array1<f64>> {
    concatenate(Axis(0), &[embeddings.view(), terms.view()])
        .map_err(|error| Error::shape("point to explain", "embeddings and terms", error))
}

/// The fields' contributions on the way from a blank profile's point to a user's; `rise` is what they sum to, `of_fields` sums the contributions
/// of a point's numbers by field.
pub(crate) fn integrate(
    function: &ValueFunction,
    blank: &Array1<f64>,
    own: &Array1<f64>,
    of_fields: impl Fn(Array1<f64>) -> Vec<f64>,
    rise: f64,
) -> Integral {
    let mut found = Integral { amounts: vec![], gap: rise, steps: 0 };
    for steps in STEPS {
        let amounts = of_fields(function.mean_gradient(blank, own, steps) * (own - blank));
        let gap = rise - amounts.iter().sum::<f64>();
        let allowed = TOLERANCE * amounts.iter().map(|amount| amount.abs()).sum::<f64>();
        let before = std::mem::replace(&mut found, Integral { amounts, gap, steps }).amounts;
        // A gap can be small by chance while single contributions still move.
        let settled = before.len() == found.amounts.len()
            && before.iter().zip(&found.amounts).all(|(a, b)| (a - b).abs() <= allowed);
        if settled && gap.abs() <= allowed {
            break;
        }
    }
    found
}
