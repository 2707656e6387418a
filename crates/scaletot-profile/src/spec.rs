//! Unchecked descriptions of fields: what files hold and builders collect.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::field::{Domain, Field, FieldKind, LEVELS, MultiDomain, Range, UnknownPolicy};

const DEFAULT_SEPARATOR: &str = "|";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Categorical,
    Ordinal,
    Numeric,
    Boolean,
    Multi,
}

/// The description of a field, not yet checked. It is checked when the schema is built.
///
/// ```
/// use scaletot_profile::{FieldSpec, ProfileSchema};
///
/// let schema = ProfileSchema::builder("shop")
///     .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]).with_phrase("aged {}").with_missing(["NA"]))
///     .with_field(FieldSpec::numeric("income").with_min(0.0).with_unit("EUR a year").with_phrase("with a {} income"))
///     .build()?;
/// assert_eq!(schema.fields().len(), 2);
/// # Ok::<(), scaletot_profile::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldSpec {
    pub(crate) name: String,
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phrase: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    values: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unknown: Option<UnknownPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    separator: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    words: BTreeMap<String, String>,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    rendered: bool,
}

fn yes() -> bool {
    true
}

fn is_yes(flag: &bool) -> bool {
    *flag
}

impl FieldSpec {
    fn new(name: impl Into<String>, kind: Kind, values: Option<Vec<String>>) -> Self {
        Self {
            name: name.into(),
            kind,
            description: None,
            unit: None,
            phrase: None,
            values,
            unknown: None,
            separator: None,
            min: None,
            max: None,
            missing: Vec::new(),
            words: BTreeMap::new(),
            rendered: true,
        }
    }

    /// A field that takes one of `values`, which have no order.
    pub fn categorical<V: Into<String>>(
        name: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        Self::new(name, Kind::Categorical, Some(values.into_iter().map(Into::into).collect()))
    }

    /// A field that takes one of `values`, given from least to most.
    pub fn ordinal<V: Into<String>>(name: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        Self::new(name, Kind::Ordinal, Some(values.into_iter().map(Into::into).collect()))
    }

    /// A field that takes any number of `values` at once.
    pub fn multi<V: Into<String>>(name: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        Self::new(name, Kind::Multi, Some(values.into_iter().map(Into::into).collect()))
    }

    /// A field that takes a finite number.
    pub fn numeric(name: impl Into<String>) -> Self {
        Self::new(name, Kind::Numeric, None)
    }

    /// A field that is true or false.
    pub fn boolean(name: impl Into<String>) -> Self {
        Self::new(name, Kind::Boolean, None)
    }

