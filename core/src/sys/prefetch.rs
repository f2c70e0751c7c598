//! Asks the processor for cache lines before they are used. Nothing depends on it.

/// Asks for the cache line of `place`, to write to it soon. It delays nothing. A store in its place delays the next fence
/// until the line has come.
#[inline(always)]
pub(crate) fn prefetch_write<T>(place: &T) {
    #[cfg(all(target_arch = "x86_64", not(any(miri, loom))))]
    // SAFETY: it changes no memory and no register. A processor that does not know the instruction does nothing.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) place, options(nostack, preserves_flags, readonly));
    }
    #[cfg(all(target_arch = "aarch64", not(any(miri, loom))))]
    // SAFETY: it changes no memory and no register.
    unsafe {
        std::arch::asm!("prfm pstl1keep, [{}]", in(reg) place, options(nostack, preserves_flags, readonly));
    }
    let _ = place;
}

/// Asks for the cache line at `place`, to read it soon. Any address will do: the processor ignores one that is not mapped.
#[inline(always)]
pub(crate) fn prefetch_read(place: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(any(miri, loom))))]
    // SAFETY: it changes no memory and no register.
    unsafe {
        std::arch::asm!("prefetcht0 [{}]", in(reg) place, options(nostack, preserves_flags, readonly));
    }
    #[cfg(all(target_arch = "aarch64", not(any(miri, loom))))]
    // SAFETY: it changes no memory and no register.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) place, options(nostack, preserves_flags, readonly));
    }
    let _ = place;
}
