//! Starts a process that outlives its parent, with its own session and cgroup, as an unprivileged user, without
//! capabilities for good, and with only the wanted descriptors.
//!
//! Unsafe because all of that must happen between fork and exec (`CommandExt::pre_exec`), where only system calls are
//! allowed: the closure below allocates nothing, takes no lock and calls only async-signal-safe functions
//! (signal-safety(7)). All it needs is prepared before the fork.

use crate::spec::User;
use crate::{Error, Result};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The program to start and its circumstances.
pub(crate) struct Launch<'a> {
    pub(crate) program: &'a Path,
    pub(crate) arguments: &'a [String],
    /// Receives standard output and error.
    pub(crate) log: OwnedFd,
    /// Written by the child itself with its process id before it becomes the program.
    pub(crate) pid_file: OwnedFd,
    /// Descriptors to inherit, under the numbers that they have here.
    pub(crate) inherit: Vec<OwnedFd>,
    pub(crate) user: Option<User>,
    pub(crate) supplementary_groups: Vec<u32>,
    pub(crate) cgroup: Option<PathBuf>,
    pub(crate) oom_score_adj: Option<i16>,
}

/// Starts it. This process closes everything handed over afterwards.
pub(crate) fn spawn(launch: Launch<'_>) -> Result<Child> {
    let cgroup = launch.cgroup.as_deref().and_then(open_cgroup);
    let oom_score_adj = launch.oom_score_adj.map(|score| score.to_string().into_bytes());
    let privileged = rustix::process::geteuid().is_root();
    let out = launch.log.try_clone().map_err(Error::io("duplicate the log"))?;
    let mut command = Command::new(launch.program);
    command
        .args(launch.arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(launch.log);
    let inherit: Vec<RawFd> = launch.inherit.iter().map(AsRawFd::as_raw_fd).collect();
    let (pid_file, user, groups) = (launch.pid_file, launch.user, launch.supplementary_groups);
    let prepare = move || {
        // SAFETY: plain system calls on memory that this closure owns, between fork and exec.
        unsafe {
            check(libc::setsid())?;
            if let Some(cgroup) = &cgroup {
                write_all(cgroup.as_raw_fd(), b"0")?;
            }
            if let Some(score) = &oom_score_adj {
                let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                write_all(check(file)?, score)?;
            }
            let mut digits = [0u8; 12];
            write_all(pid_file.as_raw_fd(), decimal(libc::getpid(), &mut digits))?;
            if privileged {
                drop_capabilities()?;
            }
            if let Some(User { uid, gid }) = user {
                check(libc::setgroups(groups.len(), groups.as_ptr()))?;
                check(libc::setresgid(gid, gid, gid))?;
                check(libc::setresuid(uid, uid, uid))?;
            }
            check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
            libc::umask(0o077);
            keep_only(&inherit)?;
        }
        Ok(())
    };
    // SAFETY: the closure keeps to async-signal-safe calls; see the module's documentation.
    unsafe { command.pre_exec(prepare) };
    let child = command.spawn().map_err(Error::io(format!("start {}", launch.program.display())))?;
    drop(launch.inherit);
    Ok(child)
}

/// Joins the cgroup if it can: without a writable one the VM runs unaccounted, and the log says so.
fn open_cgroup(directory: &Path) -> Option<std::fs::File> {
    let path = directory.join("cgroup.procs");
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .inspect_err(|e| tracing::warn!(path = %path.display(), error = %e, "cannot join the cgroup"))
        .ok()
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Empties the bounding set: not even a set-user-id program could give a capability back.
unsafe fn drop_capabilities() -> io::Result<()> {
    for capability in 0..64 {
        // SAFETY: prctl with plain numbers.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } < 0 {
            let error = io::Error::last_os_error();
            // EINVAL marks the end of the capabilities that this kernel knows.
            return if error.raw_os_error() == Some(libc::EINVAL) { Ok(()) } else { Err(error) };
        }
    }
    Ok(())
}

/// Marks every descriptor above standard error to be closed by exec, except the wanted ones.
unsafe fn keep_only(wanted: &[RawFd]) -> io::Result<()> {
    // SAFETY: close_range with CLOSE_RANGE_CLOEXEC closes nothing now; fcntl changes one flag each.
    unsafe {
        let marked = libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        if marked < 0 {
            return Err(io::Error::last_os_error());
        }
        for &descriptor in wanted {
            check(libc::fcntl(descriptor, libc::F_SETFD, 0))?;
        }
    }
    Ok(())
}

unsafe fn write_all(descriptor: RawFd, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the slice is valid for its length.
    let written = unsafe { libc::write(descriptor, bytes.as_ptr().cast(), bytes.len()) };
    match usize::try_from(written) {
        Ok(n) if n == bytes.len() => Ok(()),
        Ok(_) => Err(io::Error::from_raw_os_error(libc::EIO)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Decimal digits of a positive number, without an allocation.
fn decimal(mut number: libc::pid_t, digits: &mut [u8; 12]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        // The remainder is below ten.
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 || start == 0 {
            return &digits[start..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn process_ids_are_written_in_decimal() {
        for number in [0, 7, 10, 32_768, libc::pid_t::MAX] {
            assert_eq!(decimal(number, &mut [0; 12]), number.to_string().as_bytes());
        }
    }
}
