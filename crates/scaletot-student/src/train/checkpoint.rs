//! Checkpoints of a training run: all that it needs to go on as if nothing had happened.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::OptimizerRecord;
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use safetensors::tensor::{SafeTensors, TensorView};
use safetensors::{Dtype, serialize};
use scaletot_chain::JoinedCorpus;
use scaletot_core::ContentHash;
use scaletot_core::files::{self, AtomicFile, FileError, create_dir_all};
use serde::{Deserialize, Serialize};

use super::objective::Objective;
use super::step::Optimiser;
use super::stop::Stop;
use crate::error::{Error, Result};
use crate::student::Student;
use crate::weights;

/// Version of the file's format.
const FORMAT: u32 = 2;

/// Where a training run keeps its checkpoint, and how often: model, optimiser, best weights so far, position in the data, and what was
/// reported. Random numbers follow from the run's seed and that position.
///
/// A run that finds its own checkpoint goes on from there and gives what an uninterrupted run gives, to the bit where the device adds up
/// in one order (CPUs do); if the run was over, it gives its result at once. A checkpoint of another run, that is of other settings,
/// users, records, weights to begin with, or another seed, is an error and stays as it is. One file holds everything and is
/// replaced as a whole.
///
/// ```
/// use scaletot_student::{Checkpoints, SftConfig};
///
/// let mut config = SftConfig::default();
/// config.checkpoints = Some(Checkpoints::at("run/sft.checkpoint").with_every(500));
/// config.validate()?;
/// # Ok::<(), scaletot_student::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoints {
    path: PathBuf,
    every: usize,
}

impl Checkpoints {
    /// In this file, at the end of every epoch; its directory is made if it is not there.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), every: usize::MAX }
    }

    /// Also within an epoch, whenever that many batches are done; 0 is the same as 1.
    #[must_use]
    pub fn with_every(mut self, batches: usize) -> Self {
        self.every = batches.max(1);
        self
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Whether one is due after that many batches of an epoch.
    pub(super) fn is_due(&self, batches: usize) -> bool {
        batches.is_multiple_of(self.every)
    }

    /// Replaces the checkpoint.
    pub(super) fn save<O: Objective>(
        &self,
        inputs: &BTreeMap<String, ContentHash>,
        kept: Kept<'_, O>,
    ) -> Result<()> {
        let record = |model: &O::Model| {
            model
                .valid()
                .into_record()
                .into_bytes()
                .map(|bytes| bytes.to_vec())
                .map_err(Error::unusable(&self.path))
        };
        let head = Head { inputs: inputs.clone() };
        let mut parts = vec![
            (HEAD, serde_json::to_vec(&head).map_err(Error::unusable(&self.path))?),
            (POSITION, serde_json::to_vec(kept.position).map_err(Error::unusable(&self.path))?),
            (MODEL, record(kept.model)?),
            (OPTIMISER, kept.optimiser.record().into_bytes().map_err(Error::unusable(&self.path))?.to_vec()),
        ];
        if let Some(best) = kept.best {
            parts.push((BEST, record(best)?));
        }
        let views: Result<Vec<_>, safetensors::SafeTensorError> = parts
            .iter()
            .map(|(name, bytes)| Ok((*name, TensorView::new(Dtype::U8, vec![bytes.len()], bytes)?)))
            .collect();
        let views = views.map_err(Error::unusable(&self.path))?;
        let none: Option<HashMap<String, String>> = None;
        let bytes = serialize(views, none).map_err(Error::unusable(&self.path))?;
        if let Some(dir) = self.path.parent() {
            create_dir_all(dir)?;
        }
        let mut file = AtomicFile::create(&self.path)?;
        let begin = first_line(FORMAT, &bytes);
        file.write_all(begin.as_bytes()).and_then(|()| file.write_all(&bytes)).map_err(|e| file.error(e))?;
        Ok(file.commit()?)
    }

    /// What stands behind the first line, if that fits it.
    fn read(&self) -> Result<Vec<u8>> {
        let refused = |source| Error::from(FileError::new("read", &self.path, source));
        let wrong = |message: String| Error::corrupt(&self.path, message);
        let file = files::open(&self.path)?;
        let length = file.metadata().map_err(refused)?.len();
        let mut file = BufReader::new(file);
        let mut line = Vec::new();
        (&mut file).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(refused)?;
        let stated = std::str::from_utf8(&line).ok().and_then(parsed);
        let Some((format, bytes)) = stated else {
            return Err(wrong("expected a checkpoint of a training run, found another file".to_owned()));
        };
        if format != FORMAT {
            let path = self.path.clone();
            return Err(Error::Format { path, expected: FORMAT, found: format });
        }
        let there = length.saturating_sub(line.len() as u64);
        if bytes != there {
            return Err(wrong(format!(
                "expected {bytes} bytes behind the first line, found {there}; remove it to begin anew"
            )));
        }
        let mut content = Vec::new();
        file.take(bytes).read_to_end(&mut content).map_err(refused)?;
        if first_line(FORMAT, &content).as_bytes() != line {
            return Err(wrong(
                "expected the content of its SHA-256, found another; the file was changed: remove it to begin anew".to_owned(),
            ));
        }
        Ok(content)
    }

    /// The checkpoint, if there is one; `blank` says what the model is like.
    pub(super) fn load<O: Objective>(
        &self,
        inputs: &BTreeMap<String, ContentHash>,
        blank: &O::Model,
    ) -> Result<Option<Loaded<O>>> {
        if !self.exists() {
            return Ok(None);
        }
        let bytes = self.read()?;
        let parts = SafeTensors::deserialize(&bytes).map_err(Error::unusable(&self.path))?;
        let part =
            |name| parts.tensor(name).map(|part| part.data().to_vec()).map_err(Error::unusable(&self.path));
        let head: Head = serde_json::from_slice(&part(HEAD)?).map_err(Error::unusable(&self.path))?;
        if let Some(what) = inputs.keys().find(|name| head.inputs.get(*name) != inputs.get(*name)) {
            return Err(Error::OtherRun { path: self.path.clone(), what: what.clone() });
        }
        let model = |name| -> Result<O::Model> {
            let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(part(name)?));
            let record = record.map_err(Error::unusable(&self.path))?;
            blank.clone().try_load_record(record).map_err(Error::unusable(&self.path))
        };
        let optimiser = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(part(OPTIMISER)?));
        Ok(Some(Loaded {
            position: serde_json::from_slice(&part(POSITION)?).map_err(Error::unusable(&self.path))?,
            model: model(MODEL)?,
            best: parts.names().contains(&BEST).then(|| model(BEST)).transpose()?,
            optimiser: optimiser.map_err(Error::unusable(&self.path))?,
        }))
    }
}

