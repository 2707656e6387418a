//! What reasoning costs in money.

use std::collections::BTreeMap;
use std::path::Path;

use scaletot_core::config::ConfigError;
use scaletot_core::files;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ledger::LedgerSnapshot;
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
#[non_exhaustive]
pub struct Prices {
    /// The unit of all prices, for display.
    pub currency: String,
    /// Price by model.
    pub models: BTreeMap<String, Price>,
}

/// Of a file of prices; a model takes a hundred.
const MAX_BYTES: u64 = 4 << 20;

/// What a model costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Price {
    /// Of a million tokens of prompts and answers.
    pub per_million_tokens: f64,
    /// Of a call.
    pub per_call: f64,
    /// Of an hour in which the model was busy ([`LedgerSnapshot::seconds`]): what a machine of one's own costs.
    pub per_hour: f64,
}

impl Prices {
    /// No prices yet, in that currency.
    #[must_use]
    pub fn new(currency: impl Into<String>) -> Self {
        Self { currency: currency.into(), models: BTreeMap::new() }
    }

    /// Adds the price of a model.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>, price: Price) -> Self {
        self.models.insert(model.into(), price);
        self
    }

    /// Reads prices.
    ///
    /// # Errors
    ///
    /// [`Error::Syntax`] if the text is no price table; [`Error::Config`] if a price is negative or not finite.
    pub fn from_toml(text: &str) -> Result<Self> {
        Self::parse(text, "prices")
    }

    fn parse(text: &str, what: &str) -> Result<Self> {
        let prices: Self = toml::from_str(text)
            .map_err(|error| Error::Syntax { what: what.to_owned(), source: Box::new(error) })?;
        for (model, price) in &prices.models {
            let all = [price.per_million_tokens, price.per_call, price.per_hour];
            if let Some(wrong) = all.iter().find(|price| !(price.is_finite() && **price >= 0.0)) {
                return Err(
                    ConfigError::new(format!("prices of {model}"), "prices of at least 0", wrong).into()
                );
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
        let text = files::read_to_string(path, MAX_BYTES)?;
        Self::parse(&text, &format!("prices {}", path.display()))
    }

    /// The price of a model.
    #[must_use]
    pub fn of(&self, model: &str) -> Option<&Price> {
        self.models.get(model)
    }

    /// The cost of a run, and of the same for `population` users.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming a model that was called and has no price, or if the cost is no finite number.
    pub fn cost(&self, summary: &RunSummary, population: u64) -> Result<RunCost> {
        let mut models = BTreeMap::new();
        for (model, spent) in &summary.models {
            let price = match self.of(model) {
                Some(price) => price.of(spent),
                None if spent.calls == 0 => 0.0,
                None => {
                    let known: Vec<&str> = self.models.keys().map(String::as_str).collect();
                    return Err(ConfigError::new(
                        "prices",
                        format!("a price of `{model}`"),
                        format!("prices of {known:?}"),
                    )
                    .into());
                }
            };
            models.insert(model.clone(), price);
        }
        let run: f64 = models.values().sum();
        if !(run * (population as f64).max(1.0)).is_finite() {
            let found = format!("{run} for a run, {population} users");
            return Err(ConfigError::new("prices", "prices whose sum is finite", found).into());
        }
        // Users who were abstained on cost nothing, in the population as in the run.
        let per = |count: u64| (count > 0).then(|| run / count as f64);
        Ok(RunCost {
            run,
            per_accepted: per(summary.accepted),
            population: per(summary.users()).map(|each| each * population as f64),
            models,
        })
    }
}

impl Price {
    /// Sets the price of a million tokens.
    #[must_use]
    pub fn with_per_million_tokens(mut self, price: f64) -> Self {
        self.per_million_tokens = price;
        self
    }

    /// Sets the price of a call.
    #[must_use]
    pub fn with_per_call(mut self, price: f64) -> Self {
        self.per_call = price;
        self
    }

    /// Sets the price of an hour in which the model is busy.
    #[must_use]
    pub fn with_per_hour(mut self, price: f64) -> Self {
        self.per_hour = price;
        self
    }

    /// The price of what a model was asked.
    #[must_use]
    pub fn of(&self, spent: &LedgerSnapshot) -> f64 {
        spent.tokens as f64 / 1e6 * self.per_million_tokens
            + spent.calls as f64 * self.per_call
            + spent.seconds / 3600.0 * self.per_hour
    }
}

/// What a run cost, and what reasoning about everybody would. Amounts are in [`Prices::currency`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RunCost {
    /// Of the run.
    pub run: f64,
    /// Per accepted chain; `None` without one.
    pub per_accepted: Option<f64>,
    /// Of reasoning about the whole population at the run's mean cost per user; `None` if the run reasoned about nobody. Equal
    /// prompts were asked once in the run and would be in the population, where there are more of them: an upper bound for users
    /// of the same kind.
    pub population: Option<f64>,
    /// Of the run, by model.
    pub models: BTreeMap<String, f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_add_up() {
        let mut spent = LedgerSnapshot::default();
        (spent.tokens, spent.calls, spent.seconds) = (2_000_000, 100, 1800.0);
        let free = LedgerSnapshot { cache_hits: 5, ..LedgerSnapshot::default() };
        let models =
            BTreeMap::from([("m".to_owned(), spent), ("n".to_owned(), spent), ("free".to_owned(), free)]);
        let summary = RunSummary { accepted: 8, abstained: 2, models, ..RunSummary::default() };
        let price = Price { per_million_tokens: 0.5, per_call: 0.01, per_hour: 2.0 };
        let mut prices = Prices::default();
        prices.models.insert("m".to_owned(), price);
        let unknown = prices.cost(&summary, 1_000).unwrap_err();
        assert!(
            unknown.to_string().contains("expected a price of `n`, found prices of [\"m\"]"),
            "{unknown}"
        );
        prices.models.insert("n".to_owned(), Price { per_call: 0.02, ..Price::default() });
        let cost = prices.cost(&summary, 1_000).unwrap();
        assert_eq!((cost.run, cost.per_accepted, cost.population), (5.0, Some(5.0 / 8.0), Some(500.0)));
        assert_eq!((cost.models["m"], cost.models["n"], cost.models["free"]), (3.0, 2.0, 0.0));
        let nothing = prices.cost(&RunSummary::default(), 1_000).unwrap();
        assert_eq!((nothing.run, nothing.per_accepted, nothing.population), (0.0, None, None));
    }

    #[test]
    fn a_cost_that_is_no_number_is_refused() {
        let spent = LedgerSnapshot { tokens: u64::MAX, calls: 1, ..LedgerSnapshot::default() };
        let summary = RunSummary {
            accepted: 1,
            models: BTreeMap::from([("m".to_owned(), spent)]),
            ..RunSummary::default()
        };
        for (price, population) in [(1e300, 1), (1e290, u64::MAX)] {
            let prices = Prices::new("EUR").with_model("m", Price::default().with_per_million_tokens(price));
            let error = prices.cost(&summary, population).unwrap_err();
            assert!(error.to_string().contains("expected prices whose sum is finite"), "{error}");
        }
    }

    #[test]
    fn prices_are_checked() {
        let negative = Prices::from_toml("currency = \"EUR\"\n[models.m]\nper_call = -1.0\n").unwrap_err();
        assert!(negative.to_string().contains("`prices of m`: expected prices of at least 0, found -1"));
        assert!(Prices::from_toml("currency = \"EUR\"\n[models.m]\nper_token = 1.0\n").is_err());
    }
}
