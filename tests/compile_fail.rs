//! What the compiler says of a network that cannot be: the messages are part of the product, reviewed as `.stderr` files.
//!
//! After a change of a message: `TRYBUILD=overwrite cargo test --test compile_fail`, then read the difference.

#[test]
fn a_mistake_in_a_network_is_explained_where_it_is_made() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
