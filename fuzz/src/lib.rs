//! What each decoder is held to, whatever bytes it is given.
//!
//! Not only that it does not panic: what it takes is written again, and must be read as the same
//! ([`again`]); what has a canonical form is refused in any other; and no input makes it take more
//! memory than its bound ([`memory::bounded`]). A function here is one target.
//!
//! | module | whose bytes |
//! |---|---|
//! | `events`, `messages`, `catalog`, `inbox`, `session`, `sketch`, `texts` | the protocol's |
//! | `rows` | what stores hold, of both sides |
//! | `cloud`, `till`, `parcel` | those of the programs and between them, with the feature `nodes` |
//! | `incident` | those of a till's bundle, with the feature `simulator` |

pub mod again;
pub mod catalog;
pub mod events;
pub mod inbox;
pub mod memory;
pub mod messages;
pub mod rows;
pub mod session;
pub mod sketch;
pub mod texts;

#[cfg(feature = "nodes")]
pub mod cloud;
#[cfg(feature = "simulator")]
pub mod incident;
#[cfg(feature = "nodes")]
pub mod parcel;
#[cfg(feature = "nodes")]
pub mod till;
