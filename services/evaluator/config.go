package evaluator

import (
	"cmp"
	"time"

	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/node"
	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
)

// Config is what the environment says of the fold; standalone embeds it, too.
type Config struct {
	ThresholdSec float64 `envconfig:"DOWN_THRESHOLD_SEC" default:"180" allowed:"a number of seconds, at least 2" desc:"seconds of observed silence after which a node is LOST"`
	MaxNodes     int     `envconfig:"MAX_NODES" default:"100000" allowed:"a number, at least 1" desc:"unknown nodes beyond it are counted, not stored"`
	HistoryDays  int     `envconfig:"HISTORY_DAYS" default:"400" allowed:"a number of days, 0 keeps all" desc:"days for which events are kept"`
	SamplesDays  int     `envconfig:"SAMPLES_DAYS" default:"7" allowed:"a number of days, 0 stores none" desc:"days for which samples of what agents measure are kept, for charts"`
}

// Settings are the part that decides.
func (c Config) Settings() node.Settings {
	return node.Settings{Threshold: time.Duration(c.ThresholdSec * float64(time.Second)), MaxNodes: c.MaxNodes}
}

// Check says what is not allowed.
func (c Config) Check() error {
	least, most := node.MinThreshold.Seconds(), node.MaxThreshold.Seconds()
	if !(c.ThresholdSec >= least && c.ThresholdSec <= most) {
		return settings.Invalid("DOWN_THRESHOLD_SEC", c.ThresholdSec, "a number of seconds from 2 to 2592000")
	}
	if c.MaxNodes < 1 {
		return settings.Invalid("MAX_NODES", c.MaxNodes, "a number, at least 1")
	}
	if c.HistoryDays < 0 {
		return settings.Invalid("HISTORY_DAYS", c.HistoryDays, "a number of days, 0 keeps all")
	}
	if c.SamplesDays < 0 {
		return settings.Invalid("SAMPLES_DAYS", c.SamplesDays, "a number of days, 0 stores none")
	}
	return nil
}

// ProcessConfig is the environment of the evaluator as a program of its own.
type ProcessConfig struct {
	Config
	program.Logging
	tracing.Exporting
	DatabaseURL settings.Secret `envconfig:"DATABASE_URL" required:"true" desc:"postgres://user:password@host:5432/database; several hosts: …@a,b/database?target_session_attrs=read-write"`
	NATSURL     string          `envconfig:"NATS_URL" default:"nats://127.0.0.1:4222" desc:"NATS server, several with commas"`
	Replicas    int             `envconfig:"NATS_REPLICAS" default:"1" allowed:"1, 3 or 5" desc:"servers of a NATS cluster that keep each stream: 1, 3 or 5"`
	NATSCreds   string          `envconfig:"NATS_CREDS_FILE" desc:"credentials file for NATS"`
	MetricsAddr string          `envconfig:"METRICS_ADDR" default:"127.0.0.1:9102" desc:"address of /metrics, /healthz and /readyz"`
}

// Check says what is not allowed.
func (c ProcessConfig) Check() error {
	if err := c.Config.Check(); err != nil {
		return err
	}
	if !bus.ReplicasAllowed(c.Replicas) {
		return settings.Invalid("NATS_REPLICAS", c.Replicas, "1, 3 or 5")
	}
	return cmp.Or(c.CheckExporting(), bus.CheckURL(c.NATSURL))
}
