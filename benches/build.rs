//! Compiles the syncs with a floor (see `src/stores/sync_floor.rs`) and links them into the benches and the tests.

fn main() {
    let source = "src/stores/sync_floor.c";
    println!("cargo:rerun-if-changed={source}");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        // As an object, not in a library: a linker may pass over what a library offers.
        for object in cc::Build::new().file(source).opt_level(2).compile_intermediates() {
            println!("cargo:rustc-link-arg-benches={}", object.display());
            println!("cargo:rustc-link-arg-tests={}", object.display());
        }
    }
}
