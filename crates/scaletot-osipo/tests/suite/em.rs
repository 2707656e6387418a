//! The E/M rounds of outcome model and tilt, in synthetic worlds whose truth is known.

use proptest::prelude::*;
use scaletot_osipo::Error;
use scaletot_osipo::evidence::{
    ChainRow, ChainSet, EvidenceConfig, EvidenceEm, EvidenceFit, Label, LabelledUsers, PolicyTable, Tilt,
    TiltConfig, Visit, choose, log_evidence,
};
use scaletot_osipo::reward::{OutcomeKind, OutcomeModelConfig};

/// A generator of numbers in `[0, 1)`.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn choose(&mut self, weights: &[f64]) -> usize {
        let mut left = self.roll() * weights.iter().sum::<f64>();
        weights
            .iter()
            .position(|weight| {
                left -= weight;
                left < 0.0
            })
            .unwrap_or(weights.len() - 1)
    }
}

/// Users, their true chains, and how the reference errs.
struct World {
    chains: ChainSet,
    table: PolicyTable,
    truth: Vec<(Vec<f32>, usize)>,
}

/// `n` users of three states. The policy is the true posterior, tilted by `error` towards chains with many zeros; the outcome depends on
/// all states.
fn world(n: usize, error: f64, seed: u64) -> World {
    let chains = ChainSet::all(vec![3, 2, 3]).unwrap();
    let mut dice = Dice(seed.wrapping_mul(977) + 5);
    let (mut table, mut truth) = (PolicyTable::default(), vec![]);
    for user in 0..n {
        let posterior: Vec<f64> =
            (0..chains.len()).map(|_| (2.5 * (dice.roll() - 0.5) * 2.0).exp()).collect();
        let chain = dice.choose(&posterior);
        let score: usize = chains.chain(chain).iter().sum();
        let outcome = if dice.roll() < 0.08 + 0.17 * score as f64 {
            (0.5 * score as f64 + 2.0 * dice.roll()).exp()
        } else {
            0.0
        };
        let row: Vec<f32> = posterior
            .iter()
            .zip(chains.iter())
            .map(|(p, chain)| {
                let zeros = chain.iter().filter(|value| **value == 0).count();
                (p.ln() + error * zeros as f64) as f32
            })
            .collect();
        table.push(Label { outcome, segment: user % 2 }, ChainRow { chains: None, log_probs: &row });
        truth.push((row, chain));
    }
    World { chains, table, truth }
}

impl World {
    /// Mean log-probability of the true chains by the tilted policy.
    fn of_truth(&self, tilt: &Tilt) -> f64 {
        let sum: f64 = self
            .truth
            .iter()
            .enumerate()
            .map(|(user, (row, chain))| {
                let row: Vec<f64> = row.iter().map(|&p| f64::from(p)).collect();
                tilt.apply(&self.chains, user % 2, &row).unwrap()[*chain]
            })
            .sum();
        sum / self.truth.len() as f64
    }
}

fn config(kind: OutcomeKind) -> EvidenceConfig {
    EvidenceConfig::default().with_outcome(OutcomeModelConfig::default().with_kind(kind).with_ridge(5.0))
}

const TIERS: OutcomeKind = OutcomeKind::Tiers { count: 4 };

fn run(train: &World, held_out: &World, config: EvidenceConfig) -> EvidenceFit {
    EvidenceEm::new(config).unwrap().fit(&train.chains, &train.table, &held_out.table).unwrap()
}

#[test]
fn where_the_reference_errs_the_tilt_corrects_it() {
    let (train, held_out, test) = (world(1_200, 1.0, 1), world(600, 1.0, 2), world(600, 1.0, 3));
    for kind in [TIERS, OutcomeKind::ZeroInflatedLogNormal] {
        let fit = run(&train, &held_out, config(kind));
        assert_eq!(fit.choice.chosen, 1, "{}", fit.choice);
        let zero = Tilt::zero(&train.chains, &TiltConfig::default()).unwrap();
        let (before, after) = (test.of_truth(&zero), test.of_truth(&fit.tilt));
        assert!(after > before + 0.05, "{before} {after} {}", fit.choice);
        // What was compared can be computed again, and compared with something else.
        let again = log_evidence(&held_out.chains, &held_out.table, &fit.outcome, &fit.tilt).unwrap();
        assert_eq!(again, fit.held_out);
        let same = choose(&[("tilt", &again), ("network", &again)]).unwrap();
        assert_eq!(same.chosen, 0);
    }
}

