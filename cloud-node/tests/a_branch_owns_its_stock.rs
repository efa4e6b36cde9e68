//! S4.10, `StockIsSum`: a branch's stock is what its own tills and orders have moved, and nothing
//! else. Another branch, an edit of the catalog, or an operator cannot put it to anything.

mod support;

use counterfoil_cloud::audit;
use counterfoil_protocol::event::Event;
use counterfoil_protocol::wire::message::Verdict;
use http::StatusCode;
use serde_json::{Value, json};
use support::{JSON, Node, OPERATOR, Till, start};

async fn adjust(node: &Node, till: &mut Till, name: &str, delta_milli: i64) {
    let line = json!({"productId": "tea", "name": "", "deltaMilli": delta_milli});
    let wire = json!({
        "posId": "P-1", "localEventId": name, "atMs": 1_000, "receipt": null, "reference": "",
        "body": {"adjustment": {"reason": "counted", "lines": [line]}},
    });
    let event = Event::parse(serde_json::from_value(wire).expect("the shape of an event"));
    let item = till.enter(event.expect("an adjustment").canonical());
    let result = node.push(till, vec![item]).await.results.remove(0);
    assert!(matches!(result.verdict, Verdict::Created(_)), "{result:?}");
}

async fn stock(node: &Node, shop: &str, branch: &str) -> Value {
    let path = format!("/v1/storefront/stock?shop={shop}&branch={branch}&product=tea");
    let request = http::Request::get(path).header("authorization", format!("Bearer {OPERATOR}"));
    let answer = node.send(request.body(axum::body::Body::empty()).expect("a request")).await;
    answer.json()["stockMilli"].clone()
}

async fn stocks(node: &Node) -> [Value; 3] {
    [
        stock(node, "shop", "north").await,
        stock(node, "shop", "south").await,
        stock(node, "rival", "north").await,
    ]
}

#[tokio::test]
async fn a_stock_is_what_its_branch_has_moved_and_nobody_can_set_it() {
    let node = start();
    let mut one = node.enrolled("T-1", "shop", "north").await;
    let mut two = node.enrolled("T-2", "shop", "north").await;
    let mut south = node.enrolled("T-3", "shop", "south").await;
    let mut rival = node.enrolled("T-4", "rival", "north").await;
    adjust(&node, &mut one, "a", 5_000).await;
    adjust(&node, &mut two, "a", -1_500).await;
    adjust(&node, &mut south, "a", 9_000).await;
    adjust(&node, &mut rival, "a", 70_000).await;
    assert_eq!(stocks(&node).await, [json!(3_500), json!(9_000), json!(70_000)]);

    // What the cloud owns is edited; the stock is not its own.
    let tea = |name: &str| {
        json!({"put": {"product": {
            "productId": "tea", "name": name, "barcodes": [], "priceMinor": 1, "currency": "GBP",
            "taxPpm": 0, "unit": "pcs", "category": null, "active": true,
        }}})
    };
    let gone = json!({"delete": {"kind": "product", "id": "tea"}});
    for edit in [tea("Tea"), tea("Green tea"), gone, tea("Tea again")] {
        let edits = json!({"shopId": "shop", "edits": [edit]});
        assert_eq!(node.admin("/v1/admin/catalog", edits).await.status, StatusCode::OK);
    }
    assert_eq!(stocks(&node).await, [json!(3_500), json!(9_000), json!(70_000)]);
    let line = json!({"productId": "tea", "quantityMilli": 1_000});
    let order = json!({"shopId": "shop", "branchId": "south", "orderId": "web", "createdAtMs": 7,
                       "lines": [line]});
    assert_eq!(node.admin("/v1/admin/orders", order).await.status, StatusCode::CREATED);
    adjust(&node, &mut two, "b", -4_000).await;
    assert_eq!(stocks(&node).await, [json!(-500), json!(8_000), json!(70_000)]);

    let wish = json!({"shopId": "shop", "branchId": "north", "productId": "tea", "stockMilli": 1});
    let answer = node.admin("/v1/storefront/stock", wish.clone()).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "nobody sets a stock");
    let adjusted = json!({"productId": "tea", "stockMilli": 1, "shopId": "shop"});
    let answer = node.post("/v1/admin/products", OPERATOR, JSON, adjusted.to_string().into()).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "a product has no stock to set");
    assert_eq!(stocks(&node).await, [json!(-500), json!(8_000), json!(70_000)]);
    assert!(audit::check(&node.reads).await.expect("readable").is_clean());
}

async fn listed(node: &Node, wish: &str) -> Value {
    let path = format!("/v1/admin/stock?shop=shop&{wish}");
    let request = http::Request::get(path).header("authorization", format!("Bearer {OPERATOR}"));
    let answer = node.send(request.body(axum::body::Body::empty()).expect("a request")).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.json()
}

fn row(product: &str, stock_milli: i64, movements: u64) -> Value {
    json!({"productId": product, "stockMilli": stock_milli, "movements": movements,
           "negative": stock_milli < 0, "low": stock_milli <= 0, "thresholdMilli": 0})
}

/// S3.8: oversold stock is allowed, negative, and flagged for whoever counts the shelves.
#[tokio::test]
async fn what_is_oversold_is_flagged_and_nothing_is_rolled_back() {
    let node = start();
    let mut one = node.enrolled("T-1", "shop", "north").await;
    let mut two = node.enrolled("T-2", "shop", "north").await;
    let mut south = node.enrolled("T-3", "shop", "south").await;
    adjust(&node, &mut one, "a", 2_000).await;
    adjust(&node, &mut south, "a", -9_000).await;
    assert_eq!(listed(&node, "branch=north&negative=true").await["stock"], json!([]));
    // More pushes than one roll-up waits for: some are rolled up, some are not.
    for number in 0..40 {
        adjust(&node, &mut two, &format!("b{number}"), -1_000).await;
    }
    let north = json!({"stock": [row("tea", -38_000, 41)], "next": null});
    assert_eq!(listed(&node, "branch=north").await, north);
    assert_eq!(listed(&node, "branch=north&negative=true").await, north);
    assert_eq!(listed(&node, "branch=north&after=tea").await["stock"], json!([]));
    assert_eq!(listed(&node, "branch=south").await["stock"], json!([row("tea", -9_000, 1)]));
    assert_eq!(listed(&node, "branch=east").await["stock"], json!([]));
    adjust(&node, &mut one, "counted", 40_000).await;
    assert_eq!(listed(&node, "branch=north&negative=true").await["stock"], json!([]));
    assert_eq!(listed(&node, "branch=north").await["stock"], json!([row("tea", 2_000, 42)]));
}
