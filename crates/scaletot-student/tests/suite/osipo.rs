//! OSIPO on a planted outcome.

use std::sync::LazyLock;

use crate::common::{
    Listener, batches_of, chain_schema, osipo, quick, record, rejected, sft, student, table, truth,
};
use scaletot_chain::ChainRecord;
use scaletot_core::Progress;
use scaletot_osipo::{GroupBaseline, Objective, OsipoLossConfig, PolicyConfig, Reduction, SegmentWeights};
use scaletot_profile::{Dataset, ProfileTable, Segments};
use scaletot_student::{ChainReward, Checkpoints, Error, OsipoConfig, OsipoLog, Sampling, Student};

const USERS: usize = 180;

/// The teacher sees taste and need, but has no idea of the spend: it names every legal one, in an order that
/// rotates. What a user is worth follows the right one.
struct World {
    table: ProfileTable,
    records: Vec<ChainRecord>,
    outcomes: Vec<Option<f64>>,
    segments: Segments,
}

/// The chains with every legal spend, beginning `turn` places further on.
fn candidates([taste, need, _]: [u16; 3], turn: usize) -> Vec<[u16; 3]> {
    let legal = if need == 0 { 2 } else { 3 };
    (0..legal).map(|i| [taste, need, ((i + turn) % legal) as u16]).collect()
}

fn world() -> World {
    let table = table(USERS, 11);
    let records = (0..USERS).map(|row| {
        let chains = candidates(truth(&table, row), row);
        let even = 1.0 / chains.len() as f64;
        let mut all = chains.iter().zip(0..).map(|(chain, i)| {
            let mut record = record(&table, row, chain, 0.9, -f64::from(i));
            record.posterior[2] = (0..3).map(|v| if v < chains.len() { even } else { 0.0 }).collect();
            record
        });
        let first = all.next().unwrap();
        first.with_runners_up(all.filter_map(|record| record.best).collect())
    });
    let records = records.collect();
    let outcomes = (0..USERS).map(|row| Some([0.0, 5.0, 50.0][usize::from(truth(&table, row)[2])])).collect();
    let labels: Vec<Option<String>> = (0..USERS).map(|row| Some(format!("g{}", row % 3))).collect();
    World { table, records, outcomes, segments: Segments::from_labels(&labels) }
}

impl World {
    /// The student after SFT on this world; trained once for all tests.
    fn reference(&self) -> Student {
        static REFERENCE: LazyLock<Student> = LazyLock::new(|| {
            let World { table, records, .. } = world();
            let mut config = quick();
            (config.epochs, config.label_mix) = (12, 1.0);
            sft(&student(&table, 2), &table, &records, &config, 2, &()).unwrap().0
        });
        REFERENCE.clone()
    }

    fn dataset(&self) -> Dataset {
        let builder = Dataset::builder(self.table.clone());
        builder.with_outcomes(self.outcomes.clone()).with_segments(self.segments.clone()).build().unwrap()
    }

    fn run(&self, student: &Student, config: &OsipoConfig) -> Result<(Student, OsipoLog), Error> {
        self.run_with(student, config, &())
    }

    fn run_with(
        &self,
        student: &Student,
        config: &OsipoConfig,
        progress: &dyn Progress,
    ) -> Result<(Student, OsipoLog), Error> {
        osipo(student, &self.dataset(), &self.records, config, 5, progress)
    }

    /// Share of users whose greedy chain has the right spend.
    fn right(&self, student: &Student) -> f64 {
        let rows: Vec<usize> = (0..USERS).collect();
        let inference = student.infer(&self.table, &rows, &batches_of(64)).unwrap();
        let right = rows.iter().filter(|&&row| inference.chain(row)[2] == truth(&self.table, row)[2]);
        right.count() as f64 / USERS as f64
    }
}

fn quick_osipo(loss: OsipoLossConfig) -> OsipoConfig {
    let mut config = OsipoConfig::default();
    (config.loss, config.reward) = (loss, ChainReward::TierAgreement);
    (config.epochs, config.batch_users, config.learning_rate) = (12, 16, 2e-3);
    (config.tiers, config.patience) = (8, 12);
    config
}

fn on_a_gpu() -> bool {
    std::env::var("BURN_DEVICE").is_ok_and(|device| device == "wgpu")
}

