//! Posteriors, credit of steps, and the tilt by given rewards.

use proptest::prelude::*;
use scaletot_osipo::evidence::{
    ChainRow, ChainSet, Label, PolicyTable, Posterior, StepCredit, Tilt, TiltConfig, improve,
};
use scaletot_osipo::{Error, Result};

use crate::common::close;

/// Sizes of the states, and a log-probability and a reward of every chain.
fn credited() -> impl Strategy<Value = (ChainSet, Vec<f64>, Vec<f64>, f64)> {
    prop::collection::vec(1_usize..4, 1..4).prop_flat_map(|sizes| {
        let chains = ChainSet::all(sizes).unwrap();
        let n = chains.len();
        let p = prop_oneof![6 => -8.0..0.0_f64, 1 => Just(f64::NEG_INFINITY)];
        let r = prop_oneof![6 => -6.0..6.0_f64, 1 => Just(f64::NEG_INFINITY)];
        (Just(chains), prop::collection::vec(p, n), prop::collection::vec(r, n), 0.05..5.0_f64).prop_map(
            |(chains, mut p, mut r, eta)| {
                (p[0], r[0]) = (p[0].max(-3.0), r[0].max(0.5));
                (chains, p, r, eta)
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// `Σ_k r_k = R − (1/η) ln Z`: nothing of the reward is lost or made between the steps.
    #[test]
    fn the_credit_of_the_steps_sums_to_the_reward_less_the_evidence((chains, p, r, eta) in credited()) {
        let credit = StepCredit::new(&chains, &p, &r, eta).unwrap();
        let evidence = Posterior::new(&p, &r, eta).unwrap().evidence;
        prop_assert!(close(credit.evidence, evidence, 1e-9));
        for ((row, r), p) in credit.credit.chunks_exact(chains.states()).zip(&r).zip(&p) {
            prop_assert!(row.iter().all(|r| !r.is_nan()));
            if *p == f64::NEG_INFINITY {
                continue;
            }
            let sum: f64 = row.iter().sum();
            let expected = r - evidence;
            prop_assert!(sum == expected || close(sum, expected, 1e-9), "{} {}", sum, expected);
        }
    }

    /// `q_k = π_k e^{η r_k}`, step by step: the credit turns the policy's steps into the posterior's.
    #[test]
    fn the_policy_with_the_credit_is_the_posterior((chains, p, r, eta) in credited()) {
        let credit = StepCredit::new(&chains, &p, &r, eta).unwrap();
        let q = Posterior::new(&p, &r, eta).unwrap().probabilities;
        let pi = Posterior::new(&p, &vec![0.0; r.len()], eta).unwrap().probabilities;
        let share = |weights: &[f64], chain: usize, steps: usize| -> f64 {
            let prefix = &chains.chain(chain)[..steps];
            chains.iter().zip(weights).filter(|(other, _)| &other[..steps] == prefix).map(|(_, w)| w).sum()
        };
        for chain in (0..chains.len()).filter(|&chain| q[chain] > 0.0) {
            for step in 0..chains.states() {
                let of = |weights| share(weights, chain, step + 1) / share(weights, chain, step);
                let moved = of(&pi) * (eta * credit.credit[chain * chains.states() + step]).exp();
                prop_assert!(close(of(&q), moved, 1e-8), "{} {}", of(&q), moved);
            }
        }
    }

    /// DPO's optimum in closed form: with `η = 1/β` the posterior of the reference is `π_ref e^{R/β} / Z`, whose implicit reward
    /// `β ln(q/π_ref)` is the reward but for a constant of the user, that DPO's loss does not see.
    #[test]
    fn one_e_step_with_eta_of_one_over_beta_is_the_optimum_of_dpo((_, p, r, beta) in credited()) {
        let posterior = Posterior::new(&p, &r, 1.0 / beta).unwrap();
        let pi = Posterior::new(&p, &vec![0.0; r.len()], 1.0).unwrap().probabilities;
        for ((q, p), r) in posterior.probabilities.iter().zip(&pi).zip(&r).filter(|((q, _), _)| **q > 1e-200) {
            prop_assert!(close(beta * (q / p).ln(), r - posterior.evidence, 1e-7));
        }
    }

    /// The evidence is between the expected and the largest reward, and rises with η.
    #[test]
    fn the_evidence_rises_with_eta_from_the_mean_reward_to_the_best((_, p, mut r, eta) in credited()) {
        r.iter_mut().for_each(|r| *r = r.max(-9.0));
        let at = |eta: f64| Posterior::new(&p, &r, eta).unwrap().evidence;
        let pi = Posterior::new(&p, &vec![0.0; r.len()], 1.0).unwrap().probabilities;
        let possible = || pi.iter().zip(&r).filter(|(p, _)| **p > 0.0);
        let mean: f64 = possible().map(|(p, r)| p * r).sum();
        let best = possible().map(|(_, r)| *r).fold(f64::NEG_INFINITY, f64::max);
        prop_assert!(mean - 1e-9 <= at(eta) && at(eta) <= at(2.0 * eta) + 1e-9 && at(2.0 * eta) <= best + 1e-9);
        prop_assert!(close(at(1e-7), mean, 1e-4) && close(at(1e7), best, 1e-4), "{} {}", at(1e-7), at(1e7));
    }
}

#[test]
fn numbers_of_any_size_give_posteriors_and_credit_that_are_numbers() {
    let chains = ChainSet::all(vec![2, 2]).unwrap();
    let inf = f64::NEG_INFINITY;
    for p in [[0.0; 4], [-1e300, 0.0, -5.0, inf], [inf, inf, -700.0, -1e5]] {
        for r in [[0.0; 4], [inf, 1e300, -1e300, 5.0], [1e308, -1e308, 0.0, inf], [f64::MIN; 4]] {
            for eta in [1e-300, 1.0, 1e300] {
                let posterior = Posterior::new(&p, &r, eta).unwrap();
                assert!(!posterior.evidence.is_nan(), "{p:?} {r:?} {eta}");
                let sum: f64 = posterior.probabilities.iter().sum();
                assert!((sum - 1.0).abs() < 1e-9, "{p:?} {r:?} {eta}: {posterior:?}");
                let credit = StepCredit::new(&chains, &p, &r, eta).unwrap();
                assert!(credit.credit.iter().all(|r| !r.is_nan()), "{p:?} {r:?} {eta}: {credit:?}");
            }
        }
    }
}

#[test]
fn what_has_no_posterior_is_an_error() {
    let inf = f64::NEG_INFINITY;
    let chains = ChainSet::all(vec![2]).unwrap();
    for (p, r) in [([0.0, 0.0], [inf, inf]), ([inf, inf], [0.0, 0.0]), ([0.0, inf], [inf, 0.0])] {
        assert!(matches!(Posterior::new(&p, &r, 1.0), Err(Error::NoChain { .. })), "{p:?} {r:?}");
        assert!(matches!(StepCredit::new(&chains, &p, &r, 1.0), Err(Error::NoChain { .. })), "{p:?} {r:?}");
    }
    for (p, r) in [([f64::NAN, 0.0], [0.0; 2]), ([0.0; 2], [f64::NAN, 0.0]), ([0.0; 2], [f64::INFINITY, 0.0])]
    {
        assert!(matches!(Posterior::new(&p, &r, 1.0), Err(Error::InvalidValue { .. })), "{p:?} {r:?}");
    }
    for eta in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(Posterior::new(&[0.0], &[0.0], eta), Err(Error::Config(_))), "{eta}");
    }
    assert!(matches!(Posterior::new(&[0.0; 2], &[0.0], 1.0), Err(Error::Shape { .. })));
    assert!(matches!(StepCredit::new(&chains, &[0.0; 3], &[0.0; 3], 1.0), Err(Error::Shape { .. })));
}

/// Users with log-probabilities over all chains, a reward of each chain, and segments.
#[derive(Debug, Clone)]
struct Users {
    chains: ChainSet,
    rows: Vec<(usize, Vec<f32>, Vec<f64>)>,
}

impl Users {
    fn table(&self) -> PolicyTable {
        let mut table = PolicyTable::default();
        for (segment, log_probs, _) in &self.rows {
            let label = Label { outcome: 1.0, segment: *segment };
            table.push(label, ChainRow { chains: None, log_probs });
        }
        table
    }

    fn improve(&self, tilt: &Tilt, eta: f64) -> Result<scaletot_osipo::evidence::Improved> {
        improve(&self.chains, &self.table(), tilt, eta, |user, _, of, out| {
            out.iter_mut().zip(of).for_each(|(out, &chain)| *out = self.rows[user].2[chain]);
            Ok(())
        })
    }

    fn config() -> TiltConfig {
        TiltConfig::default().with_ridge(0.5).with_segment_ridge(2.0)
    }

    fn zero(&self) -> Tilt {
        Tilt::zero(&self.chains, &Self::config()).unwrap()
    }

    /// After some rounds.
    fn tilted(&self, rounds: usize, eta: f64) -> Tilt {
        (0..rounds).fold(self.zero(), |tilt, _| self.improve(&tilt, eta).unwrap().tilt)
    }
}

fn users() -> impl Strategy<Value = Users> {
    (prop::collection::vec(2_usize..4, 1..4), 1_usize..12).prop_flat_map(|(sizes, n)| {
        let chains = ChainSet::all(sizes).unwrap();
        let p = prop_oneof![8 => -4.0_f32..0.0, 1 => Just(f32::NEG_INFINITY)];
        let r = prop_oneof![8 => -3.0..3.0_f64, 1 => Just(f64::NEG_INFINITY)];
        let row =
            (0_usize..4, prop::collection::vec(p, chains.len()), prop::collection::vec(r, chains.len()));
        prop::collection::vec(row, n).prop_map(move |mut rows| {
            for (_, p, r) in &mut rows {
                (p[0], r[0]) = (p[0].max(-2.0), r[0].max(-1.0));
            }
            Users { chains: chains.clone(), rows }
        })
    })
}

fn near(a: &Tilt, b: &Tilt) -> bool {
    a.common().iter().zip(b.common()).all(|(a, b)| (a - b).abs() < 1e-6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// After every round the evidence is at least the reference's, and, the rewards being the same, at least what it was, less the ridge.
    #[test]
    fn no_round_lowers_the_evidence_below_the_reference(users in users(), eta in 0.2..3.0_f64) {
        let mut tilt = users.zero();
        let mut last = f64::NEG_INFINITY;
        for round in 0..6 {
            let improved = users.improve(&tilt, eta).unwrap();
            prop_assert!(improved.evidence >= improved.reference_evidence, "{} {:?}", round, improved);
            let square = |numbers: &[f64]| numbers.iter().map(|x| x * x).sum::<f64>();
            let own: f64 = (0..4).filter_map(|g| improved.tilt.of_segment(g)).map(square).sum();
            let penalty = 0.25 * square(improved.tilt.common()) + own;
            let penalised = improved.evidence - penalty / users.rows.len() as f64;
            prop_assert!(penalised >= last - 1e-9, "{} {}", penalised, last);
            (last, tilt) = (penalised, improved.tilt);
        }
    }

    /// Rewards that do not tell chains apart leave the tilt at 0, exactly.
    #[test]
    fn equal_rewards_leave_the_tilt_at_zero(users in users(), eta in 0.2..3.0_f64, reward in -3.0..3.0_f64) {
        let mut users = users;
        users.rows.iter_mut().for_each(|row| row.2.fill(reward));
        let improved = users.improve(&users.zero(), eta).unwrap();
        prop_assert!(improved.tilt.is_zero(), "{:?}", improved.tilt);
        users.rows.iter_mut().for_each(|row| row.2.fill(0.0));
        let improved = users.improve(&users.zero(), eta).unwrap();
        prop_assert!(improved.tilt.is_zero());
        prop_assert_eq!((improved.evidence, improved.reference_evidence), (0.0, 0.0));
    }

    /// Whoever comes first, what segments are called, in what order chains are listed, and chains that cannot be: none of it changes the tilt.
    #[test]
    fn order_names_and_padding_do_not_change_the_tilt(
        (users, order, listed) in users().prop_flat_map(|users| {
            let order = Just((0..users.rows.len()).collect::<Vec<_>>()).prop_shuffle();
            let listed = Just((0..users.chains.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(users), order, listed)
        }),
    ) {
        let expected = users.tilted(3, 1.0);
        let moved = Users {
            chains: ChainSet::new(
                users.chains.sizes().to_vec(),
                listed.iter().map(|&chain| users.chains.chain(chain).to_vec()).collect(),
            ).unwrap(),
            rows: order.iter().map(|&user| {
                let (segment, p, r) = &users.rows[user];
                let by = |chain: &usize| (p[*chain], r[*chain]);
                let (p, r) = listed.iter().map(by).unzip();
                (1_000 - 7 * segment, p, r)
            }).collect(),
        };
        let found = moved.tilted(3, 1.0);
        prop_assert!(near(&found, &expected), "{:?} {:?}", found, expected);
        for (old, new) in (0..4).map(|g| (g, 1_000 - 7 * g)) {
            let pair = (expected.of_segment(old), found.of_segment(new));
            prop_assert_eq!(pair.0.is_some(), pair.1.is_some());
            if let (Some(a), Some(b)) = pair {
                prop_assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6));
            }
        }
        // Rows that leave out what cannot be say the same as rows that have it with probability 0.
        let mut sparse = PolicyTable::default();
        for (segment, p, _) in &users.rows {
            let kept: Vec<usize> = (0..p.len()).filter(|&chain| p[chain] > f32::NEG_INFINITY).collect();
            let p: Vec<f32> = kept.iter().map(|&chain| p[chain]).collect();
            let label = Label { outcome: 1.0, segment: *segment };
            sparse.push(label, ChainRow { chains: Some(&kept), log_probs: &p });
        }
        let mut tilt = users.zero();
        for _ in 0..3 {
            tilt = improve(&users.chains, &sparse, &tilt, 1.0, |user, _, of, out| {
                out.iter_mut().zip(of).for_each(|(out, &chain)| *out = users.rows[user].2[chain]);
                Ok(())
            }).unwrap().tilt;
        }
        prop_assert!(near(&tilt, &expected));
    }

    /// Renaming the values of a state renames the tilt's numbers, and changes no policy.
    #[test]
    fn renaming_values_renames_the_tilt(users in users()) {
        let last = |size: usize, value: usize| size - 1 - value;
        let sizes = users.chains.sizes().to_vec();
        let renamed: Vec<Vec<usize>> = users.chains.iter()
            .map(|chain| chain.iter().zip(&sizes).map(|(&v, &size)| last(size, v)).collect())
            .collect();
        let other = Users { chains: ChainSet::new(sizes, renamed).unwrap(), rows: users.rows.clone() };
        let (a, b) = (users.tilted(3, 1.0), other.tilted(3, 1.0));
        for segment in 0..4 {
            let (a, b) = (a.logits(&users.chains, segment).unwrap(), b.logits(&other.chains, segment).unwrap());
            prop_assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6), "{:?} {:?}", a, b);
        }
    }

    #[test]
    fn a_stored_tilt_is_the_same_and_a_spoilt_one_is_refused(users in users()) {
        let tilt = users.tilted(2, 1.0);
        let json = serde_json::to_value(&tilt).unwrap();
        prop_assert_eq!(&serde_json::from_value::<Tilt>(json.clone()).unwrap(), &tilt);
        for (place, value) in [
            ("/common", serde_json::json!([])),
            ("/sizes/0", 1_000_000_000_u64.into()),
            ("/sizes", serde_json::json!([u64::MAX, u64::MAX])),
            ("/segments", serde_json::json!({"3": [1.0]})),
            ("/config/ridge", 0.0.into()),
        ] {
            let mut json = json.clone();
            *json.pointer_mut(place).unwrap() = value;
            prop_assert!(serde_json::from_value::<Tilt>(json).is_err(), "{}", place);
        }
    }
}

