use rand::{RngExt, SeedableRng};
use scaletot_chain::*;
use scaletot_profile::*;
use scaletot_student::*;
use std::time::Instant;

fn main() {
    let users: usize = std::env::args().nth(1).map_or(600, |s| s.parse().unwrap());
    let dropout: f64 = std::env::args().nth(2).map_or(0.1, |s| s.parse().unwrap());
    let extra: usize = 2400;
    let mut b = ProfileSchema::builder("t");
    for f in 0..15 {
        b = b.field(FieldSpec::ordinal(format!("f{f}"), (0..6).map(|v| format!("v{v}"))));
    }
    let mut tb = TableBuilder::new(b.build().unwrap());
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let mut cells = vec![];
    for u in 0..users + extra {
        let c: Vec<u32> = (0..15).map(|_| rng.random_range(0..6)).collect();
        let v: Vec<Option<Value>> = c.iter().map(|&x| Some(Value::Code(x))).collect();
        tb.push_values(u as i64, &v).unwrap();
        cells.push(c);
    }
    let table = tb.finish();
    let mut cb = ChainSchema::builder("c");
    for k in 0..5 {
        cb = cb.state(StateDef::ordinal(format!("s{k}"), (0..4).map(|v| format!("w{v}"))));
    }
    let chain = cb.build().unwrap();
    let truth = |u: usize| -> Vec<u16> {
        (0..5).map(|k| ((cells[u][2 * k] + cells[u][2 * k + 1]) * 4 / 11) as u16).collect()
    };
    let rec = |u: usize| {
        let v = truth(u);
        let mk = |v: &[u16]| {
            let steps: Vec<Step> = v
                .iter()
                .map(|&x| {
                    let mut d = vec![0.1; 4];
                    d[x as usize] = 0.7;
                    Step::exact(x, d)
                })
                .collect();
            Chain::new(&chain, steps, -1.0).unwrap()
        };
        let mut w = v.clone();
        w[4] = (w[4] + 1) % 4;
        let best = mk(&v);
        let post = best.steps().iter().map(|s| s.distribution.clone()).collect();
        ChainRecord::new(table.id(u), Verdict::Accepted)
            .with_best(Some(best))
            .with_runners_up(vec![mk(&w)])
            .with_posterior(post)
    };
    let records: Vec<_> = (0..users).map(rec).collect();
    let rows: Vec<usize> = (0..users).collect();
    let device = burn::tensor::Device::default();
    let s0 = Student::new(&StudentConfig::default(), &table, &chain, 1, &device).unwrap();
    println!("params {} vocab {}", s0.num_params(), s0.tokenizer().vocab_size());
    let mut cfg = SftConfig::default();
    cfg.patience = 100;
    cfg.dropout = dropout;
    if let Some(lr) = std::env::args().nth(3) {
        cfg.learning_rate = lr.parse().unwrap();
    }
    let t = Instant::now();
    let (s1, log) = sft(&s0, &table, &rows, &records, &cfg, 1, &()).unwrap();
    println!(
        "sft {:?} epochs {} best {} {}",
        t.elapsed(),
        log.epochs.len(),
        log.best_epoch,
        log.best().unwrap()
    );
    for e in [0, 4, 9, 19, 29] {
        println!(
            "{} |g| {:.2} clipped {:.2}",
            log.epochs[e], log.epochs[e].gradient_norm, log.epochs[e].clipped
        );
    }
    let all: Vec<usize> = (0..users + extra).collect();
    let t = Instant::now();
    let sig = s1.infer(&table, &all, 256).unwrap();
    println!("infer {} users {:?}", all.len(), t.elapsed());
    let acc = all[users..]
        .iter()
        .map(|&u| (0..5).filter(|&k| sig.chains[[u, k]] == truth(u)[k]).count())
        .sum::<usize>() as f64
        / (5 * extra) as f64;
    println!("held-out state accuracy {acc:.3}");
    let outcomes: Vec<Option<f64>> =
        (0..users + extra).map(|u| Some([0.0, 1.0, 5.0, 20.0][truth(u)[4] as usize])).collect();
    let t = Instant::now();
    let (_, log) = osipo(
        &s1,
        &table,
        &rows,
        &records,
        &outcomes,
        &Segments::all(users + extra),
        &OsipoConfig::default(),
        1,
        &(),
    )
    .unwrap();
    println!(
        "osipo {:?} epochs {} best {} {:?}",
        t.elapsed(),
        log.epochs.len(),
        log.best_epoch,
        log.validation_after().map(|r| (r.loss, r.accuracy))
    );
}