#[test]
fn better_chains_gain_implicit_reward() {
    let world = world();
    let reference = world.reference();
    let before = world.right(&reference);
    for (objective, weights) in [
        (Objective::preference(0.0), SegmentWeights::Uniform),
        (Objective::preference(0.1), SegmentWeights::Entropy),
        (Objective::Pointwise { temperature: Some(1.0) }, SegmentWeights::Uniform),
    ] {
        let loss = OsipoConfig::default().loss.with_objective(objective).with_weights(weights);
        let (aligned, log) = world.run(&reference, &quick_osipo(loss)).unwrap();
        assert_eq!(log.users + log.validation_users + log.tied, USERS);
        // Before the first step the policy is the reference.
        assert_eq!((log.before.margin, log.before.accuracy), (Some(0.0), Some(0.5)));
        assert!(log.before.kl.abs() < 1e-9);
        let after = log.validation_after().unwrap();
        assert!(after.margin.unwrap() > 0.05 && after.accuracy.unwrap() > 0.85, "{objective:?} {after:?}");
        assert!(log.after.margin.unwrap() > 0.05);
        assert_eq!(after.chain_segment_rewards.len(), 3);
        assert_eq!(after.user_segment_rewards.len(), 3);
        let right = world.right(&aligned);
        assert!(right > before + 0.3, "{objective:?}: {before} to {right}");
    }
}

/// On chains of its own, from the same student: rewards of the chain alone, and of each of its steps as well.
#[test]
fn sampled_chains_lead_to_the_better_ones() {
    let world = world();
    let reference = world.reference();
    let before = world.right(&reference);
    for (process, baseline) in [(0.0, GroupBaseline::LeaveOneOut), (0.5, GroupBaseline::Standardised)] {
        let policy = PolicyConfig::default().with_process(process).with_baseline(baseline).with_kl(0.01);
        let loss = OsipoLossConfig::default().with_objective(Objective::Policy(policy));
        let mut config = quick_osipo(loss);
        (config.samples, config.updates, config.epochs) = (6, 2, 8);
        let (aligned, log) = world.run(&reference, &config).unwrap();
        let (first, best) = (log.held_out_advantage.unwrap(), log.best_epoch);
        assert!(best > 0, "{log:?}");
        let last = log.epochs[best - 1].held_out_advantage.unwrap();
        assert!(last > first + 0.2, "process {process}: {first} to {last}");
        assert!(log.after.clipped.is_some() && log.after.kl > 0.0);
        let right = world.right(&aligned);
        assert!(right > before + 0.3, "process {process}: {before} to {right}");
    }
}

/// On a CPU: a GPU adds gradients up in an order of its own, and the least difference draws other chains.
#[test]
fn the_same_seed_samples_the_same_chains() {
    if on_a_gpu() {
        println!("skipped: not on a GPU");
        return;
    }
    let world = world();
    let reference = world.reference();
    let loss = OsipoLossConfig::default().with_objective(Objective::Policy(PolicyConfig::default()));
    let mut config = quick_osipo(loss);
    (config.samples, config.epochs) = (3, 2);
    let (_, log) = world.run(&reference, &config).unwrap();
    assert_eq!(world.run(&reference, &config).unwrap().1, log);
}

#[test]
fn an_interrupted_run_gives_what_an_uninterrupted_one_gives() {
    if on_a_gpu() {
        println!("skipped: not on a GPU");
        return;
    }
    let world = world();
    let reference = world.reference();
    let dir = tempfile::tempdir().unwrap();
    let policy = PolicyConfig::default();
    for (name, objective, weights, batches) in [
        ("learned", Objective::preference(0.1), SegmentWeights::Learned, 10),
        ("policy", Objective::Policy(policy), SegmentWeights::Uniform, 20),
    ] {
        let loss = OsipoConfig::default().loss.with_objective(objective).with_weights(weights);
        let mut config = quick_osipo(loss);
        (config.epochs, config.samples) = (2, 2);
        let (whole, log) = world.run(&reference, &config).unwrap();
        config.checkpoints = Some(Checkpoints::at(dir.path().join(name)).with_every(3));
        for stop_after in [2, batches / 2 + 2] {
            let listener = Listener { stop_after, ..Listener::default() };
            let error = world.run_with(&reference, &config, &listener).unwrap_err();
            assert!(matches!(error, Error::Stopped { checkpoint: Some(_), .. }), "{error}");
        }
        let (resumed, resumed_log) = world.run(&reference, &config).unwrap();
        assert_eq!(resumed_log, log);
        let inference = |student: &Student| student.infer(&world.table, &[0, 1, 2], &batches_of(3)).unwrap();
        assert_eq!(inference(&resumed), inference(&whole));
    }
}

