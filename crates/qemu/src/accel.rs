//! Chooses the accelerator for this host's VMs. The decision is a pure function of the findings. Only a probe that runs
//! ordinary 64-bit code proves that KVM works, because a nested or partial KVM opens, boots and then dies.

use crate::kvm_probe;
pub use crate::spec::Accel;
use std::path::Path;
use std::time::Duration;

/// Time limit of the test code, which takes microseconds where KVM works.
const PROBE: Duration = Duration::from_secs(2);

/// The administrator's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccelPolicy {
    /// KVM where it works, otherwise emulation.
    #[default]
    Auto,
    /// KVM, whatever the probe finds.
    Kvm,
    /// Emulation.
    Tcg,
}

/// How the test code under KVM ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// It reached its `hlt` with the right results: KVM works.
    Halted,
    /// KVM stopped it for another reason (`KVM_EXIT_*` number).
    WrongExit(u32),
    /// It did not end in time.
    TimedOut,
    /// A call failed.
    Failed(String),
}

/// Facts about this host that the decision rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// `/dev/kvm` exists.
    pub device: bool,
    /// The `kvm_pvm` module serves it, which cannot run ordinary guests.
    pub kvm_pvm: bool,
    /// The processor has the flag `vmx` or `svm`.
    pub cpu_virtualization: bool,
    /// The outcome of the test code; absent if the other findings made it pointless.
    pub probe: Option<ProbeOutcome>,
}

/// The choice and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The accelerator that VMs get.
    pub accel: Accel,
    /// The reason, in words for people.
    pub reason: String,
}

/// Decides once, when the daemon starts, and logs the decision. Blocks for up to two seconds.
#[must_use]
pub fn choose(policy: AccelPolicy) -> Decision {
    let mut findings = Findings {
        device: Path::new("/dev/kvm").exists(),
        kvm_pvm: Path::new("/sys/module/kvm_pvm").exists(),
        cpu_virtualization: std::fs::read_to_string("/proc/cpuinfo")
            .is_ok_and(|text| shows_virtualization(&text)),
        probe: None,
    };
    if policy == AccelPolicy::Auto && is_promising(&findings) {
        findings.probe = Some(kvm_probe::run(PROBE));
    }
    let decision = decide(policy, &findings);
    tracing::info!(accel = ?decision.accel, reason = %decision.reason, "accelerator chosen");
    decision
}

fn is_promising(findings: &Findings) -> bool {
    findings.device && !findings.kvm_pvm && findings.cpu_virtualization
}

fn shows_virtualization(cpuinfo: &str) -> bool {
    let mut flags = cpuinfo.lines().filter(|line| line.starts_with("flags"));
    flags.next().is_some_and(|line| line.split_whitespace().any(|flag| flag == "vmx" || flag == "svm"))
}

/// Decides from the findings alone.
#[must_use]
pub fn decide(policy: AccelPolicy, findings: &Findings) -> Decision {
    let (accel, reason) = match policy {
        AccelPolicy::Kvm => (Accel::Kvm, "KVM was asked for".to_owned()),
        AccelPolicy::Tcg => (Accel::Tcg, "emulation was asked for".to_owned()),
        AccelPolicy::Auto if findings.kvm_pvm => {
            (Accel::Tcg, "the host's KVM is kvm_pvm, which cannot run ordinary guests".to_owned())
        }
        AccelPolicy::Auto if !findings.cpu_virtualization => {
            (Accel::Tcg, "the processor shows neither vmx nor svm".to_owned())
        }
        AccelPolicy::Auto if !findings.device => (Accel::Tcg, "/dev/kvm does not exist".to_owned()),
        AccelPolicy::Auto => match &findings.probe {
            Some(ProbeOutcome::Halted) => (Accel::Kvm, "64-bit code runs under KVM".to_owned()),
            Some(ProbeOutcome::WrongExit(exit)) => {
                (Accel::Tcg, format!("64-bit code under KVM ended with exit {exit} instead of a halt"))
            }
            Some(ProbeOutcome::TimedOut) => (Accel::Tcg, "64-bit code under KVM does not end".to_owned()),
            Some(ProbeOutcome::Failed(why)) => (Accel::Tcg, format!("KVM cannot be used: {why}")),
            None => (Accel::Tcg, "KVM was not tried".to_owned()),
        },
    };
    Decision { accel, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_that_ran_to_its_halt_means_kvm() {
        let good = Findings {
            device: true,
            kvm_pvm: false,
            cpu_virtualization: true,
            probe: Some(ProbeOutcome::Halted),
        };
        let with_probe = |probe| Findings { probe, ..good.clone() };
        use AccelPolicy::{Auto, Kvm as AskKvm, Tcg as AskTcg};
        let cases = [
            (Auto, good.clone(), Accel::Kvm, "runs under KVM"),
            (Auto, Findings { kvm_pvm: true, ..good.clone() }, Accel::Tcg, "kvm_pvm"),
            (Auto, Findings { cpu_virtualization: false, ..good.clone() }, Accel::Tcg, "vmx nor svm"),
            (Auto, Findings { device: false, ..good.clone() }, Accel::Tcg, "/dev/kvm"),
            (Auto, with_probe(None), Accel::Tcg, "not tried"),
            (Auto, with_probe(Some(ProbeOutcome::WrongExit(17))), Accel::Tcg, "exit 17"),
            (Auto, with_probe(Some(ProbeOutcome::TimedOut)), Accel::Tcg, "does not end"),
            (Auto, with_probe(Some(ProbeOutcome::Failed("EBUSY".into()))), Accel::Tcg, "EBUSY"),
            (AskTcg, good.clone(), Accel::Tcg, "asked for"),
            (AskKvm, with_probe(None), Accel::Kvm, "asked for"),
        ];
        for (policy, findings, accel, words) in cases {
            let decision = decide(policy, &findings);
            assert_eq!(decision.accel, accel, "{policy:?} {findings:?}");
            assert!(decision.reason.contains(words), "{}", decision.reason);
        }
    }

    #[test]
    fn a_flag_counts_only_as_a_whole_word_of_the_flags() {
        assert!(shows_virtualization("processor: 0\nflags\t\t: fpu vmx sse\n"));
        assert!(!shows_virtualization("model name: vmx\nflags\t\t: fpu xvmx svmlock\n"));
        assert!(!shows_virtualization(""));
    }

    #[test]
    fn the_choice_on_this_host_has_a_reason() {
        assert!(!choose(AccelPolicy::Auto).reason.is_empty());
    }
}
