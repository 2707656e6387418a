//! What a search is about: the [`Problem`] trait.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

/// A tree of thoughts: a path of thoughts starts empty and grows by one thought a step until it is complete.
///
/// The methods must be pure: the same path gives the same result whenever it is asked. A trace replays only under
/// this condition.
pub trait Problem {
    /// One step of a path, such as a value of a state or a move of a game.
    type Thought: Clone + Eq + Hash + Debug + Send;

    /// The greatest length of a path. A path of this length that is not complete is a dead end.
    ///
    /// Give it as tightly as it is known: `Refine` under a bound begins a branch only if the bound carries it to this
    /// length.
    fn depth(&self) -> usize;

    /// Whether `path` is a finished solution, so that nothing follows it.
    fn is_complete(&self, path: &[Self::Thought]) -> bool;

    /// Whether `thought` may follow `path`. Inadmissible thoughts are removed from an answer, and the rest is
    /// renormalised, before the entropy is taken.
    fn admissible(&self, _path: &[Self::Thought], _thought: &Self::Thought) -> bool {
        true
    }

    /// Whether self-evaluations of paths can be had. Without them scores rest on probabilities alone: `Greedy`, `Beam` and
    /// `SelfConsistency` never ask for one, `Refine` and `BestOfN` would for complete paths, `Bfs` and `Dfs` for every
    /// path that they weigh.
    fn evaluates(&self) -> bool {
        false
    }

    /// Names what `path` has led to, where different paths can lead to the same: paths of the same length and name must
    /// have the same continuations and be answered alike, whatever led there (transpositions, as chess programs call
    /// them).
    ///
    /// A path of the same length and name as an answered one is not asked about again, and `Bfs` and `Beam` follow
    /// only the best of a level's, `Dfs` the first that it comes to; `Marginal` follows them as one, with the sum of their probabilities.
    /// `SelfConsistency` counts complete paths of the same name as the same answer. Give an exact
    /// code of what was reached, or a 128-bit hash of it. With `None` no two paths are the same.
    fn state(&self, _path: &[Self::Thought]) -> Option<u128> {
        None
    }

    /// Names what the answer about `path` depends on, where that is less than its [`state`](Self::state): paths of the same
    /// length and name are answered alike, though other thoughts may be admissible after them and other steps follow.
    ///
    /// [`Marginal`](crate::Strategy::Marginal) asks once per name and uses the answer at every path of it; each path is still
    /// followed by itself, unless its state is another's, so give states, too, where the tree is large. An answer that leaves thoughts out must
    /// count as missing what may follow any path of its name. The other strategies go by states alone.
    fn context(&self, path: &[Self::Thought]) -> Option<u128> {
        self.state(path)
    }

    /// Whether there may be dead ends: paths that nothing admissible with any mass can follow, or of the greatest length and not
    /// complete. The intervals of [`Marginal`](crate::Strategy::Marginal) then allow for every path that was not asked about to be
    /// one, and are narrow only where complete paths are known. Say `false` where every path can be completed.
    fn may_dead_end(&self) -> bool {
        true
    }

    /// How much there is to ask about at most, if that is known: what [`Strategy::estimate`](crate::Strategy::estimate) counts with for
    /// [`Marginal`](crate::Strategy::Marginal).
    fn size(&self) -> Option<ProblemSize> {
        None
    }

    /// The number of thoughts that exist after `path`, admissible or not: `|V_k|` of the normalised entropy.
    ///
    /// `None` stands for the number of thoughts that the answer names, as does a number smaller than that. Give it
    /// where answers are partial (the top few of a larger domain).
    fn domain_size(&self, _path: &[Self::Thought]) -> Option<usize> {
        None
    }
}

/// How much of a problem there is to ask about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemSize {
    /// Distinct [contexts](Problem::context) of incomplete paths, the empty path's among them: the questions there are.
    pub contexts: u64,
    /// Distinct [states](Problem::state) of incomplete paths, the empty path's among them.
    pub states: u64,
}

macro_rules! forward_problem {
    ($($wrapper:ty),*) => {$(
        impl<P: Problem + ?Sized> Problem for $wrapper {
            type Thought = P::Thought;

            fn depth(&self) -> usize {
                (**self).depth()
            }

            fn is_complete(&self, path: &[Self::Thought]) -> bool {
                (**self).is_complete(path)
            }

            fn admissible(&self, path: &[Self::Thought], thought: &Self::Thought) -> bool {
                (**self).admissible(path, thought)
            }

            fn evaluates(&self) -> bool {
                (**self).evaluates()
            }

            fn state(&self, path: &[Self::Thought]) -> Option<u128> {
                (**self).state(path)
            }

            fn context(&self, path: &[Self::Thought]) -> Option<u128> {
                (**self).context(path)
            }

            fn may_dead_end(&self) -> bool {
                (**self).may_dead_end()
            }

            fn size(&self) -> Option<ProblemSize> {
                (**self).size()
            }

            fn domain_size(&self, path: &[Self::Thought]) -> Option<usize> {
                (**self).domain_size(path)
            }
        }
    )*};
}

forward_problem!(&P, Box<P>, Arc<P>);
