//! The one binary `larder`.
fn main() {}
