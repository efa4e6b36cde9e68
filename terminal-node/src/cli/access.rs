//! The way to a till: its daemon if one answers, else its database.

use std::io::{self, Write as _};
use std::time::Duration;

use counterfoil_protocol::identity::{LocalEventId, PosId, ProductId};
use counterfoil_protocol::reconcile::{Counts, Plan};
use counterfoil_protocol::terminal::{Draft, Output};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::Failure;
use crate::api::body::{BatchBody, EventBody, RecordedBody};
use crate::api::sessions::explain;
use crate::api::{AppliedBody, StatusBody, VerifiedBody};
use crate::books::{QueueItem, TillFigures};
use crate::client::Client;
use crate::config::{Config, Home};
use crate::daemon::{self, Disk};
use crate::drawer::{Drawer, SessionBody};
use crate::edit::{self, EditBody, Refused};
use crate::shelf;
use crate::stamp;
use crate::stock::{self, ReviewItem, StockItem};
use crate::story::ask::Asker;
use crate::tell;
use crate::till::Till;

/// Requests to the daemon stay well below its limit.
const REQUEST_BYTES: usize = 2 * 1024 * 1024;

pub(super) struct Access {
    home: Home,
    config: Config,
    way: Way,
}

pub(super) enum Way {
    Daemon(Box<Client>),
    Direct(Till<Disk>),
}

impl Access {
    /// Finds a way to look at the till.
    pub(super) async fn to_read(home: Home) -> Result<Self, Failure> {
        let config = home.config()?;
        let way = match Self::daemon(&home).await {
            Some(client) => Way::Daemon(Box::new(client)),
            None => Way::Direct(daemon::till(daemon::store(&home)?)),
        };
        Ok(Self { home, config, way })
    }

    /// Finds a way to sell at the till.
    pub(super) async fn to_sell(home: Home) -> Result<Self, Failure> {
        let config = home.config()?;
        let way = match Self::daemon(&home).await {
            Some(client) => Way::Daemon(Box::new(client)),
            None => Way::Direct(daemon::open(&home, &config).await?),
        };
        Ok(Self { home, config, way })
    }

    pub(super) const fn way(&self) -> &Way {
        &self.way
    }

    /// Returns a way to ask the cloud about events of this till.
    pub(super) fn asker(&self) -> Result<Asker, Failure> {
        Ok(daemon::asker(&self.home, &self.config)?)
    }

    async fn daemon(home: &Home) -> Option<Client> {
        let (address, token) = home.api()?;
        Client::find(address, token).await
    }

    pub(super) async fn record(&self, body: EventBody) -> Result<RecordedBody, Failure> {
        match &self.way {
            Way::Daemon(client) => {
                if matches!(body, EventBody::CatalogEdit(_)) {
                    return Err(Failure::Usage("an edit goes by its product".to_owned()));
                }
                let (path, body) = match body {
                    EventBody::Sale(body) => ("/sales", json!(body)),
                    EventBody::Refund(body) => ("/refunds", json!(body)),
                    EventBody::Adjustment(body) => ("/adjustments", json!(body)),
                    EventBody::CatalogEdit(_) => unreachable!("refused above"),
                };
                Ok(client.post(path, body.to_string()).await?)
            }
            Way::Direct(till) => {
                let (_, id) = body.name();
                match stamp::record(till, body).await? {
                    Output::Recorded { place, receipt, again } => {
                        Ok(RecordedBody::new(id, place, receipt, again))
                    }
                    Output::Taken(_) => Err(Failure::Refused(format!(
                        "another event stands under this register and id: {id}"
                    ))),
                    Output::Invalid(error) => Err(Failure::Refused(error.to_string())),
                    output @ (Output::Opened { .. }
                    | Output::NotInstalled(_)
                    | Output::Settled(_)
                    | Output::NothingToRetry
                    | Output::Catalogued(_)
                    | Output::CatalogUnreadable(_)
                    | Output::Session(_)
                    | Output::Inbox(_)
                    | Output::PlanApplied(_)
                    | Output::PlanRefused(_)) => {
                        unreachable!("a record is not answered by {output:?}")
                    }
                }
            }
        }
    }

    pub(super) async fn session(&self, body: SessionBody) -> Result<RecordedBody, Failure> {
        match &self.way {
            Way::Daemon(client) => {
                let (path, json) = match &body {
                    SessionBody::Open(body) => ("/sessions/open", json!(body)),
                    SessionBody::Cash(body) => ("/sessions/cash", json!(body)),
                    SessionBody::Close(body) => ("/sessions/close", json!(body)),
                };
                Ok(client.post(path, json.to_string()).await?)
            }
            Way::Direct(till) => {
                let (pos, id) = body.name();
                let at = till.stamp(body.at(), pos, id).await?;
                match till.session(body.draft(at)).await? {
                    Output::Recorded { place, receipt, again } => {
                        Ok(RecordedBody::new(id, place, receipt, again))
                    }
                    Output::Taken(_) => Err(Failure::Refused(format!(
                        "another event stands under this register and id: {id}"
                    ))),
                    Output::Invalid(error) => Err(Failure::Refused(error.to_string())),
                    Output::Session(refused) => Err(Failure::Refused(explain(refused))),
                    output @ (Output::Opened { .. }
                    | Output::NotInstalled(_)
                    | Output::Settled(_)
                    | Output::NothingToRetry
                    | Output::Catalogued(_)
                    | Output::Inbox(_)
                    | Output::PlanApplied(_)
                    | Output::PlanRefused(_)
                    | Output::CatalogUnreadable(_)) => {
                        unreachable!("a session does not answer {output:?}")
                    }
                }
            }
        }
    }

