//! A machine: a real [`Daemon`], its link to the scheduler, and whether it lives.

use crate::network::Lane;
use crate::world::What;
use ice_core::daemon::{Config, CpuTicks, Daemon, EnvOnDisk, Measurement, Memory};
use ice_core::env::EnvId;
use ice_core::ids::PeerId;
use ice_core::message::features;
use ice_core::text::Text;
use ice_core::time::Instant;
use std::collections::BTreeSet;

/// A machine.
pub struct Host {
    pub index: usize,
    pub daemon: Daemon,
    /// Counts starts of the machine and of its daemon: events for an earlier one are void.
    pub boots: u32,
    pub generation: u32,
    pub alive: bool,
    /// Its daemon runs.
    pub serves: bool,
    /// Every process is stopped: nothing answers, connections stay.
    pub frozen: bool,
    /// The way to the scheduler is cut.
    pub cut: bool,
    /// Until then nothing passes between it and clients of other hosts; nobody is told.
    pub dark_until: Instant,
    /// It takes its time, has no room on its disk, or says what is not so.
    pub slow: bool,
    pub full: bool,
    pub lies: bool,
    /// It lied once: what it said may still be on its way.
    pub has_lied: bool,
    pub slots: u32,
    /// Tenths: 10 = as fast as the workload's unit.
    pub speed: u64,
    pub platform: Text,
    pub link: Option<Link>,
    pub disk: BTreeSet<EnvId>,
    /// When its timer is set for.
    pub timer: Option<Instant>,
    pub seed: u64,
}

/// A connection to the scheduler.
#[derive(Clone, Copy)]
pub struct Link {
    /// The scheduler's name of it.
    pub peer: PeerId,
    pub up: Lane,
    pub down: Lane,
}

impl Host {
    pub fn new(index: usize, slots: u32, speed: u64, platform: &str, seed: u64) -> Self {
        let mut host = Self {
            index,
            daemon: Daemon::new(Instant::ZERO, config(index, slots, platform, seed, Vec::new())),
            boots: 0,
            generation: 0,
            alive: true,
            serves: true,
            frozen: false,
            cut: false,
            dark_until: Instant::ZERO,
            slow: false,
            full: false,
            lies: false,
            has_lied: false,
            slots,
            speed,
            platform: platform.into(),
            link: None,
            disk: BTreeSet::new(),
            timer: None,
            seed,
        };
        host.start(Instant::ZERO);
        host
    }

    /// Starts the machine, if it is off, and its daemon anew, with the environments that are on the disk.
    pub fn start(&mut self, now: Instant) {
        if !self.alive {
            self.alive = true;
            self.boots += 1;
            self.frozen = false;
        }
        self.serves = true;
        self.generation += 1;
        self.link = None;
        self.timer = None;
        let on_disk = self
            .disk
            .iter()
            .map(|id| EnvOnDisk { id: id.clone(), size: ENV_SIZE, last_use: 0, content: None })
            .collect();
        let platform = self.platform.lossy().into_owned();
        let seed = self.seed + u64::from(self.generation);
        self.daemon = Daemon::new(now, config(self.index, self.slots, &platform, seed, on_disk));
    }

    /// Which start something on it belongs to.
    pub fn generation_for(&self, what: &What) -> u32 {
        if matches!(what, What::Build { .. }) { self.boots } else { self.generation }
    }

    /// Whether its programs run.
    pub fn is_awake(&self) -> bool {
        self.alive && !self.frozen
    }

    /// Whether its daemon gives an answer.
    pub fn answers(&self) -> bool {
        self.is_awake() && self.serves
    }

    /// Its address: the index in dotted form.
    pub fn address(&self) -> Text {
        address(self.index)
    }
}

/// Bytes of each environment here. Caches hold one, two or three of them, so that they are evicted all the time.
const ENV_SIZE: u64 = 80 << 20;

/// Size that an environment is reported with when it has arrived.
pub fn env_size() -> u64 {
    ENV_SIZE
}

/// Address of the machine with that index.
pub fn address(index: usize) -> Text {
    format!("10.{}.{}.{}", index >> 16, (index >> 8) & 255, index & 255).as_str().into()
}

/// The machine of an address.
pub fn index_of(address: &Text) -> Option<usize> {
    let text = address.as_str()?;
    let mut parts = text.split('.').skip(1).map(|p| p.parse::<usize>().ok());
    let (a, b, c) = (parts.next()??, parts.next()??, parts.next()??);
    Some(a << 16 | b << 8 | c)
}

/// An idle machine, and healthy if its disk is not full.
pub fn measurement(now: Instant, is_full: bool) -> Measurement {
    let ticks = now.as_micros() / 10_000;
    Measurement {
        cpu: CpuTicks { idle: ticks, ..CpuTicks::default() },
        load_avg: [0; 3],
        memory: Memory { total_kb: 16 << 20, available_kb: 15 << 20, headroom_kb: 15 << 20 },
        disk_free: if is_full { 0 } else { 1 << 40 },
    }
}

fn config(index: usize, slots: u32, platform: &str, seed: u64, environments: Vec<EnvOnDisk>) -> Config {
    Config {
        port: 10245,
        slots,
        no_remote: false,
        refuse_plain_names: false,
        takes_files: false,
        chroot_possible: true,
        node_name: format!("h{index}").as_str().into(),
        platform: platform.into(),
        features: features::ENV_XZ
            | features::ENV_ZSTD
            | features::TELLS_NO_HOST
            | features::EXTENSION
            | features::TAKES_JOB_GIVEN
            | features::TAKES_HOST_CAN
            | features::TAKES_FILES,
        cache_limit: ENV_SIZE * (1 + seed % 3) + (1 << 20),
        cache_kept: 3,
        cpus: slots.max(1),
        memory_is_shared: true,
        unix_start: 1_700_000_000,
        test_reconnect: false,
        seed,
        environments,
        natives: Vec::new(),
    }
}
