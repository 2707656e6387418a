use scaletot_chain::ChainSchema;
use scaletot_profile::ProfileTable;
use scaletot_teacher::{Ensemble, Error, Fallback, LabelAnswer, Question, Result, Teacher};

use crate::common::{Arbitrary, chain_schema, table};

/// Says the same of everybody, or fails.
struct Fixed(&'static str, Option<Vec<f64>>, Option<Vec<String>>);

impl Teacher for Fixed {
    fn model(&self) -> &str {
        self.0
    }
    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        let fail = || Error::Answer {
            model: self.0.to_owned(),
            state: question.state_name().to_owned(),
            message: "away".to_owned(),
        };
        let shares = self.1.as_ref().ok_or_else(fail)?;
        let mut answer = LabelAnswer::new(shares.iter().map(|p| p.ln()).collect(), 3);
        answer.evidence = self.2.clone();
        Ok(answer)
    }
}

fn with_question<R>(ask: impl FnOnce(&Question<'_>) -> R) -> R {
    let (table, chain): (ProfileTable, ChainSchema) = (table(1), chain_schema());
    ask(&Question::new(&chain, 0, &[], &table, 0).with_prompt("He is"))
}

#[test]
fn the_second_answers_what_the_first_cannot() {
    with_question(|question| {
        let away = Fallback::new(Fixed("a", None, None), Arbitrary::default());
        assert_eq!(away.answer(question).unwrap(), Arbitrary::default().answer(question).unwrap());
        let unusable = Fallback::new(Fixed("a", Some(vec![f64::NAN; 3]), None), Arbitrary::default());
        assert!(unusable.answer(question).is_ok());
        let there = Fallback::new(Fixed("a", Some(vec![0.5, 0.3, 0.2]), None), Arbitrary::default());
        assert!((there.answer(question).unwrap().log_probs[0].exp() - 0.5).abs() < 1e-12);
        assert_eq!((away.model(), away.cache_key(question)), ("a, or else arbitrary", None));
    });
}

#[test]
fn an_ensemble_is_the_mean_of_log_probabilities() {
    let boxed = |p: [f64; 3], evidence: Option<&str>| -> Box<dyn Teacher> {
        Box::new(Fixed("f", Some(p.to_vec()), evidence.map(|field| vec![field.to_owned()])))
    };
    let (a, b) = ([0.6, 0.3, 0.1], [0.2, 0.2, 0.6]);
    with_question(|question| {
        let pool = |members| Ensemble::new(members).unwrap().answer(question).unwrap();
        let pooled = pool(vec![(boxed(a, Some("age")), 3.0), (boxed(b, Some("income")), 1.0)]);
        for ((lp, p), q) in pooled.log_probs.iter().zip(a).zip(b) {
            assert!((lp - (0.75 * f64::ln(p) + 0.25 * f64::ln(q))).abs() < 1e-12);
        }
        assert_eq!(pooled.tokens, 6);
        assert_eq!(pooled.evidence, Some(vec!["age".to_owned(), "income".to_owned()]));
        // One who read everything, and one who rules a label out.
        let ruled = pool(vec![(boxed(a, None), 1.0), (boxed([0.5, 0.5, 0.0], Some("age")), 1.0)]);
        assert_eq!((ruled.evidence, ruled.missing), (None, vec![2]));
        let fails =
            Ensemble::new(vec![(boxed(a, None), 1.0), (Box::new(Fixed("x", None, None)), 1.0)]).unwrap();
        assert!(fails.answer(question).is_err());
        assert!(fails.cache_key(question).is_some());
    });
    assert!(Ensemble::new(Vec::new()).is_err());
    assert!(Ensemble::new(vec![(boxed(a, None), 0.0)]).is_err());
}
