//! Users: who speaks for a shop over HTTP without a journal of their own.
//!
//! A user is a person or a program with a token, a site and scopes. Shop and branch are those of
//! the user's row, never of a message; what counts is decided in the transaction, as for tills.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Cloud, Key, Output, Record, Site};
use crate::hash::Hash;
use crate::identity::UserId;
use crate::machine::Rows;
use crate::money::Currency;
use crate::problem::Denial;
use crate::time::Millis;

/// What a user may do. Its numbers are stored: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Scope {
    /// Bring sales.
    #[serde(rename = "sales:create")]
    SalesCreate = 0,
    /// Bring adjustments of stock.
    #[serde(rename = "stock:adjust")]
    StockAdjust = 1,
    /// Ask for the catalog.
    #[serde(rename = "catalog:read")]
    CatalogRead = 2,
}

impl Scope {
    /// Every scope, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::SalesCreate, Self::StockAdjust, Self::CatalogRead];

    /// Returns its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SalesCreate => "sales:create",
            Self::StockAdjust => "stock:adjust",
            Self::CatalogRead => "catalog:read",
        }
    }

    /// Returns the scope of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == word);
        assert!(found.is_none_or(|scope| scope.as_str() == word), "a word names one scope");
        assert!(found.is_none() || word.contains(':'), "a scope has two parts");
        found
    }
}

const _: () = {
    let mut at = 0;
    while at < Scope::ALL.len() {
        assert!(Scope::ALL[at] as usize == at, "scopes stand in the order of their numbers");
        at += 1;
    }
    assert!(Scope::ALL.len() < 64, "scopes are few");
    assert!(matches!(Scope::ALL[0], Scope::SalesCreate), "a number is never given away");
    assert!(matches!(Scope::ALL[1], Scope::StockAdjust), "a number is never given away");
    assert!(matches!(Scope::ALL[2], Scope::CatalogRead), "a number is never given away");
    let mut at = 0;
    while at < Scope::ALL.len() {
        assert!(Scope::ALL[at].as_str().len() <= 32, "a scope is a short word");
        assert!(!Scope::ALL[at].as_str().is_empty(), "a scope has a word");
        at += 1;
    }
};

/// A user of a shop. From its first token, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Where its sales count.
    pub site: Site,
    /// The digest of its secret; the secret itself is nowhere.
    pub secret: Hash,
    /// When the secret runs out.
    pub expires_at: Option<Millis>,
    /// Whether an operator has turned it away.
    pub revoked: bool,
    /// What it may do; rising, each once.
    pub scopes: Vec<Scope>,
    /// The currency of its amounts: no message names one.
    pub currency: Currency,
    /// When it was added first.
    pub since: Millis,
}

impl User {
    /// Decides whether a caller with this secret is listened to at `now`.
    ///
    /// # Errors
    /// The [`Denial`] to answer with.
    pub fn admits(&self, now: Millis, secret: Hash) -> Result<(), Denial> {
        if !self.secret.same_secret(&secret) {
            return Err(Denial::WrongCredential);
        }
        if self.revoked {
            return Err(Denial::Revoked);
        }
        if self.expires_at.is_some_and(|end| now >= end) {
            return Err(Denial::Expired);
        }
        assert!(!self.revoked, "whoever was turned away is not admitted");
        assert!(self.expires_at.is_none_or(|end| now < end), "an old secret opens nothing");
        Ok(())
    }

    /// Returns whether it may do this.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// A user who asks, as the transport has read it from the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserCaller {
    /// Whom the credential names.
    pub user: UserId,
    /// The digest of the presented secret.
    pub secret: Hash,
    /// The site of that user when the request was authenticated.
    pub site: Site,
}

/// A user as an operator wants it. An added user keeps its site and its currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddUser {
    /// Which user.
    pub user: UserId,
    /// Where its sales count.
    pub site: Site,
    /// The digest of its secret.
    pub secret: Hash,
    /// When the secret runs out.
    pub expires_at: Option<Millis>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The currency of its amounts.
    pub currency: Currency,
}

pub(super) fn add(rows: &mut Rows<'_, Cloud>, now: Millis, wish: &AddUser) -> Output {
    let known = rows.user(wish.user);
    if let Some(known) = known
        && (known.site != wish.site || known.currency != wish.currency)
    {
        return Output::OtherSite(known.site);
    }
    let since = known.map_or(now, |known| known.since);
    let mut scopes = wish.scopes.clone();
    scopes.sort_unstable();
    scopes.dedup();
    assert!(scopes.len() <= Scope::ALL.len(), "each scope is given once");
    assert!(scopes.is_sorted(), "scopes have an order");
    assert!(since <= now || known.is_some(), "who is new is added now");
    let AddUser { user, site, secret, expires_at, currency, .. } = *wish;
    let row = User { site, secret, expires_at, revoked: false, scopes, currency, since };
    rows.put(Key::User(user), Record::User(row));
    Output::UserAdded
}

pub(super) fn revoke(rows: &mut Rows<'_, Cloud>, user: UserId) -> Output {
    let Some(known) = rows.user(user).cloned() else {
        return Output::NoSuchUser;
    };
    let row = User { revoked: true, ..known };
    assert!(row.revoked, "whoever is revoked is turned away");
    rows.put(Key::User(user), Record::User(row));
    Output::Revoked
}

/// Decides whether the user is listened to, in the same transaction as what it asks for.
pub(super) fn admit(
    rows: &Rows<'_, Cloud>,
    now: Millis,
    caller: &UserCaller,
    mut scopes: impl Iterator<Item = Scope>,
) -> Result<(), Output> {
    let Some(user) = rows.user(caller.user) else {
        return Err(Output::Denied(Denial::UnknownTerminal));
    };
    user.admits(now, caller.secret).map_err(Output::Denied)?;
    if let Some(scope) = scopes.find(|scope| !user.may(*scope)) {
        return Err(Output::Forbidden(scope));
    }
    if user.site != caller.site {
        return Err(Output::Moved);
    }
    assert!(user.secret.same_secret(&caller.secret), "who is admitted has shown its secret");
    assert!(!user.revoked, "whoever was turned away is not admitted");
    assert!(user.expires_at.is_none_or(|end| now < end), "an old secret opens nothing");
    Ok(())
}
