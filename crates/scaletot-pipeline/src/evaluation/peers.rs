//! Models of other libraries on the very same folds and draws.
//!
//! Every fold's directory gets `users.parquet` (row, profile, outcome) and `draws.json` (test rows, labelled rows of every draw).
//! `benches/peers/peers.py` fits LightGBM and scikit-learn's ridge on them and writes `peers.json` beside. The next run of the same
//! command finds every fold done, takes the peers' predictions in, and measures them as arms of their own: on the same users, with the
//! same resamples.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Context, Result, ensure};
use scaletot_core::ContentHash;
use scaletot_core::files::{read_to_string, write_json};
use scaletot_profile::{Attributes, UserIds, write};
use serde::{Deserialize, Serialize};

use super::fold_result::ARMS;
use super::folds::{Draw, Fold};
use super::resample::{Scores, Size};
use super::results::Labels;
use super::study::Study;

pub(super) const USERS: &str = "users.parquet";
pub(super) const DRAWS: &str = "draws.json";
pub(super) const PEERS: &str = "peers.json";

/// Bytes of [`PEERS`] at most.
const MAX_PEERS: u64 = 1 << 32;

#[derive(Debug, Serialize)]
struct Exported<'a> {
    test: &'a [usize],
    draws: Vec<ExportedDraw<'a>>,
}

#[derive(Debug, Serialize)]
struct ExportedDraw<'a> {
    labels: Labels,
    draw: usize,
    train: &'a [usize],
}

/// What the peers found on one fold.
#[derive(Debug, Deserialize)]
struct Peers {
    /// Hash of the `draws.json` that they were fitted on.
    draws: String,
    arms: Vec<Peer>,
}

/// An arm of another library.
#[derive(Debug, Deserialize)]
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) description: String,
    predictions: Vec<Prediction>,
}

#[derive(Debug, Deserialize)]
struct Prediction {
    labels: Labels,
    draw: usize,
    scores: Vec<f64>,
}

/// Writes a fold for other libraries.
///
/// # Errors
/// If a file cannot be written.
pub(super) fn export(study: &Study, fold: &Fold, draws: &[Draw], dir: &Path) -> Result<()> {
    let mut columns = Attributes::new();
    columns.insert_number("outcome", study.dataset.outcomes().to_vec())?;
    let rows = (0..).take(study.dataset.len()).collect();
    write(dir.join(USERS), "row", &UserIds::Int(rows), Some(study.dataset.table()), &columns)?;
    let draws = draws
        .iter()
        .filter(|draw| !draw.rows.is_empty())
        .map(|draw| ExportedDraw { labels: draw.labels, draw: draw.draw, train: &draw.rows })
        .collect();
    Ok(write_json(dir.join(DRAWS), &Exported { test: &fold.test, draws })?)
}

/// The peers' predictions for a fold with `users` test users, if there are any.
///
/// # Errors
/// If `peers.json` is of another fold, or an arm has the name of one of ours: the message says what is wrong.
pub(super) fn import(dir: &Path, sizes: &[Size], users: usize) -> Result<Vec<(Peer, Scores)>> {
    let path = dir.join(PEERS);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = read_to_string(&path, MAX_PEERS)?;
    let peers: Peers = serde_json::from_str(&text).with_context(|| format!("{}", path.display()))?;
    let found = ContentHash::of_file(dir.join(DRAWS))?.short();
    ensure!(
        peers.draws == found,
        "{}: expected predictions for the draws {found}, found some for {}; run benches/peers/peers.py again",
        path.display(),
        peers.draws
    );
    let mut all = Vec::new();
    for mut peer in peers.arms {
        ensure!(
            ARMS.iter().all(|(own, _)| *own != peer.name),
            "{}: `{}` is the name of an arm that is there already",
            path.display(),
            peer.name
        );
        let mut scores: Scores = BTreeMap::new();
        for Prediction { labels, draw, scores: found } in std::mem::take(&mut peer.predictions) {
            ensure!(
                found.len() == users && found.iter().all(|score| score.is_finite()),
                "{}: arm `{}`: expected {users} finite predictions for {labels:?}, draw {draw}, found {}",
                path.display(),
                peer.name,
                found.len()
            );
            scores.insert((labels, draw), found);
        }
        for size in sizes.iter().filter(|size| size.rows > 0) {
            for draw in 0..size.draws {
                ensure!(
                    scores.contains_key(&(size.labels, draw)),
                    "{}: arm `{}` has no predictions for {:?}, draw {draw}",
                    path.display(),
                    peer.name,
                    size.labels
                );
            }
        }
        all.push((peer, scores));
    }
    Ok(all)
}
