use ndarray::Slice;
use proptest::prelude::*;

use super::*;
use crate::features::{Column, HardBins};
use crate::field_terms::FieldTerms;
use crate::hidden::HiddenUnit;
use crate::shape::{Heads, NetworkShape, tiny};
use crate::value_head::ValueHead;
use crate::weights::Weights;
use scaletot_profile::Quantiles;

mod extremes;

/// Rows of the three fields' tables: codes, a number in three bins, a set.
const WIDTHS: [usize; 3] = [3, 4, 5];

fn network(shape: NetworkShape, seed: u64) -> Network {
    let weights = Weights::random(&shape, seed);
    Network::new(shape, &weights).unwrap()
}

fn plan_of(network: &Network) -> Plan {
    Plan::new(network, &[false, true, false], Selection::ALL, None, false).unwrap()
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
            others.push(plan_with(&plan, v3, &features));
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

/// What the plan gives on one kind of processor, before link functions.
fn plan_with<S: Simd>(plan: &Plan, simd: S, features: &Features) -> Outputs {
    let mut outputs = plan.served.blank(features.len());
    let (rows, scratch) = (0..features.len(), &mut Scratch::default());
    let sink = Raw::new(&plan.served, features, &mut outputs);
    Run { plan, features, rows, scratch, sink }.with_simd(simd);
    outputs
}

/// What the 8-bit plan gives on one kind of processor, before link functions.
fn int8_with<B: bytes::Bytes>(plan: &Int8, simd: B, features: &Features) -> Outputs {
    let mut outputs = plan.served().blank(features.len());
    let scratch = &mut Scratch::default();
    let sink = Raw::new(plan.served(), features, &mut outputs);
    int8::Run { plan, features, rows: 0..features.len(), scratch, sink }.run(simd);
    outputs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn small_integers_are_near_and_the_same_everywhere(shape in shapes(), features in batch(40), seed in 0u64..1000) {
        let shape = NetworkShape { cross_layers: 0, hidden: [vec![40], shape.hidden].concat(), ..shape };
        let network = network(shape, seed);
        let plan = Int8::new(&network, &[false, true, false], Selection::ALL, None).unwrap();
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
        let error = Int8::new(&network(shape, 1), &[false, true, false], Selection::ALL, None).unwrap_err();
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

/// Bins of the second field that value heads look up: three, and missing.
const HARD_BINS: usize = 4;

prop_compose! {
    fn binned(largest: usize)(features in batch(largest))(
        bins in prop::collection::vec(0..HARD_BINS as u32, features.len()), features in Just(features),
    ) -> Features {
        features.with_hard_bins(vec![None, Some(HardBins { width: HARD_BINS, bins }), None])
    }
}

/// Value heads for networks of a shape, with or without each of their parts.
fn value_heads(shape: &NetworkShape) -> impl Strategy<Value = ValueHead> + use<> {
    let weights =
        |count: usize| prop_oneof![1 => Just(vec![]), 4 => prop::collection::vec(-1.0f64..1.0, count)];
    let states: Vec<_> = shape
        .heads
        .states
        .iter()
        .map(|&size| prop_oneof![Just(vec![0.0; size]), prop::collection::vec(-2.0f64..2.0, size)])
        .collect();
    let [.., representation] = shape.served();
    let trunk = shape.trunk_width() as f64;
    let fields = prop::option::of(prop::collection::vec(-1.0f64..1.0, 12));
    // More of them than fit into one row, too.
    let unit = prop::collection::vec(-1.0f64..1.0, 14);
    let units = prop_oneof![Just(0usize), 1..4usize, 14..20usize]
        .prop_flat_map(move |n| prop::collection::vec(unit.clone(), n));
    let link = (-2.0f64..2.0, 0.2f64..2.0);
    let linear = (weights(representation), weights(shape.trunk_width()));
    (-1.0f64..1.0, (fields, units), any::<bool>(), states, linear, link).prop_map(
        move |(intercept, (fields, units), with_states, states, (w, u), (a, b))| {
            let quantiles = Quantiles::fit([1.0, 2.0, 3.0], HARD_BINS - 1).unwrap();
            let fields = fields.map_or_else(Vec::new, |weights| {
                vec![
                    FieldTerms::Codes { codes: weights[..2].to_vec(), missing: weights[2] },
                    FieldTerms::Numeric {
                        quantiles,
                        bins: weights[3..6].to_vec(),
                        slope: weights[6],
                        missing: weights[7],
                    },
                    FieldTerms::Codes { codes: weights[7..11].to_vec(), missing: weights[11] },
                ]
            });
            let scale = 1.0 / (1.0 + units.len() as f64);
            let units = units.iter().filter(|_| !fields.is_empty()).map(|unit| {
                let tables = vec![unit[..3].to_vec(), unit[3..7].to_vec(), unit[7..12].to_vec()];
                HiddenUnit::new(unit[12], scale * unit[13], tables)
            });
            let builder = ValueHead::builder(intercept)
                .with_hidden(units.collect())
                .with_fields(fields)
                .with_representation(w);
            let u = u.iter().map(|u| u / trunk.sqrt()).collect();
            let builder = builder.with_trunk(u).with_marginals(if with_states { states } else { vec![] });
            builder.with_link(a, b).build().unwrap()
        },
    )
}

/// `a + b ŷ` as it is written down, from the trunk's output and the states' logits.
fn value_of(
    head: &ValueHead,
    network: &Network,
    features: &Features,
    trunk: &Array2<f32>,
    logits: &Array2<f32>,
) -> Vec<f64> {
    let representation = network.heads()[2];
    let each = (0..features.len()).map(|row| {
        let mut y = head.intercept();
        let mut inputs: Vec<f64> = head.hidden().iter().map(HiddenUnit::bias).collect();
        for (field, terms) in head.fields().iter().enumerate() {
            let codes = match &features.columns()[field] {
                Column::Index(codes) => vec![codes[row]],
                Column::Piecewise(_) => vec![features.hard_bins(field).unwrap().bins[row]],
                Column::Bag { offsets, indices } => indices[offsets[row]..offsets[row + 1]].to_vec(),
            };
            let codes: Vec<usize> = codes.into_iter().map(|code| code as usize).collect();
            for (input, unit) in inputs.iter_mut().zip(head.hidden()) {
                *input += codes.iter().map(|&code| unit.tables()[field][code]).sum::<f64>();
            }
            for code in codes {
                y += match terms {
                    FieldTerms::Unused => 0.0,
                    FieldTerms::Codes { codes, missing } => codes.get(code).copied().unwrap_or(*missing),
                    FieldTerms::Numeric { bins, slope, missing, .. } => {
                        bins.get(code).map_or(*missing, |weight| weight + slope * code as f64)
                    }
                };
            }
        }
        y += inputs.iter().zip(head.hidden()).map(|(x, unit)| unit.weight() * x.max(0.0)).sum::<f64>();
        let h: Vec<f64> = trunk.row(row).iter().map(|&h| h.into()).collect();
        y += head.trunk().iter().zip(&h).map(|(u, h)| u * h).sum::<f64>();
        for (r, w) in head.representation().iter().enumerate() {
            let layer = representation.unwrap();
            let z: f64 =
                layer.weight.column(r).iter().zip(&h).map(|(weight, h)| f64::from(*weight) * h).sum();
            y += w * (z + f64::from(layer.bias[r]));
        }
        let mut first = 0;
        for weights in head.marginals() {
            let logits: Vec<f64> =
                logits.row(row).iter().skip(first).take(weights.len()).map(|&x| x.into()).collect();
            y +=
                scaletot_core::numeric::softmax(&logits).iter().zip(weights).map(|(p, m)| p * m).sum::<f64>();
            first += weights.len();
        }
        let (a, b) = head.link();
        a + b * y
    });
    each.collect()
}

/// Values are exponentials of these: what is off here is off by as much in shares of the value.
fn same_values(expected: &[f64], found: &Outputs) -> std::result::Result<(), TestCaseError> {
    prop_assert_eq!(found.value.dim(), (expected.len(), 1));
    for (found, expected) in found.value.iter().zip(expected) {
        prop_assert!((f64::from(*found) - expected).abs() < 1e-5, "{} {}", found, expected);
    }
    Ok(())
}

fn with_head(largest: usize) -> impl Strategy<Value = (NetworkShape, ValueHead, Features)> {
    shapes().prop_flat_map(move |shape| (Just(shape.clone()), value_heads(&shape), binned(largest)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_value_head_is_what_its_formula_says(
        (shape, head, features) in with_head(40), seed in 0u64..1000, half: bool, distribution: bool, states: bool, representation: bool,
    ) {
        let (network, numeric) = (network(shape, seed), [false, true, false]);
        let selection = Selection { value: true, distribution, states, representation };
        let plan = |selection| Plan::new(&network, &numeric, selection, Some(&head), half).unwrap();
        let all = plan(Selection::ALL).forward(&features).unwrap();
        // Tables that are rounded give other units of the first layer, but no other values of these units; where the heads are
        // what is looked up they have all their bits.
        let looked_up = network.cross().is_empty() && network.trunk().is_empty();
        let stored = if half && !looked_up { Stored::Bf16(0..0) } else { Stored::Full };
        let width = network.shape().trunk_width();
        let trunk = Plan::compile(&network, &numeric, None, Served::representation(width), &stored).unwrap();
        let trunk = trunk.forward(&features).unwrap().representation;
        let expected = value_of(&head, &network, &features, &trunk, &all.states);
        same_values(&expected, &all)?;
        let plan = plan(selection);
        same_values(&expected, &plan.forward(&features).unwrap())?;
        same_values(&expected, &plan.forward_portable(&features).unwrap())?;
        #[cfg(target_arch = "x86_64")]
        if let Some(v3) = pulp::x86::V3::try_new() {
            same_values(&expected, &plan_with(&plan, v3, &features))?;
        }
        // Without values there is none.
        let none = Plan::new(&network, &numeric, selection.with_value(false), Some(&head), half).unwrap();
        prop_assert_eq!(none.forward(&features).unwrap().value.ncols(), 0);
    }

    #[test]
    fn the_value_head_is_as_exact_in_small_integers(
        (shape, head, features) in with_head(40), seed in 0u64..1000, states: bool,
    ) {
        let shape = NetworkShape { cross_layers: 0, ..shape };
        prop_assume!(!shape.hidden.is_empty());
        let (network, numeric) = (network(shape, seed), [false, true, false]);
        let selection = Selection::ALL.with_states(states);
        let plan = |selection| Int8::new(&network, &numeric, selection, Some(&head)).unwrap();
        let all = plan(Selection::ALL).forward(&features).unwrap();
        let width = network.shape().trunk_width();
        let same = Layer { weight: Array2::eye(width), bias: Array1::zeros(width) };
        let trunk = Int8::compile(&network, &numeric, &same, Served::representation(width)).unwrap();
        let trunk = trunk.forward(&features).unwrap().representation;
        let expected = value_of(&head, &network, &features, &trunk, &all.states);
        same_values(&expected, &all)?;
        let plan = plan(selection);
        same_values(&expected, &plan.forward(&features).unwrap())?;
        same_values(&expected, &plan.forward_portable(&features).unwrap())?;
        #[cfg(target_arch = "x86_64")]
        if let Some(v3) = pulp::x86::V3::try_new() {
            same_values(&expected, &int8_with(&plan, v3, &features))?;
        }
    }
}

#[test]
fn features_without_the_bins_of_the_value_head_are_refused() {
    let network = network(tiny(heads()), 3);
    let quantiles = Quantiles::fit([1.0, 2.0, 3.0], 3).unwrap();
    let terms = FieldTerms::Numeric { quantiles, bins: vec![1.0; 3], slope: 0.0, missing: 0.0 };
    let head = ValueHead::builder(0.0).with_fields(vec![FieldTerms::Unused, terms, FieldTerms::Unused]);
    let head = head.build().unwrap();
    let plan = Plan::new(&network, &[false, true, false], Selection::ALL, Some(&head), false).unwrap();
    let columns = vec![
        Column::Index(vec![0]),
        Column::Piecewise(vec![0.0]),
        Column::Bag { offsets: vec![0, 0], indices: vec![] },
    ];
    let features = Features::new(1, columns, WIDTHS.to_vec(), vec![3]);
    let error = plan.forward(&features).unwrap_err();
    assert!(error.to_string().contains("expected [4], found [0]"), "{error}");
    let bins = |width| Some(HardBins { width, bins: vec![1] });
    let others = features.clone().with_hard_bins(vec![None, bins(3), None]);
    assert!(plan.forward(&others).is_err());
    assert!(plan.forward(&features.with_hard_bins(vec![None, bins(4), None])).is_ok());
}
