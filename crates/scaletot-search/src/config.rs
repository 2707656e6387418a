//! What the configs of all strategies share: setters and checks of ranges.

use std::fmt::Display;

use crate::{Error, Result};

/// Setters that take and give a config by value.
macro_rules! setters {
    ($($setter:ident $field:ident: $type:ty;)*) => {$(
        #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
        #[must_use]
        pub fn $setter(mut self, $field: $type) -> Self {
            self.$field = $field;
            self
        }
    )*};
}

pub(crate) use setters;

/// [`Error::Config`] unless `ok`.
pub(crate) fn within(
    field: &'static str,
    found: impl Display,
    ok: bool,
    expected: &'static str,
) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::Config { field, expected, found: found.to_string() }) }
}
