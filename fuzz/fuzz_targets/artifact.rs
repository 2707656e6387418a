//! Whatever a file of an artifact holds, loading it gives an encoder or an error; what an encoder says are numbers.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use scaletot_encoder::{Error, FrozenEncoder, Precision};
use scaletot_fuzz::{artifact, profiles};
use scaletot_profile::{ProfileSchema, ProfileTable};

static FILES: LazyLock<[Vec<u8>; 3]> = LazyLock::new(artifact::files);
static SCHEMA: LazyLock<ProfileSchema> = LazyLock::new(profiles::schema);
static TABLE: LazyLock<ProfileTable> = LazyLock::new(profiles::table);
static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = std::env::temp_dir().join(format!("scaletot-fuzz-artifact-{}", std::process::id()));
    std::fs::create_dir_all(&place).unwrap();
    place
});

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    let mut files = FILES.each_ref().map(Vec::as_slice);
    files[usize::from(*which) % files.len()] = bytes;
    artifact::write(&PLACE, files).unwrap();
    let Ok(encoder) = FrozenEncoder::load(&*PLACE, &SCHEMA) else { return };
    let rows: Vec<usize> = (0..TABLE.len()).collect();
    check_scores(&encoder);
    for precision in [Precision::Bf16, Precision::Int8] {
        if let Ok(encoder) = encoder.clone().with_precision(precision) {
            check_scores(&encoder);
        }
    }
    let drift = encoder.drift(&TABLE, &rows).unwrap();
    assert!(drift.fields.iter().all(|field| field.psi.is_finite()), "{drift:?}");
    assert!(encoder.distances(&TABLE, &rows).unwrap().iter().all(|distance| distance.is_finite()));
    match encoder.explain(&TABLE, 1) {
        Ok(explanation) => {
            assert!(explanation.value.is_finite() && explanation.baseline.is_finite(), "{explanation:?}");
            let _ = explanation.to_string();
        }
        // There is nothing to explain, or slopes are infinite where values are not.
        Err(error) => {
            assert!(!encoder.heads().outcome || matches!(error, Error::Value { .. }), "{error}");
        }
    }
});

/// Nothing is NaN but the outcome of a profile that was abstained on.
fn check_scores(encoder: &FrozenEncoder) {
    let scores = encoder.score(&TABLE).unwrap();
    for column in [&scores.value, &scores.p_positive, &scores.mu, &scores.sigma] {
        for (x, abstained) in column.iter().zip(&scores.abstained) {
            assert_eq!(x.is_nan(), *abstained, "{scores:?}");
        }
    }
    assert!(scores.value.iter().all(|value| value.is_nan() || value.is_finite()), "{scores:?}");
    assert!(
        scores.posteriors.iter().flatten().chain(&scores.representation).all(|x| !x.is_nan()),
        "{scores:?}"
    );
}
