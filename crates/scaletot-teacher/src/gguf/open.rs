//! Opening a model file.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use rayon::ThreadPoolBuilder;
use scaletot_core::{ContentHash, ContentHasher};

use super::Gguf;
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
    /// [`Error::Config`] for options out of range, [`Error::Io`] if the file cannot be opened, and [`Error::Model`]
    /// naming the file if it is not a GGUF file, is cut short, lacks a tensor or a piece of metadata, holds
    /// numbers that are not finite, or is of an architecture or tokenizer that is not [supported](super).
    pub fn open(path: impl AsRef<Path>, options: GgufOptions) -> Result<Self> {
        let path = path.as_ref();
        options.validate()?;
        let mut reader = File::open(path).map(BufReader::new).map_err(|e| Error::io("read", path, e))?;
        let hash = hash_of(&mut reader).map_err(|e| Error::io("read", path, e))?;
        read(reader, options)
            .map(|(tokenizer, shape, worker)| Self { model: name(path, hash), tokenizer, shape, worker })
            .map_err(|message| Error::Model { model: path.display().to_string(), message })
    }
}

fn read(
    reader: impl Read + Seek + Send,
    options: GgufOptions,
) -> Result<(TextTokenizer, Shape, Worker), String> {
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
        .map_err(|e| format!("{} threads could not be started: {e}", options.threads))?;
    // Decoding uses the pool too.
    let weights = pool.install(|| Weights::load(&mut file, &shape))?;
    let worker = Worker::start(Llama::new(shape.clone(), weights, options), pool)?;
    Ok((tokenizer, shape, worker))
}

/// The file's name without its extension, and the first 12 digits of its hash.
fn name(path: &Path, hash: ContentHash) -> String {
    let stem = path.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy());
    format!("{stem}-sha256-{}", hash.prefix(12))
}

/// The hash of everything; leaves the reader at the beginning.
fn hash_of(reader: &mut (impl Read + Seek)) -> std::io::Result<ContentHash> {
    let mut hasher = ContentHasher::new();
    hasher.update_reader(reader)?;
    reader.seek(SeekFrom::Start(0))?;
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn names_tell_files_apart() {
        let mut file = Cursor::new(b"abc".to_vec());
        let hash = hash_of(&mut file).unwrap();
        assert_eq!(hash, ContentHash::of(b"abc"));
        assert_eq!(file.position(), 0);
        assert_eq!(name(Path::new("models/tiny.Q4_1.gguf"), hash), "tiny.Q4_1-sha256-ba7816bf8f01");
    }

    #[test]
    fn types_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Gguf>();
        shared::<GgufOptions>();
    }
}
