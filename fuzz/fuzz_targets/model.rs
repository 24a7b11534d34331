//! `cargo +nightly fuzz run model fuzz/corpus/model fixtures`
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::model(bytes));
