//! Compiles the bridge that cxx generates from `src/lib.rs`, with the facade in front of it.

fn main() {
    const SOURCES: [&str; 13] = [
        "src/attempt.cc",
        "src/endpoint.cc",
        "src/error.cc",
        "src/events.cc",
        "src/inspector.cc",
        "src/loan.cc",
        "src/message.cc",
        "src/messages.cc",
        "src/monitor.cc",
        "src/observer.cc",
        "src/print.cc",
        "src/segments.cc",
        "src/text.cc",
    ];

    cxx_build::bridge("src/lib.rs")
        .files(SOURCES)
        .include("include")
        .std("c++17")
        // Users see what the headers mark with ESHM_CPP_API, nothing else.
        .flag("-fvisibility=hidden")
        .flag("-fvisibility-inlines-hidden")
        .warnings(true)
        .extra_warnings(true)
        .compile("eshm_cpp_bridge");

    for path in ["src", "include"] {
        println!("cargo::rerun-if-changed={path}");
    }
}
