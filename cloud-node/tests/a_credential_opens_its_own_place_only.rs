//! `BranchIsolation` over HTTP: whatever a till asks for, it hears of its own branch, and of
//! itself; and whatever it sends changes nothing of another's.
//!
//! Everything that one till's place has bears a mark, and each answer is searched for it. What that
//! till itself is told has the mark: so the search would find it.

mod support;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use axum::body::Body;
use counterfoil_cloud::audit;
use counterfoil_protocol::cloud::{Key, Record};
use counterfoil_protocol::wire::message::Verdict;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use support::{Answer, BINARY, JSON, Node, Till, sale, start};

const MARK: &str = "marked";

async fn ask(node: &Node, till: &Till, path: &str, body: Option<&Value>, accept: &str) -> Answer {
    let request = match body {
        None => Request::get(path),
        Some(_) => Request::post(path).header("content-type", JSON),
    };
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let request = request
        .header("authorization", format!("Bearer {}", till.token))
        .header("accept", accept)
        .body(body);
    node.send(request.expect("a request")).await
}

/// Counts how often the mark stands in an answer, in whatever form.
fn marks(answer: &Answer) -> usize {
    answer.body.windows(MARK.len()).filter(|part| *part == MARK.as_bytes()).count()
}

/// A price and an order of the branch; a sale and a register session of the till.
async fn fill(node: &Node, till: &mut Till, shop: &str, branch: &str, mark: &str) {
    let price = json!({"branchPrice": {"productId": format!("{mark} price"), "priceMinor": 7}});
    let edits = json!({"shopId": shop, "edits": [{"branchId": branch, "put": price}]});
    assert_eq!(node.admin("/v1/admin/catalog", edits).await.status, StatusCode::OK);
    let line = json!({"productId": format!("{mark} goods"), "quantityMilli": 1_000});
    let order = json!({"shopId": shop, "branchId": branch, "orderId": format!("{mark} order"),
                       "createdAtMs": 7, "lines": [line]});
    assert_eq!(node.admin("/v1/admin/orders", order).await.status, StatusCode::CREATED);
    let opened = json!({
        "posId": "P-1", "localEventId": "day", "atMs": 1_000, "receipt": null,
        "reference": format!("{mark} day"), "sessionId": "day",
        "body": {"sessionOpened": {"currency": "GBP", "floatMinor": 10_000}},
    });
    let opened: counterfoil_protocol::wire::event::EventAny =
        serde_json::from_value(opened).expect("the shape of an event");
    let opened = till.enter(opened.parse().expect("an event").canonical());
    let sold = till.enter(sale("s", &format!("{mark} goods"), 2_000, 150).canonical());
    for result in node.push(till, vec![opened, sold]).await.results {
        assert!(matches!(result.verdict, Verdict::Created(_)), "{result:?}");
    }
}

/// The tills of one node: the one whose place is marked, its sibling, one of another branch, and
/// one of another shop whose branch has the same name.
struct Shops {
    node: Node,
    marked: Till,
    others: [Till; 2],
    sibling: Till,
}

async fn shops() -> Shops {
    let node = start();
    let mut marked = node.enrolled("T-1", "shop", "north").await;
    let sibling = node.enrolled("T-2", "shop", "north").await;
    let mut south = node.enrolled("T-3", "shop", "south").await;
    let mut rival = node.enrolled("T-4", "rival", "north").await;
    fill(&node, &mut marked, "shop", "north", MARK).await;
    fill(&node, &mut south, "shop", "south", "plain").await;
    fill(&node, &mut rival, "rival", "north", "plain").await;
    Shops { node, marked, others: [south, rival], sibling }
}

/// What any till may ask for, and how often the marked one finds its mark.
fn questions() -> Vec<(&'static str, Option<Value>, bool)> {
    let zero = json!({"count": 0, "lanes": [0, 0, 0, 0]});
    let price = json!({"kind": "branchPrice", "id": format!("{MARK} price")});
    let compare = json!({"version": 1, "digest": zero, "more": null,
                         "estimator": {"counters": vec![0; 128]}});
    vec![
        ("/v1/catalog/delta?from=0", None, true),
        ("/v1/catalog/snapshot", None, true),
        ("/v1/catalog/snapshot?pinned=0", None, true),
        ("/v1/inventory-events/pending", None, true),
        ("/v1/inventory-events/pending?limit=1", None, true),
        ("/v1/catalog/reconcile", Some(compare), false),
        (
            "/v1/catalog/reconcile/entities",
            Some(json!({"keys": {"keys": []}, "extra": [price]})),
            true,
        ),
    ]
}

