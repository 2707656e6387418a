//! What ends a run early: its caller, or a teacher that answers nobody.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::answer::LabelAnswer;
use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::question::Question;
use crate::teacher::Teacher;

/// What tells that a run is to stop.
pub(super) type Stopped<'a> = &'a (dyn Fn() -> bool + Sync);

/// Failed attempts at a state, before anything was answered, that end a run.
const FIRST: u32 = 10;
/// Failed attempts at a state in a row that end a run later on: a server may be away for minutes.
const SERIES: u32 = 50;
/// Users in a row, before the teacher answered anything and after it did, whose refusals by 403 end a run: that of one may be about his
/// prompt, those of many are about the key.
const FORBIDDEN: [u32; 2] = [5, 10];
/// No question counts for more, however often it was tried: one alone must not end a run.
const OF_A_QUESTION: u32 = 5;

/// Watches the answers of a run, over all its workers.
///
/// A teacher that answers nobody would otherwise be asked about every user, for minutes each where a server is silent, and all that
/// comes of it is a corpus of failed users. So the run ends where the first attempts all fail, where many fail in a row,
/// or at once with a fault that every question will meet. Failures are counted for each state apart: one whose labels the teacher never has a
/// probability for fails every user, though the others are answered.
pub(super) struct RunGuard<'a> {
    stopped: Stopped<'a>,
    mode: Mode,
    ended: AtomicBool,
    state: Mutex<State>,
}

/// What becomes of failures, and of answers that cover too little.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Both are passed on as failures, and too many end the run.
    Run,
    /// The same without an end: a single user's.
    One,
    /// As `Run`, but answers that cover too little are passed on as they are.
    Record,
}

#[derive(Default)]
struct State {
    /// By the state of the chain.
    series: BTreeMap<usize, Series>,
    /// Whether anything was answered, in this run or in one that it goes on with, and whether it was computed and not at hand.
    answered: bool,
    computed: bool,
    /// What ended the run.
    error: Option<Error>,
}

#[derive(Clone, Copy, Default)]
struct Series {
    /// Failed attempts since the last answer.
    attempts: u32,
    /// Whether the last failure was that of a server that did not answer.
    of_server: bool,
    /// Refusals by 403 in a row.
    forbidden: u32,
}

impl<'a> RunGuard<'a> {
    /// Ends a run when it is `stopped`, or its teacher answers nobody.
    pub(super) fn new(stopped: Stopped<'a>) -> Self {
        Self { stopped, mode: Mode::Run, ended: AtomicBool::new(false), state: Mutex::default() }
    }

    /// The same for a run that goes on with what another has begun: it asks those first about whom that failed, and they may fail again.
    pub(super) fn resumed(stopped: Stopped<'a>) -> Self {
        Self { state: Mutex::new(State { answered: true, ..State::default() }), ..Self::new(stopped) }
    }

    /// For one user, who fails as any error has it.
    pub(super) fn of_one_user() -> Self {
        Self { mode: Mode::One, ..Self::new(&|| false) }
    }

    /// For a recording, which keeps whatever is answered, and may go on with what another has begun.
    pub(super) fn of_recording(stopped: Stopped<'a>, resumed: bool) -> Self {
        let guard = if resumed { Self::resumed(stopped) } else { Self::new(stopped) };
        Self { mode: Mode::Record, ..guard }
    }

    /// Whether no further question shall be asked.
    pub(super) fn stopped(&self) -> bool {
        self.ended.load(Ordering::Relaxed) || (self.stopped)()
    }

