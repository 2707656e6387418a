//! The student: SFT on the corpus, then OSIPO on the outcomes of the reasoned users.

use scaletot_chain::Corpus;
use scaletot_core::Progress;
use scaletot_core::files::write_json;
use scaletot_student::{Checkpoints, Osipo, OsipoLog, Sft, Student};
use serde::Serialize;

use super::record::StageReport;
use super::{Done, Pipeline, Stage, settings};
use crate::error::{Result, causes};
use crate::options::device_name;

impl Pipeline {
    fn load_student(&self, stage: Stage) -> Result<Student> {
        Ok(Student::load(self.path(stage.outputs()[0]), &self.device)?)
    }

    /// Supervised fine-tuning on the accepted chains.
    ///
    /// # Errors
    /// If training fails or a file cannot be written; [`Error::Stopped`](crate::Error::Stopped).
    pub fn sft(&self, corpus: &Done<Corpus>, progress: &dyn Progress) -> Result<Done<Student>> {
        let inputs = self.inputs([
            ("corpus", corpus.hash.short()),
            ("student", settings(&self.config.student)?),
            ("sft", settings(&self.config.sft)?),
            ("device", device_name(&self.device)),
        ]);
        let load = || self.load_student(Stage::Sft);
        self.stage(Stage::Sft, inputs, progress, load, || {
            let joined = corpus.value.join(&self.training)?;
            let fit_on = self.dataset.table().select(&self.split.train)?;
            let fresh = Student::new(&self.config.student, &fit_on, &self.chain, self.seed, &self.device)?;
            let mut config = self.config.sft.clone();
            config.checkpoints = Some(Checkpoints::at(self.path("student-sft.checkpoint")));
            let (student, log) = Sft::new(config)?.fit(&fresh, &joined, self.seed, progress)?;
            student.save(self.path("student-sft"))?;
            write_json(self.path("student-sft.log.json"), &log)?;
            let mut report = StageReport::of_users(joined.len());
            report.figures.insert("parameters".to_owned(), student.num_params() as f64);
            report.figures.insert("epochs".to_owned(), log.epochs.len() as f64);
            Ok((student, report))
        })
    }

    /// OSIPO on the candidates of the corpus; the SFT student is the reference. Where nobody has what it learns from, an outcome and two chains
    /// that the outcome tells apart, the student stays as it is, and the report is of no user.
    ///
    /// # Errors
    /// As [`sft`](Self::sft).
    pub fn osipo(
        &self,
        corpus: &Done<Corpus>,
        sft: &Done<Student>,
        progress: &dyn Progress,
    ) -> Result<Done<Student>> {
        let inputs = self.inputs([
            ("corpus", corpus.hash.short()),
            ("student", sft.hash.short()),
            ("osipo", settings(&self.config.osipo)?),
            ("device", device_name(&self.device)),
        ]);
        let load = || self.load_student(Stage::Osipo);
        self.stage(Stage::Osipo, inputs, progress, load, || {
            let joined = corpus.value.join(&self.training)?;
            let mut config = self.config.osipo.clone();
            config.checkpoints = Some(Checkpoints::at(self.path("student-osipo.checkpoint")));
            match Osipo::new(config)?.fit(&sft.value, &joined, self.seed, progress) {
                Ok((student, log)) => {
                    student.save(self.path("student"))?;
                    write_json(self.path("student-osipo.log.json"), &log)?;
                    Ok((student, report(&log)))
                }
                // As where preferences do not carry over: the student is what SFT made of it.
                Err(error) if error.is_without_users() => {
                    let why = causes(&error);
                    progress.note(&format!("  {why}; the student stays as it is after SFT"));
                    sft.value.save(self.path("student"))?;
                    write_json(self.path("student-osipo.log.json"), &NotTrained { why })?;
                    Ok((self.load_student(Stage::Osipo)?, StageReport::of_users(0)))
                }
                Err(error) => Err(error.into()),
            }
        })
    }
}

/// The log of a training that nobody could be trained on.
#[derive(Debug, Serialize)]
struct NotTrained {
    why: String,
}

fn report(log: &OsipoLog) -> StageReport {
    let mut report = StageReport::of_users(log.users);
    // Epoch 0 is the SFT student: the preferences did not carry over to held-out users.
    report.figures.insert("epoch kept".to_owned(), log.best_epoch as f64);
    let accuracies = [("before", log.validation_before.as_ref()), ("after", log.validation_after())];
    for (when, held_out) in accuracies {
        if let Some(held_out) = held_out {
            if let Some(accuracy) = held_out.accuracy {
                report.figures.insert(format!("held-out implicit-reward accuracy {when}"), accuracy);
            }
            report.figures.insert(format!("held-out KL to SFT {when}"), held_out.kl);
        }
    }
    report
}
