//! Value models on disk: one directory with a manifest, and one directory per member of a committee.

use std::path::Path;
use std::sync::Arc;

use scaletot_core::ContentHash;
use scaletot_core::files::{self, AtomicDir, Checksums, create_dir_all, write_json};
use scaletot_core::text::printable;
use scaletot_profile::ProfileSchema;
use serde::{Deserialize, Serialize};

use crate::committee::Committee;
use crate::design::Columns;
use crate::error::{Error, Result};
use crate::learner::BaseLoader;
use crate::model::{Link, Model, Part, ValueModel};
use crate::recipe::ProfileRecipe;
use crate::ridge::Ridge;
use crate::signal_columns::SignalColumns;

/// The version of the format that is written, and the one that is read.
pub const VALUE_MODEL_FORMAT: u32 = 1;
/// What the manifest says it is.
const KIND: &str = "scaletot-value-model";
const MANIFEST: &str = "value-model.json";
const LEARNERS: &str = "learners";
/// What a value model's directory may hold, and only one like that is replaced.
const NAMES: &[&str] = &[MANIFEST, LEARNERS, Checksums::NAME];
/// A larger manifest is not read.
const MAX_MANIFEST_BYTES: u64 = 256 << 20;
/// Members of a committee, parts of a stack and signal columns beyond which a manifest is not believed.
const MAX_MEMBERS: usize = 1000;
const MAX_SIGNAL_COLUMNS: usize = 1 << 24;

/// Read before anything else, of any version.
#[derive(Deserialize)]
struct Head {
    kind: String,
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    kind: String,
    format: u32,
    profile_schema: ContentHash,
    chain_schema: Option<ContentHash>,
    profile: ProfileRecipe,
    signals: Option<SignalColumns>,
    intercept: f64,
    models: Vec<SavedPart>,
    link: Link,
    largest_outcome: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedPart {
    weight: f64,
    centre: f64,
    model: SavedModel,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum SavedModel {
    Ridge(Ridge),
    Committee { learner: String, members: usize },
    Level,
}

impl ValueModel {
    /// The names in a value model's directory, of which `learners` is a directory of what the learners' models have written.
    /// [`save`](Self::save) replaces a directory of these alone.
    pub const FILES: &'static [&'static str] = NAMES;

    /// Writes the model as a directory, atomically: it appears whole or not at all, and takes the folder of one that is there. Out-of-fold
    /// predictions are not written: they are of single users.
    ///
    /// # Errors
    /// [`Error::Files`] if it cannot be written, or there is a file or a directory of something else; [`Error::Learner`] if a learner's model cannot be saved.
    pub fn save(&self, directory: impl AsRef<Path>) -> Result<()> {
        let directory = directory.as_ref();
        let beside = AtomicDir::create(directory, NAMES)?;
        let parts = self.parts.iter().map(|part| {
            let model = match &part.model {
                Model::Ridge(ridge) => SavedModel::Ridge(ridge.clone()),
                Model::Level => SavedModel::Level,
                Model::Committee(committee) => {
                    committee.save(&beside.path().join(LEARNERS))?;
                    SavedModel::Committee {
                        learner: committee.name.clone(),
                        members: committee.members.len(),
                    }
                }
            };
            Ok(SavedPart { weight: part.weight, centre: part.centre, model })
        });
        let manifest = Manifest {
            kind: KIND.to_owned(),
            format: VALUE_MODEL_FORMAT,
            profile_schema: self.schema.hash(),
            chain_schema: self.chain_schema,
            profile: self.recipe.clone(),
            signals: self.signals.clone(),
            intercept: self.intercept,
            models: parts.collect::<Result<_>>()?,
            link: self.link,
            largest_outcome: self.largest_outcome,
        };
        write_json(beside.path().join(MANIFEST), &manifest)?;
        beside.write(Checksums::NAME, Checksums::of(beside.path())?.to_text())?;
        Ok(beside.commit()?)
    }

    /// Reads a model for profiles of a schema; `loaders` read what learners' models have written, and may be empty for a model without.
    ///
    /// Every file is compared with its line in `SHA256SUMS`, and none may be missing or superfluous. That shows damage and mix-ups, and is no
    /// protection against whoever can write the directory.
    ///
    /// # Errors
    /// [`Error::Files`], [`Error::Checksum`], [`Error::Json`], [`Error::Manifest`] for a manifest that was not written by [`save`](Self::save), [`Error::Format`]
    /// for another version of the format, [`Error::Schema`] for a model of another profile schema, [`Error::NoLoader`] and
    /// [`Error::Learner`] for a learner's models.
    pub fn load(
        directory: impl AsRef<Path>,
        schema: &ProfileSchema,
        loaders: &[&dyn BaseLoader],
    ) -> Result<Self> {
        let directory = directory.as_ref();
        let sums = Checksums::read(directory)?;
        sums.check(directory)?;
        let manifest = read(directory, &sums)?;
        if manifest.profile_schema != schema.hash() {
            let (expected, found) = (manifest.profile_schema.to_string(), schema.hash().to_string());
            return Err(Error::Schema { expected, found });
        }
        manifest.check(schema).map_err(|(expected, found)| Error::Manifest {
            path: directory.join(MANIFEST),
            expected,
            found,
        })?;
        let part = |SavedPart { weight, centre, model }| {
            let model = match model {
                SavedModel::Ridge(ridge) => Model::Ridge(ridge),
                SavedModel::Level => Model::Level,
                SavedModel::Committee { learner, members } => {
                    let learners = directory.join(LEARNERS);
                    Model::Committee(Arc::new(Committee::load(&learners, learner, members, schema, loaders)?))
                }
            };
            Ok(Part { weight, centre, model })
        };
        Ok(Self {
            schema: Arc::new(schema.clone()),
            chain_schema: manifest.chain_schema,
            recipe: manifest.profile,
            signals: manifest.signals,
            intercept: manifest.intercept,
            parts: manifest.models.into_iter().map(part).collect::<Result<_>>()?,
            link: manifest.link,
            largest_outcome: manifest.largest_outcome,
            out_of_fold: None,
        })
    }
}

impl Committee {
    /// Writes the members as `1`, `2` … under the learner's name in `learners`.
    fn save(&self, learners: &Path) -> Result<()> {
        let folder = learners.join(&self.name);
        create_dir_all(&folder)?;
        self.members.iter().enumerate().try_for_each(|(member, model)| {
            model.save(&folder.join((member + 1).to_string())).map_err(Error::learner(&self.name, "save"))
        })
    }

