//! Training on one device and on another: `BURN_DEVICE` names the one that is compared with the CPU backend `flex`.
#![cfg(feature = "flex")]

use crate::common::{batches_of, chain_schema, osipo, quick, record, records, sft, table, tiny, truth};
use burn::tensor::{DType, Device};
use scaletot_profile::Dataset;
use scaletot_student::{Error, LoraConfig, OsipoConfig, Precision, Student};

const USERS: usize = 60;

/// The same weights, users, order and dropout everywhere: what differs is how a device rounds and in which order it adds up. Over
/// four epochs of each trainer, losses and gradient norms agree to 0.01 %, and posteriors to 0.001. (Measured: 9e-8 and 4e-7 on
/// ndarray, 2e-7 and 5e-7 on lavapipe.)
#[test]
fn devices_train_alike() {
    let all = table(USERS, 6);
    let rows: Vec<usize> = (0..USERS).collect();
    let run = |device: &Device| {
        let student = Student::new(&tiny(), &all, &chain_schema(), 3, device).unwrap();
        let mut config = quick();
        (config.epochs, config.learning_rate, config.dropout, config.field_dropout) = (4, 3e-3, 0.1, 0.1);
        let (student, sft_log) = sft(&student, &all, &records(&all), &config, 2, &()).unwrap();
        // A runner-up that is wrong about the spend, which is 0 at worst.
        let rivals: Vec<_> = rows
            .iter()
            .map(|&row| {
                let [taste, need, spend] = truth(&all, row);
                let other = record(&all, row, &[taste, need, u16::from(spend == 0)], 0.9, -9.0).best;
                records(&all)[row].clone().with_runners_up(other.into_iter().collect())
            })
            .collect();
        let outcomes: Vec<Option<f64>> =
            rows.iter().map(|&row| Some(f64::from(truth(&all, row)[2]))).collect();
        let mut config = OsipoConfig::default();
        (config.epochs, config.samples, config.batch_users) = (4, 0, 16);
        let dataset = Dataset::builder(all.clone()).with_outcomes(outcomes).build().unwrap();
        let (student, osipo_log) = osipo(&student, &dataset, &rivals, &config, 2, &()).unwrap();
        let mut figures: Vec<f64> = sft_log
            .epochs
            .iter()
            .flat_map(|e| [e.loss, e.validation_loss.unwrap(), e.gradient_norm])
            .collect();
        figures.extend(osipo_log.epochs.iter().flat_map(|e| [e.loss, e.gradient_norm]));
        (figures, student.infer(&all, &rows, &batches_of(32)).unwrap().into_signals())
    };
    let (expected, signals) = run(&Device::flex());
    let (figures, other) = run(&Device::default());
    let far = expected.iter().zip(&figures).map(|(a, b)| (a - b).abs() / a.abs()).fold(0.0, f64::max);
    let marginals = signals.marginal_values().iter().zip(other.marginal_values());
    let apart = marginals.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("{:?}: figures {far:.1e}, marginals {apart:.1e}", Device::default());
    assert!(far < 1e-4, "{expected:?} {figures:?}");
    assert!(apart < 1e-3, "{apart}");
}

/// Half the bits, the same course: losses within 3 % of those of 32-bit floats, and the weights that are kept are not rounded.
#[test]
fn reduced_precision_trains_alike() {
    let device = Device::default();
    let all = table(USERS, 6);
    let run = |precision, lora: bool| {
        let mut student = Student::new(&tiny(), &all, &chain_schema(), 3, &device).unwrap();
        if lora {
            student = student.with_lora(&LoraConfig::default(), 4).unwrap();
        }
        let mut config = quick();
        (config.epochs, config.precision) = (6, precision);
        sft(&student, &all, &records(&all), &config, 2, &())
    };
    if !device.supports_dtype(DType::BF16) {
        let error = run(Precision::Bf16, false).unwrap_err();
        assert!(matches!(&error, Error::Config(error) if error.field == "precision"), "{error}");
        return;
    }
    for lora in [false, true] {
        let (_, expected) = run(Precision::Full, lora).unwrap();
        let (_, log) = run(Precision::Bf16, lora).unwrap();
        assert_ne!(log, expected);
        for (a, b) in log.epochs.iter().zip(&expected.epochs) {
            assert!((a.loss - b.loss).abs() < 0.03 * b.loss, "LoRA {lora}: {a:?} {b:?}");
        }
        let [first, last] = [&log.epochs[0], &log.epochs[5]];
        assert!(last.loss < 0.9 * first.loss, "LoRA {lora}: {first:?} {last:?}");
    }
}