#[test]
fn where_the_reference_is_right_nothing_is_lost() {
    for seed in 1..4 {
        let (train, held_out, test) =
            (world(600, 0.0, seed), world(300, 0.0, 10 + seed), world(1_000, 0.0, 20 + seed));
        let fit = run(&train, &held_out, config(TIERS));
        let zero = Tilt::zero(&train.chains, &TiltConfig::default()).unwrap();
        let (before, after) = (test.of_truth(&zero), test.of_truth(&fit.tilt));
        assert!(after > before - 0.02, "{before} {after} {}", fit.choice);
    }
}

#[test]
fn no_round_leaves_the_training_users_below_the_reference() {
    for (seed, error) in [(1, 0.0), (2, 1.0), (3, -1.5), (4, 0.3)] {
        for kind in [TIERS, OutcomeKind::ZeroInflatedLogNormal] {
            for eta in [0.3, 1.0, 2.0] {
                let (train, held_out) = (world(150, error, seed), world(60, error, 30 + seed));
                let config = config(kind)
                    .with_eta(eta)
                    .with_rounds(8)
                    .with_patience(8)
                    .with_tilt(TiltConfig::default().with_ridge(1.0).with_segment_ridge(5.0));
                let fit = run(&train, &held_out, config);
                assert_eq!(fit.rounds.len(), 8);
                for round in &fit.rounds {
                    assert!(round.evidence >= round.reference_evidence, "{seed} {eta}: {round:?}");
                    assert!(round.held_out.is_finite());
                }
            }
        }
    }
}

#[test]
fn a_policy_that_tells_nobody_apart_learns_nothing() {
    let mut train = world(400, 0.0, 7);
    let labels: Vec<Label> = train.table.labels().to_vec();
    train.table = PolicyTable::default();
    for label in labels {
        train.table.push(label, ChainRow { chains: None, log_probs: &[0.0; 18] });
    }
    let fit = run(&train, &train, config(TIERS));
    assert!(fit.tilt.is_zero(), "{}", fit.choice);
    assert!(fit.choice.to_string().contains("chosen: reference"), "{}", fit.choice);
}

/// Rows that are made as they are asked for, in blocks.
struct Blocks<'a> {
    labels: &'a [Label],
    make: &'a dyn Fn(usize) -> Vec<f32>,
    wrong: Option<usize>,
}

#[derive(Debug)]
struct OfBlocks(String);

impl From<Error> for OfBlocks {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl LabelledUsers for Blocks<'_> {
    type Error = OfBlocks;

    fn labels(&self) -> &[Label] {
        self.labels
    }

    fn for_each(&self, visit: &mut Visit<'_>) -> Result<(), OfBlocks> {
        for (user, _) in self.labels.iter().enumerate() {
            if self.wrong == Some(user) {
                return Err(OfBlocks("the device is gone".to_owned()));
            }
            let log_probs = (self.make)(user);
            visit(user, ChainRow { chains: None, log_probs: &log_probs })?;
        }
        Ok(())
    }
}

