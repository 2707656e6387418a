//! Opening a model file.

use std::io::{BufReader, Read, Seek};
use std::path::Path;

use rayon::ThreadPoolBuilder;
use scaletot_core::{ContentHash, files};

use super::Gguf;
use super::failure::Failure;
use super::file::GgufFile;
use super::model::Llama;
use super::options::GgufOptions;
use super::shape::Shape;
use super::tokenizer::TextTokenizer;
use super::value::Metadata;
use super::weights::Weights;
use super::worker::Worker;
use crate::error::{Error, Result};

impl Gguf {
    /// Opens a model file: reads it whole, decodes its weights to `f32` and starts the thread that computes.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for options out of range, [`Error::Io`] if the file cannot be opened or is no regular one, and [`Error::Model`]
    /// naming the file if it is not a GGUF file, is cut short, lacks a tensor or a piece of metadata, has metadata that are not known and could
    /// change the numbers, holds numbers that are not finite, or is of an architecture or tokenizer that is not [supported](super).
    pub fn open(path: impl AsRef<Path>, options: GgufOptions) -> Result<Self> {
        let path = path.as_ref();
        options.validate()?;
        read(BufReader::new(files::open(path)?), options)
            .map(|(hash, tokenizer, shape, worker)| Self {
                model: name(path, hash),
                tokenizer,
                shape,
                worker,
            })
            .map_err(|Failure { message, source }| Error::Model {
                model: path.display().to_string(),
                message,
                source,
            })
    }
}

fn read(
    reader: impl Read + Seek + Send,
    options: GgufOptions,
) -> Result<(ContentHash, TextTokenizer, Shape, Worker), Failure> {
    let mut file = GgufFile::read(reader)?;
    let metadata = Metadata(&file.metadata);
    // Before the tokenizer: another architecture is the better reason for a tokenizer that is not known.
    Shape::check_architecture(metadata)?;
    let tokenizer = TextTokenizer::read(metadata)?;
    let shape = Shape::read(metadata, tokenizer.vocab())?;
    let pool = ThreadPoolBuilder::new()
        .num_threads(options.threads)
        .thread_name(|i| format!("gguf compute {i}"))
        .build()
        .map_err(Failure::of(format!("{} threads could not be started", options.threads)))?;
    // Decoding uses the pool too.
    let weights = pool.install(|| Weights::load(&mut file, &shape))?;
    // Last: what is refused is not read whole for its name.
    let hash = file.hash()?;
    let worker = Worker::start(Llama::new(shape.clone(), weights, options), pool)?;
    Ok((hash, tokenizer, shape, worker))
}

/// The file's name without its extension, and the first 12 digits of its hash.
fn name(path: &Path, hash: ContentHash) -> String {
    let stem = path.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy());
    format!("{stem}-sha256-{}", hash.prefix(12))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_files_apart() {
        let hash = ContentHash::of(b"abc");
        assert_eq!(name(Path::new("models/tiny.Q4_1.gguf"), hash), "tiny.Q4_1-sha256-ba7816bf8f01");
    }

    #[test]
    fn types_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Gguf>();
        shared::<GgufOptions>();
    }
}
