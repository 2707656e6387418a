//! The artifact on disk: a directory that appears whole or not at all.
//!
//! | file | holds |
//! | --- | --- |
//! | `manifest.json` | format, versions, both schemas with their hashes, featuriser, sizes, value head, metrics, transfer report, readiness, training histograms, distance limit |
//! | `weights.safetensors` | every tensor, `f32` |
//! | `canaries.json` | synthetic profiles with recorded outputs |
//! | `SHA256SUMS` | hashes of the three, so that `sha256sum -c SHA256SUMS` checks a copy without this crate |
//!
//! On loading every line of `SHA256SUMS` is compared, and no other file may be there. Sizes are looked at before anything is read: that of the
//! weights' file is known from the manifest, and a network that would take more than 1 GiB is refused by its manifest.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use scaletot_core::ContentHash;
use scaletot_core::files::{self, AtomicDir, Checksums, FileError, create_dir_all};

use crate::canary::Canaries;
use crate::error::{Error, Result, readable};
use crate::gate::Readiness;
use crate::manifest::{ArtifactInfo, Description, Manifest};
use crate::novelty::DistanceLimit;
use crate::shape::NetworkShape;
use crate::weights::Weights;

const MANIFEST: &str = "manifest.json";
const WEIGHTS: &str = "weights.safetensors";
const CANARIES: &str = "canaries.json";

/// The files that have a checksum, and none other.
const FILES: [&str; 3] = [MANIFEST, WEIGHTS, CANARIES];

/// What an artifact's directory may hold, and only one like that is replaced.
pub(crate) const NAMES: &[&str] = &[MANIFEST, WEIGHTS, CANARIES, Checksums::NAME, SIGNATURE];

/// A signature of the checksums, which whoever signs puts there.
pub(crate) const SIGNATURE: &str = "SHA256SUMS.sig";

/// Longer checksums are not those of three files.
const MAX_SUMS_BYTES: u64 = 1 << 12;

/// Says whether checksums are to be believed, before anything else is read.
pub(crate) type Trust<'a> = &'a dyn Fn(&str) -> Result<()>;

/// Takes checksums as they are.
pub(crate) const UNSIGNED: Trust<'static> = &|_| Ok(());

/// Longer manifests and canaries are neither written nor read: what is made of JSON takes up to 25 times its bytes. A field of a million
/// values with a value head takes 35 MB.
const MAX_JSON_BYTES: u64 = 40 << 20;

/// The parts of an artifact.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Artifact {
    pub(crate) description: Description,
    pub(crate) info: ArtifactInfo,
    pub(crate) weights: Weights,
    pub(crate) canaries: Canaries,
    pub(crate) distance_limit: Option<DistanceLimit>,
}

