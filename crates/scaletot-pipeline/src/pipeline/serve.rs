//! The encoder: distilled from the student, and serving everybody.

use scaletot_chain::{ChainSchema, Signals};
use scaletot_core::Progress;
use scaletot_core::files::write_json;
use scaletot_encoder::{
    ArtifactInfo, DistillData, Distiller, FrozenEncoder, Readiness, Scores, TransferReport,
};
use scaletot_eval::{Bootstrap, Direction, Metric, Verdict};
use scaletot_ltv::{Component, ValueTrainer};
use scaletot_profile::{Attributes, ProfileTable, write};
use scaletot_student::Student;

use super::record::StageReport;
use super::split::known_outcomes;
use super::{Artifact, Done, Pipeline, Stage, settings};
use crate::error::Result;
use crate::options::device_name;
use crate::signals::{of_everybody, of_student};

/// What a student says of every user of a table.
fn student_signals(student: &Student, table: &ProfileTable, progress: &dyn Progress) -> Result<Signals> {
    let rows: Vec<usize> = (0..table.len()).collect();
    of_student(student, table, &rows, progress)
}

impl Pipeline {
    /// Distils the student into the encoder: the training users' signals (the student has read all of them, the teacher only the
    /// covered ones) and their outcomes. Measures on the held-out users how much of the student arrived.
    ///
    /// # Errors
    /// If training fails or a file cannot be written; [`Error::Stopped`](crate::Error::Stopped).
    pub fn distil(&self, student: &Done<Student>, progress: &dyn Progress) -> Result<Done<FrozenEncoder>> {
        let inputs = self.inputs([
            ("student", student.hash.short()),
            ("encoder", settings(&self.config.encoder)?),
            ("distil", settings(&self.config.distil)?),
            ("gate", settings(&self.config.gate)?),
            ("device", device_name(&self.device)),
        ]);
        // One that is not ready to serve is measured all the same.
        let load = || Ok(FrozenEncoder::load_for_inspection(self.path("encoder"))?);
        self.stage(Stage::Distil, inputs, progress, load, || {
            let targets = student_signals(&student.value, self.training.table(), progress)?;
            let data = DistillData::new(&self.training, &self.chain).with_signals(&targets)?;
            let distiller = Distiller::new(self.config.encoder.clone(), self.config.distil.clone())?;
            let (trained, log) = distiller.fit(&data, self.seed, &self.device, progress)?;
            let transfer = self.transfer(&student.value, trained.frozen(), &targets, progress)?;
            let mut report = StageReport::of_users(self.training.len());
            report.figures.extend([
                ("held-out state agreement".to_owned(), transfer.mean_agreement()),
                ("held-out KL (nats per state)".to_owned(), transfer.mean_kl()),
                ("held-out cosine".to_owned(), transfer.cosine),
                ("held-out CKA".to_owned(), transfer.cka),
            ]);
            report.figures.extend(
                transfer.retention.map(|kept| ("held-out share of the student's gain".to_owned(), kept)),
            );
            let mut info = ArtifactInfo::new().with_gate(transfer.clone(), self.config.gate.clone())?;
            for (name, value) in &report.figures {
                info = info.with_metric(name, *value);
            }
            if let Readiness::NotReady { reasons } = info.readiness() {
                progress.note(&format!("  the encoder is not ready to serve: {}", reasons.join("; ")));
            }
            trained.save(self.path("encoder"), info)?;
            write_json(self.path("transfer.json"), &transfer)?;
            write_json(self.path("encoder.log.json"), &log)?;
            Ok((FrozenEncoder::load_for_inspection(self.path("encoder"))?, report))
        })
    }

