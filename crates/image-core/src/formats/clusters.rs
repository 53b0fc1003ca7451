//! The equal units in which virtual disks are allocated: which of them have data, and that data
//! compressed by several threads.

use super::{Error, Result, pipeline};
use crate::blob::{Blob, Extent};
use std::ops::Range;

/// Bytes that one thread takes at a time, unless a unit is longer.
const GROUP: u64 = 64 << 10;

/// What all threads together may hold of a disk, in bytes; each has a few groups under way.
const HELD: u64 = 32 << 20;

/// The runs of units (counted in `unit` bytes) in which `disk` has data. What is between them is
/// holes. Nothing is read: zeros that stand in data count as data.
pub(super) fn runs(disk: &Blob, unit: u64) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for extent in disk.extents() {
        let Extent::Data { offset, len } = extent else { continue };
        let run = offset / unit..(offset + len).div_ceil(unit);
        match runs.last_mut() {
            Some(last) if last.end >= run.start => last.end = run.end.max(last.end),
            _ => runs.push(run),
        }
    }
    runs
}

/// How units are compressed.
pub(super) struct Packing<W, T> {
    /// The format's name, for errors.
    pub(super) format: &'static str,
    /// Bytes of a unit.
    pub(super) unit: u64,
    /// At most so many threads; at least one.
    pub(super) threads: usize,
    /// Makes what one thread works with.
    pub(super) compressor: fn() -> Result<W>,
    /// Compresses a unit.
    pub(super) pack: fn(&mut W, &[u8]) -> Result<T>,
}

/// Compresses the units of `disk` with data, a compressor for each of up to `threads` threads,
/// and hands each unit's number and result to `sink`, in order. Units of zeros are left out; the
/// last one is filled up with zeros. `on_bytes` hears of all bytes of the disk, holes too.
///
/// # Errors
/// The first error, in the order of the units, of reading, of `pack` or of `sink`.
pub(super) fn pack<W: Send, T: Send>(
    disk: &Blob,
    Packing { format, unit, threads, compressor, pack }: Packing<W, T>,
    mut sink: impl FnMut(u64, T) -> Result<()>,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<()> {
    let group = unit.max(GROUP) / unit;
    let most = (HELD / (group * unit * 8)).max(1);
    let workers = threads.clamp(1, usize::try_from(most).unwrap_or(1));
    let workers = (0..workers).map(|_| compressor()).collect::<Result<Vec<_>>>()?;
    let jobs = runs(disk, unit).into_iter().flat_map(|run| {
        let starts = (run.start..run.end).step_by(usize::try_from(group).unwrap_or(1));
        starts.map(move |start| start..run.end.min(start + group))
    });
    let work = |worker: &mut W, units: &Range<u64>| {
        let data = disk.slice(units.start * unit..units.end * unit).padded_to(unit);
        // Both are short: a group of units.
        let bytes = data.to_vec(u64::MAX).map_err(|error| Error::io(format, error))?;
        let bytes = bytes.chunks(usize::try_from(unit).unwrap_or(usize::MAX));
        (units.start..)
            .zip(bytes)
            .filter(|(_, bytes)| bytes.iter().any(|&byte| byte != 0))
            .map(|(number, bytes)| Ok((number, pack(worker, bytes)?)))
            .collect::<Result<Vec<_>>>()
    };
    let mut done = 0;
    pipeline::in_order(workers, jobs, work, |units, packed| {
        packed.into_iter().try_for_each(|(number, packed)| sink(number, packed))?;
        let end = disk.len().min(units.end * unit);
        on_bytes(end - done);
        done = end;
        Ok(())
    })?;
    on_bytes(disk.len() - done);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_join_where_data_shares_a_unit_and_zeros_are_not_packed() {
        let disk = Blob::concat([
            Blob::zeros(9),
            "ab".into(),
            Blob::zeros(5),
            "c".into(),
            Blob::zeros(30),
            vec![0; 4].into(),
            Blob::zeros(2),
            "tail".into(),
        ]);
        assert_eq!(runs(&disk, 8), [1..3, 5..8]);
        let packing = Packing {
            format: "test",
            unit: 8,
            threads: 3,
            compressor: || Ok(()),
            pack: |(), bytes| Ok(bytes.to_vec()),
        };
        let (mut seen, mut heard) = (Vec::new(), 0);
        let sink = |number, bytes| {
            seen.push((number, bytes));
            Ok(())
        };
        pack(&disk, packing, sink, &mut |n| heard += n).unwrap();
        let expected: [(u64, &[u8]); 4] = [
            (1, b"\0ab\0\0\0\0\0"),
            (2, b"c\0\0\0\0\0\0\0"),
            (6, b"\0\0\0\0\0tai"),
            (7, b"l\0\0\0\0\0\0\0"),
        ];
        assert_eq!(seen, expected.map(|(number, bytes)| (number, bytes.to_vec())));
        assert_eq!(heard, disk.len());
    }
}