impl Artifact {
    /// Writes the directory beside its place and exchanges it for an artifact that is there already.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let parent = directory.parent().unwrap_or(Path::new(""));
        create_dir_all(parent)?;
        let staged = AtomicDir::create(directory, NAMES)?;
        self.write_files(&staged)?;
        Ok(staged.commit()?)
    }

    fn write_files(&self, staged: &AtomicDir) -> Result<()> {
        let directory = staged.target();
        let weights = self.weights.to_bytes(&directory.join(WEIGHTS))?;
        let canaries = json(&directory.join(CANARIES), &self.canaries)?;
        let hashes = [ContentHash::of(&weights), ContentHash::of(&canaries)];
        let manifest =
            Manifest::new(self.description.clone(), self.info.clone(), self.distance_limit, hashes);
        let manifest = json(&directory.join(MANIFEST), &manifest)?;
        let mut sums = vec![];
        for (name, bytes) in FILES.into_iter().zip([&manifest, &weights, &canaries]) {
            sums.push((name.to_owned(), ContentHash::of(bytes)));
            staged.write(name, bytes)?;
        }
        Ok(staged.write(Checksums::NAME, Checksums::from_iter(sums).to_text())?)
    }

    /// As [`read`](Self::read), but refused if the encoder failed its gate.
    pub(crate) fn ready(directory: &Path, trust: Trust<'_>) -> Result<Self> {
        let artifact = Self::read(directory, trust)?;
        match artifact.info.readiness() {
            Readiness::NotReady { reasons } => {
                Err(Error::NotReady { path: directory.into(), reasons: readable(&reasons.join("; ")) })
            }
            _ => Ok(artifact),
        }
    }

    /// Reads and verifies a directory: checksums, format, the fit of all parts, tensors. One that is replaced meanwhile, so that
    /// files of two artifacts were read, is read again.
    pub(crate) fn read(directory: &Path, trust: Trust<'_>) -> Result<Self> {
        AtomicDir::read(directory, || {
            let path = directory.join(Checksums::NAME);
            let sums = files::read_to_string(&path, MAX_SUMS_BYTES)?;
            trust(&sums)?;
            Self::read_as(directory, &Checksums::parse(&sums, &path)?)
        })
    }

    /// Reads a directory that has these checksums.
    fn read_as(directory: &Path, sums: &Checksums) -> Result<Self> {
        sums.check_names(directory, FILES, &[SIGNATURE])?;
        let verified = |name: &str, most: u64| -> Result<Vec<u8>> {
            let bytes = files::read(directory.join(name), most)?;
            sums.check_bytes(directory, name, &bytes)?;
            Ok(bytes)
        };
        let path = |name: &str| directory.join(name);
        let manifest = Manifest::parse(&verified(MANIFEST, MAX_JSON_BYTES)?, &path(MANIFEST))?;
        manifest.check().map_err(of(path(MANIFEST)))?;
        for (name, stated) in [(WEIGHTS, manifest.weights_sha256), (CANARIES, manifest.canaries_sha256)] {
            if let Some(found) = sums.get(name).filter(|found| *found != stated) {
                let (what, found) = (format!("sha256 of {name}"), format!("{found} in {}", Checksums::NAME));
                return Err(Error::Artifact {
                    path: path(MANIFEST),
                    what,
                    expected: stated.to_string(),
                    found,
                });
            }
        }
        let weights = {
            // The size is looked at before anything of the file is, and its bytes go as soon as there are tensors.
            let shape = manifest.encoder.shape();
            let most = most_weights(&shape);
            let bytes = verified(WEIGHTS, most).map_err(too_long(path(WEIGHTS), most))?;
            Weights::from_bytes(&bytes, &shape, &path(WEIGHTS))?
        };
        let canaries = verified(CANARIES, MAX_JSON_BYTES)?;
        let canaries: Canaries = serde_json::from_slice(&canaries).map_err(Error::json(path(CANARIES)))?;
        let Description { profile_schema, featuriser, .. } = &manifest.encoder;
        canaries.check_profiles(profile_schema, featuriser).map_err(of(path(CANARIES)))?;
        let (description, info, distance_limit) = manifest.into_parts();
        Ok(Self { description, info, weights, canaries, distance_limit })
    }
}

/// A misfit as one of a file.
fn of(path: PathBuf) -> impl FnOnce(Error) -> Error {
    |error| match error {
        Error::Shape { what, expected, found } => Error::Artifact { path, what, expected, found },
        other => other,
    }
}

/// Bytes of a file of weights: those of the tensors, and of a header that names them.
fn most_weights(shape: &NetworkShape) -> u64 {
    let tensors = shape.tensors();
    let numbers: u64 = tensors.iter().map(|(_, dims)| dims.iter().map(|&n| n as u64).product::<u64>()).sum();
    4 * numbers + 256 * tensors.len() as u64 + 4096
}

/// A file of weights that is longer than its tensors are is none of this artifact.
fn too_long(path: PathBuf, most: u64) -> impl FnOnce(Error) -> Error {
    move |error| match error {
        Error::Io { source, .. } if source.kind() == ErrorKind::FileTooLarge => {
            let found = fs::metadata(&path).map_or_else(|_| "more".into(), |file| file.len().to_string());
            let (what, expected) =
                ("bytes".into(), format!("at most {most}, for the tensors of the manifest"));
            Error::Artifact { path, what, expected, found }
        }
        other => other,
    }
}

/// The JSON of a file: for people to read, unless it is so long that nobody would.
fn json(path: &Path, value: &impl serde::Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(Error::json(path))?;
    if bytes.len() as u64 > MAX_JSON_BYTES / 8 {
        bytes = serde_json::to_vec(value).map_err(Error::json(path))?;
    }
    if bytes.len() as u64 <= MAX_JSON_BYTES {
        return Ok(bytes);
    }
    let message = format!("expected at most {MAX_JSON_BYTES} bytes, found {}", bytes.len());
    Err(FileError::new("write", path, std::io::Error::new(ErrorKind::FileTooLarge, message)).into())
}
