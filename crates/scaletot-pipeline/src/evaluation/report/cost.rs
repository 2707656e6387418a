//! The ledger: what reasoning cost, and what it would cost for everybody.

use crate::error::Result;
use maud::{Markup, html};

use super::super::results::Ledger;
use super::parts::table;
use super::view::View;
use super::words;

/// Costs that grow with the users who are reasoned about.
#[derive(Debug, Clone, Copy)]
struct PerUser {
    questions: f64,
    tokens: f64,
    seconds: Option<f64>,
}

impl PerUser {
    fn of(ledger: &Ledger) -> Option<Self> {
        (ledger.reasoned > 0).then(|| {
            let users = ledger.reasoned as f64;
            let questions = ledger.questions as f64 / users;
            let seconds = seconds_per_call(ledger).map(|seconds| seconds * questions);
            Self { questions, tokens: ledger.tokens as f64 / users, seconds }
        })
    }

    fn column(&self, users: f64) -> Vec<String> {
        let whole = |value: f64| words::fixed(value, 0);
        let mut cells = vec![whole(users), whole(self.questions * users), whole(self.tokens * users)];
        cells.extend(self.seconds.map(|seconds| words::duration(seconds * users)));
        cells
    }
}

/// The seconds of a model call, if a model was called: rules answer in no time that would mean anything.
fn seconds_per_call(ledger: &Ledger) -> Option<f64> {
    ledger.seconds_per_call.filter(|seconds| *seconds >= 1e-3)
}

/// The ledger of the teacher, and the encoder beside it.
pub(super) fn ledger(view: &View<'_>) -> Result<Option<Markup>> {
    let ledger = &view.results.ledger;
    let coverage = view.results.run.coverage;
    let million = words::duration(ledger.encoder_seconds_per_million);
    let Some(per_user) = PerUser::of(ledger) else {
        return Ok(Some(html! {
            p {
                "The teacher was asked nothing in this run. The encoder scores a million users in "
                strong { (million) } " on this machine, on one thread."
            }
        }));
    };
    let everybody = ledger.everybody as f64;
    let mut names = vec!["users reasoned about", "questions", "tokens"];
    if per_user.seconds.is_some() {
        names.push("model time, no answer reused");
    }
    let columns = [
        per_user.column(ledger.reasoned as f64),
        per_user.column((coverage * view.results.task.users as f64).min(everybody)),
        per_user.column(everybody),
    ];
    let rows: Vec<Vec<String>> = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let cells = columns.iter().map(|column| column.get(at).cloned().unwrap_or_default());
            std::iter::once((*name).to_owned()).chain(cells).collect()
        })
        .collect();
    let share = format!("{} reasoned", words::short_percent(coverage));
    let saved = ledger.saved as f64 / (ledger.questions as f64).max(1.0);
    Ok(Some(html! {
        p {
            "A search asks " strong { (words::fixed(per_user.questions, 1)) " questions" }
            " per user. In this run, "
            (words::percent(saved, 1)) " of the questions needed no model call, because an equal prompt \
                had been asked before or was recorded."
        }
        (table("Cost of the teacher", &["", "this run, all folds", &share, "everybody reasoned"], &rows))
        p.quiet {
            "The two columns to the right are projections at the same cost per user: " (words::short_percent(coverage))
            " of all users, and the " (words::count(ledger.everybody)) " users whose profile is not too sparse. Equal \
                prompts would save calls in both."
            @if let Some(seconds) = seconds_per_call(ledger) {
                " One model call takes " (words::duration(seconds)) ", as measured when it was asked."
            }
            @else if ledger.seconds_per_call.is_some() { " The answers came at once, so no times are projected." }
            @else { " The time of a model call was not measured, so no times are projected." }
        }
        dl.pairs {
            div { dt { "A million users, encoder" } dd { (million) " on one thread of this machine" } }
            @if let Some(seconds) = per_user.seconds {
                div {
                    dt { "A million users, teacher" }
                    dd { (words::duration(seconds * 1e6)) ", one call after another" }
                }
            }
        }
    }))
}
