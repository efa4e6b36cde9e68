//! What the library needs from the world, as traits, so that a simulator can stand in for it.

use std::time::{SystemTime, UNIX_EPOCH};

use counterfoil_protocol::time::Millis;

/// The time on the wall. It may jump: only what is printed and stored depends on it, waiting does
/// not.
pub trait Clock: Send + Sync {
    /// Returns the time, counted from 1970.
    fn now(&self) -> Millis;
}

/// Randomness: epochs, boots, request ids and jitter.
pub trait Entropy: Send {
    /// Returns a number that nobody can guess.
    fn draw(&mut self) -> u64;
}

/// The clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The random numbers of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn draw(&mut self) -> u64 {
        getrandom::u64().expect("the system gives random numbers")
    }
}
