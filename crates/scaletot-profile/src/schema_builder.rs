//! Unchecked descriptions of schemas: what files hold and builders collect.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::field::Field;
use crate::schema::ProfileSchema;
use crate::spec::FieldSpec;

const DEFAULT_SUBJECT: &str = "A user";

/// A schema in the making; also the shape of a schema file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaBuilder {
    name: String,
    #[serde(default = "default_subject")]
    subject: String,
    id: String,
    #[serde(default, rename = "field", alias = "fields")]
    fields: Vec<FieldSpec>,
}

fn default_subject() -> String {
    DEFAULT_SUBJECT.to_owned()
}

impl SchemaBuilder {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), subject: default_subject(), id: "id".to_owned(), fields: Vec::new() }
    }

    /// Whom the profiles describe, as a sentence begins: "A customer". "A user" by default.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// The column of the user ids; "id" by default.
    #[must_use]
    pub fn with_id_column(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// Adds a field after those already there.
    #[must_use]
    pub fn with_field(mut self, field: FieldSpec) -> Self {
        self.fields.push(field);
        self
    }

    /// Checks everything and makes the schema.
    ///
    /// # Errors
    /// [`Error::Schema`] names the field and what is wrong: no fields, a name that occurs twice or is the id column's,
    /// an empty domain or a repeated value, a setting that the kind has no use for, bounds that are not finite or in
    /// the wrong order, a phrase without its `{}`, a wording for a value that is not listed.
    pub fn build(self) -> Result<ProfileSchema> {
        let schema = self.name.clone();
        let fail = |field: Option<&str>, message: String| Error::Schema {
            schema: schema.clone(),
            field: field.map(str::to_owned),
            message,
        };
        if self.name.trim().is_empty() {
            return Err(fail(None, "the schema needs a name".to_owned()));
        }
        if self.subject.trim().is_empty() {
            return Err(fail(None, "`subject` must not be empty; leave it out for \"A user\"".to_owned()));
        }
        if self.id.trim().is_empty() {
            return Err(fail(None, "`id` must name the column of the user ids".to_owned()));
        }
        if self.fields.is_empty() {
            return Err(fail(None, "the schema needs at least one field".to_owned()));
        }
        let mut fields: Vec<Field> = Vec::with_capacity(self.fields.len());
        let mut names = HashSet::with_capacity(self.fields.len());
        for spec in self.fields {
            let name = spec.name.clone();
            let field = spec.check().map_err(|message| fail(Some(&name), message))?;
            if field.name == self.id {
                return Err(fail(Some(&name), "this is the id column's name".to_owned()));
            }
            if !names.insert(field.name.clone()) {
                return Err(fail(Some(&name), "the name occurs twice".to_owned()));
            }
            fields.push(field);
        }
        Ok(ProfileSchema::new(self.name, self.subject, self.id, fields))
    }
}

impl ProfileSchema {
    /// Starts a schema of that name; add fields and `build()`.
    pub fn builder(name: impl Into<String>) -> SchemaBuilder {
        SchemaBuilder::new(name)
    }
}

impl From<&ProfileSchema> for SchemaBuilder {
    fn from(schema: &ProfileSchema) -> Self {
        Self {
            name: schema.name().to_owned(),
            subject: schema.subject().to_owned(),
            id: schema.id_column().to_owned(),
            fields: schema.fields().iter().map(FieldSpec::from).collect(),
        }
    }
}
