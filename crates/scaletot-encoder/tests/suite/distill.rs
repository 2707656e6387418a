//! Training end to end on a small planted world.
#![cfg(feature = "train")]

use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{World, spearman, world};
use burn::tensor::Device;
use scaletot_chain::{ChainSchema, Signals, StateDef};
use scaletot_core::Progress;
use scaletot_encoder::train::TrainedEncoder;
use scaletot_encoder::{
    DistillConfig, DistillData, DistillLog, Distiller, EncoderConfig, EpochLog, Error, OutcomeHead,
    OutcomeLink, Precision, Stop,
};
use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, TableBuilder};

pub(crate) fn small() -> (EncoderConfig, DistillConfig) {
    let mut sizes = EncoderConfig::default();
    sizes.hidden = vec![24, 16];
    sizes.embed_dim = 6;
    sizes.rep_dim = 8;
    sizes.bins = 6;
    let mut config = DistillConfig::default();
    config.epochs = 25;
    config.learning_rate = 1e-2;
    config.patience = 25;
    (sizes, config)
}

#[test]
fn more_values_than_can_be_trained_are_refused_at_once() {
    let names = (0..200_000).map(|value| format!("v{value}"));
    let schema =
        ProfileSchema::builder("wide").with_field(FieldSpec::categorical("code", names)).build().unwrap();
    let mut table = TableBuilder::new(schema);
    (0..20i64).for_each(|id| table.push_text(id, &[&format!("v{id}")]).unwrap());
    let outcomes = (0..20).map(|row| Some(f64::from(row % 3))).collect();
    let dataset = Dataset::builder(table.finish()).with_outcomes(outcomes).build().unwrap();
    let chain =
        ChainSchema::builder("c").with_state(StateDef::ordinal("s", ["low", "high"])).build().unwrap();
    let (sizes, config) = small();
    let error = Distiller::new(sizes, config)
        .unwrap()
        .fit(&DistillData::new(&dataset, &chain), 1, &Device::default(), &())
        .unwrap_err()
        .to_string();
    assert!(error.contains("at most 131072 values") && error.contains("200001"), "{error}");
}

/// Trains on the outcomes, and on the signals if there are some, of these rows.
pub(crate) fn train(
    world: &World,
    (sizes, config): (EncoderConfig, DistillConfig),
    rows: &[usize],
    signals: Option<&Signals>,
) -> Result<(TrainedEncoder, DistillLog), Error> {
    train_seeded(world, (sizes, config), rows, signals, 0)
}

fn train_seeded(
    world: &World,
    (sizes, config): (EncoderConfig, DistillConfig),
    rows: &[usize],
    signals: Option<&Signals>,
    seed: u64,
) -> Result<(TrainedEncoder, DistillLog), Error> {
    let dataset = world.dataset();
    let data = DistillData::new(&dataset, &world.chain).with_rows(rows)?;
    let data = signals.map_or(Ok(data), |signals| data.with_signals(signals))?;
    Distiller::new(sizes, config)?.fit(&data, seed, &Device::default(), &())
}

/// Whether tests run on a GPU backend. In CI that is a software driver, on which a step takes a second: fewer steps are
/// taken there and less is expected of them.
pub(crate) fn on_gpu() -> bool {
    std::env::var("BURN_DEVICE")
        .is_ok_and(|device| ["wgpu", "vulkan", "cuda"].iter().any(|d| device.contains(d)))
}