#[tokio::test]
async fn no_answer_tells_of_another_branch_or_shop() {
    let Shops { node, marked, others, sibling } = shops().await;
    for (path, body, has_mark) in questions() {
        for accept in [JSON, BINARY] {
            for till in [&marked, &sibling] {
                let own = ask(&node, till, path, body.as_ref(), accept).await;
                assert_eq!(own.status, StatusCode::OK, "{path}");
                assert_eq!(marks(&own) > 0, has_mark, "{path}: a branch hears of itself");
            }
            for till in &others {
                let other = ask(&node, till, path, body.as_ref(), accept).await;
                assert_eq!(other.status, StatusCode::OK, "{path}");
                assert_eq!(marks(&other), 0, "{path}: {}", String::from_utf8_lossy(&other.body));
            }
        }
    }
}

#[tokio::test]
async fn a_session_a_journal_and_a_name_belong_to_one_till() {
    let Shops { node, marked, others: [south, rival], mut sibling } = shops().await;
    let session = "/v1/sessions/P-1/day";
    assert_eq!(ask(&node, &sibling, session, None, JSON).await.status, StatusCode::NOT_FOUND);
    for till in [&marked, &south, &rival] {
        assert_eq!(ask(&node, till, session, None, JSON).await.status, StatusCode::OK);
    }
    // A sale of the same name on another till is another sale: each is told of its own.
    let story = "/v1/explain/P-1/s";
    assert_eq!(ask(&node, &sibling, story, None, JSON).await.status, StatusCode::NOT_FOUND);
    for (till, has_mark) in [(&marked, true), (&south, false), (&rival, false)] {
        let told = ask(&node, till, story, None, JSON).await;
        assert_eq!((told.status, marks(&told) > 0), (StatusCode::OK, has_mark));
    }
    let before = node.rows();
    for till in [&sibling, &south, &rival] {
        for (path, body) in [
            ("/v1/handshake", marked.hello().encode()),
            ("/v1/sales-events", marked.push(vec![marked.clone().sell("theirs")]).encode()),
        ] {
            let answer = node.post(path, &till.token, BINARY, body).await;
            assert_eq!(answer.problem().0, "POS_SYNC_UNAUTHORIZED", "{path}");
        }
    }
    // Nobody takes another branch's events for its own.
    let page = ask(&node, &marked, "/v1/inventory-events/pending", None, JSON).await.json();
    let through = page["to"].clone();
    for till in [&south, &rival] {
        let ack = json!({ "through": through });
        let path = "/v1/inventory-events/ack";
        let answer = ask(&node, till, path, Some(&ack), JSON).await.json();
        assert_eq!((&answer["known"], &answer["through"]), (&json!(false), &json!(0)), "{answer}");
    }
    let page = ask(&node, &marked, "/v1/inventory-events/pending", None, JSON).await.json();
    assert_eq!(page["acked"], json!(0), "nobody has acknowledged for it");
    assert_eq!(node.rows(), before, "what was not for them has changed nothing");
    // The same names on another till name another sale, and leave the first as it was.
    let ledger = |rows: Vec<(Key, Record)>| {
        let entries = rows.into_iter().filter(|(key, _)| matches!(key, Key::Ledger(_)));
        entries.collect::<BTreeMap<Key, Record>>()
    };
    let item = sibling.enter(sale("s", "plain goods", 1_000, 100).canonical());
    let answer = node.push(&sibling, vec![item]).await;
    assert!(matches!(answer.results[0].verdict, Verdict::Created(_)), "{answer:?}");
    let (before, mut after) = (ledger(before), ledger(node.rows()));
    after.retain(|key, _| before.contains_key(key));
    assert_eq!(after, before);
    assert!(audit::check(&node.reads).await.expect("readable").is_clean());
}

