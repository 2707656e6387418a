use ndarray::Slice;
use proptest::prelude::*;

use super::*;
use crate::features::Column;
use crate::shape::{Heads, NetworkShape, tiny};
use crate::weights::Weights;

/// Rows of the three fields' tables: codes, a number in three bins, a set.
const WIDTHS: [usize; 3] = [3, 4, 5];

fn network(shape: NetworkShape, seed: u64) -> Network {
    let weights = Weights::random(&shape, seed);
    Network::new(shape, &weights).unwrap()
}

fn plan_of(network: &Network) -> Plan {
    Plan::new(network, &[false, true, false], Selection::ALL, false).unwrap()
}

fn heads() -> Heads {
    Heads::new(true, vec![2, 3], 4)
}

fn close(a: &Array2<f32>, b: &Array2<f32>) -> bool {
    a.dim() == b.dim() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * (1.0 + a.abs()))
}

prop_compose! {
    fn batch(largest: usize)(n in 1..largest)(
        index in prop::collection::vec(0u32..3, n),
        positions in prop::collection::vec(prop_oneof![Just(-1.0f32), 0f32..=3.0, Just(3.0f32)], n),
        bags in prop::collection::vec(prop::collection::btree_set(0u32..5, 0..4), n),
    ) -> Features {
        let n = index.len();
        let (mut offsets, mut indices) = (vec![0], Vec::new());
        for bag in bags {
            indices.extend(bag);
            offsets.push(indices.len());
        }
        let columns = vec![Column::Index(index), Column::Piecewise(positions), Column::Bag { offsets, indices }];
        Features::new(n, columns, WIDTHS.to_vec(), vec![3; n])
    }
}

