//! `cloud-node user ...`: who may speak for a shop over HTTP.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use counterfoil_cloud::credential::UserToken;
use counterfoil_cloud::node::Local;
use counterfoil_cloud::world::{Clock as _, Entropy as _, SystemClock, SystemEntropy};
use counterfoil_protocol::cloud::users::{AddUser, Scope};
use counterfoil_protocol::cloud::{Input, Output, Site};
use counterfoil_protocol::identity::{BranchId, ShopId, UserId};
use counterfoil_protocol::money::Currency;
use counterfoil_protocol::time::Millis;
use counterfoil_storage::Location;
use serde_json::json;

use super::{At, ask, noted, say, unexpected};

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Add a user, or give one a new token and other scopes; prints the token, once
    Add(Add),
    /// Turn a user away
    Revoke {
        #[command(flatten)]
        at: At,
        /// Which user
        #[arg(long)]
        user: UserId,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    #[command(flatten)]
    at: At,
    /// For which shop it speaks
    #[arg(long)]
    shop: ShopId,
    /// Where its sales count
    #[arg(long)]
    branch: BranchId,
    /// Its name
    #[arg(long)]
    user: UserId,
    /// What it may do, as often as there are scopes: sales:create, stock:adjust, catalog:read
    #[arg(long = "scope", value_parser = scope, default_value = "sales:create")]
    scopes: Vec<Scope>,
    /// The currency of its amounts, as in ISO 4217
    #[arg(long, value_parser = Currency::parse)]
    currency: Currency,
    /// The token runs out after this time; otherwise never
    #[arg(long, value_name = "SECS")]
    expires_in: Option<u64>,
}

fn scope(word: &str) -> Result<Scope, String> {
    let known = Scope::ALL.map(Scope::as_str).join(", ");
    Scope::parse(word).ok_or_else(|| format!("no such scope; there are {known}"))
}

pub(super) fn run(json: bool, command: UserCommand) -> anyhow::Result<ExitCode> {
    match command {
        UserCommand::Add(wish) => add(json, wish),
        UserCommand::Revoke { at, user } => revoke(json, &at, user),
    }
}

fn add(json: bool, wish: Add) -> anyhow::Result<ExitCode> {
    if *wish.at.store.place() == Location::Memory {
        bail!("memory: ends with this command, and the token with it: name a store on a disk");
    }
    let random = SystemEntropy.secret().context("the system gives no randomness: try again")?;
    let token = UserToken::new(wish.user, random);
    let expires_at = wish.expires_in.map(|secs| SystemClock.now().after(Millis::from_secs(secs)));
    let input = Input::AddUser(AddUser {
        user: wish.user,
        site: Site { shop: wish.shop, branch: wish.branch },
        secret: token.digest(),
        expires_at,
        scopes: wish.scopes.clone(),
        currency: wish.currency,
    });
    let input = noted("user.add", Some(wish.shop), wish.user, input);
    match ask(Local::open(wish.at.store.place()), input, "POST /v1/admin/users")? {
        Some(Output::UserAdded) => {}
        Some(Output::OtherSite(site)) => bail!(
            "user {} speaks for shop {}, branch {}, and keeps site and currency: add another",
            wish.user,
            site.shop,
            site.branch
        ),
        other => return Err(unexpected(other)),
    }
    if json {
        let told = json!({
            "userId": wish.user,
            "shopId": wish.shop,
            "branchId": wish.branch,
            "scopes": wish.scopes,
            "currency": wish.currency,
            "expiresAtMs": expires_at,
            "token": token.reveal(),
        });
        say(&told.to_string());
    } else {
        eprintln!("Added {}. The token is shown this once:", wish.user);
        say(&token.reveal());
    }
    Ok(ExitCode::SUCCESS)
}

fn revoke(json: bool, at: &At, user: UserId) -> anyhow::Result<ExitCode> {
    let route = format!("POST /v1/admin/users/{user}/revoke");
    let input = noted("user.revoke", None, user, Input::RevokeUser(user));
    match ask(Local::open_existing(at.store.place()), input, &route)? {
        Some(Output::Revoked) => {}
        Some(Output::NoSuchUser) => bail!("there is no user {user}: check its name"),
        other => return Err(unexpected(other)),
    }
    if json {
        say(&json!({ "userId": user, "revoked": true }).to_string());
    } else {
        say(&format!("revoked {user}"));
    }
    Ok(ExitCode::SUCCESS)
}