    pub(super) async fn drawer(&self, pos: PosId) -> Result<Drawer, Failure> {
        match &self.way {
            Way::Daemon(client) => {
                let mut query = form_urlencoded::Serializer::new(String::new());
                query.append_pair("posId", pos.as_str());
                Ok(client.get(&format!("/sessions/current?{}", query.finish())).await?)
            }
            Way::Direct(till) => Ok(till.drawer(pos).await?),
        }
    }

    pub(super) async fn record_all(&self, drafts: Vec<Draft>) -> Result<BatchBody, Failure> {
        let mut batch = BatchBody::default();
        match &self.way {
            Way::Daemon(client) => {
                let mut body = String::from("[");
                for draft in &drafts {
                    let event = json!(EventBody::of(draft)).to_string();
                    if body.len() > 1 && body.len() + event.len() > REQUEST_BYTES {
                        batch.add(post_events(client, body).await?);
                        body = String::from("[");
                    }
                    if body.len() > 1 {
                        body.push(',');
                    }
                    body.push_str(&event);
                }
                if body.len() > 1 {
                    batch.add(post_events(client, body).await?);
                }
            }
            Way::Direct(till) => {
                let ids: Vec<_> = drafts.iter().map(|draft| draft.local_id).collect();
                batch.count(&ids, &till.record_all(drafts).await?);
            }
        }
        Ok(batch)
    }

    pub(super) async fn product(&self, product: ProductId) -> Result<Value, Failure> {
        match &self.way {
            Way::Daemon(client) => Ok(client.get(&product_path(product)).await?),
            Way::Direct(till) => match shelf::product(till, product).await? {
                Some(found) => Ok(json!(found)),
                None => Err(Failure::Refused(Refused::Unknown(product).to_string())),
            },
        }
    }

    pub(super) async fn edit_product(
        &self,
        product: ProductId,
        body: &EditBody,
    ) -> Result<RecordedBody, Failure> {
        match &self.way {
            Way::Daemon(client) => {
                Ok(client.patch(&product_path(product), json!(body).to_string()).await?)
            }
            Way::Direct(till) => match edit::product(till, product, body).await {
                Ok((place, again)) => {
                    Ok(RecordedBody::new(body.local_event_id, place, None, again))
                }
                Err(Refused::Till(error)) => Err(error.into()),
                Err(refused) => Err(Failure::Refused(refused.to_string())),
            },
        }
    }

    pub(super) async fn status(&self) -> Result<Value, Failure> {
        match &self.way {
            Way::Daemon(client) => Ok(client.get("/status").await?),
            Way::Direct(till) => {
                let status = till.status().await?;
                let now = till.clock().now();
                Ok(json!(StatusBody::new(status, None, &self.config.cloud, now)))
            }
        }
    }

    pub(super) async fn queue(&self, limit: usize) -> Result<Vec<QueueItem>, Failure> {
        match &self.way {
            Way::Daemon(client) => Ok(client.get(&format!("/queue?limit={limit}")).await?),
            Way::Direct(till) => Ok(till.queue(limit).await?),
        }
    }

    pub(super) async fn stock(
        &self,
        product: Option<ProductId>,
    ) -> Result<Vec<StockItem>, Failure> {
        match &self.way {
            Way::Daemon(client) => {
                let mut query = form_urlencoded::Serializer::new(String::from("/stock?"));
                if let Some(product) = product {
                    query.append_pair("product", product.as_str());
                }
                Ok(client.get(&query.finish()).await?)
            }
            Way::Direct(till) => Ok(stock::stock(till, product, None).await?),
        }
    }

    pub(super) async fn reviews(&self) -> Result<Vec<ReviewItem>, Failure> {
        match &self.way {
            Way::Daemon(client) => Ok(client.get("/review").await?),
            Way::Direct(till) => Ok(stock::reviews(till).await?),
        }
    }

    pub(super) async fn reviewed(&self, product: ProductId) -> Result<(), Failure> {
        let done = match &self.way {
            Way::Daemon(client) => {
                client.order("/review", json!({ "productId": product }).to_string()).await?;
                true
            }
            Way::Direct(till) => stock::reviewed(till, product).await?,
        };
        let nobody = || Failure::Refused("nobody was asked to look at this product".to_owned());
        done.then_some(()).ok_or_else(nobody)
    }

