//! The macro that declares a chain schema as Rust types.

/// Declares a chain schema as Rust types: an enum for each state, a struct for the chain, and the
/// [`ChainSchema`](crate::ChainSchema) they stand for.
///
/// A schema in a file suits data that changes; code that works with particular states wants them as types, so that a
/// misspelt value does not compile. Both are the same schema: a macro and a file that say the same thing have the same
/// [hash](crate::ChainSchema::hash), so their corpora and artifacts are interchangeable.
///
/// ```
/// use scaletot_chain::{ChainSchema, user_states};
///
/// user_states! {
///     /// What matters of a shopper.
///     pub chain Shopper = "shopper";
///
///     state need: ordinal Need {
///         description: "how much the household needs",
///         cue: "this household's need is",
///         values: { Low = "low", High = "high" },
///         depends_on: [],
///     }
///
///     state spend: ordinal Spend {
///         description: "what the household will spend",
///         cue: "this household's spending will be",
///         values: { Low = "low", Moderate = "moderate", VeryHigh = "very high" },
///         depends_on: [need],
///     }
///
///     forbid spend: [VeryHigh] when { need: Low };
/// }
///
/// let shopper = Shopper { need: Need::High, spend: Spend::VeryHigh };
/// assert_eq!(shopper.values(), [1, 2]);
/// assert_eq!(Shopper::from_values(&[1, 2])?, shopper);
/// assert_eq!("very high".parse::<Spend>()?, Spend::VeryHigh);
/// assert_eq!(Spend::VeryHigh.to_string(), "very high");
/// assert!(Shopper::from_values(&[0, 2]).is_err(), "a constraint forbids it");
///
/// let file = r#"
///     name = "shopper"
///     [[state]]
///     name = "need"
///     kind = "ordinal"
///     description = "how much the household needs"
///     cue = "this household's need is"
///     values = ["low", "high"]
///     [[state]]
///     name = "spend"
///     kind = "ordinal"
///     description = "what the household will spend"
///     cue = "this household's spending will be"
///     values = ["low", "moderate", "very high"]
///     depends_on = ["need"]
///     [[constraint]]
///     when = { need = "low" }
///     state = "spend"
///     forbid = ["very high"]
/// "#;
/// assert_eq!(Shopper::schema(), ChainSchema::from_toml(file)?);
/// assert_eq!(Shopper::schema().hash(), ChainSchema::from_toml(file)?.hash());
/// # Ok::<(), scaletot_chain::Error>(())
/// ```
///
/// # What is declared
/// In this order: the chain, with the visibility that all the types get; the states, in the order of the chain, each
/// `ordinal` or `categorical` (attributes before `state` go to its enum, before a value to its variant); constraints.
/// `depends_on` may be left out. The name of a state is its field's name.
///
/// # What is made
/// - For each state an enum with `NAME`, `ALL`, `index()` (the value's code), `from_index(u16)`, `label()` (the value's
///   text), `Display` and `FromStr`; it is `Copy`, ordered as its values are.
/// - For the chain a struct with one public field for each state and `schema()`, `values()`, `from_values(&[u16])`,
///   `is_legal()` and `to_chain()` (a [`Chain`](crate::Chain) with every step certain), and the conversions
///   `TryFrom<&Chain>`, `TryFrom<&[u16]>` and `Into<Vec<u16>>`. Its fields can be set to values that the constraints
///   forbid together; what is converted from outside is checked.
///
/// # What is checked by the compiler
/// All that a schema file is checked for when it is read: names and labels, dependencies and conditions on earlier
/// states only, an ordinal last state with at least two values, and that the constraints leave no dead end. (For the
/// last a macro has less room than a file: 128 constraints that combine in at most 256 ways.)
///
/// A value that does not exist:
/// ```compile_fail,E0599
/// scaletot_chain::user_states! {
///     pub chain C = "c";
///     state a: ordinal A { description: "a", cue: "a is", values: { Low = "low", High = "high" } }
///     state b: ordinal B { description: "b", cue: "b is", values: { Low = "low", High = "high" } }
///     forbid b: [Huge] when { a: Low };
/// }
/// ```
/// A dependency on a later state:
/// ```compile_fail,E0080
/// scaletot_chain::user_states! {
///     pub chain C = "c";
///     state a: ordinal A { description: "a", cue: "a is", values: { Low = "low", High = "high" }, depends_on: [b] }
///     state b: ordinal B { description: "b", cue: "b is", values: { Low = "low", High = "high" } }
/// }
/// ```
/// A condition on the state itself:
/// ```compile_fail,E0080
/// scaletot_chain::user_states! {
///     pub chain C = "c";
///     state a: ordinal A { description: "a", cue: "a is", values: { Low = "low", High = "high" } }
///     forbid a: [Low] when { a: High };
/// }
/// ```
/// A last state without an order:
/// ```compile_fail,E0080
/// scaletot_chain::user_states! {
///     pub chain C = "c";
///     state a: categorical A { description: "a", cue: "a is", values: { Red = "red", Blue = "blue" } }
/// }
/// ```
/// Two values with one label:
/// ```compile_fail,E0080
/// scaletot_chain::user_states! {
///     pub chain C = "c";
///     state a: ordinal A { description: "a", cue: "a is", values: { Low = "low", High = "low" } }
/// }
/// ```
/// Constraints that leave nothing:
/// ```compile_fail,E0080
/// scaletot_chain::user_states! {
///     pub chain C = "c";
///     state a: ordinal A { description: "a", cue: "a is", values: { Low = "low", High = "high" } }
///     state b: ordinal B { description: "b", cue: "b is", values: { Low = "low", High = "high" } }
///     forbid b: [Low] when { a: Low };
///     forbid b: [High] when { a: Low };
/// }
/// ```
#[macro_export]
macro_rules! user_states {
    (
        $(#[$chain_attribute:meta])*
        $vis:vis chain $Chain:ident = $chain_name:literal;
        $(
            $(#[$state_attribute:meta])*
            state $state:ident: $kind:ident $State:ident {
                description: $description:literal,
                cue: $cue:literal,
                values: { $( $(#[$value_attribute:meta])* $Value:ident = $label:literal ),+ $(,)? }
                $(, depends_on: [ $($parent:ident),* $(,)? ])?
                $(,)?
            }
        )+
        $(
            forbid $target:ident: [ $($Forbidden:ident),+ $(,)? ]
            when { $($condition:ident: $Wanted:ident),+ $(,)? };
        )*
    ) => {
        $(
            $crate::__user_state! {
                [$(#[$state_attribute])*] $vis $State = $state, $description,
                { $( [$(#[$value_attribute])*] $Value = $label ),+ }
            }
        )+

        $(#[$chain_attribute])*
        #[doc = ""]
        #[doc = concat!("One value for each state of the chain schema `", $chain_name, "`.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $vis struct $Chain {
            $(
                #[doc = $description]
                pub $state: $State,
            )+
        }

        impl $Chain {
            #[allow(
                non_camel_case_types,
                dead_code,
                clippy::upper_case_acronyms,
                reason = "each state gives its name to a variant and to an alias, which not every declaration uses"
            )]
            const __SPEC: $crate::__private::ChainSpec = {
                // Numbers the states, and gives each state's name the meaning of its enum, so that constraints can
                // name values by state.
                enum __ScaletotState { $($state),+ }
                $(type $state = $State;)+
                $($($(
                    const _: () = assert!(
                        (__ScaletotState::$parent as usize) < (__ScaletotState::$state as usize),
                        concat!(
                            "state `", stringify!($state), "` depends on `", stringify!($parent),
                            "`, which does not come before it"
                        )
                    );
                )*)?)+
                $($(
                    const _: () = assert!(
                        (__ScaletotState::$condition as usize) < (__ScaletotState::$target as usize),
                        concat!(
                            "a constraint on `", stringify!($target), "` has a condition on `",
                            stringify!($condition), "`, which does not come before it"
                        )
                    );
                )+)*
                $crate::__private::ChainSpec {
                    name: $chain_name,
                    states: &[$(
                        $crate::__private::StateSpec {
                            name: stringify!($state),
                            ordinal: $crate::__user_state_ordinal!($kind),
                            description: $description,
                            cue: $cue,
                            values: &[$($label),+],
                            depends_on: &[$($(__ScaletotState::$parent as usize),*)?],
                        }
                    ),+],
                    constraints: &[$(
                        $crate::__private::ConstraintSpec {
                            when: &[$((__ScaletotState::$condition as usize, $condition::$Wanted.index())),+],
                            state: __ScaletotState::$target as usize,
                            forbid: &[$($target::$Forbidden.index()),+],
                        }
                    ),*],
                }
            };

            fn __schema() -> &'static $crate::ChainSchema {
                static SCHEMA: ::std::sync::OnceLock<$crate::ChainSchema> = ::std::sync::OnceLock::new();
                SCHEMA.get_or_init(|| Self::__SPEC.schema())
            }

            /// The chain schema that these types stand for.
            pub fn schema() -> $crate::ChainSchema {
                Self::__schema().clone()
            }

            /// Codes of the values, one for each state.
            pub fn values(&self) -> ::std::vec::Vec<u16> {
                ::std::vec![$(self.$state.index()),+]
            }

            /// The typed chain of value codes.
            ///
            /// # Errors
            /// If there is not one code for each state, one is outside its domain, or a constraint forbids one.
            pub fn from_values(values: &[u16]) -> $crate::Result<Self> {
                Self::__schema().check_values(values)?;
                let mut rest = values.iter();
                ::std::result::Result::Ok(Self {
                    $($state: $crate::__private::typed(rest.next(), $State::ALL, $State::NAME)?,)+
                })
            }

            /// Whether the constraints allow these values together.
            pub fn is_legal(&self) -> bool {
                Self::__schema().is_legal(&self.values())
            }

            /// The chain of these values, with every step certain.
            ///
            /// # Errors
            /// If a constraint forbids one of the values.
            pub fn to_chain(&self) -> $crate::Result<$crate::Chain> {
                $crate::Chain::certain(Self::__schema(), &self.values())
            }
        }

        const _: () = $Chain::__SPEC.check();

        impl ::std::convert::From<$Chain> for ::std::vec::Vec<u16> {
            fn from(chain: $Chain) -> Self {
                chain.values()
            }
        }

        impl ::std::convert::TryFrom<&[u16]> for $Chain {
            type Error = $crate::Error;

            fn try_from(values: &[u16]) -> $crate::Result<Self> {
                Self::from_values(values)
            }
        }

        impl ::std::convert::TryFrom<&$crate::Chain> for $Chain {
            type Error = $crate::Error;

            fn try_from(chain: &$crate::Chain) -> $crate::Result<Self> {
                Self::from_values(&chain.values())
            }
        }
    };
}

/// The enum of one state.
#[doc(hidden)]
#[macro_export]
macro_rules! __user_state {
    (
        [$(#[$state_attribute:meta])*] $vis:vis $State:ident = $state:ident, $description:literal,
        { $( [$(#[$value_attribute:meta])*] $Value:ident = $label:literal ),+ }
    ) => {
        #[doc = $description]
        #[doc = ""]
        $(#[$state_attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $State {
            $(
                #[doc = $label]
                #[doc = ""]
                $(#[$value_attribute])*
                $Value,
            )+
        }

        impl $State {
            /// Name of the state.
            pub const NAME: &'static str = stringify!($state);

            /// All values, by ascending code.
            pub const ALL: &'static [Self] = &[$(Self::$Value),+];

            /// Code of the value in the schema's domain.
            pub const fn index(self) -> u16 {
                self as u16
            }

            /// The value of a code, if there is one.
            pub fn from_index(code: u16) -> ::std::option::Option<Self> {
                Self::ALL.get(::std::primitive::usize::from(code)).copied()
            }

            /// The value's text in the schema, prompts and files.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$Value => $label,)+
                }
            }
        }

        impl ::std::fmt::Display for $State {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.label())
            }
        }

        impl ::std::str::FromStr for $State {
            type Err = $crate::Error;

            fn from_str(text: &str) -> $crate::Result<Self> {
                match text {
                    $($label => ::std::result::Result::Ok(Self::$Value),)+
                    _ => ::std::result::Result::Err($crate::__private::unknown_value(
                        Self::NAME,
                        text,
                        &[$($label),+],
                    )),
                }
            }
        }
    };
}

/// Whether a state's kind is ordinal.
#[doc(hidden)]
#[macro_export]
macro_rules! __user_state_ordinal {
    (ordinal) => {
        true
    };
    (categorical) => {
        false
    };
    ($other:ident) => {
        compile_error!(concat!("expected `ordinal` or `categorical`, found `", stringify!($other), "`"))
    };
}
