//! S2 over HTTP: sales that any client made offline are posted once each, and one bad item fails
//! nothing but itself.

mod support;

use counterfoil_cloud::{audit, export};
use counterfoil_protocol::cloud::{Key, Record};
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use support::{Answer, JSON, Node, OPERATOR, start, start_with};

/// Adds a user, and returns its token.
async fn user(node: &Node, name: &str, shop: &str, branch: &str, scopes: &[&str]) -> String {
    let wish = json!({"userId": name, "shopId": shop, "branchId": branch, "scopes": scopes,
                      "currency": "GBP"});
    let answer = node.admin("/v1/admin/users", wish).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json());
    answer.json()["token"].as_str().expect("a token").to_owned()
}

async fn sync_text(node: &Node, token: &str, shop: &str, body: String) -> Answer {
    let request = Request::post("/api/pos/sync")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", JSON)
        .header("x-shop-id", shop)
        .body(body.into())
        .expect("a request");
    node.send(request).await
}

async fn sync(node: &Node, token: &str, sales: &[Value]) -> Value {
    let answer = sync_text(node, token, "shop", json!({ "sales": sales }).to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    answer.json()
}

fn sale(id: &str, product: &str, quantity: i64) -> Value {
    json!({"clientTempId": id, "totalAmount": 15 * quantity, "createdAt": "2024-01-15T10:30:00Z",
           "items": [{"productId": product, "quantity": quantity, "price": 15,
                      "discountPercent": 0}]})
}

async fn define(node: &Node, product: &str) {
    let wish = json!({"shopId": "shop", "productId": product});
    assert_eq!(node.admin("/v1/admin/products", wish).await.status, StatusCode::CREATED);
}

async fn stock(node: &Node, branch: &str, product: &str) -> i64 {
    let path = format!("/v1/storefront/stock?shop=shop&branch={branch}&product={product}");
    let request = Request::get(path).header("authorization", format!("Bearer {OPERATOR}"));
    let answer = node.send(request.body(axum::body::Body::empty()).expect("a request")).await;
    answer.json()["stockMilli"].as_i64().expect("a stock")
}

/// What is in the books, and that they are in order.
async fn booked(node: &Node) -> export::Summary {
    let report = audit::check(&node.reads).await.expect("readable rows");
    assert!(report.is_clean(), "{:?}", report.problems);
    export::summary(&node.reads).await.expect("readable rows")
}

async fn shop() -> (Node, String) {
    let node = start();
    define(&node, "tea").await;
    let token = user(&node, "anna", "shop", "north", &["sales:create"]).await;
    (node, token)
}

#[tokio::test]
async fn a_sale_is_created_once_and_then_exists_for_ever() {
    let (node, token) = shop().await;
    let first = sync(&node, &token, &[sale("a", "tea", 2)]).await;
    assert_eq!(first["errors"], json!([]));
    let synced = &first["synced"][0];
    assert_eq!((&synced["clientTempId"], &synced["status"]), (&json!("a"), &json!("created")));
    assert_eq!(synced["serverId"].as_str().map(str::len), Some(36), "a UUID");
    assert!(synced["orderId"].as_str().is_some_and(|id| id.starts_with("ORD-")), "{synced}");
    // What is rolled up meanwhile is the stock, and what it was rolled up from.
    let rows = || {
        let mut rows = node.rows();
        let stock =
            |key: &Key| matches!(key, Key::Stock(..) | Key::Movements(..) | Key::Notice(..));
        rows.retain(|(key, _)| !stock(key));
        rows
    };
    let before = rows();
    for _ in 0..3 {
        let again = sync(&node, &token, &[sale("a", "tea", 2), sale("a", "tea", 2)]).await;
        for number in [0, 1] {
            let mut known = synced.clone();
            known["status"] = json!("existing");
            assert_eq!(again["synced"][number], known);
        }
    }
    assert_eq!(rows(), before, "sending again writes nothing");
    let summary = booked(&node).await;
    assert_eq!((summary.events, summary.money_minor, summary.quantity_milli), (1, 3_000, 2_000));
    assert_eq!(stock(&node, "north", "tea").await, -2_000);
}

#[tokio::test]
async fn another_sale_under_a_taken_name_is_kept_and_never_counts() {
    let (node, token) = shop().await;
    sync(&node, &token, &[sale("a", "tea", 2)]).await;
    for _ in 0..2 {
        let answer = sync(&node, &token, &[sale("a", "tea", 3)]).await;
        assert_eq!(answer["synced"], json!([]));
        assert_eq!(answer["errors"][0]["code"], "POS_SYNC_EVENT_INVALID");
    }
    let kept = node.rows().into_iter().filter(|(key, _)| matches!(key, Key::Conflict(..)));
    assert_eq!(kept.count(), 1, "both are kept, each once");
    assert_eq!(booked(&node).await.events, 1);
    let first = sync(&node, &token, &[sale("a", "tea", 2)]).await;
    assert_eq!(first["synced"][0]["status"], "existing", "the first one counts");
}

#[tokio::test]
async fn an_unknown_product_is_an_error_of_its_sale_until_it_is_known() {
    let (node, token) = shop().await;
    let both = [sale("a", "cake", 1), sale("b", "tea", 1)];
    let answer = sync(&node, &token, &both).await;
    assert_eq!(answer["errors"][0]["error"], "Product cake not found");
    assert_eq!(answer["errors"][0]["code"], "POS_SYNC_PRODUCT_UNKNOWN");
    assert_eq!(answer["errors"][0]["clientTempId"], "a");
    assert_eq!(answer["synced"][0]["clientTempId"], "b");
    assert_eq!(answer["synced"].as_array().map(Vec::len), Some(1));
    let again = sync(&node, &token, &both).await;
    assert_eq!(again["errors"], answer["errors"]);
    assert_eq!(booked(&node).await.parked, 1, "it is kept");

    define(&node, "cake").await;
    // Another user of the branch sends it: it is the shop's name that counts.
    let bert = user(&node, "bert", "shop", "north", &["sales:create"]).await;
    let posted = sync(&node, &bert, &both).await;
    assert_eq!(posted["errors"], json!([]));
    assert_eq!(posted["synced"][0]["status"], "created");
    assert_eq!(posted["synced"][1]["status"], "existing");
    let once_more = sync(&node, &token, &both).await;
    assert_eq!(once_more["synced"][0]["serverId"], posted["synced"][0]["serverId"]);
    assert_eq!(booked(&node).await.events, 2);
    assert_eq!(stock(&node, "north", "cake").await, -1_000);
}

#[tokio::test]
async fn an_unknown_customer_is_left_out_and_a_known_one_is_not() {
    let (node, token) = shop().await;
    let customer = json!({"put": {"customer": {"customerId": "c-1", "name": "Carla"}}});
    let edits = json!({"shopId": "shop", "edits": [customer]});
    assert_eq!(node.admin("/v1/admin/catalog", edits).await.status, StatusCode::OK);
    let mut sales = Vec::new();
    for (id, customer) in [("a", json!("c-1")), ("b", json!("c-2")), ("c", Value::Null)] {
        let mut sale = sale(id, "tea", 1);
        sale["customerId"] = customer;
        sales.push(sale);
    }
    sales.push(sale("d", "tea", 1));
    sales[3]["customerId"] = json!("x".repeat(500));
    let answer = sync(&node, &token, &sales).await;
    assert_eq!(answer["synced"].as_array().map(Vec::len), Some(4), "{answer}");
    let buyers = node.rows().into_iter().filter_map(|(key, record)| match (key, record) {
        (Key::Buyer(_, sale), Record::Buyer(customer)) => Some((sale.to_string(), customer)),
        _ => None,
    });
    let buyers: Vec<_> = buyers.map(|(sale, of)| (sale, of.to_string())).collect();
    assert_eq!(buyers, [("a".to_owned(), "c-1".to_owned())]);
    assert_eq!(booked(&node).await.events, 4);
}

#[tokio::test]
async fn what_is_oversold_is_accepted_and_somebody_is_told() {
    let (node, token) = shop().await;
    sync(&node, &token, &[sale("a", "tea", 5)]).await;
    assert_eq!(stock(&node, "north", "tea").await, -5_000);
    let notices = || {
        let rows = node.rows().into_iter();
        rows.filter(|(key, _)| matches!(key, Key::Notice(..))).count()
    };
    for _ in 0..200 {
        if notices() > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    sync(&node, &token, &[sale("b", "tea", 5)]).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(notices(), 1, "once, until it is above zero again");
    assert_eq!(booked(&node).await.events, 2);
}

/// Two lines that the client rounds, and its total.
fn rounded(id: &str, total: &str) -> String {
    let item = r#"{"productId":"tea","quantity":3,"price":0.99,"discountPercent":12.5}"#;
    format!(
        r#"{{"clientTempId":"{id}","items":[{item},{item}],"totalAmount":{total},
            "createdAt":"2024-01-15T10:30:00Z"}}"#
    )
}

