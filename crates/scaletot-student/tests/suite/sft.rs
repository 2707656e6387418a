//! SFT on a planted rule.

use crate::common::{
    Listener, batches_of, corpus, quick, record, records, rejected, sft, student, table, truth,
};
use scaletot_chain::{ChainSchema, Corpus, CorpusHeader, StateDef};
use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, TableBuilder};
use scaletot_student::{Error, Sft, SoftLabel, Stop};

fn rows(n: usize) -> Vec<usize> {
    (0..n).collect()
}

#[test]
fn the_student_learns_a_planted_rule_and_its_uncertainty() {
    let all = table(360, 1);
    let teacher = records(&all);
    let mut config = quick();
    config.label_mix = 1.0;
    let (trained, log) = sft(&student(&all, 1), &all, &teacher[..300], &config, 1, &()).unwrap();
    assert_eq!((log.users, log.validation_users, log.skipped), (270, 30, 0));
    // Held-out users' profiles were never seen.
    let unseen: Vec<usize> = (300..360).collect();
    let inference = trained.infer(&all, &unseen, &batches_of(32)).unwrap();
    let signals = inference.signals();
    let right = unseen.iter().zip(inference.chains()).filter(|(row, chain)| *chain == truth(&all, **row));
    let right = right.count();
    assert!(right >= 57, "{right} of 60 chains, {:?}", log.best());
    // The soft label said 0.9.
    let sure: f32 =
        (0..60).map(|i| signals.marginal(i, 0)[usize::from(inference.chain(i)[0])]).sum::<f32>() / 60.0;
    assert!((sure - 0.9).abs() < 0.05, "{sure}");
    let before = log.epochs.first().unwrap().value_loss;
    let best = log.best().unwrap();
    assert!(best.validation_value_loss.unwrap() < 0.6 * before, "{before} {best:?}");
}

