//! Training end to end on a small planted world.
#![cfg(feature = "train")]

use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{World, spearman, world};
use burn::tensor::Device;
use scaletot_core::Progress;
use scaletot_encoder::train::TrainedEncoder;
use scaletot_encoder::{
    DistillConfig, EncoderConfig, Error, OutcomeHead, OutcomeLink, Precision, Stop, Targets, TrainLog,
    distill,
};

pub(crate) fn small() -> (EncoderConfig, DistillConfig) {
    let mut config = EncoderConfig::default();
    config.hidden = vec![24, 16];
    config.embed_dim = 6;
    config.rep_dim = 8;
    config.bins = 6;
    let mut course = DistillConfig::default();
    course.epochs = 25;
    course.learning_rate = 1e-2;
    course.patience = 25;
    (config, course)
}

pub(crate) fn train(
    world: &World,
    (config, course): (EncoderConfig, DistillConfig),
    rows: &[usize],
    targets: Option<&Targets>,
) -> Result<(TrainedEncoder, TrainLog), Error> {
    let reasoned = if targets.is_some() { rows } else { &[] };
    distill(
        &config,
        &course,
        &world.table,
        &world.chain,
        reasoned,
        targets,
        &world.outcomes,
        rows,
        &Device::default(),
        &(),
    )
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
    let targets = world.targets.select(&rows).unwrap();
    let (config, mut course) = small();
    (course.epochs, course.batch_size) = (epochs, batch_size);
    let (encoder, log) = train(&world, (config, course), &rows, Some(&targets)).unwrap();
    assert_eq!((log.labelled_rows, log.reasoned_rows), (rows.len(), rows.len()));
    let held_out_targets = world.targets.select(&held_out).unwrap();
    let report = encoder.frozen().transfer_report(&world.table, &held_out, &held_out_targets).unwrap();
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
        planted.push(f64::from(world.targets.posteriors[1][[row, 2]]));
    }
    let (found, possible) = (spearman(&value, &outcome), spearman(&planted, &outcome));
    assert!(found > possible - 0.1, "{found}, by the planted posterior {possible}");
}

