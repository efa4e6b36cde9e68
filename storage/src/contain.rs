//! Panics of an engine end here.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::StoreError;

/// Runs a call into an engine; a panic in it means that it met pages it did not write.
///
/// Both engines assert on the content of pages whose checksums they do not verify, so a damaged
/// file can panic. Only calls into the engine run in here, never our own code: a bug of ours
/// must not be reported as damage.
pub(crate) fn contain<T>(part: &str, call: impl FnOnce() -> T) -> Result<T, StoreError> {
    assert!(!part.is_empty(), "damage has a place");
    catch_unwind(AssertUnwindSafe(call))
        .map_err(|panic| StoreError::damaged_part(part, message(panic.as_ref())))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    match text {
        Some(text) => format!("the engine panicked: {text}"),
        None => "the engine panicked".to_owned(),
    }
}
