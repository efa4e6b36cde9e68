//! Real roles over stores in memory.

use counterfoil_protocol::machine::{Machine as Role, Store};
use counterfoil_protocol::time::Millis;
use counterfoil_storage::Memory;
use counterfoil_storage::memory::Image;

/// When it begins.
pub(super) const START: Millis = Millis(1_700_000_000_000);
/// How far the clock goes on with each thing that happens.
pub(super) const TICK: Millis = Millis(777);

/// Returns a store over a disk.
pub(super) fn opened<M: Role>(image: &Image<M>) -> Memory<M> {
    let mut memory = Memory::new();
    memory.restore(image.clone());
    memory
}

/// Runs inputs on a role, over its disk. None if the power failed.
pub(super) fn run<M>(
    role: &M,
    memory: &mut Memory<M>,
    now: Millis,
    inputs: &[M::Input],
) -> Option<Vec<M::Output>>
where
    M: Role<Input: Sync, Output: Send, Key: Send + Sync, Record: Send + Sync> + Sync,
    Memory<M>: Store<M>,
{
    let outputs = at_once(counterfoil_protocol::machine::run(role, memory, now, inputs)).ok();
    memory.reopen();
    outputs
}

/// Drives a future that never waits: stores in memory answer at once.
pub(super) fn at_once<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => unreachable!("a store in memory never waits"),
    }
}
