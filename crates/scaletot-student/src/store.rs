//! A student as a directory.
//!
//! | file | holds |
//! | --- | --- |
//! | `model.safetensors` | weights, under the names and in the layout of `LLaMA` checkpoints |
//! | `tokenizer.json` | the vocabulary, for the `tokenizers` library |
//! | `profile_schema.json`, `chain_schema.json` | the schemas |
//! | `config.json` | format version, sizes, bins of numeric fields, both schema hashes, SHA-256 of the other files |
//!
//! Each file is written beside its place and moved there, `config.json` last. A crash between two moves
//! leaves files that the hashes in `config.json` do not fit, which loading reports; other files in the
//! directory are not touched.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use scaletot_chain::ChainSchema;
use scaletot_profile::{ProfileSchema, Quantiles, SchemaHash};
use serde::{Deserialize, Serialize};

use crate::config::StudentConfig;
use crate::error::{Error, Result};
use crate::files::{self, Pending};
use crate::student::Student;
use crate::tokenizer::ProfileTokenizer;
use crate::weights;

/// Version of the directory's format.
const FORMAT: u32 = 1;

const CONFIG: &str = "config.json";
const PROFILE_SCHEMA: &str = "profile_schema.json";
const CHAIN_SCHEMA: &str = "chain_schema.json";
const TOKENIZER: &str = "tokenizer.json";
const WEIGHTS: &str = "model.safetensors";

/// Content of `config.json`.
#[derive(Debug, Serialize, Deserialize)]
struct SavedConfig {
    format: u32,
    profile_schema: SchemaHash,
    chain_schema: SchemaHash,
    student: StudentConfig,
    /// Bins of the numeric fields, by name.
    numeric_bins: BTreeMap<String, Quantiles>,
    /// SHA-256 of the other files.
    files: BTreeMap<String, SchemaHash>,
}

/// Read first, so that a future format is named as such and not as a missing key.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

impl Student {
    /// Writes the student to a directory, which is created if it is not there.
    ///
    /// # Errors
    /// [`Error::Io`] with the file that could not be written; what was there before then still is.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        let dir = dir.as_ref();
        let names = self.profile_schema().fields().iter().map(|field| field.name().to_owned());
        let bins = names.zip(self.tokenizer().bins()).filter_map(|(name, bins)| Some((name, bins?)));
        let contents: [(&str, Vec<u8>); 4] = [
            (WEIGHTS, weights::to_bytes(self.model(), &dir.join(WEIGHTS))?),
            (TOKENIZER, self.tokenizer().to_json()?.into_bytes()),
            (PROFILE_SCHEMA, self.profile_schema().to_json()?.into_bytes()),
            (CHAIN_SCHEMA, self.chain_schema().to_json()?.into_bytes()),
        ];
        let config = SavedConfig {
            format: FORMAT,
            profile_schema: self.profile_schema().hash(),
            chain_schema: self.chain_schema().hash(),
            student: self.config().clone(),
            numeric_bins: bins.collect(),
            files: contents.iter().map(|(name, bytes)| ((*name).to_owned(), SchemaHash::of(bytes))).collect(),
        };
        let path = dir.join(CONFIG);
        let config = serde_json::to_vec_pretty(&config).map_err(|e| Error::corrupt(&path, e))?;
        fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        let mut pending = Vec::with_capacity(contents.len() + 1);
        for (name, bytes) in contents.iter().map(|(name, bytes)| (*name, bytes)).chain([(CONFIG, &config)]) {
            pending.push(Pending::write(&dir.join(name), bytes)?);
        }
        pending.into_iter().try_for_each(Pending::commit)
    }

    /// Reads a student from a directory that [`save`](Self::save) wrote, onto `device`.
    ///
    /// # Errors
    /// [`Error::Io`] for a missing file, [`Error::Format`] for another format version,
    /// [`Error::SchemaMismatch`] if a schema file is not the one the student was saved with, and
    /// [`Error::Corrupt`] for anything else that does not fit: a changed file, or a tensor that is missing,
    /// of another shape, superfluous or not finite.
    pub fn load(dir: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let dir = dir.as_ref();
        let path = dir.join(CONFIG);
        let bytes = files::read(&path)?;
        let FormatOnly { format } = serde_json::from_slice(&bytes).map_err(|e| Error::corrupt(&path, e))?;
        if format != FORMAT {
            return Err(Error::Format { path, expected: FORMAT, got: format });
        }
        let saved: SavedConfig = serde_json::from_slice(&bytes).map_err(|e| Error::corrupt(&path, e))?;
        saved.student.validate()?;

        let (path, text) = saved.text(dir, PROFILE_SCHEMA)?;
        let profile = ProfileSchema::from_json(&text).map_err(|e| Error::corrupt(&path, e))?;
        check_schema("profile_schema.json", saved.profile_schema, profile.hash())?;
        let (path, text) = saved.text(dir, CHAIN_SCHEMA)?;
        let chain = ChainSchema::from_json(&text).map_err(|e| Error::corrupt(&path, e))?;
        check_schema("chain_schema.json", saved.chain_schema, chain.hash())?;

        let bins: Vec<_> =
            profile.fields().iter().map(|f| saved.numeric_bins.get(f.name()).cloned()).collect();
        let tokenizer = ProfileTokenizer::from_bins(Arc::new(profile), Arc::new(chain), &bins)?;
        let path = dir.join(TOKENIZER);
        tokenizer.check_json(&saved.read(&path, TOKENIZER)?).map_err(|e| Error::corrupt(&path, e))?;

        let student = Self::from_tokenizer(&saved.student, tokenizer, 0, device)?;
        let read = |path: &Path| saved.read(path, WEIGHTS);
        let model = weights::load(student.model().clone(), &[dir.join(WEIGHTS)], read, |_| false)?;
        Ok(student.with_model(&model))
    }
}

impl SavedConfig {
    /// Reads a file and checks its hash.
    fn read(&self, path: &Path, name: &str) -> Result<Vec<u8>> {
        let bytes = files::read(path)?;
        let got = SchemaHash::of(&bytes);
        match self.files.get(name) {
            Some(&expected) if expected == got => Ok(bytes),
            Some(expected) => {
                let message = format!(
                    "expected the content with SHA-256 {expected}, got {got}; the save was cut short or the file changed"
                );
                Err(Error::corrupt(path, message))
            }
            None => Err(Error::corrupt(path, format!("{CONFIG} does not list this file"))),
        }
    }

    fn text(&self, dir: &Path, name: &str) -> Result<(std::path::PathBuf, String)> {
        let path = dir.join(name);
        let text = String::from_utf8(self.read(&path, name)?).map_err(|e| Error::corrupt(&path, e))?;
        Ok((path, text))
    }
}

fn check_schema(what: &'static str, expected: SchemaHash, got: SchemaHash) -> Result<()> {
    if expected == got { Ok(()) } else { Err(Error::SchemaMismatch { what, expected, got }) }
}
