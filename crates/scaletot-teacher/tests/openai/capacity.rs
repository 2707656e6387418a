//! How much of a server's capacity a pool of workers keeps busy. Timings are no matter for a test that runs beside others:
//!
//! ```text
//! cargo test --release -p scaletot-teacher --features openai --test openai -- --ignored capacity --nocapture
//! ```

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use scaletot_chain::CorpusWriter;
use scaletot_profile::{FieldSpec, ProfileSchema, ProfileTable, TableBuilder, Verbaliser};
use scaletot_teacher::openai::OpenAi;
use scaletot_teacher::{Prompter, Reasoner, Retry, RetryPolicy};

use crate::common::chain_schema;
use crate::server::{Ability, Reaction, Server, answer};

/// How long a request takes a place of the server, the making of its answer included.
const LATENCY: Duration = Duration::from_millis(20);
/// Users per place, so that every server is measured equally long (some 18 s), of which the last users, who leave places free,
/// are one in a hundred.
const USERS_PER_PLACE: usize = 100;

/// Places of a server, and when it had its first and its last request in hand.
#[derive(Default)]
struct Slots {
    free: Mutex<(usize, Option<Instant>, Option<Instant>, u32)>,
    freed: Condvar,
}

/// Users of whom no two are alike, so that nothing is asked once for many.
fn users(count: usize) -> ProfileTable {
    let towns: Vec<String> = (0..count).map(|town| format!("town {town}")).collect();
    let field = FieldSpec::categorical("town", towns.clone()).with_phrase("from {}");
    let mut builder = TableBuilder::new(ProfileSchema::builder("towns").with_field(field).build().unwrap());
    for (user, town) in towns.iter().enumerate() {
        builder.push_text(user as i64, &[town]).unwrap();
    }
    builder.finish()
}

/// Share of the places' time that was used.
fn busy(slots: usize, workers: usize) -> (f64, u32, f64) {
    let places = Arc::new(Slots { free: Mutex::new((slots, None, None, 0)), ..Slots::default() });
    let held = Arc::clone(&places);
    let server = Server::start(move |asked| {
        let mut state = held.free.lock().unwrap();
        while state.0 == 0 {
            state = held.freed.wait(state).unwrap();
        }
        state.0 -= 1;
        state.1.get_or_insert_with(Instant::now);
        drop(state);
        let began = Instant::now();
        let reaction = Reaction::Json(answer(asked, Ability::Classic));
        std::thread::sleep(LATENCY.saturating_sub(began.elapsed()));
        let mut state = held.free.lock().unwrap();
        state.0 += 1;
        state.2 = Some(Instant::now());
        state.3 += 1;
        drop(state);
        held.freed.notify_one();
        reaction
    });
    let teacher =
        Retry::new(OpenAi::builder(server.url(), "m").build().unwrap(), RetryPolicy::default()).unwrap();
    let table = users(USERS_PER_PLACE * slots);
    let prompter =
        Prompter::new(table.schema(), chain_schema(), Verbaliser::fit(&table, 5).unwrap()).unwrap();
    let reasoner = Reasoner::builder(teacher, prompter).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corpus.jsonl");
    let mut corpus = CorpusWriter::create(&path, &reasoner.header(&table, 1).unwrap()).unwrap();
    let rows: Vec<usize> = (0..table.len()).collect();
    let summary = reasoner.run(&table, &rows, &mut corpus, workers, &()).unwrap();
    assert_eq!(summary.failed, 0);
    let state = places.free.lock().unwrap();
    let elapsed = state.2.unwrap().duration_since(state.1.unwrap());
    let used = LATENCY.as_secs_f64() * f64::from(state.3) / (slots as f64 * elapsed.as_secs_f64());
    (used, state.3, elapsed.as_secs_f64())
}

#[test]
#[ignore = "a measurement"]
fn sixty_four_users_keep_a_server_busy() {
    for slots in [4, 16, 32, 64] {
        let (used, requests, seconds) = busy(slots, 64);
        println!("{slots} places: {:.1} % busy, {requests} requests in {seconds:.2} s", 100.0 * used);
    }
}
