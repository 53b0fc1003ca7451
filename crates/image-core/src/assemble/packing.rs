//! Packing an artifact for transport, the last thing done to it.

use super::Context;
use crate::{
    blob::{Blob, Spool},
    error::{During, Result},
    events::{Event, Step},
    formats::{compress, tar},
    plan::{Packing, Plan},
};

pub(super) fn pack(packing: &Packing, plan: &Plan, blob: Blob, cx: &Context<'_>) -> Result<Blob> {
    let (step, subject) = (Step::Pack, plan.file_name.as_str());
    let what = || format!("packing {subject}");
    let blob = match &packing.member {
        Some(name) => tar::sparse(name, &blob, plan.epoch).during(what)?,
        None => blob,
    };
    cx.observer.on(&Event::Started { step, subject, total: Some(blob.len()) });
    let packed = compress::compress_sparse(
        packing.method,
        &blob,
        &mut Spool::new(cx.scratch),
        cx.threads.get(),
        &mut |bytes| cx.observer.on(&Event::Advanced { step, subject, bytes }),
    )
    .during(what)?;
    cx.observer.on(&Event::Finished { step, subject });
    Ok(packed)
}
