package contract

// Workload is what an agent knows of the node's own work: the shape of Heartbeat.Workload that agents of this project
// send. A field that is not known is absent.
type Workload struct {
	Kind        string  `json:"kind,omitempty"`           // the profile that judged: rl-swarm
	Phase       string  `json:"phase,omitempty"`          // training, waiting, starting, …: a word of the profile
	PhaseSec    float64 `json:"phase_sec,omitempty"`      // seconds in this phase
	Round       int64   `json:"round,omitempty"`          // the last one that the node worked on
	RoundAgeSec float64 `json:"round_age_sec,omitempty"`  // seconds since the node last told of a round
	NextSec     float64 `json:"next_check_sec,omitempty"` // while waiting: seconds until the node looks for a new round
	PeerID      string  `json:"peer_id,omitempty"`
	PeerName    string  `json:"peer_name,omitempty"`
	Model       string  `json:"model,omitempty"`
	Version     string  `json:"version,omitempty"`    // of the workload
	Supervisor  string  `json:"supervisor,omitempty"` // what keeps it running: screen:NAME, tmux, docker:ID, systemd:UNIT
	Dir         string  `json:"dir,omitempty"`        // where it is installed
	UptimeSec   float64 `json:"uptime_sec,omitempty"` // of its main process
	RSSBytes    int64   `json:"rss_bytes,omitempty"`  // memory of its processes
	Restarts    int     `json:"restarts,omitempty"`   // how often the agent saw its main process begin anew
	Disk        *Disk   `json:"disk,omitempty"`       // the one that Dir is on

	OnDown *CommandRun `json:"on_down,omitempty"` // the last run of the owner's command for a node that is down
}

// CommandRun is one run of a command that an agent began. While it runs, nothing else is known.
type CommandRun struct {
	Running  bool    `json:"running,omitempty"`    // now
	AtUnixMs int64   `json:"at_unix_ms,omitempty"` // when it ended
	TookSec  float64 `json:"took_sec,omitempty"`
	Reason   string  `json:"reason,omitempty"` // a short code
	Result   string  `json:"result,omitempty"` // the same in words, with the last line that it printed
}

// Metrics is what an agent measures of its machine: the shape of Heartbeat.Metrics that agents of this project send. A
// field that is not known is absent.
type Metrics struct {
	CPUs           int      `json:"cpus,omitempty"`
	CPUPercent     *float64 `json:"cpu_percent,omitempty"` // of all CPUs since the heartbeat before, 0 to 100
	Load1          *float64 `json:"load1,omitempty"`
	Load5          *float64 `json:"load5,omitempty"`
	Load15         *float64 `json:"load15,omitempty"`
	MemTotalBytes  int64    `json:"mem_total_bytes,omitempty"`
	MemUsedBytes   int64    `json:"mem_used_bytes,omitempty"` // what programs could not get
	SwapTotalBytes int64    `json:"swap_total_bytes,omitempty"`
	SwapUsedBytes  int64    `json:"swap_used_bytes,omitempty"`
	OOMKills       *int64   `json:"oom_kills,omitempty"` // processes killed for want of memory since boot
	UptimeSec      float64  `json:"uptime_sec,omitempty"`
	Disk           *Disk    `json:"disk,omitempty"` // the one of the system
	GPUs           []GPU    `json:"gpus,omitempty"`
	// ClockOffsetSec is how far the monitor's clock is ahead of this machine's, to about a second.
	ClockOffsetSec *float64 `json:"clock_offset_sec,omitempty"`
}

// Disk is the room of one file system. Free is what programs without privileges can use.
type Disk struct {
	Path       string `json:"path,omitempty"`
	TotalBytes int64  `json:"total_bytes"`
	FreeBytes  int64  `json:"free_bytes"`
}

// GPU is one graphics processor.
type GPU struct {
	Name          string   `json:"name,omitempty"`
	UsePercent    *float64 `json:"use_percent,omitempty"` // 0 to 100
	MemUsedBytes  *int64   `json:"mem_used_bytes,omitempty"`
	MemTotalBytes *int64   `json:"mem_total_bytes,omitempty"`
	TempCelsius   *float64 `json:"temp_celsius,omitempty"`
	PowerWatts    *float64 `json:"power_watts,omitempty"`
}
