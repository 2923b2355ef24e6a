//! Runs a handful of ordinary 64-bit instructions under KVM, in long mode with paging, and says how they ended.
//!
//! Unsafe because KVM is driven by ioctls on structures shared with the kernel; no crate in use has a safe interface
//! for it. The layouts are those of `linux/kvm.h` for x86-64. All of it is released before the probe returns.

use crate::accel::ProbeOutcome;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

const KVM_GET_API_VERSION: u64 = 0xae00;
const KVM_CREATE_VM: u64 = 0xae01;
const KVM_GET_VCPU_MMAP_SIZE: u64 = 0xae04;
const KVM_CREATE_VCPU: u64 = 0xae41;
const KVM_RUN: u64 = 0xae80;
const KVM_SET_USER_MEMORY_REGION: u64 = 0x4020_ae46;
const KVM_SET_REGS: u64 = 0x4090_ae82;
const KVM_GET_REGS: u64 = 0x8090_ae81;
const KVM_GET_SREGS: u64 = 0x8138_ae83;
const KVM_SET_SREGS: u64 = 0x4138_ae84;
const KVM_EXIT_HLT: u32 = 5;
const API_VERSION: i32 = 12;

const MEMORY_BYTES: usize = 0x20_0000;
const PML4: usize = 0x1000;
const PDPT: usize = 0x2000;
const PD: usize = 0x3000;
const CODE: usize = 0x4000;
const SCRATCH: u64 = 0x8000;

/// `popcnt rax, rbx; pxor xmm0, xmm0; lock cmpxchg16b [rdi]; hlt`
const PROGRAM: [u8; 16] =
    [0xf3, 0x48, 0x0f, 0xb8, 0xc3, 0x66, 0x0f, 0xef, 0xc0, 0xf0, 0x48, 0x0f, 0xc7, 0x0f, 0xf4, 0xf4];
/// `popcnt` counts its ones; the 128-bit exchange then fails, since memory is zero, and loads zero into `rax`.
const RBX: u64 = 0xff;

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Segment {
    base: u64,
    limit: u32,
    selector: u16,
    kind: u8,
    present: u8,
    dpl: u8,
    db: u8,
    s: u8,
    l: u8,
    g: u8,
    avl: u8,
    unusable: u8,
    padding: u8,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Table {
    base: u64,
    limit: u16,
    padding: [u16; 3],
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct SpecialRegisters {
    cs: Segment,
    ds: Segment,
    es: Segment,
    fs: Segment,
    gs: Segment,
    ss: Segment,
    tr: Segment,
    ldt: Segment,
    gdt: Table,
    idt: Table,
    cr0: u64,
    cr2: u64,
    cr3: u64,
    cr4: u64,
    cr8: u64,
    efer: u64,
    apic_base: u64,
    interrupt_bitmap: [u64; 4],
}

/// `rax rbx rcx rdx rsi rdi rsp rbp r8-r15 rip rflags`
type Registers = [u64; 18];

#[repr(C)]
struct MemoryRegion {
    slot: u32,
    flags: u32,
    guest_address: u64,
    bytes: u64,
    host_address: u64,
}

/// Runs the test. A virtual processor that hangs is interrupted by a signal whose handler does nothing.
pub(crate) fn run(within: Duration) -> ProbeOutcome {
    let (report, outcome) = mpsc::channel();
    let (identify, identity) = mpsc::channel();
    let worker = std::thread::spawn(move || {
        // SAFETY: no arguments, always succeeds.
        let _ = identify.send(unsafe { libc::pthread_self() });
        let result = attempt().unwrap_or_else(|e| ProbeOutcome::Failed(e.to_string()));
        drop(report.send(result));
    });
    let result = match outcome.recv_timeout(within) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Disconnected) => ProbeOutcome::Failed("the probe panicked".into()),
        Err(RecvTimeoutError::Timeout) => {
            if let Ok(thread) = identity.recv() {
                interrupt(thread);
            }
            ProbeOutcome::TimedOut
        }
    };
    // A thread that ignores the signal hangs in the kernel: abandon it rather than hang with it.
    if result != ProbeOutcome::TimedOut {
        drop(worker.join());
    }
    result
}

extern "C" fn ignore(_: libc::c_int) {}

fn interrupt(thread: libc::pthread_t) {
    let signal = libc::SIGRTMIN() + 7;
    // SAFETY: the handler does nothing; the thread is not joined yet, so its handle is valid.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ignore as extern "C" fn(libc::c_int) as libc::sighandler_t;
        libc::sigaction(signal, &action, ptr::null_mut());
        libc::pthread_kill(thread, signal);
    }
}

/// Shared or anonymous memory, unmapped on drop.
struct Mapping {
    address: *mut u8,
    bytes: usize,
}

impl Mapping {
    fn new(bytes: usize, flags: libc::c_int, descriptor: libc::c_int) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let address = unsafe { libc::mmap(ptr::null_mut(), bytes, access, flags, descriptor, 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapping { address: address.cast(), bytes })
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.bytes, "inside the mapping");
        // SAFETY: the range was checked, the mapping is writable and does not overlap `bytes`.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.address.add(offset), bytes.len()) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mmap made it with this length, and nothing uses it any more.
        unsafe { libc::munmap(self.address.cast(), self.bytes) };
    }
}

