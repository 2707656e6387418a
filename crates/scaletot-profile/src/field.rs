//! Fields of a profile and the values they take.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::error::{Result, quoted};

/// The words of five levels, from least to most; with fewer, the ones in between are left out.
pub(crate) const LEVELS: [&str; 5] = ["very low", "low", "moderate", "high", "very high"];

/// The text that stands for the bucket of unknown categories, in files and in [`Domain::label`].
pub const UNKNOWN: &str = "unknown";

/// What happens to a category that a field's domain does not list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum UnknownPolicy {
    /// Reading fails and says where.
    #[default]
    Error,
    /// It is counted as one more category, [`UNKNOWN`], whose code follows those of the listed values.
    Bucket,
}

/// The finite set of values of a categorical or ordinal field; a value's code is its position in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Domain {
    values: Vec<String>,
    unknown: UnknownPolicy,
    words: BTreeMap<String, String>,
    codes: HashMap<String, u32>,
}

impl Domain {
    /// Checks that values are non-empty, trimmed and unique, and that words are for those values only.
    pub(crate) fn new(
        values: Vec<String>,
        unknown: UnknownPolicy,
        words: BTreeMap<String, String>,
    ) -> Result<Self, String> {
        if values.is_empty() {
            return Err("`values` must list at least one value".to_owned());
        }
        // The two highest codes stand for the bucket of such a domain and for missing.
        if values.len() >= u32::MAX as usize - 1 {
            return Err(format!("`values` must list fewer than 2^32 - 2 values, found {}", values.len()));
        }
        let mut codes = HashMap::with_capacity(values.len());
        for (value, code) in values.iter().zip(0u32..) {
            if value.trim() != value || value.is_empty() {
                return Err(format!(
                    "values must be non-empty and without blanks at their ends, found {value:?}"
                ));
            }
            if unknown == UnknownPolicy::Bucket && value == UNKNOWN {
                return Err(format!(
                    "with unknown = \"bucket\", the value {UNKNOWN:?} is the bucket's own name"
                ));
            }
            if codes.insert(value.clone(), code).is_some() {
                return Err(format!("the value {value:?} is listed twice"));
            }
        }
        let is_known =
            |value: &str| codes.contains_key(value) || (unknown == UnknownPolicy::Bucket && value == UNKNOWN);
        if let Some(value) = words.keys().find(|value| !is_known(value)) {
            return Err(format!("`words` has {value:?}, which is not among the values {}", quoted(&values)));
        }
        Ok(Self { values, unknown, words, codes })
    }

    /// The values in code order; of an ordinal field, from least to most.
    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// What happens to other values.
    #[must_use]
    pub fn unknown(&self) -> UnknownPolicy {
        self.unknown
    }

    /// The code of `value`; for a value that is not listed the bucket's code, or `None` if there is no bucket.
    #[must_use]
    pub fn code_of(&self, value: &str) -> Option<u32> {
        self.codes.get(value).copied().or_else(|| self.bucket())
    }

    /// Whether `value` is among the listed ones.
    pub(crate) fn lists(&self, value: &str) -> bool {
        self.codes.contains_key(value)
    }

    /// The code of the bucket of unknown values, if there is one.
    #[must_use]
    pub fn bucket(&self) -> Option<u32> {
        (self.unknown == UnknownPolicy::Bucket).then_some(self.values.len() as u32)
    }

    /// How many codes there are: the listed values, and one more if unknown values have a bucket.
    #[must_use]
    pub fn cardinality(&self) -> usize {
        self.values.len() + usize::from(self.unknown == UnknownPolicy::Bucket)
    }

    /// The value of a code: a listed value, [`UNKNOWN`] for the bucket, `None` for a code outside of the domain.
    #[must_use]
    pub fn label(&self, code: u32) -> Option<&str> {
        let listed = self.values.get(code as usize).map(String::as_str);
        listed.or_else(|| (self.bucket() == Some(code)).then_some(UNKNOWN))
    }

    /// The wording of a value in a sentence, where it is not the value itself.
    #[must_use]
    pub fn word(&self, value: &str) -> Option<&str> {
        self.words.get(value).map(String::as_str)
    }

    /// All wordings, by value.
    #[must_use]
    pub fn words(&self) -> &BTreeMap<String, String> {
        &self.words
    }
}

/// The domain of a field that takes any number of values at once.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiDomain {
    domain: Domain,
    separator: String,
}

impl MultiDomain {
    pub(crate) fn new(domain: Domain, separator: String) -> Result<Self, String> {
        if separator.is_empty() {
            return Err("`separator` must not be empty".to_owned());
        }
        if let Some(value) = domain.values.iter().find(|value| value.contains(&separator)) {
            return Err(format!("the value {value:?} contains the separator {separator:?}"));
        }
        Ok(Self { domain, separator })
    }

