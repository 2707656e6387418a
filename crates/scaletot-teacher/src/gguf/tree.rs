//! The tokens whose keys and values are kept, as a tree, so that prompts share what they have in common.
//!
//! One tree serves every purpose of sharing: the prompts of one batch that begin alike, the labels that continue
//! one prompt, and later prompts that begin as earlier ones did. A node is a token in its context, so two prompts
//! meet in a node exactly if they agree up to there.

use std::cmp::Reverse;
use std::collections::HashMap;

/// The parent of a prompt's first token.
pub(super) const ROOT: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Node {
    token: u32,
    parent: u32,
    /// The token's position in its sequence, from 0.
    depth: u32,
    /// When it was last asked for. A caller that asks for a node asks for its ancestors, so no node is used later than
    /// its parent.
    used: u64,
}

/// A tree of tokens. A node's number is also the slot of its keys and values; numbers of dropped nodes are given
/// again.
#[derive(Debug, Default)]
pub(super) struct PrefixTree {
    nodes: Vec<Option<Node>>,
    children: HashMap<(u32, u32), u32>,
    free: Vec<u32>,
    clock: u64,
}

impl PrefixTree {
    /// Slots that exist, in use or free: every node's number is below.
    pub(super) fn slots(&self) -> usize {
        self.nodes.len()
    }

    /// Nodes in the tree.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// How many of `tokens`, from a prompt's beginning, have no node yet.
    pub(super) fn missing(&self, tokens: &[u32]) -> usize {
        let mut at = ROOT;
        for (i, &token) in tokens.iter().enumerate() {
            match self.children.get(&(at, token)) {
                Some(&child) => at = child,
                None => return tokens.len() - i,
            }
        }
        0
    }

    /// Starts a new round: nodes inserted or found from now on count as used later than all before.
    pub(super) fn begin_round(&mut self) {
        self.clock += 1;
    }

    /// Follows `tokens` below `from`, adding what is missing; returns the last node. New nodes are appended to
    /// `fresh`, parents before children.
    pub(super) fn insert(&mut self, from: u32, tokens: &[u32], fresh: &mut Vec<u32>) -> u32 {
        let mut at = from;
        for &token in tokens {
            at = match self.children.get(&(at, token)) {
                Some(&child) => child,
                None => {
                    let child = self.add(token, at);
                    fresh.push(child);
                    child
                }
            };
            if let Some(Some(node)) = self.nodes.get_mut(at as usize) {
                node.used = self.clock;
            }
        }
        at
    }

    fn add(&mut self, token: u32, parent: u32) -> u32 {
        let depth = self.node(parent).map_or(0, |node| node.depth + 1);
        let node = Some(Node { token, parent, depth, used: self.clock });
        let id = if let Some(id) = self.free.pop() {
            self.nodes[id as usize] = node;
            id
        } else {
            self.nodes.push(node);
            self.nodes.len() as u32 - 1
        };
        self.children.insert((parent, token), id);
        id
    }

    fn node(&self, id: u32) -> Option<&Node> {
        self.nodes.get(id as usize).and_then(Option::as_ref)
    }

    /// A node's token and position.
    pub(super) fn token(&self, id: u32) -> Option<(u32, usize)> {
        self.node(id).map(|node| (node.token, node.depth as usize))
    }

    /// A node's ancestors, from the prompt's first token, and the node itself.
    pub(super) fn path(&self, id: u32) -> Vec<u32> {
        let mut path = Vec::new();
        let mut at = id;
        while let Some(node) = self.node(at) {
            path.push(at);
            at = node.parent;
        }
        path.reverse();
        path
    }

    /// Drops the least recently used nodes until at most `keep` are left. A node goes before its ancestors.
    pub(super) fn shrink(&mut self, keep: usize) {
        let surplus = self.len().saturating_sub(keep);
        if surplus == 0 {
            return;
        }
        let mut order: Vec<(u64, Reverse<u32>, u32)> = (0_u32..)
            .zip(&self.nodes)
            .filter_map(|(id, node)| node.as_ref().map(|node| (node.used, Reverse(node.depth), id)))
            .collect();
        order.sort_unstable();
        for &(_, _, id) in &order[..surplus] {
            if let Some(node) = self.nodes[id as usize].take() {
                self.children.remove(&(node.parent, node.token));
                self.free.push(id);
            }
        }
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shared_beginnings_are_one_path() {
        let mut tree = PrefixTree::default();
        let mut fresh = Vec::new();
        let a = tree.insert(ROOT, &[5, 6, 7], &mut fresh);
        let b = tree.insert(ROOT, &[5, 6, 8], &mut fresh);
        assert_eq!(fresh.len(), 4);
        assert_eq!(tree.path(a)[..2], tree.path(b)[..2]);
        assert_eq!(tree.token(b), Some((8, 2)));
        assert_eq!(tree.missing(&[5, 6, 7, 9]), 1);
        assert_eq!(tree.missing(&[6]), 1);
        assert_eq!(tree.insert(b, &[], &mut fresh), b);
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let mut tree = PrefixTree::default();
        let mut fresh = Vec::new();
        for prompt in [[1, 2, 3], [1, 4, 5], [6, 7, 8]] {
            tree.begin_round();
            tree.insert(ROOT, &prompt, &mut fresh);
        }
        tree.begin_round();
        tree.insert(ROOT, &[1, 2], &mut fresh);
        tree.shrink(5);
        assert_eq!([tree.missing(&[1, 2]), tree.missing(&[1, 2, 3]), tree.missing(&[1, 4, 5])], [0, 1, 2]);
        assert_eq!((tree.missing(&[6, 7, 8]), tree.len()), (0, 5));
        // Freed numbers are used again.
        tree.insert(ROOT, &[9, 9, 9], &mut fresh);
        assert_eq!(tree.slots(), 8);
        tree.clear();
        assert_eq!((tree.len(), tree.missing(&[1])), (0, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever was inserted and dropped: paths spell the tokens, and every kept node has its ancestors.
        #[test]
        fn paths_spell_what_was_inserted(
            rounds in prop::collection::vec((prop::collection::vec(0_u32..3, 1..7), 0_usize..12), 1..20),
        ) {
            let mut tree = PrefixTree::default();
            for (tokens, keep) in rounds {
                tree.begin_round();
                let (before, missing) = (tree.len(), tree.missing(&tokens));
                let mut fresh = Vec::new();
                let last = tree.insert(ROOT, &tokens, &mut fresh);
                prop_assert_eq!((fresh.len(), tree.len()), (missing, before + missing));
                let spelled: Vec<u32> = tree.path(last).iter().map(|&id| tree.token(id).unwrap().0).collect();
                prop_assert_eq!(&spelled, &tokens);
                tree.shrink(keep);
                prop_assert!(tree.len() <= keep.max(before + missing));
                for id in 0..tree.slots() as u32 {
                    if let Some((_, depth)) = tree.token(id) {
                        prop_assert_eq!(tree.path(id).len(), depth + 1);
                    }
                }
                // What is left of the latest prompt is its beginning, as long as room allows.
                prop_assert!(tree.missing(&tokens) <= tokens.len().saturating_sub(keep));
            }
        }
    }
}
