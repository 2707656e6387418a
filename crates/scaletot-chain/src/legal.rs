//! Which values may follow which: the constraints, applied.
//!
//! All that the past of a chain means for its future is *which constraints can still come to apply*. So legal chains
//! are counted, and dead ends found, over sets of such constraints instead of over the chains themselves, whose number
//! is a product of domain sizes.

use std::collections::BTreeMap;

use crate::constraint::Rule;

/// The most sets of live constraints that are followed at one state.
pub(crate) const MAX_SITUATIONS: usize = 100_000;

/// Constraints that can still come to apply: their indices, ascending.
type Live = Vec<usize>;

/// What following the constraints from state to state found out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Survey {
    /// Every legal start can be completed, in so many ways (saturating).
    Complete { chains: u128 },
    /// State `state` has no value left after the legal start `prefix`.
    DeadEnd { state: usize, prefix: Vec<u16> },
    /// More than [`MAX_SITUATIONS`] sets of live constraints before `state`.
    TooEntangled { state: usize },
}

/// The values of state `k` that no rule forbids after `prefix`.
pub(crate) fn allowed(size: usize, rules: &[Rule], k: usize, prefix: &[u16]) -> Vec<bool> {
    let prefix = prefix.get(..k).unwrap_or(prefix);
    let mut allowed = vec![true; size];
    for rule in rules.iter().filter(|r| r.state == k && r.applies(prefix)) {
        forbid(&mut allowed, rule);
    }
    allowed
}

fn forbid(allowed: &mut [bool], rule: &Rule) {
    for &value in &rule.forbid {
        if let Some(slot) = allowed.get_mut(usize::from(value)) {
            *slot = false;
        }
    }
}

/// For each set of live constraints: the number of legal starts that have it, and the smallest of them. Ordered, so that
/// what is found first does not depend on a hash.
type Layer = BTreeMap<Live, (u128, Vec<u16>)>;

/// Follows the constraints through all states, as far as the first dead end.
pub(crate) fn survey(sizes: &[usize], rules: &[Rule]) -> Survey {
    let mut layer: Layer = BTreeMap::from([((0..rules.len()).collect(), (1, Vec::new()))]);
    for (k, &size) in sizes.iter().enumerate() {
        let mut next: Layer = BTreeMap::new();
        let mut dead: Option<Vec<u16>> = None;
        for (live, (count, example)) in layer {
            // A rule on state `k` that is live now has every condition met: they are all on earlier states.
            let mut allowed = vec![true; size];
            live.iter().map(|&r| &rules[r]).filter(|r| r.state == k).for_each(|r| forbid(&mut allowed, r));
            if !allowed.contains(&true) {
                dead = Some(dead.map_or_else(|| example.clone(), |d| d.min(example.clone())));
                continue;
            }
            // Values that no condition names all lead to the same set, so one stands for all of them.
            let mut mentioned = vec![false; size];
            for &(state, value) in live.iter().flat_map(|&r| &rules[r].when) {
                if let (true, Some(slot)) = (state == k, mentioned.get_mut(usize::from(value))) {
                    *slot = true;
                }
            }
            let codes = || (0..=u16::MAX).zip(&allowed).zip(&mentioned).filter(|((_, ok), _)| **ok);
            let others = codes().filter(|(_, named)| !**named).count() as u128;
            let first_other = codes().find(|(_, named)| !**named).map(|((v, _), _)| (v, others));
            let named = codes().filter(|(_, named)| **named).map(|((v, _), _)| (v, 1));
            for (value, times) in named.chain(first_other) {
                let stays = |r: &usize| rules[*r].state > k && rules[*r].survives(k, value);
                let after: Live = live.iter().copied().filter(stays).collect();
                let start: Vec<u16> = example.iter().copied().chain([value]).collect();
                let entry = next.entry(after).or_insert_with(|| (0, start.clone()));
                entry.0 = entry.0.saturating_add(count.saturating_mul(times));
                if start < entry.1 {
                    entry.1 = start;
                }
            }
            if next.len() > MAX_SITUATIONS {
                return Survey::TooEntangled { state: k + 1 };
            }
        }
        if let Some(prefix) = dead {
            return Survey::DeadEnd { state: k, prefix };
        }
        layer = next;
    }
    Survey::Complete { chains: layer.values().fold(0, |sum, (count, _)| sum.saturating_add(*count)) }
}

