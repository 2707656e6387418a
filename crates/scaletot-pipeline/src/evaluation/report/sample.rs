//! Made-up results of a run, of a realistic size and always the same, for tests.

use scaletot_eval::planted::FieldErrors;
use scaletot_eval::{Decile, Interval, Metric};

use super::super::results::*;

const ARMS: [(&str, &str); 5] = [
    ("scaletot", "Encoder: learnt from the student, reads the profile, calls no language model."),
    ("profile", "The same network without the student's signals."),
    ("stack", "The model of scaletot without the signals."),
    ("student", "Head on the student's representation; a decoder run per user."),
    ("teacher", "Head on the teacher's own chains, for everybody: the most that reasoning could bring."),
];
const SIZES: [(Labels, f64); 7] = [
    (Labels::Count(0), 0.0),
    (Labels::Count(50), 50.0),
    (Labels::Count(200), 200.0),
    (Labels::Count(500), 500.0),
    (Labels::Count(1_000), 1_000.0),
    (Labels::Count(2_000), 2_000.0),
    (Labels::All, 6_384.0),
];
const METRICS: [(Metric, f64, f64); 6] = [
    (Metric::Spearman, 0.0, 1.0),
    (Metric::NormalisedGini, 0.03, 1.25),
    (Metric::AucOfPositive, 0.5, 0.55),
    (Metric::TopDecileShare, 0.1, 0.5),
    (Metric::TopDecileLift, 1.0, 5.0),
    (Metric::CalibrationError, 0.62, -1.1),
];

/// An interval around an estimate.
pub(crate) fn interval(estimate: f64, half: f64) -> Interval {
    Interval {
        estimate,
        low: estimate - half,
        high: estimate + half,
        level: 0.95,
        replicates: 2_000,
        undefined: 0,
        informative: Some(400),
    }
}

/// A paired difference that reads as its interval does.
pub(crate) fn paired(baseline: &str, metric: Metric, difference: f64, half: f64) -> Paired {
    let interval = interval(difference, half);
    Paired {
        baseline: baseline.to_owned(),
        difference,
        error: half / 1.96,
        interval,
        verdict: interval.verdict(metric.higher_is_better()),
    }
}

/// What an arm's Spearman is with so many labels; `None` where it cannot be trained.
fn strength(arm: &str, labels: f64) -> Option<f64> {
    let learnt = 0.37 * (1.0 - (-(labels / 700.0).sqrt()).exp());
    match arm {
        "profile" => (labels > 0.0).then_some(0.02 + learnt),
        "stack" => (labels > 0.0).then_some(0.035 + 0.98 * learnt),
        "scaletot" => Some(0.172 + 0.56 * learnt - 0.00001 * labels.min(1_000.0)),
        "student" => Some(0.184 + 0.54 * learnt),
        _ => Some(0.201 + 0.53 * learnt),
    }
}

fn curves() -> Vec<CurvePoint> {
    let mut points = Vec::new();
    for (metric, from, times) in METRICS {
        for (arm, _) in ARMS {
            for (labels, count) in SIZES {
                let Some(strength) = strength(arm, count) else { continue };
                let mean = from + times * strength;
                let half = times.abs() * (0.022 + 0.35 / (count + 40.0).sqrt());
                let against = |rival: &str| {
                    let strength_of_rival = if arm == rival { None } else { self::strength(rival, count) };
                    strength_of_rival
                        .map(|theirs| paired(rival, metric, times * (strength - theirs), 0.62 * half))
                };
                points.push(CurvePoint {
                    arm: arm.to_owned(),
                    labels,
                    count,
                    metric,
                    mean,
                    interval: interval(mean, half),
                    deviation: half / 2.4,
                    folds: 10,
                    against: ["profile", "stack"].into_iter().filter_map(against).collect(),
                });
            }
        }
    }
    points
}

fn deciles() -> Vec<ArmDeciles> {
    let row = |at: usize, tilt: f64| {
        let mean_outcome = 420.0 * (-(at as f64) / 2.1).exp() + 3.0;
        let mean_prediction = mean_outcome.powf(tilt) * 1.05;
        Decile {
            decile: at + 1,
            users: 798.0,
            mean_prediction,
            mean_outcome,
            error: mean_prediction - mean_outcome,
            value_share: 0.41 * (-(at as f64) / 2.3).exp(),
        }
    };
    let tilts = [0.97, 0.88, 0.82, 0.99, 1.02];
    let arms = ARMS.iter().zip(tilts);
    arms.map(|((arm, _), tilt)| ArmDeciles {
        arm: (*arm).to_owned(),
        rows: (0..10).map(|d| row(d, tilt)).collect(),
    })
    .collect()
}

fn curve(power: f64) -> Vec<(f64, f64)> {
    (0..=50).map(|at| f64::from(at) / 50.0).map(|share| (share, 1.0 - (1.0 - share).powf(power))).collect()
}

