//! What is counted is what a recording and a run ask.

use std::collections::HashSet;

use super::*;
use crate::tasks::Task;

fn plan(name: &str, options: &PlanOptions) -> (Plan, crate::tasks::Population) {
    let population = Task::find(name).unwrap().load(None).unwrap();
    (Plan::of(population.dataset.table(), &population.chain, options).unwrap(), population)
}

#[test]
fn the_embedded_table_has_as_many_prompts_as_were_recorded() {
    let (plan, population) = plan("complete-journey", &PlanOptions::default().with_coverage(0.2));
    assert_eq!((plan.users, plan.eligible), (2469, 801));
    // As data/README.md says of the recording.
    assert_eq!(plan.everybody.questions, 14_186);
    assert_eq!(plan.distinct_profiles * plan.prompts_per_profile, 14_186);
    assert_eq!(plan.reasoned_users, 494);
    assert_eq!(plan.populated.iter().map(|point| point.users).sum::<usize>(), 2469);
    let last = plan.curve.last().unwrap();
    assert_eq!((last.profiles, last.users, last.share), (plan.distinct_profiles, 801, 1.0));
    assert!(plan.curve.windows(2).all(|pair| pair[0].share < pair[1].share));
    assert!(plan.run.questions <= plan.everybody.questions && plan.run.questions > 0);
    assert!(plan.longest_prompt as f64 >= plan.mean_prompt && plan.mean_prompt > 100.0);

    // Every prompt that is shown is one that is recorded.
    let teacher = population.answers.unwrap().answers().unwrap();
    assert_eq!(teacher.len(), 14_186);
    assert_eq!(plan.preview.prompts.len(), population.chain.len());
    let texts: HashSet<&str> = plan.preview.profiles.iter().map(|profile| profile.text.as_str()).collect();
    assert_eq!(texts.len(), plan.preview.profiles.len());
    for prompt in &plan.preview.prompts {
        assert!(prompt.prompt.starts_with("A customer ") && !prompt.prompt.ends_with(' '), "{prompt:?}");
    }
}

#[test]
fn cost_and_time_follow_from_the_questions() {
    let asked = Asked { questions: 1000, tokens: 50_000 };
    let mut price = Price::default();
    (price.per_million_tokens, price.per_call, price.per_hour) = (2.0, 0.001, 3.6);
    assert!((asked.cost(&price, 0.5) - (0.1 + 1.0 + 0.5)).abs() < 1e-12);
    assert_eq!((asked.seconds(0.5, 1), asked.seconds(0.5, 4)), (500.0, 125.0));
}

#[test]
fn nobody_and_nonsense_are_refused() {
    let population = Task::find("complete-journey").unwrap().load(None).unwrap();
    let refused = |options: &PlanOptions| {
        Plan::of(population.dataset.table(), &population.chain, options).unwrap_err().to_string()
    };
    assert!(refused(&PlanOptions::default().with_coverage(1.5)).contains("`coverage`"));
    assert!(refused(&PlanOptions::default().with_min_populated(0)).contains("`min_populated`"));
    let nobody = refused(&PlanOptions::default().with_min_populated(8));
    assert!(nobody.starts_with("no user of 2469 has 8 populated fields"), "{nobody}");
}
