//! Whatever an HTTP client of the contracts sends: an answer without a 5xx, and books in order.

mod support;

use axum::body::Body;
use counterfoil_cloud::audit;
use http::{Request, StatusCode};
use proptest::prelude::*;
use serde_json::json;
use support::{JSON, start};

/// How many requests one node gets.
const REQUESTS: usize = 60;

const SALE: &str = concat!(
    r#"{"clientTempId":"a","uuid_":"b","items":[{"productId":"tea","quantity":2,"#,
    r#""price":15.99,"discountPercent":12.5}],"totalAmount":27.98,"customerId":"c","#,
    r#""createdAt":"2024-01-15T10:30:00Z"}"#
);

/// A body of the contracts, and where it is sent.
fn good() -> impl Strategy<Value = (&'static str, String)> {
    let command = SALE.replacen("\"clientTempId\":\"a\",", "", 1);
    let command = format!(
        r#"{{"command_id":"k","type":"CREATE_TRANSACTION","entity_id":"e","payload":{command}}}"#
    );
    let adjusted =
        r#"{"uuid":"j","productId":"tea","quantity":-1.5,"createdAt":"2024-01-15T10:30:00Z"}"#;
    let all = format!(
        r#"{{"sync_id":"r","changes":{{"sales":[{SALE}],"adjustments":[{adjusted}],
            "commands":[{command}],"products":[{{"uuid":"tea","price":1.0}}]}}}}"#
    );
    prop_oneof![
        Just(("/api/pos/sync", format!(r#"{{"sales":[{SALE},{SALE}]}}"#))),
        Just(("/api/v1/sync/upstream", all)),
        Just(("/api/v1/sync/upstream", command)),
    ]
}

/// The same with a piece replaced: by noise, or by what stands elsewhere in it.
fn edited() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let noise = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..4),
        "[-0-9.eE]{0,24}".prop_map(String::into_bytes),
        prop_oneof![Just("null"), Just("[]"), Just("{}"), Just("\"\""), Just("-1"), Just("1e400")]
            .prop_map(|text| text.as_bytes().to_vec()),
    ];
    (good(), 0..1_000_usize, 0..12_usize, noise).prop_map(|((path, text), at, cut, piece)| {
        let mut bytes = text.into_bytes();
        let at = at % bytes.len();
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, piece);
        (path, bytes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 25, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered_and_leave_the_books_in_order(
        requests in proptest::collection::vec(edited(), REQUESTS),
        since in "\\PC{0,40}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let node = start();
            let scopes = ["sales:create", "stock:adjust", "catalog:read"];
            let wish = json!({"userId": "anna", "shopId": "shop", "branchId": "north",
                              "scopes": scopes, "currency": "GBP"});
            let token = node.admin("/v1/admin/users", wish).await.json()["token"].clone();
            let token = token.as_str().expect("a token").to_owned();
            let tea = json!({"shopId": "shop", "productId": "tea"});
            node.admin("/v1/admin/products", tea).await;
            for (path, body) in requests {
                let request = Request::post(path)
                    .header("authorization", format!("Bearer {token}"))
                    .header("content-type", JSON)
                    .header("x-shop-id", "shop")
                    .body(Body::from(body.clone()))
                    .expect("a request");
                let answer = node.send(request).await;
                let shown = String::from_utf8_lossy(&body);
                assert!(!answer.status.is_server_error(), "{shown}: {}", answer.status);
                if answer.status != StatusCode::OK {
                    answer.problem();
                }
            }
            let since: String = since.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let path = format!("/api/v1/sync/downstream?last_synced_at={since}");
            let request = Request::get(path).header("authorization", format!("Bearer {token}"));
            let answer = node.send(request.body(Body::empty()).expect("a request")).await;
            assert_eq!((answer.status, &answer.json()["full"]), (StatusCode::OK, &json!(true)));
            let report = audit::check(&node.reads).await.expect("readable rows");
            assert!(report.is_clean(), "{:?}", report.problems);
        });
    }
}
