//! What a column's name says.

/// The words of a column's name, in lower case: `numOrders_30d` is `num`, `orders`, `30d`.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut last: Option<char> = None;
    for letter in name.chars() {
        let begins = last.is_some_and(|last| last.is_lowercase() && letter.is_uppercase());
        if !letter.is_alphanumeric() || begins {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
        last = Some(letter);
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Short forms that a reader of a sentence should not have to guess.
const SHORT_FORMS: [(&str, &str); 26] = [
    ("num", "number of"),
    ("nr", "number of"),
    ("nb", "number of"),
    ("no", "number of"),
    ("n", "number of"),
    ("cnt", "count"),
    ("avg", "average"),
    ("med", "median"),
    ("pct", "percentage"),
    ("perc", "percentage"),
    ("amt", "amount"),
    ("qty", "quantity"),
    ("yrs", "years"),
    ("yr", "year"),
    ("mths", "months"),
    ("hh", "household"),
    ("acct", "account"),
    ("cust", "customer"),
    ("txn", "transaction"),
    ("freq", "frequency"),
    ("prev", "previous"),
    ("reg", "registration"),
    ("edu", "education"),
    ("occ", "occupation"),
    ("cat", "category"),
    ("pref", "preferred"),
];

/// Words of a name that say how a value is written, and not what it is.
const FORMS: [&str; 12] =
    ["group", "band", "range", "bucket", "bin", "flag", "ind", "indicator", "level", "class", "cat", "type"];

/// The words as they are rendered: `hh_cnt` is "household count".
pub(super) fn rendered(words: &[String]) -> String {
    let rendered: Vec<&str> = words
        .iter()
        .enumerate()
        .map(|(at, word)| {
            // "no" and "n" stand for a number only in front: `no_of_kids`, `n_kids`.
            let is_short =
                |(short, _): &&(&str, &str)| short == word && (at == 0 || short.len() > 2 || *short == "hh");
            SHORT_FORMS.iter().find(is_short).map_or(word.as_str(), |(_, long)| long)
        })
        .collect();
    rendered.join(" ").replace("number of of ", "number of ")
}

/// The words without those that say how a value is written; all of them if nothing would be left.
pub(super) fn essence(words: &[String]) -> Vec<String> {
    let kept: Vec<String> = words.iter().filter(|word| !FORMS.contains(&word.as_str())).cloned().collect();
    if kept.is_empty() { words.to_vec() } else { kept }
}

/// Whether one of the words is among `wanted`.
pub(super) fn has(words: &[String], wanted: &[&str]) -> bool {
    words.iter().any(|word| wanted.contains(&word.as_str()))
}

/// Whether a word is a span of time that an outcome is taken over, such as `30d`, `12m` or `4w`.
fn is_horizon(word: &str) -> bool {
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &word[digits.len()..];
    !digits.is_empty()
        && digits.chars().all(|c| c.is_ascii_digit())
        && ["d", "day", "days", "w", "weeks", "m", "mo", "months", "y", "q"].contains(&unit)
}

/// Words of what a user brings, and of what is to be predicted.
const VALUES: [&str; 13] = [
    "revenue",
    "spend",
    "spent",
    "spending",
    "sales",
    "gmv",
    "turnover",
    "profit",
    "margin",
    "purchase",
    "purchases",
    "payments",
    "donations",
];
const TARGETS: [&str; 7] = ["ltv", "clv", "cltv", "lifetime", "target", "label", "outcome"];
/// Words of what a user does or does not do, which is no value but can be predicted like one.
const EVENTS: [&str; 10] = [
    "converted",
    "conversion",
    "response",
    "responded",
    "visit",
    "visited",
    "clicked",
    "bought",
    "purchased",
    "redeemed",
];
/// Names of a target that mean something else within a longer name.
const WHOLE_NAMES: [&str; 2] = ["y", "value"];
/// Words of what came before.
const PAST: [&str; 8] = ["prior", "past", "previous", "prev", "last", "before", "history", "hist"];

/// What the name says of the time and worth of what a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hint {
    /// Nothing.
    None,
    /// What a user has brought before: behaviour, and no static profile.
    Past,
    /// What a user does not do any more, which is the contrary of a value.
    Loss,
    /// What a user does or does not do.
    Event,
    /// What a user brings, at no stated time.
    Value,
    /// What a user brings within a time.
    ValueWithin,
    /// What is to be predicted.
    Target,
}

/// Whether two names have a word with a digit in common, such as `30d` or `lt14`, which most often is a span of time.
pub(super) fn share_span(a: &[String], b: &[String]) -> bool {
    let is_span = |word: &&String| {
        word.contains(|c: char| c.is_ascii_digit()) && word.contains(|c: char| c.is_alphabetic())
    };
    a.iter().filter(is_span).any(|word| b.contains(word))
}

/// What the name says.
pub(super) fn hint(words: &[String]) -> Hint {
    let within =
        words.iter().any(|word| is_horizon(word)) || has(words, &["next", "future", "after", "post"]);
    let is_whole = words.len() == 1 && has(words, &WHOLE_NAMES);
    let found = match () {
        () if is_whole || has(words, &TARGETS) => Hint::Target,
        () if has(words, &VALUES) && within => Hint::ValueWithin,
        () if has(words, &VALUES) => Hint::Value,
        () if has(words, &["churn", "churned"]) => Hint::Loss,
        () if has(words, &EVENTS) => Hint::Event,
        () => Hint::None,
    };
    // Whatever was counted over a span of time before is behaviour: `baskets_prior_90d`.
    let spans = words.iter().any(|word| is_horizon(word));
    if has(words, &PAST) && (found != Hint::None || spans) { Hint::Past } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        for (name, expected) in [
            ("numOrders_30d", "num orders 30d"),
            ("household-size", "household size"),
            ("HH_Income", "hh income"),
            ("ZIPCode", "zipcode"),
            ("Alter (Jahre)", "alter jahre"),
            ("", ""),
        ] {
            assert_eq!(words(name).join(" "), expected, "{name}");
        }
        assert_eq!(rendered(&words("num_orders")), "number of orders");
        assert_eq!(rendered(&words("n_of_kids")), "number of kids");
        assert_eq!(rendered(&words("hhIncome")), "household income");
        assert_eq!(rendered(&words("casino_no")), "casino no");
        assert_eq!(essence(&words("age_band")), ["age"]);
        assert_eq!(essence(&words("type")), ["type"]);
    }

    #[test]
    fn spans_are_shared_by_names() {
        let share = |a, b| share_span(&words(a), &words(b));
        assert!(share("lt14_views", "lt14_days") && share("visits_30d", "spend_30d"));
        assert!(
            !share("lt7_days", "lt14_days") && !share("code_2", "value_2") && !share("days", "lt14_days")
        );
    }

    #[test]
    fn outcomes_are_told_from_the_past_and_from_profiles() {
        for (name, expected) in [
            ("ltv_90d", Hint::Target),
            ("spend_30d", Hint::ValueWithin),
            ("revenue_next_month", Hint::ValueWithin),
            ("total_spend", Hint::Value),
            ("spend_prior_90d", Hint::Past),
            ("last_purchase_amount", Hint::Past),
            ("baskets_prior_90d", Hint::Past),
            ("last_name", Hint::None),
            ("income", Hint::None),
            ("30d_box", Hint::None),
            ("device_type", Hint::None),
            ("home_value", Hint::None),
            ("y", Hint::Target),
            ("conversion", Hint::Event),
            ("churned", Hint::Loss),
        ] {
            assert_eq!(hint(&words(name)), expected, "{name}");
        }
    }
}
