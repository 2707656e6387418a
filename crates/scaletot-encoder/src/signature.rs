//! Signatures of artifacts (Ed25519, RFC 8032): who wrote what is loaded.
//!
//! Checksums show damage, and whoever can write an artifact's directory can write checksums too. A signature shows that the artifact is the one that
//! the holder of a secret key signed, wherever it was copied through since. It is detached: 64 bytes, `SHA256SUMS.sig`, of the bytes of `SHA256SUMS`,
//! of which loading compares every line with the file that it names. It does not show that an artifact is the newest that was signed.
//!
//! Keys are made, and artifacts signed and checked, with OpenSSL as well as with [`SecretKey::sign`] and [`FrozenEncoder::load_signed`]:
//!
//! ```sh
//! openssl genpkey -algorithm ed25519 -out secret.pem
//! openssl pkey -in secret.pem -pubout -out public.pem
//! openssl pkeyutl -sign -inkey secret.pem -rawin -in artifact/SHA256SUMS -out artifact/SHA256SUMS.sig
//! openssl pkeyutl -verify -pubin -inkey public.pem -rawin -in artifact/SHA256SUMS -sigfile artifact/SHA256SUMS.sig
//! ```
//!
//! An artifact that is written again, as by a further run, is a new one and has to be signed again.
//!
//! ```
//! # use scaletot_chain::{ChainSchema, StateDef};
//! # use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
//! # use scaletot_encoder::{ArtifactInfo, EncoderConfig, Heads};
//! use scaletot_encoder::FrozenEncoder;
//! use scaletot_encoder::signature::{PublicKey, SecretKey};
//! # let schema = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35+"])).build()?;
//! # let mut table = TableBuilder::new(schema);
//! # table.push_text(1, &["35+"])?;
//! # let chain = ChainSchema::builder("spend").with_state(StateDef::ordinal("budget", ["low", "high"])).build()?;
//! # let heads = Heads::new(true, vec![], 0);
//! # let encoder = FrozenEncoder::with_random_weights(&EncoderConfig::default(), &table.finish(), &chain, heads, 7)?;
//! # let place = tempfile::tempdir()?;
//! # let artifact = place.path().join("artifact");
//! # let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
//! encoder.save(&artifact, ArtifactInfo::new())?;
//! let secret = SecretKey::parse(pem)?; // or SecretKey::read("secret.pem")
//! secret.sign(&artifact)?;
//! let public: PublicKey = secret.public_key(); // elsewhere: PublicKey::read("public.pem")
//! FrozenEncoder::load_signed(&artifact, &public)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::cell::RefCell;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use scaletot_core::files;

use crate::artifact::{Artifact, SIGNATURE};
use crate::error::{Error, Result};
use crate::frozen::FrozenEncoder;

/// A longer file holds no key.
const MAX_KEY_BYTES: u64 = 1 << 16;