    fn load(
        learners: &Path,
        name: String,
        members: usize,
        schema: &ProfileSchema,
        loaders: &[&dyn BaseLoader],
    ) -> Result<Self> {
        let Some(loader) = loaders.iter().find(|loader| loader.name() == name) else {
            return Err(Error::NoLoader { name });
        };
        let folder = learners.join(&name);
        let member = |member: usize| {
            loader.load(&folder.join(member.to_string()), schema).map_err(Error::learner(&name, "load"))
        };
        Ok(Self { members: (1..=members).map(member).collect::<Result<_>>()?, name })
    }
}

fn read(directory: &Path, sums: &Checksums) -> Result<Manifest> {
    let path = &directory.join(MANIFEST);
    let text = files::read(path, MAX_MANIFEST_BYTES)?;
    sums.check_bytes(directory, MANIFEST, &text)?;
    let wrong = |expected: String, found: String| Error::Manifest { path: path.clone(), expected, found };
    let json = |source| Error::Json { path: path.to_owned(), source };
    let head: Head = serde_json::from_slice(&text).map_err(json)?;
    if head.kind != KIND {
        return Err(wrong(format!("the kind {KIND:?}"), printable(&format!("{:?}", head.kind), 80)));
    }
    if head.format != VALUE_MODEL_FORMAT {
        let (expected, found) = (VALUE_MODEL_FORMAT, head.format);
        return Err(Error::Format { path: path.to_owned(), expected, found });
    }
    serde_json::from_slice(&text).map_err(json)
}

impl Manifest {
    /// What was expected and what was found, if anything is not as it was written.
    fn check(&self, schema: &ProfileSchema) -> Result<(), (String, String)> {
        let check = |fine: bool, expected: &str, found: String| match fine {
            true => Ok(()),
            false => Err((expected.to_owned(), found)),
        };
        let fits = self.profile.fits(schema.fields().iter().map(|field| field.kind()));
        check(fits, "profile columns for the fields of the schema", "others".to_owned())?;
        let found = self.signals.as_ref().map_or(0, |signals| signals.total_width());
        check(found <= MAX_SIGNAL_COLUMNS, "fewer signal columns", found.to_string())?;
        let link = match self.link {
            Link::Exponential { a, b } => a.is_finite() && b.is_finite() && b > 0.0,
            Link::Level => true,
        };
        check(link, "a finite link with a slope above 0", format!("{:?}", self.link))?;
        check(self.models.len() <= MAX_MEMBERS, "fewer models", self.models.len().to_string())?;
        let columns = Columns { profile: &self.profile, signals: self.signals.as_ref() };
        let reads = self.models.iter().any(|part| part.model.reads_signals());
        check(reads == self.signals.is_some(), "signal columns if a model reads signals", reads.to_string())?;
        let own = [self.intercept, self.largest_outcome].into_iter();
        let mut numbers = own.chain(self.models.iter().flat_map(|part| [part.weight, part.centre]));
        check(numbers.all(f64::is_finite), "finite numbers", "others".to_owned())?;
        self.models.iter().try_for_each(|part| match &part.model {
            SavedModel::Ridge(ridge) => {
                let width = columns.of(ridge.inputs).len();
                check(ridge.is_valid(width), "a regression on its columns", format!("{:?}", ridge.inputs))
            }
            SavedModel::Committee { learner, members } => {
                let fine =
                    (1..=MAX_MEMBERS).contains(members) && crate::trainer::name_problem(learner).is_none();
                check(fine, "a learner's name and its members", format!("{members} of {learner:?}"))
            }
            SavedModel::Level => Ok(()),
        })
    }
}

impl SavedModel {
    fn reads_signals(&self) -> bool {
        match self {
            Self::Ridge(ridge) => ridge.inputs.read_signals(),
            Self::Committee { .. } => false,
            Self::Level => true,
        }
    }
}
