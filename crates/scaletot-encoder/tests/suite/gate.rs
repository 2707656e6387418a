//! Artifacts of encoders that passed or failed a gate.

use std::path::Path;

use crate::common::{edit_manifest, encoder, schema, world};
use scaletot_encoder::{ArtifactInfo, Error, FrozenEncoder, Readiness, TransferGate, TransferReport};

fn report() -> TransferReport {
    let world = world(60, 1);
    encoder(1).transfer_report(&world.dataset(), &world.signals).unwrap()
}

fn at_least(agreement: f64) -> TransferGate {
    let mut gate = TransferGate::default();
    gate.min_agreement = Some(agreement);
    gate
}

fn save(directory: &Path, gate: TransferGate) {
    encoder(1).save(directory, ArtifactInfo::new().with_gate(report(), gate).unwrap()).unwrap();
}

#[test]
fn an_encoder_that_fails_is_written_and_not_served() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("encoder");
    save(&directory, at_least(1.0));
    let error = FrozenEncoder::load(&directory, &schema()).unwrap_err();
    assert!(matches!(error, Error::NotReady { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("mean agreement 0.") && said.contains("at least 1 was asked for"), "{said}");
    // It can be looked at, and what it is sticks to it.
    let looked_at = FrozenEncoder::load_for_inspection(&directory).unwrap();
    assert!(matches!(looked_at.info().readiness(), Readiness::NotReady { reasons } if reasons.len() == 1));
    assert_eq!(looked_at.info().transfer(), Some(&report()));
    assert_eq!(looked_at.info().transfer_gate(), Some(&at_least(1.0)));
    looked_at.save(&directory, looked_at.info().clone()).unwrap();
    assert!(FrozenEncoder::load(&directory, &schema()).is_err());
}

#[test]
fn an_encoder_that_passes_is_served() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("encoder");
    save(&directory, at_least(0.0));
    let loaded = FrozenEncoder::load(&directory, &schema()).unwrap();
    assert_eq!(loaded.info().readiness(), &Readiness::Ready);
    assert_eq!(loaded.info().transfer(), Some(&report()));
    save(&directory, TransferGate::default());
    let loaded = FrozenEncoder::load(&directory, &schema()).unwrap();
    assert_eq!(loaded.info().readiness(), &Readiness::Unchecked);
    assert_eq!(loaded.info().transfer(), Some(&report()));
}

#[test]
fn a_manifest_from_before_there_were_gates_loads() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("encoder");
    encoder(1).save(&directory, ArtifactInfo::new()).unwrap();
    edit_manifest(&directory, "  \"readiness\": \"unchecked\",\n", "");
    let loaded = FrozenEncoder::load(&directory, &schema()).unwrap();
    assert_eq!(loaded.info().readiness(), &Readiness::Unchecked);
    assert_eq!(loaded.info().transfer(), None);
}

#[test]
fn readiness_has_to_follow_from_the_gate() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("encoder");
    encoder(1).save(&directory, ArtifactInfo::new()).unwrap();
    edit_manifest(&directory, "\"readiness\": \"unchecked\"", "\"readiness\": \"ready\"");
    let error = FrozenEncoder::load(&directory, &schema()).unwrap_err().to_string();
    assert!(
        error.contains("manifest.json: readiness by its gate: expected Unchecked, found Ready"),
        "{error}"
    );
    save(&directory, at_least(0.0));
    edit_manifest(&directory, "\"min_agreement\": 0.0", "\"min_agreement\": 1.0");
    let error = FrozenEncoder::load_for_inspection(&directory).unwrap_err().to_string();
    assert!(error.contains("found Ready"), "{error}");
}

#[test]
fn bad_gates_and_reports_are_refused() {
    let error = ArtifactInfo::new().with_gate(report(), at_least(1.5)).unwrap_err();
    assert!(error.to_string().contains("`min_agreement`: expected in [0, 1], found 1.5"), "{error}");
    let mut broken = report();
    broken.cka = f64::NAN;
    let error = ArtifactInfo::new().with_gate(broken, at_least(0.5)).unwrap_err();
    assert!(error.to_string().contains("`cka`"), "{error}");
}
