//! The artifact on disk: a directory that appears whole or not at all.
//!
//! | file | holds |
//! | --- | --- |
//! | `manifest.json` | format, versions, both schemas with their hashes, featuriser, sizes, value head, metrics, transfer report, readiness, training histograms, distance limit |
//! | `weights.safetensors` | every tensor, `f32` |
//! | `canaries.json` | synthetic profiles with recorded outputs |
//! | `SHA256SUMS` | hashes of the three, so that `sha256sum -c SHA256SUMS` checks a copy without this crate |

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use scaletot_core::ContentHash;

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
    /// Writes the directory beside its place and renames it there. An artifact that is there already is moved aside
    /// first and removed after, so that at every moment a whole one exists under one of the two names.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let parent = match directory.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).map_err(Error::io(parent))?;
        let staging =
            tempfile::Builder::new().prefix(".artifact-").tempdir_in(parent).map_err(Error::io(parent))?;
        self.write_files(staging.path())?;
        if !directory.exists() {
            fs::rename(staging.path(), directory).map_err(Error::io(directory))?;
        } else {
            if !directory.join(MANIFEST).is_file()
                && fs::read_dir(directory).map_err(Error::io(directory))?.next().is_some()
            {
                return Err(Error::Artifact {
                    path: directory.into(),
                    what: "directory to write to".into(),
                    expected: "a new, an empty or an artifact's directory".into(),
                    found: "a directory with other files".into(),
                });
            }
            let aside = tempfile::Builder::new()
                .prefix(".replaced-")
                .tempdir_in(parent)
                .map_err(Error::io(parent))?;
            let old = aside.path().join("artifact");
            fs::rename(directory, &old).map_err(Error::io(directory))?;
            if let Err(error) = fs::rename(staging.path(), directory) {
                // Put the old one back; if that fails too, its place is in the kept directory.
                if fs::rename(&old, directory).is_err() {
                    let _kept = aside.keep();
                }
                return Err(Error::io(directory)(error));
            }
        }
        // The staging directory has gone to its place: there is nothing left to remove.
        let _moved = staging.keep();
        Ok(())
    }

    fn write_files(&self, directory: &Path) -> Result<()> {
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
            write_synced(&directory.join(name), bytes)?;
        }
        write_synced(&directory.join(SUMS), sums.as_bytes())
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

    /// Reads and verifies a directory: format, hashes, the fit of all parts, tensors.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
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

fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = fs::File::create(path).map_err(Error::io(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io(path))
}
