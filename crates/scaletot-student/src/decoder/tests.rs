use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;

use super::dropout::Dropout;
use super::rotary::Rotations;
use super::{CausalLm, DecoderConfig, KvCache, Rope, RopeScaling, TokenBatch};
use crate::config::StudentConfig;

const VOCAB: usize = 11;

fn tiny() -> DecoderConfig {
    let config =
        StudentConfig { d_model: 8, n_layers: 2, n_heads: 4, n_kv_heads: 2, d_ff: 12, ..Default::default() };
    DecoderConfig::of_student(&config, VOCAB)
}

fn model(seed: u64) -> CausalLm {
    CausalLm::new(&tiny(), seed, &Device::default()).unwrap()
}

fn states(model: &CausalLm, batch: &TokenBatch) -> Vec<Vec<f32>> {
    rows_of(model.hidden(batch).unwrap())
}

/// `[rows, len, d]` as one vector per position.
fn rows_of(hidden: Tensor<3>) -> Vec<Vec<f32>> {
    let d = hidden.dims()[2];
    hidden.try_into_vec_as::<f32>().unwrap().chunks(d).map(<[f32]>::to_vec).collect()
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_finite() && (a - b).abs() < 2e-5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Padding on either side changes no real token's state.
    #[test]
    fn padding_is_invisible(
        a in prop::collection::vec(1u32..VOCAB as u32, 1..6),
        b in prop::collection::vec(1u32..VOCAB as u32, 6..9),
    ) {
        let model = model(3);
        let alone = states(&model, &TokenBatch::left_padded(&[&a], 0));
        let left = states(&model, &TokenBatch::left_padded(&[&b, &a], 0));
        let right = states(&model, &TokenBatch::right_padded(&[&b, &a], 0));
        for (i, state) in alone.iter().enumerate() {
            prop_assert!(close(state, &left[2 * b.len() - a.len() + i]));
            prop_assert!(close(state, &right[b.len() + i]));
        }
        prop_assert!(left.iter().flatten().all(|x| x.is_finite()));
    }

    /// Nor does packing: a row's other sequences are not seen.
    #[test]
    fn neighbours_in_a_row_are_invisible(
        sequences in prop::collection::vec(prop::collection::vec(1u32..VOCAB as u32, 1..9), 1..6),
    ) {
        let model = model(4);
        let (batch, starts) = TokenBatch::packed(&sequences, 0);
        let longest = sequences.iter().map(Vec::len).max().unwrap();
        prop_assert_eq!(batch.len(), longest);
        prop_assert!(batch.rows() <= sequences.len());
        let real = batch.valid().iter().filter(|real| **real).count();
        prop_assert_eq!(real, sequences.iter().map(Vec::len).sum::<usize>());
        let packed = states(&model, &batch);
        for (sequence, start) in sequences.iter().zip(starts) {
            prop_assert_eq!(&batch.ids()[start..start + sequence.len()], sequence.as_slice());
            let alone = states(&model, &TokenBatch::left_padded(&[sequence], 0));
            for (i, state) in alone.iter().enumerate() {
                prop_assert!(close(state, &packed[start + i]));
            }
        }
        prop_assert!(packed.iter().flatten().all(|x| x.is_finite()));
    }

    /// A token's state does not depend on later tokens.
    #[test]
    fn the_future_is_unseen(
        tokens in prop::collection::vec(0u32..VOCAB as u32, 2..8),
        other in 0u32..VOCAB as u32,
    ) {
        let model = model(4);
        let mut changed = tokens.clone();
        let last = changed.len() - 1;
        changed[last] = other;
        let before = states(&model, &TokenBatch::left_padded(&[&tokens], 0));
        let after = states(&model, &TokenBatch::left_padded(&[&changed], 0));
        for (a, b) in before.iter().zip(&after).take(last) {
            prop_assert!(close(a, b));
        }
        prop_assert_eq!(close(&before[last], &after[last]), tokens[last] == other);
    }

    /// Reading in pieces through the cache gives the states of reading at once, left padding included.
    #[test]
    fn the_cache_changes_nothing(
        a in prop::collection::vec(1u32..VOCAB as u32, 3..7),
        b in prop::collection::vec(1u32..VOCAB as u32, 7),
        cut in 1usize..3,
    ) {
        let model = model(5);
        let whole = TokenBatch::left_padded(&[&a, &b], 0);
        let full = model.hidden(&whole).unwrap();
        let head: Vec<_> = [&a, &b].map(|s| s[..s.len() - cut].to_vec()).to_vec();
        let tail: Vec<_> = [&a, &b].map(|s| s[s.len() - cut..].to_vec()).to_vec();
        let mut cache = KvCache::new();
        model.hidden_cached(&TokenBatch::left_padded(&head, 0), &mut cache).unwrap();
        let rest = model.hidden_cached(&TokenBatch::left_padded(&tail, 0), &mut cache).unwrap();
        prop_assert_eq!(cache.len(), whole.len());
        let expected = rows_of(full.narrow(1, whole.len() - cut, cut));
        for (a, b) in rows_of(rest).iter().zip(&expected) {
            prop_assert!(close(a, b));
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_model() {
    let batch = TokenBatch::left_padded(&[vec![1, 2, 3]], 0);
    assert_eq!(states(&model(7), &batch), states(&model(7), &batch));
    assert_ne!(states(&model(7), &batch), states(&model(8), &batch));
}

#[test]
fn an_untied_head_has_its_own_weights() {
    let config = DecoderConfig { tie_embeddings: false, ..tiny() };
    let device = Device::default();
    let untied = CausalLm::new(&config, 1, &device).unwrap();
    let batch = TokenBatch::left_padded(&[vec![1, 2, 3]], 0);
    for model in [untied, model(1)] {
        let hidden = model.hidden(&batch).unwrap();
        let all = model.logits(hidden.clone());
        assert_eq!(all.dims(), [1, 3, VOCAB]);
        let some = model.logits_of(hidden.reshape([3, 8]), 4, 5);
        let expected = all.reshape([3, VOCAB]).narrow(1, 4, 5);
        assert!(some.all_close(expected, None, Some(1e-6)));
    }
}

#[test]
fn an_unknown_token_and_a_wrong_cache_are_errors() {
    let model = model(1);
    let error = model.hidden(&TokenBatch::left_padded(&[vec![1, 99]], 0)).unwrap_err();
    assert!(error.to_string().contains("99"), "{error}");
    let mut cache = KvCache::new();
    model.hidden_cached(&TokenBatch::left_padded(&[vec![1]], 0), &mut cache).unwrap();
    let two = TokenBatch::left_padded(&[vec![1], vec![2]], 0);
    assert!(model.hidden_cached(&two, &mut cache).is_err());
}

/// Grouped-query attention with one head per group is plain multi-head attention: compared with a loop in
/// f64.
#[test]
fn attention_equals_a_plain_loop() {
    use super::{attention, context::Context, init::Init};
    let device = Device::default();
    for kv_heads in [1, 2, 4] {
        let config = DecoderConfig { n_kv_heads: kv_heads, ..tiny() };
        let attention = attention::Attention::new(&config, &mut Init::new(&config, 9, &device));
        let (len, d, width) = (5, 8, 2);
        let x: Vec<f32> = (0..len * d).map(|i| ((i * 37 % 19) as f32 - 9.0) / 7.0).collect();
        let input = Tensor::<3>::from_data(TensorData::new(x.clone(), [1, len, d]), &device);
        let context = Context {
            rotary: Rotations::new(0, len, &tiny().rope.frequencies(width), input.dtype(), &device),
            bias: attention::bias(&vec![1; len], 1, 0, len, &device),
        };
        let found = attention.project(attention.mix(input, &context, None)).try_into_vec_as::<f32>().unwrap();
        let expected = reference::attention(&attention, &config, &x);
        for (a, b) in found.iter().zip(&expected) {
            assert!((f64::from(*a) - b).abs() < 1e-5, "{a} {b}");
        }
    }
}

/// The rotation of position `p` turns the pair `(x_i, x_{i + half})` by `p · θ^(−2i/d)`.
#[test]
fn rotary_turns_pairs_and_keeps_lengths() {
    let device = Device::default();
    let x = Tensor::<4>::from_data(TensorData::new(vec![1.0f32, 2.0, 3.0, 4.0], [1, 1, 1, 4]), &device);
    let frequencies = Rope { theta: 100.0, scaling: RopeScaling::None }.frequencies(4);
    let rotations = Rotations::new(3, 1, &frequencies, x.dtype(), &device);
    let query = rotations.queries.apply(x.clone()).try_into_vec_as::<f32>().unwrap();
    let key = rotations.keys.apply(x).try_into_vec_as::<f32>().unwrap();
    for (i, angle) in [(0, 3.0f64), (1, 3.0 * 100f64.powf(-0.5))] {
        let (a, b) = ([1.0, 2.0][i], [3.0, 4.0][i]);
        assert!((f64::from(key[i]) - (a * angle.cos() - b * angle.sin())).abs() < 1e-5);
        assert!((f64::from(key[i + 2]) - (b * angle.cos() + a * angle.sin())).abs() < 1e-5);
    }
    // 1 / √4.
    assert!(query.iter().zip(&key).all(|(q, k)| (2.0 * q - k).abs() < 1e-5), "{query:?} {key:?}");
}

/// Gradients and moments are kept by the identities of weights.
#[test]
fn every_weight_has_an_identity_of_its_own() {
    use burn::module::list_param_ids;
    let config = DecoderConfig { qk_norm: true, qkv_bias: true, tie_embeddings: false, ..tiny() };
    let ids = list_param_ids(&CausalLm::new(&config, 1, &Device::default()).unwrap());
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
}

#[test]
fn dropout_keeps_the_mean_and_repeats_with_its_seed() {
    let device = Device::default();
    let ones = Tensor::<3>::ones([10, 20, 50], &device);
    let draw = |seed| {
        let dropped = Dropout::new(0.3, seed).unwrap().apply(ones.clone());
        dropped.try_into_vec_as::<f32>().unwrap()
    };
    let values = draw(1);
    let zeros = values.iter().filter(|&&x| x == 0.0).count() as f64 / values.len() as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / values.len() as f64;
    assert!((zeros - 0.3).abs() < 0.02 && (mean - 1.0).abs() < 0.03, "{zeros} {mean}");
    assert_eq!(values, draw(1));
    assert_ne!(values, draw(2));
    assert!(Dropout::new(0.0, 1).is_none());
}

/// Plain loops in f64.
mod reference {
    use burn::module::Module;

    use super::super::DecoderConfig;
    use super::super::attention::Attention;

    struct Weights(Vec<Vec<f64>>);

    impl burn::module::ModuleVisitor for Weights {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<burn::tensor::Tensor<D>>) {
            self.0.push(param.val().try_into_vec_as::<f64>().unwrap());
        }
    }

    pub(super) fn attention(attention: &Attention, config: &DecoderConfig, x: &[f32]) -> Vec<f64> {
        let (d, heads, kv_heads) = (config.d_model, config.n_heads, config.n_kv_heads);
        let (len, width) = (x.len() / d, config.d_head);
        let mut weights = Weights(vec![]);
        attention.visit(&mut weights);
        let [q, k, v, o] = weights.0.try_into().unwrap();
        let project = |w: &[f64], t: usize, column: usize, columns: usize| -> f64 {
            (0..d).map(|i| f64::from(x[t * d + i]) * w[i * columns + column]).sum()
        };
        let turn = |pair: [f64; 2], t: usize| {
            let (sin, cos) = (t as f64).sin_cos();
            [pair[0] * cos - pair[1] * sin, pair[1] * cos + pair[0] * sin]
        };
        let kv = kv_heads * width;
        let mut mixed = vec![0.0; len * d];
        for head in 0..heads {
            let group = head / (heads / kv_heads);
            for t in 0..len {
                let query = turn([0, 1].map(|i| project(&q, t, head * width + i, d)), t);
                let score = |s: usize| {
                    let key = turn([0, 1].map(|i| project(&k, s, group * width + i, kv)), s);
                    ((query[0] * key[0] + query[1] * key[1]) / (width as f64).sqrt()).exp()
                };
                let total: f64 = (0..=t).map(score).sum();
                for i in 0..width {
                    mixed[t * d + head * width + i] =
                        (0..=t).map(|s| score(s) / total * project(&v, s, group * width + i, kv)).sum();
                }
            }
        }
        (0..len * d).map(|e| (0..d).map(|i| mixed[e / d * d + i] * o[i * d + e % d]).sum()).collect()
    }
}
