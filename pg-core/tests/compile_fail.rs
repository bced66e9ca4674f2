//! What the compiler says of a network that cannot be: the messages are part of the product, reviewed as `.stderr` files.
//!
//! After a change of a message or of the Rust version below: `TRYBUILD=overwrite cargo test -p pg-core --test compile_fail`, then read
//! the difference.

/// Whether this compiler is the one whose messages the `.stderr` files hold.
#[rustversion::stable(1.95)]
const KNOWN: bool = true;
#[rustversion::not(stable(1.95))]
const KNOWN: bool = false;

#[test]
fn a_mistake_in_a_network_is_explained_where_it_is_made() {
    if !KNOWN {
        eprintln!("skipped: compile-fail messages: the .stderr files are those of Rust 1.95");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "nothing is skipped in CI");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
