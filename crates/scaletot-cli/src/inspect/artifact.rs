//! An encoder's artifact.

use std::path::Path;

use anyhow::{Context, Result};
use scaletot_core::causes;
use scaletot_encoder::{FrozenEncoder, Readiness, TransferGate, TransferReport};
use serde_json::json;

use super::report::Report;
use super::{Inspected, fixed, read_json};
use crate::format::count;

/// The artifact: what it is for, whether it is ready, how it came through its checks.
pub(crate) fn artifact(path: &Path) -> Result<Inspected> {
    let encoder = FrozenEncoder::load_for_inspection(path)?;
    let info = encoder.info();
    let canaries = encoder.check_canaries();
    let (profile, chain) = (encoder.profile_schema(), encoder.chain_schema());
    let footprint = encoder.footprint();

    let mut report = Report::new(format!("{}: an encoder's artifact", path.display()));
    if let Some(note) = &info.note {
        report.line(note);
    }
    let readiness = match info.readiness() {
        Readiness::Ready => "ready to serve".to_owned(),
        Readiness::NotReady { reasons } => {
            format!("NOT READY, and refused by `scaletot score`: {}", reasons.join("; "))
        }
        _ => "not held against any gate".to_owned(),
    };
    report.line(readiness);
    report.line(match &canaries {
        Ok(()) => "canaries: this machine computes what was computed when it was written".to_owned(),
        Err(error) => format!("canaries: NOT the same as when it was written: {}", causes(error)),
    });
    report.heading("Reads");
    report.line(format!(
        "profile schema {}, id column `{}`, {} fields",
        profile.name(),
        profile.id_column(),
        profile.fields().len()
    ));
    let rows =
        profile.fields().iter().map(|field| vec![field.name().to_owned(), field.kind().name().to_owned()]);
    report.table(["field", "kind"], rows.collect(), false);
    report.line(format!(
        "profiles with fewer than {} populated fields are abstained on",
        encoder.config().min_populated
    ));
    report.heading("Tells");
    let heads = encoder.heads();
    report.line(match heads.outcome {
        true => format!("outcome head: {:?}", encoder.config().outcome_head),
        false => "no outcome head".to_owned(),
    });
    report.line(match encoder.value_head() {
        Some(head) => format!(
            "value head: the value model, folded in; it rests on {} fields, {} states, {} weights of the representation and {} of the network, and {} hidden units",
            head.fields().len(),
            head.marginals().len(),
            head.representation().len(),
            head.trunk().len(),
            head.hidden().len()
        ),
        None => "no value head: the value is the outcome head's".to_owned(),
    });
    if heads.signals() {
        report.line(format!("states of chain schema {}, and a representation", chain.name()));
        let rows =
            chain.states().iter().map(|state| vec![state.name().to_owned(), state.values().join(", ")]);
        report.table(["state", "values"], rows.collect(), false);
    } else {
        report.line("no states and no representation: it was trained on outcomes alone");
    }
    if let Some(transfer) = info.transfer() {
        tell_transfer(&mut report, transfer, info.transfer_gate());
    }
    if !info.metrics.is_empty() {
        report.heading("Figures that were noted");
        let rows = info.metrics.iter().map(|(name, value)| vec![name.clone(), fixed(*value)]);
        report.table(["figure", "value"], rows.collect(), true);
    }
    report.heading("Footprint");
    report.line(format!(
        "{:.1} KiB of tables and weights, {} floating-point operations a user besides lookups",
        footprint.bytes as f64 / 1024.0,
        count(footprint.flops as u64)
    ));
    let json = json!({
        "kind": "artifact",
        "info": info,
        "canaries": canaries.as_ref().map_or_else(|error| causes(error), |()| "passed".to_owned()),
        "profile_schema": profile,
        "chain_schema": chain,
        "heads": { "outcome": heads.outcome, "states": heads.states, "representation": heads.student_dim },
        "outcome_head": encoder.config().outcome_head,
        "value_head": encoder.value_head(),
        "min_populated": encoder.config().min_populated,
        "bytes": footprint.bytes,
        "flops": footprint.flops,
    });
    Ok(Inspected { report, json })
}

/// `transfer.json` of a run: what the artifact's gate is held against.
pub(crate) fn transfer(path: &Path) -> Result<Inspected> {
    let transfer: TransferReport = serde_json::from_value(read_json(path)?)
        .with_context(|| format!("{} is no transfer report", path.display()))?;
    let mut report = Report::new(format!("{}: a transfer report", path.display()));
    report.line(format!("{} held-out users compared", count(transfer.users as u64)));
    tell_transfer(&mut report, &transfer, None);
    let json = json!({ "kind": "transfer", "transfer": transfer });
    Ok(Inspected { report, json })
}

fn tell_transfer(report: &mut Report, transfer: &TransferReport, gate: Option<&TransferGate>) {
    report.heading("From student to encoder, on held-out users");
    let asked =
        |limit: Option<f64>, bound: &str| limit.map_or_else(String::new, |limit| format!("{bound} {limit}"));
    let of = |limit: fn(&TransferGate) -> Option<f64>| gate.and_then(limit);
    let mut rows = vec![
        vec![
            "agreement of the most probable values".to_owned(),
            fixed(transfer.mean_agreement()),
            asked(of(|gate| gate.min_agreement), "at least"),
        ],
        vec![
            "KL, nats per state".to_owned(),
            fixed(transfer.mean_kl()),
            asked(of(|gate| gate.max_kl), "at most"),
        ],
        vec![
            "cosine of representations".to_owned(),
            fixed(transfer.cosine),
            asked(of(|gate| gate.min_cosine), "at least"),
        ],
        vec!["linear CKA".to_owned(), fixed(transfer.cka), String::new()],
        vec![
            "abstained on".to_owned(),
            fixed(transfer.abstained_share()),
            asked(of(|gate| gate.max_abstained), "at most"),
        ],
    ];
    let retention = transfer.retention.map_or_else(|| "not known".to_owned(), fixed);
    rows.push(vec![
        "share of the student's gain kept".to_owned(),
        retention,
        asked(of(|gate| gate.min_retention), "at least"),
    ]);
    report.table(["figure", "found", "asked for"], rows, true);
    let per_state = transfer.states.iter().zip(&transfer.agreement).zip(&transfer.kl);
    let rows = per_state.map(|((state, agreement), kl)| vec![state.clone(), fixed(*agreement), fixed(*kl)]);
    report.table(["state", "agreement", "KL"], rows.collect(), true);
    for (what, groups) in [("populated fields", &transfer.by_populated), ("segment", &transfer.by_segment)] {
        let rows = groups.iter().map(|group| {
            vec![
                group.name.clone(),
                count(group.users as u64),
                fixed(group.agreement),
                fixed(group.kl),
                fixed(group.cosine),
            ]
        });
        report.table([what, "users", "agreement", "KL", "cosine"], rows.collect(), true);
    }
}
