//! Settings of the C library's allocator, so that it returns memory to the system.
//!
//! Left alone, glibc raises the size from which it maps memory of its own with every large block that is freed. After
//! the first login (Argon2id works in 19 MiB) such blocks come from the heap, whose free end it then keeps: a host daemon
//! that needs 25 MiB stays at 45. With the sizes fixed, blocks for passwords go back at once, and a heap that answers
//! large queries does not grow and shrink with each.

/// Larger blocks are mapped, and unmapped when they are freed. Hashing one password takes more.
const MAPPED_FROM_BYTES: libc::c_int = 16 << 20;
/// Free memory at the end of the heap that is kept for the next large answer.
const KEPT_BYTES: libc::c_int = 32 << 20;

/// To be called before there are threads.
#[allow(unsafe_code)]
pub fn settle() {
    // SAFETY: mallopt only changes parameters of the allocator, and no other thread runs yet.
    let settled = unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM_BYTES) == 1
            && libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES) == 1
    };
    debug_assert!(settled, "glibc takes sizes up to 32 MiB");
}