/// What the result of a run depends on, by the names that [`Error::OtherRun`] uses. `users` holds all that is known of them but the
/// profiles, which are those of the corpus.
pub(super) fn inputs(
    student: &Student,
    corpus: &JoinedCorpus<'_>,
    users: &impl Serialize,
    settings: &impl Serialize,
    seed: u64,
) -> Result<BTreeMap<String, ContentHash>> {
    let json = |value: serde_json::Result<Vec<u8>>| {
        value.map_err(Error::unusable(Path::new("a training run"))).map(|bytes| ContentHash::of(&bytes))
    };
    let table = corpus.dataset().table();
    let prompts = corpus.rows().iter().map(|&row| student.tokenizer().prompt(table, row, |_| true));
    let prompts = prompts.collect::<Result<Vec<_>>>()?;
    let path = Path::new("a student's weights");
    let weights = weights::to_bytes(student.model(), path)?;
    let mut weights = SafeTensors::deserialize(&weights).map_err(Error::unusable(path))?.tensors();
    // A file's order is not always the same.
    weights.sort_by(|(a, _), (b, _)| a.cmp(b));
    let shape = format!("{:?} {:?} {}", student.shape(), student.lora(), student.chain_schema().hash());
    let parts = weights.iter().flat_map(|(name, part)| [name.as_bytes(), part.data()]);
    let of_student: Vec<u8> = parts.chain([shape.as_bytes()]).flatten().copied().collect();
    let inputs = [
        ("settings", json(serde_json::to_vec(settings))?),
        ("seed", ContentHash::of(seed.to_le_bytes())),
        ("users", json(serde_json::to_vec(&(prompts, users)))?),
        ("student", ContentHash::of(&of_student)),
    ];
    Ok(inputs.into_iter().map(|(name, hash)| (name.to_owned(), hash)).collect())
}

const HEAD: &str = "head";
const POSITION: &str = "position";
const MODEL: &str = "model";
const OPTIMISER: &str = "optimizer";
const BEST: &str = "best";

/// How the first line begins.
const KIND: &str = "scaletot training checkpoint, format ";

/// Bytes of the longest first line.
const MAX_LINE_BYTES: u64 = 200;

/// The first line of a file: its format, and length and hash of what follows.
fn first_line(format: u32, content: &[u8]) -> String {
    format!("{KIND}{format}, {} bytes, sha256 {}\n", content.len(), ContentHash::of(content))
}

/// Format and length in a first line.
fn parsed(line: &str) -> Option<(u32, u64)> {
    let (format, rest) = line.strip_suffix('\n')?.strip_prefix(KIND)?.split_once(", ")?;
    Some((format.parse().ok()?, rest.split_once(" bytes, ")?.0.parse().ok()?))
}

/// Whose checkpoint it is.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    inputs: BTreeMap<String, ContentHash>,
}

/// How far a run is.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
pub(super) struct Position<O: Objective> {
    /// Batches of the present epoch that are done.
    pub(super) batches: usize,
    /// Steps of the optimiser.
    pub(super) steps: usize,
    pub(super) first_loss: Option<f64>,
    /// Sums over the present epoch.
    pub(super) means: O::Means,
    /// Epochs that are over.
    pub(super) epochs: Vec<O::Epoch>,
    /// The lowest held-out value, and after which epoch it was.
    pub(super) best: Option<(f64, usize)>,
    /// Why the run is over, once it is.
    pub(super) stop: Option<Stop>,
}

impl<O: Objective> Default for Position<O> {
    fn default() -> Self {
        Self {
            batches: 0,
            steps: 0,
            first_loss: None,
            means: O::Means::default(),
            epochs: vec![],
            best: None,
            stop: None,
        }
    }
}

/// What is written.
pub(super) struct Kept<'a, O: Objective> {
    pub(super) position: &'a Position<O>,
    pub(super) model: &'a O::Model,
    /// Weights of the lowest held-out value.
    pub(super) best: Option<&'a O::Model>,
    pub(super) optimiser: &'a Optimiser,
}

/// What is read.
pub(super) struct Loaded<O: Objective> {
    pub(super) position: Position<O>,
    pub(super) model: O::Model,
    pub(super) best: Option<O::Model>,
    pub(super) optimiser: OptimizerRecord,
}
