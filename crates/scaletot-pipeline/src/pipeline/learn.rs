//! The student: SFT on the corpus, then OSIPO on the outcomes of the reasoned users.

use std::path::PathBuf;

use crate::error::Result;
use scaletot_chain::Corpus;
use scaletot_student::{Checkpoints, Osipo, OsipoConfig, Sft, SftConfig, Student, StudentConfig};

use super::Run;
use crate::stages::{StageReport, write_json};

impl Run<'_> {
    fn sft_path(&self) -> PathBuf {
        self.path(super::SFT_STUDENT)
    }

    pub(super) fn student_path(&self) -> PathBuf {
        self.path(super::STUDENT)
    }

    pub(super) fn student(&self) -> Result<Student> {
        Ok(Student::load(self.student_path(), &self.device)?)
    }

    fn corpus(&self) -> Result<Corpus> {
        Ok(Corpus::read(self.corpus_path(), &self.input.chain)?)
    }

    /// Supervised fine-tuning on the accepted chains.
    pub(super) fn sft(&mut self) -> Result<StageReport> {
        let (corpus, dataset) = (self.corpus()?, self.input.training_dataset()?);
        let joined = corpus.join(&dataset)?;
        let fit_on = self.input.profiles.select(&self.input.train)?;
        let seed = self.options.seed;
        let fresh = Student::new(&StudentConfig::default(), &fit_on, &self.input.chain, seed, &self.device)?;
        let mut config = SftConfig::default();
        config.checkpoints = Some(Checkpoints::at(self.path(super::SFT_CHECKPOINT)));
        let (student, log) = Sft::new(config)?.fit(&fresh, &joined, seed, self.progress)?;
        student.save(self.sft_path())?;
        write_json(&self.path(super::SFT_LOG), &log)?;
        let mut report = StageReport { users: joined.len() as u64, ..StageReport::default() };
        report.figures.insert("parameters".to_owned(), student.num_params() as f64);
        report.figures.insert("epochs".to_owned(), log.epochs.len() as f64);
        Ok(report)
    }

    /// OSIPO on the candidates of the corpus; the SFT student is the reference.
    pub(super) fn osipo(&mut self) -> Result<StageReport> {
        let (corpus, dataset) = (self.corpus()?, self.input.training_dataset()?);
        let joined = corpus.join(&dataset)?;
        let reference = Student::load(self.sft_path(), &self.device)?;
        let mut config = OsipoConfig::default();
        config.checkpoints = Some(Checkpoints::at(self.path(super::OSIPO_CHECKPOINT)));
        let osipo = Osipo::new(config)?;
        let (student, log) = osipo.fit(&reference, &joined, self.options.seed, self.progress)?;
        student.save(self.student_path())?;
        write_json(&self.path(super::OSIPO_LOG), &log)?;
        let mut report = StageReport { users: log.users as u64, ..StageReport::default() };
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
        Ok(report)
    }
}
