//! A language model behind an OpenAI-compatible server (llama.cpp, vLLM, Ollama, a hosted one) as the teacher.
//!
//! Needs a server; `servers/llama_cpp.py` starts one with a small model on this machine. `with_key` or
//! `with_key_variable` gives another server its key; `OPENAI_API_KEY` goes to api.openai.com alone.
//!
//! `cargo run --example http_teacher --features openai -- http://127.0.0.1:8080/v1 default` prints a prompt, the chains of three users, and
//! what they cost.

#![allow(clippy::print_stdout, reason = "a program's output")]

use std::error::Error;
use std::time::Duration;

use scaletot::chain::StateDef;
use scaletot::prelude::*;
use scaletot::profile::{FieldSpec, TableBuilder};
use scaletot::teacher::openai::OpenAi;
use scaletot::teacher::{Retry, RetryPolicy};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(model)) = (arguments.next(), arguments.next()) else {
        return Err("expected the address of a server and a model: http://127.0.0.1:8080/v1 default".into());
    };
    // How the server gives probabilities is found out with the first question. Values are looked for among the `top` most probable tokens;
    // llama.cpp gives any number, others 20 or 5. What fails for a moment is asked again.
    let server =
        OpenAi::builder(url, model).with_top(20_000).with_timeout(Duration::from_secs(20)).build()?;
    let teacher = Retry::new(server, RetryPolicy::default())?;

    let profiles = ProfileSchema::builder("shop")
        .with_subject("A customer")
        .with_field(FieldSpec::ordinal("age", ["20", "40", "70"]).with_phrase("aged {}"))
        .with_field(FieldSpec::ordinal("income", ["a low", "a high"]).with_phrase("with {} household income"))
        .build()?;
    let mut rows = TableBuilder::new(profiles);
    for (user, cells) in
        [(1, ["20", "a low"]), (2, ["40", "a high"]), (3, ["70", "a high"]), (4, ["70", "a low"])]
    {
        rows.push_text(user, &cells)?;
    }
    let table = rows.finish();
    let values = ["low", "moderate", "high"];
    let chain = ChainSchema::builder("shopper")
        .with_state(StateDef::ordinal("capacity", values).with_cue("this customer's spending capacity is"))
        .with_state(StateDef::ordinal("thrift", values).with_cue("this customer's sensitivity to prices is"))
        .build()?;

    // A small model prefers some words whatever it is asked; its mean answer over users is divided out.
    let prompter = Prompter::new(table.schema(), chain, Verbaliser::fit(&table, 3)?)?;
    println!("{}", prompter.prompt(&table, 1, 0, &[]));
    let mut reasoner =
        Reasoner::builder(teacher, prompter).with_budget(Budget::default().with_queries(20)).build()?;
    reasoner.set_calibration(reasoner.fit_calibration(&table, &[0, 1, 2, 3], 1, &())?)?;
    for row in 0..3 {
        let record = reasoner.reason(&table, row, 1)?;
        println!("{}: {}", reasoner.prompter().profile(&table, row), record.verdict);
        for step in record.best.iter().flat_map(|chain| chain.steps()) {
            println!("  {} ({:.2} of the probability was on the values)", step.rationale, step.covered_mass);
        }
    }
    let spent = reasoner.ledger().snapshot();
    println!("{} calls, {} cache hits, {} tokens", spent.calls, spent.cache_hits, spent.tokens);
    Ok(())
}
