//! The user's documents as any HTTP client sees them: a plain client, a real node, no internals.
//! Each test runs on sled, and on a PostgreSQL server of its own.
//!
//! | module | shows |
//! |---|---|
//! | `documents` | the examples and the policies of S1, S2, S3 |
//! | `refusals` | every code of S4.13 |
//! | `limits` | every limit of the HTTP surface |
//! | `node` | a node; each of its answers is held against its own `/openapi.json` |
//!
//! The first store is a parameter: `COUNTERFOIL_CONTRACT_STORE` as on the command line, with `{}`
//! for a new directory.
#![allow(missing_docs, reason = "a test's name is its documentation")]

mod documents;
mod limits;
mod node;
mod refusals;

use node::Store;

macro_rules! on_each_store {
    ($($module:ident: $($name:ident)*;)*) => {
        $($(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $module::$name(Store::Named).await;
            }
        )*)*

        mod on_postgres {
            use super::{Store, documents, limits, refusals};

            $($(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    $module::$name(Store::Postgres).await;
                }
            )*)*

            #[tokio::test(flavor = "multi_thread")]
            async fn a_failing_database_has_its_codes_and_nothing_is_lost() {
                refusals::a_failing_database_has_its_codes_and_nothing_is_lost().await;
            }
        }
    };
}

on_each_store! {
    documents:
        the_example_of_s2_is_answered_as_it_says_and_so_after_a_crash
        the_policies_of_s2_hold
        a_name_stands_for_one_sale_and_a_duplicate_is_no_error
        a_low_stock_is_told_below_the_threshold_of_its_product
        eight_clients_race_for_the_same_names_while_the_node_is_killed
        the_examples_of_s1_and_s3_work;
    refusals:
        refusals_have_their_codes
        every_route_opens_to_its_own_credential_and_to_no_other
        every_body_is_bounded_typed_and_read_strictly
        a_till_that_differs_too_much_is_told_to_take_a_snapshot;
    limits:
        whoever_asks_too_often_waits_and_is_heard_again
        whoever_sends_too_much_waits_alone_and_is_heard_again
        a_list_beyond_its_limit_is_refused_whole
        a_file_beyond_its_limit_changes_nothing
        what_unpacks_beyond_its_limit_is_too_large
        wrong_tokens_run_out;
}