fn search(user: &str, last: f64) -> SearchTree {
    let three = || ["low", "moderate", "high"].map(str::to_owned).to_vec();
    let five = ["very low", "low", "moderate", "high", "very high"].map(str::to_owned).to_vec();
    let states = vec![
        ("spending_capacity".to_owned(), three()),
        ("price_sensitivity".to_owned(), three()),
        ("spend_level".to_owned(), five),
    ];
    let question = |path: &[usize], distribution: &[f64], entropy: f64, pruned: &[usize]| TreeQuestion {
        state: path.len(),
        path: path.to_vec(),
        prompt: format!(
            "A customer of a grocery store. Age 45-54, income 50-74K, homeowner, 2 people.\nKnown so far: \
                {path:?}.\nOverall, this customer's spending is"
        ),
        distribution: distribution.to_vec(),
        entropy,
        pruned: pruned.to_vec(),
    };
    let chain =
        |values: [usize; 3], score: f64, round: usize| TreeChain { values: values.to_vec(), score, round };
    SearchTree {
        user: user.to_owned(),
        profile: "The customer is 45 to 54 years old, owns a home, earns 50 to 74 thousand dollars a year \
            and lives with one other adult."
            .to_owned(),
        states,
        questions: vec![
            question(&[], &[0.21, 0.47, 0.32], 0.951, &[]),
            question(&[1], &[0.18, 0.59, 0.23], 0.873, &[]),
            question(&[1, 1], &[0.08, 0.22, 0.41, last, 0.29 - last], 0.842, &[]),
            question(&[2], &[0.61, 0.29, 0.10], 0.802, &[]),
            question(&[2, 0], &[0.0, 0.09, 0.27, 0.44, 0.20], 0.781, &[0]),
            question(&[0], &[0.12, 0.30, 0.58], 0.843, &[]),
            question(&[0, 2], &[0.35, 0.40, 0.25, 0.0, 0.0], 0.672, &[3, 4]),
        ],
        chains: vec![chain([1, 1, 2], -1.214, 0), chain([2, 0, 3], -1.107, 1), chain([0, 2, 1], -1.633, 1)],
        rounds: vec![
            TreeRound { state: 0, entropy: 0.951, tried: vec![2, 0], gain: Some(0.107), replaced: true },
            TreeRound { state: 1, entropy: 0.802, tried: vec![1], gain: Some(-0.214), replaced: false },
        ],
        chosen: Some(1),
        stop: "no open state has an entropy of 0.80 or more".to_owned(),
        verdict: "accepted".to_owned(),
    }
}

fn experiment() -> ExperimentResults {
    let mut policies = Vec::new();
    let mut qini = Vec::new();
    for (outcome, size) in [("visit", 0.052), ("spend", 0.77)] {
        for (rank, (arm, _)) in ARMS.iter().take(4).enumerate() {
            let skill = [0.56, 0.6, 0.59, 0.55][rank];
            for share in [0.1, 0.3, 0.5] {
                policies.push(PolicyResult {
                    outcome: outcome.to_owned(),
                    arm: (*arm).to_owned(),
                    share,
                    incremental: interval(size * share.powf(skill), 0.2 * size),
                    against_profile: (*arm != "profile")
                        .then(|| interval(size * (share.powf(skill) - share.powf(0.6)), 0.02 * size)),
                });
            }
            let shares = (0..=20).map(|at| f64::from(at) / 20.0);
            qini.push(QiniResult {
                outcome: outcome.to_owned(),
                arm: (*arm).to_owned(),
                coefficient: interval(size * (0.12 - 0.02 * rank as f64), 0.09 * size),
                points: shares.map(|share| (share, size * share.powf(skill))).collect(),
            });
        }
    }
    ExperimentResults {
        treatment: "an e-mail with an offer".to_owned(),
        users: [21_307, 42_693],
        unknown: [("visit", 0), ("spend", 3)].map(|(outcome, users)| (outcome.to_owned(), users)).to_vec(),
        policies,
        qini,
    }
}

fn planted() -> PlantedResults {
    let refinement = [(0.5, 0.2), (0.5, 0.6), (1.0, 0.2), (1.0, 0.6), (2.0, 0.2), (2.0, 0.6)]
        .map(|(noise, missing)| RefinementPoint {
            noise,
            missing,
            greedy: 0.64 - 0.07 * noise - 0.12 * missing,
            refined: 0.64 - 0.06 * noise - 0.11 * missing,
            greedy_questions: 5.0,
            refined_questions: 14.2 + 3.0 * noise,
        })
        .to_vec();
    let accuracy = [("teacher", 0.571), ("student", 0.594), ("encoder", 0.588)];
    PlantedResults {
        noise: 1.0,
        field_errors: FieldErrors::None,
        bayes: 0.668,
        accuracy: accuracy.map(|(who, share)| (who.to_owned(), share)).to_vec(),
        oracle: vec![(Metric::Spearman, 0.512), (Metric::NormalisedGini, 0.633)],
        refinement,
    }
}

