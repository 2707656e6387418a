//! What the student says of a user's states: its probability of each value, over all legal chains.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::error::Result;
use crate::parts;
use crate::seeds;
use crate::student::Student;
use crate::walk::{Prefix, Walk};

/// Seed of the streams that prefixes are drawn with, one for each row of the table, so that a user's marginals do not depend on who is
/// asked about along with them.
const SEED: u64 = 0;

/// Prefixes that are read at the same time on a CPU, where keys and values should stay within its caches, and elsewhere.
const ROWS: [usize; 2] = [1024, 32 * 1024];

/// The marginals of one user.
pub(crate) struct Marginals {
    /// Of each state, its values behind one another, `[Σ|V_k|]`.
    pub(crate) values: Vec<f64>,
    /// No standard error of them is larger.
    pub(crate) error: f64,
}

impl Student {
    /// The marginals of the users with these prompts, who are in `rows` of a table. Of no user are more than `most` prefixes followed.
    pub(crate) fn marginals_of(
        &self,
        prompts: &[&[u32]],
        rows: &[usize],
        most: usize,
    ) -> Result<Vec<Marginals>> {
        let sizes = self.chain_schema().domain_sizes();
        let before_last = &sizes[..sizes.len().saturating_sub(1)];
        let widest = before_last.iter().fold(1_usize, |count, size| count.saturating_mul(*size)).min(most);
        let at_once = (ROWS[usize::from(!parts::is_cpu(self.device()))] / widest).max(1);
        let mut all = Vec::with_capacity(prompts.len());
        for (prompts, rows) in prompts.chunks(at_once).zip(rows.chunks(at_once)) {
            all.extend(self.marginals_at_once(prompts, rows, &sizes, most)?);
        }
        Ok(all)
    }

    fn marginals_at_once(
        &self,
        prompts: &[&[u32]],
        rows: &[usize],
        sizes: &[usize],
        most: usize,
    ) -> Result<Vec<Marginals>> {
        let width = sizes.iter().sum();
        let mut found: Vec<Marginals> =
            rows.iter().map(|_| Marginals { values: vec![0.0; width], error: 0.0 }).collect();
        let mut streams: Vec<ChaCha8Rng> =
            rows.iter().map(|&row| seeds::numbered(SEED, row as u64)).collect();
        let mut variances = vec![0.0; rows.len()];
        let mut walk = Walk::new(self, prompts);
        let mut first = 0;
        for (state, size) in sizes.iter().enumerate() {
            let longer = walk.longer(state)?;
            for (_, prefix) in &longer {
                let value = prefix.values.last().map_or(0, |value| usize::from(*value));
                found[prefix.user].values[first + value] += prefix.log_mass.exp();
            }
            first += size;
            if state + 1 < sizes.len() {
                walk.keep(state, at_most(longer, most, &mut streams, &mut variances));
            }
        }
        found.iter_mut().zip(variances).for_each(|(user, variance)| user.error = variance.sqrt());
        Ok(found)
    }
}

/// At most `most` prefixes of each user that stand for all of them. `longer` has those of a user behind one another; the users' variances grow
/// by what the draws add.
fn at_most(
    longer: Vec<(usize, Prefix)>,
    most: usize,
    streams: &mut [ChaCha8Rng],
    variances: &mut [f64],
) -> Vec<(usize, Prefix)> {
    let mut kept = Vec::with_capacity(longer.len());
    let mut of_user: Vec<(usize, Prefix)> = Vec::new();
    let mut longer = longer.into_iter().peekable();
    while let Some(entry) = longer.next() {
        let user = entry.1.user;
        of_user.push(entry);
        if longer.peek().is_some_and(|(_, next)| next.user == user) {
            continue;
        }
        if of_user.len() > most {
            let masses: Vec<f64> = of_user.iter().map(|(_, prefix)| prefix.log_mass.exp()).collect();
            let (masses, variance) = thin(&masses, most, &mut streams[user]);
            variances[user] += variance;
            of_user.iter_mut().zip(masses).for_each(|((_, prefix), mass)| prefix.log_mass = mass.ln());
            of_user.retain(|(_, prefix)| prefix.log_mass > f64::NEG_INFINITY);
        }
        kept.append(&mut of_user);
    }
    kept
}