#[test]
fn learns_what_was_planted_and_says_so_in_the_report() {
    let (users, epochs, batch_size) = if on_gpu() { (240, 12, 120) } else { (700, 25, 64) };
    let world = world(users, 1);
    let (rows, held_out): (Vec<usize>, Vec<usize>) = (0..users).partition(|row| row % 4 != 1);
    let (sizes, mut config) = small();
    (config.epochs, config.batch_size) = (epochs, batch_size);
    let (encoder, log) = train(&world, (sizes, config), &rows, Some(&world.signals)).unwrap();
    assert_eq!((log.labelled_rows, log.reasoned_rows), (rows.len(), rows.len()));
    let held_out_signals = world.signals.select(&held_out).unwrap();
    let report = encoder.frozen().transfer_report(&world.dataset(), &held_out_signals).unwrap();
    assert_eq!(report.states, ["need", "spend"]);
    if on_gpu() {
        assert!(report.mean_agreement() > 0.65 && report.cosine > 0.5 && report.cka > 0.4, "{report:?}");
        return;
    }
    assert!(report.agreement.iter().all(|&a| a > 0.85), "{report:?}");
    assert!(report.mean_kl() < 0.03, "{report:?}");
    assert!(report.cosine > 0.85, "{report:?}");
    assert!(report.cka > 0.7, "{report:?}");
    // Small integers rank users as floats do.
    let rows: Vec<usize> = (0..users).collect();
    let values = |precision| -> Vec<f64> {
        let encoder = encoder.frozen().clone().with_precision(precision).unwrap();
        encoder.score_rows(&world.table, &rows).unwrap().values().flatten().collect()
    };
    let floats = values(Precision::Full);
    for precision in [Precision::Bf16, Precision::Int8] {
        let found = spearman(&floats, &values(precision));
        assert!(found > 0.999, "{precision:?}: {found}");
    }
    // Outcomes rank as they can: not far under the ranking by the planted expectation itself.
    let scores = encoder.frozen().score_rows(&world.table, &held_out).unwrap();
    let (mut value, mut outcome, mut planted) = (vec![], vec![], vec![]);
    for (i, &row) in held_out.iter().enumerate() {
        value.push(scores.value_of(i).unwrap());
        outcome.push(world.outcomes[row].unwrap() + 1e-6 * (row % 7) as f64);
        planted.push(world.planted(row));
    }
    let (found, possible) = (spearman(&value, &outcome), spearman(&planted, &outcome));
    assert!(found > possible - 0.1, "{found}, by the planted posterior {possible}");
}

#[test]
fn the_same_seed_gives_the_same_network_twice() {
    let world = world(120, 2);
    let rows: Vec<usize> = (0..120).collect();
    let run = |seed| {
        let (sizes, mut config) = small();
        config.epochs = 3;
        train_seeded(&world, (sizes, config), &rows, Some(&world.signals), seed).unwrap()
    };
    let ((first, first_log), (second, second_log), (other, _)) = (run(7), run(7), run(8));
    assert_eq!(first.frozen(), second.frozen());
    assert_eq!(first_log, second_log);
    assert_ne!(first.frozen().score(&world.table).unwrap(), other.frozen().score(&world.table).unwrap());
}

#[test]
fn frozen_and_burn_network_agree() {
    let world = world(90, 3);
    let rows: Vec<usize> = (0..90).collect();
    for (cross_layers, head) in [(0, OutcomeHead::Ziln), (2, OutcomeHead::Tiers { tiers: 4 })] {
        let (mut sizes, mut config) = small();
        (sizes.cross_layers, sizes.outcome_head) = (cross_layers, head);
        config.epochs = 3;
        let (encoder, _) = train(&world, (sizes, config), &rows, Some(&world.signals)).unwrap();
        let features = encoder.frozen().featuriser().transform(&world.table, &rows).unwrap();
        let (burn, frozen) =
            (encoder.forward(&features).unwrap(), encoder.frozen().forward(&features).unwrap());
        let heads = [
            (&burn.outcome, &frozen.outcome),
            (&burn.states, &frozen.states),
            (&burn.representation, &frozen.representation),
        ];
        for (burn, frozen) in heads {
            assert_eq!(burn.dim(), frozen.dim());
            assert!(burn.ncols() > 1);
            let off =
                burn.iter().zip(frozen).map(|(a, b)| (a - b).abs() / a.abs().max(1.0)).fold(0.0, f32::max);
            assert!(off < 1e-5, "{off}");
        }
    }
}

#[test]
fn without_targets_it_is_a_network_on_the_profile_alone() {
    let world = world(200, 4);
    let rows: Vec<usize> = (0..200).collect();
    let (sizes, mut config) = small();
    config.epochs = 3;
    let (encoder, log) = train(&world, (sizes, config), &rows, None).unwrap();
    assert_eq!(log.reasoned_rows, 0);
    assert!(log.best().unwrap().train.states.is_none());
    let scores = encoder.frozen().score(&world.table).unwrap();
    assert!(scores.posteriors.is_empty());
    assert_eq!(scores.representation.dim(), (200, 0));
    assert!(scores.abstained[0] && scores.value_of(0).is_none(), "the first user has no populated field");
    assert!(scores.value[1..].iter().all(|v| v.is_finite() && *v >= 0.0));
    assert!(encoder.frozen().transfer_report(&world.dataset(), &world.signals).is_err());
}

