//! A small encoder's artifact, and its files with hashes that fit.

use std::path::Path;

use scaletot_core::ContentHash;
use scaletot_encoder::{
    ArtifactInfo, EncoderConfig, FieldTerms, FrozenEncoder, Heads, HiddenUnit, ValueHead,
};

/// The files of an artifact that can be changed; a case's first byte says which it is.
pub const NAMES: [&str; 3] = ["manifest.json", "weights.safetensors", "canaries.json"];

/// The files of a sound artifact: a tiny network with all heads, a value head and a distance limit.
#[must_use]
pub fn files() -> [Vec<u8>; 3] {
    let table = super::profiles::table();
    let rows: Vec<usize> = (0..table.len()).collect();
    let mut config = EncoderConfig::default();
    (config.embed_dim, config.hidden, config.rep_dim, config.bins) = (2, vec![3], 2, 2);
    config.cross_layers = 1;
    let heads = Heads::new(true, vec![2, 3], 2);
    let codes = |count: usize| FieldTerms::Codes { codes: vec![0.1; count], missing: -0.1 };
    let tables = vec![vec![0.1, -0.2, 0.3, 0.0], vec![], vec![], vec![0.2, 0.1, -0.1], vec![]];
    let value_head = ValueHead::builder(0.5)
        .with_fields(vec![codes(3), FieldTerms::Unused, codes(2), codes(2), FieldTerms::Unused])
        .with_hidden(vec![HiddenUnit::new(0.1, 0.3, tables)])
        .with_marginals(vec![vec![0.1, -0.1], vec![0.0, 0.2, 0.4]])
        .with_representation(vec![0.3, -0.2])
        .with_trunk(vec![0.1, 0.2, -0.3])
        .build()
        .expect("finite weights");
    let encoder = FrozenEncoder::with_random_weights(&config, &table, &super::schema(), heads, 1)
        .and_then(|encoder| encoder.calibrate_abstention(&table, &rows, 0.1))
        .and_then(|encoder| encoder.with_value_head(value_head))
        .expect("valid sizes");
    let place = tempfile::tempdir().expect("a directory");
    let info = ArtifactInfo::new().with_metric("spearman", 0.25).with_note("weekly");
    encoder.save(place.path(), info).expect("an artifact");
    NAMES.map(|name| std::fs::read(place.path().join(name)).expect("a file of the artifact"))
}

/// Writes the files, with hashes in the manifest and of the manifest that fit.
pub fn write(directory: &Path, files: [&[u8]; 3]) -> std::io::Result<()> {
    let [manifest, weights, canaries] = files;
    let mut manifest = manifest.to_vec();
    // In its bytes, since whatever else is wrong with them must stay as it is.
    for (key, file) in [("\"weights_sha256\"", weights), ("\"canaries_sha256\"", canaries)] {
        let hash = ContentHash::of(file).to_string();
        let found = manifest.windows(key.len()).position(|part| part == key.as_bytes());
        let value = found.and_then(|at| manifest.get_mut(at + key.len()..));
        let value = value.and_then(|rest| {
            let quote = rest.iter().position(|&byte| byte == b'"')? + 1;
            rest.get_mut(quote..quote + hash.len())
        });
        if let Some(value) = value {
            value.copy_from_slice(hash.as_bytes());
        }
    }
    let mut sums = String::new();
    for (name, bytes) in NAMES.iter().zip([&manifest, weights, canaries]) {
        super::overwrite(&directory.join(name), bytes)?;
        sums.push_str(&format!("{}  {name}\n", ContentHash::of(bytes)));
    }
    super::overwrite(&directory.join("SHA256SUMS"), sums.as_bytes())
}
