//! The encoder: distilled from the student, compared with the same network on outcomes alone, and serving everybody.

use std::path::PathBuf;

use crate::error::Result;
use scaletot_chain::Signals;
use scaletot_encoder::{
    ArtifactInfo, DistillConfig, DistillData, Distiller, EncoderConfig, FrozenEncoder, Readiness, Scores,
    TransferGate, TransferReport,
};
use scaletot_eval::{Bootstrap, Direction, Metric, Verdict};
use scaletot_profile::{Attributes, Dataset, write};

use super::Run;
use crate::options::PipelineOptions;
use crate::signals::of_scores;
use crate::stages::{StageReport, write_json};

/// Users whom the student reads at a time.
const BATCH: usize = 256;

/// What the encoder has to show of the student on the held-out users, or it is not served.
pub(super) fn gate(options: &PipelineOptions) -> TransferGate {
    let mut gate = TransferGate::default();
    gate.min_agreement = Some(options.min_agreement);
    gate.min_retention = options.min_retention;
    gate
}

impl Run<'_> {
    fn artifact_path(&self) -> PathBuf {
        self.path(super::ARTIFACT)
    }

    fn profile_only_path(&self) -> PathBuf {
        self.path(super::PROFILE_ONLY)
    }

    pub(super) fn encoder(&self) -> Result<FrozenEncoder> {
        Ok(FrozenEncoder::load(self.artifact_path(), &self.input.schema)?)
    }

    pub(super) fn profile_only_encoder(&self) -> Result<FrozenEncoder> {
        Ok(FrozenEncoder::load(self.profile_only_path(), &self.input.schema)?)
    }

    fn distiller(&self) -> Result<Distiller> {
        let mut config = EncoderConfig::default();
        config.min_populated = self.options.min_populated.max(1);
        Ok(Distiller::new(config, DistillConfig::default())?)
    }

    fn signals(&self, rows: &[usize]) -> Result<Signals> {
        Ok(self.student()?.infer(&self.input.profiles, rows, BATCH)?.into_signals())
    }

    /// Distils the student into the encoder: the training users' signals (the student has read all of them, the teacher only the
    /// covered ones) and their outcomes. Measures on the held-out users how much of the student arrived.
    pub(super) fn distil(&mut self) -> Result<StageReport> {
        let (train, dataset) = (self.input.train.clone(), self.input.training_dataset()?);
        let signals = self.signals(&train)?;
        let data = DistillData::new(&dataset, &self.input.chain).with_signals(&signals)?.with_rows(&train)?;
        let (trained, log) = self.distiller()?.fit(&data, self.options.seed, &self.device, self.progress)?;
        let transfer = self.transfer(trained.frozen(), &dataset, signals)?;
        let mut report = StageReport { users: train.len() as u64, ..StageReport::default() };
        report.figures.extend([
            ("held-out state agreement".to_owned(), transfer.mean_agreement()),
            ("held-out KL (nats per state)".to_owned(), transfer.mean_kl()),
            ("held-out cosine".to_owned(), transfer.cosine),
            ("held-out CKA".to_owned(), transfer.cka),
        ]);
        report
            .figures
            .extend(transfer.retention.map(|kept| ("held-out share of the student's gain".to_owned(), kept)));
        let mut info = ArtifactInfo::new()
            .with_note(format!("trained on {}, outcome `{}`", self.summary.data, self.options.outcome))
            .with_gate(transfer.clone(), gate(self.options))?;
        for (name, value) in &report.figures {
            info = info.with_metric(name, *value);
        }
        if let Readiness::NotReady { reasons } = info.readiness() {
            (self.say)(&format!("the encoder is not ready to serve: {}", reasons.join("; ")));
        }
        trained.save(self.artifact_path(), info)?;
        write_json(&self.path(super::TRANSFER), &transfer)?;
        write_json(&self.path(super::ENCODER_LOG), &log)?;
        Ok(report)
    }

    /// How the encoder reproduces the student on the held-out users, and how much of what the student's signals add to a ridge on the
    /// profile the encoder's add too, by Spearman's correlation: left open unless the student's gain is beyond chance. `signals` are the
    /// student's of the training users, whose chains and outcomes it has seen.
    fn transfer(
        &self,
        encoder: &FrozenEncoder,
        dataset: &Dataset,
        signals: Signals,
    ) -> Result<TransferReport> {
        let input = &self.input;
        let held_out = self.signals(&input.test)?;
        let report = encoder.transfer_report(dataset, &held_out)?;

        let student = signals.concat(&held_out)?;
        let encoder = of_scores(&encoder.score(&input.profiles)?)?;
        let truth: Vec<f64> = input.test.iter().filter_map(|&row| input.outcomes[row]).collect();
        let labelled = self.labelled()?;
        let (alone, with_student) = (labelled.ridge(self, None)?, labelled.ridge(self, Some(&student))?);
        let (bootstrap, seed) = (Bootstrap::default(), self.options.seed);
        let gain = Metric::Spearman.compare(&truth, &with_student, &alone, &bootstrap, seed)?;
        // A share of what chance alone may have made would say nothing.
        if gain.verdict() != Verdict::Shown(Direction::Better) {
            return Ok(report);
        }
        let spearman = |predicted: &[f64]| Metric::Spearman.compute(&truth, predicted);
        let with_encoder = labelled.ridge(self, Some(&encoder))?;
        Ok(report.with_retention(spearman(&alone)?, spearman(&with_student)?, spearman(&with_encoder)?))
    }

    /// The same network, trained alike, on outcomes alone.
    pub(super) fn profile_only(&mut self) -> Result<StageReport> {
        let dataset = self.input.training_dataset()?;
        let data = DistillData::new(&dataset, &self.input.chain).with_rows(&self.input.train)?;
        let (trained, log) = self.distiller()?.fit(&data, self.options.seed, &self.device, self.progress)?;
        trained
            .save(self.profile_only_path(), ArtifactInfo::new().with_note("outcomes alone, no signals"))?;
        Ok(StageReport { users: log.labelled_rows as u64, ..StageReport::default() })
    }

    /// Scores every user of the table from the artifact alone and writes `scores.parquet`.
    pub(super) fn score(&mut self) -> Result<StageReport> {
        let scores = self.encoder()?.score(&self.input.profiles)?;
        let abstained = scores.abstentions();
        let columns = self.columns(scores)?;
        let profiles = &self.input.profiles;
        write(self.path(super::SCORES), self.input.schema.id_column(), profiles.ids(), None, &columns)?;
        let mut report = StageReport { users: profiles.len() as u64, ..StageReport::default() };
        report.figures.insert("abstained".to_owned(), abstained as f64);
        Ok(report)
    }

    /// The columns of `scores.parquet`: `value`, `p_positive`, `abstained`, then per state the expected level of an ordinal state
    /// (0 to 1) or the likeliest value of a categorical one.
    fn columns(&self, scores: Scores) -> Result<Attributes> {
        let mut columns = Attributes::new();
        for (state, posterior) in self.input.chain.states().iter().zip(&scores.posteriors) {
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
                let likeliest = rows.map(|(p, &abstained)| {
                    let best = p.iter().zip(state.values()).max_by(|a, b| a.0.total_cmp(b.0));
                    best.filter(|_| !abstained).map(|(_, value)| value.clone())
                });
                columns.insert_text(state.name(), likeliest.collect())?;
            }
        }
        columns.insert_number("value", scores.values().collect())?;
        let p_positive = scores.p_positive.iter().map(|p| (!p.is_nan()).then_some(f64::from(*p)));
        columns.insert_number("p_positive", p_positive.collect())?;
        columns.insert_flag("abstained", scores.abstained.into_iter().map(Some).collect())?;
        Ok(columns)
    }
}
