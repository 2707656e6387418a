//! Teachers made of teachers.

use std::collections::BTreeMap;
use std::fmt;

use scaletot_core::config::ConfigError;

use crate::answer::LabelAnswer;
use crate::error::{Error, Result};
use crate::key::PromptKey;
use crate::ledger::{Ledger, LedgerSnapshot};
use crate::question::Question;
use crate::teacher::{Teacher, ask_checked, only};

/// Asks a second teacher what the first cannot answer, or [not usably](LabelAnswer::check_covered_mass).
///
/// ```
/// use scaletot_teacher::{Fallback, Result, Teacher};
///
/// /// A model behind a server, and expert rules for when it is away.
/// fn always<A: Teacher, B: Teacher>(model: A, rules: B) -> Fallback<A, B> {
///     Fallback::new(model, rules)
/// }
/// ```
///
/// Its answers depend on how the first teacher fares, so that two runs may differ; they are not cached under one key, and cannot
/// be recorded. Record or cache the first teacher instead.
pub struct Fallback<A, B> {
    first: A,
    second: B,
    model: String,
    /// Of the first and the second.
    ledgers: [Ledger; 2],
}

impl<A: Teacher, B: Teacher> Fallback<A, B> {
    /// `first`, and `second` whenever that fails.
    pub fn new(first: A, second: B) -> Self {
        let model = format!("{}, or else {}", first.model(), second.model());
        Self { first, second, model, ledgers: Default::default() }
    }

    /// The teacher that is asked first.
    pub fn first(&self) -> &A {
        &self.first
    }

    /// The teacher that is asked when the first fails.
    pub fn second(&self) -> &B {
        &self.second
    }
}

impl<A: Teacher, B: Teacher> Teacher for Fallback<A, B> {
    fn model(&self) -> &str {
        &self.model
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        only(self.answer_batch(std::slice::from_ref(question)))
    }

    fn answer_batch(&self, questions: &[Question<'_>]) -> Vec<Result<LabelAnswer>> {
        let mut answers = ask_counted(&self.first, &self.ledgers[0], questions);
        let failed: Vec<usize> = (0..answers.len())
            .filter(|&i| match &answers[i] {
                Ok(answer) => answer.check_covered_mass(self.first.model(), &questions[i]).is_err(),
                Err(error) => !matches!(error, Error::Stopped),
            })
            .collect();
        if !failed.is_empty() {
            tracing::debug!(failed = failed.len(), second = self.second.model(), "asking the second teacher");
            let open: Vec<Question<'_>> = failed.iter().map(|&i| questions[i].clone()).collect();
            for (i, answer) in failed.into_iter().zip(ask_counted(&self.second, &self.ledgers[1], &open)) {
                answers[i] = answer;
            }
        }
        answers
    }

    /// That of the first.
    fn batch_size(&self) -> usize {
        self.first.batch_size()
    }

    fn cache_key(&self, _question: &Question<'_>) -> Option<PromptKey> {
        None
    }

    fn holds(&self, question: &Question<'_>) -> bool {
        self.first.holds(question)
    }

    fn spent_by_model(&self) -> BTreeMap<String, LedgerSnapshot> {
        let [first, second] = &self.ledgers;
        by_model([spent(&self.first, first), spent(&self.second, second)])
    }
}

/// Asks, and counts what it cost.
fn ask_counted<T: Teacher + ?Sized>(
    teacher: &T,
    ledger: &Ledger,
    questions: &[Question<'_>],
) -> Vec<Result<LabelAnswer>> {
    let call = ledger.call();
    let answers = ask_checked(teacher, questions);
    drop(call);
    answers.iter().for_each(|answer| ledger.count(answer));
    answers
}

/// What the models behind a member were asked; a member that is one model was asked what its ledger has.
fn spent<T: Teacher + ?Sized>(teacher: &T, ledger: &Ledger) -> BTreeMap<String, LedgerSnapshot> {
    let several = teacher.spent_by_model();
    if several.is_empty() {
        BTreeMap::from([(teacher.model().to_owned(), ledger.snapshot())])
    } else {
        several
    }
}

fn by_model(
    members: impl IntoIterator<Item = BTreeMap<String, LedgerSnapshot>>,
) -> BTreeMap<String, LedgerSnapshot> {
    let mut all = BTreeMap::new();
    for (model, spent) in members.into_iter().flatten() {
        let sum: &mut LedgerSnapshot = all.entry(model).or_default();
        *sum = sum.plus(&spent);
    }
    all
}

impl<A: Teacher, B: Teacher> fmt::Debug for Fallback<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback").field("model", &self.model).finish_non_exhaustive()
    }
}

