//! How fast a model answers here. Not run by default:
//! `SCALETOT_GGUF=FILE cargo test --release -p scaletot-teacher --features gguf --test gguf speed -- --ignored
//! --nocapture`

use std::time::Instant;

use scaletot_teacher::gguf::{Gguf, GgufOptions};
use scaletot_teacher::{Question, Teacher};

use crate::world::{World, labels};

/// The 41 questions of a chain of five states with four values each, where states depend on one or two others.
fn prompts(user: usize) -> Vec<String> {
    const INCOME: [&str; 5] = ["very low", "low", "moderate", "high", "very high"];
    const AGE: [&str; 4] = ["19-24", "25-34", "45-54", "65+"];
    const VALUES: [&str; 4] = ["low", "moderate", "high", "very high"];
    const CUES: [&str; 5] = [
        "this customer's need for groceries",
        "this customer's sensitivity to prices",
        "this customer's loyalty to the store",
        "this customer's interest in promotions",
        "this customer's spending capacity",
    ];
    let profile = format!(
        "A customer aged {}, with a {} household income, married, who owns the home, in a household of {} with {} \
         children.",
        AGE[user % 4],
        INCOME[user / 4 % 5],
        2 + user / 20 % 3,
        user / 60 % 3
    );
    let told = |state: usize, value: &str| {
        format!(" {}{} is {value}.", CUES[state][..1].to_uppercase(), &CUES[state][1..])
    };
    let ask = |state: usize, before: &str| format!("{profile}{before} Overall, {} is", CUES[state]);
    let mut prompts = vec![ask(0, "")];
    for value in VALUES {
        prompts.push(ask(1, &told(0, value)));
        prompts.push(ask(2, &told(0, value)));
        for other in VALUES {
            prompts.push(ask(3, &(told(1, value) + &told(2, other))));
            prompts.push(ask(4, &(told(2, value) + &told(3, other))));
        }
    }
    prompts
}

#[test]
#[ignore = "a measurement; needs a model file"]
fn speed() {
    let Ok(path) = std::env::var("SCALETOT_GGUF") else {
        eprintln!("skipped: SCALETOT_GGUF does not name a model file");
        return;
    };
    let (world, labels) = (World::new(), labels(&["low", "moderate", "high", "very high"]));
    let started = Instant::now();
    let model = Gguf::open(&path, GgufOptions::default()).unwrap();
    eprintln!("{}: opened in {:.2} s", model.model(), started.elapsed().as_secs_f64());
    let measure = |what: &str, users: std::ops::Range<usize>, batch: usize| {
        let (before, started) = (model.usage(), Instant::now());
        let prompts: Vec<String> = users.clone().flat_map(prompts).collect();
        let questions: Vec<Question<'_>> =
            prompts.iter().map(|prompt| world.question(prompt, &labels)).collect();
        let asked: u64 = questions
            .chunks(batch)
            .flat_map(|part| model.answer_batch(part))
            .map(|a| a.unwrap().tokens)
            .sum();
        let (seconds, after) = (started.elapsed().as_secs_f64(), model.usage());
        eprintln!(
            "{what}: {:.1} ms per prompt, {:.0} ms per user of {} prompts; {} tokens asked, {} run in {} passes, \
             {:.2} ms each",
            1e3 * seconds / prompts.len() as f64,
            1e3 * seconds / users.len() as f64,
            prompts.len() / users.len(),
            asked,
            after.tokens - before.tokens,
            after.passes - before.passes,
            1e3 * seconds / (after.tokens - before.tokens) as f64
        );
    };
    measure("first user", 0..1, 41);
    measure("a user at a time", 20..26, 41);
    measure("four users at a time", 40..52, 164);
    measure("a prompt at a time", 60..62, 1);
}