    /// Asks questions of which the first that fails makes the others needless, as many at once as the teacher is fast with. Returns the
    /// answers to the first questions, at least up to one that failed.
    ///
    /// # Errors
    /// As [`ask_batch`](Self::ask_batch).
    pub(super) fn ask<T: Teacher + ?Sized>(
        &self,
        teacher: &T,
        questions: &[Question<'_>],
    ) -> Result<Vec<Result<LabelAnswer>>> {
        let mut answers = Vec::with_capacity(questions.len());
        for batch in questions.chunks(teacher.batch_size().max(1)) {
            answers.extend(self.ask_batch(teacher, batch)?);
            if answers.iter().any(Result::is_err) {
                break;
            }
        }
        Ok(answers)
    }

    /// Asks questions at once, and takes note of what comes.
    ///
    /// # Errors
    /// [`Error::Stopped`], before or while they are asked.
    pub(super) fn ask_batch<T: Teacher + ?Sized>(
        &self,
        teacher: &T,
        questions: &[Question<'_>],
    ) -> Result<Vec<Result<LabelAnswer>>> {
        if self.stopped() {
            return Err(Error::Stopped);
        }
        let answers = teacher.answer_batch(questions).into_iter().zip(questions);
        answers.map(|(answer, question)| self.note(teacher.model(), question, answer)).collect()
    }

    /// Takes note of an answer and passes it on, unless nobody waits for it any more.
    fn note(
        &self,
        model: &str,
        question: &Question<'_>,
        answer: Result<LabelAnswer>,
    ) -> Result<Result<LabelAnswer>> {
        match answer {
            Err(Error::Stopped) => Err(Error::Stopped),
            Err(error) => Ok(Err(self.failed(question.state, error)?)),
            Ok(answer) => match answer.check_covered_mass(model, question) {
                Ok(()) => {
                    self.answered(question.state, &answer);
                    Ok(Ok(answer))
                }
                Err(error) => {
                    let error = self.failed(question.state, error)?;
                    Ok(if self.mode == Mode::Record { Ok(answer) } else { Err(error) })
                }
            },
        }
    }

    fn answered(&self, state: usize, answer: &LabelAnswer) {
        let mut watched = self.lock();
        watched.answered = true;
        watched.computed |= !answer.cached;
        let series = watched.series.entry(state).or_default();
        series.forbidden = 0;
        // What was at hand tells nothing about a server.
        if !answer.cached || !series.of_server {
            series.attempts = 0;
        }
    }

    /// Counts a failure, and gives it back unless the run ends with it.
    fn failed(&self, state: usize, error: Error) -> Result<Error> {
        if self.mode == Mode::One {
            return Ok(error);
        }
        let mut watched = self.lock();
        let (answered, computed) = (watched.answered, watched.computed);
        let series = watched.series.entry(state).or_default();
        let fault = error.fault();
        let tried = match (&error, fault) {
            (Error::GaveUp { attempts, .. }, _) => (*attempts).clamp(1, OF_A_QUESTION),
            // It has waited for the server as long as a question may.
            (_, Some(Fault::CircuitOpen { .. })) => OF_A_QUESTION,
            _ => 1,
        };
        let permanent = fault.is_some_and(Fault::is_permanent);
        let forbidden = matches!(fault, Some(Fault::Refused { status: 403, .. }));
        series.forbidden = if forbidden { series.forbidden + 1 } else { 0 };
        // A run that goes on with another asks those first who were refused before.
        let most_forbidden = match (computed, answered) {
            (true, _) => FORBIDDEN[1],
            (false, true) => SERIES,
            (false, false) => FORBIDDEN[0],
        };
        // One that refuses a request is there.
        series.of_server = fault.is_some_and(|fault| {
            !matches!(fault, Fault::Refused { .. } | Fault::PromptRefused { .. } | Fault::Unusable { .. })
        });
        series.attempts = series.attempts.saturating_add(tried);
        let has_answered = if series.of_server { computed } else { answered };
        let most = if has_answered { SERIES } else { FIRST };
        if !permanent && series.attempts < most && series.forbidden < most_forbidden {
            return Ok(error);
        }
        let failures = series.attempts;
        watched.error.get_or_insert(Error::NoAnswers { failures, source: Box::new(error) });
        self.ended.store(true, Ordering::Relaxed);
        Err(Error::Stopped)
    }

    /// What ended the run, if it was its teacher.
    ///
    /// # Errors
    /// [`Error::NoAnswers`].
    pub(super) fn finish(&self) -> Result<()> {
        self.lock().error.take().map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counts that are a little old at worst.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
