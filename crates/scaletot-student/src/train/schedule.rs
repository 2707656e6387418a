//! Learning rate over a run.

/// Linear warm-up to `peak`, then half a cosine down to `peak · floor` (Loshchilov and Hutter 2017).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Schedule {
    pub(super) peak: f64,
    pub(super) warmup_steps: usize,
    pub(super) total_steps: usize,
    pub(super) floor: f64,
}

impl Schedule {
    /// A schedule over `total_steps`, of which the share `warmup` climbs.
    pub(super) fn new(peak: f64, warmup: f64, total_steps: usize) -> Self {
        let warmup_steps = (warmup * total_steps as f64).round() as usize;
        Self { peak, warmup_steps, total_steps, floor: 0.0 }
    }

    /// The rate of `step`, from 0.
    pub(super) fn rate(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            return self.peak * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let span = (self.total_steps.saturating_sub(self.warmup_steps)).max(1) as f64;
        let done = ((step - self.warmup_steps) as f64 / span).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
        self.peak * (self.floor + (1.0 - self.floor) * cosine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_climbs_then_falls() {
        let schedule = Schedule::new(2.0, 0.1, 100);
        assert_eq!(schedule.warmup_steps, 10);
        assert_eq!(schedule.rate(0), 0.2);
        assert_eq!(schedule.rate(9), 2.0);
        assert_eq!(schedule.rate(10), 2.0);
        assert!((schedule.rate(55) - 1.0).abs() < 1e-12);
        assert!(schedule.rate(99) < 0.01 && schedule.rate(99) > 0.0);
        assert_eq!(schedule.rate(500), 0.0);
        assert!((10..99).all(|step| schedule.rate(step) > schedule.rate(step + 1)));
    }

    #[test]
    fn no_warmup_starts_at_the_peak() {
        assert_eq!(Schedule::new(1.0, 0.0, 1).rate(0), 1.0);
        assert_eq!(Schedule::new(1.0, 1.0, 4).rate(3), 1.0);
    }
}
