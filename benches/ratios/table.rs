//! What was measured, and whether it is within its limit.

use std::{fmt, time::Duration};

/// By how much a time may be over its limit before the whole run fails: other processes on the
/// machine may be to blame.
const NOISE: f64 = 1.5;

/// One comparison.
struct Row {
    what: String,
    ours: String,
    theirs: String,
    ratio: f64,
    limit: f64,
    /// Where it fails.
    end: f64,
}

/// All comparisons.
#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    /// Two times, the second that of the tools `by`.
    pub(crate) fn time(
        &mut self,
        what: &str,
        ours: Duration,
        theirs: Duration,
        by: &str,
        limit: f64,
    ) {
        self.0.push(Row {
            what: format!("{what}: time"),
            ours: format!("{:.2} s", ours.as_secs_f64()),
            theirs: format!("{:.2} s ({by})", theirs.as_secs_f64()),
            ratio: ours.as_secs_f64() / theirs.as_secs_f64(),
            limit,
            end: limit * NOISE,
        });
    }

    /// Two sizes in bytes.
    pub(crate) fn size(&mut self, what: &str, ours: u64, theirs: u64, by: &str, limit: f64) {
        self.0.push(Row {
            what: format!("{what}: size"),
            ours: ours.to_string(),
            theirs: format!("{theirs} ({by})"),
            ratio: ratio(ours, theirs),
            limit,
            end: limit,
        });
    }

    /// Peak memory, in bytes.
    pub(crate) fn peak(&mut self, what: &str, peak: u64, limit: u64) {
        self.0.push(Row {
            what: format!("{what}: peak memory"),
            ours: mebibytes(peak),
            theirs: mebibytes(limit),
            ratio: ratio(peak, limit),
            limit: 1.0,
            end: 1.0,
        });
    }

    /// Whether nothing is over its limit by more than noise explains.
    pub(crate) fn is_within(&self) -> bool {
        self.0.iter().all(|row| row.ratio <= row.end)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["what", "ours", "theirs", "ratio", "limit", ""].map(str::to_owned);
        let rows = self.0.iter().map(|row| {
            let verdict = match row.ratio {
                ratio if ratio <= row.limit => "ok",
                ratio if ratio <= row.end => "over, but perhaps by noise",
                _ => "OVER",
            };
            [
                row.what.clone(),
                row.ours.clone(),
                row.theirs.clone(),
                format!("{:.2}", row.ratio),
                format!("{:.2}", row.limit),
                verdict.to_owned(),
            ]
        });
        let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        for row in &rows {
            let cells: Vec<_> = row
                .iter()
                .enumerate()
                .map(|(column, cell)| format!("{cell:<width$}", width = width(column)))
                .collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio is shown with two digits")]
fn ratio(ours: u64, theirs: u64) -> f64 {
    ours as f64 / theirs as f64
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