#[test]
fn the_same_seed_gives_the_same_network_twice() {
    let world = world(120, 2);
    let rows: Vec<usize> = (0..120).collect();
    let run = |seed| {
        let (config, mut course) = small();
        course.epochs = 3;
        course.seed = seed;
        train(&world, (config, course), &rows, Some(&world.targets)).unwrap()
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
        let (mut config, mut course) = small();
        (config.cross_layers, config.outcome_head) = (cross_layers, head);
        course.epochs = 3;
        let (encoder, _) = train(&world, (config, course), &rows, Some(&world.targets)).unwrap();
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
    let (config, mut course) = small();
    course.epochs = 3;
    let (encoder, log) = train(&world, (config, course), &rows, None).unwrap();
    assert_eq!(log.reasoned_rows, 0);
    assert!(log.best().unwrap().train.states.is_none());
    let scores = encoder.frozen().score(&world.table).unwrap();
    assert!(scores.posteriors.is_empty());
    assert_eq!(scores.representation.dim(), (200, 0));
    assert!(scores.abstained[0] && scores.value_of(0).is_none(), "the first user has no populated field");
    assert!(scores.value[1..].iter().all(|v| v.is_finite() && *v >= 0.0));
    assert!(encoder.frozen().transfer_report(&world.table, &rows, &world.targets).is_err());
}

#[test]
fn without_outcomes_it_gives_signals_and_no_value() {
    let mut world = world(100, 5);
    world.outcomes.fill(None);
    let rows: Vec<usize> = (0..100).collect();
    let (config, mut course) = small();
    course.epochs = 2;
    let (encoder, log) = train(&world, (config, course), &rows, Some(&world.targets)).unwrap();
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
        let (mut config, mut course) = small();
        config.outcome_head = head;
        if on_gpu() {
            (course.epochs, course.batch_size) = (2, 120);
        }
        let (encoder, _) = train(&world, (config, course), &rows, None).unwrap();
        let encoder = encoder.frozen();
        assert_eq!(encoder.config().outcome_head, head);
        let scores = encoder.score_rows(&world.table, &held_out).unwrap();
        let has = |column: &[f32]| !column.is_empty();
        assert_eq!(has(&scores.p_positive), !matches!(head, OutcomeHead::Tweedie { .. }));
        assert_eq!(has(&scores.sigma), head == OutcomeHead::Ziln);
        assert_eq!(scores.distribution_of(0).is_some(), head == OutcomeHead::Ziln);
        let pairs = held_out.iter().zip(scores.values());
        let (value, planted): (Vec<f64>, Vec<f64>) = pairs
            .filter_map(|(row, value)| Some((value?, f64::from(world.targets.posteriors[1][[*row, 2]]))))
            .unzip();
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
    let (mut config, mut course) = small();
    config.outcome_head = OutcomeHead::Tiers { tiers: 10 };
    course.epochs = 2;
    let rows: Vec<usize> = (0..80).collect();
    let (encoder, _) = train(&world, (config, course), &rows, None).unwrap();
    assert_eq!(encoder.frozen().config().outcome_head, OutcomeHead::Tiers { tiers: 2 });
    assert_eq!(encoder.frozen().outcome_link(), Some(&OutcomeLink::Tiers { means: vec![1.0, 30.0] }));
}

#[test]
fn outcomes_outside_of_the_training_rows_are_not_read() {
    let mut world = world(120, 6);
    let reasoned: Vec<usize> = (0..120).collect();
    let rows: Vec<usize> = (0..60).collect();
    let (config, mut course) = small();
    course.epochs = 2;
    let run = |world: &mut World, spoil: bool| {
        if spoil {
            // Not even checked: NaN would be refused in a training row.
            world.outcomes[60..].fill(Some(f64::NAN));
        }
        distill(
            &config,
            &course,
            &world.table,
            &world.chain,
            &reasoned,
            Some(&world.targets),
            &world.outcomes,
            &rows,
            &Device::default(),
            &(),
        )
        .unwrap()
    };
    let (honest, log) = run(&mut world, false);
    assert_eq!((log.labelled_rows, log.reasoned_rows), (60, 120));
    assert_eq!(honest.frozen(), run(&mut world, true).0.frozen());
}

#[test]
fn rows_without_any_target_change_nothing() {
    let mut world = world(160, 7);
    world.outcomes[100..].fill(None);
    let labelled: Vec<usize> = (0..100).collect();
    let all: Vec<usize> = (0..160).collect();
    let (config, mut course) = small();
    course.epochs = 2;
    let run = |rows: &[usize]| train(&world, (config.clone(), course.clone()), rows, None).unwrap();
    assert_eq!(run(&labelled).0.frozen(), run(&all).0.frozen());
}

#[test]
fn training_stops_early_and_keeps_the_best_weights() {
    let mut world = world(60, 8);
    // Outcomes that have nothing to do with the profile can only be overfitted.
    for (i, outcome) in world.outcomes.iter_mut().enumerate() {
        *outcome = Some(((i * 7919) % 13) as f64);
    }
    let (config, mut course) = small();
    course.epochs = 60;
    course.patience = 4;
    course.learning_rate = 3e-2;
    course.weight_decay = 0.0;
    course.validation_share = 0.3;
    let rows: Vec<usize> = (0..60).collect();
    let (_, log) = train(&world, (config, course), &rows, None).unwrap();
    assert_eq!(log.stop, Stop::Patience);
    assert_eq!(log.epochs.len(), log.best_epoch + 5);
    let held_out = |i: usize| log.epochs[i].validation.unwrap().total;
    assert!((0..log.epochs.len()).all(|i| held_out(log.best_epoch) <= held_out(i)));
    assert_eq!(log.train_rows + log.validation_rows, 60);
}

#[test]
fn a_diverging_loss_is_an_error_and_not_a_network() {
    let world = world(60, 9);
    let (config, mut course) = small();
    course.learning_rate = 1e30;
    course.warmup = 0.0;
    let error = train(&world, (config, course), &(0..60).collect::<Vec<_>>(), None).unwrap_err();
    assert!(matches!(error, Error::NonFinite { .. }), "{error}");
    assert!(error.to_string().contains("epoch 0"), "{error}");
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
    let rows: Vec<usize> = (0..60).collect();
    let (config, course) = small();
    let error = distill(
        &config,
        &course,
        &world.table,
        &world.chain,
        &[],
        None,
        &world.outcomes,
        &rows,
        &Device::default(),
        &StopAfter::default(),
    )
    .unwrap_err();
    assert!(matches!(error, Error::Stopped { epochs: 2 }), "{error}");
}

#[test]
fn bad_arguments_are_named() {
    let world = world(40, 11);
    let rows: Vec<usize> = (0..40).collect();
    let says = |targets: Option<&Targets>, reasoned: &[usize], outcomes: &[Option<f64>], rows: &[usize]| {
        let (config, course) = small();
        let device = Device::default();
        distill(&config, &course, &world.table, &world.chain, reasoned, targets, outcomes, rows, &device, &())
            .unwrap_err()
            .to_string()
    };
    assert!(says(None, &[], &world.outcomes[1..], &rows).contains("expected 40, got 39"));
    assert!(says(None, &[], &world.outcomes, &[40]).contains("training rows: expected less than 40"));
    assert!(says(None, &[], &[None; 40], &rows).contains("nothing to learn"));
    let mut negative = world.outcomes.clone();
    negative[3] = Some(-2.0);
    assert!(says(None, &[], &negative, &rows).contains("row 3"));
    assert!(says(Some(&world.targets), &rows[1..], &world.outcomes, &rows).contains("[39, 2, d > 0]"));
    let mut improper = world.targets.clone();
    improper.posteriors[1][[5, 0]] = 0.9;
    assert!(says(Some(&improper), &rows, &world.outcomes, &rows).contains("state `spend`, row 5"));
    let mut twice = rows.clone();
    twice[1] = 0;
    assert!(says(Some(&world.targets), &twice, &world.outcomes, &rows).contains("row 0 twice"));
}

fn shared<T: Send + Sync>() {}

#[test]
fn encoders_can_be_shared_between_threads() {
    shared::<scaletot_encoder::FrozenEncoder>();
    shared::<scaletot_encoder::Scores>();
    shared::<scaletot_encoder::TrainLog>();
    shared::<Error>();
}