/// A step over parts of a batch is the step over all of it, for every objective.
#[test]
fn parts_of_a_batch_make_the_same_step() {
    if on_a_gpu() {
        println!("skipped: nothing of it depends on the device, and lavapipe takes minutes");
        return;
    }
    let world = world();
    let reference = world.reference();
    for (objective, weights, reduction, sft_weight) in [
        (Objective::preference(0.1), SegmentWeights::Learned, Reduction::Mean, 0.1),
        (Objective::preference(0.0), SegmentWeights::Uniform, Reduction::Sum, 0.0),
        (Objective::Pointwise { temperature: None }, SegmentWeights::Entropy, Reduction::Mean, 0.1),
        (Objective::Policy(PolicyConfig::default()), SegmentWeights::Uniform, Reduction::Mean, 0.1),
        (Objective::Policy(PolicyConfig::default()), SegmentWeights::Uniform, Reduction::Sum, 0.1),
    ] {
        let loss = OsipoConfig::default().loss.with_objective(objective).with_weights(weights);
        let mut config = quick_osipo(loss.with_reduction(reduction).with_sft_weight(sft_weight));
        // One step on all users, so that sampled chains are the same.
        (config.epochs, config.samples, config.updates, config.batch_users) = (1, 3, 1, USERS);
        let mut run = |micro_batch| {
            config.micro_batch = micro_batch;
            world.run(&reference, &config).unwrap().1
        };
        let (whole, parts) = (run(Some(USERS)), run(Some(7)));
        let (a, b) = (&whole.epochs[0], &parts.epochs[0]);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-3 * a.abs() + 1e-4;
        assert!(near(a.loss, b.loss), "{objective:?}: {a:?} {b:?}");
        assert!(near(a.gradient_norm, b.gradient_norm), "{objective:?}: {a:?} {b:?}");
        assert!(a.gradient_norm > 0.0);
    }
}

/// All tokens but the last state's are the same in all of a user's chains: only the last state can tell them apart.
#[test]
fn learned_weights_find_the_segment_that_tells_chains_apart() {
    if on_a_gpu() {
        println!("skipped: nothing of it depends on the device, and lavapipe takes minutes");
        return;
    }
    let world = world();
    let reference = world.reference();
    let loss = OsipoConfig::default().loss.with_weights(SegmentWeights::Learned);
    let mut config = quick_osipo(loss);
    (config.epochs, config.learning_rate) = (6, 1e-2);
    let (_, log) = world.run(&reference, &config).unwrap();
    let weights = log.segment_weights.unwrap();
    assert!((weights.iter().sum::<f64>() - 3.0).abs() < 1e-4, "{weights:?}");
    assert!(weights[2] > weights[0] && weights[2] > weights[1], "{weights:?}");
    config.loss = OsipoConfig::default().loss;
    config.epochs = 1;
    assert_eq!(world.run(&reference, &config).unwrap().1.segment_weights, None);
}

