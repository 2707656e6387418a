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

/// Pieces that the way is cut into at first.
const PIECES: usize = 32;

/// Gradients that an integral takes at most.
const MAX_STEPS: usize = 8192;

/// Allowed error in shares of the contributions' absolute sum.
const TOLERANCE: f64 = 1e-3;

/// What integration found.
pub(crate) struct Integral {
    /// By field.
    pub(crate) amounts: Vec<f64>,
    /// What they lack of the rise.
    pub(crate) gap: f64,
    /// Gradients that were taken.
    pub(crate) steps: usize,
}

pub(crate) fn joined(embeddings: &Array1<f64>, terms: &Array1<f64>) -> Result<Array1<f64>> {
    concatenate(Axis(0), &[embeddings.view(), terms.view()])
        .map_err(|error| Error::shape("point to explain", "embeddings and terms", error))
}

/// Where a piece of the way begins and ends.
struct Span {
    /// In shares of the way.
    ends: [f64; 2],
    /// The values there.
    values: [f64; 2],
}

impl Span {
    fn middle(&self) -> f64 {
        0.5 * (self.ends[0] + self.ends[1])
    }
}

/// A piece of the way, by the midpoint rule.
struct Piece {
    span: Span,
    /// The value at its middle.
    middle: f64,
    /// By field.
    amounts: Vec<f64>,
    /// How much they may be wrong by, in sum: what they lack of the rise, and by how much they differ from those of the piece that this is a half of.
    doubt: f64,
}

/// The fields' contributions on the way from a blank profile's point to a user's; `rise` is what they sum to, `of_fields` sums the contributions
/// of a point's numbers by field.
///
/// The pieces that may be wrong by most are halved until all together may be wrong by little: rectified units make kinks, and a unit
/// that is live on a small part of the way is found there, not by many steps everywhere.
pub(crate) fn integrate(
    function: &ValueFunction,
    blank: &Array1<f64>,
    own: &Array1<f64>,
    of_fields: impl Fn(Array1<f64>) -> Vec<f64>,
    rise: f64,
) -> Integral {
    let way = own - blank;
    let measured = |spans: Vec<Span>| -> Vec<Piece> {
        let middles: Vec<f64> = spans.iter().map(Span::middle).collect();
        let found = function.along(blank, own, &middles);
        let piece = |(span, (middle, gradient)): (Span, (f64, Array1<f64>))| {
            let amounts = of_fields(gradient * &way * (span.ends[1] - span.ends[0]));
            let doubt = (span.values[1] - span.values[0] - amounts.iter().sum::<f64>()).abs();
            Piece { span, middle, amounts, doubt }
        };
        spans.into_iter().zip(found).map(piece).collect()
    };
    let ends: Vec<f64> = (0..=PIECES).map(|end| end as f64 / PIECES as f64).collect();
    let values: Vec<f64> = function.along(blank, own, &ends).into_iter().map(|(value, _)| value).collect();
    let first = ends.windows(2).zip(values.windows(2));
    let first = first.map(|(ends, values)| Span { ends: [ends[0], ends[1]], values: [values[0], values[1]] });
    let mut pieces = measured(first.collect());
    let mut steps = PIECES;
    let mut halved = PIECES;
    loop {
        // The first `halved` pieces give way to their halves.
        let parents: Vec<Piece> = pieces.drain(..halved).collect();
        let halves = parents.iter().flat_map(|piece| {
            let (Span { ends: [from, to], values: [low, high] }, middle) = (&piece.span, piece.span.middle());
            [
                Span { ends: [*from, middle], values: [*low, piece.middle] },
                Span { ends: [middle, *to], values: [piece.middle, *high] },
            ]
        });
        let mut children = measured(halves.collect());
        steps += children.len();
        for (parent, children) in parents.iter().zip(children.chunks_exact_mut(2)) {
            let moved = |field: usize| {
                parent.amounts[field] - children[0].amounts[field] - children[1].amounts[field]
            };
            let moved: f64 = (0..parent.amounts.len()).map(|field| moved(field).abs()).sum();
            children.iter_mut().for_each(|child| child.doubt += 0.5 * moved);
        }
        pieces.append(&mut children);
        let amounts = summed(&pieces);
        let allowed = TOLERANCE * amounts.iter().map(|amount| amount.abs()).sum::<f64>();
        let doubt: f64 = pieces.iter().map(|piece| piece.doubt).sum();
        if doubt <= allowed || steps == MAX_STEPS {
            let gap = rise - amounts.iter().sum::<f64>();
            return Integral { amounts, gap, steps };
        }
        pieces.sort_by(|a, b| b.doubt.total_cmp(&a.doubt));
        let share = allowed / pieces.len() as f64;
        halved = pieces.partition_point(|piece| piece.doubt > share).clamp(1, (MAX_STEPS - steps) / 2);
    }
}

/// The pieces' contributions by field.
fn summed(pieces: &[Piece]) -> Vec<f64> {
    let mut sum = vec![0.0; pieces[0].amounts.len()];
    for piece in pieces {
        sum.iter_mut().zip(&piece.amounts).for_each(|(sum, amount)| *sum += amount);
    }
    sum
}