    pub(super) async fn figures(&self) -> Result<TillFigures, Failure> {
        match &self.way {
            Way::Daemon(client) => Ok(client.get("/figures").await?),
            Way::Direct(till) => Ok(till.figures().await?),
        }
    }

    pub(super) async fn export(&self, to: &mut impl io::Write) -> Result<(), Failure> {
        match &self.way {
            Way::Daemon(client) => {
                client.stream("/export", |part| to.write_all(part)).await??;
            }
            Way::Direct(till) => {
                let mut after = None;
                loop {
                    let (events, last) = till.export(after).await?;
                    if last.is_none() {
                        break;
                    }
                    after = last;
                    for event in events {
                        serde_json::to_writer(&mut *to, &event).map_err(io::Error::from)?;
                        to.write_all(b"\n")?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) async fn retry(&self, pos: PosId, id: LocalEventId) -> Result<(), Failure> {
        let done = match &self.way {
            Way::Daemon(client) => {
                let body = json!({ "posId": pos, "localEventId": id }).to_string();
                client.order("/retry", body).await?;
                true
            }
            Way::Direct(till) => till.retry(pos, id).await?,
        };
        if done {
            Ok(())
        } else {
            Err(Failure::Refused("no event of this name needs attention".to_owned()))
        }
    }

    /// Compares the catalog with the cloud's.
    pub(super) async fn verify(&self) -> Result<VerifiedBody, Failure> {
        match &self.way {
            Way::Daemon(client) => Ok(client.post("/verify", "").await?),
            Way::Direct(till) => {
                let mut verifier = daemon::verifier(&self.home, &self.config, till.clone())?;
                Ok(VerifiedBody::new(verifier.verify().await?))
            }
        }
    }

    /// Applies a plan; without one, lets the whole catalog be fetched again.
    pub(super) async fn apply_plan(&self, plan: Option<&Plan>) -> Result<AppliedBody, Failure> {
        match (&self.way, plan) {
            (Way::Daemon(client), plan) => {
                let body = plan.map_or_else(|| "null".to_owned(), Plan::json);
                Ok(client.post("/plan/apply", body).await?)
            }
            (Way::Direct(till), Some(plan)) => {
                let applied = till.apply_plan(plan.clone()).await?;
                let version = applied.standing.version;
                Ok(AppliedBody { counts: applied.counts, version })
            }
            (Way::Direct(till), None) => {
                till.fetch_whole().await?;
                let mut follow = daemon::follow_loop(&self.home, &self.config, till.clone())?;
                follow.settle_now().await?;
                let state = till.catalog_state().await?;
                let version = state.and_then(|state| state.version);
                Ok(AppliedBody { counts: Counts::default(), version })
            }
        }
    }

    /// Speaks to the cloud until there is nothing more to send, or it does not answer.
    pub(super) async fn sync(&self, timeout: Duration) -> Result<Value, Failure> {
        let deadline = Instant::now() + timeout;
        match &self.way {
            Way::Daemon(client) => {
                let rests = |status: &Value| status["link"]["rests"].as_u64().unwrap_or(0);
                let before = rests(&client.get("/status").await?);
                client.order("/sync", "").await?;
                loop {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    let status: Value = client.get("/status").await?;
                    if rests(&status) > before || Instant::now() > deadline {
                        return Ok(status);
                    }
                }
            }
            Way::Direct(till) => {
                let mut sync = daemon::sync_loop(&self.home, &self.config, till.clone())?;
                let span = tell::span(&self.config.identity);
                let settling = sync.settle_now().instrument(span);
                let settled = tokio::time::timeout_at(deadline, settling).await;
                let link = match settled {
                    Ok(link) => link?,
                    Err(_) => *sync.link().borrow(),
                };
                // The sales first: a catalog that takes long holds up none of them.
                let mut follow = daemon::follow_loop(&self.home, &self.config, till.clone())?;
                match tokio::time::timeout_at(deadline, follow.settle_now()).await {
                    Ok(followed) => followed?,
                    Err(_) => tracing::warn!("the catalog has not come whole within the time"),
                }
                migrate(till).await?;
                let status = till.status().await?;
                let now = till.clock().now();
                Ok(json!(StatusBody::new(status, Some(link), &self.config.cloud, now)))
            }
        }
    }
}

fn product_path(product: ProductId) -> String {
    format!("/products/{}", super::ask::segment(product.as_str()))
}

/// Ends the migration of an older database. Shown on standard error, if that is a terminal.
async fn migrate(till: &Till<Disk>) -> Result<(), Failure> {
    let bar = indicatif::ProgressBar::new_spinner();
    let shown = till.migrate(|progress| {
        let through = progress.through.map(|id| id.to_string()).unwrap_or_default();
        bar.set_message(format!(
            "database of an older version: step {}, {through}",
            progress.steps
        ));
        bar.tick();
    });
    let done = shown.await;
    bar.finish_and_clear();
    done?;
    Ok(())
}

async fn post_events(client: &Client, mut body: String) -> Result<BatchBody, Failure> {
    body.push(']');
    Ok(client.post("/events", body).await?)
}

/// Writes to standard output; whoever stops reading has seen enough.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
