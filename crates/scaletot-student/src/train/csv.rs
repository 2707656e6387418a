//! Logs as tables.

/// A table as comma-separated values; all of it is numbers, so that nothing needs quoting.
pub(super) fn csv(names: &[&str], rows: impl Iterator<Item = Vec<Option<f64>>>) -> String {
    let mut text = names.join(",") + "\n";
    for row in rows {
        let cells: Vec<String> = row.iter().map(|x| x.map_or_else(String::new, |x| x.to_string())).collect();
        text += &(cells.join(",") + "\n");
    }
    text
}