#[tokio::test]
async fn no_till_is_an_operator() {
    let Shops { node, marked, .. } = shops().await;
    let before = node.rows();
    let site = json!({"shopId": "shop", "branchId": "north"});
    for (method, path) in [
        ("GET", "/v1/admin/sessions?shop=shop"),
        ("GET", "/v1/admin/edits?shop=shop"),
        ("GET", "/v1/admin/buffer?shop=shop&branch=north"),
        ("GET", "/v1/admin/stock?shop=shop&branch=north"),
        ("GET", "/v1/admin/explain?terminalId=T-1&posId=P-1&localEventId=s"),
        ("GET", "/v1/storefront/stock?shop=shop&branch=north&product=tea"),
        ("PUT", "/v1/admin/buffer"),
        ("PUT", "/v1/admin/relay"),
        ("POST", "/v1/admin/orders"),
        ("POST", "/v1/admin/orders/any/cancel"),
        ("POST", "/v1/admin/catalog"),
        ("POST", "/v1/admin/catalog/compact"),
        ("POST", "/v1/admin/terminals"),
        ("POST", "/v1/admin/terminals/T-1/revoke"),
        ("POST", "/v1/admin/products"),
        ("GET", "/v1/admin/terminals?shopId=shop"),
        ("PUT", "/v1/admin/terminals/T-1/credential"),
        ("GET", "/v1/admin/users"),
        ("POST", "/v1/admin/users"),
        ("POST", "/v1/admin/users/anna/revoke"),
        ("GET", "/v1/admin/forks?shopId=shop"),
        ("POST", "/v1/admin/parcels"),
        ("GET", "/v1/admin/parked?shopId=shop"),
        ("POST", "/v1/admin/parked/decide"),
        ("GET", "/v1/admin/notifications?shop=shop&branch=north"),
        ("POST", "/v1/admin/notifications/settle"),
        ("GET", "/v1/admin/low-stock?shopId=shop"),
        ("PUT", "/v1/admin/low-stock"),
        ("GET", "/v1/admin/log"),
        ("POST", "/v1/admin/adjustments"),
        ("POST", "/v1/admin/catalog/import?shopId=shop"),
        ("GET", "/v1/admin/reports/sales?shopId=shop"),
        ("GET", "/v1/admin/returns?shopId=shop"),
        ("GET", "/v1/admin/sites"),
        ("GET", "/v1/admin/catalog?shopId=shop"),
        ("GET", "/v1/admin/orders?shopId=shop"),
        ("GET", "/v1/admin/terminals/T-1/histories"),
        ("GET", "/v1/admin/live"),
        ("GET", "/v1/admin/fleet?shopId=shop"),
        ("GET", "/v1/admin/reconcile-runs?shopId=shop"),
        ("POST", "/v1/admin/terminals/T-1/verify"),
        ("POST", "/login"),
        ("POST", "/logout"),
        // A till is no user either.
        ("POST", "/api/pos/sync"),
        ("GET", "/api/v1/sync/downstream"),
        ("POST", "/api/v1/sync/upstream"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", marked.token))
            .header("content-type", JSON)
            .body(Body::from(site.to_string()))
            .expect("a request");
        let answer = node.send(request).await;
        assert_eq!(answer.problem().0, "POS_SYNC_UNAUTHORIZED", "{method} {path}");
    }
    assert_eq!(node.rows(), before, "and nothing was changed");
}

/// Whoever adds a route hears here that its boundaries are to be shown too.
#[test]
fn every_route_is_asked_here() {
    let (service, this) = (
        include_str!("../src/service/mod.rs"),
        include_str!("a_credential_opens_its_own_place_only.rs"),
    );
    let named = service.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let routes: BTreeSet<&str> = named.collect();
    assert!(routes.len() > 35, "{routes:?}");
    for route in routes {
        let start = route.split('{').next().unwrap_or(route);
        let open = ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/page/{name}"];
        // Asked in `a_till_hears_of_news` and `an_operator_sees_the_fleet`.
        let theirs = ["/v1/live", "/v1/reconcile-runs/{runId}"];
        let open = open.contains(&route) || theirs.contains(&route);
        assert!(open || this.contains(&format!("\"{start}")), "no till asks {route}");
    }
}