fn ioctl<T>(on: &impl AsRawFd, request: u64, argument: T) -> io::Result<libc::c_int> {
    const { assert!(size_of::<T>() == size_of::<usize>(), "a number or a pointer") };
    // SAFETY: every request in this file takes a number or a pointer to the structure that the caller passes.
    let result = unsafe { libc::ioctl(on.as_raw_fd(), request, argument) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(descriptor: libc::c_int) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

fn attempt() -> io::Result<ProbeOutcome> {
    let kvm = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm")?;
    let version = ioctl(&kvm, KVM_GET_API_VERSION, 0usize)?;
    if version != API_VERSION {
        return Ok(ProbeOutcome::Failed(format!("KVM API version {version}")));
    }
    let vm = owned(ioctl(&kvm, KVM_CREATE_VM, 0usize)?);
    let mut memory = Mapping::new(MEMORY_BYTES, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)?;
    // One 2 MiB page maps it all: present, writable, large.
    memory.write(PML4, &(PDPT as u64 | 3).to_le_bytes());
    memory.write(PDPT, &(PD as u64 | 3).to_le_bytes());
    memory.write(PD, &0x83u64.to_le_bytes());
    memory.write(CODE, &PROGRAM);
    let region = MemoryRegion {
        slot: 0,
        flags: 0,
        guest_address: 0,
        bytes: MEMORY_BYTES as u64,
        host_address: memory.address as u64,
    };
    ioctl(&vm, KVM_SET_USER_MEMORY_REGION, &raw const region)?;
    let cpu = owned(ioctl(&vm, KVM_CREATE_VCPU, 0usize)?);
    let shared_bytes = ioctl(&kvm, KVM_GET_VCPU_MMAP_SIZE, 0usize)?;
    let shared_bytes = usize::try_from(shared_bytes).map_err(io::Error::other)?;
    let shared = Mapping::new(shared_bytes, libc::MAP_SHARED, cpu.as_raw_fd())?;

    let mut special = SpecialRegisters::default();
    ioctl(&cpu, KVM_GET_SREGS, &raw mut special)?;
    enter_long_mode(&mut special);
    ioctl(&cpu, KVM_SET_SREGS, &raw const special)?;
    let mut registers: Registers = [0; 18];
    registers[0] = u64::MAX;
    registers[1] = RBX;
    registers[5] = SCRATCH;
    registers[16] = CODE as u64;
    registers[17] = 2;
    ioctl(&cpu, KVM_SET_REGS, &raw const registers)?;
    ioctl(&cpu, KVM_RUN, 0usize)?;

    // SAFETY: `exit_reason` is a u32 at offset 8 of `struct kvm_run`, inside the mapping and aligned.
    let exit = unsafe { shared.address.add(8).cast::<u32>().read_volatile() };
    ioctl(&cpu, KVM_GET_REGS, &raw mut registers)?;
    Ok(match exit {
        // The exchange compared rdx:rax (0:8) with zero, failed, and loaded zero.
        KVM_EXIT_HLT if registers[0] == 0 && registers[1] == RBX => ProbeOutcome::Halted,
        KVM_EXIT_HLT => ProbeOutcome::Failed("64-bit code computed wrong results".into()),
        other => ProbeOutcome::WrongExit(other),
    })
}

fn enter_long_mode(special: &mut SpecialRegisters) {
    let code = Segment {
        limit: u32::MAX,
        selector: 8,
        kind: 11,
        present: 1,
        s: 1,
        l: 1,
        g: 1,
        ..Segment::default()
    };
    let data = Segment { selector: 16, kind: 3, db: 1, l: 0, ..code };
    special.cs = code;
    for segment in [&mut special.ds, &mut special.es, &mut special.fs, &mut special.gs, &mut special.ss] {
        *segment = data;
    }
    special.cr3 = PML4 as u64;
    // PAE and SSE; protection, numeric errors, paging; long mode enabled and active.
    special.cr4 = 0x20 | 0x200 | 0x400;
    special.cr0 = 1 | 2 | 0x10 | 0x20 | 0x8000_0000;
    special.efer = 0x100 | 0x400;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_kernels_sizes() {
        // The sizes are part of the ioctl numbers above.
        assert_eq!(size_of::<Registers>(), 0x90);
        assert_eq!(size_of::<SpecialRegisters>(), 0x138);
        assert_eq!(size_of::<MemoryRegion>(), 0x20);
        assert_eq!(size_of::<Segment>(), 24);
    }

    #[test]
    fn a_kvm_that_cannot_run_ordinary_code_is_found_out() {
        let outcome = run(Duration::from_secs(10));
        let hopeless = !std::path::Path::new("/dev/kvm").exists()
            || std::path::Path::new("/sys/module/kvm_pvm").exists();
        assert!(!(hopeless && outcome == ProbeOutcome::Halted), "{outcome:?}");
        assert_ne!(outcome, ProbeOutcome::Failed("the probe panicked".into()));
        println!("{outcome:?}");
    }
}
