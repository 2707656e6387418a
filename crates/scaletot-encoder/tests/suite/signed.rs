//! Signed artifacts: what is signed by the key that is given loads, and nothing else; signatures are those of OpenSSL.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use scaletot_encoder::signature::{PublicKey, SecretKey};
use scaletot_encoder::{ArtifactInfo, Error, FrozenEncoder};
use tempfile::TempDir;

use crate::common::{encoder, schema, with_causes};

const SIGNATURE: &str = "SHA256SUMS.sig";

fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", name].iter().collect()
}

fn keys() -> (SecretKey, PublicKey) {
    let read = |name: &str| fixture("signed").join(name);
    (SecretKey::read(read("secret.pem")).unwrap(), PublicKey::read(read("public.pem")).unwrap())
}

/// A copy of an artifact that an earlier build wrote.
fn copy() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    for file in fs::read_dir(fixture("artifact-2/ziln")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), place.path().join(file.file_name())).unwrap();
    }
    place
}

fn refused(directory: &Path, key: &PublicKey) -> String {
    let error = FrozenEncoder::load_signed(directory, key).unwrap_err();
    assert!(matches!(error, Error::Signature { .. }), "{error}");
    error.to_string()
}

#[test]
fn signatures_are_those_of_openssl() {
    let (secret, public) = keys();
    assert_eq!(secret.public_key(), public);
    let place = copy();
    fs::copy(fixture("signed").join("ziln.sig"), place.path().join(SIGNATURE)).unwrap();
    let encoder = FrozenEncoder::load_signed(place.path(), &public).unwrap();
    assert_eq!(encoder, FrozenEncoder::load(place.path(), &schema()).unwrap());
    let by_openssl = fs::read(place.path().join(SIGNATURE)).unwrap();
    fs::remove_file(place.path().join(SIGNATURE)).unwrap();
    secret.sign(place.path()).unwrap();
    assert_eq!(fs::read(place.path().join(SIGNATURE)).unwrap(), by_openssl);
    // By another program that reads nothing of ours, where it is installed.
    let checked = std::process::Command::new("openssl")
        .args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey"])
        .arg(fixture("signed").join("public.pem"))
        .arg("-in")
        .arg(place.path().join("SHA256SUMS"))
        .arg("-sigfile")
        .arg(place.path().join(SIGNATURE))
        .output();
    if let Ok(checked) = checked {
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success() || said.contains("rawin"), "{said}");
    }
}

#[test]
fn unsigned_artifacts_and_those_of_others_are_refused() {
    let (secret, public) = keys();
    let place = copy();
    assert!(refused(place.path(), &public).contains("found no signature"));
    secret.sign(place.path()).unwrap();
    FrozenEncoder::load_signed(place.path(), &public).unwrap();
    let other = SecretKey::parse([7; 32]).unwrap();
    assert!(refused(place.path(), &other.public_key()).contains("another key"));
    other.sign(place.path()).unwrap();
    FrozenEncoder::load_signed(place.path(), &other.public_key()).unwrap();
    assert!(refused(place.path(), &public).contains("another key"));
    for (bytes, found) in
        [(vec![0; 63], "a shorter file"), (vec![0; 65], "a longer file"), (vec![0; 64], "another key")]
    {
        fs::write(place.path().join(SIGNATURE), bytes).unwrap();
        assert!(refused(place.path(), &public).contains(found));
    }
    // A signed artifact whose files and checksums are of another one, which is sound.
    secret.sign(place.path()).unwrap();
    let signature = fs::read(place.path().join(SIGNATURE)).unwrap();
    let forged = tempfile::tempdir().unwrap();
    encoder(1).save(forged.path(), ArtifactInfo::new()).unwrap();
    fs::write(forged.path().join(SIGNATURE), signature).unwrap();
    FrozenEncoder::load_with_own_schema(forged.path()).unwrap();
    assert!(refused(forged.path(), &public).contains("other checksums"));
    // Written again, it is to be signed again.
    secret.sign(forged.path()).unwrap();
    encoder(2).save(forged.path(), ArtifactInfo::new()).unwrap();
    assert!(refused(forged.path(), &public).contains("found no signature"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_changed_byte_of_a_signed_artifact_is_noticed(file in 0usize..5, at in 0.0f64..1.0, flip in 1u8..=255) {
        let (_, public) = keys();
        let place = copy();
        fs::copy(fixture("signed").join("ziln.sig"), place.path().join(SIGNATURE)).unwrap();
        let names = ["manifest.json", "weights.safetensors", "canaries.json", "SHA256SUMS", SIGNATURE];
        let path = place.path().join(names[file]);
        let mut bytes = fs::read(&path).unwrap();
        let at = (at * bytes.len() as f64) as usize;
        bytes[at] ^= flip;
        fs::write(&path, bytes).unwrap();
        prop_assert!(FrozenEncoder::load_signed(place.path(), &public).is_err());
    }
}

#[test]
fn a_damaged_artifact_is_not_signed() {
    let (secret, _) = keys();
    let place = copy();
    let path = place.path().join("weights.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    bytes[200] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(matches!(secret.sign(place.path()), Err(Error::Checksum(_))));
    assert!(!place.path().join(SIGNATURE).exists());
}

#[test]
fn what_is_no_key_is_refused_and_a_secret_is_not_shown() {
    let (secret, public) = keys();
    assert_eq!(PublicKey::parse(public.to_bytes()).unwrap(), public);
    let shown = format!("{secret:?}");
    assert!(shown.contains("SecretKey") && !shown.contains("9d61") && !shown.contains("157, 97"), "{shown}");
    let pem = |name: &str| fs::read(fixture("signed").join(name)).unwrap();
    for key in [vec![], b"key".to_vec(), vec![0xff; 40], pem("secret.pem"), pem("make.sh")] {
        let error = PublicKey::parse(&key).unwrap_err();
        assert!(error.to_string().contains("BEGIN PUBLIC KEY") && with_causes(&error).len() > 80, "{error}");
    }
    for key in [vec![], vec![1; 31], pem("public.pem")] {
        assert!(SecretKey::parse(&key).unwrap_err().to_string().contains("BEGIN PRIVATE KEY"));
    }
    // The neutral element, by which anything is signed.
    let mut weak = [0; 32];
    weak[0] = 1;
    assert!(with_causes(&PublicKey::parse(weak).unwrap_err()).contains("by anyone"));
    assert!(matches!(PublicKey::read(fixture("signed")), Err(Error::Io { .. })));
}