#[test]
fn hard_labels_make_a_sure_student() {
    let all = table(200, 2);
    let mut config = quick();
    config.label_mix = 0.0;
    let (trained, _) = sft(&student(&all, 1), &all, &records(&all), &config, 1, &()).unwrap();
    let inference = trained.infer(&all, &rows(200), &batches_of(64)).unwrap();
    let sure =
        (0..200).map(|i| inference.signals().marginal(i, 0)[usize::from(inference.chain(i)[0])]).sum::<f32>()
            / 200.0;
    assert!(sure > 0.96, "{sure}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let all = table(60, 3);
    let teacher = records(&all);
    let mut config = quick();
    (config.epochs, config.dropout, config.field_dropout) = (3, 0.2, 0.3);
    let run = |seed| sft(&student(&all, seed), &all, &teacher, &config, seed, &()).unwrap();
    let ((a, log_a), (b, log_b), (_, log_c)) = (run(5), run(5), run(6));
    assert_eq!(log_a, log_b);
    assert_ne!(log_a, log_c);
    assert_eq!(
        a.infer(&all, &rows(60), &batches_of(16)).unwrap(),
        b.infer(&all, &rows(60), &batches_of(16)).unwrap()
    );
}

/// A step over parts is the step over all of them, to rounding.
#[test]
fn gathering_a_gradient_changes_no_step() {
    let all = table(70, 3);
    let teacher = records(&all);
    let mut config = quick();
    (config.epochs, config.batch_size, config.dropout, config.field_dropout) = (3, 16, 0.0, 0.0);
    let mut run = |micro_batch| {
        config.micro_batch = micro_batch;
        let (student, log) = sft(&student(&all, 5), &all, &teacher, &config, 5, &())?;
        Ok::<_, Error>((student.infer(&all, &rows(70), &batches_of(70))?, log))
    };
    let (whole, log) = run(None).unwrap();
    for micro in [1, 5] {
        let (parts, log_parts) = run(Some(micro)).unwrap();
        assert!(parts.chains().eq(whole.chains()));
        let marginals = parts.signals().marginal_values().iter().zip(whole.signals().marginal_values());
        assert!(marginals.into_iter().all(|(a, b)| (a - b).abs() < 1e-3));
        for (a, b) in log_parts.epochs.iter().zip(&log.epochs) {
            assert!(
                (a.loss - b.loss).abs() < 1e-4 && (a.gradient_norm - b.gradient_norm).abs() < 1e-3,
                "{a:?} {b:?}"
            );
        }
    }
    assert!(run(Some(0)).unwrap_err().to_string().contains("micro_batch"));
}

#[test]
fn training_does_not_change_the_student_it_was_given() {
    let all = table(40, 4);
    let first = student(&all, 1);
    let before = first.infer(&all, &rows(40), &batches_of(40)).unwrap();
    let mut config = quick();
    config.epochs = 1;
    let (second, _) = sft(&first, &all, &records(&all), &config, 1, &()).unwrap();
    assert_eq!(first.infer(&all, &rows(40), &batches_of(40)).unwrap(), before);
    assert_ne!(second.infer(&all, &rows(40), &batches_of(40)).unwrap(), before);
}

#[test]
fn only_accepted_records_train_and_order_does_not_matter() {
    let all = table(50, 5);
    let mut teacher = records(&all);
    for (row, record) in teacher.iter_mut().enumerate().take(10) {
        *record = rejected(&all, row);
    }
    teacher.truncate(45);
    let mut config = quick();
    (config.epochs, config.validation_share) = (2, 0.0);
    let run = |records: &[_]| sft(&student(&all, 1), &all, records, &config, 1, &()).unwrap().1;
    let log = run(&teacher);
    assert_eq!((log.users, log.validation_users, log.skipped), (35, 0, 10));
    assert_eq!((log.best_epoch, log.stop), (2, Stop::Epochs));
    assert!(log.epochs.iter().all(|epoch| epoch.validation_loss.is_none()));
    teacher.reverse();
    assert_eq!(run(&teacher), log);
}

#[test]
fn early_stopping_keeps_the_best_epoch() {
    let all = table(60, 6);
    // Labels that cannot be learned: the held-out loss rises soon.
    let noise: Vec<_> =
        (0..60).map(|row| record(&all, row, &[(row % 2) as u16, 1, (row % 3) as u16], 0.99, 0.0)).collect();
    let mut config = quick();
    (config.epochs, config.patience, config.validation_share, config.label_mix) = (60, 3, 0.3, 0.0);
    let (_, log) = sft(&student(&all, 1), &all, &noise, &config, 1, &()).unwrap();
    assert_eq!(log.stop, Stop::Patience);
    assert_eq!(log.epochs.len(), log.best_epoch + 3);
    let lowest = log.epochs.iter().map(|e| e.validation_value_loss.unwrap()).fold(f64::INFINITY, f64::min);
    assert_eq!(log.best().unwrap().validation_value_loss, Some(lowest));
}

#[test]
fn the_soft_label_can_be_the_steps_distribution() {
    let all = table(100, 7);
    // A greedy search's posterior is certain, its steps are not.
    let mut teacher = records(&all);
    for record in &mut teacher {
        let best = record.best.as_ref().unwrap();
        let hard = |step: &scaletot_chain::Step| {
            let mut p = vec![0.0; step.distribution.len()];
            p[usize::from(step.value)] = 1.0;
            p
        };
        record.posterior = best.steps().iter().map(hard).collect();
    }
    let sure = |soft_label| {
        let mut config = quick();
        (config.label_mix, config.soft_label) = (1.0, soft_label);
        let (trained, _) = sft(&student(&all, 1), &all, &teacher, &config, 1, &()).unwrap();
        let inference = trained.infer(&all, &rows(100), &batches_of(50)).unwrap();
        let sure = (0..100).map(|i| inference.signals().marginal(i, 0)[usize::from(inference.chain(i)[0])]);
        sure.sum::<f32>() / 100.0
    };
    let (posterior, steps) = (sure(SoftLabel::Posterior), sure(SoftLabel::Steps));
    assert!(posterior > 0.95 && (steps - 0.9).abs() < 0.05, "{posterior} {steps}");
}

#[test]
fn progress_counts_steps_and_can_stop() {
    let all = table(40, 8);
    let mut config = quick();
    (config.epochs, config.validation_share) = (2, 0.0);
    let run = |listener: &Listener| sft(&student(&all, 1), &all, &records(&all), &config, 1, listener);
    let listener = Listener::default();
    run(&listener).unwrap();
    assert_eq!((listener.steps.into_inner(), listener.total.into_inner()), (6, 6));
    assert!(listener.finished.into_inner());
    let listener = Listener { stop_after: 4, ..Listener::default() };
    let error = run(&listener).unwrap_err();
    assert!(matches!(error, Error::Stopped { epoch: 2, .. }), "{error}");
    assert_eq!(listener.steps.into_inner(), 4);
    assert!(listener.finished.into_inner());
}

#[test]
fn what_cannot_be_trained_on_is_an_error() {
    let all = table(20, 9);
    let teacher = records(&all);
    let run = |records: &[_], config: &_| sft(&student(&all, 1), &all, records, config, 1, &());
    let error = run(&[], &quick()).unwrap_err();
    assert!(matches!(error, Error::NoUsers { records: 0, accepted: 0, .. }), "{error}");
    let error = run(&[rejected(&all, 3)], &quick()).unwrap_err();
    assert!(matches!(error, Error::NoUsers { records: 1, accepted: 0, .. }), "{error}");
    let mut wild = quick();
    (wild.learning_rate, wild.epochs, wild.clip_norm) = (1e30, 5, None);
    let error = run(&teacher, &wild).unwrap_err();
    assert!(matches!(error, Error::Diverged { .. }), "{error}");
    let mut bad = quick();
    bad.epochs = 0;
    assert!(matches!(run(&teacher, &bad).unwrap_err(), Error::Config(error) if error.field == "epochs"));
}

#[test]
fn data_of_other_schemas_is_refused() {
    let all = table(20, 9);
    let student = student(&all, 1);
    let teacher = records(&all);
    let other = ChainSchema::builder("other").with_state(StateDef::ordinal("a", ["x", "y"])).build().unwrap();
    let header = CorpusHeader::new(all.schema().hash(), &other, "planted", 1);
    let fit = |corpus: &Corpus, dataset: &Dataset| {
        let sft = Sft::new(quick()).unwrap();
        sft.fit(&student, &corpus.join(dataset).unwrap(), 1, &()).unwrap_err()
    };
    let error = fit(&Corpus::new(header, vec![], &other).unwrap(), &Dataset::from(all.clone()));
    assert!(matches!(error, Error::SchemaMismatch { what: "chain corpus", .. }), "{error}");
    let schema = ProfileSchema::builder("other").with_field(FieldSpec::boolean("x")).build().unwrap();
    let mut users = TableBuilder::new(schema);
    (0..20).for_each(|user| users.push_text(user, &["true"]).unwrap());
    let error = fit(&corpus(&student, &teacher), &Dataset::from(users.finish()));
    assert!(matches!(error, Error::SchemaMismatch { what: "profile table", .. }), "{error}");
}