    /// How the encoder reproduces the student on the held-out users, and how much of what the student's signals add to a ridge on the
    /// profile the encoder's add too, by Spearman's correlation: left open unless the student's gain is beyond chance. `targets` are the
    /// student's signals of the training users, whose chains and outcomes it has seen.
    fn transfer(
        &self,
        student: &Student,
        encoder: &FrozenEncoder,
        targets: &Signals,
        progress: &dyn Progress,
    ) -> Result<TransferReport> {
        let held_out = student_signals(student, self.held_out.table(), progress)?;
        let report = encoder.transfer_report(&self.held_out, &held_out)?;
        let trainer = ValueTrainer::new(
            self.config.value.clone().with_components([Component::Ridge, Component::Informed]),
        )?;
        let base = trainer.fit_base(&self.training, self.seed, progress)?;
        let test = self.held_out.table();
        let with = |train: &Signals, held_out: &Signals| -> Result<Vec<f64>> {
            Ok(base.value_model(&[Component::Informed], train, progress)?.predict(test, held_out)?)
        };
        let alone = base.value_model(&[Component::Ridge], None, progress)?.predict(test, None)?;
        let with_student = with(targets, &held_out)?;
        let truth = known_outcomes(&self.held_out);
        let gain =
            Metric::Spearman.compare(&truth, &with_student, &alone, &Bootstrap::default(), self.seed)?;
        // A share of what chance alone may have made would say nothing.
        if gain.verdict() != Verdict::Shown(Direction::Better) {
            return Ok(report);
        }
        let with_encoder =
            with(&of_everybody(encoder, self.training.table())?, &of_everybody(encoder, test)?)?;
        let spearman = |predicted: &[f64]| Metric::Spearman.compute(&truth, predicted);
        Ok(report.with_retention(spearman(&alone)?, spearman(&with_student)?, spearman(&with_encoder)?))
    }

    /// Scores every user of the table from the artifact alone and writes `scores.parquet`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn score(&self, artifact: &Done<Artifact>, progress: &dyn Progress) -> Result<Done<()>> {
        let inputs = self.inputs([("artifact", artifact.hash.short())]);
        self.stage(
            Stage::Score,
            inputs,
            progress,
            || Ok(()),
            || {
                let table = self.dataset.table();
                let scores = artifact.value.encoder.score(table)?;
                let abstained = scores.abstentions();
                let columns = columns(&self.chain, scores)?;
                let id = table.schema().id_column();
                write(self.path("scores.parquet"), id, table.ids(), None, &columns)?;
                let mut report = StageReport::of_users(table.len());
                report.figures.insert("abstained".to_owned(), abstained as f64);
                Ok(((), report))
            },
        )
    }
}

/// The columns of `scores.parquet`: per state the expected level of an ordinal one (0 to 1) or the most probable value of a
/// categorical one, then `value`, `p_positive`, `abstained`.
fn columns(chain: &ChainSchema, scores: Scores) -> Result<Attributes> {
    let mut columns = Attributes::new();
    for (state, posterior) in chain.states().iter().zip(&scores.posteriors) {
        let rows = posterior.outer_iter().zip(&scores.abstained);
        if state.ordinal() {
            let top = (state.values().len().max(2) - 1) as f64;
            let level = rows.map(|(p, &abstained)| {
                (!abstained).then(|| {
                    p.iter().zip(0u32..).map(|(&p, v)| f64::from(p) * f64::from(v)).sum::<f64>() / top
                })
            });
            columns.insert_number(format!("{}_level", state.name()), level.collect())?;
        } else {
            let most_probable = rows.map(|(p, &abstained)| {
                let best = p.iter().zip(state.values()).max_by(|a, b| a.0.total_cmp(b.0));
                best.filter(|_| !abstained).map(|(_, value)| value.clone())
            });
            columns.insert_text(state.name(), most_probable.collect())?;
        }
    }
    columns.insert_number("value", scores.values().collect())?;
    let p_positive = scores.p_positive.iter().map(|p| (!p.is_nan()).then_some(f64::from(*p)));
    columns.insert_number("p_positive", p_positive.collect())?;
    columns.insert_flag("abstained", scores.abstained.into_iter().map(Some).collect())?;
    Ok(columns)
}
