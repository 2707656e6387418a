//! A student as a directory.
//!
//! | file | holds |
//! | --- | --- |
//! | `model.safetensors` | weights, under the names and in the layout of `LLaMA` checkpoints |
//! | `tokenizer.json` | the vocabulary, for the `tokenizers` library |
//! | `profile_schema.json`, `chain_schema.json` | the schemas |
//! | `config.json` | format version, sizes, bins of numeric fields, both schema hashes, bytes of the other files |
//! | `SHA256SUMS` | hashes of all of them, so that `sha256sum -c SHA256SUMS` checks a copy without this crate |
//!
//! Of a student that is a published checkpoint, `config.json` is the checkpoint's, with the number of tokens it has now; under
//! the key `scaletot` it holds what the other one holds, with the levels of numeric fields instead of sizes and bins.
//! `tokenizer_config.json` says how `transformers` is to read `tokenizer.json`.
//!
//! The directory appears whole or not at all, and replaces a student's that is there already; one that holds anything else is refused and
//! stays as it is. Loading compares every file with its hash before it is used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use scaletot_chain::ChainSchema;
use scaletot_core::ContentHash;
use scaletot_core::files::{AtomicDir, Checksums, read};
use scaletot_profile::{ProfileSchema, Quantiles, Verbaliser};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::StudentConfig;
use crate::error::{Error, Result};
use crate::files::{self, Checked, MAX_CONFIG_BYTES, expect_length};
use crate::pretrained::{CONFIG, Pretrained, STUDENT, TOKENIZER, WEIGHTS};
use crate::student::{Origin, Student};
use crate::tokenizer::ProfileTokenizer;
use crate::weights;

/// Version of the directory's format.
const FORMAT: u32 = 2;

const PROFILE_SCHEMA: &str = "profile_schema.json";
const CHAIN_SCHEMA: &str = "chain_schema.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// What a student's directory may hold, and only one like that is replaced.
const NAMES: &[&str] =
    &[CHAIN_SCHEMA, PROFILE_SCHEMA, CONFIG, WEIGHTS, TOKENIZER, TOKENIZER_CONFIG, Checksums::NAME];

/// What `config.json` says of a student.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedConfig {
    format: u32,
    profile_schema: ContentHash,
    chain_schema: ContentHash,
    kind: Kind,
    /// Bins of the numeric fields of a new student, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    numeric_bins: BTreeMap<String, Quantiles>,
    /// Bytes of the other files but the checksums.
    file_bytes: BTreeMap<String, u64>,
}

/// What the student is made of, under the kind's name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// A new one: its sizes.
    Student(StudentConfig),
    /// A published checkpoint: what renders the profiles.
    Verbaliser(Verbaliser),
}

/// The two schemas of a student.
struct Schemas {
    profile: Arc<ProfileSchema>,
    chain: Arc<ChainSchema>,
}

/// Read first, so that a future format is named as such and not as a missing key.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