/// Networks of all forms and awkward sizes.
fn shapes() -> impl Strategy<Value = NetworkShape> {
    (
        1usize..10,
        0usize..3,
        prop::collection::vec(1usize..150, 0..3),
        any::<bool>(),
        any::<bool>(),
        1usize..40,
    )
        .prop_map(|(embed_dim, cross_layers, hidden, outcome, signals, rep_dim)| NetworkShape {
            widths: WIDTHS.to_vec(),
            embed_dim,
            cross_layers,
            hidden,
            rep_dim,
            outcome: if outcome { 3 } else { 0 },
            heads: if signals { Heads::new(outcome, vec![2, 3], 4) } else { Heads::new(outcome, vec![], 0) },
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_plan_computes_what_the_network_does(shape in shapes(), features in batch(40), seed in 0u64..1000) {
        let network = network(shape, seed);
        let (found, expected) = (plan_of(&network).forward(&features).unwrap(), network.forward(&features));
        prop_assert!(close(&found.outcome, &expected.outcome), "{} {}", found.outcome, expected.outcome);
        prop_assert!(close(&found.states, &expected.states), "{} {}", found.states, expected.states);
        prop_assert!(close(&found.representation, &expected.representation));
    }

    #[test]
    fn every_width_of_vectors_gives_the_same(shape in shapes(), features in batch(40), seed in 0u64..1000) {
        let plan = plan_of(&network(shape, seed));
        let widest = plan.forward(&features).unwrap();
        let mut others = vec![plan.forward_portable(&features).unwrap()];
        #[cfg(target_arch = "x86_64")]
        if let Some(v3) = pulp::x86::V3::try_new() {
            let (mut outputs, scratch) = (blank(plan.heads, features.len()), &mut Scratch::default());
            let rows = 0..features.len();
            Run { plan: &plan, features: &features, rows, scratch, sink: &mut outputs }.with_simd(v3);
            others.push(outputs);
        }
        for other in others {
            prop_assert!(close(&widest.outcome, &other.outcome));
            prop_assert!(close(&widest.states, &other.states) && close(&widest.representation, &other.representation));
        }
    }

    #[test]
    fn a_split_batch_scores_as_the_whole(features in batch(400), cut in 0usize..400) {
        let plan = plan_of(&network(tiny(heads()), 3));
        let whole = plan.forward(&features).unwrap();
        let cut = cut.min(features.len());
        for rows in [0..cut, cut..features.len()] {
            let part = plan.forward(&features.select(&rows.clone().collect::<Vec<_>>()).unwrap()).unwrap();
            let slice = Slice::from(rows);
            prop_assert_eq!(part.outcome, whole.outcome.slice_axis(Axis(0), slice));
            prop_assert_eq!(part.states, whole.states.slice_axis(Axis(0), slice));
            prop_assert_eq!(part.representation, whole.representation.slice_axis(Axis(0), slice));
        }
    }
}

/// What the 8-bit plan gives on one kind of processor, before link functions.
fn int8_with<B: bytes::Bytes>(plan: &Int8, simd: B, features: &Features) -> Outputs {
    let mut outputs = blank(plan.heads(), features.len());
    let scratch = &mut Scratch::default();
    int8::Run { plan, features, rows: 0..features.len(), scratch, sink: &mut outputs }.run(simd);
    outputs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn small_integers_are_near_and_the_same_everywhere(shape in shapes(), features in batch(40), seed in 0u64..1000) {
        let shape = NetworkShape { cross_layers: 0, hidden: [vec![40], shape.hidden].concat(), ..shape };
        let network = network(shape, seed);
        let plan = Int8::new(&network, &[false, true, false], Selection::ALL).unwrap();
        let found = int8_with(&plan, pulp::Scalar::new(), &features);
        let expected = network.forward(&features);
        let near = |a: &Array2<f32>, b: &Array2<f32>| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.05);
        prop_assert!(near(&found.outcome, &expected.outcome), "{} {}", found.outcome, expected.outcome);
        prop_assert!(near(&found.states, &expected.states) && near(&found.representation, &expected.representation));
        #[cfg(target_arch = "x86_64")]
        {
            use pulp::x86::{V3, V4};
            let with_vnni = V4::try_new().zip(fearless_simd::Level::new().as_avx512());
            let others = [
                V3::try_new().map(|simd| int8_with(&plan, simd, &features)),
                V4::try_new().map(|simd| int8_with(&plan, simd, &features)),
                with_vnni.map(|(v4, vnni)| int8_with(&plan, bytes::V4WithVnni { v4, vnni }, &features)),
            ];
            for other in others.into_iter().flatten() {
                // Integers are the same to the bit; the float layers behind them differ by rounding.
                prop_assert!(close(&found.outcome, &other.outcome) && close(&found.states, &other.states));
                prop_assert!(close(&found.representation, &other.representation));
            }
        }
    }
}

#[test]
fn a_network_whose_first_layer_is_not_rectified_has_no_integers() {
    for shape in [tiny(heads()), NetworkShape { cross_layers: 0, hidden: vec![], ..tiny(heads()) }] {
        let error = Int8::new(&network(shape, 1), &[false, true, false], Selection::ALL).unwrap_err();
        assert!(error.to_string().contains("precision"), "{error}");
    }
}

#[test]
fn a_field_without_a_number_in_training_adds_nothing_when_it_is_there() {
    let shape = NetworkShape { widths: vec![3, 1, 5], ..tiny(heads()) };
    let network = network(shape, 8);
    let bag = || Column::Bag { offsets: vec![0, 1, 1], indices: vec![2] };
    let columns = vec![Column::Index(vec![0, 2]), Column::Piecewise(vec![0.0, -1.0]), bag()];
    let features = Features::new(2, columns, vec![3, 1, 5], vec![3, 1]);
    let (found, expected) = (plan_of(&network).forward(&features).unwrap(), network.forward(&features));
    assert!(close(&found.outcome, &expected.outcome) && close(&found.states, &expected.states));
    assert_ne!(found.outcome.row(0), found.outcome.row(1));
}

#[test]
fn features_of_other_widths_are_refused() {
    let features = Features::new(1, vec![Column::Index(vec![0])], vec![2], vec![1]);
    let error = plan_of(&network(tiny(heads()), 3)).forward(&features).unwrap_err();
    assert!(error.to_string().contains("embedding rows"));
}
