//! Rows of the vocabulary: tokens that a model did not have, and tokens that alone are trained.

use std::ops::Range;

use burn::module::{Module, Param, Reparameterization, Reparameterizer};
use burn::tensor::{Int, Tensor, TensorData};

use super::CausalLm;

impl CausalLm {
    /// The same model with tokens from the id `first` on, instead of those that were there or behind the last one. Each begins
    /// as the mean of the tokens in its list, in the embedding and in the head; of an empty list, as the mean of all before
    /// `first`. There must be some.
    pub(crate) fn with_tokens(&self, first: usize, lists: &[Vec<u32>]) -> Self {
        let mut model = self.clone();
        let weight = &mut model.model.embed_tokens.weight;
        *weight = Param::from_tensor(replaced(weight.val(), first, lists));
        if let Some(head) = &mut model.lm_head {
            let rows = replaced(head.weight.val().transpose(), first, lists);
            head.weight = Param::from_tensor(rows.transpose());
        }
        model
    }

    /// The same model in which the embeddings of these tokens are trained, and their rows of the head, beside whatever else is.
    /// As with adapters, what is stored of the weight stays as it is; `merged` puts the rows into it.
    pub(crate) fn with_trained_tokens(&self, tokens: Range<usize>) -> Self {
        self.clone().apply_reparameterization(Attach { tokens })
    }
}

/// `weight`, `[vocab, d]`, with the means of the lists from row `first` on.
fn replaced(weight: Tensor<2>, first: usize, lists: &[Vec<u32>]) -> Tensor<2> {
    let end = first + lists.len();
    let mean = |list: &Vec<u32>| {
        if list.is_empty() {
            return weight.clone().narrow(0, 0, first).mean_dim(0);
        }
        let ids: Vec<i64> = list.iter().map(|id| i64::from(*id)).collect();
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [list.len()]), &weight.device());
        weight.clone().select(0, ids).mean_dim(0)
    };
    let mut parts = vec![weight.clone().narrow(0, 0, first)];
    parts.extend(lists.iter().map(mean));
    let rows = weight.dims()[0];
    if end < rows {
        parts.push(weight.narrow(0, end, rows - end));
    }
    Tensor::cat(parts, 0)
}

/// Part of a frozen weight that is trained.
#[derive(Module, Debug)]
struct TrainedTokens {
    values: Param<Tensor<2>>,
    /// The axis of the vocabulary.
    axis: usize,
    first: usize,
}

impl Reparameterization for TrainedTokens {
    const NAME: &'static str = "tokens";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let (values, mut shape) = (self.values.val(), base.shape());
        let count = values.dims()[self.axis];
        let (end, all) = (self.first + count, shape[self.axis]);
        shape[self.axis] = count;
        let mut parts = vec![base.clone().narrow(self.axis, 0, self.first), values.reshape(shape)];
        if end < all {
            parts.push(base.narrow(self.axis, end, all - end));
        }
        Tensor::cat(parts, self.axis)
    }
}

struct Attach {
    tokens: Range<usize>,
}

impl Reparameterizer for Attach {
    type Reparam = TrainedTokens;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<TrainedTokens>) {
        let axis = match path {
            "model.embed_tokens.weight" => 0,
            "lm_head.weight" => 1,
            _ => return (param, None),
        };
        let Range { start: first, end } = self.tokens;
        let base = param.base();
        let (rows, columns) = (base.dims()[0], base.dims()[1]);
        let values = base.reshape([rows, columns]).narrow(axis, first, end - first);
        let values = Param::from_tensor(values);
        (param.set_require_grad(false), Some(TrainedTokens { values, axis, first }))
    }
}