#[tokio::test]
async fn amounts_are_exact_and_only_rounding_is_forgiven() {
    let (node, token) = shop().await;
    // 3 x 0.99 less 12.5 % is 2.59875: each line is 2.59 or 2.60.
    for (total, taken) in
        [("5.17", false), ("5.18", true), ("5.19", true), ("5.20", true), ("5.21", false)]
    {
        let body = format!(r#"{{"sales":[{}]}}"#, rounded(total, total));
        let answer = sync_text(&node, &token, "shop", body).await.json();
        let synced = answer["synced"].as_array().map(Vec::len);
        assert_eq!(synced, Some(usize::from(taken)), "{total}: {answer}");
    }
    assert_eq!(booked(&node).await.money_minor, 518 + 519 + 520);
    // No float holds this; each cent of it counts.
    let large = r#"{"sales":[{"clientTempId":"large","createdAt":"2024-01-15T10:30:00Z",
        "items":[{"productId":"tea","quantity":1,"price":9007199254.93}],
        "totalAmount":9007199254.930}]}"#;
    let answer = sync_text(&node, &token, "shop", large.to_owned()).await.json();
    assert_eq!(answer["synced"][0]["status"], "created", "{answer}");
    assert_eq!(booked(&node).await.money_minor, 518 + 519 + 520 + 900_719_925_493);
}