#[test]
fn without_outcomes_it_gives_signals_and_no_value() {
    let mut world = world(100, 5);
    world.outcomes.fill(None);
    let rows: Vec<usize> = (0..100).collect();
    let (sizes, mut config) = small();
    config.epochs = 2;
    let (encoder, log) = train(&world, (sizes, config), &rows, Some(&world.signals)).unwrap();
    assert_eq!(log.labelled_rows, 0);
    let scores = encoder.frozen().score(&world.table).unwrap();
    assert!(scores.value.is_empty() && scores.values().all(|value| value.is_none()));
    assert_eq!(
        scores.abstentions(),
        world.table.ids().iter().zip(0..).filter(|(_, r)| world.table.populated(*r) == 0).count()
    );
    assert_eq!(scores.posteriors[1].dim(), (100, 3));
}

#[test]
fn every_outcome_head_ranks_by_what_was_planted() {
    let users = if on_gpu() { 160 } else { 700 };
    let world = world(users, 12);
    let (rows, held_out): (Vec<usize>, Vec<usize>) = (0..users).partition(|row| row % 4 != 1);
    for head in [OutcomeHead::Ziln, OutcomeHead::Tweedie { power: 1.5 }, OutcomeHead::Tiers { tiers: 4 }] {
        let (mut sizes, mut config) = small();
        sizes.outcome_head = head;
        if on_gpu() {
            (config.epochs, config.batch_size) = (2, 120);
        }
        let (encoder, _) = train(&world, (sizes, config), &rows, None).unwrap();
        let encoder = encoder.frozen();
        assert_eq!(encoder.config().outcome_head, head);
        let scores = encoder.score_rows(&world.table, &held_out).unwrap();
        let has = |column: &[f32]| !column.is_empty();
        assert_eq!(has(&scores.p_positive), !matches!(head, OutcomeHead::Tweedie { .. }));
        assert_eq!(has(&scores.sigma), head == OutcomeHead::Ziln);
        assert_eq!(scores.distribution_of(0).is_some(), head == OutcomeHead::Ziln);
        let pairs = held_out.iter().zip(scores.values());
        let (value, planted): (Vec<f64>, Vec<f64>) =
            pairs.filter_map(|(row, value)| Some((value?, world.planted(*row)))).unzip();
        if !on_gpu() {
            let found = spearman(&value, &planted);
            assert!(found > 0.8, "{head:?}: {found}");
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            let outcome: Vec<f64> = held_out.iter().filter_map(|&row| world.outcomes[row]).collect();
            assert!(
                (mean(&value) / mean(&outcome) - 1.0).abs() < 0.3,
                "{head:?}: {}",
                mean(&value) / mean(&outcome)
            );
        }
    }
}

#[test]
fn tiers_that_outcomes_do_not_fill_are_left_out() {
    let mut world = world(80, 13);
    for outcome in &mut world.outcomes {
        *outcome = outcome.map(|amount| if amount > 8.0 { 30.0 } else { amount.min(1.0).round() });
    }
    let (mut sizes, mut config) = small();
    sizes.outcome_head = OutcomeHead::Tiers { tiers: 10 };
    config.epochs = 2;
    let rows: Vec<usize> = (0..80).collect();
    let (encoder, _) = train(&world, (sizes, config), &rows, None).unwrap();
    assert_eq!(encoder.frozen().config().outcome_head, OutcomeHead::Tiers { tiers: 2 });
    assert_eq!(encoder.frozen().outcome_link(), Some(&OutcomeLink::Tiers { means: vec![1.0, 30.0] }));
}

#[test]
fn what_is_known_of_other_users_is_not_read() {
    let mut world = world(120, 6);
    let rows: Vec<usize> = (0..60).rev().collect();
    let (sizes, mut config) = small();
    config.epochs = 2;
    let run = |world: &World, signals: &Signals| {
        train(world, (sizes.clone(), config.clone()), &rows, Some(signals)).unwrap()
    };
    let (honest, log) = run(&world, &world.signals);
    assert_eq!((log.labelled_rows, log.reasoned_rows), (60, 60));
    let few: Vec<usize> = (0..60).collect();
    let signals = world.signals.select(&few).unwrap();
    world.outcomes[60..].fill(Some(1e9));
    assert_eq!(honest.frozen(), run(&world, &signals).0.frozen());
}

#[test]
fn rows_without_any_target_change_nothing() {
    let mut world = world(160, 7);
    world.outcomes[100..].fill(None);
    let labelled: Vec<usize> = (0..100).collect();
    let all: Vec<usize> = (0..160).collect();
    let (sizes, mut config) = small();
    config.epochs = 2;
    let run = |rows: &[usize]| train(&world, (sizes.clone(), config.clone()), rows, None).unwrap();
    assert_eq!(run(&labelled).0.frozen(), run(&all).0.frozen());
}

