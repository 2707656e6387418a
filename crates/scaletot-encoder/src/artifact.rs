//! The artifact on disk: a directory that appears whole or not at all.
//!
//! | file | holds |
//! | --- | --- |
//! | `manifest.json` | format, versions, both schemas with their hashes, featuriser, sizes, value head, metrics, transfer report, readiness, training histograms, distance limit |
//! | `weights.safetensors` | every tensor, `f32` |
//! | `canaries.json` | synthetic profiles with recorded outputs |
//! | `SHA256SUMS` | hashes of the three, so that `sha256sum -c SHA256SUMS` checks a copy without this crate |

use std::fs;
use std::path::{Path, PathBuf};

use scaletot_core::ContentHash;
use scaletot_core::files::{AtomicDir, create_dir_all};

use crate::canary::Canaries;
use crate::error::{Error, Result};
use crate::gate::Readiness;
use crate::manifest::{ArtifactInfo, Description, FORMAT, Manifest};
use crate::novelty::DistanceLimit;
use crate::weights::Weights;

const MANIFEST: &str = "manifest.json";
const WEIGHTS: &str = "weights.safetensors";
const CANARIES: &str = "canaries.json";
const SUMS: &str = "SHA256SUMS";

/// What an artifact's directory may hold, and only one like that is replaced.
const NAMES: &[&str] = &[MANIFEST, WEIGHTS, CANARIES, SUMS];

/// Fewer canaries than this and an artifact is refused.
const MIN_CANARIES: usize = 16;

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
        let json = |name: &str| Error::json(directory.join(name));
        let canaries = serde_json::to_vec_pretty(&self.canaries).map_err(json(CANARIES))?;
        let manifest = Manifest {
            format: FORMAT,
            crate_version: env!("CARGO_PKG_VERSION").into(),
            profile_schema_hash: self.description.profile_schema.hash(),
            chain_schema_hash: self.description.chain_schema.hash(),
            weights_sha256: ContentHash::of(&weights),
            canaries_sha256: ContentHash::of(&canaries),
            info: self.info.clone(),
            distance_limit: self.distance_limit,
            encoder: self.description.clone(),
        };
        let manifest = serde_json::to_vec_pretty(&manifest).map_err(json(MANIFEST))?;
        let mut sums = String::new();
        for (name, bytes) in [(MANIFEST, &manifest), (WEIGHTS, &weights), (CANARIES, &canaries)] {
            sums.push_str(&format!("{}  {name}\n", ContentHash::of(bytes)));
            staged.write(name, bytes)?;
        }
        Ok(staged.write(SUMS, sums)?)
    }

    /// As [`read`](Self::read), but refused if the encoder failed its gate.
    pub(crate) fn ready(directory: &Path) -> Result<Self> {
        let artifact = Self::read(directory)?;
        match artifact.info.readiness() {
            Readiness::NotReady { reasons } => {
                Err(Error::NotReady { path: directory.into(), reasons: reasons.join("; ") })
            }
            _ => Ok(artifact),
        }
    }

    /// Reads and verifies a directory: format, hashes, the fit of all parts, tensors. One that is replaced meanwhile, so that
    /// files of two artifacts were read, is read again.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        AtomicDir::read(directory, || Self::read_once(directory))
    }

    fn read_once(directory: &Path) -> Result<Self> {
        let path = |name: &str| directory.join(name);
        let bytes = read(&path(MANIFEST))?;
        let manifest = Manifest::parse(&bytes, &path(MANIFEST))?;
        let sums = String::from_utf8_lossy(&read(&path(SUMS))?).into_owned();
        let stated = sums.lines().find_map(|line| line.strip_suffix(MANIFEST).map(str::trim));
        let stated = stated.ok_or_else(|| Error::Artifact {
            path: path(SUMS),
            what: "sha256".into(),
            expected: format!("a line for {MANIFEST}"),
            found: format!("{} lines without one", sums.lines().count()),
        })?;
        let found = ContentHash::of(&bytes).to_string();
        if stated != found {
            return Err(Error::Checksum { path: path(MANIFEST), expected: stated.to_owned(), found });
        }
        let in_manifest = |error: Error| match error {
            Error::Shape { what, expected, found } => {
                Error::Artifact { path: path(MANIFEST), what, expected, found }
            }
            other => other,
        };
        manifest.check().map_err(in_manifest)?;
        let weights = verified(path(WEIGHTS), manifest.weights_sha256)?;
        let weights = Weights::from_bytes(&weights, &manifest.encoder.shape(), &path(WEIGHTS))?;
        let canaries = verified(path(CANARIES), manifest.canaries_sha256)?;
        let canaries: Canaries = serde_json::from_slice(&canaries).map_err(Error::json(path(CANARIES)))?;
        if canaries.0.len() < MIN_CANARIES {
            return Err(Error::Artifact {
                path: path(CANARIES),
                what: "canaries".into(),
                expected: format!("at least {MIN_CANARIES}"),
                found: canaries.0.len().to_string(),
            });
        }
        let Manifest { encoder: description, info, distance_limit, .. } = manifest;
        Ok(Self { description, info, weights, canaries, distance_limit })
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(Error::io(path))
}

fn verified(path: PathBuf, expected: ContentHash) -> Result<Vec<u8>> {
    let bytes = read(&path)?;
    let found = ContentHash::of(&bytes);
    if found == expected {
        return Ok(bytes);
    }
    Err(Error::Checksum { path, expected: expected.to_string(), found: found.to_string() })
}
