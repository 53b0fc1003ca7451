//! Reserve, place, seal: how a format's writer joins its parts.

use super::Blob;
use std::fmt;

/// Two parts were placed over each other, or one past the end: a bug of the format's writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Where the second part starts, in bytes.
    pub offset: u64,
    /// Where the bytes before it end.
    pub taken_to: u64,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "content at byte {} overlaps what ends at {}", self.offset, self.taken_to)
    }
}

impl std::error::Error for Overlap {}

/// First reserve, so that every offset is known; then place; then seal the whole as one blob.
#[derive(Debug, Default)]
pub struct Layout {
    end: u64,
    placed: Vec<(u64, Blob)>,
}

impl Layout {
    /// Nothing reserved yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next `len` bytes whose start is a multiple of `align`, and says where.
    pub fn reserve(&mut self, len: u64, align: u64) -> u64 {
        let at = self.end.next_multiple_of(align);
        self.end = at + len;
        at
    }

    /// Puts `blob` at `offset` bytes from the start.
    pub fn place(&mut self, offset: u64, blob: Blob) {
        self.end = self.end.max(offset + blob.len());
        self.placed.push((offset, blob));
    }

    /// Reserves room for `blob`, places it there, and says where.
    pub fn append(&mut self, blob: Blob, align: u64) -> u64 {
        let at = self.reserve(blob.len(), align);
        self.placed.push((at, blob));
        at
    }

    /// The end of what is reserved or placed so far, in bytes.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The whole, `len` bytes long, zeros wherever nothing was placed.
    ///
    /// # Errors
    /// [`Overlap`] if two parts share a byte or one reaches past `len`.
    pub fn seal(mut self, len: u64) -> Result<Blob, Overlap> {
        self.placed.retain(|(_, blob)| !blob.is_empty());
        self.placed.sort_by_key(|&(offset, _)| offset);
        let mut parts = Vec::with_capacity(self.placed.len() * 2 + 1);
        let mut end = 0;
        for (offset, blob) in self.placed {
            if offset < end {
                return Err(Overlap { offset, taken_to: end });
            }
            parts.push(Blob::zeros(offset - end));
            end = offset + blob.len();
            parts.push(blob);
        }
        if end > len {
            return Err(Overlap { offset: len, taken_to: end });
        }
        parts.push(Blob::zeros(len - end));
        Ok(Blob::concat(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_land_where_they_were_reserved() {
        let mut layout = Layout::new();
        let header = layout.reserve(3, 1);
        let body = layout.append("body".into(), 8);
        layout.place(header, "abc".into());
        assert_eq!((header, body, layout.end()), (0, 8, 12));
        let blob = layout.seal(16).unwrap();
        assert_eq!(blob.to_vec(16).unwrap(), b"abc\0\0\0\0\0body\0\0\0\0");
    }

    #[test]
    fn overlapping_and_overlong_parts_are_refused() {
        let mut layout = Layout::new();
        layout.place(0, "abcd".into());
        layout.place(3, "x".into());
        assert_eq!(layout.seal(9).unwrap_err(), Overlap { offset: 3, taken_to: 4 });
        let mut layout = Layout::new();
        layout.place(4, "abcd".into());
        assert_eq!(layout.seal(6).unwrap_err(), Overlap { offset: 6, taken_to: 8 });
    }
}