/// Many rounds end where the gradient of the evidence, less the ridge, is 0: no direction gains.
#[test]
fn rounds_converge_to_a_maximum() {
    let chains = ChainSet::all(vec![2, 3]).unwrap();
    let noise = |at: usize| ((at * 7_919 + 13) % 101) as f64 / 50.0 - 1.0;
    let rows = (0..40)
        .map(|user| {
            let p = (0..6).map(|c| noise(user * 6 + c) as f32).collect();
            let r = (0..6).map(|c| noise(user * 5 + c * 3) + if c == 4 { 1.0 } else { 0.0 }).collect();
            (user % 2, p, r)
        })
        .collect();
    let users = Users { chains, rows };
    let tilt = users.tilted(200, 1.0);
    let before = users.improve(&tilt, 1.0).unwrap();
    assert!(before.evidence > before.reference_evidence + 0.01);
    assert!(near(&before.tilt, &tilt));
    let pull = tilt.apply(&users.chains, 0, &[0.0; 6]).unwrap();
    assert!(pull[4] > pull[0]);
}

#[test]
fn rows_and_rewards_that_do_not_fit_are_refused() {
    let chains = ChainSet::all(vec![2]).unwrap();
    let tilt = Tilt::zero(&chains, &TiltConfig::default()).unwrap();
    let label = Label { outcome: 0.0, segment: 0 };
    let with = |of: Option<&[usize]>, log_probs: &[f32], reward: f64| {
        let mut table = PolicyTable::default();
        table.push(label, ChainRow { chains: None, log_probs: &[0.0; 2] });
        table.push(label, ChainRow { chains: of, log_probs });
        improve(&chains, &table, &tilt, 1.0, |_, _, _, out| {
            out.fill(reward);
            Ok(())
        })
    };
    assert!(with(Some(&[1]), &[0.0], 0.0).is_ok());
    assert!(matches!(with(None, &[0.0], 0.0), Err(Error::Shape { .. })));
    assert!(matches!(with(Some(&[]), &[], 0.0), Err(Error::Shape { .. })));
    assert!(matches!(
        with(Some(&[2]), &[0.0], 0.0),
        Err(Error::OutOfRange { row: 1, index: 2, bound: 2, .. })
    ));
    assert!(matches!(with(Some(&[1, 1]), &[0.0; 2], 0.0), Err(Error::RepeatedChain { chain: 1 })));
    assert!(matches!(with(None, &[f32::NAN, 0.0], 0.0), Err(Error::InvalidValue { row: 1, .. })));
    assert!(matches!(with(None, &[f32::NEG_INFINITY; 2], 0.0), Err(Error::NoChain { user: 1 })));
    assert!(matches!(with(None, &[0.0; 2], f64::NEG_INFINITY), Err(Error::NoChain { user: 0 })));
    assert!(matches!(with(None, &[0.0; 2], f64::NAN), Err(Error::InvalidValue { .. })));
    let other = Tilt::zero(&ChainSet::all(vec![3]).unwrap(), &TiltConfig::default()).unwrap();
    let refused = improve(&chains, &PolicyTable::default(), &other, 1.0, |_, _, _, _| Ok(()));
    assert!(matches!(refused, Err(Error::Shape { .. })));
    let refused = improve(&chains, &PolicyTable::default(), &tilt, 1.0, |_, _, _, _| Ok(()));
    assert!(matches!(refused, Err(Error::NoLabelled { .. })));
}