    /// The values that each entry of the list is one of.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// What stands between two values in a text cell.
    #[must_use]
    pub fn separator(&self) -> &str {
        &self.separator
    }

    /// See [`Domain::values`].
    #[must_use]
    pub fn values(&self) -> &[String] {
        self.domain.values()
    }

    /// See [`Domain::code_of`].
    #[must_use]
    pub fn code_of(&self, value: &str) -> Option<u32> {
        self.domain.code_of(value)
    }

    /// See [`Domain::cardinality`].
    #[must_use]
    pub fn cardinality(&self) -> usize {
        self.domain.cardinality()
    }
}

/// The closed interval of a numeric field; an open end takes every finite number.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Range {
    min: Option<f64>,
    max: Option<f64>,
}

impl Range {
    pub(crate) fn new(min: Option<f64>, max: Option<f64>) -> Result<Self, String> {
        if let Some(bound) = min.iter().chain(&max).find(|bound| !bound.is_finite()) {
            return Err(format!("`min` and `max` must be finite, found {bound}"));
        }
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            return Err(format!("`min` must not exceed `max`, found {min} and {max}"));
        }
        Ok(Self { min: min.map(|x| x + 0.0), max: max.map(|x| x + 0.0) })
    }

    /// The least number allowed.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        self.min
    }

    /// The greatest number allowed.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        self.max
    }

    /// Whether `x` is finite and within the bounds.
    #[must_use]
    pub fn contains(&self, x: f64) -> bool {
        x.is_finite() && self.min.is_none_or(|min| x >= min) && self.max.is_none_or(|max| x <= max)
    }
}

/// What a field's values are.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FieldKind {
    /// One of a set of values without an order.
    Categorical(Domain),
    /// One of a set of values from least to most.
    Ordinal(Domain),
    /// A finite number.
    Numeric(Range),
    /// Yes or no.
    Boolean,
    /// Any subset of a set of values.
    Multi(MultiDomain),
}

impl FieldKind {
    /// The kind's name, as schema files write it: "categorical", "ordinal", "numeric", "boolean", "multi".
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Categorical(_) => "categorical",
            Self::Ordinal(_) => "ordinal",
            Self::Numeric(_) => "numeric",
            Self::Boolean => "boolean",
            Self::Multi(_) => "multi",
        }
    }

    /// The domain of a categorical, ordinal or multi-valued field.
    #[must_use]
    pub fn domain(&self) -> Option<&Domain> {
        match self {
            Self::Categorical(domain) | Self::Ordinal(domain) => Some(domain),
            Self::Multi(multi) => Some(multi.domain()),
            Self::Numeric(_) | Self::Boolean => None,
        }
    }
}

/// One field of a [`ProfileSchema`](crate::ProfileSchema). Fields are described with a
/// [`FieldSpec`](crate::FieldSpec) and checked when the schema is built.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub(crate) name: String,
    pub(crate) kind: FieldKind,
    pub(crate) description: Option<String>,
    pub(crate) unit: Option<String>,
    pub(crate) phrase: Option<String>,
    pub(crate) missing: Vec<String>,
    /// Wordings of numeric levels and of yes and no; those of domains are with the domain.
    pub(crate) words: BTreeMap<String, String>,
    pub(crate) rendered: bool,
}

impl Field {
    /// The field's name, which is also its column's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its values are.
    #[must_use]
    pub fn kind(&self) -> &FieldKind {
        &self.kind
    }

    /// What the field means, for people and prompts.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The unit of a numeric field.
    #[must_use]
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// Whether the [`Verbaliser`](crate::Verbaliser) renders it.
    #[must_use]
    pub fn is_rendered(&self) -> bool {
        self.rendered
    }

    /// How the [`Verbaliser`](crate::Verbaliser) renders it: a phrase with `{}` where the value goes.
    #[must_use]
    pub fn phrase(&self) -> Option<&str> {
        self.phrase.as_deref()
    }

    /// Cell texts that are read as missing, besides the empty one, and in a numeric field those of
    /// [`MISSING_NUMBERS`](crate::MISSING_NUMBERS).
    #[must_use]
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// The wording of a value, of a level word such as "very low" (numeric) or of "true" and "false" (boolean),
    /// where the schema gives one.
    #[must_use]
    pub fn word(&self, value: &str) -> Option<&str> {
        match self.kind.domain() {
            Some(domain) => domain.word(value),
            None => self.words.get(value).map(String::as_str),
        }
    }

    /// All wordings of the field.
    #[must_use]
    pub fn words(&self) -> &BTreeMap<String, String> {
        self.kind.domain().map_or(&self.words, Domain::words)
    }
}
