//! Schemas as text: TOML, JSON and their files. All of it goes through the builder, so that a schema that was read has been checked.

use std::path::Path;

use scaletot_core::files::{self, write_bytes};
use scaletot_core::text::printable;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::schema::ProfileSchema;
use crate::schema_builder::SchemaBuilder;

/// Bytes of a schema file, at most: a million values with their words.
const MAX_FILE: u64 = 256 << 20;

impl Serialize for ProfileSchema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SchemaBuilder::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ProfileSchema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        SchemaBuilder::deserialize(deserializer)?.build().map_err(D::Error::custom)
    }
}

impl ProfileSchema {
    /// Reads a schema from TOML.
    ///
    /// # Errors
    /// [`Error::Syntax`] with the position if the text is not TOML of a schema's shape, [`Error::Schema`] if the schema
    /// contradicts itself.
    pub fn from_toml(text: &str) -> Result<Self> {
        let builder: SchemaBuilder = toml::from_str(text).map_err(|error| syntax("TOML", error))?;
        builder.build()
    }

    /// Reads a schema from JSON.
    ///
    /// # Errors
    /// As [`Self::from_toml`].
    pub fn from_json(text: &str) -> Result<Self> {
        let builder: SchemaBuilder = serde_json::from_str(text).map_err(|error| syntax("JSON", error))?;
        builder.build()
    }

    /// The schema as TOML.
    ///
    /// # Errors
    /// [`Error::Syntax`] if TOML cannot say it, which does not happen for a schema that was checked.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(|error| syntax("TOML", error))
    }

    /// The schema as indented JSON.
    ///
    /// # Errors
    /// [`Error::Syntax`] if JSON cannot say it, which does not happen for a schema that was checked.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|error| syntax("JSON", error))
    }

    /// Reads a schema from a `.toml` or `.json` file.
    ///
    /// # Errors
    /// As [`Self::from_toml`], naming the file; [`Error::Io`] if it cannot be read; [`Error::Extension`] for another kind
    /// of file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let format = format_of(path)?;
        let text = files::read_to_string(path, MAX_FILE)?;
        let schema = if format == "TOML" { Self::from_toml(&text) } else { Self::from_json(&text) };
        schema.map_err(|error| match error {
            Error::Syntax { format, source, .. } => {
                Error::Syntax { path: Some(path.to_owned()), format, source }
            }
            other => other,
        })
    }

    /// Writes the schema to a `.toml` or `.json` file, replacing it at once or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written, [`Error::Extension`] for another kind of file.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let text = if format_of(path)? == "TOML" { self.to_toml()? } else { self.to_json()? };
        Ok(write_bytes(path, text)?)
    }
}

fn syntax(format: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    // Parsers quote the line that they stumbled over, which may be the whole file.
    const MAX_MESSAGE: usize = 2000;
    let message = error.to_string();
    let source: Box<dyn std::error::Error + Send + Sync> = match message.len() > MAX_MESSAGE {
        true => printable(&message, MAX_MESSAGE / 4).into(),
        false => Box::new(error),
    };
    Error::Syntax { path: None, format, source }
}

fn format_of(path: &Path) -> Result<&'static str> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some(extension) if extension.eq_ignore_ascii_case("toml") => Ok("TOML"),
        Some(extension) if extension.eq_ignore_ascii_case("json") => Ok("JSON"),
        _ => Err(Error::Extension { path: path.to_owned(), expected: ".toml or .json" }),
    }
}
