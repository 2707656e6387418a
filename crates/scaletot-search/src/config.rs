//! What the configs of all strategies share: setters.

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
