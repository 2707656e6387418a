use proptest::prelude::*;
use scaletot_chain::{ChainSchema, StateDef};
use scaletot_teacher::{Calibration, Error, LabelAnswer, Question, Reasoner, Result, Teacher};

use crate::common::{Arbitrary, chain_schema, prompter, table};

fn two_states() -> ChainSchema {
    ChainSchema::builder("c")
        .with_state(StateDef::ordinal("need", ["low", "moderate", "high"]))
        .with_state(StateDef::ordinal("spend", ["low", "moderate", "high"]))
        .build()
        .unwrap()
}

fn normal(weights: &[f64]) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

fn distribution() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(0.01..1.0_f64, 3).prop_map(|weights| normal(&weights))
}

proptest! {
    #[test]
    fn strength_zero_changes_nothing_and_results_sum_to_one(
        prior in distribution(), q in distribution(), strength in 0.0..=1.0_f64,
    ) {
        let schema = two_states();
        let calibration = Calibration::from_priors("m", &schema, 9, vec![prior.clone(), prior]).unwrap();
        let mut same = q.clone();
        calibration.clone().with_strength(0.0).unwrap().apply(1, &[], &mut same).unwrap();
        prop_assert_eq!(&same, &q);
        let mut calibrated = q;
        calibration.with_strength(strength).unwrap().apply(0, &[], &mut calibrated).unwrap();
        prop_assert!((calibrated.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    /// An answer that is just the prior says nothing, and becomes uniform; a uniform prior changes nothing.
    #[test]
    fn the_prior_itself_becomes_uniform(prior in distribution(), q in distribution()) {
        let schema = two_states();
        let uniform = vec![1.0 / 3.0; 3];
        let calibration = Calibration::from_priors("m", &schema, 9, vec![prior.clone(), uniform]).unwrap();
        let mut said = prior;
        calibration.apply(0, &[], &mut said).unwrap();
        prop_assert!(said.iter().all(|p| (p - 1.0 / 3.0).abs() < 1e-9));
        let mut other = q.clone();
        calibration.apply(1, &[], &mut other).unwrap();
        prop_assert!(other.iter().zip(&q).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    /// The order of two users' odds is not changed: batch calibration corrects levels, not ranks.
    #[test]
    fn ranks_of_users_are_kept(prior in distribution(), a in distribution(), b in distribution(), s in 0.0..=1.0_f64) {
        let schema = two_states();
        let calibration = Calibration::from_priors("m", &schema, 9, vec![prior.clone(), prior]).unwrap();
        let calibration = calibration.with_strength(s).unwrap();
        let odds = |q: &[f64]| (q[2] / q[0]).ln();
        let before = odds(&a) - odds(&b);
        let (mut a, mut b) = (a, b);
        calibration.apply(0, &[], &mut a).unwrap();
        calibration.apply(0, &[], &mut b).unwrap();
        prop_assert!((odds(&a) - odds(&b) - before).abs() < 1e-9);
    }

    #[test]
    fn saves_and_loads(prior in distribution(), strength in 0.0..=1.0_f64) {
        let schema = two_states();
        let calibration = Calibration::from_priors("m", &schema, 9, vec![prior.clone(), prior]).unwrap();
        let calibration = calibration.with_strength(strength).unwrap();
        let text = serde_json::to_string(&calibration).unwrap();
        prop_assert_eq!(serde_json::from_str::<Calibration>(&text).unwrap(), calibration);
    }
}

#[test]
fn refuses_what_is_out_of_range() {
    let schema = two_states();
    let good = vec![vec![0.2, 0.3, 0.5]; 2];
    let from = |priors| Calibration::from_priors("m", &schema, 9, priors);
    assert!(from(vec![good[0].clone()]).is_err(), "a state is missing");
    assert!(from(vec![vec![0.5, 0.5], good[1].clone()]).is_err(), "a value is missing");
    assert!(from(vec![vec![0.2, 0.3, 0.6], good[1].clone()]).is_err(), "sums to 1.1");
    assert!(from(vec![vec![f64::NAN, 0.5, 0.5], good[1].clone()]).is_err());
    let calibration = from(good).unwrap();
    for strength in [-0.1, 1.1, f64::NAN] {
        assert!(calibration.clone().with_strength(strength).is_err(), "{strength}");
    }
    assert!(calibration.apply(2, &[], &mut [0.5, 0.5]).is_err(), "no such state");
    assert!(calibration.apply(0, &[], &mut [0.5, 0.5]).is_err(), "another domain");
    assert!(calibration.check(&chain_schema()).is_err());
    let text = serde_json::to_string(&calibration).unwrap().replace("\"strength\":1.0", "\"strength\":7");
    assert!(serde_json::from_str::<Calibration>(&text).unwrap_err().to_string().contains("[0, 1]"));
}

#[test]
fn zeros_stay_and_nothing_divides_by_zero() {
    let schema = two_states();
    let prior = vec![0.0, 0.5, 0.5];
    let calibration = Calibration::from_priors("m", &schema, 9, vec![prior.clone(), prior]).unwrap();
    let mut q = [0.0, 0.25, 0.75];
    calibration.apply(0, &[], &mut q).unwrap();
    assert_eq!(q, [0.0, 0.25, 0.75]);
    let mut nothing = [0.0; 3];
    calibration.apply(0, &[], &mut nothing).unwrap();
    assert_eq!(nothing, [0.0; 3]);
}

/// Prefers `low` in whatever is asked, and says a little about the profile besides.
struct Biased;

impl Teacher for Biased {
    fn model(&self) -> &str {
        "biased"
    }
    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        let noise = f64::from(question.key("biased").bytes()[0]) / 255.0 - 0.5;
        let weights: Vec<f64> = (0..question.labels.len())
            .map(|i| if i == 0 { 3.0 } else { 0.0 } + noise * i as f64)
            .map(f64::exp)
            .collect();
        Ok(LabelAnswer::new(normal(&weights).iter().map(|p| p.ln() - 1.0).collect(), 5))
    }
}

/// Over the batch it was fitted on, the mean calibrated prediction is close to uniform, however biased the teacher.
#[test]
fn a_fitted_prior_takes_the_bias_out() {
    let table = table(300);
    let rows: Vec<usize> = (0..300).collect();
    let mut reasoner = Reasoner::builder(Biased, prompter(&table)).build().unwrap();
    let raw = reasoner.reason(&table, 0, 1).unwrap().best.unwrap();
    assert_eq!(raw.values(), [0, 0, 0, 0], "uncalibrated, the bias decides");

    let calibration = reasoner.fit_calibration(&table, &rows, 2, &()).unwrap();
    assert_eq!((calibration.model(), calibration.strength()), ("biased", 1.0));
    assert_eq!(calibration.users(), rows.iter().filter(|&&row| table.populated(row) > 0).count());
    assert!(calibration.prior(0).unwrap()[0] > 0.8);
    reasoner.set_calibration(calibration).unwrap();

    let mut mean = [0.0; 3];
    let mut values = [0; 3];
    for &row in &rows {
        let Some(best) = reasoner.reason(&table, row, 1).unwrap().best else { continue };
        best.steps()[0].distribution.iter().zip(&mut mean).for_each(|(p, mean)| *mean += p);
        values[usize::from(best.values()[0])] += 1;
    }
    let mean = normal(&mean);
    assert!(mean.iter().all(|p| (p - 1.0 / 3.0).abs() < 0.05), "{mean:?}");
    assert!(values[0] < 200 && values[2] > 40, "{values:?}");
}

#[test]
fn fitting_needs_somebody_and_the_right_model() {
    let table = table(7);
    let mut reasoner = Reasoner::builder(Arbitrary::default(), prompter(&table)).build().unwrap();
    // The seventh user has no field.
    let error = reasoner.fit_calibration(&table, &[6], 2, &()).unwrap_err();
    assert!(error.to_string().contains("at least 1 populated fields"), "{error}");
    assert!(reasoner.fit_calibration(&table, &[7], 2, &()).is_err(), "no such row");
    let other = Calibration::identity("another", &chain_schema());
    assert!(matches!(reasoner.set_calibration(other), Err(Error::Config(_))));
}

/// What a teacher says of nobody is divided out of what it says of anybody.
#[test]
fn a_blank_profile_calibrates_without_users() {
    let table = table(20);
    let teacher = Arbitrary::default();
    let mut reasoner = Reasoner::builder(&teacher, prompter(&table)).build().unwrap();
    let calibration = reasoner.contextual_calibration(table.schema()).unwrap();
    assert_eq!((calibration.users(), calibration.strength()), (1, 1.0));
    assert_eq!(teacher.calls.load(std::sync::atomic::Ordering::Relaxed), 4, "a question per state");
    let chain = chain_schema();
    let prompt = reasoner.prompter().prompt(&table, 0, 0, &[]);
    let blank = prompt.replacen(&reasoner.prompter().profile(&table, 0), "A customer", 1);
    let asked = Question::new(&chain, 0, &[], &table, 0).with_prompt(blank);
    let said = teacher.answer(&asked).unwrap().distribution().unwrap();
    assert!(calibration.prior(0).unwrap().iter().zip(&said).all(|(a, b)| (a - b).abs() < 1e-12));
    reasoner.set_calibration(calibration).unwrap();
    assert!(reasoner.header(&table, 1).unwrap().settings["calibration"]["users"] == 1);
}

/// Answers each state with the value of the state before it, the same for every user; the first state is by the user.
struct Echo;

impl Teacher for Echo {
    fn model(&self) -> &str {
        "echo"
    }
    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        let liked = question.path.first().map_or(question.row % 2, |told| usize::from(*told));
        let weights: Vec<f64> =
            (0..question.labels.len()).map(|i| if i == liked { 4.0 } else { 1.0 }).collect();
        Ok(LabelAnswer::new(normal(&weights).iter().map(|p| p.ln()).collect(), 5))
    }
}

#[test]
fn a_prior_per_parent_value_takes_out_what_is_only_repeated() {
    let (table, chain) = (table(120), chain_schema());
    let rows: Vec<usize> = (0..120).collect();
    let reasoner = Reasoner::builder(Echo, prompter(&table)).build().unwrap();
    let pooled = reasoner.fit_calibration(&table, &rows, 2, &()).unwrap();
    let asked = reasoner.ledger().snapshot().calls;
    let by_parents = reasoner.fit_calibration_by_parents(&table, &rows, 2, &()).unwrap();
    assert_eq!(reasoner.ledger().snapshot().calls, asked, "it asks nothing more");

    // `capacity` depends on `need`, which was low or moderate for half of the users each.
    let said = |told: usize| normal(&[0, 1, 2].map(|i| if i == told { 4.0 } else { 1.0 }));
    for told in [0, 1] {
        let (mut with, mut without) = (said(told), said(told));
        by_parents.apply(1, &[told as u16], &mut with).unwrap();
        pooled.apply(1, &[told as u16], &mut without).unwrap();
        let users = rows.iter().filter(|&&row| table.populated(row) > 0 && row % 2 == told).count() as f64;
        let own = by_parents.prior_after(1, &[told as u16]).unwrap();
        // By hand: the mean of what was said after that value, and the state's prior as twenty users.
        for ((own, said), all) in own.iter().zip(said(told)).zip(pooled.prior(1).unwrap()) {
            assert!((own - (users * said + 20.0 * all) / (users + 20.0)).abs() < 1e-12);
        }
        let spread =
            |q: &[f64]| q.iter().copied().fold(0.0, f64::max) - q.iter().copied().fold(1.0, f64::min);
        assert!(spread(&with) < 0.5 * spread(&without), "{with:?} {without:?}");
    }
    // Nobody's need was high; and the first and third states depend on nothing.
    assert_eq!(by_parents.prior_after(1, &[2]), pooled.prior(1));
    assert_eq!(by_parents.prior_after(0, &[]), pooled.prior(0));

    let text = serde_json::to_string(&by_parents).unwrap();
    let read: Calibration = serde_json::from_str(&text).unwrap();
    assert_eq!(read, by_parents);
    read.check(&chain).unwrap();
    assert!(serde_json::to_string(&pooled).unwrap().contains("\"version\":1"));
    assert!(serde_json::from_str::<Calibration>(&text.replace("\"version\":2", "\"version\":1")).is_err());
    let wrong = text.replace("\"parents\":[[0,0]]", "\"parents\":[[2,0]]");
    assert_ne!(wrong, text);
    let wrong: Calibration = serde_json::from_str(&wrong).unwrap();
    assert!(wrong.check(&chain).unwrap_err().to_string().contains("states that state 1 depends on"));
}

/// Fails about some users from a state on.
struct Fails(Vec<usize>, usize);

impl Teacher for Fails {
    fn model(&self) -> &str {
        "arbitrary"
    }
    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        if self.0.contains(&question.row) && question.state >= self.1 {
            let message = "the line is dead".to_owned();
            return Err(Error::Answer { model: "arbitrary".to_owned(), state: String::new(), message });
        }
        Arbitrary::default().answer(question)
    }
}

#[test]
fn users_about_whom_the_teacher_failed_are_counted_in_a_calibration_and_bounded() {
    let table = table(100);
    let rows: Vec<usize> = (0..100).filter(|row| row % 7 != 6).collect();
    let fit = |failing: &[usize], state: usize| {
        let reasoner = Reasoner::builder(Fails(failing.to_vec(), state), prompter(&table)).build().unwrap();
        reasoner.fit_calibration(&table, &rows, 2, &())
    };
    let whole = fit(&[], 0).unwrap();
    assert_eq!((whole.failed(), whole.answered(0), whole.answered(3)), (0, rows.len(), rows.len()));
    let some = fit(&[4, 31], 1).unwrap();
    assert_eq!((some.failed(), some.users()), (2, rows.len()));
    assert_eq!([0, 1, 3].map(|state| some.answered(state)), [rows.len(), rows.len() - 2, rows.len() - 2]);
    let text = serde_json::to_string(&some).unwrap();
    assert_eq!(serde_json::from_str::<Calibration>(&text).unwrap(), some);
    assert!(
        serde_json::from_str::<Calibration>(&text.replace("\"answered\":[", "\"answered\":[9999,")).is_err()
    );
    let many = fit(&[1, 8, 16, 24, 32, 39], 2).unwrap_err();
    let message = many.to_string();
    assert!(matches!(many, Error::TooManyFailed { users: 86, .. }), "{message}");
    assert!(message.contains("the line is dead"), "{message}");
}
