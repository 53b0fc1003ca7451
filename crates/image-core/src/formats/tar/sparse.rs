//! An archive of one sparse file, in the form of GNU tar before 1.14 ("Old GNU Format", GNU tar
//! manual section "Storing Sparse Files"): the one that clouds take disk images in.

use super::{BLOCK, FORMAT};
use crate::{
    blob::{Blob, Extent},
    formats::{Error, Result},
};
use std::{io, ops::Range};
use tar::{EntryType, GnuExtSparseHeader, GnuSparseHeader, Header};

/// What is told apart as zeros or not, in bytes.
const GRAIN: u64 = 64 << 10;

/// An archive with `content` as its one member `name`, of which only what is not zeros is stored,
/// owned by root, its time `epoch` (seconds since 1970). Copies nothing; the archive follows from
/// the content's bytes, whether or not its zeros are known to be holes.
///
/// # Errors
/// `Invalid` for a name over 100 bytes, or I/O.
pub fn sparse(name: &str, content: &Blob, epoch: u64) -> Result<Blob> {
    let runs = data(content).map_err(|source| Error::io(FORMAT, source))?;
    let stored = runs.iter().map(|run| run.end - run.start).sum();
    let mut header = Header::new_gnu();
    let too_long = || Error::invalid(FORMAT, format!("a name of {} bytes, over 100", name.len()));
    let field = header.as_old_mut().name.get_mut(..name.len()).ok_or_else(too_long)?;
    field.copy_from_slice(name.as_bytes());
    header.set_entry_type(EntryType::GNUSparse);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(stored);
    header.set_mtime(epoch);

    let mut map = runs.clone();
    if map.last().is_none_or(|last| last.end < content.len()) {
        // An empty run says how far the zeros at the end go.
        map.push(content.len()..content.len());
    }
    let mut extensions = Vec::new();
    if let Some(gnu) = header.as_gnu_mut() {
        gnu.set_real_size(content.len());
        let (first, rest) = map.split_at(map.len().min(gnu.sparse.len()));
        fill(&mut gnu.sparse, first);
        gnu.set_is_extended(!rest.is_empty());
        let mut rest = rest.chunks(GnuExtSparseHeader::new().sparse.len()).peekable();
        while let Some(runs) = rest.next() {
            let mut extension = GnuExtSparseHeader::new();
            fill(&mut extension.sparse, runs);
            extension.set_is_extended(rest.peek().is_some());
            extensions.extend_from_slice(extension.as_bytes());
        }
    }
    header.set_cksum();

    let mut parts = vec![Blob::from(header.as_bytes().to_vec()), extensions.into()];
    parts.extend(runs.into_iter().map(|run| content.slice(run).padded_to(BLOCK)));
    parts.push(Blob::zeros(2 * BLOCK));
    Ok(Blob::concat(parts))
}

fn fill(entries: &mut [GnuSparseHeader], runs: &[Range<u64>]) {
    for (entry, run) in entries.iter_mut().zip(runs) {
        entry.set_offset(run.start);
        entry.set_length(run.end - run.start);
    }
}

/// The runs of whole grains that are not all zeros.
fn data(content: &Blob) -> io::Result<Vec<Range<u64>>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for number in 0..content.len().div_ceil(GRAIN) {
        let range = number * GRAIN..content.len().min((number + 1) * GRAIN);
        if is_zeros(&content.slice(range.clone()))? {
            continue;
        }
        match runs.last_mut() {
            Some(run) if run.end == range.start => run.end = range.end,
            _ => runs.push(range),
        }
    }
    Ok(runs)
}

fn is_zeros(grain: &Blob) -> io::Result<bool> {
    if grain.extents().all(|extent| matches!(extent, Extent::Hole { .. })) {
        return Ok(true);
    }
    // Data mostly shows at once.
    for part in [grain.slice(0..BLOCK), grain.clone()] {
        if part.to_vec(GRAIN)?.iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_tar_crate_unpacks_the_file(
            parts in proptest::collection::vec((any::<bool>(), 0u64..4, 0u64..900), 0..60),
        ) {
            let content = Blob::concat(parts.iter().map(|&(is_data, grains, more)| {
                let len = grains * GRAIN + more * (more % 2);
                let bytes = || vec![0xa5; usize::try_from(len).unwrap()].into();
                if is_data { bytes() } else { Blob::zeros(len) }
            }));
            let bytes = content.to_vec(1 << 30).unwrap();
            let archive = sparse("disk.raw", &content, 1_700_000_000).unwrap();
            prop_assert_eq!(archive.len() % BLOCK, 0);
            let mut reader = tar::Archive::new(archive.reader());
            let mut members = 0;
            for member in reader.entries().unwrap() {
                let mut member = member.unwrap();
                prop_assert_eq!(&*member.path_bytes(), b"disk.raw");
                prop_assert_eq!(member.header().mtime().unwrap(), 1_700_000_000);
                let mut found = Vec::new();
                member.read_to_end(&mut found).unwrap();
                prop_assert!(found == bytes);
                members += 1;
            }
            prop_assert_eq!(members, 1);
            let plain = sparse("disk.raw", &bytes.into(), 1_700_000_000).unwrap();
            prop_assert!(plain.digest().unwrap() == archive.digest().unwrap());
        }
    }

    #[test]
    fn zeros_take_no_room_even_past_what_octal_digits_hold() {
        let content = Blob::concat([Blob::zeros(20 << 30), "x".into(), Blob::zeros(3 << 30)]);
        let archive = sparse("disk.raw", &content, 0).unwrap();
        assert_eq!(archive.len(), BLOCK + GRAIN + 2 * BLOCK);
        assert!(sparse(&"n".repeat(101), &content, 0).is_err());
    }
}
