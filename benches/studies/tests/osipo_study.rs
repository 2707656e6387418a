//! `osipo_study` on two tiny worlds.
#![allow(clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use clap::Parser;
use scaletot_studies::osipo::options::OsipoStudyOptions;
use scaletot_studies::osipo::results::{FILE, StudyResults};
use scaletot_studies::osipo::{self, Measure, OSIPO, SFT, SFT_LONGER, page};

#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    study: OsipoStudyOptions,
}

/// A reward that looks at no user segment, and its twin that has none: the same student.
const TIERS: &str = "reward=tier-agreement";
const TWIN: &str = "reward=tier-agreement, user-segments=none";

fn options(out: &Path, more: &[&str]) -> OsipoStudyOptions {
    let given = ["osipo_study", "--users", "1000", "--epochs", "1", "--seeds", "2", "--out"];
    let rest = [out.to_str().unwrap(), "--arm", TIERS];
    Arguments::parse_from(given.iter().chain(&rest).chain(more)).study
}

#[test]
fn worlds_are_studied_and_taken_up_again() {
    let temporary = tempfile::tempdir().unwrap();
    let out = temporary.path();
    let said = RefCell::new(Vec::new());
    let say = |line: &str| said.borrow_mut().push(line.to_owned());
    let results = osipo::run(&options(out, &[]), &(), &say).unwrap();
    assert_eq!(results.seeds.len(), 2);
    for world in &results.seeds {
        let arms: Vec<&str> = world.arms.iter().map(|arm| arm.arm.as_str()).collect();
        assert_eq!(arms, [SFT, OSIPO, SFT_LONGER, TIERS]);
        assert_eq!((world.reasoned, world.labelled), (73, world.accepted));
        let steps = |arm| world.arm(arm).unwrap().budget.steps;
        assert_eq!((steps(SFT), steps(SFT_LONGER)), (0, steps(OSIPO)));
        for arm in &world.arms {
            assert_eq!(arm.measures.len(), Measure::ALL.len());
            assert!(arm.measures.values().all(|value| value.is_finite()), "{arm:?}");
        }
        assert!(world.recovery.iter().all(|entry| entry.right.users > 0 && entry.right.states > 0.25));
    }
    assert!(page::render(&results).contains("- `osipo`: against `sft`"));
    assert_eq!(StudyResults::read(&out.join(FILE)).unwrap(), results);

    // What a kill left undone is run again, and comes out the same; the rest is not.
    let mut cut = results.clone();
    cut.seeds[1].arms.truncate(3);
    fs::write(out.join(FILE), serde_json::to_string(&cut).unwrap()).unwrap();
    said.borrow_mut().clear();
    let again = osipo::run(&options(out, &["--arm", TWIN]), &(), &say).unwrap();
    let spared = said.borrow().iter().filter(|line| line.ends_with("not run again")).count();
    assert_eq!(spared, 4 + 3, "{said:?}");
    for (new, old) in again.seeds.iter().zip(&results.seeds) {
        let figures = |arm| (&new.arm(arm).unwrap().measures, &old.arm(arm).unwrap().measures);
        let (new_figures, old_figures) = figures(TIERS);
        assert_eq!(new_figures, old_figures);
        assert_eq!(&new.arm(TWIN).unwrap().measures, old_figures, "user segments cannot matter here");
    }
    said.borrow_mut().clear();
    osipo::run(&options(out, &["--arm", TWIN]), &(), &say).unwrap();
    assert_eq!(said.borrow().len(), 2, "{said:?}");

    let error = osipo::run(&options(out, &["--noise", "1.5"]), &(), &say).unwrap_err();
    assert!(error.to_string().contains("noise: 0.7 there, 1.5 here"), "{error}");
}

#[test]
fn options_out_of_range_are_named() {
    let temporary = tempfile::tempdir().unwrap();
    let refused =
        |more: &[&str]| osipo::run(&options(temporary.path(), more), &(), &|_| {}).unwrap_err().to_string();
    assert!(refused(&["--arm", "nothing"]).contains("`objective=policy`"));
    let parse = |more: &[&str]| {
        Arguments::try_parse_from(["osipo_study"].iter().chain(more)).unwrap().study.checked()
    };
    for (name, value) in [("--seeds", "0"), ("--users", "10"), ("--labels", "7")] {
        let error = parse(&[name, value]).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}
