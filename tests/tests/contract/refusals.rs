//! Every refusal that the documents and S4.13 name, each with its code.

use std::time::Duration;

use counterfoil_protocol::wire::parcel::{PARCEL_BYTES_MAX, PARCEL_TYPE as PARCEL};
use counterfoil_tests::http::Answer;
use counterfoil_tests::postgres::Cluster;
use serde_json::{Value, json};

use crate::node::{Contract, JSON, OPERATOR, Store, code, example, sale};

async fn ask(contract: &Contract, path: &str, headers: &[(&str, String)], body: Vec<u8>) -> Answer {
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    contract.ask("POST", path, &headers, body).await
}

pub(crate) async fn refusals_have_their_codes(store: Store) {
    let contract = Contract::new(store).await;
    let token = &contract.token;
    let bearer = format!("Bearer {token}");
    let many: Vec<_> = (0..201).map(|at| sale(&at.to_string())).collect();
    let many = json!({ "sales": many }).to_string().into_bytes();
    let huge = vec![b' '; 3 * 1024 * 1024];
    let deep = format!("{{\"sales\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let form = ("content-type", JSON);
    let shop = ("x-shop-id", "shop");
    let own = ("authorization", &*bearer);
    let till = ("authorization", "Bearer cf_T-1_no");
    let owned = |pairs: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    };
    let good = example().to_string().into_bytes();
    let pos = "/api/pos/sync";
    for (path, headers, body, status, expected) in [
        (pos, owned(&[form, shop]), good.clone(), 401, "POS_SYNC_UNAUTHORIZED"),
        (pos, owned(&[form, shop, till]), good.clone(), 401, "POS_SYNC_UNAUTHORIZED"),
        (
            pos,
            owned(&[form, ("x-shop-id", "other"), own]),
            good.clone(),
            403,
            "POS_SYNC_UNAUTHORIZED",
        ),
        (pos, owned(&[form, own]), good.clone(), 400, "POS_SYNC_EVENT_INVALID"),
        (pos, owned(&[shop, own]), good.clone(), 415, "POS_SYNC_VERSION_UNSUPPORTED"),
        (pos, owned(&[form, shop, own]), many, 413, "POS_SYNC_TOO_LARGE"),
        (pos, owned(&[form, shop, own]), huge, 413, "POS_SYNC_TOO_LARGE"),
        (pos, owned(&[form, shop, own]), b"{".to_vec(), 422, "POS_SYNC_EVENT_INVALID"),
        ("/api/pos/other", owned(&[form, shop, own]), good.clone(), 404, "POS_SYNC_NOT_FOUND"),
        ("/api/v1/sync/upstream", owned(&[form]), good.clone(), 401, "POS_SYNC_UNAUTHORIZED"),
        ("/api/v1/sync/downstream", owned(&[own]), Vec::new(), 405, "POS_SYNC_NOT_FOUND"),
        ("/v1/sales-events", owned(&[form, own]), good.clone(), 401, "POS_SYNC_UNAUTHORIZED"),
        ("/v1/admin/users", owned(&[form, own]), good, 401, "POS_SYNC_UNAUTHORIZED"),
    ] {
        let answer = ask(&contract, path, &headers, body).await;
        assert_eq!((answer.status, code(&answer).as_str()), (status, expected), "{path}");
    }
    // Depth is no way in: such an item is an error of its own.
    let answer = ask(&contract, pos, &owned(&[form, shop, own]), deep.into_bytes()).await;
    let told: Value = answer.json().expect("JSON");
    assert_eq!(
        (answer.status, &told["errors"][0]["code"]),
        (200, &json!("POS_SYNC_EVENT_INVALID"))
    );
    assert_eq!(contract.close().await, 0, "nothing that was refused counts");
}

