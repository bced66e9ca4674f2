//! What the compiler says of a network that does not fit its board; see pg-core's tests of the same name for the `.stderr` files.

/// Whether this compiler is the one whose messages the `.stderr` files hold.
#[rustversion::stable(1.95)]
const KNOWN: bool = true;
#[rustversion::not(stable(1.95))]
const KNOWN: bool = false;

#[test]
fn a_network_that_does_not_fit_the_board_does_not_compile() {
    if !KNOWN {
        eprintln!("skipped: compile-fail messages: the .stderr files are those of Rust 1.95");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "nothing is skipped in CI");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
