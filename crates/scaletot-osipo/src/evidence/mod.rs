//! Policy optimisation by evidence: posteriors, credit, the tilt and its E/M rounds, and the choice of what is learned. Host side, in f64.
//!
//! Preferences on outcomes train towards the majority of outcomes; where the teacher is right, that is away from it. The evidence is
//! a proper score instead: with chains `c` of user `u`, a policy `π(c|x)` and rewards `R(u,c) = ln p(o_u|c,g) − ln p(o_u|g)`
//! ([`OutcomeModel`](crate::reward::OutcomeModel)),
//!
//! ```text
//! J_η = Σ_u (1/η) ln Σ_c π(c|x_u) e^{ηR(u,c)}          the log evidence of the outcomes at η = 1
//! q(c|u) = π(c|x_u) e^{ηR(u,c)} / Z_u                  posterior given the outcome                       (E step)
//! ∇J = Σ_u E_π[A ∇ ln π] = (1/η) Σ_u (E_q − E_π)[∇ ln π],   A = (e^{ηR}/Z − 1)/η                         (M step)
//! ```
//!
//! A teacher that is right loses nothing by it, since the posteriors average to the policy: `E_{o|x}[π(c|x,o)] = π(c|x)`. This is
//! expectation maximisation (Dempster et al. 1977, Neal & Hinton 1998), and maximum-a-posteriori policy optimisation without sampling
//! (Abdolmaleki et al. 2018); for which of its limits are whose methods, see the crate docs.
//!
//! - [`Posterior`] and [`StepCredit`] are of one user;
//! - [`Tilt`] is what is learned where labels are few: some 180 numbers that multiply the reference's probabilities;
//! - [`EvidenceEm`] alternates posteriors, outcome model and tilt over [`LabelledUsers`], whose rows need not be in memory, and keeps
//!   the tilt only if held-out users' evidence says so;
//! - [`choose`] compares any number of students, the caller's own among them, by that evidence.
//!
//! For whole networks the same objective is a loss on tensors: [`Objective::Evidence`](crate::Objective::Evidence).

mod chains;
mod choice;
mod em;
mod linear;
mod loss;
mod posterior;
mod round;
mod tilt;
mod users;

pub use chains::ChainSet;
pub use choice::{EvidenceChoice, Margin, choose};
pub use em::{EvidenceConfig, EvidenceEm, EvidenceFit, RoundLog, log_evidence};
pub use posterior::{Posterior, StepCredit};
pub use round::{Improved, improve};
pub use tilt::{Tilt, TiltConfig};
pub use users::{ChainRow, Label, LabelledUsers, PolicyTable, Visit};

pub(crate) use linear::{Factor, Symmetric, leave_out};
pub(crate) use loss::evidence;
pub(crate) use posterior::{check_rewards, normalise, posterior, softmax};
pub(crate) use users::{Row, check_labels, pass};
