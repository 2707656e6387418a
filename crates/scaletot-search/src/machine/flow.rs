//! How a search goes on.

use crate::StopReason;

/// How a search goes on after its strategy was advanced.
#[derive(Debug)]
pub(crate) enum Flow {
    /// Queries are open.
    Wait,
    /// The search is over.
    Stop(StopReason),
}