/// Iterator over all legal chains of a schema, in the order of their value codes.
///
/// Made by [`ChainSchema::legal_chains`](crate::ChainSchema::legal_chains).
#[derive(Debug, Clone)]
pub struct LegalChains<'a> {
    sizes: Vec<usize>,
    rules: &'a [Rule],
    /// The values chosen so far; after a chain was given, that chain.
    current: Vec<u16>,
    /// For each state reached, the next value to try and which values are allowed there.
    open: Vec<(usize, Vec<bool>)>,
}

impl<'a> LegalChains<'a> {
    pub(crate) fn new(sizes: Vec<usize>, rules: &'a [Rule]) -> Self {
        let mut chains = Self { sizes, rules, current: Vec::new(), open: Vec::new() };
        chains.descend();
        chains
    }

    /// Opens the state after those in `current`.
    fn descend(&mut self) {
        let k = self.current.len();
        self.open.push((0, allowed(self.sizes[k], self.rules, k, &self.current)));
    }
}

impl Iterator for LegalChains<'_> {
    type Item = Vec<u16>;

    fn next(&mut self) -> Option<Vec<u16>> {
        loop {
            let k = self.open.len().checked_sub(1)?;
            self.current.truncate(k);
            let (from, allowed) = &mut self.open[k];
            let Some(value) = (*from..allowed.len()).find(|&v| allowed[v]) else {
                self.open.pop();
                continue;
            };
            *from = value + 1;
            self.current.push(u16::try_from(value).ok()?);
            if k + 1 == self.sizes.len() {
                return Some(self.current.clone());
            }
            self.descend();
        }
    }
}

impl std::iter::FusedIterator for LegalChains<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(when: &[(usize, u16)], state: usize, forbid: &[u16]) -> Rule {
        Rule { when: when.to_vec(), state, forbid: forbid.to_vec() }
    }

    #[test]
    fn without_rules_the_count_is_the_product() {
        assert_eq!(survey(&[3, 4, 5], &[]), Survey::Complete { chains: 60 });
        assert_eq!(survey(&[9; 60], &[]), Survey::Complete { chains: u128::MAX }, "saturates");
    }

    #[test]
    fn a_rule_takes_its_chains_away() {
        // 3·3·5 chains, less one value of the last state after one pair of the first two.
        assert_eq!(survey(&[3, 3, 5], &[rule(&[(0, 0), (1, 0)], 2, &[4])]), Survey::Complete { chains: 44 });
    }

    #[test]
    fn rules_that_together_leave_nothing_are_a_dead_end() {
        let rules = [rule(&[(0, 1)], 2, &[0]), rule(&[(1, 1)], 2, &[1])];
        assert_eq!(survey(&[2, 2, 2], &rules), Survey::DeadEnd { state: 2, prefix: vec![1, 1] });
        // The same two rules are harmless once the pair itself is forbidden.
        let rules = [rule(&[(0, 1)], 2, &[0]), rule(&[(1, 1)], 2, &[1]), rule(&[(0, 1)], 1, &[1])];
        assert_eq!(survey(&[2, 2, 2], &rules), Survey::Complete { chains: 2 + 1 + 1 });
    }

    #[test]
    fn entangled_rules_are_refused_in_bounded_time() {
        // Twenty free bits that each arm a rule of their own: 2^20 situations.
        let mut sizes = vec![2; 20];
        sizes.push(3);
        let rules: Vec<Rule> = (0..20).map(|k| rule(&[(k, 1)], 20, &[0])).collect();
        assert!(matches!(survey(&sizes, &rules), Survey::TooEntangled { .. }));
    }
}