/// Asks several teachers and takes the mean of their log-probabilities, with weights: the logarithmic opinion pool (Genest and
/// Zidek, Statistical Science 1986).
///
/// The pooled distribution is as sharp as the teachers on average, and a label that one of them rules out is ruled out. A label
/// that a teacher gave no probability for is missing from the answer.
pub struct Ensemble {
    members: Vec<Member>,
    model: String,
}

struct Member {
    teacher: Box<dyn Teacher>,
    /// Of all weights.
    share: f64,
    ledger: Ledger,
}

impl Ensemble {
    /// Teachers with their weights, which need not sum to 1.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) without a teacher, or if a weight is not finite and above 0.
    pub fn new(members: Vec<(Box<dyn Teacher>, f64)>) -> Result<Self> {
        if members.is_empty() {
            return Err(ConfigError::new("members", "at least one teacher", "none").into());
        }
        if let Some((teacher, weight)) = members.iter().find(|(_, w)| !(w.is_finite() && *w > 0.0)) {
            let expected = format!("a finite weight above 0 for `{}`", teacher.model());
            return Err(ConfigError::new("members", expected, weight).into());
        }
        let total: f64 = members.iter().map(|(_, weight)| weight).sum();
        let members: Vec<Member> = members
            .into_iter()
            .map(|(teacher, weight)| Member { teacher, share: weight / total, ledger: Ledger::default() })
            .collect();
        let names: Vec<String> =
            members.iter().map(|member| format!("{:.3} {}", member.share, member.teacher.model())).collect();
        Ok(Self { members, model: format!("mean of {}", names.join(" + ")) })
    }

    /// The members' answers to one question, with their shares, as one.
    fn pool(&self, question: &Question<'_>, given: Vec<(f64, LabelAnswer)>) -> Result<LabelAnswer> {
        let mut pooled = vec![0.0; question.labels.len()];
        let (mut tokens, mut evidence, mut whole) = (0, Vec::new(), false);
        for (share, answer) in given {
            for (sum, lp) in pooled.iter_mut().zip(&answer.log_probs) {
                *sum += share * lp.min(0.0);
            }
            tokens = answer.tokens.saturating_add(tokens);
            match answer.evidence {
                Some(fields) => evidence.extend(fields),
                None => whole = true,
            }
        }
        let mut answer = LabelAnswer::new(pooled, tokens);
        answer.check(&self.model, question)?;
        evidence.sort_unstable();
        evidence.dedup();
        // A member that read the whole prompt rests on all fields in it.
        answer.evidence = (!whole).then_some(evidence);
        Ok(answer)
    }
}

impl Teacher for Ensemble {
    fn model(&self) -> &str {
        &self.model
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        only(self.answer_batch(std::slice::from_ref(question)))
    }

    /// A question that one member cannot answer has the first such member's error, and is not asked of the later ones.
    fn answer_batch(&self, questions: &[Question<'_>]) -> Vec<Result<LabelAnswer>> {
        let mut given: Vec<Result<Vec<(f64, LabelAnswer)>>> =
            questions.iter().map(|_| Ok(Vec::new())).collect();
        for member in &self.members {
            let open: Vec<usize> = (0..given.len()).filter(|&i| given[i].is_ok()).collect();
            let asked: Vec<Question<'_>> = open.iter().map(|&i| questions[i].clone()).collect();
            for (i, answer) in open.into_iter().zip(ask_counted(&member.teacher, &member.ledger, &asked)) {
                match (answer, &mut given[i]) {
                    (Ok(answer), Ok(answers)) => answers.push((member.share, answer)),
                    (Err(error), slot) => *slot = Err(error),
                    (Ok(_), Err(_)) => {}
                }
            }
        }
        questions.iter().zip(given).map(|(question, given)| self.pool(question, given?)).collect()
    }

    /// The largest of its members': what asks one after the other takes more at once as well.
    fn batch_size(&self) -> usize {
        self.members.iter().map(|member| member.teacher.batch_size()).max().unwrap_or(1)
    }

    fn cache_key(&self, question: &Question<'_>) -> Option<PromptKey> {
        self.members.iter().try_fold(question.key(&self.model), |key, member| {
            let own = member.teacher.cache_key(question)?;
            // A member's name is in that of the ensemble; the way it answers need not be.
            let plain = own == question.key(member.teacher.model());
            Some(if plain { key } else { key.with_way(&own.to_string()) })
        })
    }

    fn holds(&self, question: &Question<'_>) -> bool {
        self.members.iter().all(|member| member.teacher.holds(question))
    }

    fn spent_by_model(&self) -> BTreeMap<String, LedgerSnapshot> {
        by_model(self.members.iter().map(|member| spent(&member.teacher, &member.ledger)))
    }
}

impl fmt::Debug for Ensemble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ensemble").field("model", &self.model).finish_non_exhaustive()
    }
}