/// A whole run: every section has something to show.
pub(crate) fn results() -> Results {
    let states = ["spending_capacity", "price_sensitivity", "store_loyalty", "spend_level"]
        .map(str::to_owned)
        .to_vec();
    let cell = |fold: usize| Cell {
        repeat: fold / 5,
        fold: fold % 5,
        arm: "scaletot".to_owned(),
        labels: Labels::All,
        draw: 0,
        metrics: vec![(Metric::Spearman, 0.35 + 0.004 * fold as f64)],
    };
    Results {
        format: FORMAT,
        run: RunInfo {
            command:
                "evaluate --task planted --teacher planted:1.0 --folds 5 --repeats 2 --out scaletot-evaluate"
                    .to_owned(),
            version: "0.1.0".to_owned(),
            commit: Some("0123abcd".to_owned()),
            machine: "x86-64 processor, 2 threads".to_owned(),
            date: "2026-08-01".to_owned(),
            seconds: 2_712.0,
            seed: 1,
            device: "flex".to_owned(),
            teacher: "planted:1.0".to_owned(),
            coverage: 0.0732,
            folds: 5,
            ablations: Vec::new(),
            repeats: 2,
        },
        task: TaskInfo {
            name: "planted".to_owned(),
            title: "30-day value of new customers of a planted world, from seven profile fields.".to_owned(),
            source: "drawn by the evaluation itself, seed 1".to_owned(),
            outcome: "spend_30d".to_owned(),
            unit: "US dollars".to_owned(),
            users: 12_000,
            with_profile: 9_842,
            labelled: 7_980,
            zero_share: 0.713,
            mean_outcome: 61.37,
            fields: ["age", "income", "home", "marital_status", "household", "kids", "region"]
                .map(str::to_owned)
                .to_vec(),
            states: states.clone(),
        },
        arms: ARMS
            .iter()
            .map(|(name, about)| ArmInfo { name: (*name).to_owned(), description: (*about).to_owned() })
            .collect(),
        cells: (0..10).map(cell).collect(),
        curves: curves(),
        deciles: deciles(),
        gains: ARMS
            .iter()
            .zip([3.1, 3.0, 3.05, 3.15, 3.3])
            .map(|((arm, _), power)| ArmGains { arm: (*arm).to_owned(), points: curve(power) })
            .collect(),
        transfer: (0..10)
            .map(|fold| Transfer {
                repeat: fold / 5,
                fold: fold % 5,
                agreement: [0.962, 0.941, 0.917, 0.884]
                    .iter()
                    .map(|share| share + 0.003 * (fold % 4) as f64)
                    .collect(),
                cosine: 0.891 + 0.002 * fold as f64,
                cka: 0.934 - 0.003 * fold as f64,
                by_populated: (2..=5).map(|fields| group(&fields.to_string(), fields)).collect(),
                by_segment: vec![group("low", 3), group("high", 5)],
            })
            .collect(),
        entropy: Some(Entropy {
            states,
            before: vec![0.812, 0.774, 0.731, 0.693],
            after: vec![0.768, 0.741, 0.715, 0.655],
            changed: 0.284,
        }),
        coverage: [0.01, 0.02, 0.05, 0.0732, 0.2, 0.5]
            .iter()
            .enumerate()
            .map(|(at, &coverage)| CoveragePoint {
                coverage,
                metrics: vec![
                    (Metric::Spearman, 0.21 + 0.018 * at as f64 - 0.002 * (at * at) as f64),
                    (Metric::NormalisedGini, 0.29 + 0.021 * at as f64 - 0.002 * (at * at) as f64),
                ],
                labels: Labels::Count(200),
            })
            .collect(),
        ledger: Ledger {
            failed: 0,
            reasoned: 5_760,
            questions: 121_536,
            saved: 84_301,
            tokens: 14_584_320,
            everybody: 9_842,
            seconds_per_call: Some(0.214),
            encoder_seconds_per_million: 6.83,
        },
        searches: vec![search("10482", 0.19), search("10977", 0.14)],
        experiment: Some(experiment()),
        planted: Some(planted()),
        notes: vec!["The teacher knows the world up to noise; a language model would know less.".to_owned()],
    }
}

/// Agreement that rises with the number of fields.
fn group(name: &str, fields: usize) -> TransferGroup {
    TransferGroup {
        name: name.to_owned(),
        users: 40 * fields,
        agreement: 0.8 + 0.03 * fields as f64,
        cosine: 0.7 + 0.04 * fields as f64,
    }
}
