//! Which users are held out.

use rand::seq::SliceRandom;

use crate::seeds::{Purpose, stream};

/// Splits `users` into those to train on and those held out, both in the order given. The share held out is
/// rounded; at least one user is left to train on, and a share that rounds to no user holds out none.
pub(super) fn hold_out<T: Clone>(users: &[T], share: f64, seed: u64) -> (Vec<T>, Vec<T>) {
    let count = ((share * users.len() as f64).round() as usize).min(users.len().saturating_sub(1));
    let mut order: Vec<usize> = (0..users.len()).collect();
    order.shuffle(&mut stream(seed, Purpose::Split));
    let (mut held_out, mut train) = (order[..count].to_vec(), order[count..].to_vec());
    held_out.sort_unstable();
    train.sort_unstable();
    let take = |rows: Vec<usize>| rows.into_iter().map(|i| users[i].clone()).collect();
    (take(train), take(held_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_is_on_one_side() {
        let users: Vec<usize> = (0..50).collect();
        let (train, held_out) = hold_out(&users, 0.2, 3);
        assert_eq!((train.len(), held_out.len()), (40, 10));
        let mut all = [train.clone(), held_out.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, users);
        assert_eq!(hold_out(&users, 0.2, 3), (train, held_out.clone()));
        assert_ne!(hold_out(&users, 0.2, 4).1, held_out);
        assert_eq!(hold_out(&users[..1], 1.0, 3), (vec![0], vec![]));
        assert!(hold_out(&users[..3], 0.1, 3).1.is_empty());
    }
}
