//! The way back from logarithms.

/// Steps of Newton's method at most.
const STEPS: usize = 50;

/// `(a, b)` of the mean outcome `exp(a + b ŷ)`, by Poisson pseudo-maximum likelihood: consistent for the mean whatever the outcomes'
/// distribution (Gourieroux, Monfort and Trognon, Econometrica 1984), zeros and heavy tails among them. The mean over these users is right.
///
/// A penalty of `(b − 1)² / 2`, the weight of about one user, keeps `b` finite where a few users hold all the value. `b` is above 0, so that
/// the order of `ŷ` stays: where the best is not, `b` is 1, which is the smearing estimate (Duan, JASA 1983). Outcomes are finite and at
/// least 0; if all are 0, so is `exp(a)`, nearly.
pub(super) fn calibrate(predicted: &[f64], outcomes: &[f64]) -> (f64, f64) {
    let n = predicted.len().max(1) as f64;
    let mean = (outcomes.iter().sum::<f64>() / n).max(1e-12);
    let centre = predicted.iter().sum::<f64>() / n;
    let x: Vec<f64> = predicted.iter().map(|y| y - centre).collect();
    let y: Vec<f64> = outcomes.iter().map(|o| o / mean).collect();
    // The intercept with which the mean is right.
    let level = |b: f64| (n / x.iter().map(|x| (b * x).exp()).sum::<f64>()).ln();
    let loss = |a: f64, b: f64| -> f64 {
        let likelihood = x.iter().zip(&y).map(|(x, y)| (a + b * x).exp() - y * (a + b * x)).sum::<f64>();
        likelihood + 0.5 * (b - 1.0).powi(2)
    };
    let (mut a, mut b) = (level(1.0), 1.0_f64);
    let mut best = loss(a, b);
    for _ in 0..STEPS {
        let (mut gradient, mut hessian) = ([0.0, b - 1.0], [0.0, 0.0, 1.0]);
        for (x, y) in x.iter().zip(&y) {
            let fitted = (a + b * x).exp();
            gradient = [gradient[0] + fitted - y, gradient[1] + (fitted - y) * x];
            hessian = [hessian[0] + fitted, hessian[1] + fitted * x, hessian[2] + fitted * x * x];
        }
        let determinant = hessian[0] * hessian[2] - hessian[1] * hessian[1];
        let step = [
            (hessian[2] * gradient[0] - hessian[1] * gradient[1]) / determinant,
            (hessian[0] * gradient[1] - hessian[1] * gradient[0]) / determinant,
        ];
        // Newton's step, halved until it helps: exponentials overshoot.
        let shorter = (0..30).map(|halvings| 0.5_f64.powi(halvings));
        let next = shorter.map(|t| (a - t * step[0], b - t * step[1])).find(|&(a, b)| loss(a, b) < best);
        let Some(next) = next else { break };
        (a, b) = next;
        let gain = best - loss(a, b);
        best -= gain;
        if gain < 1e-10 * n {
            break;
        }
    }
    if b.is_nan() || b <= 0.0 || !level(b).is_finite() {
        b = 1.0;
    }
    (mean.ln() + level(b) - b * centre, b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_intercept_and_slope_but_for_the_penalty() {
        let predicted: Vec<f64> = (0..200).map(|i| f64::from(i % 23) / 10.0).collect();
        let outcomes: Vec<f64> = predicted.iter().map(|y| (0.4 + 1.7 * y).exp()).collect();
        let (a, b) = calibrate(&predicted, &outcomes);
        assert!((a - 0.4).abs() < 0.03 && (b - 1.7).abs() < 0.02, "{a} {b}");
    }

    #[test]
    fn an_order_that_is_wrong_way_round_is_kept() {
        let predicted: Vec<f64> = (0..50).map(f64::from).collect();
        let outcomes: Vec<f64> = predicted.iter().map(|y| 100.0 - y).collect();
        let (_, b) = calibrate(&predicted, &outcomes);
        assert_eq!(b, 1.0);
    }

    #[test]
    fn nothing_to_fit_gives_the_mean() {
        let (a, b) = calibrate(&[0.3; 10], &[2.0; 10]);
        assert!(((a + b * 0.3).exp() - 2.0).abs() < 1e-9, "{a} {b}");
        let (a, b) = calibrate(&[0.3, 0.4], &[0.0, 0.0]);
        assert!((a + b * 0.4).exp() < 1e-9, "{a} {b}");
    }

    proptest! {
        #[test]
        fn the_mean_is_right_and_everything_is_finite(
            users in prop::collection::vec((-3.0..6.0_f64, prop_oneof![Just(0.0), 0.0..1e6_f64]), 2..60)
        ) {
            let (predicted, outcomes): (Vec<f64>, Vec<f64>) = users.into_iter().unzip();
            let (a, b) = calibrate(&predicted, &outcomes);
            prop_assert!(a.is_finite() && b.is_finite() && b > 0.0);
            let known: f64 = outcomes.iter().sum();
            let fitted: f64 = predicted.iter().map(|y| (a + b * y).exp()).sum();
            prop_assert!((known - fitted).abs() < 1e-6 * known + 1e-9, "{known} {fitted}");
        }
    }
}
