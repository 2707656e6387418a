//! Where the value is found, and whether amounts are right: gain curves and calibration by deciles.

use crate::error::Result;
use maud::{Markup, html};
use scaletot_eval::Decile;

use super::super::results::{ArmDeciles, ArmGains};
use super::chart::{Frame, Legend, Line, Lines, Scale, WIDTH};
use super::parts::{figure, table};
use super::view::View;
use super::words;

/// Shares of users that the table of gains lists.
const SHARES: [f64; 5] = [0.05, 0.1, 0.2, 0.3, 0.5];
/// Where the second chart of gains ends.
const NEAR: f64 = 0.3;
/// Size of a chart of deciles: there is one per arm.
const SMALL: (u32, u32) = (330, 280);

/// Gain curves, whole and near the start.
pub(super) fn gains(view: &View<'_>) -> Result<Option<Markup>> {
    let gains: Vec<&ArmGains> = view.results.gains.iter().filter(|gain| gain.points.len() > 1).collect();
    if gains.is_empty() {
        return Ok(None);
    }
    let whole = gain_chart(view, &gains, 1.0, "gain", "all users")?;
    let near = gain_chart(view, &gains, NEAR, "gain-top", "the top 30 %, larger")?;
    Ok(Some(html! {
        p { "Users are ordered by prediction; the curve says what share of all value the top share of \
            users holds. The dashed diagonal is what knowing nothing gives. All labels, mean over folds." }
        div.grid { (whole) (near) }
    }))
}

fn gain_chart(view: &View<'_>, gains: &[&ArmGains], end: f64, id: &str, about: &str) -> Result<Markup> {
    let lines: Vec<Line> = gains
        .iter()
        .map(|gain| Line {
            name: gain.arm.clone(),
            style: view.style(&gain.arm),
            points: until(&gain.points, end),
            intervals: Vec::new(),
            band: false,
            marked: false,
            strong: view.is_strong(&gain.arm),
        })
        .collect();
    let top = lines.iter().flat_map(|line| &line.points).map(|point| point.1).fold(end, f64::max);
    let told: Vec<String> =
        gains.iter().map(|g| format!("{} {}", g.arm, words::percent(at(&g.points, 0.1), 1))).collect();
    let chart = Lines {
        frame: Frame {
            id: id.to_owned(),
            title: format!("Share of all value held by the top share of users, {about}"),
            description: format!("The top 10 % of users hold: {}.", words::list(&told)),
        },
        size: (WIDTH, 320),
        x: Scale::shares(end, "share of users, highest predictions first"),
        y: Scale::shares(top, ""),
        lines,
        reference: Some([(0.0, 0.0), (end, end)]),
        legend: if end < 1.0 { Legend::Ends } else { Legend::Corner },
    };
    let shares: Vec<f64> = SHARES.into_iter().filter(|share| *share <= end).collect();
    let mut head = vec!["arm".to_owned()];
    head.extend(shares.iter().map(|share| format!("top {}", words::percent(*share, 0))));
    let rows: Vec<Vec<String>> = gains
        .iter()
        .map(|gain| {
            let cells = shares.iter().map(|&share| words::percent(at(&gain.points, share), 1));
            std::iter::once(gain.arm.clone()).chain(cells).collect()
        })
        .collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    Ok(figure("Share of all value", about, &chart.draw()?, &table(&chart.frame.title, &head, &rows)))
}

/// The curve up to a share, its last point interpolated.
fn until(points: &[(f64, f64)], end: f64) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = points.iter().copied().filter(|point| point.0 <= end).collect();
    if kept.last().is_some_and(|last| last.0 < end) {
        kept.push((end, at(points, end)));
    }
    kept
}

/// The curve at a share, interpolated.
fn at(points: &[(f64, f64)], share: f64) -> f64 {
    let after = points.iter().position(|point| point.0 >= share).unwrap_or(points.len().saturating_sub(1));
    match (after.checked_sub(1).and_then(|before| points.get(before)), points.get(after)) {
        (Some(a), Some(b)) if b.0 > a.0 => a.1 + (b.1 - a.1) * (share - a.0) / (b.0 - a.0),
        (_, Some(b)) => b.1,
        _ => 0.0,
    }
}

/// Mean prediction against mean outcome, one small chart per arm.
pub(super) fn calibration(view: &View<'_>) -> Result<Option<Markup>> {
    let arms: Vec<&ArmDeciles> = view.results.deciles.iter().filter(|arm| !arm.rows.is_empty()).collect();
    if arms.is_empty() {
        return Ok(None);
    }
    let amounts =
        || arms.iter().flat_map(|arm| &arm.rows).flat_map(|row| [row.mean_prediction, row.mean_outcome]);
    let charts = arms.iter().map(|arm| decile_chart(view, arm, amounts())).collect::<Result<Vec<_>>>()?;
    let unit = &view.results.task.unit;
    Ok(Some(html! {
        p { "Users of all folds in ten equal groups by prediction, all labels. A mark on the dashed line \
            is a group that was promised what it brought; below it, less was brought than promised. \
            Amounts in " (unit) ", on scales of square roots so that small ones can be told apart." }
        div.grid.three { @for chart in &charts { (chart) } }
    }))
}

fn decile_chart(view: &View<'_>, arm: &ArmDeciles, amounts: impl Iterator<Item = f64>) -> Result<Markup> {
    let x = Scale::roots(amounts, "mean prediction");
    let root = |value: f64| value.max(0.0).sqrt();
    let mut points: Vec<(f64, f64)> =
        arm.rows.iter().map(|row| (root(row.mean_prediction), root(row.mean_outcome))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let told = |row: Option<&Decile>| {
        row.map_or_else(String::new, |row| {
            format!(
                "{} predicted, {} brought",
                words::amount(row.mean_prediction),
                words::amount(row.mean_outcome)
            )
        })
    };
    let chart = Lines {
        frame: Frame {
            id: format!("deciles-{}", view.key(&arm.arm)),
            title: format!("Mean outcome against mean prediction by decile: {}", arm.arm),
            description: format!(
                "Highest decile: {}. Lowest: {}.",
                told(arm.rows.first()),
                told(arm.rows.last())
            ),
        },
        size: SMALL,
        reference: Some(x.diagonal()),
        y: x.clone(),
        x,
        lines: vec![Line {
            name: arm.arm.clone(),
            style: view.style(&arm.arm),
            points,
            intervals: Vec::new(),
            band: false,
            marked: true,
            strong: false,
        }],
        legend: Legend::None,
    };
    let rows: Vec<Vec<String>> = arm
        .rows
        .iter()
        .map(|row| {
            vec![
                row.decile.to_string(),
                words::amount(row.mean_prediction),
                words::amount(row.mean_outcome),
                words::percent(row.value_share, 1),
            ]
        })
        .collect();
    let head = ["decile", "predicted", "outcome", "share of value"];
    Ok(figure(&arm.arm, "mean outcome, by decile", &chart.draw()?, &table(&chart.frame.title, &head, &rows)))
}

#[cfg(test)]
mod tests {
    use super::{at, until};

    #[test]
    fn curves_are_cut_and_read_between_their_points() {
        let curve = [(0.0, 0.0), (0.5, 0.8), (1.0, 1.0)];
        assert!((at(&curve, 0.25) - 0.4).abs() < 1e-12);
        assert_eq!([at(&curve, 0.0), at(&curve, 1.0), at(&[], 0.3)], [0.0, 1.0, 0.0]);
        assert_eq!(until(&curve, 1.0).len(), 3);
        assert_eq!(until(&curve, 0.3).last().map(|p| p.0), Some(0.3));
    }
}
