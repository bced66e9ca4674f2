//! What the compiler says of a network that cannot be: the messages are part of the product, reviewed as `.stderr` files.
//!
//! After a change of a message or of the Rust version below: `TRYBUILD=overwrite cargo test -p pg-core --test compile_fail`, then read
//! the difference.

#[rustversion::attr(not(stable(1.95)), ignore = "the messages in the .stderr files are those of Rust 1.95")]
#[test]
fn a_mistake_in_a_network_is_explained_where_it_is_made() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
