//! Every route of the node, in the order in which they are read.

use counterfoil_protocol::problem::ErrorCode::{
    DeltaFailed, EventInvalid, ManifestTooLarge, NotFound, ProductUnknown, RateLimited,
    ReconcileFailed, SnapshotFailed, StorageFailed, TooLarge, Unauthorized,
};
use counterfoil_protocol::wire::parcel::PARCEL_TYPE;

use super::route::Content::{Framed, Json, Nothing, Text};
use super::route::Who::{Anybody, Operator, Till, User};
use super::route::{Param, Route, get, may, need, post, put};

const PARCEL: super::route::Content = Text(PARCEL_TYPE);
const EVENTS: super::route::Content = Text("text/event-stream");
const PAGE: super::route::Content = Text("text/html; charset=utf-8");
const PLAIN: super::route::Content = Text("text/plain; charset=utf-8");

/// A page of a list of a shop.
const OF_SHOP: &[Param] = &[need("shopId", "Name"), may("after", "Name")];
/// A page of a list of a shop, whose rows have the name of an event.
const BY_EVENT: [Param; 4] = [
    need("shopId", "Name"),
    may("terminalId", "Name"),
    may("posId", "Name"),
    may("localEventId", "Name"),
];
const PLACE: [Param; 2] = [need("shop", "Name"), need("branch", "Name")];

