//! The reader of services(5).
#![no_main]

mod context;

use libfuzzer_sys::fuzz_target;
use pfproof::context::Kind;

fuzz_target!(|bytes: &[u8]| context::hold(&Kind::Services, bytes));