#[test]
fn rows_that_are_made_on_the_way_give_the_same_as_rows_in_memory() {
    let (train, held_out) = (world(200, 1.0, 5), world(100, 1.0, 6));
    let expected = run(&train, &held_out, config(TIERS).with_rounds(3));
    let make = |world: &World, user: usize| world.truth[user].0.clone();
    let (first, second) = (|user| make(&train, user), |user| make(&held_out, user));
    let blocks = |labels, make, wrong| Blocks { labels, make, wrong };
    let em = EvidenceEm::new(config(TIERS).with_rounds(3)).unwrap();
    let held = blocks(held_out.table.labels(), &second, None);
    let found = em.fit(&train.chains, &blocks(train.table.labels(), &first, None), &held).unwrap();
    assert_eq!(
        (found.tilt, found.rounds, found.held_out),
        (expected.tilt, expected.rounds, expected.held_out)
    );
    let error = em.fit(&train.chains, &blocks(train.table.labels(), &first, Some(30)), &held).unwrap_err();
    assert_eq!(error.0, "the device is gone");
    // One label more than there are rows.
    struct Short<'a>(&'a PolicyTable, Vec<Label>);
    impl LabelledUsers for Short<'_> {
        type Error = Error;
        fn labels(&self) -> &[Label] {
            &self.1
        }
        fn for_each(&self, visit: &mut Visit<'_>) -> Result<(), Error> {
            self.0.for_each(visit)
        }
    }
    let mut labels = train.table.labels().to_vec();
    labels.push(labels[0]);
    let short = Short(&train.table, labels);
    let error = em.fit(&train.chains, &short, &held_out.table).unwrap_err();
    assert!(matches!(error, Error::Shape { what: "users of a pass", .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Relabelled segments give the same, and so does another order of the users.
    #[test]
    fn order_and_segment_names_do_not_matter(
        order in Just((0..120_usize).collect::<Vec<_>>()).prop_shuffle(), shift in 2_usize..1_000, seed in 0_u64..50,
    ) {
        let (train, held_out) = (world(120, 1.0, seed), world(60, 1.0, seed + 99));
        let rename = |world: &World, order: &[usize]| {
            let mut table = PolicyTable::default();
            for &user in order {
                let Label { outcome, segment } = world.table.labels()[user];
                let label = Label { outcome, segment: shift * (segment + 1) };
                table.push(label, ChainRow { chains: None, log_probs: &world.truth[user].0 });
            }
            table
        };
        let config = config(TIERS).with_rounds(3).with_tilt(TiltConfig::default().with_ridge(2.0));
        let em = EvidenceEm::new(config).unwrap();
        let expected = em.fit(&train.chains, &train.table, &held_out.table).unwrap();
        let same: Vec<usize> = (0..60).collect();
        let found = em.fit(&train.chains, &rename(&train, &order), &rename(&held_out, &same)).unwrap();
        for (a, b) in found.rounds.iter().zip(&expected.rounds) {
            prop_assert!((a.evidence - b.evidence).abs() < 1e-6 && (a.held_out - b.held_out).abs() < 1e-6);
        }
        prop_assert_eq!(found.choice.chosen, expected.choice.chosen);
    }
}

#[test]
fn settings_and_users_that_cannot_be_used_are_named() {
    let some = world(20, 0.0, 1);
    let em = EvidenceEm::new(config(TIERS)).unwrap();
    let none = PolicyTable::default();
    assert!(matches!(em.fit(&some.chains, &none, &some.table), Err(Error::NoLabelled { .. })));
    assert!(matches!(em.fit(&some.chains, &some.table, &none), Err(Error::NoLabelled { .. })));
    for (bad, field) in [
        (config(TIERS).with_eta(0.0), "eta"),
        (config(TIERS).with_rounds(0), "rounds"),
        (config(TIERS).with_patience(0), "patience"),
        (config(TIERS).with_tilt(TiltConfig::default().with_ridge(0.0)), "ridge"),
        (config(TIERS).with_tilt(TiltConfig::default().with_segment_ridge(f64::NAN)), "segment_ridge"),
    ] {
        assert!(matches!(EvidenceEm::new(bad), Err(Error::Config(error)) if error.field == field), "{field}");
    }
    let wide = ChainSet::all(vec![40, 40, 40]).unwrap();
    let error = Tilt::zero(&wide, &TiltConfig::default()).unwrap_err();
    assert!(error.to_string().contains("leave out the pairs"), "{error}");
    assert!(Tilt::zero(&wide, &TiltConfig::default().with_pairs(false)).is_ok());
    let json = serde_json::to_value(EvidenceConfig::default()).unwrap();
    assert!(serde_json::from_value::<EvidenceConfig>(json).is_ok());
    let error = serde_json::from_str::<EvidenceConfig>(r#"{"epoch": 3}"#).unwrap_err().to_string();
    assert!(error.contains("`epoch`"), "{error}");
}
