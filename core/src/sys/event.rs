//! Events for a subscriber of `tracing`. Without the feature `tracing` an event is no code, and its fields are not evaluated.

/// Emits an event, as the macro of `tracing` that has the name of the level does.
#[cfg(feature = "tracing")]
macro_rules! event {
    ($level:ident, $($field:tt)+) => {
        tracing::$level!($($field)+)
    };
}

/// Takes the fields as the macros of `tracing` do, so that the same code compiles, and does nothing.
#[cfg(not(feature = "tracing"))]
macro_rules! event {
    ($level:ident, $($field:tt)+) => {{
        // The compiler sees that each field is used; the closure is not called.
        let _ = || {
            event!(@ $($field)+);
        };
    }};
    (@) => {};
    (@ $text:literal $(,)?) => {};
    (@ % $value:ident $(, $($rest:tt)*)?) => {
        event!(@ $value $(, $($rest)*)?)
    };
    (@ ? $value:ident $(, $($rest:tt)*)?) => {
        event!(@ $value $(, $($rest)*)?)
    };
    (@ $name:ident = % $value:expr $(, $($rest:tt)*)?) => {
        event!(@ $name = $value $(, $($rest)*)?)
    };
    (@ $name:ident = $value:expr $(, $($rest:tt)*)?) => {
        let _ = &$value;
        $(event!(@ $($rest)*);)?
    };
    (@ $value:ident $(, $($rest:tt)*)?) => {
        let _ = &$value;
        $(event!(@ $($rest)*);)?
    };
}
