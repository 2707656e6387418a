//! Weights of any size: a network is refused, or gives numbers for every profile.

use super::*;

/// Random weights with every tensor times a power of ten, and a few weights anything at all.
fn extreme(shape: &NetworkShape, seed: u64, powers: &[i32], single: &[(usize, f32)]) -> Network {
    let mut weights = Weights::random(shape, seed);
    for (at, tensor) in weights.0.values_mut().enumerate() {
        let factor = 10f32.powi(powers[at % powers.len()]);
        tensor.mapv_inplace(|weight| (weight * factor).clamp(-f32::MAX, f32::MAX));
    }
    for &(at, weight) in single {
        let count = weights.0.len();
        let tensor = weights.0.values_mut().nth(at % count).unwrap();
        let place = at % tensor.len().max(1);
        if let Some(to) = tensor.iter_mut().nth(place) {
            *to = weight;
        }
    }
    Network::new(shape.clone(), &weights).unwrap()
}

fn finite(outputs: &Outputs) -> bool {
    let heads = [&outputs.outcome, &outputs.states, &outputs.representation, &outputs.value];
    heads.into_iter().flatten().all(|x| x.is_finite())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn a_network_is_refused_or_all_its_numbers_are_finite(
        (shape, head, features) in with_head(40), seed in 0u64..1000,
        powers in prop::collection::vec(prop_oneof![3 => -3i32..3, 1 => -30i32..38], 1..8),
        single in prop::collection::vec((0usize..10_000, prop_oneof![Just(f32::MAX), Just(3e38f32), Just(-1e36f32), Just(1e30f32)]), 0..2),
        half: bool,
    ) {
        let (network, numeric) = (extreme(&shape, seed, &powers, &single), [false, true, false]);
        let selections = [Selection::ALL, Selection::VALUE];
        match Plan::new(&network, &numeric, Selection::ALL, Some(&head), false) {
            Err(error) => prop_assert!(matches!(error, Error::Overflow { .. }), "{}", error),
            Ok(plan) => {
                prop_assert!(finite(&plan.forward(&features).unwrap()));
                prop_assert!(finite(&plan.forward_portable(&features).unwrap()));
                for selection in selections {
                    // The difference of two logits may be too large where they are not.
                    if let Ok(plan) = Plan::new(&network, &numeric, selection, Some(&head), half) {
                        prop_assert!(finite(&plan.forward(&features).unwrap()));
                        prop_assert!(finite(&plan.forward_portable(&features).unwrap()));
                    }
                    if let Ok(plan) = Int8::new(&network, &numeric, selection, Some(&head)) {
                        prop_assert!(finite(&plan.forward(&features).unwrap()));
                        prop_assert!(finite(&plan.forward_portable(&features).unwrap()));
                    }
                }
            }
        }
    }
}

#[test]
fn a_weight_that_no_usual_profile_meets_is_found_by_its_layer() {
    let shape = tiny(heads());
    let numeric = [false, true, false];
    let refused = |name: &str, place: usize| {
        let mut weights = Weights::random(&shape, 1);
        *weights.0.get_mut(name).unwrap().iter_mut().nth(place).unwrap() = 3e38;
        let network = Network::new(shape.clone(), &weights).unwrap();
        Plan::new(&network, &numeric, Selection::ALL, None, false).unwrap_err().to_string()
    };
    assert!(refused("embedding.weight", 5).contains("`cross.0`"));
    assert!(refused("trunk.1.weight", 0).contains("`trunk.1`"));
    assert!(refused("outcome.bias", 1).contains("`heads`"));
    assert!(refused("states.weight", 1).contains("`heads`"));
}

#[test]
fn a_value_heads_sums_count_with_the_network() {
    let network = network(tiny(heads()), 1);
    let numeric = [false, true, false];
    let refused = |head: ValueHead| {
        let plan = Plan::new(&network, &numeric, Selection::ALL, Some(&head), false);
        plan.is_err_and(|error| error.to_string().contains("`value head`"))
    };
    let codes = |weight: f64| {
        vec![
            FieldTerms::Codes { codes: vec![weight; 2], missing: 0.0 },
            FieldTerms::Unused,
            FieldTerms::Unused,
        ]
    };
    let head = || ValueHead::builder(0.5);
    assert!(!refused(head().with_fields(codes(1e3)).build().unwrap()));
    assert!(refused(head().with_fields(codes(9e36)).build().unwrap()));
    assert!(refused(head().with_marginals(vec![vec![3e38, 0.0], vec![0.0; 3]]).build().unwrap()));
    // A table that is finite in 32 bits only times a tiny slope.
    let unit = HiddenUnit::new(0.0, 1.0, vec![vec![0.0, 1e60, 0.0], vec![], vec![]]);
    assert!(refused(
        head().with_fields(codes(1.0)).with_hidden(vec![unit]).with_link(0.0, 1e-30).build().unwrap()
    ));
}