    /// What the field means.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// The unit of a numeric field.
    #[must_use]
    pub fn with_unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(unit.into());
        self
    }

    /// How the field is rendered, with `{}` where the value goes: "with a {} income".
    #[must_use]
    pub fn with_phrase(mut self, phrase: impl Into<String>) -> Self {
        self.phrase = Some(phrase.into());
        self
    }

    /// What happens to values that are not listed. [`UnknownPolicy::Error`] by default.
    #[must_use]
    pub fn with_unknown(mut self, policy: UnknownPolicy) -> Self {
        self.unknown = Some(policy);
        self
    }

    /// What stands between the values of a multi-valued text cell; `|` by default.
    #[must_use]
    pub fn with_separator(mut self, separator: impl Into<String>) -> Self {
        self.separator = Some(separator.into());
        self
    }

    /// The least number allowed.
    #[must_use]
    pub fn with_min(mut self, min: f64) -> Self {
        self.min = Some(min);
        self
    }

    /// The greatest number allowed.
    #[must_use]
    pub fn with_max(mut self, max: f64) -> Self {
        self.max = Some(max);
        self
    }

    /// Cell texts that are read as missing, besides the empty one, and in a numeric field those of
    /// [`MISSING_NUMBERS`](crate::MISSING_NUMBERS).
    #[must_use]
    pub fn with_missing<T: Into<String>>(mut self, tokens: impl IntoIterator<Item = T>) -> Self {
        self.missing = tokens.into_iter().map(Into::into).collect();
        self
    }

    /// The wording of one value in a sentence, where it should not be the value itself; a value whose wording is empty is not rendered.
    /// Numeric fields take their level words ("very low" … "very high"), boolean fields "true" and "false".
    #[must_use]
    pub fn with_word(mut self, value: impl Into<String>, wording: impl Into<String>) -> Self {
        self.words.insert(value.into(), wording.into());
        self
    }

    /// Whether the field is part of the sentence that a [`Verbaliser`](crate::Verbaliser) renders; `true` by default. Without, language
    /// models and people are not told of it. It stays in the profile, for everything that reads profiles by their values.
    #[must_use]
    pub fn with_rendered(mut self, rendered: bool) -> Self {
        self.rendered = rendered;
        self
    }

    /// The checked field, or what is wrong with it.
    pub(crate) fn check(self) -> Result<Field, String> {
        if self.name.trim() != self.name || self.name.is_empty() || self.name.contains(char::is_control) {
            return Err(
                "a field's name must be non-empty, without blanks at its ends and control characters"
                    .to_owned(),
            );
        }
        self.check_applicable()?;
        self.check_phrase()?;
        let mut missing = self.missing;
        missing.iter_mut().for_each(|token| *token = token.trim().to_owned());
        missing.retain(|token| !token.is_empty());
        missing.sort();
        missing.dedup();

        let unknown = self.unknown.unwrap_or_default();
        let mut words = self.words;
        let domain = |words: &mut BTreeMap<_, _>| {
            Domain::new(self.values.unwrap_or_default(), unknown, std::mem::take(words))
        };
        let kind = match self.kind {
            Kind::Categorical => FieldKind::Categorical(domain(&mut words)?),
            Kind::Ordinal => FieldKind::Ordinal(domain(&mut words)?),
            Kind::Multi => {
                let separator = self.separator.unwrap_or_else(|| DEFAULT_SEPARATOR.to_owned());
                FieldKind::Multi(MultiDomain::new(domain(&mut words)?, separator)?)
            }
            Kind::Numeric => FieldKind::Numeric(Range::new(self.min, self.max)?),
            Kind::Boolean => FieldKind::Boolean,
        };
        let allowed: &[&str] = match self.kind {
            Kind::Numeric => &LEVELS,
            Kind::Boolean => &["false", "true"],
            _ => &[],
        };
        if let Some(key) = words.keys().find(|key| !allowed.contains(&key.as_str())) {
            return Err(format!(
                "`words` has {key:?}; this kind of field takes {}",
                crate::error::quoted(allowed)
            ));
        }
        if let Some(domain) = kind.domain()
            && let Some(token) = missing.iter().find(|token| domain.lists(token))
        {
            return Err(format!("{token:?} is both a value and a token for missing"));
        }
        Ok(Field {
            name: self.name,
            kind,
            description: self.description,
            unit: self.unit,
            phrase: self.phrase,
            missing,
            words,
            rendered: self.rendered,
        })
    }

    /// Refuses settings that this kind of field has no use for: they are mistakes, most often a wrong kind.
    fn check_applicable(&self) -> Result<(), String> {
        let has_domain = matches!(self.kind, Kind::Categorical | Kind::Ordinal | Kind::Multi);
        let numeric = self.kind == Kind::Numeric;
        let settings = [
            ("values", self.values.is_some(), has_domain),
            ("unknown", self.unknown.is_some(), has_domain),
            ("separator", self.separator.is_some(), self.kind == Kind::Multi),
            ("min", self.min.is_some(), numeric),
            ("max", self.max.is_some(), numeric),
            ("unit", self.unit.is_some(), numeric),
        ];
        match settings.iter().find(|(_, given, applies)| *given && !applies) {
            Some((setting, ..)) => {
                Err(format!("`{setting}` does not apply to a field of kind {:?}", self.kind))
            }
            None => Ok(()),
        }
    }

    fn check_phrase(&self) -> Result<(), String> {
        let Some(phrase) = &self.phrase else { return Ok(()) };
        if phrase.trim().is_empty() {
            return Err("`phrase` must not be empty; leave it out for the default phrase".to_owned());
        }
        match phrase.matches("{}").count() {
            1 => Ok(()),
            0 if self.kind == Kind::Boolean => Ok(()),
            n => Err(format!("`phrase` must hold one {{}}, where the value goes, found {n} in {phrase:?}")),
        }
    }
}

impl From<&Field> for FieldSpec {
    fn from(field: &Field) -> Self {
        let mut spec = match field.kind() {
            FieldKind::Categorical(domain) => Self::categorical(field.name(), domain.values()),
            FieldKind::Ordinal(domain) => Self::ordinal(field.name(), domain.values()),
            FieldKind::Multi(multi) => Self::multi(field.name(), multi.values()),
            FieldKind::Numeric(_) => Self::numeric(field.name()),
            FieldKind::Boolean => Self::boolean(field.name()),
        };
        if let FieldKind::Multi(multi) = field.kind()
            && multi.separator() != DEFAULT_SEPARATOR
        {
            spec.separator = Some(multi.separator().to_owned());
        }
        if let FieldKind::Numeric(range) = field.kind() {
            (spec.min, spec.max) = (range.min(), range.max());
        }
        spec.unknown =
            field.kind().domain().map(Domain::unknown).filter(|policy| *policy != UnknownPolicy::Error);
        spec.description = field.description.clone();
        spec.unit = field.unit.clone();
        spec.phrase = field.phrase.clone();
        spec.missing = field.missing.clone();
        spec.words = field.words().clone();
        spec.rendered = field.rendered;
        spec
    }
}
