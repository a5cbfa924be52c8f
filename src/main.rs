//! The command `pfproof`.

fn main() {}
