//! What a person asks of a till that needs looking into, by either way.

use counterfoil_protocol::identity::{LocalEventId, PosId};
use serde_json::Value;

use super::Failure;
use super::access::{Access, Way};
use crate::client::ClientError;
use crate::story::Story;

impl Access {
    /// Returns the way of an event on both sides, if there is one of this name.
    pub(super) async fn story(
        &self,
        pos: PosId,
        id: LocalEventId,
    ) -> Result<Option<Story>, Failure> {
        match self.way() {
            Way::Daemon(client) => {
                let path =
                    format!("/sales/{}/{}/explain", segment(pos.as_str()), segment(id.as_str()));
                match client.get(&path).await {
                    Ok(story) => Ok(Some(story)),
                    Err(ClientError::Refused(problem)) if problem.status == 404 => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
            Way::Direct(till) => Ok(till.both_sides(&self.asker()?, None, pos, id).await?),
        }
    }

    /// Returns the names of the sales and refunds that are called `wanted`.
    pub(super) async fn receipts(
        &self,
        pos: Option<PosId>,
        wanted: &str,
        limit: usize,
    ) -> Result<Vec<(PosId, LocalEventId)>, Failure> {
        let list = match self.way() {
            Way::Daemon(client) => {
                let mut query = form_urlencoded::Serializer::new(String::from("/receipts?"));
                query.append_pair("find", wanted).append_pair("limit", &limit.to_string());
                if let Some(pos) = pos {
                    query.append_pair("posId", pos.as_str());
                }
                client.get::<Value>(&query.finish()).await?
            }
            Way::Direct(till) => serde_json::json!(till.receipts(pos, wanted, limit).await?),
        };
        let receipts = list["receipts"].as_array().map(Vec::as_slice).unwrap_or_default();
        let named = receipts.iter().filter_map(|receipt| {
            let pos = PosId::parse(receipt["posId"].as_str()?).ok()?;
            Some((pos, LocalEventId::parse(receipt["localEventId"].as_str()?).ok()?))
        });
        Ok(named.collect())
    }
}

/// Returns a part of an address: whatever is special there is written as its bytes.
pub(super) fn segment(name: &str) -> String {
    let mut part = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            part.push(char::from(byte));
        } else {
            part += &format!("%{byte:02X}");
        }
    }
    part
}
