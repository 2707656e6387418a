//! The drafted chain schema: states that bear on most outcomes, in the order in which they are reasoned about.

use super::DraftOptions;
use super::text::{comment, quoted};

/// The states before the outcome, each with three levels.
pub(super) const STATES: [&str; 4] = ["engagement", "spending_capacity", "price_sensitivity", "retention"];
/// The last state.
pub(super) const OUTCOME: &str = "outcome_level";

/// The schema's text.
pub(super) fn render(options: &DraftOptions, outcome: &str) -> String {
    let (name, noun) = (quoted(&options.name), comment(options.noun()));
    let cue = |text: &str| quoted(&format!("this {noun}'s {text} is"));
    format!(
        r#"# What is reasoned about a {noun}, in this order: a first draft, for you to edit.
#
# Replace the states by those that an expert on your users would think of. A prompt ends with "Overall, " and the state's cue, and
# the value is what the teacher would say next; so `values` must read well after `cue`. A state is told of the states that it depends on,
# and of no others: few of them keep the number of different prompts, and so the cost, low. `scaletot plan` counts the prompts.
name = {name}

[[state]]
name = "engagement"
kind = "ordinal"
description = "how much use the {noun} has for what is offered"
cue = {engagement}
values = ["low", "moderate", "high"]

[[state]]
name = "spending_capacity"
kind = "ordinal"
description = "how much the {noun} can afford to spend"
cue = {capacity}
values = ["low", "moderate", "high"]

[[state]]
name = "price_sensitivity"
kind = "ordinal"
description = "how strongly prices decide what the {noun} does"
cue = {sensitivity}
values = ["low", "moderate", "high"]
depends_on = ["spending_capacity"]

[[state]]
name = "retention"
kind = "ordinal"
description = "how likely the {noun} is to stay"
cue = {retention}
values = ["low", "moderate", "high"]
depends_on = ["engagement", "price_sensitivity"]

# The last state is linked to the outcome, the column `{column}`, from least to most.
[[state]]
name = "{OUTCOME}"
kind = "ordinal"
description = "how high the {noun}'s value will be, compared with others"
cue = {value}
values = ["very low", "low", "moderate", "high", "very high"]
depends_on = ["engagement", "spending_capacity", "retention"]

# A constraint forbids what cannot be, whatever the teacher says.
[[constraint]]
when = {{ engagement = "low", spending_capacity = "low" }}
state = "{OUTCOME}"
forbid = ["very high"]
"#,
        engagement = cue("interest in what is offered"),
        capacity = cue("spending capacity"),
        sensitivity = cue("sensitivity to prices"),
        retention = cue("likelihood of staying"),
        value = cue("expected value"),
        column = comment(outcome),
    )
}
