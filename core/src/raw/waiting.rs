//! Why a call of a wait set fails, in the numbers of the other calls.

use std::io;

/// Returns the number and the text of an error of a [`WaitSet`](crate::WaitSet), for a binding whose errors all have
/// numbers: −1 for what the caller passed, −3 for what the system lacks.
///
/// ```
/// let set = eshm::WaitSet::new()?;
/// let (code, text) = eshm::raw::wait_set_error(&set.remove(7).unwrap_err());
/// assert_eq!((code, text.as_str()), (-1, "the wait set has no token 7"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn wait_set_error(error: &io::Error) -> (i32, String) {
    const INVALID: i32 = -1;
    const ATTACH: i32 = -3;
    match error.raw_os_error() {
        // An error of the set itself.
        None => (INVALID, error.to_string()),
        Some(libc::EEXIST) => (INVALID, "the wait set has this endpoint already".to_owned()),
        Some(libc::EPERM) => {
            (INVALID, "the file cannot be waited for, such as a regular file or a directory".to_owned())
        }
        Some(libc::EBADF) => (INVALID, "the descriptor is not open".to_owned()),
        Some(libc::EINVAL) => {
            (INVALID, "there is nothing to wait with: expected room for a token".to_owned())
        }
        Some(libc::EMFILE | libc::ENFILE) => {
            (ATTACH, "no file descriptors are left: close some, or raise the limit (ulimit -n)".to_owned())
        }
        Some(libc::ENOSPC) => {
            let limit = "/proc/sys/fs/epoll/max_user_watches";
            (ATTACH, format!("this user waits for as many descriptors as {limit} allows: raise it"))
        }
        Some(_) => (ATTACH, format!("the wait set: {error}")),
    }
}