/// A sale of one item with one part replaced.
fn with(what: &str, by: &str) -> String {
    let sale = concat!(
        r#"{"clientTempId":"x","items":[{"productId":"tea","quantity":2,"price":15.99,"#,
        r#""discountPercent":0}],"totalAmount":31.98,"createdAt":"2024-01-15T10:30:00Z"}"#
    );
    assert!(sale.contains(what), "{what}");
    sale.replacen(what, by, 1)
}

#[tokio::test]
async fn what_is_dangerous_fails_its_own_item_only() {
    let (node, token) = shop().await;
    let bad = [
        with("31.98", "31.97"),
        with("31.98", "\"31.98\""),
        with("31.98", "-31.98"),
        with("31.98", "1e400"),
        with("31.98", "31.980001"),
        with("31.98", "null"),
        with(":2,", ":-2,"),
        with(":2,", ":0,"),
        with(":2,", ":2.0001,"),
        with(":2,", ":99999999999999999999999,"),
        with(":2,", ":\"2\","),
        with("15.99", "-15.99"),
        with("15.99", "15.999"),
        with("Percent\":0", "Percent\":-1"),
        with("Percent\":0", "Percent\":101"),
        with("\"x\"", "7"),
        with("\"x\"", "\"\""),
        with("\"x\"", "\"0123456789012345678901234567890123456789\""),
        with("\"clientTempId\":\"x\",", ""),
        with("\"clientTempId\":\"x\"", "\"clientTempId\":\"x\",\"clientTempId\":\"y\""),
        with("\"totalAmount\"", "\"totalAmount\":31.98,\"totalAmount\""),
        with("\"quantity\"", "\"quantity\":2,\"quantity\""),
        with("2024-01-15T10:30:00Z", "yesterday"),
        with("2024-01-15T10:30:00Z", "2024-02-30T10:30:00Z"),
        with("[{", "[[{").replacen("}]", "}]]", 1),
        "7".to_owned(),
        r#"["x",[{"productId":"tea","quantity":2,"price":1}],2,null,"2024-01-15T10:30:00Z"]"#
            .to_owned(),
        with(
            r#"[{"productId":"tea","quantity":2,"price":15.99,"discountPercent":0}]"#,
            r#"[["tea",2,15.99,0]]"#,
        ),
        "null".to_owned(),
        "{}".to_owned(),
    ];
    let good = with("\"x\"", "\"good\",\"note\":{\"deep\":[1,{\"a\":null}]}");
    let body = format!(r#"{{"sales":[{},{good}],"client":"v7"}}"#, bad.join(","));
    let answer = sync_text(&node, &token, "shop", body).await.json();
    let errors = answer["errors"].as_array().expect("errors");
    assert_eq!(errors.len(), bad.len(), "{answer}");
    for (error, bad) in errors.iter().zip(&bad) {
        assert_eq!(error["code"], "POS_SYNC_EVENT_INVALID", "{bad}");
        assert!(error["error"].as_str().is_some_and(|text| text.len() > 8), "{bad}: {error}");
    }
    assert_eq!(answer["synced"][0]["clientTempId"], "good");
    assert_eq!(booked(&node).await.events, 1, "what is tolerated counts, what is dangerous not");
}

#[tokio::test]
async fn the_shop_is_that_of_the_token_and_nothing_else_names_one() {
    let (node, token) = shop().await;
    let rival = user(&node, "rob", "rival", "north", &["sales:create"]).await;
    let reader = user(&node, "rita", "shop", "north", &["catalog:read"]).await;
    let till = node.enrolled("T-1", "shop", "north").await;
    let wrong = format!("{}0", &token[..token.len() - 1]);
    let body = || json!({"sales": [sale("a", "tea", 1)], "shopId": "rival"}).to_string();
    for (token, shop, status, code) in [
        (&token, "rival", 403, "POS_SYNC_UNAUTHORIZED"),
        (&token, "Shop", 403, "POS_SYNC_UNAUTHORIZED"),
        (&rival, "shop", 403, "POS_SYNC_UNAUTHORIZED"),
        (&reader, "shop", 403, "POS_SYNC_UNAUTHORIZED"),
        (&till.token, "shop", 401, "POS_SYNC_UNAUTHORIZED"),
        (&wrong, "shop", 401, "POS_SYNC_UNAUTHORIZED"),
    ] {
        let answer = sync_text(&node, token, shop, body()).await;
        assert_eq!((answer.status.as_u16(), answer.problem().0.as_str()), (status, code), "{shop}");
    }
    let none = node.post("/api/pos/sync", &token, JSON, body().into_bytes()).await;
    assert_eq!((none.status.as_u16(), none.problem().0.as_str()), (400, "POS_SYNC_EVENT_INVALID"));
    // A user is no till.
    let answer = node.post("/v1/sales-events", &token, JSON, b"{}".to_vec()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(booked(&node).await.events, 0);

    let revoked = node.admin("/v1/admin/users/anna/revoke", json!({})).await;
    assert_eq!(revoked.status, StatusCode::OK);
    let answer = sync_text(&node, &token, "shop", body()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    // The other shop's sale of that name is another sale.
    let wish = json!({"shopId": "rival", "productId": "tea"});
    assert_eq!(node.admin("/v1/admin/products", wish).await.status, StatusCode::CREATED);
    let answer = sync_text(&node, &rival, "rival", body()).await.json();
    assert_eq!(answer["synced"][0]["status"], "created");
}

#[tokio::test]
async fn no_till_is_enrolled_under_the_name_of_a_book() {
    let (node, token) = shop().await;
    sync(&node, &token, &[sale("a", "tea", 1)]).await;
    let rows = node.rows();
    let book = rows.iter().find_map(|(key, _)| {
        let Key::Ledger(key) = key else { return None };
        Some(key.terminal)
    });
    let book = book.expect("a sale");
    let wish = json!({"terminalId": book, "shopId": "shop", "branchId": "north"});
    let answer = node.admin("/v1/admin/terminals", wish).await;
    assert_eq!(answer.problem().0, "POS_SYNC_EVENT_INVALID");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_race_for_the_same_names_agree_for_ever() {
    let (node, _) = shop().await;
    let node = std::sync::Arc::new(node);
    let mut tokens = Vec::new();
    for name in ["a", "b", "c", "d"] {
        tokens.push(user(&node, name, "shop", "north", &["sales:create"]).await);
    }
    let mut racing = Vec::new();
    for racer in 0..8 {
        let (node, token) = (node.clone(), tokens[racer % 4].clone());
        racing.push(tokio::spawn(async move {
            let mut named = Vec::new();
            for part in 0..5 {
                let mut sales: Vec<Value> =
                    (0..40).map(|at| sale(&format!("s{}", part * 40 + at), "tea", 1)).collect();
                sales.rotate_left(racer * 5);
                let answer = sync(&node, &token, &sales).await;
                assert_eq!(answer["errors"], json!([]), "{answer}");
                named.extend(answer["synced"].as_array().expect("sales").clone());
            }
            named
        }));
    }
    let mut created = 0;
    let mut names = std::collections::BTreeMap::new();
    for racer in racing {
        for synced in racer.await.expect("a racer") {
            created += usize::from(synced["status"] == "created");
            let id = synced["clientTempId"].to_string();
            let server = (synced["serverId"].clone(), synced["orderId"].clone());
            assert_eq!(*names.entry(id).or_insert_with(|| server.clone()), server);
        }
    }
    assert_eq!((created, names.len()), (200, 200));
    let summary = booked(&node).await;
    assert_eq!((summary.events, summary.money_minor), (200, 200 * 1_500));
    assert_eq!(stock(&node, "north", "tea").await, -200_000);
}

#[tokio::test]
async fn a_request_is_bounded_and_a_user_that_asks_too_often_waits() {
    use counterfoil_cloud::rate::Rate;
    use counterfoil_cloud::service::Limits;
    use counterfoil_protocol::cloud::UnknownProducts;
    let limits = Limits { rate: Some(Rate { per_second: 1, burst: 4 }), ..Limits::default() };
    let node = start_with(limits, UnknownProducts::Accept);
    let token = user(&node, "anna", "shop", "north", &["sales:create"]).await;
    let many: Vec<Value> = (0..201).map(|at| sale(&at.to_string(), "tea", 1)).collect();
    let answer = sync_text(&node, &token, "shop", json!({ "sales": many }).to_string()).await;
    assert_eq!(answer.problem().0, "POS_SYNC_TOO_LARGE");
    for body in ["", "{", "[]", r#"{"sales":{}}"#, r#"{"sales":[],"sales":[]}"#] {
        if body.contains("[],") {
            node.clock.0.fetch_add(60_000, std::sync::atomic::Ordering::SeqCst);
        }
        let answer = sync_text(&node, &token, "shop", body.to_owned()).await;
        let expected = if body == r#"{"sales":{}}"# {
            "POS_SYNC_RATE_LIMITED"
        } else {
            "POS_SYNC_EVENT_INVALID"
        };
        assert_eq!(answer.problem().0, expected, "{body}");
        let waits: Option<&HeaderMap> =
            Some(&answer.headers).filter(|headers| headers.contains_key("retry-after"));
        assert_eq!(waits.is_some(), expected == "POS_SYNC_RATE_LIMITED");
    }
    assert_eq!(sync(&node, &token, &[]).await, json!({"synced": [], "errors": []}));
}
