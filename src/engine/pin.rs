//! Puts a thread on its core and says in one line what could not be done. Never fails a start: an unpinned engine is slow, not wrong.

use core_affinity::CoreId;

/// Pins the calling thread to `core` and verifies it. `None` leaves the thread where the scheduler puts it.
///
/// # Errors
/// One line for the operator: what was not done and how to get it.
pub fn pin(role: &str, core: Option<usize>) -> Result<(), String> {
    let Some(core) = core else { return Ok(()) };
    // Built from the setting: isolated cores are missing in `core_affinity::get_core_ids()`.
    // `core_affinity` indexes a set of 1,024 cores without a check.
    if core >= 1024 || !core_affinity::set_for_current(CoreId { id: core }) || !runs_only_on(core) {
        return Err(format!(
            "{role} thread is not pinned: core {core} is not available to this process (see threads.engine_core and threads.io_core)"
        ));
    }
    if !isolated().contains(&core) {
        return Err(format!(
            "{role} thread is on core {core}, which is not isolated from the scheduler (see T-ISOLCPUS)"
        ));
    }
    Ok(())
}

fn runs_only_on(core: usize) -> bool {
    rustix::thread::sched_getaffinity(None).is_ok_and(|set| set.count() == 1 && set.is_set(core))
}

/// The cores that the kernel keeps free of other tasks (`isolcpus=`); empty where it says nothing.
#[must_use]
pub fn isolated() -> Vec<usize> {
    std::fs::read_to_string("/sys/devices/system/cpu/isolated").map(|text| cpu_list(text.trim())).unwrap_or_default()
}

/// Cores that this process may use.
#[must_use]
pub fn cores_available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Parses the kernel's list form, `2-4,7`.
fn cpu_list(text: &str) -> Vec<usize> {
    text.split(',')
        .filter_map(|part| match part.split_once('-') {
            Some((first, last)) => Some(first.parse().ok()?..=last.parse().ok()?),
            None => part.parse().ok().map(|one| one..=one),
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_core_lists_are_read() {
        assert_eq!(cpu_list("2-4,7"), [2, 3, 4, 7]);
        assert_eq!(cpu_list(""), [] as [usize; 0]);
    }

    #[test]
    fn a_core_that_does_not_exist_is_said_not_hidden() {
        let said = std::thread::spawn(|| pin("engine", Some(4_000))).join().unwrap().unwrap_err();
        assert!(said.contains("core 4000"), "{said}");
    }
}
