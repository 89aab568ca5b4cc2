//! `tracepoint`: by the id that tracefs gives it.

use super::{Attachment, Site};
use crate::error::Error;
use crate::features::Need;
use crate::sys::perf;

pub(super) fn attach(site: &Site<'_>, category: &str, name: &str) -> Result<Attachment, Error> {
    let id = site.context.tracefs()?.id(category, name)?;
    let event = perf::open_tracepoint(id).map_err(|e| {
        Error::privileged(format!("open tracepoint {category}:{name}"), Need::Tracing, e)
    })?;
    site.attach_event(event)
}
