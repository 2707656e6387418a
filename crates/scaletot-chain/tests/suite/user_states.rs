//! The macro against the file form.

use proptest::prelude::*;
use scaletot_chain::{Chain, ChainSchema, user_states};

user_states! {
    /// A household, as the shop sees it.
    pub chain Household = "household";

    /// Its size matters most.
    #[non_exhaustive]
    state need: ordinal Need {
        description: "how much the household needs",
        cue: "this household's need is",
        values: {
            /// Hardly anything.
            Low = "low",
            Moderate = "moderate",
            High = "high",
        },
    }

    state channel: categorical Channel {
        description: "where the household shops",
        cue: "this household shops in the",
        values: { Shop = "shop", Web = "web" },
        depends_on: [],
    }

    state spend: ordinal Spend {
        description: "what the household will spend",
        cue: "this household's spending will be",
        values: { VeryLow = "very low", Low = "low", High = "high" },
        depends_on: [channel, need],
    }

    forbid spend: [High] when { need: Low, channel: Shop };
    forbid channel: [Web] when { need: High };
}

const FILE: &str = r#"
name = "household"
[[state]]
name = "need"
kind = "ordinal"
description = "how much the household needs"
cue = "this household's need is"
values = ["low", "moderate", "high"]
[[state]]
name = "channel"
kind = "categorical"
description = "where the household shops"
cue = "this household shops in the"
values = ["shop", "web"]
[[state]]
name = "spend"
kind = "ordinal"
description = "what the household will spend"
cue = "this household's spending will be"
values = ["very low", "low", "high"]
depends_on = ["need", "channel"]
[[constraint]]
when = { need = "low", channel = "shop" }
state = "spend"
forbid = ["high"]
[[constraint]]
when = { need = "high" }
state = "channel"
forbid = ["web"]
"#;

/// Names that the expansion itself uses must not clash with a user's.
mod crowded {
    #![allow(dead_code, reason = "it only has to compile")]

    type String = ();
    type Vec = ();
    type Option = ();
    type Result = ();

    scaletot_chain::user_states! {
        chain Chain = "chain";
        state state: categorical State { description: "state", cue: "the state is", values: { Some = "some", None = "none" } }
        state values: ordinal Value {
            description: "values", cue: "the values are", values: { Ok = "ok", Err = "err" }, depends_on: [state]
        }
        forbid values: [Err] when { state: Some };
    }

    #[test]
    fn it_works() {
        assert_eq!(Chain::schema().legal_count(), 3);
        assert!(!Chain { state: State::Some, values: Value::Err }.is_legal());
    }
}

#[test]
fn macro_and_file_are_one_schema() {
    let file = ChainSchema::from_toml(FILE).unwrap();
    assert_eq!(Household::schema(), file);
    assert_eq!(Household::schema().hash(), file.hash());
    assert_eq!(
        Household::schema().into_builder().build().unwrap(),
        file,
        "the builder's checks find it valid"
    );
}

#[test]
fn enums_know_their_values() {
    assert_eq!(Spend::NAME, "spend");
    assert_eq!(Spend::ALL, [Spend::VeryLow, Spend::Low, Spend::High]);
    for (code, value) in (0..).zip(Spend::ALL) {
        assert_eq!(value.index(), code);
        assert_eq!(Spend::from_index(code), Some(*value));
        assert_eq!(value.to_string().parse::<Spend>().unwrap(), *value);
        assert_eq!(Household::schema().states()[2].value(code), Some(value.label()));
    }
    assert_eq!(Spend::from_index(3), None);
    assert!(Spend::VeryLow < Spend::High);
    assert_eq!(format!("[{:>9}]", Spend::VeryLow), "[ very low]");
    assert_eq!(
        "huge".parse::<Spend>().unwrap_err().to_string(),
        "`huge` is not a value of state `spend`; values: very low, low, high"
    );
}

#[test]
fn illegal_chains_do_not_convert() {
    let illegal = Household { need: Need::Low, channel: Channel::Shop, spend: Spend::High };
    assert!(!illegal.is_legal());
    let says = "state `spend`: `high` is forbidden by constraint 1 (spend is not high when channel = shop and need = low)";
    assert_eq!(illegal.to_chain().unwrap_err().to_string(), says);
    assert_eq!(Household::from_values(&illegal.values()).unwrap_err().to_string(), says);
    assert_eq!(
        Household::from_values(&[0]).unwrap_err().to_string(),
        "expected a chain of 3 states, found 1"
    );
    assert_eq!(
        Household::try_from(&[0, 2, 0][..]).unwrap_err().to_string(),
        "state `channel`: value code 2 is outside its domain of 2 values"
    );
    // A chain of another schema.
    let other = Chain::certain(&crowded_schema(), &[1, 1]).unwrap();
    assert!(Household::try_from(&other).is_err());
}

fn crowded_schema() -> ChainSchema {
    ChainSchema::from_json(
        r#"{"name": "other", "state": [
            {"name": "a", "kind": "categorical", "values": ["x", "y"]},
            {"name": "b", "kind": "ordinal", "values": ["x", "y"]}]}"#,
    )
    .unwrap()
}

proptest! {
    #[test]
    fn typed_chains_come_back(need in 0..3u16, channel in 0..2u16, spend in 0..3u16) {
        let chain = Household {
            need: Need::from_index(need).unwrap(),
            channel: Channel::from_index(channel).unwrap(),
            spend: Spend::from_index(spend).unwrap(),
        };
        prop_assert_eq!(Vec::from(chain), [need, channel, spend]);
        prop_assert_eq!(chain.is_legal(), Household::schema().is_legal(&chain.values()));
        match Household::from_values(&chain.values()) {
            Ok(read) => {
                prop_assert!(chain.is_legal());
                prop_assert_eq!(read, chain);
                let untyped = chain.to_chain().unwrap();
                untyped.check(&Household::schema()).unwrap();
                prop_assert_eq!(Household::try_from(&untyped).unwrap(), chain);
            }
            Err(_) => prop_assert!(!chain.is_legal()),
        }
    }
}