#[test]
fn training_stops_early_and_keeps_the_best_weights() {
    let mut world = world(60, 8);
    // Outcomes that have nothing to do with the profile can only be overfitted.
    for (i, outcome) in world.outcomes.iter_mut().enumerate() {
        *outcome = Some(((i * 7919) % 13) as f64);
    }
    let (sizes, mut config) = small();
    config.epochs = 60;
    config.patience = 4;
    config.learning_rate = 3e-2;
    config.weight_decay = 0.0;
    config.validation_share = 0.3;
    let rows: Vec<usize> = (0..60).collect();
    let (_, log) = train(&world, (sizes, config), &rows, None).unwrap();
    assert_eq!(log.stop, Stop::Patience);
    assert_eq!(log.epochs.len(), log.best_epoch + 4);
    let best = log.best().unwrap();
    assert_eq!(best.epoch, log.best_epoch);
    let held_out = |epoch: &EpochLog| epoch.validation.unwrap().total;
    assert!(log.epochs.iter().all(|epoch| held_out(best) <= held_out(epoch)));
    assert_eq!(log.train_rows + log.validation_rows, 60);
}

#[test]
fn a_diverging_loss_is_an_error_and_not_a_network() {
    let world = world(60, 9);
    let (sizes, mut config) = small();
    config.learning_rate = 1e30;
    config.warmup = 0.0;
    let error = train(&world, (sizes, config), &(0..60).collect::<Vec<_>>(), None).unwrap_err();
    assert!(matches!(error, Error::NonFinite { .. }), "{error}");
    assert!(error.to_string().contains("epoch 1,"), "{error}");
}

#[derive(Default)]
struct StopAfter(AtomicU64);

impl Progress for StopAfter {
    fn advance(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
    fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= 2
    }
}

#[test]
fn progress_is_reported_and_stops() {
    let world = world(60, 10);
    let (sizes, config) = small();
    let dataset = world.dataset();
    let data = DistillData::new(&dataset, &world.chain);
    let distiller = Distiller::new(sizes, config).unwrap();
    let error = distiller.fit(&data, 0, &Device::default(), &StopAfter::default()).unwrap_err();
    assert!(matches!(error, Error::Stopped { epochs: 2 }), "{error}");
}

#[test]
fn large_tables_get_fewer_epochs() {
    let world = world(60, 10);
    let rows: Vec<usize> = (0..60).collect();
    let (sizes, mut config) = small();
    (config.epochs, config.max_row_visits) = (20, 60 * 9);
    let (_, log) = train(&world, (sizes, config), &rows, None).unwrap();
    assert_eq!((log.epochs.len(), log.stop), (9, Stop::Epochs));
}

#[test]
fn bad_arguments_are_named() {
    let world = world(40, 11);
    let dataset = world.dataset();
    let data = || DistillData::new(&dataset, &world.chain);
    let says = |result: Result<DistillData<'_>, Error>| result.unwrap_err().to_string();
    assert!(says(data().with_rows(&[40])).contains("training row: expected less than 40, found 40"));
    let beyond =
        Signals::new(vec![40], vec![2, 3], vec![1.0, 0.0, 1.0, 0.0, 0.0], [2, 1], vec![0.0; 2]).unwrap();
    assert!(says(data().with_signals(&beyond)).contains("row of the signals: expected less than 40"));
    let one = Signals::new(vec![0], vec![2, 3], vec![1.0, 0.0, 1.0, 0.0, 0.0], [1, 2], vec![0.0; 2]).unwrap();
    assert!(says(data().with_signals(&one)).contains("expected [2, d > 0], found [1, 2]"));
    let other = ChainSchema::builder("other")
        .with_state(StateDef::ordinal("spend", ["low", "high"]))
        .build()
        .unwrap();
    assert!(matches!(DistillData::new(&dataset, &other).with_signals(&world.signals), Err(Error::Chain(_))));
    let (sizes, config) = small();
    let unknown = scaletot_profile::Dataset::from(world.table.clone());
    let distiller = Distiller::new(sizes.clone(), config.clone()).unwrap();
    let nothing = distiller.fit(&DistillData::new(&unknown, &world.chain), 0, &Device::default(), &());
    assert!(nothing.unwrap_err().to_string().contains("nothing to learn"));
    let mut bad = config;
    bad.epochs = 0;
    assert!(Distiller::new(sizes, bad).unwrap_err().to_string().contains("`epochs`"));
}

fn shared<T: Send + Sync>() {}

#[test]
fn encoders_can_be_shared_between_threads() {
    shared::<scaletot_encoder::FrozenEncoder>();
    shared::<scaletot_encoder::Scores>();
    shared::<DistillLog>();
    shared::<Error>();
}
