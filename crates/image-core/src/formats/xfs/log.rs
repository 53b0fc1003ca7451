//! The log of a file system that was unmounted ("Journaling Log").

use super::block::Block;

/// Bytes of a block of the log, whatever a sector is.
const LOG_BLOCK: usize = 512;

/// What stands at the start of a clean log: one record that says "unmounted", written with the
/// whole units of the log, each block stamped with the first cycle. The rest is zeros.
pub(super) fn clean(uuid: &[u8; 16], sector_size: u64) -> Vec<u8> {
    let sector = usize::try_from(sector_size).unwrap_or(LOG_BLOCK);
    // The record's header is one block, its body at least another.
    let body = sector.max(2 * LOG_BLOCK) - LOG_BLOCK;
    let mut log = Block::new(LOG_BLOCK + body);
    log.put(0, &[0xfe, 0xed, 0xba, 0xbe]);
    // Cycle, version, bytes of the body.
    log.set::<4>(4, 1);
    log.set::<4>(8, 2);
    log.set::<4>(12, body as u64);
    // This record's place and the log's tail: cycle 1, block 0. No checksum, no record before.
    log.set::<8>(16, 1 << 32);
    log.set::<8>(24, 1 << 32);
    log.set::<4>(36, 0xffff_ffff);
    // Operations in it, and what was in the body where the stamp stands.
    log.set::<4>(40, 1);
    log.set::<4>(44, 0xb0c0_d0d0);
    // Written by Linux on a little-endian machine.
    log.set::<4>(300, 1);
    log.put(304, uuid);
    // Bytes of a buffer of the log.
    log.set::<4>(320, 32 << 10);
    // The operation: transaction number, length, client "log", flag "unmount", magic "Un".
    log.put(LOG_BLOCK + 4, &[0, 0, 0, 8, 0xaa, 0x20, 0, 0, b'n', b'U']);
    for block in 1..=body / LOG_BLOCK {
        log.set::<4>(block * LOG_BLOCK, 1);
    }
    log.into_bytes()
}
