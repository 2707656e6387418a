//! The folds, each in stages that are run or loaded.
//!
//! A fold has a stage per corpus (the teacher's part) and one for everything that follows from it. What decides a stage's result are its
//! inputs, so another teacher makes all of them run again, and other numbers of labels leave the corpora as they are.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use scaletot_core::Progress;
use scaletot_core::files::{create_dir_all, write_json};
use scaletot_eval::planted::PlantedConfig;
use scaletot_teacher::Reasoner;

use super::PLANTED_FOLDS;
use super::fold::{CORPUS, FoldWork};
use super::fold_result::FoldResult;
use super::folds::Fold;
use super::options::EvaluateOptions;
use super::provenance::{measured, reasoned};
use super::resample::Measuring;
use super::results::{ArmInfo, Labels};
use super::study::Study;
use super::{coverage, peers, preflight};
use crate::error::{Context, Result, ensure};
use crate::pipeline::read_json;
use crate::pipeline::record::{Inputs, StageReport};
use crate::pipeline::stages::{StageFiles, Stages};

/// A fold's figures.
pub(super) const FOLD: &str = "fold.json";

pub(super) struct Run<'a> {
    pub(super) options: &'a EvaluateOptions,
    pub(super) device: Device,
    pub(super) progress: &'a dyn Progress,
    pub(super) stages: Stages,
    /// Inputs of every stage.
    pub(super) identity: Inputs,
    pub(super) folds: Vec<FoldResult>,
    /// Arms of other libraries.
    pub(super) peers: Vec<ArmInfo>,
    /// Seconds of the folds, those of earlier runs among them.
    pub(super) spent: f64,
    /// Users about whom the teacher failed, once for each fold in which they are covered.
    pub(super) failed: u64,
}

impl Run<'_> {
    /// One split of a world of its own per repeat; gives the last world.
    pub(super) fn worlds(&mut self) -> Result<Study> {
        let mut last = None;
        for repeat in 0..self.options.repeats {
            let source = &self.options.source;
            let seed = source.seed + repeat as u64;
            let config = PlantedConfig::default();
            let least = source.min_populated(config.fields);
            let study = Study::of_world(&config, &source.blur(), least, seed)?;
            let mut fold = study.folds(PLANTED_FOLDS, 1, seed).remove(0);
            fold.repeat = repeat;
            preflight::check(&study, std::slice::from_ref(&fold))?;
            self.fold(&study, fold)?;
            last = Some(study);
        }
        last.context("no repeat was run")
    }

    pub(super) fn fold(&mut self, study: &Study, mut fold: Fold) -> Result<()> {
        let (options, progress, device) = (self.options, self.progress, self.device.clone());
        let name = format!("repeat {} fold {}", fold.repeat + 1, fold.fold + 1);
        let place = name.replace(' ', "-");
        let dir = options.out().join(&place);
        // Whoever has a profile but no known outcome may still be learned from.
        fold.train.extend(study.eligible.iter().filter(|&&row| study.dataset.outcome(row).is_none()));
        fold.train.sort_unstable();
        let work = FoldWork::new(study, options, &device, progress, &fold);
        // Calibrated when a stage first needs it.
        let mut reasoner = None;

        let mut inputs = measured(&self.identity, options);
        let mut teacher = StageReport::default();
        let further: &[f64] = if fold.repeat == 0 { &options.coverage_curve } else { &[] };
        for (at, &coverage) in std::iter::once(&options.coverage).chain(further).enumerate() {
            let own = at == 0;
            let directory =
                if own { place.clone() } else { format!("{place}/{}", coverage::directory(coverage)) };
            let corpus = format!("{directory}/{CORPUS}");
            let title = if own { String::new() } else { format!(" at coverage {coverage}") };
            let files = StageFiles {
                name: &format!("{name}: reason{title}"),
                outputs: &[corpus.as_str()],
                checkpoint: Some(&corpus),
                paid: true,
            };
            let directory = options.out().join(&directory);
            let reason = || {
                let reasoner = calibrated(&mut reasoner, &work)?;
                create_dir_all(&directory)?;
                Ok(((), work.reason(reasoner, coverage, &directory)?.report()))
            };
            let stage_inputs = reasoned(&self.identity, options, coverage)?;
            let done = self.stages.run(&files, stage_inputs, progress, || Ok(()), reason)?;
            inputs.insert(format!("corpus{title}"), done.hash.short());
            self.spent += done.report.seconds;
            self.failed += done.report.failed();
            if own {
                teacher = done.report;
            }
        }

        let file = dir.join(FOLD);
        let outputs = [FOLD, peers::USERS, peers::DRAWS].map(|name| format!("{place}/{name}"));
        let files = StageFiles {
            name: &format!("{name}: measure"),
            outputs: &outputs.each_ref().map(String::as_str),
            checkpoint: None,
            paid: false,
        };
        let users = fold.train.len() + fold.test.len();
        let measure = || {
            let result = work.run(calibrated(&mut reasoner, &work)?, &teacher, &dir)?;
            write_json(&file, &result)?;
            Ok((result, StageReport::of_users(users)))
        };
        let done = self.stages.run(&files, inputs, progress, || read_json(&file), measure)?;
        self.spent += done.report.seconds;
        self.add(&dir, done.value)
    }

    /// Takes a fold's figures in, with those of other libraries if there are any.
    fn add(&mut self, dir: &Path, mut fold: FoldResult) -> Result<()> {
        for (peer, scores) in peers::import(dir, &fold.sizes, fold.test.len())? {
            let measuring = Measuring {
                options: self.options,
                repeat: fold.repeat,
                fold: fold.fold,
                sizes: &fold.sizes,
                test: &fold.test,
                outcomes: &fold.outcomes,
                progress: self.progress,
            };
            let cells = measuring.cells(&peer.name, &scores);
            let with_all = scores.get(&(Labels::All, 0)).cloned();
            let replicates = measuring.replicates(&BTreeMap::from([(peer.name.clone(), scores)]))?;
            fold.cells.extend(cells);
            fold.replicates.extend(replicates);
            fold.predictions.extend(with_all.map(|scores| (peer.name.clone(), scores)));
            if self.peers.iter().all(|known| known.name != peer.name) {
                self.peers.push(ArmInfo { name: peer.name, description: peer.description });
            }
        }
        self.folds.push(fold);
        Ok(())
    }

    /// A peer of some folds alone would be compared over other users than the rest.
    pub(super) fn check_peers(&self) -> Result<()> {
        for peer in &self.peers {
            let has = |fold: &&FoldResult| fold.cells.iter().any(|cell| cell.arm == peer.name);
            let folds = self.folds.iter().filter(has).count();
            ensure!(
                folds == self.folds.len(),
                "{}: `{}` has predictions for {folds} of {} folds; run benches/peers/peers.py on it again",
                self.options.out().display(),
                peer.name,
                self.folds.len()
            );
        }
        Ok(())
    }
}

/// The fold's reasoner, calibrated when it is first asked for.
fn calibrated<'r, 's>(
    reasoner: &'r mut Option<Reasoner<'s>>,
    work: &FoldWork<'s>,
) -> Result<&'r Reasoner<'s>> {
    Ok(match reasoner {
        Some(reasoner) => reasoner,
        none => none.insert(work.reasoner()?),
    })
}