/// The key that signatures are checked with. It is no secret, but has to come from whom one trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// A key as PEM (`BEGIN PUBLIC KEY`, as OpenSSL writes it) or as its 32 bytes.
    ///
    /// # Errors
    /// [`Error::Key`] for anything else, and for a key that would let anyone sign (of small order).
    pub fn parse(key: impl AsRef<[u8]>) -> Result<Self> {
        let key = key.as_ref();
        let parsed = match (<&[u8; 32]>::try_from(key), std::str::from_utf8(key)) {
            (Ok(bytes), _) => VerifyingKey::from_bytes(bytes).map_err(|error| refused(PUBLIC, error))?,
            (_, Ok(pem)) => {
                VerifyingKey::from_public_key_pem(pem.trim()).map_err(|error| refused(PUBLIC, error))?
            }
            (_, Err(error)) => return Err(refused(PUBLIC, error)),
        };
        match parsed.is_weak() {
            false => Ok(Self(parsed)),
            true => Err(refused(PUBLIC, "this key's signatures can be made by anyone")),
        }
    }

    /// As [`parse`](Self::parse), from a file.
    ///
    /// # Errors
    /// As there; [`Error::Io`] if the file cannot be read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::parse(files::read(path, MAX_KEY_BYTES)?)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Checks the signature that lies beside an artifact's checksums.
    fn check(&self, directory: &Path, sums: &str) -> Result<()> {
        let path = directory.join(SIGNATURE);
        let wrong = |found: &str| Error::Signature { path: path.clone(), found: found.to_owned() };
        let bytes = match files::read(&path, Signature::BYTE_SIZE as u64) {
            Ok(bytes) => bytes,
            Err(error) if error.source.kind() == ErrorKind::NotFound => return Err(wrong("no signature")),
            Err(error) if error.source.kind() == ErrorKind::FileTooLarge => {
                return Err(wrong("a longer file"));
            }
            Err(error) => return Err(error.into()),
        };
        let signature = Signature::from_slice(&bytes).map_err(|_| wrong("a shorter file"))?;
        self.0
            .verify_strict(sums.as_bytes(), &signature)
            .map_err(|_| wrong("one of another key or of other checksums"))
    }
}

/// The key that artifacts are signed with. Its bytes are wiped from memory when it is dropped, and not part of its `Debug`.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A key as PEM (`BEGIN PRIVATE KEY`, PKCS#8 without a passphrase, as OpenSSL writes it) or as its 32 bytes.
    ///
    /// # Errors
    /// [`Error::Key`] for anything else.
    pub fn parse(key: impl AsRef<[u8]>) -> Result<Self> {
        let key = key.as_ref();
        match (<&[u8; 32]>::try_from(key), std::str::from_utf8(key)) {
            (Ok(bytes), _) => Ok(Self(SigningKey::from_bytes(bytes))),
            (_, Ok(pem)) => {
                SigningKey::from_pkcs8_pem(pem.trim()).map(Self).map_err(|error| refused(SECRET, error))
            }
            (_, Err(error)) => Err(refused(SECRET, error)),
        }
    }

    /// As [`parse`](Self::parse), from a file.
    ///
    /// # Errors
    /// As there; [`Error::Io`] if the file cannot be read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::parse(files::read(path, MAX_KEY_BYTES)?)
    }

    /// The key that its signatures are checked with.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs an artifact as it is on disk, after a look at whether it is sound: canaries aside, all that [`FrozenEncoder::load`] checks.
    /// A signature that is there is replaced.
    ///
    /// # Errors
    /// Those of loading; [`Error::Io`] if the signature cannot be written.
    pub fn sign(&self, artifact: impl AsRef<Path>) -> Result<()> {
        let directory = artifact.as_ref();
        let sums = RefCell::new(String::new());
        Artifact::read(directory, &|read| {
            sums.replace(read.to_owned());
            Ok(())
        })?;
        let signature = self.0.sign(sums.into_inner().as_bytes());
        Ok(files::write_bytes(directory.join(SIGNATURE), signature.to_bytes())?)
    }
}

impl FrozenEncoder {
    /// As [`load_with_own_schema`](Self::load_with_own_schema), for an artifact that must be signed: nothing of it is read before its signature
    /// is found to be by this key.
    ///
    /// # Errors
    /// As there; [`Error::Signature`] where there is no signature, or one of another key or other files.
    pub fn load_signed(directory: impl AsRef<Path>, key: &PublicKey) -> Result<Self> {
        let directory = directory.as_ref();
        Self::from_artifact(Artifact::ready(directory, &|sums| key.check(directory, sums))?)
    }
}

const PUBLIC: &str = "a public Ed25519 key, as PEM (`BEGIN PUBLIC KEY`) or its 32 bytes";
const SECRET: &str =
    "a secret Ed25519 key, as PEM (`BEGIN PRIVATE KEY`, without a passphrase) or its 32 bytes";

fn refused(expected: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Key { expected, source: source.into() }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("public_key", &self.public_key()).finish_non_exhaustive()
    }
}
