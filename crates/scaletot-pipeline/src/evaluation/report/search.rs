//! Searches to browse: every question, every chain, every round, without a script.

use crate::error::Result;
use maud::{Markup, html};

use super::super::results::{SearchTree, TreeChain, TreeQuestion, TreeRound};
use super::parts::head;
use super::view::View;
use super::words;

/// All recorded searches, the first one open.
pub(super) fn searches(view: &View<'_>) -> Result<Option<Markup>> {
    if view.results.searches.is_empty() {
        return Ok(None);
    }
    Ok(Some(html! {
        p { "Searches of " (words::plural(view.results.searches.len(), "user")) ", whole. Open a user, \
            then follow the questions: each stands under the values that its prompt was told." }
        @for (at, search) in view.results.searches.iter().enumerate() { (user(search, at == 0)) }
    }))
}

/// One search.
pub(super) fn user(search: &SearchTree, open: bool) -> Markup {
    html! {
        details.user open[open] {
            summary {
                strong { "User " (search.user) }
                span.quiet {
                    (words::plural(search.questions.len(), "question")) " · "
                    (words::plural(search.chains.len(), "chain")) " · " (search.verdict)
                }
            }
            p.profile { (search.profile) }
            @if let Some(chain) = search.chosen.and_then(|at| search.chains.get(at)) {
                h4 { "Chosen chain" }
                ol.chosen {
                    @for (state, value) in values(search, chain) { li { span.quiet { (state) } strong { (value) } } }
                }
            }
            h4 { "Rounds" }
            ol.rounds {
                @if let Some(draft) = search.chains.first().filter(|chain| chain.round == 0) {
                    li {
                        strong { "Draft." } " Greedy: " (in_line(search, draft)) ", score "
                        (words::fixed(draft.score, 3)) "."
                    }
                }
                @for (at, round) in search.rounds.iter().enumerate() {
                    li { strong { "Round " (at + 1) "." } " " (round_in_words(search, round)) }
                }
            }
            p { "It stopped: " (search.stop) "." }
            @if !search.chains.is_empty() { (chains(search)) }
            @if !search.questions.is_empty() {
                h4 { "Questions" }
                @for root in roots(search) { (question(search, root, open)) }
            }
        }
    }
}

fn state_name(search: &SearchTree, state: usize) -> String {
    search.states.get(state).map_or_else(|| format!("state {}", state + 1), |(name, _)| name.clone())
}

fn value_name(search: &SearchTree, state: usize, value: usize) -> String {
    let name = search.states.get(state).and_then(|(_, values)| values.get(value));
    name.cloned().unwrap_or_else(|| format!("value {}", value + 1))
}

fn values(search: &SearchTree, chain: &TreeChain) -> Vec<(String, String)> {
    let named =
        |(state, &value): (usize, &usize)| (state_name(search, state), value_name(search, state, value));
    chain.values.iter().enumerate().map(named).collect()
}

fn in_line(search: &SearchTree, chain: &TreeChain) -> String {
    values(search, chain).into_iter().map(|(_, value)| value).collect::<Vec<_>>().join(" → ")
}

/// Which state was branched and why, what was tried, what came of it.
fn round_in_words(search: &SearchTree, round: &TreeRound) -> String {
    let tried: Vec<String> =
        round.tried.iter().map(|&value| value_name(search, round.state, value)).collect();
    let tried = if tried.is_empty() { "nothing".to_owned() } else { words::list(&tried) };
    let result = match (round.replaced, round.gain) {
        (true, Some(gain)) => format!("the best branch gains {} and was chosen", words::signed(gain, 3)),
        (true, None) => "its best branch was chosen, the first complete chain".to_owned(),
        (false, Some(gain)) => {
            format!("the best branch gains only {}: backtracked to the chain before", words::signed(gain, 3))
        }
        (false, None) => "no other chain was completed: backtracked to the chain before".to_owned(),
    };
    format!(
        "Branched {}, whose entropy {} was the largest of the open states; tried {tried}; {result}.",
        state_name(search, round.state),
        words::fixed(round.entropy, 3)
    )
}

fn chains(search: &SearchTree) -> Markup {
    html! {
        h4 { "Chains" }
        div.scroll role="region" tabindex="0" aria-label="Chains with their scores" {
            table.chains {
                (head(&["chain", "round", "score"]))
                tbody {
                    @for (at, chain) in search.chains.iter().enumerate() {
                        @let chosen = search.chosen == Some(at);
                        tr.strong[chosen] {
                            th scope="row" {
                                (in_line(search, chain))
                                @if chosen { " " span.mark { "chosen" } }
                            }
                            td { @if chain.round == 0 { "draft" } @else { (chain.round) } }
                            td { (words::fixed(chain.score, 3)) }
                        }
                    }
                }
            }
        }
    }
}

/// Questions that stand under no other: those of the first state, and any whose parent was not recorded.
fn roots(search: &SearchTree) -> impl Iterator<Item = &TreeQuestion> {
    search.questions.iter().filter(|question| {
        question
            .path
            .split_last()
            .is_none_or(|(_, before)| !search.questions.iter().any(|q| q.path == before))
    })
}

/// Questions that were told the same values and one more.
fn children<'a>(search: &'a SearchTree, parent: &'a TreeQuestion) -> impl Iterator<Item = &'a TreeQuestion> {
    let below =
        |question: &TreeQuestion| question.path.split_last().is_some_and(|(_, before)| before == parent.path);
    search.questions.iter().filter(move |question| below(question))
}

fn question(search: &SearchTree, asked: &TreeQuestion, open: bool) -> Markup {
    let on_way = |chain: &TreeChain| chain.values.starts_with(&asked.path);
    let chosen = search
        .chosen
        .and_then(|at| search.chains.get(at))
        .filter(|chain| on_way(chain))
        .and_then(|chain| chain.values.get(asked.path.len()).copied());
    let told = asked.path.last().zip(asked.path.len().checked_sub(1));
    html! {
        details.question open[open] {
            summary {
                @if let Some((&value, state)) = told {
                    span.quiet { (state_name(search, state)) " = " (value_name(search, state, value)) " → " }
                }
                strong { (state_name(search, asked.state)) }
                span.quiet { " entropy " (words::fixed(asked.entropy, 3)) }
                @if chosen.is_some() { " " span.mark { "on the chosen chain" } }
            }
            (distribution(search, asked, chosen))
            details.prompt { summary { "Prompt" } pre { (asked.prompt) } }
            @for child in children(search, asked) { (question(search, child, false)) }
        }
    }
}

fn distribution(search: &SearchTree, asked: &TreeQuestion, chosen: Option<usize>) -> Markup {
    let listed = search.states.get(asked.state).map_or(0, |(_, values)| values.len());
    let count = listed.max(asked.distribution.len());
    html! {
        ul.distribution {
            @for value in 0..count {
                @let pruned = asked.pruned.contains(&value);
                @let share = asked.distribution.get(value).copied().unwrap_or(0.0).clamp(0.0, 1.0);
                li.pruned[pruned].taken[chosen == Some(value)] {
                    span.name { (value_name(search, asked.state, value)) }
                    span.track aria-hidden="true" { span style=(format!("width:{:.1}%", 100.0 * share)) {} }
                    span.share { @if pruned { "ruled out" } @else { (words::percent(share, 1)) } }
                }
            }
        }
    }
}