/// Masses of which at most `most` are not 0, with the same sum, and each the same on average: masses above a threshold `c` stay as they
/// are, the rest is cut into strata of mass `c`, each of which goes to one that is drawn from it (Fearnhead and Clifford 2003, who draw for
/// all strata at once). Also what this adds at most to the variance of any sum of `mass · f` with `f` in `[0, 1]`: `c² / 4` per stratum.
fn thin(masses: &[f64], most: usize, stream: &mut ChaCha8Rng) -> (Vec<f64>, f64) {
    let mut order: Vec<usize> = (0..masses.len()).collect();
    order.sort_by(|&a, &b| masses[b].total_cmp(&masses[a]));
    // As long as a mass is larger than an equal share of what is left for it and all smaller ones, it stays.
    let mut left: f64 = masses.iter().sum();
    let mut large = 0;
    while large + 1 < most && masses[order[large]] * (most - large) as f64 >= left {
        left -= masses[order[large]];
        large += 1;
    }
    let strata = most - large;
    let small: Vec<usize> = {
        let mut small = order[large..].to_vec();
        // Chains that begin alike are neighbours, and fall into the same stratum.
        small.sort_unstable();
        small
    };
    let left: f64 = small.iter().map(|&at| masses[at]).sum();
    let c = left / strata as f64;
    let mut thinned = vec![0.0; masses.len()];
    order[..large].iter().for_each(|&at| thinned[at] = masses[at]);
    let mut passed = 0.0;
    let mut at = small.iter().copied().peekable();
    for stratum in 0..strata {
        let mark = (stratum as f64 + stream.random::<f64>()) * c;
        // The last one takes what rounding leaves over.
        while let Some(&here) = at.peek()
            && passed + masses[here] < mark
            && at.len() > 1
        {
            passed += masses[here];
            at.next();
        }
        if let Some(&here) = at.peek() {
            thinned[here] += c;
        }
    }
    (thinned, strata as f64 * c * c / 4.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn thinned_masses_are_few_and_have_the_same_sum(
            masses in prop::collection::vec(0.0_f64..1.0, 2..60), most in 1_usize..40, seed in 0_u64..100,
        ) {
            prop_assume!(most < masses.len() && masses.iter().sum::<f64>() > 0.0);
            let (thinned, variance) = thin(&masses, most, &mut seeds::numbered(seed, 1));
            prop_assert!(thinned.iter().filter(|mass| **mass > 0.0).count() <= most);
            prop_assert!((thinned.iter().sum::<f64>() - masses.iter().sum::<f64>()).abs() < 1e-9);
            prop_assert!(variance >= 0.0);
            // None of the kept ones lost mass.
            prop_assert!(thinned.iter().zip(&masses).all(|(new, old)| *new == 0.0 || *new >= old - 1e-12));
        }
    }

    #[test]
    fn thinned_masses_are_right_on_average_and_err_no_more_than_they_say() {
        let masses: Vec<f64> =
            (0..30).map(|i| f64::from(i * 17 % 23 + 1) / 300.0 * if i == 4 { 20.0 } else { 1.0 }).collect();
        let asked = |masses: &[f64]| masses.iter().step_by(3).sum::<f64>();
        let mut stream = seeds::numbered(3, 3);
        let (mut mean, mut square, mut bound) = (0.0, 0.0, 0.0);
        let draws = 20_000;
        for _ in 0..draws {
            let (thinned, variance) = thin(&masses, 12, &mut stream);
            let error = asked(&thinned) - asked(&masses);
            (mean, square, bound) = (mean + error, square + error * error, variance);
        }
        let (mean, square) = (mean / f64::from(draws), square / f64::from(draws));
        assert!(mean.abs() < 4.0 * (square / f64::from(draws)).sqrt(), "{mean}");
        assert!(square > 0.0 && square < bound, "{square} {bound}");
    }
}
