//! What the study found: `study.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use scaletot_core::files::write_json;
use serde::{Deserialize, Serialize};

use super::measure::{Measure, Recovered};

/// Version of the form of `study.json`.
pub const FORMAT: u32 = 1;
/// The name of the file.
pub const FILE: &str = "study.json";

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyResults {
    /// [`FORMAT`] of the version that wrote it.
    pub format: u32,
    /// Everything that decides the figures but for seeds and arms.
    pub settings: BTreeMap<String, String>,
    /// The command line after the program's name.
    pub command: String,
    /// Processor and number of threads.
    pub machine: String,
    /// Date of the last figure, UTC, `YYYY-MM-DD`.
    pub date: String,
    /// One entry per world, by seed.
    pub seeds: Vec<SeedResult>,
}

/// One world.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SeedResult {
    /// Its seed.
    pub seed: u64,
    /// Users who were tested.
    pub test: usize,
    /// Users who were reasoned about.
    pub reasoned: usize,
    /// Of those, users whose chain was accepted.
    pub accepted: usize,
    /// Of those, users whose outcome was known to OSIPO.
    pub labelled: usize,
    /// Share of states that the most probable value given the profile is right about: nobody can do better.
    pub bayes: f64,
    /// Who was right about how many states.
    pub recovery: Vec<Recovery>,
    /// Seconds for all this: world, search, SFT.
    pub seconds: f64,
    /// The arms that were run.
    pub arms: Vec<ArmResult>,
}

/// How often somebody was right about the states of some users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// Who.
    pub who: String,
    /// Which users.
    pub users: String,
    /// How often.
    pub right: Recovered,
}

/// One arm on one world.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmResult {
    /// The arm's name.
    pub arm: String,
    /// Everything that decided its training beyond [`StudyResults::settings`]; an arm with others is run again.
    pub settings: String,
    /// What its training took.
    pub budget: Budget,
    /// Its figures on the test users.
    pub measures: BTreeMap<Measure, f64>,
    /// Seconds of training and measuring.
    pub seconds: f64,
    /// Commit of the sources, where it is known.
    pub commit: Option<String>,
}

/// What training took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Optimiser steps.
    pub steps: usize,
    /// Epochs.
    pub epochs: usize,
    /// The epoch whose weights were kept; 0 if none was better than the SFT student.
    pub kept: usize,
    /// Users that were trained on.
    pub users: usize,
    /// Chains of an epoch.
    pub chains: usize,
}

impl StudyResults {
    /// What an earlier run with the same settings left in `out`, or nothing yet.
    ///
    /// # Errors
    /// If the file cannot be read, or holds a study with other settings, which the message names.
    pub(super) fn open(out: &Path, settings: BTreeMap<String, String>) -> Result<Self> {
        let path = out.join(FILE);
        if !path.exists() {
            let (command, machine, date) = Default::default();
            let new = Self { format: FORMAT, settings, command, machine, date, seeds: Vec::new() };
            // At once: chains that are half done belong to these settings too.
            new.write(out)?;
            return Ok(new);
        }
        let found = Self::read(&path)?;
        let differing = differences(&found.settings, &settings);
        ensure!(
            differing.is_empty(),
            "{} holds a study with other settings ({}); use another --out, or --fresh to start it over",
            out.display(),
            differing.join(", ")
        );
        Ok(found)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// If it cannot be read, or is of another version.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let read: Self =
            serde_json::from_str(&text).with_context(|| format!("{} is not a study", path.display()))?;
        ensure!(read.format == FORMAT, "{}: expected format {FORMAT}, found {}", path.display(), read.format);
        Ok(read)
    }

    /// Replaces the file in one step.
    pub(super) fn write(&self, out: &Path) -> Result<()> {
        Ok(write_json(out.join(FILE), self)?)
    }

    /// The world of a seed.
    #[must_use]
    pub fn seed(&self, seed: u64) -> Option<&SeedResult> {
        self.seeds.iter().find(|result| result.seed == seed)
    }

    /// The world of a seed that was begun.
    pub(super) fn seed_mut(&mut self, seed: u64) -> Result<&mut SeedResult> {
        let found = self.seeds.iter_mut().find(|result| result.seed == seed);
        found.with_context(|| format!("seed {seed} was not begun"))
    }

    /// Differences of two arms, one per world that has both.
    #[must_use]
    pub fn differences(&self, arm: &str, other: &str, measure: Measure) -> Vec<f64> {
        let of = |seed: &SeedResult| Some(seed.measure(arm, measure)? - seed.measure(other, measure)?);
        self.seeds.iter().filter_map(of).collect()
    }

    /// Figures of an arm, one per world that has it.
    #[must_use]
    pub fn values(&self, arm: &str, measure: Measure) -> Vec<f64> {
        self.seeds.iter().filter_map(|seed| seed.measure(arm, measure)).collect()
    }
}

/// The settings that differ, in words.
fn differences(there: &BTreeMap<String, String>, here: &BTreeMap<String, String>) -> Vec<String> {
    let names: BTreeSet<&String> = there.keys().chain(here.keys()).collect();
    let value = |of: &BTreeMap<String, String>, name| of.get(name).map_or("none", String::as_str).to_owned();
    let differing = names.into_iter().filter(|&name| there.get(name) != here.get(name));
    differing
        .map(|name| format!("{name}: {} there, {} here", value(there, name), value(here, name)))
        .collect()
}

impl SeedResult {
    /// An arm's entry.
    #[must_use]
    pub fn arm(&self, name: &str) -> Option<&ArmResult> {
        self.arms.iter().find(|arm| arm.arm == name)
    }

    /// Whether an arm was run with these settings.
    pub(super) fn holds(&self, arm: &str, settings: &str) -> bool {
        self.arm(arm).is_some_and(|result| result.settings == settings)
    }

    fn measure(&self, arm: &str, measure: Measure) -> Option<f64> {
        self.arm(arm)?.measures.get(&measure).copied()
    }
}
