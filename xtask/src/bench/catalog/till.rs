//! A till with its real store, loop and transport, that follows the shop's catalog.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, ensure};
use counterfoil_protocol::catalog::EntityId;
use counterfoil_protocol::identity::{BranchId, ProductId, ShopId, TerminalId};
use counterfoil_protocol::machine::Query as _;
use counterfoil_protocol::session::{Config, Nudge};
use counterfoil_protocol::terminal::{Identity, Key, Record};
use counterfoil_terminal::config::Home;
use counterfoil_terminal::daemon::{self, Disk};
use counterfoil_terminal::follow::FollowLoop;
use counterfoil_terminal::till::Till;
use counterfoil_terminal::transport::{Endpoint, Transport};
use counterfoil_terminal::witness::WitnessFile;
use hyper_util::client::legacy::connect::HttpConnector;

use crate::bench::frames::Client;

/// Who a till of the shop is.
fn identity(terminal: TerminalId) -> anyhow::Result<Identity> {
    let shop = ShopId::parse("bench").context("a name")?;
    let branch = BranchId::parse("B-0").context("a name")?;
    Ok(Identity { shop, branch, terminal })
}

/// A till that follows.
#[derive(Debug)]
pub(crate) struct Follower {
    till: Till<Disk>,
    following: FollowLoop<Disk, HttpConnector>,
}

impl Follower {
    /// Makes a new till in `directory`, open and ready to ask.
    pub(crate) async fn install(
        directory: &Path,
        address: SocketAddr,
        client: &Client,
    ) -> anyhow::Result<Self> {
        let home = Home::new(directory);
        std::fs::create_dir_all(home.path())?;
        let till = daemon::till(daemon::store(&home)?);
        let mut witness = WitnessFile::new(home.path().join("witness"));
        till.install(identity(client.terminal)?, &mut witness).await?;
        till.open(&mut witness).await?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let endpoint = Endpoint::parse(&format!("http://{address}"))?;
        let transport = Transport::new(connector, endpoint, &client.token)?;
        let following = FollowLoop::new(till.clone(), transport, Config::default());
        Ok(Self { till, following })
    }

    /// Follows until the catalog is proven, and returns its version.
    pub(crate) async fn follow(&mut self) -> anyhow::Result<u64> {
        self.till.nudge(Nudge::Manual);
        for _ in 0..10 {
            if let Some(standing) = self.following.turn().await?
                && standing.proven
            {
                return standing.version.context("what is proven has a version");
            }
        }
        anyhow::bail!("the catalog is not proven after ten turns")
    }

    /// Looks a product up, as a sale does.
    pub(crate) async fn has(&self, product: &str) -> anyhow::Result<()> {
        let id = EntityId::product(ProductId::parse(product).context("a name")?);
        let reading = self.till.reading().await?;
        let row = reading.get(&Key::Item(id)).await?;
        ensure!(matches!(row, Some(Record::Item(_))), "{product} is not there");
        Ok(())
    }
}
