//! The conformance kit (B.20): does a cloud keep the protocol, whoever wrote it?
//!
//! It speaks to a cloud over HTTP alone, as tills do, and needs credentials of tills that have
//! never sold. Each case has a till of its own, so that none depends on another. What is expected
//! is in `docs/protocol.md` and `docs/wire.md`; [`vectors()`] collects their test vectors.

mod border;
mod greeting;
mod push;
mod till;
mod vectors;

use std::future::Future;
use std::pin::Pin;

use anyhow::ensure;
use counterfoil_protocol::identity::{ShopId, TerminalId};
use serde::{Deserialize, Serialize};

pub use till::Till;
pub use vectors::{Vectors, vectors};

/// A till that the cloud has enrolled, and that has never sold.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Enrolled {
    /// The shop that its sales belong to.
    pub shop_id: ShopId,
    /// Its name.
    pub terminal_id: TerminalId,
    /// What it shows to the cloud.
    pub credential: String,
}

/// What became of a case.
#[derive(Clone, Debug, Serialize)]
pub struct Played {
    /// Its name.
    pub name: &'static str,
    /// The law that it stands for.
    pub law: &'static str,
    /// What was expected and what was found, if that was something else.
    pub failed: Option<String>,
}

/// What a case plays with.
#[derive(Debug)]
struct Stage {
    /// A till for this case alone.
    till: Till,
    /// A till that takes part in nothing: whatever is done in its name must not be.
    bystander: Till,
}

type Playing<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

struct Case {
    name: &'static str,
    law: &'static str,
    play: for<'a> fn(&'a mut Stage) -> Playing<'a>,
}

/// Every case. The names are stable: results are compared over time.
const CASES: [Case; 19] = [
    Case {
        name: "a new till is in step",
        law: "QueueDrains",
        play: |stage| Box::pin(greeting::a_new_till_is_in_step(stage)),
    },
    Case {
        name: "a till that lost its tail is told",
        law: "NeverForgotten",
        play: |stage| Box::pin(greeting::a_lost_tail_is_told(stage)),
    },
    Case {
        name: "a fork is told, and changes nothing",
        law: "JournalIntact",
        play: |stage| Box::pin(greeting::a_fork_is_told(stage)),
    },
    Case {
        name: "a sale counts once",
        law: "NoDuplicate",
        play: |stage| Box::pin(push::a_sale_counts_once(stage)),
    },
    Case {
        name: "both forms mean the same",
        law: "NoDuplicate",
        play: |stage| Box::pin(push::both_forms_mean_the_same(stage)),
    },
    Case {
        name: "a batch keeps its order",
        law: "ZeroLoss",
        play: |stage| Box::pin(push::a_batch_keeps_its_order(stage)),
    },
    Case {
        name: "one name has one content",
        law: "NoPhantom",
        play: |stage| Box::pin(push::one_name_has_one_content(stage)),
    },
    Case {
        name: "a gap stops the push",
        law: "JournalIntact",
        play: |stage| Box::pin(push::a_gap_stops_the_push(stage)),
    },
    Case {
        name: "a broken chain stops the push",
        law: "JournalIntact",
        play: |stage| Box::pin(push::a_broken_chain_stops_the_push(stage)),
    },
    Case {
        name: "an unknown history is told",
        law: "JournalIntact",
        play: |stage| Box::pin(push::an_unknown_history_is_told(stage)),
    },
    Case {
        name: "a sale that is carried over counts once",
        law: "NoDuplicate",
        play: |stage| Box::pin(push::a_sale_carried_over_counts_once(stage)),
    },
    Case {
        name: "what cannot be read holds up nobody",
        law: "QueueDrains",
        play: |stage| Box::pin(push::poison_holds_up_nobody(stage)),
    },
    Case {
        name: "a refund waits for its sale",
        law: "StockIsSum",
        play: |stage| Box::pin(push::a_refund_waits_for_its_sale(stage)),
    },
    Case {
        name: "racing pushes agree",
        law: "NoDuplicate",
        play: |stage| Box::pin(push::racing_pushes_agree(stage)),
    },
    Case {
        name: "strangers are not heard",
        law: "BranchIsolation",
        play: |stage| Box::pin(border::strangers_are_not_heard(stage)),
    },
    Case {
        name: "a credential speaks for its own till",
        law: "BranchIsolation",
        play: |stage| Box::pin(border::a_credential_speaks_for_its_own_till(stage)),
    },
    Case {
        name: "broken frames change nothing",
        law: "NoPhantom",
        play: |stage| Box::pin(border::broken_frames_change_nothing(stage)),
    },
    Case {
        name: "an unknown version is refused",
        law: "NoPhantom",
        play: |stage| Box::pin(border::an_unknown_version_is_refused(stage)),
    },
    Case {
        name: "too much is refused",
        law: "NoPhantom",
        play: |stage| Box::pin(border::too_much_is_refused(stage)),
    },
];

/// How many tills the suite needs: one for each case, and one that must not be touched.
pub const TILLS: usize = CASES.len() + 1;

/// Plays every case against the cloud at `address` (`HOST:PORT`), and tells of each as it ends.
///
/// # Errors
/// If there are fewer than [`TILLS`] tills, or two of one name.
pub async fn play(
    address: &str,
    tills: &[Enrolled],
    mut ended: impl FnMut(&Played),
) -> anyhow::Result<Vec<Played>> {
    ensure!(tills.len() >= TILLS, "the suite needs {TILLS} tills, and was given {}", tills.len());
    let mut names: Vec<TerminalId> = tills.iter().map(|till| till.terminal_id).collect();
    names.sort_unstable();
    names.dedup();
    ensure!(names.len() == tills.len(), "two of the tills have one name");
    let mut played = Vec::with_capacity(CASES.len());
    for (case, till) in CASES.iter().zip(&tills[1..]) {
        let mut stage =
            Stage { till: Till::new(address, till), bystander: Till::new(address, &tills[0]) };
        let failed = (case.play)(&mut stage).await.err().map(|error| format!("{error:#}"));
        let outcome = Played { name: case.name, law: case.law, failed };
        ended(&outcome);
        played.push(outcome);
    }
    Ok(played)
}
