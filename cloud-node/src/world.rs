//! What the service takes from the world: the time, and randomness for secrets.

use counterfoil_protocol::time::Millis;

/// Tells the time. A simulation passes its own.
pub trait Clock: Send + Sync {
    /// Returns the time since the Unix epoch.
    fn now(&self) -> Millis;
}

/// Draws secrets. A simulation passes its own.
pub trait Entropy: Send + Sync {
    /// Returns 32 bytes that nobody can guess, or `None` if there is no source of them now.
    fn secret(&self) -> Option<[u8; 32]>;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // A clock before 1970 is a broken clock; zero is as wrong, and harmless.
        Millis(since.map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// The operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn secret(&self) -> Option<[u8; 32]> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).ok()?;
        Some(secret)
    }
}
