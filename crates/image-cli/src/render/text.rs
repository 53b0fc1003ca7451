//! Text for people: indented lines, fields, and tables whose columns line up.

use console::{measure_text_width, style};
use std::fmt::Write;

/// Spaces a level.
const INDENT: usize = 2;

/// Spaces between columns.
const GAP: usize = 2;

/// Text that grows line by line. What comes from a medium is made harmless on the way in: no
/// control character of it reaches the terminal.
#[derive(Debug, Default)]
pub(super) struct Text {
    out: String,
    depth: usize,
}

/// A column's heading, and the side its cells keep to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    Left(&'static str),
    Right(&'static str),
}

impl Text {
    /// The text so far.
    pub(super) fn finish(self) -> String {
        self.out
    }

    /// One line.
    pub(super) fn line(&mut self, line: &str) {
        let indent = self.depth * INDENT;
        let line = harmless(line);
        // Writing to a String cannot fail.
        let _ = writeln!(self.out, "{:indent$}{}", "", line.trim_end());
    }

    /// A heading after an empty line, and what stands under it, one level deeper.
    pub(super) fn section(&mut self, heading: &str, body: impl FnOnce(&mut Self)) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.titled(heading, body);
    }

    /// A heading, and what stands under it.
    pub(super) fn titled(&mut self, heading: &str, body: impl FnOnce(&mut Self)) {
        let indent = self.depth * INDENT;
        let _ = writeln!(self.out, "{:indent$}{}", "", style(harmless(heading)).bold());
        self.depth += 1;
        body(self);
        self.depth -= 1;
    }

    /// Names and values; one without a value is left out.
    pub(super) fn fields(&mut self, fields: &[(&str, String)]) {
        let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + GAP;
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
            self.line(&format!("{name:width$}{value}"));
        }
    }

    /// Rows under headings.
    pub(super) fn table<const N: usize>(&mut self, columns: [Column; N], rows: &[[String; N]]) {
        let headings = columns.map(|column| match column {
            Column::Left(heading) | Column::Right(heading) => heading.to_owned(),
        });
        let rows: Vec<[String; N]> =
            rows.iter().map(|row| row.each_ref().map(|cell| harmless(cell))).collect();
        let width = |at: usize| {
            let cells = rows.iter().map(|row| measure_text_width(&row[at]));
            cells.chain([headings[at].len()]).max().unwrap_or(0)
        };
        let widths: [usize; N] = std::array::from_fn(width);
        let aligned = |row: &[String; N]| {
            let mut line = String::new();
            for ((cell, column), width) in row.iter().zip(columns).zip(widths) {
                let pad = width.saturating_sub(measure_text_width(cell));
                let (before, after) = match column {
                    Column::Left(_) => (0, pad + GAP),
                    Column::Right(_) => (pad, GAP),
                };
                let _ = write!(line, "{:before$}{cell}{:after$}", "", "");
            }
            line
        };
        let indent = self.depth * INDENT;
        let heading = aligned(&headings);
        let _ = writeln!(self.out, "{:indent$}{}", "", style(heading.trim_end()).dim());
        for row in &rows {
            self.line(&aligned(row));
        }
    }
}

/// The text with its control characters spelt out.
pub(super) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            out.extend(char.escape_default());
        } else {
            out.push(char);
        }
    }
    out
}

/// A number of bytes in the unit that suits it: `512 B`, `63.1 MiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A number of bytes in the unit that suits it, and exactly: `1.5 KiB (1536 bytes)`.
pub(super) fn exact(bytes: u64) -> String {
    if bytes < 1024 { format!("{bytes} bytes") } else { format!("{} ({bytes} bytes)", size(bytes)) }
}

#[cfg(test)]
mod tests {
    use super::{
        Column::{Left, Right},
        *,
    };

    #[test]
    fn columns_line_up_and_control_characters_do_not_get_through() {
        console::set_colors_enabled(false);
        let mut text = Text::default();
        text.titled("disk\x1b[31m", |text| {
            text.fields(&[("size", size(1536)), ("uname", String::new()), ("label", "a".into())]);
            text.table(
                [Left("name"), Right("size"), Left("why")],
                &[
                    ["\u{7}x".into(), size(1), "ä".into()],
                    ["long name".into(), size(3 << 30), String::new()],
                ],
            );
        });
        assert_eq!(
            text.finish(),
            "disk\\u{1b}[31m\n  size   1.5 KiB\n  label  a\n  \
             name          size  why\n  \\u{7}x         1 B  ä\n  long name  3.0 GiB\n"
        );
    }

    #[test]
    fn sizes_pick_their_unit() {
        let sizes = [0, 1023, 1024, 1_048_575, 1 << 20, 1246 << 20, u64::MAX].map(size);
        let expected =
            ["0 B", "1023 B", "1.0 KiB", "1023.9 KiB", "1.0 MiB", "1.2 GiB", "16777215.9 TiB"];
        assert_eq!(sizes, expected);
    }
}
