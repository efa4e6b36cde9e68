//! Real sales as the workload: drafts by till, in the order in which they are sold.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use counterfoil_protocol::event::Figures;
use counterfoil_protocol::identity::PosId;
use counterfoil_protocol::money::{Milli, Minor};
use counterfoil_protocol::terminal::Draft;
use counterfoil_terminal::import;

use crate::plan::{Fault, Plan};

/// Sales for a number of tills.
#[derive(Clone, Debug, Default)]
pub struct Sales {
    /// What each till sells.
    pub tills: Vec<Vec<Draft>>,
    /// What the cloud must hold in the end.
    pub figures: Figures,
}

impl Sales {
    /// Reads a file in the layout of the Online Retail data set, and spreads its invoices over
    /// `tills` tills.
    ///
    /// # Errors
    /// The file's. Lines that cannot be understood are left out on both sides of the comparison.
    pub fn load(file: &Path, tills: usize) -> io::Result<Self> {
        assert!(tills > 0, "somebody must sell");
        let import = import::parse(BufReader::new(File::open(file)?), register())?;
        let report = &import.report;
        let figures = Figures {
            events: report.sales + report.refunds + report.adjustments,
            lines: report.understood,
            quantity: Milli(report.quantity_milli),
            money: Minor(report.money_minor),
        };
        let mut shares = vec![Vec::new(); tills];
        for (index, document) in import.documents.into_iter().enumerate() {
            shares[index % tills].extend(document.drafts);
        }
        Ok(Self { tills: shares, figures })
    }

    /// Fits a plan to these sales: so many tills, and time enough to sell everything.
    ///
    /// Restores and copies of tills are left out: a till that forgets sales would have to sell
    /// them again, and the sums would not be those of the file.
    pub fn fit(&self, plan: &mut Plan) {
        let most = self.tills.iter().map(Vec::len).max().unwrap_or(0) as u64;
        plan.tills = self.tills.len() as u32;
        plan.branches = (plan.tills / 2).max(1);
        plan.sale_every_ms = 400;
        // Their products are not those that a plan defines bit by bit.
        plan.park_unknown = false;
        let stretched = (most + 1) * plan.sale_every_ms * 2;
        for timed in &mut plan.faults {
            timed.at_ms = timed.at_ms * stretched / plan.chaos_ms.max(1);
        }
        plan.chaos_ms = stretched;
        plan.faults.retain(|timed| match timed.fault {
            Fault::BackupTill { .. }
            | Fault::RestoreTill { .. }
            | Fault::CloneTill { .. }
            | Fault::MoveTill { .. } => false,
            Fault::Partition { .. }
            | Fault::CrashTill { .. }
            | Fault::CrashCloud { .. }
            | Fault::BackupCloud
            | Fault::RestoreCloud
            | Fault::ClockJump { .. }
            | Fault::Revoke { .. }
            | Fault::Expire { .. }
            | Fault::Throttle { .. }
            | Fault::Drift { .. } => true,
        });
    }
}

fn register() -> PosId {
    PosId::parse("pos-1").expect("a short name")
}