impl Student {
    /// The names of all files that a student's directory may hold. [`save`](Self::save) replaces a directory of these alone.
    pub const FILES: &'static [&'static str] = NAMES;

    /// Writes the student to a directory, which is created if it is not there, and replaced if it is a student's. One that is a published
    /// checkpoint is written as such, with the tokens of the chain, and `transformers` reads it.
    ///
    /// # Errors
    /// [`Error::File`] with the file that could not be written, also where there is a directory of something else; what was there before
    /// then still is.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        let dir = dir.as_ref();
        let mut contents: Vec<(&str, Vec<u8>)> = vec![
            (WEIGHTS, weights::to_bytes(self.model(), &dir.join(WEIGHTS))?),
            (TOKENIZER, self.tokenizer().to_json()?.into_bytes()),
            (PROFILE_SCHEMA, self.profile_schema().to_json()?.into_bytes()),
            (CHAIN_SCHEMA, self.chain_schema().to_json()?.into_bytes()),
        ];
        let kind = match self.origin() {
            Origin::New(config) => Kind::Student(config.clone()),
            Origin::Pretrained { verbaliser, .. } => {
                // The class that takes `tokenizer.json` for what it is, whatever the architecture.
                let eos = self.tokenizer().words(&[self.tokenizer().eos()]);
                let class = json!({ "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": eos.first() });
                contents.push((TOKENIZER_CONFIG, to_json(&class, &dir.join(TOKENIZER_CONFIG))?));
                Kind::Verbaliser(verbaliser.as_ref().clone())
            }
        };
        let names = self.profile_schema().fields().iter().map(|field| field.name().to_owned());
        let bins = names.zip(self.tokenizer().bins()).filter_map(|(name, bins)| Some((name, bins?)));
        let config = SavedConfig {
            format: FORMAT,
            profile_schema: self.profile_schema().hash(),
            chain_schema: self.chain_schema().hash(),
            kind,
            numeric_bins: bins.collect(),
            file_bytes: contents
                .iter()
                .map(|(name, bytes)| ((*name).to_owned(), bytes.len() as u64))
                .collect(),
        };
        let path = dir.join(CONFIG);
        let config = match self.origin() {
            Origin::New(_) => to_json(&config, &path)?,
            Origin::Pretrained { published, .. } => {
                let mut published = published.clone();
                published[STUDENT] = serde_json::to_value(&config).map_err(Error::unusable(&path))?;
                to_json(&published, &path)?
            }
        };
        contents.push((CONFIG, config));
        files::write_dir(dir, NAMES, &contents)
    }

    /// Reads a student of either kind from a directory that [`save`](Self::save) wrote, onto `device`.
    ///
    /// # Errors
    /// [`Error::File`] for a missing file, [`Error::Format`] for another format version,
    /// [`Error::SchemaMismatch`] if a schema file is not the one the student was saved with, and
    /// [`Error::Corrupt`] for anything else that does not fit: a changed file, or a tensor that is missing,
    /// of another shape, superfluous or not finite; and for a published checkpoint that is no student yet.
    pub fn load(dir: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let dir = dir.as_ref();
        AtomicDir::read(dir, || Self::load_once(dir, device))
    }

    fn load_once(dir: &Path, device: &Device) -> Result<Self> {
        let path = dir.join(CONFIG);
        // What is no student, or one of another format, is called so before its checksums are looked for.
        let bytes = read(&path, MAX_CONFIG_BYTES)?;
        let mut published: Value = serde_json::from_slice(&bytes).map_err(Error::unusable(&path))?;
        let own = published.as_object_mut().and_then(|keys| keys.remove(STUDENT));
        let (own, published) = match own {
            Some(own) => (own, Some(published)),
            None => (published, None),
        };
        if published.is_none() && own.get("model_type").is_some() {
            let message =
                "expected a saved student, found a checkpoint, of which `Student::from_pretrained` makes one";
            return Err(Error::corrupt(&path, message));
        }
        let FormatOnly { format } = FormatOnly::deserialize(&own).map_err(Error::unusable(&path))?;
        if format != FORMAT {
            return Err(Error::Format { path, expected: FORMAT, found: format });
        }
        let checked = Checked::with_checksums(dir)?;
        checked.check(&path, &bytes)?;
        let config = SavedConfig::deserialize(&own).map_err(Error::unusable(&path))?;
        // All lengths before any content; `transformers` reads files that we do not.
        config.file_bytes.iter().try_for_each(|(name, bytes)| expect_length(&dir.join(name), *bytes))?;
        let saved = Saved { dir, config, checked };
        if saved.config.file_bytes.contains_key(TOKENIZER_CONFIG) {
            saved.checked.read(&dir.join(TOKENIZER_CONFIG))?;
        }

        let (path, text) = saved.text(PROFILE_SCHEMA)?;
        let profile = ProfileSchema::from_json(&text).map_err(Error::unusable(&path))?;
        check_schema("profile_schema.json", saved.config.profile_schema, profile.hash())?;
        let (path, text) = saved.text(CHAIN_SCHEMA)?;
        let chain = ChainSchema::from_json(&text).map_err(Error::unusable(&path))?;
        check_schema("chain_schema.json", saved.config.chain_schema, chain.hash())?;
        let schemas = Schemas { profile: Arc::new(profile), chain: Arc::new(chain) };
        match (&saved.config.kind, published) {
            (Kind::Student(config), None) => saved.new_student(config, schemas, device),
            (Kind::Verbaliser(verbaliser), Some(published)) => {
                saved.checkpoint(published, verbaliser, schemas, device)
            }
            _ => Err(Error::corrupt(
                &dir.join(CONFIG),
                "expected either the sizes of a new student, or a checkpoint's keys beside a verbaliser",
            )),
        }
    }
}

/// A student's directory whose `config.json` was read.
struct Saved<'a> {
    dir: &'a Path,
    config: SavedConfig,
    checked: Checked,
}

impl Saved<'_> {
    fn new_student(&self, config: &StudentConfig, schemas: Schemas, device: &Device) -> Result<Student> {
        config.validate()?;
        let Schemas { profile, chain } = schemas;
        let bins: Vec<_> =
            profile.fields().iter().map(|f| self.config.numeric_bins.get(f.name()).cloned()).collect();
        let tokenizer = ProfileTokenizer::from_bins(profile, chain, &bins)?;
        let path = self.dir.join(TOKENIZER);
        tokenizer.check_json(&self.checked.read(&path)?).map_err(Error::unusable(&path))?;
        let student = Student::from_tokenizer(config, tokenizer, 0, device)?;
        let read = |path: &Path| self.checked.read(path);
        let model = weights::load(student.model().clone(), &[self.dir.join(WEIGHTS)], read, |_| false)?;
        Ok(student.with_model(&model))
    }

    fn checkpoint(
        &self,
        published: Value,
        verbaliser: &Verbaliser,
        schemas: Schemas,
        device: &Device,
    ) -> Result<Student> {
        let pretrained = Pretrained::read(self.dir, published, device, &self.checked)?;
        let verbaliser = Arc::new(verbaliser.clone());
        let path = self.dir.join(TOKENIZER);
        match Student::of_checkpoint(&pretrained, verbaliser, schemas.profile, schemas.chain) {
            Ok((student, 0)) => Ok(student),
            Ok((_, missing)) => Err(Error::corrupt(
                &path,
                format!("expected all tokens of the chain, found {missing} too few"),
            )),
            Err(error @ Error::Tokenizer { .. }) => Err(Error::unusable(&path)(error)),
            Err(error) => Err(error),
        }
    }

    fn text(&self, name: &str) -> Result<(PathBuf, String)> {
        let path = self.dir.join(name);
        let text = String::from_utf8(self.checked.read(&path)?).map_err(Error::unusable(&path))?;
        Ok((path, text))
    }
}

fn check_schema(what: &'static str, expected: ContentHash, found: ContentHash) -> Result<()> {
    if expected == found { Ok(()) } else { Err(Error::SchemaMismatch { what, expected, found }) }
}

fn to_json(content: &impl Serialize, path: &Path) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(content).map_err(Error::unusable(path))
}
