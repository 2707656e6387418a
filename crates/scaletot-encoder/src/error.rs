//! What can go wrong: what was expected, what came and where.

use std::path::PathBuf;

use scaletot_core::ContentHash;
use scaletot_core::config::ConfigError;
use scaletot_core::files::{ChecksumError, FileError};
use scaletot_core::text::printable;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every error of the crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of a config or an argument is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system cannot start the threads that were asked for.
    #[error("expected a number of threads that the system can start, found {count}")]
    Threads {
        /// How many.
        count: usize,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An argument has the wrong size or refers to a row that is not there.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// The argument, with the field or state.
        what: String,
        /// The expected size or range.
        expected: String,
        /// What came.
        found: String,
    },
    /// A value is out of its range.
    #[error("{what}, row {row}: expected {expected}, found {found}")]
    Value {
        /// What the value is.
        what: String,
        /// Row of the argument, from 0.
        row: usize,
        /// The values that are allowed.
        expected: String,
        /// The value that came.
        found: String,
    },
    /// There is nothing to train on.
    #[error("nothing to learn from: {reason}")]
    NothingToLearn {
        /// What is missing.
        reason: String,
    },
    /// A loss or a gradient norm is not a finite number, so training stopped.
    #[error(
        "{what} is {value} in epoch {epoch}, step {step}: lower the learning rate or look for extreme inputs"
    )]
    NonFinite {
        /// The quantity.
        what: &'static str,
        /// Epoch, from 1.
        epoch: usize,
        /// Step within the epoch, from 1.
        step: usize,
        /// Its value.
        value: f64,
    },
    /// A network has weights so large that its numbers may be infinite for some profile.
    #[error(
        "layer `{layer}`: expected weights by which no profile's numbers exceed {limit:e}, found ones by which they may reach {reach:e}; \
         the weights are damaged, or training went astray: train again with a lower learning rate"
    )]
    Overflow {
        /// The first layer whose outputs may be too large.
        layer: String,
        /// The largest size that outputs may have.
        limit: f64,
        /// The size that they may reach.
        reach: f64,
    },
    /// The progress sink asked to stop.
    #[error("stopped on request after {epochs} epochs")]
    Stopped {
        /// Epochs that were finished.
        epochs: usize,
    },
    /// The training device failed.
    #[error("cannot read a result from the training device")]
    Device {
        /// The device's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A table or its schema is not usable.
    #[error(transparent)]
    Profile(#[from] scaletot_profile::Error),
    /// A chain schema is not usable.
    #[error(transparent)]
    Chain(#[from] scaletot_chain::Error),
    /// A file could not be read or written.
    #[error("cannot read or write {path}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A JSON file of the artifact does not parse.
    #[error("{path}: not the JSON that was expected")]
    Json {
        /// The file.
        path: PathBuf,
        /// The cause, with line and column.
        source: serde_json::Error,
    },
    /// The weights cannot be read or written as safetensors.
    #[error("{path}: not the safetensors file that was expected")]
    Weights {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The artifact is of another format version.
    #[error(
        "{path}: artifact format {found}, this version reads formats 1 to {expected}; train or export it again"
    )]
    Format {
        /// The manifest.
        path: PathBuf,
        /// The newest format that this version reads; it reads all from 1 on.
        expected: u32,
        /// The format of the artifact.
        found: String,
    },
    /// A file of the artifact is not the one that was written with it, is missing or superfluous.
    #[error(transparent)]
    Checksum(ChecksumError),
    /// An artifact is not signed by the key that was given.
    #[cfg(feature = "signature")]
    #[error(
        "{}: expected a signature by the given key of the checksums beside it, found {found}; sign the artifact, or give the key of its signer",
        path.display()
    )]
    Signature {
        /// The file of the signature.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// A key for signatures is none.
    #[cfg(feature = "signature")]
    #[error("expected {expected}")]
    Key {
        /// The kind of key, and its forms.
        expected: &'static str,
        /// What is wrong with what came.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The profiles are of another schema than the one the encoder was trained with.
    #[error("profile schema differs: the encoder was trained with {expected}, found {found}: {difference}")]
    Schema {
        /// The encoder's schema.
        expected: ContentHash,
        /// The schema that came.
        found: ContentHash,
        /// Where they differ.
        difference: String,
    },
    /// The parts of an artifact do not fit each other.
    #[error("{path}: {what}: expected {expected}, found {found}")]
    Artifact {
        /// The file.
        path: PathBuf,
        /// The part.
        what: String,
        /// What the manifest makes one expect.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The encoder failed the gate it was saved with.
    #[error(
        "{path}: expected an encoder that passed its transfer gate, found one that failed: {reasons}; \
         it may be looked into, and serves when it is trained to pass, or by a lower gate"
    )]
    NotReady {
        /// The artifact's directory.
        path: PathBuf,
        /// What it failed, in words.
        reasons: String,
    },
    /// A canary profile does not give the output that was recorded when the artifact was written.
    #[error(
        "canary {index}, {output}: expected {expected}, found {found} (tolerance {tolerance:e}); \
         this build does not compute what was trained"
    )]
    Canary {
        /// Number of the canary, from 0.
        index: usize,
        /// The output, with its index.
        output: String,
        /// The recorded value.
        expected: f64,
        /// The value now.
        found: f64,
        /// The allowed difference.
        tolerance: f64,
    },
}

impl From<ChecksumError> for Error {
    fn from(error: ChecksumError) -> Self {
        match error {
            ChecksumError::File(error) => error.into(),
            other => Self::Checksum(other),
        }
    }
}

impl From<FileError> for Error {
    fn from(FileError { path, source, .. }: FileError) -> Self {
        Self::Io { path, source }
    }
}

/// What may come from a file or a table of any size, cut to what a person reads.
pub(crate) fn readable(text: &str) -> String {
    printable(text, 400)
}

impl Error {
    pub(crate) fn shape(what: impl Into<String>, expected: impl ToString, found: impl ToString) -> Self {
        let (what, expected, found) = (what.into(), expected.to_string(), found.to_string());
        Self::Shape { what: readable(&what), expected: readable(&expected), found: readable(&found) }
    }

    #[cfg(feature = "train")]
    pub(crate) fn device(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Device { source: source.into() }
    }

    pub(crate) fn json(path: impl Into<PathBuf>) -> impl FnOnce(serde_json::Error) -> Self {
        let path = path.into();
        move |source| Self::Json { path, source }
    }
}