#[test]
fn the_outcome_driven_reward_finds_the_better_chain_too() {
    let mut world = world();
    let reference = world.reference();
    // This reward learns from the outcomes what each spend means, for which the teacher must know a little.
    for (row, record) in world.records.iter_mut().enumerate() {
        let right = usize::from(truth(&world.table, row)[2]);
        record.posterior[2].iter_mut().for_each(|p| *p *= 0.6);
        record.posterior[2][right] += 0.4;
    }
    let mut config = quick_osipo(OsipoConfig::default().loss);
    config.reward = ChainReward::default();
    let (aligned, log) = world.run(&reference, &config).unwrap();
    assert!(log.validation_after().unwrap().accuracy.unwrap() > 0.85, "{:?}", log.validation_after());
    let (before, after) = (world.right(&reference), world.right(&aligned));
    assert!(after > before + 0.3, "{before} to {after}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let world = world();
    let reference = world.reference();
    let mut config = quick_osipo(OsipoLossConfig::default().with_sft_weight(0.2));
    config.epochs = 2;
    let (a, log_a) = world.run(&reference, &config).unwrap();
    let (b, log_b) = world.run(&reference, &config).unwrap();
    assert_eq!(log_a, log_b);
    let csv = log_a.to_csv();
    let cells: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(cells.len(), 2 + log_a.epochs.len());
    assert!(cells.iter().all(|line| line.len() == cells[0].len()), "{csv}");
    let loss = cells[0].iter().position(|name| *name == "loss").unwrap();
    assert_eq!(cells[3][loss].parse(), Ok(log_a.epochs[1].loss));
    assert!(log_a.before.sft.is_some());
    assert_eq!(
        a.infer(&world.table, &[0, 1], &batches_of(2)).unwrap(),
        b.infer(&world.table, &[0, 1], &batches_of(2)).unwrap()
    );
}

#[test]
fn users_with_one_chain_get_samples() {
    let mut world = world();
    world.records.iter_mut().for_each(|record| record.runners_up.clear());
    let reference = world.reference();
    let mut config = quick_osipo(OsipoLossConfig::default());
    config.epochs = 1;
    let (_, log) = world.run(&reference, &config).unwrap();
    assert!(log.sampled > USERS / 2, "{log:?}");
    assert!(log.candidates > log.users);
    config.samples = 0;
    let error = world.run(&reference, &config).unwrap_err();
    assert!(matches!(error, Error::NoUsers { accepted: USERS, .. }), "{error}");
}

#[test]
fn nothing_to_learn_leaves_the_student_as_it_was() {
    let mut world = world();
    let reference = world.reference();
    // Which chain is better has nothing to do with the profile, so held-out users do not gain.
    for (row, outcome) in world.outcomes.iter_mut().enumerate() {
        *outcome = Some(if row * 7919 % 13 < 6 { 0.0 } else { 30.0 });
    }
    let mut config = quick_osipo(OsipoLossConfig::default());
    (config.epochs, config.patience, config.learning_rate, config.validation_share) = (6, 2, 2e-2, 0.4);
    let (kept, log) = world.run(&reference, &config).unwrap();
    let best = log.validation_after().unwrap().objective;
    assert!(best <= log.validation_before.as_ref().unwrap().objective);
    assert!(log.epochs.iter().all(|epoch| epoch.validation.as_ref().unwrap().objective >= best));
    if log.best_epoch == 0 {
        let rows = [0, 1, 2];
        assert_eq!(
            kept.infer(&world.table, &rows, &batches_of(3)).unwrap(),
            reference.infer(&world.table, &rows, &batches_of(3)).unwrap()
        );
    }
}

#[test]
fn unlabelled_users_take_no_part() {
    let mut world = world();
    let reference = world.reference();
    for row in (0..USERS).step_by(2) {
        world.outcomes[row] = None;
    }
    (0..10).for_each(|row| world.records[row] = rejected(&world.table, row));
    let mut config = quick_osipo(OsipoLossConfig::default());
    config.epochs = 1;
    let (_, log) = world.run(&reference, &config).unwrap();
    assert_eq!((log.skipped, log.unlabelled), (10, USERS / 2 - 5));
    world.outcomes.fill(None);
    assert!(matches!(world.run(&reference, &config).unwrap_err(), Error::NoUsers { .. }));
}

#[test]
fn chains_stay_legal_after_alignment() {
    let world = world();
    let mut config = quick_osipo(OsipoLossConfig::default());
    config.epochs = 2;
    let (aligned, _) = world.run(&world.reference(), &config).unwrap();
    let schema = chain_schema();
    let rows: Vec<usize> = (0..USERS).collect();
    for chain in aligned.sample(&world.table, &rows, 64, Sampling::at(2.0), 1).unwrap() {
        assert!(schema.is_legal(&chain));
    }
}

/// Likelihood displacement, which is why `λ_sft` is not 0 by default: a preference is also met by making both
/// chains less likely, as long as the worse one falls faster.
#[test]
fn the_sft_term_keeps_chains_likely() {
    let world = world();
    let reference = world.reference();
    let log_ratio = |sft_weight: f64| {
        let loss = OsipoLossConfig::default().with_sft_weight(sft_weight);
        let (_, log) = world.run(&reference, &quick_osipo(loss)).unwrap();
        assert!(log.validation_after().unwrap().accuracy.unwrap() > 0.85);
        log.validation_after().unwrap().log_ratio
    };
    let (without, with) = (log_ratio(0.0), log_ratio(0.1));
    assert!(without < 0.0 && with > without + 0.3, "{without} {with}");
}
