//! What is chosen about a training, end to end.
#![cfg(feature = "train")]

use crate::common::{STUDENT_DIM, World, spearman, world, world_missing};
use crate::distill::{on_gpu, small, train};
use ndarray::{Array3, Axis};
use scaletot_chain::Signals;
use scaletot_encoder::train::TrainedEncoder;
use scaletot_encoder::{DistillConfig, DistillLog, RepresentationLoss, TransferReport, WeightSchedule};

/// Users to train on, then users to measure on.
fn parts(users: usize) -> (Vec<usize>, Vec<usize>) {
    (0..users).partition(|row| row % 4 != 1)
}

fn run(world: &World, rows: &[usize], change: impl Fn(&mut DistillConfig)) -> (TrainedEncoder, DistillLog) {
    let (sizes, mut config) = small();
    if on_gpu() {
        (config.epochs, config.batch_size) = (2, 120);
    }
    change(&mut config);
    train(world, (sizes, config), rows, Some(&world.signals)).unwrap()
}

fn report(encoder: &TrainedEncoder, world: &World, rows: &[usize]) -> TransferReport {
    let signals = world.signals.select(rows).unwrap();
    encoder.frozen().transfer_report(&world.dataset(), &signals).unwrap()
}

#[test]
fn every_representation_loss_points_where_the_student_does() {
    let world = world(400, 21);
    let (rows, held_out) = parts(400);
    let kinds = [
        (RepresentationLoss::WhitenedMse, 0.8),
        (RepresentationLoss::Contrastive { temperature: 0.1 }, 0.45),
    ];
    for (kind, cosine) in kinds {
        let (encoder, log) = run(&world, &rows, |config| config.representation = kind);
        assert!(log.best().unwrap().validation.unwrap().representation.is_some());
        if on_gpu() {
            continue;
        }
        let report = report(&encoder, &world, &held_out);
        assert!(report.cosine > cosine, "{kind:?}: {report:?}");
        assert!(report.mean_agreement() > 0.8, "{kind:?}: {report:?}");
    }
}

#[test]
fn whitened_regression_is_served_in_the_students_space() {
    if on_gpu() {
        return;
    }
    let mut world = world(400, 22);
    // A dimension that never varies, far from 0.
    let (signals, width) = (&world.signals, STUDENT_DIM);
    let mut representations = signals.representation_values().to_vec();
    representations.iter_mut().step_by(width).for_each(|x| *x = 40.0);
    let (rows, sizes) = (signals.rows().to_vec(), signals.domain_sizes().to_vec());
    let marginals = signals.marginal_values().to_vec();
    world.signals = Signals::new(rows, sizes, marginals, [2, width], representations.clone()).unwrap();
    let representations = Array3::from_shape_vec((400, 2, width), representations).unwrap();
    let (rows, held_out) = parts(400);
    let (encoder, _) = run(&world, &rows, |config| config.representation = RepresentationLoss::WhitenedMse);
    let mean = representations.select(Axis(0), &rows).mean_axis(Axis(0)).unwrap();
    let student = representations.select(Axis(0), &held_out) - &mean.insert_axis(Axis(0));
    let scores = encoder.frozen().score_rows(&world.table, &held_out).unwrap();
    let projected = encoder.frozen().project(&scores.representation).unwrap();
    let squares = |values: ndarray::Array3<f32>| values.iter().map(|v| f64::from(v * v)).sum::<f64>();
    let constant = projected.index_axis(Axis(2), 0).to_owned().insert_axis(Axis(2));
    let (all, constant) = (squares(student.clone()), squares(constant));
    let explained = 1.0 - squares(&projected - &student) / all;
    assert!(explained > 0.7, "length and direction: {explained}");
    assert!(constant < 1e-3 * all, "what is constant stays so: {constant} of {all}");
}

#[test]
fn weights_change_over_the_course() {
    let world = world(120, 23);
    let rows: Vec<usize> = (0..120).collect();
    let run = |lambda: WeightSchedule| {
        run(&world, &rows, |config| {
            config.epochs = 3;
            config.lambda_out = lambda;
        })
    };
    let linear = |from, to| WeightSchedule::Linear { from, to, until: 0.5 };
    let (constant, constant_log) = run(1.0.into());
    let (same, _) = run(linear(1.0, 1.0));
    assert_eq!(constant.frozen().score(&world.table).unwrap(), same.frozen().score(&world.table).unwrap());
    let (ramp, ramp_log) = run(linear(0.0, 1.0));
    assert_ne!(constant.frozen().score(&world.table).unwrap(), ramp.frozen().score(&world.table).unwrap());
    let total = |log: &DistillLog, epoch: usize| log.epochs[epoch].train.total;
    assert!(total(&ramp_log, 0) < total(&constant_log, 0), "the outcome weighs less at first");
    let last = ramp_log.epochs[2].validation.unwrap();
    let sum = last.representation.unwrap() + last.states.unwrap() + last.outcome.unwrap();
    assert!((last.total - sum).abs() < 1e-9, "held-out losses are weighed as in the last step");
    // A loss that never weighs has no head.
    assert!(!run(linear(0.0, 0.0)).0.frozen().heads().outcome);
}

#[test]
fn a_temperature_softens_what_is_compared() {
    let world = world(400, 24);
    let (rows, held_out) = parts(400);
    let (encoder, _) = run(&world, &rows, |config| config.state_temperature = 2.0);
    if !on_gpu() {
        let report = report(&encoder, &world, &held_out);
        assert!(report.mean_agreement() > 0.85 && report.mean_kl() < 0.05, "{report:?}");
    }
}

#[test]
fn hard_users_are_a_matter_of_the_seed_and_of_nothing_else() {
    let world = world(200, 25);
    let rows: Vec<usize> = (0..200).collect();
    let scores = |share| {
        let (encoder, _) = run(&world, &rows, |config| {
            config.epochs = 3;
            config.hard_users = share;
        });
        encoder.frozen().score(&world.table).unwrap()
    };
    assert_eq!(scores(0.5), scores(0.5));
    assert_ne!(scores(0.5), scores(0.0));
    if !on_gpu() {
        let (encoder, _) = run(&world, &rows, |config| config.hard_users = 0.3);
        let scores = encoder.frozen().score(&world.table).unwrap();
        let known = rows.iter().filter_map(|&row| Some((scores.value_of(row)?, world.outcomes[row]?)));
        let (value, outcome): (Vec<f64>, Vec<f64>) = known.unzip();
        assert!(spearman(&value, &outcome) > 0.3);
    }
}

#[test]
fn copies_with_fields_left_out_teach_sparse_profiles() {
    if on_gpu() {
        return;
    }
    // The student has read whole profiles; of the same people, half of the fields are known when it counts.
    let (whole, sparse) = (world_missing(500, 26, 0.0), world_missing(500, 26, 0.5));
    let (rows, held_out) = parts(500);
    let sparse = World { signals: whole.signals.clone(), ..sparse };
    let kl = |copies: usize| {
        let (encoder, log) = run(&whole, &rows, |config| {
            config.copies = copies;
            config.field_dropout = 0.5;
            // As many steps with and without copies.
            config.epochs = 24 / (1 + copies);
            config.lambda_out = 0.0.into();
        });
        assert_eq!((log.reasoned_rows, log.labelled_rows), (rows.len(), 0), "nobody else is needed");
        report(&encoder, &sparse, &held_out).mean_kl()
    };
    let (with, without) = (kl(1), kl(0));
    assert!(with < 0.8 * without, "with copies {with}, without {without}");
}
