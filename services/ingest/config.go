package ingest

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/gensyn-monitor/gensyn-monitor/internal/bus"
	"github.com/gensyn-monitor/gensyn-monitor/internal/clientaddr"
	"github.com/gensyn-monitor/gensyn-monitor/internal/program"
	"github.com/gensyn-monitor/gensyn-monitor/internal/settings"
	"github.com/gensyn-monitor/gensyn-monitor/internal/tracing"
)

// shortSecret is the length in characters below which a secret is warned about. It is not refused: it may be on
// hundreds of nodes already.
const shortSecret = 8

// Config is what the environment says of who may report; standalone embeds it, too.
type Config struct {
	SharedSecret   settings.Secret    `envconfig:"SHARED_SECRET" desc:"what agents prove themselves with"`
	TrustedProxies clientaddr.Proxies `envconfig:"TRUSTED_PROXIES" allowed:"addresses or networks like 10.0.0.0/8, separated by commas" desc:"proxies whose X-Forwarded-For is believed: addresses or networks, separated by commas"`
}

// Check says what is not allowed. An empty secret is left to the program: standalone makes one.
func (c Config) Check() error {
	if strings.ContainsFunc(c.SharedSecret.Reveal(), unsendable) {
		return errors.New("SHARED_SECRET is not allowed: it must have no spaces or control characters")
	}
	return nil
}

// unsendable runes would end the token, or the header that carries it.
func unsendable(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }

// Warnings are lines for the log about what is allowed but unwise.
func (c Config) Warnings() []string {
	if n := len([]rune(c.SharedSecret.Reveal())); n > 0 && n < shortSecret {
		return []string{fmt.Sprintf("SHARED_SECRET has fewer than %d characters: it can be guessed", shortSecret)}
	}
	return nil
}

// ProcessConfig is the environment of ingest as a program of its own.
type ProcessConfig struct {
	Config
	program.Logging
	program.Draining
	tracing.Exporting
	ListenAddr  string `envconfig:"LISTEN_ADDR" default:":8080" desc:"address for heartbeats"`
	NATSURL     string `envconfig:"NATS_URL" default:"nats://127.0.0.1:4222" desc:"NATS server, several with commas"`
	Replicas    int    `envconfig:"NATS_REPLICAS" default:"1" allowed:"1, 3 or 5" desc:"servers of a NATS cluster that keep each stream: 1, 3 or 5"`
	NATSCreds   string `envconfig:"NATS_CREDS_FILE" desc:"credentials file for NATS"`
	MetricsAddr string `envconfig:"METRICS_ADDR" default:"127.0.0.1:9101" desc:"address of /metrics, /healthz and /readyz"`
}

// Check says what is not allowed.
func (c ProcessConfig) Check() error {
	if c.SharedSecret == "" {
		return errors.New("SHARED_SECRET is not set: set it to the secret that the agents use")
	}
	if err := c.Config.Check(); err != nil {
		return err
	}
	if !bus.ReplicasAllowed(c.Replicas) {
		return settings.Invalid("NATS_REPLICAS", c.Replicas, "1, 3 or 5")
	}
	if err := cmp.Or(c.CheckDraining(), c.CheckExporting()); err != nil {
		return err
	}
	return bus.CheckURL(c.NATSURL)
}
