//! The home of the end-to-end tests in this folder; it exports nothing.