/// The credentials that there are, by the names that the document gives them.
async fn credentials(contract: &Contract) -> [(&'static str, String); 3] {
    let till = contract.enrol("T-1").await;
    [("till", till), ("user", contract.token.clone()), ("operator", OPERATOR.to_owned())]
}

/// A path of a route, with a name in place of each part in braces.
fn path_of(route: &str) -> String {
    let parts = route.split('/').map(|part| if part.starts_with('{') { "nobody" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

pub(crate) async fn every_route_opens_to_its_own_credential_and_to_no_other(store: Store) {
    let contract = Contract::new(store).await;
    let credentials = credentials(&contract).await;
    let mut closed = 0;
    for (method, route, said) in contract.document.operations() {
        let allowed = said["security"][0].as_object().into_iter().flatten().next();
        let Some((allowed, _)) = allowed else { continue };
        let path = path_of(route);
        let mut refused = vec![None];
        let others = credentials.iter().filter(|(name, _)| *name != allowed);
        refused.extend(others.map(|(_, token)| Some(token.as_str())));
        refused.push(Some("cf_nobody_0000"));
        for token in refused {
            let token = token.map(|token| format!("Bearer {token}"));
            let mut headers = vec![("content-type", JSON), ("x-shop-id", "shop")];
            headers.extend(token.as_deref().map(|token| ("authorization", token)));
            let method = method.to_uppercase();
            let answer = contract.ask(&method, &path, &headers, b"{}".to_vec()).await;
            let told = (answer.status, code(&answer));
            assert_eq!(told, (401, "POS_SYNC_UNAUTHORIZED".into()), "{method} {path} {token:?}");
            closed += 1;
        }
    }
    assert!(closed > 150, "the document was read: {closed}");
    assert_eq!(contract.close().await, 0, "nobody has done anything");
}

pub(crate) async fn every_body_is_bounded_typed_and_read_strictly(store: Store) {
    let contract = Contract::new(store).await;
    let credentials = credentials(&contract).await;
    let mut looked = 0;
    for (method, route, said) in contract.document.operations() {
        if !said["requestBody"].is_object() || route == "/login" {
            continue;
        }
        let by = said["security"][0].as_object().into_iter().flatten().next();
        let by = by.map(|(name, _)| name.as_str()).expect("somebody may ask");
        let token = credentials.iter().find(|(name, _)| *name == by).map(|(_, token)| token);
        let token = format!("Bearer {}", token.expect("a credential"));
        let others = ["text/csv", PARCEL];
        let other = others.iter().find(|kind| said["requestBody"]["content"][**kind].is_object());
        let media = other.copied().unwrap_or(JSON);
        let csv = media == "text/csv";
        let path = path_of(route) + if csv { "?shopId=shop" } else { "" };
        let method = method.to_uppercase();
        let ask = async |media: &str, body: &[u8]| {
            let headers =
                [("authorization", &*token), ("content-type", media), ("x-shop-id", "shop")];
            let answer = contract.ask(&method, &path, &headers, body.to_vec()).await;
            (answer.status, code(&answer))
        };
        let said = format!("{method} {path}");
        let most = if media == PARCEL { PARCEL_BYTES_MAX } else { 2 * 1024 * 1024 };
        let large = vec![b' '; most + 1];
        let too_large = (413, "POS_SYNC_TOO_LARGE".to_owned());
        assert_eq!(ask(media, &large).await, too_large, "{said}");
        let unspoken = (415, "POS_SYNC_VERSION_UNSUPPORTED".to_owned());
        assert_eq!(ask("application/xml", b"<a/>").await, unspoken, "{said}");
        let invalid = (422, "POS_SYNC_EVENT_INVALID".to_owned());
        for body in [&b""[..], b"{", b"[1]", b"null", b"7", b"\"a\"", b"\xff\xfe"] {
            assert_eq!(ask(media, body).await, invalid, "{said} {body:?}");
        }
        looked += 1;
    }
    assert!(looked > 20, "the document was read: {looked}");
    assert_eq!(contract.close().await, 0, "nothing that was refused counts");
}

pub(crate) async fn a_till_that_differs_too_much_is_told_to_take_a_snapshot(store: Store) {
    let contract = Contract::new(store).await;
    let till = contract.enrol("T-1").await;
    let product = |number: u32| {
        json!({"put": {"product": {"productId": format!("p-{number}"), "name": "Tea",
            "barcodes": [], "priceMinor": 1, "currency": "GBP", "taxPpm": 0, "unit": "pcs",
            "category": null, "active": true}}})
    };
    let edits: Vec<Value> = (0..200).map(product).collect();
    let edits = json!({"shopId": "shop", "edits": edits});
    assert_eq!(contract.operate("POST", "/v1/admin/catalog", &edits).await.status, 200);
    // Counters that no catalog near this one has.
    let ask = json!({"version": 1, "digest": {"count": 0, "lanes": [0, 0, 0, 0]}, "more": null,
        "estimator": {"counters": vec![127; 128]}});
    let answer = contract.send("POST", "/v1/catalog/reconcile", &till, &ask).await;
    let told = (answer.status, code(&answer));
    assert_eq!(told, (413, "POS_CATALOG_MANIFEST_TOO_LARGE".into()));
    assert_eq!(contract.get("/v1/catalog/snapshot", &till).await.status, 200);
    assert_eq!(contract.close().await, 0);
}

/// A database that fails under a node: its server is killed, or its tables are gone. Only on
/// PostgreSQL can that be done from outside.
pub(crate) async fn a_failing_database_has_its_codes_and_nothing_is_lost() {
    let mut cluster = Cluster::start().expect("a server");
    let location = cluster.database().expect("a database");
    let directory = tempfile::tempdir().expect("a directory");
    let arguments = ["--rate", "0", "--byte-rate", "0"];
    let contract = Contract::at(location.clone(), directory, &arguments).await;
    let till = contract.enrol("T-1").await;
    let created: Value = contract.sync(&example()).await.json().expect("JSON");
    assert_eq!(created["synced"][0]["status"], "created");
    // A commit under way when the database dies has an unknown outcome: then the node would end.
    some(&cluster, &location, "stock").await; // what was sold is rolled up
    let ask = json!({"version": 0, "digest": {"count": 1, "lanes": [1, 0, 0, 0]}, "more": null,
        "estimator": {"counters": vec![0; 128]}});
    let rename = |from: &str, to: &str| {
        cluster.query(&location, &format!("ALTER TABLE {from} RENAME TO {to}")).expect("renamed");
    };
    for table in ["catalog", "feed", "feeds"] {
        rename(table, &format!("{table}_gone"));
    }
    let failed = |answer: &Answer| (answer.status, code(answer));
    let delta = contract.get("/v1/catalog/delta?from=0", &till).await;
    assert_eq!(failed(&delta), (500, "POS_CATALOG_DELTA_FAILED".into()));
    let snapshot = contract.get("/v1/catalog/snapshot", &till).await;
    assert_eq!(failed(&snapshot), (500, "POS_CATALOG_SNAPSHOT_FAILED".into()));
    let reconcile = contract.send("POST", "/v1/catalog/reconcile", &till, &ask).await;
    assert_eq!(failed(&reconcile), (500, "POS_CATALOG_RECONCILE_FAILED".into()));
    for table in ["catalog", "feed", "feeds"] {
        rename(&format!("{table}_gone"), table);
    }
    assert_eq!(contract.get("/v1/catalog/delta?from=0", &till).await.status, 200);
    some(&cluster, &location, "rows WHERE get_byte(key, 0) = 24").await; // the till's lease
    cluster.kill().expect("killed");
    for _ in 0..3 {
        let answer = contract.sync(&json!({"sales": [sale("b")]})).await;
        assert_eq!(failed(&answer), (503, "POS_SYNC_STORAGE_FAILED".into()));
        crate::node::wait(&answer);
    }
    cluster.restart().expect("it runs again");
    let body = json!({"sales": [example()["sales"][0], sale("b")]});
    let told = loop {
        let answer = contract.sync(&body).await;
        if answer.status == 200 {
            break answer.json::<Value>().expect("JSON");
        }
        assert_eq!(failed(&answer), (503, "POS_SYNC_STORAGE_FAILED".into()));
        tokio::time::sleep(crate::node::wait(&answer)).await;
    };
    assert_eq!(told["synced"][0]["status"], "existing");
    assert_eq!(told["synced"][1]["status"], "created");
    assert_eq!(contract.close().await, 2);
}

/// Waits until there are such rows.
async fn some(cluster: &Cluster, location: &str, rows: &str) {
    let count = format!("SELECT count(*) FROM {rows}");
    for _ in 0..200 {
        if cluster.query(location, &count).expect("a count") != "0" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no {rows}");
}
