//! What reasoning costs in money.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::reasoner::RunSummary;

/// Prices of models, by the names that [`Teacher::model`](crate::Teacher::model) gives.
///
/// ```
/// use scaletot_teacher::Prices;
///
/// let prices = Prices::from_toml(
///     r#"
///     currency = "USD"
///     [models."small, completions of http://127.0.0.1:8080/v1"]
///     per_million_tokens = 0.15
///     per_call = 0.0001
///     "#,
/// )?;
/// assert_eq!(prices.currency, "USD");
/// assert!(prices.of("another").is_none());
/// # Ok::<(), scaletot_teacher::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// The unit of all prices, for display.
    pub currency: String,
    /// Price by model.
    pub models: BTreeMap<String, Price>,
}

/// What a model costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Price {
    /// Of a million tokens of prompts and answers.
    pub per_million_tokens: f64,
    /// Of a call.
    pub per_call: f64,
    /// Of an hour of waiting for the model on one thread: what a machine of one's own costs.
    pub per_hour: f64,
}

impl Prices {
    /// Reads prices.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the text is no price table, or a price is negative or not finite.
    pub fn from_toml(text: &str) -> Result<Self> {
        let prices: Self =
            toml::from_str(text).map_err(|error| Error::config("prices", error.to_string()))?;
        for (model, price) in &prices.models {
            let all = [price.per_million_tokens, price.per_call, price.per_hour];
            if let Some(wrong) = all.iter().find(|price| !(price.is_finite() && **price >= 0.0)) {
                let message = format!("expected prices of at least 0, got {wrong}");
                return Err(Error::config(format!("prices of `{model}`"), message));
            }
        }
        Ok(prices)
    }

    /// Reads a file of prices.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], and as [`from_toml`](Self::from_toml).
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::from_toml(&std::fs::read_to_string(path).map_err(|source| Error::io(path, source))?)
    }

    /// The price of a model.
    #[must_use]
    pub fn of(&self, model: &str) -> Option<&Price> {
        self.models.get(model)
    }
}

/// What a run cost, and what reasoning about everybody would.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunCost {
    /// Of the run.
    pub run: f64,
    /// Per accepted chain; `None` without one.
    pub per_accepted: Option<f64>,
    /// Of reasoning about the whole population at the run's mean cost per user. Equal prompts were asked once in the run and
    /// would be in the population, where there are more of them: an upper bound for users of the same kind.
    pub population: Option<f64>,
}

impl RunCost {
    /// The cost of a run in which `summary` was reached with a model of that `price`, and of the same for `population` users.
    #[must_use]
    pub fn of(summary: &RunSummary, price: &Price, population: u64) -> Self {
        let ledger = &summary.ledger;
        let run = ledger.tokens as f64 / 1e6 * price.per_million_tokens
            + ledger.calls as f64 * price.per_call
            + ledger.seconds / 3600.0 * price.per_hour;
        // Users who were abstained on cost nothing, in the population as in the run.
        let users = summary.users();
        let ratio = |by: u64| (by > 0).then(|| run / by as f64);
        Self {
            run,
            per_accepted: ratio(summary.accepted),
            population: ratio(users).map(|each| each * population as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_add_up() {
        let mut summary = RunSummary { accepted: 8, abstained: 2, ..RunSummary::default() };
        (summary.ledger.tokens, summary.ledger.calls, summary.ledger.seconds) = (2_000_000, 100, 1800.0);
        let price = Price { per_million_tokens: 0.5, per_call: 0.01, per_hour: 2.0 };
        let cost = RunCost::of(&summary, &price, 1_000);
        assert_eq!((cost.run, cost.per_accepted, cost.population), (3.0, Some(3.0 / 8.0), Some(300.0)));
        let nothing = RunCost::of(&RunSummary::default(), &price, 1_000);
        assert_eq!((nothing.run, nothing.per_accepted, nothing.population), (0.0, None, None));
    }

    #[test]
    fn prices_are_checked() {
        let negative = Prices::from_toml("currency = \"EUR\"\n[models.m]\nper_call = -1.0\n").unwrap_err();
        assert!(negative.to_string().contains("prices of `m`: expected prices of at least 0, got -1"));
        assert!(Prices::from_toml("currency = \"EUR\"\n[models.m]\nper_token = 1.0\n").is_err());
    }
}