/// Every route.
pub(super) const ROUTES: &[Route] = &[
    post(
        "/api/pos/sync",
        User,
        "Brings sales that were made offline (S2)",
        &[(200, Json("PosSynced"))],
    )
    .takes(Json("PosSync")),
    get(
        "/api/v1/sync/downstream",
        User,
        "What has changed in the catalog (S1)",
        &[(200, Json("Downstream"))],
    )
    .asks(&[may("last_synced_at", "Text")])
    .or(&[(500, DeltaFailed)]),
    post(
        "/api/v1/sync/upstream",
        User,
        "Brings what a client has queued (S1, S3)",
        &[(200, Json("UpstreamTaken"))],
    )
    .takes(Json("Upstream"))
    .tells("UpstreamRefused"),
    post("/v1/handshake", Till, "Where a till's journals stand", &[(200, Framed("Welcome"))])
        .takes(Framed("Hello")),
    post("/v1/sales-events", Till, "Offers journal entries", &[(200, Framed("PushAnswer"))])
        .takes(Framed("Push")),
    get("/v1/catalog/delta", Till, "What has changed after a version", &[(200, Framed("Delta"))])
        .asks(&[need("from", "Count"), may("edits", "Text")])
        .or(&[(500, DeltaFailed)]),
    get(
        "/v1/catalog/snapshot",
        Till,
        "The whole catalog, run by run",
        &[(200, Framed("SnapshotRun"))],
    )
    .asks(&[may("pinned", "Count"), may("kind", "Kind"), may("id", "Name")])
    .or(&[(500, SnapshotFailed)]),
    post(
        "/v1/catalog/reconcile",
        Till,
        "Which rows have drifted",
        &[(200, Framed("ReconcileAnswer"))],
    )
    .takes(Framed("ReconcileAsk"))
    .or(&[(413, ManifestTooLarge), (500, ReconcileFailed), (503, ReconcileFailed)]),
    post(
        "/v1/catalog/reconcile/entities",
        Till,
        "The rows that differ",
        &[(200, Framed("EntitiesAnswer"))],
    )
    .takes(Framed("EntitiesAsk"))
    .or(&[(500, ReconcileFailed), (503, ReconcileFailed)]),
    get(
        "/v1/sessions/{pos}/{session}",
        Till,
        "Whether the cloud has what a till states of its day",
        &[(200, Framed("SessionReport"))],
    )
    .or(&[(404, NotFound)]),
    get(
        "/v1/explain/{pos}/{event}",
        Till,
        "What the cloud holds of an event of the till",
        &[(200, Json("CloudStory"))],
    )
    .or(&[(404, NotFound)]),
    get(
        "/v1/inventory-events/pending",
        Till,
        "What moved the branch's stock elsewhere",
        &[(200, Framed("Pending"))],
    )
    .asks(&[may("after", "Count"), may("chain", "Hash"), may("limit", "PageSize")]),
    get("/v1/live", Till, "That there is news, as a stream of events", &[(200, EVENTS)]),
    post(
        "/v1/reconcile-runs/{runId}",
        Till,
        "What came of a comparison that the operator asked for",
        &[(200, Json("RunAsked"))],
    )
    .takes(Json("RunAnswer"))
    .or(&[(404, NotFound)]),
    post(
        "/v1/inventory-events/ack",
        Till,
        "How far a till has applied it",
        &[(200, Framed("Acked"))],
    )
    .takes(Framed("Ack")),
    get(
        "/v1/storefront/stock",
        Operator,
        "What the online store may show",
        &[(200, Json("StoreStock"))],
    )
    .asks(&[PLACE[0], PLACE[1], need("product", "Name")]),
    get("/v1/admin/users", Operator, "Users and their scopes", &[(200, Json("Users"))]),
    post(
        "/v1/admin/users",
        Operator,
        "Adds a user, or gives one a new token",
        &[(201, Json("User"))],
    )
    .takes(Json("UserWish")),
    post(
        "/v1/admin/users/{id}/revoke",
        Operator,
        "Turns a user away",
        &[(200, Json("UserRevoked"))],
    )
    .or(&[(404, NotFound)]),
    get("/v1/admin/terminals", Operator, "Enrolled terminals", &[(200, Json("Terminals"))])
        .asks(OF_SHOP),
    post("/v1/admin/terminals", Operator, "Enrols a terminal", &[(201, Json("Enrolled"))])
        .takes(Json("TerminalWish")),
    put(
        "/v1/admin/terminals/{id}/credential",
        Operator,
        "Rotates a credential, by its digest",
        &[(200, Json("CredentialRotated"))],
    )
    .takes(Json("CredentialWish"))
    .or(&[(404, NotFound)]),
    post(
        "/v1/admin/terminals/{id}/revoke",
        Operator,
        "Turns a terminal away",
        &[(200, Json("TerminalRevoked"))],
    )
    .or(&[(404, NotFound)]),
    post(
        "/v1/admin/terminals/{id}/verify",
        Operator,
        "Asks a till to compare its catalog",
        &[(202, Json("RunAsked"))],
    )
    .or(&[(404, NotFound)]),
    get(
        "/v1/admin/reconcile-runs",
        Operator,
        "What tills found when they were asked to compare",
        &[(200, Json("Runs"))],
    )
    .asks(&[need("shopId", "Name")]),
    get("/v1/admin/fleet", Operator, "How the tills of a shop are", &[(200, Json("Fleet"))])
        .asks(OF_SHOP),
    get(
        "/v1/admin/terminals/{id}/histories",
        Operator,
        "What the cloud has of a terminal's journals",
        &[(200, Json("Histories"))],
    )
    .asks(&[may("after", "Text")])
    .or(&[(404, NotFound)]),
    get("/v1/admin/forks", Operator, "Partings of histories", &[(200, Json("Forks"))])
        .asks(OF_SHOP),
    post("/v1/admin/products", Operator, "Makes a product known", &[(201, Json("ProductName"))])
        .takes(Json("ProductName")),
    post("/v1/admin/catalog", Operator, "Changes the catalog", &[(200, Json("CatalogEdited"))])
        .takes(Json("CatalogWish")),
    post(
        "/v1/admin/catalog/import",
        Operator,
        "Products as CSV",
        &[(200, Json("CatalogImported"))],
    )
    .asks(&[need("shopId", "Name")])
    .takes(Text("text/csv")),
    post(
        "/v1/admin/catalog/compact",
        Operator,
        "Takes old deletions out of the feed",
        &[(200, Json("Compacted"))],
    )
    .takes(Json("Shop")),
    get(
        "/v1/admin/catalog",
        Operator,
        "What the catalog has, page by page",
        &[(200, Json("CatalogPage"))],
    )
    .asks(&[
        need("shopId", "Name"),
        may("branchId", "Name"),
        may("kind", "Kind"),
        may("search", "Text"),
        may("after", "Name"),
        may("ids", "Text"),
    ]),
    get("/v1/admin/edits", Operator, "What tills have edited", &[(200, Json("Edits"))]).asks(&[
        BY_EVENT[0],
        BY_EVENT[1],
        BY_EVENT[2],
        BY_EVENT[3],
        may("conflicts", "Flag"),
    ]),
    post(
        "/v1/admin/parcels",
        Operator,
        "Takes in what a till had carried here as a file",
        &[(200, PARCEL), (200, Json("ParcelTaken"))],
    )
    .takes(PARCEL)
    .or(&[(404, NotFound)]),
    get("/v1/admin/parked", Operator, "Events that wait", &[(200, Json("Parked"))]).asks(&BY_EVENT),
    post(
        "/v1/admin/parked/decide",
        Operator,
        "Accepts, rejects or retries one",
        &[(200, Json("Decided"))],
    )
    .takes(Json("Decision"))
    .or(&[(404, NotFound)]),
    get(
        "/v1/admin/explain",
        Operator,
        "What the cloud holds of an event",
        &[(200, Json("CloudStory"))],
    )
    .asks(&[
        may("shopId", "Name"),
        may("terminalId", "Name"),
        may("posId", "Name"),
        may("localEventId", "Name"),
        may("clientTempId", "Name"),
    ])
    .or(&[(404, NotFound)]),
    get(
        "/v1/admin/notifications",
        Operator,
        "Stocks that fell to their threshold",
        &[(200, Json("Notifications"))],
    )
    .asks(&PLACE),
    post(
        "/v1/admin/notifications/settle",
        Operator,
        "Takes one off the list",
        &[(200, Json("Settled"))],
    )
    .takes(Json("Settled")),
    post(
        "/v1/admin/adjustments",
        Operator,
        "Corrects a stock",
        &[(200, Json("Adjusted")), (201, Json("Adjusted"))],
    )
    .takes(Json("AdjustmentWish"))
    .or(&[(422, ProductUnknown)]),
    get("/v1/admin/stock", Operator, "What a branch has", &[(200, Json("Stock"))]).asks(&[
        PLACE[0],
        PLACE[1],
        may("negative", "Flag"),
        may("low", "Flag"),
        may("after", "Name"),
    ]),
    get("/v1/admin/buffer", Operator, "What the store front holds back", &[(200, Json("Buffer"))])
        .asks(&[PLACE[0], PLACE[1], may("product", "Name")]),
    get(
        "/v1/admin/low-stock",
        Operator,
        "Below which stocks somebody is told",
        &[(200, Json("Thresholds"))],
    )
    .asks(OF_SHOP),
    put("/v1/admin/low-stock", Operator, "Sets it", &[(200, Json("ThresholdsSet"))])
        .takes(Json("ThresholdsWish")),
    put("/v1/admin/buffer", Operator, "Sets it", &[(200, Json("Buffer"))]).takes(Json("Buffer")),
    put(
        "/v1/admin/relay",
        Operator,
        "Whether tills of a branch hear of each other",
        &[(200, Json("Relay"))],
    )
    .takes(Json("Relay")),
    post(
        "/v1/admin/orders",
        Operator,
        "Enters an online order",
        &[(200, Json("OrderEntered")), (201, Json("OrderEntered"))],
    )
    .takes(Json("OrderWish"))
    .or(&[(409, EventInvalid)]),
    post("/v1/admin/orders/{id}/cancel", Operator, "Cancels one", &[(200, Json("OrderEntered"))])
        .takes(Json("OrderCancel"))
        .or(&[(404, NotFound)]),
    get("/v1/admin/orders", Operator, "Online orders", &[(200, Json("Orders"))]).asks(&[
        need("shopId", "Name"),
        may("branchId", "Name"),
        may("after", "Name"),
    ]),
    get("/v1/admin/sites", Operator, "Shops and their branches", &[(200, Json("Sites"))])
        .asks(&[may("after", "Name")]),
    get("/v1/admin/sessions", Operator, "Days of registers", &[(200, Json("Sessions"))]).asks(&[
        PLACE[0],
        may("branch", "Name"),
        may("terminalId", "Name"),
        may("posId", "Name"),
        may("sessionId", "Name"),
    ]),
    get(
        "/v1/admin/reports/sales",
        Operator,
        "What was sold, per day, branch, product",
        &[(200, Json("SalesReport"))],
    )
    .asks(&[
        need("shopId", "Name"),
        may("branchId", "Name"),
        may("from", "Day"),
        may("to", "Day"),
        may("by", "Groups"),
    ])
    .or(&[(413, TooLarge)]),
    get(
        "/v1/admin/returns",
        Operator,
        "Sales of which more was taken back than they sold",
        &[(200, Json("Returns"))],
    )
    .asks(&[need("shopId", "Name")])
    .or(&[(413, TooLarge)]),
    get("/v1/admin/live", Operator, "That something was committed", &[(200, EVENTS)]),
    get("/v1/admin/log", Operator, "What operators did", &[(200, Json("Log"))])
        .asks(&[may("before", "Count")]),
    get("/healthz", Anybody, "The process answers", &[(200, PLAIN)]),
    get("/readyz", Anybody, "The node can be asked", &[(200, PLAIN)]).or(&[(503, StorageFailed)]),
    get(
        "/metrics",
        Anybody,
        "Counters",
        &[(200, Text("application/openmetrics-text; version=1.0.0; charset=utf-8"))],
    ),
    get("/openapi.json", Anybody, "This document", &[(200, Json("Any"))]),
    get("/", Anybody, "The operator's pages", &[(200, PAGE), (304, Nothing)]),
    get(
        "/page/{name}",
        Anybody,
        "What belongs to them",
        &[
            (200, PAGE),
            (200, Text("text/css; charset=utf-8")),
            (200, Text("text/javascript; charset=utf-8")),
            (200, Text("image/svg+xml")),
            (304, Nothing),
        ],
    )
    .or(&[(404, NotFound)]),
    post("/login", Anybody, "Opens a session of a page", &[(200, Json("LoggedIn"))])
        .takes(Json("Login"))
        .or(&[(401, Unauthorized), (403, Unauthorized), (422, EventInvalid), (429, RateLimited)]),
    post("/logout", Anybody, "Ends it", &[(204, Nothing)]).or(&[(403, Unauthorized)]),
    get("/docs", Anybody, "This document, to read", &[(200, PAGE)]),
];
