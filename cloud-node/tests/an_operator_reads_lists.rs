//! The lists behind the operator's pages: each page is bounded, says where to go on, and shows
//! nothing of another shop.

mod support;

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use support::{Node, OPERATOR, start};

async fn see(node: &Node, path: &str) -> (StatusCode, Value) {
    let request = Request::builder()
        .uri(path)
        .header("authorization", format!("Bearer {OPERATOR}"))
        .body(Body::empty());
    let answer = node.send(request.expect("a request")).await;
    (answer.status, answer.json())
}

async fn seen(node: &Node, path: &str) -> Value {
    let (status, body) = see(node, path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    body
}

fn texts(rows: &Value, field: &str) -> Vec<String> {
    let rows = rows.as_array().expect("a list").iter();
    rows.map(|row| row[field].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn shops_and_branches_are_those_of_terminals_and_users() {
    let node = start();
    assert_eq!(seen(&node, "/v1/admin/sites").await, json!({ "sites": [], "next": null }));
    for (till, shop, branch) in
        [("T-1", "acme", "north"), ("T-2", "acme", "north"), ("T-3", "acme", "south")]
    {
        node.enrolled(till, shop, branch).await;
    }
    let user = json!({"userId": "anna", "shopId": "rival", "branchId": "mid", "currency": "GBP",
                      "scopes": ["catalog:read"]});
    assert_eq!(node.admin("/v1/admin/users", user).await.status, StatusCode::CREATED);
    let site =
        |shop, branch, tills| json!({"shopId": shop, "branchId": branch, "terminals": tills});
    let sites =
        json!([site("acme", "north", 2), site("acme", "south", 1), site("rival", "mid", 0)]);
    assert_eq!(seen(&node, "/v1/admin/sites").await["sites"], sites);
    let rest = seen(&node, "/v1/admin/sites?after=T-2").await;
    assert_eq!(rest["sites"], json!([site("acme", "south", 1)]));
    assert_eq!(see(&node, "/v1/admin/sites?before=T-2").await.0, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_catalog_is_read_searched_and_named() {
    let node = start();
    let product = |id: &str, name: &str, code: &str| {
        json!({"put": {"product": {"productId": id, "name": name, "barcodes": [code],
               "priceMinor": 100, "currency": "GBP", "taxPpm": 0, "unit": "pcs", "category": null,
               "active": true}}})
    };
    let many: Vec<Value> = (0..450)
        .map(|at| product(&format!("p-{at:04}"), &format!("Thing {at}"), &format!("50{at:06}")))
        .collect();
    for edits in [
        json!(many),
        json!([product("tea", "Green TEA", "4001"), product("gone", "Gone tea", "4002"),
               {"put": {"category": {"categoryId": "drinks", "name": "Drinks"}}},
               {"branchId": "north",
                "put": {"branchPrice": {"productId": "tea", "priceMinor": 90}}}]),
        json!([{"delete": {"kind": "product", "id": "gone"}}]),
    ] {
        let commit = json!({"shopId": "shop", "edits": edits});
        assert_eq!(node.admin("/v1/admin/catalog", commit).await.status, StatusCode::OK);
    }
    let mut ids = Vec::new();
    let mut after = String::new();
    loop {
        let page = seen(&node, &format!("/v1/admin/catalog?shopId=shop{after}")).await;
        let found = texts(&page["entities"], "id");
        assert!(found.len() <= 200, "a page is bounded");
        ids.extend(found);
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(ids.len(), 451, "each once, and not what was deleted");
    assert!(ids.is_sorted_by(|a, b| a < b));
    for (search, found) in
        [("tEa", &["tea"][..]), ("4001", &["tea"]), ("p-0449", &["p-0449"]), ("nothing", &[])]
    {
        let page = seen(&node, &format!("/v1/admin/catalog?shopId=shop&search={search}")).await;
        assert_eq!(texts(&page["entities"], "id"), found, "{search}");
        assert_eq!(page["next"], Value::Null);
    }
    let named = seen(&node, "/v1/admin/catalog?shopId=shop&ids=tea%0Agone%0Ap-0001").await;
    assert_eq!(texts(&named["entities"], "id"), ["tea", "p-0001"]);
    assert_eq!(named["entities"][0]["entity"]["product"]["name"], "Green TEA");
    let kinds = seen(&node, "/v1/admin/catalog?shopId=shop&kind=category").await;
    assert_eq!(texts(&kinds["entities"], "id"), ["drinks"]);
    let prices = seen(&node, "/v1/admin/catalog?shopId=shop&branchId=north&kind=branchPrice").await;
    assert_eq!(prices["entities"][0]["entity"]["branchPrice"]["priceMinor"], 90);
    assert_eq!(seen(&node, "/v1/admin/catalog?shopId=rival").await["entities"], json!([]));
    let long = "x".repeat(101);
    for bad in
        ["", "?shopId=shop&kind=thing", "?shopId=shop&ids=", &format!("?shopId=shop&search={long}")]
    {
        let (status, _) = see(&node, &format!("/v1/admin/catalog{bad}")).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
    }
}

#[tokio::test]
async fn orders_are_listed_with_what_became_of_them() {
    let node = start();
    for (at, branch) in ["north", "south"].iter().cycle().take(230).enumerate() {
        let order = json!({"shopId": "shop", "branchId": branch, "orderId": format!("web-{at:03}"),
            "createdAtMs": 1_000 + at, "lines": [{"productId": "tea", "quantityMilli": 1_000}]});
        assert_eq!(node.admin("/v1/admin/orders", order).await.status, StatusCode::CREATED);
    }
    let cancel = json!({"shopId": "shop", "branchId": "north", "createdAtMs": 9});
    node.admin("/v1/admin/orders/web-000/cancel", cancel).await;
    let first = seen(&node, "/v1/admin/orders?shopId=shop").await;
    assert_eq!(
        (first["orders"].as_array().map(Vec::len), &first["next"]),
        (Some(200), &json!("web-199"))
    );
    assert_eq!(first["orders"][0]["cancelledAtMs"], 1_000_000);
    assert_eq!(first["orders"][1]["cancelledAtMs"], Value::Null);
    assert_eq!(first["orders"][1]["lines"][0]["quantityMilli"], 1_000);
    let rest = seen(&node, "/v1/admin/orders?shopId=shop&after=web-199&branchId=south").await;
    assert_eq!((rest["orders"].as_array().map(Vec::len), &rest["next"]), (Some(15), &Value::Null));
    assert_eq!(seen(&node, "/v1/admin/orders?shopId=rival").await["orders"], json!([]));
}

#[tokio::test]
async fn a_terminal_shows_its_histories() {
    let node = start();
    let mut till = node.enrolled("T-1", "shop", "north").await;
    let items = vec![till.sell("a"), till.sell("b")];
    node.push(&till, items).await;
    let path = "/v1/admin/terminals/T-1/histories";
    let told = seen(&node, path).await;
    assert_eq!((&told["branchId"], &told["revoked"]), (&json!("north"), &json!(false)));
    let history = &told["histories"][0];
    assert_eq!((&history["head"], &history["events"]), (&json!(2), &json!(2)));
    assert_eq!((&history["moneyMinor"], &history["epoch"]["number"]), (&json!(600), &json!(1)));
    assert_eq!(seen(&node, &format!("{path}?after=1.77")).await["histories"], json!([]));
    assert_eq!(see(&node, &format!("{path}?after=1")).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let gone = see(&node, "/v1/admin/terminals/T-9/histories").await.0;
    assert_eq!(gone, StatusCode::NOT_FOUND);
}
