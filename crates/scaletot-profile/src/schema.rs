//! The profile schema: which fields a profile has.

use scaletot_core::ContentHash;

use crate::field::{Field, FieldKind};
use crate::hash::Canonical;

/// What profiles look like: an ordered list of fields, each with its kind and its allowed values.
///
/// A schema is data: it is written by hand as TOML (or JSON), or built in code, and both give the same schema and
/// the same hash. Whatever way it is made, it has been checked.
///
/// ```
/// use scaletot_profile::ProfileSchema;
///
/// let schema = ProfileSchema::from_toml(r#"
///     name = "shop"
///     subject = "A customer"
///     id = "customer_id"
///
///     [[field]]
///     name = "age"
///     kind = "ordinal"
///     values = ["18-34", "35-54", "55+"]
///     phrase = "aged {}"
///     missing = ["NA"]
///
///     [[field]]
///     name = "income"
///     kind = "numeric"
///     min = 0
///     unit = "EUR a year"
///     phrase = "with a {} income"
/// "#)?;
/// assert_eq!(schema.field_index("income"), Some(1));
/// assert_eq!(ProfileSchema::from_json(&schema.to_json()?)?, schema);
/// # Ok::<(), scaletot_profile::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileSchema {
    name: String,
    subject: String,
    id_column: String,
    fields: Vec<Field>,
    hash: ContentHash,
    wording_hash: ContentHash,
}

impl ProfileSchema {
    pub(crate) fn new(name: String, subject: String, id_column: String, fields: Vec<Field>) -> Self {
        let hash = content_hash(&fields);
        let wording_hash = wording_hash(&subject, &fields);
        Self { name, subject, id_column, fields, hash, wording_hash }
    }

    /// The schema's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whom a profile describes, as a sentence begins: "A customer".
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The column that holds the user ids.
    #[must_use]
    pub fn id_column(&self) -> &str {
        &self.id_column
    }

    /// The fields, in order.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The position of the field called `name`.
    #[must_use]
    pub fn field_index(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name() == name)
    }

    /// The hash of what stored profiles mean: for each field in order its name, kind, values, policy for unknown
    /// values, bounds and unit. Whatever is fitted on profiles keeps this hash and refuses profiles of another one.
    ///
    /// Not in it, because a value means the same whatever they are: the schema's name, the id column, how cells are
    /// read (missing tokens, separator) and the wording, which has a hash of its own ([`Self::wording_hash`]). The
    /// order of keys in a file plays no part. The hash of a given schema does not change between releases of this
    /// crate with the same major version.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        self.hash
    }

    /// The hash of how profiles are rendered: the subject, and per field its name, phrase, wordings and whether it is rendered. Texts made with
    /// one wording, and what a language model answered to them, are not to be mixed with those of another.
    #[must_use]
    pub fn wording_hash(&self) -> ContentHash {
        self.wording_hash
    }
}

fn content_hash(fields: &[Field]) -> ContentHash {
    let mut out = Canonical::default();
    out.text("scaletot profile schema 1");
    out.count(fields.len());
    for field in fields {
        out.text(field.name());
        out.text(field.kind().name());
        out.option(field.unit(), Canonical::text);
        if let Some(domain) = field.kind().domain() {
            out.count(domain.values().len());
            domain.values().iter().for_each(|value| out.text(value));
            out.tag(u8::from(domain.bucket().is_some()));
        }
        if let FieldKind::Numeric(range) = field.kind() {
            out.option(range.min(), Canonical::number);
            out.option(range.max(), Canonical::number);
        }
    }
    ContentHash::of(out.bytes())
}

fn wording_hash(subject: &str, fields: &[Field]) -> ContentHash {
    let all = fields.iter().all(Field::is_rendered);
    let mut out = Canonical::default();
    // Two forms, so that texts that were recorded before fields could be left out stay those of their schema.
    out.text(if all { "scaletot profile wording 1" } else { "scaletot profile wording 2" });
    out.text(subject);
    out.count(fields.len());
    for field in fields {
        out.text(field.name());
        out.option(field.phrase(), Canonical::text);
        out.count(field.words().len());
        for (value, wording) in field.words() {
            out.text(value);
            out.text(wording);
        }
        if !all {
            out.tag(u8::from(field.is_rendered()));
        }
    }
    ContentHash::of(out.bytes())
}
